/* Two legs joined: media linked, re-INVITEs and other requests inside the dialogs dealt with. What
 * concerns one party alone (hold, resume, another port) is answered here; what the other must know
 * (other codecs, other streams) passes on with our addresses in it. RFC 3264 section 8, RFC 3311.
 */
#include "pbx/call_int.h"

#include "pbx/feature/early_session.h"
#include "pbx/feature/refer.h"
#include "pbx/feature/service.h"
#include "pbx/feature/threeway.h"
#include "pbx/feature/transfer.h"
#include "pbx/hangup.h"
#include "pbx/record.h"
#include "pbx/subscription.h"
#include "wire/sdp/oa.h"
#include "wire/sip/multipart.h"

#define SDP_TYPE STR("application/sdp")

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
    sound_listen_talking(p, a);
    sound_listen_talking(p, b);
    recording_follow(p, call_find(p, a->call));
}

void bridge_unlink(struct pbx *p, struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->stream[i].id)
            pbx_emit(p, PBX_OUT_MEDIA)->media =
                (struct media_cmd){.kind = MEDIA_UNLINK, .id = leg->stream[i].id};
}

void bridge_reinvite_done(struct pbx *p, struct leg *leg)
{
    leg->reinvite = 0;
    if (leg->offer.n) /* it was not answered */
        leg_oa_failed(p, leg);
}

/* Answers the INVITE or UPDATE inside the party's dialog. */
static int reply(struct pbx *p, struct leg *leg, const struct sip_answer *a)
{
    handle_t txn = leg->reinvite;
    bool by_update = leg->by_update;
    bridge_reinvite_done(p, leg);
    if (by_update)
        return sip_respond(p->core, p->now, txn, a);
    return a->status < 300 ? sip_accept(p->core, p->now, leg->session, a)
                           : sip_reject(p->core, p->now, leg->session, a);
}

static void refuse(struct pbx *p, struct leg *leg, unsigned status)
{
    struct sip_answer a = {.status = (uint16_t)status};
    struct str caps;
    if (status == 488 && leg_caps(p, leg, &caps) == 0) /* what would work: RFC 3261 21.4.26 */
        a.content = (struct sip_content){.type = SDP_TYPE, .body = caps};
    reply(p, leg, &a);
}

void bridge_abandon(struct pbx *p, struct leg *leg)
{
    if (leg->reinvite)
        refuse(p, leg, 491);
}

/* The description for `to` made from what `from` sent in m. -EBADMSG: there is none. */
static int translate(struct pbx *p, struct leg *from, struct leg *to, const struct sip_msg *m,
                     bool is_offer, struct str *ret)
{
    const struct sdp *sdp;
    *ret = STR_NONE;
    int err = leg_sdp_of(p, m, &sdp);
    if (err || !sdp)
        return err ? err : -EBADMSG;
    if (!is_offer && !leg_may_answer(p, from, sdp))
        return -ENOTSUP;
    err = is_offer ? transcode_offer(p, from, to, sdp, ret) : transcode_answer(p, to, sdp, ret);
    if (err)
        return err;
    if (!is_offer)
        leg_set_remote(p, from, sdp);
    return 0;
}

/* ---- a new offer ----------------------------------------------------------------------------- */

/* Hold, resume, another address: the answer is ours to give, and the other party hears of it only
 * by what it hears. */
static void answer_here(struct pbx *p, struct leg *leg, const struct sdp *offer)
{
    struct str body;
    int err = leg_answer_own(p, leg, offer, &body);
    if (err)
        refuse(p, leg, err == -ENOENT ? 488 : 500);
    else
        bridge_answer(p, leg, offer, body);
}

void bridge_answer(struct pbx *p, struct leg *leg, const struct sdp *offer, struct str body)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    struct sip_answer a = {.status = 200, .content = {.type = SDP_TYPE, .body = body}};
    leg_tx_answer(p, leg, body);
    leg_set_remote(p, leg, offer);
    if (other)
        leg_follow_hold(p, other, leg);
    reply(p, leg, &a);
    service_changed(p, call);
}

/* Before the answer only an UPDATE can carry an offer (RFC 3311), afterwards a re-INVITE does. */
static int ask_other(struct pbx *p, struct leg *other, const struct sip_content *content)
{
    bool early = other->settled && call_find(p, other->call)->state < CALL_ANSWERING;
    int err;
    other->ask = early ? ASK_UPDATE : ASK_PASS;
    if (!early)
        err = sip_reinvite(p->core, p->now, other->session, content);
    else if (other->outgoing)
        err = sip_dialog_request(p->core, p->now, other->session, other->dialog, SIP_UPDATE,
                                 content, leg_user(p, other));
    else
        err = sip_session_request(p->core, p->now, other->session, SIP_UPDATE, content,
                                  leg_user(p, other));
    if (err)
        other->ask = ASK_NONE;
    return err;
}

static void pass_on(struct pbx *p, struct leg *leg, struct leg *other, const struct sip_msg *m)
{
    struct str body = STR_NONE;
    int err = leg->offer.n ? translate(p, leg, other, m, true, &body) : 0;
    if (err) {
        refuse(p, leg, err == -EBADMSG ? 400 : err == -ENOTSUP ? 488 : 500);
        return;
    }
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_content content = {.field = field, .type = SDP_TYPE, .body = body};
    content.n_fields = carry_fields(m, field, 0, ARRAY_LEN(field));
    err = ask_other(p, other, &content);
    if (err) {
        refuse(p, leg, err == -EBUSY ? 491 : 500);
        return;
    }
    if (body.n)
        leg_tx_offer(p, other, body);
    other->ack_waits = !body.n && other->ask == ASK_PASS;
}

/* The exchange itself is the other party: what it can do, it agrees to; asked for an offer, it says
 * what it has said before. */
static void serve(struct pbx *p, struct call *call, struct leg *leg, const struct sdp *offer)
{
    struct sip_answer a = {.status = 200, .content = {.type = SDP_TYPE, .body = leg->told}};
    if (!offer && !leg_has_agreed(leg)) {
        refuse(p, leg, 491);
    } else if (!offer) {
        leg_tx_offer(p, leg, leg->told);
        reply(p, leg, &a);
    } else if (!service_offered(p, call, leg, offer)) {
        refuse(p, leg, 488);
    }
}

/* An INVITE or UPDATE inside the dialog, which leg->reinvite names. */
static void offered(struct pbx *p, struct leg *leg, const struct sip_msg *m)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    struct sdp_pair before = {.local = leg_sdp_kept(p, leg->told),
                              .remote = leg_sdp_kept(p, leg->said)};
    const struct sdp *offer;
    if (leg_sdp_of(p, m, &offer)) {
        refuse(p, leg, 400);
        return;
    }
    unsigned status = offer ? leg_rx_offer(p, leg, sip_body_find(m, SDP_TYPE)) : 0;
    if (status) {
        refuse(p, leg, status);
        return;
    }
    if (offer && sdp_same_session(&before, offer)) {
        answer_here(p, leg, offer);
        return;
    }
    if (call->service != SERVICE_NONE) {
        serve(p, call, leg, offer);
        return;
    }
    if (!other || other->state == LEG_ENDED || other->reinvite || !leg_has_agreed(other)) {
        refuse(p, leg, 491); /* both parties at the same time: RFC 3261 14.2 */
        return;
    }
    if (!leg->by_update) {
        struct sip_answer trying = {.status = 100};
        sip_progress(p->core, p->now, leg->session, &trying);
    }
    pass_on(p, leg, other, m);
}

/* "a randomly chosen value of between 0 and 10 seconds" */
static struct str retry_after(struct pbx *p, struct buf *b, char mem[4])
{
    buf_init(b, mem, 4);
    buf_u64(b, rand_below(&p->rand, 11));
    return buf_str(b);
}

void bridge_reinvite(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    if (leg->reinvite) { /* its UPDATE is not answered yet: RFC 3261 14.2 */
        char mem[4];
        struct buf b;
        struct sip_field field = {.id = SIP_H_RETRY_AFTER, .value = retry_after(p, &b, mem)};
        struct sip_answer a = {.status = 500, .content = {.field = &field, .n_fields = 1}};
        sip_reject(p->core, p->now, leg->session, &a);
        return;
    }
    leg->reinvite = o->txn;
    leg->by_update = false;
    if (call->state == CALL_UP || (call->state == CALL_ANSWERING && leg_has_agreed(leg)))
        offered(p, leg, o->msg);
    else
        refuse(p, leg, 491);
}

/* An offer in a 2xx that nobody can answer for whom it is meant: we do, with what that one has said
 * before (RFC 3261 section 13.2.2.4). */
static void not_for_asker(struct pbx *p, struct leg *leg, struct leg *asker, struct str offer)
{
    if (offer.n)
        (void)leg_rx_offer(p, leg, offer);
    if (!offer.n) /* not even that */
        late_refuse(p, leg);
    else if (!late_ack(p, leg, asker))
        late_end(p, call_find(p, leg->call));
}

static void pass_answer(struct pbx *p, struct leg *leg, struct leg *asker, const struct sip_out *o)
{
    static const struct sip_content nothing;
    struct str body, said = sip_body_find(o->msg, SDP_TYPE);
    bool late = leg->ack_waits;
    int err = translate(p, leg, asker, o->msg, late, &body);
    if (o->kind == SIP_OUT_ANSWERED && !late)
        sip_ack(p->core, p->now, leg->session, &nothing);
    if (err && late)
        not_for_asker(p, leg, asker, said);
    else if (err)
        leg_oa_failed(p, leg);
    if (err) {
        refuse(p, asker, err == -ENOTSUP ? 488 : 500);
        return;
    }
    const struct sdp *offer = leg_sdp_kept(p, asker->offer);
    if (late) { /* the 2xx is the offer; the ACKs will answer */
        (void)leg_rx_offer(p, leg, said);
        leg_tx_offer(p, asker, body);
    } else {
        (void)leg_rx_answer(p, leg, said);
        leg_tx_answer(p, asker, body);
    }
    if (offer)
        leg_set_remote(p, asker, offer);
    bridge_link(p, asker, leg);
    leg_follow_hold(p, asker, leg);
    leg_follow_hold(p, leg, asker);
    struct sip_answer a = {.status = 200, .content = {.type = SDP_TYPE, .body = body}};
    if (reply(p, asker, &a))
        refuse(p, asker, 500);
}

/* The answer came although nobody waits for it: it holds, and if the two do not understand each
 * other now, one of them is asked again. */
static void nobody_asks(struct pbx *p, struct leg *leg, struct leg *other, const struct sip_out *o)
{
    static const struct sip_content nothing;
    const struct sdp *sdp;
    if (leg->ack_waits) {
        not_for_asker(p, leg, other, sip_body_find(o->msg, SDP_TYPE));
        return;
    }
    sip_ack(p->core, p->now, leg->session, &nothing);
    if (leg_sdp_of(p, o->msg, &sdp) || !sdp || !leg_may_answer(p, leg, sdp)) {
        leg_oa_failed(p, leg);
        return;
    }
    (void)leg_rx_answer(p, leg, sip_body_find(o->msg, SDP_TYPE));
    leg_set_remote(p, leg, sdp);
    if (other && other->joined)
        join_legs(p, other, leg);
}

void bridge_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *asker = call_other(p, call, leg);
    uint8_t ask = leg->ask;
    leg->ask = ASK_NONE;
    if (ask == ASK_JOIN || ask == ASK_REFRESH) {
        join_answered(p, leg, o, ask);
        return;
    }
    /* The asker gave up meanwhile, or the whole call. */
    if (!asker || !asker->reinvite || call->state == CALL_ENDING) {
        nobody_asks(p, leg, asker, o);
        return;
    }
    pass_answer(p, leg, asker, o);
}

void bridge_update_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct leg *asker = call_other(p, call_find(p, leg->call), leg);
    if (leg->ask != ASK_UPDATE || o->status < 200)
        return;
    leg->ask = ASK_NONE;
    if (o->status >= 300)
        leg_oa_failed(p, leg);
    if (!asker || !asker->reinvite)
        return;
    if (o->status < 300)
        pass_answer(p, leg, asker, o);
    else
        refuse(p, asker, o->status == 401 || o->status == 407 ? 500 : o->status);
}

void bridge_failed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *asker = call_other(p, call, leg);
    uint8_t ask = leg->ask;
    leg->ack_waits = false;
    if (o->ended) { /* the session is gone with it */
        struct call_ending e = {.by = CALL_BY_SYSTEM, .status = o->status, .except = leg};
        call_leg_lost(p, leg, &e);
        return;
    }
    if (ask && trunk_answers(p, leg, o))
        return;
    leg->ask = ASK_NONE;
    leg_oa_failed(p, leg);
    if (o->status == 408 || o->status == 481) { /* nobody is there any more: RFC 3261 14.1 */
        struct call_ending e = {.by = CALL_BY_SYSTEM,
                                .status = o->status,
                                .reason = STR("session lost"),
                                .except = leg};
        if (call_is_party(p, call, leg))
            call_end(p, call, &e);
        return;
    }
    if (ask == ASK_JOIN || ask == ASK_REFRESH)
        join_failed(p, leg, o, ask);
    else if (asker && asker->reinvite)
        refuse(p, asker, o->status == 401 || o->status == 407 ? 500 : o->status);
}

void bridge_acked(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    bool answered = call->state == CALL_ANSWERING && !leg->outgoing;
    if (answered)
        call_enter(p, call, CALL_UP);
    if (answered && call->over_when_acked) {
        struct call_ending e = {.by = CALL_BY_SYSTEM, .status = 200, .cause = 16};
        call_end(p, call, &e);
        return;
    }
    if (answered && other && call->scenario == SCENARIO_PICKUP) { /* not who was called */
        join_introduce(p, leg, other);
        join_introduce(p, other, leg);
    }
    if (answered && leg->settled && other) { /* with whom it talks now may be another one */
        join_legs(p, leg, other);
        return;
    }
    if (other && other->ack_waits)
        late_answered(p, leg, other, o->msg);
    else if (leg_awaits_answer(leg) && !leg->ask)
        late_own_answered(p, leg, other, o->msg);
    if (call->state == CALL_ENDING)
        return;
    if (answered)
        threeway_follow(p, leg);
    if (answered)
        recording_follow(p, call);
    if (answered)
        service_up(p, call);
}

/* ---- other requests -------------------------------------------------------------------------- */

static void pass_request(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    const struct sip_msg *m = o->msg;
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
    c->relayed[seq % RELAYED_MAX].leg = slot_handle(&c->legs, other);
}

/* An UPDATE without an offer refreshes the target or the session, which the engine has done. */
static void updated(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (early_updated(p, leg, o))
        return;
    if (!sip_body_find(o->msg, SDP_TYPE).n) {
        pbx_respond(p, o->txn, 200);
        return;
    }
    bridge_prack_offer(p, leg, o);
}

void bridge_not_now(struct pbx *p, handle_t txn, bool theirs)
{
    char mem[4];
    struct buf b;
    struct sip_field field = {.id = SIP_H_RETRY_AFTER, .value = retry_after(p, &b, mem)};
    struct sip_answer a = {.status = theirs ? 500 : 491,
                           .content = {.field = &field, .n_fields = theirs ? 1 : 0}};
    sip_respond(p->core, p->now, txn, &a);
}

void bridge_prack_offer(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (leg->reinvite || !leg_has_agreed(leg)) {
        bridge_not_now(p, o->txn, !leg_awaits_answer(leg));
        return;
    }
    leg->reinvite = o->txn;
    leg->by_update = true;
    offered(p, leg, o->msg);
}

static void not_understood(struct pbx *p, const struct sip_out *o)
{
    static const struct sip_field field = {
        .id = SIP_H_ACCEPT, .value = STR_INIT("application/dtmf-relay, application/dtmf")};
    struct sip_answer a = {.status = 415, .content = {.field = &field, .n_fields = 1}};
    sip_respond(p->core, p->now, o->txn, &a);
}

/* A digit for one who does not take INFO becomes a telephone-event, or its sound. */
static bool digit_as_media(struct pbx *p, struct leg *leg, char digit)
{
    struct leg *other = call_other(p, call_find(p, leg->call), leg);
    struct sip_peer peer;
    if (!other || !other->joined || !sip_session_peer(p->core, other->session, &peer) ||
        !peer.allow_known || peer.allow >> SIP_INFO & 1)
        return false;
    struct sound_list l = {.append = true};
    sound_digit(&l, digit, 0);
    sound_play(p, other, &l);
    return true;
}

/* A phone that sends a digit as an event and as INFO at once means one (the other party has it
 * already). What the exchange itself is told, it answers itself. */
static void informed(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    char digit = 0;
    enum service_digit d = service_info(p, leg, o, &digit);
    bool served = call_find(p, leg->call)->service != SERVICE_NONE;
    bool doubles = leg->digits.repeated[DIGIT_INFO] || leg->digits.repeated[DIGIT_EVENT];
    bool done = d == SERVICE_DIGIT_KNOWN || (d == SERVICE_DIGIT && (served || doubles)) ||
                (d == SERVICE_DIGIT && digit_as_media(p, leg, digit));
    if (done || (served && !o->msg->body.n))
        pbx_respond(p, o->txn, 200);
    else if (served)
        not_understood(p, o);
    else
        pass_request(p, leg, o);
}

void bridge_request(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (replaces_misplaced(o->msg)) {
        pbx_respond(p, o->txn, 400);
        return;
    }
    switch (o->msg->method) {
    case SIP_INFO:
        informed(p, leg, o);
        break;
    case SIP_OPTIONS:
        pbx_respond(p, o->txn, 200);
        break;
    case SIP_UPDATE:
        updated(p, leg, o);
        break;
    case SIP_REFER:
        transfer_refer(p, leg, o);
        break;
    case SIP_SUBSCRIBE:
        if (!subscription_rx_inside(p, leg, o))
            transfer_subscribe(p, leg, o);
        break;
    default:
        pbx_respond(p, o->txn, 405);
        break;
    }
}

void bridge_response(struct pbx *p, const struct sip_out *o)
{
    uint64_t seq = pbx_user_number(o->user);
    struct calls *c = p->calls;
    handle_t txn = c->relayed[seq % RELAYED_MAX].txn;
    struct leg *to = leg_find(p, c->relayed[seq % RELAYED_MAX].leg);
    if (c->relayed[seq % RELAYED_MAX].seq != seq || o->status < 200)
        return;
    if (to && trunk_answers(p, to, o)) /* a gateway may challenge anything */
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
