/* Recordings: the frames of each tick, gathered into blocks for whoever writes them. All tracks of
 * a recording count samples from the same one on. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"

#define TICKS_A_BLOCK 5 /* 100 ms */
#define SAMPLES_MAX   (16000 / 10)
/* A shorter gap is what a lost packet or two make, and is hidden well. */
#define GAP_TICKS 5
/* How often it is told how the clock of a party is. */
#define CLOCK_TICKS 500
/* Marks that wait for a block; what comes beyond is not told. */
#define MARKS_WAIT 64

struct track {
    uint32_t stream; /* index + 1; 0: nobody now */
    uint8_t number;
    uint8_t gap;    /* enum plane_mark_kind, since gap_at; NO_GAP */
    bool said;      /* what the stream's party is told, not what it says */
    bool heard;     /* in this block */
    uint64_t since; /* sample from which this stream is in it */
    uint64_t gap_at;
    unsigned clock_in; /* ticks until its clock is told */
    struct resample rs;
    int16_t *pcm;       /* of this block */
    const int16_t *now; /* of this tick; NULL: silence */
};

struct rec {
    struct list in_plane, full; /* the latter in plane.full */
    uint64_t number, at;
    uint32_t rate_hz;
    unsigned n, ticks;
    bool tracks, mixed, paused, stopping;
    bool ready; /* `out` is to be taken */
    int16_t *mix;
    struct track track[PLANE_REC_TRACKS];
    unsigned n_marks;
    struct plane_mark mark[MARKS_WAIT];
    struct plane_block out;
};

enum { NO_GAP = UINT8_MAX };

/* Tracks of a stream. */
enum { OWN = 1, SAID = 2 };

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
        t->gap = NO_GAP;
        rec->n++;
    }
    return t;
}

/* ---- what is to be known besides the sound ----------------------------------------------------
 */

/* The sample that comes next. */
static uint64_t here(const struct rec *rec)
{
    return rec->at + (uint64_t)rec->ticks * (rec->rate_hz / 50);
}

static struct plane_mark *mark(struct rec *rec, const struct track *t, enum plane_mark_kind kind,
                               uint64_t at)
{
    if (rec->n_marks == MARKS_WAIT)
        return NULL;
    struct plane_mark *m = &rec->mark[rec->n_marks++];
    *m = (struct plane_mark){.kind = (uint8_t)kind, .track = t->number, .at = at};
    return m;
}

static void gap_end(struct rec *rec, struct track *t, uint64_t at)
{
    bool told = t->gap != NO_GAP && at >= t->gap_at + GAP_TICKS * (rec->rate_hz / 50);
    struct plane_mark *m = told ? mark(rec, t, (enum plane_mark_kind)t->gap, t->gap_at) : NULL;
    if (m)
        m->samples = (uint32_t)(at - t->gap_at);
    t->gap = NO_GAP;
}

static void clock_tell(struct rec *rec, struct track *t, const struct stream *s)
{
    int32_t ppm_x10;
    uint32_t error_x10;
    t->clock_in = CLOCK_TICKS;
    if (!s->listen || !ear_drift(s->listen->ear, &ppm_x10, &error_x10))
        return;
    struct plane_mark *m = mark(rec, t, PLANE_MARK_CLOCK, t->since);
    if (m) {
        m->ppm_x10 = ppm_x10;
        m->error_x10 = error_x10;
    }
}

/* A pause is known to who has ordered it, and is no gap. */
static void track_watch(struct rec *rec, struct track *t, const struct stream *s)
{
    const struct listen *l = s->listen;
    uint8_t gap = NO_GAP;
    if (!rec->paused && (!l || l->absent))
        gap = s->receiving ? PLANE_MARK_LOST : PLANE_MARK_HELD;
    if (gap != t->gap) {
        gap_end(rec, t, here(rec));
        t->gap = gap;
        t->gap_at = here(rec);
    }
    if (t->clock_in-- == 0)
        clock_tell(rec, t, s);
    if (!l || l->stretched_us == 0 || rec->paused)
        return;
    bool longer = l->stretched_us > 0;
    uint64_t us = (uint64_t)(longer ? l->stretched_us : -(int64_t)l->stretched_us);
    struct plane_mark *m = mark(rec, t, longer ? PLANE_MARK_ADDED : PLANE_MARK_LEFT_OUT, here(rec));
    if (m)
        m->samples = (uint32_t)(us * rec->rate_hz / 1000000);
}

/* ---- who is in which recording ----------------------------------------------------------------
 */

static unsigned kind_of(const struct track *t)
{
    return t->said ? SAID : OWN;
}

/* What tracks the stream has there. */
static unsigned kinds_in(const struct stream *s, const struct rec *rec)
{
    unsigned kinds = 0;
    for (unsigned i = 0; rec && i < rec->n; i++)
        if (rec->track[i].stream == plane_index1(s))
            kinds |= kind_of(&rec->track[i]);
    return kinds;
}

static void leave_one(struct stream *s, struct rec *rec, unsigned kinds)
{
    for (unsigned i = 0; rec && i < rec->n; i++) {
        struct track *t = &rec->track[i];
        if (t->stream != plane_index1(s) || !(kind_of(t) & kinds))
            continue;
        gap_end(rec, t, here(rec));
        if (!t->said)
            clock_tell(rec, t, s);
        t->stream = NO_STREAM;
    }
    for (unsigned i = 0; i < STREAM_RECS; i++)
        if (s->rec[i] == rec && !kinds_in(s, rec))
            s->rec[i] = NULL;
    if (s->said && !((kinds_in(s, s->rec[0]) | kinds_in(s, s->rec[1])) & SAID)) {
        mem_free(s->said);
        s->said = NULL;
    }
}

void rec_leave(struct stream *s)
{
    for (unsigned i = 0; i < STREAM_RECS; i++)
        leave_one(s, s->rec[i], OWN | SAID);
}

/* It is recorded here no longer, though it goes on. */
static void let_go(struct plane *r, usec_t now, struct rec *rec, const struct track *t)
{
    struct stream *s = plane_at(r, t->stream);
    leave_one(s, rec, kind_of(t));
    listen_follow(r, s);
    plane_tick_follow(r, now, s);
}

/* Its place among the recordings of the stream; NULL: there is none. */
static struct rec **place_for(struct stream *s, const struct rec *rec)
{
    for (unsigned i = 0; rec && i < STREAM_RECS; i++)
        if (s->rec[i] == rec)
            return &s->rec[i];
    return !s->rec[0] ? &s->rec[0] : !s->rec[1] ? &s->rec[1] : NULL;
}

static int track_join(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    struct rec *rec = rec_find(r, cmd->record.number);
    if (rec && rec->stopping)
        return -ESHUTDOWN;
    leave_one(s, rec, cmd->record.said ? SAID : OWN);
    struct rec **place = place_for(s, rec);
    if (!place)
        return -ENOSPC;
    struct said *said = s->said;
    if (cmd->record.said && !said && !(said = mem_zero(sizeof(*said))))
        return -ENOMEM;
    rec = rec ? rec : rec_new(r, cmd);
    struct track *t = rec ? track_take(rec, cmd->record.track) : NULL;
    if (!t) {
        if (said != s->said)
            mem_free(said);
        return -ENOMEM;
    }
    if (t->stream)
        let_go(r, now, rec, t);
    t->stream = plane_index1(s);
    t->said = cmd->record.said;
    t->since = here(rec);
    t->clock_in = CLOCK_TICKS;
    s->said = said;
    *place = rec;
    plane_tick_begin(r, now);
    return 0;
}

int rec_join(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    if (cmd->record.leave) {
        leave_one(s, rec_find(r, cmd->record.number), cmd->record.said ? SAID : OWN | SAID);
        return 0;
    }
    if (!cmd->record.also && !cmd->record.said)
        rec_leave(s);
    return cmd->record.number ? track_join(r, now, s, cmd) : 0;
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
            let_go(r, now, rec, &rec->track[i]);
    rec->stopping = true;
    plane_tick_begin(r, now);
    return 0;
}

/* ---- the tick -------------------------------------------------------------------------------- */

void rec_said(struct stream *s, usec_t now, uint32_t rate_hz, const int16_t *pcm, unsigned n)
{
    struct said *d = s->said;
    if (d->at != now || d->rate_hz != rate_hz)
        d->n = 0;
    d->at = now;
    d->rate_hz = rate_hz;
    n = n < SAID_SAMPLES - d->n ? n : SAID_SAMPLES - d->n;
    memcpy(d->pcm + d->n, pcm, n * sizeof(*pcm));
    d->n += n;
}

/* 20 ms; fewer: the rest is silence. */
struct sound {
    const int16_t *pcm;
    unsigned n;
    uint32_t rate_hz;
};

static struct sound sound_of(usec_t now, const struct track *t, const struct stream *s)
{
    if (!t->said && s->listen)
        return (struct sound){s->listen->pcm, s->listen->n, s->listen->rate_hz};
    if (t->said && s->said->at == now)
        return (struct sound){s->said->pcm, s->said->n, s->said->rate_hz};
    return (struct sound){0};
}

/* What the track has in this tick. What is only mixed need not be kept, and stays where it is. */
static void track_tick(struct plane *r, usec_t now, struct rec *rec, struct track *t)
{
    unsigned want = rec->rate_hz / 50;
    int16_t *out = t->pcm + (rec->tracks ? rec->ticks * want : 0);
    const struct stream *s = t->stream ? plane_at(r, t->stream) : NULL;
    struct sound l = {0};
    t->now = NULL;
    if (s && !t->said)
        track_watch(rec, t, s);
    if (s && !rec->paused)
        l = sound_of(now, t, s);
    if (l.n == want && !rec->tracks && l.rate_hz == rec->rate_hz) {
        t->now = l.pcm;
        return;
    }
    memset(out, 0, want * sizeof(*out));
    if (!l.n || resample_set(&t->rs, l.rate_hz, rec->rate_hz))
        return;
    unsigned taken = l.n;
    (void)resample_run(&t->rs, l.pcm, &taken, out, want);
    t->now = out;
    t->heard = true;
}

static int16_t clip(int32_t v)
{
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

/* Clipping takes longer than all the rest, and is seldom needed. */
static void mix_tick(struct rec *rec, unsigned from)
{
    unsigned want = rec->rate_hz / 50;
    int32_t sum[SAMPLES_MAX / TICKS_A_BLOCK];
    uint32_t high = 0;
    memset(sum, 0, want * sizeof(sum[0]));
    for (unsigned i = 0; i < rec->n; i++) {
        const int16_t *pcm = rec->track[i].now;
        for (unsigned k = 0; pcm && k < want; k++)
            sum[k] += pcm[k];
    }
    int16_t *mix = rec->mix + from;
    for (unsigned k = 0; k < want; k++) {
        high |= (uint32_t)(sum[k] + 32768);
        mix[k] = (int16_t)sum[k];
    }
    for (unsigned k = 0; high >> 16 && k < want; k++)
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
    if (n == 0 || b->samples == 0) /* no track could be had, or it has ended */
        b->n = b->samples = 0;
    b->n_marks = rec->n_marks < PLANE_REC_MARKS ? rec->n_marks : PLANE_REC_MARKS;
    rec->n_marks -= b->n_marks;
    memcpy(b->mark, rec->mark, b->n_marks * sizeof(b->mark[0]));
    memmove(rec->mark, rec->mark + b->n_marks, rec->n_marks * sizeof(rec->mark[0]));
    rec->ready = b->samples || b->n_marks;
}

void recs_tick(struct plane *r, usec_t now)
{
    list_each(node, &r->recs)
    {
        struct rec *rec = container_of(node, struct rec, in_plane);
        unsigned from = rec->ticks * (rec->rate_hz / 50);
        rec->ready = false;
        if (rec->ticks == 0)
            for (unsigned i = 0; i < rec->n; i++)
                rec->track[i].heard = false;
        if (!rec->stopping) {
            for (unsigned i = 0; i < rec->n; i++)
                track_tick(r, now, rec, &rec->track[i]);
            if (rec->mixed)
                mix_tick(rec, from);
            rec->ticks++;
        }
        if (rec->ticks == TICKS_A_BLOCK || (rec->stopping && (rec->ticks || rec->n_marks)))
            block_make(rec);
        if ((rec->ready || rec->stopping) && !rec->full.next)
            list_append(&r->full, &rec->full);
    }
}

bool recs_wait(const struct plane *r)
{
    list_each(node, &r->recs) if (container_of(node, struct rec, in_plane)->ready) return true;
    return false;
}

bool plane_block(struct plane *r, struct plane_block *ret)
{
    list_each(node, &r->full)
    {
        struct rec *rec = container_of(node, struct rec, full);
        if (!rec->stopping)
            list_remove(&rec->full);
        if (rec->ready) {
            *ret = rec->out;
            rec->ready = false;
            return true;
        }
        if (!rec->stopping || rec->ticks || rec->n_marks || !plane_event_room(r))
            continue; /* the next tick makes a block of what there is */
        struct stream none = {.id = rec->number};
        plane_event_new(r, MEDIA_EV_RECORDED, &none);
        rec_free(rec);
    }
    return false;
}
