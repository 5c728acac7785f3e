#include "base/timer.h"

#include <string.h>

/* Level L holds timers 256^L..256^(L+1) ms away, one slot per 256^L ms. When the clock enters a
 * slot of an upper level, its timers move down ("cascade"). A timer from above was armed before any
 * timer that already stands below with the same deadline, so cascading puts it in front. */

void timer_wheel_init(struct timer_wheel *w, usec_t now)
{
    memset(w, 0, sizeof(*w));
    for (unsigned l = 0; l < TIMER_LEVELS; l++)
        for (unsigned s = 0; s < TIMER_SLOTS; s++)
            list_init(&w->slot[l][s]);
    list_init(&w->due);
    w->now_ms = now / USEC_MS;
}

/* The list that t belongs to at the present time; notes it in t. */
static struct list *home_of(struct timer_wheel *w, struct timer *t)
{
    uint64_t delta = t->due_ms > w->now_ms ? t->due_ms - w->now_ms : 0;
    t->level = TIMER_LEVELS;
    if (delta == 0)
        return &w->due;
    unsigned level = 0;
    while (level < TIMER_LEVELS - 1 && (delta >> (8 * (level + 1))) != 0)
        level++;
    /* The slot may be the one the clock is in, a full turn ahead; it cascades when the clock comes
     * round. */
    t->level = (uint16_t)level;
    t->slot = (uint16_t)((t->due_ms >> (8 * level)) & (TIMER_SLOTS - 1));
    w->map[level][t->slot / 64] |= 1ull << (t->slot % 64);
    return &w->slot[level][t->slot];
}

void timer_start(struct timer_wheel *w, struct timer *t, usec_t due)
{
    timer_stop(w, t);
    t->due_ms = due / USEC_MS + (due % USEC_MS != 0);
    list_append(home_of(w, t), &t->node);
    w->armed++;
}

static void unlink_timer(struct timer_wheel *w, struct timer *t)
{
    list_remove(&t->node);
    if (t->level < TIMER_LEVELS && list_empty(&w->slot[t->level][t->slot]))
        w->map[t->level][t->slot / 64] &= ~(1ull << (t->slot % 64));
}

void timer_stop(struct timer_wheel *w, struct timer *t)
{
    if (!timer_armed(t))
        return;
    unlink_timer(w, t);
    w->armed--;
}

/* Distance in slots (1..256) from `from` to the next occupied slot, or 0 when the level is empty.
 */
static unsigned next_slot(const uint64_t *map, unsigned from)
{
    for (unsigned step = 1; step <= TIMER_SLOTS;) {
        unsigned s = (from + step) % TIMER_SLOTS;
        uint64_t word = map[s / 64] >> (s % 64);
        if (word) {
            step += (unsigned)__builtin_ctzll(word);
            return step <= TIMER_SLOTS ? step : 0;
        }
        step += 64 - s % 64;
    }
    return 0;
}

/* The next millisecond at which a slot has to be emptied or cascaded. */
static uint64_t next_work_ms(const struct timer_wheel *w)
{
    uint64_t best = UINT64_MAX;
    for (unsigned l = 0; l < TIMER_LEVELS; l++) {
        uint64_t at = w->now_ms >> (8 * l);
        unsigned step = next_slot(w->map[l], (unsigned)(at & (TIMER_SLOTS - 1)));
        if (step) {
            uint64_t ms = (at + step) << (8 * l);
            best = ms < best ? ms : best;
        }
    }
    return best;
}

/* Moves every timer of one slot to where it belongs now, in front and in order. */
static void cascade(struct timer_wheel *w, unsigned level, unsigned slot)
{
    struct list *from = &w->slot[level][slot];
    w->map[level][slot / 64] &= ~(1ull << (slot % 64));
    struct list moved = *from;
    if (list_empty(from))
        return;
    moved.next->prev = moved.prev->next = &moved;
    list_init(from);
    while (!list_empty(&moved)) {
        struct list *last = moved.prev;
        list_remove(last);
        /* Appending before the first node is putting in front. */
        struct list *home = home_of(w, container_of(last, struct timer, node));
        list_append(home->next, last);
    }
}

static void enter(struct timer_wheel *w, uint64_t ms)
{
    w->now_ms = ms;
    for (unsigned l = 0; l < TIMER_LEVELS; l++) {
        if ((ms & ((1ull << (8 * l)) - 1)) != 0)
            break;
        cascade(w, l, (unsigned)((ms >> (8 * l)) & (TIMER_SLOTS - 1)));
    }
}

struct timer *timer_pop(struct timer_wheel *w, usec_t now)
{
    uint64_t now_ms = now / USEC_MS;
    while (list_empty(&w->due)) {
        uint64_t ms = w->armed ? next_work_ms(w) : UINT64_MAX;
        if (ms > now_ms) {
            if (now_ms > w->now_ms)
                w->now_ms = now_ms;
            return NULL;
        }
        enter(w, ms);
    }
    struct timer *t = container_of(w->due.next, struct timer, node);
    list_remove(&t->node);
    w->armed--;
    return t;
}

usec_t timer_deadline(const struct timer_wheel *w)
{
    if (!w->armed)
        return USEC_NEVER;
    if (!list_empty(&w->due))
        return w->now_ms * USEC_MS;
    uint64_t ms = next_work_ms(w);
    return ms == UINT64_MAX ? USEC_NEVER : ms * USEC_MS;
}
