/* What the files of engine/sip share and nobody else sees. */
#ifndef ENGINE_SIP_SIP_INT_H
#define ENGINE_SIP_SIP_INT_H

#include <errno.h>

#include "base/hash.h"
#include "base/list.h"
#include "engine/sip/core.h"
#include "engine/sip/guard.h"
#include "engine/sip/rtt.h"
#include "engine/sip/txn.h"

#define SIP_TX_BYTES    SIP_MAX_BYTES
#define SIP_OUT_QUEUE   256  /* grows by doubling; see core_emit() */
#define SIP_OUT_TICK    4096 /* a tick stops for the queue to be drained beyond so many */
#define SIP_MAX_FORKS   8
#define SIP_PEER_LISTS  4096 /* a power of two */
#define SIP_TAG_CHARS   16
#define SIP_NO_LISTENER 0xFF

/* timer.kind: which member of which object it is. */
enum sip_timer_kind {
    ST_TXN_RETRY,
    ST_TXN_LIFE,
    ST_SES_RETRY,
    ST_SES_LIFE,
    ST_SES_SE,
    ST_REL_RETRY,
    ST_REL_LIFE
};

struct sip_dialog {
    struct hash_node by_tag; /* hash of the local tag */
    handle_t session, next;  /* forks of one INVITE */
    uint32_t local_cseq, remote_cseq;
    uint32_t rseq; /* of the last reliable provisional; 0: none */
    bool has_remote_cseq, early;
    bool pinned; /* behind NAT: requests go where the peer's came from */
    struct flow flow;
    char local_tag[SIP_TAG_CHARS];
    /* Owned texts, in the core's pool. local and remote are From/To values with their tags. */
    struct str call_id, local, remote, remote_tag, target, route;
    /* What the peer's INVITE or UPDATE makes of them when it is accepted. */
    struct str next_target, next_remote;
    struct flow next_flow;
    bool next_pinned;
};

enum sip_session_state {
    SES_INCOMING,   /* UAS, no final answer yet */
    SES_CALLING,    /* UAC, no final answer yet */
    SES_CANCELLING, /* UAC, CANCEL sent or to be sent with the first provisional */
    SES_ANSWERED,   /* UAS: 2xx sent, no ACK; UAC: 2xx received, sip_ack() not yet called */
    SES_CONFIRMED,
    SES_ENDING, /* BYE sent */
    SES_FAILED, /* UAC, final non-2xx: alive until the next input, for sip_retry() */
    SES_STATES
};

struct sip_session {
    uint8_t state, leg;
    bool uac;
    bool cancel_sent, had_provisional;
    bool cancel_wanted; /* of a re-INVITE: with its first provisional */
    bool bye_wanted;    /* BYE as soon as the ACK of our 2xx is here */
    bool ack_due;       /* UAC: a 2xx waits for sip_ack() */
    bool auth_sent;     /* the INVITE carried credentials: so does the ACK (RFC 3261 22.1) */
    bool sips;          /* our Contact in it is a sips URI: RFC 5630 5.1.1.2, 5.1.2 */
    bool focus;         /* its Contact says isfocus: RFC 4579 section 5.1 */
    uint8_t n_dialogs;
    /* What the peer can do. */
    bool peer_timer, peer_rel, peer_rel_required, peer_replaces, peer_from_change, peer_norefersub;
    bool peer_early_session;
    bool peer_update, peer_allow_known;
    uint32_t peer_allow;
    /* The session timer: stimer.c. */
    bool se_we_refresh, se_asked_uac, se_asked_require;
    uint8_t se_tries, se_refused;        /* 422s met; refusals of a refresh in a row */
    uint32_t se_s, se_min_s, se_asked_s; /* interval; raised by 422; that of the 2xx to come */
    usec_t se_since;
    handle_t se_update; /* our refresh under way */
    struct timer se;
    struct sip_rel *rel; /* rel.c; NULL: no reliable provisional was sent */
    uint64_t user;
    handle_t tag;
    handle_t dialogs; /* first of the list; the confirmed one once there is one */
    handle_t invite;  /* transaction of the INVITE or re-INVITE under way */
    handle_t bye;
    uint32_t invite_cseq;
    struct blob *ok;  /* our 2xx, until its ACK. RFC 3261 13.3.1.4 */
    struct blob *ack; /* our ACK, sent again for each repeated 2xx */
    struct flow ok_flow, ack_flow;
    uint32_t ack_cseq;
    usec_t ok_interval;
    struct timer retry, life;
    struct str contact_user, reason;
};

struct sip_rel;

struct sip_core {
    struct sip_conf conf;
    bool session_timers; /* conf has them, and "timer" is among the extensions of calls */
    struct rand *rand;
    struct trace *trace;
    usec_t now;
    uint64_t cause;
    struct blob_pool pool;
    struct timer_wheel wheel;
    struct slot_table txns, sessions, dialogs;
    struct hash_table by_key, by_merge, by_tag;
    /* Client transactions by a hash of their peer. Lists, since a trunk may have thousands, each of
     * which must leave without a walk over the others. */
    struct list by_peer[SIP_PEER_LISTS];
    struct sip_rtt_table *rtt;
    struct sip_guard *guard;
    struct sip_stats stats;
    struct sip_out *out;
    uint32_t out_head, out_n, out_cap;
    struct sip_msg msg, old; /* the message in hand; one parsed again from a kept copy */
    struct arena work;
    handle_t limbo_session, limbo_txn; /* failed with the last input; sip_retry() may save them */
    char tx[SIP_TX_BYTES];
};

/* core.c */
/* Every command begins with this. */
void core_enter_cmd(struct sip_core *c, usec_t now);
struct sip_out *core_emit(struct sip_core *c, enum sip_out_kind kind);
void core_send(struct sip_core *c, const struct flow *to, struct blob *b);
void core_hist(struct sip_core *c, handle_t tag, uint8_t leg, enum hist_kind kind, unsigned code,
               uint32_t a);
void core_hist_timer(struct sip_core *c, handle_t tag, uint8_t leg, enum hist_kind kind,
                     unsigned letter, usec_t in);
/* Replaces an owned text by a copy of `value` (none: frees). -ENOMEM leaves the old one. */
int core_keep(struct sip_core *c, struct str *owned, struct str value);
void core_tag(struct sip_core *c, char tag[SIP_TAG_CHARS]);

/* respond.c */
/* Makes the header lines that every response of a server transaction begins with. */
struct blob *respond_head(struct sip_core *c, const struct sip_msg *m, const struct flow *flow,
                          struct str to_tag);
struct flow respond_flow(const struct sip_core *c, const struct sip_msg *m,
                         const struct flow *flow);
/* A To tag that the same request gets again, however often it comes: RFC 3261 8.2.7. */
void respond_tag(const struct sip_core *c, const struct sip_msg *m, char tag[SIP_TAG_CHARS]);
void respond_stateless(struct sip_core *c, const struct flow *flow, unsigned status,
                       const struct sip_field *field);
/* Builds a response of txn; contact none: no Contact. -EINVAL, -EMSGSIZE, -ENOMEM. */
MUST_CHECK int respond_build(struct sip_core *c, const struct sip_txn *txn,
                             const struct sip_answer *a, struct str contact, struct blob **ret);
/* Builds and sends it through the transaction; falls back to a bare 500 if it cannot be built. */
int respond_txn(struct sip_core *c, struct sip_txn *txn, const struct sip_answer *a,
                struct str contact);
/* Appends the fields of content, not its body. */
void respond_put_fields(struct sip_build *w, const struct sip_content *content);
int respond_simple(struct sip_core *c, struct sip_txn *txn, unsigned status);
/* After a final answer: the transaction goes at once. */
void respond_forget(struct sip_core *c, handle_t txn);

/* request.c */
struct sip_req {
    struct str method, ruri, from, to, call_id, route, contact;
    uint32_t cseq;
    int max_forwards;
    bool advertise;                  /* Allow and Supported */
    const struct sip_session *timed; /* whose session timer is asked for; NULL: none */
    bool initial, no_100rel, no_early_session, focus;
    const struct sip_content *content;
    bool sips; /* its Contact must be a sips URI, whatever the Request-URI is */
};
struct req_branch {
    char text[24];
};
/* Chooses listener and transport for `to`, makes the branch, writes the message. */
MUST_CHECK int request_build(struct sip_core *c, const struct sip_req *r, struct flow *to,
                             struct req_branch *branch, struct blob **ret);
/* A client transaction for a built request; takes over the blob. */
MUST_CHECK int request_start(struct sip_core *c, enum sip_txn_kind kind, enum sip_method method,
                             const struct flow *to, const struct req_branch *branch,
                             struct blob *blob, struct sip_txn **ret);
/* A request derived from a sent one: ACK to a final non-2xx and CANCEL (RFC 3261 17.1.1.3, 9.1). */
MUST_CHECK int request_derive(struct sip_core *c, const struct blob *sent, enum sip_method method,
                              struct str to, struct str reason, struct blob **ret);
/* `content` replaces fields of the same names. */
void request_contact(struct sip_core *c, struct buf *b, struct str user, const struct flow *flow,
                     bool sips);
int request_resend(struct sip_core *c, struct sip_txn *txn, const struct sip_content *content,
                   uint32_t cseq, struct sip_txn **ret);
/* The numeric destination of a URI; false if its host is a name or its transport unknown. */
bool request_dest(const struct sip_uri *uri, struct flow *flow);
/* Have we a listener for it? */
bool request_can_send(const struct sip_core *c, const struct flow *to);

/* dialog.c, dialog_route.c */
struct sip_dialog *dialog_new(struct sip_core *c, struct sip_session *s, handle_t session,
                              handle_t *ret);
void dialog_free(struct sip_core *c, handle_t h);
struct sip_dialog *dialog_find(struct sip_core *c, const struct sip_msg *m);
/* From the peer's INVITE (UAS) or its response to ours (UAC). */
int dialog_from_request(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                        const struct flow *flow);
int dialog_from_response(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                         const struct flow *flow);
/* Target refresh: RFC 3261 12.2.1.2, 12.2.2. */
void dialog_refresh(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                    const struct flow *flow);
/* The same for a request of the peer, in two steps: it counts when it is accepted. */
void dialog_refresh_note(struct sip_core *c, struct sip_dialog *d, const struct sip_msg *m,
                         const struct flow *flow, bool from_change);
void dialog_refresh_accepted(struct sip_core *c, struct sip_dialog *d);
/* Fills ruri, route and destination of a request inside d. The texts live in c->work. */
void dialog_address(struct sip_core *c, const struct sip_dialog *d, struct sip_req *r,
                    struct flow *to);
int dialog_request(struct sip_core *c, struct sip_dialog *d, enum sip_method method,
                   const struct sip_content *content, struct sip_txn **ret);

/* invite.c */
struct sip_session *session_find(const struct sip_core *c, handle_t h);
struct sip_session *session_new(struct sip_core *c, bool uac, handle_t *ret);
void session_free(struct sip_core *c, handle_t h);
void session_release(struct sip_core *c, handle_t session, handle_t txn);
struct sip_dialog *session_dialog(const struct sip_core *c, const struct sip_session *s);
struct sip_out *session_emit(struct sip_core *c, handle_t h, enum sip_out_kind kind);
void session_end(struct sip_core *c, handle_t h, enum sip_out_kind kind, unsigned status);
int session_bye(struct sip_core *c, handle_t h, struct str reason);
void session_timer(struct sip_core *c, struct timer *t);
void session_rx_response(struct sip_core *c, struct sip_txn *txn, const struct sip_msg *m);
void session_txn_failed(struct sip_core *c, struct sip_txn *txn, unsigned status);
void session_contact(struct sip_core *c, const struct sip_session *s, const struct flow *flow,
                     struct buf *b);
/* invite_uas.c */
void uas_invite(struct sip_core *c, struct sip_txn *txn, const struct sip_msg *m, struct str tag);
void uas_in_dialog(struct sip_core *c, struct sip_dialog *d, struct sip_txn *txn,
                   const struct sip_msg *m);
void uas_ack(struct sip_core *c, const struct sip_msg *m);
void uas_cancelled(struct sip_core *c, struct sip_txn *invite, const struct sip_msg *m);
void uas_timer(struct sip_core *c, struct sip_session *s, handle_t h, bool life);
/* invite_uac.c */
void uac_rx_response(struct sip_core *c, struct sip_txn *txn, const struct sip_msg *m);
void uac_failed(struct sip_core *c, struct sip_txn *txn, unsigned status);
int uac_cancel(struct sip_core *c, handle_t h, struct str reason);
void uas_accept_now(struct sip_core *c, struct sip_session *s, struct sip_txn *t, unsigned status,
                    struct blob *ok);

/* stimer.c: RFC 4028 */
enum stimer_refresher { SE_NOBODY, SE_UAC, SE_UAS, SE_REFRESHERS };
/* Who refreshes, by what the request says; ours: our choice where we have one. */
enum stimer_refresher stimer_choose(bool peer_supports, enum stimer_refresher asked,
                                    enum stimer_refresher ours);
void stimer_fired(struct sip_core *c, struct sip_session *s);
void stimer_write_request(struct sip_core *c, const struct sip_session *s, struct sip_build *w,
                          bool initial);
/* A 2xx to our INVITE or UPDATE. */
void stimer_uac_ok(struct sip_core *c, struct sip_session *s, const struct sip_msg *m);
/* A 422 was answered with the same request and a longer interval. */
bool stimer_too_small(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                      const struct sip_msg *m, struct sip_txn **again);
/* The answer to our refresh; m NULL: made here. */
void stimer_update_answered(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                            const struct sip_msg *m, unsigned status);
/* Our re-INVITE was refused: if it was to refresh the session, another one follows. */
void stimer_put_off(struct sip_core *c, struct sip_session *s, const struct sip_msg *m);
/* The peer's interval is too short: 422 was sent. */
bool stimer_refuses(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m);
/* What the peer's INVITE or UPDATE asks for, until it is answered. */
void stimer_note_request(struct sip_core *c, struct sip_session *s, const struct sip_msg *m);
void stimer_write_answer(struct sip_core *c, const struct sip_session *s, enum sip_method method,
                         struct sip_build *w);
void stimer_uas_ok(struct sip_core *c, struct sip_session *s);

/* rel.c: RFC 3262 */
#define REL_QUEUE 4 /* provisionals that wait for a PRACK, with the one that is out */
bool rel_wanted(const struct sip_session *s, const struct sip_answer *a);
int rel_progress(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                 const struct sip_answer *a, struct str contact);
bool rel_holds(const struct sip_session *s);
/* The 2xx leaves with the PRACK; takes over the reference. */
void rel_hold(struct sip_session *s, unsigned status, struct blob *ok);
/* A final answer is out: nothing is repeated any more. */
void rel_final(struct sip_core *c, struct sip_session *s);
void rel_free(struct sip_core *c, struct sip_session *s);
void rel_prack(struct sip_core *c, struct sip_session *s, struct sip_txn *txn,
               const struct sip_msg *m);
/* The user has answered the PRACK with the body: what waited for it may leave. */
void rel_answered(struct sip_core *c, struct sip_session *s);
void rel_timer(struct sip_core *c, struct timer *t);
/* false: a reliable provisional out of its turn or again, which counts for nothing. */
bool rel_in_order(struct sip_dialog *d, const struct sip_msg *m, bool *reliable);

/* peer.c */
/* Notes Supported and Allow of a message of the peer. */
void peer_note(struct sip_session *s, const struct sip_msg *m);

/* rx.c */
void rx_request(struct sip_core *c, const struct flow *flow);

#endif
