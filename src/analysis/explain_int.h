/* What the families of rules share. */
#ifndef ANALYSIS_EXPLAIN_INT_H
#define ANALYSIS_EXPLAIN_INT_H

#include "analysis/engine_int.h"
#include "analysis/explain.h"

struct explain {
    const struct an_engine *e;
    const struct an_call *call;
    struct an_findings *out;
    struct arena arena;    /* texts of one finding */
    struct sip_msg m;      /* the message at hand */
    char *bytes;           /* and its text, SIP_MAX_BYTES of room */
    struct an_finding *at; /* the one being made; NULL: it is dropped */
    bool again;            /* it stands already: its arguments are known */
    bool failed;           /* memory is out */
};

/* A message, parsed. */
struct said {
    const struct an_leg *leg;
    uint32_t leg_index, index; /* of the leg, of the message in it */
    const struct an_msg *msg;
    const struct sip_msg *m;
};

/* Begins a finding; its arguments follow, in order. `msg` AN_NONE: at_ns must be given. */
void find(struct explain *x, enum an_rule rule, uint32_t leg, uint32_t msg, uint64_t at_ns);
void find_arg(struct explain *x, struct str s);
void find_u64(struct explain *x, uint64_t v);
void find_span(struct explain *x, uint64_t ns); /* "2.4 s" */
void find_addr(struct explain *x, const struct addr *a);
void find_frame(struct explain *x, uint32_t leg, uint32_t msg);
static inline void find_said(struct explain *x, enum an_rule rule, const struct said *s)
{
    find(x, rule, s->leg_index, s->index, s->msg->at_ns);
}

/* How a side of a leg is called: its number without a tenant, else its address. */
struct str side_name(struct explain *x, const struct an_leg *leg, enum an_side side);
/* "INVITE", or "200 INVITE". */
struct str msg_name(struct explain *x, const struct an_leg *leg, const struct an_msg *m);
const struct an_leg *leg_of(const struct explain *x, uint32_t index);
/* Was the leg dialed for another one of the call? */
bool leg_is_child(const struct explain *x, uint32_t index);
uint64_t leg_end_ns(const struct an_leg *leg);
/* The side of which the capture has nothing although the other one reacted to it, or AN_NOBODY.
 * What it did not do is then not known. */
enum an_side leg_unseen(const struct an_leg *leg);

/* The families. Those with `said` are asked of each message that is neither repeated nor a copy. */
void rule_story(struct explain *x);
void rule_failure(struct explain *x);
void rule_failure_said(struct explain *x, const struct said *s);
void rule_auth(struct explain *x);
void rule_nat_said(struct explain *x, const struct said *s);
void rule_media(struct explain *x);
void rule_timer(struct explain *x);
void rule_sip_said(struct explain *x, const struct said *s);
void rule_sip(struct explain *x);

#endif
