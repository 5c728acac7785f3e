/* Conferences, by who mixes. */
#include "analysis/scenario.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void phone_look(struct look *l, const struct an_edge *e)
{
    struct fact *a = look_fact(l, e->a), *b = look_fact(l, e->b);
    struct an_trait *trait = look_trait(l, AN_WAS_CONFERENCE, "phone_mixed", e->confidence);
    if (!a || !b || !trait)
        return;
    trait->leg = trait->who = e->a; /* the master: whose party was there first */
    trait->other = trait->target = e->b;
    trait->from_ns = later(a->answer_ns, b->answer_ns);
    for (uint32_t i = 0; i < a->leg->n_holds; i++)
        if (a->leg->hold[i].to_ns != AN_NEVER)
            trait->from_ns = later(trait->from_ns, a->leg->hold[i].to_ns);
    trait->to_ns = a->end_ns < b->end_ns ? a->end_ns : b->end_ns;
    trait_edge(trait, e);
}

/* A phone that mixes may say that it is a focus as well: it does so as the caller or the called one
 * of every leg, under its own name. */
static bool focus_is_phone(const struct look *l)
{
    for (uint32_t i = 0; i < l->n_facts; i++) {
        const struct fact *f = l->fact[i];
        unsigned side = f->leg->focus[AN_CALLER] ? AN_CALLER : AN_CALLEE;
        struct sip_uri uri;
        if (!f->leg->focus[side])
            continue;
        struct str own =
            an_leg_text(f->leg, side == AN_CALLER ? f->leg->from.user : f->leg->ruri_user);
        if (sip_uri_parse(&uri, an_leg_text(f->leg, f->leg->contact[side])) ||
            !str_eq(uri.user, own) ||
            !(f->leg->instance[side] || (side == AN_CALLER && f->from_phone)))
            return false;
    }
    return true;
}

static void server_look(struct look *l)
{
    uint32_t seats = 0;
    const struct an_edge *first = look_edge(l, AN_EDGE_JOINED, AN_NONE);
    struct fact *f = first ? look_fact(l, first->b) : NULL;
    struct an_trait *trait =
        f ? look_trait(l, AN_WAS_CONFERENCE, focus_is_phone(l) ? "phone_mixed" : "server_mixed",
                       first->confidence)
          : NULL;
    if (!trait)
        return;
    trait->leg = first->a;
    trait->other = first->b;
    trait->from_ns = f->answer_ns;
    trait->to_ns = 0;
    for (uint32_t i = 0; i < l->n_facts; i++)
        if (look_edge(l, AN_EDGE_JOINED, l->fact[i]->index)) {
            trait->to_ns = later(trait->to_ns, l->fact[i]->end_ns);
            trait_frame(trait, tie_frame(l->fact[i]->leg, l->fact[i]->leg->answer_msg));
            seats++;
        }
    if (seats < 2)
        trait->confidence = 50;
}

/* Somebody was alone in a room, or the capture shows nobody else. */
static void alone_look(struct look *l)
{
    const struct an_leg *leg = l->fact[0]->leg;
    if (l->call->n_traits || !leg->focus[AN_CALLEE] || l->fact[0]->answer_ns == AN_NEVER)
        return;
    struct an_trait *trait = look_trait(l, AN_WAS_CONFERENCE, "server_mixed", 60);
    if (!trait)
        return;
    trait->leg = l->fact[0]->index;
    trait->from_ns = l->fact[0]->answer_ns;
    trait->to_ns = l->fact[0]->end_ns;
    trait_frame(trait, tie_frame(leg, leg->answer_msg));
}

void scenario_conference(struct look *l)
{
    for (uint32_t i = 0; i < l->call->n_edges; i++)
        if (l->call->edge[i].kind == AN_EDGE_CONSULT)
            phone_look(l, &l->call->edge[i]);
    server_look(l);
    alone_look(l);
}
