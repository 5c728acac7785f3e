/* Offers that come late: the 2xx holds one, and the ACK or a PRACK answers it. Where the answer is
 * of no use the call ends; it never goes on in silence. RFC 3261 section 13.2.2.4, RFC 3264
 * section 6. */
#include "pbx/call_int.h"

#include "pbx/feature/service.h"
#include "wire/sip/multipart.h"

#define SDP_TYPE STR("application/sdp")
#define NO_MEDIA                                                                                   \
    "SIP;cause=488;text=\"Not Acceptable Here\", Q.850;cause=88;text=\"Incompatible destination\""

void late_end(struct pbx *p, struct call *call)
{
    struct call_ending e = {.by = CALL_BY_SYSTEM,
                            .status = 488,
                            .cause = 88,
                            .reason = STR("no common codec"),
                            .carried = STR(NO_MEDIA)};
    call_end(p, call, &e);
}

/* ---- our ACK --------------------------------------------------------------------------------- */

static void send_ack(struct pbx *p, struct leg *leg, struct str body)
{
    struct sip_content content = {.type = body.n ? SDP_TYPE : STR_NONE, .body = body};
    sip_ack(p->core, p->now, leg->session, &content);
    if (body.n)
        leg_tx_answer(p, leg, body);
    else
        leg_oa_failed(p, leg);
}

void late_refuse(struct pbx *p, struct leg *leg)
{
    const struct sdp *offer = leg_sdp_kept(p, leg->offer);
    struct str body = STR_NONE;
    leg->ack_waits = false;
    if (offer && leg_refuse_all(p, leg, offer, &body))
        body = STR_NONE;
    send_ack(p, leg, body);
}

bool late_ack(struct pbx *p, struct leg *leg, struct leg *like)
{
    const struct sdp *offer = leg_sdp_kept(p, leg->offer);
    const struct sdp *said = like ? leg_sdp_kept(p, like->said) : NULL;
    struct str body = STR_NONE;
    /* Who is being hung up gets no media any more, and no ports for it. */
    bool over = call_find(p, leg->call)->state == CALL_ENDING;
    int err = !offer || over ? -EBADMSG
              : said         ? transcode_cross(p, leg, offer, said, &body)
                             : leg_answer_own(p, leg, offer, &body);
    if (err) {
        late_refuse(p, leg);
        return false;
    }
    leg->ack_waits = false;
    send_ack(p, leg, body);
    leg_set_remote(p, leg, offer);
    return true;
}

/* ---- the party's answer ---------------------------------------------------------------------- */

/* The answer in the ACK or PRACK of `leg` to our offer; NULL: there is none that could be used. */
static const struct sdp *answer_in(struct pbx *p, const struct leg *leg, const struct sip_msg *m)
{
    const struct sdp *answer;
    if (leg_sdp_of(p, m, &answer) || !answer || !leg_may_answer(p, leg, answer))
        return NULL;
    return answer;
}

void late_answered(struct pbx *p, struct leg *leg, struct leg *other, const struct sip_msg *m)
{
    struct call *call = call_find(p, leg->call);
    const struct sdp *answer = answer_in(p, leg, m), *offer = leg_sdp_kept(p, other->offer);
    struct str said = sip_body_find(m, SDP_TYPE), body;
    bool over = call->state == CALL_ENDING || other->state == LEG_ENDED;
    if (!over && answer && offer && transcode_answer(p, other, answer, &body) == 0) {
        leg_set_remote(p, leg, answer);
        other->ack_waits = false;
        (void)leg_rx_answer(p, leg, said);
        send_ack(p, other, body);
        leg_set_remote(p, other, offer);
        return;
    }
    leg_oa_failed(p, leg);
    /* Without a word it stays with what held before; whoever answers something else has left it. */
    if (said.n || !leg_has_agreed(leg)) {
        late_refuse(p, other);
        late_end(p, call);
    } else if (!late_ack(p, other, leg)) {
        late_end(p, call);
    }
}

void late_own_answered(struct pbx *p, struct leg *leg, struct leg *other, const struct sip_msg *m)
{
    struct call *call = call_find(p, leg->call);
    const struct sdp *answer = answer_in(p, leg, m);
    struct str said = sip_body_find(m, SDP_TYPE);
    if (!answer) {
        leg_oa_failed(p, leg);
        if (said.n || !leg_has_agreed(leg))
            late_end(p, call);
        return;
    }
    (void)leg_rx_answer(p, leg, said);
    leg_set_remote(p, leg, answer);
    service_changed(p, call); /* it may hold now */
    if (other && leg_has_agreed(other) && other->joined)
        join_legs(p, other, leg);
}
