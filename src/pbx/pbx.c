/* The PBX's doors, its queue of outputs, and who gets what the engine says. */
#include "pbx/pbx_int.h"

#include "base/mem.h"
#include "pbx/call.h"
#include "pbx/feature/conference.h"
#include "pbx/feature/dial.h"
#include "pbx/feature/mwi.h"
#include "pbx/feature/setting.h"
#include "pbx/feature/refer.h"
#include "pbx/feature/transfer.h"
#include "pbx/feature/voicebot.h"
#include "pbx/feature/voicemail.h"
#include "pbx/gate.h"
#include "pbx/kin.h"
#include "pbx/options.h"
#include "pbx/port.h"
#include "pbx/record.h"
#include "pbx/registrar.h"
#include "pbx/subscription.h"
#include "pbx/trunk.h"

#define OUT_QUEUE 512
#define OUT_LIMIT (1u << 24) /* a shutdown may end every call there can be */
#define OUT_TICK  8192       /* a tick stops for the queue to be drained beyond so many */

/* What the engine says in Supported and Allow: only what works. */
static const char supported[] =
    "path, 100rel, timer, replaces, join, norefersub, tdialog, from-change, early-session";
static const char supported_call[] =
    "timer, 100rel, replaces, join, norefersub, tdialog, from-change, early-session";
static const char allowed[] =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, PRACK, UPDATE, REFER, SUBSCRIBE, NOTIFY";

/* ---- small things everybody uses ------------------------------------------------------------- */

static bool grow(struct pbx *p)
{
    struct pbx_out *bigger = mem_zero(2 * (size_t)p->out_cap * sizeof(*bigger));
    if (!bigger)
        return false;
    for (uint32_t i = 0; i < p->out_n; i++)
        bigger[i] = p->out[(p->out_head + i) & (p->out_cap - 1)];
    mem_free(p->out);
    p->out = bigger;
    p->out_head = 0;
    p->out_cap *= 2;
    return true;
}

struct pbx_out *pbx_emit(struct pbx *p, enum pbx_out_kind kind)
{
    if (p->out_n == p->out_cap) {
        BUG_ON(p->out_cap >= OUT_LIMIT); /* whoever drives the PBX does not drain it */
        BUG_ON(!grow(p));
    }
    struct pbx_out *o = &p->out[(p->out_head + p->out_n++) & (p->out_cap - 1)];
    memset(o, 0, offsetof(struct pbx_out, media));
    o->kind = kind;
    return o;
}

bool pbx_out(struct pbx *p, struct pbx_out *ret)
{
    if (!p->out_n)
        return false;
    *ret = p->out[p->out_head];
    p->out_head = (p->out_head + 1) & (p->out_cap - 1);
    if (--p->out_n == 0)
        p->out_head = 0; /* the same few entries stay in the processor's cache */
    return true;
}

struct row_op *pbx_store(struct pbx *p, enum store_statement statement)
{
    struct row_op *row = arena_take(&p->turn, sizeof(*row));
    if (!row) {
        trace_emit(&p->trace, TRACE_STORE_FAILED, 0, TS(STR("out of memory")));
        return &p->lost_row;
    }
    row->statement = (uint16_t)statement;
    row->n = 0;
    pbx_emit(p, PBX_OUT_STORE)->row = row;
    return row;
}

struct str pbx_turn_dup(struct pbx *p, struct str s)
{
    return s.p ? arena_dup(&p->turn, s) : STR_NONE;
}

int pbx_keep(struct pbx *p, struct str *owned, struct str value)
{
    return pool_keep(&p->pool, owned, value);
}

uint64_t pbx_wall_at(const struct pbx *p, usec_t at)
{
    return at + p->wall_offset_us;
}

uint64_t pbx_wall_ms(const struct pbx *p)
{
    return pbx_wall_at(p, p->now) / 1000;
}

void pbx_respond(struct pbx *p, handle_t txn, unsigned status)
{
    struct sip_answer a = {.status = (uint16_t)status};
    sip_respond(p->core, p->now, txn, &a);
}

uint32_t pbx_retry_after(const struct sip_msg *m)
{
    struct str value = m ? sip_msg_get(m, SIP_H_RETRY_AFTER) : STR_NONE;
    size_t digits = 0;
    uint32_t s = 0;
    while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9')
        digits++;
    if (!digits || sip_delta_parse(&s, str_sub(value, 0, digits)))
        return 0;
    return s;
}

void pbx_timer_start(struct pbx *p, struct pbx_timer *t, usec_t in)
{
    timer_start(&p->wheel, &t->timer, p->now + in);
}

void pbx_timer_stop(struct pbx *p, struct pbx_timer *t)
{
    timer_stop(&p->wheel, &t->timer);
}

void pbx_question_protos(const struct pbx *p, struct pbx_question *q)
{
    q->protos = 0;
    q->without_ipv4 = q->without_ipv6 = UINT32_MAX;
    for (unsigned i = 0; i < p->n_listeners; i++) {
        uint32_t bit = 1u << p->listener[i].proto;
        q->protos |= bit;
        if (p->listener[i].bound.family == ADDR_V6)
            q->without_ipv6 &= ~bit;
        else
            q->without_ipv4 &= ~bit;
    }
}

bool pbx_listens(const struct pbx *p, const struct flow *flow)
{
    for (unsigned i = 0; i < p->n_listeners; i++)
        if (p->listener[i].proto == flow->proto && p->listener[i].bound.family == flow->peer.family)
            return true;
    return false;
}

bool pbx_is_our_host(const struct pbx *p, const struct sip_uri *uri)
{
    struct addr ip;
    if (str_ieq(uri->host, p->domain))
        return true;
    for (uint32_t i = 0; i < p->config->sip.aliases.n; i++)
        if (str_ieq(uri->host, p->config->sip.aliases.v[i]))
            return true;
    if (addr_parse(&ip, uri->host, 0))
        return false;
    if (local_is_ours(&p->local, &ip))
        return true;
    for (unsigned i = 0; i < p->n_listeners; i++)
        if (addr_ip_eq(&p->listener[i].bound, &ip) || addr_ip_eq(&p->listener[i].advertised, &ip))
            return true;
    return false;
}

struct trace *pbx_trace(struct pbx *p)
{
    return &p->trace;
}

const struct config *pbx_config(const struct pbx *p)
{
    return p->config;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct sip_timers timers_of(const struct config *config)
{
    const struct config_timers *t = &config->sip.timers;
    return (struct sip_timers){.t1 = t->t1_ms * USEC_MS,
                               .t2 = t->t2_ms * USEC_MS,
                               .t4 = t->t4_ms * USEC_MS,
                               .t1_min = t->t1_min_ms * USEC_MS,
                               .t1_max = t->t1_max_ms * USEC_MS,
                               .bye_timeout = t->bye_timeout_ms * USEC_MS,
                               .adaptive_t1 = t->adaptive_t1,
                               .session_expires = t->session_expires_ms * USEC_MS,
                               .min_se = t->min_se_ms * USEC_MS,
                               .refresher_uac = t->session_refresher == CONF_REFRESHER_UAC};
}

static void choose_domain(struct pbx *p)
{
    struct buf b;
    buf_init(&b, p->domain_mem, sizeof(p->domain_mem));
    if (p->config->sip.domain.n) {
        buf_str_put(&b, p->config->sip.domain);
    } else if (p->n_listeners) {
        struct addr nobody = {0};
        struct addr own = local_for(&p->local, &p->listener[0].bound, &nobody);
        addr_put_host(&b, &own);
    } else {
        buf_lit(&b, "localhost");
    }
    p->domain = buf_str(&b);
}

static void put_exempt(struct sip_conf *conf, const struct addr *ip, uint8_t prefix)
{
    if (conf->n_exempt == SIP_MAX_EXEMPT)
        return;
    conf->exempt[conf->n_exempt].ip = *ip;
    conf->exempt[conf->n_exempt++].prefix = prefix;
}

/* Who is never banned is never throttled, nor is a trunk: much traffic is its purpose. */
static void list_exempt(const struct config *config, struct sip_conf *conf)
{
    const struct config_nets *never = &config->auth.ban_never;
    for (uint32_t i = 0; i < never->n; i++)
        put_exempt(conf, &never->v[i].addr, never->v[i].bits);
    for (uint32_t i = 0; i < config->n_trunks; i++) {
        const struct config_trunk *t = &config->trunks[i];
        for (uint32_t k = 0; k < t->addresses.n; k++)
            put_exempt(conf, &t->addresses.v[k].addr, t->addresses.v[k].bits);
    }
}

static void fill_conf(const struct pbx *p, struct sip_conf *conf)
{
    const struct config *config = p->config;
    const struct config_limits *limits = &config->limits;
    *conf = (struct sip_conf){.timers = timers_of(config),
                              .n_listeners = p->n_listeners,
                              .local = p->local,
                              .supported = supported,
                              .supported_call = supported_call,
                              .allow = allowed,
                              .max_txns = limits->transactions,
                              .max_sessions = limits->dialogs,
                              .max_dialogs = limits->dialogs + limits->dialogs / 4,
                              .udp_max_bytes = config->sip.udp_max_bytes,
                              .rate_per_s = limits->requests_per_second,
                              .rate_burst = limits->requests_burst};
    memcpy(conf->listener, p->listener, sizeof(conf->listener));
    struct str host = config->sip.call_id_host.n ? config->sip.call_id_host : p->domain;
    str_copy_z(conf->call_id_host, sizeof(conf->call_id_host), host);
    str_copy_z(conf->server_name, sizeof(conf->server_name), config->sip.user_agent);
    list_exempt(config, conf);
    if (p->trunks)
        trunk_exempt(p, conf);
}

void pbx_reconfigure(struct pbx *p)
{
    struct sip_conf conf;
    fill_conf(p, &conf);
    sip_core_reconfigure(p->core, &conf);
}

static int make_core(struct pbx *p)
{
    struct sip_conf conf;
    fill_conf(p, &conf);
    p->core = sip_core_new(&conf, &p->rand, &p->trace, p->now);
    return p->core ? 0 : -ENOMEM;
}

static int init_parts(struct pbx *p)
{
    int err = trace_init(&p->trace, 1u << 20, p->config->limits.call_histories + 1);
    if (err)
        return err;
    p->trace.level = (enum trace_level)p->config->log.level;
    p->trace.now = p->now;
    p->out = mem_zero(OUT_QUEUE * sizeof(*p->out));
    p->out_cap = OUT_QUEUE;
    err = p->out ? make_core(p) : -ENOMEM;
    err = err ? err : gate_init(p);
    err = err ? err : registrar_init(p);
    err = err ? err : trunk_init(p);
    if (!err)
        pbx_reconfigure(p);
    err = err ? err : setting_init(p);
    err = err ? err : mwi_init(p);
    err = err ? err : voicemail_init(p);
    err = err ? err : subscription_init(p);
    err = err ? err : conference_init(p);
    err = err ? err : voicebot_init(p);
    err = err ? err : call_init(p);
    return err ? err : kin_init(p);
}

/* A number that is drawn beside the others: the same seed goes on giving the same messages. */
static uint64_t side_seed(const uint8_t seed[32])
{
    struct rand r;
    uint8_t key[32];
    memcpy(key, seed, sizeof(key));
    key[31] ^= 0xFF;
    rand_init(&r, key);
    return rand_u64(&r);
}

struct pbx *pbx_new(const struct pbx_conf *conf, usec_t now)
{
    struct pbx *p = mem_zero(sizeof(*p));
    if (!p)
        return NULL;
    p->config = config_ref(conf->config);
    p->local = conf->local;
    p->n_listeners = conf->n_listeners;
    memcpy(p->listener, conf->listener, sizeof(p->listener));
    p->now = p->started = now;
    p->wall_offset_us = conf->wall_us - now;
    rand_init(&p->rand, conf->seed);
    p->kin_seed = side_seed(conf->seed);
    timer_wheel_init(&p->wheel, now);
    arena_init(&p->turn, 64u << 20);
    blob_pool_init(&p->pool, 0);
    choose_domain(p);
    if (init_parts(p)) {
        pbx_free(p);
        return NULL;
    }
    return p;
}

void pbx_free(struct pbx *p)
{
    if (!p)
        return;
    struct pbx_out o;
    while (p->out && pbx_out(p, &o))
        if (o.kind == PBX_OUT_SEND)
            blob_unref(o.blob);
    call_done(p);
    voicebot_done(p);
    kin_done(p);
    conference_done(p);
    subscription_done(p);
    voicemail_done(p);
    mwi_done(p);
    setting_done(p);
    trunk_done(p);
    registrar_done(p);
    gate_done(p);
    sip_core_free(p->core);
    blob_pool_done(&p->pool);
    arena_done(&p->turn);
    trace_done(&p->trace);
    mem_free(p->out);
    config_unref(p->config);
    mem_free(p);
}

/* ---- who gets what the engine says ----------------------------------------------------------- */

/* No package takes state from outside, so PUBLISH is a method like any other unknown one. */
static void other_request(struct pbx *p, const struct sip_out *o)
{
    pbx_respond(p, o->txn, 405);
}

static void rx_request(struct pbx *p, const struct sip_out *o)
{
    if (replaces_misplaced(o->msg))
        pbx_respond(p, o->txn, 400);
    else if (o->msg->method == SIP_REGISTER)
        registrar_rx(p, o);
    else if (o->msg->method == SIP_OPTIONS)
        options_rx(p, o);
    else if (o->msg->method == SIP_REFER)
        transfer_refer_outside(p, o);
    else if (o->msg->method == SIP_SUBSCRIBE)
        subscription_rx(p, o);
    else
        other_request(p, o);
}

static void dispatch(struct pbx *p, const struct sip_out *o)
{
    switch (o->kind) {
    case SIP_OUT_SEND: {
        struct pbx_out *out = pbx_emit(p, PBX_OUT_SEND);
        out->flow = o->flow;
        out->blob = o->blob;
        out->after_commit = o->after_commit;
        break;
    }
    case SIP_OUT_REQUEST:
        rx_request(p, o);
        break;
    case SIP_OUT_RESPONSE:
        if (pbx_user_kind(o->user) == PBX_USER_TRUNK)
            trunk_rx_response(p, o);
        else if (pbx_user_kind(o->user) == PBX_USER_SUBSCRIPTION)
            subscription_rx_response(p, o);
        else
            call_rx(p, o);
        break;
    default:
        call_rx(p, o);
    }
}

/* Until nothing is left: what the engine says may make us say something that makes it speak. */
static void pump(struct pbx *p)
{
    struct sip_out o;
    while (sip_core_out(p->core, &o))
        dispatch(p, &o);
}

static void enter(struct pbx *p, usec_t now)
{
    p->now = now > p->now ? now : p->now;
    p->trace.now = p->now;
    if (!p->out_n)
        arena_reset(&p->turn);
}

void pbx_rx(struct pbx *p, usec_t now, const struct flow *flow, const char *bytes, size_t n)
{
    enter(p, now);
    sip_core_rx(p->core, p->now, flow, bytes, n);
    pump(p);
}

void pbx_flow_failed(struct pbx *p, usec_t now, const struct flow *flow)
{
    enter(p, now);
    registrar_flow_failed(p, flow);
    sip_core_flow_failed(p->core, p->now, flow);
    pump(p);
}

void pbx_bounced(struct pbx *p, usec_t now, const char *bytes, size_t n)
{
    enter(p, now);
    sip_core_bounced(p->core, p->now, bytes, n);
    pump(p);
}

void pbx_recorded(struct pbx *p, usec_t now, const struct pbx_recorded *r)
{
    enter(p, now);
    if (r->number & PBX_RECORD_MESSAGE)
        voicemail_recorded(p, r);
    else
        recording_done(p, r);
    pump(p);
}

void pbx_found(struct pbx *p, usec_t now, const struct pbx_found *f)
{
    enter(p, now);
    recording_found(p, f);
    pump(p);
}

void pbx_loaded(struct pbx *p, usec_t now, uint32_t clip, int err, uint32_t ms)
{
    enter(p, now);
    voicemail_loaded(p, clip, err, ms);
    pump(p);
}

void pbx_botlink(struct pbx *p, usec_t now, const struct botlink_event *ev)
{
    enter(p, now);
    voicebot_rx(p, ev);
    pump(p);
}

void pbx_media(struct pbx *p, usec_t now, const struct media_ev *ev)
{
    enter(p, now);
    call_rx_media(p, ev);
    pump(p);
}

void pbx_resolved(struct pbx *p, usec_t now, uint64_t token, const struct flow_dest *dest,
                  unsigned n, uint32_t ttl_s)
{
    enter(p, now);
    if (token > UINT32_MAX)
        contact_resolved(p, token, dest, n);
    else
        trunk_resolved(p, token, dest, n, ttl_s);
    pump(p);
}

void pbx_tick(struct pbx *p, usec_t now)
{
    enter(p, now);
    sip_core_tick(p->core, p->now);
    pump(p);
    struct timer *t;
    /* As in the engine: what is left comes in the next tick. */
    while (p->out_n < OUT_TICK && (t = timer_pop(&p->wheel, p->now))) {
        struct pbx_timer *timer = container_of(t, struct pbx_timer, timer);
        timer->fire(p, timer);
        pump(p);
    }
}

usec_t pbx_deadline(const struct pbx *p)
{
    usec_t core = sip_core_deadline(p->core), own = timer_deadline(&p->wheel);
    return core < own ? core : own;
}

void pbx_wall(struct pbx *p, usec_t now, uint64_t wall_us)
{
    enter(p, now);
    p->wall_offset_us = wall_us - p->now;
}

void pbx_interfaces(struct pbx *p, usec_t now, const struct local_addrs *local)
{
    enter(p, now);
    bool others = local_renew(&p->local, local);
    sip_core_set_local(p->core, &p->local);
    if (others)
        trace_emit(&p->trace, TRACE_INTERFACES, 0, TU(p->local.n));
}

void pbx_zone(struct pbx *p, usec_t now, int32_t zone_s)
{
    enter(p, now);
    p->zone_s = zone_s;
}

void pbx_restore(struct pbx *p, usec_t now, unsigned i, const struct row_value *v, unsigned n)
{
    enter(p, now);
    if (i == STORE_RESTORE_BINDINGS)
        registrar_restore(p, v, n);
    else if (i == STORE_RESTORE_SETTINGS)
        setting_restore(p, v, n);
    else if (i == STORE_RESTORE_MESSAGES)
        voicemail_restore(p, v, n);
    pump(p);
}

static bool same_listen(const struct config *a, const struct config *b)
{
    if (a->sip.listen.n != b->sip.listen.n)
        return false;
    for (uint32_t i = 0; i < a->sip.listen.n; i++)
        if (a->sip.listen.v[i].proto != b->sip.listen.v[i].proto ||
            !addr_eq(&a->sip.listen.v[i].addr, &b->sip.listen.v[i].addr))
            return false;
    return true;
}

static bool same_files(const struct config *a, const struct config *b)
{
    return str_eq(a->recording.dir, b->recording.dir) &&
           a->recording.keep_days == b->recording.keep_days &&
           a->recording.keep_mib == b->recording.keep_mib &&
           a->recording.min_free_mib == b->recording.min_free_mib &&
           str_eq(a->voicemail.dir, b->voicemail.dir);
}

/* What was opened at the start, and stays as it is. */
static struct str unchangeable(const struct config *old, const struct config *config)
{
    if (!same_listen(old, config))
        return STR("sip.listen cannot change while running");
    if (!str_eq(old->store.url, config->store.url))
        return STR("store.url cannot change while running");
    if (!str_eq(old->sip.domain, config->sip.domain))
        return STR("sip.domain cannot change while running");
    if (memcmp(&old->media.ports, &config->media.ports, sizeof(old->media.ports)) != 0 ||
        !addr_eq(&old->media.address, &config->media.address))
        return STR("media.address and media.ports cannot change while running");
    if (!same_files(old, config))
        return STR("recording.dir, keep_days, keep_size, min_free and voicemail.dir cannot "
                   "change while running");
    if (!str_eq(old->sounds.dir, config->sounds.dir) ||
        !str_eq(old->sounds.cache, config->sounds.cache))
        return STR("sounds.dir and sounds.cache cannot change while running");
    return STR_NONE;
}

int pbx_reload(struct pbx *p, usec_t now, struct config *config, struct str *why)
{
    enter(p, now);
    /* What is withdrawn and ended now must not begin again. */
    *why = p->stopping ? STR("the exchange is stopping") : unchangeable(p->config, config);
    if (why->p)
        return -EINVAL;
    struct config *before = p->config;
    p->config = config_ref(config);
    int err = gate_reload(p);
    err = err ? err : trunk_reload(p);
    if (err) { /* out of memory: the old one stays whole */
        p->config = before;
        config_unref(config);
        *why = STR("out of memory");
        return err;
    }
    pbx_reconfigure(p);
    p->trace.level = (enum trace_level)config->log.level;
    registrar_reload(p);
    setting_reload(p);
    subscription_reload(p);
    mwi_reload(p);
    conference_reload(p, before);
    voicemail_reload(p);
    call_reload(p, before);
    config_unref(before);
    pump(p);
    return 0;
}

void pbx_api(struct pbx *p, usec_t now, struct str request, struct buf *reply)
{
    enter(p, now);
    pbx_api_run(p, request, reply);
    pump(p);
}

void pbx_shutdown(struct pbx *p, usec_t now)
{
    enter(p, now);
    p->stopping = true;
    call_shutdown(p);
    trunk_shutdown(p);
    subscription_shutdown(p);
    pump(p);
}

bool pbx_is_idle(const struct pbx *p)
{
    struct sip_stats s;
    sip_core_stats(p->core, &s);
    return call_count(p) == 0 && s.active_sessions == 0 && trunk_is_idle(p) &&
           subscription_is_idle(p) && voicemail_is_idle(p) && voicebot_is_idle(p);
}
