/* Transfer: somebody else takes the place of the transferor. A target that is dialled is a search
 * for the party that stays (blind); a target that the transferor already talks with, or calls, is
 * found among our own dialogs and joined (attended, blond). RFC 5589. */
#include "pbx/feature/transfer.h"

#include "pbx/feature/conference.h"
#include "pbx/feature/queue.h"
#include "pbx/feature/refer.h"
#include "pbx/feature/service.h"
#include "pbx/feature/voicebot.h"
#include "pbx/gate.h"
#include "pbx/hangup.h"
#include "pbx/subscription.h"
#include "wire/sip/multipart.h"

#define LEAVES_US (2 * USEC_S) /* a transferor that does not hang up by itself */
#define LIFE_US   (60 * USEC_S)

static struct transfer *of_call(struct pbx *p, const struct call *call)
{
    return slot_find(&p->calls->transfers, call->transfer);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void time_is_up(struct pbx *p, struct pbx_timer *timer);

static struct transfer *transfer_new(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    handle_t h;
    struct transfer *t = slot_take(&p->calls->transfers, &h);
    if (!t)
        return NULL;
    t->self = h;
    t->call = leg->call;
    t->leg = slot_handle(&p->calls->legs, leg);
    t->cseq = o->msg->cseq.number;
    t->timer.fire = time_is_up;
    leg->transfer = h;
    return t;
}

static void transfer_free(struct pbx *p, struct transfer *t)
{
    struct str *texts[] = {&t->target,    &t->call_id, &t->local, &t->remote,
                           &t->local_tag, &t->contact, &t->route};
    struct leg *leg = leg_find(p, t->leg);
    struct call *call = call_find(p, t->call);
    pbx_timer_stop(p, &t->timer);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (pbx_keep(p, texts[i], STR_NONE))
            BUG_ON(true); /* freeing cannot fail */
    if (leg && leg->transfer == t->self)
        leg->transfer = 0;
    if (call && call->transfer == t->self)
        call->transfer = 0;
    slot_put(&p->calls->transfers, t->self);
}

/* One more line for the record of the call that goes on. */
static void note(struct pbx *p, const struct transfer *t, struct call *call, unsigned status)
{
    const struct leg *leg = leg_find(p, t->leg);
    struct buf b;
    size_t cap = t->target.n * 6 + 256;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"transfer\",\"type\":\"");
    buf_z(&b, t->attended ? "attended" : "blind");
    buf_lit(&b, "\",\"transferor\":\"");
    buf_json(&b, leg ? leg->party : STR_NONE);
    buf_lit(&b, "\",\"target\":\"");
    buf_json(&b, t->target);
    buf_lit(&b, "\",\"result\":");
    buf_u64(&b, status);
    buf_ch(&b, '}');
    cdr_note(p, call, buf_str(&b));
}

/* It has failed or succeeded, and the transferor hears of it. */
static void finish(struct pbx *p, struct transfer *t, struct call *call, unsigned status)
{
    t->told = true;
    note(p, t, call, status);
    if (status < 300)
        call->scenario = SCENARIO_TRANSFER;
    transfer_notify(p, t, status, "noresource");
}

/* ---- the transferor leaves ------------------------------------------------------------------- */

static void hang_up_transferor(struct pbx *p, struct transfer *t)
{
    struct leg *leg = leg_find(p, t->leg);
    struct call *call = leg ? call_find(p, leg->call) : NULL;
    transfer_free(p, t);
    if (!leg || leg->state == LEG_ENDED)
        return;
    if (call_is_party(p, call, leg)) { /* alone in the call that it came with */
        struct call_ending e = {.by = CALL_BY_CALLER, .status = 200, .cause = 16};
        call_end(p, call, &e);
    } else {
        call_drop_leg(p, leg, STR("Q.850;cause=16;text=\"Normal call clearing\""));
    }
}

static void time_is_up(struct pbx *p, struct pbx_timer *timer)
{
    struct transfer *t = container_of(timer, struct transfer, timer);
    if (t->told)
        hang_up_transferor(p, t);
    else
        transfer_notify(p, t, t->status, "timeout");
}

/* It has handed its place over: phones hang up by themselves, later or never. */
static void await_leaving(struct pbx *p, struct transfer *t)
{
    const struct leg *leg = leg_find(p, t->leg);
    struct call *call = call_find(p, t->call);
    t->told = true;
    if (call && call->transfer == t->self)
        call->transfer = 0; /* whoever talks now may transfer as well */
    if (leg && leg->state != LEG_ENDED)
        pbx_timer_start(p, &t->timer, LEAVES_US);
    else
        transfer_free(p, t);
}

bool transfer_leaves(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    struct transfer *t = of_call(p, call);
    if (!t || t->told || leg_find(p, t->leg) != leg || !dial_of(p, call))
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (call->party[i] == t->leg)
            call->party[i] = 0;
    return true;
}

void transfer_leg_gone(struct pbx *p, struct leg *leg)
{
    struct transfer *t = slot_find(&p->calls->transfers, leg->transfer);
    if (!t || t->leg != slot_handle(&p->calls->legs, leg))
        return;
    t->left = true;
    t->notifies = t->notifies && t->call_id.n;
    if (t->told)
        transfer_free(p, t);
}

void transfer_call_ended(struct pbx *p, struct call *call)
{
    struct transfer *t = of_call(p, call);
    if (!t)
        return;
    if (!t->told)
        finish(p, t, call, 487);
    transfer_free(p, t);
}

void transfer_call_gone(struct pbx *p, struct call *call)
{
    struct transfer *t = of_call(p, call);
    if (t)
        transfer_free(p, t);
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if ((t = slot_find(&p->calls->transfers, leg->transfer)))
            transfer_free(p, t);
}

/* ---- the search ------------------------------------------------------------------------------ */

void transfer_progress(struct pbx *p, struct dial *d, unsigned status)
{
    struct transfer *t = slot_find(&p->calls->transfers, d->transfer);
    if (t && status == 180)
        transfer_notify(p, t, status, NULL);
}

void transfer_answered(struct pbx *p, handle_t h, struct leg *target)
{
    struct transfer *t = slot_find(&p->calls->transfers, h);
    struct call *call = call_find(p, target->call);
    service_over(p, call); /* a bot has handed its caller over */
    if (!t)
        return; /* so it was, or it is a recall */
    call_trace(p, call, TRACE_CALL_TRANSFER, STR("the target has answered"));
    finish(p, t, call, 200);
    await_leaving(p, t);
}

static struct dial *search(struct pbx *p, struct call *call, const struct leg *transferor)
{
    unsigned side = call->party[1] == slot_handle(&p->calls->legs, transferor);
    struct dial *d = dial_new(p, call, DIAL_TRANSFER, side);
    if (!d)
        return NULL;
    d->from = (struct plan_from){.config = d->config};
    if (transferor->extension)
        d->from.extension = config_find_extension(d->config, transferor->extension->number);
    if (transferor->trunk)
        d->from.trunk = config_find_trunk(d->config, transferor->trunk->name);
    return d;
}

/* Nobody took the call and its owner has hung up: it goes back to the transferor. */
static bool recall(struct pbx *p, struct call *call, unsigned side, const struct leg *transferor)
{
    struct plan plan = {.kind = PLAN_EXTENSION};
    struct dial *d = NULL;
    if (transferor && transferor->extension)
        d = dial_new(p, call, DIAL_TRANSFER, side);
    if (!d)
        return false;
    d->from = (struct plan_from){.config = d->config};
    plan.extension = config_find_extension(d->config, transferor->extension->number);
    if (!plan.extension || dial_add(p, d, &plan)) {
        dial_stop(p, call);
        return false;
    }
    call_trace(p, call, TRACE_CALL_TRANSFER, STR("recalling the transferor"));
    dial_run(p, d);
    return true;
}

void transfer_failed(struct pbx *p, struct dial *d, unsigned status)
{
    struct call *call = call_find(p, d->call);
    struct transfer *t = slot_find(&p->calls->transfers, d->transfer);
    struct leg *transferor = t ? leg_find(p, t->leg) : NULL;
    unsigned side = d->side;
    dial_drop(p, d, NULL, STR_NONE);
    dial_stop(p, call);
    if (voicebot_back(p, call))
        return;
    bool left = !t || t->left;
    if (t) {
        finish(p, t, call, status);
        transfer_free(p, t);
    }
    if (!left || (t && recall(p, call, side, transferor)))
        return;
    struct call_ending e = {.by = CALL_BY_SYSTEM, .status = status, .reason = STR("transfer")};
    call_end(p, call, &e);
}

/* ---- blind ----------------------------------------------------------------------------------- */

static bool is_self(const struct plan *plan, const struct leg *leg)
{
    return plan->kind == PLAN_EXTENSION && leg->extension &&
           str_eq(plan->extension->number, leg->extension->number);
}

static struct str default_referred_by(struct pbx *p, const struct leg *leg)
{
    const struct config_extension *e = leg->extension;
    struct str user = !e ? leg->party : e->username.n ? e->username : e->number;
    size_t cap = 3 * user.n + p->domain.n + 16;
    char *mem = arena_take(&p->turn, cap);
    struct buf b;
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_lit(&b, "<sip:");
    sip_escape_user(&b, user);
    buf_ch(&b, '@');
    buf_str_put(&b, p->domain);
    buf_ch(&b, '>');
    return buf_str(&b);
}

/* The target is a room: the party that stays is its member, and nobody need answer. */
static bool into_room(struct pbx *p, struct transfer *t, struct leg *leg, const struct refer *r)
{
    struct call *call = call_find(p, leg->call);
    struct plan_from from = {.config = p->config};
    if (leg->extension)
        from.extension = config_find_extension(p->config, leg->extension->number);
    if (leg->trunk)
        from.trunk = config_find_trunk(p->config, leg->trunk->name);
    struct plan plan = plan_find(p, &from, &r->target);
    if (plan.kind != PLAN_CONFERENCE)
        return false;
    struct leg *stays = call_other(p, call, leg);
    handle_t self = t->self;
    leg_keep(p, leg, &t->target, plan.number);
    unsigned status = leg_has_agreed(stays) ? conference_take(p, call, stays, &plan) : 491;
    if (!slot_find(&p->calls->transfers, self))
        return true; /* the room has sent it away at once */
    finish(p, t, call, status ? status : 200);
    if (status) {
        transfer_free(p, t);
    } else {
        call->scenario = SCENARIO_CONFERENCE;
        await_leaving(p, t);
    }
    return true;
}

/* Whom the configuration does not know any more has no rights by it, and none of somebody else. */
static bool is_known(const struct pbx *p, const struct leg *leg)
{
    if (leg->extension)
        return config_find_extension(p->config, leg->extension->number);
    return !leg->trunk || config_find_trunk(p->config, leg->trunk->name);
}

static void blind(struct pbx *p, struct transfer *t, struct leg *leg, const struct refer *r)
{
    struct call *call = call_find(p, leg->call);
    if (!is_known(p, leg)) {
        finish(p, t, call, 403);
        transfer_free(p, t);
        return;
    }
    if (!r->replaces.n && into_room(p, t, leg, r))
        return;
    struct dial *d = search(p, call, leg);
    unsigned status = 503;
    if (d) {
        struct plan plan = plan_find(p, &d->from, &r->target);
        struct str by = r->referred_by.n ? r->referred_by : default_referred_by(p, leg);
        d->transfer = t->self;
        status = is_self(&plan, leg)            ? 482
                 : plan.kind == PLAN_FEATURE    ? 403
                 : r->replaces.n && !plan.trunk ? 481 /* no dialog of ours, and nobody else's */
                                                : dial_add(p, d, &plan);
        if (pbx_keep(p, &d->referred_by, by) || pbx_keep(p, &d->replaces, r->replaces))
            status = 503;
        leg_keep(p, leg, &t->target, plan.number);
    }
    if (status) {
        dial_stop(p, call);
        finish(p, t, call, status);
        transfer_free(p, t);
        return;
    }
    call_trace(p, call, TRACE_CALL_TRANSFER, STR("transferred to another number"));
    pbx_timer_start(p, &t->timer, LIFE_US);
    dial_run(p, d);
}

/* ---- attended -------------------------------------------------------------------------------- */

/* The transferor's calls become one: `stays` and `comes` talk, in the earlier of the two calls. */
static unsigned join(struct pbx *p, struct transfer *t, struct leg *leg, struct leg *replaced)
{
    struct call *a = call_find(p, leg->call), *b = call_find(p, replaced->call);
    bool first = a->number < b->number;
    struct call *keep = first ? a : b, *gone = first ? b : a;
    struct leg *out = first ? leg : replaced; /* of the transferor, in the call that is kept */
    struct leg *comes = call_other(p, gone, first ? replaced : leg);
    struct leg *stays = call_other(p, keep, out);
    unsigned side = keep->party[1] == slot_handle(&p->calls->legs, out);
    if (!comes || !stays || comes->state == LEG_ENDED)
        return 480;
    if (call_move_leg(p, comes, keep))
        return 503;
    leg_keep(p, leg, &t->target, comes->party);
    call_set_party(p, keep, side, comes);
    comes->joined = 0; /* its time in this call begins now */
    out->left = p->now;
    memcpy(gone->cdr.parent, keep->cdr.id, sizeof(gone->cdr.parent));
    gone->cdr.has_parent = true;
    gone->scenario = SCENARIO_CONSULT;
    finish(p, t, keep, 200);
    join_legs(p, stays, comes);
    struct call_ending e = {.by = CALL_BY_CALLER, .status = 200, .cause = 16};
    if (replaced == out) { /* the REFER came in the later call */
        call_drop_leg(p, replaced, STR("Q.850;cause=16;text=\"Normal call clearing\""));
        await_leaving(p, t);
    } else {
        await_leaving(p, t);
        call_end(p, gone, &e);
    }
    return 0;
}

/* The target still rings: those who ring are now called for the party that stays. */
static unsigned adopt(struct pbx *p, struct transfer *t, struct leg *leg, struct leg *replaced)
{
    struct call *keep = call_find(p, leg->call), *gone = call_find(p, replaced->call);
    struct dial *old = dial_of(p, gone), *d = NULL;
    if (!old || queue_waits(old) || gone->late_offer ||
        old->owner != slot_handle(&p->calls->legs, replaced) || keep == gone)
        return 480;
    d = search(p, keep, leg);
    if (!d)
        return 491;
    d->transfer = t->self;
    leg_keep(p, leg, &t->target, gone->cdr.dialled);
    dial_take_over(p, d, old);
    memcpy(gone->cdr.parent, keep->cdr.id, sizeof(gone->cdr.parent));
    gone->cdr.has_parent = true;
    gone->scenario = SCENARIO_CONSULT;
    transfer_notify(p, t, 180, NULL);
    pbx_timer_start(p, &t->timer, LIFE_US);
    call_refuse(p, gone, 487, NULL);
    return 0;
}

/* The transferor is in a conference with its other call: the party that stays comes in its place.
 */
static unsigned place_in_room(struct pbx *p, struct transfer *t, struct leg *leg,
                              struct leg *replaced)
{
    struct call *call = call_find(p, leg->call);
    struct leg *stays = call_other(p, call, leg);
    struct str room = pbx_turn_dup(p, call_find(p, replaced->call)->cdr.callee);
    if (!leg_has_agreed(stays))
        return 491;
    handle_t self = t->self;
    unsigned status = conference_take_place(p, leg, stays, replaced);
    if (status || !slot_find(&p->calls->transfers, self))
        return status;
    leg_keep(p, leg, &t->target, room);
    finish(p, t, call, 200);
    call->scenario = SCENARIO_CONFERENCE;
    await_leaving(p, t);
    return 0;
}

/* true: the Replaces names a dialog of ours, and all is done. */
static bool attended(struct pbx *p, struct transfer *t, struct leg *leg, const struct refer *r)
{
    struct replaces rep;
    struct sip_dialog_found found;
    if (replaces_parse(&rep, r->replaces) || !sip_dialog_lookup(p->core, &rep.id, &found))
        return false;
    struct leg *replaced = leg_of_user(p, found.user);
    struct call *call = call_find(p, leg->call);
    unsigned status = 481;
    t->attended = true;
    if (replaced && replaced != leg && !found.ended && replaced->call != leg->call) {
        struct call *other = call_find(p, replaced->call);
        bool up = other->state == CALL_UP || other->state == CALL_ANSWERING;
        status = dial_of(p, call)                 ? 491
                 : other->service != SERVICE_NONE ? place_in_room(p, t, leg, replaced)
                 : up && !dial_of(p, other)       ? join(p, t, leg, replaced)
                 : other->state < CALL_ANSWERING  ? adopt(p, t, leg, replaced)
                                                  : 480;
    }
    if (status) {
        finish(p, t, call, status);
        transfer_free(p, t);
    }
    return true;
}

/* ---- the REFER ------------------------------------------------------------------------------- */

static void accept(struct pbx *p, const struct transfer *t, handle_t txn)
{
    struct sip_field field = {.id = SIP_H_REFER_SUB, .value = STR("false")};
    struct sip_answer a = {.status = 202, .content = {.field = &field}};
    a.content.n_fields = t->notifies ? 0 : 1;
    sip_respond(p->core, p->now, txn, &a);
}

static void carry_out(struct pbx *p, struct transfer *t, struct leg *leg, const struct refer *r)
{
    struct call *call = call_find(p, leg->call);
    call->transfer = t->self;
    transfer_notify(p, t, 100, NULL);
    if (r->replaces.n && attended(p, t, leg, r))
        return;
    blind(p, t, leg, r);
}

/* May this party transfer now? 0 or a status. */
static unsigned refusal(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    if (call->state != CALL_UP && call->state != CALL_ANSWERING)
        return 480;
    if (!call_is_party(p, call, leg) || !call_other(p, call, leg))
        return 480;
    return call->transfer || leg->transfer || call->dial ? 491 : 0;
}

/* RFC 3891 section 3: a dialog may be replaced by who it belongs to. One that is none of ours is
 * not for us to judge. */
static bool is_theirs(struct pbx *p, const struct leg *leg, const struct refer *r)
{
    struct replaces rep;
    struct sip_dialog_found found;
    if (!r->replaces.n || replaces_parse(&rep, r->replaces) ||
        !sip_dialog_lookup(p->core, &rep.id, &found))
        return true;
    const struct leg *replaced = leg_of_user(p, found.user);
    return !replaced || leg_same_user(leg, replaced);
}

static void refuse_strange(struct pbx *p, const struct sip_out *o)
{
    struct sip_field warning = {.id = SIP_H_WARNING};
    struct sip_answer a = {.status = 403, .content = {.field = &warning, .n_fields = 1}};
    struct buf b;
    char mem[320];
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "399 ");
    buf_str_put(&b, p->domain);
    buf_lit(&b, " \"Replaces names a call of somebody else\"");
    warning.value = buf_str(&b);
    sip_respond(p->core, p->now, o->txn, &a);
}

/* The dialog that the REFER makes, for its NOTIFYs. */
static int keep_dialog(struct pbx *p, struct transfer *t, const struct sip_out *o)
{
    const struct sip_msg *m = o->msg;
    struct str route = subscription_route(p, m);
    t->flow = o->flow;
    t->pinned = sip_is_pinned(m, &o->flow);
    int err = sip_msg_has(m, SIP_H_RECORD_ROUTE) && !route.n ? -EMSGSIZE : 0;
    err |= pbx_keep(p, &t->route, route);
    err |= pbx_keep(p, &t->call_id, m->call_id);
    err |= pbx_keep(p, &t->local, sip_msg_get(m, SIP_H_TO));
    err |= pbx_keep(p, &t->remote, sip_msg_get(m, SIP_H_FROM));
    err |= pbx_keep(p, &t->local_tag, sip_txn_local_tag(p->core, o->txn));
    err |= pbx_keep(p, &t->contact, m->contact.uri.whole);
    return err || !t->contact.n || !t->local_tag.n ? -ENOMEM : 0;
}

struct transfer *transfer_begin(struct pbx *p, struct leg *leg, const struct sip_out *o,
                                const struct refer *r, bool outside)
{
    struct transfer *t = transfer_new(p, leg, o);
    if (t && outside && keep_dialog(p, t, o)) {
        transfer_free(p, t);
        t = NULL;
    }
    if (!t) {
        pbx_respond(p, o->txn, outside && !o->msg->contact.uri.whole.n ? 400 : 503);
        return NULL;
    }
    t->with_id = !outside && leg->n_refers++ > 0;
    t->notifies = !r->no_subscription;
    accept(p, t, o->txn);
    return t;
}

void transfer_over(struct pbx *p, struct transfer *t, unsigned status)
{
    transfer_notify(p, t, status, "noresource");
    transfer_free(p, t);
}

/* The REFER is followed or refused. */
static void follow(struct pbx *p, struct leg *leg, const struct sip_out *o, bool outside)
{
    struct refer r;
    unsigned status = refer_parse(p, o->msg, &r);
    status = status ? status : r.bye ? 501 : refusal(p, leg);
    if (!status && !is_theirs(p, leg, &r)) {
        refuse_strange(p, o);
        return;
    }
    struct transfer *t = status ? NULL : transfer_begin(p, leg, o, &r, outside);
    if (status)
        pbx_respond(p, o->txn, status);
    else if (t)
        carry_out(p, t, leg, &r);
}

void transfer_refer(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (call_find(p, leg->call)->service == SERVICE_CONFERENCE)
        conference_refer(p, leg, o);
    else
        follow(p, leg, o, false);
}

/* ---- outside of the dialog (RFC 4538) -------------------------------------------------------- */

/* The leg of the phone that names one of its dialogs; NULL and a status. */
static struct leg *named_leg(struct pbx *p, const struct sip_out *o, unsigned *status)
{
    struct gate_who who = gate_check(p, o);
    struct sip_dialog_id id;
    struct sip_dialog_found found;
    struct str value = sip_msg_get(o->msg, SIP_H_TARGET_DIALOG);
    *status = 0; /* answered by the gate */
    if (!who.extension && !who.trunk)
        return NULL;
    *status = 403;
    if (!value.n)
        return NULL;
    *status = target_dialog_parse(&id, value) ? 400 : 481;
    if (*status == 400 || !sip_dialog_lookup(p->core, &id, &found))
        return NULL;
    struct leg *leg = leg_of_user(p, found.user);
    bool own = leg && leg->extension && who.extension &&
               str_eq(leg->extension->number, who.extension->number);
    *status = own ? 0 : 403;
    return own ? leg : NULL;
}

void transfer_refer_outside(struct pbx *p, const struct sip_out *o)
{
    unsigned status;
    if (conference_refer_outside(p, o))
        return;
    struct leg *leg = named_leg(p, o, &status);
    if (leg)
        follow(p, leg, o, true);
    else if (status)
        pbx_respond(p, o->txn, status);
}
