/* Digits by their tones: all of them, soft and loud, short, askew, and nothing else. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "engine/media/codec.h"
#include "engine/media/hear.h"

static const char digits[] = "123A456B789C*0#D";
static const double low[] = {697, 770, 852, 941}, high[] = {1209, 1336, 1477, 1633};

struct bed {
    struct hear *h;
    struct rand rand;
    uint32_t rate;
    double offset, noise; /* of all samples: a constant, an amplitude */
    int16_t frame[960];
    unsigned filled;
    char got[256];
    unsigned n;
};

struct tone {
    double a, b, low_dbm0, high_dbm0;
};

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    b->h = hear_new();
    assert_non_null(b->h);
    b->rate = 8000;
    rand_seed(&b->rand, 11);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    hear_free(b->h);
    mem_free(b);
    return mem_live() != 0;
}

static void sample(struct bed *b, double v)
{
    double n = ((double)rand_below(&b->rand, 65536) / 32768 - 1) * b->noise;
    v = fmax(-32768, fmin(32767, v + n + b->offset));
    b->frame[b->filled++] = (int16_t)lrint(v);
    if (b->filled < b->rate / 50)
        return;
    b->filled = 0;
    char c = hear_frame(b->h, b->frame, b->rate / 50, b->rate);
    if (c && b->n < sizeof(b->got) - 1)
        b->got[b->n++] = c;
}

/* A sine of 3.14 dBm0 just fills the range (ITU-T G.711). */
static double amplitude(double dbm0)
{
    return 32767 * pow(10, (dbm0 - 3.14) / 20);
}

static void play(struct bed *b, const struct tone *t, unsigned ms)
{
    for (unsigned i = 0; i < b->rate / 1000 * ms; i++)
        sample(b, amplitude(t->low_dbm0) * sin(2 * M_PI * t->a * i / b->rate) +
                      amplitude(t->high_dbm0) * sin(2 * M_PI * t->b * i / b->rate));
}

static void quiet(struct bed *b, unsigned ms)
{
    for (unsigned i = 0; i < b->rate / 1000 * ms; i++)
        sample(b, 0);
}

static struct tone tone_of(unsigned i, double low_dbm0, double high_dbm0)
{
    return (struct tone){low[i / 4], high[i % 4], low_dbm0, high_dbm0};
}

/* All sixteen, each once. `pause` also tells how they fall between the frames. */
static void all(struct bed *b, double low_dbm0, double high_dbm0, unsigned on, unsigned pause)
{
    b->n = 0;
    memset(b->got, 0, sizeof(b->got));
    for (unsigned i = 0; i < 16; i++) {
        struct tone t = tone_of(i, low_dbm0, high_dbm0);
        play(b, &t, on);
        quiet(b, pause);
    }
    quiet(b, 100);
    assert_string_equal(b->got, digits);
}

static void test_levels(void **state)
{
    for (double level = -30; level <= -10; level += 5)
        for (unsigned pause = 50; pause < 70; pause += 3)
            all(*state, level, level, 60, pause);
    all(*state, -4, -4, 60, 50);
}

static void test_short(void **state)
{
    for (unsigned pause = 40; pause < 80; pause++)
        all(*state, -12, -12, 40, pause);
}

static void test_long_press_is_one(void **state)
{
    all(*state, -10, -10, 2000, 60);
}

static void test_twist(void **state)
{
    all(*state, -18, -14.5, 50, 50);
    all(*state, -10, -17.5, 50, 50);
    /* More is no telephone. */
    struct bed *b = *state;
    b->n = 0;
    for (unsigned i = 0; i < 16; i++) {
        struct tone t = tone_of(i, i % 2 ? -8 : -24, i % 2 ? -24 : -8);
        play(b, &t, 60);
        quiet(b, 60);
    }
    assert_int_equal(b->n, 0);
}

static void test_rates(void **state)
{
    static const uint32_t rates[] = {16000, 32000, 48000, 8000};
    struct bed *b = *state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        b->rate = rates[i];
        all(b, -20, -20, 45, 55);
    }
}

static void test_offset_and_noise(void **state)
{
    struct bed *b = *state;
    b->offset = 1500;
    all(b, -24, -24, 60, 60);
    b->noise = amplitude(-40);
    all(b, -20, -20, 60, 60);
}

/* By way of G.711, as most of them come. */
static void test_companded(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < 16; i++) {
        struct tone t = tone_of(i, -25, -25);
        b->n = 0;
        for (unsigned k = 0; k < 960; k++) {
            double on = k < 480 ? amplitude(-25) : 0;
            double v = on * (sin(2 * M_PI * t.a * k / 8000) + sin(2 * M_PI * t.b * k / 8000));
            sample(b, codec_ulaw_sample(codec_ulaw_code((int16_t)lrint(v))));
        }
        assert_int_equal(b->n, 1);
        assert_int_equal(b->got[0], digits[i]);
    }
}

static void test_off_frequency(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < 16; i++) {
        struct tone t = tone_of(i, -15, -15);
        t.a *= 1.01;
        t.b *= 0.99;
        play(b, &t, 60);
        quiet(b, 60);
    }
    assert_string_equal(b->got, digits);
    b->n = 0;
    for (unsigned i = 0; i < 16; i++) {
        struct tone t = tone_of(i, -15, -15);
        t.a *= 1.04;
        play(b, &t, 60);
        quiet(b, 60);
    }
    assert_int_equal(b->n, 0);
}

/* Noise, and voices: harmonics of a pitch that glides, in syllables. A minute of each. */
static void test_no_speech(void **state)
{
    struct bed *b = *state;
    b->noise = 12000;
    quiet(b, 60000);
    assert_int_equal(b->n, 0);
    b->noise = 100;
    double phase = 0, pitch = 150;
    for (unsigned i = 0; i < 8 * 60000; i++) {
        pitch = 180 + 80 * sin(2 * M_PI * i / 8000 * 0.7) + 30 * sin(2 * M_PI * i / 8000 * 3.1);
        phase += 2 * M_PI * pitch / 8000;
        double loud = fmax(0, sin(2 * M_PI * i / 8000 * 4)), v = 0;
        double formant = 900 + 500 * sin(2 * M_PI * i / 8000 * 1.3);
        for (unsigned k = 1; k * pitch < 3400; k++) {
            double d = (k * pitch - formant) / 300, e = (k * pitch - 1500) / 400;
            v += (exp(-d * d) + exp(-e * e) + 0.05) * sin(k * phase);
        }
        sample(b, 4000 * loud * v);
    }
    assert_int_equal(b->n, 0);
    /* A dial tone, a ringing tone, one half of a digit. */
    static const struct tone tones[] = {
        {425, 425, -13, -13}, {440, 480, -13, -13}, {697, 697, -13, -13}, {1209, 1209, -13, -13}};
    for (size_t i = 0; i < ARRAY_LEN(tones); i++)
        play(b, &tones[i], 5000);
    assert_int_equal(b->n, 0);
}

static void test_no_memory(void **state)
{
    mem_fail_after(1);
    struct hear *h = hear_new();
    mem_fail_after(0);
    assert_null(h);
    hear_free(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_levels),    T(test_short),     T(test_long_press_is_one),
        T(test_twist),     T(test_rates),     T(test_offset_and_noise),
        T(test_companded), T(test_no_speech), T(test_off_frequency),
        T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
