/* Connections that we open, against a listener on loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/outconn.h"
#include "io/sock.h"

static struct bed {
    struct loop *loop;
    struct outconn *conn;
    int listener, peer;
    struct addr addr;
    unsigned ups, losses;
    int err;
    char got[256];
    size_t n;
    bool close_when_up;
} t;

static void on_up(void *ctx)
{
    (void)ctx;
    t.ups++;
    if (t.close_when_up)
        outconn_close(t.conn);
}

static void on_rx(void *ctx, struct str bytes)
{
    (void)ctx;
    assert_true(t.n + bytes.n <= sizeof(t.got));
    memcpy(t.got + t.n, bytes.p, bytes.n);
    t.n += bytes.n;
}

static void on_lost(void *ctx, int err)
{
    (void)ctx;
    t.losses++;
    t.err = err;
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    assert_int_equal(loop_new(&t.loop), 0);
    struct addr any = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    t.peer = -1;
    t.listener = sock_open(&any, SOCK_STREAM);
    assert_true(t.listener >= 0);
    assert_int_equal(listen(t.listener, 1), 0);
    assert_int_equal(sock_bound_get(t.listener, &t.addr), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    outconn_close(t.conn);
    loop_settle(t.loop);
    loop_free(t.loop);
    if (t.peer >= 0)
        close(t.peer);
    if (t.listener >= 0)
        close(t.listener);
    assert_int_equal(mem_live(), 0);
    return 0;
}

static void open_to_peer(void)
{
    static const struct outconn_hooks hooks = {.up = on_up, .rx = on_rx, .lost = on_lost};
    assert_int_equal(outconn_open(&t.conn, t.loop, &t.addr, &hooks), 0);
}

/* Turns until *what is not 0; five seconds without it are a failure. */
static void until(const unsigned *what)
{
    for (int i = 0; i < 100 && !*what; i++)
        loop_run_once(t.loop, 50);
    assert_true(*what);
}

static void both_ways(void **state)
{
    (void)state;
    char mem[64];
    open_to_peer();
    outconn_send(t.conn, STR("before ")); /* it is up */
    until(&t.ups);
    outconn_send(t.conn, STR("and after"));
    loop_run_once(t.loop, 0);
    t.peer = accept(t.listener, NULL, NULL);
    assert_true(t.peer >= 0);
    assert_int_equal(recv(t.peer, mem, 16, MSG_WAITALL), 16);
    assert_memory_equal(mem, "before and after", 16);
    assert_int_equal(send(t.peer, "hello", 5, 0), 5);
    while (t.n < 5)
        loop_run_once(t.loop, 50);
    assert_memory_equal(t.got, "hello", 5);
    assert_int_equal(t.losses, 0);
}

static void what_the_peer_ends(void **state)
{
    (void)state;
    open_to_peer();
    until(&t.ups);
    t.peer = accept(t.listener, NULL, NULL);
    assert_int_equal(send(t.peer, "bye", 3, 0), 3);
    assert_int_equal(shutdown(t.peer, SHUT_WR), 0); /* only its half */
    until(&t.losses);
    assert_memory_equal(t.got, "bye", 3);
    assert_int_equal(t.err, 0);
    outconn_send(t.conn, STR("too late"));
    loop_run_once(t.loop, 0);
    assert_int_equal(t.losses, 1);
}

static void nobody_there(void **state)
{
    (void)state;
    close(t.listener);
    t.listener = -1;
    open_to_peer();
    until(&t.losses);
    assert_int_equal(t.err, -ECONNREFUSED);
    assert_int_equal(t.ups, 0);
}

static void a_peer_that_does_not_read(void **state)
{
    (void)state;
    static char block[65536];
    open_to_peer();
    until(&t.ups);
    t.peer = accept(t.listener, NULL, NULL);
    for (int i = 0; i < 1000 && !t.losses; i++) {
        outconn_send(t.conn, str_of(block, sizeof(block)));
        loop_run_once(t.loop, 0);
    }
    assert_int_equal(t.losses, 1);
    assert_int_equal(t.err, -ENOBUFS);
}

static void closed_from_inside(void **state)
{
    (void)state;
    t.close_when_up = true;
    open_to_peer();
    until(&t.ups);
    for (int i = 0; i < 3; i++)
        loop_run_once(t.loop, 0);
    t.conn = NULL; /* it is gone */
    assert_int_equal(t.losses, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(both_ways),          T(what_the_peer_ends), T(nobody_there), T(a_peer_that_does_not_read),
        T(closed_from_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
