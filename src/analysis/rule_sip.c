/* The letter of RFC 3261 and its kin, message by message. */
#include "analysis/explain_int.h"

static struct str sender(struct explain *x, const struct said *s)
{
    return side_name(x, s->leg, (enum an_side)s->msg->side);
}

static void say(struct explain *x, enum an_rule rule, const struct said *s, struct str about)
{
    find_said(x, rule, s);
    find_arg(x, about);
}

static struct str name(struct explain *x, const struct said *s)
{
    return msg_name(x, s->leg, s->msg);
}

static void grammar(struct explain *x, const struct said *s)
{
    if (!s->m->verdict || (s->msg->flags & AN_MSG_CUT))
        return;
    say(x, AN_R_MALFORMED, s, sender(x, s));
    find_arg(x, sip_verdict_text(s->m->verdict));
}

static void request_headers(struct explain *x, const struct said *s)
{
    const struct sip_msg *m = s->m;
    if (!str_istarts(m->via.branch, STR("z9hG4bK")))
        say(x, AN_R_NO_COOKIE, s, name(x, s));
    if (m->max_forwards < 0)
        say(x, AN_R_NO_MAX_FORWARDS, s, sender(x, s));
    if (m->method == SIP_INVITE && !sip_msg_has(m, SIP_H_CONTACT))
        say(x, AN_R_NO_CONTACT, s, name(x, s));
    if (sip_msg_get_name(m, STR("Requires")).p)
        say(x, AN_R_REQUIRES, s, sender(x, s));
}

static void response_headers(struct explain *x, const struct said *s)
{
    const struct sip_msg *m = s->m;
    if (m->status > 100 && !m->to.tag.n)
        say(x, AN_R_NO_TO_TAG, s, name(x, s));
    if (m->method == SIP_INVITE && m->status >= 200 && m->status < 300 &&
        !sip_msg_has(m, SIP_H_CONTACT))
        say(x, AN_R_NO_CONTACT, s, name(x, s));
}

static void record_route(struct explain *x, const struct said *s)
{
    struct sip_values it = sip_values(s->m, SIP_H_RECORD_ROUTE);
    struct str value;
    struct sip_nameaddr n;
    while (sip_values_next(&it, &value))
        if (sip_nameaddr_parse(&n, value) == 0 && !n.uri.lr) {
            say(x, AN_R_LOOSE_ROUTE, s, sender(x, s));
            return;
        }
}

/* ---- what belongs to an INVITE --------------------------------------------------------------- */

static const struct an_txn *invite_of(const struct an_leg *leg, uint32_t cseq)
{
    for (uint32_t i = leg->n_txns; i-- > 0;)
        if (leg->txn[i].method == SIP_INVITE && leg->txn[i].cseq == cseq &&
            leg->txn[i].request != AN_NONE)
            return &leg->txn[i];
    return NULL;
}

static void ack(struct explain *x, const struct said *s)
{
    const struct an_txn *invite = invite_of(s->leg, s->m->cseq.number);
    bool own = s->msg->txn != AN_NONE && s->leg->txn[s->msg->txn].method == SIP_ACK;
    if (!invite || !invite->status || (s->msg->flags & AN_MSG_HOP))
        return;
    if (invite->status >= 300 && own)
        say(x, AN_R_ACK_BRANCH, s, sender(x, s));
    else if (invite->status < 300 && !own)
        say(x, AN_R_ACK_BRANCH_2XX, s, sender(x, s));
}

/* Branch and number of the INVITE (RFC 3261 section 9.1): its transaction key, but for the method,
 * is that of one seen before. */
static void cancel(struct explain *x, const struct said *s)
{
    if (invite_of(s->leg, s->m->cseq.number) || s->leg->invite_msg == AN_NONE)
        return;
    say(x, AN_R_CANCEL_CSEQ, s, sender(x, s));
}

static void notify(struct explain *x, const struct said *s)
{
    struct str state = sip_msg_get(s->m, SIP_H_SUBSCRIPTION_STATE);
    ptrdiff_t semi = str_chr(state, ';');
    struct str word = str_trim(semi < 0 ? state : str_sub(state, 0, (size_t)semi));
    if (!str_ieq(word, STR("active")) && !str_ieq(word, STR("pending")) &&
        !str_ieq(word, STR("terminated")))
        say(x, AN_R_SUBSCRIPTION_STATE, s, sender(x, s));
    if (str_istarts(sip_msg_get(s->m, SIP_H_EVENT), STR("refer")) &&
        !str_starts(s->m->body, STR("SIP/2.0 ")))
        say(x, AN_R_SIPFRAG, s, sender(x, s));
}

void rule_sip_said(struct explain *x, const struct said *s)
{
    grammar(x, s);
    if (s->m->verdict)
        return;
    if (s->m->is_request)
        request_headers(x, s);
    else
        response_headers(x, s);
    record_route(x, s);
    if (s->m->is_request && s->m->method == SIP_ACK)
        ack(x, s);
    else if (s->m->is_request && s->m->method == SIP_CANCEL)
        cancel(x, s);
    else if (s->m->is_request && s->m->method == SIP_NOTIFY)
        notify(x, s);
}

/* ---- what a whole leg shows ------------------------------------------------------------------ */

/* RFC 3261 section 12.2.1.1: within a dialog the numbers of one side grow. ACK and CANCEL repeat
 * that of their INVITE. */
static void numbers(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    uint32_t last[2] = {0, 0};
    for (uint32_t k = 0; k < leg->n_msgs; k++) {
        const struct an_msg *m = &leg->msg[k];
        bool counts = !m->status && m->method != SIP_ACK && m->method != SIP_CANCEL &&
                      !(m->flags & (AN_MSG_RETRANS | AN_MSG_HOP | AN_MSG_COPY));
        if (!counts)
            continue;
        if (m->cseq < last[m->side]) {
            find(x, AN_R_CSEQ_BACK, i, k, m->at_ns);
            find_arg(x, side_name(x, leg, (enum an_side)m->side));
            find_u64(x, last[m->side]);
            find_u64(x, m->cseq);
        }
        last[m->side] = m->cseq;
    }
}

/* RFC 3264 section 6: as many media lines as were offered, in their order. */
static void answers(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    for (uint32_t k = 1; k < leg->n_sdps; k++) {
        const struct an_sdp *a = &leg->sdp[k], *o = &leg->sdp[k - 1];
        if (!a->answer || o->answer || o->side == a->side || o->n_media == a->n_media)
            continue;
        find(x, AN_R_ANSWER_LINES, i, a->msg, a->at_ns);
        find_arg(x, side_name(x, leg, (enum an_side)a->side));
        find_u64(x, a->n_media);
        find_u64(x, o->n_media);
    }
}

static bool has_prack(const struct an_leg *leg)
{
    for (uint32_t i = 0; i < leg->n_txns; i++)
        if (leg->txn[i].method == SIP_PRACK)
            return true;
    return false;
}

/* RFC 3262 section 3. Only where the INVITE went on long enough for one to be due. */
static void reliable(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    if (has_prack(leg))
        return;
    for (uint32_t k = 0; k < leg->n_msgs; k++) {
        const struct an_msg *m = &leg->msg[k];
        bool may = m->method == SIP_INVITE && m->status > 100 && m->status < 200 &&
                   leg->last_ns - m->at_ns > 2000000000ull;
        size_t n = may ? an_engine_bytes(x->e, m, x->bytes, SIP_MAX_BYTES) : 0;
        if (!n)
            continue;
        (void)sip_msg_parse(&x->m, x->bytes, n, false); /* what was indexed is enough */
        if (!sip_msg_lists(&x->m, SIP_H_REQUIRE, STR("100rel")))
            continue;
        find(x, AN_R_NO_PRACK, i, k, m->at_ns);
        find_arg(x, msg_name(x, leg, m));
        return;
    }
}

void rule_sip(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_legs; i++) {
        numbers(x, x->call->leg[i]);
        answers(x, x->call->leg[i]);
        reliable(x, x->call->leg[i]);
    }
}
