/* Digest credentials (RFC 3261 section 22): asked for, given, refused. */
#include "analysis/explain_int.h"

#define CIRCLES 4

struct round {
    uint32_t challenge, request; /* messages; AN_NONE */
    bool had_credentials, stale;
};

/* What a message says of credentials; false if it was not kept. */
static bool look(struct explain *x, const struct an_leg *leg, uint32_t msg, struct round *r)
{
    size_t n = an_engine_bytes(x->e, &leg->msg[msg], x->bytes, SIP_MAX_BYTES);
    if (!n)
        return false;
    (void)sip_msg_parse(&x->m, x->bytes, n, false); /* what was indexed is enough */
    const struct sip_msg *m = &x->m;
    if (m->is_request) {
        r->had_credentials =
            sip_msg_has(m, SIP_H_AUTHORIZATION) || sip_msg_has(m, SIP_H_PROXY_AUTHORIZATION);
        return true;
    }
    struct str c =
        sip_msg_get(m, m->status == 401 ? SIP_H_WWW_AUTHENTICATE : SIP_H_PROXY_AUTHENTICATE);
    ptrdiff_t at = str_ifind(c, STR("stale"));
    r->stale = at >= 0 && str_ifind(str_from(c, (size_t)at), STR("true")) >= 0;
    return true;
}

static void challenged(struct explain *x, uint32_t i, const struct an_txn *t, bool last)
{
    const struct an_leg *leg = leg_of(x, i);
    struct round r = {0};
    enum an_rule rule = AN_R_ASKED;
    if (!look(x, leg, t->request, &r) || !look(x, leg, t->final, &r))
        return;
    if (r.had_credentials)
        rule = r.stale ? AN_R_STALE : AN_R_WRONG;
    else if (last)
        rule = AN_R_NOT_GIVEN;
    find(x, rule, i, t->final, leg->msg[t->final].at_ns);
    find_arg(x, side_name(x, leg, (enum an_side)leg->msg[t->request].side));
    if (rule == AN_R_ASKED)
        find_arg(x, msg_name(x, leg, &leg->msg[t->final]));
}

/* Does a request of the same method follow from the same side? */
static bool tried_again(const struct an_leg *leg, const struct an_txn *t)
{
    for (const struct an_txn *o = t + 1; o < leg->txn + leg->n_txns; o++)
        if (o->method == t->method && o->cseq > t->cseq && !o->hop)
            return true;
    return false;
}

void rule_auth(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_legs; i++) {
        uint32_t index = x->call->leg[i];
        const struct an_leg *leg = leg_of(x, index);
        for (uint32_t k = 0; k < leg->n_txns; k++) {
            const struct an_txn *t = &leg->txn[k];
            if ((t->status == 401 || t->status == 407) && t->request != AN_NONE && !t->hop)
                challenged(x, index, t, !tried_again(leg, t));
        }
        if (leg->challenges >= CIRCLES && leg->answer_ns == AN_NEVER) {
            find(x, AN_R_AUTH_LOOP, index, leg->final_msg, leg_end_ns(leg));
            find_arg(x, side_name(x, leg, AN_CALLER));
            find_u64(x, leg->challenges);
        }
    }
}
