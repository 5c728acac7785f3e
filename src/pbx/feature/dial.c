/* Dialling: a caller's INVITE is looked at, accounted for, and becomes a search. S1; RFC 3261
 * section 13, RFC 7092 (B2BUA). */
#include "pbx/feature/dial.h"

#include "pbx/feature/announce.h"
#include "pbx/feature/code.h"
#include "pbx/feature/conference.h"
#include "pbx/feature/early_session.h"
#include "pbx/feature/pickup.h"
#include "pbx/gate.h"
#include "pbx/hangup.h"
#include "pbx/trunk.h"
#include "wire/sip/multipart.h"

/* ---- refusing -------------------------------------------------------------------------------- */

static void refuse_session(struct pbx *p, handle_t session, unsigned status, enum sip_hdr_id id,
                           struct str value)
{
    struct sip_field field = {.id = id, .value = value};
    struct sip_answer a = {.status = (uint16_t)status,
                           .content = {.field = &field, .n_fields = value.p ? 1 : 0}};
    sip_reject(p->core, p->now, session, &a);
}

/* 488 says what would work (RFC 3261 21.4.26). */
static void refuse_media(struct pbx *p, struct call *call)
{
    struct sip_field warning = {.id = SIP_H_WARNING};
    char mem[400];
    struct buf b;
    struct sip_content content = {.field = &warning, .n_fields = 1, .type = STR("application/sdp")};
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "305 ");
    buf_str_put(&b, p->domain);
    buf_lit(&b, " \"Incompatible media format\"");
    warning.value = buf_str(&b);
    if (leg_caps(p, call_caller(p, call), &content.body))
        content.type = STR_NONE;
    call_refuse(p, call, 488, &content);
}

/* The cause that the callee's side has given with this status, else what the table says. */
static unsigned refused_cause(struct pbx *p, struct call *call, unsigned status)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (leg->cause && leg->status == status)
            return leg->cause;
    return hangup_cause_of(status);
}

/* RFC 5630 5.3: those whom the caller wanted can be reached, but not as securely as a sips URI
 * says. Whether to call them otherwise is for the caller to say. */
static void refuse_sips(struct pbx *p, struct call *call)
{
    struct sip_field warning = {.id = SIP_H_WARNING};
    struct sip_content content = {.field = &warning, .n_fields = 1};
    char mem[320];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "380 ");
    buf_str_put(&b, p->domain);
    buf_lit(&b, " \"SIPS Not Allowed\"");
    warning.value = buf_str(&b);
    call_refuse(p, call, 480, &content);
}

void dial_refuse(struct pbx *p, struct call *call, unsigned status)
{
    struct leg *caller = call_caller(p, call);
    char mem[160];
    struct buf b;
    struct sip_field reason = {.id = SIP_H_REASON};
    struct sip_content content = {.field = &reason, .n_fields = 1};
    if (announce_begin(p, call, status))
        return; /* and comes back when the caller has heard it */
    if (status == 488) {
        refuse_media(p, call);
        return;
    }
    if (status == 480 && caller && caller->sips_missed) {
        refuse_sips(p, call);
        return;
    }
    unsigned cause = refused_cause(p, call, status);
    buf_init(&b, mem, sizeof(mem));
    hangup_reason(&b, cause); /* RFC 6432: gateways read it */
    reason.value = buf_str(&b);
    call->cause = (uint8_t)cause;
    call_refuse(p, call, status, caller && caller->trunk ? &content : NULL);
}

/* ---- who calls ------------------------------------------------------------------------------- */

/* What a trusted trunk asserts goes before From: P-Asserted-Identity (RFC 3325 section 5), or the
 * older Remote-Party-ID. */
static void caller_identity(const struct leg *leg, const struct sip_msg *m,
                            struct sip_nameaddr *ret)
{
    static const enum sip_hdr_id headers[] = {SIP_H_P_ASSERTED_IDENTITY, SIP_H_REMOTE_PARTY_ID};
    struct str value;
    *ret = m->from;
    if (!leg->trunk || !leg->trunk->trust_identity)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(headers); i++) {
        struct sip_values it = sip_values(m, headers[i]);
        while (sip_values_next(&it, &value))
            if (sip_nameaddr_parse(ret, value) == 0 && ret->uri.user.n)
                return;
    }
    *ret = m->from;
}

static struct str caller_number(struct pbx *p, const struct leg *leg, const struct sip_msg *m)
{
    if (leg->extension)
        return leg->extension->number;
    struct sip_nameaddr id;
    caller_identity(leg, m, &id);
    struct str user = sip_unescape(&p->turn, id.uri.user);
    if (leg->trunk && user.n && !str_ieq(user, STR("anonymous")))
        user = trunk_number(p, user, leg->trunk->in_caller_strip, leg->trunk->in_caller_prepend);
    return user.n ? user : STR("anonymous");
}

static struct str caller_name(struct pbx *p, const struct leg *leg, const struct sip_msg *m,
                              struct str number)
{
    if (leg->extension && leg->extension->name.n)
        return leg->extension->name;
    if (leg->extension)
        return number;
    struct sip_nameaddr id;
    caller_identity(leg, m, &id);
    struct str display = id.display.n ? id.display : m->from.display;
    struct str shown = display.p ? sip_unquote(&p->turn, display) : STR_NONE;
    return shown.n ? shown : number;
}

static void note_caller(struct pbx *p, struct call *call, const struct sip_msg *m)
{
    struct leg *leg = call_caller(p, call);
    struct cdr *r = &call->cdr;
    struct str number = caller_number(p, leg, m);
    struct str name = caller_name(p, leg, m, number);
    struct str dialled = sip_unescape(&p->turn, m->ruri.user);
    cdr_keep(p, call, &r->caller, number);
    cdr_keep(p, call, &r->caller_name, name);
    cdr_keep(p, call, &r->dialled, dialled.p ? dialled : m->ruri_text);
    leg_set_call_id(p, leg, m->call_id);
    leg_keep(p, leg, &leg->party, number);
    leg_keep(p, leg, &leg->name, name);
}

static void note_callee(struct pbx *p, struct call *call, const struct plan *plan)
{
    struct cdr *r = &call->cdr;
    struct str number = plan->extension    ? plan->extension->number
                        : plan->group      ? plan->group->number
                        : plan->conference ? plan->conference->number
                                           : plan->number;
    cdr_keep(p, call, &r->callee, number);
    if (plan->by_did)
        cdr_keep(p, call, &r->did, plan->number);
    static const uint8_t scenario[] = {[CONF_STRATEGY_SEQUENTIAL] = SCENARIO_SEQUENTIAL,
                                       [CONF_STRATEGY_PARALLEL] = SCENARIO_PARALLEL,
                                       [CONF_STRATEGY_QUEUE] = SCENARIO_QUEUE};
    if (plan->group)
        call->scenario = scenario[plan->group->strategy];
}

/* How long all of it may last: not longer than the caller wants (RFC 3261 13.3.1.1). */
static void note_deadline(struct pbx *p, struct dial *d, const struct sip_msg *m)
{
    struct str value = sip_msg_get(m, SIP_H_EXPIRES);
    uint32_t expires_s;
    d->deadline = USEC_NEVER;
    if (!value.p || sip_delta_parse(&expires_s, value) || !expires_s || expires_s > UINT32_MAX / 4)
        return;
    d->deadline = p->now + expires_s * USEC_S;
    d->expires = true;
}

/* What was dialled decides what becomes of the call. */
static void route(struct pbx *p, struct call *call, const struct sip_msg *m,
                  const struct sdp *offer)
{
    struct leg *caller = call_caller(p, call);
    struct plan_from from = {p->config, caller->extension, caller->trunk};
    struct plan plan = plan_find(p, &from, &m->ruri);
    if (plan.kind == PLAN_NONE || plan.kind == PLAN_REJECT) {
        dial_refuse(p, call, plan.status);
        return;
    }
    if (plan.kind == PLAN_FEATURE) {
        code_dialled(p, call, &plan);
        return;
    }
    note_callee(p, call, &plan);
    if (plan.kind == PLAN_CONFERENCE) {
        conference_dialled(p, call, &plan);
        return;
    }
    struct dial *d = dial_new(p, call, DIAL_CALL, 1);
    if (!d) {
        dial_refuse(p, call, 503);
        return;
    }
    struct sip_answer trying = {.status = 100};
    sip_progress(p->core, p->now, caller->session, &trying);
    d->from = from;
    d->m = m;
    d->offer = offer;
    unsigned diverted = diversion_count(m);
    d->hops = (uint8_t)(diverted < UINT8_MAX / 2 ? diverted : UINT8_MAX / 2);
    note_deadline(p, d, m);
    if (pbx_keep(p, &d->invite, m->raw))
        call_trace(p, call, TRACE_CALL_MEMORY, STR("INVITE"));
    unsigned status = dial_add(p, d, &plan);
    if (status) {
        dial_refuse(p, call, status);
        return;
    }
    call_enter(p, call, CALL_TRYING);
    dial_run(p, d);
    if ((d = dial_of(p, call))) {
        d->m = NULL;
        d->offer = NULL;
    }
}

/* ---- the caller's INVITE --------------------------------------------------------------------- */

static bool is_encoded(const struct sip_msg *m)
{
    struct str encoding = sip_msg_get(m, SIP_H_CONTENT_ENCODING);
    return m->body.n && encoding.n && !str_ieq(encoding, STR("identity"));
}

/* RFC 3261 8.2.3, 20.1, and the hop count that a B2BUA passes on (RFC 7332). 0: go on. */
static unsigned unacceptable(const struct sip_msg *m)
{
    struct str type = sip_msg_get(m, SIP_H_CONTENT_TYPE), range;
    if (m->max_forwards == 0)
        return 483;
    bool sdp = !m->body.n || sip_content_is(type, STR("application/sdp")) ||
               sip_body_find(m, STR("application/sdp")).n ||
               sip_body_early(m, STR("application/sdp")).n;
    if (!sdp)
        return 415;
    if (is_encoded(m))
        return 415;
    if (!sip_msg_has(m, SIP_H_ACCEPT))
        return 0;
    struct sip_values it = sip_values(m, SIP_H_ACCEPT);
    while (sip_values_next(&it, &range))
        if (sip_content_is(range, STR("application/sdp")) ||
            sip_content_is(range, STR("application/*")) || sip_content_is(range, STR("*/*")))
            return 0;
    return 406;
}

/* The caller hides: an anonymous From (RFC 3323 section 4.1.1.3), or what the older Remote-Party-ID
 * says. */
static bool is_hidden(const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_REMOTE_PARTY_ID);
    struct sip_nameaddr na;
    struct str value;
    if (str_ieq(m->from.uri.host, STR("anonymous.invalid")))
        return true;
    while (sip_values_next(&it, &value)) {
        struct str privacy = STR_NONE;
        if (sip_nameaddr_parse(&na, value) == 0)
            privacy = sip_param_get(na.params, STR("privacy"));
        if (privacy.n && !str_ieq(privacy, STR("off")) && !str_ieq(privacy, STR("none")))
            return true;
    }
    return false;
}

/* RFC 3323 section 4.2: any of these words hides who calls. */
static bool privacy_wanted(const struct sip_msg *m)
{
    static const struct str words[] = {STR_INIT("id"), STR_INIT("user"), STR_INIT("full")};
    struct str rest = sip_msg_get(m, SIP_H_PRIVACY);
    while (rest.n) {
        ptrdiff_t semi = str_chr(rest, ';');
        struct str word = str_trim(semi < 0 ? rest : str_sub(rest, 0, (size_t)semi));
        rest = semi < 0 ? STR_NONE : str_from(rest, (size_t)semi + 1);
        for (unsigned i = 0; i < ARRAY_LEN(words); i++)
            if (str_ieq(word, words[i]))
                return true;
    }
    return false;
}

/* A new call of somebody we know. */
static void begin(struct pbx *p, const struct sip_out *o, struct call *call,
                  const struct gate_who *who)
{
    const struct sip_msg *m = o->msg;
    struct leg *caller = call_caller(p, call);
    const struct sdp *offer = NULL;
    bool busy = who->extension && extension_is_busy(p, who->extension);
    bool full = who->trunk && !call_count_trunk_leg(p, caller, who->trunk);
    caller->secure = m->ruri.scheme == SIP_SCHEME_SIPS;
    caller->anonymous = privacy_wanted(m) || is_hidden(m);
    if (who->extension)
        call_count_leg(p, caller, who->extension);
    cdr_start(p, call);
    note_caller(p, call, m);
    trace_emit(&p->trace, TRACE_CALL_NEW, call->tag, TU(call->number), TS(call->cdr.caller),
               TS(call->cdr.dialled));
    if (leg_sdp_of(p, m, &offer)) {
        dial_refuse(p, call, 400);
        return;
    }
    call->late_offer = offer == NULL;
    if (offer)
        (void)leg_rx_offer(p, caller, sip_body_find(m, STR("application/sdp")));
    early_invited(p, caller, m);
    if (busy || full)
        dial_refuse(p, call, 503);
    else if (sip_msg_has(m, SIP_H_REPLACES) && !sip_msg_has(m, SIP_H_JOIN))
        pickup_replaces(p, call, m);
    else if (!sip_msg_has(m, SIP_H_JOIN) || !conference_join(p, call, m))
        route(p, call, m, offer);
}

void dial_invite(struct pbx *p, const struct sip_out *o)
{
    const struct sip_msg *m = o->msg;
    if (p->stopping) {
        refuse_session(p, o->session, 503, SIP_H_RETRY_AFTER, STR("10"));
        return;
    }
    struct gate_who who = gate_check(p, o);
    if (!who.extension && !who.trunk)
        return;
    unsigned status = unacceptable(m);
    if (status) {
        bool encoded = status == 415 && is_encoded(m); /* RFC 3261 21.4.13 */
        refuse_session(p, o->session, status, encoded ? SIP_H_ACCEPT_ENCODING : SIP_H_ACCEPT,
                       status == 483 ? STR_NONE
                       : encoded     ? STR("identity")
                                     : STR("application/sdp"));
        return;
    }
    struct call *call = call_new(p, o);
    if (call)
        begin(p, o, call, &who);
    else
        refuse_session(p, o->session, 503, SIP_H_RETRY_AFTER, STR("10"));
}
