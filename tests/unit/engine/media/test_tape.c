/* The tape alone: what is made up follows what was heard, and nothing clicks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/assert.h"
#include "engine/media/tape.h"

static struct tape t;
static int16_t out[TAPE_CAPACITY];
static const uint32_t rates[] = {8000, 16000, 48000};

/* n samples of a tone, whose phase goes on; amplitude grows by `grow` a second. */
static double phase, level;

static void speak(unsigned n, double hz, double grow)
{
    int16_t *to = tape_room(&t);
    for (unsigned i = 0; i < n; i++) {
        to[i] = (int16_t)lrint(level * sin(phase));
        phase += 2 * M_PI * hz / t.rate;
        level += grow / t.rate;
    }
    tape_add(&t, n);
}

static void begin(uint32_t rate)
{
    memset(&t, 0, sizeof(t));
    phase = 0;
    level = 8000;
    tape_start(&t, rate);
}

static unsigned take_all(void)
{
    unsigned n = tape_waiting(&t);
    tape_take(&t, out, n);
    return n;
}

static int step_of(const int16_t *s, unsigned n)
{
    int most = 0;
    for (unsigned i = 1; i < n; i++)
        most = abs(s[i] - s[i - 1]) > most ? abs(s[i] - s[i - 1]) : most;
    return most;
}

static int peak(const int16_t *s, unsigned n)
{
    int most = 0;
    for (unsigned i = 0; i < n; i++)
        most = abs(s[i]) > most ? abs(s[i]) : most;
    return most;
}

/* A tone goes on, in phase and at its level for 20 ms, fades, and is silent after 60. */
static void test_extend(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        begin(rates[k]);
        unsigned ms = rates[k] / 1000;
        speak(40 * ms, 300, 0);
        tape_extend(&t, 100 * ms);
        assert_false(tape_real(&t));
        assert_true(tape_silent(&t));
        assert_int_equal(take_all(), 140 * ms);
        for (unsigned i = 0; i < 20 * ms; i++) {
            double right = 8000 * sin(2 * M_PI * 300 * (40 * ms + i) / rates[k]);
            assert_true(fabs(out[40 * ms + i] - right) < 8000 * 0.15);
        }
        assert_in_range(peak(out + 59 * ms, 4 * ms), 7600, 8001);
        assert_in_range(peak(out + 78 * ms, 4 * ms), 3600, 4400);
        assert_int_equal(peak(out + 100 * ms, 40 * ms), 0);
        assert_true(step_of(out, 140 * ms) <= 8000 * 2 * M_PI * 300 / rates[k] * 1.2 + 20);
    }
}

/* A signal that is not like itself: the cycle's end does not meet its begin, and it is not heard.
 */
static void test_seam(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        begin(rates[k]);
        unsigned n = rates[k] / 25;
        int16_t *to = tape_room(&t);
        for (unsigned i = 0; i < n; i++)
            to[i] = (int16_t)(i * 16000 / n);
        tape_add(&t, n);
        tape_extend(&t, n / 2);
        take_all();
        assert_true(step_of(out, n * 3 / 2) <= (int)(1600000 / rates[k]));
    }
}

static void test_hush(void **state)
{
    begin(8000);
    speak(320, 300, 0);
    tape_extend(&t, 240); /* 30 ms: it fades already */
    tape_hush(&t);
    tape_extend(&t, 240);
    assert_true(tape_silent(&t));
    take_all();
    assert_true(step_of(out, 800) <= 8000 * 2 * M_PI * 300 / 8000 * 1.2);
    assert_true(peak(out + 560, 40) > 2000);
    assert_int_equal(peak(out + 641, 150), 0);
    /* And at once after speech. */
    speak(320, 300, 0);
    tape_hush(&t);
    tape_extend(&t, 100);
    assert_true(tape_silent(&t));
    take_all();
    assert_int_equal(peak(out + 401, 19), 0);
    assert_true(step_of(out, 420) <= 8000 * 2 * M_PI * 300 / 8000 * 1.2);
}

static void test_join(void **state)
{
    begin(8000);
    speak(320, 300, 0);
    int16_t *to = tape_room(&t);
    for (unsigned i = 0; i < 320; i++)
        to[i] = (int16_t)(-8000 * cos(2 * M_PI * 300 * i / 8000));
    tape_join(&t, 320);
    tape_add(&t, 320);
    take_all();
    assert_true(step_of(out, 640) <= 8000 * 2 * M_PI * 300 / 8000 * 1.6);
    /* From silence. */
    tape_extend(&t, 800);
    take_all();
    speak(1, 300, 0);
    t.w--;
    to = tape_room(&t);
    for (unsigned i = 0; i < 160; i++)
        to[i] = 8000;
    tape_extend(&t, 1);
    t.w--;
    tape_join(&t, 160);
    tape_add(&t, 160);
    take_all();
    assert_true(step_of(out, 160) <= 8000 / 40 + 1);
}

/* Another rate: the last sample fades, and the new sound rises out of it. */
static void test_other_rate(void **state)
{
    begin(8000);
    speak(325, 300, 0);
    take_all();
    int last = out[324];
    assert_true(abs(last) > 2000);
    tape_start(&t, 16000);
    tape_extend(&t, 320);
    take_all();
    assert_true(abs(out[0] - last) < 100);
    assert_true(step_of(out, 320) < 200);
    assert_int_equal(peak(out + 100, 220), 0);
}

/* Shorter and longer by whole periods: the tone has no seam. */
static void test_cut_and_repeat(void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        begin(rates[k]);
        unsigned ms = rates[k] / 1000, waiting;
        speak(40 * ms, 217, 0);
        tape_take(&t, out, 40 * ms);
        int first = out[40 * ms - 1];
        for (unsigned i = 0; i < 40; i++) {
            speak(40 * ms, 217, 0);
            waiting = tape_waiting(&t);
            unsigned n = i % 2 ? tape_cut(&t, 15 * ms, false) : tape_repeat(&t, false);
            assert_in_range(n, 5 * ms, 15 * ms);
            assert_int_equal(tape_waiting(&t), i % 2 ? waiting - n : waiting + n);
            unsigned got = take_all();
            assert_true(abs(out[0] - first) <= 8000 * 2 * M_PI * 217 / rates[k] * 1.3 + 8);
            assert_true(step_of(out, got) <= 8000 * 2 * M_PI * 217 / rates[k] * 1.3 + 8);
            assert_in_range(peak(out, 15 * ms), 7000, 8001);
            first = out[got - 1];
        }
    }
}

static void test_no_place_to_cut(void **state)
{
    begin(8000);
    uint32_t x = 1;
    speak(320, 300, 0);
    tape_take(&t, out, 320);
    int16_t *to = tape_room(&t);
    for (unsigned i = 0; i < 320; i++) {
        x = x * 1664525 + 1013904223;
        to[i] = (int16_t)((int32_t)x >> 18);
    }
    tape_add(&t, 320);
    assert_int_equal(tape_cut(&t, 120, false), 0);
    assert_int_equal(tape_repeat(&t, false), 0);
    assert_int_equal(tape_cut(&t, 39, true), 0); /* below 5 ms */
    assert_in_range(tape_cut(&t, 50, true), 40, 50);
    take_all();
    speak(100, 300, 0);
    assert_int_equal(tape_cut(&t, 120, true), 0); /* too little waits */
}

static void test_cycle(void **state)
{
    begin(8000);
    speak(320, 200, 0);
    assert_int_equal(tape_rest_of_cycle(&t), 0);
    tape_extend(&t, 170);
    unsigned rest = tape_rest_of_cycle(&t);
    assert_int_equal((170 + rest) % 40, 0);
    tape_extend(&t, rest);
    assert_int_equal(tape_rest_of_cycle(&t), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_seam),
        cmocka_unit_test(test_hush),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_other_rate),
        cmocka_unit_test(test_cut_and_repeat),
        cmocka_unit_test(test_no_place_to_cut),
        cmocka_unit_test(test_cycle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
