/* What the targets of a search say: they ring, answer, and one of them is kept. */
#include "pbx/feature/conference.h"
#include "pbx/feature/early_session.h"
#include "pbx/feature/ringback.h"
#include "pbx/feature/transfer.h"
#include "pbx/sound.h"
#include "wire/sip/multipart.h"

#define ELSEWHERE "SIP;cause=200;text=\"Call completed elsewhere\""

/* Of a call that is up already whoever is called for a party of it has got an offer. */
bool dial_is_late(struct pbx *p, const struct dial *d)
{
    return d->purpose == DIAL_CALL && call_find(p, d->call)->late_offer;
}

/* ---- ringing --------------------------------------------------------------------------------- */

static void note_ringing(struct pbx *p, struct call *call, struct leg *leg)
{
    leg->state = LEG_RINGING;
    if (!call->cdr.ring_ms) {
        call->cdr.ring_ms = pbx_wall_ms(p);
        call->cdr.rang = p->now;
    }
    if (call->state == CALL_TRYING) {
        call_enter(p, call, CALL_RINGING);
        call_trace(p, call, TRACE_CALL_RINGING, call->cdr.callee);
    }
}

/* Nothing is agreed yet with either, but they hear each other already. */
static void early_formats(struct pbx *p, struct leg *owner, struct leg *leg, struct str told,
                          const struct sdp *said)
{
    const struct sdp *asked = leg_sdp_kept(p, leg->asked), *ours = leg_sdp_kept(p, told);
    const struct sdp *offer = leg_sdp_kept(p, owner->offer);
    if (asked)
        transcode_formats(p, leg, asked, said);
    if (ours && offer)
        transcode_formats(p, owner, ours, offer);
}

/* Early media comes from the first phone that has some; an INVITE without an offer has none (RFC
 * 3960 section 3). The description for the owner; none. */
static struct str early_media(struct pbx *p, struct dial *d, struct leg *leg,
                              const struct sip_out *o)
{
    struct call *call = call_find(p, d->call);
    struct leg *owner = leg_find(p, d->owner);
    struct leg *first = leg_find(p, call->party[d->side]);
    const struct sdp *sdp = NULL;
    struct str body = STR_NONE;
    if (owner->settled) /* it has its answer: RFC 3262 section 5 */
        return STR_NONE;
    if (d->purpose != DIAL_CALL || call->late_offer || (first && first != leg) ||
        leg_sdp_of(p, o->msg, &sdp) || !sdp || !leg_may_answer(p, leg, sdp) ||
        transcode_answer(p, owner, sdp, &body))
        return STR_NONE;
    leg_set_remote(p, leg, sdp);
    early_formats(p, owner, leg, body, sdp);
    bridge_link(p, owner, leg);
    call_set_party(p, call, d->side, leg);
    return body;
}

/* What a reliable provisional has said holds; the 2xx need not repeat it (RFC 3262 section 5). An
 * answer of no use does not: the 2xx will find none. */
static void settle(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    const struct sdp *sdp;
    if (leg_sdp_of(p, o->msg, &sdp) || !sdp || !leg_may_answer(p, leg, sdp))
        return;
    struct str said = sip_body_find(o->msg, STR("application/sdp"));
    if (leg->settled && o->dialog != leg->dialog) { /* its own, should it be the one that answers */
        leg_keep(p, leg, &leg->forked, said);
        leg->forked_dialog = o->dialog;
    }
    if (leg->settled)
        return;
    (void)leg_rx_answer(p, leg, said);
    leg->settled = true;
    leg->dialog = o->dialog;
}

/* Several early dialogs may offer something; the first is answered by the caller. The others wait
 * in vain: nothing that we could say to their offers would be the caller's. */
static void offered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    if (leg_rx_offer(p, leg, sip_body_find(o->msg, STR("application/sdp"))))
        return;
    leg->prack = (struct sip_reliable){.dialog = o->dialog, .rseq = o->rseq};
    leg->dialog = o->dialog;
}

/* A reliable provisional is acknowledged at once, unless it holds an offer: the caller's PRACK will
 * answer that. */
static void acknowledge(struct pbx *p, struct dial *d, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, d->call);
    struct sip_content content = {.n_fields = 0};
    struct sip_field field;
    struct str early;
    bool body = sip_body_find(o->msg, STR("application/sdp")).n != 0;
    if (body && !dial_is_late(p, d))
        settle(p, leg, o);
    bool waits = early_offered(p, d, leg, o, &early);
    if (body && dial_is_late(p, d) && !leg->settled) {
        offered(p, leg, o);
        return;
    }
    if (waits)
        return;
    struct sip_reliable which = {.dialog = o->dialog, .rseq = o->rseq};
    early_pack(p, &content, &field, STR_NONE, early);
    if (sip_prack(p->core, p->now, leg->session, &which, &content))
        call_trace(p, call, TRACE_CALL_MEMORY, STR("PRACK"));
}

/* The callee's offer for a caller who has made none: only what the caller's side may use. 0, or the
 * status that ends the call. */
static unsigned offer_for_caller(struct pbx *p, struct call *call, struct leg *leg,
                                 const struct sdp *offer, struct str *body)
{
    struct leg *caller = call_caller(p, call);
    int err = transcode_offer(p, leg, caller, offer, body);
    return err == -ENOTSUP ? 488 : err == -EAGAIN ? 503 : err ? 500 : 0;
}

/* The offer in a reliable provisional, for a caller who has made none. */
static struct str early_offer(struct pbx *p, struct dial *d, struct leg *leg)
{
    struct call *call = call_find(p, d->call);
    struct leg *owner = leg_find(p, d->owner);
    const struct sdp *offer = leg->prack.dialog ? leg_sdp_kept(p, leg->offer) : NULL;
    struct str body = STR_NONE;
    if (!offer || leg_awaits_answer(owner) || owner->settled || d->purpose != DIAL_CALL)
        return STR_NONE;
    unsigned status = offer_for_caller(p, call, leg, offer, &body);
    if (status)
        return STR_NONE;
    leg_tx_offer(p, owner, body);
    call_set_party(p, call, d->side, leg);
    return body;
}

struct descriptions {
    struct str session, early;
};

static void tell_owner(struct pbx *p, struct dial *d, struct sip_answer *a,
                       const struct descriptions *what)
{
    struct leg *owner = leg_find(p, d->owner);
    struct sip_peer peer;
    bool known = sip_session_peer(p->core, owner->session, &peer);
    bool reliable = known && (peer.rel100_required || (a->reliable && peer.rel100));
    int err = sip_progress(p->core, p->now, owner->session, a);
    if (what->early.n)
        early_told(p, d, what->early, err == 0);
    if (err || !reliable || !what->session.n || leg_awaits_answer(owner))
        return;
    leg_tx_answer(p, owner, what->session);
    owner->settled = true;
}

/* The caller has answered the offer of the one whom it hears: so do we. false: not so that they
 * could talk. */
static bool early_answered(struct pbx *p, struct leg *owner, struct leg *leg,
                           const struct sip_msg *m)
{
    const struct sdp *answer, *offer = leg_sdp_kept(p, leg->offer);
    struct sip_content content = {.n_fields = 0};
    struct sip_field field;
    struct str body;
    if (leg_sdp_of(p, m, &answer) || !answer || !offer || !leg_may_answer(p, owner, answer) ||
        transcode_answer(p, leg, answer, &body))
        return false;
    (void)leg_rx_answer(p, owner, sip_body_find(m, STR("application/sdp")));
    leg_tx_answer(p, leg, body);
    owner->settled = leg->settled = true;
    leg_set_remote(p, owner, answer);
    leg_set_remote(p, leg, offer);
    bridge_link(p, owner, leg);
    early_pack(p, &content, &field, body, early_prack_text(p, leg));
    (void)sip_prack(p->core, p->now, leg->session, &leg->prack, &content);
    leg->prack.dialog = 0;
    return true;
}

void dial_pracked(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    bool early = early_pracked(p, leg, o), fits = true;
    if (!early && !leg_awaits_answer(leg) && early_updated(p, leg, o))
        return;
    if (!sip_body_find(o->msg, STR("application/sdp")).n) {
        if (o->txn)
            pbx_respond(p, o->txn, 200); /* a body of another kind */
        return;
    }
    if (!leg_awaits_answer(leg)) {
        bridge_prack_offer(p, leg, o);
        return;
    }
    if (other && other->ack_waits) /* it has answered meanwhile, and waits for the same */
        late_answered(p, leg, other, o->msg);
    else if (other && other->prack.dialog)
        fits = early_answered(p, leg, other, o->msg);
    else /* who made the offer is gone; another one may be there */
        late_own_answered(p, leg, other, o->msg);
    pbx_respond(p, o->txn, 200);
    if (!fits)
        dial_refuse(p, call, 488);
}

void dial_progress(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct dial *d = slot_find(&p->calls->dials, leg->dial);
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_answer a = {.status = o->status};
    struct descriptions what;
    if (!d || !leg_is_calling(leg))
        return;
    bool early = sound_stream(leg_find(p, d->owner)) != NULL;
    leg->status = o->status;
    if (d->trunk) { /* the gateway is there: now the callee has the time */
        d->trunk = NULL;
        dial_patience(p, d);
    }
    if (o->status == 100)
        return;
    if (o->reliable)
        acknowledge(p, d, leg, o);
    if (o->status == 180)
        note_ringing(p, call, leg);
    if (d->purpose == DIAL_TRANSFER) {
        if (o->status == 180)
            ringback_begin(p, d, leg, early);
        transfer_progress(p, d, o->status);
        return;
    }
    if (d->purpose == DIAL_ROOM) {
        conference_progress(p, call, o->status);
        return;
    }
    what.session = call->late_offer ? early_offer(p, d, leg) : early_media(p, d, leg, o);
    what.session = what.session.n ? what.session : early_stand_in(p, d, leg);
    what.early = o->reliable ? early_for_caller(p, d, &a.marked) : STR_NONE;
    a.reliable = o->reliable;
    a.marked &= what.early.n != 0;
    if (o->status == 180)
        ringback_begin(p, d, leg, early);
    /* Another phone of the same extension need not say again that it rings. */
    if (what.session.n || what.early.n || o->status != 180 || !call->rang) {
        call->rang |= o->status == 180;
        a.content.n_fields = carry_fields(o->msg, field, 0, ARRAY_LEN(field) - 1);
        early_pack(p, &a.content, field, what.session, what.early);
        tell_owner(p, d, &a, &what);
    }
    early_turn(p, call);
}

/* ---- the answer ------------------------------------------------------------------------------ */

void dial_note_answer(struct pbx *p, struct call *call, struct leg *leg, const struct sdp *sdp)
{
    struct cdr *r = &call->cdr;
    struct str by = leg->trunk ? leg->trunk->name : leg->extension->number;
    leg->joined = p->now;
    if (r->answer_ms)
        return; /* a transfer: the call was answered before */
    r->answered = p->now;
    r->answer_ms = pbx_wall_ms(p);
    p->calls->answered++;
    cdr_keep(p, call, &r->answered_by, by);
    cdr_keep(p, call, &r->codec, leg_codec_name(p, sdp));
    call_trace(p, call, TRACE_CALL_ANSWERED, by);
}

/* The callee's description for the caller. 0, or the status that ends the call. */
static unsigned answer_for_caller(struct pbx *p, struct call *call, struct leg *leg,
                                  const struct sdp *sdp, struct str *body)
{
    if (call->late_offer)
        return offer_for_caller(p, call, leg, sdp, body);
    int err = transcode_answer(p, call_caller(p, call), sdp, body);
    return err == -EAGAIN ? 503 : err == -ENOENT ? 488 : err ? 500 : 0;
}

/* Its 2xx is of no use: the call ends with `status`, or somebody else is sought. */
static void give_up(struct pbx *p, struct dial *d, struct leg *leg, unsigned status)
{
    static const struct sip_content nothing;
    if (leg->offer.n)
        late_refuse(p, leg);
    else
        sip_ack(p->core, p->now, leg->session, &nothing);
    if (d->purpose == DIAL_TRANSFER) {
        leg->dropped = true;
        call_drop_leg(p, leg, STR("Q.850;cause=88;text=\"Incompatible destination\""));
        transfer_failed(p, d, status);
        return;
    }
    call_set_party(p, call_find(p, d->call), d->side, leg);
    if (d->purpose == DIAL_ROOM)
        conference_failed(p, call_find(p, d->call), status);
    else
        dial_refuse(p, call_find(p, d->call), status);
}

/* The caller waits for this answer. */
static void connect_caller(struct pbx *p, struct dial *d, struct leg *leg, const struct sip_out *o,
                           const struct sdp *sdp)
{
    static const struct sip_content nothing;
    struct call *call = call_find(p, leg->call);
    struct leg *caller = leg_find(p, d->owner);
    struct sip_field field[SIP_FIELDS_MAX];
    struct sip_answer a = {.status = 200, .content = {.field = field}};
    bool late = call->late_offer && !leg->settled && !caller->settled;
    /* An offer that is out already, in a reliable provisional, is answered before the 200 leaves.
     */
    bool told = caller->settled || leg_awaits_answer(caller);
    unsigned status = told ? 0 : answer_for_caller(p, call, leg, sdp, &a.content.body);
    if (status) {
        give_up(p, d, leg, status);
        return;
    }
    call_set_party(p, call, d->side, leg);
    dial_stop(p, call);
    leg->ack_waits = late;
    /* The caller has agreed with another phone already: this one's offer is answered for it. */
    bool answers = call->late_offer && !late && !leg->settled;
    if (answers && !late_ack(p, leg, caller)) {
        dial_refuse(p, call, 488);
        return;
    }
    if (!late && !answers)
        sip_ack(p->core, p->now, leg->session, &nothing);
    leg_set_remote(p, leg, sdp);
    bridge_link(p, caller, leg);
    if (a.content.body.n && late)
        leg_tx_offer(p, caller, a.content.body);
    else if (a.content.body.n)
        leg_tx_answer(p, caller, a.content.body);
    dial_note_answer(p, call, leg, sdp);
    caller->joined = p->now;
    a.content.type = a.content.body.n ? STR("application/sdp") : STR_NONE;
    a.content.n_fields = carry_fields(o->msg, field, 0, ARRAY_LEN(field));
    call_enter(p, call, CALL_ANSWERING);
    if (sip_accept(p->core, p->now, caller->session, &a))
        dial_refuse(p, call, 500);
}

/* The party for whom somebody was sought is up already. */
static void connect_party(struct pbx *p, struct dial *d, struct leg *leg, const struct sdp *sdp)
{
    static const struct sip_content nothing;
    struct call *call = call_find(p, leg->call);
    struct leg *owner = leg_find(p, d->owner);
    handle_t transfer = d->transfer;
    struct leg *before = leg_find(p, call->party[d->side]);
    if (before)
        before->left = p->now;
    sip_ack(p->core, p->now, leg->session, &nothing);
    leg_set_remote(p, leg, sdp);
    dial_note_answer(p, call, leg, sdp);
    transfer_answered(p, transfer, leg);
    call_set_party(p, call, d->side, leg);
    dial_stop(p, call);
    join_legs(p, owner, leg);
}

/* The room has one more. */
static void connect_room(struct pbx *p, struct dial *d, struct leg *leg, const struct sdp *sdp)
{
    static const struct sip_content nothing;
    struct call *call = call_find(p, leg->call);
    sip_ack(p->core, p->now, leg->session, &nothing);
    leg_set_remote(p, leg, sdp);
    dial_note_answer(p, call, leg, sdp);
    call_set_party(p, call, d->side, leg);
    dial_stop(p, call);
    conference_answered(p, call, leg);
}

/* Another early dialog than the one that had agreed answers: what was said there has gone with it,
 * and our offer, which was for all of them, is answered anew (RFC 3261 section 13.2.2.4). The
 * answer that the 2xx need not repeat. */
static struct str other_fork(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct str body = sip_body_find(o->msg, STR("application/sdp"));
    bridge_abandon(p, leg);
    if (leg->settled && leg_awaits_answer(leg))
        leg_oa_failed(p, leg); /* of a change that was asked for there */
    if (leg->offer.n)
        leg_oa_failed(p, leg);
    if (leg->settled && !dial_is_late(p, slot_find(&p->calls->dials, leg->dial)))
        leg_tx_offer(p, leg, leg->told);
    leg->settled = false;
    leg->dialog = o->dialog;
    leg->prack.dialog = 0;
    return body.n || leg->forked_dialog != o->dialog ? body : leg->forked;
}

void dial_answered(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct dial *d = slot_find(&p->calls->dials, leg->dial);
    const struct sdp *sdp = NULL;
    if (!d || !leg_is_calling(leg) || call->state == CALL_ENDING)
        return;
    leg->state = LEG_ANSWERED;
    leg->status = o->status;
    dial_drop(p, d, leg, STR(ELSEWHERE));
    unsigned status = leg_sdp_of(p, o->msg, &sdp) ? 502 : 0;
    struct str body = sip_body_find(o->msg, STR("application/sdp"));
    if (leg->dialog && leg->dialog != o->dialog) {
        body = other_fork(p, leg, o);
        sdp = leg_sdp_kept(p, body);
    } else if (leg->settled) { /* what the 2xx says again is no news: RFC 6337 section 2.2 */
        sdp = leg_sdp_kept(p, leg->said);
    }
    bool late = dial_is_late(p, d);
    bool wrong = sdp && !leg->settled && !late && !leg_may_answer(p, leg, sdp);
    if (status || !sdp || wrong) {
        give_up(p, d, leg, status ? status : 488);
        return;
    }
    /* What was offered holds now, if there was an offer; else the 2xx is the offer. */
    if (!leg->settled && late)
        (void)leg_rx_offer(p, leg, body);
    else if (!leg->settled)
        (void)leg_rx_answer(p, leg, body);
    if (d->purpose == DIAL_TRANSFER)
        connect_party(p, d, leg, sdp);
    else if (d->purpose == DIAL_ROOM)
        connect_room(p, d, leg, sdp);
    else
        connect_caller(p, d, leg, o, sdp);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* What the caller is told when this callee says `status`. A challenge, a redirection or a missing
 * transaction is between the callee and us; a phone that is not there is "unavailable". */
unsigned dial_status_for_caller(const struct leg *leg)
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

/* The best of several refusals: RFC 3261 16.7 step 6. Silence of a gateway counts as its refusal. A
 * redirection that was followed is none (step 4): what came of it counts. */
unsigned dial_best_status(struct pbx *p, const struct dial *d)
{
    unsigned best = 0;
    bool redirected = false; /* best is of a 3xx */
    for (struct leg *leg = NULL; (leg = call_next(call_find(p, d->call), leg));) {
        if (leg->dial != d->self || leg->status < 300)
            continue;
        unsigned status = dial_status_for_caller(leg);
        if (status / 100 == 6 && !d->ignore_6xx)
            return status;
        bool redirects = leg->status / 100 == 3;
        bool busy = status == 486 && best / 100 == 4;
        bool better = redirected || (!redirects && (status / 100 < best / 100 || busy));
        if (!best || better) {
            best = status;
            redirected = redirects;
        }
    }
    return best;
}
