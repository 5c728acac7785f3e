#include "io/dns.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "io/sock.h"

#define SOCKETS       64
#define SRV_MAX       8
#define SRV_READ      32 /* put in order before the first SRV_MAX of them are taken */
#define NAPTR_MAX     16
#define SERVICES_MAX  4
#define TTL_MAX_S     3600u
#define TTL_FAILURE_S 15u
#define TTL_NUMERIC_S 86400u

/* A name to ask SRV of, and what is spoken with the servers that come of it. */
struct service {
    char name[DNS_MAX_NAME + 1];
    uint8_t proto;
};

struct server {
    struct dns_srv srv;
    uint8_t proto;
    uint8_t rank;
};

enum query_state { QUERY_FREE, QUERY_WAITS, QUERY_DONE };

struct query {
    struct list node; /* in dns->done */
    struct dns *dns;
    enum query_state state;
    char name[DNS_MAX_NAME + 1];
    uint16_t port; /* of its own addresses, when no SRV has one */
    bool sips;
    uint8_t proto;
    uint32_t protos, without_ipv4, without_ipv6;
    struct service service[SERVICES_MAX];
    unsigned services, service_at;
    bool announced; /* by NAPTR: all of them count; else the first that there is */
    bool nowhere;   /* a record says that there is none: RFC 2782, "Target" */
    struct server server[SRV_MAX];
    unsigned servers, server_at;
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

/* ---- hosts ----------------------------------------------------------------------------------- */

/* Is there a way there over this family? An address without one would stand in for one with. */
static bool is_spoken(const struct query *q, uint8_t proto, int family)
{
    if (family == AF_INET6 && !q->dns->cfg.ipv6)
        return false;
    return !((family == AF_INET6 ? q->without_ipv6 : q->without_ipv4) >> proto & 1);
}

static void addrs_put_family(struct query *q, const struct ares_addrinfo *info, int family,
                             const struct flow_dest *like)
{
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
        if (q->answer.n == DNS_MAX_ADDRS || !is_spoken(q, like->proto, family))
            return;
        if (n->ai_family != family)
            continue;
        union sock_addr s;
        memcpy(&s, n->ai_addr, family == AF_INET ? sizeof(s.v4) : sizeof(s.v6));
        struct flow_dest *d = &q->answer.dest[q->answer.n];
        sock_addr_parse(&d->addr, &s);
        d->addr.port = like->addr.port;
        d->proto = like->proto;
        d->rank = like->rank;
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
    const struct server *server = q->servers ? &q->server[q->server_at] : NULL;
    struct flow_dest like = {.proto = server ? server->proto : q->proto,
                             .rank = server ? server->rank : 0};
    like.addr.port = server ? server->srv.port : q->port;
    if (status == ARES_SUCCESS) { /* RFC 6724 2.1 prefers IPv6 as well */
        addrs_put_family(q, info, AF_INET6, &like);
        addrs_put_family(q, info, AF_INET, &like);
    }
    ares_freeaddrinfo(info);
    if (++q->server_at < q->servers && q->answer.n < DNS_MAX_ADDRS)
        ask_host(q);
    else
        query_finish(q, to_errno(status));
}

static void ask_host(struct query *q)
{
    const struct server *server = q->servers ? &q->server[q->server_at] : NULL;
    uint8_t proto = server ? server->proto : q->proto;
    bool v4 = is_spoken(q, proto, AF_INET), v6 = is_spoken(q, proto, AF_INET6);
    struct ares_addrinfo_hints hints = {.ai_family = v4 && v6 ? AF_UNSPEC
                                                     : v6     ? AF_INET6
                                                              : AF_INET,
                                        .ai_socktype = SOCK_DGRAM,
                                        .ai_flags = ARES_AI_NOSORT};
    const char *host = server ? server->srv.host : q->name;
    ares_getaddrinfo(q->dns->channel, host, NULL, &hints, on_host, q);
}

static uint16_t default_port(uint8_t proto)
{
    return proto == PROTO_TLS || proto == PROTO_WSS ? 5061 : 5060;
}

/* ---- SRV ------------------------------------------------------------------------------------- */

static void ask_srv(struct query *q);

static void srv_put(struct query *q, const unsigned char *bytes, int n, uint8_t proto)
{
    struct dns_srv srv[SRV_READ];
    bool nowhere;
    unsigned found = dns_srv_read(bytes, (size_t)n, srv, SRV_READ, &nowhere);
    q->nowhere |= nowhere;
    dns_srv_order(srv, found, &q->dns->rand);
    for (unsigned i = 0; i < found && q->servers < SRV_MAX; i++) {
        /* RFC 2782: priority tells who is preferred, weight only how often. */
        const struct server *last = q->servers ? &q->server[q->servers - 1] : NULL;
        bool same = i > 0 && srv[i].priority == srv[i - 1].priority;
        uint8_t rank = (uint8_t)(last ? last->rank + !same : 0);
        q->server[q->servers++] = (struct server){srv[i], proto, rank};
        ttl_lower(q, (int)(srv[i].ttl_s < INT32_MAX ? srv[i].ttl_s : INT32_MAX));
    }
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
    struct query *q = arg;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
        return;
    if (status == ARES_SUCCESS)
        srv_put(q, bytes, n, q->service[q->service_at].proto);
    if (status == ARES_ETIMEOUT && !q->servers) {
        query_finish(q, -ETIMEDOUT);
        return;
    }
    bool enough = q->servers && !q->announced;
    if (++q->service_at < q->services && !enough) {
        ask_srv(q);
        return;
    }
    if (!q->servers && q->nowhere) {
        query_finish(q, -ENOENT);
        return;
    }
    /* RFC 3263 4.2: no SRV records, then the name itself with the default port; by the transport
     * that 4.1 has found. */
    if (q->announced)
        q->proto = q->service[0].proto;
    q->port = default_port(q->proto);
    ask_host(q);
}

static void ask_srv(struct query *q)
{
    ares_query(q->dns->channel, q->service[q->service_at].name, ns_c_in, ns_t_srv, on_srv, q);
}

/* RFC 3263 4.1: a protocol is asked for by its name. */
static void service_add(struct query *q, uint8_t proto)
{
    static const char *const prefix[PROTO_COUNT] = {
        [PROTO_UDP] = "_sip._udp.", [PROTO_TCP] = "_sip._tcp.", [PROTO_TLS] = "_sips._tcp.",
        [PROTO_WS] = "_sip._ws.",   [PROTO_WSS] = "_sips._ws.", [PROTO_SCTP] = "_sip._sctp.",
    };
    if (q->services == SERVICES_MAX)
        return;
    struct service *s = &q->service[q->services];
    struct buf b;
    buf_init(&b, s->name, sizeof(s->name) - 1);
    buf_z(&b, prefix[proto]);
    buf_z(&b, q->name);
    s->name[b.n] = '\0';
    s->proto = proto;
    q->services += !b.full;
}

/* ---- NAPTR ----------------------------------------------------------------------------------- */

/* RFC 3263 4.1: "the client MUST discard any service fields that ... do not" fit the scheme, or
 * name a transport that it does not support. */
static bool service_proto(const struct query *q, const struct dns_naptr *r, uint8_t *ret)
{
    static const struct {
        const char *service;
        uint8_t proto;
    } known[] = {{"SIP+D2U", PROTO_UDP}, {"SIP+D2T", PROTO_TCP}, {"SIPS+D2T", PROTO_TLS}};
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        bool spoken = q->protos >> known[i].proto & 1;
        if (!str_ieq(str_z(r->service), str_z(known[i].service)) || !spoken ||
            (q->sips && known[i].proto != PROTO_TLS))
            continue;
        *ret = known[i].proto;
        return true;
    }
    return false;
}

static void naptr_put(struct query *q, const unsigned char *bytes, int n)
{
    struct dns_naptr r[NAPTR_MAX];
    unsigned found = dns_naptr_read(bytes, (size_t)n, r, NAPTR_MAX);
    for (unsigned i = 0; i < found && q->services < SERVICES_MAX; i++) {
        struct service *s = &q->service[q->services];
        if (r[i].flag != 's' || !r[i].replacement[0] || !service_proto(q, &r[i], &s->proto))
            continue;
        memcpy(s->name, r[i].replacement, sizeof(s->name));
        ttl_lower(q, (int)(r[i].ttl_s < INT32_MAX ? r[i].ttl_s : INT32_MAX));
        q->services++;
    }
    q->announced = q->services > 0;
}

static void on_naptr(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
    static const uint8_t turn[] = {PROTO_UDP, PROTO_TCP, PROTO_TLS};
    struct query *q = arg;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
        return;
    /* There are servers of names that are silent when asked for what they do not know. */
    if (status == ARES_SUCCESS)
        naptr_put(q, bytes, n);
    for (unsigned i = 0; i < ARRAY_LEN(turn) && !q->announced; i++)
        if ((q->protos >> turn[i] & 1) && (!q->sips || turn[i] == PROTO_TLS))
            service_add(q, turn[i]);
    if (!q->services)
        service_add(q, q->proto);
    if (q->services) {
        ask_srv(q);
        return;
    }
    q->port = default_port(q->proto); /* a name so long has no room for the prefix */
    ask_host(q);
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
    /* No domains: names in SIP are whole, and must not lead into a search list. */
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_DOMAINS;
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

/* RFC 3263 4.1, 4.2: what is to be asked. */
static void begin(struct query *q, const struct dns_question *what)
{
    struct flow_dest *d = &q->answer.dest[0];
    uint16_t port = what->port ? what->port : default_port(what->proto);
    d->proto = what->proto;
    if (addr_parse(&d->addr, what->name, port) == 0) { /* an address is no name to ask for */
        q->answer.n = 1;
        q->answer.ttl_s = TTL_NUMERIC_S;
        query_finish(q, 0);
    } else if (what->port) {
        ask_host(q);
    } else if (what->any) {
        ares_query(q->dns->channel, q->name, ns_c_in, ns_t_naptr, on_naptr, q);
    } else {
        service_add(q, what->proto);
        q->port = port;
        if (q->services)
            ask_srv(q);
        else
            ask_host(q);
    }
}

int dns_resolve(struct dns *dns, const struct dns_question *what, uint64_t token)
{
    struct str name = what->name;
    if (name.n == 0 || name.n > DNS_MAX_NAME || what->proto >= PROTO_COUNT || str_chr(name, 0) >= 0)
        return -EINVAL;
    struct query *q = dns->active < dns->cfg.max_queries ? query_take(dns) : NULL;
    if (!q)
        return -EBUSY;
    *q = (struct query){.dns = dns,
                        .state = QUERY_WAITS,
                        .port = what->port,
                        .proto = what->proto,
                        .sips = what->sips,
                        .protos = what->protos,
                        .without_ipv4 = what->without_ipv4,
                        .without_ipv6 = what->without_ipv6};
    q->answer.token = token;
    q->answer.ttl_s = TTL_MAX_S;
    str_copy_z(q->name, sizeof(q->name), name);
    uint32_t tick_ms = dns->cfg.timeout_ms / 4 + 1;
    if (dns->active++ == 0)
        loop_timer_start(&dns->tick, tick_ms, tick_ms);
    begin(q, what);
    return 0;
}
