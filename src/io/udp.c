#include <errno.h>
#include <netinet/in.h>
#include <time.h> /* errqueue.h needs struct timespec */
#include <unistd.h>

#include <linux/errqueue.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/net_priv.h"

/* A keep-alive of a NAT (CRLF, a zero byte) is no message; the shortest start line is longer. */
#define SHORTEST 12
#define BOUNCES  64 /* entries of the error queue that are taken in one turn */

struct udp {
    struct mmsghdr rx[UDP_BATCH], tx[UDP_QUEUE];
    struct iovec rx_iov[UDP_BATCH], tx_iov[UDP_QUEUE];
    union sock_addr rx_from[UDP_BATCH], tx_to[UDP_QUEUE];
    struct blob *blob[UDP_QUEUE];
    struct flow to[UDP_QUEUE];
    unsigned tx_n;
    bool blocked; /* the socket buffer was full; wait for room */
    char *bufs;
};

static struct udp *udp_new(void)
{
    struct udp *u = mem_zero(sizeof(*u));
    if (!u)
        return NULL;
    u->bufs = mem_map((size_t)UDP_BUF_BYTES * UDP_BATCH);
    if (!u->bufs) {
        mem_free(u);
        return NULL;
    }
    for (unsigned i = 0; i < UDP_BATCH; i++) {
        u->rx_iov[i] = (struct iovec){u->bufs + (size_t)i * UDP_BUF_BYTES, 65536};
        u->rx[i].msg_hdr = (struct msghdr){.msg_name = &u->rx_from[i],
                                           .msg_namelen = sizeof(u->rx_from[i]),
                                           .msg_iov = &u->rx_iov[i],
                                           .msg_iovlen = 1};
    }
    for (unsigned i = 0; i < UDP_QUEUE; i++)
        u->tx[i].msg_hdr =
            (struct msghdr){.msg_name = &u->tx_to[i], .msg_iov = &u->tx_iov[i], .msg_iovlen = 1};
    return u;
}

static void udp_free(struct udp *u)
{
    if (!u)
        return;
    for (unsigned i = 0; i < u->tx_n; i++)
        blob_unref(u->blob[i]);
    mem_unmap(u->bufs, (size_t)UDP_BUF_BYTES * UDP_BATCH);
    mem_free(u);
}

static void rx_one(struct net_listener *l, usec_t now, unsigned i)
{
    struct net *net = l->net;
    struct udp *u = l->udp;
    struct net_rx rx = {.flow = {.proto = PROTO_UDP, .listener = l->index},
                        .bytes = str_of(u->rx_iov[i].iov_base, u->rx[i].msg_len)};
    sock_addr_parse(&rx.flow.peer, &u->rx_from[i]);
    net->stats.rx_packets++;
    net->stats.rx_bytes += rx.bytes.n;
    if (rx.bytes.n < SHORTEST)
        net->stats.rx_short++;
    else if (net->bans.count && net_banned(net, &rx.flow.peer))
        net->stats.rx_banned++;
    else
        net->hooks.rx(net->hooks.ctx, now, &rx);
}

static void udp_rx(struct net_listener *l)
{
    usec_t now = loop_now(l->net->loop);
    struct udp *u = l->udp;
    for (unsigned batch = 0; batch < UDP_BATCHES; batch++) {
        int n = recvmmsg(l->fd, u->rx, UDP_BATCH, MSG_DONTWAIT, NULL);
        /* Nothing there, or the echo of an ICMP message: neither is ours to act on. */
        if (n <= 0)
            return;
        for (unsigned i = 0; i < (unsigned)n; i++) {
            rx_one(l, now, i);
            u->rx[i].msg_hdr.msg_namelen = sizeof(u->rx_from[i]);
        }
        if (n < UDP_BATCH)
            return;
    }
}

/* One entry of the error queue, where IP_RECVERR puts what ICMP says; false: there is none. */
static bool take_bounced(struct net_listener *l)
{
    char bytes[1024], control[512];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(l->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct sock_extended_err e;
        bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
        if ((!v4 && !v6) || c->cmsg_len < CMSG_LEN(sizeof(e)))
            continue;
        memcpy(&e, CMSG_DATA(c), sizeof(e));
        bool gone = e.ee_errno == ECONNREFUSED || e.ee_errno == EHOSTUNREACH ||
                    e.ee_errno == ENETUNREACH || e.ee_errno == EACCES;
        bool icmp = e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6;
        if (gone && icmp && n > 0 && l->net->hooks.bounced)
            l->net->hooks.bounced(l->net->hooks.ctx, loop_now(l->net->loop),
                                  str_of(bytes, (size_t)n));
    }
    return true;
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct net_listener *l = container_of(w, struct net_listener, watch);
    if (events & LOOP_ERROR) {
        for (unsigned i = 0; i < BOUNCES && take_bounced(l); i++)
            ;
        sock_error_take(l->fd);
        loop_watch_set(w, LOOP_READ | (l->udp->blocked ? LOOP_WRITE : 0));
        return;
    }
    if (events & LOOP_WRITE) {
        l->udp->blocked = false;
        loop_watch_set(w, LOOP_READ);
        udp_flush(l);
    }
    if (events & LOOP_READ)
        udp_rx(l);
}

int udp_open(struct net_listener *l)
{
    int fd = sock_open(&l->at.bound, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    int size = (int)l->net->cfg.rcvbuf_bytes;
    if (sock_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, size))
        sock_option(fd, SOL_SOCKET, SO_RCVBUF, size);
    if (sock_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, size))
        sock_option(fd, SOL_SOCKET, SO_SNDBUF, size);
    /* Without it an ICMP message is not told apart from nothing. */
    if (l->at.bound.family == ADDR_V6)
        sock_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    else
        sock_option(fd, IPPROTO_IP, IP_RECVERR, 1);
    l->udp = udp_new();
    l->watch.ready = on_ready;
    int err = l->udp ? loop_watch_open(l->net->loop, &l->watch, fd, LOOP_READ) : -ENOMEM;
    if (err) {
        udp_free(l->udp);
        l->udp = NULL;
        close(fd);
        return err;
    }
    l->fd = fd;
    return 0;
}

void udp_close(struct net_listener *l)
{
    loop_watch_close(&l->watch);
    close(l->fd);
    udp_free(l->udp);
    l->udp = NULL;
}

/* Forgets the first n of the queue. */
static void queue_shift(struct udp *u, unsigned n)
{
    if (n == 0)
        return;
    u->tx_n -= n;
    for (unsigned i = 0; i < u->tx_n; i++) {
        u->blob[i] = u->blob[i + n];
        u->to[i] = u->to[i + n];
        u->tx_iov[i] = u->tx_iov[i + n];
        u->tx_to[i] = u->tx_to[i + n];
        u->tx[i].msg_hdr.msg_namelen = u->tx[i + n].msg_hdr.msg_namelen;
    }
}

static bool is_full(int err)
{
    return err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS || err == ENOMEM;
}

/* Sends from index `at` on. How many are settled, sent or refused; 0: the socket is full. */
static unsigned send_some(struct net_listener *l, unsigned at)
{
    struct udp *u = l->udp;
    struct net_stats *stats = &l->net->stats;
    int n = sendmmsg(l->fd, u->tx + at, u->tx_n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* The first error may be the echo of an ICMP message about another datagram. */
    if (n < 0 && !is_full(errno))
        n = sendmmsg(l->fd, u->tx + at, u->tx_n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && is_full(errno))
        return 0;
    if (n <= 0) {
        /* sendmmsg() tells the error of the first one only, so one is taken out and it goes on. */
        stats->tx_errors++;
        net_failed_put(l->net, &u->to[at], u->blob[at], -errno);
        blob_unref(u->blob[at]);
        return 1;
    }
    for (unsigned i = at; i < at + (unsigned)n; i++) {
        stats->tx_bytes += u->blob[i]->n;
        blob_unref(u->blob[i]);
    }
    stats->tx_packets += (unsigned)n;
    return (unsigned)n;
}

void udp_flush(struct net_listener *l)
{
    struct udp *u = l->udp;
    unsigned done = 0;
    while (done < u->tx_n && !u->blocked) {
        unsigned n = send_some(l, done);
        done += n;
        if (n == 0) {
            u->blocked = true;
            loop_watch_set(&l->watch, LOOP_READ | LOOP_WRITE);
        }
    }
    queue_shift(u, done);
}

void udp_send(struct net_listener *l, const struct flow *to, struct blob *b)
{
    struct udp *u = l->udp;
    if (u->tx_n == UDP_QUEUE)
        udp_flush(l);
    if (u->tx_n == UDP_QUEUE) {
        l->net->stats.tx_dropped++;
        net_failed_put(l->net, to, b, -ENOBUFS);
        return;
    }
    unsigned i = u->tx_n++;
    u->blob[i] = blob_ref(b);
    u->to[i] = *to;
    u->tx_iov[i] = (struct iovec){b->data, b->n};
    u->tx[i].msg_hdr.msg_namelen = sock_addr_build(&u->tx_to[i], &to->peer);
}
