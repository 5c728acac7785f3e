/* A request's way up: retransmissions and ACKs are absorbed by transactions, what no server may
 * accept is refused (RFC 3261 8.2), the rest goes to its dialog or to the user. */
#include "engine/sip/sip_int.h"

static void count_duplicate(struct sip_core *c, struct sip_txn *t)
{
    c->stats.retransmissions_received++;
    core_hist(c, t->tag, t->leg, HIST_DUPLICATE, t->method, t->cseq);
}

static void rx_again(struct sip_core *c, struct sip_txn *t)
{
    count_duplicate(c, t);
    if ((txn_step(c, t, TXN_EV_AGAIN) & TXN_DO_RESEND) && t->last) {
        c->stats.retransmissions_sent++;
        core_send(c, &t->flow, blob_ref(t->last));
    }
}

static void rx_ack(struct sip_core *c, const struct sip_msg *m)
{
    char mem[TXN_KEY_BYTES];
    struct sip_txn *t = txn_by_key(c, txn_server_key(c, m, SIP_INVITE, mem), true);
    if (t && t->state != TXN_ACCEPTED) {
        if (t->state == TXN_CONFIRMED)
            count_duplicate(c, t);
        txn_step(c, t, TXN_EV_ACK);
        if (t->state == TXN_TERMINATED)
            txn_free(c, t);
        return;
    }
    uas_ack(c, m); /* the ACK of a 2xx: a transaction of its own, for the dialog */
}

static bool is_sips(struct str nameaddr)
{
    struct sip_nameaddr na;
    return sip_nameaddr_parse(&na, nameaddr) == 0 && na.uri.scheme == SIP_SCHEME_SIPS;
}

/* RFC 3261 12.1.1: "If the request that initiated the dialog contained a SIPS URI in the
 * Request-URI or in the top Record-Route header field value, if there was any, or the Contact
 * header field if there was no Record-Route header field, the Contact header field in the response
 * MUST be a SIPS URI." */
static bool wants_sips(const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_RECORD_ROUTE);
    struct str top;
    if (m->ruri.scheme == SIP_SCHEME_SIPS)
        return true;
    if (sip_values_next(&it, &top))
        return is_sips(top);
    return m->contact.uri.whole.n && m->contact.uri.scheme == SIP_SCHEME_SIPS;
}

/* key: that of txn_server_key() for the request. */
static struct sip_txn *server_txn(struct sip_core *c, const struct sip_msg *m,
                                  const struct flow *flow, struct str tag, struct str key)
{
    struct flow to = respond_flow(c, m, flow);
    struct sip_txn *t =
        txn_new(c, m->method == SIP_INVITE ? TXN_IST : TXN_NIST, m->method, &to, key);
    if (!t)
        return NULL;
    t->cseq = m->cseq.number;
    t->head = respond_head(c, m, flow, tag);
    t->wants_answer = true;
    t->sips = wants_sips(m);
    if (!t->head) {
        txn_free(c, t);
        return NULL;
    }
    if (!m->to.tag.p)
        txn_merge_put(c, t, m);
    txn_step(c, t, TXN_EV_START);
    if (m->method == SIP_INVITE) /* a 100 within 200 ms: RFC 3261 17.2.1 */
        timer_start(&c->wheel, &t->retry, c->now + 200 * USEC_MS);
    return t;
}

/* RFC 3261 9.2: the CANCEL is answered on its own; the INVITE gets its 487 if it has no final
 * response yet. */
static void rx_cancel(struct sip_core *c, const struct sip_msg *m, const struct flow *flow,
                      struct str key)
{
    char mem[TXN_KEY_BYTES], tag[SIP_TAG_CHARS];
    struct sip_txn *invite = txn_by_key(c, txn_server_key(c, m, SIP_INVITE, mem), true);
    struct str to_tag = STR_NONE;
    struct sip_dialog *d = NULL;
    bool same = invite && invite->cseq == m->cseq.number;
    if (same && session_find(c, invite->session))
        d = session_dialog(c, session_find(c, invite->session));
    if (d) { /* "the To tag ... in the response to the CANCEL SHOULD be the same" */
        to_tag = str_of(d->local_tag, SIP_TAG_CHARS);
    } else {
        core_tag(c, tag);
        to_tag = str_of(tag, SIP_TAG_CHARS);
    }
    struct sip_txn *t = server_txn(c, m, flow, to_tag, key);
    if (!t)
        return;
    respond_simple(c, t, same ? 200 : 481);
    if (same && invite->state == TXN_PROCEEDING)
        uas_cancelled(c, invite, m);
}

/* ---- what RFC 3261 8.2 lets a server refuse before it looks at the meaning ------------------- */

/* Appends the tags of Require that we do not support. */
static void missing_extensions(struct sip_core *c, const struct sip_msg *m, struct buf *b)
{
    struct sip_values it = sip_values(m, SIP_H_REQUIRE);
    struct str tag, have;
    while (sip_values_next(&it, &tag)) {
        struct str rest = str_z(c->conf.supported);
        bool known = false;
        while (!known && sip_list_next(&rest, &have))
            known = str_ieq(have, tag);
        bool fits = tag.n + 2 <= b->cap - b->n;
        if (known || !sip_is_token(tag) || !fits)
            continue;
        if (b->n)
            buf_lit(b, ", ");
        buf_str_put(b, tag);
    }
}

static bool is_secure(uint8_t proto)
{
    return proto == PROTO_TLS || proto == PROTO_WSS;
}

static bool speaks_tls(const struct sip_core *c)
{
    for (unsigned i = 0; i < c->conf.n_listeners; i++)
        if (is_secure(c->conf.listener[i].proto))
            return true;
    return false;
}

/* A sips URI is a promise that every hop is secure: RFC 5630 section 5.1.2. It is not ours to keep
 * if the hop to us was not. */
static unsigned refuse_sips(struct sip_core *c, const struct sip_msg *m, const struct flow *flow,
                            struct buf *text, struct sip_field *field)
{
    bool makes_dialog = m->method == SIP_INVITE || m->method == SIP_SUBSCRIBE ||
                        m->method == SIP_REFER || m->method == SIP_REGISTER;
    if (!speaks_tls(c))
        return 416; /* "UASs that do not support the SIPS URI scheme at all" */
    if (!is_secure(flow->proto)) {
        buf_lit(text, "380 ");
        buf_z(text, c->conf.call_id_host);
        buf_lit(text, " \"SIPS Not Allowed\"");
        *field = (struct sip_field){.id = SIP_H_WARNING, .value = buf_str(text)};
        return 480;
    }
    if (makes_dialog && m->contact.uri.whole.n && m->contact.uri.scheme == SIP_SCHEME_SIP)
        return 400; /* "because the URIs are used inconsistently" */
    return 0;
}

/* 0, or the status that ends the request, with a header that says why. */
static unsigned refuse(struct sip_core *c, const struct sip_msg *m, const struct flow *flow,
                       struct buf *text, struct sip_field *field)
{
    if (m->method == SIP_METHOD_UNKNOWN)
        return 501; /* Allow is added by the response */
    if (m->ruri.scheme == SIP_SCHEME_OTHER)
        return 416;
    unsigned status = m->ruri.scheme == SIP_SCHEME_SIPS ? refuse_sips(c, m, flow, text, field) : 0;
    if (status)
        return status;
    missing_extensions(c, m, text);
    if (text->n && m->method != SIP_CANCEL) { /* RFC 3261 8.2.2.3 */
        *field = (struct sip_field){.id = SIP_H_UNSUPPORTED, .value = buf_str(text)};
        return 420;
    }
    return 0;
}

static bool is_exempt(const struct sip_core *c, const struct addr *peer)
{
    for (unsigned i = 0; i < c->conf.n_exempt; i++)
        if (addr_in_net(peer, &c->conf.exempt[i].ip, c->conf.exempt[i].prefix))
            return true;
    return false;
}

static bool over_limit(struct sip_core *c, const struct flow *flow)
{
    struct sip_field retry = {.id = SIP_H_RETRY_AFTER, .value = STR("5")};
    enum guard_verdict v = guard_take(c->guard, c->now, &flow->peer);
    if (v != GUARD_PASS && !is_exempt(c, &flow->peer)) {
        c->stats.rate_limited++;
        if (v == GUARD_REFUSE)
            respond_stateless(c, flow, 503, &retry);
        return true;
    }
    bool full = c->txns.used + 1 >= c->txns.cap ||
                c->pool.mapped_bytes >= c->pool.max_bytes - c->pool.max_bytes / 16;
    if (full) {
        c->stats.overload++;
        respond_stateless(c, flow, 503, &retry);
    }
    return full;
}

/* ---- the walk up ----------------------------------------------------------------------------- */

static void deliver(struct sip_core *c, const struct sip_msg *m, const struct flow *flow,
                    struct str tag, struct str key)
{
    struct sip_dialog *d = m->to.tag.n ? dialog_find(c, m) : NULL;
    struct sip_txn *t = server_txn(c, m, flow, tag, key);
    if (!t) {
        c->stats.overload++;
        struct sip_field retry = {.id = SIP_H_RETRY_AFTER, .value = STR("5")};
        respond_stateless(c, flow, 503, &retry);
        return;
    }
    char mem[512];
    struct buf text;
    struct sip_field field;
    buf_init(&text, mem, sizeof(mem));
    unsigned status = refuse(c, m, flow, &text, &field);
    if (status) {
        struct sip_answer a = {.status = (uint16_t)status};
        if (text.n)
            a.content = (struct sip_content){.field = &field, .n_fields = 1};
        respond_txn(c, t, &a, STR_NONE);
    } else if (d) {
        uas_in_dialog(c, d, t, m);
    } else if (m->to.tag.n && m->method != SIP_REGISTER && m->method != SIP_SUBSCRIBE) {
        /* RFC 3261 12.2.2. Dialogs of subscriptions are kept by the user of the engine. */
        respond_simple(c, t, 481);
    } else if (m->method == SIP_INVITE) {
        uas_invite(c, t, m, tag);
    } else if (m->method == SIP_BYE || m->method == SIP_PRACK || m->method == SIP_UPDATE) {
        respond_simple(c, t, 481); /* they exist only inside dialogs */
    } else {
        struct sip_out *o = core_emit(c, SIP_OUT_REQUEST);
        o->txn = txn_handle(c, t);
        o->msg = m;
        o->flow = *flow;
    }
}

void rx_request(struct sip_core *c, const struct flow *flow)
{
    const struct sip_msg *m = &c->msg;
    char mem[TXN_KEY_BYTES], tag[SIP_TAG_CHARS];
    c->stats.rx_requests++;
    c->stats.rx_method[m->method]++;
    if (m->method == SIP_ACK) {
        rx_ack(c, m);
        return;
    }
    struct str key = txn_server_key(c, m, m->method, mem);
    struct sip_txn *t = txn_by_key(c, key, true);
    if (t) {
        rx_again(c, t);
        return;
    }
    if (over_limit(c, flow))
        return;
    if (m->method == SIP_CANCEL) {
        rx_cancel(c, m, flow, key);
        return;
    }
    bool merged = !m->to.tag.n && txn_merged(c, m);
    if (merged || txn_loops(c, m)) { /* RFC 3261 8.2.2.2 */
        merged ? c->stats.merged++ : c->stats.loops++;
        respond_stateless(c, flow, 482, NULL);
        return;
    }
    if (m->method == SIP_REGISTER) /* no dialog: it need not be hard to guess */
        respond_tag(c, m, tag);
    else
        core_tag(c, tag);
    deliver(c, m, flow, str_of(tag, SIP_TAG_CHARS), key);
}
