/* Calls, legs and bridges as the features see them. A call is legs joined at a bridge. The
 * call is the root: legs live in its list and go when it goes. */
#ifndef PBX_CALL_INT_H
#define PBX_CALL_INT_H

#include "pbx/call.h"
#include "engine/media/digits.h"
#include "pbx/feature/pin.h"
#include "pbx/port.h"
#include "pbx/quality.h"
#include "wire/sdp/caps.h"

#define CALL_MAX_LEGS   64
#define CALL_MAX_EARLY  9 /* early sessions: one of the caller, eight of those who are called */
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
    bool held;         /* the party receives nothing */
    bool other_held;   /* the party it is joined with receives nothing */
    bool silent;       /* the party sends nothing to be heard: sendonly, inactive */
    bool other_silent; /* so does the party it is joined with */
    bool audio;        /* the media plane knows what its party speaks */
    bool mixes;        /* and whatever it may send can be read here */
    bool music;        /* its party hears music on hold */
    struct addr rtp;   /* where the party receives */
};

/* What an INVITE of ours inside the leg's dialog is for. */
enum leg_ask {
    ASK_NONE,
    ASK_PASS,   /* the other party's offer, passed on */
    ASK_UPDATE, /* the same by UPDATE, before the answer */
    ASK_JOIN,   /* to make this party fit the one it is joined with */
    ASK_REFRESH /* the session timer wants one (RFC 4028 section 7.4) */
};

struct leg {
    struct list in_call;
    handle_t call, session;
    handle_t dial;         /* the search that rings it */
    struct config *config; /* a reference: legs move from call to call */
    uint8_t number;        /* in the call's history: 1 is the caller */
    uint8_t state, ask;
    uint8_t oa; /* enum oa_state */
    bool outgoing;
    bool anonymous;   /* Privacy: id (RFC 3323) */
    bool secure;      /* it has called a sips URI: nobody may be reached for it in another way */
    bool sips_missed; /* somebody could not be, because of that */
    bool to_sips;     /* of a trunk: its Request-URI is a sips one */
    bool elsewhere;   /* and one that the gateway has named: our credentials are not for it */
    bool dropped;     /* another one was quicker, or it rang long enough */
    bool counted;     /* for its extension */
    bool said_answer; /* what it has said was an answer: not all it can do */
    bool ack_waits;   /* its 2xx held an offer: the ACK waits for the answer */
    uint8_t retries, n_refers;
    handle_t transfer; /* that this party has asked for */
    uint8_t n_streams;
    struct leg_stream stream[LEG_MAX_STREAMS];
    uint64_t sdp_id, sdp_version, sdp_hash; /* of the last description that it was sent */
    struct flow flow;
    handle_t
        regular; /* it is an early session (RFC 3959) in the dialog of this leg; 0: it is not */
    handle_t opposite; /* the early session, or the leg, that it hears before the answer */
    uint16_t status;   /* last response of a callee */
    uint8_t cause;     /* Q.850, as its side has given it; 0: it has not */
    handle_t reinvite; /* an INVITE or UPDATE of this party that waits for the other one */
    bool by_update;    /* it is an UPDATE or a PRACK */
    bool refresh_due;  /* the session timer waits for its turn */
    bool heard;        /* its RTP has come */
    bool ringback;     /* its party hears our ring-back tone */
    bool settled;      /* a reliable provisional has agreed on the media: the 2xx does not again */
    handle_t dialog;   /* the early one in which that was agreed, or of `prack` */
    struct str forked; /* what another early dialog has agreed on: the latest */
    handle_t forked_dialog;
    struct sip_reliable prack; /* it holds an offer, and waits for the answer; dialog 0: none */
    handle_t record;           /* that it is part of, as this track, from 1; 0: none */
    media_id recorded;         /* the stream of it */
    uint8_t track;
    uint8_t bot_track; /* of what a bot says to its party in that recording; 0: there was none */
    bool bot_recorded; /* and that is being recorded */
    handle_t guest;    /* the recording of another call that it is in as well, as this track */
    uint8_t guest_track;
    bool wide;    /* it speaks more than telephone quality */
    char keys[8]; /* the last ones, for codes during a call */
    uint8_t n_keys;
    usec_t key_at;
    struct digits digits;                      /* that its party has pressed, by whatever means */
    struct media_stats stats[LEG_MAX_STREAMS]; /* the latest, of streams that are closed too */
    struct pbx_timer retry;
    usec_t started, joined, left; /* 0: did not happen */
    /* Point into the leg's configuration snapshot. */
    const struct config_extension *extension;
    const struct config_trunk *trunk;
    handle_t kin; /* that its Call-ID is remembered by: kin.h */
    /* Owned texts. */
    struct str call_id;
    struct str said, told;   /* the descriptions that hold: the party's and ours */
    struct str offer, asked; /* offers under way: the party's and ours. See agree.c */
    struct str party, name;  /* number and display name of who is there */
};

/* What the record will say. Owned texts. */
struct cdr {
    struct str caller, caller_name, dialled, callee, did, answered_by, trunk_out, codec, reason;
    struct str events;                     /* JSON objects, comma separated: cdr_note() */
    uint64_t start_ms, ring_ms, answer_ms; /* wall clock; 0: did not happen */
    usec_t started, rang, answered;
    uint16_t sip_cause, q850_cause;
    uint8_t id[16], parent[16];
    bool has_parent;
};

enum call_end { CALL_BY_CALLER, CALL_BY_CALLEE, CALL_BY_SYSTEM };

/* What kind of call it became, for the record. */
enum call_scenario {
    SCENARIO_BASIC,
    SCENARIO_FORWARD,
    SCENARIO_SEQUENTIAL,
    SCENARIO_PARALLEL,
    SCENARIO_QUEUE,
    SCENARIO_PICKUP,
    SCENARIO_CONSULT,
    SCENARIO_TRANSFER,
    SCENARIO_FEATURE,
    SCENARIO_CONFERENCE,
    SCENARIO_VOICEMAIL, /* a message was left, or could have been */
    SCENARIO_BOT,       /* a bot has answered */
    SCENARIOS
};
struct str call_scenario_name(enum call_scenario s);

struct call {
    handle_t self;
    uint64_t number; /* 1, 2, ... what people call it by */
    uint8_t state;
    uint8_t n_legs;    /* entries, ended ones too */
    uint16_t last_leg; /* number given last */
    uint8_t scenario;
    bool late_offer;      /* the INVITE had no SDP: the callee offers, the caller's ACK answers */
    bool rang;            /* 180 went to the caller */
    uint8_t cause;        /* Q.850 of a refusal; 0: by the status */
    bool over_when_acked; /* a feature code has been done */
    bool unrecorded;      /* part of another call: it writes no record */
    uint8_t service;      /* enum service_kind: the exchange itself is the other party */
    handle_t record;      /* the recording under way; 0: none */
    uint8_t n_bots;       /* that were asked to answer */
    bool three_way;       /* a phone has made a conference of it and another one */
    bool record_kept_off; /* somebody has ended it, or it could not go on */
    uint8_t record_by;    /* enum record_by: who began it */
    struct str record_stopped; /* why the last one ended before the call: a literal; or none */
    uint16_t announced;        /* the status that the caller hears of, or has heard of; 0 */
    struct pbx_timer announcing;
    handle_t service_state; /* what the service knows of it */
    struct list legs;       /* struct leg.in_call, the caller first */
    struct list early;      /* likewise, of early sessions */
    uint8_t n_early;
    handle_t caller;   /* who called; its leg may have left */
    handle_t party[2]; /* who talk, or will: the caller or who has taken its place, the callee */
    handle_t dial;     /* the search under way */
    handle_t transfer; /* likewise */
    handle_t tag;      /* history */
    handle_t kin;      /* of the leg that it began with */
    struct config *config;
    struct cdr cdr;
};

/* What an extension is doing. */
struct extension_use {
    uint32_t legs;         /* live ones */
    usec_t idle_since;     /* the end of its last call, or when it was last tried by a queue */
    usec_t rests_until;    /* it has refused a queue's call, and is not asked again so soon */
    struct pin_guard pins; /* of rooms, that it has typed */
};

struct calls {
    struct slot_table calls, legs, dials, transfers, recordings;
    struct port_stock ports;
    struct quality_owner quality[QUALITY_PAIRS]; /* by port / 2 */
    struct pbx_timer audit;
    struct extension_use *per_extension; /* by index in the present configuration */
    struct list waiting;                 /* struct dial.in_queue, who came first in front */
    struct pbx_timer wake;               /* somebody may be free for them */
    uint32_t n_extensions;
    uint64_t last_number, last_recording, last_naming;
    uint64_t total, answered, refused, rtp_timeouts, reaped;
    uint64_t out_of_turn; /* offers and answers that we should not have sent */
    uint64_t dissolved;   /* became part of another call, and have no record */
    struct {
        uint64_t seq;
        handle_t txn, leg; /* whose request it is; to whom it went */
    } relayed[RELAYED_MAX];
    uint64_t relayed_seq;
    /* Calls that have ended, for `trace`: a ring. */
    struct {
        uint64_t number;
        handle_t tag;
        uint8_t record[16];
    } past[PAST_CALLS];
    uint32_t past_at;
};

/* ---- call.c ---------------------------------------------------------------------------------- */
struct call *call_new(struct pbx *p, const struct sip_out *invite);
/* A call that nobody has made: it has no legs yet, and its record begins. NULL: no room. */
struct call *call_new_empty(struct pbx *p);
/* What has no legs any more goes. */
void call_free_empty(struct pbx *p, struct call *call);
struct call *call_find(struct pbx *p, handle_t h);
struct leg *leg_find(struct pbx *p, handle_t h);
/* Walks the legs of a call, in the order in which they came; NULL at first and at the end. Ending a
 * leg while walking is allowed. */
struct leg *call_next(const struct call *call, const struct leg *after);
/* Who called; NULL when its leg has gone to another call. */
struct leg *call_caller(struct pbx *p, struct call *call);
/* The leg that `leg` talks with; NULL: nobody yet, or `leg` is not one of the two. */
struct leg *call_other(struct pbx *p, struct call *call, const struct leg *leg);
/* Is it one of the two that talk, or will? */
bool call_is_party(struct pbx *p, const struct call *call, const struct leg *leg);
/* Puts `leg` in the place of one of the two: side 0 is that of the caller. NULL: nobody. */
void call_set_party(struct pbx *p, struct call *call, unsigned side, const struct leg *leg);
/* The leg goes over to another call, with what belongs to it. -EAGAIN: that call is full. */
MUST_CHECK int call_move_leg(struct pbx *p, struct leg *leg, struct call *to);
/* The call is part of another one from now on: no record of it is written, and it goes when it has
 * no legs any more. */
void call_dissolve(struct pbx *p, struct call *call);
void call_enter(struct pbx *p, struct call *call, enum call_state state);
void call_trace(struct pbx *p, const struct call *call, enum trace_id id, struct str text);
/* Ends the call: every leg is hung up (but `except`), the record is written. status is the SIP
 * status that tells why, cause the Q.850 cause (0: from the status). */
struct call_ending {
    enum call_end by;
    unsigned status, cause;
    struct str reason;  /* a word for the record: "rtp_timeout"; none: nothing special */
    struct str carried; /* a Reason value for the other legs as it came; none: by the cause */
    const struct leg *except;
};
void call_end(struct pbx *p, struct call *call, const struct call_ending *e);
/* Refuses the caller's INVITE and ends the call. content may be NULL. */
void call_refuse(struct pbx *p, struct call *call, unsigned status,
                 const struct sip_content *content);
/* The history of an ended call, by its number or one of its Call-IDs; 0. */
handle_t call_past_find(struct pbx *p, struct str id);
/* The id of its record, also of a call that has ended; NULL: forgotten. */
const uint8_t *call_record_of(struct pbx *p, uint64_t number, bool *live);
/* The leg belongs to this extension from now on, and counts for it until it ends. */
void call_count_leg(struct pbx *p, struct leg *leg, const struct config_extension *e);
/* The same for a trunk; false: it has as many calls as it may have. */
bool call_count_trunk_leg(struct pbx *p, struct leg *leg, const struct config_trunk *t);
/* Has the extension as many calls as it may have? */
bool extension_is_busy(struct pbx *p, const struct config_extension *e);
/* Its calls; NULL: the present configuration does not have it. */
struct extension_use *extension_use(struct pbx *p, const struct config_extension *e);
/* The session of a leg is over: its media and its count go; the entry stays for the record. */
void call_leg_over(struct pbx *p, struct leg *leg);
/* The same, and the call goes with its last leg when it is ending. */
void call_leg_ended(struct pbx *p, struct leg *leg);
/* The session of a leg is gone, and the call with it, unless the leg was none of the two that talk
 * or has handed its place over. */
void call_leg_lost(struct pbx *p, struct leg *leg, const struct call_ending *e);
/* Hangs up one leg with a Reason value (none: none). */
void call_drop_leg(struct pbx *p, struct leg *leg, struct str reason);

/* ---- leg.c ----------------------------------------------------------------------------------- */
struct leg *leg_new(struct pbx *p, struct call *call, handle_t *ret);
/* Its extension and its trunk are those of this configuration; before, that of its call. */
void leg_use_config(struct leg *leg, struct config *config);
/* An early session in the dialog of this leg: feature/early_session.h. NULL: no room. */
struct leg *leg_new_early(struct pbx *p, const struct leg *of);
void leg_free(struct pbx *p, struct leg *leg);
uint64_t leg_user(struct pbx *p, const struct leg *leg);
struct leg *leg_of_user(struct pbx *p, uint64_t user);
/* Whose stream this is; NULL: it is gone. */
struct leg *leg_of_stream(struct pbx *p, media_id id);
void leg_close_media(struct pbx *p, struct leg *leg);
/* Keeps the figures of one of its streams. */
void leg_note_stats(struct leg *leg, const struct media_ev *ev);
/* The session timer, the record and the other side name who is there. -ENOMEM. */
MUST_CHECK int leg_set_party(struct pbx *p, struct leg *leg, struct str number, struct str name);
/* "Name" <sip:number@domain> of the party, in p->turn; none: no memory. */
struct str leg_identity(struct pbx *p, const struct leg *leg);
/* Are these of one extension, whichever phone, or of one trunk? */
bool leg_same_user(const struct leg *a, const struct leg *b);
/* Is it on its way: its INVITE is out and not finally answered? */
bool leg_is_calling(const struct leg *leg);
/* Replaces one of the leg's owned texts; without memory the old one stays, and the trace says so.
 */
void leg_keep(struct pbx *p, struct leg *leg, struct str *owned, struct str text);
void leg_set_call_id(struct pbx *p, struct leg *leg, struct str call_id);
/* An offer to the party of `leg` made from what the party of `from` can do; transcode: and of what
 * we can make of that. -ENOENT: no codec. */
MUST_CHECK int leg_offer_third(struct pbx *p, struct leg *leg, struct leg *from, bool transcode,
                               struct str *ret);
/* The SDP in a message, parsed into p->turn. 0 and *ret NULL: there is none. -EBADMSG. */
MUST_CHECK int leg_sdp_of(struct pbx *p, const struct sip_msg *m, const struct sdp **ret);
/* A description that was kept, parsed into p->turn; NULL: there is none. */
const struct sdp *leg_sdp_kept(struct pbx *p, struct str text);
/* Notes where the party receives and tells the media plane. */
void leg_set_remote(struct pbx *p, struct leg *leg, const struct sdp *sdp);
/* What `leg` is sent for a description `from` of another leg: addresses and ports of ours, pairs
 * taken as needed. choice NULL: all formats; extra NULL: no others. -EAGAIN: no ports; -EMSGSIZE.
 */
MUST_CHECK int leg_sdp_for(struct pbx *p, struct leg *leg, const struct sdp *from,
                           const struct sdp_choice *choice, const struct sdp_extra *extra,
                           struct str *ret);
/* Takes pairs for the media of a description that are not refused. -EAGAIN: no ports. */
MUST_CHECK int leg_open(struct pbx *p, struct leg *leg, const struct sdp *sdp,
                        const struct sdp_choice *choice);
/* The codecs that both legs may use, best first. Returns how many. */
unsigned leg_codecs(struct pbx *p, const struct leg *a, const struct leg *b,
                    struct str names[CONF_CODEC_COUNT]);
/* Our own description, for a 488. */
MUST_CHECK int leg_caps(struct pbx *p, const struct leg *leg, struct str *ret);
/* Our answer to the party's offer that makes it and the author of `other` understand each other
 * through the relay. -ENOENT: no codec in common; -EAGAIN: no ports. */
MUST_CHECK int leg_answer_cross(struct pbx *p, struct leg *leg, const struct sdp *offer,
                                const struct sdp *other, struct str *ret);
/* The same with these codecs. */
MUST_CHECK int leg_answer_with(struct pbx *p, struct leg *leg, const struct sdp *offer,
                               const struct sdp *other, const struct sdp_policy *policy,
                               struct str *ret);
/* The answer that refuses all media of an offer for an early session (RFC 3959 section 4). */
MUST_CHECK int leg_refuse_early(struct pbx *p, struct leg *leg, const struct sdp *offer,
                                struct str *ret);
/* The answer that refuses all media of an offer. */
MUST_CHECK int leg_refuse_all(struct pbx *p, struct leg *leg, const struct sdp *offer,
                              struct str *ret);
/* An offer of our own to one who has made none. */
MUST_CHECK int leg_offer_own(struct pbx *p, struct leg *leg, struct str *ret);
/* Our answer to the party's offer when nobody else need know (hold, resume): what it was told
 * before, with the direction that fits. Negative errno: such an answer cannot be made. */
MUST_CHECK int leg_answer_own(struct pbx *p, struct leg *leg, const struct sdp *offer,
                              struct str *ret);
/* The other party's hold counts for this leg's timeouts too: it has nobody to talk to. */
void leg_follow_hold(struct pbx *p, struct leg *leg, const struct leg *other);
/* "PCMU/8000" of the first media that is not refused; none. */
struct str leg_codec_name(struct pbx *p, const struct sdp *sdp);

/* ---- transcode.c: what one says in the codec of the other ------------------------------------ */
/* The offer to the party of `to` made from that of `from`: the codecs that both may use, then those
 * of `to` into which we can put the others. -ENOTSUP: none; else as leg_sdp_for(). */
MUST_CHECK int transcode_offer(struct pbx *p, struct leg *from, struct leg *to,
                               const struct sdp *offer, struct str *ret);
/* The answer to the party of `to`, whose offer we have, made from that of the other party. -ENOENT:
 * no codec of it is known here. */
MUST_CHECK int transcode_answer(struct pbx *p, struct leg *to, const struct sdp *answer,
                                struct str *ret);
/* Our answer to the offer of `to` that makes it hear `other`, by transcoding if need be. -ENOENT:
 * no codec of it is known here. */
MUST_CHECK int transcode_cross(struct pbx *p, struct leg *to, const struct sdp *offer,
                               const struct sdp *other, struct str *ret);
/* The codecs of `to` into which something that the party of `from` has said can be put. */
unsigned transcode_into(struct pbx *p, const struct leg *from, const struct leg *to,
                        const struct sdp *said, struct str names[CONF_CODEC_COUNT]);
/* The codecs of a leg that are known here, best first. Returns how many. */
unsigned transcode_codecs(struct pbx *p, const struct leg *leg, struct str names[CONF_CODEC_COUNT]);
/* Does the party want its RTCP on the RTP port, and can it have that? Plain audio alone: other RTCP
 * passes on as it is. */
bool transcode_muxes(const struct sdp_media *m);
/* Tells the media plane what the leg's party may send, by our description, and what it wants, by
 * its own. */
void transcode_formats(struct pbx *p, struct leg *leg, const struct sdp *ours,
                       const struct sdp *theirs);

/* ---- agree.c: the leg's offer/answer machine ------------------------------------------------- */
/* The party offers: 0, or the status that refuses it (491; 500, with Retry-After). */
unsigned leg_rx_offer(struct pbx *p, struct leg *leg, struct str offer);
/* Our answer to it is out: both hold. */
void leg_tx_answer(struct pbx *p, struct leg *leg, struct str answer);
/* Our offer is out. */
void leg_tx_offer(struct pbx *p, struct leg *leg, struct str offer);
/* The party's answer to it: both hold. false: it was answered before, and this counts for nothing.
 */
bool leg_rx_answer(struct pbx *p, struct leg *leg, struct str answer);
/* The offer under way, whosever it is, was refused or lost: what held before holds. */
void leg_oa_failed(struct pbx *p, struct leg *leg);
/* Is there a session, and no offer under way? */
bool leg_has_agreed(const struct leg *leg);
/* Is an offer of ours under way? */
bool leg_awaits_answer(const struct leg *leg);
/* Can this be the party's answer to our offer under way? What names codecs alone that were not
 * offered (RFC 3264 section 6.1) would leave it unheard. */
bool leg_may_answer(struct pbx *p, const struct leg *leg, const struct sdp *answer);
/* What the party has said last, accepted or not; none. */
struct str leg_latest(const struct leg *leg);

/* ---- bridge.c -------------------------------------------------------------------------------- */
void bridge_link(struct pbx *p, struct leg *a, struct leg *b);
/* Its party hears nobody any more, and nobody hears it. */
void bridge_unlink(struct pbx *p, struct leg *leg);
/* Our answer to the offer that it has made inside its dialog. */
void bridge_answer(struct pbx *p, struct leg *leg, const struct sdp *offer, struct str body);
/* What the leg's party has offered to one who is gone is refused. */
void bridge_abandon(struct pbx *p, struct leg *leg);
/* The re-INVITE of the leg is over, one way or the other. */
void bridge_reinvite_done(struct pbx *p, struct leg *leg);
void bridge_reinvite(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* Our re-INVITE of this leg was accepted or refused, the ACK of the party's came. */
void bridge_answered(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_failed(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_acked(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_request(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* An offer in a PRACK: the transaction waits for the answer. */
void bridge_prack_offer(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* An offer that cannot be looked at now: 491 while ours is out, 500 while theirs is not answered
 * (RFC 3311 section 5.2). */
void bridge_not_now(struct pbx *p, handle_t txn, bool theirs);
/* The other party's answer to an UPDATE of ours. */
void bridge_update_answered(struct pbx *p, struct leg *leg, const struct sip_out *o);
void bridge_response(struct pbx *p, const struct sip_out *o);

/* ---- late.c ---------------------------------------------------------------------------------- */
/* Acknowledges the 2xx that has brought leg->offer, with an answer that makes its party hear what
 * `like` has said (NULL, or nothing said: with what we know ourselves). false: there is none, all
 * media was refused, and the call should end. */
MUST_CHECK bool late_ack(struct pbx *p, struct leg *leg, struct leg *like);
/* Acknowledges it with an answer that refuses all media: RFC 3261 section 13.2.2.4. */
void late_refuse(struct pbx *p, struct leg *leg);
/* The call ends for want of common media. */
void late_end(struct pbx *p, struct call *call);
/* The party's answer to the offer of the other one, whose ACK waits for it. The call may have ended
 * afterwards. */
void late_answered(struct pbx *p, struct leg *leg, struct leg *other, const struct sip_msg *m);
/* The party's answer to an offer of ours that nobody else waits for. Likewise. */
void late_own_answered(struct pbx *p, struct leg *leg, struct leg *other, const struct sip_msg *m);

/* ---- join.c ---------------------------------------------------------------------------------- */
/* Two legs that are up become the two that talk: media linked, and where their descriptions do not
 * fit one of them is asked with a re-INVITE. */
void join_legs(struct pbx *p, struct leg *a, struct leg *b);
void join_answered(struct pbx *p, struct leg *leg, const struct sip_out *o, enum leg_ask ask);
void join_failed(struct pbx *p, struct leg *leg, const struct sip_out *o, enum leg_ask ask);
/* The pause after a 491 is over (RFC 3261 section 14.1). */
void join_retry(struct pbx *p, struct pbx_timer *t);
/* Tells the party of `to` who the other one is, if it knows RFC 4916. */
void join_introduce(struct pbx *p, struct leg *to, const struct leg *other);
/* The session timer wants a re-INVITE that changes nothing. */
void join_refresh(struct pbx *p, struct leg *leg);

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
/* The id of a record as text, in p->turn. */
struct str cdr_hex(struct pbx *p, const uint8_t id[16]);
/* {"segments":[...],"attempts":[...],"events":[...]}, in p->turn. */
struct str cdr_detail(struct pbx *p, const struct call *call);
struct str cdr_disposition(const struct call *call, unsigned status);
/* Keeps a text of the record; without memory the old one stays, and the trace says so. */
void cdr_keep(struct pbx *p, struct call *call, struct str *owned, struct str text);
/* One more JSON object in the list of what happened to the call (transfers, forwards, pickup). */
void cdr_note(struct pbx *p, struct call *call, struct str json);

/* ---- plan.c ---------------------------------------------------------------------------------- */
enum plan_kind {
    PLAN_NONE,
    PLAN_EXTENSION,
    PLAN_GROUP,
    PLAN_TRUNK,
    PLAN_REJECT,
    PLAN_FEATURE,
    PLAN_CONFERENCE,
    PLAN_MAILBOX,
    PLAN_BOT
};
enum plan_feature {
    FEATURE_PICKUP_GROUP,
    FEATURE_PICKUP_DIRECTED, /* plan.number: whose call */
    FEATURE_SETTING,         /* do-not-disturb, forwarding */
    FEATURE_ECHO,
    FEATURE_CONFERENCE, /* who one talks with goes into a room */
    FEATURE_FACTORY,    /* a new room */
    FEATURE_VOICEMAIL   /* plan.number: whose mailbox; none: one's own; empty: is asked */
};
struct plan {
    enum plan_kind kind;
    const struct config_extension *extension;
    const struct config_trunk *trunk;
    const struct config_group *group;
    const struct config_conference *conference;
    const struct config_bot *bot;
    unsigned status;   /* PLAN_NONE and PLAN_REJECT: what to answer */
    struct str number; /* dialled, unescaped, in p->turn */
    bool by_did;
    enum plan_feature feature;
    uint8_t setting; /* enum setting, of FEATURE_SETTING; number: where to */
    bool on;
};
/* Who dials: both NULL is the exchange itself. Pointers into `config`. */
struct plan_from {
    const struct config *config;
    const struct config_extension *extension;
    const struct config_trunk *trunk;
};
/* Who is meant by a Request-URI. Feature codes are known to extensions alone. */
struct plan plan_find(struct pbx *p, const struct plan_from *from, const struct sip_uri *ruri);
/* Who is meant by a number, as in a forward. */
struct plan plan_number(struct pbx *p, const struct plan_from *from, struct str number);
/* The same for a forward of from->extension, whose mailbox has a name of its own. */
struct plan plan_forward(struct pbx *p, const struct plan_from *from, struct str number);

#endif
