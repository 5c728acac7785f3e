/* Dialog state: RFC 3261 section 12. Texts are owned copies in the core's pool. */
#include "engine/sip/sip_int.h"

struct sip_dialog *dialog_new(struct sip_core *c, struct sip_session *s, handle_t session,
                              handle_t *ret)
{
    if (s->n_dialogs >= SIP_MAX_FORKS)
        return NULL;
    struct sip_dialog *d = slot_take(&c->dialogs, ret);
    if (!d)
        return NULL;
    d->session = session;
    d->next = s->dialogs;
    d->early = true;
    s->dialogs = *ret;
    s->n_dialogs++;
    return d;
}

static void index_by_tag(struct sip_core *c, struct sip_dialog *d)
{
    hash_put(&c->by_tag, &d->by_tag, hash_bytes(&c->by_tag, d->local_tag, SIP_TAG_CHARS));
}

void dialog_free(struct sip_core *c, handle_t h)
{
    struct sip_dialog *d = slot_find(&c->dialogs, h);
    if (!d)
        return;
    if (d->by_tag.hash)
        hash_remove(&c->by_tag, &d->by_tag);
    struct str *texts[] = {&d->call_id, &d->local, &d->remote,      &d->remote_tag,
                           &d->target,  &d->route, &d->next_target, &d->next_remote};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (core_keep(c, texts[i], STR_NONE))
            continue;
    slot_put(&c->dialogs, h);
}

int sip_session_set_identity(struct sip_core *c, usec_t now, handle_t session, struct str nameaddr)
{
    char mem[1024];
    struct buf b;
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_dialog *d = s ? session_dialog(c, s) : NULL;
    if (!d)
        return -ENOENT;
    buf_init(&b, mem, sizeof(mem));
    buf_str_put(&b, nameaddr);
    buf_lit(&b, ";tag=");
    buf_put(&b, d->local_tag, SIP_TAG_CHARS);
    return b.full ? -EMSGSIZE : core_keep(c, &d->local, buf_str(&b));
}

/* A request belongs to the dialog with its Call-ID, our tag in To and the peer's in From. A peer of
 * RFC 2543 has no tag. RFC 3261 12.2.2. */
struct sip_dialog *dialog_find(struct sip_core *c, const struct sip_msg *m)
{
    if (m->to.tag.n != SIP_TAG_CHARS)
        return NULL;
    uint64_t h = hash_str(&c->by_tag, m->to.tag);
    hash_each(node, &c->by_tag, h)
    {
        struct sip_dialog *d = container_of(node, struct sip_dialog, by_tag);
        if (memcmp(d->local_tag, m->to.tag.p, SIP_TAG_CHARS) == 0 &&
            str_eq(d->call_id, m->call_id) && str_eq(d->remote_tag, m->from.tag))
            return d;
    }
    return NULL;
}

static struct str with_tag(struct sip_core *c, struct str nameaddr, struct str tag)
{
    struct buf b;
    char *mem = arena_take(&c->work, nameaddr.n + SIP_TAG_CHARS + 8);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, nameaddr.n + SIP_TAG_CHARS + 8);
    sip_put_unfolded(&b, nameaddr);
    buf_lit(&b, ";tag=");
    buf_str_put(&b, tag);
    return b.full ? STR_NONE : buf_str(&b);
}

static struct str unfolded(struct sip_core *c, struct str value)
{
    struct buf b;
    char *mem = arena_take(&c->work, value.n + 1);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, value.n + 1);
    sip_put_unfolded(&b, value);
    return buf_str(&b);
}

/* The route set as one comma-separated value; reversed for a UAC (RFC 3261 12.1.2). */
static struct str route_set(struct sip_core *c, const struct sip_msg *m, bool reversed)
{
    struct str item[32], v;
    unsigned n = 0;
    size_t total = 0;
    struct sip_values it = sip_values(m, SIP_H_RECORD_ROUTE);
    while (n < ARRAY_LEN(item) && sip_values_next(&it, &v)) {
        item[n++] = v;
        total += v.n + 2;
    }
    if (n == 0)
        return STR_NONE;
    struct buf b;
    char *mem = arena_take(&c->work, total);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, total);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_lit(&b, ", ");
        sip_put_unfolded(&b, item[reversed ? n - 1 - i : i]);
    }
    return buf_str(&b);
}

static struct str contact_uri(const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_CONTACT);
    struct str v;
    struct sip_nameaddr contact;
    if (!sip_values_next(&it, &v) || sip_nameaddr_parse(&contact, v))
        return STR_NONE;
    return contact.uri.whole;
}

/* Contact and source differ although the message came straight from its maker: behind NAT, what we
 * send must go where it came from (RFC 5626 section 1 describes the trouble). */
static bool behind_nat(const struct sip_msg *m, const struct flow *flow, struct str target)
{
    struct sip_uri uri;
    struct addr contact, sent_by;
    if (sip_uri_parse(&uri, target) || addr_parse(&contact, uri.host, 0))
        return true; /* a name in Contact: the phone's own, nothing we could look up better */
    if (addr_ip_eq(&contact, &flow->peer))
        return false;
    if (addr_is_any(&contact) || (addr_is_loopback(&contact) && !addr_is_loopback(&flow->peer)))
        return true;
    if (sip_msg_has(m, SIP_H_RECORD_ROUTE))
        return false;
    /* A request that came from where its Via says met no NAT: its maker means the Contact. */
    if (m->is_request && !addr_parse(&sent_by, m->via.host, 0) &&
        addr_ip_eq(&sent_by, &flow->peer) && addr_is_private(&flow->peer))
        return false;
    return addr_is_private(&contact) || addr_is_loopback(&contact);
}

bool sip_is_pinned(const struct sip_msg *m, const struct flow *flow)
{
    return behind_nat(m, flow, contact_uri(m));
}

int dialog_from_request(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                        const struct flow *flow)
{
    struct str target = contact_uri(m);
    int err = core_keep(c, &d->call_id, m->call_id);
    err |= core_keep(c, &d->local,
                     with_tag(c, sip_msg_get(m, SIP_H_TO), str_of(d->local_tag, SIP_TAG_CHARS)));
    err |= core_keep(c, &d->remote, unfolded(c, sip_msg_get(m, SIP_H_FROM)));
    err |= core_keep(c, &d->remote_tag, m->from.tag.p ? m->from.tag : STR(""));
    err |= core_keep(c, &d->target, target.p ? target : m->from.uri.whole);
    err |= core_keep(c, &d->route, route_set(c, m, false));
    d->remote_cseq = m->cseq.number;
    d->has_remote_cseq = true;
    d->flow = *flow;
    d->pinned = behind_nat(m, flow, d->target);
    index_by_tag(c, d);
    return err ? -ENOMEM : 0;
}

int dialog_from_response(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                         const struct flow *flow)
{
    struct str target = contact_uri(m);
    int err = core_keep(c, &d->remote, unfolded(c, sip_msg_get(m, SIP_H_TO)));
    err |= core_keep(c, &d->remote_tag, m->to.tag.p ? m->to.tag : STR(""));
    if (target.p) {
        /* A phone that repeats the Contact it registered is reached as it was with the INVITE. */
        bool same = str_eq(target, d->target);
        err |= core_keep(c, &d->target, target);
        d->flow = *flow; /* other than at first when it fell back from TCP to UDP */
        if (!same) {
            d->pinned = behind_nat(m, flow, target);
        } else if (!d->by_tag.hash) { /* the first response of this dialog */
            d->pinned = true;
        }
    }
    err |= core_keep(c, &d->route, route_set(c, m, true));
    if (!d->by_tag.hash)
        index_by_tag(c, d);
    return err ? -ENOMEM : 0;
}

/* RFC 6141 section 4: a request changes the target when it is accepted, not when it comes. */
void dialog_refresh_note(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                         const struct flow *flow, bool from_change)
{
    struct str target = contact_uri(m);
    if (flow->proto == d->flow.proto)
        d->flow.conn = flow->conn;
    if (d->pinned) /* its NAT may have given it another address meanwhile */
        d->flow = *flow;
    bool moved = target.p && !str_eq(target, d->target);
    d->next_flow = *flow;
    d->next_pinned = moved && behind_nat(m, flow, target);
    /* The peer may be somebody else now, under the same tag: RFC 4916 section 4.4.1. Without memory
     * the old ones stay. */
    struct str from = from_change ? sip_msg_get(m, SIP_H_FROM) : STR_NONE;
    if (core_keep(c, &d->next_target, moved ? target : STR_NONE) ||
        core_keep(c, &d->next_remote, from))
        c->stats.overload++;
}

void dialog_refresh_accepted(struct sip_core *c, struct sip_dialog *d)
{
    if (d->next_target.n) {
        (void)core_keep(c, &d->target, STR_NONE); /* freeing cannot fail */
        d->target = d->next_target;
        d->flow = d->next_flow;
        d->pinned = d->next_pinned;
    }
    if (d->next_remote.n) {
        (void)core_keep(c, &d->remote, STR_NONE);
        d->remote = d->next_remote;
    }
    d->next_target = d->next_remote = STR_NONE;
}

void dialog_refresh(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                    const struct flow *flow)
{
    struct str target = contact_uri(m);
    if (flow->proto == d->flow.proto)
        d->flow.conn = flow->conn;
    if (d->pinned && m->is_request) /* its NAT may have given it another address meanwhile */
        d->flow = *flow;
    if (!target.p || str_eq(target, d->target))
        return;
    if (core_keep(c, &d->target, target))
        return; /* out of memory: the old target stays */
    d->flow = *flow;
    d->pinned = behind_nat(m, flow, target);
}
