/* A client of MRCPv2 servers (RFC 6787), pure: what is offered in SDP, the channels that are
 * agreed, their requests and events, and the control connections that they share. SIP, media and
 * sockets are somebody else's: src/mrcp/session.h joins it with a SIP core.
 *
 * In come answers, bytes of connections and the time; what is to be done waits in a queue for
 * mrcp_client_out(), which is drained after each input and each command. `now` never goes
 * backwards. Sessions and connections are named by handles; a stale one is harmless.
 *
 * A session: mrcp_session_open(), then mrcp_session_offer() into an INVITE, mrcp_session_answer()
 * with the SDP of its 2xx, MRCP_OUT_READY when all channels can be used, mrcp_request(). Channels
 * are added and removed by mrcp_session_add() or _remove(), another offer in a re-INVITE and its
 * answer, or mrcp_session_refused(). After MRCP_OUT_FAILED nothing more comes: RFC 6787 section 4.6
 * wants a BYE, and mrcp_session_close(). */
#ifndef ENGINE_MRCP_CLIENT_H
#define ENGINE_MRCP_CLIENT_H

#include "base/blob.h"
#include "base/timer.h"
#include "engine/mrcp/chan.h"
#include "wire/sdp/caps.h"

struct mrcp_client;

/* A zero takes the default in brackets. */
struct mrcp_client_conf {
    uint32_t max_sessions;      /* [1024] */
    uint32_t max_conns;         /* [1024] */
    uint32_t max_message_bytes; /* [MRCP_MAX_BYTES] of one message of a server */
    usec_t response_timeout;    /* [5 s] a request without a response fails its session */
    usec_t pending_timeout;     /* [30 s] likewise one that stays PENDING behind nothing */
    usec_t connect_timeout;     /* [5 s] */
    uint64_t seed;              /* of ids in SDP */
};

/* NULL: out of memory. */
struct mrcp_client *mrcp_client_new(const struct mrcp_client_conf *conf, usec_t now);
void mrcp_client_free(struct mrcp_client *c);

/* ---- outputs --------------------------------------------------------------------------------- */

enum mrcp_out_kind {
    MRCP_OUT_CONNECT,  /* open a TCP connection to `peer`, with TLS on it if `tls`; tell by
                          _connected() or _closed() */
    MRCP_OUT_SEND,     /* `blob` for `conn`; unref it */
    MRCP_OUT_CLOSE,    /* close `conn`: nobody uses it any more, and its handle is stale */
    MRCP_OUT_READY,    /* all channels of the last answer can be used */
    MRCP_OUT_REFUSED,  /* the server does not give this resource; the others go on */
    MRCP_OUT_RESPONSE, /* to a request; msg is the server's */
    MRCP_OUT_EVENT,    /* msg; with COMPLETE it is the last of its request */
    MRCP_OUT_STOPPED,  /* a request ended without an event, by STOP or BARGE-IN-OCCURRED */
    MRCP_OUT_FAILED    /* err: -ETIMEDOUT no response, -ETIME PENDING or a limit for too long,
                          -ECONNREFUSED, -ECONNRESET the connection, -EPROTO not MRCP */
};

struct mrcp_out {
    enum mrcp_out_kind kind;
    handle_t session, conn;
    uint64_t user;    /* the session's */
    struct addr peer; /* of CONNECT, */
    bool tls;         /* which is for the server of `session` */
    struct blob *blob;
    size_t bytes; /* of the message */
    enum mrcp_resource resource;
    enum mrcp_method method; /* of the request that this is about */
    uint64_t request_id;
    int err;
    bool last;                  /* nothing more comes of this request */
    const struct mrcp_msg *msg; /* until the next call of mrcp_client_out() */
};
bool mrcp_client_out(struct mrcp_client *c, struct mrcp_out *ret);

/* ---- inputs ---------------------------------------------------------------------------------- */

void mrcp_client_connected(struct mrcp_client *c, usec_t now, handle_t conn);
void mrcp_client_rx(struct mrcp_client *c, usec_t now, handle_t conn, struct str bytes);
/* It is gone, could not be made, or the server has closed its half: it is not used again. */
void mrcp_client_closed(struct mrcp_client *c, usec_t now, handle_t conn, int err);
void mrcp_client_tick(struct mrcp_client *c, usec_t now);
usec_t mrcp_client_deadline(const struct mrcp_client *c);

/* ---- sessions -------------------------------------------------------------------------------- */

#define MRCP_MAX_CODECS 8
struct mrcp_session_conf {
    uint64_t user;
    const enum mrcp_resource *resource; /* at least one, each once; not speakverify */
    unsigned n_resources;
    struct str server; /* sessions with the same text here may share connections */
    bool tls;          /* TCP/TLS/MRCPv2 is offered, and nothing less is taken (section 4.2) */
    bool share;        /* one connection for all channels, and for other sessions that share */
    struct addr rtp;   /* where we receive; its address is that of o= and c= too */
    const struct str *codec;
    unsigned n_codecs;
    uint32_t ptime_ms;
};
/* -EINVAL, -ENOSPC, -ENOMEM. Texts are copied. */
MUST_CHECK int mrcp_session_open(struct mrcp_client *c, usec_t now,
                                 const struct mrcp_session_conf *conf, handle_t *ret);
/* Part of the next offer. -EEXIST: there is one (section 4.2 allows one of a type); -ENOENT;
 * -EINVAL; -ENOSPC: its SDP has no room for more lines. */
MUST_CHECK int mrcp_session_add(struct mrcp_client *c, handle_t session, enum mrcp_resource r);
MUST_CHECK int mrcp_session_remove(struct mrcp_client *c, handle_t session, enum mrcp_resource r);
/* -ENOENT, -ENOBUFS. */
MUST_CHECK int mrcp_session_offer(struct mrcp_client *c, handle_t session, struct buf *b);
/* -EBADMSG: no answer to the offer; -ENOMSG: there is none; -EDESTADDRREQ: no address is in it
 * where one is needed, or a name (RFC 4566 section 5.7), which is not looked up; -EPROTOTYPE: TLS
 * was offered, and the server wants to do without; -ENOTSUP: it gives no resource at all. None
 * changes what there was, as mrcp_session_refused(). */
MUST_CHECK int mrcp_session_answer(struct mrcp_client *c, usec_t now, handle_t session,
                                   struct str sdp);
/* The INVITE or re-INVITE failed: what was to be added is not, what was to be removed stays. */
void mrcp_session_refused(struct mrcp_client *c, handle_t session);
/* Whether this codec is among those of its configuration, which are offered. */
bool mrcp_session_offers(const struct mrcp_client *c, handle_t session, struct str codec);
/* An offer of the server to which our own last offer is an answer: the same lines in the same order
 * (RFC 3264 section 6), every channel what it is, and audio in the directions that we have, as when
 * a session is refreshed (RFC 4028 section 7.4). */
bool mrcp_session_same(const struct mrcp_client *c, handle_t session, struct str sdp);
void mrcp_session_close(struct mrcp_client *c, usec_t now, handle_t session);

/* ---- requests -------------------------------------------------------------------------------- */

#define MRCP_MAX_REQUESTS 16 /* of a session without an end */

struct mrcp_ask {
    enum mrcp_resource resource;
    enum mrcp_method method;
    const struct mrcp_field *field;
    unsigned n_fields;
    struct str body;
    usec_t limit; /* how long it may go on at all; 0: as long as the server likes */
};
/* -ENOENT: no such channel; -ENOTCONN: not ready; -EPROTO: not valid in this state (402 would be
 * the answer); -ENOSPC: too many requests; -EINVAL; -EMSGSIZE; -ENOMEM. Ids strictly increase in a
 * session. START-OF-INPUT of a recognizer is answered by itself with BARGE-IN-OCCURRED, under its
 * Proxy-Sync-Id, while the synthesizer of the session has something to say (section 8.8). */
MUST_CHECK int mrcp_request(struct mrcp_client *c, usec_t now, handle_t session,
                            const struct mrcp_ask *ask, uint64_t *request_id);
/* -ENOENT. */
MUST_CHECK int mrcp_channel_state(const struct mrcp_client *c, handle_t session,
                                  enum mrcp_resource r, enum chan_state *ret);
/* A synthesizer has SPEAKs under way, or waiting; a recognizer RECOGNIZEs. */
unsigned mrcp_channel_busy(const struct mrcp_client *c, handle_t session, enum mrcp_resource r);

struct mrcp_client_stats {
    uint64_t tx_requests, rx_responses, rx_events, stray, malformed;
    uint64_t timeouts, connects, shared; /* channels that used a connection which was there */
    uint32_t sessions, conns;
};
void mrcp_client_stats(const struct mrcp_client *c, struct mrcp_client_stats *ret);

#endif
