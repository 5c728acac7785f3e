/* HEP on its way out, against plain sockets: by datagrams, by a stream with a server that comes and
 * goes, and into a queue that is full. */
#include "io_test.h"

#include <sys/socket.h>

#include "base/mem.h"
#include "io/hepout.h"
#include "io/sock.h"

struct bed {
    struct loop *loop;
    struct hepout *h;
    int fd, conn; /* of the server */
    struct addr at;
    unsigned ups, downs;
};

static void on_changed(void *ctx, int err)
{
    struct bed *b = ctx;
    if (err)
        b->downs++;
    else
        b->ups++;
}

static void on_turn(void *ctx, usec_t now)
{
    struct bed *b = ctx;
    (void)now;
    if (b->h)
        hepout_flush(b->h);
}

static int server_open(struct bed *b, int type, uint16_t port)
{
    struct addr at = {.family = ADDR_V4, .port = port, .ip = {127, 0, 0, 1}};
    int fd = sock_open(&at, type);
    assert_true(fd >= 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(sock_bound_get(fd, &b->at), 0);
    return fd;
}

static struct hepout_config config(const struct bed *b, bool tcp)
{
    return (struct hepout_config){.to = b->at,
                                  .tcp = tcp,
                                  .node = 7,
                                  .name = STR("pbx"),
                                  .key = STR("secret"),
                                  .queue_bytes = 1,
                                  .retry_ms = 5,
                                  .retry_max_ms = 20};
}

static void bed_open(struct bed *b, int type)
{
    *b = (struct bed){.conn = -1};
    assert_int_equal(loop_new(&b->loop), 0);
    struct loop_hooks hooks = {.turn = on_turn, .ctx = b};
    loop_hooks_set(b->loop, &hooks);
    b->fd = server_open(b, type, 0);
    struct hepout_config cfg = config(b, type == SOCK_STREAM);
    assert_int_equal(hepout_new(&b->h, b->loop, &cfg, on_changed, b), 0);
}

static void bed_close(struct bed *b)
{
    struct hepout *h = b->h;
    b->h = NULL;
    hepout_free(h);
    if (b->conn >= 0)
        close(b->conn);
    if (b->fd >= 0)
        close(b->fd);
    loop_free(b->loop);
}

static void put(struct bed *b, struct str payload)
{
    struct hep p = {.type = HEP_SIP,
                    .ip_proto = HEP_IP_UDP,
                    .src = {.family = ADDR_V4, .port = 5060, .ip = {192, 0, 2, 1}},
                    .dst = {.family = ADDR_V4, .port = 5062, .ip = {192, 0, 2, 2}},
                    .at_ns = 1700000000123456000ull,
                    .id = STR("caller@a"),
                    .payload = payload};
    hepout_put(b->h, &p);
}

static void check(const uint8_t *p, size_t n, struct str payload)
{
    struct hep h;
    assert_int_equal(hep_parse(&h, p, n), 0);
    assert_int_equal(h.node, 7);
    assert_true(str_eq(h.name, STR("pbx")));
    assert_true(str_eq(h.key, STR("secret")));
    assert_true(str_eq(h.id, STR("caller@a")));
    assert_int_equal(h.src.port, 5060);
    assert_true(h.at_ns == 1700000000123456000ull);
    assert_true(str_eq(h.payload, payload));
}

static bool accepted(struct bed *b)
{
    b->conn = accept(b->fd, NULL, NULL);
    return b->conn >= 0;
}

/* Reads n bytes of the connection. */
static bool take(struct bed *b, uint8_t *p, size_t n, size_t *got)
{
    ssize_t r = recv(b->conn, p + *got, n - *got, MSG_DONTWAIT);
    *got += r > 0 ? (size_t)r : 0;
    return *got == n;
}

static void take_packet(struct bed *b, struct str payload)
{
    uint8_t p[70000];
    size_t got = 0;
    LOOP_UNTIL(b->loop, take(b, p, HEP_HEAD, &got));
    int n = hep_length(p, got);
    assert_true(n > 0);
    LOOP_UNTIL(b->loop, take(b, p, (size_t)n, &got));
    check(p, got, payload);
}

static void datagrams(void **state)
{
    (void)state;
    struct bed b;
    uint8_t p[2000];
    ssize_t n;
    bed_open(&b, SOCK_DGRAM);
    assert_true(hepout_stats_get(b.h)->up);
    put(&b, STR("one"));
    put(&b, STR("two"));
    assert_int_equal(recv(b.fd, p, sizeof(p), MSG_DONTWAIT), -1); /* not before the flush */
    hepout_flush(b.h);
    LOOP_UNTIL(b.loop, (n = recv(b.fd, p, sizeof(p), MSG_DONTWAIT)) > 0);
    check(p, (size_t)n, STR("one"));
    LOOP_UNTIL(b.loop, (n = recv(b.fd, p, sizeof(p), MSG_DONTWAIT)) > 0);
    check(p, (size_t)n, STR("two"));
    assert_int_equal(hepout_stats_get(b.h)->packets, 2);
    assert_int_equal(hepout_stats_get(b.h)->queued_bytes, 0);
    /* Nobody is there: errors, and nothing else. */
    close(b.fd);
    b.fd = -1;
    for (unsigned i = 0; i < 5; i++) {
        put(&b, STR("lost"));
        hepout_flush(b.h);
        loop_run_once(b.loop, 1);
    }
    LOOP_UNTIL(b.loop, hepout_stats_get(b.h)->errors > 0);
    assert_int_equal(hepout_stats_get(b.h)->queued_bytes, 0);
    bed_close(&b);
}

/* More than the kernel takes at once, in order, and nothing is lost. */
static void a_stream(void **state)
{
    (void)state;
    struct bed b;
    char text[30000];
    bed_open(&b, SOCK_STREAM);
    LOOP_UNTIL(b.loop, accepted(&b));
    LOOP_UNTIL(b.loop, b.ups == 1);
    for (unsigned i = 0; i < 300; i++) {
        memset(text, 'a' + (int)(i % 26), sizeof(text));
        put(&b, str_of(text, sizeof(text) - i));
        hepout_flush(b.h);
        take_packet(&b, str_of(text, sizeof(text) - i));
    }
    put(&b, STR("the last"));
    take_packet(&b, STR("the last"));
    assert_int_equal(hepout_stats_get(b.h)->packets, 301);
    assert_int_equal(hepout_stats_get(b.h)->dropped, 0);
    bed_close(&b);
}

/* A server that goes away is asked for again; what was queued meanwhile arrives whole. */
static void a_server_that_comes_back(void **state)
{
    (void)state;
    struct bed b;
    bed_open(&b, SOCK_STREAM);
    uint16_t port = b.at.port;
    LOOP_UNTIL(b.loop, accepted(&b));
    LOOP_UNTIL(b.loop, b.ups == 1);
    close(b.conn);
    close(b.fd);
    LOOP_UNTIL(b.loop, b.downs == 1);
    assert_false(hepout_stats_get(b.h)->up);
    put(&b, STR("meanwhile"));
    LOOP_UNTIL(b.loop, hepout_stats_get(b.h)->errors >= 3); /* it goes on asking */
    assert_int_equal(b.downs, 1);                           /* and says so once */
    b.fd = server_open(&b, SOCK_STREAM, port);
    LOOP_UNTIL(b.loop, accepted(&b));
    take_packet(&b, STR("meanwhile"));
    assert_int_equal(b.ups, 2);
    bed_close(&b);
}

/* A server that does not read costs the queue and no more; then packets go, not bytes of them. */
static void a_queue_that_is_full(void **state)
{
    (void)state;
    struct bed b;
    char text[60000];
    bed_open(&b, SOCK_STREAM);
    LOOP_UNTIL(b.loop, accepted(&b));
    LOOP_UNTIL(b.loop, b.ups == 1);
    memset(text, 'x', sizeof(text));
    while (!hepout_stats_get(b.h)->dropped) {
        put(&b, str_of(text, sizeof(text)));
        loop_run_once(b.loop, 0);
        assert_true(hepout_stats_get(b.h)->queued_bytes <= 128 * 1024);
    }
    uint64_t waiting = hepout_stats_get(b.h)->queued_bytes;
    assert_true(waiting > 0);
    LOOP_UNTIL(b.loop, (take_packet(&b, str_of(text, sizeof(text))),
                        hepout_stats_get(b.h)->queued_bytes == 0));
    put(&b, STR("short"));
    loop_run_once(b.loop, 0);
    uint64_t before = hepout_stats_get(b.h)->packets;
    LOOP_UNTIL(b.loop, hepout_stats_get(b.h)->packets >= before);
    bed_close(&b);
}

/* A connection that ends within a packet: the next one begins with a whole one. */
static void a_packet_cut_in_two(void **state)
{
    (void)state;
    struct bed b;
    char text[60000];
    uint8_t p[HEP_HEAD];
    size_t got = 0;
    bed_open(&b, SOCK_STREAM);
    uint16_t port = b.at.port;
    LOOP_UNTIL(b.loop, accepted(&b));
    LOOP_UNTIL(b.loop, b.ups == 1);
    memset(text, 'x', sizeof(text));
    while (!hepout_stats_get(b.h)->dropped) {
        put(&b, str_of(text, sizeof(text)));
        loop_run_once(b.loop, 0);
    }
    uint64_t dropped = hepout_stats_get(b.h)->dropped;
    close(b.conn);
    close(b.fd);
    LOOP_UNTIL(b.loop, b.downs == 1);
    assert_int_equal(hepout_stats_get(b.h)->dropped, dropped + 1);
    b.fd = server_open(&b, SOCK_STREAM, port);
    LOOP_UNTIL(b.loop, accepted(&b));
    put(&b, STR("whole"));
    LOOP_UNTIL(b.loop, take(&b, p, sizeof(p), &got));
    assert_true(hep_length(p, got) > 0);
    bed_close(&b);
}

static void another_server(void **state)
{
    (void)state;
    struct bed b;
    uint8_t p[2000];
    ssize_t n;
    bed_open(&b, SOCK_DGRAM);
    int first = b.fd;
    b.fd = server_open(&b, SOCK_DGRAM, 0);
    struct hepout_config cfg = config(&b, false);
    put(&b, STR("for the first"));
    hepout_set(b.h, &cfg);
    assert_int_equal(hepout_stats_get(b.h)->dropped, 1);
    LOOP_UNTIL(b.loop, hepout_stats_get(b.h)->up);
    put(&b, STR("for the second"));
    LOOP_UNTIL(b.loop, (n = recv(b.fd, p, sizeof(p), MSG_DONTWAIT)) > 0);
    check(p, (size_t)n, STR("for the second"));
    assert_int_equal(recv(first, p, sizeof(p), MSG_DONTWAIT), -1);
    close(first);
    cfg.to = (struct addr){0};
    hepout_set(b.h, &cfg);
    assert_false(hepout_wanted(b.h));
    put(&b, STR("for nobody"));
    loop_run_once(b.loop, 1);
    assert_int_equal(hepout_stats_get(b.h)->queued_bytes, 0);
    assert_false(hepout_stats_get(b.h)->up);
    bed_close(&b);
}

/* A network that has no way there refuses at once: that is said, too, and once. */
static void no_way_there(void **state)
{
    (void)state;
    struct bed b;
    bed_open(&b, SOCK_STREAM);
    struct hepout_config cfg = config(&b, true);
    cfg.to = (struct addr){.family = ADDR_V4, .port = 9060, .ip = {255, 255, 255, 255}};
    b.downs = 0;
    hepout_set(b.h, &cfg);
    LOOP_UNTIL(b.loop, hepout_stats_get(b.h)->errors >= 3);
    assert_int_equal(b.downs, 1);
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams),
        cmocka_unit_test(a_stream),
        cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(a_queue_that_is_full),
        cmocka_unit_test(a_packet_cut_in_two),
        cmocka_unit_test(another_server),
        cmocka_unit_test(no_way_there),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
