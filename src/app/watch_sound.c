/* `ringdown watch --record`: the sound of calls, written while they go on. Packets wait for the
 * next settling of the engine, at most a second, which says whose they are; so the beginning of a
 * stream is not lost, and nothing has to be guessed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "app/watch_sound.h"
#include "base/mem.h"
#include "engine/media/srtp.h"

#define NS_PER_S    1000000000ull
#define WAITING     ((size_t)64 << 20) /* bytes of packets that wait to be sorted */
#define SILENT_NS   (8 * NS_PER_S)     /* so long after the end of a call, its recording ends */
#define WAIT_NS     (2 * NS_PER_S)     /* for a call that their stream belongs to */
#define SOUNDS      1000               /* as many again may be on their way to their end */
#define LOOK_TICKS  10  /* the plan of a call in which nothing has happened is made again */
#define ENDING_MOST 500 /* and recordings that are to be finished */

/* A packet that waits. */
struct waiting {
    uint64_t at_ns;
    uint32_t bytes;  /* of all of it; 0 of n: a gap before the ring's end */
    uint32_t stream; /* index, AN_NONE: a gap before the end of the ring */
    uint32_t number; /* of the stream then */
    uint32_t n;
    bool truncated;
};

/* ---- packets that wait ----------------------------------------------------------------------- */

static struct waiting *ring_at(const struct watch_sounds *s, uint64_t at)
{
    return (struct waiting *)(void *)(s->ring + at % WAITING);
}

static bool ring_put(struct watch_sounds *s, const struct waiting *head, const void *p)
{
    uint64_t size = (sizeof(*head) + head->n + 7) & ~(uint64_t)7;
    uint64_t left = WAITING - s->tail % WAITING, gap = left < size ? left : 0;
    if (s->tail + gap + size - s->head > WAITING)
        return false;
    if (gap >= sizeof(*head))
        *ring_at(s, s->tail) = (struct waiting){.bytes = (uint32_t)gap, .stream = AN_NONE};
    s->tail += gap;
    struct waiting *to = ring_at(s, s->tail);
    memmove(to + 1, p, head->n);
    *to = *head;
    to->bytes = (uint32_t)size;
    s->tail += size;
    return true;
}

/* The next that waits, before `end`; NULL at it. */
static struct waiting *ring_next(struct watch_sounds *s, uint64_t end)
{
    while (s->head < end) {
        uint64_t left = WAITING - s->head % WAITING;
        struct waiting *x = ring_at(s, s->head);
        if (left >= sizeof(*x) && x->stream != AN_NONE)
            return x;
        s->head += left; /* too small a gap has no head of its own */
    }
    return NULL;
}

void watch_sounds_rx(struct watch *w, uint32_t stream, const struct an_datum *d)
{
    struct watch_sounds *s = w->sounds;
    const struct an_stream *x = an_rtp_stream(an_engine_rtp(w->engine), stream);
    struct waiting head = {.at_ns = d->at_ns,
                           .stream = stream,
                           .number = x->number,
                           .n = (uint32_t)d->bytes.n,
                           .truncated = d->truncated};
    if (stream >= WATCH_STREAMS || !ring_put(s, &head, d->bytes.p))
        s->lost++;
}

/* ---- beginning and ending -------------------------------------------------------------------- */

static struct watch_sound *sound_find(struct watch_sounds *s, uint32_t call)
{
    hash_each(node, &s->by_call, hash_bytes(&s->by_call, &call, sizeof(call)))
    {
        struct watch_sound *x = container_of(node, struct watch_sound, node);
        if (x->call == call && !x->over)
            return x;
    }
    return NULL;
}

static void sound_key(struct watch_sounds *s, struct watch_sound *x, uint32_t call)
{
    if (x->call)
        hash_remove(&s->by_call, &x->node);
    x->call = call;
    hash_put(&s->by_call, &x->node, hash_bytes(&s->by_call, &call, sizeof(call)));
}

static void sound_free(struct watch_sounds *s, struct watch_sound *x)
{
    s->ending -= x->over;
    an_live_free(x->live);
    if (x->call)
        hash_remove(&s->by_call, &x->node);
    slot_put(&s->sounds, x->self);
}

/* Without room nothing begins; what has begun, the recorder stops by itself. */
static bool has_room(struct watch *w)
{
    struct statvfs fs;
    struct watch_sounds *s = w->sounds;
    char text[160];
    if (statvfs(w->opt.record, &fs))
        return true;
    bool full = (uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)w->opt.min_free_mb << 20;
    if (full && !s->full) {
        snprintf(text, sizeof(text), "less than %u MB are free on the disk: no call is recorded",
                 w->opt.min_free_mb);
        watch_news(w, text);
    } else if (!full && s->full) {
        watch_news(w, "there is room on the disk again: calls are recorded");
    }
    s->full = full;
    return !full;
}

static int sound_start(struct watch *w, struct watch_sound *x, const struct an_call *call)
{
    struct watch_sounds *s = w->sounds;
    /* What the exchange writes, too: 8 or 16 kHz. */
    uint32_t rate_hz = s->plan.rate_hz > 8000 ? 16000 : 8000;
    int err = an_live_new(&x->live, w->engine, &s->plan, rate_hz);
    if (err)
        return err;
    watch_sound_name(w, x, call);
    x->number = ++s->number;
    struct record_begin begin = {.number = x->number,
                                 .folder = x->folder,
                                 .base = x->base,
                                 .format = w->opt.format,
                                 .files = RECORD_FILE_MIX | RECORD_FILE_TRACKS};
    return recorder_begin(s->recorder, &begin);
}

/* The recording of the plan at hand; NULL: it cannot be. */
static struct watch_sound *sound_new(struct watch *w, const struct an_call *call)
{
    struct watch_sounds *s = w->sounds;
    handle_t h;
    if (!has_room(w))
        return NULL;
    while (w->replaying && !w->quit && s->ending > ENDING_MOST)
        loop_run_once(w->loop, 5);
    struct watch_sound *x = slot_take(&s->sounds, &h);
    int err = x ? 0 : -EMFILE;
    if (x) {
        *x = (struct watch_sound){.self = h};
        err = sound_start(w, x, call);
    }
    if (err) {
        if (!s->many)
            watch_news(w, "there are more calls than can be recorded at a time");
        s->many = true;
        if (x)
            sound_free(s, x);
        return NULL;
    }
    sound_key(s, x, call->number);
    watch_calls_recorded(w, call->number, x->folder, x->base);
    s->many = false;
    return x;
}

/* Its last words; the name stays taken until the recorder has finished. */
static void sound_end(struct watch *w, struct watch_sound *x, const struct an_call *call)
{
    x->over = true;
    w->sounds->ending++;
    if (x->live) {
        an_audio_end(x->live->audio);
        watch_sound_pump(w, x);
        watch_sound_quiet(x);
        watch_sound_meta(w, x, call);
    }
    an_live_free(x->live);
    x->live = NULL;
    (void)!recorder_end(w->sounds->recorder, x->number);
}

/* ---- what the recorder says ------------------------------------------------------------------ */

static struct watch_sound *sound_of(struct watch_sounds *s, uint64_t number)
{
    handle_t h;
    struct watch_sound *x;
    for (uint32_t at = 0; (x = slot_next(&s->sounds, &at, &h));)
        if (x->number == number)
            return x;
    return NULL;
}

static void on_failed(struct watch *w, struct watch_sound *x, const struct record_event *e)
{
    struct watch_sounds *s = w->sounds;
    bool full = e->err == -ENOSPC || e->err == -EDQUOT;
    if (!full || !s->full)
        watch_news(w, e->text);
    s->full |= full;
    if (x)
        x->stopped = true; /* its sound may just be on its way: it goes with the next second */
}

static void on_event(void *ctx, const struct record_event *e)
{
    struct watch *w = ctx;
    struct watch_sound *x = sound_of(w->sounds, e->number);
    char text[256];
    switch (e->kind) {
    case RECORD_FAILED:
        on_failed(w, x, e);
        break;
    case RECORD_ENDED:
        if (w->room)
            diskroom_note(w->room, e->bytes);
        if (x)
            sound_free(w->sounds, x);
        break;
    case RECORD_FOUND:
        snprintf(text, sizeof(text), "%s/%s was made whole: an earlier run had not finished it",
                 e->folder, e->base);
        watch_news(w, text);
        break;
    default:
        break;
    }
}

/* ---- every second ---------------------------------------------------------------------------- */

/* Changes with whatever may change the plan. */
static uint64_t signature(const struct watch *w, const struct an_call *call)
{
    uint64_t sum = call->n_legs + call->n_edges * 131u + call->n_traits * 17u;
    for (uint32_t i = 0; i < call->n_legs; i++) {
        uint32_t n;
        (void)an_rtp_leg(an_engine_rtp(w->engine), call->leg[i], &n);
        sum = sum * 31 + an_engine_leg(w->engine, call->leg[i])->n_msgs + n * 1009u;
    }
    return sum;
}

static bool has_streams(const struct watch *w, const struct an_call *call)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < call->n_legs && !n; i++)
        (void)an_rtp_leg(an_engine_rtp(w->engine), call->leg[i], &n);
    return n > 0;
}

/* The sound at a place of the map; NULL: none is there any more. */
static struct watch_sound *sound_at(const struct watch_sounds *s, uint32_t place)
{
    handle_t h;
    uint32_t at = place ? place - 1 : 0;
    struct watch_sound *x = place ? slot_next(&s->sounds, &at, &h) : NULL;
    return x && at == place ? x : NULL;
}

/* One that has lost its call to another one of its legs goes on in that. */
static struct watch_sound *sound_adopt(struct watch *w, const struct an_call *call)
{
    struct watch_sounds *s = w->sounds;
    for (uint32_t i = 0; i < s->plan.n_sources; i++) {
        struct watch_sound *x = sound_at(s, s->of_stream[s->plan.source[i].stream]);
        if (!x || x->over || watch_calls_has(w, x->call))
            continue;
        sound_key(s, x, call->number);
        watch_calls_recorded(w, call->number, x->folder, x->base);
        return x;
    }
    return NULL;
}

/* Nothing is heard of it any more: its files need not wait until it is over for everybody. */
static bool is_silent(const struct watch *w, const struct an_call *call)
{
    uint64_t last_ns = call->end_ns;
    for (uint32_t i = 0; i < call->n_legs; i++) {
        uint64_t at_ns = an_rtp_leg_last_ns(an_engine_rtp(w->engine), call->leg[i]);
        last_ns = at_ns > last_ns ? at_ns : last_ns;
    }
    return call->end_ns != AN_NEVER && w->now_ns > last_ns + SILENT_NS;
}

static void call_look(struct watch *w, uint32_t index)
{
    struct watch_sounds *s = w->sounds;
    const struct an_call *call = an_engine_call(w->engine, index);
    struct watch_sound *x = sound_find(s, call->number);
    if (x)
        x->seen = w->ticks;
    if (!has_streams(w, call) || (x && !x->live))
        return;
    if (is_silent(w, call)) {
        if (x)
            sound_end(w, x, call);
        return;
    }
    uint64_t now = signature(w, call);
    if (x && x->signature == now && w->ticks < x->planned + LOOK_TICKS)
        return;
    an_audio_plan(w->engine, index, &s->plan);
    if (!s->plan.n_sources)
        return;
    x = x ? x : sound_adopt(w, call);
    bool is_new = !x;
    if (is_new)
        x = sound_new(w, call);
    if (!x || !x->live)
        return;
    if (!is_new && an_live_update(x->live, &s->plan))
        watch_news(w, "no memory for a track of a recording");
    x->seen = x->planned = w->ticks;
    x->signature = now;
    watch_sound_meta(w, x, call);
}

/* Which stream is heard where, and where no longer. */
static void map_make(struct watch *w)
{
    struct watch_sounds *s = w->sounds;
    handle_t h;
    struct watch_sound *x;
    uint32_t n = an_rtp_streams(an_engine_rtp(w->engine));
    memset(s->of_stream, 0, (n < WATCH_STREAMS ? n : WATCH_STREAMS) * sizeof(*s->of_stream));
    for (uint32_t at = 0; (x = slot_next(&s->sounds, &at, &h));)
        for (uint32_t i = 0; x->live && i < x->live->plan.n_sources; i++)
            /* One that has gone over to another call is mute here and heard there. */
            if (!an_audio_is_mute(x->live->audio, i))
                s->of_stream[x->live->plan.source[i].stream] = at;
}

static void packet_hear(struct watch *w, const struct waiting *p, const struct an_stream *stream,
                        struct watch_sound *x)
{
    struct an_datum d = {.at_ns = p->at_ns,
                         .kind = AN_UDP_DATA,
                         .truncated = p->truncated,
                         .src = stream->src,
                         .dst = stream->dst,
                         .bytes = str_of((const char *)(p + 1), p->n)};
    while (!an_audio_rx(x->live->audio, &d))
        watch_sound_pump(w, x);
}

/* Everything that waits has been seen by the settling: whose it is, is known as well as can be. */
static void packets_sort(struct watch *w)
{
    struct watch_sounds *s = w->sounds;
    const struct an_rtp *rtp = an_engine_rtp(w->engine);
    struct waiting *p;
    for (uint64_t end = s->tail; (p = ring_next(s, end));) {
        const struct an_stream *stream = an_rtp_stream(rtp, p->stream);
        bool same = stream->number == p->number;
        struct watch_sound *x = same ? sound_at(s, s->of_stream[p->stream]) : NULL;
        struct waiting head = *p;
        if (x && x->live)
            packet_hear(w, p, stream, x);
        else if (p->at_ns + WAIT_NS > w->now_ns && !ring_put(s, &head, p + 1))
            s->lost++;
        s->head += head.bytes;
    }
}

void watch_sounds_tick(struct watch *w)
{
    struct watch_sounds *s = w->sounds;
    handle_t h;
    struct watch_sound *x;
    for (uint32_t at = 0; (x = slot_next(&s->sounds, &at, &h));)
        if (x->stopped) {
            an_live_free(x->live);
            x->live = NULL;
        }
    for (uint32_t i = 0; i < an_engine_calls(w->engine); i++)
        call_look(w, i);
    map_make(w);
    packets_sort(w);
    for (uint32_t at = 0; (x = slot_next(&s->sounds, &at, &h));) {
        if (x->over)
            continue;
        if (x->seen != w->ticks) {
            sound_end(w, x, NULL); /* its call has become part of another one */
            continue;
        }
        while (x->live && !an_audio_tick(x->live->audio, w->now_ns))
            watch_sound_pump(w, x);
        if (x->live)
            watch_sound_pump(w, x);
    }
}

void watch_sound_done(struct watch *w, uint32_t index)
{
    const struct an_call *call = an_engine_call(w->engine, index);
    struct watch_sound *x = sound_find(w->sounds, call->number);
    if (x)
        sound_end(w, x, call);
}

/* ---------------------------------------------------------------------------------------------- */

bool watch_sounds_has(const struct watch *w, const char *folder, const char *base)
{
    handle_t h;
    const struct watch_sound *x;
    for (uint32_t at = 0; w->sounds && (x = slot_next(&w->sounds->sounds, &at, &h));)
        if (strcmp(x->base, base) == 0 && strcmp(x->folder, folder) == 0)
            return true;
    return false;
}

void watch_sounds_remove(struct watch *w, const char *folder, const char *base)
{
    if (w->sounds)
        (void)!recorder_delete(w->sounds->recorder, folder, base);
}

uint64_t watch_sounds_waiting(const struct watch *w)
{
    return w->sounds ? w->sounds->tail - w->sounds->head : 0;
}

uint32_t watch_sounds_count(const struct watch *w)
{
    return w->sounds ? w->sounds->sounds.used : 0;
}

int watch_sounds_open(struct watch *w)
{
    struct watch_sounds *s = mem_zero(sizeof(*s));
    struct recorder_config cfg = {.dir = w->opt.record,
                                  .max_open = SOUNDS,
                                  .min_free_bytes = ((uint64_t)w->opt.min_free_mb << 20) + 1,
                                  .keep_days = w->opt.keep_days,
                                  .event = on_event,
                                  .ctx = w};
    w->sounds = s;
    if (!s)
        return -ENOMEM;
    s->ring = mem_map(WAITING);
    s->of_stream = mem_map(WATCH_STREAMS * sizeof(*s->of_stream));
    int err = s->ring && s->of_stream ? srtp_start() : -ENOMEM;
    if (!err)
        err = slot_init(&s->sounds, sizeof(struct watch_sound), 2 * SOUNDS);
    if (!err)
        err = hash_init(&s->by_call, 2 * SOUNDS, 1);
    return err ? err : recorder_open(&s->recorder, w->loop, &cfg);
}

void watch_sounds_close(struct watch *w)
{
    struct watch_sounds *s = w->sounds;
    handle_t h;
    struct watch_sound *x;
    if (!s)
        return;
    recorder_close(s->recorder);
    if (s->sounds.mem) {
        for (uint32_t at = 0; (x = slot_next(&s->sounds, &at, &h));)
            sound_free(s, x);
        slot_done(&s->sounds);
    }
    if (s->by_call.bucket)
        hash_done(&s->by_call);
    mem_unmap(s->ring, WAITING);
    mem_unmap(s->of_stream, WATCH_STREAMS * sizeof(*s->of_stream));
    mem_free(s);
    w->sounds = NULL;
}
