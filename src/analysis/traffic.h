/* SIP messages as they go by, the latest ones in a bounded memory, and the calls that are in them
 * when somebody asks. Nothing is parsed before: putting a message away costs a copy and a hash. So
 * an exchange can keep its own traffic at hand and still say of a call what the analysis of a
 * capture would. */
#ifndef ANALYSIS_TRAFFIC_H
#define ANALYSIS_TRAFFIC_H

#include "analysis/report.h"

#define AN_TRAFFIC_LEAST    (256u * 1024) /* bytes of memory: the longest message fits */
#define AN_TRAFFIC_MAX_MSGS 4096          /* of one question; the oldest are left out */

struct an_traffic_msg {
    uint64_t at_ns;
    struct addr src, dst;
    uint8_t transport; /* enum an_transport */
    bool sent;         /* by the one whose traffic it is; else received */
    struct str call_id, bytes;
};

struct an_traffic_stats {
    uint64_t messages;         /* ever */
    uint64_t refused;          /* longer than the memory allows */
    uint64_t kept, kept_bytes; /* now; the bytes with what is noted besides */
    uint64_t oldest_ns;        /* of what is kept; 0: nothing is */
    uint64_t max_bytes;
};

struct an_traffic;

/* 0 or -ENOMEM. bytes: all of its memory, save a 64th for its index. */
MUST_CHECK int an_traffic_new(struct an_traffic **ret, size_t bytes, uint64_t seed);
/* Accepts NULL. */
void an_traffic_free(struct an_traffic *t);
/* A copy is kept, in place of the oldest ones. Times should not go back. */
void an_traffic_put(struct an_traffic *t, const struct an_traffic_msg *m);
struct an_traffic_stats an_traffic_stats_get(const struct an_traffic *t);

/* What is asked for: the messages with one of these Call-IDs, which are of one call. */
struct an_traffic_ask {
    const struct str *call_id;
    unsigned n;
    uint64_t number; /* that the call shall have; 0: 1 */
};

struct an_traffic_answer {
    struct an_engine *engine; /* settled; frames are counted from 1. It reads from the traffic: free
                               * it before the next message is put there */
    struct an_file file;      /* for reports: from when to when */
    uint32_t messages, left_out;
};

/* 0, -ENOENT if none of them is kept, or -ENOMEM. */
MUST_CHECK int an_traffic_find(struct an_traffic *t, const struct an_traffic_ask *ask,
                               struct an_traffic_answer *ret);

/* An INVITE from outside that began something, or tried to: the latest of those with its Call-ID.
 */
struct an_attempted {
    uint64_t at_ns;
    struct addr from_addr;
    struct str call_id, from, to; /* users; in the traffic, until the next message is put there */
    uint32_t invites;             /* with this Call-ID, repeats among them */
    uint16_t status;              /* the last final one; 0: none yet */
};
#define AN_ATTEMPTS_MAX 200

/* The latest, the newest first; at most n and AN_ATTEMPTS_MAX. How many, or -ENOMEM. */
MUST_CHECK int an_traffic_attempts(const struct an_traffic *t, struct an_attempted *ret,
                                   unsigned n);

#endif
