/* The media thread as the program uses it: commands in, events out, packets on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "app/media.h"
#include "base/mem.h"

#define PAIRS 40
#define FIRST 28200

struct bed {
    struct media_thread *t;
    uint16_t port[PAIRS];
    uint32_t ports;
    struct media_ev last;
};

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = FIRST,
                              .port_last = FIRST + 2 * PAIRS - 1,
                              .coalesce_us = 1000};
    assert_int_equal(media_thread_start(&b->t, &conf), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    media_thread_stop(b->t);
    mem_free(b);
    return mem_live() != 0;
}

static void send_one(struct bed *b, struct media_cmd c)
{
    assert_int_equal(media_thread_send(b->t, &c, 1), 1);
}

/* Collects ports on the way to an event of `kind`. */
static void await(struct bed *b, enum media_ev_kind kind)
{
    for (;;) {
        while (media_thread_poll(b->t, &b->last, 1) == 1) {
            const struct media_ev *ev = &b->last;
            for (uint32_t i = 0; ev->kind == MEDIA_EV_PORTS && i < ev->count; i++)
                b->port[b->ports++] = ev->port[i];
            if (ev->kind == kind)
                return;
        }
        struct pollfd p = {.fd = media_thread_fd(b->t), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
    }
}

static int party(struct addr *ret)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    *ret = (struct addr){.family = ADDR_V4, .port = ntohs(sa.sin_port), .ip = {127, 0, 0, 1}};
    return fd;
}

static void speak(int fd, uint16_t port, uint8_t seq)
{
    uint8_t p[172] = {0x80, 8, 0, seq};
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(sendto(fd, p, sizeof(p), 0, (struct sockaddr *)&sa, sizeof(sa)), sizeof(p));
}

static void hear(int fd, uint8_t seq)
{
    uint8_t p[2048];
    struct pollfd pf = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, 5000), 1);
    assert_int_equal(recv(fd, p, sizeof(p), 0), 172);
    assert_int_equal(p[3], seq);
}

static void leg(struct bed *b, media_id id, uint16_t port, struct addr rtp)
{
    send_one(b, (struct media_cmd){.kind = MEDIA_OPEN, .id = id, .port = port, .family = ADDR_V4});
    send_one(b, (struct media_cmd){.kind = MEDIA_SET,
                                   .id = id,
                                   .rtp = rtp,
                                   .latch = true,
                                   .receiving = true,
                                   .sending = true});
}

static void test_a_call(void **state)
{
    struct bed *b = *state;
    struct addr a, c;
    int fa = party(&a), fc = party(&c);
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = 2});
    await(b, MEDIA_EV_PORTS);
    assert_int_equal(b->ports, 2);
    speak(fa, b->port[0], 99); /* before the stream is there: nobody may hear it later */
    leg(b, 1, b->port[0], a);
    leg(b, 2, b->port[1], c);
    send_one(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    /* An answer to a further command shows that the ones before it have been done. */
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = 1});
    await(b, MEDIA_EV_PORTS);
    speak(fa, b->port[0], 1);
    hear(fc, 1);
    speak(fc, b->port[1], 2);
    hear(fa, 2);
    await(b, MEDIA_EV_FIRST);
    await(b, MEDIA_EV_FIRST);
    send_one(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
    await(b, MEDIA_EV_CLOSED);
    assert_int_equal(b->last.id, 1);
    assert_int_equal(b->last.port[0], b->port[0]);
    assert_int_equal(b->last.stats.rx_packets, 1);
    assert_int_equal(b->last.stats.tx_packets, 1);
    send_one(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1}); /* twice is harmless */
    send_one(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 2});
    await(b, MEDIA_EV_CLOSED);
    assert_int_equal(b->last.id, 2);
    close(fa);
    close(fc);
}

static void test_stock_runs_out(void **state)
{
    struct bed *b = *state;
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = 1000});
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = 1});
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V6, .count = 1});
    /* Who has got less than he has asked for hears so, or would wait for the rest for ever. */
    await(b, MEDIA_EV_NO_PORTS);
    assert_int_equal(b->last.family, ADDR_V4);
    assert_int_equal(b->ports, PAIRS);
    await(b, MEDIA_EV_NO_PORTS);
    assert_int_equal(b->last.family, ADDR_V4);
    await(b, MEDIA_EV_NO_PORTS);
    assert_int_equal(b->last.family, ADDR_V6);
}

/* More commands than one turn takes, and more events than the owner fetches at once. */
static void test_many_streams(void **state)
{
    struct bed *b = *state;
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = PAIRS});
    while (b->ports < PAIRS)
        await(b, MEDIA_EV_PORTS);
    for (media_id round = 0; round < 50; round++) {
        for (media_id i = 0; i < PAIRS; i++)
            leg(b, round * PAIRS + i + 1, b->port[i], (struct addr){0});
        for (media_id i = 0; i < PAIRS; i++)
            send_one(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = round * PAIRS + i + 1});
    }
    for (media_id i = 0; i < 50 * PAIRS; i++) {
        await(b, MEDIA_EV_CLOSED);
        assert_int_equal(b->last.id, i + 1);
    }
}

/* Nobody fetches the events: commands are refused in the end, none is lost. */
static void test_owner_does_not_listen(void **state)
{
    struct bed *b = *state;
    struct media_cmd c = {.kind = MEDIA_STOCK, .family = ADDR_V6, .count = 1};
    uint64_t taken = 0;
    while (media_thread_send(b->t, &c, 1) == 1 && taken < 100000)
        taken++;
    assert_in_range(taken, 8192, 99999);
    for (uint64_t i = 0; i < taken; i++)
        await(b, MEDIA_EV_NO_PORTS);
    assert_int_equal(media_thread_send(b->t, &c, 1), 1);
}

static void test_start_fails_cleanly(void **state)
{
    (void)state;
    struct media_thread *t = NULL;
    struct media_conf conf = {.port_first = 20001, .port_last = 20001};
    assert_int_equal(media_thread_start(&t, &conf), -EINVAL);
    conf = (struct media_conf){.port_first = 20000, .port_last = 20009};
    for (uint64_t nth = 1; nth < 40; nth++) {
        mem_fail_after(nth);
        int rc = media_thread_start(&t, &conf);
        mem_fail_after(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_null(t);
    }
    assert_non_null(t);
    media_thread_stop(t);
    media_thread_stop(NULL);
    assert_int_equal(mem_live(), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_call),
        T(test_stock_runs_out),
        T(test_many_streams),
        T(test_owner_does_not_listen),
        cmocka_unit_test(test_start_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
