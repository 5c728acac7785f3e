/* Music on hold: eight bars of broken chords, plucked, over a soft bass. */
#include "engine/media/sine.h"
#include "engine/media/tone.h"

#define BARS       8
#define NOTES      8 /* of a bar */
#define ATTACK_MS  12
#define PLUCK      2300
#define BASS       2600
#define PLUCK_S    2
#define SECOND_DIV 4 /* the overtones against the note itself */
#define THIRD_DIV  12

/* Half-tones above C4. */
struct bar {
    uint8_t note[NOTES];
    uint8_t bass;
};

static const struct bar bars[BARS] = {
    {{12, 16, 19, 23, 19, 16, 19, 14}, 0}, /* C, major seventh */
    {{9, 12, 16, 19, 16, 12, 16, 14}, 9},  /* a, minor seventh */
    {{5, 9, 12, 16, 12, 9, 12, 17}, 5},    /* F, major seventh */
    {{7, 11, 14, 17, 14, 11, 14, 19}, 7},  /* G, seventh */
    {{4, 7, 11, 14, 16, 14, 11, 7}, 4},    /* e, minor seventh */
    {{9, 12, 16, 21, 19, 16, 12, 16}, 9},  /* a */
    {{2, 5, 9, 12, 17, 14, 12, 9}, 2},     /* d, minor seventh */
    {{7, 12, 14, 17, 19, 17, 14, 11}, 7},  /* G, suspended, resolved */
};

/* The octave from C4 on, equally tempered to A4 = 440 Hz, in mHz. */
static const uint32_t octave[12] = {261626, 277183, 293665, 311127, 329628, 349228,
                                    369994, 391995, 415305, 440000, 466164, 493883};

static uint32_t pitch_mhz(unsigned half_tones)
{
    return octave[half_tones % 12] << half_tones / 12;
}

/* Adds to the loop, round its end. */
struct loop {
    int16_t *out;
    size_t n;
    uint32_t rate_hz;
};

static void add(const struct loop *l, size_t at, int32_t v)
{
    int16_t *o = &l->out[at % l->n];
    v += *o;
    *o = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

/* The level rises within the attack, then falls by a part of itself with every sample. */
static void pluck(const struct loop *l, size_t at, uint32_t mhz)
{
    uint32_t move = sine_step(mhz, l->rate_hz), phase = 0;
    uint32_t attack = l->rate_hz * ATTACK_MS / 1000;
    uint64_t level = (uint64_t)1 << 30, fall = ((uint64_t)1 << 32) * 5 / (2 * l->rate_hz);
    size_t n = (size_t)PLUCK_S * l->rate_hz;
    for (size_t i = 0; i < n; i++, phase += move) {
        int64_t v =
            sine_q30(phase) + sine_q30(phase * 2) / SECOND_DIV + sine_q30(phase * 3) / THIRD_DIV;
        v = v * (int64_t)(level >> 15) >> 15;
        if (i < attack)
            v = v * (int64_t)i / attack;
        if (n - i < attack)
            v = v * (int64_t)(n - i) / attack;
        add(l, at + i, (int32_t)(v * PLUCK >> 30));
        level -= level * fall >> 32;
    }
}

/* One long note that swells and fades over its bar. */
static void bass(const struct loop *l, size_t at, size_t n, uint32_t mhz)
{
    uint32_t move = sine_step(mhz, l->rate_hz), phase = 0;
    for (size_t i = 0; i < n; i++, phase += move) {
        uint32_t turn = (uint32_t)(((uint64_t)i << 31) / n); /* half a turn over the bar */
        int64_t v = (int64_t)sine_q30(phase) * sine_q30(turn) >> 30;
        add(l, at + i, (int32_t)(v * BASS >> 30));
    }
}

void moh_make(int16_t *out, uint32_t rate_hz)
{
    struct loop l = {out, moh_samples(rate_hz), rate_hz};
    size_t bar = l.n / BARS;
    memset(out, 0, l.n * sizeof(*out));
    for (size_t b = 0; b < BARS; b++) {
        bass(&l, b * bar, bar, pitch_mhz(bars[b].bass));
        for (size_t i = 0; i < NOTES; i++)
            pluck(&l, b * bar + i * bar / NOTES, pitch_mhz(bars[b].note[i]));
    }
}
