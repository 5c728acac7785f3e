/* The ear and what is sent to it: codecs, changes between them, noise, events, and garbage. */
#include "unit/engine/media/ear_bed.h"

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

/* Beside the voice, with an SSRC of its own, as some gateways send it. */
static void test_event_beside(void **state)
{
    struct bed *b = *state;
    run(b, 1000);
    for (unsigned i = 0; i < 50; i++) {
        struct pending *q = queue(b, (usec_t)b->us + 1000 * (i % 15));
        q->p.pt = i % 2 ? 101 : 55;
        q->p.ssrc = 99;
        q->p.seq = (uint16_t)i;
        q->p.n = 4;
        run(b, 20);
    }
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.resets + s.concealed_frames, 0);
    assert_in_range(s.ignored, 24, 25);
    assert_smooth(b, 1.05);
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

/* In-band FEC: what begins in a packet that is lost is heard all the same. */
static void test_repair(void **state)
{
    struct bed *b = *state;
    for (unsigned fec = 0; fec < 2; fec++) {
        use(b, fec ? 112 : 111);
        b->still = false;
        b->jitter_us = 80000; /* so that the next packet is there in time */
        run(b, 5000);
        b->jitter_us = 0;
        b->still = true;
        run(b, 1000);
        struct ear_stats before = stats(b);
        b->still = false;
        send(b);
        b->n_pending--;
        int peak = 0;
        for (unsigned i = 0; i < 10; i++)
            if (tick(b) == EAR_CONCEALED)
                for (unsigned k = 0; k < 960; k++)
                    peak = abs(b->frame[k]) > peak ? abs(b->frame[k]) : peak;
        struct ear_stats s = stats(b);
        assert_int_equal(s.lost - before.lost, 1);
        assert_int_equal(s.repaired - before.repaired, 1);
        assert_int_equal(s.late + s.dropped, before.late + before.dropped);
        if (fec)
            assert_true(peak > LEVEL / 2);
        else
            assert_true(peak < LEVEL / 4);
    }
}

/* From one agreed codec to another in mid-stream, back and forth; no new decoder is made. */
static void test_switch(void **state)
{
    struct bed *b = *state;
    static const uint8_t pts[] = {8, 0, 9, 96, 111};
    for (unsigned i = 0; i < 5; i++) {
        use(b, pts[i]);
        run(b, 500);
    }
    uint64_t requests = mem_requests();
    for (unsigned i = 0; i < 40; i++) {
        use(b, pts[i % 5]);
        run(b, 500);
        /* An Opus encoder that begins within a tone clicks by itself. */
        if (pts[i % 5] != 111)
            assert_smooth(b, 2);
        b->step = 0;
    }
    assert_int_equal(mem_requests(), requests);
    struct ear_stats s = stats(b);
    assert_int_equal(s.lost + s.late + s.dropped + s.broken, 0);
    assert_int_equal(s.concealed_frames, 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_comfort_noise), T(test_event),  T(test_event_beside),   T(test_codecs),
        T(test_repair),        T(test_switch), T(test_formats_change), T(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
