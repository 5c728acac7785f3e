/* What the files of the engine share. */
#ifndef ANALYSIS_ENGINE_INT_H
#define ANALYSIS_ENGINE_INT_H

#include "analysis/engine.h"
#include "base/arena.h"
#include "wire/sip/multipart.h"

/* Objects that are never moved and never given back one by one: a page table of blocks. */
struct an_engine {
    struct an_engine_args args;
    struct an_engine_stats stats;
    struct slot_table legs;
    struct list live;   /* those in use, in the order of their appearance */
    uint32_t n_numbers; /* of legs, given so far */
    struct hash_table by_call_id;
    struct engine_past *past;
    struct an_rtp *rtp;
    uint64_t last_ns;    /* the latest time seen */
    uint64_t retired_ns; /* when calls were handed over last */
    uint64_t cost_ns;    /* of the last settling, as it may have been */
    bool settled; /* nothing has gone in, and nothing was forgotten, since the last settling */
    struct an_call *call;
    uint32_t n_calls, cap_calls;
    struct arena scratch; /* of one message, or of one settling */
    struct sip_msg m;     /* the message at hand */
};

static inline struct an_leg *engine_leg(const struct an_engine *e, uint32_t i)
{
    return (struct an_leg *)(e->legs.mem + (size_t)i * e->legs.item_bytes);
}
static inline uint32_t engine_leg_index(const struct an_leg *leg)
{
    return leg->index;
}

/* tie.c: all that an_engine_settle() says. */
MUST_CHECK int engine_settle(struct an_engine *e);

/* track.c: sorts e->m, which came as d, into its leg. */
void track_rx(struct an_engine *e, const struct an_datum *d);

/* What the files below are told of one message. */
struct track {
    struct an_engine *e;
    const struct an_datum *d;
    const struct sip_msg *m;
    struct an_leg *leg;
    struct an_msg *msg;
    uint32_t index; /* of msg in the leg */
    struct an_txn *txn;
};
/* track_call.c: what it means for the call. Only for what is seen for the first time. */
void track_call(struct track *t);
/* track_identity.c: who is who, by the first request of a leg, and what names another leg. */
void track_identity(struct track *t);
void track_answerer(struct track *t);
/* track_sdp.c: a description that it carries. */
void track_sdp(struct track *t);
/* The request that carried an offer has failed: what held before holds again. */
void track_sdp_refused(struct track *t, uint32_t request);
/* track_refer.c: REFER, and NOTIFY with a sipfrag. */
void track_refer(struct track *t);
void track_refer_answer(struct track *t);
void track_notify(struct track *t);

/* track.c: the index of the leg with this Call-ID, or AN_NONE. */
uint32_t engine_leg_find(const struct an_engine *e, struct str call_id);
/* engine.c: no call is left. */
void engine_calls_free(struct an_engine *e);
/* engine.c: gives the leg back with all that it has. */
void engine_leg_forget(struct an_engine *e, struct an_leg *leg);

/* ---- engine_past.c: what is still known of legs that were forgotten -------------------------- */

struct engine_past;
struct engine_past *engine_past_new(void);
void engine_past_free(struct engine_past *p);

enum engine_was { ENGINE_WAS_NONE, ENGINE_WAS_OVER, ENGINE_WAS_IDLE };
/* A Call-ID of a call that was handed over, by its hash. */
void engine_past_call_id(struct engine_past *p, uint64_t hash, bool idle);
enum engine_was engine_past_was(const struct engine_past *p, uint64_t hash);

enum { ENGINE_EXCHANGE = 1, ENGINE_PHONE = 2 };
/* What the leg has shown of its hosts (tie_host.c). */
void engine_past_hosts(struct engine_past *p, const struct an_leg *leg);
/* Bits of what the host has been. */
unsigned engine_past_host(const struct engine_past *p, const struct addr *a);

#endif
