/* The tick of 20 ms, for streams whose sound does not come packet by packet from elsewhere. */
#include "engine/media/plane_int.h"

/* A thread that was kept from running makes up for so much, and forgets the rest. */
#define LATE_US (5 * TICK_US)

static bool wants_tick(const struct stream *s)
{
    return s->play || s->listen || s->room || s->tap;
}

void plane_tick_begin(struct plane *r, usec_t now)
{
    if (r->tick_due == USEC_NEVER)
        r->tick_due = (now / TICK_US + 1) * TICK_US;
}

void plane_tick_follow(struct plane *r, usec_t now, struct stream *s)
{
    bool has = s->tick.next != NULL;
    if (wants_tick(s) == has)
        return;
    if (has) {
        list_remove(&s->tick);
        return; /* the next tick sees whether it was the last one */
    }
    plane_tick_begin(r, now);
    list_append(&r->ticking, &s->tick);
}

/* Everybody is heard, then everybody hears. */
static void tick(struct plane *r, usec_t now)
{
    list_each(node, &r->ticking)
    {
        struct stream *s = container_of(node, struct stream, tick);
        if (s->listen)
            listen_tick(r, now, s);
        if (s->tap)
            tap_hear(r, now, s);
    }
    rooms_tick(r, now);
    list_each(other, &r->ticking)
    {
        struct stream *s = container_of(other, struct stream, tick);
        if (s->play)
            play_tick(r, now, s);
        else if (s->tap)
            tap_say(r, now, s);
        plane_tick_follow(r, now, s);
    }
    recs_tick(r, now);
}

void plane_tick_run(struct plane *r, usec_t now)
{
    if (r->tick_due != USEC_NEVER && now > r->tick_due + LATE_US) {
        r->tick_due = now - LATE_US;
        list_each(node, &r->ticking) egress_pause(&container_of(node, struct stream, tick)->egress);
    }
    while (r->tick_due <= now) {
        r->tick_due += TICK_US;
        tick(r, r->tick_due - TICK_US);
        if (list_empty(&r->ticking) && list_empty(&r->recs))
            r->tick_due = USEC_NEVER;
        if (recs_wait(r) || taps_wait(r) || plane_out_crowded(r))
            return; /* somebody must take them first */
    }
}
