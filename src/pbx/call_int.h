/* Calls, legs and bridges as the features see them. A call is legs joined at a bridge. The
 * call is the root: legs live in its list and go when it goes. */
#ifndef PBX_CALL_INT_H
#define PBX_CALL_INT_H

#include "pbx/call.h"
#include "pbx/port.h"
#include "wire/sdp/caps.h"

#define CALL_MAX_LEGS   12
#define LEG_MAX_STREAMS 4
#define PAST_CALLS      4096
#define RELAYED_MAX     1024 /* requests handed from leg to leg and not yet answered */

enum call_state {
    CALL_ROUTING, /* the caller's INVITE is here, nobody rings yet */
    CALL_TRYING,  /* INVITEs are out */
    CALL_RINGING,
    CALL_ANSWERING, /* a callee has answered; the caller's ACK is still to come */
    CALL_UP,
    CALL_ENDING, /* the record is written; waiting for the last answers */
    CALL_STATES
};
struct str call_state_name(enum call_state s);

enum leg_state {
    LEG_TRYING,
    LEG_RINGING,
    LEG_ANSWERED, /* the one that is kept */
    LEG_ENDED     /* its session is over; the entry stays for the record */
};

struct leg_stream {
    media_id id; /* 0: no pair taken (refused media) */
    uint16_t port;
    uint8_t family;
    bool held;       /* the party receives nothing */
    struct addr rtp; /* where the party receives */
};

struct leg {
    handle_t call, session;
    uint8_t number; /* in the call's history: 1 is the caller */
    uint8_t state;
    bool outgoing;
    bool counted;   /* for its extension */
    bool ack_waits; /* its 2xx held an offer: the ACK waits for the answer */
    uint8_t n_streams;
    struct leg_stream stream[LEG_MAX_STREAMS];
    uint64_t sdp_id, sdp_version, sdp_hash; /* of the last description that it was sent */
    struct flow flow;
    uint16_t status;   /* last response of a callee */
    handle_t reinvite; /* a re-INVITE of this leg that waits for the other one: its transaction */
    struct str offer;  /* owned: the description in it, which counts if it is accepted */
    /* Point into the call's configuration snapshot. */
    const struct config_extension *extension;
    const struct config_trunk *trunk;
    struct str call_id; /* owned */
};

/* What the record will say. Owned texts. */
struct cdr {
    struct str caller, caller_name, dialled, callee, did, answered_by, codec, reason;
    uint64_t start_ms, ring_ms, answer_ms; /* wall clock; 0: did not happen */
    usec_t started, rang, answered;
    uint16_t sip_cause, q850_cause;
    uint8_t id[16];
};

enum call_end { CALL_BY_CALLER, CALL_BY_CALLEE, CALL_BY_SYSTEM };

struct call {
    handle_t self;
    uint64_t number; /* 1, 2, ... what people call it by */
    uint8_t state, n_legs;
    bool late_offer;  /* the INVITE had no SDP: the callee offers, the caller's ACK answers */
    bool early_media; /* 183 with SDP went to the caller */
    bool rang;        /* 180 went to the caller */
    bool expires;     /* the caller's INVITE ends (487) before our own patience does */
    handle_t leg[CALL_MAX_LEGS]; /* [0]: the caller */
    handle_t winner;
    handle_t tag; /* history */
    struct config *config;
    struct pbx_timer answer_timer;
    struct cdr cdr;
    const struct config_trunk *trunk_out;
};

struct calls {
    struct slot_table calls, legs;
    struct port_stock ports;
    struct pbx_timer audit;
    uint32_t *per_extension; /* live legs, by index in the present configuration */
    uint32_t n_extensions;
    uint64_t last_number;
    uint64_t total, answered, refused, rtp_timeouts, reaped;
    struct {
        uint64_t seq;
        handle_t txn;
    } relayed[RELAYED_MAX];
    uint64_t relayed_seq;
    /* Calls that have ended, for `trace`: a ring, found by number or by the hash of a Call-ID. */
    struct {
        uint64_t number;
        handle_t tag;
        uint64_t id[4];
    } past[PAST_CALLS];
    uint32_t past_at;
};

/* ---- call.c ---------------------------------------------------------------------------------- */
struct call *call_new(struct pbx *p, const struct sip_out *invite);
struct call *call_find(struct pbx *p, handle_t h);
struct leg *leg_find(struct pbx *p, handle_t h);
struct leg *call_caller(struct pbx *p, struct call *call);
/* The leg that `leg` is joined with: caller <-> winner; NULL before the answer. */
struct leg *call_other(struct pbx *p, struct call *call, const struct leg *leg);
void call_stop_answer_timer(struct pbx *p, struct call *call);
void call_enter(struct pbx *p, struct call *call, enum call_state state);
/* Ends the call: every leg is hung up (but `except`), the record is written. status is the SIP
 * status that tells why, cause the Q.850 cause (0: from the status). */
struct call_ending {
    enum call_end by;
    unsigned status, cause;
    struct str reason; /* a word for the record: "rtp_timeout"; none: nothing special */
    const struct leg *except;
};
void call_end(struct pbx *p, struct call *call, const struct call_ending *e);
/* Refuses the caller's INVITE and ends the call. content may be NULL. */
void call_refuse(struct pbx *p, struct call *call, unsigned status,
                 const struct sip_content *content);
/* The history of an ended call, by its number or one of its Call-IDs; 0. */
handle_t call_past_find(struct pbx *p, struct str id);
/* The leg belongs to this extension from now on, and counts for it until it ends. */
void call_count_leg(struct pbx *p, struct leg *leg, const struct config_extension *e);
/* Has the extension as many calls as it may have? */
bool extension_is_busy(struct pbx *p, const struct config_extension *e);
/* The session of a leg is over: its media and its count go; the entry stays for the record. */
void call_leg_over(struct pbx *p, struct leg *leg);
/* The same, and the call goes with its last leg when it is ending. */
void call_leg_ended(struct pbx *p, struct leg *leg);

/* ---- leg.c ----------------------------------------------------------------------------------- */
struct leg *leg_new(struct pbx *p, struct call *call, handle_t *ret);
void leg_free(struct pbx *p, struct leg *leg);
uint64_t leg_user(struct pbx *p, const struct leg *leg);
struct leg *leg_of_user(struct pbx *p, uint64_t user);
/* Whose stream this is; NULL: it is gone. */
struct leg *leg_of_stream(struct pbx *p, media_id id);
void leg_close_media(struct pbx *p, struct leg *leg);
/* The SDP in a message, parsed into p->turn. 0 and *ret NULL: there is none. -EBADMSG. */
MUST_CHECK int leg_sdp_of(struct pbx *p, const struct sip_msg *m, const struct sdp **ret);
/* Notes where the party receives and tells the media plane. */
void leg_set_remote(struct pbx *p, struct leg *leg, const struct sdp *sdp);
/* What `leg` is sent for a description `from` of another leg: addresses and ports of ours, pairs
 * taken as needed. choice NULL: all formats. -EAGAIN: no ports; -EMSGSIZE. */
MUST_CHECK int leg_sdp_for(struct pbx *p, struct leg *leg, const struct sdp *from,
                           const struct sdp_choice *choice, struct str *ret);
/* Takes pairs for the media of a description that are not refused. -EAGAIN: no ports. */
MUST_CHECK int leg_open(struct pbx *p, struct leg *leg, const struct sdp *sdp,
                        const struct sdp_choice *choice);
/* The codecs that both legs may use, best first. Returns how many. */
unsigned leg_codecs(struct pbx *p, const struct leg *a, const struct leg *b,
                    struct str names[CONF_CODEC_COUNT]);
/* Our own description, for a 488. */
MUST_CHECK int leg_caps(struct pbx *p, const struct leg *leg, struct str *ret);
/* "PCMU/8000" of the first media that is not refused; none. */
struct str leg_codec_name(struct pbx *p, const struct sdp *sdp);

/* ---- bridge.c -------------------------------------------------------------------------------- */
void bridge_link(struct pbx *p, struct leg *a, struct leg *b);
void bridge_timeout(struct pbx *p, struct call *call);
/* The re-INVITE of the leg is over, one way or the other. */
void bridge_reinvite_done(struct pbx *p, struct leg *leg);
void bridge_reinvite(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_answered(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_failed(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_acked(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_request(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_response(struct pbx *p, const struct sip_out *o);

/* A 401 or 407 of a trunk is answered with its credentials; false: it cannot be. */
bool trunk_answers(struct pbx *p, struct leg *leg, const struct sip_out *o);

/* ---- carry.c: what passes from leg to leg ---------------------------------------------------- */
/* Appends the end-to-end header fields of m that are neither ours to write nor hop by hop. Returns
 * the new count, at most cap. */
unsigned carry_fields(const struct sip_msg *m, struct sip_field *field, unsigned n, unsigned cap);
/* The same for an INVITE from outside, without what makes a phone answer by itself: nobody outside
 * may listen into a room. */
unsigned carry_fields_inward(const struct sip_msg *m, struct sip_field *field, unsigned n,
                             unsigned cap);

/* ---- cdr.c ----------------------------------------------------------------------------------- */
void cdr_start(struct pbx *p, struct call *call);
void cdr_write(struct pbx *p, struct call *call, const struct call_ending *e);
void cdr_free(struct pbx *p, struct call *call);
struct str cdr_disposition(const struct call *call, unsigned status);

/* ---- plan.c ---------------------------------------------------------------------------------- */
enum plan_kind { PLAN_NONE, PLAN_EXTENSION, PLAN_TRUNK, PLAN_REJECT };
struct plan {
    enum plan_kind kind;
    const struct config_extension *extension;
    const struct config_trunk *trunk;
    unsigned status;   /* PLAN_NONE and PLAN_REJECT: what to answer */
    struct str number; /* dialled, unescaped, in p->turn */
    bool by_did;
};
/* Who is meant by a Request-URI dialled by this leg's party. */
struct plan plan_find(struct pbx *p, const struct leg *from, const struct sip_uri *ruri);

/* ---- feature/dial.c -------------------------------------------------------------------------- */
void dial_invite(struct pbx *p, const struct sip_out *o);
void dial_progress(struct pbx *p, struct leg *leg, const struct sip_out *o);
void dial_answered(struct pbx *p, struct leg *leg, const struct sip_out *o);
void dial_failed(struct pbx *p, struct leg *leg, const struct sip_out *o);
void dial_timeout(struct pbx *p, struct call *call);
void dial_acked(struct pbx *p, struct leg *leg, const struct sip_out *o);

#endif
