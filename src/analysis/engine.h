/* The engine of the analyser: messages and packets go in, legs, streams and calls come out. Pure:
 * its only clock is the time of what goes in. Everything is bounded by an_engine_args; what did not
 * fit is counted. */
#ifndef ANALYSIS_ENGINE_H
#define ANALYSIS_ENGINE_H

#include "analysis/call.h"
#include "analysis/input.h"
#include "analysis/keep.h"
#include "analysis/rtp.h"

struct an_engine_args {
    uint32_t max_legs;          /* default 1 000 000 */
    uint32_t max_streams;       /* default 1 000 000 */
    const struct an_keep *keep; /* NULL: no message bytes are kept */
    bool without_names;         /* X-CID, Session-ID and charging identity tie nothing */
    bool own;                   /* the traffic of an exchange that knows: all is one call, what has
                                 * not ended goes on, and media are none of it (traffic.h) */
    bool forgets;               /* calls are numbered by their ids, for an_engine_retire() */
    uint64_t seed;              /* of hash tables */
};

struct an_engine_stats {
    uint64_t messages, bad_messages, retransmissions, hops;
    uint64_t cut_messages;                   /* of which the capture has only the beginning */
    uint64_t legs_refused, messages_refused; /* a limit or memory */
    /* What an_engine_retire() has given back. */
    uint64_t calls_retired, calls_idle; /* idle: of them, those that nothing had ended */
    uint64_t legs_forgotten, streams_forgotten;
    uint64_t late; /* messages of calls that were handed over */
    uint64_t by_transport[AN_TRANSPORTS];
    uint64_t by_method[SIP_METHOD_COUNT]; /* requests, repeats not counted */
    uint64_t by_status[700];              /* responses, likewise */
};

struct an_engine;

/* 0 or -ENOMEM. */
MUST_CHECK int an_engine_new(struct an_engine **ret, const struct an_engine_args *args);
void an_engine_free(struct an_engine *e);
void an_engine_rx(struct an_engine *e, const struct an_datum *d);
/* Ties the legs into calls and says what each was, from all that has gone in. May be called again
 * after more has gone in; calls are then made anew. When nothing has, they stay. 0 or -ENOMEM. */
MUST_CHECK int an_engine_settle(struct an_engine *e);

/* ---- traffic without an end ------------------------------------------------------------------ */

struct an_retire {
    uint64_t now_ns; /* time of the traffic */
    /* A call is handed over this long after the last of its legs ended and its last packet: late
     * BYE retransmissions, RTP tails and transfers that pick it up again belong to it. */
    uint64_t linger_ns;
    /* So long without a packet or message of it, the call is over though nothing ended it. Five
     * minutes at most for one that nobody has answered. */
    uint64_t idle_ns;
    /* The engine as of now: `call` is an index for an_engine_call() and all of an_report_*; valid
     * during the call only. Nothing is forgotten before all that are over were handed over, so that
     * one an_report_init() serves all of them. */
    void (*done)(void *user, struct an_engine *e, uint32_t call, bool idle);
    void *user;
};
/* Settles if something may be over, hands each call that is over to done(), then forgets it: legs,
 * messages, streams, digits, kept bytes. What no call has (registrations, subscriptions, OPTIONS,
 * streams that nobody signalled) goes when it is over or idle, without a word. An engine with many
 * live calls takes several that are over together, some seconds later. The calls that are left keep
 * their order. 0 or -ENOMEM. */
MUST_CHECK int an_engine_retire(struct an_engine *e, const struct an_retire *r);

struct an_engine_size {
    uint64_t bytes; /* of legs, messages, streams and calls; without tables of fixed size */
    uint64_t messages;
    uint32_t legs, streams, calls;
    uint32_t addresses; /* of media, that descriptions or streams have named */
};
void an_engine_size(const struct an_engine *e, struct an_engine_size *ret);

/* ---- what there is --------------------------------------------------------------------------- */

/* Indices of legs are below this. One that was forgotten has the number 0, its index is used again.
 */
uint32_t an_engine_legs(const struct an_engine *e);
const struct an_leg *an_engine_leg(const struct an_engine *e, uint32_t i);
uint32_t an_engine_calls(const struct an_engine *e);
const struct an_call *an_engine_call(const struct an_engine *e, uint32_t i);
const struct an_rtp *an_engine_rtp(const struct an_engine *e);
const struct an_engine_stats *an_engine_stats(const struct an_engine *e);
/* The bytes of a message, into out; its length, 0 if they were not kept. */
size_t an_engine_bytes(const struct an_engine *e, const struct an_msg *m, char *out, size_t cap);

#endif
