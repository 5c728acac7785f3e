#include "net_peer.h"

static int udp_peer(const struct world *w)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    union sock_addr s;
    socklen_t n = sock_addr_build(&s, &w->udp.bound);
    assert_int_equal(connect(fd, &s.sa, n), 0);
    return fd;
}

static void test_echo(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    w.echo = true;
    int fd = udp_peer(&w);
    char msg[1024], back[2048];
    size_t n = message_build(msg, sizeof(msg), 1, 0);
    peer_send(fd, msg, n);
    UNTIL(&w, w.rx == 1);
    assert_int_equal(w.last[0].flow.proto, PROTO_UDP);
    assert_int_equal(w.last[0].flow.conn, 0);
    assert_false(w.last[0].stream);
    struct addr self;
    assert_int_equal(sock_bound_get(fd, &self), 0);
    assert_true(addr_eq(&self, &w.last[0].flow.peer));
    bool eof;
    assert_int_equal(peer_read(&w, fd, back, n, &eof), n);
    assert_memory_equal(msg, back, n);
    const struct net_stats *st = net_stats_get(w.net);
    assert_int_equal(st->rx_packets, 1);
    assert_int_equal(st->tx_packets, 1);
    assert_int_equal(st->tx_bytes, n);
    /* Another peer in the same buffer: the answer goes to him. */
    int other = udp_peer(&w);
    peer_send(other, msg, n);
    assert_int_equal(peer_read(&w, other, back, n, &eof), n);
    assert_int_equal(recv(fd, back, 1, MSG_DONTWAIT), -1);
    close(other);
    close(fd);
    world_done(&w);
}

/* More than one batch in, more than one queue out, nothing allocated on the way. */
static void test_many(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    w.echo = true;
    int fd = udp_peer(&w);
    int size = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    char msg[1024], back[2048];
    unsigned sent = 0, got = 0;
    uint64_t requests = 0;
    for (unsigned round = 0; round < 8; round++) {
        if (round == 2)
            requests = mem_requests();
        for (unsigned i = 0; i < 500; i++, sent++) {
            size_t n = message_build(msg, sizeof(msg), sent, sent % 300);
            peer_send(fd, msg, n);
        }
        UNTIL(&w, w.rx == sent);
        while (recv(fd, back, sizeof(back), MSG_DONTWAIT) > 0)
            got++;
    }
    world_turns(&w, 2);
    while (recv(fd, back, sizeof(back), MSG_DONTWAIT) > 0)
        got++;
    assert_int_equal(got, sent);
    assert_int_equal(mem_requests(), requests);
    assert_int_equal(w.failed, 0);
    close(fd);
    world_done(&w);
}

static void test_sizes(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = udp_peer(&w);
    static char big[65507];
    memset(big, 'a', sizeof(big));
    peer_send(fd, big, sizeof(big));
    UNTIL(&w, w.rx == 1);
    assert_int_equal(w.last[0].n, sizeof(big));
    /* Keep-alives: empty, a zero byte, CRLFCRLF. */
    peer_send(fd, "", 0);
    peer_send(fd, "\0", 1);
    peer_send(fd, "\r\n\r\n", 4);
    UNTIL(&w, net_stats_get(w.net)->rx_short == 3);
    assert_int_equal(w.rx, 1);
    close(fd);
    world_done(&w);
}

/* A peer that is gone answers with ICMP; the socket goes on, for others too. */
static void test_icmp(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    w.echo = true;
    int gone = udp_peer(&w), fd = udp_peer(&w);
    struct flow to = {.proto = PROTO_UDP, .listener = 0};
    assert_int_equal(sock_bound_get(gone, &to.peer), 0);
    close(gone);
    for (unsigned i = 0; i < 5; i++) {
        world_send(&w, &to, "nobody is there", 15);
        world_turns(&w, 1);
    }
    /* What was sent comes back, so that its sender can be told. */
    UNTIL(&w, w.bounced == 5);
    assert_string_equal(w.bounced_text, "nobody is there");
    assert_int_equal(w.failed, 0);
    peer_send(fd, "OPTIONS sip:a SIP/2.0", 21);
    char back[64];
    bool eof;
    assert_int_equal(peer_read(&w, fd, back, 21, &eof), 21);
    close(fd);
    world_done(&w);
}

/* One unsendable message in the middle of a batch fails by itself. */
static void test_failed(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    int fd = udp_peer(&w);
    struct flow to = {.proto = PROTO_UDP, .listener = 0}, bad = to;
    assert_int_equal(sock_bound_get(fd, &to.peer), 0);
    bad.peer = (struct addr){.family = ADDR_V4, .port = 0, .ip = {127, 0, 0, 1}};
    struct blob *b = blob_copy(&w.pool, STR("a message that has no port"));
    world_send(&w, &to, "first", 5);
    net_send(w.net, &bad, b);
    world_send(&w, &to, "second", 6);
    UNTIL(&w, w.failed == 1);
    assert_ptr_equal(w.failed_blob, b);
    assert_int_equal(w.failed_err, -EINVAL);
    assert_int_equal(b->refs, 1);
    blob_unref(b);
    char back[64];
    bool eof;
    assert_int_equal(peer_read(&w, fd, back, 5, &eof), 5);
    assert_int_equal(peer_read(&w, fd, back, 6, &eof), 6);
    struct flow nowhere = {.proto = PROTO_UDP, .listener = 7, .peer = to.peer};
    world_send(&w, &nowhere, "x", 1);
    UNTIL(&w, w.failed == 2);
    assert_int_equal(w.failed_err, -EPROTONOSUPPORT);
    close(fd);
    world_done(&w);
}

static void test_ban(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){.max_bans = 4});
    int fd = udp_peer(&w);
    struct addr self = loopback(0);
    assert_int_equal(net_ban(w.net, &self, loop_now(w.loop) + 3600 * USEC_S), 0);
    assert_true(net_banned(w.net, &self));
    peer_send(fd, "OPTIONS sip:a SIP/2.0", 21);
    UNTIL(&w, net_stats_get(w.net)->rx_banned == 1);
    assert_int_equal(w.rx, 0);
    net_unban(w.net, &self);
    peer_send(fd, "OPTIONS sip:a SIP/2.0", 21);
    UNTIL(&w, w.rx == 1);
    /* One that has run out, seen at the next packet. */
    assert_int_equal(net_ban(w.net, &self, loop_now(w.loop)), 0);
    peer_send(fd, "OPTIONS sip:a SIP/2.0", 21);
    UNTIL(&w, w.rx == 2);
    /* The table is bounded; what has run out makes room. */
    struct addr other = {.family = ADDR_V4, .ip = {192, 0, 2, 1}};
    usec_t soon = loop_now(w.loop) + 3600 * USEC_S;
    for (unsigned i = 0; i < 4; i++, other.ip[3]++)
        assert_int_equal(net_ban(w.net, &other, i ? soon : 1), 0);
    assert_int_equal(net_ban(w.net, &other, soon), 0);
    other.ip[3]++;
    assert_int_equal(net_ban(w.net, &other, soon), -ENOSPC);
    assert_int_equal(net_stats_get(w.net)->bans, 4);
    close(fd);
    world_done(&w);
}

static void test_ban_v6_prefix(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    struct addr a, b, c;
    assert_int_equal(addr_parse(&a, STR("2001:db8:1:2::1"), 1), 0);
    assert_int_equal(addr_parse(&b, STR("2001:db8:1:2:ffff::9"), 2), 0);
    assert_int_equal(addr_parse(&c, STR("2001:db8:1:3::1"), 1), 0);
    assert_int_equal(net_ban(w.net, &a, USEC_NEVER), 0);
    assert_true(net_banned(w.net, &b));
    assert_false(net_banned(w.net, &c));
    world_done(&w);
}

static void test_v6(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    struct flow_listener six = {.proto = PROTO_UDP};
    assert_int_equal(addr_parse(&six.bound, STR("::1"), 0), 0);
    if (net_listen(w.net, 2, &six) == -EADDRNOTAVAIL) {
        world_done(&w);
        skip();
    }
    struct flow to = {.proto = PROTO_UDP, .listener = 2, .peer = six.bound};
    world_send(&w, &to, "OPTIONS sip:six SIP/2.0", 23);
    UNTIL(&w, w.rx == 1);
    assert_true(addr_eq(&w.last[0].flow.peer, &six.bound));
    assert_int_equal(w.last[0].flow.listener, 2);
    world_done(&w);
}

static void test_listen_errors(void **state)
{
    struct world w;
    world_init(&w, &(struct net_config){0});
    struct flow_listener again = {.proto = PROTO_UDP, .bound = w.udp.bound};
    assert_int_equal(net_listen(w.net, 3, &again), -EADDRINUSE);
    struct flow_listener foreign = {.proto = PROTO_TCP,
                                    .bound = {.family = ADDR_V4, .ip = {192, 0, 2, 1}}};
    assert_int_equal(net_listen(w.net, 3, &foreign), -EADDRNOTAVAIL);
    foreign.proto = PROTO_SCTP;
    assert_int_equal(net_listen(w.net, 3, &foreign), -EPROTONOSUPPORT);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),          cmocka_unit_test(test_many),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_icmp),
        cmocka_unit_test(test_failed),        cmocka_unit_test(test_ban),
        cmocka_unit_test(test_ban_v6_prefix), cmocka_unit_test(test_v6),
        cmocka_unit_test(test_listen_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
