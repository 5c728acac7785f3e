/* A TCP connection that we open, of plain bytes, on the wire perhaps inside of TLS: for protocols
 * which their owner frames. The end of the peer's half is the end of the connection, as nothing we
 * would still say could be answered. */
#ifndef IO_OUTCONN_H
#define IO_OUTCONN_H

#include "base/addr.h"
#include "base/str.h"
#include "io/loop.h"
#include "io/tls.h"

struct outconn;

/* All three must be set; none is called from inside a function of this interface. In any of them
 * outconn_close() may be called. */
struct outconn_hooks {
    void (*up)(void *ctx);
    void (*rx)(void *ctx, struct str bytes); /* valid during the call */
    void (*lost)(void *ctx, int err); /* 0: closed by the peer. outconn_close() is still due */
    void *ctx;
};

/* Bytes that the peer has not taken; beyond, the connection is lost with -ENOBUFS. */
#define OUTCONN_QUEUE_BYTES (4u << 20)

struct outconn_tls {
    struct tls_ctx *ctx;
    struct tls_target who;
};

/* Begins to connect; what goes wrong then comes by `lost`. -ENOMEM, or why no socket was to be had.
 */
MUST_CHECK int outconn_open(struct outconn **ret, struct loop *loop, const struct addr *to,
                            const struct outconn_hooks *hooks);
/* The same with TLS: it is up when the handshake is over and the peer has proved to be `who`, which
 * is copied. `tls` must outlive it. A handshake that fails, or goodbye without one, is -EPROTO. */
MUST_CHECK int outconn_open_tls(struct outconn **ret, struct loop *loop, const struct addr *to,
                                const struct outconn_tls *tls, const struct outconn_hooks *hooks);
/* Why TLS failed, in one line of words; none if it has not. */
struct str outconn_why(const struct outconn *c);
/* Copied, and sent as the peer takes it, also before it is up. */
void outconn_send(struct outconn *c, struct str bytes);
/* No hook is called any more; what the kernel has taken is still sent. The memory goes when the
 * loop has let go of it: loop_settle() waits for that. Accepts NULL. */
void outconn_close(struct outconn *c);

#endif
