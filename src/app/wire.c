#include "app/wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "app/own.h"
#include "base/mem.h"
#include "io/entropy.h"
#include "io/fs.h"
#include "io/iface.h"
#include "io/notify.h"
#include "pbx/store.h"

#define CONFIG_MAX_BYTES  (16u << 20)
#define PORTS_PATIENCE_MS 2000
#define DAY_MS            UINT64_C(86400000)
/* Old rows go each hour, and first when the start and its rush of registrations are over. */
#define TIDY_FIRST_MS 60000
#define TIDY_MS       3600000
#define STOP_PATIENCE (5 * USEC_S) /* calls get so long to answer their BYE */

/* ---- outputs of the PBX ---------------------------------------------------------------------- */

struct trace *wire_trace(struct wire *w)
{
    struct trace *t = pbx_trace(w->pbx);
    usec_t now = loop_now(w->loop);
    t->now = now > t->now ? now : t->now;
    return t;
}

static void transmit(struct wire *w, const struct flow *to, struct blob *b)
{
    net_send(w->net, to, b);
    own_seen(w, to, blob_str(b), true);
}

static void hold(struct wire *w, const struct pbx_out *o)
{
    if (w->held_n == w->held_cap) {
        uint32_t cap = w->held_cap ? w->held_cap * 2 : 256;
        struct wire_held *bigger = mem_alloc(cap * sizeof(*bigger));
        if (!bigger) { /* better early than never */
            transmit(w, &o->flow, o->blob);
            blob_unref(o->blob);
            return;
        }
        for (uint32_t i = 0; i < w->held_n; i++)
            bigger[i] = w->held[(w->held_head + i) % w->held_cap];
        mem_free(w->held);
        w->held = bigger;
        w->held_head = 0;
        w->held_cap = cap;
    }
    uint32_t at = (w->held_head + w->held_n++) % w->held_cap;
    w->held[at] =
        (struct wire_held){.flow = o->flow, .blob = o->blob, .seq = w->stored ? 0 : w->last_seq};
}

static void send_message(struct wire *w, const struct pbx_out *o)
{
    if (o->after_commit && (w->stored || db_done_seq(w->db) < w->last_seq)) {
        hold(w, o);
        return;
    }
    transmit(w, &o->flow, o->blob);
    blob_unref(o->blob);
}

static void store(struct wire *w, const struct row_op *op)
{
    int err = db_submit(w->db, op);
    if (err == 0)
        w->stored = true;
    else
        trace_emit(wire_trace(w), TRACE_STORE_FAILED, 0,
                   TS(err == -ENOBUFS ? STR("queue full, a change was not stored")
                                      : STR("out of memory")));
}

void wire_to_media(struct wire *w, const struct media_cmd *cmd)
{
    if (w->media_n == w->media_cap) {
        uint32_t cap = w->media_cap ? w->media_cap * 2 : 256;
        struct media_cmd *bigger = mem_resize(w->media_cmd, cap * sizeof(*bigger));
        if (!bigger) {
            if (cmd->kind == MEDIA_CLIP)
                mem_free(cmd->play.clip);
            return;
        }
        w->media_cmd = bigger;
        w->media_cap = cap;
    }
    w->media_cmd[w->media_n++] = *cmd;
}

static void ban(struct wire *w, const struct pbx_out *o)
{
    if (o->seconds == 0)
        net_unban(w->net, &o->addr);
    else if (net_ban(w->net, &o->addr, loop_now(w->loop) + o->seconds * USEC_S))
        trace_emit(wire_trace(w), TRACE_RX_LIMIT, 0, TS(STR("a banned source")),
                   TS(STR("limits.banned_sources")));
}

static void resolve(struct wire *w, const struct pbx_out *o)
{
    const struct pbx_question *q = &o->question;
    struct dns_question what = {.name = q->name,
                                .port = q->port,
                                .any = q->any,
                                .sips = q->sips,
                                .proto = q->proto,
                                .protos = q->protos};
    if (dns_resolve(w->dns, &what, o->token))
        pbx_resolved(w->pbx, loop_now(w->loop), o->token, NULL, 0, 30);
}

void wire_drain(struct wire *w)
{
    struct pbx_out o;
    while (pbx_out(w->pbx, &o)) {
        switch (o.kind) {
        case PBX_OUT_SEND:
            send_message(w, &o);
            break;
        case PBX_OUT_MEDIA:
            wire_to_media(w, &o.media);
            break;
        case PBX_OUT_STORE:
            store(w, o.row);
            break;
        case PBX_OUT_RESOLVE:
            resolve(w, &o);
            break;
        case PBX_OUT_BAN:
            ban(w, &o);
            break;
        case PBX_OUT_KEEP:
            net_keep(w->net, o.flow.conn, o.keep);
            break;
        case PBX_OUT_FILE:
            wire_file(w, &o.file);
            break;
        case PBX_OUT_PARTY:
            wire_party(w, &o);
            break;
        case PBX_OUT_ALIAS:
            net_alias(w->net, o.flow.conn, &o.addr);
            break;
        case PBX_OUT_BOTLINK:
            wire_botlink(w, &o.botlink);
            break;
        }
    }
}

/* ---- what the world brings ------------------------------------------------------------------- */

static void on_rx(void *ctx, usec_t now, const struct net_rx *rx)
{
    struct wire *w = ctx;
    own_seen(w, &rx->flow, rx->bytes, false);
    pbx_rx(w->pbx, now, &rx->flow, rx->bytes.p, rx->bytes.n);
    wire_drain(w);
}

static void on_closed(void *ctx, usec_t now, const struct flow *flow, int err)
{
    struct wire *w = ctx;
    (void)err;
    pbx_flow_failed(w->pbx, now, flow);
    wire_drain(w);
}

/* RFC 3261 18.2.2: a response whose connection is gone goes to the port of sent-by, where its asker
 * listens, and not to the one that the connection came from. */
static void respond_anew(struct flow *to, const struct blob *b)
{
    struct str text = blob_str((struct blob *)(uintptr_t)b);
    struct sip_via via;
    ptrdiff_t at = str_ifind(text, STR("\r\nVia: "));
    if (!str_starts(text, STR("SIP/2.0 ")) || at < 0)
        return;
    struct str value = str_from(text, (size_t)at + 7);
    ptrdiff_t end = str_ifind(value, STR("\r\n"));
    if (end > 0 && sip_via_parse(&via, str_sub(value, 0, (size_t)end)) == 0)
        to->peer.port = via.port ? via.port : to->proto == PROTO_TLS ? 5061 : 5060;
}

static void on_failed(void *ctx, usec_t now, const struct flow *to, const struct blob *b, int err)
{
    struct wire *w = ctx;
    if (err == -ENOTCONN && to->conn) { /* gone, so a new one */
        struct flow again = *to;
        again.conn = 0;
        respond_anew(&again, b);
        transmit(w, &again, (struct blob *)(uintptr_t)b);
        return;
    }
    pbx_flow_failed(w->pbx, now, to);
    wire_drain(w);
}

static void on_bounced(void *ctx, usec_t now, struct str bytes)
{
    struct wire *w = ctx;
    pbx_bounced(w->pbx, now, bytes.p, bytes.n);
    wire_drain(w);
}

static void on_stored(void *ctx, uint64_t seq, int err)
{
    struct wire *w = ctx;
    if (err && w->pbx)
        trace_emit(wire_trace(w), TRACE_STORE_FAILED, 0, TS(str_z(uv_strerror(err))));
    while (w->held_n && w->held[w->held_head].seq && w->held[w->held_head].seq <= seq) {
        struct wire_held *h = &w->held[w->held_head];
        if (w->net)
            transmit(w, &h->flow, h->blob);
        blob_unref(h->blob);
        w->held_head = (w->held_head + 1) % w->held_cap;
        w->held_n--;
    }
}

static void on_resolved(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct wire *w = ctx;
    pbx_resolved(w->pbx, now, a->token, a->dest, a->err ? 0 : a->n, a->ttl_s);
    wire_drain(w);
}

static void on_media(struct loop_watch *watch, unsigned events)
{
    struct wire *w = container_of(watch, struct wire, media_watch);
    struct media_ev ev[32];
    size_t n;
    (void)events;
    while ((n = media_thread_poll(w->media, ev, ARRAY_LEN(ev)))) {
        for (size_t i = 0; i < n; i++)
            pbx_media(w->pbx, loop_now(w->loop), &ev[i]);
        wire_drain(w);
    }
}

static void on_media_closed(struct loop_watch *watch)
{
    struct wire *w = container_of(watch, struct wire, media_watch);
    w->closing = 0;
}

static void on_tick(void *ctx, usec_t now)
{
    struct wire *w = ctx;
    pbx_tick(w->pbx, now);
    wire_drain(w);
}

/* The end of a turn: everything that it made leaves at once. */
static void seal_batch(struct wire *w)
{
    if (!w->stored)
        return;
    uint64_t seq = db_commit(w->db);
    for (uint32_t i = w->held_n; i-- > 0;) {
        struct wire_held *h = &w->held[(w->held_head + i) % w->held_cap];
        if (h->seq)
            break;
        h->seq = seq ? seq : 1;
    }
    w->last_seq = seq ? seq : w->last_seq;
    w->stored = false;
}

static void media_flush(struct wire *w)
{
    size_t sent = w->media_n ? media_thread_send(w->media, w->media_cmd, w->media_n) : 0;
    w->media_n -= (uint32_t)sent;
    memmove(w->media_cmd, w->media_cmd + sent, w->media_n * sizeof(*w->media_cmd));
}

static void on_turn(void *ctx, usec_t now)
{
    struct wire *w = ctx;
    seal_batch(w);
    media_flush(w);
    net_flush(w->net);
    own_flush(w);
    logsink_drain(&w->log, pbx_trace(w->pbx), w->loop);
    usec_t deadline = pbx_deadline(w->pbx);
    if (w->stopping) {
        if (now >= w->stop_at || (pbx_is_idle(w->pbx) && !w->held_n))
            loop_stop(w->loop);
        deadline = deadline < w->stop_at ? deadline : w->stop_at;
    }
    loop_deadline_set(w->loop, deadline);
}

static void begin_stop(struct wire *w, const char *reason)
{
    if (w->stopping) { /* asked twice: at once */
        loop_stop(w->loop);
        return;
    }
    w->stopping = true;
    w->stop_at = loop_now(w->loop) + STOP_PATIENCE;
    notify_stopping();
    trace_emit(wire_trace(w), TRACE_STOP, 0, TS(str_z(reason)));
    pbx_shutdown(w->pbx, loop_now(w->loop));
    wire_drain(w);
}

static void on_signal(void *ctx, int signum)
{
    struct wire *w = ctx;
    char mem[512];
    struct buf why;
    if (signum != SIGHUP) {
        begin_stop(w, signum == SIGTERM ? "SIGTERM" : "SIGINT");
        return;
    }
    notify_reloading();
    buf_init(&why, mem, sizeof(mem));
    /* The log was renamed by then, so this cannot wait for a sound configuration. */
    if (logsink_reopen(&w->log))
        fprintf(stderr, "ringdown: cannot open the log file again\n");
    notify_ready(wire_reload(w, &why) ? "serving; the changed configuration was refused"
                                      : "serving");
}

/* ---- clocks ---------------------------------------------------------------------------------- */

/* The machine's clock, with its summer time. */
static int32_t zone_s(struct wire *w)
{
    time_t now = (time_t)(loop_wall_us(w->loop, loop_now(w->loop)) / USEC_S);
    struct tm tm;
    return localtime_r(&now, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

static void on_clock(struct loop_timer *t)
{
    struct wire *w = container_of(t, struct wire, clock);
    usec_t now = loop_now(w->loop);
    pbx_wall(w->pbx, now, loop_wall_us(w->loop, now));
    pbx_zone(w->pbx, now, zone_s(w));
}

static void prune(struct wire *w, enum store_statement statement, uint32_t days)
{
    char id[STORE_ID_AT_BYTES];
    uint64_t now_ms = loop_wall_us(w->loop, loop_now(w->loop)) / 1000, age_ms = days * DAY_MS;
    if (days == 0 || now_ms < age_ms)
        return;
    store_id_at(id, now_ms - age_ms);
    db_prune(w->db, (uint16_t)statement, str_z(id));
}

/* What belongs to a record does not outlive it. */
static void on_tidy(struct loop_timer *t)
{
    struct wire *w = container_of(t, struct wire, tidy);
    const struct config_store *c = &w->config->store;
    uint32_t cdr = c->cdr_keep_days, quality = c->quality_keep_days;
    prune(w, STORE_CDR_PRUNE, cdr);
    prune(w, STORE_CDR_DETAIL_PRUNE, cdr);
    prune(w, STORE_CALL_BOT_PRUNE, cdr);
    prune(w, STORE_QUALITY_PRUNE, quality && (!cdr || quality < cdr) ? quality : cdr);
}

static void on_watchdog(struct loop_timer *t)
{
    (void)t;
    notify_watchdog();
}

static void open_timers(struct wire *w)
{
    static const struct loop_hooks none;
    (void)none;
    w->clock.fire = on_clock;
    loop_timer_open(w->loop, &w->clock);
    loop_timer_start(&w->clock, 10000, 10000);
    w->tidy.fire = on_tidy;
    loop_timer_open(w->loop, &w->tidy);
    loop_timer_start(&w->tidy, TIDY_FIRST_MS, TIDY_MS);
    w->watchdog.fire = on_watchdog;
    loop_timer_open(w->loop, &w->watchdog);
    uint32_t ms = notify_watchdog_ms();
    if (ms)
        loop_timer_start(&w->watchdog, ms / 2, ms / 2);
    w->timers_open = true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int complain(const char *what, int err)
{
    fprintf(stderr, "ringdown: %s: %s\n", what, uv_strerror(err));
    return err;
}

static int load_config(struct wire *w)
{
    char *text;
    size_t n;
    int err = fs_read(w->file_name, CONFIG_MAX_BYTES, &text, &n);
    if (err)
        return complain(w->file_name, err);
    struct config_errors *errors = mem_zero(sizeof(*errors));
    err = errors ? config_load(&w->config, w->file_name, str_of(text, n), errors) : -ENOMEM;
    for (uint32_t i = 0; err && errors && i < errors->n; i++)
        fprintf(stderr, "%s\n", errors->v[i].text);
    mem_free(errors);
    mem_free(text);
    return err;
}

static int open_net(struct wire *w, struct pbx_conf *conf)
{
    const struct config_limits *limits = &w->config->limits;
    struct net_config cfg = {.max_conns = limits->tcp_connections < NET_MAX_CONNS
                                              ? limits->tcp_connections
                                              : NET_MAX_CONNS,
                             .max_conns_per_source = limits->tcp_connections_per_source,
                             .max_bans = limits->banned_sources,
                             .idle_ms = limits->tcp_idle_ms,
                             .handshake_ms = limits->tls_handshake_ms,
                             .max_handshakes_per_source = limits->tls_handshakes_per_source,
                             .max_message_bytes = limits->message_bytes};
    struct net_hooks hooks = {.rx = on_rx,
                              .closed = on_closed,
                              .failed = on_failed,
                              .bounced = on_bounced,
                              .insecure = wire_insecure,
                              .ctx = w};
    int err = entropy_get(&cfg.seed, sizeof(cfg.seed));
    err = err ? err : net_new(&w->net, w->loop, &cfg, &hooks);
    if (err)
        return complain("network", err);
    err = wire_open_tls(w);
    if (err)
        return err;
    const struct config_listens *listen = &w->config->sip.listen;
    for (uint32_t i = 0; i < listen->n; i++) {
        struct flow_listener *l = &conf->listener[i];
        *l = (struct flow_listener){.proto = listen->v[i].proto, .bound = listen->v[i].addr};
        char mem[100];
        struct buf name;
        buf_init(&name, mem, sizeof(mem) - 1);
        buf_lit(&name, "cannot listen on ");
        buf_str_put(&name, proto_name((enum proto)l->proto));
        buf_ch(&name, ' ');
        addr_put(&name, &l->bound);
        mem[name.n] = '\0';
        err = net_listen(w->net, (uint8_t)i, l);
        if (err)
            return complain(mem, err);
        l->advertised = (struct addr){0};
        conf->n_listeners = i + 1;
    }
    return 0;
}

static int open_db(struct wire *w)
{
    char note[DB_NOTE_MAX] = "";
    str_copy_z(w->db_url, sizeof(w->db_url), w->config->store.url);
    struct db_config cfg = {.url = w->db_url,
                            .schema = pbx_store_schema,
                            .schema_n = pbx_store_schema_n,
                            .statement = pbx_store_statement,
                            .statement_n = STORE_STATEMENTS,
                            .done = on_stored,
                            .ctx = w};
    int err = db_open(&w->db, w->loop, &cfg, note);
    if (note[0])
        fprintf(stderr, "ringdown: %s\n", note);
    w->db_open = err == 0;
    return err ? complain(w->db_url, err) : 0;
}

struct restoring {
    struct wire *w;
    unsigned which;
};

static int restore_row(void *ctx, const struct row_value *v, unsigned n)
{
    struct restoring *r = ctx;
    pbx_restore(r->w->pbx, loop_now(r->w->loop), r->which, v, n);
    wire_drain(r->w);
    return 0;
}

static int restore(struct wire *w)
{
    for (unsigned i = 0; i < STORE_RESTORES; i++) {
        struct restoring r = {w, i};
        struct db_query q = {.sql = pbx_store_restore[i], .row = restore_row, .ctx = &r};
        int err = db_query(w->db, &q);
        if (err)
            return complain("cannot read the database", err);
    }
    return 0;
}

/* RFC 5905 section 6: seconds since 1900 in the upper half, their fraction in the lower. */
static uint64_t ntp_offset(struct wire *w)
{
    usec_t now = loop_now(w->loop);
    uint64_t wall = loop_wall_us(w->loop, now) - now;
    return (wall / USEC_S + 2208988800u) << 32 | (wall % USEC_S << 32) / USEC_S;
}

/* Before any thread uses codecs. Its licence and its patents are its owner's business: the program
 * does not contain it. */
static int load_g729(struct str library)
{
    char path[4097];
    if (!library.n)
        return 0;
    str_copy_z(path, sizeof(path), library);
    int err = codec_g729_load(path);
    if (err)
        fprintf(stderr, "ringdown: media.g729: %s is no library with the interface of bcg729\n",
                path);
    return err;
}

static int open_media(struct wire *w)
{
    const struct config_media *m = &w->config->media;
    struct media_conf conf = {
        .port_first = m->ports.low, .port_last = m->ports.high, .coalesce_us = 1000};
    if (m->address.family == ADDR_V6)
        conf.bind_v6 = m->address;
    else
        conf.bind_v4 = m->address;
    if (addr_is_any(&m->address)) {
        conf.bind_v4 = (struct addr){.family = ADDR_V4};
        conf.bind_v6 = (struct addr){.family = ADDR_V6};
    }
    int err = load_g729(m->g729);
    err = err ? err : entropy_get(&conf.limits.seed, sizeof(conf.limits.seed));
    if (err)
        return complain("media", err);
    conf.limits.ntp_offset = ntp_offset(w);
    conf.recorder[0] = w->recorder[PBX_RECORDINGS];
    conf.recorder[1] = w->recorder[PBX_MESSAGES];
    err = media_thread_start(&w->media, &conf);
    if (err)
        return complain("media", err);
    w->media_watch.ready = on_media;
    w->media_watch.closed = on_media_closed;
    err = loop_watch_open(w->loop, &w->media_watch, media_thread_fd(w->media), LOOP_READ);
    w->watch_open = err == 0;
    err = err ? err : own_media(w);
    return err ? complain("media", err) : 0;
}

/* "192.0.2.1:53,[2001:db8::1]:53"; NULL: none is named. */
static const char *dns_servers(const struct config_dns *c, char *mem, size_t cap)
{
    struct buf b;
    struct addr a;
    buf_init(&b, mem, cap - 1);
    for (uint32_t i = 0; i < c->servers.n; i++) {
        struct str s = c->servers.v[i];
        if (addr_parse_port(&a, s) && addr_parse(&a, s, 53))
            continue; /* the configuration has checked them */
        buf_str_put(&b, i ? STR(",") : STR(""));
        addr_put(&b, &a);
    }
    mem[b.n] = '\0';
    return c->servers.n ? mem : NULL;
}

static int open_side(struct wire *w)
{
    char servers[4 * 64];
    const struct config_dns *c = &w->config->dns;
    struct dns_config dns = {.done = on_resolved,
                             .ctx = w,
                             .ipv6 = c->ipv6,
                             .timeout_ms = c->timeout_ms,
                             .servers = dns_servers(c, servers, sizeof(servers))};
    int err = entropy_get(&dns.seed, sizeof(dns.seed));
    err = err ? err : dns_new(&w->dns, w->loop, &dns);
    if (err)
        return complain("names", err);
    if (!w->config->ctl.socket.n)
        return 0;
    str_copy_z(w->ctl_path, sizeof(w->ctl_path), w->config->ctl.socket);
    struct ctl_config ctl = {.path = w->ctl_path, .request = wire_ctl_request, .ctx = w};
    err = fs_mkdirs_for(w->ctl_path);
    err = err ? err : ctl_new(&w->ctl, w->loop, &ctl);
    return err ? complain(w->ctl_path, err) : 0;
}

static int open_log(struct wire *w)
{
    static char path[4097]; /* lives as long as the sink, and there is one sink */
    const struct config_log *log = &w->config->log;
    str_copy_z(path, sizeof(path), log->file);
    int err = logsink_init(&w->log, log->format == CONF_LOG_JSON ? LOGSINK_JSON : LOGSINK_TEXT,
                           path[0] ? path : NULL);
    w->log_open = err == 0;
    return err ? complain(path, err) : 0;
}

/* Two sockets a pair and two pairs a call need more descriptors than the usual 1024. */
static void raise_limits(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int wire_open(struct wire *w, const char *file_name)
{
    struct pbx_conf *conf = mem_zero(sizeof(*conf));
    w->file_name = file_name;
    raise_limits();
    int err = conf ? load_config(w) : -ENOMEM;
    err = err ? err : open_log(w);
    if (!err && (err = loop_new(&w->loop)))
        complain("event loop", err);
    err = err ? err : open_net(w, conf);
    err = err ? err : own_open(w);
    err = err ? err : open_db(w);
    if (!err) {
        usec_t now = loop_now(w->loop);
        conf->config = w->config;
        conf->local.external = w->config->sip.external;
        conf->wall_us = loop_wall_us(w->loop, now);
        err = iface_list(&conf->local);
        err = err ? err : entropy_get(conf->seed, sizeof(conf->seed));
        w->pbx = err ? NULL : pbx_new(conf, now);
        if (!w->pbx)
            err = complain("exchange", err ? err : -ENOMEM);
    }
    mem_free(conf);
    err = err ? err : wire_open_recorders(w);
    err = err ? err : open_media(w);
    err = err ? err : wire_open_sounds(w);
    err = err ? err : wire_open_bots(w);
    err = err ? err : open_side(w);
    err = err ? err : restore(w);
    if (err)
        return err;
    struct loop_hooks hooks = {.tick = on_tick, .turn = on_turn, .signal = on_signal, .ctx = w};
    loop_hooks_set(w->loop, &hooks);
    open_timers(w);
    wire_begin_tls(w);
    wire_drain(w);
    return loop_signals_catch(w->loop);
}

/* The first calls need ports: those that were ordered are there before anybody is told that we
 * serve. */
static void await_ports(struct wire *w)
{
    struct pollfd fd = {.fd = media_thread_fd(w->media), .events = POLLIN};
    media_flush(w);
    if (poll(&fd, 1, PORTS_PATIENCE_MS) > 0)
        on_media(&w->media_watch, 0);
}

void wire_run(struct wire *w)
{
    char mem[512];
    struct buf listen;
    buf_init(&listen, mem, sizeof(mem));
    const struct config_listens *l = &w->config->sip.listen;
    for (uint32_t i = 0; i < l->n; i++) {
        buf_str_put(&listen, i ? STR(", ") : STR(""));
        buf_str_put(&listen, proto_name((enum proto)l->v[i].proto));
        buf_ch(&listen, ' ');
        addr_put(&listen, &l->v[i].addr);
    }
    await_ports(w);
    trace_emit(wire_trace(w), TRACE_START, 0, TS(STR(RD_VERSION)), TS(buf_str(&listen)));
    notify_ready("serving");
    loop_run(w->loop);
}

void wire_close(struct wire *w)
{
    if (w->pbx && w->log_open)
        logsink_drain(&w->log, pbx_trace(w->pbx), w->loop);
    if (w->db_open) {
        seal_batch(w);
        db_close(w->db); /* stores what is left; sends what waited for it */
    }
    if (w->net)
        net_flush(w->net);
    own_flush(w);
    own_close(w);
    if (w->timers_open) {
        loop_timer_close(&w->clock);
        loop_timer_close(&w->tidy);
        loop_timer_close(&w->watchdog);
    }
    if (w->watch_open)
        loop_watch_close(&w->media_watch);
    ctl_free(w->ctl);
    dns_free(w->dns);
    net_free(w->net);
    w->net = NULL;
    botlinks_free(w->bots); /* it takes from the media thread */
    wire_close_tls(w);
    wire_close_sounds(w);
    for (uint32_t i = 0; i < w->media_n; i++)
        if (w->media_cmd[i].kind == MEDIA_CLIP)
            mem_free(w->media_cmd[i].play.clip);
    media_thread_stop(w->media);
    wire_close_recorders(w);
    for (; w->held_n; w->held_n--) {
        blob_unref(w->held[w->held_head].blob);
        w->held_head = (w->held_head + 1) % w->held_cap;
    }
    pbx_free(w->pbx);
    if (w->loop)
        loop_settle(w->loop);
    loop_free(w->loop);
    if (w->log_open)
        logsink_done(&w->log);
    config_unref(w->config);
    mem_free(w->held);
    mem_free(w->unbegun);
    mem_free(w->media_cmd);
}
