#include "app/mrcp_ua.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "io/dns.h"
#include "io/entropy.h"
#include "io/iface.h"
#include "io/net.h"
#include "io/outconn.h"

#define WHY_BYTES    200
#define PARTY        1
#define MAX_SESSIONS 1024
/* Over UDP the transaction of an INVITE outlives its answer by 32 s (Timer M), whatever the pace.
 */
#define MAX_TXNS      (1u << 18)
#define STREAM_FAMILY ADDR_V4

struct control {
    struct mrcp_ua *ua;
    handle_t conn; /* of the client; 0: free */
    struct outconn *out;
};

struct stream {
    uint64_t id; /* of the session; 0: free */
    media_id media;
};

struct mrcp_ua {
    struct mrcp_ua_conf conf;
    struct mrcp_ua_hooks hooks;
    struct loop *loop;
    struct net *net;
    struct dns *dns;
    struct tls_ctx *tls;
    char insecure[TLS_WHY_MAX + 1];
    struct media_thread *media;
    struct loop_watch media_watch;
    bool media_watched;
    struct rand rand;
    struct trace trace;
    struct digest *digest;
    struct sip_core *core;
    struct mrcp_client *client;
    struct mrcp_agent *agent;
    struct flow_listener listener;
    struct local_addrs local;
    struct addr addr[MRCP_AGENT_ADDRS];
    unsigned n_addrs;
    uint16_t port[MAX_SESSIONS * 2]; /* pairs that are free */
    unsigned n_ports;
    struct stream stream[MAX_SESSIONS];
    struct control control[MAX_SESSIONS];
    media_id last_media;
    struct sip_uri uri;
    bool draining;
    struct media_cmd *waiting; /* for room in the mailbox */
    uint32_t n_waiting, cap_waiting;
};

struct loop *mrcp_ua_loop(struct mrcp_ua *ua)
{
    return ua->loop;
}

void mrcp_ua_telemetry(const struct mrcp_ua *ua, struct mrcp_telemetry *ret)
{
    mrcp_agent_telemetry(ua->agent, ret);
}

/* ---- what leaves ----------------------------------------------------------------------------- */

static void media_flush(struct mrcp_ua *ua)
{
    size_t n = ua->n_waiting ? media_thread_send(ua->media, ua->waiting, ua->n_waiting) : 0;
    ua->n_waiting -= (uint32_t)n;
    if (n)
        memmove(ua->waiting, ua->waiting + n, ua->n_waiting * sizeof(*ua->waiting));
}

void mrcp_ua_media(struct mrcp_ua *ua, const struct media_cmd *cmd)
{
    if (ua->n_waiting == ua->cap_waiting) {
        uint32_t cap = ua->cap_waiting ? ua->cap_waiting * 2 : 64;
        struct media_cmd *bigger = mem_resize(ua->waiting, cap * sizeof(*bigger));
        if (!bigger)
            return;
        ua->waiting = bigger;
        ua->cap_waiting = cap;
    }
    ua->waiting[ua->n_waiting++] = *cmd;
}

static void drain(struct mrcp_ua *ua);

static void control_up(void *ctx)
{
    struct control *k = ctx;
    mrcp_client_connected(k->ua->client, loop_now(k->ua->loop), k->conn);
    drain(k->ua);
}

static void control_rx(void *ctx, struct str bytes)
{
    struct control *k = ctx;
    mrcp_client_rx(k->ua->client, loop_now(k->ua->loop), k->conn, bytes);
    drain(k->ua);
}

static void control_lost(void *ctx, int err)
{
    struct control *k = ctx;
    mrcp_client_closed(k->ua->client, loop_now(k->ua->loop), k->conn, err);
    drain(k->ua);
}

static struct control *control_find(struct mrcp_ua *ua, handle_t conn)
{
    for (unsigned i = 0; i < MAX_SESSIONS; i++)
        if (ua->control[i].conn == conn)
            return &ua->control[i];
    return NULL;
}

static void control_open(struct mrcp_ua *ua, const struct mrcp_out *o)
{
    struct control *k = control_find(ua, 0);
    int err = k ? 0 : -ENOMEM;
    if (k) {
        *k = (struct control){.ua = ua, .conn = o->conn};
        struct outconn_hooks hooks = {
            .up = control_up, .rx = control_rx, .lost = control_lost, .ctx = k};
        err = outconn_open(&k->out, ua->loop, &o->peer, &hooks);
    }
    if (!err)
        return;
    if (k)
        k->conn = 0;
    mrcp_client_closed(ua->client, loop_now(ua->loop), o->conn, err);
}

static void control_out(struct mrcp_ua *ua, const struct mrcp_out *o)
{
    struct control *k = control_find(ua, o->conn);
    if (o->kind == MRCP_OUT_CONNECT) {
        control_open(ua, o);
    } else if (o->kind == MRCP_OUT_SEND) {
        if (k)
            outconn_send(k->out, blob_str(o->blob));
        blob_unref(o->blob);
    } else if (k) {
        outconn_close(k->out);
        *k = (struct control){.ua = ua};
    }
}

static struct stream *stream_find(const struct mrcp_ua *ua, uint64_t id)
{
    for (unsigned i = 0; i < MAX_SESSIONS; i++)
        if (ua->stream[i].id == id)
            return (struct stream *)(uintptr_t)&ua->stream[i];
    return NULL;
}

media_id mrcp_ua_stream(const struct mrcp_ua *ua, uint64_t id)
{
    const struct stream *s = id ? stream_find(ua, id) : NULL;
    return s ? s->media : 0;
}

static void agent_out(struct mrcp_ua *ua, const struct mrcp_agent_out *o)
{
    struct stream *s;
    switch (o->kind) {
    case MRCP_AGENT_MEDIA:
        mrcp_ua_media(ua, &o->media);
        break;
    case MRCP_AGENT_READY:
        ua->hooks.ready(ua->hooks.ctx, o->id);
        break;
    case MRCP_AGENT_REFUSED:
        ua->hooks.refused(ua->hooks.ctx, o->id, o->resource);
        break;
    case MRCP_AGENT_ENDED:
        s = stream_find(ua, o->id);
        if (s)
            s->id = 0;
        ua->hooks.ended(ua->hooks.ctx, o);
        break;
    default:
        break;
    }
}

static bool sip_drain(struct mrcp_ua *ua)
{
    struct sip_out s;
    bool any = false;
    for (; sip_core_out(ua->core, &s); any = true) {
        if (s.kind == SIP_OUT_SEND) {
            net_send(ua->net, &s.flow, s.blob);
            blob_unref(s.blob);
        } else if (s.user & MRCP_AGENT_USER) {
            mrcp_agent_sip(ua->agent, loop_now(ua->loop), &s);
        } else if (s.kind == SIP_OUT_REQUEST) {
            struct sip_answer answer = {.status = s.msg && s.msg->method == SIP_OPTIONS ? 200 : 405,
                                        .once = true};
            (void)sip_respond(ua->core, loop_now(ua->loop), s.txn, &answer);
        } else if (s.kind == SIP_OUT_INVITE) { /* nobody is to call us */
            struct sip_answer answer = {.status = 480};
            (void)sip_reject(ua->core, loop_now(ua->loop), s.session, &answer);
        }
    }
    return any;
}

static bool client_drain(struct mrcp_ua *ua)
{
    struct mrcp_out m;
    bool any = false;
    for (; mrcp_client_out(ua->client, &m); any = true) {
        if (m.kind == MRCP_OUT_CONNECT || m.kind == MRCP_OUT_SEND || m.kind == MRCP_OUT_CLOSE) {
            control_out(ua, &m);
            continue;
        }
        mrcp_agent_client(ua->agent, loop_now(ua->loop), &m);
        if (m.kind == MRCP_OUT_RESPONSE || m.kind == MRCP_OUT_EVENT || m.kind == MRCP_OUT_STOPPED)
            ua->hooks.message(ua->hooks.ctx, &m);
    }
    return any;
}

/* What hooks ask for joins the queues that are being emptied. */
static void drain(struct mrcp_ua *ua)
{
    struct mrcp_agent_out o;
    bool any = true;
    if (ua->draining)
        return;
    ua->draining = true;
    while (any) {
        any = false;
        for (; mrcp_agent_out(ua->agent, &o); any = true)
            agent_out(ua, &o);
        any = sip_drain(ua) || any;
        any = client_drain(ua) || any;
    }
    ua->draining = false;
}

/* ---- commands -------------------------------------------------------------------------------- */

int mrcp_ua_open(struct mrcp_ua *ua, const enum mrcp_resource *r, unsigned n, uint64_t *id)
{
    char from[300];
    struct buf b;
    struct stream *s = stream_find(ua, 0);
    if (!s || !ua->n_ports)
        return -EAGAIN;
    struct addr any = {.family = STREAM_FAMILY};
    struct addr ours = ua->conf.bind.family && !addr_is_any(&ua->conf.bind)
                           ? ua->conf.bind
                           : local_for(&ua->local, &any, &ua->addr[0]);
    ours.port = ua->port[ua->n_ports - 1];
    buf_init(&b, from, sizeof(from));
    buf_lit(&b, "<sip:");
    buf_z(&b, ua->conf.user ? ua->conf.user : "ringdown");
    buf_ch(&b, '@');
    addr_put_host(&b, &ours);
    buf_ch(&b, '>');
    struct mrcp_agent_call call = {.ruri = str_z(ua->conf.server),
                                   .from = buf_str(&b),
                                   .user = str_z(ua->conf.password ? ua->conf.user : NULL),
                                   .password = str_z(ua->conf.password),
                                   .proto = ua->conf.proto,
                                   .party = PARTY,
                                   .n_addrs = ua->n_addrs,
                                   .media = ++ua->last_media,
                                   .port = ours.port,
                                   .session = {.resource = r,
                                               .n_resources = n,
                                               .share = ua->conf.share,
                                               .rtp = ours,
                                               .codec = ua->conf.codec,
                                               .n_codecs = ua->conf.n_codecs}};
    memcpy(call.addr, ua->addr, sizeof(call.addr));
    int err = mrcp_agent_open(ua->agent, loop_now(ua->loop), &call, id);
    if (err)
        return err == -EAGAIN ? -ENOSPC : err; /* the core's tables are full: no port helps */
    ua->n_ports--;
    *s = (struct stream){.id = *id, .media = call.media};
    drain(ua);
    return 0;
}

int mrcp_ua_ask(struct mrcp_ua *ua, uint64_t id, const struct mrcp_ask *ask, uint64_t *request_id)
{
    int err = mrcp_agent_ask(ua->agent, loop_now(ua->loop), id, ask, request_id);
    drain(ua);
    return err;
}

void mrcp_ua_close(struct mrcp_ua *ua, uint64_t id)
{
    mrcp_agent_close(ua->agent, loop_now(ua->loop), id);
    drain(ua);
}

/* ---- what the world brings ------------------------------------------------------------------- */

/* Some networks give our own requests back. The answers that they would get here would come to us,
 * who asked: as refusals. */
static bool is_ours(const struct mrcp_ua *ua, struct str bytes)
{
    struct sip_msg m;
    struct addr by;
    if (str_starts(bytes, STR("SIP/2.0 ")) || sip_msg_parse(&m, bytes.p, bytes.n, true) != SIP_OK ||
        !m.is_request)
        return false;
    return addr_parse(&by, m.via.host, m.via.port ? m.via.port : 5060) == 0 &&
           by.port == ua->listener.bound.port &&
           (local_is_ours(&ua->local, &by) || addr_ip_eq(&by, &ua->listener.bound));
}

static void on_rx(void *ctx, usec_t now, const struct net_rx *rx)
{
    struct mrcp_ua *ua = ctx;
    if (is_ours(ua, rx->bytes))
        return;
    sip_core_rx(ua->core, now, &rx->flow, rx->bytes.p, rx->bytes.n);
    drain(ua);
}

static void on_net_closed(void *ctx, usec_t now, const struct flow *flow, int err)
{
    struct mrcp_ua *ua = ctx;
    (void)err;
    sip_core_flow_failed(ua->core, now, flow);
    drain(ua);
}

static void on_net_failed(void *ctx, usec_t now, const struct flow *to, const struct blob *b,
                          int err)
{
    struct mrcp_ua *ua = ctx;
    if (err == -ENOTCONN && to->conn) { /* the server has closed it meanwhile: a new one */
        struct flow again = *to;
        again.conn = 0;
        net_send(ua->net, &again, (struct blob *)(uintptr_t)b);
        return;
    }
    sip_core_flow_failed(ua->core, now, to);
    drain(ua);
}

static void on_bounced(void *ctx, usec_t now, struct str bytes)
{
    struct mrcp_ua *ua = ctx;
    sip_core_bounced(ua->core, now, bytes.p, bytes.n);
    drain(ua);
}

static void media_event(struct mrcp_ua *ua, const struct media_ev *ev)
{
    if (ev->kind == MEDIA_EV_PORTS) {
        for (uint32_t i = 0; i < ev->count && ua->n_ports < ARRAY_LEN(ua->port); i++)
            ua->port[ua->n_ports++] = ev->port[i];
    } else if (ev->kind == MEDIA_EV_CLOSED && ua->n_ports < ARRAY_LEN(ua->port)) {
        /* In front, so that a pair is not used again at once. */
        memmove(ua->port + 1, ua->port, ua->n_ports * sizeof(*ua->port));
        ua->port[0] = ev->port[0];
        ua->n_ports++;
    }
    ua->hooks.media(ua->hooks.ctx, ev);
}

static void on_media(struct loop_watch *w, unsigned events)
{
    struct mrcp_ua *ua = container_of(w, struct mrcp_ua, media_watch);
    struct media_ev ev[16];
    size_t n;
    (void)events;
    while ((n = media_thread_poll(ua->media, ev, ARRAY_LEN(ev))) > 0)
        for (size_t i = 0; i < n; i++)
            media_event(ua, &ev[i]);
    drain(ua);
}

static void on_insecure(void *ctx, usec_t now, const struct flow *flow, bool ours, struct str why)
{
    struct mrcp_ua *ua = ctx;
    (void)now;
    (void)flow;
    if (ours)
        str_copy_z(ua->insecure, sizeof(ua->insecure), why);
}

struct str mrcp_ua_insecure(const struct mrcp_ua *ua)
{
    return ua->insecure[0] ? str_z(ua->insecure) : STR_NONE;
}

static void on_tick(void *ctx, usec_t now)
{
    struct mrcp_ua *ua = ctx;
    sip_core_tick(ua->core, now);
    mrcp_client_tick(ua->client, now);
    drain(ua);
}

static void on_turn(void *ctx, usec_t now)
{
    struct mrcp_ua *ua = ctx;
    (void)now;
    if (!ua->core)
        return;
    media_flush(ua);
    net_flush(ua->net);
    usec_t a = sip_core_deadline(ua->core), b = mrcp_client_deadline(ua->client);
    loop_deadline_set(ua->loop, a < b ? a : b);
}

static void on_signal(void *ctx, int signum)
{
    struct mrcp_ua *ua = ctx;
    if (signum != SIGHUP)
        ua->hooks.interrupted(ua->hooks.ctx);
    drain(ua);
}

static void on_resolved(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct mrcp_ua *ua = ctx;
    (void)now;
    for (unsigned i = 0; i < a->n && ua->n_addrs < MRCP_AGENT_ADDRS; i++)
        ua->addr[ua->n_addrs++] = a->dest[i].addr;
    ua->hooks.resolved(ua->hooks.ctx, a->err ? a->err : ua->n_addrs ? 0 : -ENOENT);
    drain(ua);
}

/* ---- the beginning and the end --------------------------------------------------------------- */

/* Connections are ours alone, and their peer must be the host of the URI (RFC 5922). */
static int open_tls(struct mrcp_ua *ua, char *why)
{
    char mem[WHY_BYTES];
    struct buf text;
    struct tls_target who = {
        .host = ua->uri.host, .pin = ua->conf.tls.pin, .n_pins = ua->conf.tls.n_pins};
    buf_init(&text, mem, sizeof(mem));
    int err = tls_ctx_new(&ua->tls, &ua->conf.tls, &text);
    if (err) {
        snprintf(why, WHY_BYTES, "TLS: " STR_FMT, STR_ARG(buf_str(&text)));
        return err;
    }
    net_tls_set(ua->net, ua->tls);
    return net_party_set(ua->net, PARTY, &who);
}

static int open_net(struct mrcp_ua *ua, char *why)
{
    struct net_config cfg = {.max_conns = 64};
    struct net_hooks hooks = {.rx = on_rx,
                              .closed = on_net_closed,
                              .failed = on_net_failed,
                              .bounced = on_bounced,
                              .insecure = on_insecure,
                              .ctx = ua};
    ua->listener = (struct flow_listener){.proto = (uint8_t)ua->conf.proto, .bound = ua->conf.bind};
    if (!ua->listener.bound.family)
        ua->listener.bound = (struct addr){.family = STREAM_FAMILY};
    int err = entropy_get(&cfg.seed, sizeof(cfg.seed));
    err = err ? err : net_new(&ua->net, ua->loop, &cfg, &hooks);
    if (err == 0 && ua->conf.proto == PROTO_TLS)
        err = open_tls(ua, why);
    err = err ? err : net_listen(ua->net, 0, &ua->listener);
    ua->listener.advertised = (struct addr){0};
    return err ? err : iface_list(&ua->local);
}

static int open_core(struct mrcp_ua *ua)
{
    uint8_t key[32];
    struct sip_conf *conf = mem_zero(sizeof(*conf));
    int err = conf ? entropy_get(key, sizeof(key)) : -ENOMEM;
    err = err ? err : trace_init(&ua->trace, 1u << 16, 1);
    if (err) {
        mem_free(conf);
        return err;
    }
    rand_init(&ua->rand, key);
    conf->timers = (struct sip_timers){.t1 = ua->conf.t1,
                                       .t2 = ua->conf.t2,
                                       .t4 = 5 * USEC_S,
                                       .bye_timeout = 64 * ua->conf.t1,
                                       .invite_sends = ua->conf.invite_sends};
    conf->n_listeners = 1;
    conf->listener[0] = ua->listener;
    conf->local = ua->local;
    str_copy_z(conf->call_id_host, sizeof(conf->call_id_host), STR("ringdown.mrcp"));
    str_copy_z(conf->server_name, sizeof(conf->server_name), STR("ringdown"));
    conf->supported = "100rel";
    conf->supported_call = "100rel";
    conf->allow = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK";
    conf->max_txns = MAX_TXNS;
    conf->max_sessions = conf->max_dialogs = 4 * MAX_SESSIONS;
    ua->core = sip_core_new(conf, &ua->rand, &ua->trace, loop_now(ua->loop));
    ua->digest = digest_new();
    struct mrcp_client_conf client = {.response_timeout = ua->conf.response_timeout,
                                      .seed = rand_u64(&ua->rand)};
    ua->client = mrcp_client_new(&client, loop_now(ua->loop));
    struct mrcp_agent_conf agent = {.core = ua->core,
                                    .client = ua->client,
                                    .rand = &ua->rand,
                                    .digest = ua->digest,
                                    .max_sessions = ua->conf.sessions};
    ua->agent = ua->core && ua->client && ua->digest ? mrcp_agent_new(&agent) : NULL;
    mem_free(conf);
    return ua->agent ? 0 : -ENOMEM;
}

/* RFC 5905 section 6: seconds since 1900 in the upper half, their fraction in the lower. */
static uint64_t ntp_offset(struct mrcp_ua *ua)
{
    usec_t now = loop_now(ua->loop);
    uint64_t wall = loop_wall_us(ua->loop, now) - now;
    return (wall / USEC_S + 2208988800u) << 32 | (wall % USEC_S << 32) / USEC_S;
}

static int open_media(struct mrcp_ua *ua)
{
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4},
                              .port_first = ua->conf.port_first,
                              .port_last = ua->conf.port_last,
                              .block = ua->hooks.block,
                              .block_ctx = ua->hooks.ctx};
    if (ua->conf.bind.family == ADDR_V4)
        conf.bind_v4 = ua->conf.bind;
    conf.bind_v4.port = 0;
    int err = entropy_get(&conf.limits.seed, sizeof(conf.limits.seed));
    conf.limits.ntp_offset = ntp_offset(ua);
    err = err ? err : media_thread_start(&ua->media, &conf);
    if (err)
        return err;
    ua->media_watch = (struct loop_watch){.ready = on_media};
    err = loop_watch_open(ua->loop, &ua->media_watch, media_thread_fd(ua->media), LOOP_READ);
    ua->media_watched = err == 0;
    struct media_cmd cmd = {
        .kind = MEDIA_STOCK, .family = STREAM_FAMILY, .count = ua->conf.sessions + 1};
    mrcp_ua_media(ua, &cmd);
    return err;
}

static int resolve(struct mrcp_ua *ua)
{
    struct dns_config cfg = {.servers = ua->conf.dns, .done = on_resolved, .ctx = ua};
    int err = entropy_get(&cfg.seed, sizeof(cfg.seed));
    err = err ? err : dns_new(&ua->dns, ua->loop, &cfg);
    /* With a port nobody asks for SRV (RFC 3263 section 4.2). */
    uint16_t usual = ua->conf.proto == PROTO_TLS ? 5061 : 5060;
    struct dns_question q = {.name = ua->uri.host,
                             .port = ua->uri.port   ? ua->uri.port
                                     : ua->conf.srv ? 0
                                                    : usual,
                             .sips = ua->uri.scheme == SIP_SCHEME_SIPS,
                             .proto = (uint8_t)ua->conf.proto};
    return err ? err : dns_resolve(ua->dns, &q, 1);
}

/* What has said it already is kept. */
static int say(char *why, const char *what, int err)
{
    if (err && !why[0])
        snprintf(why, WHY_BYTES, "%s: %s", what, uv_strerror(err));
    return err;
}

int mrcp_ua_new(struct mrcp_ua **ret, const struct mrcp_ua_conf *conf,
                const struct mrcp_ua_hooks *hooks, char *why)
{
    struct mrcp_ua *ua = mem_zero(sizeof(*ua));
    if (!ua)
        return say(why, "memory", -ENOMEM);
    ua->conf = *conf;
    ua->hooks = *hooks;
    if (ua->conf.sessions > MAX_SESSIONS)
        ua->conf.sessions = MAX_SESSIONS;
    int err = sip_uri_parse(&ua->uri, str_z(conf->server));
    err = say(why, conf->server, err ? -EINVAL : 0);
    err = err ? err : say(why, "the event loop", loop_new(&ua->loop));
    if (!err) {
        struct loop_hooks on = {.tick = on_tick, .turn = on_turn, .signal = on_signal, .ctx = ua};
        loop_hooks_set(ua->loop, &on);
        err = say(why, "signals", loop_signals_catch(ua->loop));
    }
    err = err ? err : say(why, "the socket of SIP", open_net(ua, why));
    err = err ? err : say(why, "SIP", open_core(ua));
    err = err ? err : say(why, "media", open_media(ua));
    err = err ? err : say(why, "the resolver", resolve(ua));
    if (err) {
        mrcp_ua_free(ua);
        return err;
    }
    *ret = ua;
    return 0;
}

void mrcp_ua_run(struct mrcp_ua *ua)
{
    loop_run(ua->loop);
}

void mrcp_ua_stop(struct mrcp_ua *ua)
{
    loop_stop(ua->loop);
}

void mrcp_ua_free(struct mrcp_ua *ua)
{
    for (unsigned i = 0; i < MAX_SESSIONS; i++)
        outconn_close(ua->control[i].out);
    if (ua->media_watched)
        loop_watch_close(&ua->media_watch);
    dns_free(ua->dns);
    if (ua->net)
        net_flush(ua->net);
    net_free(ua->net);
    tls_ctx_free(ua->tls);
    if (ua->agent)
        mrcp_agent_free(ua->agent);
    if (ua->client)
        mrcp_client_free(ua->client);
    if (ua->core) {
        struct sip_out s;
        while (sip_core_out(ua->core, &s))
            blob_unref(s.blob);
        sip_core_free(ua->core);
    }
    if (ua->digest)
        digest_free(ua->digest);
    trace_done(&ua->trace);
    if (ua->loop) {
        struct loop_hooks none = {0};
        loop_hooks_set(ua->loop, &none);
        loop_settle(ua->loop);
        loop_free(ua->loop);
    }
    media_thread_stop(ua->media);
    mem_free(ua->waiting);
    mem_free(ua);
}
