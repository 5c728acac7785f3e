/* A conference room by ear: members say tones, and what each one hears is taken apart again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/mix.h"
#include "sound.h"

#define MEMBERS 12
#define HEARD   (48000 * 2)
#define QUIET   8 /* an amplitude that counts as not heard */

struct mouthful {
    double hz, amp; /* amp 0: no frame */
    double noise;   /* amplitude */
    uint64_t at;
    int16_t said[MIX_MAX_FRAME];
    int16_t heard[HEARD]; /* the last of it ends at n */
    unsigned n;
    bool shared;
};

struct room {
    struct mix *m;
    uint32_t rate, seed;
    struct mouthful s[MEMBERS];
};

static void open_room(struct room *r, uint32_t rate, const struct mix_conf *conf)
{
    r->m = mix_new(rate, conf);
    r->rate = rate;
    assert_non_null(r->m);
}

static int setup(void **state)
{
    struct room *r = mem_zero(sizeof(*r));
    *state = r;
    return r ? 0 : -1;
}

static int teardown(void **state)
{
    struct room *r = *state;
    mix_free(r->m);
    mem_free(r);
    return mem_live() != 0;
}

static void join(struct room *r, unsigned i, double hz, double amp)
{
    mix_join(r->m, i);
    r->s[i].hz = hz;
    r->s[i].amp = amp;
    r->s[i].at = 0;
}

static unsigned chance(struct room *r, unsigned of)
{
    r->seed = r->seed * 1664525u + 1013904223u;
    return (r->seed >> 16) % of;
}

static void say(struct room *r, unsigned i)
{
    struct mouthful *s = &r->s[i];
    unsigned n = r->rate / 50;
    if (s->amp <= 0 && s->noise <= 0)
        return;
    sine(s->said, n, s->at, s->hz, r->rate, s->amp);
    for (unsigned k = 0; k < n && s->noise > 0; k++)
        s->said[k] = (int16_t)(s->said[k] + s->noise * ((int)chance(r, 2001) - 1000) / 1000);
    mix_in(r->m, i, s->said);
}

static void hear(struct room *r, unsigned i)
{
    struct mouthful *s = &r->s[i];
    unsigned n = r->rate / 50;
    const int16_t *out = mix_out(r->m, i, &s->shared);
    s->at += n;
    if (!out)
        return;
    if (s->n + n > HEARD) {
        memmove(s->heard, s->heard + HEARD / 2, HEARD / 2 * sizeof(*s->heard));
        s->n -= HEARD / 2;
    }
    memcpy(s->heard + s->n, out, n * sizeof(*out));
    s->n += n;
}

static void tick(struct room *r)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        say(r, i);
    mix_run(r->m);
    for (unsigned i = 0; i < MEMBERS; i++)
        hear(r, i);
}

static void run(struct room *r, unsigned ms)
{
    for (; ms >= 20; ms -= 20)
        tick(r);
}

/* The amplitude of `hz` in the last `ms` that the member has heard. */
static double hears(const struct room *r, unsigned i, double hz, unsigned ms)
{
    unsigned n = r->rate / 1000 * ms;
    assert_true(r->s[i].n >= n);
    return level(r->s[i].heard + r->s[i].n - n, n, hz, r->rate);
}

static double db(double ratio)
{
    return 20 * log10(ratio);
}

static const struct mix_conf no_gain = {
    .members = MEMBERS, .talkers = 4, .target_dbov = -20, .max_gain_db = 0, .hold_ms = 400};

static void test_each_hears_all_others(void **state)
{
    struct room *r = *state;
    static const uint32_t rates[] = {8000, 16000, 32000, 48000};
    for (unsigned k = 0; k < ARRAY_LEN(rates); k++) {
        open_room(r, rates[k], NULL);
        for (unsigned i = 0; i < 6; i++)
            join(r, i, 300 + 250 * i, i < 5 ? 4600 : 0); /* -20 dBov; the last one listens */
        run(r, 1000);
        for (unsigned i = 0; i < 6; i++)
            for (unsigned z = 0; z < 5; z++) {
                double l = hears(r, i, r->s[z].hz, 200);
                assert_true(i == z ? l < QUIET : l > 4400 && l < 4800);
            }
        mix_free(r->m);
        r->m = NULL;
    }
}

/* The first 5 ms are faded in; the rest is the other one's frame of the same tick, to the bit, and
 * also at full scale. */
static void test_two_hear_each_other_exactly(void **state)
{
    struct room *r = *state;
    open_room(r, 16000, NULL);
    join(r, 0, 440, 32767);
    join(r, 1, 900, 0);
    r->s[1].noise = 200;
    tick(r);
    assert_memory_equal(r->s[1].heard + 80, r->s[0].said + 80, 240 * sizeof(int16_t));
    for (unsigned t = 0; t < 100; t++) {
        tick(r);
        for (unsigned i = 0; i < 2; i++)
            assert_memory_equal(r->s[i].heard + r->s[i].n - 320, r->s[1 - i].said,
                                320 * sizeof(int16_t));
    }
}

/* A third one brings gain and gate; when it has gone both are taken back. */
static void test_three_and_back_to_two(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    join(r, 0, 440, 1000);
    join(r, 1, 900, 32767);
    run(r, 200);
    join(r, 2, 1300, 3000);
    run(r, 4000);
    assert_true(hears(r, 0, 900, 200) < 9000);
    assert_true(hears(r, 1, 440, 200) > 2500);
    mix_leave(r->m, 2);
    run(r, 2200);
    assert_memory_equal(r->s[1].heard + r->s[1].n - 160, r->s[0].said, 160 * sizeof(int16_t));
    assert_memory_equal(r->s[0].heard + r->s[0].n - 160, r->s[1].said, 160 * sizeof(int16_t));
}

/* Four of six are heard; who is a little louder waits, who is much louder gets in. */
static void test_loudest_are_heard(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, &no_gain);
    for (unsigned i = 0; i < 7; i++)
        join(r, i, 300 + 250 * i, i < 6 ? 3000 : 0);
    for (unsigned i = 0; i < 6; i++)
        r->s[i].amp = 4000 - 500 * i;
    run(r, 1000);
    for (unsigned i = 0; i < 6; i++)
        assert_true(i < 4 ? hears(r, 6, r->s[i].hz, 200) > 2400
                          : hears(r, 6, r->s[i].hz, 200) < QUIET);
    r->s[5].amp = 3500; /* the last of the four says 2500: 3 dB */
    run(r, 1000);
    assert_true(hears(r, 6, r->s[5].hz, 200) < QUIET);
    r->s[5].amp = 6000;
    run(r, 1000);
    for (unsigned i = 0; i < 6; i++)
        assert_true(i < 3 || i == 5 ? hears(r, 6, r->s[i].hz, 200) > 2900
                                    : hears(r, 6, r->s[i].hz, 200) < QUIET);
}

/* Who waits is heard as soon as one of the talkers has stopped and its hold is over. */
static void test_place_of_who_stops(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, &no_gain);
    for (unsigned i = 0; i < 6; i++)
        join(r, i, 300 + 250 * i, i < 5 ? 4000 - 400 * i : 0);
    run(r, 500);
    assert_true(hears(r, 5, r->s[4].hz, 200) < QUIET);
    r->s[1].amp = 0;
    run(r, 700);
    assert_true(hears(r, 5, r->s[4].hz, 200) > 2300);
}

/* 30 dB apart: 12 dB of it are made up for at either end. */
static void test_levels_are_evened(void **state)
{
    struct room *r = *state;
    open_room(r, 16000, NULL);
    join(r, 0, 500, 18000);
    join(r, 1, 1200, 18000 / 31.6);
    join(r, 2, 0, 0);
    tick(r);
    assert_true(fabs(db(hears(r, 2, 500, 10) / hears(r, 2, 1200, 10)) - 30) < 1);
    run(r, 4000);
    double loud = hears(r, 2, 500, 500), weak = hears(r, 2, 1200, 500);
    assert_true(fabs(db(loud / 18000) + 12) < 0.5);
    assert_true(fabs(db(weak / (18000 / 31.6)) - 12) < 0.5);
    assert_true(db(loud / weak) < 7);
}

/* The gain learns nothing from pauses, however long. */
static void test_gain_rests_in_pauses(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    join(r, 0, 500, 1200);
    join(r, 1, 0, 0);
    join(r, 2, 0, 0);
    r->s[0].noise = 60;
    run(r, 4000);
    double before = hears(r, 1, 500, 200);
    r->s[0].amp = 0;
    run(r, 10000);
    r->s[0].amp = 1200;
    run(r, 240);
    assert_true(before > 3500);
    assert_true(fabs(db(hears(r, 1, 500, 200) / before)) < 0.3);
}

/* Ten at full scale: eight are heard, 12 dB weaker each, twice as loud as fits. The sum is turned
 * down and stays clean: what is not one of the tones is 40 dB below them. */
static void test_no_distortion(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < 11; i++)
        join(r, i, 210 + 130 * i, i < 10 ? 32767 : 0);
    run(r, 4000);
    const int16_t *x = r->s[10].heard + r->s[10].n - 8000;
    double power = 0, tones = 0;
    int peak = 0;
    for (unsigned k = 0; k < 8000; k++) {
        power += (double)x[k] * x[k] / 8000;
        peak = abs(x[k]) > peak ? abs(x[k]) : peak;
    }
    for (unsigned i = 0; i < 10; i++) {
        double l = level(x, 8000, r->s[i].hz, 8000);
        tones += l * l / 2;
    }
    assert_true(peak > 20000 && peak < 29300);
    assert_true((power - tones) / tones < 1e-4);
}

/* A burst from nothing to full scale, in phase: before the limiter has seen it the curve bends,
 * so nothing wraps around and half waves stay half waves. */
static void test_burst_does_not_wrap(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, &no_gain);
    for (unsigned i = 0; i < 5; i++)
        join(r, i, 100, 0);
    for (unsigned round = 0; round < 3; round++) {
        r->s[4].n = 0;
        for (unsigned i = 0; i < 4; i++)
            r->s[i].amp = round ? 32767 : 8000;
        run(r, 100);
        for (unsigned k = 0; k < 800; k++) {
            int v = r->s[4].heard[k];
            unsigned phase = k % 80;
            assert_true(abs(v) < 32767);
            assert_true(phase == 0 || phase == 40 || (phase < 40) == (v > 0));
        }
    }
}

static int most_step(const struct room *r, unsigned i)
{
    int most = 0;
    for (unsigned k = 1; k < r->s[i].n; k++) {
        int d = abs(r->s[i].heard[k] - r->s[i].heard[k - 1]);
        most = d > most ? d : most;
    }
    return most;
}

/* Members come, go, are muted and fall silent at any point of their tones. At 48 kHz four tones
 * below 200 Hz move by less than 700 a sample with their fades; one that broke off would show as
 * up to 8000. */
static void test_no_clicks(void **state)
{
    struct room *r = *state;
    open_room(r, 48000, &no_gain);
    r->seed = 4711;
    join(r, 0, 90, 0);
    bool there[8] = {false};
    for (unsigned t = 0; t < 4000; t++) {
        unsigned i = 1 + chance(r, 6);
        if (chance(r, 4) == 0) {
            if (there[i])
                mix_leave(r->m, i);
            else
                join(r, i, 80 + 15 * i, 8000);
            there[i] = !there[i];
        }
        if (chance(r, 4) == 0)
            mix_set(r->m, i, chance(r, 3) ? 0 : MIX_MUTED);
        r->s[i].amp = chance(r, 3) ? 8000 : 0;
        r->s[0].amp = t / 40 % 2 ? 8000 : 0;
        tick(r);
        if (r->s[0].n >= HEARD - 960 || t == 3999)
            assert_true(most_step(r, 0) < 900);
    }
    assert_true(most_step(r, 0) > 100);
}

/* With the limiter at work, from a sum of one's own to that of all and back. The two sums are
 * turned down by different amounts, since the member itself is the loudest part of one. */
static void test_no_click_at_switch(void **state)
{
    struct room *r = *state;
    struct mix_conf conf = no_gain;
    conf.talkers = 8;
    open_room(r, 48000, &conf);
    for (unsigned i = 0; i < 8; i++)
        join(r, i, 60 + 7 * i, i ? 12000 : 32767);
    run(r, 1000);
    for (unsigned t = 0; t < 1495; t++) { /* 23: each time at another point of the tones */
        r->s[0].amp = t / 23 % 2 ? 32767 : 0;
        tick(r);
        if (t % 23 == 22) {
            assert_true(most_step(r, 0) < 600);
            assert_int_equal(r->s[0].shared, t / 23 % 2 == 0);
        }
    }
}

static void test_one_sum_is_shared(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < MEMBERS; i++)
        join(r, i, 300 + 100 * i, i < 3 ? 5000 : 0);
    mix_set(r->m, 2, MIX_DEAF);
    mix_set(r->m, 11, MIX_DEAF);
    assert_null(mix_total(r->m));
    run(r, 200);
    assert_non_null(mix_total(r->m));
    for (unsigned i = 0; i < MEMBERS; i++) {
        bool shared;
        const int16_t *out = mix_out(r->m, i, &shared);
        if (i == 2 || i == 11)
            assert_null(out);
        else if (i < 2)
            assert_ptr_not_equal(out, mix_total(r->m));
        else
            assert_ptr_equal(out, mix_total(r->m));
        assert_int_equal(shared, out == mix_total(r->m));
    }
    assert_true(level(mix_total(r->m), 160, 500, 8000) > 3000); /* of the deaf one */
    join(r, 11, 0, 0);
    assert_null(mix_out(r->m, 11, &(bool){false}));
    mix_leave(r->m, 3);
    assert_null(mix_out(r->m, 3, &(bool){false}));
}

static unsigned steps_until(struct room *r, unsigned i, bool talks)
{
    unsigned n = 0;
    for (; mix_talks(r->m, i) != talks; n++) {
        assert_true(n < 100);
        tick(r);
    }
    return n;
}

static void test_talk_begins_and_ends(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < 3; i++)
        join(r, i, 500, 0);
    r->s[0].noise = 60;
    run(r, 4000);
    assert_false(mix_talks(r->m, 0));
    r->s[0].amp = 2000; /* a click is no talk */
    run(r, 40);
    r->s[0].amp = 0;
    run(r, 200);
    assert_false(mix_talks(r->m, 0));
    r->s[0].amp = 2000;
    run(r, 40);
    r->s[0].amp = 0; /* one weak step does not begin it anew */
    tick(r);
    r->s[0].amp = 2000;
    assert_int_equal(steps_until(r, 0, true), 1);
    r->s[0].amp = 0;
    assert_int_equal(steps_until(r, 0, false), 25);
    r->s[0].amp = 2000;
    assert_int_equal(steps_until(r, 0, true), 3);
    for (unsigned k = 0; k < 10; k++) { /* a pause between words is no end */
        r->s[0].amp = 0;
        run(r, 300);
        assert_true(mix_talks(r->m, 0));
        r->s[0].amp = 2000;
        run(r, 200);
    }
    r->s[0].amp = 0;
    assert_int_equal(steps_until(r, 0, false), 25);
    assert_false(mix_talks(r->m, 1));
}

/* Noise of -50 dBov is heard at first and then known; speech above it is heard at once, and for
 * 400 ms after its end. */
static void test_noise_is_gated(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < 3; i++)
        join(r, i, 500, 0);
    r->s[0].noise = 180;
    run(r, 5000);
    for (unsigned k = 1; k <= 8000; k++)
        assert_int_equal(r->s[1].heard[r->s[1].n - k], 0);
    r->s[0].amp = 2000;
    tick(r);
    assert_true(hears(r, 1, 500, 10) > 1500);
    run(r, 200);
    r->s[0].amp = 0;
    run(r, 380);
    assert_true(r->s[1].heard[r->s[1].n - 1] || r->s[1].heard[r->s[1].n - 2]);
    run(r, 40);
    for (unsigned k = 1; k <= 160; k++)
        assert_int_equal(r->s[1].heard[r->s[1].n - k], 0);
}

/* A phone that is muted at its end sends zeros. They say nothing about the noise that comes back
 * with its microphone. */
static void test_zeros_are_no_background(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < 3; i++)
        join(r, i, 500, 0);
    r->s[0].noise = 140; /* -52 dBov */
    run(r, 5000);
    r->s[0].noise = 0.1;
    run(r, 10000);
    r->s[0].noise = 140;
    for (unsigned t = 0; t < 50; t++) {
        tick(r);
        assert_false(mix_talks(r->m, 0));
        assert_int_equal(r->s[1].heard[r->s[1].n - 1], 0);
    }
}

static void test_muted_is_silent(void **state)
{
    struct room *r = *state;
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < 3; i++)
        join(r, i, 500 + 300 * i, i < 2 ? 5000 : 0);
    run(r, 500);
    assert_true(mix_talks(r->m, 0));
    mix_set(r->m, 0, MIX_MUTED);
    run(r, 300);
    assert_false(mix_talks(r->m, 0));
    assert_true(hears(r, 2, 500, 200) < QUIET);
    assert_true(hears(r, 0, 800, 200) > 4000);
    assert_true(r->s[0].shared);
    mix_set(r->m, 0, 0);
    run(r, 300);
    assert_true(hears(r, 2, 500, 200) > 4000);
    mix_leave(r->m, 2); /* and with two */
    mix_set(r->m, 1, MIX_MUTED);
    run(r, 300);
    assert_true(hears(r, 0, 800, 200) < QUIET);
    assert_true(hears(r, 1, 500, 200) > 4000);
}

static void test_rate_changes(void **state)
{
    struct room *r = *state;
    static const uint32_t rates[] = {48000, 8000, 32000, 16000};
    open_room(r, 8000, NULL);
    for (unsigned i = 0; i < 3; i++)
        join(r, i, 500 + 300 * i, i < 2 ? 4600 : 0);
    run(r, 500);
    for (unsigned k = 0; k < ARRAY_LEN(rates); k++) {
        assert_int_equal(mix_rate(r->m, rates[k]), 0);
        assert_null(mix_total(r->m));
        assert_null(mix_out(r->m, 2, &(bool){false}));
        assert_true(mix_talks(r->m, 0));
        r->rate = rates[k];
        run(r, 200);
        assert_true(fabs(hears(r, 2, 500, 200) - 4600) < 100);
        assert_true(fabs(hears(r, 0, 800, 200) - 4600) < 100);
    }
    assert_int_equal(mix_rate(r->m, 44100), -EINVAL);
}

static void test_same_again(void **state)
{
    struct room *r = *state;
    int16_t *first = mem_alloc(sizeof(r->s[5].heard));
    assert_non_null(first);
    for (unsigned turn = 0; turn < 2; turn++) {
        memset(r->s, 0, sizeof(r->s));
        r->seed = 1;
        open_room(r, 16000, NULL);
        for (unsigned i = 0; i < 10; i++) {
            join(r, i, 200 + 100 * i, 20000);
            r->s[i].noise = 1000;
        }
        run(r, 1000);
        if (turn == 0)
            memcpy(first, r->s[5].heard, sizeof(r->s[5].heard));
        mix_free(r->m);
        r->m = NULL;
    }
    assert_memory_equal(first, r->s[5].heard, sizeof(r->s[5].heard));
    mem_free(first);
}

/* A full room, all of whom talk and change; no tick asks for memory. */
static void test_full_room(void **state)
{
    struct room *r = *state;
    struct mix_conf conf = mix_conf_default;
    int16_t pcm[160];
    conf.talkers = MIX_MAX_TALKERS;
    open_room(r, 8000, &conf);
    for (unsigned i = 0; i < MIX_MAX_MEMBERS; i++)
        mix_join(r->m, i);
    sine(pcm, 160, 0, 500, 8000, 5000);
    uint64_t requests = mem_requests();
    for (unsigned t = 0; t < 500; t++) {
        unsigned own = 0;
        for (unsigned i = 0; i < MIX_MAX_MEMBERS; i++)
            mix_in(r->m, i, (i + t / 30) % 3 ? pcm : NULL);
        mix_run(r->m);
        for (unsigned i = 0; i < MIX_MAX_MEMBERS; i++) {
            bool shared;
            assert_non_null(mix_out(r->m, i, &shared));
            own += !shared;
        }
        assert_in_range(own, 1, 3 * MIX_MAX_TALKERS);
    }
    assert_int_equal(mem_requests(), requests);
}

static void test_refusals(void **state)
{
    struct mix_conf c = mix_conf_default;
    assert_null(mix_new(11025, NULL));
    c.members = 1;
    assert_null(mix_new(8000, &c));
    c.members = MIX_MAX_MEMBERS + 1;
    assert_null(mix_new(8000, &c));
    c = mix_conf_default;
    c.talkers = 3;
    assert_null(mix_new(8000, &c));
    c.talkers = MIX_MAX_TALKERS + 1;
    assert_null(mix_new(8000, &c));
    c = mix_conf_default;
    c.max_gain_db = -1;
    assert_null(mix_new(8000, &c));
    for (unsigned nth = 1; nth <= 3; nth++) {
        mem_fail_after(nth);
        assert_null(mix_new(8000, NULL));
        mem_fail_after(0);
    }
    mix_free(NULL);
}

#define ROOM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM(test_each_hears_all_others),
        ROOM(test_two_hear_each_other_exactly),
        ROOM(test_three_and_back_to_two),
        ROOM(test_loudest_are_heard),
        ROOM(test_place_of_who_stops),
        ROOM(test_levels_are_evened),
        ROOM(test_gain_rests_in_pauses),
        ROOM(test_no_distortion),
        ROOM(test_burst_does_not_wrap),
        ROOM(test_no_clicks),
        ROOM(test_no_click_at_switch),
        ROOM(test_one_sum_is_shared),
        ROOM(test_talk_begins_and_ends),
        ROOM(test_noise_is_gated),
        ROOM(test_zeros_are_no_background),
        ROOM(test_muted_is_silent),
        ROOM(test_rate_changes),
        ROOM(test_same_again),
        ROOM(test_full_room),
        ROOM(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
