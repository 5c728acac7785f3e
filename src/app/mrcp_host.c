#include "app/mrcp_host.h"

#include <errno.h>
#include <stdio.h>

#include "app/mrcp_control.h"
#include "base/mem.h"
#include "io/dns.h"
#include "io/entropy.h"
#include "io/iface.h"
#include "io/net.h"

/* Over UDP the transaction of an INVITE outlives its answer by 32 s (Timer M), whatever the pace.
 */
#define MAX_TXNS (1u << 18)
#define URI_MAX  256

struct server {
    char text[URI_MAX]; /* empty: free */
    struct sip_uri uri;
    struct addr addr[MRCP_AGENT_ADDRS];
    unsigned n_addrs;
    usec_t until; /* its addresses are good */
    usec_t used_at;
    unsigned sessions;
    bool asking;
    uint32_t asked;                 /* tells the answer to the last question from older ones */
    char insecure[TLS_WHY_MAX + 1]; /* why TLS failed since a session with it was begun */
};

struct link {
    uint64_t id; /* 0: none */
    uint32_t server;
};

struct mrcp_host {
    struct mrcp_host_conf conf;
    struct mrcp_host_hooks hooks;
    struct loop *loop;
    struct net *net;
    struct dns *dns;
    struct tls_ctx *tls;
    struct rand rand;
    struct trace trace;
    struct digest *digest;
    struct sip_core *core;
    struct mrcp_client *client;
    struct mrcp_agent *agent;
    struct mrcp_controls *controls;
    struct flow_listener listener;
    struct local_addrs local;
    struct loop_timer timer;
    bool draining, dirty;
    struct server server[MRCP_HOST_SERVERS];
    struct link *link; /* by the index in the id */
    uint32_t n_links;
};

void mrcp_host_telemetry(const struct mrcp_host *h, struct mrcp_telemetry *ret)
{
    mrcp_agent_telemetry(h->agent, ret);
}

bool mrcp_host_is_idle(const struct mrcp_host *h)
{
    return mrcp_agent_sessions(h->agent) == 0;
}

void mrcp_host_stats(const struct mrcp_host *h, struct mrcp_client_stats *ret)
{
    mrcp_client_stats(h->client, ret);
}

int mrcp_host_proto(enum proto *ret, struct str uri, enum proto usual)
{
    struct sip_uri parsed;
    enum proto proto = usual;
    if (sip_uri_parse(&parsed, uri) || !parsed.host.n ||
        (parsed.scheme != SIP_SCHEME_SIP && parsed.scheme != SIP_SCHEME_SIPS))
        return -EINVAL;
    if (parsed.transport.n && (proto_parse(&proto, parsed.transport) ||
                               (proto != PROTO_UDP && proto != PROTO_TCP && proto != PROTO_TLS)))
        return -EINVAL;
    /* RFC 5630 section 5.1: over TLS or not at all. */
    *ret = parsed.scheme == SIP_SCHEME_SIPS ? PROTO_TLS : proto;
    return 0;
}

static struct link *link_of(const struct mrcp_host *h, uint64_t id)
{
    uint32_t at = (uint32_t)id - 1;
    return at < h->n_links ? &h->link[at] : NULL;
}

static struct server *server_of(struct mrcp_host *h, uint64_t id)
{
    const struct link *l = link_of(h, id);
    return l && l->id == id ? &h->server[l->server] : NULL;
}

/* By which sockets know it; 0 is none. */
static uint16_t party_of(const struct mrcp_host *h, const struct server *s)
{
    return (uint16_t)(s - h->server + 1);
}

/* ---- what leaves ----------------------------------------------------------------------------- */

static void seen(struct mrcp_host *h, const struct flow *flow, struct str bytes, bool sent)
{
    struct addr bound;
    if (h->hooks.seen && net_local_get(h->net, flow, &bound) == 0)
        h->hooks.seen(h->hooks.ctx, flow, &bound, bytes, sent);
}

static void moved(struct mrcp_host *h, uint64_t id, size_t rx, size_t tx)
{
    if (h->hooks.moved)
        h->hooks.moved(h->hooks.ctx, id, rx, tx);
}

static void agent_ended(struct mrcp_host *h, const struct mrcp_agent_out *o)
{
    struct link *l = link_of(h, o->id);
    if (l && l->id == o->id) {
        struct server *s = &h->server[l->server];
        s->sessions--;
        if (o->err) /* it may have moved */
            s->until = 0;
    }
    h->hooks.ended(h->hooks.ctx, o);
    if (l && l->id == o->id)
        l->id = 0;
}

static void agent_out(struct mrcp_host *h, const struct mrcp_agent_out *o)
{
    switch (o->kind) {
    case MRCP_AGENT_MEDIA:
        h->hooks.media(h->hooks.ctx, &o->media);
        break;
    case MRCP_AGENT_READY:
        h->hooks.ready(h->hooks.ctx, o->id);
        break;
    case MRCP_AGENT_REFUSED:
        h->hooks.refused(h->hooks.ctx, o->id, o->resource);
        break;
    case MRCP_AGENT_ENDED:
        agent_ended(h, o);
        break;
    default:
        break;
    }
}

static bool sip_drain(struct mrcp_host *h)
{
    struct sip_out s;
    bool any = false;
    usec_t now = loop_now(h->loop);
    for (; sip_core_out(h->core, &s); any = true) {
        if (s.kind == SIP_OUT_SEND) {
            net_send(h->net, &s.flow, s.blob);
            seen(h, &s.flow, blob_str(s.blob), true);
            blob_unref(s.blob);
        } else if (s.user & MRCP_AGENT_USER) {
            mrcp_agent_sip(h->agent, now, &s);
        } else if (s.kind == SIP_OUT_REQUEST) {
            struct sip_answer answer = {.status = s.msg && s.msg->method == SIP_OPTIONS ? 200 : 405,
                                        .once = true};
            (void)sip_respond(h->core, now, s.txn, &answer);
        } else if (s.kind == SIP_OUT_INVITE) { /* nobody is to call us */
            struct sip_answer answer = {.status = 480};
            (void)sip_reject(h->core, now, s.session, &answer);
        }
    }
    return any;
}

static void client_out(struct mrcp_host *h, const struct mrcp_out *m)
{
    const struct server *s = server_of(h, m->user);
    struct mrcp_controls_peer peer = {.host = s ? s->uri.host : STR_NONE,
                                      .party = s ? party_of(h, s) : 0};
    if (m->kind == MRCP_OUT_SEND)
        moved(h, m->user, 0, blob_str(m->blob).n);
    if (m->kind == MRCP_OUT_CONNECT || m->kind == MRCP_OUT_SEND || m->kind == MRCP_OUT_CLOSE) {
        mrcp_controls_out(h->controls, m, &peer);
        return;
    }
    moved(h, m->user, m->bytes, 0);
    mrcp_agent_client(h->agent, loop_now(h->loop), m);
    if (m->kind == MRCP_OUT_RESPONSE || m->kind == MRCP_OUT_EVENT || m->kind == MRCP_OUT_STOPPED)
        h->hooks.message(h->hooks.ctx, m);
}

/* What hooks ask for joins the queues that are being emptied. */
static void drain(struct mrcp_host *h)
{
    struct mrcp_agent_out o;
    struct mrcp_out m;
    bool any = true;
    h->dirty = true;
    if (h->draining)
        return;
    h->draining = true;
    while (any) {
        any = false;
        for (; mrcp_agent_out(h->agent, &o); any = true)
            agent_out(h, &o);
        any = sip_drain(h) || any;
        for (; mrcp_client_out(h->client, &m); any = true)
            client_out(h, &m);
    }
    h->draining = false;
}

static void on_timer(struct loop_timer *t)
{
    struct mrcp_host *h = container_of(t, struct mrcp_host, timer);
    usec_t now = loop_now(h->loop);
    sip_core_tick(h->core, now);
    mrcp_client_tick(h->client, now);
    drain(h);
}

void mrcp_host_turn(struct mrcp_host *h)
{
    if (h->dirty)
        drain(h);
    net_flush(h->net); /* a connection that has just come up has something to send by itself */
    if (!h->dirty)
        return;
    h->dirty = false;
    usec_t now = loop_now(h->loop);
    usec_t a = sip_core_deadline(h->core), b = mrcp_client_deadline(h->client);
    usec_t due = a < b ? a : b;
    if (due == USEC_NEVER) {
        loop_timer_stop(&h->timer);
        return;
    }
    uint64_t ms = due > now ? (due - now + USEC_MS - 1) / USEC_MS : 0;
    loop_timer_start(&h->timer, ms < INT32_MAX ? (uint32_t)ms : INT32_MAX, 0);
}

/* ---- servers --------------------------------------------------------------------------------- */

static struct server *server_find(struct mrcp_host *h, struct str uri)
{
    for (unsigned i = 0; i < MRCP_HOST_SERVERS; i++)
        if (h->server[i].text[0] && str_eq(str_z(h->server[i].text), uri))
            return &h->server[i];
    return NULL;
}

/* A free place, or that of the one that was not called for the longest time. */
static struct server *server_place(struct mrcp_host *h)
{
    struct server *oldest = NULL;
    for (unsigned i = 0; i < MRCP_HOST_SERVERS; i++) {
        struct server *s = &h->server[i];
        if (!s->text[0])
            return s;
        if (!s->sessions && !s->asking && (!oldest || s->used_at < oldest->used_at))
            oldest = s;
    }
    return oldest;
}

static int server_new(struct mrcp_host *h, struct str uri, struct server **ret)
{
    struct sip_uri parsed;
    struct server *s = server_place(h);
    if (uri.n >= URI_MAX || sip_uri_parse(&parsed, uri) || !parsed.host.n)
        return -EINVAL;
    if (!s)
        return -ENOSPC;
    uint32_t asked = s->asked;
    *s = (struct server){.asked = asked};
    str_copy_z(s->text, sizeof(s->text), uri);
    int err = sip_uri_parse(&s->uri, str_z(s->text));
    struct tls_target who = {.host = s->uri.host,
                             .pin = h->conf.tls.pin, //
                             .n_pins = h->conf.tls.n_pins};
    if (!err && h->tls) /* RFC 5922: its certificate must be for the host of the URI */
        err = net_party_set(h->net, party_of(h, s), &who);
    if (err)
        s->text[0] = '\0';
    *ret = s;
    return err;
}

static int resolve(struct mrcp_host *h, struct server *s)
{
    /* With a port nobody asks for SRV (RFC 3263 section 4.2). */
    uint16_t usual = h->conf.proto == PROTO_TLS ? 5061 : 5060;
    struct dns_question q = {.name = s->uri.host,
                             .port = s->uri.port   ? s->uri.port
                                     : h->conf.srv ? 0
                                                   : usual,
                             .sips = s->uri.scheme == SIP_SCHEME_SIPS,
                             .proto = (uint8_t)h->conf.proto};
    int err = dns_resolve(h->dns, &q, (uint64_t)++s->asked << 32 | (uint64_t)(s - h->server));
    s->asking = err == 0;
    return err;
}

int mrcp_host_reach(struct mrcp_host *h, struct str uri, unsigned *server)
{
    struct server *s = server_find(h, uri);
    int err = s ? 0 : server_new(h, uri, &s);
    if (err)
        return err;
    *server = (unsigned)(s - h->server);
    s->used_at = loop_now(h->loop);
    if (s->n_addrs && s->used_at < s->until)
        return 0;
    err = s->asking ? 0 : resolve(h, s);
    return err ? err : -EINPROGRESS;
}

/* Our ports are of one family. */
static void addrs_take(const struct mrcp_host *h, struct server *s, const struct dns_answer *a)
{
    s->n_addrs = 0;
    for (unsigned i = 0; i < a->n && s->n_addrs < MRCP_AGENT_ADDRS; i++)
        if (a->dest[i].addr.family == h->conf.family)
            s->addr[s->n_addrs++] = a->dest[i].addr;
}

/* Where it was before is still better than nowhere. */
static void on_resolved(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct mrcp_host *h = ctx;
    unsigned at = (uint32_t)a->token;
    struct server *s = &h->server[at];
    if (!s->asking || s->asked != a->token >> 32)
        return;
    s->asking = false;
    if (!a->err && a->n)
        addrs_take(h, s, a);
    s->until = now + (a->ttl_s ? a->ttl_s : 1) * USEC_S;
    h->hooks.resolved(h->hooks.ctx, at, s->n_addrs ? 0 : a->err ? a->err : -ENOENT);
    drain(h);
}

/* ---- commands -------------------------------------------------------------------------------- */

static struct addr ours_for(const struct mrcp_host *h, const struct server *s)
{
    struct addr any = {.family = h->conf.family};
    return h->conf.bind.family && !addr_is_any(&h->conf.bind)
               ? h->conf.bind
               : local_for(&h->local, &any, &s->addr[0]);
}

int mrcp_host_open(struct mrcp_host *h, unsigned server, const struct mrcp_host_call *in,
                   uint64_t *id)
{
    char from[300];
    struct buf b;
    struct server *s = &h->server[server];
    struct addr ours = ours_for(h, s);
    ours.port = in->port;
    buf_init(&b, from, sizeof(from));
    buf_lit(&b, "<sip:");
    sip_escape_user(&b, in->user.n ? in->user : STR("ringdown"));
    buf_ch(&b, '@');
    addr_put_host(&b, &ours);
    buf_ch(&b, '>');
    struct mrcp_agent_call call = {.ruri = str_z(s->text),
                                   .from = buf_str(&b),
                                   .user = in->password.n ? in->user : STR_NONE,
                                   .password = in->password,
                                   .proto = h->conf.proto,
                                   .party = party_of(h, s),
                                   .n_addrs = s->n_addrs,
                                   .media = in->media,
                                   .port = in->port,
                                   .session = {.resource = in->resource,
                                               .n_resources = in->n_resources,
                                               .tls = h->conf.proto == PROTO_TLS,
                                               .share = h->conf.share,
                                               .rtp = ours,
                                               .codec = h->conf.codec,
                                               .n_codecs = h->conf.n_codecs}};
    memcpy(call.addr, s->addr, sizeof(call.addr));
    int err = mrcp_agent_open(h->agent, loop_now(h->loop), &call, id);
    if (err)
        return err == -EAGAIN ? -ENOSPC : err; /* the core's tables are full: no port helps */
    *link_of(h, *id) = (struct link){.id = *id, .server = server};
    s->sessions++;
    s->insecure[0] = '\0'; /* what fails next may fail for another reason */
    h->dirty = true;       /* nothing is told of it before its owner knows it */
    return 0;
}

bool mrcp_host_next(struct mrcp_host *h, uint64_t id)
{
    struct server *s = server_of(h, id);
    struct addr silent;
    if (!s || !mrcp_agent_next(h->agent, loop_now(h->loop), id, &silent))
        return false;
    for (unsigned i = 0; i + 1 < s->n_addrs; i++) {
        if (!addr_eq(&s->addr[i], &silent))
            continue;
        s->addr[i] = s->addr[i + 1];
        s->addr[i + 1] = silent;
    }
    h->dirty = true;
    return true;
}

int mrcp_host_ask(struct mrcp_host *h, uint64_t id, const struct mrcp_ask *ask,
                  uint64_t *request_id)
{
    int err = mrcp_agent_ask(h->agent, loop_now(h->loop), id, ask, request_id);
    drain(h);
    return err;
}

void mrcp_host_close(struct mrcp_host *h, uint64_t id)
{
    mrcp_agent_close(h->agent, loop_now(h->loop), id);
    drain(h);
}

void mrcp_host_why(const struct mrcp_host *h, const struct mrcp_agent_out *o, char *out, size_t n)
{
    static const struct {
        int err;
        const char *text;
    } texts[] = {{-ETIMEDOUT, "the server does not answer"},
                 {-ETIME, "the request took too long"},
                 {-EHOSTUNREACH, "nobody is there"},
                 {-EACCES, "the server refuses our credentials"},
                 {-ECONNREFUSED, "no control connection could be made"},
                 {-ECONNRESET, "the server closed the control connection"},
                 {-ECONNABORTED, "the server hung up"},
                 {-ENOTSUP, "the server has not got the resource"},
                 {-EBADMSG, "the server's SDP is no answer to ours"},
                 {-EPROTOTYPE, "the server wants a control connection without TLS"},
                 {-EPROTO, "the server does not speak MRCPv2"}};
    const struct link *l = link_of(h, o->id);
    const char *insecure = l && l->id == o->id ? h->server[l->server].insecure : "";
    char other[80]; /* uv_strerror() keeps memory for what it does not know */
    const char *z = uv_strerror_r(o->err, other, sizeof(other));
    bool answered = o->err == -EPROTO || o->err == -EACCES; /* else the status is our own */
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].err == o->err)
            z = texts[i].text;
    if (insecure[0] && (o->err == -EHOSTUNREACH || o->err == -ECONNREFUSED))
        snprintf(out, n, "TLS: %s", insecure);
    else if (answered && o->status >= 300)
        snprintf(out, n, "the server refuses the session: %u", o->status);
    else
        snprintf(out, n, "%s", z);
}

/* ---- what the network brings ----------------------------------------------------------------- */

/* Some networks give our own requests back. The answers that they would get here would come to us,
 * who asked: as refusals. */
static bool is_ours(const struct mrcp_host *h, const struct sip_msg *m)
{
    struct addr by;
    return addr_parse(&by, m->via.host, m->via.port ? m->via.port : 5060) == 0 &&
           by.port == h->listener.bound.port &&
           (local_is_ours(&h->local, &by) || addr_ip_eq(&by, &h->listener.bound));
}

static bool is_server(const struct mrcp_host *h, const struct addr *from)
{
    for (unsigned i = 0; i < MRCP_HOST_SERVERS; i++)
        for (unsigned k = 0; h->server[i].text[0] && k < h->server[i].n_addrs; k++)
            if (addr_ip_eq(&h->server[i].addr[k], from))
                return true;
    return false;
}

/* Nobody is to call us, and no guard of the exchange stands before this socket: who is no server of
 * ours, and does not speak of a session that there is, gets no answer and makes no transaction. */
static bool is_strange(const struct mrcp_host *h, const struct sip_msg *m, const struct addr *from)
{
    struct sip_dialog_id id = {.call_id = m->call_id, .to_tag = m->to.tag, .from_tag = m->from.tag};
    struct sip_dialog_found found;
    return !is_server(h, from) && !(m->to.tag.n && sip_dialog_lookup(h->core, &id, &found));
}

static bool is_unwanted(const struct mrcp_host *h, const struct net_rx *rx)
{
    struct sip_msg m;
    if (str_starts(rx->bytes, STR("SIP/2.0 ")))
        return false;
    /* What cannot be read would be answered, where that is possible at all. */
    if (sip_msg_parse(&m, rx->bytes.p, rx->bytes.n, true) != SIP_OK || !m.is_request)
        return !is_server(h, &rx->flow.peer);
    return is_ours(h, &m) || is_strange(h, &m, &rx->flow.peer);
}

static void on_rx(void *ctx, usec_t now, const struct net_rx *rx)
{
    struct mrcp_host *h = ctx;
    if (is_unwanted(h, rx))
        return;
    seen(h, &rx->flow, rx->bytes, false);
    sip_core_rx(h->core, now, &rx->flow, rx->bytes.p, rx->bytes.n);
    drain(h);
}

static void on_closed(void *ctx, usec_t now, const struct flow *flow, int err)
{
    struct mrcp_host *h = ctx;
    (void)err;
    sip_core_flow_failed(h->core, now, flow);
    drain(h);
}

static void on_failed(void *ctx, usec_t now, const struct flow *to, const struct blob *b, int err)
{
    struct mrcp_host *h = ctx;
    h->dirty = true;
    if (err == -ENOTCONN && to->conn) { /* the server has closed it meanwhile: a new one */
        struct flow again = *to;
        again.conn = 0;
        net_send(h->net, &again, (struct blob *)(uintptr_t)b);
        return;
    }
    sip_core_flow_failed(h->core, now, to);
    drain(h);
}

static void on_bounced(void *ctx, usec_t now, struct str bytes)
{
    struct mrcp_host *h = ctx;
    sip_core_bounced(h->core, now, bytes.p, bytes.n);
    drain(h);
}

static void insecure_set(void *ctx, uint16_t party, struct str why)
{
    struct mrcp_host *h = ctx;
    if (party && party <= MRCP_HOST_SERVERS)
        str_copy_z(h->server[party - 1].insecure, sizeof(h->server[0].insecure), why);
}

static void on_insecure(void *ctx, usec_t now, const struct flow *flow, bool ours, struct str why)
{
    (void)now;
    if (ours)
        insecure_set(ctx, flow->party, why);
}

static void on_control(void *ctx)
{
    drain(ctx);
}

/* ---- the beginning and the end --------------------------------------------------------------- */

static int open_tls(struct mrcp_host *h, char *why)
{
    char mem[MRCP_HOST_WHY];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    int err = tls_ctx_new(&h->tls, &h->conf.tls, &text);
    if (err)
        snprintf(why, MRCP_HOST_WHY, "TLS: " STR_FMT, STR_ARG(buf_str(&text)));
    else
        net_tls_set(h->net, h->tls);
    return err;
}

static int open_net(struct mrcp_host *h, char *why)
{
    struct net_config cfg = {.max_conns = 64 + MRCP_HOST_SERVERS};
    struct net_hooks hooks = {.rx = on_rx,
                              .closed = on_closed,
                              .failed = on_failed,
                              .bounced = on_bounced,
                              .insecure = on_insecure,
                              .ctx = h};
    h->listener = (struct flow_listener){.proto = (uint8_t)h->conf.proto, .bound = h->conf.bind};
    if (!h->listener.bound.family)
        h->listener.bound = (struct addr){.family = h->conf.family};
    h->listener.bound.port = 0;
    int err = entropy_get(&cfg.seed, sizeof(cfg.seed));
    err = err ? err : net_new(&h->net, h->loop, &cfg, &hooks);
    if (err == 0 && h->conf.proto == PROTO_TLS)
        err = open_tls(h, why);
    err = err ? err : net_listen(h->net, 0, &h->listener);
    h->listener.advertised = (struct addr){0};
    return err ? err : iface_list(&h->local);
}

static int core_new(struct mrcp_host *h)
{
    uint8_t key[32];
    struct sip_conf *conf = mem_zero(sizeof(*conf));
    int err = conf ? entropy_get(key, sizeof(key)) : -ENOMEM;
    err = err ? err : trace_init(&h->trace, 1u << 16, 1);
    if (err) {
        mem_free(conf);
        return err;
    }
    rand_init(&h->rand, key);
    conf->timers = (struct sip_timers){.t1 = h->conf.t1,
                                       .t2 = h->conf.t2,
                                       .t4 = 5 * USEC_S,
                                       .bye_timeout = 64 * h->conf.t1,
                                       .invite_sends = h->conf.invite_sends};
    conf->n_listeners = 1;
    conf->listener[0] = h->listener;
    conf->local = h->local;
    str_copy_z(conf->call_id_host, sizeof(conf->call_id_host), STR("ringdown.mrcp"));
    str_copy_z(conf->server_name, sizeof(conf->server_name), STR("ringdown"));
    conf->supported = "100rel";
    conf->supported_call = "100rel";
    conf->allow = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK";
    conf->max_txns = MAX_TXNS;
    conf->max_sessions = conf->max_dialogs = 4 * h->conf.sessions;
    h->core = sip_core_new(conf, &h->rand, &h->trace, loop_now(h->loop));
    mem_free(conf);
    return h->core ? 0 : -ENOMEM;
}

/* Sessions that are over may still wait for the answer to their BYE. */
static int open_core(struct mrcp_host *h)
{
    int err = core_new(h);
    if (err)
        return err;
    struct mrcp_client_conf client = {.max_sessions = 2 * h->conf.sessions,
                                      .max_conns = 2 * h->conf.sessions,
                                      .response_timeout = h->conf.response_timeout,
                                      .seed = rand_u64(&h->rand)};
    h->n_links = 2 * h->conf.sessions;
    h->link = mem_zero(h->n_links * sizeof(*h->link));
    h->digest = digest_new();
    h->client = mrcp_client_new(&client, loop_now(h->loop));
    struct mrcp_agent_conf agent = {.core = h->core,
                                    .client = h->client,
                                    .rand = &h->rand,
                                    .digest = h->digest,
                                    .max_sessions = h->n_links};
    struct mrcp_controls_conf controls = {.loop = h->loop,
                                          .client = h->client,
                                          .tls = h->tls,
                                          .pin = h->conf.tls.pin,
                                          .n_pins = h->conf.tls.n_pins,
                                          .max = client.max_conns,
                                          .changed = on_control,
                                          .insecure = insecure_set,
                                          .ctx = h};
    if (!h->link || !h->client || !h->digest)
        return -ENOMEM;
    h->agent = mrcp_agent_new(&agent);
    h->controls = mrcp_controls_new(&controls);
    return h->agent && h->controls ? 0 : -ENOMEM;
}

static int open_dns(struct mrcp_host *h)
{
    struct dns_config cfg = {
        .servers = h->conf.dns, .ipv6 = h->conf.family == ADDR_V6, .done = on_resolved, .ctx = h};
    int err = entropy_get(&cfg.seed, sizeof(cfg.seed));
    return err ? err : dns_new(&h->dns, h->loop, &cfg);
}

/* What has said it already is kept. */
static int say(char *why, const char *what, int err)
{
    if (err && !why[0])
        snprintf(why, MRCP_HOST_WHY, "%s: %s", what, uv_strerror(err));
    return err;
}

int mrcp_host_new(struct mrcp_host **ret, const struct mrcp_host_conf *conf,
                  const struct mrcp_host_hooks *hooks, char *why)
{
    struct mrcp_host *h = mem_zero(sizeof(*h));
    why[0] = '\0';
    if (!h)
        return say(why, "memory", -ENOMEM);
    h->conf = *conf;
    h->conf.family = conf->family ? conf->family : ADDR_V4;
    h->hooks = *hooks;
    h->loop = conf->loop;
    h->timer.fire = on_timer;
    loop_timer_open(h->loop, &h->timer);
    int err = say(why, "the socket of SIP", open_net(h, why));
    err = err ? err : say(why, "SIP", open_core(h));
    err = err ? err : say(why, "the resolver", open_dns(h));
    if (err) {
        mrcp_host_free(h);
        return err;
    }
    *ret = h;
    return 0;
}

static void core_free(struct sip_core *core)
{
    struct sip_out s;
    while (core && sip_core_out(core, &s))
        blob_unref(s.blob);
    if (core)
        sip_core_free(core);
}

static void on_timer_closed(struct loop_timer *t)
{
    mem_free(container_of(t, struct mrcp_host, timer));
}

void mrcp_host_free(struct mrcp_host *h)
{
    if (!h)
        return;
    mrcp_controls_free(h->controls);
    dns_free(h->dns);
    if (h->net)
        net_flush(h->net);
    net_free(h->net);
    tls_ctx_free(h->tls);
    if (h->agent)
        mrcp_agent_free(h->agent);
    if (h->client)
        mrcp_client_free(h->client);
    core_free(h->core);
    if (h->digest)
        digest_free(h->digest);
    trace_done(&h->trace);
    mem_free(h->link);
    h->timer.closed = on_timer_closed;
    loop_timer_close(&h->timer);
}
