/* Conferences: rooms of the configuration and rooms made for the occasion, of which the exchange is
 * the focus (RFC 4353, 4579). Every participant is a call of its own, with a record that names the
 * room. A room is there as long as somebody is in it, or on the way. */
#ifndef PBX_FEATURE_CONFERENCE_H
#define PBX_FEATURE_CONFERENCE_H

#include "pbx/call_int.h"
#include "pbx/feature/dial.h"
#include "pbx/feature/refer.h"
#include "pbx/subscription.h"

/* 0 or -ENOMEM. */
MUST_CHECK int conference_init(struct pbx *p);
/* After all calls are gone. */
void conference_done(struct pbx *p);
/* Rooms go on under the new configuration; those that it has no more go on as they were,
 * and who watches an empty one of them is told that it is gone. */
void conference_reload(struct pbx *p, const struct config *before);
/* Is there a room of this number that was made for the occasion? */
bool conference_is_open(const struct pbx *p, struct str number);

/* The recording of a room has become too long, and has ended: it goes on as another one. */
void conference_record_again(struct pbx *p, handle_t recording);

/* ---- ways in --------------------------------------------------------------------------------- */
/* The caller has dialled a room: PLAN_CONFERENCE. */
void conference_dialled(struct pbx *p, struct call *call, const struct plan *plan);
/* The caller opens a new room and is its moderator (RFC 4579 section 5.3). */
void conference_open(struct pbx *p, struct call *call);
/* Everybody whom the caller talks with, in whatever calls, goes into one room with it. Its legs in
 * those calls are hung up. 404: it talks with nobody. */
void conference_of_calls(struct pbx *p, struct call *call);
/* An INVITE with Join (RFC 3911): the caller comes to the members of a room, or makes one of a call
 * of two. Who may replace a party (RFC 3891) may join it. false: it names nothing, but the
 * Request-URI is that of a room, which it may have as if there were no Join. */
bool conference_join(struct pbx *p, struct call *call, const struct sip_msg *m);
/* A party of a call of two goes into the room that was dialled; whoever it talked with leaves the
 * call as its owner wishes. 0, or the status that says why not. */
MUST_CHECK unsigned conference_take(struct pbx *p, struct call *call, struct leg *stays,
                                    const struct plan *plan);

/* The party that stays in the call of who asks comes into a room in place of a member, whose call
 * ends: an attended transfer. 0 or a status; 403: the member is another user's. */
MUST_CHECK unsigned conference_take_place(struct pbx *p, struct leg *asks, struct leg *stays,
                                          struct leg *replaced);

/* ---- the focus ------------------------------------------------------------------------------- */
/* A REFER inside the dialog of a member: who is named is invited, or removed (method=BYE). RFC 4579
 * sections 5.5 and 5.11. */
void conference_refer(struct pbx *p, struct leg *leg, const struct sip_out *o);
/* The same outside of it, to the URI of a room, by an extension that has a member there. false: the
 * Request-URI names no room that is open. */
bool conference_refer_outside(struct pbx *p, const struct sip_out *o);
/* What the search for one whom the focus calls has brought. */
void conference_progress(struct pbx *p, struct call *call, unsigned status);
void conference_answered(struct pbx *p, struct call *call, struct leg *leg);
void conference_failed(struct pbx *p, struct call *call, unsigned status);

/* ---- for people ------------------------------------------------------------ */
/* kick, mute, unmute (member 0: all of them), lock, unlock, end. -ENOENT: no such room or member;
 * -EINVAL: no such action. */
MUST_CHECK int conference_command(struct pbx *p, struct str room, struct str action,
                                  uint64_t member);
/* The focus calls a number, and the room has it as a member when it answers. 0 or a SIP status. */
MUST_CHECK unsigned conference_invite(struct pbx *p, struct str room, struct str number);

/* ---- RFC 4575 -------------------------------------------------------------------------------- */
extern const struct event_package conference_package;

#endif
