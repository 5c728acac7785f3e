/* The media sockets on loopback. Nothing sleeps: turns are made until what is awaited is there, or
 * a deadline passes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/rtpio.h"

#define FIRST 28100

struct bed {
    struct rtpio *io;
    struct rtpio_conf conf;
    struct rtpio_packet last;
    uint8_t bytes[RTPIO_MAX_BYTES + 8];
    struct rtpio_forward to; /* where rx sends; port 0: drops */
    unsigned packets;
    _Atomic unsigned turns;
};

static int on_rx(void *ctx, usec_t now, const struct rtpio_packet *in, struct rtpio_forward *ret)
{
    struct bed *b = ctx;
    b->packets++;
    b->last = *in;
    memcpy(b->bytes, in->bytes, in->n);
    *ret = b->to;
    return b->to.port != 0;
}

static usec_t on_turn(void *ctx, usec_t now)
{
    struct bed *b = ctx;
    atomic_fetch_add(&b->turns, 1);
    return USEC_NEVER;
}

static void bed_start(struct bed *b, uint16_t first, uint16_t last)
{
    *b = (struct bed){.conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                               .bind_v6 = {.family = ADDR_V6, .ip = {[15] = 1}},
                               .port_first = first,
                               .port_last = last,
                               .coalesce_us = 1000,
                               .wake_fd = -1}};
    struct rtpio_ops ops = {.rx = on_rx, .turn = on_turn, .ctx = b};
    assert_int_equal(rtpio_new(&b->io, &b->conf, &ops), 0);
}

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    bed_start(b, FIRST, FIRST + 19);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    rtpio_free(b->io);
    mem_free(b);
    return mem_live() != 0;
}

static int party(int family, struct addr *ret)
{
    struct sockaddr_storage sa = {.ss_family = (sa_family_t)family};
    socklen_t n = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET)
        ((struct sockaddr_in *)&sa)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&sa)->sin6_addr = in6addr_loopback;
    int fd = socket(family, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    *ret = (struct addr){.family = family == AF_INET ? ADDR_V4 : ADDR_V6,
                         .port = ntohs(((struct sockaddr_in *)&sa)->sin_port)};
    if (family == AF_INET)
        memcpy(ret->ip, &((struct sockaddr_in *)&sa)->sin_addr, 4);
    else
        memcpy(ret->ip, &((struct sockaddr_in6 *)&sa)->sin6_addr, 16);
    return fd;
}

static void throw(int fd, int family, uint16_t port, const void *p, size_t n)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in6.sin6_addr = in6addr_loopback;
    ssize_t sent = family == AF_INET ? sendto(fd, p, n, 0, (struct sockaddr *)&in, sizeof(in))
                                     : sendto(fd, p, n, 0, (struct sockaddr *)&in6, sizeof(in6));
    assert_int_equal(sent, n);
}

static void turn_until(struct bed *b, unsigned packets)
{
    usec_t until = rtpio_now() + 5 * USEC_S;
    while (b->packets < packets && rtpio_now() < until)
        rtpio_turn(b->io, 100 * USEC_MS);
    assert_int_equal(b->packets, packets);
}

static void receive(int fd, const void *p, size_t n, uint16_t from_port)
{
    uint8_t got[4096];
    struct sockaddr_storage sa;
    socklen_t sa_n = sizeof(sa);
    struct pollfd pf = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, 5000), 1);
    assert_int_equal(recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&sa, &sa_n), n);
    assert_memory_equal(got, p, n);
    assert_int_equal(ntohs(((struct sockaddr_in *)&sa)->sin_port), from_port);
}

static void test_forwards(void **state)
{
    struct bed *b = *state;
    struct addr a, c;
    uint16_t p1, p2;
    int fa = party(AF_INET, &a), fc = party(AF_INET, &c);
    assert_int_equal(rtpio_open(b->io, &p1, ADDR_V4), 0);
    assert_int_equal(rtpio_open(b->io, &p2, ADDR_V4), 0);
    b->to = (struct rtpio_forward){.to = c, .port = p2};
    throw(fa, AF_INET, p1, "hello", 5);
    turn_until(b, 1);
    assert_true(addr_eq(&b->last.from, &a));
    assert_int_equal(b->last.port, p1);
    assert_false(b->last.is_rtcp);
    receive(fc, "hello", 5, p2);
    b->to.is_rtcp = true;
    throw(fa, AF_INET, (uint16_t)(p1 + 1), "rtcp", 4);
    turn_until(b, 2);
    assert_true(b->last.is_rtcp);
    assert_int_equal(b->last.port, p1);
    receive(fc, "rtcp", 4, (uint16_t)(p2 + 1));
    close(fa);
    close(fc);
}

static void test_ipv6(void **state)
{
    struct bed *b = *state;
    struct addr a, c;
    uint16_t p1, p2;
    int fa = party(AF_INET6, &a), fc = party(AF_INET6, &c);
    assert_int_equal(rtpio_open(b->io, &p1, ADDR_V6), 0);
    assert_int_equal(rtpio_open(b->io, &p2, ADDR_V6), 0);
    b->to = (struct rtpio_forward){.to = c, .port = p2};
    throw(fa, AF_INET6, p1, "six", 3);
    turn_until(b, 1);
    assert_true(addr_eq(&b->last.from, &a));
    receive(fc, "six", 3, p2);
    close(fa);
    close(fc);
}

/* Several packets of one socket are all served, and the lengths are true. */
static void test_bursts_and_lengths(void **state)
{
    struct bed *b = *state;
    struct addr a;
    uint16_t port;
    uint8_t big[4000] = {1, 2, 3};
    int fa = party(AF_INET, &a);
    assert_int_equal(rtpio_open(b->io, &port, ADDR_V4), 0);
    for (int i = 0; i < 40; i++)
        throw(fa, AF_INET, port, "x", 1);
    turn_until(b, 40);
    throw(fa, AF_INET, port, big, RTPIO_MAX_BYTES);
    turn_until(b, 41);
    assert_int_equal(b->last.n, RTPIO_MAX_BYTES);
    throw(fa, AF_INET, port, big, sizeof(big));
    turn_until(b, 42);
    assert_int_equal(b->last.n, RTPIO_MAX_BYTES + 1);
    throw(fa, AF_INET, port, big, 0);
    turn_until(b, 43);
    assert_int_equal(b->last.n, 0);
    close(fa);
}

/* A pair of which somebody else has one port is skipped; numbers come back late. */
static void test_range(void **state)
{
    struct bed *b = *state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(FIRST + 3)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int other = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(other, (struct sockaddr *)&sa, sizeof(sa)), 0);
    uint16_t port = 0;
    for (uint16_t i = 0; i < 9; i++) {
        assert_int_equal(rtpio_open(b->io, &port, ADDR_V4), 0);
        assert_int_equal(port, FIRST + (i == 0 ? 0 : 2 * i + 2));
    }
    assert_int_equal(rtpio_open(b->io, &port, ADDR_V4), -EADDRINUSE);
    assert_int_equal(rtpio_open(b->io, &port, ADDR_V6), 0); /* only there is number +2 free */
    assert_int_equal(port, FIRST + 2);
    rtpio_close(b->io, FIRST);
    rtpio_close(b->io, FIRST + 8);
    rtpio_close(b->io, FIRST + 8);
    assert_int_equal(rtpio_open(b->io, &port, ADDR_V4), 0);
    assert_int_equal(port, FIRST + 8); /* round, not the lowest */
    assert_int_equal(rtpio_open(b->io, &port, ADDR_V4), 0);
    assert_int_equal(port, FIRST);
    close(other);
}

static void test_bad_range_and_family(void **state)
{
    struct bed *b = *state;
    struct rtpio *io = NULL;
    struct rtpio_ops ops = {.rx = on_rx, .turn = on_turn, .ctx = b};
    struct rtpio_conf c = b->conf;
    c.port_first = c.port_last = 20001;
    assert_int_equal(rtpio_new(&io, &c, &ops), -EINVAL);
    c = b->conf;
    c.bind_v6 = (struct addr){0};
    assert_int_equal(rtpio_new(&io, &c, &ops), 0);
    uint16_t port = 7;
    assert_int_equal(rtpio_open(io, &port, ADDR_V6), -EAFNOSUPPORT);
    assert_int_equal(rtpio_open(io, &port, ADDR_NONE), -EAFNOSUPPORT);
    assert_int_equal(port, 7);
    rtpio_free(io);
    mem_fail_after(1);
    assert_int_equal(rtpio_new(&io, &c, &ops), -ENOMEM);
    mem_fail_after(2);
    assert_int_equal(rtpio_new(&io, &c, &ops), -ENOMEM);
    mem_fail_after(0);
}

static void test_drain(void **state)
{
    struct bed *b = *state;
    struct addr a;
    uint16_t port;
    int fa = party(AF_INET, &a);
    assert_int_equal(rtpio_open(b->io, &port, ADDR_V4), 0);
    for (int i = 0; i < 20; i++)
        throw(fa, AF_INET, port, "old", 3);
    rtpio_drain(b->io, port);
    throw(fa, AF_INET, port, "new", 3);
    turn_until(b, 1);
    assert_memory_equal(b->bytes, "new", 3);
    close(fa);
}

/* The thread takes notice of the owner's descriptor, and ends when told to. */
static void test_thread_wakes_and_stops(void **state)
{
    struct bed *b = *state;
    rtpio_free(b->io);
    b->conf.wake_fd = eventfd(0, EFD_NONBLOCK);
    struct rtpio_ops ops = {.rx = on_rx, .turn = on_turn, .ctx = b};
    assert_int_equal(rtpio_new(&b->io, &b->conf, &ops), 0);
    assert_int_equal(rtpio_start(b->io), 0);
    uint64_t one = 1;
    assert_int_equal(write(b->conf.wake_fd, &one, 8), 8);
    usec_t until = rtpio_now() + 5 * USEC_S;
    while (atomic_load(&b->turns) == 0 && rtpio_now() < until)
        sched_yield();
    assert_true(atomic_load(&b->turns) > 0);
    rtpio_stop(b->io);
    rtpio_stop(b->io);
    close(b->conf.wake_fd);
}

/* Ports take no descriptor of the last quarter, which who connects needs. */
static void test_descriptors(void **state)
{
    struct rlimit before, few;
    struct bed b;
    uint16_t port;
    int rc = 0;
    unsigned opened = 0, left = 0, fds[64];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    bed_start(&b, FIRST + 100, FIRST + 299);
    while ((rc = rtpio_open(b.io, &port, ADDR_V4)) == 0)
        opened++;
    assert_int_equal(rc, -EMFILE);
    assert_true(opened > 8);
    for (int fd; left < 64 && (fd = open("/dev/null", O_RDONLY)) >= 0;)
        fds[left++] = (unsigned)fd;
    assert_in_range(left, 16, 17);
    while (left)
        close((int)fds[--left]);
    for (unsigned i = 0; i < opened; i++)
        rtpio_close(b.io, (uint16_t)(FIRST + 100 + 2 * i));
    /* Nor do those who connect have all: a quarter is for ports, whatever the rest is. */
    for (int fd = 0; fd < 50 && (fd = open("/dev/null", O_RDONLY)) >= 0;)
        fds[left++] = (unsigned)fd;
    for (opened = 0; (rc = rtpio_open(b.io, &port, ADDR_V4)) == 0;)
        opened++;
    assert_int_equal(rc, -EMFILE);
    assert_in_range(opened, 3, 8);
    int last = open("/dev/null", O_RDONLY);
    assert_in_range(last, 56, 63);
    close(last);
    while (left)
        close((int)fds[--left]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    rtpio_free(b.io);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_forwards),
        T(test_ipv6),
        T(test_bursts_and_lengths),
        T(test_range),
        T(test_bad_range_and_family),
        T(test_drain),
        T(test_descriptors),
        T(test_thread_wakes_and_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
