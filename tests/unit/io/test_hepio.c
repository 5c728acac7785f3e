/* HEP from the network: datagrams, streams cut anywhere, and peers that send something else. */
#include <sys/resource.h>

#include "io_test.h"

#include "base/mem.h"
#include "io/hepio.h"
#include "io/sock.h"
#include "wire/hep/hep.h"

struct world {
    struct loop *loop;
    struct hepio *hep;
    unsigned n;
    size_t bytes;
    char last[256];
};

static void on_packet(void *ctx, const struct addr *from, const struct addr *to, struct str bytes)
{
    struct world *w = ctx;
    struct hep h;
    assert_int_equal(to->port, hepio_at(w->hep).port);
    assert_true(from->port != 0);
    w->n++;
    w->bytes += bytes.n;
    w->last[0] = 0;
    if (hep_parse(&h, (const uint8_t *)bytes.p, bytes.n) == 0)
        str_copy_z(w->last, sizeof(w->last), h.payload);
}

static int up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct hepio_config cfg = {.packet = on_packet, .ctx = w};
    *state = w;
    assert_int_equal(addr_parse(&cfg.at, STR("127.0.0.1"), 0), 0);
    assert_int_equal(loop_new(&w->loop), 0);
    /* The port that UDP was given may be somebody's for TCP. */
    int err = -EADDRINUSE;
    for (unsigned i = 0; i < 20 && err == -EADDRINUSE; i++)
        err = hepio_open(&w->hep, w->loop, &cfg);
    return err;
}

static int down(void **state)
{
    struct world *w = *state;
    hepio_close(w->hep);
    loop_settle(w->loop);
    loop_free(w->loop);
    free(w);
    return mem_live() != 0;
}

static int dial(struct world *w, int type)
{
    struct addr at = hepio_at(w->hep);
    union sock_addr s;
    socklen_t n = sock_addr_build(&s, &at);
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &s.sa, n), 0);
    return fd;
}

static struct str packet(const char *payload)
{
    static char mem[4096];
    struct buf b;
    struct hep h = {.version = 3,
                    .ip_proto = HEP_IP_UDP,
                    .type = HEP_SIP,
                    .at_ns = 1000000000,
                    .payload = str_z(payload)};
    assert_int_equal(addr_parse(&h.src, STR("192.0.2.1"), 5060), 0);
    assert_int_equal(addr_parse(&h.dst, STR("192.0.2.2"), 5060), 0);
    buf_init(&b, mem, sizeof(mem));
    hep_build(&b, &h);
    return buf_str(&b);
}

static void put(int fd, struct str s)
{
    assert_int_equal(send(fd, s.p, s.n, 0), s.n);
}

static void test_datagram(void **state)
{
    struct world *w = *state;
    int fd = dial(w, SOCK_DGRAM);
    put(fd, packet("one"));
    LOOP_UNTIL(w->loop, w->n == 1);
    assert_string_equal(w->last, "one");
    put(fd, STR("nonsense")); /* what it is, is seen by whoever reads it */
    LOOP_UNTIL(w->loop, w->n == 2);
    assert_int_equal(hepio_stats_get(w->hep).packets, 2);
    close(fd);
}

/* Two packets, cut in two at every byte. */
static void test_stream(void **state)
{
    struct world *w = *state;
    int fd = dial(w, SOCK_STREAM);
    char both[2048];
    struct str p = packet("first");
    memcpy(both, p.p, p.n);
    size_t n = p.n;
    p = packet("second");
    memcpy(both + n, p.p, p.n);
    n += p.n;
    for (size_t cut = 1; cut < n; cut++) {
        unsigned before = w->n;
        put(fd, str_of(both, cut));
        size_t whole = cut >= n - p.n;
        LOOP_UNTIL(w->loop, w->n == before + whole && hepio_stats_get(w->hep).connections == 1);
        put(fd, str_of(both + cut, n - cut));
        LOOP_UNTIL(w->loop, w->n == before + 2);
        assert_string_equal(w->last, "second");
    }
    close(fd);
    LOOP_UNTIL(w->loop, hepio_stats_get(w->hep).connections == 0);
}

static void test_something_else(void **state)
{
    struct world *w = *state;
    static const char *const wrong[] = {"GET / HTTP/1.0\r\n\r\n", "HEP2", "HEP3\x00\x05xxxxxx"};
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        int fd = dial(w, SOCK_STREAM);
        put(fd, str_of(wrong[i], i == 2 ? 12 : strlen(wrong[i])));
        LOOP_UNTIL(w->loop, hepio_stats_get(w->hep).broken == i + 1);
        assert_int_equal(hepio_stats_get(w->hep).connections, 0);
        close(fd);
    }
    assert_int_equal(w->n, 0);
}

/* Whoever comes when there is no room finds it when he comes again. */
static void test_too_many(void **state)
{
    struct world *w = *state;
    int fd[HEPIO_CONNECTIONS + 1];
    for (unsigned i = 0; i < HEPIO_CONNECTIONS; i++) {
        fd[i] = dial(w, SOCK_STREAM);
        LOOP_UNTIL(w->loop, hepio_stats_get(w->hep).connections == i + 1);
    }
    put(fd[0], packet("alive")); /* so that another one is idle longest */
    LOOP_UNTIL(w->loop, w->n == 1);
    fd[HEPIO_CONNECTIONS] = dial(w, SOCK_STREAM);
    LOOP_UNTIL(w->loop, hepio_stats_get(w->hep).evicted == 1);
    int again = dial(w, SOCK_STREAM);
    put(again, packet("again"));
    LOOP_UNTIL(w->loop, w->n == 2);
    put(fd[0], packet("still"));
    LOOP_UNTIL(w->loop, w->n == 3);
    for (unsigned i = 0; i <= HEPIO_CONNECTIONS; i++)
        close(fd[i]);
    close(again);
}

static void count_turn(void *ctx, usec_t now)
{
    (void)now;
    ++*(unsigned *)ctx;
}

/* Without a descriptor for it a connection waits, and the loop does not turn for it meanwhile. */
static void test_no_descriptors(void **state)
{
    struct world *w = *state;
    unsigned turns = 0;
    struct loop_hooks hooks = {.turn = count_turn, .ctx = &turns};
    struct rlimit before, none;
    int fd = dial(w, SOCK_STREAM);
    loop_hooks_set(w->loop, &hooks);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t until = test_ms() + 200;
    while (test_ms() < until)
        loop_run_once(w->loop, 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(turns, 0, 100);
    assert_int_equal(hepio_stats_get(w->hep).connections, 0);
    LOOP_UNTIL(w->loop, hepio_stats_get(w->hep).connections == 1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_datagram, up, down),
        cmocka_unit_test_setup_teardown(test_stream, up, down),
        cmocka_unit_test_setup_teardown(test_something_else, up, down),
        cmocka_unit_test_setup_teardown(test_too_many, up, down),
        cmocka_unit_test_setup_teardown(test_no_descriptors, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
