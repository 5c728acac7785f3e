/* How far behind its arrival a stream is played, and whether that should change. It measures the
 * delay of every packet (from its arrival to the moment at which it sounds). The least delay of the
 * last seconds is what could be spared; a packet that came too late says what is missing. Delay is
 * added fast and taken away slowly. Times are in microseconds. */
#ifndef ENGINE_MEDIA_PACE_H
#define ENGINE_MEDIA_PACE_H

#include <stdbool.h>

#include "base/timer.h"

struct pace_window {
    int64_t least, most; /* delay */
    int64_t slack;       /* least time that a packet was there before it was needed */
    bool any;
};

struct pace {
    int64_t limit;           /* of the delay */
    int64_t guard;           /* kept beyond what is needed, since lateness was seen; fades */
    int64_t owed;            /* to be added soon */
    struct pace_window w[2]; /* of the present two seconds, and of the two before */
    usec_t since;            /* when w[0] began */
    usec_t next;             /* no adjustment before */
};

void pace_init(struct pace *p, int64_t limit);
/* Another stream: its delays are not known yet. What was learnt of the path is kept. */
void pace_restart(struct pace *p);
/* A packet that came at `at` and sounds `offset` after `now`. needed: it was taken because the
 * frame of `now` could not be made without it. */
void pace_played(struct pace *p, usec_t now, usec_t at, int64_t offset, bool needed);
/* A packet came `by` too late to be played. */
void pace_late(struct pace *p, int64_t by);
/* All that follows is played `by` later (or earlier) than what was before, because nothing had come
 * in time. late: what came at last was late, not lost. More than the limit: the sender's clock has
 * stood still, or leapt. */
void pace_stalled(struct pace *p, int64_t by, bool late);
/* The greatest delay of late; `otherwise` if none is known. */
int64_t pace_most(const struct pace *p, int64_t otherwise);
/* Once for each frame: above 0, so much may be taken away at `now`; below, so much is to be added.
 */
int64_t pace_wish(struct pace *p, usec_t now);
/* What pause there is may be used at once: as pace_wish(), however recent the last change. */
int64_t pace_spare(const struct pace *p);
/* The delay was changed by `by`, above 0: added. */
void pace_changed(struct pace *p, usec_t now, int64_t by);

#endif
