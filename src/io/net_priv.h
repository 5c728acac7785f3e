/* What net, udp, tcp and ban share. Nobody else includes this. */
#ifndef IO_NET_PRIV_H
#define IO_NET_PRIV_H

#include "base/hash.h"
#include "base/list.h"
#include "base/slot.h"
#include "io/net.h"
#include "io/sock.h"
#include "io/tls.h"

/* One wake-up takes so many datagrams of one socket at most, so that TCP is served in between. */
#define UDP_BATCH   64
#define UDP_BATCHES 4
#define UDP_QUEUE   256
/* The stride is no multiple of a page, or the first lines of all buffers would share the same few
 * places in the cache. */
#define UDP_BUF_BYTES  (65536u + 17 * 64)
#define NET_SCRATCH    (128u * 1024)
#define NET_MAX_FAILED 4096u

struct net_listener {
    struct loop_watch watch;
    struct net *net;
    struct flow_listener at;
    struct udp *udp; /* of PROTO_UDP */
    int fd;
    uint8_t index;
    bool open, paused; /* paused: out of descriptors, tried again by the next sweep */
};

enum conn_state {
    CONN_FREE,
    CONN_CONNECTING,
    CONN_SECURING, /* of TLS: the handshake; messages of ours wait for its end */
    CONN_OPEN,
    CONN_DRAINING, /* sends its queue, then FIN; takes no message any more */
    CONN_LINGER,   /* FIN sent; reads to the end, lest a reset destroys what we sent */
    CONN_CLOSED    /* waits for the loop to let go of it */
};

struct conn_tx {
    struct conn_tx *next;
    struct blob *blob;
};

struct conn {
    struct loop_watch watch;
    struct net *net;
    struct timer timer; /* the earliest of the limits below; moved lazily */
    struct list node;   /* in net->conns while not free */
    struct list dirty;  /* in net->dirty while there is something to flush */
    struct hash_node by_peer, by_alias;
    struct net_source *source; /* of an accepted one */
    struct flow flow;          /* .conn is its own id */
    struct addr local;         /* our end; family ADDR_NONE: nobody has asked yet */
    struct addr alias;
    usec_t opened_at, message_at, last_at, stalled_at; /* 0: does not apply */
    char *rx;                                          /* an incomplete message; NULL: none */
    size_t rx_n, rx_cap, scanned;
    struct conn_tx *tx_first, *tx_last;
    size_t tx_bytes, tx_at; /* tx_at: bytes of the first blob already sent */
    uint32_t generation, index;
    enum conn_state state;
    struct tls_session *tls; /* NULL: what is said goes as it is */
    int fd, err;
    bool ours, keep, had_message, eof;
    bool aliased, told; /* is in the tables of aliases, of peers */
    bool blocked;       /* the socket is full */
    bool opened_once;   /* `opened` was called, so `closed` will be */
    bool goodbye;       /* TLS has been told that we are done */
    bool counted;       /* among the handshakes that are under way */
    uint16_t client;    /* of net_client_set(), as found when net->clients_at was client_at */
    uint32_t client_at;
};

/* Connections accepted from one address. */
struct net_source {
    struct hash_node node;
    struct addr addr;
    handle_t self;
    uint32_t conns, handshakes;
};

/* Whom flows with its number are for, over TLS. */
struct net_party {
    char host[TLS_MAX_NAME + 1];
    struct tls_pin pin[TLS_MAX_PINS];
    unsigned n_pins;
    bool client; /* it is looked for among those who connect */
};

struct net_ban {
    struct hash_node node;
    struct addr addr;
    handle_t self;
    usec_t until;
};

struct net_failure {
    struct flow to;
    struct blob *blob;
    int err;
};

struct net {
    struct loop *loop;
    struct net_config cfg;
    struct net_hooks hooks;
    struct net_stats stats;
    struct net_listener listener[FLOW_MAX_LISTENERS];
    struct conn *conn;   /* cfg.max_conns of them */
    uint32_t *free_ring; /* indices in order of release, so that ids are slow to recur */
    uint32_t free_head, free_n, index_bits;
    struct list conns, dirty;
    struct hash_table peers, aliases, sources, bans;
    struct slot_table source_slots, ban_slots;
    uint32_t ban_sweep_at;
    struct timer_wheel wheel;
    struct loop_timer sweep, kick;
    struct net_failure *failed;
    uint32_t failed_n;
    struct blob_pool pool; /* receive buffers and queue entries */
    struct blob *pong;
    char *scratch;
    struct tls_ctx *tls;      /* the owner's; NULL: none */
    struct net_party **party; /* NET_MAX_PARTIES of them, NULL where there is none */
    unsigned n_clients;       /* of them are looked for among those who connect */
    uint32_t clients_at;      /* changes with each of those; never 0 once there was one */
    unsigned listeners;       /* the highest index in use, plus one */
};

/* net.c */
void net_failed_put(struct net *net, const struct flow *to, struct blob *b, int err);
/* Is the number now that of a client, by net_client_set()? */
bool net_is_client(const struct net *net, uint16_t party);
uint64_t net_addr_hash(const struct hash_table *t, const struct addr *a);
uint64_t net_ip_hash(const struct hash_table *t, const struct addr *a);

/* udp.c */
MUST_CHECK int udp_open(struct net_listener *l);
void udp_close(struct net_listener *l);
void udp_send(struct net_listener *l, const struct flow *to, struct blob *b);
void udp_flush(struct net_listener *l);

/* tcp.c: listening, connecting, reading and writing */
MUST_CHECK int tcp_open(struct net_listener *l);
void tcp_accept_resume(struct net_listener *l);
void tcp_send(struct net *net, const struct flow *to, struct blob *b);
/* Queues on this connection, or ends it when its queue is full. */
void tcp_queue(struct conn *c, struct blob *b);
void tcp_flush(struct conn *c);
MUST_CHECK int tcp_watch(struct conn *c);
void tcp_watch_update(struct conn *c);
/* Where bytes that arrive next belong: *base with *cap bytes, of which the first c->rx_n are there.
 * 0 or a negative errno. */
MUST_CHECK int tcp_rx_room(struct conn *c, char **base, size_t *cap);
/* base[0, n) is what there is now, from tcp_rx_room(). */
void tcp_rx_bytes(struct conn *c, char *base, size_t n);

/* tcp_tls.c: the same over TLS */
/* Gives a connection its session. 0 or a negative errno. */
MUST_CHECK int tcp_tls_begin(struct conn *c);
/* The connection stands: the handshake begins. */
void tcp_tls_start(struct conn *c);
void tcp_tls_rx(struct conn *c);
bool tcp_tls_has_output(struct conn *c);
/* Sends some; how many bytes, with *want how many there were, or a negative errno. */
MUST_CHECK ssize_t tcp_tls_write(struct conn *c, size_t *want);
/* Before the socket closes: nothing of TLS is under way any more, and a peer that reads is told. */
void tcp_tls_end(struct conn *c);
/* Whom the peer of this connection, which it has opened, has proved to be by its certificate: a
 * party, or 0. */
uint16_t tcp_tls_client(struct conn *c);
/* May this connection carry what goes to `to`? */
bool tcp_tls_serves(const struct conn *c, const struct flow *to, bool by_alias);

/* conn.c: the table of connections, their limits and their end */
struct conn *conn_find(const struct net *net, uint32_t id);
/* One that may carry what goes to to->peer; NULL: none. */
struct conn *conn_find_peer(const struct net *net, const struct flow *to);
/* A free entry in state CONN_CONNECTING, CONN_SECURING or CONN_OPEN with its watch open on fd, or
 * NULL: the table is full or memory is out (fd is the caller's still). */
struct conn *conn_take(struct net *net, const struct flow *flow, int fd, bool ours);
/* The end: everything is given back when the loop confirms. */
void conn_end(struct conn *c, int err);
/* No message in any more; closes when the queue is sent. err: what `closed` will say. */
void conn_drain(struct conn *c, int err);
void conn_timer_set(struct conn *c);
void conn_tick(struct net *net, usec_t now);
void conn_dirty_set(struct conn *c);
/* 0 or -ENOBUFS. */
MUST_CHECK int conn_queue_put(struct conn *c, struct blob *b);
void conn_queue_drop(struct conn *c, size_t sent);

/* ban.c */
/* Whoever has one IPv6 address has its whole /64: bans and limits of a source cover that. */
struct addr net_source_key(const struct addr *a);
void ban_sweep(struct net *net, usec_t now);

#endif
