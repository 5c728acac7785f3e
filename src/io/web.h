/* WebSocket connections that we open (RFC 6455), or plain TCP, and a small HTTP server, both by
 * libwebsockets, in a thread of their own: the library's loop cannot be shared. The owner lives in
 * that thread too: its callbacks run there, and it reaches others by mailboxes whose descriptors
 * this thread watches. Peers are not trusted: what they send has limits, and so has what they leave
 * waiting. */
#ifndef IO_WEB_H
#define IO_WEB_H

#include "base/assert.h"
#include "base/buf.h"
#include "base/timer.h"

#define WEB_MAX_FDS     4
#define WEB_SLOT_BYTES  1024 /* a message of ours above it is kept on the heap */
#define WEB_MAX_SLOTS   160  /* messages of ours that wait on a connection, */
#define WEB_MAX_LOSABLE 64   /* and those among them that may be dropped */
#define WEB_BODY_BYTES  16384
#define WEB_HTTP_MOST   64 /* connections to the HTTP server at a time */
#define WEB_REPLY_BYTES 4096
#define WEB_WHY_BYTES   160

struct web;
struct web_ws;

struct web_request {
    bool post;
    struct str path, query, authorization, body;
    unsigned fault; /* it could not be read: 411, the body has no length; 413, all of it is too
                       long; 0: it was */
};

/* Called in the thread. Texts live during the call. */
struct web_ops {
    /* Descriptor `which` of the configuration is readable. */
    void (*ready)(void *ctx, unsigned which);
    void (*opened)(void *ctx, void *user);
    void (*message)(void *ctx, void *user, bool is_text, struct str bytes);
    /* The last of a connection, whether it was ever open or not; ws is gone. `code` is the peer's
     * (RFC 6455 section 7.4), 1005: it gave none, 0: it did not say good-bye. */
    void (*closed)(void *ctx, void *user, unsigned code, struct str why);
    /* The reply is JSON; returns its status: that of r->fault, if there is one. */
    unsigned (*request)(void *ctx, const struct web_request *r, struct buf *reply);
    void *ctx;
};

struct web_conf {
    int fd[WEB_MAX_FDS];
    unsigned n_fds;
    const char *ca_file; /* PEM, of who may certify servers; NULL: the system's */
    const char *http_ip; /* where HTTP is served; NULL: nowhere */
    uint16_t http_port;  /* 0: any */
    uint32_t ping_s;     /* a silent connection is pinged so often, and given up after twice that,
                            as is a raw one that takes nothing; 0: 20 */
    struct web_ops ops;
};

struct web_ws_conf {
    bool raw; /* no WebSocket: TCP, or TLS, and what comes is bytes in pieces of any length */
    bool tls;
    const char *host; /* name or address, verified where tls */
    uint16_t port;
    const char *path;   /* with its query */
    const char *ip;     /* that the host has; NULL: the host is one */
    const char *header; /* one more field of the request; NULL: none */
    const char *value;
    uint32_t open_ms;     /* until it is open */
    uint32_t max_message; /* bytes that the peer may send as one message; not of raw */
    void *user;
};

struct web_ws_figures {
    uint64_t rx_bytes, tx_bytes; /* of messages */
    uint32_t dropped;            /* messages of ours that the peer did not take in time */
};

/* 0, -EADDRINUSE (http) or another negative errno. */
MUST_CHECK int web_start(struct web **ret, const struct web_conf *conf);
/* Where HTTP is served; 0: nowhere. */
uint16_t web_http_port(const struct web *w);
/* Closes all connections, without a word to their owner, and ends the thread. Accepts NULL. */
void web_stop(struct web *w);

/* ---- in the thread only -----------------------------------------------------------------------
 */

/* 0: `opened` or `closed` follows, though not before this returns; -ENOMEM. */
MUST_CHECK int web_ws_open(struct web *w, const struct web_ws_conf *c, struct web_ws **ret);
enum web_send { WEB_TEXT = 1, WEB_BINARY = 2, WEB_MAY_DROP = 4 };
/* Sends a message, or keeps it until it can. Where too many wait the oldest with WEB_MAY_DROP goes.
 * 0, -ENOBUFS: none may go; -ENOMEM; -ENOTCONN: not open, or closing. */
MUST_CHECK int web_ws_send(struct web_ws *c, struct str bytes, unsigned flags);
/* What waits is sent, then the connection is closed with this code; `closed` follows. */
void web_ws_close(struct web_ws *c, unsigned code);
struct web_ws_figures web_ws_figures(const struct web_ws *c);
/* Monotonic. */
usec_t web_now(void);

#endif
