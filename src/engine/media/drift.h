/* How fast a sender's clock runs against ours, from the arrival of its packets: in each second the
 * packet that was the least under way is the one that says most, and a straight line through those
 * has the difference of both clocks as its slope. A leap of the timestamps, or another stream,
 * begins another line of the same slope. */
#ifndef ENGINE_MEDIA_DRIFT_H
#define ENGINE_MEDIA_DRIFT_H

#include <stdbool.h>

#include "base/timer.h"

/* Points of a line: x in seconds, y in microseconds. */
struct drift_line {
    double n, x, y, xx, xy, yy;
};

struct drift {
    bool begun, any; /* any: a packet in this second */
    uint32_t ssrc, clock_hz, last_ts;
    usec_t from, second;   /* when the line began, and the second that is under way */
    int64_t ticks;         /* of the sender's clock since the line began */
    int64_t least, before; /* delay of the quickest packet, of this second and the one before */
    struct drift_line line;
    double n, xx, xy, yy; /* of the lines before, about their own middle */
    unsigned lines;
};

void drift_rx(struct drift *d, usec_t now, uint32_t ssrc, uint32_t ts, uint32_t clock_hz);
/* In tenths of a millionth, above 0: the sender's clock is faster than ours; and the standard error
 * of that. False: less than ten seconds have been seen. */
bool drift_get(const struct drift *d, int32_t *ppm_x10, uint32_t *error_x10);

#endif
