/* A blind transfer: the exchange that has taken a REFER calls its target within moments. */
#include "analysis/tie.h"

#define WITHIN_NS (10000 * MS)

static void transfer_score(const struct fact *l, const struct an_refer *r, const struct fact *b,
                           struct score *s)
{
    struct an_number target = an_number_of(an_leg_text(l->leg, r->user));
    enum an_likeness like = an_number_like(&target, &b->callee);
    uint64_t frame = tie_frame(b->leg, AN_NONE);
    *s = (struct score){0};
    if (like != AN_EQUAL && like != AN_ENDS)
        return;
    score_add(s, AN_BY_REFER, tie_frame(l->leg, r->msg));
    score_add(s, like == AN_EQUAL ? AN_BY_CALLEE : AN_BY_CALLEE_PART, frame);
    if (b->leg->referred_by.n)
        score_add(s, AN_BY_DIVERTED, frame);
    if (b->start_ns - r->at_ns <= 1000 * MS)
        score_add(s, AN_BY_SOON, frame);
    if (b->leg->n_hosts && l->leg->n_hosts > 1) {
        const struct an_msg *m = &l->leg->msg[r->msg];
        if (addr_ip_eq(&l->leg->host[m->dst], &b->leg->host[0]))
            score_add(s, AN_BY_HOST, frame);
    }
}

static void refer_tie(struct tie *t, uint32_t f, const struct an_refer *r)
{
    struct score best = {0}, s;
    uint32_t found = AN_NONE;
    int second = 0;
    for (uint32_t b = tie_from(t, r->at_ns);
         b < t->n_facts && t->fact[b].start_ns <= r->at_ns + WITHIN_NS; b++) {
        if (b == f)
            continue;
        transfer_score(&t->fact[f], r, &t->fact[b], &s);
        if (s.points > best.points) {
            second = best.points;
            best = s;
            found = b;
        } else if (s.points > second) {
            second = s.points;
        }
    }
    if (found != AN_NONE)
        tie_add(t, AN_EDGE_TRANSFER, f < found ? f : found, f < found ? found : f, &best,
                tie_confidence(best.points, second));
}

void tie_transfers(struct tie *t)
{
    for (uint32_t f = 0; f < t->n_facts; f++)
        for (uint32_t i = 0; i < t->fact[f].leg->n_refers; i++) {
            const struct an_refer *r = &t->fact[f].leg->refer[i];
            if (!r->replaces.n && r->status < 300)
                refer_tie(t, f, r);
        }
}
