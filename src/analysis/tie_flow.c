/* The same sound in two legs: payloads pass an exchange unchanged while their headers are written
 * anew, so that fingerprints of payloads, chosen by their content on both sides alike, meet. */
#include <errno.h>
#include <stdlib.h>

#include "analysis/tie.h"
#include "base/mem.h"

#define SAMPLES_USED 8
#define PASSING_NS   (400 * MS)
#define BINS         65536
#define FEW          24
#define RUN_MOST     16 /* equal fingerprints looked at: those of silence are everybody's */

struct sample {
    uint32_t hash, leg;
    uint64_t at_ns;
};

static bool later(const struct sample *a, const struct sample *b)
{
    return a->hash != b->hash ? a->hash > b->hash : a->at_ns > b->at_ns;
}

static int by_hash(const void *x, const void *y)
{
    return later(x, y) - later(y, x);
}

static int by_leg(const void *x, const void *y)
{
    const struct flow_pair *p = x, *q = y;
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

/* A few are in order soon; of equal fingerprints there may be very many. */
static void sort_few(struct sample *s, uint32_t n)
{
    if (n > FEW) {
        qsort(s, n, sizeof(*s), by_hash);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        struct sample one = s[i];
        uint32_t k = i;
        for (; k > 0 && later(&s[k - 1], &one); k--)
            s[k] = s[k - 1];
        s[k] = one;
    }
}

/* Equal ones side by side, in the order of time: into bins by the hash, then in order in each. */
static void samples_sort(const struct sample *s, uint32_t n, struct sample *out, uint32_t *bin)
{
    memset(bin, 0, (BINS + 1) * sizeof(*bin));
    for (uint32_t i = 0; i < n; i++)
        bin[s[i].hash % BINS + 1]++;
    for (uint32_t i = 1; i <= BINS; i++)
        bin[i] += bin[i - 1];
    for (uint32_t i = 0; i < n; i++)
        out[bin[s[i].hash % BINS]++] = s[i];
    for (uint32_t i = 0, from = 0; i < BINS; from = bin[i++])
        sort_few(out + from, bin[i] - from);
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

/* Those of each lower leg side by side, with a line for each: t->flow_at says where they begin. */
static void pairs_join(struct tie *t, const struct flow_pair *p, uint32_t n)
{
    uint32_t legs = an_engine_legs(t->e), *at = t->flow_at, out = 0;
    for (uint32_t i = 0; i < n; i++)
        at[p[i].a + 2]++;
    for (uint32_t i = 2; i < legs + 2; i++)
        at[i] += at[i - 1];
    for (uint32_t i = 0; i < n; i++)
        t->flow[at[p[i].a + 1]++] = p[i];
    for (uint32_t leg = 0, from = 0, to; leg < legs; leg++, from = to) {
        to = at[leg + 1];
        if (to > from + 1)
            qsort(t->flow + from, to - from, sizeof(*p), by_leg);
        at[leg] = out;
        for (uint32_t i = from; i < to; i++)
            if (out > at[leg] && t->flow[out - 1].b == t->flow[i].b)
                t->flow[out - 1].count++;
            else
                t->flow[out++] = t->flow[i];
    }
    at[legs] = out;
}

/* All samples of streams with a leg, sorted; NULL without memory. */
static struct sample *samples_get(const struct tie *t, uint32_t most, uint32_t *ret_n)
{
    struct sample *s = mem_alloc(most * sizeof(*s)), *sorted = mem_alloc(most * sizeof(*s));
    uint32_t *bin = mem_alloc((BINS + 1) * sizeof(*bin));
    bool done = s && sorted && bin;
    if (done) {
        *ret_n = samples_take(t, s);
        samples_sort(s, *ret_n, sorted, bin);
    }
    mem_free(s);
    mem_free(bin);
    if (!done)
        mem_free(sorted);
    return done ? sorted : NULL;
}

int tie_flow_find(struct tie *t)
{
    uint32_t most = an_rtp_streams(t->e->rtp) * SAMPLES_USED, n = 0;
    struct sample *s = samples_get(t, most, &n);
    struct flow_pair *pair = s ? mem_alloc(2 * (size_t)most * sizeof(*pair)) : NULL;
    if (pair)
        n = pairs_make(s, n, pair, 2 * most);
    mem_free(s);
    t->flow = pair ? mem_alloc(n * sizeof(*t->flow)) : NULL;
    t->flow_at = mem_zero(((size_t)an_engine_legs(t->e) + 2) * sizeof(*t->flow_at));
    bool done = t->flow && t->flow_at;
    if (done)
        pairs_join(t, pair, n);
    mem_free(pair);
    return done ? 0 : -ENOMEM;
}

uint32_t tie_flow_count(const struct tie *t, uint32_t leg_a, uint32_t leg_b)
{
    uint32_t a = leg_a < leg_b ? leg_a : leg_b, b = leg_a < leg_b ? leg_b : leg_a;
    for (uint32_t i = t->flow_at[a]; i < t->flow_at[a + 1]; i++)
        if (t->flow[i].b == b)
            return t->flow[i].count;
    return 0;
}
