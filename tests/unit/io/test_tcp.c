#include "net_peer.h"

#include "io/net_priv.h"

static void fd_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* Every place where the network may cut a message in two. */
static void test_splits(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = peer_connect(&w);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
    char msg[1024];
    size_t n = message_build(msg, sizeof(msg), 1, 40);
    UNTIL(&w, w.opened == 1);
    for (size_t cut = 1; cut < n; cut++) {
        peer_send(fd, msg, cut);
        UNTIL(&w, net_stats_get(w.net)->rx_stream_bytes == (cut - 1) * n + cut);
        assert_int_equal(w.rx, cut - 1);
        peer_send(fd, msg + cut, n - cut);
        UNTIL(&w, w.rx == cut);
        const struct seen *s = &w.last[(cut - 1) % 16];
        assert_int_equal(s->n, n);
        assert_memory_equal(s->text, msg, n);
        assert_true(s->stream);
        assert_int_equal(s->verdict, SIP_OK);
        assert_int_equal(s->flow.conn, w.opened_flow.conn);
    }
    close(fd);
    UNTIL(&w, w.closed == 1);
    assert_int_equal(w.closed_err, 0);
    assert_false(net_alive(w.net, w.closed_flow.conn));
    world_done(&w);
}

/* Many messages in one write, the last one cut off, and a large one that needs its own buffer. */
static void test_pipeline(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = peer_connect(&w);
    static char all[400000];
    size_t n = 0;
    for (unsigned i = 0; i < 100; i++)
        n += message_build(all + n, sizeof(all) - n, i, i * 7);
    n += message_build(all + n, sizeof(all) - n, 100, 60000);
    n += message_build(all + n, sizeof(all) - n, 101, 10);
    uint64_t until = test_ms() + 10000;
    for (size_t at = 0; at < n;) {
        size_t piece = n - at < 5000 ? n - at : 5000;
        ssize_t sent = send(fd, all + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        loop_run_once(w.loop, 1);
        assert_true(test_ms() < until);
    }
    UNTIL(&w, w.rx == 102);
    assert_int_equal(w.rx_bytes, n);
    assert_int_equal(w.closed, 0);
    close(fd);
    world_done(&w);
}

static void test_ping(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = peer_connect(&w);
    char back[16];
    bool eof;
    peer_send(fd, "\r\n\r\n", 4);
    assert_int_equal(peer_read(&w, fd, back, 2, &eof), 2);
    assert_memory_equal(back, "\r\n", 2);
    assert_int_equal(w.rx, 0);
    assert_int_equal(net_stats_get(w.net)->rx_pings, 1);
    close(fd);
    world_done(&w);
}

/* What cannot be framed is shown once, may be answered, and ends the connection. */
static void test_bad_frame(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    w.echo = true;
    int fd = peer_connect(&w);
    const char bad[] = "OPTIONS sip:a SIP/2.0\r\nContent-Length: -5\r\n\r\nrest";
    peer_send(fd, bad, sizeof(bad) - 1);
    char back[256];
    bool eof;
    size_t got = peer_read(&w, fd, back, sizeof(back), &eof);
    assert_int_equal(got, sizeof(bad) - 1);
    assert_true(eof);
    assert_int_equal(w.rx, 1);
    assert_int_not_equal(w.last[0].verdict, SIP_OK);
    close(fd);
    UNTIL(&w, w.closed == 1);
    assert_int_equal(w.closed_err, -EPROTO);
    assert_int_equal(net_stats_get(w.net)->rx_bad, 1);
    world_done(&w);
}

static void test_slow(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.message_ms = 120});
    int silent = peer_connect(&w), slow = peer_connect(&w);
    char msg[512];
    size_t n = message_build(msg, sizeof(msg), 1, 0);
    size_t at = 0;
    peer_send(slow, msg, n); /* from here on only the limit of one message holds for it */
    UNTIL(&w, w.rx == 1);
    uint64_t begun = test_ms();
    /* A byte now and then does not keep it alive. */
    uint64_t next = begun;
    while (w.closed < 2 && test_ms() - begun < 10000) {
        if (test_ms() >= next && at < n - 1 && send(slow, msg + at, 1, MSG_NOSIGNAL) == 1) {
            at++;
            next = test_ms() + 10;
        }
        loop_run_once(w.loop, 5);
    }
    assert_int_equal(w.closed, 2);
    assert_int_equal(w.closed_err, -ETIMEDOUT);
    assert_int_equal(net_stats_get(w.net)->closed_slow, 2);
    assert_true(at < n - 1);
    close(silent);
    close(slow);
    world_done(&w);
}

static void test_idle_and_keep(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.idle_ms = 150});
    int kept = peer_connect(&w);
    char msg[512];
    size_t n = message_build(msg, sizeof(msg), 1, 0);
    peer_send(kept, msg, n);
    UNTIL(&w, w.rx == 1);
    uint32_t id = w.last[0].flow.conn;
    net_keep(w.net, id, true);
    int idle = peer_connect(&w);
    peer_send(idle, msg, n);
    UNTIL(&w, w.closed == 1);
    assert_int_equal(net_stats_get(w.net)->closed_idle, 1);
    assert_int_not_equal(w.closed_flow.conn, id);
    assert_true(net_alive(w.net, id));
    net_keep(w.net, id, false);
    UNTIL(&w, w.closed == 2);
    close(kept);
    close(idle);
    world_done(&w);
}

static void test_limits(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.max_conns = 5, .max_conns_per_source = 3});
    int fd[6];
    for (unsigned i = 0; i < 4; i++)
        fd[i] = peer_connect(&w);
    UNTIL(&w, net_stats_get(w.net)->refused_source == 1);
    assert_int_equal(net_stats_get(w.net)->accepted, 3);
    close(fd[0]);
    UNTIL(&w, w.closed == 1);
    fd[4] = peer_connect(&w);
    UNTIL(&w, net_stats_get(w.net)->accepted == 4);
    for (unsigned i = 1; i < 5; i++)
        close(fd[i]);
    world_done(&w);
    world_init(&w, &(struct net_config){.max_conns = 2});
    for (unsigned i = 0; i < 3; i++)
        fd[i] = peer_connect(&w);
    UNTIL(&w, net_stats_get(w.net)->refused_full == 1);
    assert_int_equal(net_stats_get(w.net)->conns, 2);
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
    world_done(&w);
}

static void test_reset_in_message(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = peer_connect(&w);
    char msg[512];
    size_t n = message_build(msg, sizeof(msg), 1, 0);
    peer_send(fd, msg, n / 2);
    UNTIL(&w, net_stats_get(w.net)->rx_stream_bytes == n / 2);
    uint32_t id = w.opened_flow.conn;
    fd_reset(fd);
    UNTIL(&w, w.closed == 1);
    assert_int_equal(w.closed_err, -ECONNRESET);
    assert_int_equal(w.rx, 0);
    struct flow stale = w.opened_flow;
    assert_int_equal(stale.conn, id);
    world_send(&w, &stale, "too late", 8);
    UNTIL(&w, w.failed == 1);
    assert_int_equal(w.failed_err, -ENOTCONN);
    world_done(&w);
}

static int peer_listen(struct addr *at)
{
    *at = loopback(0);
    int fd = sock_open(at, SOCK_STREAM);
    assert_true(fd >= 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(sock_bound_get(fd, at), 0);
    return fd;
}

/* A connection is made on demand, used again, and made anew after it is gone. */
static void test_connect_and_reconnect(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    struct flow to = {.proto = PROTO_TCP, .listener = 1};
    int ls = peer_listen(&to.peer);
    close(ls);
    world_send(&w, &to, "refused", 7);
    UNTIL(&w, w.failed == 1);
    assert_int_equal(w.failed_err, -ECONNREFUSED);
    assert_int_equal(w.closed, 0);
    ls = sock_open(&to.peer, SOCK_STREAM);
    assert_true(ls >= 0);
    assert_int_equal(listen(ls, 8), 0);
    for (unsigned round = 0; round < 2; round++) {
        world_send(&w, &to, "one ", 4);
        world_send(&w, &to, "two ", 4);
        UNTIL(&w, w.opened == round + 1);
        world_send(&w, &to, "three", 5);
        int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK);
        assert_true(fd >= 0);
        char back[16];
        bool eof;
        assert_int_equal(peer_read(&w, fd, back, 13, &eof), 13);
        assert_memory_equal(back, "one two three", 13);
        assert_int_equal(net_stats_get(w.net)->connected, round + 1);
        fd_reset(fd);
        UNTIL(&w, w.closed == round + 1);
    }
    close(ls);
    world_done(&w);
}

static void test_connect_timeout(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.connect_ms = 100});
    struct flow to = {.proto = PROTO_TCP, .listener = 1, .peer = loopback(0)};
    /* A listener whose queue is full lets nobody in and refuses nobody. */
    int ls = sock_open(&to.peer, SOCK_STREAM);
    assert_true(ls >= 0);
    assert_int_equal(listen(ls, 0), 0);
    assert_int_equal(sock_bound_get(ls, &to.peer), 0);
    int filler[4];
    union sock_addr s;
    socklen_t n = sock_addr_build(&s, &to.peer);
    for (unsigned i = 0; i < 4; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(filler[i], &s.sa, n);
    }
    world_send(&w, &to, "anybody there?", 14);
    UNTIL(&w, w.failed == 1);
    assert_int_equal(w.failed_err, -ETIMEDOUT);
    assert_int_equal(net_stats_get(w.net)->conns, 0);
    for (unsigned i = 0; i < 4; i++)
        close(filler[i]);
    close(ls);
    world_done(&w);
}

/* A peer that opened a connection is answered on it, by its address or by the name it gave. */
static void test_reuse_and_alias(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = peer_connect(&w);
    UNTIL(&w, w.opened == 1);
    struct flow to = w.opened_flow;
    to.conn = 0;
    world_send(&w, &to, "by address", 10);
    char back[32];
    bool eof;
    assert_int_equal(peer_read(&w, fd, back, 10, &eof), 10);
    struct addr alias = {.family = ADDR_V4, .port = 5060, .ip = {192, 0, 2, 9}};
    net_alias(w.net, w.opened_flow.conn, &alias);
    to.peer = alias;
    world_send(&w, &to, "by alias", 8);
    assert_int_equal(peer_read(&w, fd, back, 8, &eof), 8);
    assert_int_equal(net_stats_get(w.net)->connected, 0);
    net_close(w.net, w.opened_flow.conn);
    assert_int_equal(peer_read(&w, fd, back, 1, &eof), 0);
    assert_true(eof);
    close(fd);
    UNTIL(&w, w.closed == 1);
    world_done(&w);
}

/* A peer that does not read costs a bounded queue and then its connection. */
static void test_back_pressure(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.conn_queue_bytes = 100000});
    int fd = peer_connect(&w);
    UNTIL(&w, w.opened == 1);
    static char chunk[8000];
    memset(chunk, 'z', sizeof(chunk));
    uint64_t queued = 0;
    for (unsigned i = 0; i < 100000 && w.closed == 0; i++) {
        world_send(&w, &w.opened_flow, chunk, sizeof(chunk));
        queued += sizeof(chunk);
        loop_run_once(w.loop, 0);
    }
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.closed_err, -ENOBUFS);
    assert_true(w.failed > 0);
    assert_true(queued - net_stats_get(w.net)->tx_stream_bytes <= 100000 + 2 * sizeof(chunk));
    close(fd);
    world_done(&w);
}

/* Partial writes: a slow but honest reader gets every byte in order. */
static void test_big_queue(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.conn_queue_bytes = 64u << 20});
    int fd = peer_connect(&w);
    UNTIL(&w, w.opened == 1);
    static char chunk[4001], back[300000];
    size_t total = 0, got = 0;
    for (unsigned i = 0; i < 3000; i++) {
        memset(chunk, (int)('a' + i % 26), sizeof(chunk));
        world_send(&w, &w.opened_flow, chunk, sizeof(chunk));
        total += sizeof(chunk);
    }
    uint64_t until = test_ms() + 20000;
    while (got < total && test_ms() < until) {
        loop_run_once(w.loop, 1);
        ssize_t n = recv(fd, back, sizeof(back), MSG_DONTWAIT);
        for (ssize_t i = 0; i < n; i++, got++)
            if (back[i] != (char)('a' + got / sizeof(chunk) % 26))
                fail_msg("byte %zu is out of order", got);
    }
    assert_int_equal(got, total);
    assert_int_equal(w.failed, 0);
    close(fd);
    world_done(&w);
}

/* Stale ids find nothing even after their places were used many times. */
static void test_stale_ids(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.max_conns = 2});
    uint32_t ids[40];
    for (unsigned i = 0; i < 40; i++) {
        int fd = peer_connect(&w);
        UNTIL(&w, w.opened == i + 1);
        ids[i] = w.opened_flow.conn;
        assert_int_not_equal(ids[i], 0);
        for (unsigned j = 0; j < i; j++) {
            assert_int_not_equal(ids[i], ids[j]);
            assert_false(net_alive(w.net, ids[j]));
        }
        close(fd);
        UNTIL(&w, w.closed == i + 1);
    }
    world_done(&w);
}

/* A client that sends, closes its half and reads the answer. */
static void test_half_close(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.conn_queue_bytes = 8u << 20});
    w.echo = true;
    int fd = peer_connect(&w);
    char msg[512], back[512];
    size_t n = message_build(msg, sizeof(msg), 1, 0);
    peer_send(fd, msg, n);
    shutdown(fd, SHUT_WR);
    bool eof;
    assert_int_equal(peer_read(&w, fd, back, n, &eof), n);
    assert_int_equal(peer_read(&w, fd, back, 1, &eof), 0);
    assert_true(eof);
    close(fd);
    /* Also when the answer is more than the socket holds. */
    static char big[5000000];
    fd = peer_connect(&w);
    UNTIL(&w, w.opened == 2);
    for (unsigned i = 0; i < 100; i++)
        world_send(&w, &w.opened_flow, big, 50000);
    shutdown(fd, SHUT_WR);
    world_turns(&w, 5);
    assert_int_equal(peer_read(&w, fd, big, sizeof(big), &eof), sizeof(big));
    assert_int_equal(peer_read(&w, fd, back, 1, &eof), 0);
    assert_true(eof);
    assert_int_equal(w.failed, 0);
    close(fd);
    world_done(&w);
}

static void test_ban_closes(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = peer_connect(&w);
    UNTIL(&w, w.opened == 1);
    struct addr self = loopback(0);
    assert_int_equal(net_ban(w.net, &self, USEC_NEVER), 0);
    UNTIL(&w, w.closed == 1);
    assert_int_equal(w.closed_err, -EACCES);
    int again = peer_connect(&w);
    UNTIL(&w, net_stats_get(w.net)->rx_banned == 1);
    assert_int_equal(w.opened, 1);
    close(again);
    close(fd);
    world_done(&w);
}

/* A connection as it is accepted from this address, over a pair of sockets. */
static struct conn *accepted_from(struct world *w, const char *from, int *far)
{
    int fd[2];
    struct flow flow = {.proto = PROTO_TCP, .listener = 1};
    assert_int_equal(addr_parse(&flow.peer, str_z(from), 5060), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    struct conn *c = conn_take(w->net, &flow, fd[0], false);
    *far = fd[1];
    if (!c)
        close(fd[0]);
    return c;
}

/* Whoever has one IPv6 address has its whole /64, and no more connections for that. */
static void test_source_is_a_network(void **state)
{
    struct world w;
    static const char *const from[] = {"2001:db8:0:1::1",
                                       "2001:db8:0:1:ffff::2",
                                       "2001:db8:0:1:1:2:3:4",
                                       "2001:db8:0:2::1",
                                       "192.0.2.1",
                                       "192.0.2.1",
                                       "192.0.2.2"};
    int far[7];
    world_init(&w, &(struct net_config){.max_conns_per_source = 2});
    for (unsigned i = 0; i < 7; i++) {
        struct conn *c = accepted_from(&w, from[i], &far[i]);
        if ((c == NULL) != (i == 2))
            fail_msg("%s", from[i]);
    }
    assert_int_equal(net_stats_get(w.net)->refused_source, 1);
    assert_int_equal(net_stats_get(w.net)->conns, 6);
    close(far[2]);
    close(far[0]); /* one goes, another one may come */
    LOOP_UNTIL(w.loop, net_stats_get(w.net)->conns == 5);
    assert_non_null(accepted_from(&w, from[2], &far[2]));
    for (unsigned i = 1; i < 7; i++)
        close(far[i]);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_bad_frame),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_idle_and_keep),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_reset_in_message),
        cmocka_unit_test(test_connect_and_reconnect),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_reuse_and_alias),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_big_queue),
        cmocka_unit_test(test_stale_ids),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_ban_closes),
        cmocka_unit_test(test_source_is_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
