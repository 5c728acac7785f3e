/* What the two files of the notifier share: subscribe.c reads requests, subscription.c keeps and
 * tells. */
#ifndef PBX_SUBSCRIPTION_INT_H
#define PBX_SUBSCRIPTION_INT_H

#include "base/hash.h"
#include "pbx/subscription.h"

#define SUBSCRIPTION_TEXT_MAX 4096 /* what one may hold in texts; a typical one has 300 bytes */
#define SUBSCRIPTION_LOCAL_MAX                                                                     \
    900 /* its To becomes our From, which has 1024 bytes with its tag                              \
         */

/* Why a subscription ends, as Subscription-State tells it (RFC 6665 section 4.1.3). */
enum subscription_ending {
    SUBSCRIPTION_LIVES,
    SUBSCRIPTION_TIMEOUT,
    SUBSCRIPTION_NORESOURCE,
    SUBSCRIPTION_DEACTIVATED,
    SUBSCRIPTION_PROBATION
};

struct subscription {
    handle_t self;
    const struct event_package *package;
    handle_t leg; /* in whose dialog it is; 0: it has one of its own */
    struct hash_node by_tag, by_resource, by_owner;
    struct pbx_timer expiry;
    struct pbx_timer later; /* a NOTIFY that must not go yet */
    struct flow flow;       /* where its latest SUBSCRIBE came from */
    bool pinned;            /* behind NAT: it is reached through `flow` */
    bool in_flight;         /* a NOTIFY is not answered yet */
    bool changed;           /* another one is due */
    bool full;              /* and must tell everything */
    uint8_t ending;         /* enum subscription_ending: waits for the answer to tell it */
    uint32_t remote_cseq, local_cseq, version;
    uint64_t mark;
    usec_t expires_at;
    usec_t not_before; /* of the next NOTIFY that a change causes */
    /* Owned. local and remote are To and From of the first SUBSCRIBE; local has no tag. */
    struct str call_id, local, remote, local_tag, remote_tag, target, route;
    struct str owner, resource, event_id;
};

struct subscriptions {
    struct slot_table slots;
    struct hash_table by_tag, by_resource, by_owner;
    uint32_t inside;           /* in dialogs of calls */
    uint32_t farewells;        /* last NOTIFYs that are not answered yet */
    struct pbx_timer patience; /* with those that a shutdown has made */
    bool impatient;
    char *body; /* of the NOTIFY that is being written */
    size_t body_max;
    char events[256];
};

/* The package of that name; NULL. */
const struct event_package *subscription_package(struct str name);

/* The texts of a new subscription; they are copied. */
struct subscription_texts {
    struct str call_id, local, remote, local_tag, remote_tag, target, route;
    struct str owner, resource, event_id;
};
/* A new subscription without a lifetime; NULL: the table or the pool is full. */
struct subscription *subscription_new(struct pbx *p, const struct event_package *package,
                                      const struct subscription_texts *t);
/* Frees it without a word to the subscriber. */
void subscription_free(struct pbx *p, struct subscription *s);
/* How many an extension has. */
uint32_t subscription_count_by(const struct pbx *p, struct str owner);

/* It lives for so long from now on. */
void subscription_live(struct pbx *p, struct subscription *s, uint32_t seconds);
/* Another NOTIFY is due; with the whole state it goes at once unless one is under way. `s` may be
 * gone afterwards. */
void subscription_tell(struct pbx *p, struct subscription *s, bool full);
/* Ends it: the last NOTIFY goes when none is under way. `s` may be gone afterwards. */
void subscription_end(struct pbx *p, struct subscription *s, enum subscription_ending why);

#endif
