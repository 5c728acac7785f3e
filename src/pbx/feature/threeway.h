/* Conferences that a phone makes by itself: it has two calls, neither of them held, and mixes them.
 * The exchange goes on as before and passes packets only; here it just sees what it is. */
#ifndef PBX_FEATURE_THREEWAY_H
#define PBX_FEATURE_THREEWAY_H

#include "pbx/call_int.h"

/* Hold or resume, a call that is up or over: is the party of the leg in two calls at once? */
void threeway_follow(struct pbx *p, const struct leg *leg);
/* The leg of the same phone in another call with which it makes a conference, from the oldest on;
 * after NULL: the first. NULL: there is none more. */
const struct leg *threeway_next(struct pbx *p, const struct leg *leg, const struct leg *after);

#endif
