/* Requests: how they are written, where they go, and those derived from a sent one. */
#include "engine/sip/sip_int.h"

#define CONTACT_USER_MAX 64 /* escaped, it fits the 300 bytes that its callers have */

/* The listener to send from: the wanted one if it fits, else the first of protocol and family. */
static bool choose_listener(const struct sip_core *c, struct flow *to, enum proto proto)
{
    const struct sip_conf *conf = &c->conf;
    if (to->listener < conf->n_listeners && conf->listener[to->listener].proto == proto &&
        conf->listener[to->listener].bound.family == to->peer.family) {
        to->proto = (uint8_t)proto;
        return true;
    }
    for (unsigned i = 0; i < conf->n_listeners; i++) {
        const struct flow_listener *l = &conf->listener[i];
        if (l->proto == proto && l->bound.family == to->peer.family) {
            to->listener = (uint8_t)i;
            to->proto = (uint8_t)proto;
            return true;
        }
    }
    return false;
}

bool request_can_send(const struct sip_core *c, const struct flow *to)
{
    struct flow probe = *to;
    return choose_listener(c, &probe, (enum proto)to->proto);
}

static void make_branch(struct sip_core *c, struct req_branch *branch)
{
    struct buf b;
    buf_init(&b, branch->text, sizeof(branch->text));
    buf_lit(&b, "z9hG4bK");
    rand_hex(c->rand, &b, 8);
    buf_ch(&b, 'r');
}

static struct addr advertised(const struct sip_core *c, const struct flow *to)
{
    const struct flow_listener *l = &c->conf.listener[to->listener];
    if (l->advertised.family != ADDR_NONE)
        return l->advertised;
    return local_for(&c->conf.local, &l->bound, &to->peer);
}

/* The parameter transport=tls is one that RFC 5630 does not want, but it is what every phone knows:
 * without it, what follows in the dialog would come by UDP. A sips URI needs none. */
void request_contact(struct sip_core *c, struct buf *b, struct str user, const struct flow *flow,
                     bool sips)
{
    struct addr own = advertised(c, flow);
    buf_z(b, sips ? "<sips:" : "<sip:");
    if (user.n && user.n <= CONTACT_USER_MAX) { /* without, it reaches us as well */
        sip_escape_user(b, user);
        buf_ch(b, '@');
    }
    addr_put(b, &own);
    if (flow->proto != PROTO_UDP && !(sips && flow->proto == PROTO_TLS)) {
        buf_lit(b, ";transport=");
        struct str name = proto_name((enum proto)flow->proto);
        for (size_t i = 0; i < name.n; i++)
            buf_ch(b, chr_lower(name.p[i]));
    }
    buf_ch(b, '>');
}

static void put_via(struct sip_core *c, struct sip_build *w, const struct flow *to,
                    const struct req_branch *branch)
{
    struct addr own = advertised(c, to);
    buf_lit(&w->b, "Via: SIP/2.0/");
    buf_str_put(&w->b, proto_name((enum proto)to->proto));
    buf_ch(&w->b, ' ');
    addr_put(&w->b, &own);
    buf_lit(&w->b, ";branch=");
    buf_put(&w->b, branch->text, sizeof(branch->text));
    buf_lit(&w->b, ";rport\r\n"); /* RFC 3581 section 3 */
}

static void put_supported(struct sip_core *c, struct sip_build *w, const struct sip_req *r)
{
    struct str rest = str_z(c->conf.supported_call), tag;
    char mem[256];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    while (sip_list_next(&rest, &tag)) {
        if ((r->no_100rel && str_ieq(tag, STR("100rel"))) ||
            (r->no_early_session && str_ieq(tag, STR("early-session"))))
            continue;
        if (b.n)
            buf_lit(&b, ", ");
        buf_str_put(&b, tag);
    }
    if (b.n)
        sip_build_hdr(w, SIP_H_SUPPORTED, buf_str(&b));
}

/* RFC 3261 8.1.1.8: "If the Request-URI or top Route header field value contains a SIPS URI, the
 * Contact header field MUST contain a SIPS URI as well." */
static bool wants_sips(const struct sip_req *r)
{
    struct str rest = r->route, first;
    if (r->sips || str_istarts(r->ruri, STR("sips:")))
        return true;
    return sip_list_next(&rest, &first) && str_istarts(str_trim(first), STR("<sips:"));
}

static int write_request(struct sip_core *c, const struct sip_req *r, const struct flow *to,
                         const struct req_branch *branch, struct str *ret)
{
    struct sip_build w;
    char mem[300];
    struct buf contact;
    struct str rest = r->route, route;
    sip_build_request(&w, c->tx, sizeof(c->tx), r->method, r->ruri);
    put_via(c, &w, to, branch);
    while (sip_list_next(&rest, &route))
        sip_build_hdr(&w, SIP_H_ROUTE, route);
    sip_build_hdr_u64(&w, SIP_H_MAX_FORWARDS,
                      (uint64_t)(r->max_forwards < 0 ? 70 : r->max_forwards));
    sip_build_hdr(&w, SIP_H_FROM, r->from);
    sip_build_hdr(&w, SIP_H_TO, r->to);
    sip_build_hdr(&w, SIP_H_CALL_ID, r->call_id);
    sip_build_cseq(&w, r->cseq, r->method);
    if (r->contact.n && (r->contact.p[0] == '<' || str_eq(r->contact, STR("*")))) {
        sip_build_hdr(&w, SIP_H_CONTACT, r->contact);
    } else if (r->contact.p) { /* a user part: the address depends on the transport chosen */
        buf_init(&contact, mem, sizeof(mem));
        request_contact(c, &contact, r->contact, to, wants_sips(r));
        if (r->focus)
            buf_lit(&contact, ";isfocus");
        sip_build_hdr(&w, SIP_H_CONTACT, buf_str(&contact));
    }
    if (r->advertise) {
        sip_build_hdr(&w, SIP_H_ALLOW, str_z(c->conf.allow));
        put_supported(c, &w, r);
    }
    stimer_write_request(c, r->timed, &w, r->initial);
    if (c->conf.server_name[0])
        sip_build_hdr(&w, SIP_H_USER_AGENT, str_z(c->conf.server_name));
    static const struct sip_content nothing;
    const struct sip_content *content = r->content ? r->content : &nothing;
    respond_put_fields(&w, content);
    return sip_build_done(&w, content->type, content->body, ret);
}

int request_build(struct sip_core *c, const struct sip_req *r, struct flow *to,
                  struct req_branch *branch, struct blob **ret)
{
    struct flow wanted = *to;
    struct str text;
    if (addr_is_multicast(&to->peer) || !choose_listener(c, to, (enum proto)to->proto))
        return -EADDRNOTAVAIL;
    make_branch(c, branch);
    int err = write_request(c, r, to, branch, &text);
    /* RFC 3261 18.1.1: what may not fit one packet goes over TCP. */
    if (!err && to->proto == PROTO_UDP && c->conf.udp_max_bytes && text.n > c->conf.udp_max_bytes &&
        rtt_tcp_usable(c->rtt, &to->peer, c->now)) {
        wanted.listener = SIP_NO_LISTENER;
        wanted.conn = 0;
        if (choose_listener(c, &wanted, PROTO_TCP)) {
            *to = wanted;
            err = write_request(c, r, to, branch, &text);
        }
    }
    if (err)
        return err;
    struct blob *b = blob_copy(&c->pool, text);
    if (!b)
        return -ENOMEM;
    *ret = b;
    return 0;
}

int request_start(struct sip_core *c, enum sip_txn_kind kind, enum sip_method method,
                  const struct flow *to, const struct req_branch *branch, struct blob *blob,
                  struct sip_txn **ret)
{
    char mem[TXN_KEY_BYTES];
    struct str key = txn_client_key(c, str_of(branch->text, sizeof(branch->text)), method, mem);
    struct sip_txn *t = txn_new(c, kind, method, to, key);
    if (!t) {
        blob_unref(blob);
        return -EAGAIN;
    }
    t->last = blob;
    c->stats.tx_requests++;
    c->stats.tx_method[method]++;
    *ret = t;
    return 0;
}

/* Sends a started request: apart from request_start() so that tag and leg are known to it. */
static void launch(struct sip_core *c, struct sip_txn *t)
{
    core_hist(c, t->tag, t->leg, HIST_TX_REQUEST, t->method, t->cseq);
    txn_step(c, t, TXN_EV_START);
    core_send(c, &t->flow, blob_ref(t->last));
}

static void copy_all(struct sip_build *w, const struct sip_msg *m, enum sip_hdr_id id)
{
    if (sip_msg_has(m, id))
        sip_build_copy(w, m, id);
}

int request_derive(struct sip_core *c, const struct blob *sent, enum sip_method method,
                   struct str to, struct str reason, struct blob **ret)
{
    struct sip_msg *m = &c->old;
    struct sip_build w;
    struct str text;
    if (!sent || sip_msg_parse(m, sent->data, sent->n, true) != SIP_OK)
        return -EINVAL;
    struct str name = sip_method_name(method);
    sip_build_request(&w, c->tx, sizeof(c->tx), name, m->ruri_text);
    sip_build_hdr(&w, SIP_H_VIA, m->via.whole); /* the top one alone, with its branch */
    copy_all(&w, m, SIP_H_ROUTE);
    sip_build_hdr_u64(&w, SIP_H_MAX_FORWARDS, 70);
    sip_build_hdr(&w, SIP_H_FROM, sip_msg_get(m, SIP_H_FROM));
    sip_build_hdr(&w, SIP_H_TO, to.p ? to : sip_msg_get(m, SIP_H_TO));
    sip_build_hdr(&w, SIP_H_CALL_ID, m->call_id);
    sip_build_cseq(&w, m->cseq.number, name);
    if (method == SIP_ACK) { /* RFC 3261 22.1: an ACK repeats the credentials */
        copy_all(&w, m, SIP_H_AUTHORIZATION);
        copy_all(&w, m, SIP_H_PROXY_AUTHORIZATION);
    }
    if (reason.n)
        sip_build_hdr(&w, SIP_H_REASON, reason);
    int err = sip_build_done(&w, STR_NONE, STR_NONE, &text);
    if (err)
        return err;
    struct blob *b = blob_copy(&c->pool, text);
    if (!b)
        return -ENOMEM;
    *ret = b;
    return 0;
}

/* ---- the same request once more, with credentials -------------------------------------------- */

static bool replaced_by(const struct sip_hdr *h, const struct sip_field *field)
{
    switch (h->id) {
    case SIP_H_VIA:
    case SIP_H_CSEQ:
    case SIP_H_CONTENT_LENGTH:
    case SIP_H_CONTENT_TYPE:
        return true; /* written anew */
    case SIP_H_OTHER:
        return field->id == SIP_H_OTHER && str_ieq(h->name, field->name);
    default:
        return h->id == field->id;
    }
}

static bool replaced(const struct sip_hdr *h, const struct sip_content *content)
{
    for (unsigned i = 0; i < content->n_fields; i++)
        if (replaced_by(h, &content->field[i]))
            return true;
    return false;
}

int request_resend(struct sip_core *c, struct sip_txn *txn, const struct sip_content *content,
                   uint32_t cseq, struct sip_txn **ret)
{
    struct sip_msg *m = &c->old;
    struct sip_build w;
    struct req_branch branch;
    struct str text;
    if (!txn->last || sip_msg_parse(m, txn->last->data, txn->last->n, true) != SIP_OK)
        return -EINVAL;
    make_branch(c, &branch);
    sip_build_request(&w, c->tx, sizeof(c->tx), m->method_text, m->ruri_text);
    put_via(c, &w, &txn->flow, &branch);
    for (unsigned i = 0; i < m->n_hdrs; i++)
        if (!replaced(&m->hdr[i], content))
            sip_build_hdr_name(&w, m->hdr[i].name, m->hdr[i].value);
    sip_build_cseq(&w, cseq, m->method_text);
    respond_put_fields(&w, content);
    int err = sip_build_done(&w, sip_msg_get(m, SIP_H_CONTENT_TYPE), m->body, &text);
    struct blob *b = err ? NULL : blob_copy(&c->pool, text);
    if (!b)
        return err ? err : -ENOMEM;
    struct sip_txn *t;
    err = request_start(c, (enum sip_txn_kind)txn->kind, (enum sip_method)txn->method, &txn->flow,
                        &branch, b, &t);
    if (err)
        return err;
    t->session = txn->session;
    t->dialog = txn->dialog;
    t->user = txn->user;
    t->tag = txn->tag;
    t->leg = txn->leg;
    t->cseq = cseq;
    launch(c, t);
    *ret = t;
    return 0;
}

/* ---- outside dialogs ------------------------------------------------------------------------- */

bool request_dest(const struct sip_uri *uri, struct flow *flow)
{
    struct addr a;
    enum proto proto;
    if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS)
        return false;
    if (sip_uri_proto(uri, &proto))
        return false;
    uint16_t port = uri->port ? uri->port : proto == PROTO_TLS ? 5061 : 5060;
    if (addr_parse(&a, uri->host, port))
        return false;
    *flow = (struct flow){.proto = (uint8_t)proto, .listener = SIP_NO_LISTENER, .peer = a};
    return true;
}

static void tagged(struct buf *b, struct str nameaddr, struct str tag)
{
    buf_str_put(b, nameaddr);
    buf_lit(b, ";tag=");
    buf_str_put(b, tag);
}

int sip_request(struct sip_core *c, usec_t now, const struct sip_request_cmd *cmd, handle_t *ret)
{
    char from_mem[1024], id_mem[256], tag[SIP_TAG_CHARS];
    struct buf from, id;
    struct req_branch branch;
    struct blob *b;
    struct sip_txn *t;
    core_enter_cmd(c, now);
    core_tag(c, tag);
    buf_init(&from, from_mem, sizeof(from_mem));
    tagged(&from, cmd->from, cmd->from_tag.p ? cmd->from_tag : str_of(tag, sizeof(tag)));
    buf_init(&id, id_mem, sizeof(id_mem));
    if (!cmd->call_id.p)
        sip_core_call_id(c, &id);
    struct sip_req r = {.method = sip_method_name(cmd->method),
                        .ruri = cmd->ruri,
                        .from = buf_str(&from),
                        .to = cmd->to_hdr,
                        .call_id = cmd->call_id.p ? cmd->call_id : buf_str(&id),
                        .route = cmd->route,
                        .contact = cmd->contact,
                        .cseq = cmd->cseq ? cmd->cseq : 1,
                        .max_forwards = -1,
                        .content = &cmd->content};
    struct flow to = cmd->to;
    if (cmd->in_dialog) {
        struct sip_dialog kept = {
            .target = cmd->ruri, .route = cmd->route, .flow = cmd->to, .pinned = cmd->pinned};
        dialog_address(c, &kept, &r, &to);
    }
    enum proto wanted = (enum proto)to.proto;
    int err = from.full || id.full ? -EMSGSIZE : request_build(c, &r, &to, &branch, &b);
    if (err)
        return err;
    err = request_start(c, TXN_NICT, cmd->method, &to, &branch, b, &t);
    if (err)
        return err;
    t->tcp_for_size = to.proto == PROTO_TCP && wanted == PROTO_UDP;
    t->user = cmd->user;
    t->tag = cmd->tag;
    t->cseq = r.cseq;
    *ret = txn_handle(c, t);
    launch(c, t);
    return 0;
}

int sip_retry(struct sip_core *c, usec_t now, handle_t txn, const struct sip_field *field)
{
    core_enter_cmd(c, now);
    struct sip_txn *old = txn_find(c, txn), *t;
    if (!old || (old->kind != TXN_ICT && old->kind != TXN_NICT))
        return -ENOENT;
    struct sip_session *s = session_find(c, old->session);
    struct sip_dialog *d = slot_find(&c->dialogs, old->dialog);
    uint32_t cseq = d ? d->local_cseq + 1 : old->cseq + 1;
    struct sip_content one = {.field = field, .n_fields = 1};
    int err = request_resend(c, old, &one, cseq, &t);
    if (err)
        return err;
    if (s && s->state == SES_FAILED) {
        s->state = SES_CALLING;
        s->had_provisional = false; /* RFC 3261 9.1: the new INVITE has none yet */
    }
    if (s)
        s->auth_sent = true;
    if (d)
        d->local_cseq = cseq;
    if (s && t->method == SIP_INVITE) {
        s->invite = txn_handle(c, t);
        s->invite_cseq = cseq;
    }
    if (s && t->method == SIP_BYE)
        s->bye = txn_handle(c, t);
    if (s && s->se_update == txn)
        s->se_update = txn_handle(c, t);
    return 0;
}

/* ---- inside dialogs -------------------------------------------------------------------------- */

int dialog_request(struct sip_core *c, struct sip_dialog *d, enum sip_method method,
                   const struct sip_content *content, struct sip_txn **ret)
{
    struct sip_session *s = session_find(c, d->session);
    struct req_branch branch;
    struct flow to;
    struct blob *b;
    bool target_refresh = method == SIP_INVITE || method == SIP_UPDATE || method == SIP_REFER ||
                          method == SIP_SUBSCRIBE || method == SIP_NOTIFY;
    struct sip_req r = {.method = sip_method_name(method),
                        .from = d->local,
                        .to = d->remote,
                        .call_id = d->call_id,
                        .cseq = d->local_cseq + 1,
                        .max_forwards = -1,
                        .advertise = method == SIP_INVITE || method == SIP_UPDATE,
                        .content = content};
    if (method == SIP_INVITE || (method == SIP_UPDATE && s->state >= SES_ANSWERED))
        r.timed = s;
    /* A re-INVITE is answered at once or not at all, and in no early dialog. */
    r.no_100rel = r.no_early_session = method == SIP_INVITE;
    if (target_refresh)
        r.contact = s->contact_user.p ? s->contact_user : STR("");
    r.focus = s->focus;
    r.sips = s->sips;
    dialog_address(c, d, &r, &to);
    enum proto wanted = (enum proto)to.proto;
    int err = request_build(c, &r, &to, &branch, &b);
    if (err)
        return err;
    enum sip_txn_kind kind = method == SIP_INVITE ? TXN_ICT : TXN_NICT;
    err = request_start(c, kind, method, &to, &branch, b, ret);
    if (err)
        return err;
    struct sip_txn *t = *ret;
    t->tcp_for_size = to.proto == PROTO_TCP && wanted == PROTO_UDP;
    t->session = d->session;
    t->dialog = slot_handle(&c->dialogs, d);
    t->tag = s->tag;
    t->leg = s->leg;
    t->cseq = r.cseq;
    d->local_cseq = r.cseq;
    launch(c, t);
    return 0;
}
