/* What the files of pbx share and nobody else sees. */
#ifndef PBX_PBX_INT_H
#define PBX_PBX_INT_H

#include <errno.h>

#include "pbx/pbx.h"
#include "pbx/store.h"

struct gate;          /* gate.h: who may */
struct registrar;     /* registrar.h: where phones are */
struct trunks;        /* trunk.h: gateways */
struct calls;         /* call.h */
struct kins;          /* kin.h: whose Call-IDs */
struct settings;      /* feature/setting.h */
struct mwi;           /* feature/mwi.h */
struct voicemail;     /* feature/voicemail.h */
struct subscriptions; /* subscription.h */
struct conferences;   /* feature/conference.h */
struct voicebots;     /* feature/voicebot.h */

struct pbx {
    struct config *config;
    struct sip_core *core;
    struct rand rand;
    struct trace trace;
    struct timer_wheel wheel; /* the PBX's own timers; struct pbx_timer */
    struct arena turn;        /* text of outputs; emptied with the next input */
    struct blob_pool pool;    /* owned texts and objects of varying size */
    struct local_addrs local;
    unsigned n_listeners;
    struct flow_listener listener[FLOW_MAX_LISTENERS];
    usec_t now, started;
    uint64_t wall_offset_us; /* wall clock - monotonic */
    int32_t zone_s;          /* of the machine, ahead of UTC */
    bool stopping;
    struct row_op lost_row; /* where a statement goes that finds no memory */
    struct pbx_out *out;
    uint32_t out_head, out_n, out_cap;
    struct gate *gate;
    struct registrar *registrar;
    struct trunks *trunks;
    struct calls *calls;
    struct kins *kins;
    uint64_t kin_seed; /* of their hash table */
    struct settings *settings;
    struct mwi *mwi;
    struct voicemail *voicemail;
    struct subscriptions *subscriptions;
    struct conferences *conferences;
    struct voicebots *voicebots;
    struct str domain; /* sip.domain, or the first listen address */
    char domain_mem[256];
};

/* A timer of the PBX: the owner's function is called with the object it is embedded in. */
struct pbx_timer {
    struct timer timer;
    void (*fire)(struct pbx *p, struct pbx_timer *t);
};
void pbx_timer_start(struct pbx *p, struct pbx_timer *t, usec_t in);
void pbx_timer_stop(struct pbx *p, struct pbx_timer *t);

struct pbx_out *pbx_emit(struct pbx *p, enum pbx_out_kind kind);
struct row_op *pbx_store(struct pbx *p, enum store_statement statement);
/* A copy that lives as long as the outputs of this turn. */
struct str pbx_turn_dup(struct pbx *p, struct str s);
/* Replaces an owned text (in p->pool) by a copy; none frees. -ENOMEM leaves the old one. */
int pbx_keep(struct pbx *p, struct str *owned, struct str value);
uint64_t pbx_wall_ms(const struct pbx *p);
/* Answers a request or an INVITE session with a bare status. */
void pbx_respond(struct pbx *p, handle_t txn, unsigned status);
/* Seconds of the Retry-After of a response; 0: there is none, or no response (m NULL). */
uint32_t pbx_retry_after(const struct sip_msg *m);
/* Tells the engine what may have changed of its configuration. */
void pbx_reconfigure(struct pbx *p);
/* What we can speak, and over what, into the question. */
void pbx_question_protos(const struct pbx *p, struct pbx_question *q);
/* Have we a listener for the protocol and family of a flow? */
bool pbx_listens(const struct pbx *p, const struct flow *flow);
/* Is this host one of ours: the domain, an alias, a listen or local address? */
bool pbx_is_our_host(const struct pbx *p, const struct sip_uri *uri);

/* api.c */
void pbx_api_run(struct pbx *p, struct str text, struct buf *out);

/* The kinds of `user` numbers given to the engine: the top byte tells whose they are. */
enum pbx_user_kind {
    PBX_USER_NONE,
    PBX_USER_LEG,
    PBX_USER_TRUNK,
    PBX_USER_RELAYED,
    PBX_USER_TRANSFER,
    PBX_USER_SUBSCRIPTION
};
static inline uint64_t pbx_user(enum pbx_user_kind kind, uint64_t n)
{
    return (uint64_t)kind << 56 | (n & 0x00FFFFFFFFFFFFFFull);
}
static inline enum pbx_user_kind pbx_user_kind(uint64_t user)
{
    return (enum pbx_user_kind)(user >> 56);
}
static inline uint64_t pbx_user_number(uint64_t user)
{
    return user & 0x00FFFFFFFFFFFFFFull;
}

#endif
