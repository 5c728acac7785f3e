/* The four transactions of RFC 3261 section 17 with the corrections of RFC 6026, as one constant
 * table and one interpreter. A transaction owns its timers and the copy that it sends again. */
#ifndef ENGINE_SIP_TXN_H
#define ENGINE_SIP_TXN_H

#include "base/hash.h"
#include "engine/sip/core.h"

enum txn_event {
    TXN_EV_START, /* client: the request is sent; server: it has come */
    TXN_EV_1XX,   /* client: received; server: the user sends one */
    TXN_EV_2XX,
    TXN_EV_FINAL, /* 300-699 */
    TXN_EV_AGAIN, /* server: the request came again */
    TXN_EV_ACK,   /* IST */
    TXN_EV_RETRY, /* Timer A, E or G */
    TXN_EV_LIFE,  /* Timer B, D, F, H, I, J, K, L or M */
    TXN_EV_ERROR, /* the transport failed */
    TXN_EVENTS
};

/* What a step asks for besides the new state. */
enum {
    TXN_DO_SEND = 1,     /* send what came with the event: request, response */
    TXN_DO_RESEND = 2,   /* send the kept copy again */
    TXN_DO_ACK = 4,      /* client: make or repeat the ACK to a final non-2xx */
    TXN_DO_USER = 8,     /* client: pass the response up; IST: pass the ACK up */
    TXN_DO_TIMEOUT = 16, /* tell the user: no answer, no ACK */
    TXN_DO_ERROR = 32    /* tell the user: transport */
};

enum txn_timer_op {
    TXN_T_KEEP,
    TXN_T_STOP,
    TXN_T_T1,        /* T1 from now; nothing on reliable transports */
    TXN_T_DOUBLE,    /* twice the last interval */
    TXN_T_DOUBLE_T2, /* the same, at most T2 */
    TXN_T_T2,
    TXN_T_64T1,
    TXN_T_D,  /* at least 32 s; 0 on reliable transports */
    TXN_T_T4, /* 0 on reliable transports */
    TXN_T_J   /* 64*T1; 0 on reliable transports */
};

struct txn_cell {
    bool valid;   /* otherwise the event is counted and ignored */
    uint8_t next; /* enum sip_txn_state */
    uint8_t act;  /* TXN_DO_... */
    uint8_t retry_op, life_op;
    char retry, life; /* letters of the timers armed */
};

/* Row and column of the constant table. */
const struct txn_cell *txn_cell(enum sip_txn_kind kind, enum sip_txn_state state,
                                enum txn_event event);
/* "1xx", "timer A/E/G", ... for the printed table. */
struct str txn_event_name(enum txn_event event);

#define TXN_KEY_BYTES 80

struct sip_txn {
    struct hash_node by_key, by_merge;
    struct list by_peer; /* client side only */
    struct timer retry, life;
    struct flow flow; /* where its messages go */
    uint64_t user;
    handle_t session, dialog, tag;
    struct blob *last; /* client: the request; server: the last response */
    struct blob *head; /* server: what each response begins with */
    struct blob *ack;  /* ICT */
    usec_t started, interval, t1;
    uint32_t cseq;
    uint16_t status; /* last response passed or sent */
    uint8_t kind, state, method, leg;
    uint8_t repeats; /* ICT: how often it was sent again */
    char retry_letter, life_letter;
    usec_t answer_delay;  /* NIST: the final answer leaves so much later */
    bool held_for_commit; /* what it was told of after_commit */
    bool in_merge, retransmitted, tcp_for_size, wants_answer, cancelled;
    bool sips; /* of a request that wants a sips Contact in its answer: RFC 3261 12.1.1 */
    uint8_t key_n;
    char key[TXN_KEY_BYTES];
};

/* A new transaction in its first state, with its timers armed by TXN_EV_START; NULL: table full.
 * The caller fills flow first through `flow`. */
struct sip_txn *txn_new(struct sip_core *c, enum sip_txn_kind kind, enum sip_method method,
                        const struct flow *flow, struct str key);
void txn_free(struct sip_core *c, struct sip_txn *t);
/* Client transactions are also found by where their messages go; others may be in the same list. */
struct list *txn_peer_list(struct sip_core *c, const struct addr *peer);
handle_t txn_handle(const struct sip_core *c, const struct sip_txn *t);
struct sip_txn *txn_find(const struct sip_core *c, handle_t h);
/* Steps the machine; what it asks for is returned (TXN_DO_...). The transaction may be in
 * TXN_TERMINATED afterwards: the caller frees it when it has acted. */
unsigned txn_step(struct sip_core *c, struct sip_txn *t, enum txn_event event);
bool txn_reliable(const struct sip_txn *t);

/* Server side: sends a built response (takes over the reference). */
void txn_send_response(struct sip_core *c, struct sip_txn *t, unsigned status, struct blob *b,
                       bool after_commit);
/* Client side: what a received response does. */
void txn_rx_response(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m);
void txn_timer(struct sip_core *c, struct timer *timer);
void txn_error(struct sip_core *c, struct sip_txn *t);

/* txn_match.c: keys. Each writes at most TXN_KEY_BYTES. RFC 3261 17.1.3, 17.2.3. */
struct str txn_server_key(struct sip_core *c, const struct sip_msg *m, enum sip_method method,
                          char mem[TXN_KEY_BYTES]);
struct str txn_client_key(struct sip_core *c, struct str branch, enum sip_method method,
                          char mem[TXN_KEY_BYTES]);
struct sip_txn *txn_by_key(const struct sip_core *c, struct str key, bool server);
/* RFC 3261 8.2.2.2: another transaction with the same From tag, Call-ID and CSeq. */
bool txn_merged(struct sip_core *c, const struct sip_msg *m);
void txn_merge_put(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m);
/* Did this request leave us through one of our own client transactions? */
bool txn_loops(struct sip_core *c, const struct sip_msg *m);

#endif
