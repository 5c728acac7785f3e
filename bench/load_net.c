#include "load_net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKET_BYTES (32 << 20)

static void headers_init(struct load_sock *s)
{
    for (unsigned i = 0; i < LOAD_BATCH; i++) {
        s->rx_iov[i] = (struct iovec){s->rx_mem[i], LOAD_BYTES};
        s->tx_iov[i] = (struct iovec){s->tx_mem[i], 0};
        s->rx[i].msg_hdr = (struct msghdr){.msg_name = &s->rx_from[i],
                                           .msg_namelen = sizeof(s->rx_from[i]),
                                           .msg_iov = &s->rx_iov[i],
                                           .msg_iovlen = 1};
        s->tx[i].msg_hdr = (struct msghdr){.msg_name = &s->tx_to[i],
                                           .msg_namelen = sizeof(s->tx_to[i]),
                                           .msg_iov = &s->tx_iov[i],
                                           .msg_iovlen = 1};
    }
}

struct load_sock *load_sock_open(uint16_t port)
{
    struct load_sock *s = calloc(1, sizeof(*s));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int bytes = SOCKET_BYTES;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!s || fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at))) {
        fprintf(stderr, "sipload: port %u: ", port);
        perror(NULL);
        exit(1);
    }
    /* Bounds of the system can be passed by root only; the plain option does what is allowed. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    s->fd = fd;
    s->port = port;
    headers_init(s);
    return s;
}

void load_sock_take(struct load_sock *s, const struct sockaddr_in *to, struct buf *b)
{
    if (s->tx_n == LOAD_BATCH)
        load_sock_flush(s);
    s->tx_to[s->tx_n] = *to;
    buf_init(b, s->tx_mem[s->tx_n], LOAD_BYTES);
}

void load_sock_put(struct load_sock *s, const struct buf *b)
{
    if (b->full)
        return;
    s->tx_iov[s->tx_n++].iov_len = b->n;
}

void load_sock_flush(struct load_sock *s)
{
    unsigned at = 0;
    while (at < s->tx_n) {
        int n = sendmmsg(s->fd, s->tx + at, s->tx_n - at, 0);
        if (n > 0) {
            at += (unsigned)n;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = s->fd, .events = POLLOUT};
            poll(&p, 1, 10);
        } else {
            at++; /* a refused datagram shows as a failed operation */
        }
    }
    s->tx_n = 0;
}

unsigned load_sock_rx(struct load_sock *s)
{
    int n = recvmmsg(s->fd, s->rx, LOAD_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        s->rx[i].msg_hdr.msg_namelen = sizeof(s->rx_from[i]);
    return n > 0 ? (unsigned)n : 0;
}
