/* What one message means for the call that a leg is: its times, how it ended and by whom. */
#include "analysis/engine_int.h"

#define MAX_TEXT 160

static void first_time(uint64_t *when, uint64_t now)
{
    if (*when == AN_NEVER)
        *when = now;
}

/* RFC 3326. A Reason of the proxy or PBX that somebody else has answered: SIP;cause=200. */
static void reason_note(struct track *t)
{
    struct str reason = sip_msg_get(t->m, SIP_H_REASON);
    if (!reason.n)
        return;
    t->leg->reason = an_text_put(&t->leg->text, reason, MAX_TEXT);
    struct str cause = sip_param_get(str_from(reason, 3), STR("cause"));
    t->leg->elsewhere |= (str_istarts(reason, STR("SIP")) && str_eq(cause, STR("200"))) ||
                         str_ifind(reason, STR("completed elsewhere")) >= 0;
}

static void rx_invite(struct track *t)
{
    struct an_leg *leg = t->leg;
    if (t->msg->flags & AN_MSG_IN_DIALOG)
        return; /* a re-INVITE: its description says all */
    if (leg->answer_ns != AN_NEVER)
        return;
    /* Once more, with credentials or after a redirection. */
    leg->invite_ns = t->d->at_ns;
    leg->invite_msg = t->index;
    leg->final = 0;
    leg->final_msg = AN_NONE;
    leg->end_ns = AN_NEVER;
    leg->offer = 0;
}

/* Only of the INVITE that began the call: one of a re-INVITE ends nothing. */
static void rx_cancel(struct track *t)
{
    struct an_leg *leg = t->leg;
    bool first = leg->invite_msg == AN_NONE || leg->msg[leg->invite_msg].cseq == t->m->cseq.number;
    if (!first || leg->cancel_ns != AN_NEVER)
        return;
    leg->cancel_ns = t->d->at_ns;
    leg->cancel_msg = t->index;
    reason_note(t);
}

static void rx_request(struct track *t)
{
    struct an_leg *leg = t->leg;
    switch (t->m->method) {
    case SIP_INVITE:
        rx_invite(t);
        break;
    case SIP_ACK:
        if (leg->answer_ns != AN_NEVER)
            first_time(&leg->ack_ns, t->d->at_ns);
        break;
    case SIP_CANCEL:
        rx_cancel(t);
        break;
    case SIP_BYE:
        if (leg->bye_ns == AN_NEVER) {
            leg->bye_ns = leg->end_ns = t->d->at_ns;
            leg->bye_side = t->msg->side;
            leg->bye_msg = t->index;
        }
        reason_note(t);
        break;
    case SIP_REFER:
        track_refer(t);
        break;
    case SIP_NOTIFY:
        track_notify(t);
        break;
    default:
        break;
    }
}

static void rx_provisional(struct track *t)
{
    struct an_leg *leg = t->leg;
    if (t->m->status == 100)
        first_time(&leg->trying_ns, t->d->at_ns);
    else if (t->m->status == 180 || t->m->status == 182)
        first_time(&leg->ringing_ns, t->d->at_ns);
    else if (t->m->status == 183)
        first_time(&leg->progress_ns, t->d->at_ns);
}

static void rx_answer(struct track *t)
{
    struct an_leg *leg = t->leg;
    if (leg->answer_ns != AN_NEVER)
        return; /* of a re-INVITE, or another branch of a fork */
    leg->answer_ns = t->d->at_ns;
    leg->answer_msg = t->index;
    leg->final = t->m->status;
    leg->final_msg = t->index;
    track_answerer(t);
}

static void rx_failure(struct track *t)
{
    struct an_leg *leg = t->leg;
    bool challenged = t->m->status == 401 || t->m->status == 407;
    leg->challenges += challenged;
    track_sdp_refused(t, t->txn->request);
    if (leg->answer_ns != AN_NEVER)
        return; /* a re-INVITE failed, the call goes on */
    leg->final = t->m->status;
    leg->final_msg = t->index;
    leg->end_ns = t->d->at_ns;
    reason_note(t);
}

static void rx_invite_response(struct track *t)
{
    if (t->m->status < 200)
        rx_provisional(t);
    else if (t->m->status < 300)
        rx_answer(t);
    else
        rx_failure(t);
}

static void rx_response(struct track *t)
{
    struct an_leg *leg = t->leg;
    switch (t->m->method) {
    case SIP_INVITE:
        rx_invite_response(t);
        break;
    case SIP_BYE:
        if (t->m->status >= 200 && leg->bye_ns != AN_NEVER)
            leg->end_ns = t->d->at_ns;
        break;
    case SIP_REFER:
        track_refer_answer(t);
        break;
    default:
        if (t->m->status == 401 || t->m->status == 407)
            leg->challenges++;
        if (leg->kind != AN_LEG_CALL && t->m->status >= 200) {
            leg->final = t->m->status;
            leg->final_msg = t->index;
        }
        if (t->m->method == SIP_UPDATE && t->m->status >= 300)
            track_sdp_refused(t, t->txn->request);
        break;
    }
}

void track_call(struct track *t)
{
    if (t->m->is_request)
        rx_request(t);
    else
        rx_response(t);
}
