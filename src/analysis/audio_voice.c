/* One stream from packets to samples: sorted, decoded, and placed by its timestamps. */
#include "analysis/audio_int.h"

#include <stdlib.h>

#include "base/mem.h"

#define MAX_PACKET   2048
#define FIRST_WAIT   (40 * AUDIO_MS) /* a first packet may come as the second one */
#define LOST_WAIT    (AN_AUDIO_DEPTH_MS * AUDIO_MS)
#define TAIL_AFTER   (250 * AUDIO_MS)  /* nothing came for so long: what was heard fades */
#define ANOTHER      (1000 * AUDIO_MS) /* farther from its arrival, a timestamp means nothing */
#define SLACK_WINDOW (5000 * AUDIO_MS)
#define SLACK_MOST   (15 * AUDIO_MS)    /* of the clocks, before it is corrected */
#define WISH_MOST    (10000 * AUDIO_MS) /* and when no pause comes, it is corrected anywhere */
#define EARLIEST     (150 * AUDIO_MS)
#define MISFITS      20
#define STILL        200 /* mean amplitude of what may be cut */

static void *decoder_of(struct voice_format *f)
{
    if (!f->decoder && f->codec)
        f->decoder = f->codec->decoder(&f->f);
    return f->decoder;
}

/* The keys of the party that sends, as all its descriptions tell them (RFC 4568 section 6.1). */
static void keys_find(struct an_audio *a, struct voice *v)
{
    const struct an_leg *leg =
        v->source->leg == AN_NONE ? NULL : an_engine_leg(a->engine, v->source->leg);
    for (uint32_t i = leg ? leg->n_sdps : 0; i-- > 0;) {
        const struct an_sdp *sdp = &leg->sdp[i];
        if (sdp->side != v->source->side || v->stream->media >= sdp->n_media)
            continue;
        struct str rest = an_leg_text(leg, sdp->media[v->stream->media].crypto);
        while (rest.n && v->n_keys < VOICE_MAX_KEYS) {
            ptrdiff_t end = str_chr(rest, '\n');
            v->key[v->n_keys++] = end < 0 ? rest : str_sub(rest, 0, (size_t)end);
            rest = end < 0 ? STR("") : str_from(rest, (size_t)end + 1);
        }
    }
}

void voice_init(struct an_audio *a, struct voice *v, const struct an_source *source)
{
    v->source = source;
    v->stream = an_rtp_stream(an_engine_rtp(a->engine), source->stream);
    for (unsigned i = 0; i < v->stream->n_formats; i++) {
        const struct an_format *f = &v->stream->format[i];
        v->format[i].f =
            (struct media_format){.codec = f->codec, .pt = f->pt, .clock_hz = f->clock_hz};
        v->format[i].codec = f->clock_hz ? codec_of(f->codec) : NULL;
    }
    if (v->stream->secure)
        keys_find(a, v);
}

static void room_free(struct voice *v)
{
    if (v->room)
        resample_done(&v->room->resample);
    mem_free(v->room);
    v->room = NULL;
}

void voice_done(struct voice *v)
{
    for (unsigned i = 0; i < AN_RTP_MAX_FORMATS; i++)
        if (v->format[i].decoder)
            v->format[i].codec->decoder_free(v->format[i].decoder);
    srtp_rx_free(v->srtp);
    room_free(v);
}

bool voice_is_mute(const struct an_audio *a, const struct voice *v, uint64_t at_ns)
{
    if (v->source->leg == AN_NONE)
        return false;
    const struct an_leg *leg = an_engine_leg(a->engine, v->source->leg);
    for (uint32_t i = 0; i < leg->n_holds; i++) {
        const struct an_hold *h = &leg->hold[i];
        if (h->side == v->source->side && h->from_ns <= at_ns && at_ns < h->to_ns)
            return true;
    }
    return false;
}

/* ---- a packet comes -------------------------------------------------------------------------- */

static bool try_key(struct voice *v, const struct str packet, uint8_t out[MAX_PACKET], size_t *n)
{
    if (!v->srtp && srtp_rx_new(&v->srtp, v->key[v->key_at]))
        return false;
    memcpy(out, packet.p, packet.n);
    *n = packet.n;
    return srtp_rx_open(v->srtp, out, n) == 0;
}

/* Whichever of the keys fits. One that did so is given up only when it fails again and again: it
 * knows how often the sequence numbers went round. */
static bool unlock(struct voice *v, const struct str packet, uint8_t out[MAX_PACKET], size_t *n)
{
    for (unsigned i = 0; i < v->n_keys; i++) {
        if (try_key(v, packet, out, n)) {
            v->fits = true;
            v->misfits = 0;
            return true;
        }
        if (v->fits && ++v->misfits < MISFITS)
            return false;
        srtp_rx_free(v->srtp);
        v->srtp = NULL;
        v->fits = false;
        v->misfits = 0;
        v->key_at = (uint8_t)((v->key_at + 1) % v->n_keys);
    }
    return false;
}

static const struct voice_format *format_of(const struct voice *v, uint8_t pt)
{
    for (unsigned i = 0; i < v->stream->n_formats; i++)
        if (v->format[i].f.pt == pt)
            return &v->format[i];
    return NULL;
}

/* How long it plays; 0: it is nothing to hear. */
static uint32_t play_us(const struct voice_format *f, const struct rtp_view *p)
{
    if (!f || !f->codec)
        return 0;
    unsigned samples = f->codec->samples(&f->f, p->payload, p->payload_bytes);
    return (uint32_t)((uint64_t)samples * 1000000 / codec_rate(&f->f));
}

static bool room_make(struct an_audio *a, struct voice *v)
{
    if (v->room)
        return true;
    v->room = mem_zero(sizeof(*v->room));
    if (!v->room)
        return false;
    jbuf_init(&v->room->jbuf);
    tape_start(&v->room->tape, a->rate_hz);
    v->tailed = true;
    v->window_ns = a->now_ns;
    v->least_slack_ns = INT64_MAX;
    return true;
}

static void keep(struct an_audio *a, struct voice *v, const struct rtp_view *p, uint64_t at_ns)
{
    struct an_track_stats *st = &a->track[v->source->track].stats;
    const struct voice_format *f = format_of(v, p->pt);
    struct jbuf_in in = {.payload = p->payload,
                         .n = p->payload_bytes,
                         .ts = p->ts,
                         .ssrc = p->ssrc,
                         .seq = p->seq,
                         .pt = p->pt,
                         .kind = f ? (uint8_t)(f - v->format) : AN_RTP_MAX_FORMATS,
                         .marker = p->marker,
                         .play_us = play_us(f, p)};
    bool passive = f && (f->f.codec == CODEC_EVENT || f->f.codec == CODEC_CN);
    if (!in.play_us && !passive)
        st->unreadable++;
    if (!in.play_us)
        in.n = 0;
    enum jbuf_verdict verdict = jbuf_put(&v->room->jbuf, at_ns / 1000, &in);
    if (verdict != JBUF_TAKEN && verdict != JBUF_FRESH)
        st->late++;
    else if (in.play_us)
        v->heard_ns = at_ns;
}

void voice_rx(struct an_audio *a, struct voice *v, const struct an_datum *d)
{
    uint8_t plain[MAX_PACKET];
    struct rtp_view p;
    struct str bytes = d->bytes;
    size_t n = bytes.n;
    if (v->stream->secure) {
        if (n > MAX_PACKET || d->truncated || !unlock(v, bytes, plain, &n)) {
            a->track[v->source->track].stats.locked++;
            return;
        }
        bytes = str_of((const char *)plain, n);
    }
    if (rtp_parse(&p, bytes.p, bytes.n) || !room_make(a, v))
        return;
    keep(a, v, &p, d->at_ns);
    voice_pump(a, v);
}

/* ---- samples --------------------------------------------------------------------------------- */

/* n samples that wait on the tape go out. */
static void emit(struct an_audio *a, struct voice *v, unsigned n)
{
    int16_t in[CODEC_MAX_SAMPLES], out[1024];
    struct tape *t = &v->room->tape;
    tape_take(t, in, n);
    v->pos += n;
    if (t->rate == a->rate_hz) {
        audio_put(a, v->source->track, v->out, in, n);
        v->out += n;
        return;
    }
    if (resample_set(&v->room->resample, t->rate, a->rate_hz))
        return;
    for (unsigned at = 0; at < n;) {
        unsigned took = n - at;
        unsigned made = resample_run(&v->room->resample, in + at, &took, out, ARRAY_LEN(out));
        audio_put(a, v->source->track, v->out, out, made);
        v->out += made;
        at += took;
        if (!took && !made)
            return;
    }
}

/* Made up, or silence once what is made up has faded. */
static void extend(struct an_audio *a, struct voice *v, int64_t n)
{
    struct tape *t = &v->room->tape;
    while (n > 0 && !tape_silent(t)) {
        unsigned part = t->rate / 100 < n ? t->rate / 100 : (unsigned)n;
        tape_extend(t, part);
        emit(a, v, part);
        n -= part;
    }
    v->tailed = tape_silent(t);
}

/* Where on the output what comes next begins. */
static void out_set(struct an_audio *a, struct voice *v)
{
    uint32_t rate = v->room->tape.rate;
    v->out = v->pos * a->rate_hz / rate;
    if (resample_set(&v->room->resample, rate, a->rate_hz) == 0)
        v->out -= resample_lag(&v->room->resample);
}

static void go_to(struct an_audio *a, struct voice *v, int64_t pos)
{
    if (pos == v->pos)
        return;
    v->pos = pos;
    out_set(a, v);
}

/* By the decoder's own means, if it has any; what remains, by the tape's. */
static void conceal(struct an_audio *a, struct voice *v, int64_t n)
{
    struct voice_format *f = &v->format[v->current];
    struct tape *t = &v->room->tape;
    int64_t most = t->rate / 1000 * TAPE_CONCEALS_MS, unit = t->rate / 100;
    a->track[v->source->track].stats.concealed_ms +=
        (uint64_t)((n < most ? n : most) * 1000 / t->rate);
    while (n >= unit && f->codec && f->codec->conceal && f->decoder && !tape_silent(t)) {
        if (f->codec->conceal(f->decoder, (unsigned)unit, tape_room(t)) != unit)
            break;
        tape_extend_by(t, (unsigned)unit);
        emit(a, v, (unsigned)unit);
        n -= unit;
    }
    extend(a, v, n);
}

/* The packet before this one was lost, but this one repeats it (RFC 6716 section 2.1.7). */
static void recover(struct an_audio *a, struct voice *v, const uint8_t *payload, size_t n,
                    int64_t gap)
{
    struct voice_format *f = &v->format[v->current];
    struct tape *t = &v->room->tape;
    int64_t frame =
        f->codec && f->codec->recover ? (int64_t)f->codec->samples(&f->f, payload, n) : 0;
    if (!frame || gap < frame || !f->decoder || gap > frame * 3) {
        conceal(a, v, gap);
        return;
    }
    conceal(a, v, gap - frame);
    int16_t *to = tape_room(t);
    if (f->codec->recover(f->decoder, payload, n, (unsigned)frame, to) != frame) {
        conceal(a, v, frame);
        return;
    }
    if (!tape_real(t))
        tape_join(t, (unsigned)frame);
    tape_add(t, (unsigned)frame);
    emit(a, v, (unsigned)frame);
}

/* ---- time ------------------------------------------------------------------------------------ */

static int64_t pos_of(const struct an_audio *a, const struct voice *v, int64_t at_ns)
{
    int64_t from = (int64_t)a->plan->from_ns;
    return at_ns <= from ? 0 : audio_samples((uint64_t)(at_ns - from), v->room->tape.rate);
}

static int64_t ns_of(const struct an_audio *a, const struct voice *v, int64_t pos)
{
    return (int64_t)a->plan->from_ns + audio_ns(pos, v->room->tape.rate);
}

/* Where it sounds, by what is known of the stream. */
static int64_t want_of(const struct voice *v, uint32_t ts)
{
    int64_t step = (int32_t)(ts - v->anchor_ts);
    return v->anchor_pos + step * v->room->tape.rate / v->clock_hz;
}

/* When a first packet should have come, had it been as fast as others: the first reading has seen
 * all of them. */
static int64_t due_ns(const struct voice *v, const struct jbuf_packet *p, uint32_t clock_hz)
{
    const struct an_timing *t = &v->stream->time;
    int64_t at_ns = (int64_t)p->at * 1000;
    if (v->stream->jumps || v->stream->restarts || !t->known)
        return at_ns;
    int64_t due = (t->windows ? v->stream->drift.first_least_ns : t->least_ns) +
                  (int64_t)(int32_t)(p->ts - t->base_ts) * 1000000000 / clock_hz;
    return due <= at_ns && due > at_ns - EARLIEST ? due : at_ns;
}

static void anchor(struct an_audio *a, struct voice *v, const struct jbuf_packet *p,
                   uint32_t clock_hz)
{
    v->anchor_ts = p->ts;
    v->clock_hz = clock_hz;
    v->anchor_pos = pos_of(a, v, due_ns(v, p, clock_hz));
    if (v->begun && v->anchor_pos < v->pos)
        v->anchor_pos = v->pos;
    v->slack_ns = 0;
    v->wish_ns = 0;
    v->least_slack_ns = INT64_MAX;
    v->window_ns = p->at * 1000;
}

/* The clocks of sender and capture differ: what is heard moves against its arrival. */
static void slack_note(struct voice *v, int64_t slack_ns, uint64_t at_ns)
{
    if (slack_ns < v->least_slack_ns)
        v->least_slack_ns = slack_ns;
    if (at_ns < v->window_ns + SLACK_WINDOW)
        return;
    if (llabs(v->least_slack_ns) > SLACK_MOST) {
        v->slack_ns = v->least_slack_ns;
        v->wish_ns = v->wish_ns ? v->wish_ns : at_ns;
    } else {
        v->slack_ns = 0;
        v->wish_ns = 0;
    }
    v->window_ns = at_ns;
    v->least_slack_ns = INT64_MAX;
}

static bool is_still(const int16_t *s, unsigned n)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += (uint32_t)abs(s[i]);
    return sum < n * STILL;
}

/* Where it can hardly be heard, the place of all that follows is set right. */
static void slack_correct(struct voice *v, bool still, uint64_t at_ns)
{
    if (!v->slack_ns || (!still && at_ns < v->wish_ns + WISH_MOST))
        return;
    int64_t rate = v->room->tape.rate, most = rate / 50;
    int64_t by = v->slack_ns / 1000 * rate / 1000000;
    v->anchor_pos += by > most ? most : by < -most ? -most : by;
    v->slack_ns = 0;
    v->wish_ns = 0;
}

/* ---- one packet is heard --------------------------------------------------------------------- */

/* A codec of another rate: what follows is counted in other samples. */
static void rate_set(struct an_audio *a, struct voice *v, uint32_t rate)
{
    struct tape *t = &v->room->tape;
    if (t->rate == rate)
        return;
    int64_t at_ns = audio_ns(v->pos, t->rate);
    tape_start(t, rate);
    v->pos = audio_samples((uint64_t)at_ns, rate);
    out_set(a, v);
    v->clock_hz = 0; /* the anchor is void */
}

static void bridge(struct an_audio *a, struct voice *v, const uint8_t *payload, size_t n,
                   int64_t gap, bool lost)
{
    if (!v->begun || gap <= 0)
        return;
    if (lost) {
        recover(a, v, payload, n, gap);
        return;
    }
    if (v->quiet || gap > v->room->tape.rate / 25)
        tape_hush(&v->room->tape);
    extend(a, v, gap);
}

/* n samples are in the room, to sound from `want` on. */
static void play(struct an_audio *a, struct voice *v, int64_t want, unsigned n)
{
    struct tape *t = &v->room->tape;
    int64_t behind = v->begun ? v->pos - want : 0;
    if (behind >= (int64_t)n)
        return; /* something else sounds there */
    if (behind > 0) {
        int16_t *room = tape_room(t);
        memmove(room, room + behind, (n - (unsigned)behind) * sizeof(*room));
        n -= (unsigned)behind;
        want += behind;
    }
    go_to(a, v, want);
    if (v->begun && (behind > 0 || !tape_real(t)))
        tape_join(t, n);
    tape_add(t, n);
    a->track[v->source->track].stats.voice_ms += n * 1000ull / t->rate;
    emit(a, v, n);
    v->begun = true;
    v->tailed = v->quiet = false;
}

static void hear_packet(struct an_audio *a, struct voice *v, const struct jbuf_packet *p,
                        const uint8_t *payload, uint32_t missing)
{
    struct voice_format *f = &v->format[p->kind];
    struct an_track_stats *st = &a->track[v->source->track].stats;
    uint64_t at_ns = p->at * 1000;
    if (!decoder_of(f))
        return;
    rate_set(a, v, codec_rate(&f->f));
    if (v->clock_hz != f->f.clock_hz || p->fresh)
        anchor(a, v, p, f->f.clock_hz);
    int64_t want = want_of(v, p->ts), slack_ns = (int64_t)at_ns - ns_of(a, v, want);
    if (llabs(slack_ns) > ANOTHER) {
        anchor(a, v, p, f->f.clock_hz);
        want = v->anchor_pos;
    } else {
        slack_note(v, slack_ns, at_ns);
    }
    bridge(a, v, payload, p->n, want - v->pos, missing != 0);
    v->current = p->kind;
    int n = f->codec->decode(f->decoder, payload, p->n, tape_room(&v->room->tape));
    if (n <= 0 || n > CODEC_MAX_SAMPLES) {
        st->unreadable++;
        return;
    }
    st->packets++;
    slack_correct(v, is_still(tape_room(&v->room->tape), (unsigned)n), at_ns);
    play(a, v, want, (unsigned)n);
}

static bool ready(const struct an_audio *a, const struct voice *v, const struct jbuf_packet *h)
{
    int64_t waited = (int64_t)(a->now_ns - h->at * 1000);
    if (h->fresh)
        return waited >= FIRST_WAIT;
    return !jbuf_missing(&v->room->jbuf) || waited >= LOST_WAIT;
}

void voice_pump(struct an_audio *a, struct voice *v)
{
    uint8_t payload[JBUF_MAX_PAYLOAD];
    const struct jbuf_packet *h;
    if (!v->room)
        return;
    while ((h = jbuf_head(&v->room->jbuf)) && ready(a, v, h)) {
        uint32_t missing = jbuf_missing(&v->room->jbuf);
        struct jbuf_packet p = jbuf_take(&v->room->jbuf, payload);
        if (p.play_us)
            hear_packet(a, v, &p, payload, missing);
        else
            v->quiet = true;
    }
    if (h)
        return;
    if (!v->tailed && (int64_t)a->now_ns > ns_of(a, v, v->pos) + TAIL_AFTER) {
        tape_hush(&v->room->tape);
        extend(a, v, v->room->tape.rate / 10);
    }
    if (v->tailed && a->now_ns > v->stream->last_ns + (uint64_t)ANOTHER)
        room_free(v);
}
