/* As much SIP as the load generator needs: the lines it answers to, and the messages it sends. It
 * shares no code with the parser that it measures. */
#ifndef BENCH_LOAD_MSG_H
#define BENCH_LOAD_MSG_H

#include "base/buf.h"

#define LOAD_ROUTES 8

/* The header values of a received message that matter; absent ones have p == NULL. */
struct load_seen {
    unsigned status; /* 0: a request */
    struct str method, target, call_id, from, to, cseq, contact;
    struct str route[LOAD_ROUTES]; /* Record-Route values, as they came */
    unsigned routes;
    struct str challenge; /* the MD5 one */
    struct str head;      /* all header lines */
};

/* false: not SIP. */
bool load_msg_read(struct load_seen *ret, struct str text);

/* A user that the generator plays; numbers are dialled and registered. */
struct load_user {
    char number[16];
    char ha1[33];
};

/* H(username:realm:password), RFC 2617. */
void load_ha1(char ret[33], const char *user, struct str realm, const char *password);
/* Appends the Authorization line that answers a challenge with qop=auth or without. */
void load_authorization(struct buf *b, const struct load_user *u, struct str challenge,
                        struct str uri);
/* A quoted or plain parameter of a challenge; none if absent. */
struct str load_param(struct str value, struct str name);

/* Appends "Content-Type...", length, empty line and an offer or answer of G.711 to `port`. */
void load_sdp_body(struct buf *b, unsigned port);
/* What a callee answers: the lines that RFC 3261 8.2.6.2 wants copied, a To tag, a Contact. */
struct load_answer {
    unsigned status;
    const char *reason;
    uint16_t contact_port;
    bool sdp;
};
void load_answer(struct buf *b, const struct load_seen *m, const struct load_answer *a);

#endif
