#include "io_test.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "io/dns.h"
#include "io/sock.h"

/* A name server on loopback that knows a few names, in the same loop. */
struct world {
    struct loop *loop;
    struct dns *dns;
    struct loop_watch watch;
    int fd;
    unsigned asked;
    struct dns_answer last[8];
    unsigned answers;
};

static void put16(uint8_t **p, unsigned v)
{
    *(*p)++ = (uint8_t)(v >> 8);
    *(*p)++ = (uint8_t)v;
}

static void put_name(uint8_t **p, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        *(*p)++ = (uint8_t)n;
        memcpy(*p, name, n);
        *p += n;
        name += n + (name[n] == '.');
    }
    *(*p)++ = 0;
}

static void put_head(uint8_t **p, unsigned type, unsigned ttl, unsigned n)
{
    put16(p, 0xC00C);
    put16(p, type);
    put16(p, 1);
    put16(p, 0);
    put16(p, ttl);
    put16(p, n);
}

static void put_srv(uint8_t **p, unsigned priority, unsigned port, const char *host)
{
    put_head(p, 33, 120, (unsigned)strlen(host) + 8);
    put16(p, priority);
    put16(p, 10);
    put16(p, port);
    put_name(p, host);
}

static void put_a(uint8_t **p, unsigned last)
{
    put_head(p, 1, 60, 4);
    *(*p)++ = 192;
    *(*p)++ = 0;
    *(*p)++ = 2;
    *(*p)++ = (uint8_t)last;
}

static void put_string(uint8_t **p, const char *text)
{
    size_t n = strlen(text);
    *(*p)++ = (uint8_t)n;
    memcpy(*p, text, n);
    *p += n;
}

static void put_naptr(uint8_t **p, unsigned order, unsigned preference, const char *service,
                      const char *replacement)
{
    uint8_t *head = *p;
    put_head(p, 35, 90, 0);
    uint8_t *rdata = *p;
    put16(p, order);
    put16(p, preference);
    put_string(p, "s");
    put_string(p, service);
    put_string(p, "");
    put_name(p, replacement);
    head[11] = (uint8_t)(*p - rdata);
}

static void put_aaaa(uint8_t **p, unsigned last)
{
    put_head(p, 28, 60, 16);
    memset(*p, 0, 16);
    (*p)[0] = 0x20;
    (*p)[1] = 0x01;
    (*p)[15] = (uint8_t)last;
    *p += 16;
}

/* How many records were written for the question; -1: no such name. */
static int answer(const char *name, unsigned type, uint8_t **p)
{
    if (type == 33 && !strcmp(name, "_sip._udp.srv.test")) {
        put_srv(p, 20, 5070, "two.test");
        put_srv(p, 10, 5080, "one.test");
        put_srv(p, 30, 5090, "gone.test");
        return 3;
    }
    if (type == 33 && !strcmp(name, "_sip._udp.crowd.test")) {
        for (unsigned i = 0; i < 11; i++) /* more than are taken, the best at the end */
            put_srv(p, 20, 5070 + i, "two.test");
        put_srv(p, 10, 5099, "two.test");
        return 12;
    }
    if (type == 35 && !strcmp(name, "tlsonly.test")) {
        put_naptr(p, 10, 10, "SIPS+D2T", "_sips._tcp.tlsonly.test");
        return 1;
    }
    if (type == 1 && !strcmp(name, "tlsonly.test")) {
        put_a(p, 44);
        return 1;
    }
    if (type == 1 && strstr(name, ".wild.test")) {
        put_a(p, 66);
        return 1;
    }
    if (type == 33 && !strcmp(name, "_sip._udp.even.test")) {
        put_srv(p, 10, 5070, "two.test");
        put_srv(p, 10, 5080, "two.test");
        return 2;
    }
    if (type == 33 && !strcmp(name, "_sip._tcp.none.test")) {
        put_srv(p, 0, 0, "");
        return 1;
    }
    if (type == 35 &&
        !strcmp(name, "naptr.test")) { /* RFC 3263 section 4.1's example, disordered */
        put_naptr(p, 90, 50, "SIP+D2T", "_sip._tcp.naptr.test");
        put_naptr(p, 100, 50, "SIP+D2U", "_sip._udp.naptr.test");
        put_naptr(p, 50, 50, "SIPS+D2T", "_sips._tcp.naptr.test");
        put_naptr(p, 10, 50, "E2U+sip", "elsewhere.test");
        return 4;
    }
    if (type == 33 && !strcmp(name, "_sips._tcp.naptr.test")) {
        put_srv(p, 0, 5061, "one.test");
        return 1;
    }
    if (type == 33 && !strcmp(name, "_sip._tcp.naptr.test")) {
        put_srv(p, 0, 5060, "two.test");
        return 1;
    }
    if (type == 33 && !strcmp(name, "_sip._tcp.tcponly.test")) {
        put_srv(p, 0, 5072, "two.test");
        return 1;
    }
    if (type == 1 && !strcmp(name, "both.test")) {
        put_a(p, 6);
        return 1;
    }
    if (type == 28 && !strcmp(name, "both.test")) {
        put_aaaa(p, 9);
        return 1;
    }
    if (type == 1 && !strcmp(name, "much.test")) {
        put_a(p, 6);
        return 1;
    }
    if (type == 28 && !strcmp(name, "much.test")) {
        for (unsigned i = 0; i < 11; i++)
            put_aaaa(p, 20 + i);
        return 11;
    }
    if (type == 1 && !strcmp(name, "one.test")) {
        put_a(p, 1);
        put_a(p, 11);
        return 2;
    }
    if (type == 1 && !strcmp(name, "two.test")) {
        put_a(p, 2);
        return 1;
    }
    if (type == 1 && !strcmp(name, "many.test")) {
        for (unsigned i = 0; i < 12; i++)
            put_a(p, 100 + i);
        return 12;
    }
    return -1;
}

static void on_question(struct loop_watch *watch, unsigned events)
{
    struct world *w = container_of(watch, struct world, watch);
    uint8_t msg[1024];
    union sock_addr from;
    socklen_t from_n = sizeof(from);
    ssize_t n = recvfrom(w->fd, msg, 512, MSG_DONTWAIT, &from.sa, &from_n);
    if (n < 17)
        return;
    char name[256] = "";
    uint8_t *p = msg + 12;
    while (*p && p < msg + n) {
        strncat(name, (char *)p + 1, *p);
        p += *p + 1;
        if (*p)
            strcat(name, ".");
    }
    unsigned type = (unsigned)p[1] << 8 | p[2];
    p += 5;
    w->asked++;
    if (strstr(name, "silent"))
        return;
    int count = answer(name, type, &p);
    msg[2] = 0x85;
    msg[3] = count < 0 ? 0x83 : 0x80;
    memset(msg + 6, 0, 6);
    msg[7] = (uint8_t)(count < 0 ? 0 : count);
    sendto(w->fd, msg, (size_t)(p - msg), 0, &from.sa, from_n);
}

static void on_done(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct world *w = ctx;
    w->last[w->answers++ % 8] = *a;
}

static void world_init(struct world *w, struct dns_config cfg)
{
    memset(w, 0, sizeof(*w));
    assert_int_equal(loop_new(&w->loop), 0);
    struct addr at = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    w->fd = sock_open(&at, SOCK_DGRAM);
    assert_true(w->fd >= 0);
    assert_int_equal(sock_bound_get(w->fd, &at), 0);
    w->watch.ready = on_question;
    assert_int_equal(loop_watch_open(w->loop, &w->watch, w->fd, LOOP_READ), 0);
    char servers[64];
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", at.port);
    cfg.servers = servers;
    cfg.done = on_done;
    cfg.ctx = w;
    cfg.seed = 1;
    assert_int_equal(dns_new(&w->dns, w->loop, &cfg), 0);
}

static void world_done(struct world *w)
{
    dns_free(w->dns);
    loop_watch_close(&w->watch);
    close(w->fd);
    loop_settle(w->loop);
    loop_free(w->loop);
}

/* With a transport that is given. */
static int ask(struct world *w, struct str name, uint16_t port, enum proto proto, uint64_t token)
{
    struct dns_question q = {.name = name, .port = port, .proto = (uint8_t)proto};
    return dns_resolve(w->dns, &q, token);
}

static void test_numeric(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(ask(&w, STR("192.0.2.5"), 0, PROTO_UDP, 7), 0);
    assert_int_equal(w.answers, 0); /* in a later turn, always */
    assert_int_equal(ask(&w, STR("[2001:db8::1]"), 0, PROTO_TLS, 8), 0);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[0].token, 7);
    assert_int_equal(w.last[0].err, 0);
    assert_int_equal(w.last[0].n, 1);
    assert_int_equal(w.last[0].dest[0].addr.port, 5060);
    assert_int_equal(w.last[0].dest[0].addr.ip[3], 5);
    assert_int_equal(w.last[1].dest[0].addr.family, ADDR_V6);
    assert_int_equal(w.last[1].dest[0].addr.port, 5061);
    assert_int_equal(w.asked, 0);
    world_done(&w);
}

/* By priority; each with its own port; a target that is gone is passed over. */
static void test_srv(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(ask(&w, STR("srv.test"), 0, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    const struct dns_answer *a = &w.last[0];
    assert_int_equal(a->err, 0);
    assert_int_equal(a->n, 3);
    assert_int_equal(a->ttl_s, 60);
    assert_int_equal(a->dest[0].addr.port, 5080);
    assert_int_equal(a->dest[1].addr.port, 5080);
    assert_int_equal(a->dest[0].addr.ip[3] + a->dest[1].addr.ip[3], 12);
    assert_int_equal(a->dest[2].addr.port, 5070);
    assert_int_equal(a->dest[2].addr.ip[3], 2);
    assert_int_equal(a->dest[0].rank, 0);
    assert_int_equal(a->dest[1].rank, 0);
    assert_int_equal(a->dest[2].rank, 1);
    world_done(&w);
}

/* RFC 2782: the order is that of the priorities, however many there are and in whatever order a
 * server of names has shuffled them. */
static void test_srv_crowd(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(ask(&w, STR("crowd.test"), 0, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    assert_int_equal(w.last[0].n, DNS_MAX_ADDRS);
    assert_int_equal(w.last[0].dest[0].addr.port, 5099);
    world_done(&w);
}

/* A name is whole: the domains that the system would try behind it lead elsewhere. */
static void test_no_search(void **state)
{
    struct world w;
    assert_int_equal(setenv("LOCALDOMAIN", "wild.test", 1), 0);
    world_init(&w, (struct dns_config){0});
    assert_int_equal(unsetenv("LOCALDOMAIN"), 0);
    assert_int_equal(ask(&w, STR("gone.test"), 5060, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    assert_int_equal(w.last[0].err, -ENOENT);
    assert_int_equal(w.asked, 1);
    world_done(&w);
}

/* RFC 2782: equals share the load by chance. */
static void test_srv_weight(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    unsigned first[2] = {0};
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(ask(&w, STR("even.test"), 0, PROTO_UDP, i), 0);
        LOOP_UNTIL(w.loop, w.answers == i + 1);
        assert_int_equal(w.last[i % 8].n, 2);
        assert_int_equal(w.last[i % 8].dest[1].rank, 0);
        first[w.last[i % 8].dest[0].addr.port == 5080]++;
    }
    assert_in_range(first[0], 10, 50);
    world_done(&w);
}

/* A port in the URI means no SRV; no SRV means the name itself; eight addresses are enough. */
static void test_plain(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(ask(&w, STR("two.test"), 6000, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    assert_int_equal(w.last[0].n, 1);
    assert_int_equal(w.last[0].dest[0].addr.port, 6000);
    assert_int_equal(w.asked, 1);
    assert_int_equal(ask(&w, STR("many.test"), 0, PROTO_TCP, 2), 0);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[1].n, DNS_MAX_ADDRS);
    assert_int_equal(w.last[1].dest[0].addr.port, 5060);
    assert_int_equal(ask(&w, STR("localhost"), 5060, PROTO_UDP, 3), 0);
    LOOP_UNTIL(w.loop, w.answers == 3);
    assert_true(addr_is_loopback(&w.last[2].dest[0].addr));
    world_done(&w);
}

#define BIT(p) (1u << (p))

static const struct dns_answer *ask_any(struct world *w, const char *name, bool sips,
                                        uint32_t protos)
{
    struct dns_question q = {.name = str_z(name),
                             .any = true,
                             .sips = sips,
                             .proto = sips ? PROTO_TLS : PROTO_UDP,
                             .protos = protos};
    unsigned before = w->answers;
    w->asked = 0;
    assert_int_equal(dns_resolve(w->dns, &q, 1), 0);
    LOOP_UNTIL(w->loop, w->answers == before + 1);
    return &w->last[before % 8];
}

static void assert_dest(const struct dns_answer *a, unsigned i, enum proto proto, uint16_t port,
                        unsigned last)
{
    assert_true(i < a->n);
    assert_int_equal(a->dest[i].proto, proto);
    assert_int_equal(a->dest[i].addr.port, port);
    assert_int_equal(a->dest[i].addr.ip[a->dest[i].addr.family == ADDR_V4 ? 3 : 15], last);
}

/* RFC 3263 4.1: the domain says by what it is served, in its order; the rest is our own: what we do
 * not speak is passed over, and a sips URI goes over TLS alone. */
/* RFC 3263 4.1: what NAPTR has announced stays, where nothing comes of its SRV: the name itself is
 * spoken with by that transport, and not less securely. */
static void test_naptr_without_srv(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    const struct dns_answer *a =
        ask_any(&w, "tlsonly.test", false, BIT(PROTO_UDP) | BIT(PROTO_TCP) | BIT(PROTO_TLS));
    assert_int_equal(a->n, 1);
    assert_dest(a, 0, PROTO_TLS, 5061, 44);
    world_done(&w);
}

static void test_naptr(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    uint32_t all = BIT(PROTO_UDP) | BIT(PROTO_TCP) | BIT(PROTO_TLS);
    const struct dns_answer *a = ask_any(&w, "naptr.test", false, all);
    assert_int_equal(a->n, 3);
    assert_int_equal(a->ttl_s, 60);
    assert_dest(a, 0, PROTO_TLS, 5061, 1);
    assert_dest(a, 1, PROTO_TLS, 5061, 11);
    assert_dest(a, 2, PROTO_TCP, 5060, 2);
    a = ask_any(&w, "naptr.test", false, BIT(PROTO_UDP) | BIT(PROTO_TCP));
    assert_int_equal(a->n, 1);
    assert_dest(a, 0, PROTO_TCP, 5060, 2);
    a = ask_any(&w, "naptr.test", true, all);
    assert_int_equal(a->n, 2);
    assert_dest(a, 1, PROTO_TLS, 5061, 11);
    world_done(&w);
}

/* Without NAPTR the SRV names of what we speak are asked for in turn; without those it is the
 * default of the scheme at the host itself. */
static void test_no_naptr(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    uint32_t all = BIT(PROTO_UDP) | BIT(PROTO_TCP) | BIT(PROTO_TLS);
    const struct dns_answer *a = ask_any(&w, "srv.test", false, all);
    assert_int_equal(a->n, 3);
    assert_dest(a, 2, PROTO_UDP, 5070, 2);
    a = ask_any(&w, "tcponly.test", false, all);
    assert_int_equal(a->n, 1);
    assert_dest(a, 0, PROTO_TCP, 5072, 2);
    a = ask_any(&w, "two.test", false, all);
    assert_int_equal(a->n, 1);
    assert_dest(a, 0, PROTO_UDP, 5060, 2);
    assert_int_equal(w.asked, 5); /* NAPTR, three SRV, A */
    a = ask_any(&w, "two.test", true, all);
    assert_dest(a, 0, PROTO_TLS, 5061, 2);
    assert_int_equal(w.asked, 3); /* of SRV only _sips._tcp */
    a = ask_any(&w, "192.0.2.5", true, all);
    assert_dest(a, 0, PROTO_TLS, 5061, 5);
    assert_int_equal(w.asked, 0);
    /* With a port neither is asked for. */
    struct dns_question q = {.name = STR("two.test"), .port = 5099, .any = true};
    unsigned before = w.answers;
    w.asked = 0;
    assert_int_equal(dns_resolve(w.dns, &q, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == before + 1);
    assert_dest(&w.last[before % 8], 0, PROTO_UDP, 5099, 2);
    assert_int_equal(w.asked, 1);
    world_done(&w);
}

static void test_families(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){.ipv6 = true});
    assert_int_equal(ask(&w, STR("both.test"), 5060, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    assert_int_equal(w.last[0].n, 2);
    assert_int_equal(w.last[0].dest[0].addr.family, ADDR_V6);
    assert_dest(&w.last[0], 0, PROTO_UDP, 5060, 9);
    assert_dest(&w.last[0], 1, PROTO_UDP, 5060, 6);
    /* Addresses that nothing can be sent to are none: of eleven by IPv6 not one takes the place of
     * that by which there is a way. */
    struct dns_question q = {
        .name = STR("much.test"), .port = 5060, .without_ipv6 = 1u << PROTO_UDP};
    assert_int_equal(dns_resolve(w.dns, &q, 2), 0);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[1].n, 1);
    assert_dest(&w.last[1], 0, PROTO_UDP, 5060, 6);
    q.without_ipv4 = 1u << PROTO_UDP;
    assert_int_equal(dns_resolve(w.dns, &q, 3), 0);
    LOOP_UNTIL(w.loop, w.answers == 3);
    assert_int_equal(w.last[2].err, -ENOENT);
    q = (struct dns_question){
        .name = STR("both.test"), .port = 5060, .without_ipv4 = 1u << PROTO_UDP};
    assert_int_equal(dns_resolve(w.dns, &q, 4), 0);
    LOOP_UNTIL(w.loop, w.answers == 4);
    assert_int_equal(w.last[3].n, 1);
    assert_dest(&w.last[3], 0, PROTO_UDP, 5060, 9);
    world_done(&w);
}

static void test_failures(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){.max_queries = 2, .timeout_ms = 30});
    assert_int_equal(ask(&w, STR(""), 0, PROTO_UDP, 1), -EINVAL);
    assert_int_equal(ask(&w, STR("a\0b"), 0, PROTO_UDP, 1), -EINVAL);
    assert_int_equal(ask(&w, STR("nobody.test"), 0, PROTO_UDP, 1), 0);
    assert_int_equal(ask(&w, STR("silent.test"), 0, PROTO_UDP, 2), 0);
    assert_int_equal(ask(&w, STR("one.test"), 0, PROTO_UDP, 3), -EBUSY);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[0].token, 1);
    assert_int_equal(w.last[0].err, -ENOENT);
    assert_int_equal(w.last[0].n, 0);
    assert_int_equal(w.last[1].token, 2);
    assert_int_equal(w.last[1].err, -ETIMEDOUT);
    assert_int_equal(ask(&w, STR("none.test"), 0, PROTO_TCP, 4), 0);
    LOOP_UNTIL(w.loop, w.answers == 3);
    assert_int_equal(w.last[2].err, -ENOENT);
    /* Under way at the end. */
    assert_int_equal(ask(&w, STR("silent.test"), 0, PROTO_UDP, 5), 0);
    loop_run_once(w.loop, 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),           cmocka_unit_test(test_srv),
        cmocka_unit_test(test_srv_weight),        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_failures),          cmocka_unit_test(test_naptr),
        cmocka_unit_test(test_naptr_without_srv), cmocka_unit_test(test_srv_crowd),
        cmocka_unit_test(test_no_search),         cmocka_unit_test(test_no_naptr),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
