/* What a single leg shows, and how the caller's attempt ended. */
#include "analysis/scenario.h"

static void holds(struct look *l)
{
    for (uint32_t i = 0; i < l->n_facts; i++)
        for (uint32_t k = 0; k < l->fact[i]->leg->n_holds; k++) {
            const struct an_leg *leg = l->fact[i]->leg;
            const struct an_hold *h = &leg->hold[k];
            /* An exchange that passes a hold on is not one who holds. */
            if (h->side == AN_CALLER && l->fact[i]->parent != AN_NONE)
                continue;
            struct an_trait *trait = look_trait(l, AN_WAS_HOLD, "", 95);
            if (!trait)
                return;
            trait->leg = trait->who = l->fact[i]->index;
            trait->from_ns = h->from_ns;
            trait->to_ns = h->to_ns;
            trait_frame(trait, tie_frame(leg, h->msg));
            if (h->end_msg != AN_NONE)
                trait_frame(trait, tie_frame(leg, h->end_msg));
        }
}

static void ended(struct look *l, enum an_scenario s, uint32_t msg, unsigned confidence)
{
    struct an_trait *trait = look_trait(l, s, "", confidence);
    if (!trait)
        return;
    trait->leg = l->fact[0]->index;
    trait->from_ns = l->fact[0]->end_ns;
    trait_frame(trait, tie_frame(l->fact[0]->leg, msg));
}

/* Nobody whom the exchange called has answered, and yet it did. */
static void voicemail(struct look *l)
{
    const struct an_leg *root = l->fact[0]->leg;
    uint32_t tried = 0;
    if (root->answer_ns == AN_NEVER)
        return;
    for (uint32_t i = 1; i < l->n_facts; i++) {
        if (!look_is_attempt(l, l->fact[i]))
            continue;
        if (l->fact[i]->answer_ns != AN_NEVER)
            return;
        tried++;
    }
    if (tried && !look_edge(l, AN_EDGE_PICKED, AN_NONE) && !look_edge(l, AN_EDGE_JOINED, AN_NONE))
        ended(l, AN_WAS_VOICEMAIL, root->answer_msg, 60);
}

void scenario_basic(struct look *l)
{
    const struct an_leg *root = l->fact[0]->leg;
    holds(l);
    voicemail(l);
    if (root->answer_ns != AN_NEVER)
        return;
    if (look_cancelled(root))
        ended(l, AN_WAS_CANCELLED, root->cancel_msg, 95);
    else if (root->final >= 400)
        ended(l, AN_WAS_FAILED, root->final_msg, 95);
    else if (root->final >= 300)
        ended(l, AN_WAS_REDIRECT, root->final_msg, 95);
}
