/* The same sound in two legs: payloads pass an exchange unchanged while their headers are written
 * anew, so that fingerprints of payloads, chosen by their content on both sides alike, meet. */
#include <errno.h>
#include <stdlib.h>

#include "analysis/tie.h"
#include "base/mem.h"

#define SAMPLES_USED 8
#define PASSING_NS   (400 * MS)
#define RUN_MOST     16 /* equal fingerprints looked at: those of silence are everybody's */

struct sample {
    uint32_t hash, leg;
    uint64_t at_ns;
};

static int by_hash(const void *x, const void *y)
{
    const struct sample *a = x, *b = y;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

static int by_legs(const void *x, const void *y)
{
    const struct flow_pair *p = x, *q = y;
    if (p->a != q->a)
        return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

static uint32_t samples_take(const struct tie *t, struct sample *out)
{
    const struct an_rtp *rtp = t->e->rtp;
    uint32_t n = 0;
    const struct an_stream *s;
    for (uint32_t at = 0; (s = an_rtp_next(rtp, &at));) {
        if (s->leg == AN_NONE)
            continue;
        for (uint32_t k = 0; k < s->n_samples && k < SAMPLES_USED; k++)
            out[n++] = (struct sample){s->sample[k], s->leg, s->sample_ns[k]};
    }
    return n;
}

static uint32_t pairs_make(const struct sample *s, uint32_t n, struct flow_pair *out, uint32_t cap)
{
    uint32_t n_out = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i + 1; k < n && k - i < RUN_MOST && s[k].hash == s[i].hash &&
                                 s[k].at_ns - s[i].at_ns <= PASSING_NS;
             k++) {
            if (s[i].leg == s[k].leg || n_out == cap)
                continue;
            bool less = s[i].leg < s[k].leg;
            out[n_out++] =
                (struct flow_pair){less ? s[i].leg : s[k].leg, less ? s[k].leg : s[i].leg, 1};
        }
    return n_out;
}

static uint32_t pairs_join(struct flow_pair *p, uint32_t n)
{
    uint32_t out = 0;
    qsort(p, n, sizeof(*p), by_legs);
    for (uint32_t i = 0; i < n; i++)
        if (out && p[out - 1].a == p[i].a && p[out - 1].b == p[i].b)
            p[out - 1].count++;
        else
            p[out++] = p[i];
    return out;
}

int tie_flow_find(struct tie *t)
{
    uint32_t most = an_rtp_streams(t->e->rtp) * SAMPLES_USED;
    if (!most)
        return 0;
    struct sample *s = mem_alloc(most * sizeof(*s));
    t->flow = mem_alloc(2u * most * sizeof(*t->flow));
    if (s && t->flow) {
        uint32_t n = samples_take(t, s);
        qsort(s, n, sizeof(*s), by_hash);
        t->n_flows = pairs_join(t->flow, pairs_make(s, n, t->flow, 2 * most));
    }
    bool failed = !s || !t->flow;
    mem_free(s);
    return failed ? -ENOMEM : 0;
}

uint32_t tie_flow_count(const struct tie *t, uint32_t leg_a, uint32_t leg_b)
{
    struct flow_pair key = {leg_a < leg_b ? leg_a : leg_b, leg_a < leg_b ? leg_b : leg_a, 0};
    const struct flow_pair *p =
        t->n_flows ? bsearch(&key, t->flow, t->n_flows, sizeof(key), by_legs) : NULL;
    return p ? p->count : 0;
}
