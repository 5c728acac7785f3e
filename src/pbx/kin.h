/* Which Call-IDs are of which call. A call has a Call-ID for each leg, and a leg may go from call
 * to call (pickup, transfer); who asks about a call wants all that became one with it, also when it
 * is over. So a Call-ID is remembered from its leg's beginning on, and for some time after its end:
 * four for each of limits.call_histories, the oldest go first. */
#ifndef PBX_KIN_H
#define PBX_KIN_H

#include "pbx/call_int.h"

#define KIN_MAX_CALLS                                                                              \
    4 /* that a leg is remembered to have been in: the first ones and the last                     \
       */

int kin_init(struct pbx *p);
void kin_done(struct pbx *p);
/* The leg has its Call-ID now. */
void kin_add(struct pbx *p, struct leg *leg, struct str call_id);
/* It goes to another call. */
void kin_move(struct pbx *p, const struct leg *leg, struct call *to);
/* It is gone. */
void kin_past(struct pbx *p, struct leg *leg);

/* The number of the call that a Call-ID is of, or was of last; 0: unknown. */
uint64_t kin_number(struct pbx *p, struct str call_id);

#endif
