/* What a call was: each file finds one family of traits in the legs and edges of a call. */
#ifndef ANALYSIS_SCENARIO_H
#define ANALYSIS_SCENARIO_H

#include "analysis/tie.h"

struct look {
    struct tie *t;
    struct an_call *call;
    struct fact **fact; /* of the call, in the order of time; [0] is the caller's */
    uint32_t n_facts;
    bool failed; /* memory is out */
};

/* The extension in a user part: "1427" of "109Q1427", where the tenant is in front. */
struct str call_extension(struct str user);
/* A trait of the call, cleared but for what is given; NULL without memory. */
struct an_trait *look_trait(struct look *l, enum an_scenario s, const char *form,
                            unsigned confidence);
void trait_frame(struct an_trait *trait, uint64_t frame);
/* The frames of what proves an edge. */
void trait_edge(struct an_trait *trait, const struct an_edge *edge);
const struct an_edge *look_edge(const struct look *l, enum an_edge_kind kind, uint32_t leg);
struct fact *look_fact(const struct look *l, uint32_t leg);
/* The caller has given up; a CANCEL alone may have come too late. */
static inline bool look_cancelled(const struct an_leg *leg)
{
    return leg->final == 487 || (leg->cancel_ns != AN_NEVER && leg->final < 300);
}
/* A child was dialed for its parent, and not by a transfer. */
bool look_is_attempt(const struct look *l, const struct fact *f);

void scenario_basic(struct look *l); /* hold, redirect, cancelled, failed, voicemail */
void scenario_hunt(struct look *l);  /* sequential, parallel, forward */
void scenario_transfer(struct look *l);
void scenario_pickup(struct look *l);
void scenario_conference(struct look *l);

#endif
