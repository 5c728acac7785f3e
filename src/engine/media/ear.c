#include "engine/media/ear.h"

#include <string.h>

#include "base/mem.h"
#include "engine/media/drift.h"
#include "engine/media/jbuf.h"
#include "engine/media/pace.h"
#include "engine/media/tape.h"

#define US 1000ll
/* The first packet waits at least so long, so that the second need not come to the moment. */
#define HOLD (10 * US)
/* A packet that does not fill a frame waits for the next one, but not longer. */
#define HOLD_ALONE (40 * US)
/* What may be waiting beyond the limit of the delay, and what is left when it was more. */
#define EXCESS (40 * US)
#define REMAIN (60 * US)
/* A longer pause of the timestamps is no pause but another clock. */
#define MAX_PAUSE_S 60
/* A place to adjust is looked for in so many frames before any place will do. */
#define TRIES 25
/* A decoder is made anew with a stream or a change of formats, but not more often. */
#define RENEW_US USEC_S
/* The loudest comfort noise that is believed, in -dBov (RFC 3389 section 3.1). */
#define CN_LOUDEST   30
#define NO_FORMAT    255
#define MAX_CLOCK_HZ 192000

/* PLACE: nothing to be heard, it only says that nothing is lost. */
enum kind { KIND_AUDIO, KIND_CN, KIND_EVENT, KIND_PLACE };

struct format {
    struct media_format f;
    const struct codec *codec; /* NULL: an event or comfort noise */
    void *decoder;             /* NULL until it is heard */
    usec_t since;              /* when the decoder was made */
    bool told;                 /* it knows what came before the first packet */
};

struct ear {
    struct format format[EAR_MAX_FORMATS];
    uint8_t n_formats;
    uint8_t current; /* heard last; NO_FORMAT: none */
    uint8_t tries;
    bool begun; /* something has been heard */
    bool anew;  /* what comes next does not follow what was before */
    bool quiet; /* the party said that it is silent */
    /* Of the last frame: nothing in it has come, and how much longer it was made. */
    bool absent;
    int32_t stretched_us;
    uint8_t by_pt[128];
    uint32_t next_ts; /* of what follows */
    uint64_t mean_us; /* scaled by 256 */
    struct pace pace;
    struct drift drift;
    struct ear_stats stats;
    struct jbuf jbuf;
    struct tape tape;
};

struct ear *ear_new(unsigned limit_ms)
{
    struct ear *e = mem_zero(sizeof(*e));
    if (!e)
        return NULL;
    limit_ms = limit_ms < 40 ? 40 : limit_ms > 1000 ? 1000 : limit_ms;
    jbuf_init(&e->jbuf);
    pace_init(&e->pace, limit_ms * US);
    tape_start(&e->tape, 8000);
    e->current = NO_FORMAT;
    memset(e->by_pt, NO_FORMAT, sizeof(e->by_pt));
    return e;
}

static void decoder_drop(struct format *f)
{
    if (f->decoder)
        f->codec->decoder_free(f->decoder);
    f->decoder = NULL;
}

void ear_free(struct ear *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < e->n_formats; i++)
        decoder_drop(&e->format[i]);
    mem_free(e);
}

/* The decoder of one format serves another one. */
static bool same_decoder(const struct format *a, const struct format *b)
{
    return media_format_same(&a->f, &b->f) && codec_rate(&a->f) == codec_rate(&b->f);
}

void ear_formats(struct ear *e, const struct media_format *f, unsigned n)
{
    struct format old[EAR_MAX_FORMATS];
    unsigned n_old = e->n_formats, was = e->current;
    memcpy(old, e->format, sizeof(old));
    memset(e->format, 0, sizeof(e->format));
    memset(e->by_pt, NO_FORMAT, sizeof(e->by_pt));
    e->n_formats = 0;
    e->current = NO_FORMAT;
    for (unsigned i = 0; i < n && e->n_formats < EAR_MAX_FORMATS; i++) {
        struct format *to = &e->format[e->n_formats];
        *to = (struct format){.f = f[i], .codec = codec_of(f[i].codec)};
        bool passive = f[i].codec == CODEC_CN || f[i].codec == CODEC_EVENT;
        if (f[i].pt >= 128 || f[i].clock_hz == 0 || f[i].clock_hz > MAX_CLOCK_HZ ||
            (!passive && codec_rate(&f[i]) == 0))
            continue;
        for (unsigned k = 0; to->codec && k < n_old; k++)
            if (old[k].decoder && same_decoder(&old[k], to)) {
                to->decoder = old[k].decoder;
                to->since = old[k].since;
                to->told = old[k].told;
                old[k].decoder = NULL;
                e->current = k == was ? e->n_formats : e->current;
                break;
            }
        e->by_pt[f[i].pt] = e->n_formats++;
    }
    for (unsigned k = 0; k < n_old; k++)
        decoder_drop(&old[k]);
}

void *ear_decoder(struct ear *e, uint8_t pt)
{
    struct format *f = pt < 128 && e->by_pt[pt] != NO_FORMAT ? &e->format[e->by_pt[pt]] : NULL;
    if (!f || !f->codec || f->decoder)
        return NULL;
    f->decoder = f->codec->decoder(&f->f);
    f->told = f->decoder != NULL;
    return f->decoder;
}

static int64_t us_of(const struct ear *e, int64_t samples)
{
    return samples * 1000000 / e->tape.rate;
}

static int64_t samples_of(const struct ear *e, int64_t us)
{
    return us * e->tape.rate / 1000000;
}

/* It came when its time was over: how much earlier it should have been here. */
static void late(struct ear *e, const struct ear_packet *p, const struct format *f)
{
    int64_t behind = (int64_t)(int32_t)(e->next_ts - p->ts) * 1000000 / f->f.clock_hz;
    e->stats.lost -= e->stats.lost > 0;
    pace_late(&e->pace, behind - us_of(e, tape_waiting(&e->tape)));
}

static enum kind kind_of(struct ear *e, const struct format *f, const struct ear_packet *p,
                         uint32_t *play_us)
{
    if (!f->codec)
        return f->f.codec == CODEC_EVENT ? KIND_EVENT : p->n ? KIND_CN : KIND_PLACE;
    unsigned samples = f->codec->samples(&f->f, p->payload, p->n), rate = codec_rate(&f->f);
    if (samples == 0 || samples > rate / 1000 * 120 || p->n > JBUF_MAX_PAYLOAD) {
        e->stats.broken++;
        return KIND_PLACE;
    }
    *play_us = (uint32_t)((uint64_t)samples * 1000000 / rate);
    return KIND_AUDIO;
}

void ear_rx(struct ear *e, usec_t now, const struct ear_packet *p)
{
    struct jbuf_in in = {.payload = p->payload,
                         .ts = p->ts,
                         .ssrc = p->ssrc,
                         .seq = p->seq,
                         .pt = p->pt & 0x7F, /* of others only the place in the sequence is kept */
                         .kind = KIND_PLACE,
                         .marker = p->marker};
    const struct format *f = NULL;
    if (p->pt < 128 && e->by_pt[p->pt] != NO_FORMAT)
        f = &e->format[e->by_pt[p->pt]];
    e->stats.packets += f != NULL;
    e->stats.ignored += f == NULL;
    if (f)
        in.kind = kind_of(e, f, p, &in.play_us);
    /* Some gateways give telephone-events an SSRC of their own: they are beside the voice. */
    bool other = !e->jbuf.started || p->ssrc != e->jbuf.ssrc;
    if (other && in.kind != KIND_AUDIO && in.kind != KIND_CN)
        return;
    if (in.kind == KIND_AUDIO)
        drift_rx(&e->drift, now, p->ssrc, p->ts, f->f.clock_hz);
    in.n = in.kind == KIND_AUDIO ? p->n : in.kind == KIND_CN;
    enum jbuf_verdict v = jbuf_put(&e->jbuf, now, &in);
    e->stats.duplicate += v == JBUF_DUPLICATE;
    e->stats.late += v == JBUF_LATE;
    if (v == JBUF_LATE && !other && f)
        late(e, p, f);
}

/* Of the head: how much time is missing between what was played and it, in samples. False: its
 * timestamp says nothing about that. */
static bool gap_of(const struct ear *e, const struct jbuf_packet *h, int64_t *ret)
{
    const struct format *f = &e->format[e->by_pt[h->pt]];
    int32_t ts = (int32_t)(h->ts - e->next_ts);
    if (e->current != NO_FORMAT && e->format[e->current].f.clock_hz != f->f.clock_hz)
        return false; /* another clock counts from elsewhere */
    if (!e->begun || e->anew || h->fresh || ts < 0 || ts / (int32_t)f->f.clock_hz >= MAX_PAUSE_S)
        return false;
    int64_t gap = (int64_t)ts * e->tape.rate / f->f.clock_hz;
    /* A pause is a good time to change the delay. */
    if (gap > 0 && jbuf_missing(&e->jbuf) == 0 && tape_silent(&e->tape)) {
        gap -= samples_of(e, pace_spare(&e->pace));
        gap = gap < 1 ? 1 : gap;
    }
    *ret = gap;
    return true;
}

/* Whether the head is to be heard now. */
static bool due(const struct ear *e, usec_t now, const struct jbuf_packet *h)
{
    int64_t gap, waited = (int64_t)(now - h->at);
    bool silent = tape_silent(&e->tape);
    if (!gap_of(e, h, &gap)) {
        if (e->begun && !silent)
            return true;
        return waited >= HOLD && (e->jbuf.waiting_us >= 20 * US || waited >= HOLD_ALONE);
    }
    if (e->tape.made >= gap)
        return !silent || waited >= HOLD;
    /* Its time has not come, but no packet should wait longer than others did. */
    int64_t grace = jbuf_missing(&e->jbuf) ? 20 * US : 0;
    return waited >= pace_most(&e->pace, HOLD) + grace;
}

/* RFC 3389 section 3.1: a level in -dBov. The amplitude of evenly distributed noise of that power,
 * in 256ths. */
static uint32_t noise_of(uint8_t level)
{
    uint64_t a = 56756 << 8; /* 32768 times the square root of 3 */
    level &= 0x7F;
    for (unsigned i = 0; i < (level < CN_LOUDEST ? CN_LOUDEST : level); i++)
        a = a * 58409 >> 16; /* 1 dB */
    return (uint32_t)a;
}

static void take_passive(struct ear *e)
{
    uint8_t payload[JBUF_MAX_PAYLOAD];
    e->stats.lost += jbuf_missing(&e->jbuf);
    struct jbuf_packet p = jbuf_take(&e->jbuf, payload);
    if (p.kind == KIND_CN)
        e->tape.noise = noise_of(payload[0]);
    e->quiet = e->quiet || p.kind == KIND_CN || p.kind == KIND_EVENT;
}

/* The head will be heard: what its delay was, and how it follows what was before. Returns whether
 * it must be blended. */
static bool follow(struct ear *e, const struct jbuf_packet *h, const struct format *f)
{
    int64_t gap, by;
    bool silent = tape_silent(&e->tape), own = f->codec->conceal != NULL;
    bool other = e->current != e->by_pt[h->pt];
    if (!gap_of(e, h, &gap)) {
        e->stats.resets += e->begun && !e->anew;
        e->tape.noise = h->fresh ? 0 : e->tape.noise;
        pace_restart(&e->pace);
        return true;
    }
    /* What is late goes on exactly where a whole cycle ends. */
    if (gap == 0 && !tape_real(&e->tape) && !silent && !own)
        tape_extend(&e->tape, tape_rest_of_cycle(&e->tape));
    by = us_of(e, (int64_t)e->tape.made - gap);
    pace_stalled(&e->pace, by, gap == 0 && !e->quiet && !h->marker && !jbuf_missing(&e->jbuf));
    return silent || other || (!own && !tape_real(&e->tape));
}

/* Another encoder begins from nothing; what a decoder remembers of an earlier one would be heard.
 */
static void renew(struct ear *e, usec_t now, struct format *f)
{
    const struct jbuf_packet *h = jbuf_head(&e->jbuf);
    bool other = h->fresh || e->current != e->by_pt[h->pt];
    if (other && f->decoder && !f->told && now >= f->since + RENEW_US)
        decoder_drop(f);
    f->told = false;
    if (f->decoder)
        return;
    f->decoder = f->codec->decoder(&f->f);
    f->since = now;
}

static void take_audio(struct ear *e, usec_t now, struct format *f, bool needed)
{
    const struct jbuf_packet *h = jbuf_head(&e->jbuf);
    uint8_t payload[JBUF_MAX_PAYLOAD]; /* here, since the stack is always in the cache */
    renew(e, now, f);
    bool join = follow(e, h, f);
    e->stats.lost += jbuf_missing(&e->jbuf);
    struct jbuf_packet p = jbuf_take(&e->jbuf, payload);
    int16_t *room = tape_room(&e->tape);
    int n = f->decoder ? f->codec->decode(f->decoder, payload, p.n, room) : -1;
    if (n <= 0 || n > CODEC_MAX_SAMPLES) {
        e->stats.broken++;
        return;
    }
    pace_played(&e->pace, now, p.at, us_of(e, tape_waiting(&e->tape)), needed);
    if (join)
        tape_join(&e->tape, (unsigned)n);
    tape_add(&e->tape, (unsigned)n);
    e->next_ts = p.ts + (uint32_t)((uint64_t)n * f->f.clock_hz / e->tape.rate);
    e->current = (uint8_t)(f - e->format);
    e->begun = true;
    e->anew = e->quiet = false;
}

/* Takes the next packet, if there is one whose time has come. needed: the frame cannot do without.
 */
static bool step(struct ear *e, usec_t now, bool needed)
{
    const struct jbuf_packet *h = jbuf_head(&e->jbuf);
    if (!h)
        return false;
    uint8_t index = e->by_pt[h->pt];
    struct format *f = index == NO_FORMAT ? NULL : &e->format[index];
    if (h->kind != KIND_AUDIO || !f || !f->codec) {
        take_passive(e);
        return true;
    }
    uint32_t rate = codec_rate(&f->f);
    if (rate != e->tape.rate && tape_waiting(&e->tape))
        return false; /* a frame has one rate */
    if (!due(e, now, h))
        return false;
    if (rate != e->tape.rate) {
        tape_start(&e->tape, rate);
        e->anew = e->begun;
    }
    take_audio(e, now, f, needed);
    return true;
}

/* The last packet that is missing before the head, from what the head repeats of it. */
static bool repair(struct ear *e, struct format *f, const struct jbuf_packet *h)
{
    int64_t gap, play = samples_of(e, h->play_us);
    if (!f->codec->recover || e->current != e->by_pt[h->pt] || !jbuf_missing(&e->jbuf) ||
        play > e->tape.rate / 1000 * 60 || !gap_of(e, h, &gap) || gap - e->tape.made != play)
        return false;
    uint8_t payload[JBUF_MAX_PAYLOAD];
    size_t n = jbuf_peek(&e->jbuf, payload);
    int16_t *room = tape_room(&e->tape);
    if (f->codec->recover(f->decoder, payload, n, (unsigned)play, room) != play)
        return false;
    if (tape_silent(&e->tape))
        tape_join(&e->tape, (unsigned)play);
    tape_add(&e->tape, (unsigned)play);
    e->next_ts = h->ts;
    e->stats.repaired++;
    return true;
}

/* Makes up `need` samples or less, as many as are missing before the head. */
static enum ear_frame_kind make_up(struct ear *e, unsigned need)
{
    const struct jbuf_packet *h = jbuf_head(&e->jbuf);
    struct format *f = e->current == NO_FORMAT ? NULL : &e->format[e->current];
    int64_t gap;
    bool still = tape_silent(&e->tape) || e->quiet || !e->begun;
    if (f && !f->decoder)
        f = NULL; /* memory was out */
    if (h && f && repair(e, f, h))
        return EAR_CONCEALED;
    if (h && e->by_pt[h->pt] != NO_FORMAT && gap_of(e, h, &gap) && gap > e->tape.made &&
        gap - e->tape.made < need)
        need = (unsigned)(gap - e->tape.made);
    if (e->quiet)
        tape_hush(&e->tape);
    if (!still && f && f->codec->conceal) {
        unsigned unit = e->tape.rate / 100;
        unsigned n = (need + unit - 1) / unit * unit;
        int got = f->codec->conceal(f->decoder, n, tape_room(&e->tape));
        if (got == (int)n) {
            tape_extend_by(&e->tape, n);
            return EAR_CONCEALED;
        }
    }
    tape_extend(&e->tape, need);
    return still ? EAR_SILENT : EAR_CONCEALED;
}

static int64_t waiting_us(const struct ear *e)
{
    return us_of(e, tape_waiting(&e->tape)) + e->jbuf.waiting_us;
}

/* After a jam on the way, more may be here than anybody wants to hear late. */
static void drop_excess(struct ear *e)
{
    if (waiting_us(e) <= e->pace.limit + EXCESS)
        return;
    while (e->jbuf.n > 1 && waiting_us(e) > REMAIN) {
        jbuf_drop(&e->jbuf);
        e->stats.dropped++;
        e->anew = e->begun;
    }
}

static void adjust(struct ear *e, usec_t now, unsigned frame)
{
    int64_t wish = pace_wish(&e->pace, now);
    struct tape *t = &e->tape;
    if (wish == 0 || !tape_real(t))
        return;
    bool force = e->tries >= TRIES;
    unsigned n;
    if (wish > 0) {
        while (tape_waiting(t) < frame + t->rate / 1000 * 15 && step(e, now, false))
            ;
        int64_t most = samples_of(e, wish), can = (int64_t)tape_waiting(t) - frame;
        n = tape_cut(t, (unsigned)(most < can ? most : can), force);
        e->stats.cuts += n != 0;
        e->stats.cut_us += (uint32_t)us_of(e, n);
        e->stretched_us = -(int32_t)us_of(e, n);
    } else {
        n = tape_repeat(t, force);
        e->stats.repeats += n != 0;
        e->stats.repeated_us += (uint32_t)us_of(e, n);
        e->stretched_us = (int32_t)us_of(e, n);
    }
    e->tries = n ? 0 : (uint8_t)(e->tries + !force);
    if (n)
        pace_changed(&e->pace, now, wish > 0 ? -us_of(e, n) : us_of(e, n));
}

static void count(struct ear *e, enum ear_frame_kind kind)
{
    struct ear_stats *s = &e->stats;
    uint64_t us = (uint64_t)waiting_us(e);
    s->frames++;
    s->concealed_frames += kind == EAR_CONCEALED;
    s->silent_frames += kind == EAR_SILENT;
    s->waiting_ms = (uint32_t)(us / 1000);
    s->most_ms = s->waiting_ms > s->most_ms ? s->waiting_ms : s->most_ms;
    e->mean_us = e->mean_us - e->mean_us / 256 + us;
}

enum ear_frame_kind ear_frame(struct ear *e, usec_t now, int16_t out[EAR_MAX_SAMPLES])
{
    bool made = false, heard = tape_waiting(&e->tape) > 0, concealed = false;
    drop_excess(e);
    unsigned frame = e->tape.rate / 50;
    while (tape_waiting(&e->tape) < frame) {
        if (step(e, now, true)) {
            frame = e->tape.rate / 50;
            heard = heard || tape_real(&e->tape);
            continue;
        }
        concealed |= make_up(e, frame - tape_waiting(&e->tape)) == EAR_CONCEALED;
        made = true;
    }
    enum ear_frame_kind kind = concealed ? EAR_CONCEALED : heard ? EAR_VOICE : EAR_SILENT;
    e->absent = !e->quiet && e->tape.made >= tape_waiting(&e->tape);
    e->stretched_us = 0;
    if (!made)
        adjust(e, now, frame);
    tape_take(&e->tape, out, frame);
    count(e, kind);
    return kind;
}

uint32_t ear_rate(const struct ear *e)
{
    return e->tape.rate;
}

bool ear_absent(const struct ear *e)
{
    return e->absent;
}

int32_t ear_stretched_us(const struct ear *e)
{
    return e->stretched_us;
}

bool ear_drift(const struct ear *e, int32_t *ppm_x10, uint32_t *error_x10)
{
    return drift_get(&e->drift, ppm_x10, error_x10);
}

void ear_stats_get(const struct ear *e, struct ear_stats *ret)
{
    *ret = e->stats;
    ret->mean_ms = (uint32_t)(e->mean_us / 256 / 1000);
}

bool ear_discarded(struct ear *e, uint16_t *seq)
{
    return jbuf_discarded(&e->jbuf, seq);
}

unsigned ear_longest_ms(const struct ear *e)
{
    return (unsigned)((e->pace.limit + EXCESS) / US);
}
