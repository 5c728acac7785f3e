/* The search for somebody who answers: a caller's INVITE, or a transfer, becomes a target set (RFC
 * 3261 section 16.5 calls it so) that is tried batch after batch. Forwards and redirections put
 * further targets right behind those that led to them. */
#ifndef PBX_FEATURE_DIAL_H
#define PBX_FEATURE_DIAL_H

#include "pbx/call_int.h"
#include "pbx/diversion.h"

#define DIAL_MAX_TARGETS  16
#define DIAL_MAX_DIVERTED 8

enum target_kind {
    TARGET_NONE,
    TARGET_EXTENSION, /* its contacts, best q first */
    TARGET_MEMBERS,   /* of a group, from `member` on */
    TARGET_TRUNK,
    TARGET_MAILBOX, /* of an extension: the exchange answers */
    TARGET_BOT,     /* answers in the place of whoever led to it */
    TARGET_CONTACT  /* a URI reached through a trunk: where a gateway has redirected us */
};
/* One who may be called. Targets with the same batch ring at the same time. */
struct target {
    uint8_t kind, batch;
    uint8_t address;  /* of a trunk with several */
    bool of_group;    /* a member: its own forwarding does not count */
    bool placed;      /* a contact whose name has been looked up: it is at `place` */
    bool no_bot;      /* it has been asked, and is not there */
    uint8_t reason;   /* TARGET_BOT: enum voicebot_reason */
    uint16_t status;  /* likewise: what has led to it; 0 */
    uint16_t q_below; /* contacts below this q only: the others were tried; 0: all */
    uint16_t member;
    usec_t ring; /* how long; 0: as long as the caller's patience */
    const struct config_extension *extension;
    const struct config_trunk *trunk;
    const struct config_group *group;
    const struct config_bot *bot;
    struct str number; /* owned: dialled at the trunk, or a contact's URI */
    uint16_t party;    /* of struct flow, of a place */
    struct flow_dest place;
};

enum dial_purpose {
    DIAL_CALL,    /* for a caller whose INVITE waits */
    DIAL_ROOM,    /* for a conference, in whose name a leg without a session stands */
    DIAL_TRANSFER /* for a party that is up, in place of the one who transfers it */
};

struct dial {
    handle_t self, call;
    handle_t owner;    /* the leg for which somebody is sought */
    handle_t transfer; /* whom to tell (DIAL_TRANSFER) */
    uint8_t purpose;
    uint8_t side;  /* which of the call's two places is to be filled */
    uint8_t batch; /* tried last */
    uint8_t hops;  /* forwards and redirections so far */
    bool ignore_6xx;
    bool expires;  /* the caller's INVITE ends (487) at the deadline */
    bool rang_out; /* somebody has not answered in time */
    bool told_181;
    usec_t deadline;       /* USEC_NEVER: none */
    usec_t ring;           /* of the present batch; 0: the patience */
    unsigned verdict;      /* 0, or what the caller is told when all have failed: a loop (482) */
    unsigned failure;      /* why the last target could not be called */
    struct config *config; /* a reference: targets point into it */
    struct plan_from from; /* whose rights count for what is dialled next */
    /* The extension tried alone, whose forwarding counts; NULL: none. */
    const struct config_extension *alone;
    const struct config_trunk *trunk; /* the gateway that has not said anything yet; NULL: none */
    struct pbx_timer timer;
    /* Bots: voicebot.c. */
    handle_t bot;                          /* the one that is being opened; 0: none */
    const struct config_extension *bot_of; /* whose it is, of the timer or asked already */
    bool bot_asked;
    struct pbx_timer bot_timer;
    /* A contact whose name is being looked up: contact.c. */
    uint64_t naming;      /* the token of the question; 0: none */
    struct target called; /* that contact; its number is owned */
    /* In a queue: queue.c. */
    struct list in_queue;
    const struct config_group *queue;
    usec_t queued_at, told_at;
    uint16_t place;         /* callers ahead, as last told */
    struct str invite;      /* owned: the caller's INVITE */
    struct str referred_by; /* owned, like the next: of the REFER */
    struct str replaces;
    const struct sip_msg *m; /* the INVITE, while its input is being handled */
    const struct sdp *offer; /* the description in it, likewise */
    unsigned n_diverted;
    struct diversion diverted[DIAL_MAX_DIVERTED]; /* numbers owned */
    struct target target[DIAL_MAX_TARGETS];
};

/* ---- dial.c: the caller's INVITE ------------------------------------------------------------- */
void dial_invite(struct pbx *p, const struct sip_out *o);
/* Refuses the caller; 488 says what would work. */
void dial_refuse(struct pbx *p, struct call *call, unsigned status);

/* ---- search.c: batches ----------------------------------------------------------------------- */
/* A new search; NULL: there is no room. */
struct dial *dial_new(struct pbx *p, struct call *call, enum dial_purpose purpose, unsigned side);
struct dial *dial_of(struct pbx *p, const struct call *call);
/* Those whom `old` rings, and those who would be next, are sought for d's owner from now on. */
void dial_take_over(struct pbx *p, struct dial *d, struct dial *old);
/* Ends the search of the call, if there is one. Its legs stay as they are. */
void dial_stop(struct pbx *p, struct call *call);
/* Adds the targets of a plan in front of all that wait. 0, or the status that refuses it. */
MUST_CHECK unsigned dial_add(struct pbx *p, struct dial *d, const struct plan *plan);
/* One more target, in a batch of its own right behind the present one: of several, the first is put
 * last. false: no room. */
bool dial_put(struct pbx *p, struct dial *d, const struct target *t, struct str number);
/* Is anybody being called? */
bool dial_rings(struct pbx *p, const struct dial *d);
/* Tries the next batch if nobody rings, and ends the search when there is none. */
void dial_run(struct pbx *p, struct dial *d);
/* Somebody is being told: from now on the patience counts, not the time for a gateway. */
void dial_patience(struct pbx *p, struct dial *d);
/* Cancels who still rings, but `keep`. */
void dial_drop(struct pbx *p, struct dial *d, const struct leg *keep, struct str reason);
/* An entry for the record: who could not even be called. */
void dial_skip(struct pbx *p, struct dial *d, const struct target *t, unsigned status);
void dial_failed(struct pbx *p, struct leg *leg, const struct sip_out *o);

/* ---- target.c: from a target to legs --------------------------------------------------------- */
void target_start(struct pbx *p, struct dial *d, const struct target *t);

/* ---- contact.c: where a gateway has redirected us -------------------------------------------- */
/* Where it is; false: its URI has a name, which is looked up now if it can be. */
bool contact_flow(struct pbx *p, struct dial *d, const struct target *t, struct flow *ret);
/* The answer is taking too long, or the search is over. */
void contact_give_up(struct pbx *p, struct dial *d);
/* What has been found, or nothing (n 0). */
void contact_resolved(struct pbx *p, uint64_t token, const struct flow_dest *dest, unsigned n);

/* ---- outbound.c: the INVITE to a target ------------------------------------------------------ */
/* One more leg, like `like` (flow, extension, trunk, party), on its way to ruri. false: d->failure
 * says why not. */
bool dial_leg(struct pbx *p, struct dial *d, const struct leg *like, struct str ruri,
              struct str route);

/* ---- ringing.c: what the targets say --------------------------------------------------------- */
void dial_progress(struct pbx *p, struct leg *leg, const struct sip_out *o);
void dial_answered(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* The caller's PRACK of a provisional of ours. */
void dial_pracked(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* Do those who are called make the offer, since the caller has made none? */
bool dial_is_late(struct pbx *p, const struct dial *d);
/* The record and the trace: this leg has answered. */
void dial_note_answer(struct pbx *p, struct call *call, struct leg *leg, const struct sdp *sdp);
/* What the caller is told when this callee says `status`. */
unsigned dial_status_for_caller(const struct leg *leg);
/* The best of several refusals (RFC 3261 16.7 step 6). */
unsigned dial_best_status(struct pbx *p, const struct dial *d);

/* ---- forward.c ------------------------------------------------------------------------------- */
/* The extension `alone` is busy, does not answer, is not there: 0 when somebody else is tried
 * instead, else the status that remains. */
unsigned forward_failed(struct pbx *p, struct dial *d, unsigned status);
/* Forwarded without trying, or not to be disturbed: true, when the extension is not to ring. */
bool forward_before(struct pbx *p, struct dial *d, const struct target *t);
/* A 3xx: its contacts are tried next. 0, or the status that remains. */
unsigned forward_redirected(struct pbx *p, struct dial *d, const struct leg *leg,
                            const struct sip_msg *m);

#endif
