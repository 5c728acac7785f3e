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

/* How many records were written for the question; -1: no such name. */
static int answer(const char *name, unsigned type, uint8_t **p)
{
    if (type == 33 && !strcmp(name, "_sip._udp.srv.test")) {
        put_srv(p, 20, 5070, "two.test");
        put_srv(p, 10, 5080, "one.test");
        put_srv(p, 30, 5090, "gone.test");
        return 3;
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

static void test_numeric(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(dns_resolve(w.dns, STR("192.0.2.5"), 0, PROTO_UDP, 7), 0);
    assert_int_equal(w.answers, 0); /* in a later turn, always */
    assert_int_equal(dns_resolve(w.dns, STR("[2001:db8::1]"), 0, PROTO_TLS, 8), 0);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[0].token, 7);
    assert_int_equal(w.last[0].err, 0);
    assert_int_equal(w.last[0].n, 1);
    assert_int_equal(w.last[0].addr[0].port, 5060);
    assert_int_equal(w.last[0].addr[0].ip[3], 5);
    assert_int_equal(w.last[1].addr[0].family, ADDR_V6);
    assert_int_equal(w.last[1].addr[0].port, 5061);
    assert_int_equal(w.asked, 0);
    world_done(&w);
}

/* By priority; each with its own port; a target that is gone is passed over. */
static void test_srv(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(dns_resolve(w.dns, STR("srv.test"), 0, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    const struct dns_answer *a = &w.last[0];
    assert_int_equal(a->err, 0);
    assert_int_equal(a->n, 3);
    assert_int_equal(a->ttl_s, 60);
    assert_int_equal(a->addr[0].port, 5080);
    assert_int_equal(a->addr[1].port, 5080);
    assert_int_equal(a->addr[0].ip[3] + a->addr[1].ip[3], 12);
    assert_int_equal(a->addr[2].port, 5070);
    assert_int_equal(a->addr[2].ip[3], 2);
    world_done(&w);
}

/* RFC 2782: equals share the load by chance. */
static void test_srv_weight(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    unsigned first[2] = {0};
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(dns_resolve(w.dns, STR("even.test"), 0, PROTO_UDP, i), 0);
        LOOP_UNTIL(w.loop, w.answers == i + 1);
        assert_int_equal(w.last[i % 8].n, 2);
        first[w.last[i % 8].addr[0].port == 5080]++;
    }
    assert_in_range(first[0], 10, 50);
    world_done(&w);
}

/* A port in the URI means no SRV; no SRV means the name itself; eight addresses are enough. */
static void test_plain(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){0});
    assert_int_equal(dns_resolve(w.dns, STR("two.test"), 6000, PROTO_UDP, 1), 0);
    LOOP_UNTIL(w.loop, w.answers == 1);
    assert_int_equal(w.last[0].n, 1);
    assert_int_equal(w.last[0].addr[0].port, 6000);
    assert_int_equal(w.asked, 1);
    assert_int_equal(dns_resolve(w.dns, STR("many.test"), 0, PROTO_TCP, 2), 0);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[1].n, DNS_MAX_ADDRS);
    assert_int_equal(w.last[1].addr[0].port, 5060);
    assert_int_equal(dns_resolve(w.dns, STR("localhost"), 5060, PROTO_UDP, 3), 0);
    LOOP_UNTIL(w.loop, w.answers == 3);
    assert_true(addr_is_loopback(&w.last[2].addr[0]));
    world_done(&w);
}

static void test_failures(void **state)
{
    struct world w;
    world_init(&w, (struct dns_config){.max_queries = 2, .timeout_ms = 30});
    assert_int_equal(dns_resolve(w.dns, STR(""), 0, PROTO_UDP, 1), -EINVAL);
    assert_int_equal(dns_resolve(w.dns, STR("a\0b"), 0, PROTO_UDP, 1), -EINVAL);
    assert_int_equal(dns_resolve(w.dns, STR("nobody.test"), 0, PROTO_UDP, 1), 0);
    assert_int_equal(dns_resolve(w.dns, STR("silent.test"), 0, PROTO_UDP, 2), 0);
    assert_int_equal(dns_resolve(w.dns, STR("one.test"), 0, PROTO_UDP, 3), -EBUSY);
    LOOP_UNTIL(w.loop, w.answers == 2);
    assert_int_equal(w.last[0].token, 1);
    assert_int_equal(w.last[0].err, -ENOENT);
    assert_int_equal(w.last[0].n, 0);
    assert_int_equal(w.last[1].token, 2);
    assert_int_equal(w.last[1].err, -ETIMEDOUT);
    assert_int_equal(dns_resolve(w.dns, STR("none.test"), 0, PROTO_TCP, 4), 0);
    LOOP_UNTIL(w.loop, w.answers == 3);
    assert_int_equal(w.last[2].err, -ENOENT);
    /* Under way at the end. */
    assert_int_equal(dns_resolve(w.dns, STR("silent.test"), 0, PROTO_UDP, 5), 0);
    loop_run_once(w.loop, 1);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),    cmocka_unit_test(test_srv),
        cmocka_unit_test(test_srv_weight), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
