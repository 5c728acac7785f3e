/* SIP's connections over TLS, on loopback: messages pass, who is not who it should be gets none,
 * and who does not get through the handshake costs little. */
#include "net_peer.h"
#include "tls_certs.h"

#include "io/net_priv.h"

static char dir[64], ca_file[100];
static struct cert ca, stranger;
static const struct cert *signer = &ca; /* of the next side */

/* What a side wants of clients. */
enum clients { TAKEN, ASKED, DEMANDED };

static int begin(void **state)
{
    test_dir_make(dir);
    snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", dir);
    ca = cert_authority("Test authority");
    stranger = cert_authority("Somebody else");
    cert_write(&ca, ca_file, NULL);
    return 0;
}

static int end(void **state)
{
    cert_free(&ca);
    cert_free(&stranger);
    test_dir_remove(dir);
    return 0;
}

/* One side: a net with a TLS listener, whose certificate is for `host`. */
struct side {
    struct world w;
    struct tls_ctx *tls;
    struct flow_listener at;
};

static void side_open(struct side *s, const char *host, const struct net_config *cfg,
                      enum clients clients)
{
    char cert_file[100], key_file[100], names[100], mem[300];
    struct buf why;
    snprintf(cert_file, sizeof(cert_file), "%s/%s.pem", dir, host);
    snprintf(key_file, sizeof(key_file), "%s/%s.key", dir, host);
    snprintf(names, sizeof(names), "DNS:%s", host);
    struct cert c = cert_for(names, signer);
    cert_write(&c, cert_file, key_file);
    cert_free(&c);
    struct tls_config tls = {.certificate = cert_file,
                             .private_key = key_file,
                             .ca = ca_file,
                             .verify_peer = true,
                             .verify_client = clients == DEMANDED,
                             .ask_client = clients == ASKED};
    buf_init(&why, mem, sizeof(mem));
    assert_int_equal(tls_ctx_new(&s->tls, &tls, &why), 0);
    world_init(&s->w, cfg);
    s->at = (struct flow_listener){.proto = PROTO_TLS, .bound = loopback(0)};
    assert_int_equal(net_listen(s->w.net, 2, &s->at), -EPROTONOSUPPORT);
    net_tls_set(s->w.net, s->tls);
    assert_int_equal(net_listen(s->w.net, 2, &s->at), 0);
}

static void side_close(struct side *s)
{
    world_done(&s->w);
    tls_ctx_free(s->tls);
}

static void party(struct side *s, uint16_t number, const char *host)
{
    struct tls_target who = {.host = str_z(host)};
    assert_int_equal(net_party_set(s->w.net, number, &who), 0);
}

static void say(struct side *s, const struct addr *to, uint16_t number, unsigned id, size_t body)
{
    static char msg[70000];
    size_t n = message_build(msg, sizeof(msg), id, body);
    struct flow flow = {.proto = PROTO_TLS, .listener = 2, .party = number, .peer = *to};
    world_send(&s->w, &flow, msg, n);
    net_flush(s->w.net);
}

/* Turns both loops until cond holds. */
#define BOTH(a, b, cond)                                                                           \
    do {                                                                                           \
        uint64_t both_at = test_ms() + 10000;                                                      \
        while (!(cond)) {                                                                          \
            loop_run_once((a)->w.loop, 1);                                                         \
            loop_run_once((b)->w.loop, 1);                                                         \
            if (test_ms() > both_at)                                                               \
                fail_msg("timed out waiting for: %s", #cond);                                      \
        }                                                                                          \
    } while (0)

static void test_messages(void **state)
{
    struct side a, b;
    side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, TAKEN);
    party(&a, 1, "b.test");
    b.w.echo = true;
    for (unsigned i = 0; i < 20; i++) /* what waits for the handshake goes on one connection */
        say(&a, &b.at.bound, 1, i, i * 1000);
    BOTH(&a, &b, a.w.rx == 20);
    assert_int_equal(b.w.rx, 20);
    assert_int_equal(a.w.rx_bytes, b.w.rx_bytes);
    assert_int_equal(b.w.opened, 1);
    assert_int_equal(b.w.opened_flow.proto, PROTO_TLS);
    const struct net_stats *stats = net_stats_get(b.w.net);
    assert_int_equal(stats->tls_up, 1);
    assert_int_equal(stats->handshakes, 0);
    assert_int_equal(stats->tls_conns, 1);
    assert_int_equal(net_stats_get(a.w.net)->tls_conns, 1);
    assert_true(stats->rx_stream_bytes > b.w.rx_bytes); /* there is more on the wire than is said */
    say(&a, &b.at.bound, 1, 99, 10);
    BOTH(&a, &b, a.w.rx == 21);
    assert_int_equal(b.w.opened, 1);
    /* A goodbye, and then the session is resumed. */
    net_close(a.w.net, a.w.opened_flow.conn);
    BOTH(&a, &b, a.w.closed == 1 && b.w.closed == 1);
    assert_int_equal(a.w.closed_err, 0);
    assert_int_equal(b.w.closed_err, 0);
    assert_int_equal(stats->tls_conns, 0);
    say(&a, &b.at.bound, 1, 100, 10);
    BOTH(&a, &b, a.w.rx == 22);
    assert_int_equal(stats->tls_resumed, 1);
    side_close(&a);
    side_close(&b);
}

/* RFC 5922 7.3: who is not who was asked for gets nothing, and the sender is told. */
static void test_wrong_name(void **state)
{
    struct side a, b;
    side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, TAKEN);
    party(&a, 1, "c.test");
    party(&a, 2, "b.test");
    say(&a, &b.at.bound, 1, 1, 10);
    BOTH(&a, &b, a.w.failed == 1 && b.w.insecure == 1);
    assert_int_equal(a.w.failed_err, -EPROTO);
    assert_string_equal(a.w.insecure_why, "its certificate is not for c.test");
    assert_memory_equal(b.w.insecure_why, "it refuses: ", 12);
    assert_int_equal(net_stats_get(a.w.net)->tls_failed[TLS_FAILED_CERTIFICATE], 1);
    assert_int_equal(net_stats_get(b.w.net)->tls_failed[TLS_FAILED_REFUSED], 1);
    assert_int_equal(b.w.rx, 0);
    assert_int_equal(a.w.opened + b.w.opened, 0);
    /* Without a name it is the address that must be in the certificate. */
    say(&a, &b.at.bound, 0, 1, 10);
    BOTH(&a, &b, a.w.failed == 2);
    assert_string_equal(a.w.insecure_why, "its certificate is not for 127.0.0.1");
    /* A connection to one party is not that to another one at the same address. */
    say(&a, &b.at.bound, 2, 1, 10);
    BOTH(&a, &b, b.w.rx == 1);
    say(&a, &b.at.bound, 1, 1, 10);
    BOTH(&a, &b, a.w.failed == 3);
    assert_int_equal(b.w.rx, 1);
    side_close(&a);
    side_close(&b);
}

/* RFC 5923: a connection that the peer has opened carries our requests, if its certificate is that
 * of whom they are for. */
static void test_reuse(void **state)
{
    struct side a, b;
    side_open(&a, "a.test", &(struct net_config){0}, DEMANDED);
    side_open(&b, "b.test", &(struct net_config){0}, DEMANDED);
    party(&a, 1, "b.test");
    party(&b, 1, "a.test");
    party(&b, 2, "c.test");
    say(&a, &b.at.bound, 1, 1, 10);
    BOTH(&a, &b, b.w.rx == 1);
    net_alias(b.w.net, b.w.opened_flow.conn, &a.at.bound);
    say(&b, &a.at.bound, 1, 2, 10);
    BOTH(&a, &b, a.w.rx == 1);
    assert_int_equal(net_stats_get(b.w.net)->connected, 0);
    assert_int_equal(a.w.last[0].flow.conn, a.w.opened_flow.conn);
    /* The certificate is not for c.test, so there must be a connection to c.test, and it fails. */
    say(&b, &a.at.bound, 2, 3, 10);
    BOTH(&a, &b, b.w.failed == 1);
    assert_string_equal(b.w.insecure_why, "its certificate is not for c.test");
    assert_int_equal(a.w.rx, 1);
    side_close(&a);
    side_close(&b);
}

/* Without a certificate of the client nothing is known of who opened it: a request for somebody
 * goes over a new connection. */
static void test_no_reuse(void **state)
{
    struct side a, b;
    side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, TAKEN);
    party(&a, 1, "b.test");
    party(&b, 1, "a.test");
    say(&a, &b.at.bound, 1, 1, 10);
    BOTH(&a, &b, b.w.rx == 1);
    net_alias(b.w.net, b.w.opened_flow.conn, &a.at.bound);
    say(&b, &a.at.bound, 1, 2, 10);
    BOTH(&a, &b, a.w.rx == 1);
    assert_int_equal(net_stats_get(b.w.net)->connected, 1);
    side_close(&a);
    side_close(&b);
}

/* ---- who connects, by its certificate ----------------------------------------------------------
 */

static void client_is(struct side *s, uint16_t number, const char *name)
{
    struct tls_target who = {.host = str_z(name)};
    assert_int_equal(net_client_set(s->w.net, number, &who), 0);
}

static unsigned heard_from(struct side *a, struct side *b)
{
    unsigned before = b->w.rx;
    say(a, &b->at.bound, 1, before, 10);
    BOTH(a, b, b->w.rx == before + 1);
    return b->w.last[before % 16].flow.party;
}

static void test_client(void **state)
{
    struct side a, b;
    side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, ASKED);
    party(&a, 1, "b.test");
    struct tls_target who = {.host = STR("x")};
    assert_int_equal(net_client_set(b.w.net, 0, &who), -EINVAL);
    assert_int_equal(heard_from(&a, &b), 0);
    party(&b, 3, "a.test"); /* those who are connected to are another matter */
    client_is(&b, 5, "other.test");
    assert_int_equal(heard_from(&a, &b), 0);
    client_is(&b, 9, "a.test");
    assert_int_equal(heard_from(&a, &b), 9);
    client_is(&b, 7, "A.Test");
    assert_int_equal(heard_from(&a, &b), 7); /* the same connection, looked at again */
    assert_int_equal(b.w.opened, 1);
    client_is(&b, 7, "");
    assert_int_equal(heard_from(&a, &b), 9);
    party(&b, 9, "a.test");
    assert_int_equal(heard_from(&a, &b), 0);
    assert_int_equal(b.w.unproven, 0);
    side_close(&a);
    side_close(&b);
}

/* Where there are pins, name and authority alone will not do. */
static void test_client_pinned(void **state)
{
    struct side a, b;
    char cert_file[100];
    struct tls_pin pin[2] = {{{1}}};
    struct tls_target who = {.host = STR("a.test"), .pin = pin};
    side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, ASKED);
    party(&a, 1, "b.test");
    snprintf(cert_file, sizeof(cert_file), "%s/a.test.pem", dir);
    FILE *f = fopen(cert_file, "r");
    assert_non_null(f);
    struct cert cert = {.x509 = PEM_read_X509(f, NULL, NULL, NULL)};
    fclose(f);
    cert.key = X509_get_pubkey(cert.x509);
    cert_key_hash(&cert, pin[1].sha256);
    cert_free(&cert);
    for (who.n_pins = 0; who.n_pins < 3; who.n_pins++) {
        assert_int_equal(net_client_set(b.w.net, 7, &who), 0);
        assert_int_equal(heard_from(&a, &b), who.n_pins == 1 ? 0 : 7);
    }
    who.host = STR("other.test"); /* nor does the key alone */
    who.n_pins = 2;
    assert_int_equal(net_client_set(b.w.net, 7, &who), 0);
    assert_int_equal(heard_from(&a, &b), 0);
    side_close(&a);
    side_close(&b);
}

/* Who shows a certificate that holds, and is nobody by it, is told of once, with what it is for. */
static void test_client_stranger(void **state)
{
    struct tls_pin pin = {{1}};
    struct tls_target pinned = {.host = STR("a.test"), .pin = &pin, .n_pins = 1};
    for (unsigned i = 0; i < 4; i++) {
        struct side a, b;
        side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
        side_open(&b, "b.test", &(struct net_config){0}, i == 3 ? DEMANDED : ASKED);
        party(&a, 1, "b.test");
        if (i < 2)
            client_is(&b, 7, i ? "a.test" : "other.test");
        else if (i == 2)
            assert_int_equal(net_client_set(b.w.net, 7, &pinned), 0);
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(heard_from(&a, &b), i == 1 ? 7 : 0);
        assert_int_equal(b.w.opened, 1);
        assert_int_equal(b.w.unproven, i == 0 || i == 2); /* a phone's is nobody's business */
        if (i == 0)
            assert_string_equal(b.w.unproven_why, "it is for a.test");
        if (i == 2)
            assert_string_equal(b.w.unproven_why, "its key is none of those pinned");
        assert_int_equal(a.w.unproven, 0);
        side_close(&a);
        side_close(&b);
    }
}

/* Whom we have connected to is no client: not even where the number, under which that was done, is
 * by now the number of one. */
static void test_number_of_a_client(void **state)
{
    struct side a, b;
    char msg[2000];
    side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, TAKEN);
    party(&a, 1, "b.test");
    say(&a, &b.at.bound, 1, 1, 10);
    BOTH(&a, &b, b.w.rx == 1);
    for (unsigned i = 0; i < 2; i++) {
        size_t n = message_build(msg, sizeof(msg), i, 10);
        world_send(&b.w, &b.w.last[0].flow, msg, n);
        net_flush(b.w.net);
        BOTH(&a, &b, a.w.rx == i + 1);
        assert_int_equal(a.w.last[i].flow.conn, a.w.opened_flow.conn);
        assert_int_equal(a.w.last[i].flow.party, i ? 0 : 1);
        client_is(&a, 1, "gold.test");
    }
    side_close(&a);
    side_close(&b);
}

/* Who shows what does not hold is served as nobody, and one who is not asked is nobody. */
static void test_no_client(void **state)
{
    struct side a, b;
    for (unsigned i = 0; i < 2; i++) {
        signer = i ? &ca : &stranger;
        side_open(&a, "a.test", &(struct net_config){0}, TAKEN);
        signer = &ca;
        side_open(&b, "b.test", &(struct net_config){0}, i ? TAKEN : ASKED);
        party(&a, 1, "b.test");
        client_is(&b, 7, "a.test");
        assert_int_equal(heard_from(&a, &b), 0);
        assert_int_equal(b.w.unproven, !i);
        if (!i)
            assert_string_equal(b.w.unproven_why, "its certificate is of an unknown authority");
        side_close(&a);
        side_close(&b);
    }
}

static int plain_connect(const struct side *s)
{
    struct world at = {.tcp = s->at};
    return peer_connect(&at);
}

static void test_silent(void **state)
{
    struct side b;
    side_open(&b, "b.test", &(struct net_config){.handshake_ms = 100}, TAKEN);
    int fd = plain_connect(&b);
    LOOP_UNTIL(b.w.loop, net_stats_get(b.w.net)->handshakes == 1);
    uint64_t from = test_ms();
    LOOP_UNTIL(b.w.loop, net_stats_get(b.w.net)->conns == 0);
    assert_true(test_ms() - from < 5000);
    assert_int_equal(net_stats_get(b.w.net)->closed_slow, 1);
    assert_int_equal(net_stats_get(b.w.net)->tls_failed[NET_TLS_SLOW], 1);
    assert_int_equal(net_stats_get(b.w.net)->handshakes, 0);
    assert_int_equal(b.w.opened + b.w.closed, 0); /* it never was one */
    close(fd);
    side_close(&b);
}

static void test_handshake_limit(void **state)
{
    struct side b;
    struct net_config cfg = {.max_handshakes_per_source = 3};
    int fd[4];
    side_open(&b, "b.test", &cfg, TAKEN);
    for (unsigned i = 0; i < 4; i++)
        fd[i] = plain_connect(&b);
    LOOP_UNTIL(b.w.loop, net_stats_get(b.w.net)->refused_handshakes == 1);
    assert_int_equal(net_stats_get(b.w.net)->handshakes, 3);
    for (unsigned i = 0; i < 4; i++)
        close(fd[i]);
    LOOP_UNTIL(b.w.loop, net_stats_get(b.w.net)->conns == 0);
    assert_int_equal(net_stats_get(b.w.net)->tls_failed[NET_TLS_GONE], 3);
    fd[0] = plain_connect(&b);
    LOOP_UNTIL(b.w.loop, net_stats_get(b.w.net)->handshakes == 1);
    close(fd[0]);
    side_close(&b);
}

static void test_plain(void **state)
{
    struct side b;
    char msg[1000];
    side_open(&b, "b.test", &(struct net_config){0}, TAKEN);
    int fd = plain_connect(&b);
    peer_send(fd, msg, message_build(msg, sizeof(msg), 1, 10));
    LOOP_UNTIL(b.w.loop, b.w.insecure == 1);
    assert_string_equal(b.w.insecure_why, "it does not speak TLS");
    assert_int_equal(b.w.rx, 0);
    assert_int_equal(net_stats_get(b.w.net)->tls_failed[TLS_FAILED_PROTOCOL], 1);
    close(fd);
    side_close(&b);
}

static bool wants_room(SSL *ssl, int ret)
{
    return ret <= 0 && SSL_get_error(ssl, ret) == SSL_ERROR_WANT_WRITE;
}

/* OpenSSL answers each KeyUpdate that asks for one, by itself: what waits of that to be read counts
 * like answers of ours, and who does not read is not asked for more. */
static void test_replies_of_tls_are_bounded(void **state)
{
    struct side b;
    struct net_config cfg = {.conn_queue_bytes = 16384};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    side_open(&b, "b.test", &cfg, TAKEN);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), small = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    union sock_addr to;
    socklen_t n = sock_addr_build(&to, &b.at.bound);
    assert_true(connect(fd, &to.sa, n) == 0 || errno == EINPROGRESS);
    SSL_set_fd(ssl, fd);
    LOOP_UNTIL(b.w.loop, SSL_connect(ssl) == 1);
    LOOP_UNTIL(b.w.loop, b.w.opened == 1);
    int server = conn_find(b.w.net, b.w.opened_flow.conn)->fd; /* so that little is enough */
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    unsigned idle = 0, asked = 0;
    while (idle < 200) {
        if (SSL_get_key_update_type(ssl) == SSL_KEY_UPDATE_NONE)
            SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
        int ret = SSL_do_handshake(ssl);
        bool stuck = wants_room(ssl, ret);
        assert_true(stuck || ret == 1);
        idle = stuck ? idle + 1 : 0;
        asked += !stuck;
        if (stuck)
            loop_run_once(b.w.loop, 0);
        assert_true(asked < 100000); /* it reads for ever, and keeps its answers */
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    side_close(&b);
}

/* A peer that takes nothing more is cut off, not waited for. */
static void test_stalled(void **state)
{
    struct side a, b;
    struct net_config cfg = {.conn_queue_bytes = 100000, .message_ms = 200};
    side_open(&a, "a.test", &cfg, TAKEN);
    side_open(&b, "b.test", &(struct net_config){0}, TAKEN);
    party(&a, 1, "b.test");
    say(&a, &b.at.bound, 1, 1, 10);
    BOTH(&a, &b, b.w.rx == 1);
    uint64_t until = test_ms() + 10000;
    for (unsigned i = 0; a.w.closed == 0; i++) {
        if (net_alive(a.w.net, a.w.opened_flow.conn) && i < 2000)
            say(&a, &b.at.bound, 1, i, 60000);
        loop_run_once(a.w.loop, 1); /* b never turns */
        assert_true(test_ms() < until);
    }
    assert_true(a.w.closed_err == -ENOBUFS || a.w.closed_err == -ETIMEDOUT);
    side_close(&a);
    side_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_wrong_name),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_no_reuse),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_handshake_limit),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_no_client),
        cmocka_unit_test(test_client_pinned),
        cmocka_unit_test(test_client_stranger),
        cmocka_unit_test(test_number_of_a_client),
        cmocka_unit_test(test_replies_of_tls_are_bounded),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
