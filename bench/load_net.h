/* UDP sockets of the load generators: what a turn sends leaves in one system call, what has come is
 * taken in one. */
#ifndef BENCH_LOAD_NET_H
#define BENCH_LOAD_NET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/buf.h"

#define LOAD_BATCH 64
#define LOAD_BYTES 4096

struct load_sock {
    int fd;
    uint16_t port;
    unsigned tx_n;
    struct sockaddr_in rx_from[LOAD_BATCH], tx_to[LOAD_BATCH];
    struct iovec rx_iov[LOAD_BATCH], tx_iov[LOAD_BATCH];
    struct mmsghdr rx[LOAD_BATCH], tx[LOAD_BATCH];
    char rx_mem[LOAD_BATCH][LOAD_BYTES], tx_mem[LOAD_BATCH][LOAD_BYTES];
};

/* A socket on 127.0.0.1; ends the program when the port is taken. */
struct load_sock *load_sock_open(uint16_t port);
/* Starts a message to `to`; load_sock_put() ends it. */
void load_sock_take(struct load_sock *s, const struct sockaddr_in *to, struct buf *b);
void load_sock_put(struct load_sock *s, const struct buf *b);
void load_sock_flush(struct load_sock *s);
/* Takes what is there into rx_mem; returns how many. */
unsigned load_sock_rx(struct load_sock *s);

static inline struct str load_sock_msg(const struct load_sock *s, unsigned i)
{
    return str_of(s->rx_mem[i], s->rx[i].msg_len);
}

#endif
