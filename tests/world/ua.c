#include "world/ua.h"

#include <stdarg.h>

struct str ua_text(struct world *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *mem = arena_take(&w->arena, (size_t)n + 1);
    BUG_ON(!mem);
    va_start(ap, fmt);
    vsnprintf(mem, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return str_of(mem, (size_t)n);
}

void ua_spec_init(struct ua_spec *spec)
{
    *spec = (struct ua_spec){
        .cseq = -1, .max_forwards = -1, .expires = -1, .sdp_port = -1, .early_port = -1};
}

/* ---- dialogs --------------------------------------------------------------------------------- */

struct ua_call *ua_call_find(struct ua *ua, struct str name)
{
    list_each(node, &ua->calls)
    {
        struct ua_call *c = container_of(node, struct ua_call, node);
        if (str_eq(c->name, name))
            return c;
    }
    return NULL;
}

struct ua_call *ua_call_by_id(struct ua *ua, struct str call_id)
{
    struct ua_call *found = NULL;
    list_each(node, &ua->calls)
    {
        struct ua_call *c = container_of(node, struct ua_call, node);
        if (str_eq(c->call_id, call_id))
            found = c;
    }
    return found;
}

static struct ua_call *call_new(struct ua *ua, struct str call_id)
{
    struct world *w = ua->host.w;
    struct ua_call *c = arena_zero(&w->arena, sizeof(*c));
    BUG_ON(!c);
    c->call_id = call_id;
    c->index = ua->n_calls++;
    c->rtp_port = (uint16_t)(ua->rtp_base + 2 * c->index);
    c->local_tag = ua_text(w, STR_FMT "%llx", STR_ARG(ua->name),
                           (unsigned long long)(rand_u64(&w->rand) & 0xFFFFFFFF));
    list_append(&ua->calls, &c->node);
    return c;
}

struct ua_req *ua_request_find(struct ua *ua, const struct ua_call *call, struct str method)
{
    for (struct list *node = ua->requests.prev; node != &ua->requests; node = node->prev) {
        struct ua_req *r = container_of(node, struct ua_req, node);
        if (!r->answered && (!call || r->call == call) && (!method.n || str_eq(r->method, method)))
            return r;
    }
    return NULL;
}

static struct str keep(struct ua *ua, struct str s)
{
    return arena_dup(&ua->host.w->arena, s);
}

/* The Record-Route values as a Route set: in order for the UAS, reversed for the UAC
 * (RFC 3261 12.1). */
static struct str route_set(struct ua *ua, const struct sip_msg *m, bool reverse)
{
    struct sip_values it = sip_values(m, SIP_H_RECORD_ROUTE);
    struct str v, set = STR_NONE;
    while (sip_values_next(&it, &v)) {
        if (!set.n)
            set = keep(ua, v);
        else if (reverse)
            set = ua_text(ua->host.w, STR_FMT ", " STR_FMT, STR_ARG(v), STR_ARG(set));
        else
            set = ua_text(ua->host.w, STR_FMT ", " STR_FMT, STR_ARG(set), STR_ARG(v));
    }
    return set;
}

static void take_target(struct ua *ua, struct ua_call *c, const struct sip_msg *m)
{
    struct sip_nameaddr contact;
    if (!sip_nameaddr_parse(&contact, sip_msg_get(m, SIP_H_CONTACT)))
        c->target = keep(ua, contact.uri.whole);
}

static bool is_refresh(const struct sip_msg *m)
{
    return m->method == SIP_INVITE || m->method == SIP_UPDATE || m->method == SIP_SUBSCRIBE ||
           m->method == SIP_NOTIFY || m->method == SIP_REFER;
}

static void rx_request(struct ua *ua, const struct sip_msg *m, const struct flow *flow)
{
    struct ua_call *c = ua_call_by_id(ua, m->call_id);
    if (!c) {
        c = call_new(ua, keep(ua, m->call_id));
        c->local = keep(ua, sip_msg_get(m, SIP_H_TO));
        if (m->to.tag.n)
            c->local_tag = keep(ua, m->to.tag);
        else
            c->local = ua_text(ua->host.w, STR_FMT ";tag=" STR_FMT, STR_ARG(c->local),
                               STR_ARG(c->local_tag));
        c->remote = keep(ua, sip_msg_get(m, SIP_H_FROM));
        c->route = route_set(ua, m, false);
        c->local_cseq = 100;
        ua->call = c;
    }
    c->remote_cseq = m->cseq.number;
    if (is_refresh(m))
        take_target(ua, c, m);
    if (m->method == SIP_INVITE)
        c->invite_rx = keep(ua, m->raw);
    if (m->method == SIP_ACK)
        return;
    struct ua_req *r = arena_zero(&ua->host.w->arena, sizeof(*r));
    BUG_ON(!r);
    *r = (struct ua_req){
        .call = c, .bytes = keep(ua, m->raw), .method = keep(ua, m->method_text), .flow = *flow};
    list_append(&ua->requests, &r->node);
}

static void take_challenge(struct ua *ua, const struct sip_msg *m)
{
    enum sip_hdr_id id = m->status == 401 ? SIP_H_WWW_AUTHENTICATE : SIP_H_PROXY_AUTHENTICATE;
    struct str all = STR_NONE;
    for (unsigned i = m->first[id]; i; i = m->hdr[i - 1].next)
        all = all.n ? ua_text(ua->host.w, STR_FMT "\n" STR_FMT, STR_ARG(all),
                              STR_ARG(m->hdr[i - 1].value))
                    : keep(ua, m->hdr[i - 1].value);
    ua->challenge = all;
    ua->proxy_challenge = m->status == 407;
    ua->nc = 0;
}

static void rx_response(struct ua *ua, const struct sip_msg *m)
{
    struct ua_call *c = ua_call_by_id(ua, m->call_id);
    if (m->status == 401 || m->status == 407)
        take_challenge(ua, m);
    if (!c)
        return;
    bool makes_dialog = m->status > 100 && m->status < 300 &&
                        (m->method == SIP_INVITE || m->method == SIP_SUBSCRIBE);
    if (makes_dialog && c->uac) {
        c->remote = keep(ua, sip_msg_get(m, SIP_H_TO));
        c->route = route_set(ua, m, true);
    }
    if (makes_dialog)
        take_target(ua, c, m);
    if (m->method == SIP_INVITE && m->status >= 200)
        c->invite_final = keep(ua, m->raw);
}

static void host_rx(struct world_host *h, const struct flow *flow, struct str bytes)
{
    struct ua *ua = container_of(h, struct ua, host);
    static _Thread_local struct sip_msg m; /* too large for the stack */
    if (ua->absorb && ua->absorb(ua, flow, bytes))
        return;
    struct ua_rx *rx = arena_zero(&h->w->arena, sizeof(*rx));
    BUG_ON(!rx);
    *rx = (struct ua_rx){.at = h->w->now, .flow = *flow, .bytes = keep(ua, bytes)};
    list_each(node, &ua->all_rx)
    {
        if (str_eq(container_of(node, struct ua_rx, node)->bytes, bytes))
            rx->again = true;
    }
    if (!rx->again && !ua->on_rx) {
        struct ua_rx *copy = arena_zero(&h->w->arena, sizeof(*copy));
        *copy = *rx;
        list_append(&ua->all_rx, &copy->node);
    }
    if (!rx->again && sip_msg_parse(&m, rx->bytes.p, rx->bytes.n, false) == SIP_OK) {
        if (m.is_request)
            rx_request(ua, &m, flow);
        else
            rx_response(ua, &m);
    }
    if (ua->on_rx)
        ua->on_rx(ua, rx);
    else
        list_append(&ua->inbox, &rx->node);
}

void ua_init(struct ua *ua, struct world *w, const char *name, const struct addr *addr,
             enum proto proto)
{
    memset(ua, 0, sizeof(*ua));
    ua->name = str_z(name);
    ua->host.addr = *addr;
    ua->host.rx = host_rx;
    ua->proto = proto;
    ua->rtp_base = (uint16_t)(10000 + 500 * (addr->ip[3] % 40));
    list_init(&ua->calls);
    list_init(&ua->requests);
    list_init(&ua->inbox);
    list_init(&ua->all_rx);
    world_host_add(w, &ua->host);
}

/* ---- writing --------------------------------------------------------------------------------- */

#define MAX_LINES 64
struct draft {
    struct ua *ua;
    struct str start;
    struct str name[MAX_LINES], value[MAX_LINES];
    unsigned n;
    struct str body;
};

static void add(struct draft *d, const char *name, struct str value)
{
    BUG_ON(d->n == MAX_LINES);
    d->name[d->n] = str_z(name);
    d->value[d->n++] = value;
}

static void erase(struct draft *d, struct str name)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < d->n; i++) {
        if (str_ieq(d->name[i], name))
            continue;
        d->name[kept] = d->name[i];
        d->value[kept++] = d->value[i];
    }
    d->n = kept;
}

static void edit(struct draft *d, const struct ua_edit *e)
{
    unsigned at = 0;
    while (at < d->n && !str_ieq(d->name[at], e->name))
        at++;
    bool there = at < d->n;
    if (e->op == '-') {
        erase(d, e->name);
        return;
    }
    if (e->op == '=' && there) {
        d->value[at] = e->value;
        return;
    }
    BUG_ON(d->n == MAX_LINES);
    d->name[d->n] = e->name;
    d->value[d->n++] = e->value;
}

static struct str finish(struct draft *d, const struct ua_spec *spec)
{
    struct world *w = d->ua->host.w;
    add(d, "Content-Length", ua_text(w, "%zu", d->body.n));
    for (unsigned i = 0; i < spec->n_edits; i++)
        edit(d, &spec->edit[i]);
    size_t cap = d->start.n + d->body.n + 8;
    for (unsigned i = 0; i < d->n; i++)
        cap += d->name[i].n + d->value[i].n + 4;
    struct buf b;
    buf_init(&b, arena_take(&w->arena, cap), cap);
    buf_str_put(&b, d->start);
    buf_lit(&b, "\r\n");
    for (unsigned i = 0; i < d->n; i++) {
        buf_str_put(&b, d->name[i]);
        buf_lit(&b, ": ");
        buf_str_put(&b, d->value[i]);
        buf_lit(&b, "\r\n");
    }
    buf_lit(&b, "\r\n");
    buf_str_put(&b, d->body);
    BUG_ON(b.full);
    return buf_str(&b);
}

static struct str host_text(struct ua *ua)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    addr_put(&b, &ua->host.addr);
    return keep(ua, buf_str(&b));
}

static struct str uri_of(struct ua *ua, struct str target)
{
    if (str_istarts(target, STR("sip:")) || str_istarts(target, STR("sips:")) ||
        str_istarts(target, STR("tel:")) || str_chr(target, ':') > 0)
        return target;
    if (!target.n)
        return ua_text(ua->host.w, "sip:" STR_FMT, STR_ARG(ua->domain));
    return ua_text(ua->host.w, "sip:" STR_FMT "@" STR_FMT, STR_ARG(target), STR_ARG(ua->domain));
}

static struct str name_addr(struct ua *ua, struct str v)
{
    if (str_chr(v, '<') >= 0)
        return v;
    return ua_text(ua->host.w, "<" STR_FMT ">", STR_ARG(uri_of(ua, v)));
}

static struct str own_address(struct ua *ua, const struct ua_spec *spec)
{
    if (spec->from.n)
        return name_addr(ua, spec->from);
    struct str uri = uri_of(ua, ua->user);
    if (ua->display.n)
        return ua_text(ua->host.w, "\"" STR_FMT "\" <" STR_FMT ">", STR_ARG(ua->display),
                       STR_ARG(uri));
    return ua_text(ua->host.w, "<" STR_FMT ">", STR_ARG(uri));
}

static struct str contact_of(struct ua *ua, const struct ua_spec *spec)
{
    if (spec->contact.n)
        return str_eq(spec->contact, STR("*")) ? spec->contact : name_addr(ua, spec->contact);
    return ua_text(ua->host.w, "<sip:" STR_FMT "@" STR_FMT "%s>", STR_ARG(ua->user),
                   STR_ARG(host_text(ua)),
                   ua->proto == PROTO_UDP   ? ""
                   : ua->proto == PROTO_TLS ? ";transport=tls"
                                            : ";transport=tcp");
}

static struct str new_via(struct ua *ua, const struct ua_spec *spec)
{
    struct world *w = ua->host.w;
    struct str branch = spec->branch.n ? spec->branch
                                       : ua_text(w, "z9hG4bK" STR_FMT "%016llx", STR_ARG(ua->name),
                                                 (unsigned long long)rand_u64(&w->rand));
    return ua_text(w, "SIP/2.0/" STR_FMT " " STR_FMT ";branch=" STR_FMT ";rport",
                   STR_ARG(proto_name(ua->proto)), STR_ARG(host_text(ua)), STR_ARG(branch));
}

static bool is(struct str method, const char *name)
{
    return str_eq(method, str_z(name));
}

static void put_body(struct draft *d, struct ua_call *c, struct ua_spec *spec)
{
    if (spec->body.p) {
        d->body = spec->body;
        add(d, "Content-Type", spec->type.n ? spec->type : STR("application/sdp"));
    } else if (spec->sdp.n && spec->early.n) {
        struct str type, session = ua_sdp(d->ua, c, spec);
        d->body = ua_sdp_both(d->ua, session, ua_sdp_early(d->ua, c, spec), &type);
        add(d, "Content-Type", type);
    } else if (spec->early.n) {
        d->body = ua_sdp_early(d->ua, c, spec);
        add(d, "Content-Type", STR("application/sdp"));
        add(d, "Content-Disposition", STR("early-session"));
    } else if (spec->sdp.n) {
        d->body = ua_sdp(d->ua, c, spec);
        add(d, "Content-Type", STR("application/sdp"));
    }
}

static const char *put_auth(struct draft *d, const struct ua_spec *spec, struct str ruri)
{
    if (!spec->auth.n)
        return NULL;
    struct str v = ua_credentials(d->ua, spec->method, ruri, spec->auth);
    if (!v.n)
        return "there is no challenge to answer";
    add(d, d->ua->proxy_challenge ? "Proxy-Authorization" : "Authorization", v);
    return NULL;
}

/* ACK to a non-2xx and CANCEL are made from the INVITE (RFC 3261 17.1.1.3, 9.1). */
static const char *derive(struct ua *ua, struct ua_call *c, struct ua_spec *spec, struct str *ret)
{
    static _Thread_local struct sip_msg m, final;
    struct draft d = {.ua = ua};
    if (sip_msg_parse(&m, c->invite_sent.p, c->invite_sent.n, false) != SIP_OK)
        return "the INVITE it belongs to is malformed";
    struct str ruri = spec->ruri.n ? spec->ruri : m.ruri_text, to = sip_msg_get(&m, SIP_H_TO);
    if (is(spec->method, "ACK") &&
        sip_msg_parse(&final, c->invite_final.p, c->invite_final.n, false) == SIP_OK)
        to = keep(ua, sip_msg_get(&final, SIP_H_TO));
    d.start =
        ua_text(ua->host.w, STR_FMT " " STR_FMT " SIP/2.0", STR_ARG(spec->method), STR_ARG(ruri));
    add(&d, "Via", spec->branch.n ? new_via(ua, spec) : m.via.whole);
    add(&d, "Max-Forwards", STR("70"));
    add(&d, "From", sip_msg_get(&m, SIP_H_FROM));
    add(&d, "To", spec->to.n ? spec->to : to);
    add(&d, "Call-ID", c->call_id);
    add(&d, "CSeq",
        ua_text(ua->host.w, "%u " STR_FMT, spec->cseq >= 0 ? (unsigned)spec->cseq : m.cseq.number,
                STR_ARG(spec->method)));
    if (sip_msg_has(&m, SIP_H_ROUTE))
        add(&d, "Route", sip_msg_get(&m, SIP_H_ROUTE));
    *ret = finish(&d, spec);
    return NULL;
}

static bool derived(const struct ua_call *c, const struct ua_spec *spec)
{
    if (!c || !c->invite_sent.n)
        return false;
    if (is(spec->method, "CANCEL"))
        return true;
    static _Thread_local struct sip_msg final;
    return is(spec->method, "ACK") && c->invite_final.n &&
           sip_msg_parse(&final, c->invite_final.p, c->invite_final.n, false) == SIP_OK &&
           final.status >= 300;
}

/* A request that starts something: outside any dialog. */
static struct ua_call *open_call(struct ua *ua, struct ua_spec *spec)
{
    struct world *w = ua->host.w;
    bool reg = is(spec->method, "REGISTER");
    struct str id = spec->call_id;
    if (!id.n && reg && ua->reg_call_id.n)
        id = ua->reg_call_id;
    if (!id.n)
        id = ua_text(w, "%016llx%016llx@" STR_FMT, (unsigned long long)rand_u64(&w->rand),
                     (unsigned long long)rand_u64(&w->rand), STR_ARG(host_text(ua)));
    struct ua_call *c = ua_call_by_id(ua, id);
    if (!c) {
        c = call_new(ua, id);
        c->uac = true;
    }
    if (reg && !spec->call_id.n)
        ua->reg_call_id = id;
    struct str target = reg && !spec->target.n ? STR("") : spec->target;
    c->ruri = spec->ruri.n ? spec->ruri : uri_of(ua, target);
    if (spec->tag.n)
        c->local_tag = spec->tag;
    c->local =
        ua_text(w, STR_FMT ";tag=" STR_FMT, STR_ARG(own_address(ua, spec)), STR_ARG(c->local_tag));
    c->remote = reg ? own_address(ua, spec) : name_addr(ua, c->ruri);
    return c;
}

static void put_contact(struct draft *d, const struct ua_spec *spec)
{
    static const char *const with[] = {"INVITE", "SUBSCRIBE", "REFER",
                                       "UPDATE", "NOTIFY",    "REGISTER"};
    for (unsigned i = 0; i < ARRAY_LEN(with); i++)
        if (is(spec->method, with[i]))
            add(d, "Contact", contact_of(d->ua, spec));
}

static const char *build_request(struct ua *ua, struct ua_spec *spec, struct str *ret)
{
    struct world *w = ua->host.w;
    struct ua_call *c = spec->call;
    struct draft d = {.ua = ua};
    if (derived(c, spec))
        return derive(ua, c, spec, ret);
    if (!spec->in_dialog)
        spec->call = c = open_call(ua, spec);
    else if (!c)
        return "there is no dialog";
    if (spec->name.n)
        c->name = spec->name;
    ua->call = is(spec->method, "REGISTER") ? ua->call : c;
    struct str ruri = spec->ruri.n                     ? spec->ruri
                      : spec->in_dialog && c->target.n ? c->target
                                                       : c->ruri;
    bool ack = is(spec->method, "ACK"), invite = is(spec->method, "INVITE");
    uint32_t cseq = ack ? c->invite_cseq : c->local_cseq + 1;
    if (spec->cseq >= 0)
        cseq = (uint32_t)spec->cseq;
    if (!ack)
        c->local_cseq = cseq;
    if (invite)
        c->invite_cseq = cseq;
    d.start = ua_text(w, STR_FMT " " STR_FMT " SIP/2.0", STR_ARG(spec->method), STR_ARG(ruri));
    add(&d, "Via", new_via(ua, spec));
    add(&d, "Max-Forwards",
        ua_text(w, "%d", spec->max_forwards >= 0 ? (int)spec->max_forwards : 70));
    add(&d, "From", c->local);
    add(&d, "To", spec->to.n ? name_addr(ua, spec->to) : c->remote);
    add(&d, "Call-ID", c->call_id);
    add(&d, "CSeq", ua_text(w, "%u " STR_FMT, cseq, STR_ARG(spec->method)));
    if (spec->in_dialog && c->route.n)
        add(&d, "Route", c->route);
    put_contact(&d, spec);
    if (invite)
        add(&d, "Allow", STR("INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY"));
    if (spec->expires >= 0)
        add(&d, "Expires", ua_text(w, "%lld", (long long)spec->expires));
    const char *why = put_auth(&d, spec, ruri);
    if (why)
        return why;
    put_body(&d, c, spec);
    *ret = finish(&d, spec);
    if (invite) {
        c->invite_sent = *ret;
        c->invite_final = STR_NONE;
    }
    return NULL;
}

static const char *build_response(struct ua *ua, struct ua_spec *spec, struct str *ret)
{
    static _Thread_local struct sip_msg m;
    struct world *w = ua->host.w;
    struct ua_req *r = ua_request_find(ua, spec->call, spec->reply_to);
    struct draft d = {.ua = ua};
    if (!r)
        return "there is no request to answer";
    if (sip_msg_parse(&m, r->bytes.p, r->bytes.n, false) != SIP_OK)
        return "the request is malformed";
    struct ua_call *c = spec->call = r->call;
    if (spec->status >= 200)
        r->answered = true;
    struct str reason = spec->reason.n ? spec->reason : sip_status_reason(spec->status);
    d.start = ua_text(w, "SIP/2.0 %u " STR_FMT, spec->status, STR_ARG(reason));
    for (unsigned i = m.first[SIP_H_VIA]; i; i = m.hdr[i - 1].next)
        add(&d, "Via", m.hdr[i - 1].value);
    bool invite = m.method == SIP_INVITE;
    for (unsigned i = m.first[SIP_H_RECORD_ROUTE]; i && invite; i = m.hdr[i - 1].next)
        add(&d, "Record-Route", m.hdr[i - 1].value);
    add(&d, "From", sip_msg_get(&m, SIP_H_FROM));
    struct str to = sip_msg_get(&m, SIP_H_TO);
    if (spec->tag.n) {
        c->local_tag = spec->tag;
        c->local = ua_text(w, STR_FMT ";tag=" STR_FMT, STR_ARG(to), STR_ARG(spec->tag));
    }
    if (!m.to.tag.n && spec->status > 100)
        to = ua_text(w, STR_FMT ";tag=" STR_FMT, STR_ARG(to), STR_ARG(c->local_tag));
    add(&d, "To", to);
    add(&d, "Call-ID", m.call_id);
    add(&d, "CSeq", sip_msg_get(&m, SIP_H_CSEQ));
    bool contact = (invite || m.method == SIP_UPDATE) && spec->status > 100 && spec->status < 300;
    if (contact || spec->contact.n)
        add(&d, "Contact", contact_of(ua, spec));
    put_body(&d, c, spec);
    *ret = finish(&d, spec);
    return NULL;
}

const char *ua_build(struct ua *ua, struct ua_spec *spec, struct str *ret)
{
    if (!spec->call && spec->in_dialog)
        spec->call = ua->call;
    return spec->method.n ? build_request(ua, spec, ret) : build_response(ua, spec, ret);
}

void ua_tx_raw(struct ua *ua, struct str bytes)
{
    ua->sent = bytes;
    world_tx(&ua->host, ua->proto, bytes);
}

/* A response goes back the way its request came; a request the way the UA likes. */
const char *ua_tx(struct ua *ua, struct ua_spec *spec)
{
    struct str bytes;
    enum proto proto = ua->proto;
    if (!spec->method.n) {
        struct ua_req *r = ua_request_find(ua, spec->call, spec->reply_to);
        if (r)
            proto = (enum proto)r->flow.proto;
    }
    const char *why = ua_build(ua, spec, &bytes);
    if (why)
        return why;
    ua->sent = bytes;
    world_tx(&ua->host, proto, bytes);
    return NULL;
}
