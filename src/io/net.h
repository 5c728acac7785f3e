/* SIP's transports: UDP in batches, TCP connections with limits. The owner receives messages by
 * callback and sends blobs; what is sent during a turn leaves in one batch at net_flush(). No
 * callback is ever made from inside a function of this interface. */
#ifndef IO_NET_H
#define IO_NET_H

#include "base/flow.h"
#include "io/loop.h"
#include "io/tls.h"
#include "wire/sip/frame.h"

/* One message as it arrived. The bytes are valid during the callback only. */
struct net_rx {
    struct flow flow; /* send the answer to this */
    struct str bytes;
    enum sip_verdict verdict; /* not SIP_OK: the stream cannot be cut into messages any more. These
                               * are its last bytes; the connection closes when the answer, if one
                               * is sent in this turn, is out. */
    bool stream;
};

/* Each but `rx` may be NULL. */
struct net_hooks {
    void (*rx)(void *ctx, usec_t now, const struct net_rx *rx);
    /* A connection is usable; flow.conn names it. `ours`: we asked for it. */
    void (*opened)(void *ctx, usec_t now, const struct flow *flow, bool ours);
    /* It is gone; flow.conn finds nothing from now on. err: 0 orderly, or a negative errno:
     * -ETIMEDOUT idle or slow, -EPROTO unframeable, -ENOBUFS the peer does not read, ... */
    void (*closed)(void *ctx, usec_t now, const struct flow *flow, int err);
    /* `b` could not be handed to the network for `to`; once for each message. -ENOTCONN: the
     * connection named by to->conn is gone. */
    void (*failed)(void *ctx, usec_t now, const struct flow *to, const struct blob *b, int err);
    /* A datagram of ours could not be delivered, says a host on the way; the first bytes of it come
     * back. They may be forged: who has not seen the datagram cannot know them. */
    void (*bounced)(void *ctx, usec_t now, struct str bytes);
    /* A handshake of TLS has failed, for the reason in `why`, one line. What waited for it is told
     * by `failed` as well. */
    void (*insecure)(void *ctx, usec_t now, const struct flow *flow, bool ours, struct str why);
    /* A client that need not show a certificate has shown one that does not hold, or one that is
     * that of no client's we know, for the reason in `why`: it is served, as one who has shown
     * none. */
    void (*unproven)(void *ctx, usec_t now, const struct flow *flow, struct str why);
    void *ctx;
};

/* 0 in any field: the default behind it. */
struct net_config {
    uint32_t max_conns;            /* 8192; at most NET_MAX_CONNS */
    uint32_t max_conns_per_source; /* 1024 connections accepted from one address */
    uint32_t max_bans;             /* 65536 addresses */
    uint32_t connect_ms;           /* 4000 until a connection must stand */
    uint32_t message_ms;           /* 30000 from the first byte of a message to its last, until the
                                    * first message of a connection, and until a peer reads on */
    uint32_t handshake_ms;         /* 8000 for the handshake of TLS */
    uint32_t max_handshakes_per_source; /* 32 that peers with one address have begun */
    uint32_t max_handshakes;            /* 1024 that peers have begun */
    uint32_t idle_ms;                   /* 600000 without a complete message either way */
    uint32_t conn_queue_bytes;          /* 262144 waiting to be read by one peer */
    uint32_t max_message_bytes;         /* 65535 */
    uint32_t rcvbuf_bytes;              /* 8 MiB of socket buffer for UDP */
    uint64_t seed;                      /* of the hashes of peer addresses; random */
};

#define NET_MAX_CONNS 65536u

/* What else a handshake fails for, beside enum tls_failure. */
enum {
    NET_TLS_SLOW = TLS_FAILURES, /* it took longer than it may */
    NET_TLS_GONE,                /* the peer hung up, or its address was banned */
    NET_TLS_FAILURES
};

struct net_stats {
    uint64_t rx_packets, rx_bytes; /* UDP datagrams */
    uint64_t tx_packets, tx_bytes;
    uint64_t rx_messages, rx_stream_bytes; /* stream transports */
    uint64_t tx_messages, tx_stream_bytes;
    uint64_t rx_banned;  /* datagrams and connections of banned sources */
    uint64_t rx_short;   /* datagrams too short to be anything: keep-alives */
    uint64_t rx_pings;   /* double CRLFs answered, RFC 5626 4.4.1 */
    uint64_t rx_bad;     /* streams that could not be framed */
    uint64_t tx_dropped; /* no room for it, or its connection is gone */
    uint64_t tx_errors;  /* refused by the kernel */
    uint64_t accepted, connected, connect_failed;
    uint64_t refused_full, refused_source; /* connections refused by a limit */
    uint64_t
        refused_handshakes; /* connections refused because too many handshakes were under way */
    uint64_t closed_idle, closed_slow, closed_stalled;
    uint64_t tls_up, tls_resumed;          /* handshakes; resumed: of those that are up */
    uint64_t tls_failed[NET_TLS_FAILURES]; /* by enum tls_failure and the two below it */
    uint32_t conns, bans, handshakes;      /* now; handshakes: that peers have begun */
    uint32_t tls_conns;                    /* now, with the handshake behind them */
};

#define NET_MAX_PARTIES 4096u

struct net;

/* The seed of `cfg` should be random. 0 or a negative errno. */
MUST_CHECK int net_new(struct net **ret, struct loop *loop, const struct net_config *cfg,
                       const struct net_hooks *hooks);
/* Closes everything. Not from inside a callback. Accepts NULL. */
void net_free(struct net *net);

/* Opens listener number `index` (< FLOW_MAX_LISTENERS) on l->bound; port 0 takes a free port.
 * l->proto is PROTO_UDP, PROTO_TCP or, after net_tls_set(), PROTO_TLS; l->bound gets the port, and
 * l->advertised too where its port is 0. Negative errno: nothing changed. */
MUST_CHECK int net_listen(struct net *net, uint8_t index, struct flow_listener *l);

/* TLS is spoken with the files of this; the owner's, and it must outlive net. */
void net_tls_set(struct net *net, struct tls_ctx *tls);
/* Flows with this party (1 to NET_MAX_PARTIES - 1) are for `who`: RFC 5922 section 7.3 compares the
 * name that one began with, which an address does not show. No host: forgotten. Connections that
 * there are carry what is for it only if their peer has proved to be it. 0, -EINVAL or -ENOMEM. */
MUST_CHECK int net_party_set(struct net *net, uint16_t party, const struct tls_target *who);

/* Messages on connections that peers have opened over TLS with a certificate that holds and is for
 * who->host (RFC 5922 section 7), with one of its keys if there are any, carry this party in their
 * flow: the lowest, where several fit. No host: forgotten. The numbers are those of
 * net_party_set(). 0, -EINVAL or -ENOMEM. */
MUST_CHECK int net_client_set(struct net *net, uint16_t party, const struct tls_target *who);

/* Queues b until net_flush(); takes a reference of its own. What goes wrong is told by `failed`,
 * in a later turn. For streams with to->conn 0 a live connection with to->peer is used (also one
 * the peer opened or net_alias() named), else one is made. */
void net_send(struct net *net, const struct flow *to, struct blob *b);
/* Hands the queues to the kernel. Call it at the end of the turn. */
void net_flush(struct net *net);

/* A second address by which this connection may be found for sending: the sent-by of its Via with
 * the alias parameter (RFC 5923 section 4), once the owner has reason to believe it. One each;
 * a new one replaces it. Over TLS its certificate must cover who is sent to, too. Does nothing for
 * a stale connection. */
void net_alias(struct net *net, uint32_t conn, const struct addr *alias);
/* Exempt from the idle limit (it carries a registration), or not any more. */
void net_keep(struct net *net, uint32_t conn, bool keep);
/* Closes the connection after what is queued. */
void net_close(struct net *net, uint32_t conn);
bool net_alive(const struct net *net, uint32_t conn);
/* Our end of a flow: of its connection (without flow->conn: of one with its peer), or what its
 * listener is bound to, which may be 0.0.0.0. -ENOTCONN: there is none. */
MUST_CHECK int net_local_get(const struct net *net, const struct flow *flow, struct addr *ret);

/* Drops what comes from this source (IPv6: from its /64) unseen until then. -ENOSPC when the table
 * is full of bans that last longer. Live connections from there close. */
MUST_CHECK int net_ban(struct net *net, const struct addr *source, usec_t until);
void net_unban(struct net *net, const struct addr *source);
bool net_banned(struct net *net, const struct addr *source);

const struct net_stats *net_stats_get(const struct net *net);

#endif
