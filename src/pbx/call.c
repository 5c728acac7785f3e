/* Life and death of calls, and who hears what the engine says about their sessions. */
#include "pbx/call_int.h"

#include "base/mem.h"
#include "base/num.h"
#include "pbx/feature/early_session.h"
#include "pbx/feature/queue.h"
#include "pbx/feature/service.h"
#include "pbx/feature/transfer.h"
#include "pbx/hangup.h"
#include "pbx/kin.h"
#include "pbx/record.h"
#include "pbx/subscription.h"
#include "pbx/trunk.h"

struct str call_state_name(enum call_state s)
{
    static const struct str names[CALL_STATES] = {
        [CALL_ROUTING] = STR_INIT("routing"), [CALL_TRYING] = STR_INIT("trying"),
        [CALL_RINGING] = STR_INIT("ringing"), [CALL_ANSWERING] = STR_INIT("answering"),
        [CALL_UP] = STR_INIT("up"),           [CALL_ENDING] = STR_INIT("ending")};
    return names[s];
}

static void audit_due(struct pbx *p, struct pbx_timer *t)
{
    call_audit(p);
    pbx_timer_start(p, t, p->config->sip.timers.dialog_cleanup_ms * USEC_MS);
}

int call_init(struct pbx *p)
{
    struct calls *c = mem_map(sizeof(*c));
    if (!c)
        return -ENOMEM;
    p->calls = c;
    uint32_t n = p->config->limits.calls;
    if (slot_init(&c->calls, sizeof(struct call), n) ||
        slot_init(&c->legs, sizeof(struct leg), n * 4) ||
        slot_init(&c->dials, sizeof(struct dial), n) ||
        slot_init(&c->transfers, sizeof(struct transfer), n) ||
        slot_init(&c->recordings, sizeof(struct recording), n))
        return -ENOMEM;
    list_init(&c->waiting);
    c->wake.fire = queue_woken;
    c->audit.fire = audit_due;
    pbx_timer_start(p, &c->audit, p->config->sip.timers.dialog_cleanup_ms * USEC_MS);
    port_init(p, &c->ports);
    call_reload(p, p->config);
    return c->per_extension ? 0 : -ENOMEM;
}

static void uncount_leg(struct pbx *p, struct leg *leg);

static void remember(struct pbx *p, const struct call *call)
{
    struct calls *c = p->calls;
    uint32_t at = c->past_at++ % PAST_CALLS;
    c->past[at].number = call->number;
    c->past[at].tag = call->tag;
    memcpy(c->past[at].record, call->cdr.id, sizeof(c->past[at].record));
}

/* The latest that has ended under this number: where it is remembered, or PAST_CALLS. */
static uint32_t past_at(const struct calls *c, uint64_t number)
{
    for (uint32_t k = 0; k < PAST_CALLS && k < c->past_at; k++) {
        uint32_t i = (c->past_at - 1 - k) % PAST_CALLS;
        if (c->past[i].number == number)
            return i;
    }
    return PAST_CALLS;
}

handle_t call_past_find(struct pbx *p, struct str id)
{
    uint64_t number = kin_number(p, id);
    if (!number && num_u64(&number, id, UINT64_MAX))
        return 0;
    uint32_t at = past_at(p->calls, number);
    return at < PAST_CALLS ? p->calls->past[at].tag : 0;
}

const uint8_t *call_record_of(struct pbx *p, uint64_t number, bool *live)
{
    uint32_t at = 0;
    handle_t h;
    const struct call *call;
    while ((call = slot_next(&p->calls->calls, &at, &h)))
        if (call->number == number)
            break;
    *live = call && call->state != CALL_ENDING;
    if (call)
        return call->cdr.id;
    at = past_at(p->calls, number);
    return at < PAST_CALLS ? p->calls->past[at].record : NULL;
}

static void call_free(struct pbx *p, struct call *call)
{
    dial_stop(p, call);
    pbx_timer_stop(p, &call->announcing);
    transfer_call_gone(p, call);
    remember(p, call);
    list_each(node, &call->legs)
    {
        struct leg *leg = container_of(node, struct leg, in_call);
        uncount_leg(p, leg);
        early_leg_over(p, leg);
        leg_free(p, leg);
    }
    cdr_free(p, call);
    hist_close(&p->trace, call->tag);
    config_unref(call->config);
    slot_put(&p->calls->calls, call->self);
}

void call_done(struct pbx *p)
{
    struct calls *c = p->calls;
    if (!c)
        return;
    pbx_timer_stop(p, &c->audit);
    pbx_timer_stop(p, &c->wake);
    uint32_t at = 0;
    handle_t h;
    struct call *call;
    while (c->calls.mem && (call = slot_next(&c->calls, &at, &h)))
        call_free(p, call);
    pbx_timer_stop(p, &c->wake); /* the last legs have woken it */
    slot_done(&c->calls);
    slot_done(&c->legs);
    slot_done(&c->dials);
    recording_free_all(p);
    slot_done(&c->recordings);
    slot_done(&c->transfers);
    mem_free(c->per_extension);
    mem_unmap(c, sizeof(*c));
    p->calls = NULL;
}

struct call *call_find(struct pbx *p, handle_t h)
{
    return slot_find(&p->calls->calls, h);
}

struct leg *call_next(const struct call *call, const struct leg *after)
{
    struct list *node = after ? after->in_call.next : call->legs.next;
    return node == &call->legs ? NULL : container_of(node, struct leg, in_call);
}

struct leg *call_caller(struct pbx *p, struct call *call)
{
    struct leg *leg = leg_find(p, call->caller);
    return leg && leg->call == call->self ? leg : NULL;
}

struct leg *call_other(struct pbx *p, struct call *call, const struct leg *leg)
{
    handle_t h = slot_handle(&p->calls->legs, leg);
    for (unsigned i = 0; i < 2; i++)
        if (call->party[i] == h)
            return leg_find(p, call->party[1 - i]);
    return NULL;
}

bool call_is_party(struct pbx *p, const struct call *call, const struct leg *leg)
{
    handle_t h = slot_handle(&p->calls->legs, leg);
    return call->party[0] == h || call->party[1] == h;
}

void call_set_party(struct pbx *p, struct call *call, unsigned side, const struct leg *leg)
{
    call->party[side] = leg ? slot_handle(&p->calls->legs, leg) : 0;
}

int call_move_leg(struct pbx *p, struct leg *leg, struct call *to)
{
    struct call *from = call_find(p, leg->call);
    if (to->n_legs >= CALL_MAX_LEGS)
        return -EAGAIN;
    early_end(p, from);
    for (unsigned i = 0; i < 2; i++)
        if (from->party[i] == slot_handle(&p->calls->legs, leg))
            from->party[i] = 0;
    list_remove(&leg->in_call);
    list_append(&to->legs, &leg->in_call);
    leg->call = to->self;
    recording_remove(p, leg); /* of the call that it leaves */
    from->n_legs--;
    to->n_legs++;
    leg->number = (uint8_t)++to->last_leg;
    leg->dial = 0;
    kin_move(p, leg, to);
    if (leg->session)
        sip_session_set_user(p->core, leg->session, leg_user(p, leg), to->tag, leg->number);
    return 0;
}

static bool has_live_leg(const struct call *call)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (leg->state != LEG_ENDED)
            return true;
    return false;
}

void call_dissolve(struct pbx *p, struct call *call)
{
    call->unrecorded = true;
    p->calls->dissolved++;
    service_over(p, call);
    call_enter(p, call, CALL_ENDING);
    if (!has_live_leg(call))
        call_free(p, call);
}

uint32_t call_count(const struct pbx *p)
{
    return p->calls->calls.used;
}

void call_enter(struct pbx *p, struct call *call, enum call_state state)
{
    if (call->state == CALL_ENDING)
        return; /* its record is written: there is no way back */
    call->state = (uint8_t)state;
    if (state >= CALL_ANSWERING)
        early_end(p, call);
    hist_put(&p->trace, call->tag, (struct hist_event){.kind = HIST_STATE, .code = state});
}

void call_trace(struct pbx *p, const struct call *call, enum trace_id id, struct str text)
{
    char mem[24];
    struct buf number;
    if (!call) /* it is over: its history is closed */
        return;
    buf_init(&number, mem, sizeof(mem));
    buf_u64(&number, call->number);
    trace_emit(&p->trace, id, call->tag, TS(buf_str(&number)), TS(text));
}

static struct call *make(struct pbx *p)
{
    handle_t h;
    struct call *call = slot_take(&p->calls->calls, &h);
    if (!call)
        return NULL;
    call->self = h;
    call->number = ++p->calls->last_number;
    call->config = config_ref(p->config);
    list_init(&call->legs);
    list_init(&call->early);
    call->tag = hist_open(&p->trace);
    return call;
}

struct call *call_new_empty(struct pbx *p)
{
    struct call *call = make(p);
    if (!call)
        return NULL;
    p->calls->total++;
    cdr_start(p, call);
    return call;
}

void call_free_empty(struct pbx *p, struct call *call)
{
    if (!call->unrecorded && call->state != CALL_ENDING)
        p->calls->dissolved++; /* it goes without a record */
    if (!has_live_leg(call))
        call_free(p, call);
}

struct call *call_new(struct pbx *p, const struct sip_out *invite)
{
    handle_t lh;
    struct call *call = make(p);
    struct leg *leg = call ? leg_new(p, call, &lh) : NULL;
    if (!leg) {
        if (call)
            call_free(p, call);
        return NULL;
    }
    call->caller = call->party[0] = lh;
    p->calls->total++;
    leg->session = invite->session;
    leg->flow = invite->flow;
    sip_session_set_user(p->core, invite->session, leg_user(p, leg), call->tag, leg->number);
    hist_put(&p->trace, call->tag,
             (struct hist_event){.kind = HIST_RX_REQUEST,
                                 .leg = leg->number,
                                 .code = SIP_INVITE,
                                 .a = invite->msg->cseq.number});
    return call;
}

/* ---- calls of one extension ------------------------------------------------------------------ */

struct extension_use *extension_use(struct pbx *p, const struct config_extension *e)
{
    const struct config_extension *now = config_find_extension(p->config, e->number);
    uint32_t i = now ? (uint32_t)(now - p->config->extensions) : UINT32_MAX;
    return i < p->calls->n_extensions ? &p->calls->per_extension[i] : NULL;
}

void call_count_leg(struct pbx *p, struct leg *leg, const struct config_extension *e)
{
    struct extension_use *use = extension_use(p, e);
    leg->extension = e;
    leg->counted = use != NULL;
    if (use)
        use->legs++;
}

bool call_count_trunk_leg(struct pbx *p, struct leg *leg, const struct config_trunk *t)
{
    leg->trunk = t;
    leg->counted = trunk_calls_take(p, t);
    return leg->counted;
}

static void uncount_leg(struct pbx *p, struct leg *leg)
{
    if (leg->trunk && leg->counted)
        trunk_calls_put(p, leg->trunk);
    if (leg->trunk) {
        leg->counted = false;
        return;
    }
    struct extension_use *use = leg->counted ? extension_use(p, leg->extension) : NULL;
    leg->counted = false;
    if (!use || !use->legs)
        return;
    use->legs--;
    use->idle_since = p->now;
    queue_wake(p);
}

/* How long each has been idle is not forgotten, nor what it has guessed at. */
static void keep_idle(struct pbx *p, struct extension_use *use, const struct config *before)
{
    const struct calls *c = p->calls;
    for (uint32_t i = 0; i < p->config->n_extensions; i++) {
        const struct config_extension *e =
            config_find_extension(before, p->config->extensions[i].number);
        uint32_t old = e ? (uint32_t)(e - before->extensions) : UINT32_MAX;
        if (old >= c->n_extensions)
            continue;
        use[i].idle_since = c->per_extension[old].idle_since;
        use[i].rests_until = c->per_extension[old].rests_until;
        use[i].pins = c->per_extension[old].pins;
    }
}

/* A trunk may have been gone for a while, and the calls that it had before go on. */
static void recount_trunks(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct leg *leg;
    trunk_calls_clear(p);
    while ((leg = slot_next(&p->calls->legs, &at, &h)))
        if (leg->trunk && leg->state != LEG_ENDED)
            leg->counted = trunk_calls_keep(p, leg->trunk);
}

void call_reload(struct pbx *p, const struct config *before)
{
    recount_trunks(p);
    struct calls *c = p->calls;
    uint32_t n = p->config->n_extensions, at = 0;
    struct extension_use *use = mem_zero((n + 1) * sizeof(*use));
    handle_t h;
    struct leg *leg;
    if (!use)
        return; /* the old counts go on, for fewer extensions at worst */
    keep_idle(p, use, before);
    mem_free(c->per_extension);
    c->per_extension = use;
    c->n_extensions = n;
    while ((leg = slot_next(&c->legs, &at, &h)))
        if (leg->extension && leg->state != LEG_ENDED)
            call_count_leg(p, leg, leg->extension);
    queue_wake(p);
}

bool extension_is_busy(struct pbx *p, const struct config_extension *e)
{
    uint32_t max = e->max_calls ? e->max_calls : p->config->limits.calls_per_extension;
    const struct extension_use *use = extension_use(p, e);
    return use && use->legs >= max;
}

/* ---- the end --------------------------------------------------------------------------------- */

void call_drop_leg(struct pbx *p, struct leg *leg, struct str reason)
{
    leg_close_media(p, leg);
    early_leg_over(p, leg);
    if (leg->state == LEG_ENDED)
        return;
    if (sip_hangup(p->core, p->now, leg->session, reason) == -ENOENT)
        call_leg_over(p, leg);
}

static void hang_up_legs(struct pbx *p, struct call *call, const struct call_ending *e)
{
    char mem[160];
    struct buf reason;
    bool up = call->cdr.answer_ms != 0;
    unsigned cause = e->cause ? e->cause : hangup_cause_of(up ? 200 : e->status);
    buf_init(&reason, mem, sizeof(mem));
    hangup_reason(&reason, cause);
    for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
        if (leg->state == LEG_ENDED)
            continue;
        if (leg == e->except)
            leg_close_media(p, leg);
        else
            call_drop_leg(p, leg, e->carried.n ? e->carried : buf_str(&reason));
    }
}

void call_end(struct pbx *p, struct call *call, const struct call_ending *e)
{
    if (call->state == CALL_ENDING)
        return;
    dial_stop(p, call);
    transfer_call_ended(p, call);
    service_over(p, call);
    recording_call_over(p, call);
    if (!call->unrecorded)
        cdr_write(p, call, e);
    call_enter(p, call, CALL_ENDING);
    hang_up_legs(p, call, e);
}

void call_refuse(struct pbx *p, struct call *call, unsigned status,
                 const struct sip_content *content)
{
    struct leg *caller = call_caller(p, call);
    struct sip_answer a = {.status = (uint16_t)status};
    if (content)
        a.content = *content;
    struct str from = call->cdr.caller, to = call->cdr.dialled;
    p->calls->refused++;
    trace_emit(&p->trace, TRACE_CALL_REFUSED, call->tag, TS(from), TS(to), TU(status),
               TS(sip_status_reason(status)));
    struct call_ending e = {
        .by = CALL_BY_SYSTEM, .status = status, .cause = call->cause, .except = caller};
    sip_reject(p->core, p->now, caller->session, &a);
    call_end(p, call, &e);
    call_leg_ended(p, caller);
}

void call_leg_over(struct pbx *p, struct leg *leg)
{
    if (leg->reinvite && leg->by_update) /* an INVITE is answered by the engine */
        pbx_respond(p, leg->reinvite, 487);
    leg->reinvite = 0;
    leg->state = LEG_ENDED;
    leg->session = 0;
    leg->left = leg->left ? leg->left : p->now; /* it may have handed its place over before */
    pbx_timer_stop(p, &leg->retry);
    recording_remove(p, leg);
    leg_close_media(p, leg);
    early_leg_over(p, leg);
    uncount_leg(p, leg);
    transfer_leg_gone(p, leg);
    subscription_leg_over(p, leg);
}

void call_leg_ended(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    call_leg_over(p, leg);
    if (call->state == CALL_ENDING && !has_live_leg(call))
        call_free(p, call);
}

/* ---- what the engine says -------------------------------------------------------------------- */

static void rx_cancelled(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    if (!o->ended) { /* of a re-INVITE */
        struct leg *other = call_other(p, call, leg);
        if (other && leg->reinvite)
            (void)sip_cancel_reinvite(p->core, p->now, other->session);
        bridge_reinvite_done(p, leg);
        return;
    }
    struct call_ending e = {.by = CALL_BY_CALLER, .status = 487, .except = leg};
    if (call->announced) /* it has heard why, and does not wait for the end */
        e.status = call->announced;
    if (o->msg && sip_msg_has(o->msg, SIP_H_REASON)) { /* answered elsewhere, or why else */
        e.cause = hangup_cause_in(o->msg);
        e.carried = pbx_turn_dup(p, sip_msg_get(o->msg, SIP_H_REASON));
    }
    call_end(p, call, &e);
    call_leg_ended(p, leg);
}

static enum call_end side_of(struct pbx *p, const struct call *call, const struct leg *leg)
{
    return call->party[0] == slot_handle(&p->calls->legs, leg) ? CALL_BY_CALLER : CALL_BY_CALLEE;
}

void call_leg_lost(struct pbx *p, struct leg *leg, const struct call_ending *e)
{
    struct call *call = call_find(p, leg->call);
    if (call->state != CALL_ENDING && call_is_party(p, call, leg) && !transfer_leaves(p, leg))
        call_end(p, call, e);
    call_leg_ended(p, leg);
}

static void rx_bye(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct call_ending e = {.by = side_of(p, call, leg),
                            .status = call->cdr.answer_ms ? 200 : 487,
                            .cause = o->msg ? hangup_cause_in(o->msg) : 0,
                            .except = leg};
    call_leg_lost(p, leg, &e);
}

static void rx_ended(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call_ending e = {.by = CALL_BY_SYSTEM,
                            .status = o->status,
                            .cause = 102,
                            .reason = o->expired         ? STR("session_timer")
                                      : o->status == 408 ? STR("no ACK")
                                                         : STR("session lost"),
                            .except = leg};
    struct call *call = call_find(p, leg->call);
    if (o->ended)
        call_leg_lost(p, leg, &e);
    else if (call->state != CALL_ENDING && call_is_party(p, call, leg))
        call_end(p, call, &e);
}

static void rx_failed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (leg->state == LEG_ANSWERED || !leg->outgoing)
        bridge_failed(p, leg, o);
    else if (o->ended)
        dial_failed(p, leg, o);
}

static void rx_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (leg->state == LEG_ANSWERED || !leg->outgoing)
        bridge_answered(p, leg, o);
    else
        dial_answered(p, leg, o);
}

static void rx_leg(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    switch (o->kind) {
    case SIP_OUT_REINVITE:
        bridge_reinvite(p, leg, o);
        break;
    case SIP_OUT_CANCELLED:
        rx_cancelled(p, leg, o);
        break;
    case SIP_OUT_ACKED:
        bridge_acked(p, leg, o);
        break;
    case SIP_OUT_PROGRESS:
        dial_progress(p, leg, o);
        break;
    case SIP_OUT_ANSWERED:
        rx_answered(p, leg, o);
        break;
    case SIP_OUT_FAILED:
        rx_failed(p, leg, o);
        break;
    case SIP_OUT_IN_DIALOG:
        bridge_request(p, leg, o);
        break;
    case SIP_OUT_BYE:
        rx_bye(p, leg, o);
        break;
    case SIP_OUT_ENDED:
        rx_ended(p, leg, o);
        break;
    case SIP_OUT_PRACKED:
        dial_pracked(p, leg, o);
        break;
    case SIP_OUT_REFRESH:
        join_refresh(p, leg);
        break;
    case SIP_OUT_RESPONSE: /* a challenge to our BYE or UPDATE; or the answer to an UPDATE */
        if (!trunk_answers(p, leg, o))
            bridge_update_answered(p, leg, o);
        break;
    default:
        break;
    }
}

void call_rx(struct pbx *p, const struct sip_out *o)
{
    if (o->kind == SIP_OUT_INVITE) {
        dial_invite(p, o);
        return;
    }
    enum pbx_user_kind kind = pbx_user_kind(o->user);
    if (o->kind == SIP_OUT_RESPONSE && kind == PBX_USER_RELAYED) {
        bridge_response(p, o);
    } else if (o->kind == SIP_OUT_RESPONSE && kind == PBX_USER_TRANSFER) {
        transfer_response(p, o);
    } else {
        struct leg *leg = leg_of_user(p, o->user);
        if (leg)
            rx_leg(p, leg, o);
    }
}

/* ---- shutdown and audit ---------------------------------------------------------------------- */

void call_shutdown(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct call *call;
    while ((call = slot_next(&p->calls->calls, &at, &h))) {
        struct call_ending e = {
            .by = CALL_BY_SYSTEM, .status = 503, .cause = 41, .reason = STR("shutdown")};
        if (call->state < CALL_ANSWERING) /* 503 lets a trunk try elsewhere */
            call_refuse(p, call, 503, NULL);
        else
            call_end(p, call, &e);
    }
}

unsigned call_audit(struct pbx *p)
{
    unsigned reaped = sip_core_audit(p->core, p->now);
    uint32_t at = 0;
    handle_t h;
    struct leg *leg;
    struct sip_dialog_view view;
    while ((leg = slot_next(&p->calls->legs, &at, &h))) {
        if (leg->state == LEG_ENDED || sip_session_view(p->core, leg->session, &view))
            continue;
        struct call *call = call_find(p, leg->call);
        struct call_ending e = {
            .by = CALL_BY_SYSTEM, .status = 500, .reason = STR("audit"), .except = leg};
        trace_emit(&p->trace, TRACE_AUDIT_REAPED, call->tag, TS(STR("leg")), TU(leg->number));
        if (call_is_party(p, call, leg))
            call_end(p, call, &e);
        call_leg_ended(p, leg);
        reaped++;
    }
    p->calls->reaped += reaped;
    return reaped;
}
