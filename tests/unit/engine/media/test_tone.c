/* Tones by what is heard: frequency, level, cadence, edges. The measure is a Fourier sum in
 * floating point of its own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/media/sine.h"
#include "engine/media/tone.h"

#define PI 3.14159265358979323846

static const uint32_t rates[] = {8000, 16000, 48000};

static const char *const countries[] = {"KR", "US", "GB", "DE", "FR", "JP",
                                        "CN", "IT", "ES", "IN", "AU", "BR"};

/* By its series; x of any size. */
static double sine(double x)
{
    x -= 2 * PI * (double)(long)(x / (2 * PI));
    if (x > PI)
        x -= 2 * PI;
    if (x < -PI)
        x += 2 * PI;
    double term = x, sum = x;
    for (int k = 1; k < 16; k++) {
        term *= -x * x / (2 * k * (2 * k + 1));
        sum += term;
    }
    return sum;
}

/* The square of the peak of the part at hz. */
static double part(const int16_t *s, size_t n, double hz, uint32_t rate)
{
    double a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
        double w = 2 * PI * hz * (double)i / rate;
        a += s[i] * sine(w);
        b += s[i] * sine(w + PI / 2);
    }
    return (a * a + b * b) * 4 / ((double)n * (double)n);
}

static void expect_peak(const int16_t *s, size_t n, double hz, uint32_t rate, double peak)
{
    double p = part(s, n, hz, rate);
    /* Within 0.1 dB. */
    assert_true(p > peak * peak * 0.977 && p < peak * peak * 1.023);
}

static void the_sine_is_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4096; i++) {
        uint32_t phase = i << 20;
        double want = sine(2 * PI * i / 4096) * (1 << 30);
        assert_true(abs(sine_q30(phase) - (int32_t)want) < 1500);
    }
    assert_true(sine_q30(1u << 30) > (1 << 30) - 1500);
    assert_true(sine_q30(3u << 30) < -(1 << 30) + 1500);
}

static void ringback_of_korea(void **state)
{
    (void)state;
    static int16_t s[48000 * 6];
    for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
        uint32_t rate = rates[r];
        struct tone t;
        assert_int_equal(tone_start(&t, rate, STR("kr"), TONE_RINGBACK), 0);
        /* In pieces that fit nothing. */
        for (size_t at = 0; at < rate * 6; at += 160) {
            size_t n = rate * 6 - at < 160 ? rate * 6 - at : 160;
            assert_int_equal(tone_make(&t, s + at, n), n);
        }
        for (unsigned round = 0; round < 2; round++) {
            const int16_t *on = s + rate * 3 * round;
            expect_peak(on + rate / 10, rate / 2, 440, rate, 4993);
            expect_peak(on + rate / 10, rate / 2, 480, rate, 4993);
            assert_true(part(on + rate / 10, rate / 2, 620, rate) < 25);
            assert_true(part(on + rate / 10, rate / 2, 1000, rate) < 25);
            for (size_t i = rate; i < 3 * rate; i++)
                assert_int_equal(on[i], 0);
            assert_true(abs(on[1]) < 300 && abs(on[rate - 1]) < 300);
        }
    }
}

/* The longest step that the sound may make from a sample to the next. */
static int steepest(const struct tone *t)
{
    double sum = 0;
    for (size_t p = 0; p < TONE_PARTS; p++)
        sum += t->peak[p] * (2 * PI * t->move[p] / 4294967296.0 + 1.0 / t->ramp);
    return (int)sum + 2;
}

static void no_tone_clicks_or_clips(void **state)
{
    (void)state;
    int16_t s[80];
    for (size_t c = 0; c < ARRAY_LEN(countries); c++) {
        for (unsigned k = 0; k < TONE_KINDS; k++) {
            struct tone t;
            int16_t last = 0, peak = 0;
            int limit = 0;
            assert_int_equal(tone_start(&t, 8000, str_z(countries[c]), (enum tone_kind)k), 0);
            for (unsigned block = 0; block < 1200; block++) { /* 12 s */
                int before = steepest(&t);
                assert_int_equal(tone_make(&t, s, 80), 80);
                limit = steepest(&t) > before ? steepest(&t) : before;
                for (size_t i = 0; i < 80; i++) {
                    assert_true(abs(s[i] - last) <= limit);
                    last = s[i];
                    peak = abs(last) > peak ? (int16_t)abs(last) : peak;
                }
            }
            assert_in_range(peak, 2000, 15000);
        }
    }
}

static void what_has_no_end_has_no_gap(void **state)
{
    (void)state;
    struct tone t;
    static int16_t s[8000];
    assert_int_equal(tone_start(&t, 8000, STR("DE"), TONE_DIAL), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(tone_make(&t, s, 8000), 8000);
    expect_peak(s, 8000, 425, 8000, 4993);
    struct tone none = {0};
    assert_int_equal(tone_make(&none, s, 10), 0);
}

static void special_information_rises(void **state)
{
    (void)state;
    struct tone t;
    static int16_t s[16000];
    assert_int_equal(tone_start(&t, 8000, STR("US"), TONE_INFO), 0);
    tone_make(&t, s, 16000);
    static const double hz[] = {950, 1400, 1800};
    for (size_t i = 0; i < 3; i++) {
        const int16_t *at = s + 2640 * i + 320;
        for (size_t k = 0; k < 3; k++) {
            if (k == i)
                expect_peak(at, 1600, hz[k], 8000, 4993);
            else
                assert_true(part(at, 1600, hz[k], 8000) < 100);
        }
    }
    for (size_t i = 2640 * 3; i < 2640 * 3 + 8000; i++)
        assert_int_equal(s[i], 0);
    assert_int_not_equal(s[2640 * 3 + 8000 + 20], 0);
}

static void modulation_has_sidebands(void **state)
{
    (void)state;
    struct tone t;
    static int16_t s[16000];
    assert_int_equal(tone_start(&t, 16000, STR("IN"), TONE_DIAL), 0);
    tone_make(&t, s, 1600);
    tone_make(&t, s, 16000);
    expect_peak(s, 16000, 400, 16000, 4993);
    expect_peak(s, 16000, 375, 16000, 2502);
    expect_peak(s, 16000, 425, 16000, 2502);
}

static void digits_are_those_of_q_23(void **state)
{
    (void)state;
    static const char keys[] = "147*2580369#ABCD";
    static const double low[] = {697, 770, 852, 941}, high[] = {1209, 1336, 1477, 1633};
    static int16_t s[48000];
    for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
        uint32_t rate = rates[r];
        for (size_t k = 0; k < 16; k++) {
            struct tone t;
            assert_int_equal(tone_digit(&t, rate, keys[k], 120, 80), 0);
            assert_int_equal(tone_make(&t, s, rate), rate / 5);
            const int16_t *on = s + rate / 100;
            for (size_t i = 0; i < 4; i++) {
                /* 100 ms: the parts do not fall on whole periods. */
                double l = part(on, rate / 10, low[i], rate),
                       h = part(on, rate / 10, high[i], rate);
                assert_true((l > 6700.0 * 6700) == (i == k % 4) && (l < 7400.0 * 7400));
                assert_true((h > 8500.0 * 8500) == (i == k / 4) && (h < 9300.0 * 9300));
            }
            assert_int_equal(s[rate * 120 / 1000], 0);
        }
    }
}

static void wrong_arguments_change_nothing(void **state)
{
    (void)state;
    struct tone t, before;
    assert_int_equal(tone_digit(&t, 8000, '5', 100, 0), 0);
    before = t;
    assert_int_equal(tone_start(&t, 8000, STR("XX"), TONE_BUSY), -ENOENT);
    assert_int_equal(tone_start(&t, 8000, STR_NONE, TONE_BUSY), -ENOENT);
    assert_int_equal(tone_start(&t, 7999, STR("KR"), TONE_BUSY), -EINVAL);
    assert_int_equal(tone_start(&t, 48001, STR("KR"), TONE_BUSY), -EINVAL);
    assert_int_equal(tone_digit(&t, 8000, 'E', 100, 0), -EINVAL);
    assert_int_equal(tone_digit(&t, 8000, '\0', 100, 0), -EINVAL);
    assert_int_equal(tone_digit(&t, 8000, '1', 0, 0), -EINVAL);
    assert_int_equal(tone_digit(&t, 8000, '1', 60001, 0), -EINVAL);
    assert_int_equal(tone_digit(&t, 0, '1', 10, 0), -EINVAL);
    assert_memory_equal(&t, &before, sizeof(t));
}

static void music_is_heard_and_its_loop_closes(void **state)
{
    (void)state;
    for (size_t r = 0; r < 2; r++) {
        uint32_t rate = rates[r];
        size_t n = moh_samples(rate);
        int16_t *s = mem_alloc(n * sizeof(*s));
        assert_non_null(s);
        moh_make(s, rate);
        int peak = 0, step = abs(s[0] - s[n - 1]), longest = 0;
        for (size_t i = 0; i < n; i++) {
            peak = abs(s[i]) > peak ? abs(s[i]) : peak;
            if (i && abs(s[i] - s[i - 1]) > longest)
                longest = abs(s[i] - s[i - 1]);
        }
        assert_in_range(peak, 4000, 16000);
        assert_in_range(longest, 1, rate == 8000 ? 9000 : 4500);
        assert_true(step <= longest);
        /* Never silent for half a second, never steady. */
        for (size_t at = 0; at + rate / 2 <= n; at += rate / 2) {
            double energy = 0;
            for (size_t i = 0; i < rate / 2; i++)
                energy += (double)s[at + i] * s[at + i];
            assert_true(energy / (rate / 2) > 500.0 * 500);
        }
        /* The first note is C5 over C4. */
        assert_true(part(s + rate / 50, rate / 5, 523.25, rate) > 1000.0 * 1000);
        mem_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sine_is_one),
        cmocka_unit_test(ringback_of_korea),
        cmocka_unit_test(no_tone_clicks_or_clips),
        cmocka_unit_test(what_has_no_end_has_no_gap),
        cmocka_unit_test(special_information_rises),
        cmocka_unit_test(modulation_has_sidebands),
        cmocka_unit_test(digits_are_those_of_q_23),
        cmocka_unit_test(wrong_arguments_change_nothing),
        cmocka_unit_test(music_is_heard_and_its_loop_closes),
    };
    return cmocka_run_group_tests_name("tone", tests, NULL, NULL);
}
