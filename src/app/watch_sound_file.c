/* What `ringdown watch --record` writes: blocks of sound, names, sidecars. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/watch_sound.h"

#define NS_PER_S     1000000000ull
#define NS_PER_MS    1000000ull
#define REPLAY_AHEAD 4096 /* blocks that may wait while a capture is replayed */
#define TALK_PAUSE   500  /* ms: a shorter pause does not end one */
#define LOUD         150  /* mean amplitude of speech */
#define SAME_NAMES   1000

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Who replays a capture is faster than the disk. */
static void wait_for_disk(struct watch *w)
{
    const struct watch_sounds *s = w->sounds;
    while (w->replaying && !w->quit) {
        struct recorder_stats st = recorder_stats_get(s->recorder);
        if (s->put < st.blocks + st.stray + st.lost_full + REPLAY_AHEAD)
            return;
        loop_run_once(w->loop, 5);
    }
}

static bool is_still(const int16_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void talk_close(struct watch_sound *x, struct talk *t)
{
    if (t->to_ms > t->from_ms && x->n_talk < TALKS)
        x->talk[x->n_talk++] = *t;
    *t = (struct talk){0};
}

/* Whether the party speaks, by how loud it is. */
static void talk_note(struct watch_sound *x, uint32_t track, const int16_t *p, unsigned n)
{
    uint32_t rate = an_audio_rate(x->live->audio), sum = 0;
    uint32_t from_ms = (uint32_t)(x->at * 1000 / rate), to_ms = from_ms + n * 1000 / rate;
    struct talk *t = &x->talks[track];
    for (unsigned i = 0; i < n; i++)
        sum += (uint32_t)(p[i] < 0 ? -p[i] : p[i]);
    if (sum < n * LOUD)
        return;
    if (t->to_ms > t->from_ms && from_ms > t->to_ms + TALK_PAUSE)
        talk_close(x, t);
    if (t->to_ms == t->from_ms)
        *t = (struct talk){.from_ms = from_ms, .track = (uint8_t)(track + 1)};
    t->to_ms = to_ms;
}

static void block_put(struct watch *w, struct watch_sound *x, int16_t *const *from, unsigned n)
{
    struct watch_sounds *s = w->sounds;
    uint32_t tracks = x->live->plan.n_tracks;
    for (uint32_t i = 0; i < tracks; i++)
        talk_note(x, i, from[i], n);
    wait_for_disk(w);
    struct record_block *b = recorder_block_get(s->recorder, tracks + 1, n);
    if (!b)
        return; /* counted; a gap */
    b->record = x->number;
    b->at = x->at;
    b->rate_hz = an_audio_rate(x->live->audio);
    for (uint32_t i = 0; i <= tracks; i++) {
        bool still = is_still(from[i], n);
        b->plane[i] = (struct record_plane){.track = i < tracks ? (uint8_t)(i + 1) : RECORD_MIX,
                                            .flags = still ? RECORD_SILENT : 0};
        if (!still)
            memcpy(record_samples(b, i), from[i], n * sizeof(int16_t));
    }
    s->put++;
    (void)recorder_put(s->recorder, b);
}

/* What is final goes to the recorder. */
void watch_sound_pump(struct watch *w, struct watch_sound *x)
{
    struct watch_sounds *s = w->sounds;
    int16_t *out[AN_AUDIO_MAX_TRACKS + 1];
    unsigned n, most = an_audio_rate(x->live->audio) / 10;
    for (uint32_t i = 0; i <= x->live->plan.n_tracks; i++)
        out[i] = s->sample + (size_t)i * RECORD_SAMPLES_MAX;
    while ((n = an_audio_take(x->live->audio, most, out)) != 0) {
        block_put(w, x, out, n);
        x->at += n;
    }
}

void watch_sound_quiet(struct watch_sound *x)
{
    for (uint32_t i = 0; i < AN_AUDIO_MAX_TRACKS; i++)
        talk_close(x, &x->talks[i]);
}

/* ---- names and sidecars ---------------------------------------------------------------------- */

static void put_name(struct buf *b, struct str name)
{
    for (size_t i = 0; i < name.n && i < 32; i++) {
        char c = name.p[i], lower = chr_lower(c);
        bool plain = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '+' ||
                     c == '_' || c == '.';
        buf_ch(b, plain ? c : '_');
    }
}

static struct str caller_of(const struct an_call *call)
{
    struct str caller = an_call_text(call, call->caller);
    return call->caller_unknown || !caller.n ? STR("unknown") : caller;
}

/* Of a recording that is not there yet, also when a capture is replayed again. */
void watch_sound_name(struct watch *w, struct watch_sound *x, const struct an_call *call)
{
    char path[4096];
    time_t at = (time_t)(w->sounds->plan.from_ns / NS_PER_S);
    struct tm tm;
    struct buf b;
    gmtime_r(&at, &tm);
    buf_init(&b, x->folder, sizeof(x->folder) - 1);
    buf_printf(&b, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    x->folder[b.n] = 0;
    for (unsigned i = 0; i < SAME_NAMES; i++) {
        buf_init(&b, x->base, sizeof(x->base) - 1);
        buf_printf(&b, "%02d%02d%02d-", tm.tm_hour, tm.tm_min, tm.tm_sec);
        put_name(&b, caller_of(call));
        buf_ch(&b, '_');
        put_name(&b, an_call_text(call, call->dialled));
        buf_printf(&b, "-%u", call->number + i);
        x->base[b.n] = 0;
        snprintf(path, sizeof(path), "%s/%s/%s.json", w->opt.record, x->folder, x->base);
        if (access(path, F_OK) != 0)
            return;
    }
}

static void put_member(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "\"%s\":\"", name);
    buf_json(b, value);
    buf_lit(b, "\",");
}

static uint64_t ms_of(const struct an_plan *p, uint64_t at_ns)
{
    return at_ns > p->from_ns ? (at_ns - p->from_ns) / NS_PER_MS : 0;
}

static void put_track(struct watch *w, const struct watch_sound *x, uint32_t track, struct buf *b)
{
    const struct an_plan *p = &x->live->plan;
    const struct an_track *t = &p->track[track];
    uint64_t first = AN_NEVER, last = 0;
    for (uint32_t i = 0; i < p->n_sources; i++) {
        const struct an_stream *s = an_rtp_stream(an_engine_rtp(w->engine), p->source[i].stream);
        if (p->source[i].track != track)
            continue;
        first = s->first_ns < first ? s->first_ns : first;
        last = s->last_ns > last ? s->last_ns : last;
    }
    uint32_t leg = t->leg == AN_NONE ? 0 : an_engine_leg(w->engine, t->leg)->number;
    buf_printf(b, "%s{\"track\":%u,\"leg\":%u,\"party\":\"", track ? "," : "", track + 1, leg);
    buf_json(b, str_z(t->name));
    buf_printf(b, "\",\"name\":\"\",\"from_ms\":%llu,\"to_ms\":",
               (unsigned long long)ms_of(p, first == AN_NEVER ? p->from_ns : first));
    if (x->over)
        buf_u64(b, ms_of(p, last));
    else
        buf_lit(b, "null");
    buf_ch(b, '}');
}

/* As docs/recordings.md has it; what a call record would say, as far as a capture shows it. */
void watch_sound_meta(struct watch *w, struct watch_sound *x, const struct an_call *call)
{
    struct watch_sounds *s = w->sounds;
    const struct an_plan *p = &x->live->plan;
    struct buf b;
    buf_init(&b, s->meta, sizeof(s->meta));
    buf_ch(&b, '{');
    if (call) {
        put_member(&b, "caller", caller_of(call));
        put_member(&b, "dialled", an_call_text(call, call->dialled));
        put_member(&b, "callee", an_call_callee(call));
        put_member(&b, "scenario", an_scenario_word((enum an_scenario)call->scenario));
        put_member(&b, "outcome", an_outcome_word((enum an_outcome)call->outcome));
        buf_printf(&b, "\"watch\":%u,\"start_ms\":%llu,\"answer_ms\":", call->number,
                   (unsigned long long)(call->start_ns / NS_PER_MS));
        if (call->answer_ns == AN_NEVER)
            buf_lit(&b, "null,");
        else
            buf_printf(&b, "%llu,", (unsigned long long)(call->answer_ns / NS_PER_MS));
    }
    buf_printf(&b, "\"began_ms\":%llu,\"tracks\":[", (unsigned long long)(p->from_ns / NS_PER_MS));
    for (uint32_t i = 0; i < p->n_tracks; i++)
        put_track(w, x, i, &b);
    buf_lit(&b, "],\"pauses\":[],\"talk\":[");
    for (uint32_t i = 0; i < x->n_talk; i++)
        buf_printf(&b, "%s[%u,%u,%u]", i ? "," : "", x->talk[i].track, x->talk[i].from_ms,
                   x->talk[i].to_ms);
    buf_lit(&b, "]}");
    if (!b.full)
        (void)!recorder_meta(s->recorder, x->number, buf_str(&b));
}
