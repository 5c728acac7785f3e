/* Responses: where they go and what they carry. RFC 3261 8.2.6, 18.2; RFC 3581. */
#include "engine/sip/sip_int.h"

#define ANSWER_ROOM 2048 /* of a message, for what a bare answer adds to the lines it repeats */

/* The peer is behind NAT when its Via names another numeric host than it sends from. */
static bool via_is_natted(const struct sip_msg *m, const struct flow *flow)
{
    struct addr sent_by;
    return addr_parse(&sent_by, m->via.host, 0) == 0 && !addr_ip_eq(&sent_by, &flow->peer);
}

struct flow respond_flow(const struct sip_core *c, const struct sip_msg *m, const struct flow *flow)
{
    struct flow to = *flow;
    /* RFC 3581 section 4: with rport, back to where it came from. Without, to the source address
     * and the port of sent-by (RFC 3261 18.2.2), unless NAT makes that pointless. maddr is not
     * followed: it would let a request choose whom we send to. */
    if (flow->proto == PROTO_UDP && !m->via.has_rport && !via_is_natted(m, flow))
        to.peer.port = m->via.port ? m->via.port : 5060;
    return to;
}

static void put_top_via(struct buf *b, const struct sip_msg *m, const struct flow *flow)
{
    struct str v = m->via.whole;
    const struct addr *peer = &flow->peer;
    struct addr sent_by;
    bool differs = addr_parse(&sent_by, m->via.host, 0) || !addr_ip_eq(&sent_by, peer);
    buf_lit(b, "Via: ");
    if (!m->via.has_rport && !differs) {
        sip_put_unfolded(b, v);
        buf_lit(b, "\r\n");
        return;
    }
    /* Everything but received and rport as it was, then ours. */
    ptrdiff_t semi = str_chr(v, ';');
    sip_put_unfolded(b, semi < 0 ? v : str_trim(str_sub(v, 0, (size_t)semi)));
    struct str rest = semi < 0 ? STR_NONE : str_from(v, (size_t)semi + 1), name, value;
    while (sip_param_next(&rest, &name, &value)) {
        if (str_ieq(name, STR("rport")) || str_ieq(name, STR("received")))
            continue;
        buf_ch(b, ';');
        buf_str_put(b, name);
        if (value.n) {
            buf_ch(b, '=');
            sip_put_unfolded(b, value);
        }
    }
    buf_lit(b, ";received=");
    addr_put_ip(b, peer);
    if (m->via.has_rport) {
        buf_lit(b, ";rport=");
        buf_u64(b, peer->port);
    }
    buf_lit(b, "\r\n");
}

static void put_vias(struct buf *b, const struct sip_msg *m, const struct flow *flow)
{
    struct sip_values it = sip_values(m, SIP_H_VIA);
    struct str v;
    bool top = true;
    while (sip_values_next(&it, &v)) {
        if (top) {
            put_top_via(b, m, flow);
        } else {
            buf_lit(b, "Via: ");
            sip_put_unfolded(b, v);
            buf_lit(b, "\r\n");
        }
        top = false;
    }
}

static void put_field(struct buf *b, struct str name, struct str value)
{
    if (!value.p)
        return;
    buf_str_put(b, name);
    buf_lit(b, ": ");
    sip_put_unfolded(b, value);
    buf_lit(b, "\r\n");
}

static void put_head(struct buf *b, const struct sip_msg *m, const struct flow *flow,
                     struct str to_tag)
{
    struct str v;
    put_vias(b, m, flow);
    if (m->method == SIP_INVITE || m->method == SIP_SUBSCRIBE || m->method == SIP_REFER) {
        struct sip_values it = sip_values(m, SIP_H_RECORD_ROUTE);
        while (sip_values_next(&it, &v))
            put_field(b, STR("Record-Route"), v);
    }
    put_field(b, STR("From"), sip_msg_get(m, SIP_H_FROM));
    buf_lit(b, "To: ");
    sip_put_unfolded(b, sip_msg_get(m, SIP_H_TO));
    if (!m->to.tag.p && to_tag.n) {
        buf_lit(b, ";tag=");
        buf_str_put(b, to_tag);
    }
    buf_lit(b, "\r\n");
    put_field(b, STR("Call-ID"), m->call_id);
    buf_lit(b, "CSeq: ");
    buf_u64(b, m->cseq.number);
    buf_ch(b, ' ');
    buf_str_put(b, m->cseq.method_text);
    buf_lit(b, "\r\n");
    if (m->method == SIP_INVITE || m->method == SIP_OPTIONS)
        put_field(b, STR("Timestamp"), sip_msg_get(m, SIP_H_TIMESTAMP));
}

struct blob *respond_head(struct sip_core *c, const struct sip_msg *m, const struct flow *flow,
                          struct str to_tag)
{
    struct buf b;
    buf_init(&b, c->tx, sizeof(c->tx));
    put_head(&b, m, flow, to_tag);
    /* What leaves no room for an answer is not taken: nothing could ever end it. */
    bool too_long = b.full || b.n > sizeof(c->tx) - ANSWER_ROOM;
    return too_long ? NULL : blob_copy(&c->pool, buf_str(&b));
}

void respond_tag(const struct sip_core *c, const struct sip_msg *m, char tag[SIP_TAG_CHARS])
{
    struct buf b;
    uint64_t h = hash_str(&c->by_merge, m->call_id) ^ hash_str(&c->by_key, m->via.branch);
    _Static_assert(sizeof(h) * 2 == SIP_TAG_CHARS, "the digits fill the tag");
    buf_init(&b, tag, SIP_TAG_CHARS);
    buf_hex(&b, &h, sizeof(h));
}

void respond_stateless(struct sip_core *c, const struct flow *flow, unsigned status,
                       const struct sip_field *field)
{
    const struct sip_msg *m = &c->msg;
    struct flow to = respond_flow(c, m, flow);
    struct sip_build w;
    struct str text;
    char tag[SIP_TAG_CHARS];
    respond_tag(c, m, tag);
    bool refused = m->verdict != SIP_OK;
    struct str reason = refused ? sip_verdict_text(m->verdict) : sip_status_reason(status);
    sip_build_response(&w, c->tx, sizeof(c->tx), status, reason);
    put_head(&w.b, m, flow, str_of(tag, sizeof(tag)));
    if (field)
        sip_build_hdr(&w, field->id, field->value);
    if (c->conf.server_name[0])
        sip_build_hdr(&w, SIP_H_SERVER, str_z(c->conf.server_name));
    if (addr_is_multicast(&to.peer) || sip_build_done(&w, STR_NONE, STR_NONE, &text))
        return;
    struct blob *b = blob_copy(&c->pool, text);
    if (!b)
        return;
    c->stats.tx_responses++;
    c->stats.tx_status[status / 100]++;
    core_send(c, &to, b);
}

static void put_one(struct sip_build *w, const struct sip_field *f)
{
    if (f->id == SIP_H_OTHER)
        sip_build_hdr_name(w, f->name, f->value);
    else
        sip_build_hdr(w, f->id, f->value);
}

void respond_put_fields(struct sip_build *w, const struct sip_content *content)
{
    for (unsigned i = 0; i < content->n_fields; i++)
        put_one(w, &content->field[i]);
}

int respond_build(struct sip_core *c, const struct sip_txn *txn, const struct sip_answer *a,
                  struct str contact, struct blob **ret)
{
    struct sip_build w;
    struct str text;
    sip_build_response(&w, c->tx, sizeof(c->tx), a->status,
                       a->reason.p ? a->reason : sip_status_reason(a->status));
    buf_str_put(&w.b, blob_str(txn->head));
    if (contact.p)
        sip_build_hdr(&w, SIP_H_CONTACT, contact);
    bool advertise = (txn->method == SIP_INVITE && a->status > 100 && a->status < 300) ||
                     (txn->method == SIP_UPDATE && a->status / 100 == 2) ||
                     (txn->method == SIP_OPTIONS && a->status < 300) || a->status == 405 ||
                     a->status == 501;
    if (advertise) {
        sip_build_hdr(&w, SIP_H_ALLOW, str_z(c->conf.allow));
        const char *tags = txn->method == SIP_OPTIONS ? c->conf.supported : c->conf.supported_call;
        if (a->status < 300 && tags[0])
            sip_build_hdr(&w, SIP_H_SUPPORTED, str_z(tags));
    }
    if (a->status / 100 == 2)
        stimer_write_answer(c, session_find(c, txn->session), (enum sip_method)txn->method, &w);
    if (c->conf.server_name[0])
        sip_build_hdr(&w, SIP_H_SERVER, str_z(c->conf.server_name));
    respond_put_fields(&w, &a->content);
    int err = sip_build_done(&w, a->content.type, a->content.body, &text);
    if (err)
        return err;
    struct blob *b = blob_copy(&c->pool, text);
    if (!b)
        return -ENOMEM;
    *ret = b;
    return 0;
}

int respond_txn(struct sip_core *c, struct sip_txn *txn, const struct sip_answer *a,
                struct str contact)
{
    struct blob *b;
    if (!txn->head)
        return -EALREADY;
    int err = respond_build(c, txn, a, contact, &b);
    if (err) {
        struct sip_answer bare = {.status = 500};
        if (a->status < 200)
            return err;
        if (respond_build(c, txn, &bare, STR_NONE, &b)) { /* no memory: the peer asks again */
            txn_free(c, txn);
            return err;
        }
        txn_send_response(c, txn, 500, b, false);
        return err;
    }
    txn_send_response(c, txn, a->status, b, a->after_commit);
    return 0;
}

int respond_simple(struct sip_core *c, struct sip_txn *txn, unsigned status)
{
    struct sip_answer a = {.status = (uint16_t)status};
    return respond_txn(c, txn, &a, STR_NONE);
}

void respond_forget(struct sip_core *c, handle_t txn)
{
    struct sip_txn *t = txn_find(c, txn);
    if (t && t->state == TXN_COMPLETED)
        txn_free(c, t);
}

int sip_respond(struct sip_core *c, usec_t now, handle_t txn, const struct sip_answer *a)
{
    core_enter_cmd(c, now);
    struct sip_txn *t = txn_find(c, txn);
    if (!t || (t->kind != TXN_NIST && t->kind != TXN_IST) || !t->wants_answer)
        return -ENOENT;
    struct sip_session *s = session_find(c, t->session);
    char mem[300];
    struct buf contact;
    buf_init(&contact, mem, sizeof(mem));
    /* A 2xx inside a dialog refreshes the target at the peer (RFC 3261 12.2.2). */
    bool refresh =
        s && (t->method == SIP_UPDATE || t->method == SIP_SUBSCRIBE || t->method == SIP_REFER ||
              (t->method == SIP_OPTIONS && s->focus)); /* RFC 4579 section 4.3 */
    bool makes_dialog = !s && (t->method == SIP_SUBSCRIBE || t->method == SIP_REFER);
    if (refresh && a->status < 300)
        session_contact(c, s, &t->flow, &contact);
    else if (makes_dialog && a->status > 100 && a->status < 300) /* RFC 6665 section 4.1.2.1 */
        request_contact(c, &contact, STR(""), &t->flow, t->sips);
    if (a->status >= 200)
        t->wants_answer = false;
    t->answer_delay = a->delay;
    /* With little room left, what belongs to nothing is not remembered either; a session may be
     * over before its last request is answered. */
    bool bound = t->session || t->method == SIP_REGISTER || (makes_dialog && a->status / 100 == 2);
    bool once = a->once || (!bound && c->txns.used > c->txns.cap / 2);
    bool refreshed =
        s && s->state >= SES_ANSWERED && t->method == SIP_UPDATE && a->status / 100 == 2;
    int err = respond_txn(c, t, a, contact.n ? buf_str(&contact) : STR_NONE);
    struct sip_dialog *d =
        s && t->method == SIP_UPDATE && a->status / 100 == 2 ? session_dialog(c, s) : NULL;
    if (d)
        dialog_refresh_accepted(c, d);
    if (refreshed)
        stimer_uas_ok(c, s);
    if (s && t->method == SIP_PRACK && a->status >= 200)
        rel_answered(c, s);
    if (once)
        respond_forget(c, txn);
    return err;
}

void sip_abandon(struct sip_core *c, usec_t now, handle_t txn)
{
    core_enter_cmd(c, now);
    struct sip_txn *t = txn_find(c, txn);
    if (t && t->kind == TXN_NIST && t->wants_answer)
        txn_free(c, t);
}
