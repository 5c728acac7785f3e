/* Life and death of calls, and who hears what the engine says about their sessions. */
#include "pbx/call_int.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "pbx/hangup.h"

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
        slot_init(&c->legs, sizeof(struct leg), n * 4))
        return -ENOMEM;
    c->audit.fire = audit_due;
    pbx_timer_start(p, &c->audit, p->config->sip.timers.dialog_cleanup_ms * USEC_MS);
    port_init(p, &c->ports);
    call_reload(p);
    return c->per_extension ? 0 : -ENOMEM;
}

static void uncount_leg(struct pbx *p, struct leg *leg);

static uint64_t past_hash(struct str call_id)
{
    static const struct hash_table unseeded;
    return hash_str(&unseeded, call_id);
}

static void remember(struct pbx *p, const struct call *call)
{
    struct calls *c = p->calls;
    uint32_t at = c->past_at++ % PAST_CALLS;
    c->past[at].number = call->number;
    c->past[at].tag = call->tag;
    for (unsigned i = 0; i < ARRAY_LEN(c->past[at].id); i++) {
        const struct leg *leg = i < call->n_legs ? leg_find(p, call->leg[i]) : NULL;
        c->past[at].id[i] = leg ? past_hash(leg->call_id) : 0;
    }
}

handle_t call_past_find(struct pbx *p, struct str id)
{
    const struct calls *c = p->calls;
    uint64_t number = 0, hash = past_hash(id);
    bool by_number = num_u64(&number, id, UINT64_MAX) == 0;
    for (uint32_t k = 0; k < PAST_CALLS && k < c->past_at; k++) {
        uint32_t i = (c->past_at - 1 - k) % PAST_CALLS;
        if (by_number && c->past[i].number == number)
            return c->past[i].tag;
        for (unsigned j = 0; j < ARRAY_LEN(c->past[i].id); j++)
            if (id.n && c->past[i].id[j] == hash)
                return c->past[i].tag;
    }
    return 0;
}

static void call_free(struct pbx *p, struct call *call)
{
    pbx_timer_stop(p, &call->answer_timer);
    remember(p, call);
    for (unsigned i = 0; i < call->n_legs; i++) {
        struct leg *leg = leg_find(p, call->leg[i]);
        if (!leg)
            continue;
        uncount_leg(p, leg);
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
    uint32_t at = 0;
    handle_t h;
    struct call *call;
    while (c->calls.mem && (call = slot_next(&c->calls, &at, &h)))
        call_free(p, call);
    slot_done(&c->calls);
    slot_done(&c->legs);
    mem_free(c->per_extension);
    mem_unmap(c, sizeof(*c));
    p->calls = NULL;
}

struct call *call_find(struct pbx *p, handle_t h)
{
    return slot_find(&p->calls->calls, h);
}

struct leg *call_caller(struct pbx *p, struct call *call)
{
    return leg_find(p, call->leg[0]);
}

struct leg *call_other(struct pbx *p, struct call *call, const struct leg *leg)
{
    struct leg *caller = call_caller(p, call);
    return leg == caller ? leg_find(p, call->winner) : caller;
}

uint32_t call_count(const struct pbx *p)
{
    return p->calls->calls.used;
}

void call_enter(struct pbx *p, struct call *call, enum call_state state)
{
    call->state = (uint8_t)state;
    hist_put(&p->trace, call->tag, (struct hist_event){.kind = HIST_STATE, .code = state});
}

static void answer_timeout(struct pbx *p, struct pbx_timer *t)
{
    struct call *call = container_of(t, struct call, answer_timer);
    hist_put(&p->trace, call->tag,
             (struct hist_event){.kind = HIST_TIMER_FIRED, .code = HIST_T_INVITE});
    dial_timeout(p, call);
}

void call_stop_answer_timer(struct pbx *p, struct call *call)
{
    if (!timer_armed(&call->answer_timer.timer))
        return;
    pbx_timer_stop(p, &call->answer_timer);
    hist_put(&p->trace, call->tag,
             (struct hist_event){.kind = HIST_TIMER_STOPPED, .code = HIST_T_INVITE});
}

struct call *call_new(struct pbx *p, const struct sip_out *invite)
{
    handle_t h, lh;
    struct call *call = slot_take(&p->calls->calls, &h);
    if (!call)
        return NULL;
    call->self = h;
    call->number = ++p->calls->last_number;
    call->config = config_ref(p->config);
    call->answer_timer.fire = answer_timeout;
    call->tag = hist_open(&p->trace);
    struct leg *leg = leg_new(p, call, &lh);
    if (!leg) {
        call_free(p, call);
        return NULL;
    }
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

static uint32_t *counter(struct pbx *p, const struct config_extension *e)
{
    const struct config_extension *now = config_find_extension(p->config, e->number);
    uint32_t i = now ? (uint32_t)(now - p->config->extensions) : UINT32_MAX;
    return i < p->calls->n_extensions ? &p->calls->per_extension[i] : NULL;
}

void call_count_leg(struct pbx *p, struct leg *leg, const struct config_extension *e)
{
    uint32_t *n = counter(p, e);
    leg->extension = e;
    leg->counted = n != NULL;
    if (n)
        ++*n;
}

static void uncount_leg(struct pbx *p, struct leg *leg)
{
    uint32_t *n = leg->counted ? counter(p, leg->extension) : NULL;
    leg->counted = false;
    if (n && *n)
        --*n;
}

void call_reload(struct pbx *p)
{
    struct calls *c = p->calls;
    uint32_t n = p->config->n_extensions, at = 0;
    uint32_t *counts = mem_zero((n + 1) * sizeof(*counts));
    handle_t h;
    struct leg *leg;
    if (!counts)
        return; /* the old counts go on, for fewer extensions at worst */
    mem_free(c->per_extension);
    c->per_extension = counts;
    c->n_extensions = n;
    while ((leg = slot_next(&c->legs, &at, &h)))
        if (leg->extension && leg->state != LEG_ENDED)
            call_count_leg(p, leg, leg->extension);
}

bool extension_is_busy(struct pbx *p, const struct config_extension *e)
{
    uint32_t max = e->max_calls ? e->max_calls : p->config->limits.calls_per_extension;
    const uint32_t *n = counter(p, e);
    return n && *n >= max;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void hang_up_legs(struct pbx *p, struct call *call, const struct call_ending *e)
{
    char mem[160];
    struct buf reason;
    bool up = call->cdr.answer_ms != 0;
    unsigned cause = e->cause ? e->cause : hangup_cause_of(up ? 200 : e->status);
    buf_init(&reason, mem, sizeof(mem));
    hangup_reason(&reason, cause);
    for (unsigned i = 0; i < call->n_legs; i++) {
        struct leg *leg = leg_find(p, call->leg[i]);
        if (!leg || leg->state == LEG_ENDED)
            continue;
        leg_close_media(p, leg);
        if (leg == e->except)
            continue;
        if (sip_hangup(p->core, p->now, leg->session, buf_str(&reason)) == -ENOENT)
            call_leg_over(p, leg);
    }
}

void call_end(struct pbx *p, struct call *call, const struct call_ending *e)
{
    if (call->state == CALL_ENDING)
        return;
    call_stop_answer_timer(p, call);
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
    struct call_ending e = {.by = CALL_BY_SYSTEM, .status = status, .except = caller};
    sip_reject(p->core, p->now, caller->session, &a);
    call_end(p, call, &e);
    call_leg_ended(p, caller);
}

void call_leg_over(struct pbx *p, struct leg *leg)
{
    leg->state = LEG_ENDED;
    leg->session = 0;
    leg_close_media(p, leg);
    uncount_leg(p, leg);
}

void call_leg_ended(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    call_leg_over(p, leg);
    if (call->state != CALL_ENDING)
        return;
    for (unsigned i = 0; i < call->n_legs; i++) {
        struct leg *other = leg_find(p, call->leg[i]);
        if (other && other->state != LEG_ENDED)
            return;
    }
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
    call_end(p, call, &e);
    call_leg_ended(p, leg);
}

static void rx_bye(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct call_ending e = {.by = leg->outgoing ? CALL_BY_CALLEE : CALL_BY_CALLER,
                            .status = call->cdr.answer_ms ? 200 : 487,
                            .cause = o->msg ? hangup_cause_in(o->msg) : 0,
                            .except = leg};
    call_end(p, call, &e);
    call_leg_ended(p, leg);
}

static void rx_ended(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct call_ending e = {.by = CALL_BY_SYSTEM, .status = o->status, .except = leg};
    if (call->state != CALL_ENDING) {
        e.reason = o->status == 408 ? STR("no ACK") : STR("session lost");
        e.cause = 102;
        call_end(p, call, &e);
    }
    if (o->ended)
        call_leg_ended(p, leg);
}

static void rx_failed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (o->ended && leg->state != LEG_ANSWERED && leg->outgoing)
        dial_failed(p, leg, o);
    else
        bridge_failed(p, leg, o);
}

static void rx_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (leg->state == LEG_ANSWERED || !leg->outgoing)
        bridge_answered(p, leg, o);
    else
        dial_answered(p, leg, o);
}

static void rx_acked(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    if (call->state == CALL_ANSWERING)
        dial_acked(p, leg, o);
    else
        bridge_acked(p, leg, o);
}

void call_rx(struct pbx *p, const struct sip_out *o)
{
    if (o->kind == SIP_OUT_INVITE) {
        dial_invite(p, o);
        return;
    }
    if (o->kind == SIP_OUT_RESPONSE && pbx_user_kind(o->user) == PBX_USER_RELAYED) {
        bridge_response(p, o);
        return;
    }
    struct leg *leg = leg_of_user(p, o->user);
    if (!leg)
        return;
    switch (o->kind) {
    case SIP_OUT_REINVITE:
        bridge_reinvite(p, leg, o);
        break;
    case SIP_OUT_CANCELLED:
        rx_cancelled(p, leg, o);
        break;
    case SIP_OUT_ACKED:
        rx_acked(p, leg, o);
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
    case SIP_OUT_RESPONSE: /* our BYE was challenged; unanswered, the session ends by itself */
        (void)trunk_answers(p, leg, o);
        break;
    default:
        break;
    }
}

/* ---- media ----------------------------------------------------------------------------------- */

static void rtp_timeout(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    if (call->state != CALL_UP && call->state != CALL_ANSWERING)
        return;
    char mem[24];
    struct buf id;
    buf_init(&id, mem, sizeof(mem));
    buf_u64(&id, call->number);
    p->calls->rtp_timeouts++;
    trace_emit(&p->trace, TRACE_MEDIA_TIMEOUT, call->tag, TS(buf_str(&id)),
               TU(call->config->media.rtp_timeout_ms / 1000));
    hist_put(&p->trace, call->tag,
             (struct hist_event){.kind = HIST_TIMER_FIRED, .leg = leg->number, .code = HIST_T_RTP});
    struct call_ending e = {
        .by = CALL_BY_SYSTEM, .status = 200, .cause = 41, .reason = STR("rtp_timeout")};
    call_end(p, call, &e);
}

void call_rx_media(struct pbx *p, const struct media_ev *ev)
{
    port_rx(p, &p->calls->ports, ev);
    if (ev->kind != MEDIA_EV_TIMEOUT && ev->kind != MEDIA_EV_STRANGER)
        return;
    struct leg *leg = leg_of_stream(p, ev->id);
    if (!leg)
        return;
    if (ev->kind == MEDIA_EV_TIMEOUT) {
        rtp_timeout(p, leg);
        return;
    }
    char mem[80];
    struct buf from;
    buf_init(&from, mem, sizeof(mem));
    addr_put(&from, &ev->from);
    trace_emit(&p->trace, TRACE_MEDIA_STRANGER, call_find(p, leg->call)->tag, TS(buf_str(&from)),
               TU(leg->stream[0].port));
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
        call_end(p, call, &e);
        call_leg_ended(p, leg);
        reaped++;
    }
    p->calls->reaped += reaped;
    return reaped;
}
