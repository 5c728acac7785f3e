#include "io/dns.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/sock.h"

#define SOCKETS       64
#define SRV_MAX       8
#define TTL_MAX_S     3600u
#define TTL_FAILURE_S 15u
#define TTL_NUMERIC_S 86400u

struct srv {
    char host[DNS_MAX_NAME + 1];
    uint16_t port, priority, weight;
};

enum query_state { QUERY_FREE, QUERY_WAITS, QUERY_DONE };

struct query {
    struct list node; /* in dns->done */
    struct dns *dns;
    enum query_state state;
    char name[DNS_MAX_NAME + 1];
    uint16_t port;
    uint8_t proto;
    struct srv srv[SRV_MAX];
    unsigned srv_n, srv_at;
    struct dns_answer answer;
};

struct dns_socket {
    struct loop_watch watch;
    struct dns *dns;
    ares_socket_t fd;
    bool open, closing;
};

struct dns {
    struct loop *loop;
    struct dns_config cfg;
    ares_channel channel;
    struct rand rand;
    struct loop_timer tick, deliver;
    struct list done;
    struct query *query; /* cfg.max_queries of them */
    uint32_t active;
    struct dns_socket sock[SOCKETS];
    bool ending;
};

static int to_errno(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return -ENOENT;
    case ARES_ETIMEOUT:
        return -ETIMEDOUT;
    case ARES_ENOMEM:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

/* The answer is delivered from a timer of its own, never from inside dns_resolve(). */
static void query_finish(struct query *q, int err)
{
    struct dns *dns = q->dns;
    q->answer.err = q->answer.n ? 0 : err ? err : -ENOENT;
    if (q->answer.n == 0)
        q->answer.ttl_s = TTL_FAILURE_S;
    q->state = QUERY_DONE;
    list_append(&dns->done, &q->node);
    if (!dns->ending)
        loop_timer_start(&dns->deliver, 0, 0);
}

static void on_deliver(struct loop_timer *t)
{
    struct dns *dns = container_of(t, struct dns, deliver);
    usec_t now = loop_now(dns->loop);
    while (!list_empty(&dns->done)) {
        struct query *q = container_of(dns->done.next, struct query, node);
        struct dns_answer a = q->answer;
        list_remove(&q->node);
        q->state = QUERY_FREE;
        dns->active--;
        dns->cfg.done(dns->cfg.ctx, now, &a);
    }
    if (dns->active == 0)
        loop_timer_stop(&dns->tick);
}

static void ttl_lower(struct query *q, int ttl)
{
    uint32_t t = ttl < 0 ? 0 : (uint32_t)ttl;
    if (t < q->answer.ttl_s)
        q->answer.ttl_s = t;
}

static void addrs_put(struct query *q, const struct ares_addrinfo *info, uint16_t port)
{
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
        if (q->answer.n == DNS_MAX_ADDRS)
            return;
        if (n->ai_family != AF_INET && n->ai_family != AF_INET6)
            continue;
        union sock_addr s;
        memcpy(&s, n->ai_addr, n->ai_family == AF_INET ? sizeof(s.v4) : sizeof(s.v6));
        struct addr *a = &q->answer.addr[q->answer.n];
        sock_addr_parse(a, &s);
        a->port = port;
        q->answer.n++;
        ttl_lower(q, n->ai_ttl);
    }
}

static void ask_host(struct query *q);

static void on_host(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct query *q = arg;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) {
        ares_freeaddrinfo(info);
        return;
    }
    if (status == ARES_SUCCESS)
        addrs_put(q, info, q->srv_n ? q->srv[q->srv_at].port : q->port);
    ares_freeaddrinfo(info);
    if (++q->srv_at < q->srv_n && q->answer.n < DNS_MAX_ADDRS)
        ask_host(q);
    else
        query_finish(q, to_errno(status));
}

static void ask_host(struct query *q)
{
    struct ares_addrinfo_hints hints = {.ai_family = q->dns->cfg.ipv6 ? AF_UNSPEC : AF_INET,
                                        .ai_socktype = SOCK_DGRAM,
                                        .ai_flags = ARES_AI_NOSORT};
    const char *host = q->srv_n ? q->srv[q->srv_at].host : q->name;
    ares_getaddrinfo(q->dns->channel, host, NULL, &hints, on_host, q);
}

static uint16_t default_port(uint8_t proto)
{
    return proto == PROTO_TLS || proto == PROTO_WSS ? 5061 : 5060;
}

/* RFC 2782: by priority, and among equals by chance in proportion to the weight. */
static void srv_order(struct query *q)
{
    for (unsigned at = 0; at < q->srv_n; at++) {
        uint16_t best = UINT16_MAX;
        uint64_t sum = 0;
        for (unsigned i = at; i < q->srv_n; i++)
            best = q->srv[i].priority < best ? q->srv[i].priority : best;
        for (unsigned i = at; i < q->srv_n; i++)
            sum += q->srv[i].priority == best ? q->srv[i].weight + 1u : 0;
        uint64_t draw = rand_below(&q->dns->rand, sum);
        unsigned chosen = at;
        for (unsigned i = at; i < q->srv_n; i++) {
            if (q->srv[i].priority != best)
                continue;
            chosen = i;
            if (draw < q->srv[i].weight + 1u)
                break;
            draw -= q->srv[i].weight + 1u;
        }
        struct srv swap = q->srv[at];
        q->srv[at] = q->srv[chosen];
        q->srv[chosen] = swap;
    }
}

/* One record of the answer section: priority, weight, port, target. */
static void srv_put(struct query *q, const ns_msg *msg, const ns_rr *rr)
{
    const unsigned char *p = ns_rr_rdata(*rr);
    struct srv *s = &q->srv[q->srv_n];
    if (ns_rr_rdlen(*rr) < 7)
        return;
    *s = (struct srv){.priority = (uint16_t)(p[0] << 8 | p[1]),
                      .weight = (uint16_t)(p[2] << 8 | p[3]),
                      .port = (uint16_t)(p[4] << 8 | p[5])};
    if (dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), p + 6, s->host, sizeof(s->host)) < 0)
        return;
    /* RFC 2782: the root as target says that the service is decidedly not there. */
    if (s->host[0] == '\0' || s->port == 0)
        return;
    q->srv_n++;
    ttl_lower(q, (int)ns_rr_ttl(*rr));
}

static void srv_parse(struct query *q, const unsigned char *bytes, int n)
{
    ns_msg msg;
    ns_rr rr;
    if (ns_initparse(bytes, n, &msg))
        return;
    int count = ns_msg_count(msg, ns_s_an);
    for (int i = 0; i < count && q->srv_n < SRV_MAX; i++)
        if (ns_parserr(&msg, ns_s_an, i, &rr) == 0 && ns_rr_type(rr) == ns_t_srv)
            srv_put(q, &msg, &rr);
    srv_order(q);
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
    struct query *q = arg;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
        return;
    if (status == ARES_SUCCESS)
        srv_parse(q, bytes, n);
    if (status == ARES_ETIMEOUT) {
        query_finish(q, -ETIMEDOUT);
        return;
    }
    /* RFC 3263 4.2: no SRV records, then the name itself with the default port. */
    q->port = default_port(q->proto);
    ask_host(q);
}

static void ask_srv(struct query *q)
{
    static const char *const service[PROTO_COUNT] = {
        [PROTO_UDP] = "_sip._udp.", [PROTO_TCP] = "_sip._tcp.", [PROTO_TLS] = "_sips._tcp.",
        [PROTO_WS] = "_sip._ws.",   [PROTO_WSS] = "_sips._ws.", [PROTO_SCTP] = "_sip._sctp.",
    };
    char name[DNS_MAX_NAME + 16];
    struct buf b;
    buf_init(&b, name, sizeof(name) - 1);
    buf_z(&b, service[q->proto]);
    buf_z(&b, q->name);
    name[b.n] = '\0';
    ares_query(q->dns->channel, name, ns_c_in, ns_t_srv, on_srv, q);
}

/* ---- c-ares on the loop ---------------------------------------------------------------------- */

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct dns_socket *s = container_of(w, struct dns_socket, watch);
    bool both = events & LOOP_ERROR;
    ares_process_fd(s->dns->channel, both || (events & LOOP_READ) ? s->fd : ARES_SOCKET_BAD,
                    both || (events & LOOP_WRITE) ? s->fd : ARES_SOCKET_BAD);
}

static void on_socket_closed(struct loop_watch *w)
{
    struct dns_socket *s = container_of(w, struct dns_socket, watch);
    s->open = s->closing = false;
}

static struct dns_socket *socket_find(struct dns *dns, ares_socket_t fd)
{
    for (unsigned i = 0; i < SOCKETS; i++)
        if (dns->sock[i].open && !dns->sock[i].closing && dns->sock[i].fd == fd)
            return &dns->sock[i];
    return NULL;
}

static struct dns_socket *socket_open(struct dns *dns, ares_socket_t fd)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct dns_socket *s = &dns->sock[i];
        if (s->open)
            continue;
        *s = (struct dns_socket){.dns = dns, .fd = fd};
        s->watch.ready = on_ready;
        s->watch.closed = on_socket_closed;
        s->open = loop_watch_open(dns->loop, &s->watch, fd, 0) == 0;
        return s->open ? s : NULL;
    }
    return NULL;
}

/* c-ares tells what it waits for; neither means that it is about to close the socket. A socket that
 * finds no room here is served by its timeout. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = arg;
    struct dns_socket *s = socket_find(dns, fd);
    if (!readable && !writable) {
        if (s) {
            s->closing = true;
            loop_watch_close(&s->watch);
        }
        return;
    }
    if (!s)
        s = socket_open(dns, fd);
    if (s)
        loop_watch_set(&s->watch, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

static void on_tick(struct loop_timer *t)
{
    struct dns *dns = container_of(t, struct dns, tick);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- the door -------------------------------------------------------------------------------- */

static int channel_open(struct dns *dns)
{
    struct ares_options o = {.timeout = (int)dns->cfg.timeout_ms,
                             .tries = 2,
                             .sock_state_cb = on_socket_state,
                             .sock_state_cb_data = dns};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status = ares_init_options(&dns->channel, &o, mask);
    if (status)
        return to_errno(status);
    if (dns->cfg.servers) {
        status = ares_set_servers_ports_csv(dns->channel, dns->cfg.servers);
        if (status) {
            ares_destroy(dns->channel);
            return -EINVAL;
        }
    }
    return 0;
}

int dns_new(struct dns **ret, struct loop *loop, const struct dns_config *cfg)
{
    struct dns *dns = mem_zero(sizeof(*dns));
    if (!dns)
        return -ENOMEM;
    dns->loop = loop;
    dns->cfg = *cfg;
    dns->cfg.max_queries = cfg->max_queries ? cfg->max_queries : 256;
    dns->cfg.timeout_ms = cfg->timeout_ms ? cfg->timeout_ms : 2000;
    list_init(&dns->done);
    rand_seed(&dns->rand, cfg->seed);
    size_t bytes = dns->cfg.max_queries * sizeof(*dns->query);
    dns->query = mem_map(bytes);
    int err = !dns->query ? -ENOMEM : ares_library_init(ARES_LIB_INIT_ALL) ? -EIO : 0;
    if (!err)
        err = channel_open(dns);
    if (err) {
        mem_unmap(dns->query, bytes);
        mem_free(dns);
        return err;
    }
    dns->tick.fire = on_tick;
    dns->deliver.fire = on_deliver;
    loop_timer_open(loop, &dns->tick);
    loop_timer_open(loop, &dns->deliver);
    *ret = dns;
    return 0;
}

void dns_free(struct dns *dns)
{
    if (!dns)
        return;
    dns->ending = true;
    ares_destroy(dns->channel);
    ares_library_cleanup();
    for (unsigned i = 0; i < SOCKETS; i++)
        if (dns->sock[i].open && !dns->sock[i].closing)
            loop_watch_close(&dns->sock[i].watch);
    loop_timer_close(&dns->tick);
    loop_timer_close(&dns->deliver);
    loop_settle(dns->loop);
    mem_unmap(dns->query, dns->cfg.max_queries * sizeof(*dns->query));
    mem_free(dns);
}

static struct query *query_take(struct dns *dns)
{
    for (uint32_t i = 0; i < dns->cfg.max_queries; i++)
        if (dns->query[i].state == QUERY_FREE)
            return &dns->query[i];
    return NULL;
}

int dns_resolve(struct dns *dns, struct str name, uint16_t port, enum proto proto, uint64_t token)
{
    if (name.n == 0 || name.n > DNS_MAX_NAME || proto >= PROTO_COUNT || str_chr(name, 0) >= 0)
        return -EINVAL;
    struct query *q = dns->active < dns->cfg.max_queries ? query_take(dns) : NULL;
    if (!q)
        return -EBUSY;
    *q = (struct query){.dns = dns, .state = QUERY_WAITS, .port = port, .proto = (uint8_t)proto};
    q->answer.token = token;
    q->answer.ttl_s = TTL_MAX_S;
    str_copy_z(q->name, sizeof(q->name), name);
    uint32_t tick_ms = dns->cfg.timeout_ms / 4 + 1;
    if (dns->active++ == 0)
        loop_timer_start(&dns->tick, tick_ms, tick_ms);
    /* RFC 3263 4.2: an address is no name to ask for. */
    uint16_t numeric_port = port ? port : default_port(q->proto);
    if (addr_parse(&q->answer.addr[0], name, numeric_port) == 0) {
        q->answer.n = 1;
        q->answer.ttl_s = TTL_NUMERIC_S;
        query_finish(q, 0);
    } else if (port) {
        ask_host(q);
    } else {
        ask_srv(q);
    }
    return 0;
}
