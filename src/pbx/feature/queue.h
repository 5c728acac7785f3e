/* A group as a queue: callers wait, in the order in which they came, for the member that has been
 * idle longest. Who waits hears 182 (RFC 3261 21.1.5). */
#ifndef PBX_FEATURE_QUEUE_H
#define PBX_FEATURE_QUEUE_H

#include "pbx/feature/dial.h"

/* The search waits in the group's queue from now on; false: the queue is full. */
bool queue_enter(struct pbx *p, struct dial *d, const struct config_group *g);
/* It waits no more. Harmless for one that does not. */
void queue_leave(struct pbx *p, struct dial *d);
bool queue_waits(const struct dial *d);
/* Rings the next member for those whose turn it is. */
void queue_serve(struct pbx *p, struct dial *d);
/* Its member has not answered, or it has waited a while: what now. false: it has waited too long
 * and is out of the queue. */
bool queue_timeout(struct pbx *p, struct dial *d);
/* How long until queue_timeout() wants to be called. */
usec_t queue_patience(struct pbx *p, const struct dial *d);
/* The party of `leg` does not take the caller: a member is left in peace for a while. Harmless for
 * one who does not wait. */
void queue_refused(struct pbx *p, const struct dial *d, const struct leg *leg);
/* A member may have become free. */
void queue_wake(struct pbx *p);
void queue_woken(struct pbx *p, struct pbx_timer *t);

#endif
