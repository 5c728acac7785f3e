/* What a leg and its party have agreed on: the descriptions that hold and those under way, moved by
 * the offer/answer machine (wire/sdp/oa_state.h) and by nothing else. */
#include "pbx/call_int.h"
#include "wire/sdp/oa.h"
#include "wire/sdp/oa_state.h"

/* We said something out of turn: a mistake of ours, which the trace and the counter show. */
static void out_of_turn(struct pbx *p, const struct leg *leg, enum oa_event e)
{
    const struct call *call = call_find(p, leg->call);
    p->calls->out_of_turn++;
    trace_emit(&p->trace, TRACE_OFFER_ANSWER, call->tag, TS(leg->call_id), TS(oa_event_name(e)),
               TS(oa_state_name((enum oa_state)leg->oa)));
}

/* Both descriptions hold: the media plane learns what they say. */
static void formats(struct pbx *p, struct leg *leg)
{
    const struct sdp *ours = leg_sdp_kept(p, leg->told), *theirs = leg_sdp_kept(p, leg->said);
    if (ours && theirs)
        transcode_formats(p, leg, ours, theirs);
}

unsigned leg_rx_offer(struct pbx *p, struct leg *leg, struct str offer)
{
    unsigned status = oa_step(&leg->oa, OA_RX_OFFER);
    if (!status)
        leg_keep(p, leg, &leg->offer, offer);
    return status;
}

void leg_tx_answer(struct pbx *p, struct leg *leg, struct str answer)
{
    if (oa_step(&leg->oa, OA_TX_ANSWER)) {
        out_of_turn(p, leg, OA_TX_ANSWER);
        return;
    }
    leg_keep(p, leg, &leg->said, STR_NONE);
    leg->said = leg->offer;
    leg->offer = STR_NONE;
    leg->said_answer = false;
    leg_keep(p, leg, &leg->told, answer);
    formats(p, leg);
}

void leg_tx_offer(struct pbx *p, struct leg *leg, struct str offer)
{
    if (oa_step(&leg->oa, OA_TX_OFFER))
        out_of_turn(p, leg, OA_TX_OFFER);
    else
        leg_keep(p, leg, &leg->asked, offer);
}

bool leg_rx_answer(struct pbx *p, struct leg *leg, struct str answer)
{
    if (oa_step(&leg->oa, OA_RX_ANSWER))
        return false;
    leg_keep(p, leg, &leg->told, STR_NONE);
    leg->told = leg->asked;
    leg->asked = STR_NONE;
    leg->said_answer = true;
    leg_keep(p, leg, &leg->said, answer);
    formats(p, leg);
    return true;
}

void leg_oa_failed(struct pbx *p, struct leg *leg)
{
    (void)oa_step(&leg->oa, OA_FAILED);
    leg_keep(p, leg, &leg->offer, STR_NONE);
    leg_keep(p, leg, &leg->asked, STR_NONE);
}

bool leg_has_agreed(const struct leg *leg)
{
    return leg->oa == OA_STABLE;
}

bool leg_awaits_answer(const struct leg *leg)
{
    return leg->oa == OA_LOCAL || leg->oa == OA_LOCAL_AGAIN;
}

bool leg_may_answer(struct pbx *p, const struct leg *leg, const struct sdp *answer)
{
    const struct sdp *asked = leg_sdp_kept(p, leg->asked);
    return !asked || sdp_overlap(answer, asked) != SDP_OVERLAP_NONE;
}

struct str leg_latest(const struct leg *leg)
{
    return leg->offer.n ? leg->offer : leg->said;
}
