/* What SIP servers send to a collector: HEP packets over UDP and TCP at one address. Peers are not
 * trusted: connections, what they may leave unfinished, and packets of a turn are bounded. */
#ifndef IO_HEPIO_H
#define IO_HEPIO_H

#include "base/addr.h"
#include "io/loop.h"

#define HEPIO_CONNECTIONS 64 /* beyond it, the one idle longest is closed */

struct hepio_config {
    struct addr at;
    /* One packet, which begins as HEP of version 3 does if it came over TCP; `to` is the address
     * that it came to. What they point to stays during the call. */
    void (*packet)(void *ctx, const struct addr *from, const struct addr *to, struct str bytes);
    void *ctx;
};

struct hepio_stats {
    uint64_t packets;
    uint64_t dropped;     /* datagrams that found no room in the socket */
    uint64_t broken;      /* connections that sent something else */
    uint64_t evicted;     /* connections that had to go for others */
    uint32_t connections; /* now */
};

struct hepio;

/* 0, -ENOMEM or what the system says. */
MUST_CHECK int hepio_open(struct hepio **ret, struct loop *loop, const struct hepio_config *cfg);
/* Accepts NULL. Its memory goes with the next loop_settle(). */
void hepio_close(struct hepio *h);
/* Where it listens; the port is chosen if the configuration has 0. */
struct addr hepio_at(const struct hepio *h);
struct hepio_stats hepio_stats_get(const struct hepio *h);

#endif
