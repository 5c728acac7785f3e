/* The requests that the load generator sends: both registrations of a phone, and a caller's side of
 * a call. */
#ifndef BENCH_LOAD_REQ_H
#define BENCH_LOAD_REQ_H

#include "load_msg.h"

/* Slot and generation make Call-ID, tags and branches, so an answer finds its operation. */
struct load_req {
    const struct load_user *user; /* who registers or is called */
    uint32_t slot, generation;
    uint16_t port, server_port; /* ours, theirs */
    uint16_t to_n, target_n, route_n;
    char to[256], target[256], route[1024];
};

/* challenge none: the first one; else the one with credentials. */
void load_register(struct buf *b, const struct load_req *r, struct str challenge, unsigned expires);
void load_invite(struct buf *b, const struct load_req *r, unsigned rtp_port);
/* ACK or BYE, after load_keep_dialog(). */
void load_in_dialog(struct buf *b, const struct load_req *r, const char *method, const char *cseq);
void load_failure_ack(struct buf *b, const struct load_req *r, struct str to);
/* Keeps what the ACK and the BYE need of a 2xx (RFC 3261 12.1.2); false: it is not usable. */
bool load_keep_dialog(struct load_req *r, const struct load_seen *m);

#endif
