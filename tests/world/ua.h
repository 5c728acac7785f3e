/* A user agent that does what it is told: it writes correct messages, remembers its dialogs, and
 * decides nothing. A script can spoil any part of what it writes. */
#ifndef WORLD_UA_H
#define WORLD_UA_H

#include "world/world.h"

struct ua;

/* One dialog, or the exchange about a request outside dialogs. Texts live in the world's arena. */
struct ua_call {
    struct list node;
    struct str name, call_id;
    struct str local, remote; /* From/To values, with tags once they are known */
    struct str local_tag;
    struct str target, route; /* remote target; Route values, comma separated */
    struct str ruri;          /* of the first request, when we sent it */
    uint32_t local_cseq, remote_cseq, invite_cseq;
    bool uac;
    struct str invite_sent, invite_rx, invite_final; /* latest: ours, theirs, final to ours */
    uint16_t rtp_port;
    uint32_t sdp_version;
    struct str sdp; /* the last codec list, when a spec names none */
    unsigned index; /* of the UA's calls */
    void *user;     /* whoever drives the UA */
};

/* A request that came and may be answered. */
struct ua_req {
    struct list node;
    struct ua_call *call;
    struct str bytes, method;
    struct flow flow;
    bool answered;
};

struct ua_rx {
    struct list node;
    usec_t at;
    struct flow flow;
    struct str bytes;
    bool again; /* these very bytes came before */
};

struct ua {
    struct world_host host;
    struct str name, user, password, display, domain;
    enum proto proto;
    struct list calls, requests, inbox;
    struct ua_call *call; /* the latest */
    unsigned n_calls;
    struct str seen; /* what came last, for `again` */
    /* registration */
    struct str reg_call_id, reg_tag;
    uint32_t reg_cseq;
    /* the last challenge: the header values, and the count of answers to this nonce */
    struct str challenge;
    bool proxy_challenge;
    uint32_t nc;
    uint16_t rtp_base;
    struct str sent; /* the last message sent */
    struct list all_rx;
    /* Called instead of putting a message into the inbox. */
    void (*on_rx)(struct ua *ua, const struct ua_rx *rx);
    /* Called before the UA looks at a message; true: it is not for the UA (a repetition, ...). */
    bool (*absorb)(struct ua *ua, const struct flow *flow, struct str bytes);
};

struct ua_edit {
    char op; /* '=' replaces, '+' adds, '-' removes */
    struct str name, value;
};
#define UA_EDITS      24
#define UA_EARLY_PORT 30000
/* What to send. Texts that are none are chosen by the UA. */
struct ua_spec {
    struct str method; /* none: a response */
    unsigned status;
    struct str reason;
    struct ua_call *call; /* none: a new one, or for a response that of the request */
    bool in_dialog;
    struct str target; /* user or URI */
    struct str from, to, ruri, call_id, branch, contact, tag, name, reply_to;
    int64_t cseq, max_forwards, expires; /* -1: none */
    struct str auth;                     /* "yes", "wrong", "MD5", ... */
    struct str sdp;                      /* "PCMU,PCMA,te" */
    struct str dir, sdp_host, sdp_attr;  /* sdp_attr: "ptime:20,maxptime:40" */
    int64_t sdp_port;                    /* -1: its own */
    struct str early; /* the same for an early session (RFC 3959), UA_EARLY_PORT above the other */
    struct str early_dir;
    int64_t early_port; /* -1: its own */
    bool same_sdp;      /* the version stays */
    bool sdp_mux;       /* a=rtcp-mux */
    struct str body, type;
    struct ua_edit edit[UA_EDITS];
    unsigned n_edits;
};

void ua_init(struct ua *ua, struct world *w, const char *name, const struct addr *addr,
             enum proto proto);
void ua_spec_init(struct ua_spec *spec);
/* Builds the message and remembers what it means for the dialog. NULL, or why it cannot be. */
const char *ua_build(struct ua *ua, struct ua_spec *spec, struct str *ret);
const char *ua_tx(struct ua *ua, struct ua_spec *spec);
/* Bytes as they are. */
void ua_tx_raw(struct ua *ua, struct str bytes);
struct ua_call *ua_call_find(struct ua *ua, struct str name);
struct ua_call *ua_call_by_id(struct ua *ua, struct str call_id);
/* The latest unanswered request (with this method, if given). */
struct ua_req *ua_request_find(struct ua *ua, const struct ua_call *call, struct str method);
/* A printed text in the world's arena. */
struct str ua_text(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* auth.c: an Authorization value for the last challenge; alg none: the first we can. */
struct str ua_credentials(struct ua *ua, struct str method, struct str uri, struct str how);
/* sdp.c */
struct str ua_sdp(struct ua *ua, struct ua_call *call, const struct ua_spec *spec);
struct str ua_sdp_early(struct ua *ua, struct ua_call *call, const struct ua_spec *spec);
/* Both of them as the parts of a multipart, with `type` as its Content-Type. */
struct str ua_sdp_both(struct ua *ua, struct str session, struct str early, struct str *type);

#endif
