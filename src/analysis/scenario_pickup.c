/* Pickups: the caller of such a call is who rang, never the code that was dialled. */
#include "analysis/scenario.h"

static const char *form_of(const struct fact *k)
{
    struct an_number target;
    if (k->leg->replaces.n)
        return "replaces";
    if (tie_pickup_code(&k->callee, &target) && target.n)
        return "directed";
    return "group";
}

/* Which of the two picked up. */
static uint32_t picker(const struct look *l, const struct an_edge *e)
{
    struct fact *a = look_fact(l, e->a);
    struct an_number target;
    bool first = a && (a->leg->replaces.n || tie_pickup_code(&a->callee, &target));
    return first ? e->a : e->b;
}

static void picked_look(struct look *l, const struct an_edge *e)
{
    uint32_t k = picker(l, e), r = k == e->a ? e->b : e->a;
    struct fact *f = look_fact(l, k);
    struct an_trait *trait = f ? look_trait(l, AN_WAS_PICKUP, form_of(f), e->confidence) : NULL;
    if (!trait)
        return;
    trait->leg = trait->who = k;
    trait->other = trait->target = r;
    trait->from_ns = f->answer_ns;
    trait_edge(trait, e);
    l->call->answered_by = an_text_put(&l->call->text, call_extension(an_leg_caller(f->leg)), 128);
}

/* A code that was answered, and nothing says whose call it was. */
static void unknown_look(struct look *l)
{
    struct an_number target;
    struct fact *f = l->fact[0];
    if (f->answer_ns == AN_NEVER || !tie_pickup_code(&f->callee, &target))
        return;
    struct an_trait *trait = look_trait(l, AN_WAS_PICKUP, form_of(f), 60);
    if (!trait)
        return;
    trait->leg = trait->who = f->index;
    trait->from_ns = f->answer_ns;
    trait_frame(trait, tie_frame(f->leg, f->leg->answer_msg));
    l->call->caller_unknown = true;
    l->call->answered_by = l->call->caller;
    l->call->caller = l->call->caller_name = (struct an_ref){0};
}

void scenario_pickup(struct look *l)
{
    bool found = false;
    for (uint32_t i = 0; i < l->call->n_edges; i++)
        if (l->call->edge[i].kind == AN_EDGE_PICKED) {
            picked_look(l, &l->call->edge[i]);
            found = true;
        }
    if (!found)
        unknown_look(l);
}
