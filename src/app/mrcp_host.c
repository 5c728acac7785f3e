#include "app/mrcp_host.h"

#include <errno.h>
#include <stdio.h>

#include "app/mrcp_control.h"
#include "app/mrcp_servers.h"
#include "base/mem.h"
#include "io/entropy.h"
#include "io/iface.h"
#include "io/net.h"

/* Over UDP the transaction of an INVITE outlives its answer by 32 s (Timer M), whatever the pace.
 */
#define MAX_TXNS (1u << 18)
/* Sessions that are over wait for the answer to their BYE, or with a server that is silent for the
 * end of their INVITE, 32 s at most: so many besides those that there may be, lest a few calls to
 * one that is silent keep the others from being reached. */
#define LINGERING 256
/* Of one: an INVITE for each address that it was tried at within open_timeout. */
#define SIP_SESSIONS 3

struct link {
    uint64_t id; /* 0: none */
    uint32_t server;
};

struct mrcp_host {
    struct mrcp_host_conf conf;
    struct mrcp_host_hooks hooks;
    struct loop *loop;
    struct net *net;
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
    struct mrcp_servers *servers;
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

/* NULL: the session is over. */
static struct mrcp_server *server_of(const struct mrcp_host *h, uint64_t id)
{
    const struct link *l = link_of(h, id);
    return l && l->id == id ? mrcp_servers_at(h->servers, l->server) : NULL;
}

/* By which sockets know it; 0 is none. */
static uint16_t party_of(unsigned server)
{
    return (uint16_t)(server + 1);
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
    struct mrcp_server *s = server_of(h, o->id);
    if (s) {
        s->sessions--;
        if (o->err)
            mrcp_server_moved(s);
    }
    h->hooks.ended(h->hooks.ctx, o);
    if (s)
        link_of(h, o->id)->id = 0;
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
    struct mrcp_server *s = server_of(h, m->user);
    struct mrcp_controls_peer peer = {.host = s ? s->uri.host : STR_NONE,
                                      .party = s ? party_of(link_of(h, m->user)->server) : 0};
    if (s && m->kind == MRCP_OUT_CONNECT)
        s->control = m->peer;
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

static int introduced(void *ctx, unsigned at, struct str host)
{
    struct mrcp_host *h = ctx;
    struct tls_target who = {.host = host, .pin = h->conf.tls.pin, .n_pins = h->conf.tls.n_pins};
    /* RFC 5922: its certificate must be for the host of the URI. */
    return h->tls ? net_party_set(h->net, party_of(at), &who) : 0;
}

static void resolved(void *ctx, unsigned at, int err)
{
    struct mrcp_host *h = ctx;
    h->hooks.resolved(h->hooks.ctx, at, err);
    drain(h);
}

int mrcp_host_reach(struct mrcp_host *h, struct str uri, unsigned *server)
{
    return mrcp_servers_reach(h->servers, uri, server);
}

/* ---- commands -------------------------------------------------------------------------------- */

static struct addr ours_for(const struct mrcp_host *h, const struct mrcp_server *s)
{
    struct addr any = {.family = h->conf.family};
    return h->conf.bind.family && !addr_is_any(&h->conf.bind)
               ? h->conf.bind
               : local_for(&h->local, &any, &s->addr[0]);
}

void mrcp_host_interfaces(struct mrcp_host *h, const struct local_addrs *local)
{
    (void)local_renew(&h->local, local);
    sip_core_set_local(h->core, &h->local);
}

int mrcp_host_open(struct mrcp_host *h, unsigned server, const struct mrcp_host_call *in,
                   uint64_t *id)
{
    char from[300];
    struct buf b;
    struct mrcp_server *s = mrcp_servers_at(h->servers, server);
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
                                   .party = party_of(server),
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
    struct mrcp_server *s = server_of(h, id);
    struct addr silent;
    if (!s || !mrcp_agent_next(h->agent, loop_now(h->loop), id, &silent))
        return false;
    mrcp_server_silent(s, &silent);
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

static const char *text_of(int err)
{
    static const struct {
        int err;
        const char *text;
    } texts[] = {
        {-ETIMEDOUT, "the server does not answer"},
        {-ETIME, "the request took too long"},
        {-EHOSTUNREACH, "nobody is there"},
        {-EACCES, "the server refuses our credentials"},
        {-ECONNRESET, "the server closed the control connection"},
        {-ECONNABORTED, "the server hung up"},
        {-ENOTSUP, "the server has not got the resource"},
        {-EBADMSG, "the server's SDP is no answer to ours"},
        {-ENOMSG, "the server's answer has no SDP"},
        {-EDESTADDRREQ, "the server's SDP has no address of numbers for the control channel"},
        {-ENOSTR, "the server's SDP has no audio in a codec that was offered"},
        {-EPROTOTYPE, "the server wants a control connection without TLS"},
        {-EPROTO, "the server does not speak MRCPv2"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].err == err)
            return texts[i].text;
    return NULL;
}

void mrcp_host_why(const struct mrcp_host *h, const struct mrcp_agent_out *o, char *out, size_t n)
{
    const struct mrcp_server *s = server_of(h, o->id);
    const char *z = text_of(o->err);
    char other[80]; /* uv_strerror() keeps memory for what it does not know */
    struct buf b;
    bool answered = o->err == -EPROTO || o->err == -EACCES; /* else the status is our own */
    bool broken = o->err == -EHOSTUNREACH || o->err == -ECONNREFUSED;
    buf_init(&b, out, n - 1);
    if (broken && s && s->insecure[0]) {
        buf_lit(&b, "TLS: ");
        buf_z(&b, s->insecure);
    } else if (o->err == -ECONNREFUSED) {
        buf_lit(&b, "no control connection could be made");
        buf_z(&b, s && s->control.family ? " to " : "");
        if (s && s->control.family)
            addr_put(&b, &s->control);
    } else if (answered && o->status >= 300) {
        buf_printf(&b, "the server refuses the session: %u ", o->status);
        buf_str_put(&b, sip_status_reason(o->status));
    } else {
        buf_z(&b, z ? z : uv_strerror_r(o->err, other, sizeof(other)));
    }
    out[b.n] = '\0';
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

/* Nobody is to call us, and no guard of the exchange stands before this socket: who is no server of
 * ours, and does not speak of a session that there is, gets no answer and makes no transaction. */
static bool is_strange(const struct mrcp_host *h, const struct sip_msg *m, const struct addr *from)
{
    struct sip_dialog_id id = {.call_id = m->call_id, .to_tag = m->to.tag, .from_tag = m->from.tag};
    struct sip_dialog_found found;
    return !mrcp_servers_have(h->servers, from) &&
           !(m->to.tag.n && sip_dialog_lookup(h->core, &id, &found));
}

static bool is_unwanted(const struct mrcp_host *h, const struct net_rx *rx)
{
    struct sip_msg m;
    if (str_starts(rx->bytes, STR("SIP/2.0 ")))
        return false;
    /* What cannot be read would be answered, where that is possible at all. */
    if (sip_msg_parse(&m, rx->bytes.p, rx->bytes.n, true) != SIP_OK || !m.is_request)
        return !mrcp_servers_have(h->servers, &rx->flow.peer);
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
    if (!party || party > MRCP_SERVERS)
        return;
    struct mrcp_server *s = mrcp_servers_at(h->servers, party - 1u);
    str_copy_z(s->insecure, sizeof(s->insecure), why);
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
    struct net_config cfg = {.max_conns = 64 + MRCP_SERVERS};
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
    conf->allow = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE";
    conf->max_txns = MAX_TXNS;
    conf->max_sessions = conf->max_dialogs = SIP_SESSIONS * h->n_links;
    h->core = sip_core_new(conf, &h->rand, &h->trace, loop_now(h->loop));
    mem_free(conf);
    return h->core ? 0 : -ENOMEM;
}

static int open_core(struct mrcp_host *h)
{
    h->n_links = 2 * h->conf.sessions + LINGERING;
    int err = core_new(h);
    if (err)
        return err;
    struct mrcp_client_conf client = {.max_sessions = 2 * h->conf.sessions,
                                      .max_conns = 2 * h->conf.sessions,
                                      .response_timeout = h->conf.response_timeout,
                                      .seed = rand_u64(&h->rand)};
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

static int open_servers(struct mrcp_host *h)
{
    struct mrcp_servers_conf conf = {.loop = h->loop,
                                     .proto = h->conf.proto,
                                     .srv = h->conf.srv,
                                     .family = h->conf.family,
                                     .dns = h->conf.dns,
                                     .introduce = introduced,
                                     .resolved = resolved,
                                     .ctx = h};
    return mrcp_servers_new(&h->servers, &conf);
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
    err = err ? err : say(why, "the resolver", open_servers(h));
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
    mrcp_servers_free(h->servers);
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
