/* Packets on their way, and connections. */
#include "world/world.h"

#include "base/mem.h"

struct world_event *world_event_new(struct world *w, enum world_event_kind kind, usec_t due)
{
    struct world_event *e;
    if (list_empty(&w->free_events)) {
        e = mem_zero(sizeof(*e));
        BUG_ON(!e);
    } else {
        e = container_of(w->free_events.next, struct world_event, node);
        list_remove(&e->node);
        memset(e, 0, sizeof(*e));
    }
    e->kind = kind;
    e->due = due;
    /* Behind all that are due no later. */
    struct list *at = w->events.prev;
    while (at != &w->events && container_of(at, struct world_event, node)->due > due)
        at = at->prev;
    e->node.prev = at;
    e->node.next = at->next;
    at->next->prev = &e->node;
    at->next = &e->node;
    return e;
}

void world_wake(struct world *w, usec_t in, void (*wake)(void *arg, uint64_t n), void *arg,
                uint64_t n)
{
    struct world_event *e = world_event_new(w, WORLD_EV_WAKE, w->now + in);
    e->wake = wake;
    e->arg = arg;
    e->token = n;
}

void world_event_done(struct world *w, struct world_event *e)
{
    mem_free(e->bytes);
    e->bytes = NULL;
    list_remove(&e->node);
    list_append(&w->free_events, &e->node);
}

void world_events_drop(struct world *w)
{
    list_each(node, &w->events)
    {
        world_event_done(w, container_of(node, struct world_event, node));
    }
}

void world_host_add(struct world *w, struct world_host *h)
{
    h->w = w;
    list_append(&w->hosts, &h->node);
}

static uint64_t wall_now(const struct world *w)
{
    return pbx_wall_at(w->pbx, w->now);
}

static struct addr source_of(const struct world_host *h)
{
    return h->source.family == ADDR_NONE ? h->addr : h->source;
}

static struct world_host *host_at(struct world *w, const struct addr *a)
{
    list_each(node, &w->hosts)
    {
        struct world_host *h = container_of(node, struct world_host, node);
        struct addr source = source_of(h);
        if (addr_eq(&source, a))
            return h;
    }
    return NULL;
}

static bool banned(const struct world *w, const struct addr *from)
{
    for (unsigned i = 0; i < w->n_bans; i++)
        if (addr_ip_eq(&w->ban[i].addr, from) && w->ban[i].until > w->now)
            return true;
    return false;
}

static void print(const struct world *w, const char *arrow, const struct addr *a, struct str bytes,
                  bool lost)
{
    char text[64];
    struct buf b;
    if (!w->dump)
        return;
    buf_init(&b, text, sizeof(text));
    addr_put(&b, a);
    printf("%9.3f %s %.*s%s\n%.*s\n", (double)(w->now - w->started) / 1e6, arrow, (int)b.n, b.p,
           lost ? " (lost)" : "", (int)bytes.n, bytes.p);
}

/* ---- connections ----------------------------------------------------------------------------- */

struct world_conn *world_conn_find(struct world *w, uint32_t id)
{
    for (unsigned i = 0; id && i < WORLD_CONNS; i++)
        if (w->conn[i].id == id)
            return &w->conn[i];
    return NULL;
}

static struct world_conn *conn_to(struct world *w, enum proto proto, const struct addr *peer)
{
    for (unsigned i = 0; i < WORLD_CONNS; i++)
        if (w->conn[i].id && w->conn[i].proto == proto &&
            (addr_eq(&w->conn[i].peer, peer) || addr_eq(&w->conn[i].alias, peer)))
            return &w->conn[i];
    return NULL;
}

static struct world_conn *conn_open(struct world *w, struct world_host *h, enum proto proto,
                                    bool by_host)
{
    struct world_conn *c = NULL;
    for (unsigned i = 0; i < WORLD_CONNS && !c; i++)
        if (!w->conn[i].id)
            c = &w->conn[i];
    BUG_ON(!c);
    *c = (struct world_conn){.id = ++w->conn_ids, .proto = proto, .host = h, .peer = source_of(h)};
    struct addr ours = proto == PROTO_TLS ? w->tls : w->tcp;
    if (by_host) {
        c->peer.port = (uint16_t)(40000 + c->id % 20000);
        pcap_tcp_open(w->conf.pcap, wall_now(w), &c->pcap, &c->peer, &ours);
    } else {
        ours.port = (uint16_t)(40000 + c->id % 20000);
        pcap_tcp_open(w->conf.pcap, wall_now(w), &c->pcap, &ours, &c->peer);
    }
    h->conn = c->id;
    return c;
}

static struct flow conn_flow(const struct world *w, const struct world_conn *c)
{
    return (struct flow){.proto = (uint8_t)c->proto,
                         .listener = c->proto == PROTO_TLS ? w->tls_listener : w->tcp_listener,
                         .conn = c->id,
                         .peer = c->peer};
}

static unsigned conn_side(const struct world_conn *c, bool host_sends)
{
    bool host_opened = addr_eq(&c->pcap.end[0], &c->peer);
    return host_opened == host_sends ? 0 : 1;
}

void world_break(struct world_host *h)
{
    struct world *w = h->w;
    struct world_conn *c = world_conn_find(w, h->conn);
    if (!c)
        return;
    pcap_tcp_close(w->conf.pcap, wall_now(w), &c->pcap, conn_side(c, true));
    world_event_new(w, WORLD_EV_FAILED, w->now)->flow = conn_flow(w, c);
    c->id = 0;
    h->conn = 0;
}

void world_net_reset(struct world *w)
{
    for (unsigned i = 0; i < WORLD_CONNS; i++) {
        struct world_conn *c = &w->conn[i];
        if (!c->id)
            continue;
        c->id = 0;
        c->host->conn = 0;
        if (c->host->closed)
            c->host->closed(c->host);
    }
    /* What concerned the old PBX is of no concern to the new one; datagrams are still under way. */
    list_each(node, &w->events)
    {
        struct world_event *e = container_of(node, struct world_event, node);
        bool datagram =
            (e->kind == WORLD_EV_TO_PBX || e->kind == WORLD_EV_TO_HOST) && !e->flow.conn;
        if (!datagram && e->kind != WORLD_EV_WAKE)
            world_event_done(w, e);
    }
}

/* ---- under way ------------------------------------------------------------------------------- */

static bool lost(struct world *w, struct world_fate *f)
{
    if (f->drop_next) {
        f->drop_next--;
        return true;
    }
    return f->loss_pm && rand_below(&w->rand, 1000) < f->loss_pm;
}

static unsigned copies(struct world *w, struct world_fate *f)
{
    if (f->dup_next) {
        f->dup_next--;
        return 2;
    }
    return f->dup_pm && rand_below(&w->rand, 1000) < f->dup_pm ? 2 : 1;
}

static void under_way(struct world *w, struct world_host *h, enum world_dir dir,
                      const struct flow *flow, struct str bytes)
{
    struct world_fate *f = &h->fate[dir];
    bool udp = flow->proto == PROTO_UDP;
    struct world_conn *c = world_conn_find(w, flow->conn);
    if (udp && lost(w, f)) {
        w->lost++;
        print(w, dir == WORLD_TO_HOST ? ">>" : "<<", &flow->peer, bytes, true);
        return;
    }
    for (unsigned n = udp ? copies(w, f) : 1; n; n--) {
        usec_t due = w->now + f->delay;
        if (f->jitter)
            due += rand_below(&w->rand, f->jitter);
        if (c && due < c->last_due[dir])
            due = c->last_due[dir];
        if (c)
            c->last_due[dir] = due;
        struct world_event *e =
            world_event_new(w, dir == WORLD_TO_HOST ? WORLD_EV_TO_HOST : WORLD_EV_TO_PBX, due);
        e->flow = *flow;
        e->host = h;
        e->bytes = mem_strndup(bytes.p, bytes.n);
        e->n = bytes.n;
        BUG_ON(!e->bytes);
    }
}

static void refused(struct world *w, const struct flow *flow)
{
    world_event_new(w, WORLD_EV_FAILED, w->now)->flow = *flow;
}

static void tx_tcp(struct world *w, const struct flow *flow, struct str bytes)
{
    struct world_conn *c = flow->conn ? world_conn_find(w, flow->conn)
                                      : conn_to(w, (enum proto)flow->proto, &flow->peer);
    /* A connection that is gone is opened again to the same address, if that can be done. */
    if (!c) {
        struct world_host *h = host_at(w, &flow->peer);
        if (!h || h->no_tcp || h->deaf) {
            print(w, ">>", &flow->peer, bytes, true);
            refused(w, flow);
            return;
        }
        c = world_conn_find(w, h->conn);
        if (!c || c->proto != (enum proto)flow->proto)
            c = conn_open(w, h, (enum proto)flow->proto, false);
    }
    struct flow on = conn_flow(w, c);
    pcap_tcp(w->conf.pcap, wall_now(w), &c->pcap, conn_side(c, false), bytes);
    under_way(w, c->host, WORLD_TO_HOST, &on, bytes);
}

void world_net_tx(struct world *w, const struct flow *flow, struct str bytes)
{
    if (flow->proto != PROTO_UDP) {
        tx_tcp(w, flow, bytes);
        return;
    }
    pcap_udp(w->conf.pcap, wall_now(w), &w->udp, &flow->peer, bytes);
    struct world_host *h = host_at(w, &flow->peer);
    if (!h) {
        w->strays++;
        print(w, ">>", &flow->peer, bytes, true);
    } else if (h->unreachable) {
        refused(w, flow);
    } else {
        under_way(w, h, WORLD_TO_HOST, flow, bytes);
    }
}

static void tap_from_host(struct world *w, const struct flow *flow, struct str bytes)
{
    struct world_conn *c = world_conn_find(w, flow->conn);
    if (c)
        pcap_tcp(w->conf.pcap, wall_now(w), &c->pcap, conn_side(c, true), bytes);
    else
        pcap_udp(w->conf.pcap, wall_now(w), &flow->peer, &w->udp, bytes);
}

void world_tx(struct world_host *h, enum proto proto, struct str bytes)
{
    struct world *w = h->w;
    struct flow flow = {.proto = PROTO_UDP, .listener = w->udp_listener, .peer = source_of(h)};
    if (h->deaf)
        return;
    if (proto != PROTO_UDP) {
        struct world_conn *c = world_conn_find(w, h->conn);
        if (!c || c->proto != proto)
            c = conn_open(w, h, proto, true);
        flow = conn_flow(w, c);
    }
    if (!w->conf.tap_at_pbx)
        tap_from_host(w, &flow, bytes);
    under_way(w, h, WORLD_FROM_HOST, &flow, bytes);
}

/* What io finds in the certificate of a client: the lowest party that fits. */
static uint16_t client_of(const struct world *w, const struct world_host *h,
                          const struct world_conn *c)
{
    uint16_t party = 0;
    if (!c || c->proto != PROTO_TLS || !h->proves.n || conn_side(c, true))
        return 0;
    for (unsigned i = 0; i < WORLD_CLIENTS; i++) {
        const struct world_client *one = &w->client[i];
        if (one->party && str_ieq(h->proves, str_z(one->name)) && (!party || one->party < party))
            party = one->party;
    }
    return party;
}

void world_net_deliver(struct world *w, struct world_event *e)
{
    if (e->flow.conn && !world_conn_find(w, e->flow.conn))
        return; /* broken meanwhile */
    struct str bytes = str_of(e->bytes, e->n);
    if (e->kind == WORLD_EV_TO_HOST) {
        print(w, ">>", &e->flow.peer, bytes, e->host->deaf);
        if (!e->host->deaf)
            e->host->rx(e->host, &e->flow, bytes);
        return;
    }
    if (w->conf.tap_at_pbx)
        tap_from_host(w, &e->flow, bytes);
    bool dropped = banned(w, &e->flow.peer);
    print(w, "<<", &e->flow.peer, bytes, dropped);
    e->flow.party = client_of(w, e->host, world_conn_find(w, e->flow.conn));
    if (!dropped)
        pbx_rx(w->pbx, w->now, &e->flow, bytes.p, bytes.n);
}
