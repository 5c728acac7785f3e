/* Connections that we open with TLS on them: the peer is the other half of io/tls, in this thread,
 * behind a listener on loopback. */
#include "tls_certs.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/outconn.h"
#include "io/sock.h"

#define BIG (3u << 20)

static struct bed {
    struct loop *loop;
    struct outconn *conn;
    struct tls_ctx *client, *server;
    struct tls_session *tls; /* the peer's */
    int listener, peer;
    struct addr addr;
    unsigned ups, losses;
    int err;
    char why[TLS_WHY_MAX + 1];
    char got[64];
    size_t n, peer_n; /* plain bytes, ours and the peer's */
    bool peer_reads, close_when_up, peer_failed;
} t;

static char dir[64], ca_file[100], cert_file[100], key_file[100];
static struct cert ca;

static int begin(void **state)
{
    test_dir_make(dir);
    snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", dir);
    snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", dir);
    snprintf(key_file, sizeof(key_file), "%s/key.pem", dir);
    ca = cert_authority("Test authority");
    cert_write(&ca, ca_file, NULL);
    struct cert c = cert_for("DNS:asr.test", &ca);
    cert_write(&c, cert_file, key_file);
    cert_free(&c);
    return 0;
}

static int end(void **state)
{
    cert_free(&ca);
    test_dir_remove(dir);
    return 0;
}

static void on_up(void *ctx)
{
    t.ups++;
    if (t.close_when_up) {
        outconn_close(t.conn);
        t.conn = NULL;
    }
}

static void on_rx(void *ctx, struct str bytes)
{
    assert_true(t.n + bytes.n <= sizeof(t.got));
    memcpy(t.got + t.n, bytes.p, bytes.n);
    t.n += bytes.n;
}

static void on_lost(void *ctx, int err)
{
    t.losses++;
    t.err = err;
    str_copy_z(t.why, sizeof(t.why), outconn_why(t.conn));
}

static struct tls_ctx *tls_make(const struct tls_config *cfg)
{
    char mem[400];
    struct buf why;
    struct tls_ctx *tls = NULL;
    buf_init(&why, mem, sizeof(mem));
    if (tls_ctx_new(&tls, cfg, &why))
        fail_msg("%.*s", (int)why.n, why.p);
    return tls;
}

static int setup(void **state)
{
    memset(&t, 0, sizeof(t));
    t.peer = -1;
    t.peer_reads = true;
    assert_int_equal(loop_new(&t.loop), 0);
    struct addr any = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    t.listener = sock_open(&any, SOCK_STREAM);
    assert_true(t.listener >= 0);
    assert_int_equal(listen(t.listener, 1), 0);
    assert_int_equal(sock_bound_get(t.listener, &t.addr), 0);
    t.client = tls_make(&(struct tls_config){.ca = ca_file, .verify_peer = true});
    t.server = tls_make(&(struct tls_config){.certificate = cert_file, .private_key = key_file});
    return 0;
}

static int teardown(void **state)
{
    outconn_close(t.conn);
    tls_ctx_free(t.client); /* before the loop has let go of the connection */
    loop_settle(t.loop);
    loop_free(t.loop);
    tls_session_free(t.tls);
    tls_ctx_free(t.server);
    if (t.peer >= 0)
        close(t.peer);
    close(t.listener);
    assert_int_equal(mem_live(), 0);
    return 0;
}

static void open_to(const char *host)
{
    static const struct outconn_hooks hooks = {.up = on_up, .rx = on_rx, .lost = on_lost};
    struct outconn_tls tls = {.ctx = t.client, .who = {.host = str_z(host)}};
    assert_int_equal(outconn_open_tls(&t.conn, t.loop, &t.addr, &tls, &hooks), 0);
}

static void peer_flush(void)
{
    struct str tx = tls_session_tx(t.tls);
    ssize_t n = tx.n ? send(t.peer, tx.p, tx.n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    tls_session_tx_done(t.tls, n > 0 ? (size_t)n : 0);
}

static void peer_turn(void)
{
    static char mem[65536];
    if (t.peer < 0)
        t.peer = accept4(t.listener, NULL, NULL, SOCK_NONBLOCK);
    if (t.peer < 0)
        return;
    if (!t.tls)
        t.tls = tls_session_new_server(t.server);
    ssize_t n = t.peer_reads ? recv(t.peer, mem, sizeof(mem), MSG_DONTWAIT) : 0;
    ptrdiff_t got = 1;
    if (n > 0)
        assert_int_equal(tls_session_rx(t.tls, mem, (size_t)n), 0);
    for (; n > 0 && got > 0; t.peer_n += got > 0 ? (size_t)got : 0)
        got = tls_session_read(t.tls, mem, sizeof(mem));
    t.peer_failed |= got < 0;
    peer_flush();
}

/* Turns until it is so; five seconds without it are a failure. */
#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        for (int i_ = 0; i_ < 2500 && !(cond); i_++) {                                             \
            loop_run_once(t.loop, 2);                                                              \
            peer_turn();                                                                           \
        }                                                                                          \
        assert_true(cond);                                                                         \
    } while (0)

static void both_ways(void **state)
{
    static char block[BIG];
    open_to("asr.test");
    outconn_send(t.conn, STR("before it is up, "));
    assert_int_equal(t.ups, 0);
    UNTIL(t.ups == 1);
    outconn_send(t.conn, str_of(block, sizeof(block))); /* many records, and more than a socket */
    UNTIL(t.peer_n == 17 + BIG);
    assert_int_equal(tls_session_write(t.tls, "hello", 5), 0);
    UNTIL(t.n == 5);
    assert_memory_equal(t.got, "hello", 5);
    assert_int_equal(t.losses, 0);
    assert_int_equal(t.ups, 1);
    outconn_close(t.conn);
    t.conn = NULL;
    UNTIL(t.peer_failed); /* it was told good-bye */
    assert_int_equal(tls_session_why(t.tls).n, 0);
}

/* Fail closed: it was never up, nothing plain has left, and the reason is told. */
static void who_is_somebody_else(void **state)
{
    open_to("elsewhere.test");
    outconn_send(t.conn, STR("secret"));
    UNTIL(t.losses);
    assert_int_equal(t.err, -EPROTO);
    assert_int_equal(t.ups, 0);
    assert_true(strlen(t.why) > 10);
    for (int i = 0; i < 20; i++) {
        loop_run_once(t.loop, 1);
        peer_turn();
    }
    assert_int_equal(t.peer_n, 0);
    assert_int_equal(t.losses, 1);
}

static void who_speaks_no_tls(void **state)
{
    open_to("asr.test");
    while ((t.peer = accept4(t.listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        loop_run_once(t.loop, 2);
    assert_int_equal(send(t.peer, "MRCP/2.0 hello\r\n\r\n", 18, 0), 18);
    t.peer_reads = false;
    UNTIL(t.losses);
    assert_int_equal(t.err, -EPROTO);
    assert_int_equal(t.ups, 0);
}

static void who_goes_in_the_middle(void **state)
{
    open_to("asr.test");
    while ((t.peer = accept4(t.listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        loop_run_once(t.loop, 2);
    assert_int_equal(shutdown(t.peer, SHUT_RDWR), 0); /* before the handshake */
    t.peer_reads = false;
    UNTIL(t.losses);
    assert_true(t.err < 0);
    outconn_close(t.conn);
    close(t.peer);
    t.peer = -1;
    t.losses = 0;
    t.peer_reads = true;
    tls_session_free(t.tls);
    t.tls = NULL;
    open_to("asr.test");
    UNTIL(t.ups);
    tls_session_close(t.tls); /* and in peace */
    UNTIL(t.losses);
    assert_int_equal(t.err, 0);
}

static void closed_from_inside(void **state)
{
    t.close_when_up = true;
    open_to("asr.test");
    UNTIL(t.ups);
    for (int i = 0; i < 5; i++)
        loop_run_once(t.loop, 1);
    assert_int_equal(t.losses, 0);
}

static void a_peer_that_does_not_read(void **state)
{
    static char block[65536];
    open_to("asr.test");
    UNTIL(t.ups);
    t.peer_reads = false;
    for (int i = 0; i < 1000 && !t.losses; i++) {
        outconn_send(t.conn, str_of(block, sizeof(block)));
        loop_run_once(t.loop, 0);
    }
    assert_int_equal(t.losses, 1);
    assert_int_equal(t.err, -ENOBUFS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(both_ways),          T(who_is_somebody_else),
        T(who_speaks_no_tls),  T(who_goes_in_the_middle),
        T(closed_from_inside), T(a_peer_that_does_not_read),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
