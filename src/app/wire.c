#include "app/wire_int.h"

#include <errno.h>
#include <poll.h>
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

/* ---- clocks ---------------------------------------------------------------------------------- */

/* The machine's clock, with its summer time. */
static int32_t zone_s(struct wire *w)
{
    time_t now = (time_t)(loop_wall_us(w->loop, loop_now(w->loop)) / USEC_S);
    struct tm tm;
    return localtime_r(&now, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

/* A machine may get its addresses when we run already, and change them. */
static void look_at_interfaces(struct wire *w, usec_t now)
{
    struct local_addrs *local = mem_zero(sizeof(*local));
    if (local && iface_list(local) == 0) {
        pbx_interfaces(w->pbx, now, local);
        own_interfaces(w, local);
        if (w->speech)
            speech_interfaces(w->speech, local);
    }
    mem_free(local);
}

static void on_clock(struct loop_timer *t)
{
    struct wire *w = container_of(t, struct wire, clock);
    usec_t now = loop_now(w->loop);
    pbx_wall(w->pbx, now, loop_wall_us(w->loop, now));
    pbx_zone(w->pbx, now, zone_s(w));
    look_at_interfaces(w, now);
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
    struct net_hooks hooks = {.rx = wire_rx,
                              .closed = wire_flow_closed,
                              .failed = wire_flow_failed,
                              .bounced = wire_bounced,
                              .insecure = wire_insecure,
                              .unproven = wire_unproven,
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
                            .done = wire_stored,
                            .prune_failed = wire_prune_failed,
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
    w->media_watch.ready = wire_media_ready;
    w->media_watch.closed = wire_media_closed;
    err = loop_watch_open(w->loop, &w->media_watch, media_thread_fd(w->media), LOOP_READ);
    w->watch_open = err == 0;
    err = err ? err : own_media(w);
    return err ? complain("media", err) : 0;
}

const char *wire_dns_servers(const struct config_dns *c, char *mem, size_t cap)
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
    const struct config_dns *c = &w->config->dns;
    struct dns_config dns = {.done = wire_resolved,
                             .ctx = w,
                             .ipv6 = c->ipv6,
                             .timeout_ms = c->timeout_ms,
                             .servers = wire_dns_servers(c, w->names, sizeof(w->names))};
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
    err = err ? err : wire_open_speech(w); /* with the servers of names */
    err = err ? err : restore(w);
    if (err)
        return err;
    struct loop_hooks hooks = {
        .tick = wire_tick, .turn = wire_turn, .signal = wire_signal, .ctx = w};
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
    wire_media_flush(w);
    if (poll(&fd, 1, PORTS_PATIENCE_MS) > 0)
        wire_media_ready(&w->media_watch, 0);
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
    wire_check_ears(w, NULL);
    trace_emit(wire_trace(w), TRACE_START, 0, TS(STR(RD_VERSION)), TS(buf_str(&listen)));
    notify_ready("serving");
    loop_run(w->loop);
}

void wire_close(struct wire *w)
{
    if (w->pbx && w->log_open)
        logsink_drain(&w->log, pbx_trace(w->pbx), w->loop);
    if (w->db_open) {
        wire_seal(w);
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
    speech_free(w->speech);
    wire_close_ears(w);
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
