#include "io/net.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/net_priv.h"

#define SWEEP_MAX_MS 500u
#define SWEEP_MIN_MS 10u
#define POOL_BYTES   ((size_t)512 << 20)

static uint32_t or_default(uint32_t v, uint32_t def)
{
    return v ? v : def;
}

static struct net_config config_complete(const struct net_config *cfg)
{
    struct net_config c = *cfg;
    c.max_conns = or_default(c.max_conns, 8192);
    if (c.max_conns > NET_MAX_CONNS)
        c.max_conns = NET_MAX_CONNS;
    c.max_conns_per_source = or_default(c.max_conns_per_source, 1024);
    c.max_bans = or_default(c.max_bans, 65536);
    c.connect_ms = or_default(c.connect_ms, 4000);
    c.message_ms = or_default(c.message_ms, 30000);
    c.handshake_ms = or_default(c.handshake_ms, 8000);
    c.max_handshakes_per_source = or_default(c.max_handshakes_per_source, 32);
    c.max_handshakes = or_default(c.max_handshakes, 1024);
    c.idle_ms = or_default(c.idle_ms, 600000);
    c.conn_queue_bytes = or_default(c.conn_queue_bytes, 262144);
    c.max_message_bytes = or_default(c.max_message_bytes, SIP_MAX_BYTES);
    if (c.max_message_bytes > SIP_MAX_BYTES)
        c.max_message_bytes = SIP_MAX_BYTES;
    c.rcvbuf_bytes = or_default(c.rcvbuf_bytes, 8u << 20);
    return c;
}

uint64_t net_addr_hash(const struct hash_table *t, const struct addr *a)
{
    uint8_t key[18];
    memcpy(key, a->ip, 16);
    memcpy(key + 16, &a->port, 2);
    return hash_bytes(t, key, sizeof(key));
}

uint64_t net_ip_hash(const struct hash_table *t, const struct addr *a)
{
    return hash_bytes(t, a->ip, a->family == ADDR_V4 ? 4 : 16);
}

static int tables_init(struct net *net)
{
    const struct net_config *cfg = &net->cfg;
    uint64_t seed = cfg->seed;
    net->conn = mem_map((size_t)cfg->max_conns * sizeof(*net->conn));
    net->free_ring = mem_map((size_t)cfg->max_conns * sizeof(*net->free_ring));
    net->failed = mem_map(NET_MAX_FAILED * sizeof(*net->failed));
    net->scratch = mem_map(NET_SCRATCH);
    net->party = mem_map(NET_MAX_PARTIES * sizeof(*net->party));
    if (!net->party || !net->conn || !net->free_ring || !net->failed || !net->scratch)
        return -ENOMEM;
    if (hash_init(&net->peers, cfg->max_conns, seed) ||
        hash_init(&net->aliases, cfg->max_conns, seed + 1) ||
        hash_init(&net->sources, cfg->max_conns, seed + 2) ||
        hash_init(&net->bans, cfg->max_bans, seed + 3))
        return -ENOMEM;
    if (slot_init(&net->source_slots, sizeof(struct net_source), cfg->max_conns) ||
        slot_init(&net->ban_slots, sizeof(struct net_ban), cfg->max_bans))
        return -ENOMEM;
    for (uint32_t i = 0; i < cfg->max_conns; i++)
        net->free_ring[i] = i;
    net->free_n = cfg->max_conns;
    while ((1u << net->index_bits) < cfg->max_conns)
        net->index_bits++;
    return 0;
}

static void table_done(struct hash_table *t)
{
    if (t->bucket)
        hash_done(t);
}

static void tables_done(struct net *net)
{
    table_done(&net->peers);
    table_done(&net->aliases);
    table_done(&net->sources);
    table_done(&net->bans);
    if (net->source_slots.mem)
        slot_done(&net->source_slots);
    if (net->ban_slots.mem)
        slot_done(&net->ban_slots);
    mem_unmap(net->conn, (size_t)net->cfg.max_conns * sizeof(*net->conn));
    mem_unmap(net->free_ring, (size_t)net->cfg.max_conns * sizeof(*net->free_ring));
    mem_unmap(net->failed, NET_MAX_FAILED * sizeof(*net->failed));
    mem_unmap(net->scratch, NET_SCRATCH);
    for (unsigned i = 0; net->party && i < NET_MAX_PARTIES; i++)
        mem_free(net->party[i]);
    mem_unmap(net->party, NET_MAX_PARTIES * sizeof(*net->party));
}

static void on_sweep(struct loop_timer *t)
{
    struct net *net = container_of(t, struct net, sweep);
    usec_t now = loop_now(net->loop);
    conn_tick(net, now);
    ban_sweep(net, now);
    for (unsigned i = 0; i < FLOW_MAX_LISTENERS; i++)
        if (net->listener[i].open && net->listener[i].paused)
            tcp_accept_resume(&net->listener[i]);
}

static void on_kick(struct loop_timer *t)
{
    struct net *net = container_of(t, struct net, kick);
    usec_t now = loop_now(net->loop);
    /* What the owner does in the callback may fail in turn: those are for the next kick. */
    uint32_t n = net->failed_n;
    for (uint32_t i = 0; i < n; i++) {
        struct net_failure f = net->failed[i];
        if (net->hooks.failed)
            net->hooks.failed(net->hooks.ctx, now, &f.to, f.blob, f.err);
        blob_unref(f.blob);
    }
    net->failed_n -= n;
    memmove(net->failed, net->failed + n, net->failed_n * sizeof(*net->failed));
    if (net->failed_n)
        loop_timer_start(&net->kick, 0, 0);
}

void net_failed_put(struct net *net, const struct flow *to, struct blob *b, int err)
{
    if (net->failed_n == NET_MAX_FAILED)
        return; /* its sender has a timer too */
    if (net->failed_n == 0)
        loop_timer_start(&net->kick, 0, 0);
    net->failed[net->failed_n++] = (struct net_failure){*to, blob_ref(b), err};
}

int net_new(struct net **ret, struct loop *loop, const struct net_config *cfg,
            const struct net_hooks *hooks)
{
    BUG_ON(!hooks->rx);
    struct net *net = mem_zero(sizeof(*net));
    if (!net)
        return -ENOMEM;
    net->loop = loop;
    net->cfg = config_complete(cfg);
    net->hooks = *hooks;
    list_init(&net->conns);
    list_init(&net->dirty);
    blob_pool_init(&net->pool, POOL_BYTES);
    net->pong = blob_copy(&net->pool, STR("\r\n"));
    int err = net->pong ? tables_init(net) : -ENOMEM;
    if (err) {
        tables_done(net);
        blob_unref(net->pong);
        blob_pool_done(&net->pool);
        mem_free(net);
        return err;
    }
    timer_wheel_init(&net->wheel, loop_now(loop));
    net->sweep.fire = on_sweep;
    net->kick.fire = on_kick;
    loop_timer_open(loop, &net->sweep);
    loop_timer_open(loop, &net->kick);
    uint32_t period = SWEEP_MAX_MS;
    const uint32_t limits[] = {net->cfg.connect_ms, net->cfg.message_ms, net->cfg.idle_ms,
                               net->cfg.handshake_ms};
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++)
        period = limits[i] / 4 < period ? limits[i] / 4 : period;
    period = period < SWEEP_MIN_MS ? SWEEP_MIN_MS : period;
    loop_timer_start(&net->sweep, period, period);
    *ret = net;
    return 0;
}

void net_free(struct net *net)
{
    if (!net)
        return;
    net->hooks.opened = NULL;
    net->hooks.closed = NULL;
    net->hooks.failed = NULL;
    net->hooks.insecure = NULL;
    for (unsigned i = 0; i < FLOW_MAX_LISTENERS; i++) {
        struct net_listener *l = &net->listener[i];
        if (l->open && l->udp) {
            udp_flush(l);
            udp_close(l);
        } else if (l->open) {
            loop_watch_close(&l->watch);
            close(l->fd);
        }
    }
    list_each(node, &net->conns)
    {
        conn_end(container_of(node, struct conn, node), 0);
    }
    loop_timer_close(&net->sweep);
    loop_timer_close(&net->kick);
    loop_settle(net->loop);
    for (uint32_t i = 0; i < net->failed_n; i++)
        blob_unref(net->failed[i].blob);
    tables_done(net);
    blob_unref(net->pong);
    blob_pool_done(&net->pool);
    mem_free(net);
}

int net_listen(struct net *net, uint8_t index, struct flow_listener *l)
{
    BUG_ON(index >= FLOW_MAX_LISTENERS);
    struct net_listener *nl = &net->listener[index];
    BUG_ON(nl->open);
    if (l->proto != PROTO_UDP && l->proto != PROTO_TCP && (l->proto != PROTO_TLS || !net->tls))
        return -EPROTONOSUPPORT;
    *nl = (struct net_listener){.net = net, .at = *l, .index = index};
    int err = l->proto == PROTO_UDP ? udp_open(nl) : tcp_open(nl);
    if (err)
        return err;
    nl->open = true;
    if (index >= net->listeners)
        net->listeners = index + 1u;
    err = sock_bound_get(nl->fd, &nl->at.bound);
    BUG_ON(err);
    if (nl->at.advertised.port == 0)
        nl->at.advertised.port = nl->at.bound.port;
    *l = nl->at;
    return 0;
}

void net_tls_set(struct net *net, struct tls_ctx *tls)
{
    net->tls = tls;
}

static void clients_change(struct net *net, const struct net_party *party, int by)
{
    if (!party || !party->client)
        return;
    net->n_clients += (unsigned)by;
    if (++net->clients_at == 0)
        net->clients_at = 1;
}

int net_party_set(struct net *net, uint16_t party, const struct tls_target *who)
{
    if (party == 0 || party >= NET_MAX_PARTIES || who->host.n > TLS_MAX_NAME)
        return -EINVAL;
    struct net_party **at = &net->party[party];
    clients_change(net, *at, -1);
    if (!who->host.n) {
        mem_free(*at);
        *at = NULL;
        return 0;
    }
    if (!*at && !(*at = mem_zero(sizeof(**at))))
        return -ENOMEM;
    (*at)->client = false;
    str_copy_z((*at)->host, sizeof((*at)->host), who->host);
    (*at)->n_pins = who->n_pins < TLS_MAX_PINS ? who->n_pins : TLS_MAX_PINS;
    for (unsigned i = 0; i < (*at)->n_pins; i++)
        (*at)->pin[i] = who->pin[i];
    return 0;
}

int net_client_set(struct net *net, uint16_t party, const struct tls_target *who)
{
    int err = net_party_set(net, party, who);
    if (err || !who->host.n)
        return err;
    net->party[party]->client = true;
    clients_change(net, net->party[party], 1);
    return 0;
}

bool net_is_client(const struct net *net, uint16_t party)
{
    return party < NET_MAX_PARTIES && net->party[party] && net->party[party]->client;
}

void net_send(struct net *net, const struct flow *to, struct blob *b)
{
    struct net_listener *l =
        to->listener < FLOW_MAX_LISTENERS ? &net->listener[to->listener] : NULL;
    if (to->proto == PROTO_TCP || (to->proto == PROTO_TLS && net->tls)) {
        tcp_send(net, to, b);
    } else if (to->proto == PROTO_UDP && l && l->udp) {
        udp_send(l, to, b);
    } else {
        net->stats.tx_dropped++;
        net_failed_put(net, to, b, -EPROTONOSUPPORT);
    }
}

void net_flush(struct net *net)
{
    for (unsigned i = 0; i < net->listeners; i++)
        if (net->listener[i].udp)
            udp_flush(&net->listener[i]);
    while (!list_empty(&net->dirty)) {
        struct conn *c = container_of(net->dirty.next, struct conn, dirty);
        list_remove(&c->dirty);
        tcp_flush(c);
    }
}

int net_local_get(const struct net *net, const struct flow *flow, struct addr *ret)
{
    if (flow->proto == PROTO_UDP) {
        if (flow->listener >= FLOW_MAX_LISTENERS || !net->listener[flow->listener].open)
            return -ENOTCONN;
        *ret = net->listener[flow->listener].at.bound;
        return 0;
    }
    struct conn *c = flow->conn ? conn_find(net, flow->conn) : conn_find_peer(net, flow);
    if (!c)
        return -ENOTCONN;
    if (c->local.family == ADDR_NONE && sock_bound_get(c->fd, &c->local))
        return -ENOTCONN;
    *ret = c->local;
    return 0;
}

const struct net_stats *net_stats_get(const struct net *net)
{
    return &net->stats;
}
