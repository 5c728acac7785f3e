/* The notifier of RFC 6665: subscriptions of extensions to what event packages have to tell. A
 * package says who may subscribe to which resource and writes the body of each NOTIFY at the moment
 * it is sent; dialogs, lifetimes, limits and answers are kept here.
 *
 * A subscription has at most one NOTIFY under way. What changes meanwhile is told by one later
 * NOTIFY. */
#ifndef PBX_SUBSCRIPTION_H
#define PBX_SUBSCRIPTION_H

#include "pbx/pbx_int.h"

struct leg;

/* What a package is told when it writes a body. */
struct subscription_view {
    struct str resource;   /* as its accept() named it */
    struct str subscriber; /* number of the extension */
    /* 1 in the first NOTIFY of the subscription, one more in each later one: the version of RFC
     * 4575 section 5.1. */
    uint32_t version;
    /* The whole state is due: the answer to a SUBSCRIBE, or the last NOTIFY may not have arrived.
     * Otherwise what has changed since the last one is enough. */
    bool full;
    /* The package's own number for this subscription, 0 at first: for example the last change that
     * it has told. What is written here counts when the NOTIFY could be sent. */
    uint64_t mark;
};

/* An event package. One line in the list of subscription.c makes it known. */
struct event_package {
    struct str name;    /* of the Event header, such as "message-summary" */
    struct str type;    /* Content-Type of its bodies */
    uint32_t default_s; /* lifetime of a subscription whose subscriber asks for none, in seconds */
    uint32_t body_max;  /* largest body, in bytes */
    usec_t interval;    /* least time from one NOTIFY to the next that a change causes */
    /* May this extension subscribe to what the Request-URI names? 0 and the key of the resource
     * (at most 63 bytes, valid until the next input), or the status that refuses: 403, 404, ... */
    unsigned (*accept)(struct pbx *p, const struct config_extension *who,
                       const struct sip_uri *ruri, struct str *resource);
    /* Appends the body. Nothing appended: a NOTIFY without one. What does not fit ends the
     * subscription with the reason "probation". It must not call functions of this file. */
    void (*body)(struct pbx *p, struct subscription_view *view, struct buf *b);
};

/* 0 or -ENOMEM. Limits are read here, once: limits.subscriptions. */
MUST_CHECK int subscription_init(struct pbx *p);
/* Frees all without a word. */
void subscription_done(struct pbx *p);
/* Extensions that a reload has removed lose their subscriptions: "deactivated" (RFC 6665 4.1.3). */
void subscription_reload(struct pbx *p);
/* Ends all with "deactivated". */
void subscription_shutdown(struct pbx *p);
/* Have all subscribers answered their last NOTIFY, or had the time for it? */
bool subscription_is_idle(const struct pbx *p);

/* A SUBSCRIBE outside the dialogs of calls (SIP_OUT_REQUEST). Authenticates through the gate, then
 * answers. */
void subscription_rx(struct pbx *p, const struct sip_out *o);
/* A SUBSCRIBE inside the dialog of a call: its NOTIFYs go in that dialog (RFC 5057), as long as the
 * call lasts. false: it names no package of ours, and is not answered. */
bool subscription_rx_inside(struct pbx *p, const struct leg *leg, const struct sip_out *o);
/* The dialog of a leg is over, and with it the subscriptions inside. */
void subscription_leg_over(struct pbx *p, const struct leg *leg);
/* A response to a NOTIFY: user kind PBX_USER_SUBSCRIPTION. */
void subscription_rx_response(struct pbx *p, const struct sip_out *o);

/* A resource has changed: all its subscribers are told, each as soon as it may be. */
void subscription_changed(struct pbx *p, const struct event_package *package, struct str resource);
/* Does somebody at this Contact, or at this address (NULL: it tells nothing), hear of it? */
bool subscription_tells(const struct pbx *p, const struct event_package *package,
                        struct str resource, struct str contact, const struct addr *at);
/* A resource is no more: its subscriptions end with "noresource". */
void subscription_end_all(struct pbx *p, const struct event_package *package, struct str resource);
/* The same for the subscriptions of one extension. */
void subscription_end_of(struct pbx *p, const struct event_package *package, struct str resource,
                         struct str owner);
/* The route set of the dialog that a request makes, in the order of its Record-Route (RFC 3261
 * section 12.1.1), in p->turn; none: there is none, or it is too long. */
struct str subscription_route(struct pbx *p, const struct sip_msg *m);
/* The value of Allow-Events: every package served. Lives as long as p. */
struct str subscription_events(const struct pbx *p);
/* Subscriptions at this time. */
uint32_t subscription_count(const struct pbx *p);

/* One subscription, for people. The texts live until the next input. */
struct subscription_shown {
    struct str event, resource, subscriber, contact;
    struct addr source;
    uint8_t proto;      /* enum proto */
    uint32_t expires_s; /* left */
    uint32_t notifies;  /* sent */
    bool waiting;       /* the last one is not answered yet */
};
/* Walks all subscriptions from *at = 0; false at the end. */
bool subscription_next(const struct pbx *p, uint32_t *at, struct subscription_shown *ret);

#endif
