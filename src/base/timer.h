/* Time and timers. `usec_t` is monotonic microseconds, an argument everywhere below io. The wheel
 * fires a timer at the first whole millisecond that is not before its deadline; equal deadlines
 * fire in the order in which they were armed. Arming and stopping cost O(1). */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/list.h"
#include "base/slot.h"

typedef uint64_t usec_t;
#define USEC_MS    ((usec_t)1000)
#define USEC_S     ((usec_t)1000000)
#define USEC_NEVER UINT64_MAX

#define TIMER_LEVELS 5
#define TIMER_SLOTS  256

struct timer {
    struct list node; /* in a slot of the wheel; zero when stopped */
    uint64_t due_ms;
    uint32_t kind; /* the owner's */
    uint16_t level, slot;
};

struct timer_wheel {
    struct list slot[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t map[TIMER_LEVELS][TIMER_SLOTS / 64]; /* which slots hold timers */
    struct list due;                              /* expired, waiting for timer_pop() */
    uint64_t now_ms;
    uint64_t armed; /* timers in the wheel */
};

void timer_wheel_init(struct timer_wheel *w, usec_t now);
/* Arms t for `due`, moving it if it was armed. */
void timer_start(struct timer_wheel *w, struct timer *t, usec_t due);
/* Does nothing if t is not armed. */
void timer_stop(struct timer_wheel *w, struct timer *t);
static inline bool timer_armed(const struct timer *t)
{
    return t->node.next != NULL;
}
static inline usec_t timer_due(const struct timer *t)
{
    return t->due_ms * USEC_MS;
}
/* The next timer that is due at `now`, stopped and in order, or NULL when none is left. */
struct timer *timer_pop(struct timer_wheel *w, usec_t now);
/* When timer_pop() may next have work, never later than the earliest timer; USEC_NEVER: nothing
 * is armed. */
usec_t timer_deadline(const struct timer_wheel *w);

#endif
