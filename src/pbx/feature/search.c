/* The target set and its batches: who rings next, and when nobody is left. */
#include "pbx/feature/conference.h"
#include "pbx/feature/early_session.h"
#include "pbx/feature/queue.h"
#include "pbx/feature/ringback.h"
#include "pbx/feature/transfer.h"
#include "pbx/feature/voicebot.h"
#include "pbx/hangup.h"
#include "pbx/trunk.h"

static void hist_timer(struct pbx *p, const struct call *call, enum hist_kind kind, bool patience,
                       usec_t wait)
{
    hist_put(&p->trace, call->tag,
             (struct hist_event){.kind = (uint8_t)kind,
                                 .code = patience ? HIST_T_INVITE : HIST_T_RING,
                                 .a = (uint32_t)(wait / USEC_MS)});
}

struct dial *dial_of(struct pbx *p, const struct call *call)
{
    return slot_find(&p->calls->dials, call->dial);
}

static void out_of_patience(struct pbx *p, struct pbx_timer *t);

struct dial *dial_new(struct pbx *p, struct call *call, enum dial_purpose purpose, unsigned side)
{
    handle_t h;
    struct dial *d = dial_of(p, call) ? NULL : slot_take(&p->calls->dials, &h);
    if (!d)
        return NULL;
    d->self = call->dial = h;
    d->call = call->self;
    d->owner = call->party[1 - side];
    d->purpose = (uint8_t)purpose;
    d->side = (uint8_t)side;
    d->deadline = USEC_NEVER;
    d->config = config_ref(p->config);
    d->timer.fire = out_of_patience;
    return d;
}

static void free_text(struct pbx *p, struct str *owned)
{
    if (pbx_keep(p, owned, STR_NONE))
        BUG_ON(true); /* freeing cannot fail */
}

static void stop_timer(struct pbx *p, struct dial *d)
{
    if (!timer_armed(&d->timer.timer))
        return;
    pbx_timer_stop(p, &d->timer);
    hist_timer(p, call_find(p, d->call), HIST_TIMER_STOPPED, !d->ring, 0);
}

void dial_stop(struct pbx *p, struct call *call)
{
    struct dial *d = dial_of(p, call);
    call->dial = 0;
    if (!d)
        return;
    struct str *texts[] = {&d->invite, &d->referred_by, &d->replaces, &d->called.number};
    ringback_end(p, d);
    stop_timer(p, d);
    queue_leave(p, d);
    voicebot_search_over(p, d);
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (leg->dial == d->self)
            leg->dial = 0; /* who still rings is hung up by whoever ends the search */
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        free_text(p, texts[i]);
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++)
        free_text(p, &d->target[i].number);
    for (unsigned i = 0; i < d->n_diverted; i++)
        free_text(p, &d->diverted[i].number);
    config_unref(d->config);
    slot_put(&p->calls->dials, d->self);
}

/* ---- the target set -------------------------------------------------------------------------- */

/* Makes room for one batch right behind the present one. */
static bool make_room(struct dial *d)
{
    struct target *t = d->target;
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++)
        if (t[i].kind != TARGET_NONE && t[i].batch >= UINT8_MAX - 2)
            return false;
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++)
        if (t[i].kind != TARGET_NONE && t[i].batch > d->batch)
            t[i].batch++;
    return d->batch < UINT8_MAX - 2;
}

bool dial_put(struct pbx *p, struct dial *d, const struct target *t, struct str number)
{
    struct target *slot = NULL;
    for (unsigned i = 0; i < DIAL_MAX_TARGETS && !slot; i++)
        if (d->target[i].kind == TARGET_NONE)
            slot = &d->target[i];
    struct target copy = *t;
    copy.number = STR_NONE;
    if (!slot || !make_room(d) || pbx_keep(p, &copy.number, number))
        return false;
    copy.batch = (uint8_t)(d->batch + 1);
    *slot = copy;
    return true;
}

static unsigned add_trunk(struct pbx *p, struct dial *d, const struct plan *plan)
{
    const struct config_trunk *list[9];
    unsigned n = trunk_candidates(p, d->config, plan->trunk, list, ARRAY_LEN(list));
    for (unsigned i = n; i--;) { /* the first of them is put last, in front of the others */
        struct target t = {.kind = TARGET_TRUNK, .trunk = list[i]};
        /* Silence of one gateway must leave time for the next. */
        if (i + 1 < n)
            t.ring = d->config->trunk.failover_ms * USEC_MS;
        if (!dial_put(p, d, &t, plan->number))
            return 503;
    }
    return n ? 0 : 503;
}

unsigned dial_add(struct pbx *p, struct dial *d, const struct plan *plan)
{
    struct target t = {.kind = TARGET_NONE};
    switch (plan->kind) {
    case PLAN_TRUNK:
        return add_trunk(p, d, plan);
    case PLAN_EXTENSION:
        t.kind = TARGET_EXTENSION;
        t.extension = plan->extension;
        break;
    case PLAN_MAILBOX:
        t.kind = TARGET_MAILBOX;
        t.extension = plan->extension;
        break;
    case PLAN_GROUP:
        t.kind = TARGET_MEMBERS;
        t.group = plan->group;
        break;
    case PLAN_BOT:
        t.kind = TARGET_BOT;
        t.bot = plan->bot;
        t.reason = VOICEBOT_NUMBER;
        break;
    default:
        return plan->status ? plan->status : 404;
    }
    return dial_put(p, d, &t, STR_NONE) ? 0 : 500;
}

bool dial_rings(struct pbx *p, const struct dial *d)
{
    struct leg *leg = NULL;
    while ((leg = call_next(call_find(p, d->call), leg)))
        if (leg->dial == d->self && leg_is_calling(leg))
            return true;
    return false;
}

void dial_drop(struct pbx *p, struct dial *d, const struct leg *keep, struct str reason)
{
    struct leg *leg = NULL;
    while ((leg = call_next(call_find(p, d->call), leg))) {
        if (leg == keep || leg->dial != d->self || !leg_is_calling(leg))
            continue;
        leg->dropped = true;
        call_drop_leg(p, leg, reason);
    }
}

void dial_skip(struct pbx *p, struct dial *d, const struct target *t, unsigned status)
{
    handle_t h;
    struct leg *leg = leg_new(p, call_find(p, d->call), &h);
    d->failure = status;
    if (!leg)
        return;
    leg_use_config(leg, d->config);
    leg->outgoing = true;
    leg->dial = d->self;
    leg->extension = t->extension;
    leg->trunk = t->trunk;
    leg->status = (uint16_t)status;
    leg->state = LEG_ENDED;
    leg->left = p->now;
}

static void arm(struct pbx *p, struct dial *d)
{
    usec_t wait = queue_waits(d) ? queue_patience(p, d)
                  : d->ring      ? d->ring
                                 : d->config->sip.timers.invite_timeout_ms * USEC_MS;
    if (d->deadline < p->now + wait)
        wait = d->deadline > p->now ? d->deadline - p->now : 0;
    pbx_timer_start(p, &d->timer, wait);
    hist_timer(p, call_find(p, d->call), HIST_TIMER_ARMED, !d->ring, wait);
}

void dial_take_over(struct pbx *p, struct dial *d, struct dial *old)
{
    struct call *to = call_find(p, d->call), *from = call_find(p, old->call);
    for (struct leg *leg = call_next(from, NULL), *next; leg; leg = next) {
        next = call_next(from, leg);
        if (leg->dial != old->self || !leg_is_calling(leg) || call_move_leg(p, leg, to))
            continue;
        leg->dial = d->self;
    }
    struct config *config = d->config; /* targets point into that of the old search */
    d->config = old->config;
    old->config = config;
    d->from = old->from;
    d->batch = old->batch;
    d->alone = old->alone;
    d->ring = old->ring;
    memcpy(d->target, old->target, sizeof(d->target));
    memset(old->target, 0, sizeof(old->target));
    voicebot_take_over(p, d, old);
    d->naming = old->naming;
    d->called = old->called;
    old->naming = 0;
    old->called = (struct target){.kind = TARGET_NONE};
    arm(p, d);
}

/* ---- one batch after the other --------------------------------------------------------------- */

/* Starts everybody of the next batch; false: there is none. */
static bool next_batch(struct pbx *p, struct dial *d)
{
    unsigned next = UINT8_MAX;
    struct target now[DIAL_MAX_TARGETS];
    unsigned n = 0;
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++)
        if (d->target[i].kind != TARGET_NONE && d->target[i].batch < next)
            next = d->target[i].batch;
    if (next == UINT8_MAX)
        return false;
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++) {
        if (d->target[i].kind == TARGET_NONE || d->target[i].batch != next)
            continue;
        now[n++] = d->target[i];
        d->target[i] = (struct target){.kind = TARGET_NONE};
    }
    d->batch = (uint8_t)next;
    d->alone = NULL;
    d->trunk = NULL;
    d->ring = 0;
    for (unsigned i = 0; i < n; i++) {
        target_start(p, d, &now[i]);
        free_text(p, &now[i].number);
    }
    return true;
}

void dial_patience(struct pbx *p, struct dial *d)
{
    d->ring = 0;
    arm(p, d);
}

static void fail(struct pbx *p, struct dial *d, unsigned status)
{
    struct call *call = call_find(p, d->call);
    if (d->purpose == DIAL_TRANSFER)
        transfer_failed(p, d, status);
    else if (d->purpose == DIAL_ROOM)
        conference_failed(p, call, status);
    else
        dial_refuse(p, call, status);
}

/* Nobody is left. */
static void over(struct pbx *p, struct dial *d)
{
    unsigned status = d->verdict    ? d->verdict
                      : d->rang_out ? d->config->sip.no_answer_final
                                    : dial_best_status(p, d);
    fail(p, d, status ? status : d->failure ? d->failure : 480);
}

void dial_run(struct pbx *p, struct dial *d)
{
    handle_t self = d->self;
    while (!dial_rings(p, d)) {
        if (d->bot || d->naming)
            return;
        ringback_end(p, d);
        stop_timer(p, d);
        if (queue_waits(d)) {
            d->ring = 0;
            queue_serve(p, d);
            arm(p, d);
            return;
        }
        bool more = next_batch(p, d);
        if (slot_find(&p->calls->dials, self) != d)
            return;
        if (!more) {
            over(p, d);
            return;
        }
        if (d->bot || d->naming) { /* it says whether it answers; where it is, is being looked up */
            arm(p, d);
            return;
        }
        if (dial_rings(p, d))
            arm(p, d);
    }
}

/* ---- silence --------------------------------------------------------------------------------- */

static bool has_more(const struct dial *d)
{
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++)
        if (d->target[i].kind != TARGET_NONE)
            return true;
    return false;
}

/* A gateway that has said nothing is as good as one that says 503. */
static void silent_trunk(struct pbx *p, struct dial *d)
{
    struct leg *leg = NULL;
    while ((leg = call_next(call_find(p, d->call), leg))) {
        if (leg->dial != d->self || !leg_is_calling(leg))
            continue;
        trunk_failed(p, d->trunk, &leg->flow, 0);
        leg->status = 503;
    }
}

static void out_of_patience(struct pbx *p, struct pbx_timer *t)
{
    struct dial *d = container_of(t, struct dial, timer);
    char mem[96];
    struct buf reason;
    hist_timer(p, call_find(p, d->call), HIST_TIMER_FIRED, !d->ring, 0);
    if (p->now >= d->deadline) {
        fail(p, d, d->expires ? 487 : d->config->sip.no_answer_final);
        return;
    }
    if (d->naming) {
        contact_give_up(p, d);
        dial_run(p, d);
        return;
    }
    bool waits = queue_waits(d) && queue_timeout(p, d);
    if (d->trunk)
        silent_trunk(p, d);
    else
        d->rang_out = true;
    /* A bot that is being opened still may come. */
    if (!waits && !has_more(d) && forward_failed(p, d, 408) && !d->bot) {
        fail(p, d, d->config->sip.no_answer_final);
        return;
    }
    buf_init(&reason, mem, sizeof(mem));
    hangup_reason(&reason, 19);
    dial_drop(p, d, NULL, buf_str(&reason));
    dial_run(p, d);
}

/* ---- refusals -------------------------------------------------------------------------------- */

bool trunk_answers(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    bool challenge = o->msg && (o->status == 401 || o->status == 407);
    return challenge && leg->trunk && !leg->elsewhere &&
           trunk_answer_challenge(p, leg->trunk, o) == 0;
}

/* Other gateways are tried when this one is silent or overloaded, not when it has said what becomes
 * of the call (RFC 3263 section 4.3). */
static void trunk_said(struct pbx *p, struct dial *d, const struct leg *leg,
                       const struct sip_out *o)
{
    unsigned status = o->status;
    if (status == 503 || status == 408 || status == 500 || status == 502 || status == 504) {
        trunk_failed(p, leg->trunk, &leg->flow, pbx_retry_after(o->msg));
        return;
    }
    for (unsigned i = 0; i < DIAL_MAX_TARGETS; i++) {
        if (d->target[i].kind != TARGET_TRUNK && !d->target[i].placed)
            continue;
        free_text(p, &d->target[i].number);
        d->target[i] = (struct target){.kind = TARGET_NONE};
    }
}

/* What a final refusal of one target means for the others. true: the search is over. */
static bool settles(struct pbx *p, struct dial *d, struct leg *leg, const struct sip_out *o)
{
    unsigned status = o->status;
    if (status / 100 == 3 && o->msg) {
        d->verdict = forward_redirected(p, d, leg, o->msg);
        return false;
    }
    if (leg->trunk)
        trunk_said(p, d, leg, o);
    /* A 6xx speaks for the user, not for one phone: RFC 3261 16.7 step 5. */
    return status / 100 == 6 && !d->ignore_6xx;
}

void dial_failed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct dial *d = slot_find(&p->calls->dials, leg->dial);
    if (call->state != CALL_ENDING && trunk_answers(p, leg, o))
        return;
    if (o->status >= 300)
        leg->status = o->status;
    if (o->msg)
        leg->cause = (uint8_t)hangup_cause_in(o->msg);
    if (!d || leg->dropped || call->state == CALL_ENDING) {
        call_leg_ended(p, leg);
        return;
    }
    queue_refused(p, d, leg);
    call_leg_over(p, leg);
    bool heard = call->party[d->side] == slot_handle(&p->calls->legs, leg);
    if (heard)
        call->party[d->side] = 0; /* its early media ends with it */
    early_turn(p, call);
    bool final = settles(p, d, leg, o);
    if (!final && dial_rings(p, d)) {
        if (heard)
            ringback_again(p, d);
        return;
    }
    bool forwarded = !forward_failed(p, d, dial_status_for_caller(leg));
    if (final && !forwarded) {
        fail(p, d, dial_best_status(p, d));
        return;
    }
    dial_drop(p, d, NULL, STR_NONE);
    dial_run(p, d);
}
