/* Several attempts for one caller: one after the other, all at once, or because somebody sends his
 * calls elsewhere. */
#include "analysis/scenario.h"

#define OVERLAP_NS (300 * MS)
#define AT_ONCE_NS (100 * MS)

static bool says_diverted(const struct an_leg *leg)
{
    struct str history = an_leg_text(leg, leg->history);
    return leg->diversion.n || str_ifind(history, STR("cause")) >= 0;
}

static uint64_t frame_of(const struct an_leg *leg, uint32_t msg)
{
    return msg < leg->n_msgs ? leg->msg[msg].frame : AN_NEVER;
}

/* The next one was called while this one still could answer: both at once, or well before. By the
 * order of the frames; a moment of both, when an exchange calls the next before it cancels the
 * last, does not count. */
static bool overlap(const struct fact *a, const struct fact *b)
{
    uint64_t cancel = frame_of(a->leg, a->leg->cancel_msg),
             end = frame_of(a->leg, a->leg->final_msg);
    uint64_t stop_ns = a->leg->cancel_ns < a->end_ns ? a->leg->cancel_ns : a->end_ns;
    if (tie_frame(b->leg, AN_NONE) >= (cancel < end ? cancel : end))
        return false;
    if (b->start_ns - a->start_ns <= AT_ONCE_NS)
        return true;
    return stop_ns <= b->start_ns || stop_ns - b->start_ns > OVERLAP_NS;
}

struct attempts {
    uint32_t n, overlapping, following;
    struct fact *first, *last, *forwarded;
};

static struct attempts attempts_look(struct look *l)
{
    struct attempts a = {0};
    for (uint32_t i = 1; i < l->n_facts; i++) {
        struct fact *f = l->fact[i];
        /* Who is called after somebody has answered is no attempt to reach the first one. */
        bool early = l->fact[0]->answer_ns == AN_NEVER || f->start_ns <= l->fact[0]->answer_ns;
        if (!early || !look_is_attempt(l, f))
            continue;
        /* Several phones of one extension, or several ways to one number, are one attempt. */
        if (a.last && an_number_like(&a.last->callee, &f->callee) != AN_EQUAL) {
            bool both = overlap(a.last, f);
            a.overlapping += both;
            a.following += !both;
        }
        if (!a.first)
            a.first = f;
        if (!a.forwarded && says_diverted(f->leg) && !says_diverted(l->fact[0]->leg))
            a.forwarded = f;
        a.last = f;
        a.n++;
    }
    return a;
}

void scenario_hunt(struct look *l)
{
    struct attempts a = attempts_look(l);
    enum an_scenario s = a.forwarded     ? AN_WAS_FORWARD
                         : a.overlapping ? AN_WAS_PARALLEL
                         : a.following   ? AN_WAS_SEQUENTIAL
                                         : AN_SCENARIOS;
    if (s == AN_SCENARIOS)
        return;
    struct an_trait *trait = look_trait(l, s, "", a.forwarded ? 85 : 90);
    if (!trait)
        return;
    trait->leg = l->fact[0]->index;
    trait->other = trait->target = (a.forwarded ? a.forwarded : a.last)->index;
    trait->who = a.first->index;
    trait->from_ns = a.first->start_ns;
    for (uint32_t i = 1; i < l->n_facts; i++)
        if (look_is_attempt(l, l->fact[i])) {
            trait_frame(trait, tie_frame(l->fact[i]->leg, AN_NONE));
            trait_frame(trait, tie_frame(l->fact[i]->leg, l->fact[i]->leg->final_msg));
        }
}
