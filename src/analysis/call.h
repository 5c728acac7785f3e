/* A call: legs of one conversation, tied by what they have in common, and what it was. A B2BUA
 * gives each side a Call-ID of its own, so the ties are found, not read: every one of them says by
 * which evidence and how sure it is. */
#ifndef ANALYSIS_CALL_H
#define ANALYSIS_CALL_H

#include "analysis/leg.h"

#define AN_EDGE_MAX_EVIDENCE 10
#define AN_TRAIT_MAX_FRAMES  8

/* EVIDENCE(enum, word, points, text): what speaks for (or against) two legs being one call. */
enum an_evidence {
#define EVIDENCE(id, word, points, text) AN_BY_##id,
#include "analysis/evidence.def"
#undef EVIDENCE
    AN_EVIDENCES
};

struct an_proof {
    uint8_t what;   /* enum an_evidence */
    int16_t points; /* tenths; below 0 speaks against */
    uint64_t frame; /* where it is seen */
};

enum an_edge_kind {
    AN_EDGE_DIALED,   /* b was made to connect a */
    AN_EDGE_TRANSFER, /* b was made because a REFER in a asked for it */
    AN_EDGE_REPLACED, /* b took the place of a */
    AN_EDGE_PICKED,   /* b picked up what rang as a */
    AN_EDGE_JOINED,   /* b joined a, or both are of one conference */
    AN_EDGE_CONSULT,  /* b was opened by the phone of a while a was on hold */
    AN_EDGE_KINDS
};

struct an_edge {
    uint32_t a, b; /* indices of legs; a began earlier */
    uint8_t kind;
    uint8_t confidence; /* percent */
    uint8_t n_proofs;
    struct an_proof proof[AN_EDGE_MAX_EVIDENCE]; /* the strongest first */
};

/* SCENARIO(enum, word): one word a kind, those of the call records where there is one. */
enum an_scenario {
#define SCENARIO(id, word) AN_WAS_##id,
#include "analysis/scenario.def"
#undef SCENARIO
    AN_SCENARIOS
};

/* Something that the call was. The strongest is its scenario; a call may well be several, held and
 * transferred and recorded in one. */
struct an_trait {
    uint8_t scenario;   /* enum an_scenario */
    uint8_t confidence; /* percent */
    uint8_t n_frames;
    const char *form;        /* "blind", "attended", "group", "directed", "replaces", "phone_mixed",
                                "server_mixed", or "" */
    uint64_t from_ns, to_ns; /* to AN_NEVER: to the end */
    uint32_t leg, other;     /* the legs that show it; AN_NONE */
    uint32_t who, target; /* legs whose party did it, and to whom: transferor and target, picker and
                             picked, ...; AN_NONE */
    uint64_t frame[AN_TRAIT_MAX_FRAMES];
};

/* An attempt to reach somebody, in the order in which they were made. */
struct an_attempt {
    uint32_t leg;
    uint16_t status; /* that ended it; 0: none seen */
    uint64_t at_ns, end_ns;
};

enum an_outcome { /* the disposition of call records */
                  AN_ANSWERED,
                  AN_BUSY,
                  AN_NO_ANSWER,
                  AN_UNAVAILABLE,
                  AN_CANCELLED,
                  AN_FAILED,
                  AN_REDIRECTED,
                  AN_UNFINISHED, /* the capture ends before */
                  AN_OUTCOMES
};

struct an_call {
    uint32_t id;     /* number of its first leg: stays from settling to settling */
    uint32_t number; /* from 1; of an engine that forgets: id */
    uint32_t *leg;   /* in the order of their first messages; the first is the caller's */
    uint32_t n_legs, cap_legs;
    struct an_edge *edge;
    uint32_t n_edges, cap_edges;
    struct an_trait *trait; /* the strongest first */
    uint32_t n_traits, cap_traits;
    struct an_attempt *attempt;
    uint32_t n_attempts, cap_attempts;

    struct an_text text;
    struct an_ref caller, caller_name; /* the real caller, never a feature code */
    struct an_ref dialled;             /* what the first leg asked for */
    struct an_ref callee;              /* who was meant */
    struct an_ref answered_by;
    bool caller_unknown; /* a picked up call whose caller the capture does not show */

    uint8_t scenario;   /* enum an_scenario: that of trait[0], or basic */
    uint8_t confidence; /* percent */
    uint8_t outcome;    /* enum an_outcome */
    uint8_t ended_by;   /* enum an_side, or AN_NO_SIDE */
    uint16_t status;    /* that ended the caller's INVITE */
    uint64_t start_ns, ring_ns, answer_ns, end_ns; /* AN_NEVER: not seen */
};
#define AN_NO_SIDE 2

struct str an_scenario_word(enum an_scenario s);
struct str an_outcome_word(enum an_outcome o);
struct str an_edge_word(enum an_edge_kind k);
struct str an_evidence_word(enum an_evidence e);
struct str an_evidence_text(enum an_evidence e);

void an_call_done(struct an_call *call);

#endif
