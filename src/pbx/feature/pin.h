/* Guessing at PINs: wrong ones are counted across calls, and too many of them lock for a while.
 * Whoever is locked out hears what a wrong PIN is answered with, whatever is typed. */
#ifndef PBX_FEATURE_PIN_H
#define PBX_FEATURE_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/timer.h"

#define PIN_LOCK (300 * USEC_S) /* how long; a wrong one is forgotten as soon */

/* Zeroed, nothing wrong has been typed. */
struct pin_guard {
    uint8_t wrong;
    usec_t last; /* when that was */
    usec_t locked_until;
};

static inline bool pin_is_locked(const struct pin_guard *g, usec_t now)
{
    return now < g->locked_until;
}

/* One more; it locks with the last of `tries`, 255 at most. While it is locked none is counted, so
 * it ends whatever is typed. */
static inline void pin_wrong(struct pin_guard *g, usec_t now, unsigned tries)
{
    if (pin_is_locked(g, now))
        return;
    if (now - g->last > PIN_LOCK)
        g->wrong = 0;
    g->last = now;
    if (++g->wrong < tries)
        return;
    g->wrong = 0;
    g->locked_until = now + PIN_LOCK;
}

#endif
