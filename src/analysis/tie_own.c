/* Legs of an exchange that knows which of them are one call. It has received one and sent the
 * other: which address it did so from does not matter. */
#include "analysis/tie.h"

#define SURE 99

bool tie_own_possible(const struct fact *a, const struct fact *b)
{
    bool over = a->leg->end_ns != AN_NEVER && a->end_ns < b->start_ns;
    return a->start_ns <= b->start_ns && !over && !a->leg->sent && b->leg->sent;
}

/* What nothing else ties is still of this call: dialed for its caller, or it came to it. */
void tie_own(struct tie *t)
{
    for (uint32_t i = 1; i < t->n_facts; i++) {
        struct score s = {0};
        if (tie_root(t, i) == tie_root(t, 0))
            continue;
        score_add(&s, AN_BY_OWN, 0);
        tie_add(t, t->fact[i].leg->sent ? AN_EDGE_DIALED : AN_EDGE_JOINED, 0, i, &s, SURE);
    }
}
