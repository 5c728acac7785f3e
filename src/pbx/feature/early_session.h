/* Early sessions (RFC 3959): media before the answer with descriptions and ports of their own,
 * beside those of the session to come, so that neither waits for nor clips the other.
 *
 * Each is a leg without a session (struct leg.regular), one for each early dialog of a callee and
 * one for the caller, in the list of its call; it has the same offer/answer machine as any leg. A
 * caller who knows early sessions and reliable provisionals is offered that of the callee, and its
 * answer goes back: the two are joined, like any two legs. For one who does not, we answer the
 * callee, and what it lets be heard is the early media of the caller's session. One callee is heard
 * at a time; when it goes, it is the next one's turn. All end when the call is answered. */
#ifndef PBX_FEATURE_EARLY_SESSION_H
#define PBX_FEATURE_EARLY_SESSION_H

#include "pbx/feature/dial.h"

/* Can anybody hear an early session of a callee of this search? */
bool early_wanted(struct pbx *p, const struct dial *d);
/* The caller's INVITE holds an offer for an early session. */
void early_invited(struct pbx *p, struct leg *caller, const struct sip_msg *m);

/* What a reliable provisional of the leg offers for an early session. true: its PRACK waits for
 * somebody's answer; else *answer belongs into it, if it is any. */
bool early_offered(struct pbx *p, struct dial *d, struct leg *leg, const struct sip_out *o,
                   struct str *answer);
/* The description that a PRACK which has waited for the answer of the session carries besides;
 * none. */
struct str early_prack_text(struct pbx *p, struct leg *leg);
/* The answer for a caller who will hear the early session of this leg as the early media of its
 * own, when the leg has given none to pass on; none. */
struct str early_stand_in(struct pbx *p, struct dial *d, struct leg *leg);
/* The description of an early session that the next reliable provisional is to carry to the caller;
 * none. *offer: it is one, and that provisional is `marked`. Whoever asks says with early_told()
 * whether it has left. */
struct str early_for_caller(struct pbx *p, struct dial *d, bool *offer);
void early_told(struct pbx *p, struct dial *d, struct str text, bool sent);
/* Puts the descriptions (each may be none) into content, whose field array is `field` and has room
 * for one more. */
void early_pack(struct pbx *p, struct sip_content *content, struct sip_field *field,
                struct str session, struct str early);
/* Whoever is to be heard and is not, is from now on. */
void early_turn(struct pbx *p, struct call *call);

/* The caller's PRACK: true, it is that of the provisional which held the offer. */
bool early_pracked(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* An offer for an early session in an UPDATE or a PRACK of a party: true, and it is answered, or
 * will be; false: there is none. */
bool early_updated(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* The first RTP on a stream of the leg, which may be an early session. */
void early_rx_first(struct pbx *p, struct leg *leg);

/* The dialog of the leg is over, and those of all legs. */
void early_leg_over(struct pbx *p, struct leg *leg);
void early_end(struct pbx *p, struct call *call);

#endif
