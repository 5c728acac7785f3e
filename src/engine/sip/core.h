/* The SIP engine: transactions, dialogs and INVITE sessions as a pure function of bytes and time.
 *
 * Four doors: sip_core_rx() takes what the network brought, the commands (sip_invite(),
 * sip_respond(), ...) what the user of the engine wants, sip_core_tick() the time; everything that
 * follows from them waits in a queue for sip_core_out(). Nothing is called back. One input runs to
 * its end before the next; after each, drain the queue. `now` never goes backwards.
 *
 * Objects are named by handles; a handle of something that has ended is harmless. */
#ifndef ENGINE_SIP_CORE_H
#define ENGINE_SIP_CORE_H

#include "base/blob.h"
#include "base/flow.h"
#include "base/local.h"
#include "base/rand.h"
#include "base/timer.h"
#include "base/trace.h"
#include "wire/sip/build.h"
#include "wire/sip/msg.h"

struct sip_core;

/* ---- configuration --------------------------------------------------------------------------- */

struct sip_timers {
    usec_t t1, t2, t4;      /* RFC 3261 section 17 */
    usec_t t1_min, t1_max;  /* bounds of the measured T1 */
    usec_t bye_timeout;     /* an unanswered BYE ends the session anyway */
    bool adaptive_t1;       /* T1 by destination from measured round trips (RFC 6298) */
    usec_t session_expires; /* RFC 4028; 0, or no "timer" in supported_call: no session timers */
    usec_t min_se;          /* shorter intervals are refused with 422; at least 90 s */
    bool refresher_uac;     /* who refreshes when the choice is left to us */
    unsigned invite_sends;  /* an INVITE without any answer is given up when it would be sent once
                               more often; 0: at Timer B, which ends it in any case */
};

#define SIP_MAX_EXEMPT 256

struct sip_conf {
    struct sip_timers timers;
    unsigned n_listeners;
    struct flow_listener listener[FLOW_MAX_LISTENERS];
    struct local_addrs local;
    char call_id_host[128];     /* host part of the Call-IDs made here */
    char server_name[64];       /* Server and User-Agent; empty: none */
    const char *supported;      /* option tags understood in Require; in Supported of OPTIONS */
    const char *supported_call; /* those of calls, in Supported of INVITE and its answers; "" */
    const char *allow;          /* methods in Allow */
    uint32_t max_txns, max_sessions, max_dialogs;
    uint32_t udp_max_bytes;          /* requests above go by TCP (RFC 3261 18.1.1); 0: never */
    uint32_t rate_per_s, rate_burst; /* new requests a source address may start; 0: no limit */
    unsigned n_exempt;               /* networks without that limit */
    struct {
        struct addr ip;
        uint8_t prefix;
    } exempt[SIP_MAX_EXEMPT];
};

/* A new engine; NULL: out of memory. `rand` and `trace` stay the caller's and must outlive it. */
struct sip_core *sip_core_new(const struct sip_conf *conf, struct rand *rand, struct trace *trace,
                              usec_t now);
void sip_core_free(struct sip_core *c);
/* The addresses of our interfaces have changed. */
void sip_core_set_local(struct sip_core *c, const struct local_addrs *local);
/* Timers, names and the exempt networks of a new configuration; listeners and limits stay. */
void sip_core_reconfigure(struct sip_core *c, const struct sip_conf *conf);

/* ---- outputs --------------------------------------------------------------------------------- */

enum sip_out_kind {
    SIP_OUT_SEND,      /* bytes for the network; unref the blob afterwards */
    SIP_OUT_REQUEST,   /* a request outside INVITE sessions: answer with sip_respond(txn). A
                          SUBSCRIBE may belong to a dialog that the user keeps */
    SIP_OUT_RESPONSE,  /* a response to sip_request() or sip_session_request(): status, msg (NULL
                          for 408 and 503 made here); final when status >= 200 */
    SIP_OUT_INVITE,    /* a new call: session, msg. Answer with sip_progress/answer/reject() */
    SIP_OUT_REINVITE,  /* an INVITE inside session: answer it in the same ways */
    SIP_OUT_CANCELLED, /* the caller gave up (msg: the CANCEL); 487 was sent, the session is gone */
    SIP_OUT_ACKED,     /* the ACK of our 2xx came; its body may hold the answer of a late offer */
    SIP_OUT_PROGRESS,  /* a 1xx to our INVITE; of 100 the status alone (msg NULL), of the others
                          dialog tells forked ones apart. A `reliable` one must be acknowledged
                          with sip_prack() */
    SIP_OUT_PRACKED,   /* the PRACK of our reliable 1xx came; with a body, txn is to be answered */
    SIP_OUT_REFRESH,   /* the session timer wants a re-INVITE that changes nothing */
    SIP_OUT_ANSWERED,  /* the 2xx to our INVITE (also of a re-INVITE), and the dialog that is left:
                          sip_ack() it */
    SIP_OUT_FAILED,    /* 300-699 to our INVITE, or 408/503 made here (msg NULL). Of a re-INVITE:
                          the session stays unless `ended` */
    SIP_OUT_IN_DIALOG, /* another request inside session (INFO, UPDATE, ...), in this dialog of it:
                          sip_respond(txn) */
    SIP_OUT_BYE,       /* the peer hung up; 200 was sent, the session is gone */
    SIP_OUT_ENDED      /* the session is over for another reason: our BYE was answered or timed
                          out (status), no ACK came, the dialog is unknown to the peer */
};

struct sip_out {
    enum sip_out_kind kind;
    uint64_t cause; /* number of the input that led to this */
    /* SIP_OUT_SEND */
    struct flow flow; /* also: where the message of the other kinds came from */
    struct blob *blob;
    bool after_commit; /* leaves when what was stored before it is safe */
    /* the others */
    handle_t session, txn, dialog;
    uint64_t user;             /* the user's number of the session or request */
    const struct sip_msg *msg; /* valid until the next input; may be NULL */
    uint32_t rseq;             /* of a reliable SIP_OUT_PROGRESS */
    uint16_t status;
    bool ended;
    bool reliable; /* SIP_OUT_PROGRESS */
    bool marked;   /* SIP_OUT_PRACKED: of a provisional that was sent so */
    bool expired;  /* SIP_OUT_ENDED: the session timer ran out */
};

/* The next output, oldest first; false when there is none. */
bool sip_core_out(struct sip_core *c, struct sip_out *ret);

/* ---- inputs ---------------------------------------------------------------------------------- */

/* One datagram, or one framed message of a stream. */
void sip_core_rx(struct sip_core *c, usec_t now, const struct flow *flow, const char *bytes,
                 size_t n);
/* A stream ended or could not be opened, or a datagram was refused: everything sent there and not
 * answered fails. conn 0: any connection to the peer. */
void sip_core_flow_failed(struct sip_core *c, usec_t now, const struct flow *flow);
/* A datagram of ours came back as undeliverable (ICMP), with its first bytes: the request whose
 * branch is in them fails at once (RFC 3261 18.4). Bytes without a branch of ours change nothing,
 * so nobody who has not seen the request can end it. */
void sip_core_bounced(struct sip_core *c, usec_t now, const char *bytes, size_t n);
void sip_core_tick(struct sip_core *c, usec_t now);
/* When sip_core_tick() is next needed; USEC_NEVER: not at all. */
usec_t sip_core_deadline(const struct sip_core *c);

/* ---- commands -------------------------------------------------------------------------------- */

/* A header field to add: `id` SIP_H_OTHER means `name` names it. Values may be folded text of a
 * received message; CR, LF and NUL elsewhere make the command fail. */
struct sip_field {
    enum sip_hdr_id id;
    struct str name;
    struct str value;
};
#define SIP_FIELDS_MAX 64
struct sip_content {
    const struct sip_field *field;
    unsigned n_fields;
    struct str type, body; /* body none: no body */
};

/* Answers a request of SIP_OUT_REQUEST or SIP_OUT_IN_DIALOG. reason none: the usual phrase.
 * A provisional may be followed by a final answer. -ENOENT: no such transaction any more;
 * -EINVAL, -EMSGSIZE: the content cannot be sent; 500 was sent in its place. */
struct sip_answer {
    uint16_t status;
    struct str reason;
    struct sip_content content;
    bool after_commit;
    usec_t delay; /* over UDP, leaves so much later; not for INVITE */
    bool
        reliable; /* a 101-199 is repeated until its PRACK, if the caller knows 100rel (RFC 3262) */
    bool marked;  /* reliable: its SIP_OUT_PRACKED says so too */
    bool once;    /* forget the request with this answer. Who asks again is answered anew, and
                     nobody unknown takes our memory (RFC 3261 26.3.2.4) */
};
int sip_respond(struct sip_core *c, usec_t now, handle_t txn, const struct sip_answer *a);
/* Never answers a non-INVITE request: for one whose time is over, since a 408 must not be sent
 * (RFC 4320 section 4.2). */
void sip_abandon(struct sip_core *c, usec_t now, handle_t txn);

/* A new INVITE session as UAC. The engine makes Via, tags, CSeq, Max-Forwards, Contact, Allow,
 * Supported. */
struct sip_invite_cmd {
    struct flow to; /* where it goes; listener 0xFF: the engine chooses */
    struct str ruri;
    struct str from, to_hdr; /* name-addr without tag */
    struct str contact_user;
    struct str call_id; /* none: a new one */
    struct str route;   /* "Route" values, comma separated; none: no route */
    int max_forwards;   /* -1: 70 */
    uint64_t user;
    handle_t tag;   /* history of the call */
    uint8_t leg;    /* its number in the history */
    bool focus;     /* the Contact is that of a conference: sip_session_set_focus() */
    bool no_100rel; /* leave 100rel out of Supported: provisionals cannot be acknowledged in time */
    bool no_early_session; /* and early-session: nobody would hear it */
    struct sip_content content;
};
/* 0 and *ret, or -EAGAIN (a table is full), -EINVAL, -EMSGSIZE. */
MUST_CHECK int sip_invite(struct sip_core *c, usec_t now, const struct sip_invite_cmd *cmd,
                          handle_t *ret);
/* Sends the INVITE or the re-INVITE of the session (or the request `txn`) once more with
 * credentials, under the next CSeq. auth is the field to add (Authorization or
 * Proxy-Authorization). Allowed right after its SIP_OUT_FAILED / SIP_OUT_RESPONSE with 401 or 407,
 * 422 and the like: `field` replaces fields of the same name. */
int sip_retry(struct sip_core *c, usec_t now, handle_t txn, const struct sip_field *field);
/* The user's number for everything that follows, and the history. */
void sip_session_set_user(struct sip_core *c, handle_t session, uint64_t user, handle_t tag,
                          uint8_t leg);

/* We are the focus of a conference in this session: the Contact of what we send from now on is the
 * URI of the room, sip:user@..., with the parameter isfocus (RFC 4579 section 5.1, RFC 3840). An
 * empty user stays what it was. -ENOENT, -ENOMEM. */
int sip_session_set_focus(struct sip_core *c, usec_t now, handle_t session, struct str user);

/* UAS: 101-199 (with or without a body), 2xx, 300-699 to the INVITE or re-INVITE of the session. */
int sip_progress(struct sip_core *c, usec_t now, handle_t session, const struct sip_answer *a);
int sip_accept(struct sip_core *c, usec_t now, handle_t session, const struct sip_answer *a);
int sip_reject(struct sip_core *c, usec_t now, handle_t session, const struct sip_answer *a);

/* A reliable provisional, as its SIP_OUT_PROGRESS names it: others may have come since. */
struct sip_reliable {
    handle_t dialog;
    uint32_t rseq;
};
/* UAC: acknowledges a reliable provisional (RFC 3262 section 4), with an answer or an offer. */
int sip_prack(struct sip_core *c, usec_t now, handle_t session, const struct sip_reliable *which,
              const struct sip_content *content);
/* UAC: acknowledges SIP_OUT_ANSWERED, with an answer if the 2xx held the offer. Repeated 2xx get
 * the same ACK by themselves. */
int sip_ack(struct sip_core *c, usec_t now, handle_t session, const struct sip_content *content);
/* An INVITE inside the dialog. -EBUSY: one is under way in either direction. */
int sip_reinvite(struct sip_core *c, usec_t now, handle_t session,
                 const struct sip_content *content);
/* Gives up the re-INVITE under way; its end comes as usual. -ENOENT: there is none. */
int sip_cancel_reinvite(struct sip_core *c, usec_t now, handle_t session);
/* Who we are in the From of later requests in the dialog (RFC 4916): a name-addr without tag.
 * -ENOENT, -ENOMEM. Allowed when the peer supports from-change (struct sip_peer). */
int sip_session_set_identity(struct sip_core *c, usec_t now, handle_t session, struct str nameaddr);
/* Any other request inside the dialog; its responses carry `user`. */
int sip_session_request(struct sip_core *c, usec_t now, handle_t session, enum sip_method method,
                        const struct sip_content *content, uint64_t user);

/* The same inside one of the early dialogs of a forked INVITE. */
int sip_dialog_request(struct sip_core *c, usec_t now, handle_t session, handle_t dialog,
                       enum sip_method method, const struct sip_content *content, uint64_t user);

/* Ends the session the right way for its state (RFC 3261 section 15): CANCEL before the final
 * answer to our INVITE, reject before ours to theirs, BYE afterwards (after the ACK if it is still
 * awaited). `reason` is a Reason value or none. The end comes as SIP_OUT_ENDED or SIP_OUT_FAILED.
 */
int sip_hangup(struct sip_core *c, usec_t now, handle_t session, struct str reason);

/* A request outside any dialog, or inside one that its user keeps. call_id and from_tag none: new
 * ones. */
struct sip_request_cmd {
    enum sip_method method;
    struct flow to;
    struct str ruri, from, to_hdr, call_id, from_tag, route;
    bool in_dialog;     /* ruri is the remote target, route the route set, `to` the peer's latest
                           flow: where it goes follows from them (RFC 3261 12.2.1.1) */
    bool pinned;        /* in_dialog: the target is behind NAT, see sip_is_pinned() */
    uint32_t cseq;      /* 0: 1 */
    struct str contact; /* full Contact value; none: no Contact */
    uint64_t user;
    handle_t tag;
    struct sip_content content;
};
MUST_CHECK int sip_request(struct sip_core *c, usec_t now, const struct sip_request_cmd *cmd,
                           handle_t *ret);
/* Is the Contact of a message that came over `flow` no place to send to, because NAT stands
 * between? */
bool sip_is_pinned(const struct sip_msg *m, const struct flow *flow);

/* ---- looking in ------------------------------------------------------------------------------ */

struct sip_dialog_view {
    struct str call_id, local_tag, remote_tag, local_uri, remote_uri, target, route;
    uint32_t local_cseq, remote_cseq;
    struct flow flow;
};
/* Views into the session, valid until the next command or input. false: no such session. */
bool sip_session_view(const struct sip_core *c, handle_t session, struct sip_dialog_view *ret);

/* A dialog named by another message: Replaces (RFC 3891), Target-Dialog (RFC 4538). */
struct sip_dialog_id {
    struct str call_id, to_tag, from_tag; /* to_tag: ours. The swapped order is found too */
};
struct sip_dialog_found {
    handle_t session, dialog;
    uint64_t user; /* of the session */
    bool early;    /* no 2xx yet */
    bool uac;      /* the INVITE was ours */
    bool ended;    /* a BYE is under way */
    bool swapped;  /* the tags stood in the other order */
};
bool sip_dialog_lookup(const struct sip_core *c, const struct sip_dialog_id *id,
                       struct sip_dialog_found *ret);
/* The tag that our responses put behind the To of a request without one; none: no such transaction,
 * or the request had one. Valid until the next command or input. */
struct str sip_txn_local_tag(const struct sip_core *c, handle_t txn);

enum sip_txn_kind { TXN_ICT, TXN_NICT, TXN_IST, TXN_NIST, TXN_KINDS };
enum sip_txn_state {
    TXN_TRYING, /* Calling of ICT, Trying of NICT and NIST */
    TXN_PROCEEDING,
    TXN_COMPLETED,
    TXN_CONFIRMED,
    TXN_ACCEPTED, /* RFC 6026 */
    TXN_TERMINATED,
    TXN_STATES
};
/* The request that a client transaction sent; none: no such transaction. Valid until the next
 * command or input. For who answers a challenge (see auth_client.h). */
struct str sip_txn_sent(const struct sip_core *c, handle_t txn);
struct str sip_txn_kind_name(enum sip_txn_kind kind);
struct str sip_txn_state_name(enum sip_txn_kind kind, enum sip_txn_state state);
/* Does this machine have this state? */
bool txn_has_state(enum sip_txn_kind kind, enum sip_txn_state state);

#define SIP_TIMER_LETTERS 13 /* 'A'..'M' */
struct sip_stats {
    uint64_t rx_requests, rx_responses, tx_requests, tx_responses, rx_bad, rx_stray;
    uint64_t rx_method[SIP_METHOD_COUNT], tx_method[SIP_METHOD_COUNT];
    uint64_t tx_status[8], rx_status[8]; /* by class 1..6 */
    uint64_t retransmissions_sent, retransmissions_received;
    uint64_t timeouts[SIP_TIMER_LETTERS]; /* by the timer that ended a transaction */
    uint64_t fired[SIP_TIMER_LETTERS];
    uint64_t invite_timeouts, bye_timeouts, ack_timeouts, prack_timeouts;
    uint64_t session_timeouts, refreshes_sent, refreshes_received;
    uint64_t ignored; /* events that no state expects */
    uint64_t merged, loops, overload, rate_limited, transport_errors, reaped;
    uint64_t txns[TXN_KINDS][TXN_STATES]; /* active now */
    uint64_t active_txns, active_sessions, active_dialogs, active_timers;
    uint64_t blob_bytes;
};
void sip_core_stats(const struct sip_core *c, struct sip_stats *ret);

/* What the peer has said that it can do, in Supported and Allow of its latest messages. */
struct sip_peer {
    bool timer, rel100, replaces, from_change, norefersub, early_session;
    bool rel100_required; /* its INVITE: every provisional of ours is reliable */
    bool allow_known;
    uint32_t allow; /* bit 1 << enum sip_method */
};
bool sip_session_peer(const struct sip_core *c, handle_t session, struct sip_peer *ret);

/* The measured round trip to a destination, in microseconds; false: never measured. */
struct sip_rtt {
    struct addr peer;
    uint32_t srtt_us, rttvar_us, samples;
    usec_t t1; /* what adaptive_t1 makes of it */
};
bool sip_core_rtt(const struct sip_core *c, uint32_t *at, struct sip_rtt *ret);

/* Looks for sessions and dialogs that nothing can end any more (T11), ends and counts them.
 * Returns how many. */
unsigned sip_core_audit(struct sip_core *c, usec_t now);

/* The timer armed next of each transaction and session with this history tag, for people. */
struct sip_timer_view {
    char name[12]; /* "A".."M", "ACK", "BYE" */
    usec_t due;
    struct str method;
};
bool sip_core_timer_next(const struct sip_core *c, handle_t tag, uint32_t *at,
                         struct sip_timer_view *ret);

/* A new Call-ID: 40 hexadecimal digits and the configured host. */
void sip_core_call_id(struct sip_core *c, struct buf *b);

#endif
