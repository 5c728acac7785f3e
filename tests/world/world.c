#include "world/world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"
#include "world/lint.h"

/* 2026-01-01 00:00:00 UTC, where every virtual clock begins. */
#define WALL_START_US 1767225600000000ull
#define NOW_START     (1000 * USEC_S)
/* One instant in which the PBX asks for more ticks than this never ends. */
#define MAX_TURNS 20000

void world_fail(struct world *w, const char *fmt, ...)
{
    va_list ap;
    if (w->failed)
        return;
    w->failed = true;
    va_start(ap, fmt);
    vsnprintf(w->failure, sizeof(w->failure), fmt, ap);
    va_end(ap);
}

static uint64_t wall(const struct world *w)
{
    return WALL_START_US + (w->now - NOW_START);
}

static int load(struct world *w, struct str text, struct config **ret)
{
    static struct config_errors errs; /* too large for the stack; written before it is read */
    char name[128];
    str_copy_z(name, sizeof(name), w->conf.name.n ? w->conf.name : STR("config"));
    int err = config_load(ret, name, text, &errs);
    if (err)
        world_fail(w, "configuration: %s", errs.n ? errs.v[0].text : "cannot be loaded");
    return err;
}

static void listen_at(struct world *w, struct pbx_conf *conf)
{
    const struct config_listens *l = &w->config->sip.listen;
    conf->n_listeners = l->n;
    for (unsigned i = 0; i < l->n; i++) {
        conf->listener[i] = (struct flow_listener){
            .proto = l->v[i].proto, .bound = l->v[i].addr, .advertised = l->v[i].addr};
        if (l->v[i].proto == PROTO_UDP && w->udp.family == ADDR_NONE) {
            w->udp = l->v[i].addr;
            w->udp_listener = (uint8_t)i;
        }
        if (l->v[i].proto == PROTO_TLS && w->tls.family == ADDR_NONE) {
            w->tls = l->v[i].addr;
            w->tls_listener = (uint8_t)i;
        }
        if (l->v[i].proto == PROTO_TCP && w->tcp.family == ADDR_NONE) {
            w->tcp = l->v[i].addr;
            w->tcp_listener = (uint8_t)i;
        }
    }
    conf->local.n = 1;
    conf->local.a[0].ip = w->udp;
    conf->local.a[0].prefix = 8;
}

static int start(struct world *w)
{
    struct pbx_conf *conf = mem_zero(sizeof(*conf));
    if (!conf)
        return -ENOMEM;
    conf->config = w->config;
    conf->wall_us = wall(w);
    w->udp.family = w->tcp.family = w->tls.family = ADDR_NONE;
    listen_at(w, conf);
    w->starts++;
    rand_bytes(&w->rand, conf->seed, sizeof(conf->seed));
    w->pbx = pbx_new(conf, w->now);
    mem_free(conf);
    if (!w->pbx) {
        world_fail(w, "the PBX does not start");
        return -EINVAL;
    }
    pbx_trace(w->pbx)->level = w->conf.level;
    world_store_restore(w);
    world_drain(w);
    return 0;
}

int world_init(struct world *w, const struct world_conf *conf)
{
    memset(w, 0, sizeof(*w));
    w->conf = *conf;
    w->now = w->started = NOW_START;
    w->hash = 14695981039346656037ull;
    arena_init(&w->arena, (size_t)1 << 30);
    rand_seed(&w->rand, conf->seed);
    list_init(&w->hosts);
    list_init(&w->events);
    list_init(&w->free_events);
    list_init(&w->bindings);
    list_init(&w->cdrs);
    list_init(&w->qualities);
    list_init(&w->settings);
    list_init(&w->messages);
    list_init(&w->bots);
    list_init(&w->link_cmds);
    int err = load(w, conf->config, &w->config);
    if (err)
        return err;
    w->port_next = w->config->media.ports.low & ~1u;
    return start(w);
}

void world_done(struct world *w)
{
    if (w->pbx)
        pbx_free(w->pbx);
    w->pbx = NULL;
    world_events_drop(w);
    list_each(node, &w->free_events)
    {
        list_remove(node);
        mem_free(container_of(node, struct world_event, node));
    }
    w->config = config_unref(w->config);
    arena_done(&w->arena);
}

/* ---- the clock ------------------------------------------------------------------------------- */

static usec_t next_event(const struct world *w)
{
    return list_empty(&w->events) ? USEC_NEVER
                                  : container_of(w->events.next, struct world_event, node)->due;
}

static void tell(struct world *w, struct world_event *e)
{
    switch (e->kind) {
    case WORLD_EV_TO_PBX:
    case WORLD_EV_TO_HOST:
        world_net_deliver(w, e);
        break;
    case WORLD_EV_FAILED:
        pbx_flow_failed(w->pbx, w->now, &e->flow);
        break;
    case WORLD_EV_MEDIA:
        if (world_media_due(w, &e->media))
            pbx_media(w->pbx, w->now, &e->media);
        break;
    case WORLD_EV_RECORDED:
        pbx_recorded(w->pbx, w->now, &e->recorded);
        break;
    case WORLD_EV_LOADED:
        pbx_loaded(w->pbx, w->now, (uint32_t)e->token, e->recorded.err, (uint32_t)e->recorded.ms);
        break;
    case WORLD_EV_BOTLINK:
        world_botlink_due(w, &e->botlink);
        break;
    case WORLD_EV_WAKE:
        e->wake(e->arg, e->token);
        break;
    case WORLD_EV_RESOLVED:
        pbx_resolved(w->pbx, w->now, e->token, e->dest, e->n_dests, 300);
        break;
    }
    world_event_done(w, e);
    world_drain(w);
}

bool world_step(struct world *w, usec_t limit)
{
    usec_t event = next_event(w), tick = pbx_deadline(w->pbx);
    usec_t at = event < tick ? event : tick;
    at = at > w->now ? at : w->now;
    if ((event == USEC_NEVER && tick == USEC_NEVER) || at > limit) {
        w->now = limit > w->now ? limit : w->now;
        return false;
    }
    w->now = at;
    for (unsigned turn = 0;; turn++) {
        if (turn == MAX_TURNS) {
            world_fail(w, "the PBX does not come to rest");
            return false;
        }
        if (next_event(w) <= w->now) {
            struct world_event *e = container_of(w->events.next, struct world_event, node);
            list_remove(&e->node);
            tell(w, e);
        } else if (pbx_deadline(w->pbx) <= w->now) {
            pbx_tick(w->pbx, w->now);
            world_drain(w);
        } else {
            return true;
        }
    }
}

void world_run(struct world *w, usec_t until)
{
    while (!w->failed && world_step(w, until))
        continue;
}

/* ---- what the PBX puts out ------------------------------------------------------------------- */

static void hash_in(struct world *w, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        w->hash = (w->hash ^ b[i]) * 1099511628211ull;
}

static void warned(struct world *w, struct str text)
{
    size_t n = strlen(w->warned), keep = sizeof(w->warned) - 2 - text.n;
    if (n > keep) {
        memmove(w->warned, w->warned + n - keep, keep);
        n = keep;
    }
    memcpy(w->warned + n, text.p, text.n);
    memcpy(w->warned + n + text.n, "\n", 2);
}

static void print_traces(struct world *w)
{
    struct trace_rec rec;
    char text[1024];
    struct buf b;
    while (trace_next(pbx_trace(w->pbx), &rec)) {
        bool bad = trace_level_of(rec.id) <= TRACE_WARN;
        if (!w->dump && !bad)
            continue;
        buf_init(&b, text, sizeof(text));
        trace_text(&b, &rec);
        if (bad)
            warned(w, buf_str(&b));
        if (!w->dump)
            continue;
        printf("%9.3f -- %.*s\n", (double)(w->now - w->started) / 1e6, (int)b.n, b.p);
    }
}

static void resolve(struct world *w, const struct pbx_out *o)
{
    for (unsigned i = 0; i < w->n_names; i++)
        if (w->names[i].never && str_ieq(w->names[i].name, o->question.name))
            return;
    struct world_event *e = world_event_new(w, WORLD_EV_RESOLVED, w->now);
    if (!e)
        return;
    e->token = o->token;
    for (unsigned i = 0; i < w->n_names; i++)
        if (str_ieq(w->names[i].name, o->question.name)) {
            memcpy(e->dest, w->names[i].dest, sizeof(e->dest));
            e->n_dests = w->names[i].n;
        }
}

static void ban(struct world *w, const struct pbx_out *o)
{
    unsigned i = 0;
    while (i < w->n_bans && !addr_ip_eq(&w->ban[i].addr, &o->addr))
        i++;
    if (i == WORLD_BANS)
        return;
    if (i == w->n_bans)
        w->n_bans++;
    w->ban[i] = (struct world_ban){.addr = o->addr, .until = w->now + o->seconds * USEC_S};
}

static void client(struct world *w, const struct pbx_out *o)
{
    struct world_client *free_one = NULL;
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        struct world_client *c = &w->client[i];
        if (!c->party)
            free_one = free_one ? free_one : c;
        else if (c->party == o->token)
            free_one = c;
    }
    BUG_ON(!free_one);
    free_one->party = o->name.n ? (uint16_t)o->token : 0;
    str_copy_z(free_one->name, sizeof(free_one->name), o->name);
}

static void send(struct world *w, struct pbx_out *o)
{
    struct str bytes = blob_str(o->blob);
    char why[256];
    w->sent++;
    w->sent_bytes += bytes.n;
    hash_in(w, &w->now, sizeof(w->now));
    hash_in(w, bytes.p, bytes.n);
    if (lint_message(bytes, (enum proto)o->flow.proto, why, sizeof(why)))
        world_fail(w, "malformed message sent: %s\n%.*s", why, (int)bytes.n, bytes.p);
    world_net_tx(w, &o->flow, bytes);
    blob_unref(o->blob);
}

void world_drain(struct world *w)
{
    struct pbx_out o;
    while (pbx_out(w->pbx, &o)) {
        struct world_conn *c = NULL;
        switch (o.kind) {
        case PBX_OUT_SEND:
            send(w, &o);
            break;
        case PBX_OUT_FILE:
            world_file_rx(w, &o.file);
            break;
        case PBX_OUT_MEDIA:
            world_media_rx(w, &o.media);
            break;
        case PBX_OUT_STORE:
            world_store_rx(w, o.row);
            break;
        case PBX_OUT_RESOLVE:
            resolve(w, &o);
            break;
        case PBX_OUT_BAN:
            ban(w, &o);
            break;
        case PBX_OUT_KEEP:
        case PBX_OUT_PARTY:
            break;
        case PBX_OUT_CLIENT:
            client(w, &o);
            break;
        case PBX_OUT_BOTLINK:
            world_botlink_rx(w, &o.botlink);
            break;
        case PBX_OUT_ALIAS:
            c = world_conn_find(w, o.flow.conn);
            if (c)
                c->alias = o.addr;
            break;
        }
    }
    print_traces(w);
}

/* ---- the administrator ----------------------------------------------------------------------- */

int world_restart(struct world *w)
{
    pbx_free(w->pbx);
    w->pbx = NULL;
    world_net_reset(w);
    world_media_reset(w);
    world_botlink_reset(w);
    world_disk_reset(w);
    w->n_bans = 0;
    memset(w->client, 0, sizeof(w->client));
    return start(w);
}

int world_reload(struct world *w, struct str text)
{
    struct config *fresh = NULL;
    struct str why = STR_NONE;
    int err = load(w, text, &fresh);
    if (err)
        return err;
    err = pbx_reload(w->pbx, w->now, fresh, &why);
    if (err) {
        config_unref(fresh);
        return err;
    }
    world_drain(w);
    config_unref(w->config);
    w->config = fresh;
    return 0;
}

void world_shutdown(struct world *w)
{
    pbx_shutdown(w->pbx, w->now);
    world_drain(w);
}

void world_interface(struct world *w, const struct addr *ip)
{
    struct local_addrs local = {.n = 2, .a = {{w->udp, 8}, {*ip, 8}}};
    pbx_interfaces(w->pbx, w->now, &local);
    world_drain(w);
}

void world_api(struct world *w, struct str request, struct buf *reply)
{
    pbx_api(w->pbx, w->now, request, reply);
    world_drain(w);
}
