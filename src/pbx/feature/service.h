/* Calls in which the exchange itself is the other party: echo, rooms, mailboxes, announcements. A
 * service answers the caller, plays to it, hears its keys, and learns when it is gone. */
#ifndef PBX_FEATURE_SERVICE_H
#define PBX_FEATURE_SERVICE_H

#include "pbx/call_int.h"
#include "pbx/sound.h"

enum service_kind {
    SERVICE_NONE,
    SERVICE_ECHO,
    SERVICE_CONFERENCE,
    SERVICE_VOICEMAIL,
    SERVICE_ANNOUNCE,
    SERVICE_BOT,
    SERVICES
};

/* What a service is asked; each may be NULL. */
struct service {
    void (*up)(struct pbx *p, struct call *call); /* the caller's ACK has come */
    void (*key)(struct pbx *p, struct call *call, char digit);
    void (*played)(struct pbx *p, struct call *call, uint32_t token);
    void (*talks)(struct pbx *p, struct call *call, bool talks); /* who speaks when */
    void (*voice)(struct pbx *p, struct call *call,
                  const struct media_ev *ev);          /* MEDIA_EV_VOICE, _HEARS */
    void (*changed)(struct pbx *p, struct call *call); /* it holds, resumes, has another stream */
    void (*over)(struct pbx *p, struct call *call);    /* it ends, for whatever reason */
};
extern const struct service service_echo, service_conference, service_voicemail, service_announce,
    service_bot;

/* Answers the caller's INVITE with a description of our own; the call belongs to the service.
 * false: it was refused, and may be gone. */
bool service_answer(struct pbx *p, struct call *call, enum service_kind kind);
/* The call of a party that is up belongs to the service from now on. It hears nobody any more. */
void service_take(struct pbx *p, struct call *call, struct leg *leg, enum service_kind kind);
/* BYE, and the record. */
void service_hang_up(struct pbx *p, struct call *call);

/* ---- for call.c and bridge.c ----------------------------------------------------------------- */
void service_up(struct pbx *p, struct call *call);
void service_over(struct pbx *p, struct call *call);
/* The party's offer inside the dialog is answered by the service itself. */
bool service_offered(struct pbx *p, struct call *call, struct leg *leg, const struct sdp *offer);
/* What its party has offered is answered. */
void service_changed(struct pbx *p, struct call *call);
/* What the media plane says of a stream: keys, ends of what was played, talk. */
void service_rx_media(struct pbx *p, struct leg *leg, const struct media_ev *ev);
/* The digit of an INFO: none; one; or one that has come by other means already. */
enum service_digit { SERVICE_NO_DIGIT, SERVICE_DIGIT, SERVICE_DIGIT_KNOWN };
enum service_digit service_info(struct pbx *p, struct leg *leg, const struct sip_out *o, char *ret);

#endif
