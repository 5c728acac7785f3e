/* Why an attempt failed, and what never came. */
#include "analysis/explain_int.h"

#define LONG_PDD_NS (5ull * 1000000000)
#define PATIENCE_NS (32ull * 1000000000) /* 64*T1: Timers B, F and H */
#define OFTEN       2

struct cause {
    uint16_t status;
    uint8_t rule;
};

static enum an_rule rule_of(uint16_t status)
{
    static const struct cause causes[] = {
        {486, AN_R_BUSY},           {600, AN_R_BUSY},           {603, AN_R_DECLINED},
        {607, AN_R_DECLINED},       {480, AN_R_NOT_THERE},      {408, AN_R_NO_ANSWER},
        {504, AN_R_NO_ANSWER},      {404, AN_R_NO_SUCH},        {410, AN_R_NO_SUCH},
        {484, AN_R_NO_SUCH},        {485, AN_R_NO_SUCH},        {604, AN_R_NO_SUCH},
        {403, AN_R_FORBIDDEN},      {488, AN_R_NOT_ACCEPTABLE}, {606, AN_R_NOT_ACCEPTABLE},
        {415, AN_R_NOT_ACCEPTABLE}, {482, AN_R_LOOPED},         {483, AN_R_LOOPED},
    };
    for (unsigned i = 0; i < ARRAY_LEN(causes); i++)
        if (causes[i].status == status)
            return (enum an_rule)causes[i].rule;
    return status >= 500 && status < 600 ? AN_R_SERVER_FAILED : AN_R_NOT_UNDERSTOOD;
}

/* A refusal that an exchange only passes on was told where it came from. */
static bool passed_on(const struct explain *x, const struct an_leg *leg, uint16_t status)
{
    if (leg != leg_of(x, x->call->leg[0]))
        return false;
    for (uint32_t i = 1; i < x->call->n_legs; i++)
        if (leg_of(x, x->call->leg[i])->final == status && leg_is_child(x, x->call->leg[i]))
            return true;
    return false;
}

static void quote(struct explain *x, const struct said *s, enum sip_hdr_id id, enum an_rule rule)
{
    struct str value = sip_msg_get(s->m, id);
    if (!value.n)
        return;
    find_said(x, rule, s);
    find_arg(x, str_sub(value, 0, 200));
}

static void refused(struct explain *x, const struct said *s)
{
    const struct an_leg *leg = s->leg;
    char mem[96];
    struct buf b;
    bool moved = s->m->status < 400;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, s->m->status);
    buf_ch(&b, ' ');
    buf_str_put(&b, str_sub(s->m->reason, 0, 60));
    find_said(x, moved ? AN_R_REDIRECTED : rule_of(s->m->status), s);
    find_arg(x, side_name(x, leg, AN_CALLEE));
    find_arg(x, buf_str(&b));
    if (moved)
        find_arg(x, s->m->contact.uri.whole);
    quote(x, s, SIP_H_WARNING, AN_R_WARNED);
    quote(x, s, SIP_H_REASON, AN_R_REASON);
}

void rule_failure_said(struct explain *x, const struct said *s)
{
    bool credentials = s->m->status == 401 || s->m->status == 407;
    if (s->msg->flags & AN_MSG_HOP)
        return;
    if (!s->m->is_request && s->m->method == SIP_INVITE && s->m->status >= 300 && !credentials &&
        s->m->status != 487 && s->leg->answer_ns == AN_NEVER && !passed_on(x, s->leg, s->m->status))
        refused(x, s);
    if (s->m->is_request && s->m->method == SIP_BYE && !s->leg->elsewhere)
        quote(x, s, SIP_H_REASON, AN_R_REASON);
}

/* ---- what never came ------------------------------------------------------------------------- */

static uint64_t sent_for(const struct an_leg *leg, const struct an_txn *t)
{
    uint64_t last = t->first_ns;
    for (uint32_t i = 0; i < leg->n_msgs; i++)
        if (leg->msg[i].txn == (uint32_t)(t - leg->txn) && !leg->msg[i].status)
            last = leg->msg[i].at_ns;
    return last - t->first_ns;
}

static void unanswered(struct explain *x, uint32_t i, const struct an_txn *t)
{
    const struct an_leg *leg = leg_of(x, i);
    const struct an_msg *m = &leg->msg[t->request];
    if (t->method == SIP_ACK || t->hop || leg_unseen(leg) != AN_NOBODY)
        return;
    if (t->method != SIP_INVITE) {
        if (t->sent <= OFTEN)
            return;
        find(x, AN_R_REQUEST_UNANSWERED, i, t->request, t->first_ns);
        find_arg(x, msg_name(x, leg, m));
        find_u64(x, t->sent);
        return;
    }
    if (t->provisional == AN_NONE && t->sent > OFTEN) {
        find(x, AN_R_NO_RESPONSE, i, t->request, t->first_ns);
        find_arg(x, side_name(x, leg, (enum an_side) !m->side));
        find_u64(x, t->sent);
        find_span(x, sent_for(leg, t));
    } else if (t->provisional != AN_NONE && leg->cancel_ns == AN_NEVER) {
        find(x, AN_R_NO_FINAL, i, t->provisional, leg->last_ns);
        find_arg(x, side_name(x, leg, (enum an_side) !m->side));
        find_u64(x, leg->msg[t->provisional].status);
        find_span(x, x->e->last_ns - leg->msg[t->provisional].at_ns);
    }
}

static void repeated(struct explain *x, uint32_t i, const struct an_txn *t)
{
    const struct an_leg *leg = leg_of(x, i);
    bool answered = t->final != AN_NONE;
    if (answered && t->sent > 1) {
        find(x, AN_R_REPEATED, i, t->request, t->first_ns);
        find_arg(x, msg_name(x, leg, &leg->msg[t->request]));
        find_u64(x, t->sent);
    }
    bool lost_ack = t->method == SIP_INVITE && t->status < 300 && t->ack == AN_NONE;
    if (answered && t->answered > OFTEN && leg_unseen(leg) == AN_NOBODY) {
        find(x, lost_ack ? AN_R_NO_ACK : AN_R_REPEATED, i, t->final, leg->msg[t->final].at_ns);
        if (!lost_ack)
            find_arg(x, msg_name(x, leg, &leg->msg[t->final]));
        find_u64(x, t->answered);
    }
}

static void slow(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    uint64_t sign = leg->ringing_ns < leg->progress_ns ? leg->ringing_ns : leg->progress_ns;
    if (sign > leg->answer_ns)
        sign = leg->answer_ns;
    if (leg->invite_ns == AN_NEVER || sign == AN_NEVER || sign - leg->invite_ns < LONG_PDD_NS ||
        leg_unseen(leg) == AN_CALLEE)
        return;
    find(x, AN_R_LONG_PDD, i, AN_NONE, sign);
    find_arg(x, side_name(x, leg, AN_CALLEE));
    find_span(x, sign - leg->invite_ns);
}

static void crossed(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    if (leg->cancel_ns == AN_NEVER || leg->answer_ns == AN_NEVER)
        return;
    find(x, AN_R_CROSSED, i, leg->answer_msg, leg->answer_ns);
    find_frame(x, i, leg->cancel_msg);
}

void rule_failure(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_legs; i++) {
        uint32_t index = x->call->leg[i];
        const struct an_leg *leg = leg_of(x, index);
        for (uint32_t k = 0; k < leg->n_txns; k++) {
            const struct an_txn *t = &leg->txn[k];
            if (t->request == AN_NONE)
                continue;
            if (t->final == AN_NONE && x->e->last_ns > t->first_ns + PATIENCE_NS / 64)
                unanswered(x, index, t);
            repeated(x, index, t);
        }
        slow(x, index);
        crossed(x, index);
    }
}
