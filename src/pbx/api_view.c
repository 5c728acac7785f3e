/* The rest of what one can ask: counters, timers, registrations, trunks, bans. */
#include "pbx/api.h"

#include "pbx/gate.h"
#include "pbx/registrar.h"
#include "pbx/subscription.h"
#include "pbx/trunk.h"

#define TIMERS_SHOWN 200

static void put(json_t *j, const char *key, uint64_t v)
{
    json_object_set_new(j, key, json_integer((json_int_t)v));
}

json_t *api_registrations(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    uint32_t at = 0;
    const struct binding *b;
    (void)params;
    (void)error;
    while ((b = registrar_next(p, &at))) {
        json_t *j = json_object();
        json_object_set_new(j, "aor", api_text(b->aor));
        json_object_set_new(j, "contact", api_text(b->contact));
        put(j, "expires_s", b->expires_at > p->now ? (b->expires_at - p->now) / USEC_S : 0);
        json_object_set_new(j, "q", json_real(b->q / 1000.0));
        json_object_set_new(j, "transport", api_text(proto_name((enum proto)b->flow.proto)));
        json_object_set_new(j, "source", api_addr(&b->flow.peer));
        json_object_set_new(j, "natted", json_boolean(b->natted));
        json_object_set_new(j, "path", b->path.n ? api_text(b->path) : json_null());
        json_object_set_new(j, "user_agent", api_text(b->user_agent));
        json_array_append_new(list, j);
    }
    return list;
}

json_t *api_trunks(struct pbx *p, const json_t *params, enum api_error *error)
{
    static const char *const states[] = {"unknown", "up", "down", "registering"};
    json_t *list = json_array();
    uint32_t at = 0;
    struct trunk_view v;
    (void)params;
    (void)error;
    while (trunk_next(p, &at, &v)) {
        json_t *j = json_object();
        json_object_set_new(j, "name", api_text(v.name));
        json_object_set_new(j, "state", json_string(states[v.state]));
        json_object_set_new(j, "address", v.addr.family ? api_addr(&v.addr) : json_null());
        json_object_set_new(j, "transport",
                            v.addr.family ? api_text(proto_name((enum proto)v.proto))
                                          : json_null());
        put(j, "expires_s", v.expires_s);
        put(j, "srtt_us", v.srtt_us);
        json_object_set_new(j, "reason", v.reason.n ? api_text(v.reason) : json_null());
        json_array_append_new(list, j);
    }
    return list;
}

/* ---- bans ------------------------------------------------------------------------------------ */

static bool address_of(const json_t *params, struct addr *ret)
{
    const json_t *v = json_object_get(params, "address");
    return json_is_string(v) &&
           addr_parse(ret, str_of(json_string_value(v), json_string_length(v)), 0) == 0;
}

json_t *api_ban(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct addr addr;
    json_int_t seconds = json_integer_value(json_object_get(params, "seconds"));
    *error = API_INVALID_PARAMS;
    if (!address_of(params, &addr) || seconds < 0 || seconds > 604800)
        return NULL;
    gate_ban_put(p, &addr, (uint32_t)seconds);
    return json_pack("{s:s}", "banned", json_string_value(json_object_get(params, "address")));
}

json_t *api_unban(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct addr addr;
    *error = API_INVALID_PARAMS;
    if (!address_of(params, &addr))
        return NULL;
    *error = API_NOT_FOUND;
    if (gate_ban_remove(p, &addr))
        return NULL;
    return json_pack("{s:s}", "unbanned", json_string_value(json_object_get(params, "address")));
}

json_t *api_bans(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    uint32_t at = 0;
    struct gate_ban ban;
    char mem[64];
    (void)params;
    (void)error;
    while (gate_ban_next(p, &at, &ban)) {
        struct buf b;
        json_t *j = json_object();
        buf_init(&b, mem, sizeof(mem));
        addr_put_ip(&b, &ban.addr);
        json_object_set_new(j, "address", api_text(buf_str(&b)));
        put(j, "failures", ban.failures);
        put(j, "seconds_left", ban.seconds_left);
        put(j, "times", ban.times);
        json_array_append_new(list, j);
    }
    return list;
}

/* ---- counters -------------------------------------------------------------------------------- */

json_t *api_status(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct sip_stats s;
    json_t *j = json_object();
    (void)params;
    (void)error;
    sip_core_stats(p->core, &s);
    json_object_set_new(j, "version", json_string(RD_VERSION));
    json_object_set_new(j, "domain", api_text(p->domain));
    put(j, "wall_ms", pbx_wall_ms(p));
    put(j, "uptime_s", (p->now - p->started) / USEC_S);
    put(j, "calls", call_count(p));
    put(j, "registrations", registrar_count(p));
    put(j, "extensions", p->config->n_extensions);
    put(j, "trunks", p->config->n_trunks);
    put(j, "active_transactions", s.active_txns);
    put(j, "total_calls", p->calls->total);
    json_object_set_new(j, "stopping", json_boolean(p->stopping));
    json_t *listen = json_array();
    for (unsigned i = 0; i < p->n_listeners; i++) {
        char mem[100];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        buf_str_put(&b, proto_name((enum proto)p->listener[i].proto));
        buf_ch(&b, ' ');
        addr_put(&b, &p->listener[i].bound);
        json_array_append_new(listen, api_text(buf_str(&b)));
    }
    json_object_set_new(j, "listen", listen);
    return j;
}

static json_t *by_method(const uint64_t counts[SIP_METHOD_COUNT])
{
    json_t *j = json_object();
    for (unsigned i = 1; i < SIP_METHOD_COUNT; i++)
        if (counts[i])
            put(j, sip_method_name((enum sip_method)i).p, counts[i]);
    return j;
}

static json_t *by_letter(const uint64_t counts[SIP_TIMER_LETTERS])
{
    json_t *j = json_object();
    for (unsigned i = 0; i < SIP_TIMER_LETTERS; i++) {
        char name[2] = {(char)('A' + i), 0};
        put(j, name, counts[i]);
    }
    return j;
}

static json_t *by_class(const uint64_t counts[8])
{
    static const char *const names[] = {"1xx", "2xx", "3xx", "4xx", "5xx", "6xx"};
    json_t *j = json_object();
    for (unsigned i = 1; i <= 6; i++)
        put(j, names[i - 1], counts[i]);
    return j;
}

static json_t *transactions(const struct sip_stats *s)
{
    json_t *j = json_object();
    for (unsigned k = 0; k < TXN_KINDS; k++) {
        json_t *states = json_object();
        for (unsigned i = 0; i < TXN_TERMINATED; i++)
            if (txn_has_state((enum sip_txn_kind)k, (enum sip_txn_state)i))
                put(states, sip_txn_state_name((enum sip_txn_kind)k, (enum sip_txn_state)i).p,
                    s->txns[k][i]);
        json_object_set_new(j, sip_txn_kind_name((enum sip_txn_kind)k).p, states);
    }
    return j;
}

/* The names by which T13 wants them. */
static void put_timer_names(struct pbx *p, json_t *j, const struct sip_stats *s)
{
    const struct config_timers *t = &p->config->sip.timers;
    json_t *session = json_object(), *txn = json_object();
    put(session, "active_timers", s->active_timers + p->wheel.armed);
    json_object_set_new(session, "session_expires", json_real(t->session_expires_ms / 1000.0));
    json_object_set_new(session, "min_se", json_real(t->min_se_ms / 1000.0));
    json_object_set_new(session, "default_refresher",
                        json_string(t->session_refresher == CONF_REFRESHER_UAS ? "uas" : "uac"));
    put(txn, "active_transactions", s->active_txns);
    json_object_set_new(txn, "t1", json_real(t->t1_ms / 1000.0));
    json_object_set_new(txn, "t2", json_real(t->t2_ms / 1000.0));
    json_object_set_new(txn, "t4", json_real(t->t4_ms / 1000.0));
    json_object_set_new(j, "session_timer", session);
    json_object_set_new(j, "transaction_timer", txn);
}

static void put_calls(struct pbx *p, json_t *j, const struct sip_stats *s)
{
    const struct calls *c = p->calls;
    put(j, "active_calls", c->calls.used);
    put(j, "active_legs", c->legs.used);
    put(j, "active_sessions", s->active_sessions);
    put(j, "active_dialogs", s->active_dialogs);
    put(j, "active_timers", s->active_timers);
    put(j, "rtp_ports_in_use", c->ports.in_use);
    put(j, "rtp_ports_exhausted", c->ports.exhausted);
    put(j, "registrations", registrar_count(p));
    put(j, "subscriptions", subscription_count(p));
    put(j, "calls_total", c->total);
    put(j, "calls_answered", c->answered);
    put(j, "calls_refused", c->refused);
    put(j, "rtp_timeouts", c->rtp_timeouts);
    put(j, "reaped", c->reaped);
    put(j, "blob_bytes", s->blob_bytes);
    put(j, "pool_bytes", p->pool.used_bytes);
}

json_t *api_stats(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct sip_stats s;
    json_t *j = json_object();
    (void)params;
    (void)error;
    sip_core_stats(p->core, &s);
    put_timer_names(p, j, &s);
    put_calls(p, j, &s);
    json_object_set_new(j, "transactions", transactions(&s));
    put(j, "retransmissions_sent", s.retransmissions_sent);
    put(j, "retransmissions_received", s.retransmissions_received);
    json_object_set_new(j, "timeouts", by_letter(s.timeouts));
    json_object_set_new(j, "timers_fired", by_letter(s.fired));
    put(j, "invite_timeouts", s.invite_timeouts);
    put(j, "bye_timeouts", s.bye_timeouts);
    put(j, "ack_timeouts", s.ack_timeouts);
    put(j, "prack_timeouts", s.prack_timeouts);
    put(j, "session_timeouts", s.session_timeouts);
    put(j, "refreshes_sent", s.refreshes_sent);
    put(j, "refreshes_received", s.refreshes_received);
    put(j, "rx_requests", s.rx_requests);
    put(j, "rx_responses", s.rx_responses);
    put(j, "tx_requests", s.tx_requests);
    put(j, "tx_responses", s.tx_responses);
    json_object_set_new(j, "rx_by_method", by_method(s.rx_method));
    json_object_set_new(j, "tx_by_method", by_method(s.tx_method));
    json_object_set_new(j, "rx_by_status", by_class(s.rx_status));
    json_object_set_new(j, "tx_by_status", by_class(s.tx_status));
    put(j, "malformed", s.rx_bad);
    put(j, "stray", s.rx_stray);
    put(j, "merged", s.merged);
    put(j, "loops", s.loops);
    put(j, "overload", s.overload);
    put(j, "rate_limited", s.rate_limited);
    put(j, "transport_errors", s.transport_errors);
    return j;
}

json_t *api_timers(struct pbx *p, const json_t *params, enum api_error *error)
{
    handle_t tag = 0;
    *error = API_NOT_FOUND;
    if (json_object_get(params, "call")) {
        const struct call *call = api_call_of(p, params);
        if (!call)
            return NULL;
        tag = call->tag;
    }
    struct sip_timer_view v;
    uint32_t at = 0;
    json_t *j = json_object(), *list = json_array();
    while (json_array_size(list) < TIMERS_SHOWN && sip_core_timer_next(p->core, tag, &at, &v)) {
        json_t *t = json_object();
        json_object_set_new(t, "timer", json_string(v.name));
        json_object_set_new(t, "method", api_text(v.method));
        put(t, "due_ms", v.due > p->now ? (v.due - p->now) / USEC_MS : 0);
        json_array_append_new(list, t);
    }
    struct sip_stats s;
    sip_core_stats(p->core, &s);
    put_timer_names(p, j, &s);
    json_object_set_new(j, "timeouts", by_letter(s.timeouts));
    json_object_set_new(j, "timers", list);
    return j;
}

json_t *api_rtt(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    uint32_t at = 0;
    struct sip_rtt r;
    (void)params;
    (void)error;
    while (json_array_size(list) < 1000 && sip_core_rtt(p->core, &at, &r)) {
        json_t *j = json_object();
        json_object_set_new(j, "peer", api_addr(&r.peer));
        put(j, "srtt_us", r.srtt_us);
        put(j, "rttvar_us", r.rttvar_us);
        put(j, "samples", r.samples);
        put(j, "t1_ms", r.t1 / USEC_MS);
        json_array_append_new(list, j);
    }
    return list;
}
