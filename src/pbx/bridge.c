/* Two legs joined: media linked, re-INVITEs and other requests inside the dialogs passed on. The
 * offers go end to end with our addresses in them, so hold, resume and codec changes work as the
 * phones do them. */
#include "pbx/call_int.h"

#include "pbx/hangup.h"
#include "wire/sip/multipart.h"

void bridge_link(struct pbx *p, struct leg *a, struct leg *b)
{
    unsigned n = a->n_streams < b->n_streams ? a->n_streams : b->n_streams;
    for (unsigned i = 0; i < n; i++) {
        if (!a->stream[i].id || !b->stream[i].id)
            continue;
        struct pbx_out *o = pbx_emit(p, PBX_OUT_MEDIA);
        o->media =
            (struct media_cmd){.kind = MEDIA_LINK, .id = a->stream[i].id, .peer = b->stream[i].id};
    }
}

void bridge_reinvite_done(struct pbx *p, struct leg *leg)
{
    leg->reinvite = 0;
    if (pbx_keep(p, &leg->offer, STR_NONE))
        BUG_ON(true); /* freeing cannot fail */
}

static void refuse(struct pbx *p, struct leg *leg, unsigned status)
{
    struct sip_answer a = {.status = (uint16_t)status};
    bridge_reinvite_done(p, leg);
    sip_reject(p->core, p->now, leg->session, &a);
}

/* Which formats of an offer may pass from leg to leg. -ENOTSUP: none. */
static int choose(struct pbx *p, const struct leg *from, const struct leg *to,
                  const struct sdp *offer, struct sdp_choice **ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_policy policy = {
        .codec = names, .keep_video = true, .n_codecs = leg_codecs(p, from, to, names)};
    *ret = arena_take(&p->turn, sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    return policy.n_codecs && sdp_choice_make(*ret, offer, &policy) ? 0 : -ENOTSUP;
}

/* The description for `to` made from what `from` sent in m; none stays none. */
static int translate(struct pbx *p, struct leg *from, struct leg *to, const struct sip_msg *m,
                     bool is_offer, struct str *ret)
{
    const struct sdp *sdp;
    struct sdp_choice *choice = NULL;
    *ret = STR_NONE;
    int err = leg_sdp_of(p, m, &sdp);
    if (err || !sdp)
        return err;
    if (is_offer)
        err = choose(p, from, to, sdp, &choice);
    err = err ? err : leg_sdp_for(p, to, sdp, choice, ret);
    if (err)
        return err;
    if (!is_offer)
        leg_set_remote(p, from, sdp);
    return 0;
}

/* The offer of this leg's re-INVITE is accepted: what it says holds from now on. */
static void apply_offer(struct pbx *p, struct leg *leg)
{
    struct sdp *sdp = leg->offer.n ? arena_take(&p->turn, sizeof(*sdp)) : NULL;
    if (sdp && sdp_parse(sdp, leg->offer, &p->turn, NULL) == 0)
        leg_set_remote(p, leg, sdp);
}

void bridge_reinvite(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    struct str body;
    if (call->state != CALL_UP || !other || other->state == LEG_ENDED) {
        refuse(p, leg, 491);
        return;
    }
    if (other->reinvite) { /* both parties at the same time: RFC 3261 14.2 */
        refuse(p, leg, 491);
        return;
    }
    struct sip_answer trying = {.status = 100};
    sip_progress(p->core, p->now, leg->session, &trying);
    int err = translate(p, leg, other, o->msg, true, &body);
    if (err) {
        refuse(p, leg, err == -EBADMSG ? 400 : err == -ENOTSUP ? 488 : 500);
        return;
    }
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_content content = {.field = field, .type = STR("application/sdp"), .body = body};
    content.n_fields = carry_fields(o->msg, field, 0, ARRAY_LEN(field));
    err = sip_reinvite(p->core, p->now, other->session, &content);
    if (err) {
        refuse(p, leg, err == -EBUSY ? 491 : 500);
        return;
    }
    leg->reinvite = o->txn;
    other->ack_waits = !body.n;
    if (pbx_keep(p, &leg->offer, sip_body_find(o->msg, STR("application/sdp"))))
        trace_emit(&p->trace, TRACE_RX_LIMIT, call->tag, TS(STR("offer")), TS(STR("memory")));
}

void bridge_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *asker = call_other(p, call, leg);
    static const struct sip_content nothing;
    struct str body;
    /* The asker gave up meanwhile, or the whole call. */
    if (!asker || !asker->reinvite || call->state == CALL_ENDING) {
        leg->ack_waits = false;
        sip_ack(p->core, p->now, leg->session, &nothing);
        return;
    }
    int err = translate(p, leg, asker, o->msg, leg->ack_waits, &body);
    if (err || !leg->ack_waits)
        sip_ack(p->core, p->now, leg->session, &nothing);
    if (err) {
        leg->ack_waits = false;
        refuse(p, asker, err == -ENOTSUP ? 488 : 500);
        return;
    }
    apply_offer(p, asker);
    if (leg->ack_waits && !pbx_keep(p, &leg->offer, sip_body_find(o->msg, STR("application/sdp"))))
        apply_offer(p, leg);
    bridge_link(p, asker, leg);
    struct sip_answer a = {.status = 200,
                           .content = {.type = STR("application/sdp"), .body = body}};
    bridge_reinvite_done(p, asker);
    bridge_reinvite_done(p, leg);
    if (sip_accept(p->core, p->now, asker->session, &a))
        refuse(p, asker, 500);
}

void bridge_failed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *asker = call_other(p, call, leg);
    leg->ack_waits = false;
    if (o->ended) { /* the session is gone with it */
        struct call_ending e = {.by = CALL_BY_SYSTEM, .status = o->status, .except = leg};
        call_end(p, call, &e);
        call_leg_ended(p, leg);
        return;
    }
    if (asker && asker->reinvite && trunk_answers(p, leg, o))
        return;
    if (asker && asker->reinvite)
        refuse(p, asker, o->status == 401 || o->status == 407 ? 500 : o->status);
}

/* The ACK of a re-INVITE without an offer holds the answer to the other leg's. */
void bridge_acked(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    if (!other || !other->ack_waits)
        return;
    struct sip_content content = {.type = STR("application/sdp")};
    other->ack_waits = false;
    if (translate(p, leg, other, o->msg, false, &content.body))
        content.body = STR_NONE;
    sip_ack(p->core, p->now, other->session, &content);
}

/* ---- other requests -------------------------------------------------------------------------- */

void bridge_request(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    const struct sip_msg *m = o->msg;
    if (m->method != SIP_INFO && m->method != SIP_OPTIONS) {
        pbx_respond(p, o->txn, 405);
        return;
    }
    if (m->method == SIP_OPTIONS) {
        pbx_respond(p, o->txn, 200);
        return;
    }
    if (!other || call->state == CALL_ENDING) {
        pbx_respond(p, o->txn, 480);
        return;
    }
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_content content = {
        .field = field, .type = sip_msg_get(m, SIP_H_CONTENT_TYPE), .body = m->body};
    if (sip_msg_has(m, SIP_H_CONTENT_DISPOSITION))
        field[content.n_fields++] = (struct sip_field){
            .id = SIP_H_CONTENT_DISPOSITION, .value = sip_msg_get(m, SIP_H_CONTENT_DISPOSITION)};
    content.n_fields = carry_fields(m, field, content.n_fields, ARRAY_LEN(field));
    struct calls *c = p->calls;
    uint64_t seq = c->relayed_seq + 1;
    if (c->relayed[seq % RELAYED_MAX].txn) { /* the oldest is still not answered */
        pbx_respond(p, o->txn, 503);
        return;
    }
    int err = sip_session_request(p->core, p->now, other->session, m->method, &content,
                                  pbx_user(PBX_USER_RELAYED, seq));
    if (err) {
        pbx_respond(p, o->txn, 480);
        return;
    }
    c->relayed_seq = seq;
    c->relayed[seq % RELAYED_MAX].seq = seq;
    c->relayed[seq % RELAYED_MAX].txn = o->txn;
}

void bridge_response(struct pbx *p, const struct sip_out *o)
{
    uint64_t seq = pbx_user_number(o->user);
    struct calls *c = p->calls;
    handle_t txn = c->relayed[seq % RELAYED_MAX].txn;
    if (c->relayed[seq % RELAYED_MAX].seq != seq || o->status < 200)
        return;
    c->relayed[seq % RELAYED_MAX].txn = 0;
    if (o->status == 408) { /* too late for any answer: RFC 4320 4.2 */
        sip_abandon(p->core, p->now, txn);
        return;
    }
    unsigned status = o->status == 401 || o->status == 407 ? 500 : o->status;
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_answer a = {.status = (uint16_t)status, .content = {.field = field}};
    if (o->msg) {
        a.content.type = sip_msg_get(o->msg, SIP_H_CONTENT_TYPE);
        a.content.body = o->msg->body;
        a.content.n_fields = carry_fields(o->msg, field, 0, ARRAY_LEN(field));
    }
    sip_respond(p->core, p->now, txn, &a);
}
