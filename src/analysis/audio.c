/* Tracks side by side: time goes on for all of them together. */
#include "analysis/audio_int.h"

#include <errno.h>

#include "base/mem.h"

#define RING_S 3
/* What is older by so much is final: a packet waits AN_AUDIO_DEPTH_MS at most, and sounds where it
 * should have come. */
#define FINAL_NS (500 * AUDIO_MS)
/* Time goes on by no more than the rings hold. */
#define STEP_NS ((RING_S - 1) * 1000 * AUDIO_MS)

/* What the plan has more than before. */
static int grow(struct an_audio *a)
{
    const struct an_plan *plan = a->plan;
    for (; a->n_rings < plan->n_tracks; a->n_rings++) {
        struct track_ring *t = &a->track[a->n_rings];
        bool listens = a->to_ns != AN_NEVER;
        t->s = t->s ? t->s : mem_zero(a->ring * sizeof(int16_t));
        t->hear = t->hear || !listens ? t->hear : hear_new();
        if (!t->s || (listens && !t->hear))
            return -ENOMEM;
    }
    uint32_t n = plan->n_sources ? plan->n_sources : 1;
    struct voice *voice = a->n_voices < n ? mem_resize(a->voice, n * sizeof(*voice)) : a->voice;
    if (!voice)
        return -ENOMEM;
    a->voice = voice;
    for (; a->n_voices < plan->n_sources; a->n_voices++) {
        a->voice[a->n_voices] = (struct voice){0};
        voice_init(a, &a->voice[a->n_voices], &plan->source[a->n_voices]);
    }
    return 0;
}

int an_audio_new(struct an_audio **ret, const struct an_engine *e, const struct an_plan *plan,
                 uint32_t rate_hz)
{
    if (!rate_hz)
        rate_hz = plan->rate_hz;
    if (rate_hz != 8000 && rate_hz != 16000 && rate_hz != 48000)
        return -EINVAL;
    struct an_audio *a = mem_zero(sizeof(*a));
    if (!a)
        return -ENOMEM;
    bool open = plan->to_ns == AN_NEVER;
    *a = (struct an_audio){.engine = e,
                           .plan = plan,
                           .rate_hz = rate_hz,
                           .ring = rate_hz * RING_S,
                           .now_ns = plan->from_ns,
                           .to_ns = plan->to_ns,
                           .last_ns = plan->from_ns,
                           .total = open ? INT64_MAX
                                         : audio_samples(plan->to_ns - plan->from_ns, rate_hz)};
    if (grow(a)) {
        an_audio_free(a);
        return -ENOMEM;
    }
    *ret = a;
    return 0;
}

int an_audio_grow(struct an_audio *a)
{
    for (uint32_t i = 0; i < a->n_voices; i++)
        voice_refresh(a, &a->voice[i]);
    return grow(a);
}

void an_audio_mute(struct an_audio *a, uint32_t source, bool off)
{
    a->voice[source].off = off;
}

bool an_audio_is_mute(const struct an_audio *a, uint32_t source)
{
    const struct voice *v = &a->voice[source];
    return v->off || v->stream->number != v->source->number;
}

void an_audio_free(struct an_audio *a)
{
    if (!a)
        return;
    for (uint32_t i = 0; i < a->n_voices; i++)
        voice_done(&a->voice[i]);
    for (uint32_t i = 0; i < AN_AUDIO_MAX_TRACKS; i++) {
        mem_free(a->track[i].s);
        hear_free(a->track[i].hear);
    }
    mem_free(a->voice);
    mem_free(a);
}

uint32_t an_audio_rate(const struct an_audio *a)
{
    return a->rate_hz;
}

const struct an_track_stats *an_audio_stats(const struct an_audio *a, uint32_t track)
{
    return &a->track[track].stats;
}

static int16_t sum(int a, int b)
{
    int v = a + b;
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

void audio_put(struct an_audio *a, unsigned track, int64_t at, const int16_t *s, unsigned n)
{
    int16_t *ring = a->track[track].s;
    for (unsigned i = 0; i < n; i++, at++) {
        int64_t ahead = at - a->taken;
        if (ahead < 0 || ahead >= a->ring)
            continue;
        int16_t *to = &ring[(uint64_t)at % a->ring];
        *to = sum(*to, s[i]);
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

/* As far as the rings go, at most. */
static bool advance(struct an_audio *a, uint64_t to_ns)
{
    uint64_t most = a->plan->from_ns + (uint64_t)audio_ns(a->taken, a->rate_hz) + STEP_NS;
    bool all = to_ns <= most;
    uint64_t now_ns = all ? to_ns : most;
    if (now_ns > a->now_ns) {
        a->now_ns = now_ns;
        for (uint32_t i = 0; i < a->n_voices; i++)
            voice_pump(a, &a->voice[i]);
    }
    return all;
}

static struct voice *voice_of(const struct an_audio *a, const struct an_datum *d)
{
    const uint8_t *b = (const uint8_t *)d->bytes.p;
    if (d->bytes.n < RTP_HEADER_BYTES || b[0] >> 6 != 2 || (b[1] >= 192 && b[1] <= 223))
        return NULL;
    uint32_t ssrc = (uint32_t)b[8] << 24 | (uint32_t)b[9] << 16 | (uint32_t)b[10] << 8 | b[11];
    for (uint32_t i = 0; i < a->n_voices; i++) {
        struct voice *v = &a->voice[i];
        if (v->stream->ssrc == ssrc && v->stream->number == v->source->number &&
            d->at_ns >= v->stream->first_ns && d->at_ns <= v->stream->last_ns &&
            addr_eq(&v->stream->src, &d->src) && addr_eq(&v->stream->dst, &d->dst))
            return v;
    }
    return NULL;
}

/* Another stream of the same track, of a lower rank, is being heard. */
static bool is_outranked(const struct an_audio *a, const struct voice *v, uint64_t at_ns)
{
    for (uint32_t i = 0; i < a->n_voices; i++) {
        const struct voice *o = &a->voice[i];
        if (o->source->track == v->source->track && o->source->rank < v->source->rank &&
            o->heard_ns && at_ns < o->heard_ns + AN_AUDIO_DEPTH_MS * AUDIO_MS)
            return true;
    }
    return false;
}

bool an_audio_rx(struct an_audio *a, const struct an_datum *d)
{
    if (d->kind != AN_UDP_DATA || d->at_ns < a->plan->from_ns || d->at_ns > a->to_ns)
        return true;
    if (!advance(a, d->at_ns))
        return false;
    struct voice *v = voice_of(a, d);
    if (v && d->at_ns > a->last_ns)
        a->last_ns = d->at_ns;
    if (v && !v->off && !voice_is_mute(a, v, d->at_ns) && !is_outranked(a, v, d->at_ns))
        voice_rx(a, v, d);
    return true;
}

bool an_audio_tick(struct an_audio *a, uint64_t now_ns)
{
    uint64_t most = a->last_ns + FINAL_NS;
    return a->ended || advance(a, now_ns < most ? now_ns : most);
}

void an_audio_end(struct an_audio *a)
{
    if (a->to_ns == AN_NEVER) {
        a->to_ns = a->last_ns;
        a->total = audio_samples(a->to_ns - a->plan->from_ns, a->rate_hz);
    }
    a->ended = true;
}

/* ---- out ------------------------------------------------------------------------------------- */

static bool is_covered(const struct an_audio *a, unsigned track, int64_t at)
{
    uint64_t at_ns = a->plan->from_ns + (uint64_t)audio_ns(at, a->rate_hz);
    for (uint32_t i = 0; i < a->plan->n_covers; i++) {
        const struct an_cover *c = &a->plan->cover[i];
        if (c->track == track && at_ns >= c->from_ns && at_ns < c->to_ns)
            return true;
    }
    return false;
}

/* Keys that are heard as tones. */
static void listen(struct an_audio *a, unsigned track, const int16_t *s, unsigned n)
{
    struct track_ring *t = &a->track[track];
    char digit = hear_frame(t->hear, s, n, a->rate_hz);
    if (!digit || t->stats.n_digits == AN_AUDIO_MAX_DIGITS)
        return;
    t->stats.digit[t->stats.n_digits++] = (struct an_digit){
        .at_ns = a->plan->from_ns + (uint64_t)audio_ns(a->taken, a->rate_hz), .digit = digit};
}

/* n samples of one track, at most 20 ms, which is so much of the ring in one piece. */
static void take_track(struct an_audio *a, unsigned track, unsigned n, int16_t *out, int16_t *mix)
{
    int16_t *from = &a->track[track].s[(uint64_t)a->taken % a->ring];
    if (a->track[track].hear)
        listen(a, track, from, n);
    if (out)
        memcpy(out, from, n * sizeof(*out));
    if (mix && !is_covered(a, track, a->taken))
        for (unsigned i = 0; i < n; i++)
            mix[i] = sum(mix[i], from[i]);
    memset(from, 0, n * sizeof(*from));
}

/* How many samples are final. */
static int64_t final(struct an_audio *a)
{
    if (a->ended)
        (void)advance(a, a->to_ns + 2 * FINAL_NS);
    uint64_t since_ns = a->now_ns - a->plan->from_ns;
    int64_t n = since_ns > FINAL_NS ? audio_samples(since_ns - FINAL_NS, a->rate_hz) : 0;
    return n < a->total ? n : a->total;
}

unsigned an_audio_take(struct an_audio *a, unsigned most, int16_t *const *out)
{
    uint32_t frame = a->rate_hz / 50, n_tracks = a->plan->n_tracks;
    int64_t end = final(a);
    unsigned done = 0;
    while (done < most && a->taken < end) {
        /* Whole frames but for the last, so that those who listen hear no seams. */
        uint32_t n = a->taken + frame <= a->total ? frame : (uint32_t)(a->total - a->taken);
        if (a->taken + n > end || done + n > most)
            break;
        int16_t *mix = out[n_tracks] ? out[n_tracks] + done : NULL;
        if (mix)
            memset(mix, 0, n * sizeof(*mix));
        for (uint32_t i = 0; i < n_tracks; i++)
            take_track(a, i, n, out[i] ? out[i] + done : NULL, mix);
        a->taken += n;
        done += n;
    }
    return done;
}

bool an_audio_done(const struct an_audio *a)
{
    return a->ended && a->taken == a->total;
}

/* ---- peaks ----------------------------------------------------------------------------------- */

static void halve(struct an_peaks *p)
{
    for (unsigned i = 0; i < AN_PEAKS / 2; i++)
        p->peak[i] = p->peak[2 * i] > p->peak[2 * i + 1] ? p->peak[2 * i] : p->peak[2 * i + 1];
    p->n = AN_PEAKS / 2;
    p->each *= 2;
    p->in_last = p->each;
}

void an_peaks_add(struct an_peaks *p, const int16_t *samples, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (p->n == 0 || p->in_last == p->each) {
            if (p->n == AN_PEAKS)
                halve(p);
            p->peak[p->n++] = 0;
            p->in_last = 0;
        }
        uint16_t v = (uint16_t)(samples[i] < 0 ? -samples[i] : samples[i]);
        if (v > p->peak[p->n - 1])
            p->peak[p->n - 1] = v;
        p->in_last++;
    }
}
