/* Where a request inside a dialog goes. RFC 3261 12.2.1.1, 16.12.1 (strict routers). */
#include "engine/sip/sip_int.h"

/* Takes the first value off a route set. */
static struct str first_route(struct str *rest)
{
    struct str first = STR_NONE;
    if (!sip_list_next(rest, &first))
        return STR_NONE;
    return first;
}

static struct str without_brackets(struct str nameaddr, struct sip_uri *uri)
{
    struct sip_nameaddr na;
    if (sip_nameaddr_parse(&na, nameaddr))
        return STR_NONE;
    *uri = na.uri;
    return na.uri.whole;
}

/* A strict router (no lr) finds itself in the Request-URI; the target goes to the end. */
static void strict_route(struct sip_core *c, const struct sip_dialog *d, struct str first_uri,
                         struct str rest, struct sip_req *r)
{
    struct buf b;
    size_t cap = rest.n + d->target.n + 8;
    char *mem = arena_take(&c->work, cap);
    r->ruri = first_uri;
    r->route = rest;
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    rest = str_trim(rest);
    buf_str_put(&b, rest);
    if (rest.n)
        buf_lit(&b, ", ");
    buf_ch(&b, '<');
    buf_str_put(&b, d->target);
    buf_ch(&b, '>');
    r->route = buf_str(&b);
}

void dialog_address(struct sip_core *c, const struct sip_dialog *d, struct sip_req *r,
                    struct flow *to)
{
    struct sip_uri hop;
    struct str rest = d->route;
    struct str first = first_route(&rest);
    struct str first_uri = first.p ? without_brackets(first, &hop) : STR_NONE;
    struct flow dest;
    r->ruri = d->target;
    r->route = d->route;
    *to = d->flow;
    if (first_uri.p) {
        if (!hop.lr)
            strict_route(c, d, first_uri, rest, r);
        if (!request_dest(&hop, &dest))
            return;
    } else if (d->pinned || sip_uri_parse(&hop, d->target) || !request_dest(&hop, &dest)) {
        return; /* the way it came */
    }
    if (!request_can_send(c, &dest))
        return;
    /* RFC 5630 section 5.3: what began with a sips URI never goes on less securely. */
    const struct sip_session *s = session_find(c, d->session);
    if (s && s->sips && dest.proto != PROTO_TLS && dest.proto != PROTO_WSS)
        return;
    /* The connection it came over is used again when it leads to the same host. */
    if (dest.proto == d->flow.proto && addr_ip_eq(&dest.peer, &d->flow.peer)) {
        dest.conn = d->flow.conn;
        dest.listener = d->flow.listener;
    }
    dest.party = d->flow.party; /* wherever it is: it is they with whom the dialog is */
    *to = dest;
}
