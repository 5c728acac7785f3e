/* The ear in virtual time: a party sends a tone over a path that jitters, loses, repeats and
 * drifts, and what is heard must be that tone, without a click, soon. */
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
    bool mute; /* sends nothing, but its time goes on */
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
};

static void encoder_drop(struct bed *b)
{
    if (b->encoder)
        b->codec->encoder_free(b->encoder);
    b->encoder = NULL;
}

static void use(struct bed *b, uint8_t pt)
{
    encoder_drop(b);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].pt == pt)
            b->f = formats[i];
    b->codec = codec_of(b->f.codec);
    b->encoder = b->codec->encoder(&b->f);
    assert_non_null(b->encoder);
}

static int setup(void **state)
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

static int teardown(void **state)
{
    struct bed *b = *state;
    encoder_drop(b);
    ear_free(b->e);
    mem_free(b);
    return mem_live() != 0;
}

static bool chance(struct bed *b, unsigned pct)
{
    return pct && rand_below(&b->rand, 100) < pct;
}

static struct pending *queue(struct bed *b, usec_t at)
{
    assert_true(b->n_pending < PENDING);
    struct pending *q = &b->pending[b->n_pending++];
    q->at = at;
    q->p = (struct ear_packet){.ts = b->ts, .ssrc = b->ssrc, .seq = b->seq, .pt = b->f.pt};
    return q;
}

static bool is_lost(struct bed *b)
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
static void send(struct bed *b)
{
    uint32_t rate = codec_rate(&b->f);
    unsigned n = rate / 1000 * b->ptime_ms;
    int16_t pcm[CODEC_MAX_SAMPLES];
    for (unsigned i = 0; i < n; i++) {
        pcm[i] = (int16_t)lrint(LEVEL * sin(b->phase));
        b->phase = fmod(b->phase + 2 * M_PI * b->hz / rate, 2 * M_PI);
    }
    usec_t at = (usec_t)b->us + b->delay_us;
    at += b->jitter_us ? rand_below(&b->rand, b->jitter_us) : 0;
    at += chance(b, b->swap_pct) ? 25000 : 0;
    if (!b->mute) {
        struct pending *q = queue(b, at);
        int bytes = b->codec->encode(b->encoder, pcm, n, q->bytes);
        q->p.n = (size_t)bytes;
        assert_true(bytes > 0 && bytes <= (int)sizeof(q->bytes));
        b->sent++;
        b->seq++;
        if (is_lost(b)) {
            b->n_pending--;
        } else if (chance(b, b->dup_pct)) {
            struct pending *again = &b->pending[b->n_pending++];
            *again = *q;
            again->at += 15000;
        }
    }
    b->ts += b->ptime_ms * (b->f.clock_hz / 1000);
    b->us += b->ptime_ms * 1000.0 / (1 + b->drift);
}

static void deliver(struct bed *b)
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

static enum ear_frame_kind tick(struct bed *b)
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

static void run(struct bed *b, unsigned ms)
{
    for (unsigned t = 0; t < ms; t += 20)
        tick(b);
}

static void forget(struct bed *b)
{
    memset(b->frames, 0, sizeof(b->frames));
    b->heard = 0;
    b->step = 0;
}

static struct ear_stats stats(struct bed *b)
{
    struct ear_stats s;
    ear_stats_get(b->e, &s);
    return s;
}

/* No step is above `times` that of the tone itself. */
static void assert_smooth(struct bed *b, double times)
{
    double most = 2 * M_PI * b->hz * LEVEL / ear_rate(b->e) * times + LEVEL / 20;
    if (b->step > most)
        fail_msg("a step of %.0f, allowed are %.0f", b->step, most);
}

/* The share of the power of what was heard that the tone has, frame by frame, on average. */
static double purity(struct bed *b)
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

static void assert_tone(struct bed *b, double share)
{
    double p = purity(b);
    if (p < share)
        fail_msg("%.4f of the power is the tone, wanted are %.4f", p, share);
}

static void test_clean(void **state)
{
    struct bed *b = *state;
    run(b, 200);
    forget(b);
    run(b, 10000);
    assert_int_equal(b->frames[EAR_VOICE], 500);
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.duplicate + s.broken + s.dropped + s.resets, 0);
    assert_int_equal(s.concealed_frames, 0);
    assert_int_equal(s.cuts + s.repeats, 0);
    assert_true(s.most_ms <= 40);
    assert_smooth(b, 1.05);
    assert_tone(b, 0.998);
}

/* From the arrival of a packet to its sound, wherever the packets fall between the ticks: a tone of
 * which each sample says when it was spoken. */
static void test_delay(void **state)
{
    struct bed *b = *state;
    use(b, 96);
    for (unsigned phase = 0; phase < 20000; phase += 500) {
        struct ear *e = ear_new(EAR_LIMIT_MS);
        ear_formats(e, formats, ARRAY_LEN(formats));
        uint32_t t = 0;
        for (unsigned i = 0; i < 500; i++) {
            usec_t at = 1000000 + i * 20000 - phase;
            uint8_t bytes[640];
            for (unsigned k = 0; k < 320; k++, t++) {
                bytes[2 * k] = (uint8_t)(t >> 8);
                bytes[2 * k + 1] = (uint8_t)t;
            }
            struct ear_packet p = {
                .payload = bytes, .n = 640, .pt = 96, .seq = (uint16_t)i, .ts = i * 320, .ssrc = 9};
            ear_rx(e, at, &p);
            enum ear_frame_kind kind = ear_frame(e, 1000000 + i * 20000, b->frame);
            if (i < 3)
                continue;
            assert_int_equal(kind, EAR_VOICE);
            /* The sample just heard had arrived, with its packet, so long ago. */
            uint16_t behind = (uint16_t)(t - 320 - (uint16_t)b->frame[160] + 160);
            assert_true(behind * 1000 / 16 + phase <= 40000);
        }
        ear_free(e);
    }
}

static void test_ptimes(void **state)
{
    struct bed *b = *state;
    static const unsigned ptimes[] = {10, 20, 30, 60, 40, 120, 10, 60};
    for (size_t i = 0; i < ARRAY_LEN(ptimes); i++) {
        b->ptime_ms = ptimes[i];
        run(b, 4000);
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.dropped, 0);
    assert_true(s.concealed_frames <= 12); /* when packets become longer */
    assert_smooth(b, 1.6);
    assert_tone(b, 0.99);
    for (size_t i = 0; i < ARRAY_LEN(ptimes); i++) {
        b->ptime_ms = ptimes[i];
        run(b, 6000);
        forget(b);
        run(b, 10000);
        assert_int_equal(b->frames[EAR_VOICE], 500);
        assert_true(stats(b).mean_ms <= 60 + ptimes[i]);
    }
}

static void test_jitter(void **state)
{
    struct bed *b = *state;
    b->jitter_us = 80000;
    run(b, 5000);
    forget(b);
    unsigned before = stats(b).concealed_frames;
    run(b, 30000);
    struct ear_stats s = stats(b);
    assert_true(s.concealed_frames - before <= 15); /* 1 % */
    assert_true(s.mean_ms <= 140);
    assert_int_equal(s.dropped + s.resets, 0);
    assert_smooth(b, 1.7);
    assert_tone(b, 0.98);
    /* The path becomes calm: the delay goes back, unheard. */
    b->jitter_us = 0;
    run(b, 60000);
    forget(b);
    run(b, 10000);
    assert_int_equal(b->frames[EAR_VOICE], 500);
    assert_true(stats(b).mean_ms <= 50);
    assert_smooth(b, 1.3);
}

static void test_loss(void **state)
{
    struct bed *b = *state;
    for (unsigned pct = 1; pct <= 5; pct++) {
        for (b->burst = 1; b->burst <= 3; b->burst++) {
            struct ear_stats before = stats(b);
            unsigned lost = b->lost;
            b->loss_pct = pct;
            forget(b);
            run(b, 20000);
            b->loss_pct = 0;
            run(b, 1000);
            struct ear_stats s = stats(b);
            assert_int_equal(s.lost - before.lost, b->lost - lost);
            /* What is longer than 60 ms ends in silence. */
            unsigned made = s.concealed_frames - before.concealed_frames;
            assert_in_range(made + s.silent_frames - before.silent_frames, b->lost - lost,
                            2 * (b->lost - lost));
            assert_true(made >= (b->lost - lost) * 9 / 10);
            assert_true(s.most_ms <= 60);
            assert_smooth(b, 2.2);
            assert_tone(b, 0.96);
        }
    }
    assert_int_equal(stats(b).late, 0);
}

/* A long outage fades, is silence, and ends without a click. */
static void test_outage(void **state)
{
    struct bed *b = *state;
    run(b, 1000);
    forget(b);
    b->loss_pct = 100;
    run(b, 1000);
    assert_in_range(b->frames[EAR_CONCEALED], 3, 4);
    assert_in_range(b->frames[EAR_SILENT], 45, 47);
    assert_int_equal(b->last, 0);
    b->loss_pct = 0;
    run(b, 100);
    forget(b);
    run(b, 1000);
    assert_int_equal(b->frames[EAR_VOICE], 50);
    assert_int_equal(stats(b).lost, b->lost);
    assert_smooth(b, 1.1);
    /* All at once after a jam: most of it is given up. */
    b->delay_us = 1000000;
    run(b, 1000);
    b->delay_us = 0;
    run(b, 2000);
    struct ear_stats s = stats(b);
    assert_true(s.dropped + s.late >= 40);
    assert_true(s.waiting_ms <= 100);
    assert_smooth(b, 1.6);
    forget(b);
    run(b, 1000);
    assert_int_equal(b->frames[EAR_VOICE], 50);
}

static void test_reorder(void **state)
{
    struct bed *b = *state;
    b->swap_pct = 10;
    run(b, 5000);
    forget(b);
    struct ear_stats before = stats(b);
    run(b, 20000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost, 0);
    assert_true(s.late - before.late <= 2);
    assert_true(s.mean_ms <= 70);
    assert_smooth(b, 1.7);
    assert_tone(b, 0.99);
}

/* Once, three packets are overtaken: that is heard, and the delay that it costs goes again. */
static void test_spike(void **state)
{
    struct bed *b = *state;
    run(b, 2000);
    for (unsigned i = 0; i < 3; i++) {
        b->delay_us = 100000 - 20000 * i;
        run(b, 20);
    }
    b->delay_us = 0;
    run(b, 5000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.late + s.lost, 3);
    assert_int_equal(s.resets + s.dropped, 0);
    assert_true(s.most_ms <= 110);
    assert_smooth(b, 1.7);
    run(b, 60000);
    assert_true(stats(b).mean_ms <= 45);
}

static void test_duplicates(void **state)
{
    struct bed *b = *state;
    b->dup_pct = 100;
    run(b, 10000);
    struct ear_stats s = stats(b);
    assert_in_range(s.duplicate, 498, 500);
    assert_int_equal(s.concealed_frames + s.late + s.lost + s.resets, 0);
    assert_smooth(b, 1.05);
}

static void send_small(struct bed *b, uint8_t pt, const void *bytes, size_t n)
{
    struct pending *q = queue(b, (usec_t)b->us);
    q->p.pt = pt;
    memcpy(q->bytes, bytes, n);
    q->p.n = n;
    b->seq++;
}

/* Pauses without a word: they are no loss, and speech is back at once. */
static void test_pause(void **state)
{
    struct bed *b = *state;
    run(b, 1000);
    for (unsigned i = 0; i < 20; i++) {
        b->mute = true;
        forget(b);
        run(b, 500 + 37 * i);
        assert_in_range(b->frames[EAR_CONCEALED], 3, 5);
        assert_true(b->frames[EAR_SILENT] >= 19);
        b->mute = false;
        forget(b);
        run(b, 1000);
        assert_true(b->frames[EAR_VOICE] >= 47);
        assert_smooth(b, 1.1);
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.dropped, 0);
    assert_true(s.most_ms <= 60);
}

static double rms(struct bed *b)
{
    double sum = 0;
    for (unsigned i = 0; i < b->heard; i++)
        sum += (double)b->sound[i] * b->sound[i];
    return sqrt(sum / b->heard);
}

/* RFC 3389: the level of the noise, in -dBov. */
static void test_comfort_noise(void **state)
{
    struct bed *b = *state;
    static const uint8_t levels[] = {40, 50, 70, 127};
    run(b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        uint8_t level = levels[i];
        send_small(b, 13, &level, 1);
        b->mute = true;
        forget(b);
        run(b, 100);
        assert_int_equal(b->frames[EAR_CONCEALED], 0);
        forget(b);
        run(b, 2000);
        assert_int_equal(b->frames[EAR_SILENT], 100);
        double wanted = 32768 * pow(10, -level / 20.0);
        assert_true(fabs(rms(b) - wanted) <= wanted * 0.05 + 0.5);
        b->mute = false;
        run(b, 1000);
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.concealed_frames, 0);
    /* Nobody can send noise at full level. */
    send_small(b, 13, "", 1);
    b->mute = true;
    run(b, 100);
    forget(b);
    run(b, 500);
    assert_true(rms(b) < 1100);
}

/* RFC 4733: all packets of a digit have the time of its begin; speech goes on after it. */
static void test_event(void **state)
{
    struct bed *b = *state;
    run(b, 1000);
    b->mute = true;
    forget(b);
    uint32_t ts = b->ts;
    for (unsigned i = 0; i < 20; i++) {
        uint32_t own = b->ts;
        b->ts = ts;
        send_small(b, 101, "\5\12\1\100", 4);
        b->ts = own;
        run(b, 20);
    }
    b->mute = false;
    run(b, 1000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.concealed_frames, 0);
    assert_in_range(b->frames[EAR_SILENT], 18, 21);
    assert_smooth(b, 1.6);
}

static void test_ssrc_change(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < 20; i++) {
        run(b, 1000);
        b->ssrc += 77;
        b->seq = (uint16_t)rand_u64(&b->rand);
        b->ts = (uint32_t)rand_u64(&b->rand);
        b->phase += 2;
    }
    run(b, 1000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.resets, 20);
    assert_int_equal(s.lost + s.late + s.dropped + s.concealed_frames, 0);
    assert_smooth(b, 1.6);
    assert_true(s.most_ms <= 40);
}

static void test_timestamp_jump(void **state)
{
    struct bed *b = *state;
    static const uint32_t jumps[] = {80000, (uint32_t)-80000, 0x80000000u, 160, 1600, 100};
    for (size_t i = 0; i < 2 * ARRAY_LEN(jumps); i++) {
        run(b, 2000);
        b->ts += jumps[i % ARRAY_LEN(jumps)];
        b->seq = (uint16_t)(b->seq + (i < ARRAY_LEN(jumps) ? 0 : 10000));
    }
    run(b, 2000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.late + s.dropped + s.lost, 0);
    assert_true(s.concealed_frames <= 12);
    assert_true(s.most_ms <= 60);
    assert_smooth(b, 1.6);
    forget(b);
    run(b, 1000);
    assert_int_equal(b->frames[EAR_VOICE], 50);
}

static void test_wrap(void **state)
{
    struct bed *b = *state;
    b->seq = 65500;
    b->ts = (uint32_t)-8000;
    run(b, 5000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.late + s.lost + s.resets + s.concealed_frames, 0);
    assert_smooth(b, 1.05);
}

static void drift(struct bed *b, double ppm)
{
    b->drift = ppm / 1e6;
    b->jitter_us = 2000;
    run(b, 60000);
    struct ear_stats before = stats(b);
    forget(b);
    run(b, 3600 * 1000);
    struct ear_stats s = stats(b);
    double moved =
        (double)(s.cut_us - before.cut_us) - (double)(s.repeated_us - before.repeated_us);
    assert_true(s.concealed_frames - before.concealed_frames <= 60);
    assert_int_equal(s.lost + s.late + s.dropped + s.resets, 0);
    assert_true(s.most_ms <= 70);
    if (ppm > 0)
        assert_true(fabs(moved - 720000) <= 30000);
    assert_true(s.cuts + s.repeats - before.cuts - before.repeats <= 200);
    assert_smooth(b, 1.7);
    assert_tone(b, 0.99);
}

static void test_drift_fast(void **state)
{
    drift(*state, 200);
}

static void test_drift_slow(void **state)
{
    drift(*state, -200);
}

static void test_codecs(void **state)
{
    struct bed *b = *state;
    static const struct {
        uint8_t pt;
        uint32_t rate;
    } all[] = {{0, 8000}, {9, 16000}, {111, 48000}, {96, 16000}, {8, 8000}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        use(b, all[i].pt);
        run(b, 400);
        forget(b);
        run(b, 5000);
        assert_int_equal(ear_rate(b->e), all[i].rate);
        assert_int_equal(b->frames[EAR_VOICE], 250);
        assert_smooth(b, 1.2);
        assert_tone(b, 0.99);
        /* And with loss. */
        b->loss_pct = 3;
        forget(b);
        run(b, 20000);
        b->loss_pct = 0;
        assert_tone(b, 0.95);
        assert_smooth(b, 3);
    }
    assert_int_equal(stats(b).lost, b->lost);
}

/* From one agreed codec to another in mid-stream, back and forth; no new decoder is made. */
static void test_switch(void **state)
{
    struct bed *b = *state;
    static const uint8_t pts[] = {8, 0, 9, 96};
    for (unsigned i = 0; i < 4; i++) {
        use(b, pts[i]);
        run(b, 500);
    }
    uint64_t requests = mem_requests();
    for (unsigned i = 0; i < 40; i++) {
        use(b, pts[i % 4]);
        run(b, 500);
    }
    assert_int_equal(mem_requests(), requests);
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.dropped + s.broken, 0);
    assert_true(s.concealed_frames <= 44);
    assert_smooth(b, 2);
}

static void test_formats_change(void **state)
{
    struct bed *b = *state;
    run(b, 1000);
    ear_formats(b->e, formats + 1, 1);
    run(b, 1000);
    struct ear_stats s = stats(b);
    assert_int_equal(s.concealed_frames + s.lost + s.resets, 0);
    assert_smooth(b, 1.05);
    use(b, 0);
    run(b, 1000);
    assert_in_range(stats(b).ignored, 49, 50);
    assert_int_equal(b->last, 0);
    ear_formats(b->e, formats, ARRAY_LEN(formats));
    run(b, 1000);
    forget(b);
    run(b, 1000);
    assert_int_equal(b->frames[EAR_VOICE], 50);
}

static void test_late_ticks(void **state)
{
    struct bed *b = *state;
    run(b, 1000);
    for (unsigned i = 0; i < 20; i++) {
        tick(b);
        b->now -= 20000; /* twice */
        tick(b);
        run(b, 500);
        b->now += 40000; /* two are left out */
        run(b, 2000);
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.dropped + s.resets, 0);
    assert_true(s.most_ms <= 200);
    assert_smooth(b, 1.7);
}

static void test_garbage(void **state)
{
    struct bed *b = *state;
    uint8_t junk[1500];
    run(b, 500);
    b->mute = true;
    for (unsigned i = 0; i < 3000; i++) {
        rand_bytes(&b->rand, junk, sizeof(junk));
        send_small(b, formats[rand_below(&b->rand, ARRAY_LEN(formats))].pt, junk,
                   rand_below(&b->rand, rand_below(&b->rand, 2) ? sizeof(junk) : 4));
        tick(b);
    }
    assert_true(stats(b).broken > 100);
    b->mute = false;
    use(b, 0);
    run(b, 4000);
    forget(b);
    run(b, 1000);
    assert_int_equal(b->frames[EAR_VOICE], 50);
}

/* Any fields at any time: it stays within its bounds, and hears the next speaker. */
static void test_fuzz(void **state)
{
    struct bed *b = *state;
    struct rand *r = &b->rand;
    uint8_t junk[4200];
    uint16_t seq = 0;
    uint32_t ts = 0;
    for (unsigned i = 0; i < 100000; i++) {
        rand_bytes(r, junk, 64);
        seq = rand_below(r, 30) ? (uint16_t)(seq + rand_below(r, 4) - 1) : (uint16_t)rand_u64(r);
        ts = rand_below(r, 30) ? ts + (uint32_t)rand_below(r, 400) : (uint32_t)rand_u64(r);
        struct ear_packet p = {.payload = junk,
                               .n = rand_below(r, rand_below(r, 20) ? 320 : sizeof(junk)),
                               .ts = ts,
                               .ssrc = rand_below(r, 50) == 0,
                               .seq = seq,
                               .pt = (uint8_t)(rand_below(r, 10) ? 0 : rand_u64(r)),
                               .marker = rand_below(r, 10) == 0};
        if (rand_below(r, 4) == 0)
            p.pt = formats[rand_below(r, ARRAY_LEN(formats))].pt;
        ear_rx(b->e, b->now, &p);
        if (rand_below(r, 500) == 0)
            ear_formats(b->e, formats + rand_below(r, 4), (unsigned)rand_below(r, 5));
        b->now += rand_below(r, 1000) ? rand_below(r, 20000) : rand_below(r, 10000000);
        if (rand_below(r, 2))
            ear_frame(b->e, b->now, b->frame);
        assert_true(stats(b).waiting_ms <= 8000);
    }
    ear_formats(b->e, formats, ARRAY_LEN(formats));
    b->us = (double)b->now;
    run(b, 4000);
    forget(b);
    run(b, 2000);
    assert_int_equal(b->frames[EAR_VOICE], 100);
    assert_tone(b, 0.99);
}

static void test_no_memory(void **state)
{
    struct bed *b = *state;
    mem_fail_after(1);
    assert_null(ear_new(EAR_LIMIT_MS));
    mem_fail_after(0);
    uint64_t live = mem_live(), requests = mem_requests();
    run(b, 2000);
    assert_int_equal(mem_live(), live);
    assert_int_equal(mem_requests(), requests);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_clean),          T(test_delay),   T(test_ptimes),         T(test_jitter),
        T(test_loss),           T(test_outage),  T(test_reorder),        T(test_spike),
        T(test_duplicates),     T(test_pause),   T(test_comfort_noise),  T(test_event),
        T(test_ssrc_change),    T(test_wrap),    T(test_timestamp_jump), T(test_drift_fast),
        T(test_drift_slow),     T(test_codecs),  T(test_switch),         T(test_late_ticks),
        T(test_formats_change), T(test_garbage), T(test_fuzz),           T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
