/* A program under test on real loopback sockets: a loop, a net, what it received, and plain sockets
 * as its peers. Everything waits by turning the loop until a condition holds or a deadline passes.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <fcntl.h>

#include "io_test.h"

#include "base/mem.h"
#include "io/net.h"
#include "io/sock.h"

#define SEEN_MAX 4096

struct seen {
    struct flow flow;
    enum sip_verdict verdict;
    bool stream;
    char text[2048];
    size_t n;
};

struct world {
    struct loop *loop;
    struct net *net;
    struct blob_pool pool;
    struct flow_listener udp, tcp;
    struct seen last[16]; /* the last 16 messages */
    unsigned rx, opened, closed, failed, bounced;
    char bounced_text[64];
    uint64_t rx_bytes;
    struct flow opened_flow, closed_flow, failed_flow;
    const struct blob *failed_blob;
    int closed_err, failed_err;
    unsigned insecure;
    char insecure_why[200];
    unsigned unproven;
    char unproven_why[200];
    bool echo; /* answers each message with its own bytes */
};

static inline void world_send(struct world *w, const struct flow *to, const char *p, size_t n)
{
    struct blob *b = blob_copy(&w->pool, str_of(p, n));
    assert_non_null(b);
    net_send(w->net, to, b);
    blob_unref(b);
}

static inline void world_rx(void *ctx, usec_t now, const struct net_rx *rx)
{
    struct world *w = ctx;
    struct seen *s = &w->last[w->rx++ % 16];
    *s = (struct seen){.flow = rx->flow, .verdict = rx->verdict, .stream = rx->stream};
    s->n = rx->bytes.n;
    memcpy(s->text, rx->bytes.p, s->n < sizeof(s->text) ? s->n : sizeof(s->text));
    w->rx_bytes += rx->bytes.n;
    if (w->echo)
        world_send(w, &rx->flow, rx->bytes.p, rx->bytes.n);
}

static inline void world_opened(void *ctx, usec_t now, const struct flow *flow, bool ours)
{
    struct world *w = ctx;
    w->opened++;
    w->opened_flow = *flow;
}

static inline void world_closed(void *ctx, usec_t now, const struct flow *flow, int err)
{
    struct world *w = ctx;
    w->closed++;
    w->closed_flow = *flow;
    w->closed_err = err;
}

static inline void world_failed(void *ctx, usec_t now, const struct flow *to, const struct blob *b,
                                int err)
{
    struct world *w = ctx;
    w->failed++;
    w->failed_flow = *to;
    w->failed_blob = b;
    w->failed_err = err;
}

static inline void world_bounced(void *ctx, usec_t now, struct str bytes)
{
    struct world *w = ctx;
    w->bounced++;
    str_copy_z(w->bounced_text, sizeof(w->bounced_text), bytes);
}

static inline void world_insecure(void *ctx, usec_t now, const struct flow *flow, bool ours,
                                  struct str why)
{
    struct world *w = ctx;
    w->insecure++;
    str_copy_z(w->insecure_why, sizeof(w->insecure_why), why);
}

static inline void world_unproven(void *ctx, usec_t now, const struct flow *flow, struct str why)
{
    struct world *w = ctx;
    w->unproven++;
    str_copy_z(w->unproven_why, sizeof(w->unproven_why), why);
}

static inline void world_turn(void *ctx, usec_t now)
{
    net_flush(((struct world *)ctx)->net);
}

static inline struct addr loopback(uint16_t port)
{
    return (struct addr){.family = ADDR_V4, .port = port, .ip = {127, 0, 0, 1}};
}

static inline void world_init(struct world *w, const struct net_config *cfg)
{
    memset(w, 0, sizeof(*w));
    blob_pool_init(&w->pool, 0);
    assert_int_equal(loop_new(&w->loop), 0);
    struct net_hooks hooks = {world_rx,      world_opened,   world_closed,   world_failed,
                              world_bounced, world_insecure, world_unproven, w};
    assert_int_equal(net_new(&w->net, w->loop, cfg, &hooks), 0);
    struct loop_hooks turn = {.turn = world_turn, .ctx = w};
    loop_hooks_set(w->loop, &turn);
    w->udp = (struct flow_listener){.proto = PROTO_UDP, .bound = loopback(0)};
    w->tcp = (struct flow_listener){.proto = PROTO_TCP, .bound = loopback(0)};
    assert_int_equal(net_listen(w->net, 0, &w->udp), 0);
    assert_int_equal(net_listen(w->net, 1, &w->tcp), 0);
    assert_int_not_equal(w->udp.bound.port, 0);
    assert_int_not_equal(w->tcp.bound.port, 0);
}

static inline void world_done(struct world *w)
{
    struct loop_hooks none = {0};
    loop_hooks_set(w->loop, &none);
    net_free(w->net);
    loop_free(w->loop);
    blob_pool_done(&w->pool); /* aborts if a reference was kept */
}

#define UNTIL(w, cond) LOOP_UNTIL((w)->loop, cond)

/* Turns the loop a few times with no wait: what is there is taken, nothing more. */
static inline void world_turns(struct world *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        loop_run_once(w->loop, 1);
}

static inline int peer_connect(const struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    union sock_addr s;
    socklen_t n = sock_addr_build(&s, &w->tcp.bound);
    assert_int_equal(connect(fd, &s.sa, n), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void peer_send(int fd, const char *p, size_t n)
{
    assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Turns the loop until fd has given n bytes, or has ended; returns how many came. */
static inline size_t peer_read(struct world *w, int fd, char *out, size_t n, bool *eof)
{
    size_t got = 0;
    uint64_t until = test_ms() + 10000;
    *eof = false;
    while (got < n && !*eof && test_ms() < until) {
        loop_run_once(w->loop, 5);
        ssize_t r = recv(fd, out + got, n - got, MSG_DONTWAIT);
        *eof = r == 0 || (r < 0 && errno != EAGAIN);
        got += r > 0 ? (size_t)r : 0;
    }
    return got;
}

static inline size_t message_build(char *out, size_t cap, unsigned id, size_t body)
{
    int n = snprintf(out, cap,
                     "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\n"
                     "Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK%u\r\n"
                     "From: <sip:b@127.0.0.1>;tag=%u\r\nTo: <sip:a@127.0.0.1>\r\n"
                     "Call-ID: %u\r\nCSeq: 1 OPTIONS\r\nContent-Length: %zu\r\n\r\n",
                     id, id, id, body);
    assert_true((size_t)n + body < cap);
    memset(out + n, 'x', body);
    return (size_t)n + body;
}

#endif
