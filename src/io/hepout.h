/* HEP on its way out: packets for a capture server (Homer, or another one of ours), by UDP or TCP.
 * It never holds up its owner: what cannot leave at once waits in a bounded queue, what does not
 * fit is counted and gone, and a server that is not there is asked for again later and later. */
#ifndef IO_HEPOUT_H
#define IO_HEPOUT_H

#include "io/loop.h"
#include "wire/hep/hep.h"

#define HEPOUT_TEXT_MAX 128

struct hepout_config {
    struct addr to; /* family ADDR_NONE: to nobody */
    bool tcp;
    uint32_t node;   /* what we call ourselves there, by number */
    struct str name; /* and by name; none: not told */
    struct str key;  /* what we show to be let in; none: nothing. Both HEPOUT_TEXT_MAX at most */
    uint32_t queue_bytes;  /* 0: 4 MiB. The first configuration decides */
    uint32_t retry_ms;     /* 0: 1000, after the first failure; doubled each time */
    uint32_t retry_max_ms; /* 0: 60000 */
};

struct hepout_stats {
    uint64_t packets, bytes; /* handed to the network */
    uint64_t dropped;        /* no room in the queue, too long, or lost with a connection */
    uint64_t errors;         /* refused by the network; connections that failed or ended */
    uint32_t queued_bytes;   /* now */
    bool up;                 /* UDP: there is a socket; TCP: there is a connection */
};

struct hepout;

/* Of a connection: it has come (err 0), or the first attempts to have one have failed, or it has
 * gone (negative errno). Of UDP: there is no way to the server, or there is one again. Called by
 * the loop, or from inside hepout_flush(). */
typedef void hepout_changed_fn(void *ctx, int err);

/* `changed` may be NULL. */
MUST_CHECK int hepout_new(struct hepout **ret, struct loop *loop, const struct hepout_config *cfg,
                          hepout_changed_fn *changed, void *ctx);
/* From now on so. What waits for another server is dropped. Texts are copied. */
void hepout_set(struct hepout *h, const struct hepout_config *cfg);
/* Is anything sent? */
bool hepout_wanted(const struct hepout *h);
/* Queues a packet until hepout_flush(); node, name and key are filled in. */
void hepout_put(struct hepout *h, const struct hep *packet);
/* Hands the queue to the kernel, as far as it takes it. Call it at the end of the turn. */
void hepout_flush(struct hepout *h);
const struct hepout_stats *hepout_stats_get(struct hepout *h);
/* Not from inside a callback of the loop. Accepts NULL. */
void hepout_free(struct hepout *h);

#endif
