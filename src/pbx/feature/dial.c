/* Dialling: a caller's INVITE becomes INVITEs to the phones or the trunk that the plan names; the
 * first to answer is kept. S1; RFC 3261 section 13, RFC 7092 (B2BUA). */
#include "pbx/call_int.h"
#include "pbx/gate.h"
#include "pbx/hangup.h"
#include "pbx/registrar.h"
#include "pbx/trunk.h"
#include "wire/sip/multipart.h"

#define MAX_TARGETS 10

/* What goes into every INVITE of one attempt. */
struct attempt {
    struct call *call;
    struct leg *caller;
    const struct sip_msg *m;
    const struct sdp *offer; /* NULL: late offer */
    struct plan plan;
    bool anonymous;   /* Privacy: id (RFC 3323) */
    unsigned failure; /* why the last target could not be called */
};

static void trace_call(struct pbx *p, struct call *call, enum trace_id id, struct str text)
{
    char mem[24];
    struct buf number;
    buf_init(&number, mem, sizeof(mem));
    buf_u64(&number, call->number);
    trace_emit(&p->trace, id, call->tag, TS(buf_str(&number)), TS(text));
}

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

static void refuse(struct pbx *p, struct call *call, unsigned status)
{
    if (status == 488)
        refuse_media(p, call);
    else
        call_refuse(p, call, status, NULL);
}

/* ---- who calls ------------------------------------------------------------------------------- */

static struct str caller_number(struct pbx *p, const struct leg *leg, const struct sip_msg *m)
{
    if (leg->extension)
        return leg->extension->number;
    /* A trunk's asserted identity goes before From (RFC 3325 section 5). */
    struct sip_nameaddr id = m->from;
    struct str pai = sip_msg_get(m, SIP_H_P_ASSERTED_IDENTITY), first;
    if (leg->trunk && leg->trunk->trust_identity && pai.p && sip_list_next(&pai, &first) &&
        sip_nameaddr_parse(&id, first))
        id = m->from;
    struct str user = sip_unescape(&p->turn, id.uri.user);
    return user.n ? user : STR("anonymous");
}

static struct str caller_name(struct pbx *p, const struct leg *leg, const struct sip_msg *m,
                              struct str number)
{
    if (leg->extension && leg->extension->name.n)
        return leg->extension->name;
    if (leg->extension)
        return number;
    struct str shown = m->from.display.p ? sip_unquote(&p->turn, m->from.display) : STR_NONE;
    return shown.n ? shown : number;
}

static void note_caller(struct pbx *p, struct call *call, const struct sip_msg *m)
{
    struct leg *leg = call_caller(p, call);
    struct cdr *r = &call->cdr;
    struct str number = caller_number(p, leg, m);
    struct str dialled = sip_unescape(&p->turn, m->ruri.user);
    int err = pbx_keep(p, &r->caller, number);
    err |= pbx_keep(p, &r->caller_name, caller_name(p, leg, m, number));
    err |= pbx_keep(p, &r->dialled, dialled.p ? dialled : m->ruri_text);
    err |= pbx_keep(p, &leg->call_id, m->call_id);
    if (err)
        trace_emit(&p->trace, TRACE_RX_LIMIT, call->tag, TS(STR("caller")), TS(STR("memory")));
}

/* ---- the INVITE to a target ------------------------------------------------------------------ */

static void put_quoted(struct buf *b, struct str s)
{
    buf_ch(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_ch(b, '\\');
        if ((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7F)
            buf_ch(b, s.p[i]);
    }
    buf_ch(b, '"');
}

static struct str identity(struct pbx *p, struct str name, struct str number, struct str host)
{
    struct buf b;
    size_t cap = 2 * name.n + 3 * number.n + host.n + 32;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    if (name.n) {
        put_quoted(&b, name);
        buf_ch(&b, ' ');
    }
    buf_lit(&b, "<sip:");
    sip_escape_user(&b, number);
    buf_ch(&b, '@');
    buf_str_put(&b, host);
    buf_ch(&b, '>');
    return buf_str(&b);
}

static struct str bracketed(struct pbx *p, struct str uri)
{
    struct buf b;
    char *mem = arena_take(&p->turn, uri.n + 2);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, uri.n + 2);
    buf_ch(&b, '<');
    buf_str_put(&b, uri);
    buf_ch(&b, '>');
    return buf_str(&b);
}

static struct str shown_number(const struct attempt *a, const struct leg *to)
{
    const struct config_extension *e = a->caller->extension;
    if (!to->trunk)
        return a->call->cdr.caller;
    if (to->trunk->caller_id.n)
        return to->trunk->caller_id;
    if (e && e->caller_id.n)
        return e->caller_id;
    return e && e->did.n ? e->did.v[0] : a->call->cdr.caller;
}

static struct str trunk_host(const struct config_trunk *t)
{
    struct sip_uri uri;
    if (t->from_domain.n)
        return t->from_domain;
    return sip_uri_parse(&uri, t->uri) ? STR("invalid") : uri.host;
}

static unsigned invite_fields(struct pbx *p, const struct attempt *a, const struct leg *to,
                              struct str asserted, struct sip_field field[SIP_FIELDS_MAX])
{
    unsigned n = 0;
    if (asserted.n && !a->anonymous && (!to->trunk || to->trunk->trust_identity))
        field[n++] = (struct sip_field){.id = SIP_H_P_ASSERTED_IDENTITY, .value = asserted};
    if (a->anonymous && to->trunk && to->trunk->trust_identity) {
        field[n++] = (struct sip_field){.id = SIP_H_P_ASSERTED_IDENTITY, .value = asserted};
        field[n++] = (struct sip_field){.id = SIP_H_PRIVACY, .value = STR("id")};
    }
    if (!to->trunk || to->trunk->session_id) /* monitors tie the legs together by it */
        field[n++] = (struct sip_field){.name = STR("X-CID"), .value = a->m->call_id};
    return a->caller->trunk ? carry_fields_inward(a->m, field, n, SIP_FIELDS_MAX)
                            : carry_fields(a->m, field, n, SIP_FIELDS_MAX);
}

/* Sends the INVITE of a prepared leg. */
static int send_invite(struct pbx *p, struct attempt *a, struct leg *leg, struct str ruri,
                       struct str route, struct str body)
{
    struct sip_field field[SIP_FIELDS_MAX];
    struct call *call = a->call;
    struct str number = shown_number(a, leg);
    struct str host = leg->trunk ? trunk_host(leg->trunk) : p->domain;
    struct str asserted = identity(p, call->cdr.caller_name, number, host);
    struct str from =
        a->anonymous ? STR("\"Anonymous\" <sip:anonymous@anonymous.invalid>") : asserted;
    int hops = a->m->max_forwards;
    struct sip_invite_cmd cmd = {.to = leg->flow,
                                 .ruri = ruri,
                                 .from = from,
                                 .to_hdr = bracketed(p, ruri),
                                 .contact_user = a->anonymous ? STR("anonymous") : number,
                                 .route = route,
                                 .max_forwards = hops < 0 ? 70 : hops - 1,
                                 .user = leg_user(p, leg),
                                 .tag = call->tag,
                                 .leg = leg->number,
                                 .content = {.field = field,
                                             .type = body.n ? STR("application/sdp") : STR_NONE,
                                             .body = body}};
    cmd.content.n_fields = invite_fields(p, a, leg, asserted, field);
    int err = sip_invite(p->core, p->now, &cmd, &leg->session);
    struct sip_dialog_view view;
    if (!err && sip_session_view(p->core, leg->session, &view))
        err = pbx_keep(p, &leg->call_id, view.call_id);
    return err;
}

/* The offer for a leg, with the formats that both sides may use. 0, or the status that refuses. */
static unsigned offer_for(struct pbx *p, struct attempt *a, struct leg *leg, struct str *body)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_choice *choice = arena_take(&p->turn, sizeof(*choice));
    *body = STR_NONE;
    if (!a->offer)
        return 0;
    if (!choice)
        return 503;
    struct sdp_policy policy = {
        .codec = names, .keep_video = true, .n_codecs = leg_codecs(p, a->caller, leg, names)};
    if (!policy.n_codecs || !sdp_choice_make(choice, a->offer, &policy))
        return 488;
    int err = leg_sdp_for(p, leg, a->offer, choice, body);
    if (!err)
        err = leg_open(p, a->caller, a->offer, choice);
    return err == -EAGAIN ? 503 : err ? 500 : 0;
}

/* One more leg, on its way to `ruri`. false: a->failure says why not. */
static bool add_leg(struct pbx *p, struct attempt *a, const struct leg *like, struct str ruri,
                    struct str route)
{
    handle_t h;
    struct str body;
    struct leg *leg = leg_new(p, a->call, &h);
    a->failure = 503;
    if (!leg)
        return false;
    leg->outgoing = true;
    leg->flow = like->flow;
    leg->trunk = like->trunk;
    if (like->extension)
        call_count_leg(p, leg, like->extension);
    unsigned status = offer_for(p, a, leg, &body);
    if (!status && send_invite(p, a, leg, ruri, route, body))
        status = 500;
    if (!status)
        return true;
    call_leg_over(p, leg);
    leg->status = (uint16_t)status;
    a->failure = status;
    return false;
}

/* ---- targets --------------------------------------------------------------------------------- */

static unsigned dial_extension(struct pbx *p, struct attempt *a)
{
    const struct config_extension *e = a->plan.extension;
    const struct binding *bindings[MAX_TARGETS];
    unsigned n = registrar_find(p, e, bindings, ARRAY_LEN(bindings)), sent = 0;
    a->failure = 480;
    for (unsigned i = 0; i < n; i++) {
        struct leg like = {.extension = e};
        struct str route;
        registrar_reach(p, bindings[i], &like.flow, &route);
        sent += add_leg(p, a, &like, registrar_target(bindings[i]), route);
    }
    return sent;
}

static unsigned dial_trunk(struct pbx *p, struct attempt *a)
{
    const struct config_trunk *t = a->plan.trunk;
    struct leg like = {.trunk = t};
    struct sip_uri uri;
    struct buf b;
    size_t cap = t->uri.n + 3 * a->plan.number.n + 8;
    char *mem = arena_take(&p->turn, cap);
    a->failure = 503;
    if (!mem || trunk_dest(p, t, &like.flow) || sip_uri_parse(&uri, t->uri))
        return 0;
    buf_init(&b, mem, cap);
    buf_lit(&b, "sip:");
    sip_escape_user(&b, a->plan.number);
    buf_ch(&b, '@');
    buf_str_put(&b, uri.host);
    if (uri.port) {
        buf_ch(&b, ':');
        buf_u64(&b, uri.port);
    }
    if (uri.params.n) {
        buf_ch(&b, ';');
        buf_str_put(&b, uri.params);
    }
    a->call->trunk_out = t;
    return add_leg(p, a, &like, buf_str(&b), STR_NONE);
}

static void note_callee(struct pbx *p, struct attempt *a)
{
    struct cdr *r = &a->call->cdr;
    const struct config_extension *e = a->plan.extension;
    int err = pbx_keep(p, &r->callee, e ? e->number : a->plan.number);
    if (a->plan.by_did)
        err |= pbx_keep(p, &r->did, a->plan.number);
    if (err)
        trace_emit(&p->trace, TRACE_RX_LIMIT, a->call->tag, TS(r->caller), TS(STR("memory")));
}

/* How long it may ring. RFC 3261 13.3.1.1: not longer than the caller wants. */
static usec_t patience(struct pbx *p, struct call *call, const struct sip_msg *m)
{
    usec_t wait = p->config->sip.timers.invite_timeout_ms * USEC_MS;
    struct str value = sip_msg_get(m, SIP_H_EXPIRES);
    uint32_t expires_s;
    if (!value.p || sip_delta_parse(&expires_s, value) || !expires_s || expires_s * USEC_S >= wait)
        return wait;
    call->expires = true;
    return expires_s * USEC_S;
}

static void route(struct pbx *p, struct attempt *a)
{
    struct call *call = a->call;
    a->plan = plan_find(p, a->caller, &a->m->ruri);
    if (a->plan.kind == PLAN_NONE || a->plan.kind == PLAN_REJECT) {
        refuse(p, call, a->plan.status);
        return;
    }
    note_callee(p, a);
    if (a->plan.kind == PLAN_EXTENSION && extension_is_busy(p, a->plan.extension)) {
        refuse(p, call, 486);
        return;
    }
    struct sip_answer trying = {.status = 100};
    sip_progress(p->core, p->now, a->caller->session, &trying);
    unsigned sent = a->plan.kind == PLAN_TRUNK ? dial_trunk(p, a) : dial_extension(p, a);
    if (!sent) {
        refuse(p, call, a->failure);
        return;
    }
    if (a->offer)
        leg_set_remote(p, a->caller, a->offer);
    usec_t wait = patience(p, call, a->m);
    call_enter(p, call, CALL_TRYING);
    pbx_timer_start(p, &call->answer_timer, wait);
    hist_put(&p->trace, call->tag,
             (struct hist_event){
                 .kind = HIST_TIMER_ARMED, .code = HIST_T_INVITE, .a = (uint32_t)(wait / USEC_MS)});
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
               sip_body_find(m, STR("application/sdp")).n;
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

static bool privacy_wanted(const struct sip_msg *m)
{
    struct str value = sip_msg_get(m, SIP_H_PRIVACY);
    return str_ifind(value, STR("id")) >= 0 && !str_ieq(value, STR("none"));
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
    if (!call) {
        refuse_session(p, o->session, 503, SIP_H_RETRY_AFTER, STR("10"));
        return;
    }
    struct leg *caller = call_caller(p, call);
    struct attempt a = {.call = call, .caller = caller, .m = m, .anonymous = privacy_wanted(m)};
    bool busy = who.extension && extension_is_busy(p, who.extension);
    caller->trunk = who.trunk;
    if (who.extension)
        call_count_leg(p, caller, who.extension);
    cdr_start(p, call);
    note_caller(p, call, m);
    trace_emit(&p->trace, TRACE_CALL_NEW, call->tag, TU(call->number), TS(call->cdr.caller),
               TS(call->cdr.dialled));
    if (leg_sdp_of(p, m, &a.offer)) {
        refuse(p, call, 400);
        return;
    }
    call->late_offer = a.offer == NULL;
    if (busy) {
        refuse(p, call, 503);
        return;
    }
    route(p, &a);
}

/* ---- what the callees say -------------------------------------------------------------------- */

static void note_ringing(struct pbx *p, struct call *call, struct leg *leg)
{
    leg->state = LEG_RINGING;
    if (!call->cdr.ring_ms) {
        call->cdr.ring_ms = pbx_wall_ms(p);
        call->cdr.rang = p->now;
    }
    if (call->state == CALL_TRYING) {
        call_enter(p, call, CALL_RINGING);
        trace_call(p, call, TRACE_CALL_RINGING, call->cdr.callee);
    }
}

void dial_progress(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *caller = call_caller(p, call);
    const struct sdp *sdp = NULL;
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_answer a = {.status = o->status, .content = {.field = field}};
    if (call->state != CALL_TRYING && call->state != CALL_RINGING)
        return;
    leg->status = o->status;
    if (o->status == 180)
        note_ringing(p, call, leg);
    /* Early media comes from the first phone that has some; an INVITE without an offer has none
     * (RFC 3960 section 3). */
    bool may = !call->late_offer && (!call->winner || leg_find(p, call->winner) == leg);
    if (may && leg_sdp_of(p, o->msg, &sdp) == 0 && sdp) {
        if (leg_sdp_for(p, caller, sdp, NULL, &a.content.body) == 0) {
            a.content.type = STR("application/sdp");
            leg_set_remote(p, leg, sdp);
            bridge_link(p, caller, leg);
            call->early_media = true;
            call->winner = slot_handle(&p->calls->legs, leg);
        }
    }
    if (o->status == 180 && call->rang && !a.content.body.n)
        return; /* another phone of the same extension */
    call->rang |= o->status == 180;
    a.content.n_fields = carry_fields(o->msg, field, 0, ARRAY_LEN(field));
    sip_progress(p->core, p->now, caller->session, &a);
}

static void cancel_others(struct pbx *p, struct call *call, const struct leg *keep)
{
    for (unsigned i = 1; i < call->n_legs; i++) {
        struct leg *leg = leg_find(p, call->leg[i]);
        if (!leg || leg == keep || leg->state == LEG_ENDED)
            continue;
        leg_close_media(p, leg);
        sip_hangup(p->core, p->now, leg->session,
                   STR("SIP;cause=200;text=\"Call completed elsewhere\""));
    }
}

static void note_answer(struct pbx *p, struct call *call, struct leg *leg, const struct sdp *sdp)
{
    struct cdr *r = &call->cdr;
    struct str by = leg->trunk ? leg->trunk->name : leg->extension->number;
    r->answered = p->now;
    r->answer_ms = pbx_wall_ms(p);
    p->calls->answered++;
    if (pbx_keep(p, &r->answered_by, by) || pbx_keep(p, &r->codec, leg_codec_name(p, sdp)))
        trace_emit(&p->trace, TRACE_RX_LIMIT, call->tag, TS(r->caller), TS(STR("memory")));
    trace_call(p, call, TRACE_CALL_ANSWERED, by);
}

/* The callee's description for the caller. 0, or the status that ends the call. */
static unsigned answer_for_caller(struct pbx *p, struct call *call, struct leg *leg,
                                  const struct sdp *sdp, struct str *body)
{
    struct leg *caller = call_caller(p, call);
    struct sdp_choice *choice = NULL;
    struct str names[CONF_CODEC_COUNT];
    if (call->late_offer) { /* it is an offer: only what the caller's side may use */
        struct sdp_policy policy = {
            .codec = names, .keep_video = true, .n_codecs = leg_codecs(p, caller, leg, names)};
        choice = arena_take(&p->turn, sizeof(*choice));
        if (!choice || !sdp_choice_make(choice, sdp, &policy))
            return 488;
    }
    int err = leg_sdp_for(p, caller, sdp, choice, body);
    if (!err && call->late_offer)
        err = leg_open(p, leg, sdp, choice);
    return err == -EAGAIN ? 503 : err ? 500 : 0;
}

static void give_up(struct pbx *p, struct call *call, struct leg *leg, unsigned status)
{
    static const struct sip_content nothing;
    sip_ack(p->core, p->now, leg->session, &nothing);
    refuse(p, call, status);
}

void dial_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    static const struct sip_content nothing;
    struct call *call = call_find(p, leg->call);
    struct leg *caller = call_caller(p, call);
    const struct sdp *sdp = NULL;
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_answer a = {.status = 200, .content = {.field = field}};
    if (call->state != CALL_TRYING && call->state != CALL_RINGING)
        return;
    leg->state = LEG_ANSWERED;
    leg->status = o->status;
    call->winner = slot_handle(&p->calls->legs, leg);
    call_stop_answer_timer(p, call);
    cancel_others(p, call, leg);
    unsigned status = leg_sdp_of(p, o->msg, &sdp) ? 502 : !sdp ? 488 : 0;
    if (!status)
        status = answer_for_caller(p, call, leg, sdp, &a.content.body);
    if (status) {
        give_up(p, call, leg, status);
        return;
    }
    leg->ack_waits = call->late_offer;
    if (!leg->ack_waits)
        sip_ack(p->core, p->now, leg->session, &nothing);
    leg_set_remote(p, leg, sdp);
    bridge_link(p, caller, leg);
    note_answer(p, call, leg, sdp);
    a.content.type = STR("application/sdp");
    a.content.n_fields = carry_fields(o->msg, field, 0, ARRAY_LEN(field));
    call_enter(p, call, CALL_ANSWERING);
    if (sip_accept(p->core, p->now, caller->session, &a))
        refuse(p, call, 500);
}

void dial_acked(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    call_enter(p, call, CALL_UP);
    bridge_acked(p, leg, o);
}

/* ---- failures -------------------------------------------------------------------------------- */

bool trunk_answers(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    bool challenge = o->msg && (o->status == 401 || o->status == 407);
    return challenge && leg->trunk && trunk_answer_challenge(p, leg->trunk, o) == 0;
}

/* What the caller is told when this callee says `status`. A challenge, a redirection or a missing
 * transaction is between the callee and us; a phone that is not there is "unavailable". */
static unsigned for_caller(const struct leg *leg)
{
    /* These speak of the INVITE that we wrote, with fields that the caller could not use. */
    static const uint16_t ours[] = {405, 406, 413, 414, 415, 416, 420, 421, 422, 423, 489, 494};
    unsigned status = leg->status;
    for (unsigned i = 0; i < ARRAY_LEN(ours); i++)
        if (status == ours[i])
            return status == 415 ? 488 : 500;
    if (status / 100 == 3 || status == 481)
        return 480;
    if (status == 401 || status == 407)
        return leg->trunk ? 503 : 500;
    if (!leg->trunk && status == 503)
        return 480;
    return status;
}

/* The best of several refusals: RFC 3261 16.7 step 6. */
static unsigned best_status(struct pbx *p, const struct call *call)
{
    unsigned best = 0;
    for (unsigned i = 1; i < call->n_legs; i++) {
        const struct leg *leg = leg_find(p, call->leg[i]);
        if (!leg || leg->status < 300)
            continue;
        unsigned status = for_caller(leg);
        if (status / 100 == 6)
            return status;
        bool busy = status == 486 && best / 100 == 4;
        if (!best || status / 100 < best / 100 || busy)
            best = status;
    }
    return best ? best : 480;
}

static bool anyone_left(struct pbx *p, const struct call *call)
{
    for (unsigned i = 1; i < call->n_legs; i++) {
        const struct leg *leg = leg_find(p, call->leg[i]);
        if (leg && leg->state != LEG_ENDED)
            return true;
    }
    return false;
}

void dial_failed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    if (call->state != CALL_ENDING && trunk_answers(p, leg, o))
        return;
    leg->status = o->status;
    bool open = call->state == CALL_TRYING || call->state == CALL_RINGING;
    if (!open) {
        call_leg_ended(p, leg);
        return;
    }
    call_leg_over(p, leg);
    if (call->winner == slot_handle(&p->calls->legs, leg))
        call->winner = 0; /* its early media ends with it */
    /* A 6xx speaks for the user, not for one phone: RFC 3261 16.7 step 5. */
    if (anyone_left(p, call) && o->status / 100 != 6)
        return;
    refuse(p, call, best_status(p, call));
}

void dial_timeout(struct pbx *p, struct call *call)
{
    if (call->state == CALL_TRYING || call->state == CALL_RINGING)
        refuse(p, call, call->expires ? 487 : call->config->sip.no_answer_final);
}
