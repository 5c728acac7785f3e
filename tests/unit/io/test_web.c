/* Connections without a WebSocket on them: bytes both ways, the end, and a peer that takes nothing.
 * And the HTTP server: which bodies it reads, and what it says of the others. */
#include "io_test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/web.h"

struct bed {
    struct web *web;
    struct web_ws *ws; /* of the thread */
    int bell, listener, fd;
    uint16_t port;
    _Atomic unsigned opened, closed, bytes;
    _Atomic bool end; /* it is to be closed */
    unsigned lines;   /* of 1000 bytes that are sent when it is open */
    char why[WEB_WHY_BYTES];
};

static void on_ready(void *ctx, unsigned which)
{
    struct bed *b = ctx;
    uint64_t n;
    (void)which;
    assert_int_equal(read(b->bell, &n, sizeof(n)), sizeof(n));
    struct web_ws_conf c = {
        .raw = true, .host = "127.0.0.1", .port = b->port, .path = "/", .open_ms = 2000, .user = b};
    if (atomic_load(&b->end))
        web_ws_close(b->ws, 0);
    else
        assert_int_equal(web_ws_open(b->web, &c, &b->ws), 0);
}

static void on_opened(void *ctx, void *user)
{
    struct bed *b = user;
    static const char line[1000];
    (void)ctx;
    for (unsigned i = 0; i < b->lines; i++)
        (void)!web_ws_send(b->ws, str_of(line, sizeof(line)), WEB_BINARY | WEB_MAY_DROP);
    atomic_fetch_add(&b->opened, 1);
}

static void on_message(void *ctx, void *user, bool is_text, struct str bytes)
{
    struct bed *b = user;
    (void)ctx;
    assert_false(is_text);
    atomic_fetch_add(&b->bytes, (unsigned)bytes.n);
}

static void on_closed(void *ctx, void *user, unsigned code, struct str why)
{
    struct bed *b = user;
    (void)ctx, (void)code;
    str_copy_z(b->why, sizeof(b->why), why);
    atomic_fetch_add(&b->closed, 1);
}

static void ring(struct bed *b)
{
    uint64_t one = 1;
    assert_int_equal(write(b->bell, &one, sizeof(one)), sizeof(one));
}

#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        uint64_t until_ms = test_ms() + 10000;                                                     \
        while (!(cond)) {                                                                          \
            poll(NULL, 0, 5);                                                                      \
            if (test_ms() > until_ms)                                                              \
                fail_msg("timed out waiting for: %s", #cond);                                      \
        }                                                                                          \
    } while (0)

/* Its window is as small as can be. */
static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    int small = 2048;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    b->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(b->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(bind(b->listener, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(listen(b->listener, 1), 0);
    assert_int_equal(getsockname(b->listener, (struct sockaddr *)&sa, &n), 0);
    b->port = ntohs(sa.sin_port);
    b->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct web_conf c = {.fd = {b->bell},
                         .n_fds = 1,
                         .ping_s = 1,
                         .ops = {.ready = on_ready,
                                 .opened = on_opened,
                                 .message = on_message,
                                 .closed = on_closed,
                                 .ctx = b}};
    assert_int_equal(web_start(&b->web, &c), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    web_stop(b->web);
    close(b->fd);
    close(b->listener);
    close(b->bell);
    mem_free(b);
    return mem_live() != 0;
}

static void begin(struct bed *b, unsigned lines)
{
    b->lines = lines;
    ring(b);
    b->fd = accept(b->listener, NULL, NULL);
    assert_true(b->fd >= 0);
    UNTIL(atomic_load(&b->opened) == 1);
}

/* All that was sent before the end arrives, and what arrives is told as it comes. */
static void test_bytes_both_ways(void **state)
{
    struct bed *b = *state;
    char mem[4096];
    size_t got = 0;
    begin(b, 20);
    assert_int_equal(send(b->fd, mem, 3000, MSG_NOSIGNAL), 3000);
    UNTIL(atomic_load(&b->bytes) == 3000);
    atomic_store(&b->end, true);
    ring(b);
    for (ssize_t n; (n = recv(b->fd, mem, sizeof(mem), 0)) > 0;)
        got += (size_t)n;
    assert_int_equal(got, 20 * 1000);
    UNTIL(atomic_load(&b->closed) == 1);
    assert_string_equal(b->why, "closed");
}

static void test_the_peer_ends(void **state)
{
    struct bed *b = *state;
    begin(b, 0);
    assert_int_equal(shutdown(b->fd, SHUT_RDWR), 0);
    UNTIL(atomic_load(&b->closed) == 1);
    assert_string_equal(b->why, "the connection broke");
}

/* It takes nothing any more, and does not say so: after twice the time of a ping it is given up. */
static void test_the_peer_takes_nothing(void **state)
{
    struct bed *b = *state;
    uint64_t at = test_ms();
    begin(b, 64);
    UNTIL(atomic_load(&b->closed) == 1);
    assert_in_range(test_ms() - at, 1000, 8000);
}

/* ---- the HTTP server ------------------------------------------------------------------------ */

/* Tells what it was given. */
static unsigned on_request(void *ctx, const struct web_request *r, struct buf *reply)
{
    (void)ctx;
    buf_printf(reply, "%s %zu of %.*s", r->post ? "post" : "other", r->body.n,
               (int)(r->body.n < 64 ? r->body.n : 64), r->body.n ? r->body.p : "");
    return r->fault ? r->fault : 200;
}

static int http_setup(void **state)
{
    static const struct web_conf c = {.http_ip = "127.0.0.1", .ops = {.request = on_request}};
    struct web *w;
    assert_int_equal(web_start(&w, &c), 0);
    *state = w;
    return 0;
}

static int http_teardown(void **state)
{
    web_stop(*state);
    return mem_live() != 0;
}

static int http_open(struct web *w)
{
    struct timeval most = {.tv_sec = 3}; /* the library itself gives up after 5 s */
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(web_http_port(w))};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static void http_put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until `want` has come. */
static void http_wants(int fd, const char *want)
{
    char got[4096] = "";
    size_t n = 0;
    while (!strstr(got, want)) {
        ssize_t more = recv(fd, got + n, sizeof(got) - 1 - n, 0);
        if (more <= 0)
            fail_msg("waited for \"%s\", got \"%s\"", want, got);
        n += (size_t)more;
    }
}

static void http_ended(int fd)
{
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 0);
    close(fd);
}

#define POST "POST /x HTTP/1.1\r\nHost: a\r\n"

static void test_bodies_with_a_length(void **state)
{
    int fd = http_open(*state);
    http_put(fd, POST "Content-Length: 0\r\n\r\n");
    http_wants(fd, "post 0 of ");
    http_put(fd, POST "Content-Length: 3\r\n\r\nabc");
    http_wants(fd, "post 3 of abc");
    http_put(fd, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    http_wants(fd, "other 0 of ");
    http_put(fd, POST "Content-Length: 2\r\n\r\nde");
    http_wants(fd, "post 2 of de");
    close(fd);
}

/* RFC 9110 section 10.1.1. */
static void test_a_body_that_waits_to_be_asked_for(void **state)
{
    int fd = http_open(*state);
    http_put(fd, POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    http_wants(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    http_put(fd, "abc");
    http_wants(fd, "post 3 of abc");
    close(fd);
}

/* RFC 9112 section 6.3: that is none. */
static void test_a_body_without_a_length(void **state)
{
    int fd = http_open(*state);
    http_put(fd, POST "\r\n");
    http_wants(fd, "post 0 of ");
    http_ended(fd);
}

static void test_a_body_in_chunks(void **state)
{
    int fd = http_open(*state);
    http_put(fd, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    http_wants(fd, "HTTP/1.1 411");
    close(fd);
}

static void test_a_body_that_is_too_long(void **state)
{
    static char body[WEB_BODY_BYTES + 2];
    char head[128];
    int fd = http_open(*state);
    memset(body, 'a', sizeof(body) - 1);
    snprintf(head, sizeof(head), POST "Content-Length: %zu\r\n\r\n", sizeof(body) - 1);
    http_put(fd, head);
    http_put(fd, body);
    http_wants(fd, "HTTP/1.1 413");
    close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define H(f) cmocka_unit_test_setup_teardown(f, http_setup, http_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_bytes_both_ways),
        T(test_the_peer_ends),
        T(test_the_peer_takes_nothing),
        H(test_bodies_with_a_length),
        H(test_a_body_that_waits_to_be_asked_for),
        H(test_a_body_without_a_length),
        H(test_a_body_in_chunks),
        H(test_a_body_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
