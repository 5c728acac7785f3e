#include "io/hepio.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/sock.h"
#include "wire/hep/hep.h"

#define PACKET_MAX   65535 /* the length is a number of 16 bits */
#define TURN_PACKETS 256   /* of one turn of the loop, so that others get theirs */
#define RCVBUF_BYTES (8 << 20)
#define BACKLOG      64
#define AGAIN_MS     1000 /* after there was no descriptor for a connection */

struct hep_conn {
    struct hepio *h;
    struct loop_watch watch;
    int fd; /* -1: free */
    bool closing;
    struct addr from;
    usec_t last;
    size_t n;
    uint8_t *bytes; /* [PACKET_MAX] */
};

struct hepio {
    struct hepio_config cfg;
    struct loop *loop;
    struct loop_watch udp, tcp;
    struct loop_timer again;
    int udp_fd, tcp_fd;
    unsigned watches; /* that are not closed yet */
    bool closed;
    struct addr at;
    struct hepio_stats stats;
    struct hep_conn conn[HEPIO_CONNECTIONS];
    char bytes[PACKET_MAX + 1];
};

static void release(struct hepio *h)
{
    h->watches--;
    if (h->closed && !h->watches)
        mem_free(h);
}

/* ---- UDP ------------------------------------------------------------------------------------- */

/* The kernel counts what it drops, and says so with the next datagram (SO_RXQ_OVFL). */
static void drops_take(struct hepio *h, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        uint32_t n;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&n, CMSG_DATA(c), sizeof(n));
        h->stats.dropped = n;
    }
}

static void udp_ready(struct loop_watch *w, unsigned events)
{
    struct hepio *h = container_of(w, struct hepio, udp);
    if (events & LOOP_ERROR) {
        sock_error_take(h->udp_fd);
        loop_watch_set(w, LOOP_READ);
    }
    for (unsigned i = 0; i < TURN_PACKETS; i++) {
        union sock_addr peer;
        char control[CMSG_SPACE(sizeof(uint32_t))];
        struct iovec iov = {h->bytes, sizeof(h->bytes)};
        struct msghdr m = {.msg_name = &peer,
                           .msg_namelen = sizeof(peer),
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(h->udp_fd, &m, MSG_DONTWAIT);
        if (n < 0)
            return;
        struct addr from;
        sock_addr_parse(&from, &peer);
        drops_take(h, &m);
        h->stats.packets++;
        h->cfg.packet(h->cfg.ctx, &from, &h->at, str_of(h->bytes, (size_t)n));
    }
}

static void udp_closed(struct loop_watch *w)
{
    release(container_of(w, struct hepio, udp));
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void conn_closed(struct loop_watch *w)
{
    struct hep_conn *c = container_of(w, struct hep_conn, watch);
    struct hepio *h = c->h;
    c->closing = false;
    release(h);
}

static void conn_close(struct hep_conn *c)
{
    loop_watch_close(&c->watch);
    close(c->fd);
    mem_free(c->bytes);
    c->bytes = NULL;
    c->fd = -1;
    c->closing = true;
    c->h->stats.connections--;
}

/* False: the connection is gone. */
static bool packets_take(struct hep_conn *c)
{
    struct hepio *h = c->h;
    size_t at = 0;
    while (at < c->n) {
        int n = hep_length(c->bytes + at, c->n - at);
        if (n < 0) {
            h->stats.broken++;
            conn_close(c);
            return false;
        }
        if (n == 0 || (size_t)n > c->n - at)
            break;
        h->stats.packets++;
        h->cfg.packet(h->cfg.ctx, &c->from, &h->at, str_of((const char *)c->bytes + at, (size_t)n));
        at += (size_t)n;
    }
    memmove(c->bytes, c->bytes + at, c->n - at);
    c->n -= at;
    return true;
}

static void conn_ready(struct loop_watch *w, unsigned events)
{
    struct hep_conn *c = container_of(w, struct hep_conn, watch);
    if (events & LOOP_ERROR) {
        conn_close(c);
        return;
    }
    /* There is always room: a whole packet does not stay. */
    ssize_t n = recv(c->fd, c->bytes + c->n, PACKET_MAX - c->n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c);
        return;
    }
    c->last = loop_now(c->h->loop);
    c->n += (size_t)n;
    (void)packets_take(c);
}

static struct hep_conn *conn_free_one(struct hepio *h)
{
    for (unsigned i = 0; i < HEPIO_CONNECTIONS; i++)
        if (h->conn[i].fd < 0 && !h->conn[i].closing)
            return &h->conn[i];
    return NULL;
}

/* Its place is free only once the loop has confirmed that it is closed: who comes now is refused,
 * who comes again finds it. */
static void evict(struct hepio *h)
{
    struct hep_conn *oldest = NULL;
    for (unsigned i = 0; i < HEPIO_CONNECTIONS; i++)
        if (h->conn[i].fd >= 0 && (!oldest || h->conn[i].last < oldest->last))
            oldest = &h->conn[i];
    if (!oldest)
        return;
    h->stats.evicted++;
    conn_close(oldest);
}

static void conn_open(struct hepio *h, int fd, const struct addr *from)
{
    struct hep_conn *c = conn_free_one(h);
    uint8_t *bytes = c ? mem_alloc(PACKET_MAX) : NULL;
    if (!c)
        evict(h);
    if (bytes) {
        *c = (struct hep_conn){.h = h,
                               .fd = fd,
                               .from = *from,
                               .bytes = bytes,
                               .last = loop_now(h->loop),
                               .watch = {.ready = conn_ready, .closed = conn_closed}};
        if (loop_watch_open(h->loop, &c->watch, fd, LOOP_READ) == 0) {
            h->watches++;
            h->stats.connections++;
            return;
        }
        c->fd = -1;
        c->bytes = NULL;
    }
    mem_free(bytes);
    close(fd);
}

static void tcp_ready(struct loop_watch *w, unsigned events)
{
    struct hepio *h = container_of(w, struct hepio, tcp);
    if (events & LOOP_ERROR)
        loop_watch_set(w, LOOP_READ);
    for (unsigned i = 0; i < BACKLOG; i++) {
        union sock_addr peer;
        socklen_t n = sizeof(peer);
        int fd = accept4(h->tcp_fd, &peer.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            /* Readiness would call again at once: who waits is asked in later, and finds the
             * place of the connection that was silent longest. */
            loop_watch_set(w, 0);
            loop_timer_start(&h->again, AGAIN_MS, 0);
            evict(h);
        }
        if (fd < 0)
            return;
        struct addr from;
        sock_addr_parse(&from, &peer);
        conn_open(h, fd, &from);
    }
}

static void accept_again(struct loop_timer *t)
{
    struct hepio *h = container_of(t, struct hepio, again);
    loop_watch_set(&h->tcp, LOOP_READ);
}

static void again_closed(struct loop_timer *t)
{
    release(container_of(t, struct hepio, again));
}

static void tcp_closed(struct loop_watch *w)
{
    release(container_of(w, struct hepio, tcp));
}

/* ---------------------------------------------------------------------------------------------- */

static int udp_open(struct hepio *h)
{
    h->udp_fd = sock_open(&h->cfg.at, SOCK_DGRAM);
    if (h->udp_fd < 0)
        return h->udp_fd;
    if (sock_option(h->udp_fd, SOL_SOCKET, SO_RCVBUFFORCE, RCVBUF_BYTES))
        sock_option(h->udp_fd, SOL_SOCKET, SO_RCVBUF, RCVBUF_BYTES);
    sock_option(h->udp_fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    h->udp.ready = udp_ready;
    h->udp.closed = udp_closed;
    int err = sock_bound_get(h->udp_fd, &h->at);
    if (!err)
        err = loop_watch_open(h->loop, &h->udp, h->udp_fd, LOOP_READ);
    if (!err)
        h->watches++;
    return err;
}

static int tcp_open(struct hepio *h)
{
    h->tcp_fd = sock_open(&h->at, SOCK_STREAM); /* the same port */
    if (h->tcp_fd < 0)
        return h->tcp_fd;
    h->tcp.ready = tcp_ready;
    h->tcp.closed = tcp_closed;
    int err = listen(h->tcp_fd, BACKLOG) ? -errno : 0;
    if (!err)
        err = loop_watch_open(h->loop, &h->tcp, h->tcp_fd, LOOP_READ);
    if (!err)
        h->watches++;
    return err;
}

int hepio_open(struct hepio **ret, struct loop *loop, const struct hepio_config *cfg)
{
    struct hepio *h = mem_zero(sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->cfg = *cfg;
    h->loop = loop;
    h->udp_fd = h->tcp_fd = -1;
    h->again = (struct loop_timer){.fire = accept_again, .closed = again_closed};
    loop_timer_open(loop, &h->again);
    h->watches++;
    for (unsigned i = 0; i < HEPIO_CONNECTIONS; i++)
        h->conn[i].fd = -1;
    int err = udp_open(h);
    if (!err)
        err = tcp_open(h);
    if (err) {
        hepio_close(h);
        return err;
    }
    *ret = h;
    return 0;
}

void hepio_close(struct hepio *h)
{
    if (!h)
        return;
    h->closed = true;
    h->watches++; /* so that it stays until the end of this */
    for (unsigned i = 0; i < HEPIO_CONNECTIONS; i++)
        if (h->conn[i].fd >= 0)
            conn_close(&h->conn[i]);
    loop_timer_close(&h->again);
    if (h->udp.loop)
        loop_watch_close(&h->udp);
    if (h->tcp.loop)
        loop_watch_close(&h->tcp);
    if (h->udp_fd >= 0)
        close(h->udp_fd);
    if (h->tcp_fd >= 0)
        close(h->tcp_fd);
    release(h);
}

struct addr hepio_at(const struct hepio *h)
{
    return h->at;
}

struct hepio_stats hepio_stats_get(const struct hepio *h)
{
    return h->stats;
}
