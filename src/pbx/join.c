/* Joining two legs that are up. They hear each other at once, through transcoding if need be; where
 * what they have agreed with us so far does not fit, one of them is asked with a re-INVITE for what
 * the other one speaks, and if it will not, the other (RFC 3725 section 9 in the hands of a B2BUA).
 */
#include "pbx/call_int.h"
#include "pbx/feature/service.h"
#include "wire/sdp/oa.h"
#include "wire/sip/multipart.h"

#define JOIN_TRIES 5

static bool fits(struct pbx *p, const struct leg *a, const struct leg *b)
{
    struct sdp_fit_args args = {
        .a = {.local = leg_sdp_kept(p, a->told), .remote = leg_sdp_kept(p, a->said)},
        .b = {.local = leg_sdp_kept(p, b->told), .remote = leg_sdp_kept(p, b->said)},
    };
    return args.a.local && args.a.remote && args.b.local && args.b.remote && sdp_fit(&args);
}

/* Asks `leg` to speak as `like` does. */
static int ask(struct pbx *p, struct leg *leg, struct leg *like)
{
    struct sip_content content = {.type = STR("application/sdp")};
    if (leg->state == LEG_ENDED || call_find(p, leg->call)->state == CALL_ENDING)
        return -ENOENT; /* what was asked before has come too late */
    if (!leg_has_agreed(leg))
        return -EBUSY;
    int err = leg_offer_third(p, leg, like, false, &content.body);
    err = err ? err : sip_reinvite(p->core, p->now, leg->session, &content);
    if (err)
        return err;
    leg->ask = ASK_JOIN;
    leg_tx_offer(p, leg, content.body);
    return 0;
}

/* RFC 3261 section 14.1: who made the Call-ID waits 2.1 to 4 s, the other up to 2 s. */
static void again_later(struct pbx *p, struct leg *leg)
{
    if (leg->retries++ >= JOIN_TRIES)
        return;
    usec_t steps = leg->outgoing ? 210 + rand_below(&p->rand, 191) : rand_below(&p->rand, 201);
    pbx_timer_start(p, &leg->retry, steps * 10 * USEC_MS);
}

static void make_fit(struct pbx *p, struct leg *a, struct leg *b)
{
    int err = ask(p, a, b);
    if (err == -EBUSY)
        again_later(p, a);
    else if (err)
        (void)ask(p, b, a); /* neither can be asked: they stay joined as they are */
}

/* Who knows RFC 4916 is told with whom it talks from now on, unless that one hides. */
void join_introduce(struct pbx *p, struct leg *to, const struct leg *other)
{
    struct sip_peer peer;
    bool trusted = !to->trunk || to->trunk->trust_identity;
    if (!sip_session_peer(p->core, to->session, &peer) || !peer.from_change || !trusted ||
        !(peer.allow >> SIP_UPDATE & 1) || other->anonymous)
        return;
    struct str who = leg_identity(p, other);
    struct sip_field field = {.id = SIP_H_P_ASSERTED_IDENTITY, .value = who};
    struct sip_content content = {.field = &field, .n_fields = 1};
    if (!who.n || sip_session_set_identity(p->core, p->now, to->session, who))
        return;
    (void)sip_session_request(p->core, p->now, to->session, SIP_UPDATE, &content, 0);
}

void join_legs(struct pbx *p, struct leg *a, struct leg *b)
{
    struct call *call = call_find(p, a->call);
    if (call->state == CALL_ENDING)
        return; /* an ACK or a PRACK that came late */
    a->joined = a->joined ? a->joined : p->now;
    b->joined = b->joined ? b->joined : p->now;
    a->retries = b->retries = 0;
    bridge_abandon(p, a);
    bridge_abandon(p, b);
    bridge_link(p, a, b);
    leg_follow_hold(p, a, b);
    leg_follow_hold(p, b, a);
    call_enter(p, call, CALL_UP);
    join_introduce(p, a, b);
    join_introduce(p, b, a);
    if (!fits(p, a, b))
        make_fit(p, a, b);
}

void join_retry(struct pbx *p, struct pbx_timer *t)
{
    struct leg *leg = container_of(t, struct leg, retry);
    if (leg->refresh_due && leg->state != LEG_ENDED) {
        join_refresh(p, leg);
        return;
    }
    struct leg *other = call_other(p, call_find(p, leg->call), leg);
    if (other && leg->state != LEG_ENDED && other->state != LEG_ENDED && !fits(p, leg, other))
        make_fit(p, leg, other);
}

void join_answered(struct pbx *p, struct leg *leg, const struct sip_out *o, enum leg_ask ask)
{
    static const struct sip_content nothing;
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    const struct sdp *sdp;
    sip_ack(p->core, p->now, leg->session, &nothing);
    if (leg_sdp_of(p, o->msg, &sdp) || !sdp || call->state == CALL_ENDING) {
        leg_oa_failed(p, leg);
        return;
    }
    if (!leg_may_answer(p, leg, sdp)) {
        leg_oa_failed(p, leg);
        join_failed(p, leg, o, ask);
        return;
    }
    (void)leg_rx_answer(p, leg, sip_body_find(o->msg, STR("application/sdp")));
    leg_set_remote(p, leg, sdp);
    service_changed(p, call);
    if (!other)
        return;
    bridge_link(p, leg, other);
    leg_follow_hold(p, other, leg);
    if (ask == ASK_JOIN && !fits(p, leg, other) && leg->retries++ == 0)
        make_fit(p, other, leg);
}

void join_failed(struct pbx *p, struct leg *leg, const struct sip_out *o, enum leg_ask ask_for)
{
    struct leg *other = call_other(p, call_find(p, leg->call), leg);
    service_changed(p, call_find(p, leg->call));
    if (ask_for != ASK_JOIN || !other)
        return;
    if (o->status == 491)
        again_later(p, leg);
    else if (leg->retries++ == 0) /* it will not: the other one may */
        (void)ask(p, other, leg);
}

void join_refresh(struct pbx *p, struct leg *leg)
{
    struct sip_content content = {.type = STR("application/sdp"), .body = leg->told};
    int err = leg_has_agreed(leg) ? sip_reinvite(p->core, p->now, leg->session, &content) : -EBUSY;
    leg->refresh_due = err == -EBUSY;
    if (leg->refresh_due) /* what is under way may refresh as well; if not, we do */
        pbx_timer_start(p, &leg->retry, 2 * USEC_S);
    if (err)
        return;
    leg->ask = ASK_REFRESH;
    leg_tx_offer(p, leg, content.body);
}
