/* The ladder of a call: who sent what to whom, in order of time, over all of its legs. */
#ifndef ANALYSIS_LADDER_H
#define ANALYSIS_LADDER_H

#include "analysis/report.h"

#define AN_LADDER_MAX_COLS  24
#define AN_LADDER_MAX_RUNGS 20000

/* A message, or the beginning of a stream. */
struct an_rung {
    uint64_t at_ns, frame;
    uint32_t leg;    /* index */
    uint32_t msg;    /* of the leg, or AN_NONE: a stream */
    uint32_t stream; /* of the capture, or AN_NONE */
    uint8_t from, to;
};

struct an_ladder {
    const struct an_report *r;
    struct addr col[AN_LADDER_MAX_COLS]; /* port 0: all ports of the address */
    unsigned n_cols;
    bool by_port; /* one address talks to itself, so ports tell its parts apart */
    struct an_rung *rung;
    uint32_t n_rungs;
    uint64_t more; /* rungs that found no room */
    uint64_t zero_ns;
};

/* Of some legs, by their indices, and their streams if `call` is not AN_NONE. 0 or -ENOMEM. */
MUST_CHECK int an_ladder_make(struct an_ladder *l, const struct an_report *r, uint32_t call,
                              const uint32_t *leg, uint32_t n_legs);
void an_ladder_done(struct an_ladder *l);
/* The address of a column, and what is there; STR_NONE if nothing says it. */
void an_ladder_put_col(struct buf *b, const struct an_ladder *l, unsigned col);
struct str an_ladder_name(const struct an_ladder *l, unsigned col);
/* "INVITE (PCMU PCMA, sendonly)", "200 OK", "RTP PCMU" */
void an_rung_label(struct buf *b, const struct an_ladder *l, const struct an_rung *rung);
/* What a message says about media, in few words; nothing if it has no description. */
void an_put_sdp_hint(struct buf *b, const struct an_leg *leg, uint32_t msg);
static inline const struct an_msg *an_rung_msg(const struct an_ladder *l,
                                               const struct an_rung *rung)
{
    return rung->msg == AN_NONE ? NULL : &an_engine_leg(l->r->engine, rung->leg)->msg[rung->msg];
}

/* At a terminal. */
void an_ladder_text(const struct an_ladder *l, struct an_sink *out);

#endif
