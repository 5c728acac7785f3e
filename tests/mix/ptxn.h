/* The phones' transactions (RFC 3261 section 17), simpler than those of the engine and written
 * apart from them. */
#ifndef MIX_PTXN_H
#define MIX_PTXN_H

#include "mix.h"

struct ptxn {
    struct list node;
    struct phone *phone;
    struct line *line;
    bool client, acked;
    enum sip_method method;
    struct str branch, bytes, ack;
    unsigned status;
    usec_t interval, end;
    enum proto proto;
};

/* Builds, sends, and sends again until answered; NULL: it cannot be built, or is an ACK. */
struct ptxn *ptxn_request(struct phone *p, struct line *l, struct ua_spec *spec);
/* Answers the latest unanswered request with this method. */
void ptxn_respond(struct phone *p, struct line *l, struct str method, struct ua_spec *spec);
/* Takes what is a repetition. */
bool ptxn_absorb(struct ua *ua, const struct flow *flow, struct str bytes);
struct ptxn *ptxn_find(struct phone *p, const struct sip_msg *m, bool client);
/* phone.c: nobody has answered. */
void phone_timeout(struct ptxn *t);

#endif
