#include "pbx/feature/ringback.h"

#include "pbx/sound.h"

/* Somebody is heard already, be it another phone than the one that rings (RFC 3960 section 3.2). A
 * party that waits for the target of a transfer hears nobody. */
static bool hears_early(struct pbx *p, const struct dial *d, const struct leg *leg)
{
    const struct leg *first = leg_find(p, call_find(p, d->call)->party[d->side]);
    return d->purpose == DIAL_CALL && (leg->heard || (first && first->heard));
}

void ringback_begin(struct pbx *p, struct dial *d, const struct leg *leg, bool early)
{
    struct leg *owner = leg_find(p, d->owner);
    struct sound_list l = {.n = 0};
    if (!early || owner->ringback || hears_early(p, d, leg))
        return;
    owner->ringback = true;
    sound_tone(p, &l, TONE_RINGBACK, 0);
    sound_play(p, owner, &l);
}

void ringback_again(struct pbx *p, struct dial *d)
{
    bool early = sound_stream(leg_find(p, d->owner)) != NULL;
    for (struct leg *leg = NULL; (leg = call_next(call_find(p, d->call), leg));)
        if (leg->dial == d->self && leg_is_calling(leg) && leg->state == LEG_RINGING)
            ringback_begin(p, d, leg, early);
}

/* What it would hear else: music, if it is held. */
static void stop(struct pbx *p, struct leg *leg)
{
    if (!leg->ringback)
        return;
    leg->ringback = false;
    sound_stop(p, leg);
    for (unsigned i = 0; i < leg->n_streams; i++)
        sound_follow_hold(p, leg, i);
}

void ringback_end(struct pbx *p, struct dial *d)
{
    struct leg *owner = leg_find(p, d->owner);
    if (owner)
        stop(p, owner);
}

void ringback_rx_first(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    struct leg *of = leg->regular ? leg_find(p, leg->regular) : leg;
    struct leg *other = NULL;
    if (leg->outgoing)
        other = leg->regular ? leg_find(p, leg->opposite) : call_other(p, call, leg);
    if (other && other->regular)
        other = leg_find(p, other->regular);
    of->heard = true;
    if (other) /* only who is joined with it hears it */
        stop(p, other);
}
