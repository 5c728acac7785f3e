/* The control socket: a unix stream socket on which `ringdown ctl` and the operator's programs ask
 * in lines (JSON-RPC 2.0, one object a line) and get one line each in return. What the lines mean
 * is the owner's affair. */
#ifndef IO_CTL_H
#define IO_CTL_H

#include "base/buf.h"
#include "io/loop.h"

#define CTL_MAX_LINE  65536u
#define CTL_MAX_REPLY (4u << 20)

struct ctl_config {
    const char *path;     /* at most 107 bytes */
    uint32_t max_clients; /* 0: 16 */
    uint32_t stall_ms;    /* 0: 10000; half a line, or a reply that is not read, ends the client */
    /* Writes the reply to `line` (no line end in either) into `reply`, which holds CTL_MAX_REPLY
     * bytes; writes nothing when there is no reply. If reply->full is set afterwards the client
     * gets an error object instead. */
    void (*request)(void *ctx, struct str line, struct buf *reply);
    void *ctx;
};

struct ctl;

/* Makes the socket, mode 0660, in place of one that nobody serves any more. -EADDRINUSE: somebody
 * does. */
MUST_CHECK int ctl_new(struct ctl **ret, struct loop *loop, const struct ctl_config *cfg);
/* Removes the socket. Not from inside a callback. Accepts NULL. */
void ctl_free(struct ctl *ctl);

#endif
