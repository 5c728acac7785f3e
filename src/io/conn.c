#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/net_priv.h"

/* How long a connection whose end we announced may take to end. */
#define LINGER_US (2 * USEC_S)

struct conn *conn_find(const struct net *net, uint32_t id)
{
    uint32_t index = id & ((1u << net->index_bits) - 1);
    if (id == 0 || index >= net->cfg.max_conns)
        return NULL;
    struct conn *c = &net->conn[index];
    bool live = c->state >= CONN_CONNECTING && c->state <= CONN_DRAINING;
    return live && c->flow.conn == id ? c : NULL;
}

struct conn *conn_find_peer(const struct net *net, const struct flow *to)
{
    const struct addr *peer = &to->peer;
    uint64_t h = net_addr_hash(&net->peers, peer);
    hash_each(node, &net->peers, h)
    {
        struct conn *c = container_of(node, struct conn, by_peer);
        if (c->flow.proto == to->proto && addr_eq(&c->flow.peer, peer) &&
            (!c->tls || tcp_tls_serves(c, to, false)))
            return c;
    }
    h = net_addr_hash(&net->aliases, peer);
    hash_each(node, &net->aliases, h)
    {
        struct conn *c = container_of(node, struct conn, by_alias);
        if (c->flow.proto == to->proto && addr_eq(&c->alias, peer) &&
            (!c->tls || tcp_tls_serves(c, to, true)))
            return c;
    }
    return NULL;
}

static int source_take(struct net *net, struct conn *c)
{
    struct addr key = net_source_key(&c->flow.peer);
    uint64_t h = net_ip_hash(&net->sources, &key);
    struct net_source *s = NULL;
    hash_each(node, &net->sources, h)
    {
        s = container_of(node, struct net_source, node);
        if (addr_ip_eq(&s->addr, &key))
            break;
        s = NULL;
    }
    if (!s) {
        handle_t self;
        s = slot_take(&net->source_slots, &self);
        if (!s)
            return -ENOSPC;
        s->addr = key;
        s->self = self;
        hash_put(&net->sources, &s->node, h);
    }
    if (s->conns >= net->cfg.max_conns_per_source) /* at least 1: a fresh entry never is */
        return -ENOSPC;
    s->conns++;
    c->source = s;
    return 0;
}

static void source_put(struct net *net, struct conn *c)
{
    struct net_source *s = c->source;
    if (!s || --s->conns)
        return;
    hash_remove(&net->sources, &s->node);
    slot_put(&net->source_slots, s->self);
}

/* Nothing is sent over it any more unless by its own id. */
static void conn_unlist(struct conn *c)
{
    if (c->told) {
        hash_remove(&c->net->peers, &c->by_peer);
        c->told = false;
    }
    if (c->aliased) {
        hash_remove(&c->net->aliases, &c->by_alias);
        c->aliased = false;
    }
}

void conn_queue_drop(struct conn *c, size_t sent)
{
    c->tx_bytes -= sent;
    sent += c->tx_at;
    while (c->tx_first && sent >= c->tx_first->blob->n) {
        struct conn_tx *tx = c->tx_first;
        sent -= tx->blob->n;
        c->tx_first = tx->next;
        if (!c->tx_first)
            c->tx_last = NULL;
        blob_unref(tx->blob);
        pool_put(&c->net->pool, tx, sizeof(*tx));
        c->net->stats.tx_messages++;
    }
    c->tx_at = sent;
}

int conn_queue_put(struct conn *c, struct blob *b)
{
    if (c->tx_bytes + b->n > c->net->cfg.conn_queue_bytes)
        return -ENOBUFS;
    struct conn_tx *tx = pool_take(&c->net->pool, sizeof(*tx));
    if (!tx)
        return -ENOBUFS;
    *tx = (struct conn_tx){.blob = blob_ref(b)};
    if (c->tx_last)
        c->tx_last->next = tx;
    else
        c->tx_first = tx;
    c->tx_last = tx;
    c->tx_bytes += b->n;
    return 0;
}

/* What was queued and not sent whole has failed. */
static void queue_fail(struct conn *c)
{
    struct net *net = c->net;
    usec_t now = loop_now(net->loop);
    while (c->tx_first) {
        struct conn_tx *tx = c->tx_first;
        c->tx_first = tx->next;
        net->stats.tx_dropped++;
        if (net->hooks.failed)
            net->hooks.failed(net->hooks.ctx, now, &c->flow, tx->blob, c->err ? c->err : -EPIPE);
        blob_unref(tx->blob);
        pool_put(&net->pool, tx, sizeof(*tx));
    }
}

static void on_closed(struct loop_watch *w)
{
    struct conn *c = container_of(w, struct conn, watch);
    struct net *net = c->net;
    queue_fail(c);
    if (net->hooks.closed && c->opened_once)
        net->hooks.closed(net->hooks.ctx, loop_now(net->loop), &c->flow, c->err);
    pool_put(&net->pool, c->rx, c->rx_cap);
    tls_session_free(c->tls);
    source_put(net, c);
    list_remove(&c->node);
    uint32_t generation = c->generation, index = c->index;
    *c = (struct conn){.generation = generation};
    net->free_ring[(net->free_head + net->free_n) % net->cfg.max_conns] = index;
    net->free_n++;
    net->stats.conns--;
}

void conn_end(struct conn *c, int err)
{
    if (c->state == CONN_CLOSED)
        return;
    if (!c->err)
        c->err = err;
    if (c->state == CONN_CONNECTING || (c->state == CONN_SECURING && c->ours))
        c->net->stats.connect_failed++;
    conn_unlist(c);
    tcp_tls_end(c);
    c->state = CONN_CLOSED;
    timer_stop(&c->net->wheel, &c->timer);
    list_remove(&c->dirty);
    loop_watch_close(&c->watch);
    close(c->fd);
    c->fd = -1;
}

void conn_drain(struct conn *c, int err)
{
    if (c->state == CONN_CONNECTING || c->state == CONN_SECURING) {
        conn_end(c, err ? err : -ECANCELED);
        return;
    }
    if (c->state != CONN_OPEN)
        return;
    c->state = CONN_DRAINING;
    c->err = err;
    c->message_at = 0;
    if (!c->stalled_at)
        c->stalled_at = loop_now(c->net->loop);
    conn_unlist(c);
    conn_timer_set(c);
    conn_dirty_set(c);
}

struct conn *conn_take(struct net *net, const struct flow *flow, int fd, bool ours)
{
    if (net->free_n == 0)
        return NULL;
    uint32_t index = net->free_ring[net->free_head];
    struct conn *c = &net->conn[index];
    bool secure = flow->proto == PROTO_TLS;
    uint32_t generation = (c->generation + 1) & (UINT32_MAX >> net->index_bits);
    *c = (struct conn){.net = net,
                       .flow = *flow,
                       .fd = fd,
                       .ours = ours,
                       .index = index,
                       .generation = generation ? generation : 1,
                       .opened_at = loop_now(net->loop),
                       .last_at = loop_now(net->loop),
                       .state = ours     ? CONN_CONNECTING
                                : secure ? CONN_SECURING
                                         : CONN_OPEN,
                       .opened_once = !ours && !secure};
    c->flow.conn = c->generation << net->index_bits | index;
    c->watch.closed = on_closed;
    if (!ours && source_take(net, c)) {
        net->stats.refused_source++;
        return NULL;
    }
    if ((secure && tcp_tls_begin(c)) || tcp_watch(c)) {
        tcp_tls_end(c);
        tls_session_free(c->tls);
        c->tls = NULL;
        source_put(net, c);
        return NULL;
    }
    net->free_head = (net->free_head + 1) % net->cfg.max_conns;
    net->free_n--;
    net->stats.conns++;
    list_append(&net->conns, &c->node);
    hash_put(&net->peers, &c->by_peer, net_addr_hash(&net->peers, &c->flow.peer));
    c->told = true;
    conn_timer_set(c);
    return c;
}

struct limit {
    usec_t at;
    uint64_t *counter;
};

static void limit_add(struct limit *l, usec_t since, uint32_t ms, uint64_t *counter)
{
    usec_t at = since + ms * USEC_MS;
    if (since && at < l->at)
        *l = (struct limit){at, counter};
}

/* The limit that this connection reaches first. */
static struct limit conn_limit(const struct conn *c)
{
    const struct net_config *cfg = &c->net->cfg;
    struct net_stats *stats = &c->net->stats;
    struct limit l = {USEC_NEVER, NULL};
    if (c->state == CONN_LINGER) {
        l.at = c->stalled_at + LINGER_US;
        return l;
    }
    if (c->state == CONN_CONNECTING) {
        l.at = c->opened_at + cfg->connect_ms * USEC_MS;
        return l;
    }
    if (c->state == CONN_SECURING) {
        limit_add(&l, c->opened_at, cfg->handshake_ms, &stats->closed_slow);
        return l;
    }
    limit_add(&l, c->message_at, cfg->message_ms, &stats->closed_slow);
    if (!c->had_message && !c->ours)
        limit_add(&l, c->opened_at, cfg->message_ms, &stats->closed_slow);
    limit_add(&l, c->stalled_at, cfg->message_ms, &stats->closed_stalled);
    if (!c->keep)
        limit_add(&l, c->last_at, cfg->idle_ms, &stats->closed_idle);
    return l;
}

void conn_timer_set(struct conn *c)
{
    struct limit l = conn_limit(c);
    if (l.at == USEC_NEVER)
        timer_stop(&c->net->wheel, &c->timer);
    else if (!timer_armed(&c->timer) || l.at < timer_due(&c->timer))
        timer_start(&c->net->wheel, &c->timer, l.at);
}

void conn_tick(struct net *net, usec_t now)
{
    struct timer *t;
    while ((t = timer_pop(&net->wheel, now))) {
        struct conn *c = container_of(t, struct conn, timer);
        struct limit l = conn_limit(c);
        if (l.at > now) {
            conn_timer_set(c);
            continue;
        }
        if (l.counter)
            ++*l.counter;
        conn_end(c, -ETIMEDOUT);
    }
}

void conn_dirty_set(struct conn *c)
{
    if (!c->dirty.next)
        list_append(&c->net->dirty, &c->dirty);
}

void net_alias(struct net *net, uint32_t conn, const struct addr *alias)
{
    struct conn *c = conn_find(net, conn);
    if (!c || c->state == CONN_DRAINING)
        return;
    if (c->aliased)
        hash_remove(&net->aliases, &c->by_alias);
    c->alias = *alias;
    c->aliased = true;
    hash_put(&net->aliases, &c->by_alias, net_addr_hash(&net->aliases, alias));
}

void net_keep(struct net *net, uint32_t conn, bool keep)
{
    struct conn *c = conn_find(net, conn);
    if (!c || c->keep == keep)
        return;
    c->keep = keep;
    c->last_at = loop_now(net->loop);
    conn_timer_set(c);
}

void net_close(struct net *net, uint32_t conn)
{
    struct conn *c = conn_find(net, conn);
    if (c)
        conn_drain(c, 0);
}

bool net_alive(const struct net *net, uint32_t conn)
{
    return conn_find(net, conn) != NULL;
}
