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
    uint64_t seed;              /* of hash tables */
};

struct an_engine_stats {
    uint64_t messages, bad_messages, retransmissions, hops;
    uint64_t cut_messages;                   /* of which the capture has only the beginning */
    uint64_t legs_refused, messages_refused; /* a limit or memory */
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
 * after more has gone in; calls are then made anew. 0 or -ENOMEM. */
MUST_CHECK int an_engine_settle(struct an_engine *e);

uint32_t an_engine_legs(const struct an_engine *e);
const struct an_leg *an_engine_leg(const struct an_engine *e, uint32_t i);
uint32_t an_engine_calls(const struct an_engine *e);
const struct an_call *an_engine_call(const struct an_engine *e, uint32_t i);
const struct an_rtp *an_engine_rtp(const struct an_engine *e);
const struct an_engine_stats *an_engine_stats(const struct an_engine *e);
/* The bytes of a message, into out; its length, 0 if they were not kept. */
size_t an_engine_bytes(const struct an_engine *e, const struct an_msg *m, char *out, size_t cap);

#endif
