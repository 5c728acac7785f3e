/* Recordings: the frames of each tick, gathered into blocks for whoever writes them. All tracks of
 * a recording count samples from the same one on. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"

#define TICKS_A_BLOCK 5 /* 100 ms */
#define SAMPLES_MAX   (16000 / 10)

struct track {
    uint32_t stream; /* index + 1; 0: nobody now */
    uint8_t number;
    bool heard; /* in this block */
    struct resample rs;
    int16_t *pcm; /* of this block */
};

struct rec {
    struct list in_plane, full; /* the latter in plane.full */
    uint64_t number, at;
    uint32_t rate_hz;
    unsigned n, ticks;
    bool tracks, mixed, paused, stopping;
    int16_t *mix;
    struct track track[PLANE_REC_TRACKS];
    struct plane_block out;
};

static struct rec *rec_find(const struct plane *r, uint64_t number)
{
    list_each(node, &r->recs)
    {
        struct rec *rec = container_of(node, struct rec, in_plane);
        if (rec->number == number)
            return rec;
    }
    return NULL;
}

static void rec_free(struct rec *rec)
{
    for (unsigned i = 0; i < rec->n; i++) {
        resample_done(&rec->track[i].rs);
        mem_free(rec->track[i].pcm);
    }
    mem_free(rec->mix);
    list_remove(&rec->in_plane);
    list_remove(&rec->full);
    mem_free(rec);
}

void recs_free(struct plane *r)
{
    if (!r->recs.next)
        return;
    list_each(node, &r->recs) rec_free(container_of(node, struct rec, in_plane));
}

static struct rec *rec_new(struct plane *r, const struct media_cmd *cmd)
{
    uint32_t hz = cmd->record.rate_hz;
    if (hz != 8000 && hz != 16000)
        return NULL;
    struct rec *rec = mem_zero(sizeof(*rec));
    if (!rec)
        return NULL;
    rec->mix = mem_zero(SAMPLES_MAX * sizeof(int16_t));
    if (!rec->mix) {
        mem_free(rec);
        return NULL;
    }
    rec->number = cmd->record.number;
    rec->rate_hz = hz;
    rec->tracks = cmd->record.tracks;
    rec->mixed = cmd->record.mixed;
    list_append(&r->recs, &rec->in_plane);
    return rec;
}

/* The track of this number, which may have been somebody else's before. */
static struct track *track_take(struct rec *rec, uint8_t number)
{
    unsigned i = 0;
    while (i < rec->n && rec->track[i].number != number)
        i++;
    if (i == PLANE_REC_TRACKS)
        return NULL;
    struct track *t = &rec->track[i];
    if (i == rec->n) {
        t->pcm = mem_zero(SAMPLES_MAX * sizeof(int16_t));
        if (!t->pcm)
            return NULL;
        t->number = number;
        rec->n++;
    }
    return t;
}

/* It is recorded no longer, though it goes on. */
static void let_go(struct plane *r, usec_t now, struct stream *s)
{
    rec_leave(s);
    listen_follow(r, s);
    plane_tick_follow(r, now, s);
}

int rec_join(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    rec_leave(s);
    if (cmd->record.number == 0)
        return 0;
    struct rec *rec = rec_find(r, cmd->record.number);
    if (rec && rec->stopping)
        return -ESHUTDOWN;
    rec = rec ? rec : rec_new(r, cmd);
    if (rec && rec->stopping)
        return -EBUSY;
    struct track *t = rec ? track_take(rec, cmd->record.track) : NULL;
    if (!t)
        return -ENOMEM;
    if (t->stream)
        let_go(r, now, plane_at(r, t->stream));
    t->stream = plane_index1(s);
    s->rec = rec;
    plane_tick_begin(r, now);
    return 0;
}

void rec_leave(struct stream *s)
{
    for (unsigned i = 0; s->rec && i < s->rec->n; i++)
        if (s->rec->track[i].stream == plane_index1(s))
            s->rec->track[i].stream = NO_STREAM;
    s->rec = NULL;
}

int rec_cmd(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct rec *rec = rec_find(r, cmd->record.number);
    struct stream none = {.id = cmd->record.number};
    if (rec && cmd->kind == MEDIA_RECORD_PAUSE) {
        rec->paused = cmd->on;
        return 0;
    }
    if (cmd->kind != MEDIA_RECORD_STOP)
        return -ENOENT;
    if (!rec) {
        plane_event_new(r, MEDIA_EV_RECORDED, &none);
        return 0;
    }
    for (unsigned i = 0; i < rec->n; i++)
        if (rec->track[i].stream)
            let_go(r, now, plane_at(r, rec->track[i].stream));
    rec->stopping = true;
    plane_tick_begin(r, now);
    return 0;
}

/* ---- the tick -------------------------------------------------------------------------------- */

static void track_tick(struct plane *r, struct rec *rec, struct track *t, unsigned from)
{
    unsigned want = rec->rate_hz / 50;
    int16_t *out = t->pcm + from;
    const struct stream *s = t->stream ? plane_at(r, t->stream) : NULL;
    memset(out, 0, want * sizeof(*out));
    if (!s || !s->listen || rec->paused)
        return;
    unsigned taken = s->listen->n;
    if (resample_set(&t->rs, s->listen->rate_hz, rec->rate_hz))
        return;
    (void)resample_run(&t->rs, s->listen->pcm, &taken, out, want);
    t->heard = true;
}

static int16_t clip(int32_t v)
{
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

/* Where this tick is in a track. Of one that is only mixed nothing else is needed, and memory that
 * is used again and again is still in the cache. */
static unsigned at_in_track(const struct rec *rec, unsigned from)
{
    return rec->tracks ? from : 0;
}

static void mix_tick(struct rec *rec, unsigned from)
{
    unsigned want = rec->rate_hz / 50, in = at_in_track(rec, from);
    int32_t sum[SAMPLES_MAX / TICKS_A_BLOCK];
    memset(sum, 0, want * sizeof(sum[0]));
    for (unsigned i = 0; i < rec->n; i++) {
        const int16_t *pcm = rec->track[i].pcm + in;
        for (unsigned k = 0; k < want; k++)
            sum[k] += pcm[k];
    }
    int16_t *mix = rec->mix + from;
    for (unsigned k = 0; k < want; k++)
        mix[k] = clip(sum[k]);
}

static void block_make(struct rec *rec)
{
    struct plane_block *b = &rec->out;
    unsigned n = 0;
    *b = (struct plane_block){.record = rec->number,
                              .at = rec->at,
                              .rate_hz = rec->rate_hz,
                              .samples = rec->ticks * (rec->rate_hz / 50)};
    if (rec->mixed)
        b->plane[n++] = (struct plane_track){.track = PLANE_REC_MIX, .pcm = rec->mix};
    for (unsigned i = 0; rec->tracks && i < rec->n; i++)
        b->plane[n++] = (struct plane_track){.track = rec->track[i].number,
                                             .silent = !rec->track[i].heard,
                                             .pcm = rec->track[i].pcm};
    b->n = n;
    rec->at += b->samples;
    rec->ticks = 0;
    if (n == 0)
        b->samples = 0; /* no track could be had: there is nothing to write */
}

void recs_tick(struct plane *r, usec_t now)
{
    list_each(node, &r->recs)
    {
        struct rec *rec = container_of(node, struct rec, in_plane);
        unsigned from = rec->ticks * (rec->rate_hz / 50);
        rec->out.samples = 0;
        if (rec->ticks == 0)
            for (unsigned i = 0; i < rec->n; i++)
                rec->track[i].heard = false;
        if (!rec->stopping) {
            for (unsigned i = 0; i < rec->n; i++)
                track_tick(r, rec, &rec->track[i], at_in_track(rec, from));
            if (rec->mixed)
                mix_tick(rec, from);
            rec->ticks++;
        }
        if (rec->ticks == TICKS_A_BLOCK || (rec->stopping && rec->ticks))
            block_make(rec);
        if ((rec->out.samples || rec->stopping) && !rec->full.next)
            list_append(&r->full, &rec->full);
    }
}

bool recs_wait(const struct plane *r)
{
    list_each(node,
              &r->recs) if (container_of(node, struct rec, in_plane)->out.samples) return true;
    return false;
}

bool plane_block(struct plane *r, struct plane_block *ret)
{
    list_each(node, &r->full)
    {
        struct rec *rec = container_of(node, struct rec, full);
        if (!rec->stopping)
            list_remove(&rec->full);
        if (rec->out.samples) {
            *ret = rec->out;
            rec->out.samples = 0;
            return true;
        }
        if (!rec->stopping || rec->ticks || !plane_event_room(r))
            continue; /* the next tick makes a block of what there is */
        struct stream none = {.id = rec->number};
        plane_event_new(r, MEDIA_EV_RECORDED, &none);
        rec_free(rec);
    }
    return false;
}
