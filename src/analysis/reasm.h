/* TCP streams put together from captured segments (RFC 9293), in both directions: out of order,
 * repeated, overlapping, with gaps that are waited for and then given up, begun before the capture
 * or ended without a word. Segments go in, pieces of streams come out in order.
 *
 *     reasm_put(r, &seg);
 *     while (reasm_next(r, &piece))
 *         switch (piece.kind) ...
 *
 * Bytes of a piece are those of the segment or of one that was kept, and stay until the next call.
 * What came first counts: a repetition with other bytes changes nothing. */
#ifndef ANALYSIS_REASM_H
#define ANALYSIS_REASM_H

#include "base/addr.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/slot.h"

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

struct tcp_seg {
    struct addr src, dst;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t iface;
    const uint8_t *p;
    uint32_t n, wire_n; /* wire_n > n: the capture cut it */
    uint64_t at_ns, frame;
};

struct tcp_part;

struct tcp_side {
    bool open;      /* `next` is known */
    bool begun;     /* from its SYN on */
    bool fin;       /* it ends at fin_seq */
    bool has_acked; /* the other side has confirmed what is before `acked` */
    bool force;     /* no more waiting for what is missing */
    uint32_t next, fin_seq, acked;
    uint32_t n_parts;
    size_t part_bytes;
    uint64_t gap_ns;        /* since when parts wait */
    struct tcp_part *parts; /* beyond `next`, in order */
};

struct tcp_conn {
    struct hash_node node;
    struct list idle;    /* the one that said nothing for longest is first */
    struct list gap;     /* in reasm.gaps while a side has parts */
    struct addr addr[2]; /* side 0 spoke first */
    struct tcp_side side[2];
    uint64_t at_ns;
    uint16_t iface;
    bool ignored, over, listed; /* over: TCP_END was given; listed: can be found */
    void *user;                 /* the caller's; it goes with TCP_END */
};

enum tcp_kind {
    TCP_DATA,
    TCP_GAP, /* `lost` bytes are missing in front of what comes next; 0: how many is not known */
    TCP_END  /* nothing more comes of this connection */
};

struct tcp_piece {
    struct tcp_conn *conn;
    uint8_t kind, side; /* side 0: conn->addr[0] said it */
    const uint8_t *p;
    uint32_t n, lost;
    uint64_t at_ns, frame;
};

struct reasm_limits {
    uint32_t connections;
    size_t side_bytes, all_bytes; /* that wait behind gaps */
    uint64_t gap_ns, acked_gap_ns, idle_ns;
    uint64_t seed;
};

struct reasm {
    struct reasm_limits limits;
    struct slot_table slots;
    struct hash_table table;
    struct list idle, gaps;
    struct list dying;   /* conn.idle of those that are to end */
    struct tcp_conn *at; /* the one being drained */
    struct tcp_seg seg;  /* what is left of the segment */
    uint8_t seg_side;
    bool late; /* a gap was given up: what follows came when it came, not just now */
    struct tcp_part *spent;
    uint64_t now_ns;
    size_t bytes;
    uint64_t evicted;
};

MUST_CHECK int reasm_init(struct reasm *r, const struct reasm_limits *limits);
/* All that is left goes without a word. */
void reasm_done(struct reasm *r);
/* The connection it belongs to, or NULL if there is no memory for a new one. */
struct tcp_conn *reasm_put(struct reasm *r, const struct tcp_seg *seg);
bool reasm_next(struct reasm *r, struct tcp_piece *ret);
/* The connection is of no interest: what it says is skipped from now on, cheaply. */
void reasm_ignore(struct reasm *r, struct tcp_conn *c);
/* The capture has ended: some connection ends, and reasm_next() gives what is left of it. False if
 * there is none. */
bool reasm_end(struct reasm *r);

#endif
