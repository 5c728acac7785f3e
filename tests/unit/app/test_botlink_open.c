/* How conversations begin and end when there are many, when a host has several addresses, and when
 * memory is short. */
#define FIRST 28730
#include "app/botlink_int.h"
#include "bot_bed.h"
#include "../io/tls_certs.h"
#include <openssl/ssl.h>

/* ---- a name server, which has these addresses for every name --------------------------------- */

static const uint8_t hosts[] = {2, 3, 1}; /* 127.0.0.N */
static int names = -1;

static int names_open(void **state)
{
    static char where[64];
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    names = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(names, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(names, (struct sockaddr *)&sa, &n), 0);
    snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(sa.sin_port));
    bed_with.dns = where;
    return setup(state);
}

static int names_close(void **state)
{
    int left = teardown(state);
    close(names);
    bed_with.dns = NULL;
    return left;
}

/* Questions end behind their class; what comes behind them (EDNS) is left out. */
static void names_turn(void)
{
    uint8_t m[1024];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t n;
    while ((n = recvfrom(names, m, 512, 0, (struct sockaddr *)&from, &size)) > 16) {
        size_t at = 12;
        while (m[at])
            at += m[at] + 1u;
        bool a = m[at + 2] == 1;
        at += 5;
        m[2] = 0x81, m[3] = 0x80;
        memset(m + 6, 0, 6);
        m[7] = a ? sizeof(hosts) : 0;
        for (unsigned i = 0; a && i < sizeof(hosts); i++) {
            const uint8_t rr[] = {0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, hosts[i]};
            memcpy(m + at, rr, sizeof(rr));
            at += sizeof(rr);
        }
        (void)!sendto(names, m, at, 0, (struct sockaddr *)&from, size);
    }
}

static int bound(unsigned last, uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + last - 1);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

#define NAMED(cond) UNTIL((names_turn(), (cond)))

static void open_named(struct bed *b, uint32_t ms)
{
    char url[64];
    snprintf(url, sizeof(url), "ws://bot.test:%u/", b->peer.port);
    open_url(b, url, ms);
}

/* Nobody is at the first address, somebody who never answers at the second: the third has its turn
 * in time, and is the first to be asked when its connection breaks. */
static void test_the_third_address(void **state)
{
    struct bed *b = *state;
    int mute = bound(3, b->peer.port);
    uint64_t at = test_ms();
    open_named(b, 3000);
    NAMED(b->told[BOTLINK_EV_OPENED]);
    assert_in_range(test_ms() - at, 500, 3500);
    int asked = accept(mute, NULL, NULL);
    assert_true(asked >= 0);
    assert_int_equal(b->peer.connections, 1);
    tell(b, BOTLINK_START, 0);
    UNTIL(peer_heard(&b->peer, "\"event\":\"media\""));
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2 && peer_heard(&b->peer, "\"resumed\":\"1\""));
    assert_int_equal(accept(mute, NULL, NULL), -1);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_FAILED], 0);
    close(asked);
    close(mute);
}

/* All of them dead: it has failed once, and no later than had been agreed. */
static void test_no_address(void **state)
{
    struct bed *b = *state;
    int mute = bound(3, b->peer.port);
    uint64_t at = test_ms();
    b->peer.deaf = true;
    open_named(b, 600);
    NAMED(b->told[BOTLINK_EV_FAILED]);
    assert_in_range(test_ms() - at, 500, 1500);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_FAILED], 1);
    assert_int_equal(b->told[BOTLINK_EV_OPENED], 0);
    close(mute);
}

static void test_closed_while_the_host_is_asked_for(void **state)
{
    struct bed *b = *state;
    int first = bound(2, b->peer.port);
    open_named(b, 2000);
    tell(b, BOTLINK_CLOSE, 0);
    NAMED(b->told[BOTLINK_EV_CLOSED]);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 1);
    assert_int_equal(b->told[BOTLINK_EV_OPENED], 0);
    assert_int_equal(accept(first, NULL, NULL), -1); /* it takes a connection for a call */
    close(first);
}

/* ---- many -------------------------------------------------------------------------------------
 */

static void each(struct bed *b, enum botlink_cmd_kind kind, unsigned from, unsigned to)
{
    char url[64];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", b->peer.port);
    for (unsigned i = from; i < to; i++) {
        struct botlink_cmd c = {.kind = kind, .id = ID + i, .url = str_z(url), .open_ms = 10000};
        struct botlinks_auth none = {.token = STR("")};
        botlinks_cmd(b->links, &c, kind == BOTLINK_OPEN ? &none : NULL);
        if (i % 64 == 63)
            turn(b);
    }
}

static int many_setup(void **state)
{
    bed_with.max = 3000;
    return setup(state);
}

static int few_teardown(void **state)
{
    bed_with.max = 0;
    return teardown(state);
}

/* As many as the configuration allows: all at a time, each closed once; orders outnumber what waits
 * for the thread. */
static void test_as_many_as_wanted(void **state)
{
    struct bed *b = *state;
    close(b->peer.listener);
    b->peer.listener = -1;
    each(b, BOTLINK_OPEN, 0, 3000);
    UNTIL(b->told[BOTLINK_EV_FAILED] == 3000);
    assert_null(strstr(b->text, "too many"));
    each(b, BOTLINK_CLOSE, 0, 3000);
    UNTIL(b->told[BOTLINK_EV_CLOSED] == 3000);
}

static void test_one_too_many(void **state)
{
    struct bed *b = *state;
    b->peer.deaf = true;
    each(b, BOTLINK_OPEN, 0, 11);
    UNTIL(b->told[BOTLINK_EV_FAILED]);
    assert_string_equal(b->text, "too many bots at a time");
    each(b, BOTLINK_CLOSE, 10, 11);
    UNTIL(b->told[BOTLINK_EV_CLOSED] == 1);
    each(b, BOTLINK_CLOSE, 0, 10);
    UNTIL(b->told[BOTLINK_EV_CLOSED] == 11);
    assert_int_equal(b->told[BOTLINK_EV_FAILED], 1);
}

/* ---- over TLS --------------------------------------------------------------------------------
 */

/* Whose certificate nobody trusts: that is said, and of whom. */
static void test_a_certificate_of_its_own(void **state)
{
    struct bed *b = *state;
    struct cert own = cert_authority("localhost");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = NULL;
    char text[256];
    assert_int_equal(SSL_CTX_use_certificate(ctx, own.x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, own.key), 1);
    b->peer.deaf = true;
    snprintf(text, sizeof(text), "wss://127.0.0.1:%u/", b->peer.port);
    open_url(b, text, 5000);
    UNTIL(b->peer.fd >= 0);
    ssl = SSL_new(ctx);
    assert_int_equal(SSL_set_fd(ssl, b->peer.fd), 1);
    UNTIL((SSL_accept(ssl), b->told[BOTLINK_EV_FAILED]));
    snprintf(text, sizeof(text), "127.0.0.1:%u: its certificate is not accepted: self",
             b->peer.port);
    assert_int_equal(strncmp(b->text, text, strlen(text)), 0);
    end(b);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    cert_free(&own);
}

/* ---- without room ----------------------------------------------------------------------------
 */

/* Whose news nobody takes: what may be lost is, the end of a call is not. */
static void test_the_end_finds_room(void **state)
{
    struct bed *b = *state;
    while (bot_tell(b->links, BOTLINK_EV_NOTE, ID, STR("x"), NULL))
        ;
    assert_false(bot_tell(b->links, BOTLINK_EV_TRANSFER, ID, STR("1428"), NULL));
    assert_true(bot_tell(b->links, BOTLINK_EV_HANGUP, ID, STR("bye"), NULL));
    UNTIL(b->told[BOTLINK_EV_HANGUP]);
    assert_int_equal(b->told[BOTLINK_EV_TRANSFER], 0);
    assert_in_range(b->told[BOTLINK_EV_NOTE], 1000, 9000);
}

/* ---- without memory -------------------------------------------------------------------------- */

/* What ends a conversation needs none, also behind more orders than find room. */
static void test_closing_needs_no_memory(void **state)
{
    struct bed *b = *state;
    bot_open(b);
    UNTIL(b->told[BOTLINK_EV_OPENED]);
    for (unsigned i = 0; i < 5000; i++)
        tell(b, BOTLINK_DIGIT, '1');
    mem_fail_after(1);
    tell(b, BOTLINK_CLOSE, 0);
    mem_fail_after(0);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    assert_int_equal(b->told[BOTLINK_EV_LOST], 0);
}

#define CASE(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NAMES(f) cmocka_unit_test_setup_teardown(f, names_open, names_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NAMES(test_the_third_address),
        NAMES(test_no_address),
        NAMES(test_closed_while_the_host_is_asked_for),
        cmocka_unit_test_setup_teardown(test_as_many_as_wanted, many_setup, few_teardown),
        CASE(test_one_too_many),
        CASE(test_the_end_finds_room),
        CASE(test_a_certificate_of_its_own),
        CASE(test_closing_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
