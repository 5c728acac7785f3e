/* A user with a phone, or the carrier behind the trunk, who does things at random: registers,
 * calls, answers, refuses, cancels, holds, hangs up, dies. Its protocol is correct: it sends again
 * what is lost, acknowledges, and remembers what it has answered. */
#ifndef SIM_ROBOT_H
#define SIM_ROBOT_H

#include "world/ua.h"

struct robot;

enum rcall_state { RCALL_OUT, RCALL_IN, RCALL_ANSWERED, RCALL_UP, RCALL_ENDING, RCALL_OVER };

/* One call of a robot. */
struct rcall {
    struct list node;
    struct robot *r;
    struct ua_call *ua;
    enum rcall_state state;
    bool cancelled, reinviting, held, had_provisional, authorized;
    bool target_refused;
    struct str rseq;  /* of the last reliable provisional */
    struct str key;   /* the same at both ends of one call, and at no other */
    struct str offer; /* of the INVITE that it began with */
    struct str ok;    /* our 2xx, sent again until its ACK */
    usec_t ok_interval, ok_end;
    uint32_t ok_cseq;
    uint64_t gen; /* of the pending decision */
};

/* One transaction of a robot. */
struct rtxn {
    struct list node;
    struct robot *r;
    struct rcall *call;
    bool client;
    enum sip_method method;
    struct str branch, bytes, ack;
    unsigned status;
    usec_t interval, end;
    uint32_t starts; /* of the PBX when it began: another one knows nothing of it */
    enum proto proto;
};

struct robot_conf {
    bool trunk;
    bool tricks;      /* transfers, picks up, dials codes and groups, redirects: tricks.c */
    bool faithful;    /* answers and ends what it began: for worlds without loss */
    uint32_t calls_s; /* mean time between calls */
};

struct robot {
    struct ua ua;
    struct robot_conf conf;
    struct list calls, txns;
    struct robot *const *others; /* who can be called */
    unsigned n_others;
    bool quiet; /* begins nothing any more */
    bool registered, registering;
    uint64_t reg_gen;
    uint32_t made, taken, refused, cancelled, ended, died;
    uint64_t next_number;
};

void robot_init(struct robot *r, struct world *w, const char *name, const struct addr *addr,
                enum proto proto, const struct robot_conf *conf);
/* Begins to live. */
void robot_start(struct robot *r);
/* Begins nothing any more and ends its calls. */
void robot_quiet(struct robot *r);
/* The call that receives RTP at this port; NULL: none that is up or coming up. */
struct rcall *robot_call_at(struct robot *r, uint16_t rtp_port);
/* Would the party at the other end of the call hear it? */
bool rcall_talks(const struct rcall *c);
unsigned robot_calls_left(const struct robot *r);

/* rtxn.c: the robot's transactions. */
/* Builds, sends, and sends again until answered. NULL: it cannot be built. */
struct rtxn *rtxn_request(struct robot *r, struct rcall *c, struct ua_spec *spec);
void rtxn_respond(struct robot *r, struct rcall *c, struct str method, struct ua_spec *spec);
bool rtxn_absorb(struct ua *ua, const struct flow *flow, struct str bytes);
struct rtxn *rtxn_find(struct robot *r, const struct sip_msg *m, bool client);
/* tricks.c: what the keys of a phone do besides. */
/* Something to dial; none: what one dials usually. */
struct str trick_target(struct robot *r);
/* Does something with a call that is up; false: nothing came to mind. */
bool trick_while_up(struct rcall *c);
/* Answers a call that rings in a way of its own; false: it does not. */
bool trick_while_ringing(struct rcall *c);
/* A provisional that wants a PRACK. */
void trick_acknowledge(struct rcall *c, const struct sip_msg *m);
void trick_supported(struct robot *r, struct ua_spec *spec);
/* robot.c */
void robot_hang_up(struct rcall *c);
void robot_rx(struct ua *ua, const struct ua_rx *rx);
void robot_timeout(struct rtxn *t);
uint64_t robot_dice(struct robot *r, uint64_t n);

#endif
