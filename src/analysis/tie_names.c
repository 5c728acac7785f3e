/* Legs that name each other: Replaces (RFC 3891), Join (RFC 3911), and the Replaces inside the
 * Refer-To of an attended transfer. */
#include "analysis/tie.h"

#define SURE       99
#define CARRIED_NS (10000 * MS)

static void tie_named(struct tie *t, enum an_edge_kind kind, uint32_t x, uint32_t y,
                      enum an_evidence what, uint64_t frame)
{
    struct score s = {0};
    if (x == AN_NONE || y == AN_NONE || x == y)
        return;
    score_add(&s, what, frame);
    t->fact[x].replaced |= kind == AN_EDGE_REPLACED;
    t->fact[y].replaced |= kind == AN_EDGE_REPLACED;
    tie_add(t, kind, x < y ? x : y, x < y ? y : x, &s, SURE);
}

/* An INVITE with Replaces of what still rang picks it up; of what was answered it takes its place.
 */
static void replaces_tie(struct tie *t, uint32_t f)
{
    const struct an_leg *leg = t->fact[f].leg;
    uint32_t other = tie_find(t, an_leg_text(leg, leg->replaces));
    if (other == AN_NONE || leg->final >= 300)
        return;
    bool rang = t->fact[other].answer_ns == AN_NEVER;
    tie_named(t, rang ? AN_EDGE_PICKED : AN_EDGE_REPLACED, f, other, AN_BY_REPLACES,
              tie_frame(leg, AN_NONE));
}

/* The Replaces of a REFER names a dialog that may be elsewhere: the INVITE that carries it on is
 * here. */
static void replaces_carried(struct tie *t, uint32_t f, const struct an_refer *r)
{
    struct str id = an_leg_text(t->fact[f].leg, r->replaces);
    for (uint32_t b = tie_from(t, r->at_ns);
         b < t->n_facts && t->fact[b].start_ns <= r->at_ns + CARRIED_NS; b++) {
        const struct an_leg *leg = t->fact[b].leg;
        if (str_eq(an_leg_text(leg, leg->replaces), id))
            tie_named(t, AN_EDGE_TRANSFER, f, b, AN_BY_REFER, tie_frame(leg, AN_NONE));
    }
}

static void refer_tie(struct tie *t, uint32_t f, const struct an_refer *r)
{
    const struct an_leg *leg = t->fact[f].leg;
    if (!r->replaces.n || r->status >= 300)
        return;
    tie_named(t, AN_EDGE_REPLACED, f, tie_find(t, an_leg_text(leg, r->replaces)), AN_BY_REFER,
              tie_frame(leg, r->msg));
    replaces_carried(t, f, r);
}

void tie_names(struct tie *t)
{
    for (uint32_t f = 0; f < t->n_facts; f++) {
        const struct an_leg *leg = t->fact[f].leg;
        if (leg->replaces.n)
            replaces_tie(t, f);
        if (leg->join.n)
            tie_named(t, AN_EDGE_JOINED, f, tie_find(t, an_leg_text(leg, leg->join)), AN_BY_JOIN,
                      tie_frame(leg, AN_NONE));
        for (uint32_t i = 0; i < leg->n_refers; i++)
            refer_tie(t, f, &leg->refer[i]);
    }
}
