/* Picking up a call that rings elsewhere: by code (group, directed) and by an INVITE with Replaces
 * (RFC 3891). */
#ifndef PBX_FEATURE_PICKUP_H
#define PBX_FEATURE_PICKUP_H

#include "pbx/call_int.h"

/* `call` is that of the one who picks up: its leg goes over to the ringing call, and it ends
 * without a record, or it is refused. number: whose call; none: any of the group. */
void pickup_dialled(struct pbx *p, struct call *call, struct str number);
/* An INVITE with Replaces: it takes the place of a leg, ringing or up. */
void pickup_replaces(struct pbx *p, struct call *call, const struct sip_msg *m);

/* Who may replace this leg while it rings, or join it: who could pick up its calls, or who is the
 * same user. */
bool pickup_may_replace(const struct leg *comes, const struct leg *goes);

#endif
