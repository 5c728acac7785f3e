/* A blind transfer: the exchange that has taken a REFER calls its target within moments. */
#include "analysis/tie.h"

#define WITHIN_NS  (10000 * MS)
#define AT_ONCE_NS (100 * MS)
#define SOON_NS    (1000 * MS)

/* Who is sent on is shown to the target: of a leg that was made for a caller, its caller. */
static void score_caller(const struct fact *l, const struct an_refer *r, const struct fact *b,
                         struct score *s)
{
    const struct an_number *sent = r->side == AN_CALLEE ? &l->caller : &l->callee;
    enum an_likeness like = an_number_like(sent, &b->caller);
    if (like == AN_EQUAL)
        score_add(s, AN_BY_CALLER, tie_frame(b->leg, AN_NONE));
    else if (like == AN_ENDS)
        score_add(s, AN_BY_CALLER_PART, tie_frame(b->leg, AN_NONE));
}

static void transfer_score(const struct fact *l, const struct an_refer *r, const struct fact *b,
                           struct score *s)
{
    struct an_number target = an_number_of(an_leg_text(l->leg, r->user));
    enum an_likeness like = an_number_like(&target, &b->callee);
    uint64_t frame = tie_frame(b->leg, AN_NONE), since = b->start_ns - r->at_ns;
    *s = (struct score){0};
    if (like != AN_EQUAL && like != AN_ENDS)
        return;
    score_add(s, AN_BY_REFER, tie_frame(l->leg, r->msg));
    score_add(s, like == AN_EQUAL ? AN_BY_CALLEE : AN_BY_CALLEE_PART, frame);
    score_caller(l, r, b, s);
    if (b->leg->referred_by.n)
        score_add(s, AN_BY_DIVERTED, frame);
    if (since <= AT_ONCE_NS)
        score_add(s, AN_BY_AT_ONCE, frame);
    else if (since <= SOON_NS)
        score_add(s, AN_BY_SOON, frame);
    if (b->leg->n_hosts && l->leg->n_hosts > 1) {
        const struct an_msg *m = &l->leg->msg[r->msg];
        if (addr_ip_eq(&l->leg->host[m->dst], &b->leg->host[0]))
            score_add(s, AN_BY_HOST, frame);
    }
}

/* The best that is not another one's; its points, and those of the next. */
static uint32_t target_find(const struct tie *t, uint32_t f, const struct an_refer *r, int *points,
                            int *second)
{
    uint32_t found = AN_NONE;
    *points = *second = 0;
    for (uint32_t b = tie_from(t, r->at_ns);
         b < t->n_facts && t->fact[b].start_ns <= r->at_ns + WITHIN_NS; b++) {
        struct score s;
        bool later = t->fact[b].first_frame > tie_frame(t->fact[f].leg, r->msg);
        if (b == f || !later || t->fact[b].referred_by != AN_NONE)
            continue;
        transfer_score(&t->fact[f], r, &t->fact[b], &s);
        if (s.points > *points) {
            *second = *points;
            *points = s.points;
            found = b;
        } else if (s.points > *second) {
            *second = s.points;
        }
    }
    return found;
}

void tie_transfers_find(struct tie *t)
{
    for (uint32_t f = 0; f < t->n_facts; f++)
        for (uint32_t i = 0; i < t->fact[f].leg->n_refers; i++) {
            const struct an_refer *r = &t->fact[f].leg->refer[i];
            int points, second;
            uint32_t b = r->replaces.n || r->status >= 300 ? AN_NONE
                                                           : target_find(t, f, r, &points, &second);
            if (b == AN_NONE)
                continue;
            t->fact[b].referred_by = f;
            t->fact[b].referred_points = points;
            t->fact[b].referred = r;
            t->fact[b].referred_confidence = (uint8_t)tie_confidence(points, second);
        }
}

void tie_transfers(struct tie *t)
{
    for (uint32_t b = 0; b < t->n_facts; b++) {
        const struct fact *l = &t->fact[b];
        struct score s;
        if (l->referred_by == AN_NONE)
            continue;
        uint32_t f = l->referred_by;
        transfer_score(&t->fact[f], l->referred, l, &s);
        tie_add(t, AN_EDGE_TRANSFER, f < b ? f : b, f < b ? b : f, &s, l->referred_confidence);
    }
}
