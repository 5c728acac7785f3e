/* Transfers: a REFER that was taken (RFC 5589), blind or with the Replaces of a consultation, or an
 * INVITE with Replaces alone. */
#include "analysis/scenario.h"

static uint32_t other_end(const struct an_edge *e, uint32_t leg)
{
    return e->a == leg ? e->b : e->a;
}

/* What one REFER of the leg has brought about. */
static const struct an_edge *edge_of(const struct look *l, const struct fact *f,
                                     const struct an_refer *r)
{
    if (r->replaces.n) {
        const struct an_edge *e = look_edge(l, AN_EDGE_REPLACED, f->index);
        return e ? e : look_edge(l, AN_EDGE_TRANSFER, f->index);
    }
    for (uint32_t i = 0; i < l->n_facts; i++)
        if (l->fact[i]->referred == r)
            return look_edge(l, AN_EDGE_TRANSFER, l->fact[i]->index);
    return NULL;
}

/* Who was called for it did not answer, and nobody else did in its place. */
static bool has_failed(const struct look *l, const struct an_edge *e, uint32_t from)
{
    uint32_t leg = other_end(e, from);
    const struct fact *to = look_fact(l, leg);
    if (e->kind == AN_EDGE_REPLACED && to && to->answer_ns == AN_NEVER)
        for (uint32_t i = 0; i < l->n_facts; i++) /* the consultation had not been answered yet */
            if (l->fact[i]->parent != AN_NONE && &l->t->fact[l->fact[i]->parent] == to)
                leg = l->fact[i]->index;
    to = look_fact(l, leg);
    return to && to->answer_ns == AN_NEVER && to->stop_ns != AN_NEVER &&
           !look_edge(l, AN_EDGE_PICKED, leg);
}

static void refer_look(struct look *l, const struct fact *f, const struct an_refer *r)
{
    const struct an_leg *leg = f->leg;
    bool attended = r->replaces.n != 0;
    const struct an_edge *e = edge_of(l, f, r);
    struct str method = an_leg_text(leg, r->method);
    /* One that has failed has moved nobody. */
    if (r->status >= 300 || r->progress >= 300 || str_ieq(method, STR("BYE")))
        return;
    if (e && has_failed(l, e, f->index))
        return;
    /* A REFER about a conference moves nobody: its legs are joined by their focus. */
    if (leg->focus[AN_CALLEE] || leg->focus[AN_CALLER])
        return;
    unsigned confidence = e ? e->confidence : r->progress ? 80 : 60;
    struct an_trait *trait =
        look_trait(l, AN_WAS_TRANSFER, attended ? "attended" : "blind", confidence);
    if (!trait)
        return;
    trait->from_ns = r->at_ns;
    trait->leg = trait->who = f->index;
    trait->other = trait->target = e ? other_end(e, f->index) : AN_NONE;
    trait_frame(trait, tie_frame(leg, r->msg));
    if (r->progress_msg != AN_NONE)
        trait_frame(trait, tie_frame(leg, r->progress_msg));
    if (e)
        trait_edge(trait, e);
}

/* An INVITE with Replaces that nobody asked for by REFER: a phone has taken over a call of its
 * group; one that says who has referred it ends a transfer whose REFER is not in the capture. */
static void replaced_look(struct look *l)
{
    const struct an_edge *e = look_edge(l, AN_EDGE_REPLACED, AN_NONE);
    struct fact *f = e ? look_fact(l, e->b) : NULL;
    if (!f)
        return;
    bool sent = f->leg->referred_by.n || !f->leg->replaces.n;
    struct an_trait *trait =
        look_trait(l, sent ? AN_WAS_TRANSFER : AN_WAS_PICKUP, sent ? "attended" : "replaces", 80);
    if (!trait)
        return;
    trait->leg = trait->who = sent ? e->a : e->b;
    trait->other = trait->target = sent ? e->b : e->a;
    trait->from_ns = f->start_ns;
    trait_edge(trait, e);
}

void scenario_transfer(struct look *l)
{
    uint32_t refers = 0;
    for (uint32_t i = 0; i < l->n_facts; i++) {
        for (uint32_t k = 0; k < l->fact[i]->leg->n_refers; k++)
            refer_look(l, l->fact[i], &l->fact[i]->leg->refer[k]);
        refers += l->fact[i]->leg->n_refers;
    }
    if (!refers)
        replaced_look(l);
}
