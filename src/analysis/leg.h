/* A leg: everything that was seen under one Call-ID, at however many hops. It is the unit that the
 * messages of a capture are sorted into; legs of one conversation are tied into a call later
 * (call.h). A leg keeps no message bytes, only where they are. */
#ifndef ANALYSIS_LEG_H
#define ANALYSIS_LEG_H

#include "analysis/text.h"
#include "base/addr.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/slot.h"
#include "wire/sdp/sdp.h"
#include "wire/sip/msg.h"

#define AN_LEG_MAX_MSGS   4000 /* kept one by one; more are counted */
#define AN_LEG_MAX_HOSTS  64
#define AN_LEG_MAX_SDPS   200
#define AN_LEG_MAX_REFERS 16
#define AN_SDP_MAX_MEDIA  4
#define AN_SDP_MAX_CODECS 8
#define AN_NONE           UINT32_MAX /* no index */
#define AN_NEVER          UINT64_MAX /* no time */

enum an_leg_kind {
    AN_LEG_CALL, /* begun by an INVITE, or by what only a call has */
    AN_LEG_REGISTER,
    AN_LEG_SUBSCRIBE, /* with its NOTIFYs */
    AN_LEG_PUBLISH,
    AN_LEG_MESSAGE,
    AN_LEG_OPTIONS,
    AN_LEG_OTHER,
    AN_LEG_KINDS
};

/* Who says something: the one with the From tag of the first request, or the other. */
enum an_side { AN_CALLER, AN_CALLEE, AN_NOBODY };

enum {
    AN_MSG_RETRANS = 1,    /* it was sent before, from and to the same */
    AN_MSG_HOP = 2,        /* the same message at another hop, behind a proxy */
    AN_MSG_SDP = 4,        /* it carries a session description */
    AN_MSG_EARLY_SDP = 8,  /* of the disposition early-session (RFC 3959) */
    AN_MSG_BAD = 16,       /* the parser refused it; `what` says why */
    AN_MSG_CUT = 32,       /* the capture kept less of it than was sent */
    AN_MSG_IN_DIALOG = 64, /* a request with a To tag */
    AN_MSG_COPY = 128      /* the same packet, captured twice on its way */
};

struct an_msg {
    uint64_t at_ns;
    uint64_t frame; /* in which it was complete */
    uint64_t kept;  /* where its bytes are (keep.h) */
    uint64_t same;  /* hash of what makes it this message and no other, at any hop */
    uint64_t path;  /* hash of its bytes, of its source and its destination */
    uint32_t bytes_n;
    uint32_t cseq;
    uint32_t txn;    /* index in leg->txn, or AN_NONE */
    uint16_t status; /* 0: a request */
    uint16_t flags;
    uint16_t src, dst;  /* indices in leg->host */
    uint8_t method;     /* enum sip_method, of a response that of its CSeq */
    uint8_t transport;  /* enum an_transport */
    uint8_t side;       /* enum an_side: who says it */
    struct an_ref what; /* reason phrase; the name of an unknown method */
};

/* One transaction at one hop (RFC 3261 section 17): of an ACK to a 2xx, the ACK alone. */
struct an_txn {
    uint64_t key; /* of branch, sent-by and method */
    uint64_t first_ns;
    uint32_t request, provisional, final, ack; /* messages: the first of their kind, or AN_NONE */
    uint32_t cseq;
    uint16_t sent, answered; /* how often the request and the final response were seen */
    uint16_t status;         /* of the final response; 0: none seen */
    uint8_t method;
    bool hop; /* its request was seen before at another hop */
};

struct an_codec {
    struct an_ref name; /* as in rtpmap or RFC 3551, "" if nothing says it */
    uint32_t clock;
    uint8_t pt, channels;
};

struct an_media {
    struct addr rtp, rtcp; /* family ADDR_NONE: none; port 0: refused */
    uint8_t kind;          /* enum sdp_kind */
    uint8_t dir;           /* enum sdp_dir, seen from who says it */
    bool secure, held;     /* held: who says it does not listen */
    uint8_t n_codecs;
    uint16_t ptime_ms;
    struct an_codec codec[AN_SDP_MAX_CODECS];
    struct an_ref crypto; /* what stands behind each a=crypto:, a line each */
};

struct an_sdp {
    uint64_t at_ns;
    uint32_t msg;
    uint8_t side;
    bool answer; /* it closes an offer of the other side */
    bool early;
    uint8_t n_media;
    uint64_t
        origin; /* hash of the o= line without its version: the same author, the same session */
    uint64_t formats; /* hash of formats and attributes: an author's hand */
    struct an_media media[AN_SDP_MAX_MEDIA];
};

/* From when to when one side did not listen. */
struct an_hold {
    uint64_t from_ns, to_ns; /* to AN_NEVER: till the end */
    uint8_t side;            /* who held */
    uint32_t msg, end_msg;   /* the descriptions that began and ended it */
};

struct an_refer {
    uint64_t at_ns;
    uint32_t msg;
    uint8_t side;
    uint16_t status;   /* of the REFER itself; 0: none seen */
    uint16_t progress; /* the last status in a NOTIFY's sipfrag; 0: none seen */
    uint32_t progress_msg;
    struct an_ref user;     /* of the Refer-To URI */
    struct an_ref target;   /* all of it */
    struct an_ref method;   /* of the Refer-To; empty: INVITE */
    struct an_ref replaces; /* Call-ID of the Replaces in it */
    struct an_ref by;       /* Referred-By */
};

/* An identity as it was written. */
struct an_party {
    struct an_ref user, host, display, tag;
};

struct an_leg {
    struct hash_node node; /* by Call-ID */
    struct list live;      /* the legs of the engine, in the order of appearance */
    uint32_t index;        /* of its engine; used again when it was forgotten */
    uint32_t number;       /* from 1, in the order of appearance; 0: it was forgotten */
    uint8_t kind;          /* enum an_leg_kind */
    uint8_t transports;    /* bits of enum an_transport */
    bool sent;             /* its first message was, by the one whose traffic it is */
    bool media;            /* addresses of streams were named in it */
    bool resumed;          /* its Call-ID is that of a call that was handed over before */
    struct an_text text;
    struct an_ref call_id;

    struct addr *host; /* who was seen; the first request went from host[0] to host[1] */
    uint16_t n_hosts, cap_hosts;
    struct an_msg *msg;
    uint32_t n_msgs, cap_msgs, more_msgs; /* more: counted, not kept */
    struct an_txn *txn;
    uint32_t n_txns, cap_txns;
    struct an_sdp *sdp;
    uint32_t n_sdps, cap_sdps;
    uint32_t n_hop_sdps; /* those of other hops, which are not kept */
    struct an_hold *hold;
    uint32_t n_holds, cap_holds;
    struct an_refer *refer;
    uint32_t n_refers, cap_refers;

    struct an_party from, to; /* of the first request */
    struct an_ref ruri_user, ruri_host;
    struct an_ref asserted; /* P-Asserted-Identity of the request: the number */
    struct an_ref asserted_display;
    struct an_ref connected;      /* and of an answer: who has answered */
    struct an_ref agent[2];       /* User-Agent or Server, by side */
    struct an_ref replaces, join; /* the Call-ID in the header of the first INVITE */
    struct an_ref replaces_to_tag, replaces_from_tag;
    struct an_ref x_cid, session_id[2], icid; /* what ties by name: X-CID, RFC 7989, RFC 7315 */
    struct an_ref diversion, history, referred_by;
    struct an_ref reason; /* the last Reason header of CANCEL, BYE or a final response */
    struct an_ref contact[2];
    bool xfer_pressed; /* X-xfer-pressed: True */
    bool focus[2];     /* ;isfocus in the Contact of a side */
    bool instance[2];  /* +sip.instance there: it is a phone (RFC 5626) */
    bool elsewhere;    /* "completed elsewhere": Reason SIP;cause=200 */
    bool has_replaces_early_only;

    /* Times of a call, AN_NEVER if it was not seen. */
    uint64_t first_ns, last_ns; /* of any message */
    uint64_t invite_ns;         /* the INVITE that was not turned away for want of credentials */
    uint64_t trying_ns, ringing_ns, progress_ns; /* the first 100; 180 or 182; 183 */
    uint64_t answer_ns, ack_ns;                  /* the first 2xx and its ACK */
    uint64_t cancel_ns, bye_ns, end_ns;          /* end: the final failure, or the end of the BYE */
    uint32_t invite_msg, answer_msg, cancel_msg, bye_msg, final_msg;
    uint16_t final; /* status that ended the INVITE; 0: none */
    uint8_t bye_side;
    uint16_t challenges; /* 401 and 407 */
    uint16_t retrans;    /* requests and responses repeated */

    uint8_t offer;   /* 1 + the side whose offer is not answered yet; 0: none */
    bool held[2];    /* a side does not listen now */
    uint32_t call;   /* index of the call that it belongs to, or AN_NONE */
    uint64_t due_ns; /* engine_retire.c: it is not over before; 0: not known */
};

void an_leg_done(struct an_leg *leg);

static inline struct str an_leg_text(const struct an_leg *leg, struct an_ref r)
{
    return an_text_get(&leg->text, r);
}
/* The index of an address among those of the leg; the last one there is when the table is full. */
uint16_t an_leg_host(struct an_leg *leg, const struct addr *a);
/* One more of an array of the leg, cleared; NULL at its limit or without memory. */
struct an_msg *an_leg_msg_add(struct an_leg *leg);
struct an_txn *an_leg_txn_add(struct an_leg *leg);
struct an_sdp *an_leg_sdp_add(struct an_leg *leg);
struct an_hold *an_leg_hold_add(struct an_leg *leg);
struct an_refer *an_leg_refer_add(struct an_leg *leg);

/* Was the leg a call under way at this time, answered or not? */
bool an_leg_alive(const struct an_leg *leg, uint64_t at_ns);
/* The number that called and the one that was called, as a person would say them: without what
 * surrounds a user part. */
struct str an_leg_caller(const struct an_leg *leg);
struct str an_leg_callee(const struct an_leg *leg);

#endif
