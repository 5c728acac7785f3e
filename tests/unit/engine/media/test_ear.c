/* The ear in virtual time: a party sends a tone over a path that jitters, loses, repeats and
 * drifts, and what is heard must be that tone, without a click, soon. */
#include "unit/engine/media/ear_bed.h"

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

/* The path becomes longer: nothing is lost, and the tone goes on in phase after each stall. */
static void test_longer_path(void **state)
{
    struct bed *b = *state;
    b->hz = 777; /* 20 ms are no whole number of its periods */
    run(b, 1000);
    forget(b);
    for (unsigned i = 0; i < 60; i++) {
        b->delay_us += 10000 + 3000 * (i % 5);
        run(b, 400);
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.dropped, 0);
    assert_in_range(s.concealed_frames, 20, 70);
    assert_true(s.most_ms <= 60);
    assert_smooth(b, 1.3);
    assert_true(weakest(b) > 0.8);
}

/* A pause is the time to be rid of delay, all of it at once. */
static void test_pause_shortens(void **state)
{
    struct bed *b = *state;
    b->jitter_us = 120000;
    run(b, 20000);
    b->jitter_us = 0;
    run(b, 2400);
    assert_true(stats(b).waiting_ms >= 70);
    b->mute = true;
    run(b, 500);
    b->mute = false;
    run(b, 200);
    assert_true(stats(b).waiting_ms <= 45);
    assert_int_equal(stats(b).lost + stats(b).resets, 0);
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

/* Pauses without a word: they are no loss, and speech is back at once. */
static void test_pause(void **state)
{
    struct bed *b = *state;
    static const uint8_t pts[] = {8, 9, 111};
    for (size_t c = 0; c < ARRAY_LEN(pts); c++) {
        use(b, pts[c]);
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
            assert_smooth(b, 1.3);
        }
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.dropped, 0);
    assert_true(s.most_ms <= 60);
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
    assert_true(s.concealed_frames - before.concealed_frames <= 5);
    assert_int_equal(s.lost + s.late + s.dropped + s.resets, 0);
    assert_true(s.most_ms <= 70);
    assert_true(fabs(moved - ppm * 3600) <= 30000);
    int32_t measured;
    uint32_t error;
    assert_true(ear_drift(b->e, &measured, &error));
    assert_true(fabs(measured / 10.0 - ppm) <= 1);
    assert_true(error <= 5);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_clean),          T(test_delay),          T(test_ptimes),     T(test_jitter),
        T(test_loss),           T(test_outage),         T(test_reorder),    T(test_longer_path),
        T(test_pause_shortens), T(test_spike),          T(test_duplicates), T(test_pause),
        T(test_ssrc_change),    T(test_timestamp_jump), T(test_wrap),       T(test_drift_fast),
        T(test_drift_slow),     T(test_late_ticks),     T(test_fuzz),       T(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
