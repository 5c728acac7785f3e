/* What happened, in the order in which it did. */
#include "analysis/explain_int.h"

static struct str call_text(const struct explain *x, struct an_ref r)
{
    return an_text_get(&x->call->text, r);
}

/* Times from the INVITE that counted: those before asked for credentials. */
static uint64_t begun(const struct an_leg *leg)
{
    return leg->invite_ns == AN_NEVER ? leg->first_ns : leg->invite_ns;
}

static void tell_direction(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    enum an_side unseen = leg_unseen(leg);
    if (unseen == AN_NOBODY)
        return;
    find(x, AN_R_ONE_DIRECTION, i, AN_NONE, leg->first_ns);
    find_arg(x, side_name(x, leg, unseen));
    find_arg(x, side_name(x, leg, unseen == AN_CALLER ? AN_CALLEE : AN_CALLER));
}

static void tell_begin(struct explain *x, uint32_t i, bool first)
{
    const struct an_leg *leg = leg_of(x, i);
    uint32_t msg = leg->invite_msg == AN_NONE ? 0 : leg->invite_msg;
    if (leg->invite_msg == AN_NONE && leg_unseen(leg) == AN_CALLER)
        return;
    if (leg->invite_msg == AN_NONE)
        find(x, AN_R_BEGINS_LATE, i, msg, leg->first_ns);
    else if (first || !leg_is_child(x, i))
        find(x, AN_R_CALLED, i, msg, leg->first_ns);
    else
        find(x, AN_R_TRIED, i, msg, leg->first_ns);
    if (leg->invite_msg == AN_NONE)
        return;
    if (first || !leg_is_child(x, i))
        find_arg(x, side_name(x, leg, AN_CALLER));
    find_arg(x, side_name(x, leg, AN_CALLEE));
}

/* The response to the INVITE at this time, 183 or one that rings. */
static uint32_t sign_at(const struct an_leg *leg, uint64_t at_ns, bool rings)
{
    for (uint32_t i = 0; i < leg->n_msgs; i++) {
        const struct an_msg *m = &leg->msg[i];
        if (m->at_ns == at_ns && m->status > 100 && m->status < 200 && (m->status != 183) == rings)
            return i;
    }
    return AN_NONE;
}

/* What answers a code that picks up is no person: the pickup itself is told. */
static bool picks_up(const struct explain *x, uint32_t leg)
{
    for (uint32_t i = 0; i < x->call->n_traits; i++)
        if (x->call->trait[i].scenario == AN_WAS_PICKUP && x->call->trait[i].leg == leg)
            return true;
    return false;
}

static void tell_progress(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    if (leg->ringing_ns != AN_NEVER) {
        find(x, AN_R_RANG, i, sign_at(leg, leg->ringing_ns, true), leg->ringing_ns);
        find_arg(x, side_name(x, leg, AN_CALLEE));
        find_span(x, leg->ringing_ns - begun(leg));
    }
    if (leg->progress_ns != AN_NEVER) {
        find(x, AN_R_EARLY_MEDIA, i, sign_at(leg, leg->progress_ns, false), leg->progress_ns);
        find_span(x, leg->progress_ns - begun(leg));
    }
    if (leg->answer_ns != AN_NEVER && !picks_up(x, i)) {
        find(x, AN_R_ANSWERED, i, leg->answer_msg, leg->answer_ns);
        find_arg(x, side_name(x, leg, AN_CALLEE));
        find_span(x, leg->answer_ns - begun(leg));
    }
}

static void tell_cancel(struct explain *x, uint32_t i, bool first)
{
    const struct an_leg *leg = leg_of(x, i);
    if (leg->cancel_ns == AN_NEVER)
        return;
    find(x,
         leg->elsewhere ? AN_R_ELSEWHERE
         : first        ? AN_R_GAVE_UP
                        : AN_R_STOPPED,
         i, leg->cancel_msg, leg->cancel_ns);
    if (leg->elsewhere || !first)
        find_arg(x, side_name(x, leg, AN_CALLEE));
    if (!leg->elsewhere)
        find_span(x, leg->cancel_ns - begun(leg));
}

static void tell_end(struct explain *x, uint32_t i, bool first)
{
    const struct an_leg *leg = leg_of(x, i);
    tell_cancel(x, i, first);
    if (leg->bye_ns != AN_NEVER && (first || !leg_is_child(x, i))) {
        find(x, AN_R_HUNG_UP, i, leg->bye_msg, leg->bye_ns);
        find_arg(x, side_name(x, leg, (enum an_side)leg->bye_side));
        find_span(x, leg->answer_ns == AN_NEVER ? 0 : leg->bye_ns - leg->answer_ns);
    } else if (first && leg->end_ns == AN_NEVER) {
        find(x, AN_R_GOES_ON, i, AN_NONE, leg->last_ns);
    }
}

static void tell_holds(struct explain *x, const struct an_trait *t)
{
    const struct an_leg *leg = leg_of(x, t->leg);
    for (uint32_t i = 0; i < leg->n_holds; i++) {
        const struct an_hold *h = &leg->hold[i];
        if (h->from_ns != t->from_ns)
            continue;
        bool resumed = h->to_ns != AN_NEVER;
        find(x, resumed ? AN_R_HELD : AN_R_HELD_TO_END, t->leg, h->msg, h->from_ns);
        find_arg(x, side_name(x, leg, (enum an_side)h->side));
        if (resumed) {
            find_span(x, h->to_ns - h->from_ns);
            find_frame(x, t->leg, h->end_msg);
        }
        return;
    }
}

static void tell_transfer(struct explain *x, const struct an_trait *t)
{
    const struct an_leg *leg = leg_of(x, t->leg);
    for (uint32_t i = 0; i < leg->n_refers; i++) {
        const struct an_refer *r = &leg->refer[i];
        if (r->at_ns != t->from_ns)
            continue;
        bool failed = r->progress >= 300;
        find(x, failed ? AN_R_TRANSFER_FAILED : AN_R_TRANSFERRED, t->leg, r->msg, r->at_ns);
        if (!failed)
            find_arg(x, side_name(x, leg, (enum an_side)r->side));
        find_arg(x, an_leg_text(leg, r->user.n ? r->user : r->target));
        if (failed)
            find_u64(x, r->progress);
        else
            find_arg(x, str_z(t->form));
        find_frame(x, t->leg, r->progress_msg);
    }
}

static void tell_pickup(struct explain *x, const struct an_trait *t)
{
    const struct an_leg *k = leg_of(x, t->leg);
    find(x, t->target == AN_NONE ? AN_R_PICKED_UNKNOWN : AN_R_PICKED_UP, t->leg, k->answer_msg,
         t->from_ns);
    find_arg(x, side_name(x, k, AN_CALLER));
    if (t->target == AN_NONE) {
        find_arg(x, side_name(x, k, AN_CALLEE));
        return;
    }
    find_arg(x, call_text(x, x->call->caller));
    find_arg(x, side_name(x, leg_of(x, t->target), AN_CALLEE));
    find_frame(x, t->target, leg_of(x, t->target)->cancel_msg);
}

static void tell_traits(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_traits; i++) {
        const struct an_trait *t = &x->call->trait[i];
        if (t->scenario == AN_WAS_HOLD)
            tell_holds(x, t);
        else if (t->scenario == AN_WAS_TRANSFER)
            tell_transfer(x, t);
        else if (t->scenario == AN_WAS_PICKUP)
            tell_pickup(x, t);
        else if (t->scenario == AN_WAS_CONFERENCE) {
            find(x, AN_R_CONFERENCE, t->leg, AN_NONE, t->from_ns);
            find_arg(x, str_z(t->form));
        }
    }
}

void rule_story(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_legs; i++) {
        bool first = i == 0;
        tell_direction(x, x->call->leg[i]);
        tell_begin(x, x->call->leg[i], first);
        tell_progress(x, x->call->leg[i]);
        tell_end(x, x->call->leg[i], first);
    }
    tell_traits(x);
}
