/* The sound of a call that goes on: its plan is made again and again, and what was begun stays. */
#include "analysis/audio_int.h"

#include <errno.h>

#include "base/mem.h"

int an_live_new(struct an_live **ret, const struct an_engine *e, const struct an_plan *plan,
                uint32_t rate_hz)
{
    struct an_live *l = mem_zero(sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->plan = *plan;
    l->plan.to_ns = AN_NEVER;
    int err = plan->n_sources ? an_audio_new(&l->audio, e, &l->plan, rate_hz) : -EINVAL;
    if (err) {
        mem_free(l);
        return err;
    }
    *ret = l;
    return 0;
}

void an_live_free(struct an_live *l)
{
    if (!l)
        return;
    an_audio_free(l->audio);
    mem_free(l);
}

static bool is_nobody(struct str name)
{
    return !name.n || str_eq(name, STR("caller")) || str_eq(name, STR("callee"));
}

/* The track of who is heard there; a new one if it is somebody new. AN_AUDIO_MAX_TRACKS: no room.
 */
static uint8_t track_of(struct an_live *l, const struct an_track *who)
{
    struct an_plan *p = &l->plan;
    for (uint32_t i = 0; i < p->n_tracks; i++)
        if (who->leg != AN_NONE && p->track[i].leg == who->leg && p->track[i].side == who->side)
            return (uint8_t)i;
    for (uint32_t i = 0; i < p->n_tracks; i++)
        if (!is_nobody(str_z(who->name)) && str_eq(str_z(p->track[i].name), str_z(who->name)))
            return (uint8_t)i;
    if (p->n_tracks == AN_AUDIO_MAX_TRACKS)
        return AN_AUDIO_MAX_TRACKS;
    p->track[p->n_tracks] = *who;
    return (uint8_t)p->n_tracks++;
}

static uint32_t source_find(const struct an_plan *p, const struct an_source *s)
{
    for (uint32_t i = 0; i < p->n_sources; i++)
        if (p->source[i].stream == s->stream && p->source[i].number == s->number)
            return i;
    return AN_NONE;
}

static void source_take(struct an_live *l, const struct an_plan *now, const struct an_source *s)
{
    struct an_plan *p = &l->plan;
    uint32_t i = source_find(p, s);
    if (i != AN_NONE) {
        p->source[i].rank = s->rank;
        return;
    }
    uint8_t track = track_of(l, &now->track[s->track]);
    if (track == AN_AUDIO_MAX_TRACKS || p->n_sources == AN_AUDIO_MAX_SOURCES) {
        p->left_out++;
        return;
    }
    p->source[p->n_sources] = *s;
    p->source[p->n_sources++].track = track;
}

int an_live_update(struct an_live *l, const struct an_plan *now)
{
    struct an_plan *p = &l->plan;
    p->left_out = now->left_out; /* those of before are counted anew */
    for (uint32_t i = 0; i < now->n_sources; i++)
        source_take(l, now, &now->source[i]);
    p->n_covers = 0;
    for (uint32_t i = 0; i < now->n_covers; i++) {
        uint8_t track = track_of(l, &now->track[now->cover[i].track]);
        if (track < AN_AUDIO_MAX_TRACKS) {
            p->cover[p->n_covers] = now->cover[i];
            p->cover[p->n_covers++].track = track;
        }
    }
    int err = an_audio_grow(l->audio);
    if (err) {
        /* What found no memory is tried again the next time. */
        p->n_tracks = l->audio->n_rings;
        p->n_sources = l->audio->n_voices;
        p->n_covers = 0;
        return err;
    }
    for (uint32_t i = 0; i < p->n_sources; i++)
        an_audio_mute(l->audio, i, source_find(now, &p->source[i]) == AN_NONE);
    return 0;
}
