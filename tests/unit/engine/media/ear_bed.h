/* A party that sends a tone over a path that jitters, loses, repeats and drifts, and the ear that
 * listens to it, in virtual time. */
#ifndef TESTS_UNIT_ENGINE_MEDIA_EAR_BED_H
#define TESTS_UNIT_ENGINE_MEDIA_EAR_BED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "engine/media/ear.h"

#define PENDING 512
#define HEARD   (48000 * 40)
#define LEVEL   8000.0

struct pending {
    usec_t at;
    struct ear_packet p;
    uint8_t bytes[2000];
};

struct bed {
    struct ear *e;
    struct rand rand;
    usec_t now; /* of the listener */
    struct pending pending[PENDING];
    unsigned n_pending;
    /* The sender. */
    struct media_format f;
    const struct codec *codec;
    void *encoder;
    double phase, hz, us; /* us: when the next packet leaves, on the listener's clock */
    unsigned ptime_ms, sent, lost;
    uint32_t ts, ssrc;
    uint16_t seq;
    double drift; /* of the sender's clock: +1e-6 is fast */
    /* The path. */
    unsigned delay_us, jitter_us, loss_pct, burst, losing, dup_pct, swap_pct;
    bool still; /* its tone is off */
    bool mute;  /* sends nothing, but its time goes on */
    /* What is heard. */
    unsigned frames[3], heard;
    int last;
    double step;
    int16_t sound[HEARD];
    int16_t frame[EAR_MAX_SAMPLES];
    uint64_t blocks;
};

static const struct media_format formats[] = {
    {.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000},
    {.codec = CODEC_PCMA, .pt = 8, .clock_hz = 8000},
    {.codec = CODEC_G722, .pt = 9, .clock_hz = 8000},
    {.codec = CODEC_CN, .pt = 13, .clock_hz = 8000},
    {.codec = CODEC_OPUS, .pt = 111, .clock_hz = 48000},
    {.codec = CODEC_L16, .pt = 96, .clock_hz = 16000},
    {.codec = CODEC_EVENT, .pt = 101, .clock_hz = 8000},
    {.codec = CODEC_L16, .pt = 97, .clock_hz = 48000},
    {.codec = CODEC_OPUS, .pt = 112, .clock_hz = 48000, .fec = true},
};

static inline void encoder_drop(struct bed *b)
{
    if (b->encoder)
        b->codec->encoder_free(b->encoder);
    b->encoder = NULL;
}

static inline void use(struct bed *b, uint8_t pt)
{
    encoder_drop(b);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].pt == pt)
            b->f = formats[i];
    b->codec = codec_of(b->f.codec);
    b->encoder = b->codec->encoder(&b->f);
    assert_non_null(b->encoder);
}

static inline int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    b->e = ear_new(EAR_LIMIT_MS);
    assert_non_null(b->e);
    ear_formats(b->e, formats, ARRAY_LEN(formats));
    rand_seed(&b->rand, 3);
    b->now = 1000 * USEC_S;
    b->us = 1e9 + 5000;
    b->ptime_ms = 20;
    b->hz = 440;
    b->ssrc = 1;
    b->seq = 100;
    b->ts = 1000;
    use(b, 8);
    *state = b;
    return 0;
}

static inline int teardown(void **state)
{
    struct bed *b = *state;
    encoder_drop(b);
    ear_free(b->e);
    mem_free(b);
    return mem_live() != 0;
}

static inline bool chance(struct bed *b, unsigned pct)
{
    return pct && rand_below(&b->rand, 100) < pct;
}

static inline struct pending *queue(struct bed *b, usec_t at)
{
    assert_true(b->n_pending < PENDING);
    struct pending *q = &b->pending[b->n_pending++];
    q->at = at;
    q->p = (struct ear_packet){.ts = b->ts, .ssrc = b->ssrc, .seq = b->seq, .pt = b->f.pt};
    return q;
}

static inline bool is_lost(struct bed *b)
{
    if (b->losing == 0 && chance(b, b->loss_pct))
        b->losing = b->burst ? b->burst : 1;
    if (b->losing == 0)
        return false;
    b->losing--;
    b->lost++;
    return true;
}

/* One packet leaves the sender. */
static inline void send(struct bed *b)
{
    uint32_t rate = codec_rate(&b->f);
    unsigned n = rate / 1000 * b->ptime_ms;
    int16_t pcm[CODEC_MAX_SAMPLES];
    for (unsigned i = 0; i < n; i++) {
        pcm[i] = (int16_t)lrint(b->still ? 0 : LEVEL * sin(b->phase));
        b->phase = fmod(b->phase + 2 * M_PI * b->hz / rate, 2 * M_PI);
    }
    usec_t at = (usec_t)b->us + b->delay_us;
    at += b->jitter_us ? rand_below(&b->rand, b->jitter_us) : 0;
    at += chance(b, b->swap_pct) ? 25000 : 0;
    struct pending *q = queue(b, at);
    int bytes = b->codec->encode(b->encoder, pcm, n, q->bytes);
    q->p.n = (size_t)bytes;
    assert_true(bytes > 0 && bytes <= (int)sizeof(q->bytes));
    b->n_pending -= b->mute;
    b->sent += !b->mute;
    b->seq = (uint16_t)(b->seq + !b->mute);
    if (!b->mute && is_lost(b)) {
        b->n_pending--;
    } else if (!b->mute && chance(b, b->dup_pct)) {
        struct pending *again = &b->pending[b->n_pending++];
        *again = *q;
        again->at += 15000;
    }
    b->ts += b->ptime_ms * (b->f.clock_hz / 1000);
    b->us += b->ptime_ms * 1000.0 / (1 + b->drift);
}

static inline void deliver(struct bed *b)
{
    for (;;) {
        struct pending *first = NULL;
        for (unsigned i = 0; i < b->n_pending; i++)
            if (b->pending[i].at <= b->now && (!first || b->pending[i].at < first->at))
                first = &b->pending[i];
        if (!first)
            return;
        first->p.payload = first->bytes;
        ear_rx(b->e, first->at, &first->p);
        size_t i = (size_t)(first - b->pending);
        b->n_pending--;
        memmove(first, first + 1, (b->n_pending - i) * sizeof(*first));
    }
}

static inline enum ear_frame_kind tick(struct bed *b)
{
    while (b->us <= (double)b->now)
        send(b);
    deliver(b);
    enum ear_frame_kind kind = ear_frame(b->e, b->now, b->frame);
    unsigned n = ear_rate(b->e) / 50;
    b->frames[kind]++;
    for (unsigned i = 0; i < n; i++) {
        double d = abs(b->frame[i] - b->last);
        b->step = d > b->step ? d : b->step;
        b->last = b->frame[i];
    }
    if (b->heard + n <= HEARD) {
        memcpy(b->sound + b->heard, b->frame, n * sizeof(b->frame[0]));
        b->heard += n;
    }
    b->now += 20000;
    return kind;
}

static inline void run(struct bed *b, unsigned ms)
{
    for (unsigned t = 0; t < ms; t += 20)
        tick(b);
}

static inline void forget(struct bed *b)
{
    memset(b->frames, 0, sizeof(b->frames));
    b->heard = 0;
    b->step = 0;
}

static inline struct ear_stats stats(struct bed *b)
{
    struct ear_stats s;
    ear_stats_get(b->e, &s);
    return s;
}

/* No step is above `times` that of the tone itself. */
static inline void assert_smooth(struct bed *b, double times)
{
    double most = 2 * M_PI * b->hz * LEVEL / ear_rate(b->e) * times + LEVEL / 20;
    if (b->step > most)
        fail_msg("a step of %.0f, allowed are %.0f", b->step, most);
}

/* The share of the power of what was heard that the tone has, frame by frame, on average. */
static inline double purity(struct bed *b)
{
    unsigned n = ear_rate(b->e) / 50, frames = 0;
    double sum = 0;
    for (unsigned at = 0; at + n <= b->heard; at += n, frames++) {
        double re = 0, im = 0, power = 0;
        for (unsigned i = 0; i < n; i++) {
            double x = b->sound[at + i], w = 2 * M_PI * b->hz * i / ear_rate(b->e);
            re += x * cos(w);
            im += x * sin(w);
            power += x * x;
        }
        sum += power > 0 ? 2 * (re * re + im * im) / n / power : 0;
    }
    return sum / frames;
}

/* The weakest 2.5 ms of what was heard, as a share of the tone's level. */
static inline double weakest(struct bed *b)
{
    unsigned n = ear_rate(b->e) / 400;
    int least = INT16_MAX;
    for (unsigned at = 0; at + n <= b->heard; at++) {
        int peak = 0;
        for (unsigned i = 0; i < n; i++)
            peak = abs(b->sound[at + i]) > peak ? abs(b->sound[at + i]) : peak;
        least = peak < least ? peak : least;
    }
    return least / LEVEL;
}

static inline void assert_tone(struct bed *b, double share)
{
    double p = purity(b);
    if (p < share)
        fail_msg("%.4f of the power is the tone, wanted are %.4f", p, share);
}

static inline void send_small(struct bed *b, uint8_t pt, const void *bytes, size_t n)
{
    struct pending *q = queue(b, (usec_t)b->us);
    q->p.pt = pt;
    memcpy(q->bytes, bytes, n);
    q->p.n = n;
    b->seq++;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
