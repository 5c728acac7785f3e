/* Calls that a timer ended. */
#include "analysis/explain_int.h"

#define SECOND     1000000000ull
#define NEAR_NS    (2 * SECOND)
#define ACK_CUT_NS (32 * SECOND)
#define RTP_CUT_NS (20 * SECOND)

/* The interval and the last refresh, from the messages (RFC 4028). */
struct session {
    uint64_t interval_s, refreshed_ns;
    uint32_t msg;
};

static void session_look(struct explain *x, const struct an_leg *leg, struct session *out)
{
    for (uint32_t i = 0; i < leg->n_msgs; i++) {
        const struct an_msg *m = &leg->msg[i];
        bool may = m->status >= 200 && m->status < 300 &&
                   (m->method == SIP_INVITE || m->method == SIP_UPDATE);
        size_t n = may ? an_engine_bytes(x->e, m, x->bytes, SIP_MAX_BYTES) : 0;
        if (!n)
            continue;
        (void)sip_msg_parse(&x->m, x->bytes, n, false); /* what was indexed is enough */
        struct str v = sip_msg_get(&x->m, SIP_H_SESSION_EXPIRES);
        ptrdiff_t semi = str_chr(v, ';');
        uint32_t seconds;
        out->refreshed_ns = m->at_ns;
        if (sip_delta_parse(&seconds, str_trim(semi < 0 ? v : str_sub(v, 0, (size_t)semi))))
            continue;
        out->interval_s = seconds;
        out->msg = i;
    }
}

static void session_cut(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    struct session s = {.msg = AN_NONE};
    if (leg->bye_ns == AN_NEVER)
        return;
    session_look(x, leg, &s);
    if (!s.interval_s || leg->bye_ns < s.refreshed_ns)
        return;
    /* Section 10: the other side ends it at the interval less min(32 s, a third). */
    uint64_t third = s.interval_s / 3, early = third < 32 ? third : 32;
    uint64_t since = leg->bye_ns - s.refreshed_ns;
    if (since + NEAR_NS < (s.interval_s - early) * SECOND || since > (s.interval_s + 33) * SECOND)
        return;
    find(x, AN_R_SESSION_CUT, i, leg->bye_msg, leg->bye_ns);
    find_span(x, since);
    find_span(x, s.interval_s * SECOND);
    find_frame(x, i, s.msg);
}

static void ack_cut(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    if (leg->bye_ns == AN_NEVER || leg->answer_ns == AN_NEVER || leg->ack_ns != AN_NEVER)
        return;
    uint64_t after = leg->bye_ns - leg->answer_ns;
    if (after + 3 * SECOND < ACK_CUT_NS || after > ACK_CUT_NS + 3 * SECOND)
        return;
    find(x, AN_R_ACK_CUT, i, leg->bye_msg, leg->bye_ns);
    find_span(x, after);
}

static void rtp_cut(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    struct an_rtp_side side[2];
    if (leg->bye_ns == AN_NEVER || leg->held[0] || leg->held[1])
        return;
    for (unsigned k = 0; k < 2; k++) {
        an_rtp_leg_side(an_engine_rtp(x->e), i, (enum an_side)k, &side[k]);
        if (!side[k].packets || leg->bye_ns < side[k].last_ns + RTP_CUT_NS)
            continue;
        find(x, AN_R_RTP_CUT, i, leg->bye_msg, leg->bye_ns);
        find_span(x, leg->bye_ns - side[k].last_ns);
        find_arg(x, side_name(x, leg, (enum an_side)k));
        return;
    }
}

void rule_timer(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_legs; i++) {
        uint32_t index = x->call->leg[i];
        const struct an_leg *leg = leg_of(x, index);
        for (uint32_t k = 0; k < leg->n_txns; k++)
            if (leg->txn[k].status == 422) {
                find(x, AN_R_SESSION_SMALL, index, leg->txn[k].final,
                     leg->msg[leg->txn[k].final].at_ns);
                find_arg(x, side_name(x, leg, AN_CALLEE));
            }
        session_cut(x, index);
        ack_cut(x, index);
        rtp_cut(x, index);
    }
}
