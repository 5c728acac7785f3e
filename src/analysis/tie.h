/* Ties legs into calls. What the files of it share; the way through them is in tie.c. */
#ifndef ANALYSIS_TIE_H
#define ANALYSIS_TIE_H

#include "analysis/engine_int.h"
#include "analysis/number.h"

#define TIE_LEAST   30        /* points that a tie needs */
#define TIE_BEST    3         /* candidates kept for each leg */
#define TIE_SAME_NS (50 * MS) /* for what is told by who is told and not by who tells */
#define TIE_TURN_NS (5 * MS)  /* what an exchange does in one turn has no order */
#define MS          1000000ull

/* A leg as the ties see it. */
struct fact {
    const struct an_leg *leg;
    uint32_t index; /* of the leg */
    struct an_number caller, callee;
    uint64_t start_ns, answer_ns, end_ns; /* end: of what was seen, never AN_NEVER */
    uint64_t first_frame, end_frame;
    /* By these most that have nothing in common are told apart (tie_score_most). */
    uint64_t invite_ns, rang_ns, cancel_ns, bye_ns;
    uint64_t id_marks, media_marks, origin_marks; /* bits: of the Call-ID, of descriptions */
    uint64_t flow_marks; /* likewise, of pairs of legs with the same sound */
    uint64_t tag_mark;   /* 0: none */
    uint16_t final;
    uint32_t from_host, to_host;       /* numbers of tie_host.c; 0: fewer than two are known */
    uint32_t parent;                   /* the fact it was dialed for, or AN_NONE */
    uint32_t guess;                    /* what it was most likely dialed for, or AN_NONE */
    uint64_t stop_ns;                  /* it was given up, or failed; AN_NEVER: it was not */
    uint64_t child_stop_ns;            /* when the last attempt made for it stopped, of the past */
    uint64_t busy_from_ns, busy_to_ns; /* an answered child holds it for so long */
    uint32_t referred_by;              /* the fact whose REFER asked for it, or AN_NONE */
    const struct an_refer *referred;   /* that REFER */
    int referred_points;
    uint8_t referred_confidence;
    int rival_points; /* of the second best leg that it may have been dialed for */
    bool replaced;    /* another leg has taken its place, or it has taken another one's */
    bool to_exchange; /* it went to a host that registers phones or asks for passwords */
    bool from_phone;  /* it came from a host that does so itself */
    bool server_side; /* dialed for another, or the other way round */
};

/* Points for and against, with where they are seen. */
struct score {
    int points;
    bool bare; /* only the points are wanted */
    uint8_t n;
    struct an_proof proof[AN_EDGE_MAX_EVIDENCE];
};
void score_add(struct score *s, enum an_evidence what, uint64_t frame);
/* With other points than those of the table. */
void score_add_points(struct score *s, enum an_evidence what, int points, uint64_t frame);
/* With so many points more, the nearer in time; apart_ns is most_ns at most. */
void score_add_near(struct score *s, enum an_evidence what, uint64_t apart_ns, uint64_t most_ns,
                    int points, uint64_t frame);

struct candidate {
    uint32_t a, b; /* facts */
    int points;
    uint64_t child_stop_ns; /* of a, when b began */
};

/* Two legs in which the same sound was heard. */
struct flow_pair {
    uint32_t a, b; /* indices of legs, a < b */
    uint32_t count;
};

struct tie {
    struct an_engine *e;
    struct fact *fact; /* in the order of time */
    uint32_t n_facts;
    uint32_t *fact_of; /* of a leg; AN_NONE: it is no call */
    struct candidate *candidate;
    uint32_t n_candidates;
    struct flow_pair *flow; /* those of a leg behind each other: */
    uint32_t *flow_at;      /* [legs + 1]: where they begin, by the lower of the two */
    struct an_edge *edge;
    uint32_t n_edges, cap_edges;
    uint32_t *group;         /* of a fact: the first of its call, by union and find */
    uint64_t looked, scored; /* pairs of facts */
    bool failed;             /* memory is out */
};

/* tie_host.c: sets from_host and to_host, to_exchange and from_phone. 0 or -ENOMEM. */
int tie_hosts(struct tie *t);

/* tie.c */
/* Adds an edge and makes one call of both. Confidence in percent. */
void tie_add(struct tie *t, enum an_edge_kind kind, uint32_t a, uint32_t b, const struct score *s,
             unsigned confidence);
uint32_t tie_root(struct tie *t, uint32_t fact);
/* The first fact that began at this time or later. */
uint32_t tie_from(const struct tie *t, uint64_t at_ns);
unsigned tie_confidence(int points, int next_best);
/* The fact of the leg with this Call-ID; AN_NONE. */
uint32_t tie_find(const struct tie *t, struct str call_id);

/* tie_score.c: may b have been dialed for a? Those for which it may are found by tie_open.h. */
bool tie_possible(const struct tie *t, const struct fact *a, const struct fact *b);
/* tie_score() gives no more points than this, but for what X-CID, Session-ID and charging identity
 * give; it costs little. */
int tie_score_most(const struct tie *t, const struct fact *a, const struct fact *b);
/* Sets what that needs in a fact; what the pairs of t->flow say, in all of them. */
void tie_marks_set(const struct tie *t, struct fact *f);
void tie_flows_mark(struct tie *t);
/* Begins anew; `bare` stays as it is. */
void tie_score(const struct tie *t, const struct fact *a, const struct fact *b, struct score *s);
uint64_t tie_frame(const struct an_leg *leg, uint32_t msg);

/* tie_flow.c: finds t->flow. 0 or -ENOMEM. */
int tie_flow_find(struct tie *t);
uint32_t tie_flow_count(const struct tie *t, uint32_t leg_a, uint32_t leg_b);

/* What features leave behind. */
void tie_names(struct tie *t); /* tie_names.c: Replaces, Join, the Replaces in a REFER */
/* tie_transfer.c: finds who was called because of a REFER; later ties them. */
void tie_transfers_find(struct tie *t);
void tie_transfers(struct tie *t);
void tie_pickups(struct tie *t); /* tie_pickup.c */
/* A code that picks up, and the number behind it; n 0: of the group. */
bool tie_pickup_code(const struct an_number *dialled, struct an_number *ret_target);
void tie_rooms(struct tie *t); /* tie_room.c: conferences of a server, and of a phone */

/* call_make.c: calls from what was tied. 0 or -ENOMEM. */
int call_make_all(struct tie *t);

#endif
