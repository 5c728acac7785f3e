/* Rooms and recordings: who hears whom, and what is written. */
#include "bed.h"

#define ROOM 77

static void enter(struct bed *b, unsigned i, const struct media_format *f)
{
    side_open(b, i, f, 400 + 110 * i);
    struct media_cmd c = {.kind = MEDIA_JOIN, .id = i + 1};
    c.member.room = ROOM;
    cmd(b, c);
}

static double hears(struct bed *b, unsigned who, unsigned whom)
{
    struct side *s = &b->s[who];
    unsigned n = s->mouth.rate_hz / 2;
    assert_true(s->n >= n);
    return level(s->heard + s->n - n, n, b->s[whom].hz, s->mouth.rate_hz);
}

static void member(struct bed *b, unsigned i, bool muted, bool deaf)
{
    struct media_cmd c = {.kind = MEDIA_MEMBER, .id = i + 1};
    c.member.room = ROOM;
    c.member.muted = muted;
    c.member.deaf = deaf;
    cmd(b, c);
}

static void forget(struct bed *b)
{
    for (unsigned i = 0; i < SIDES; i++)
        b->s[i].n = 0;
}

/* 20 ms, of which every tenth packet comes 600 ms late. */
static void say_some_late(struct bed *b, unsigned turn)
{
    static struct mouth_packet held[3];
    struct mouth_packet *late = &held[turn / 10 % 3];
    struct side *s = &b->s[A];
    struct mouth_packet p;
    int16_t pcm[160];
    const int16_t *from = pcm;
    unsigned n = 160;
    sine(pcm, n, s->at, s->hz, 8000, 8000);
    s->at += n;
    assert_true(mouth_put(&s->mouth, &s->egress, b->now, 8000, &from, &n, &p));
    if (turn % 10 == 9) {
        if (turn > 30)
            send_packet(b, A, late->bytes, late->n);
        *late = p;
    } else {
        send_packet(b, A, p.bytes, p.n);
    }
    run(b, 20);
}

/* RFC 3611: who comes too late for the room is told so, and how long the buffer waits. In a call
 * whose packets pass there is neither, whatever is recorded of it. */
static void test_discards_are_told(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[A];
    enter(b, A, &formats[0]);
    enter(b, B, &formats[0]);
    s->quiet = true;
    for (unsigned i = 0; i < 1000; i++)
        say_some_late(b, i);
    assert_true(s->voips > 0);
    assert_in_range(s->voip.discard_rate, 20, 27); /* a tenth, of 256 */
    assert_in_range(s->voip.loss_rate, 0, 2);
    assert_int_equal(s->voip.rx_config, 0xF0);
    assert_in_range(s->voip.jb_nominal_ms, 0, 120);
    assert_int_equal(s->voip.jb_max_ms, 240);
    assert_int_equal(s->voip.jb_abs_max_ms, 240);
    assert_int_equal(s->voip.end_system_ms, s->voip.jb_nominal_ms + 20);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    struct media_stats before, after;
    assert_int_equal(plane_stats(&b->r, 1, &before), 0);
    assert_in_range(before.quality.in.discarded, 90, 100);
    for (unsigned i = 0; i < 1000; i++)
        say_some_late(b, i);
    assert_int_equal(plane_stats(&b->r, 1, &after), 0);
    assert_int_equal(after.quality.in.discarded, before.quality.in.discarded);
    assert_int_equal(s->voip.rx_config, 0);
    assert_int_equal(s->voip.jb_max_ms, 0);
}

/* Three with three codecs: each hears the two others and not itself. */
static void test_three(void **state)
{
    struct bed *b = *state;
    enter(b, 0, &formats[0]);
    enter(b, 1, &formats[2]);
    enter(b, 2, &formats[3]);
    run(b, 2000);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 3; k++) {
            double l = hears(b, i, k);
            assert_true(i == k ? l < 250 : l > 1500);
        }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(b->s[i].breaks, 0);
    /* One leaves: the others go on, and it hears nothing any more. */
    unsigned packets = b->s[0].packets;
    cmd(b, (struct media_cmd){.kind = MEDIA_LEAVE, .id = 1});
    forget(b);
    run(b, 2000);
    assert_true(b->s[0].packets <= packets + 1);
    assert_true(hears(b, 1, 2) > 1500 && hears(b, 1, 0) < 250);
}

static void test_ten(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < 10; i++)
        enter(b, i, &formats[i % 2]);
    run(b, 2500);
    for (unsigned i = 0; i < 10; i++) {
        unsigned heard = 0;
        for (unsigned k = 0; k < 10; k++)
            heard += k != i && hears(b, i, k) > 400;
        assert_true(hears(b, i, i) < 250);
        assert_true(heard >= 7); /* the loudest eight, itself perhaps among them */
    }
}

static void test_mute_and_deaf(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < 3; i++)
        enter(b, i, &formats[1]);
    member(b, 0, true, false);
    member(b, 1, false, true);
    run(b, 2000);
    assert_true(hears(b, 2, 0) < 250 && hears(b, 2, 1) > 1500);
    assert_true(hears(b, 0, 1) > 1500);
    assert_true(hears(b, 1, 2) < 50 && hears(b, 1, 0) < 50);
}

/* From a call into a room and back: no packet of what they hear is missing. */
static void test_call_becomes_room(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[1]);
    run(b, 400);
    side_open(b, 2, &formats[1], 800);
    for (unsigned i = 0; i < 3; i++) {
        struct media_cmd c = {.kind = MEDIA_JOIN, .id = i + 1};
        c.member.room = ROOM;
        cmd(b, c);
    }
    run(b, 2000);
    assert_true(hears(b, 0, 1) > 1500 && hears(b, 0, 2) > 1500 && hears(b, 0, 0) < 250);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    run(b, 1000);
    assert_hears(&b->s[0], 500, 1300, 800);
    assert_int_equal(b->s[0].breaks, 0);
    assert_int_equal(b->s[1].breaks, 0);
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 3});
    assert_true(list_empty(&b->r.rooms));
    run(b, 40);
    assert_int_equal(b->r.tick_due, USEC_NEVER);
}

/* What the ear of a room makes up is in the figures of the stream, also when it is there no more.
 */
static void test_made_up_is_counted(void **state)
{
    struct bed *b = *state;
    struct media_stats st[2];
    enter(b, 0, &formats[0]);
    enter(b, 1, &formats[0]);
    run(b, 1000);
    b->lose = 2;
    run(b, 1000);
    assert_int_equal(plane_stats(&b->r, 1, &st[0]), 0);
    assert_in_range(st[0].concealed, 1, 4);
    cmd(b, (struct media_cmd){.kind = MEDIA_LEAVE, .id = 1});
    assert_int_equal(plane_stats(&b->r, 1, &st[1]), 0);
    assert_int_equal(st[1].concealed, st[0].concealed);
}

static void test_who_talks(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    enter(b, 0, &formats[0]);
    enter(b, 1, &formats[0]);
    b->s[1].quiet = true;
    run(b, 500);
    assert_true(event(b, MEDIA_EV_TALK, &ev));
    assert_int_equal(ev.id, 1);
    assert_true(ev.talks);
    assert_false(event(b, MEDIA_EV_TALK, &ev));
    b->s[0].quiet = true;
    run(b, 1500);
    assert_true(event(b, MEDIA_EV_TALK, &ev));
    assert_false(ev.talks);
}

static void test_room_play(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < 3; i++)
        enter(b, i, &formats[i]);
    run(b, 500);
    give_clip(b, 9, 2000, 8000, 1000);
    struct media_cmd c = {.kind = MEDIA_ROOM_PLAY, .id = ROOM};
    c.play.n_items = 1;
    c.play.item[0] = (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 9};
    cmd(b, c);
    forget(b);
    run(b, 700);
    for (unsigned i = 0; i < 3; i++) {
        struct side *s = &b->s[i];
        assert_true(level(s->heard + s->n / 2, s->n / 2, 2000, s->mouth.rate_hz) > 1000);
        assert_true(hears(b, i, (i + 1) % 3) > 800);
    }
}

/* ---- keys in the sound ----------------------------------------------------------------------- */

static void test_key_heard(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    side_open(b, 0, &formats[0], 0);
    tell_format(b, 0, &formats[0], false);
    cmd(b, (struct media_cmd){.kind = MEDIA_LISTEN, .id = 1, .on = true});
    struct tone t;
    struct mouth_packet p;
    assert_int_equal(tone_digit(&t, 8000, '7', 100, 100), 0);
    for (unsigned i = 0; i < 12; i++) {
        int16_t pcm[160];
        const int16_t *from = pcm;
        unsigned n = 160;
        b->now += 20 * USEC_MS;
        tone_make(&t, pcm, 160);
        while (mouth_put(&b->s[0].mouth, &b->s[0].egress, b->now, 8000, &from, &n, &p))
            send_packet(b, 0, p.bytes, p.n);
        plane_tick(&b->r, b->now);
        drain(b);
    }
    assert_true(event(b, MEDIA_EV_DIGIT, &ev));
    assert_int_equal(ev.digit, '7');
    assert_true(ev.in_band);
    assert_false(event(b, MEDIA_EV_DIGIT, &ev));
}

/* ---- recordings ------------------------------------------------------------------------------ */

struct tape {
    int16_t pcm[3][16000 * 4]; /* the mix, tracks 1 and 2 */
    uint64_t at;
    unsigned blocks;
};

static void take(struct bed *b, struct tape *t)
{
    struct plane_block k;
    while (plane_block(&b->r, &k)) {
        assert_int_equal(k.record, 5);
        assert_int_equal(k.at, t->at); /* nothing is missing */
        for (unsigned i = 0; i < k.n; i++) {
            unsigned track = k.plane[i].track == PLANE_REC_MIX ? 0 : k.plane[i].track;
            memcpy(t->pcm[track] + k.at, k.plane[i].pcm, k.samples * 2);
        }
        t->at += k.samples;
        t->blocks++;
    }
}

static void record_run(struct bed *b, struct tape *t, unsigned ms)
{
    for (; ms >= 20; ms -= 20) {
        run(b, 20);
        take(b, t);
    }
}

static void record_as(struct bed *b, media_id id, uint8_t track, uint32_t rate_hz, bool tracks)
{
    struct media_cmd c = {.kind = MEDIA_RECORD, .id = id};
    c.record.number = 5;
    c.record.rate_hz = rate_hz;
    c.record.track = track;
    c.record.tracks = tracks;
    c.record.mixed = true;
    cmd(b, c);
}

static void record(struct bed *b, media_id id, uint8_t track)
{
    record_as(b, id, track, 16000, true);
}

/* Five at once are louder than a sample can be: the mix is cut off at the top, and nowhere else. */
static void test_record_loud_mix(void **state)
{
    struct bed *b = *state;
    struct tape *t = mem_zero(sizeof(*t));
    for (unsigned i = 0; i < 5; i++) {
        side_open(b, i, &formats[i % 2], 500);
        record_as(b, i + 1, (uint8_t)(i + 1), 8000, false);
    }
    record_run(b, t, 1000);
    int most = 0, least = 0, steepest = 0;
    for (unsigned i = 3000; i < 7000; i++) {
        int v = t->pcm[0][i], step = v - t->pcm[0][i - 1];
        most = v > most ? v : most;
        least = v < least ? v : least;
        steepest = step > steepest ? step : steepest;
    }
    assert_int_equal(most, INT16_MAX);
    assert_int_equal(least, INT16_MIN);
    assert_true(steepest < 20000);
    mem_free(t);
}

/* The call is passed on as before while it is written: one track a party and the sum, all on one
 * clock; a pause is silence, and time goes on in it. */
static void test_record(void **state)
{
    struct bed *b = *state;
    struct tape *t = mem_zero(sizeof(*t));
    struct media_ev ev;
    call(b, &formats[0], &formats[2]);
    run(b, 200);
    record(b, 1, 1);
    record(b, 2, 2);
    record_run(b, t, 1000);
    assert_true(t->at >= 15000 && t->at <= 16000);
    assert_true(level(t->pcm[1] + 8000, 4000, 500, 16000) > 6000);
    assert_true(level(t->pcm[1] + 8000, 4000, 1300, 16000) < 200);
    assert_true(level(t->pcm[2] + 8000, 4000, 1300, 16000) > 6000);
    assert_true(level(t->pcm[0] + 8000, 4000, 500, 16000) > 6000);
    assert_true(level(t->pcm[0] + 8000, 4000, 1300, 16000) > 6000);
    struct media_cmd c = {.kind = MEDIA_RECORD_PAUSE, .on = true};
    c.record.number = 5;
    cmd(b, c);
    uint64_t from = t->at;
    record_run(b, t, 1000);
    assert_int_equal(t->at - from, 16000);
    assert_true(level(t->pcm[0] + from + 4000, 8000, 500, 16000) < 10);
    c.on = false;
    cmd(b, c);
    from = t->at;
    record_run(b, t, 500);
    assert_true(level(t->pcm[0] + from + 2000, 4000, 500, 16000) > 6000);
    assert_hears(&b->s[B], 200, 500, 1300);
    assert_false(event(b, MEDIA_EV_RECORDED, &ev));
    c.kind = MEDIA_RECORD_STOP;
    cmd(b, c);
    record_run(b, t, 100);
    assert_true(event(b, MEDIA_EV_RECORDED, &ev));
    assert_int_equal(ev.id, 5);
    run(b, 40);
    assert_int_equal(b->r.tick_due, USEC_NEVER);
    assert_int_equal(b->s[A].breaks, 0);
    assert_int_equal(b->s[B].breaks, 0);
    mem_free(t);
}

/* A party that goes away in the middle leaves silence; another may take its track. */
static void test_record_party_leaves(void **state)
{
    struct bed *b = *state;
    struct tape *t = mem_zero(sizeof(*t));
    call(b, &formats[0], &formats[0]);
    record(b, 1, 1);
    record(b, 2, 2);
    record_run(b, t, 600);
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 2});
    b->s[B].quiet = true;
    uint64_t from = t->at;
    record_run(b, t, 600);
    assert_true(level(t->pcm[2] + from + 1600, 4000, 1300, 16000) < 300);
    assert_true(level(t->pcm[1] + from + 1600, 4000, 500, 16000) > 6000);
    mem_free(t);
}

/* One second after the other: heard, nothing sent, held, heard. Both gaps are told with their
 * places, whatever is written; a pause is none. */
static void test_record_gaps(void **state)
{
    struct bed *b = *state;
    struct plane_block k;
    struct plane_mark gap[8];
    unsigned n = 0;
    call(b, &formats[0], &formats[0]);
    record_as(b, 1, 1, 8000, false);
    record_as(b, 2, 2, 8000, false);
    for (unsigned ms = 0; ms < 6000; ms += 20) {
        struct media_cmd c = {.kind = MEDIA_RECORD_PAUSE, .on = ms == 4000};
        c.record.number = 5;
        b->s[A].quiet = (ms >= 1000 && ms < 3000) || (ms >= 4000 && ms < 5000);
        if (ms == 2000 || ms == 3000)
            cmd(b, (struct media_cmd){.kind = MEDIA_SET,
                                      .id = 1,
                                      .rtp = phone(0),
                                      .receiving = ms == 3000,
                                      .sending = true});
        if (ms == 4000 || ms == 5000)
            cmd(b, c);
        if (ms == 5980)
            cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
        run(b, 20);
        while (plane_block(&b->r, &k))
            for (unsigned i = 0; i < k.n_marks; i++)
                if (k.mark[i].kind != PLANE_MARK_CLOCK && k.mark[i].samples >= 800)
                    gap[n++ % 8] = k.mark[i];
    }
    assert_int_equal(n, 2);
    assert_int_equal(gap[0].kind, PLANE_MARK_LOST);
    assert_int_equal(gap[0].track, 1);
    assert_in_range(gap[0].at, 8000, 9000);
    assert_in_range(gap[0].at + gap[0].samples, 15800, 16400);
    assert_int_equal(gap[1].kind, PLANE_MARK_HELD);
    assert_int_equal(gap[1].at, gap[0].at + gap[0].samples);
    assert_in_range(gap[1].at + gap[1].samples, 23800, 25000);
}

/* A phone whose clock is off by so much: that is measured, and each sample left out or put in is
 * told, also what has to wait for the end. */
static void record_drift(struct bed *b, double ppm)
{
    struct plane_block k;
    int32_t measured = 0;
    int64_t moved = 0;
    double us = 0, said = 0;
    struct media_cmd stop = {.kind = MEDIA_RECORD_STOP};
    stop.record.number = 5;
    call(b, &formats[0], &formats[0]);
    record_as(b, 1, 1, 8000, true);
    for (usec_t end = b->now + 300 * USEC_S; b->now < end;) {
        for (; us * (1 + ppm / 1e6) >= said; said += 20000)
            say(b, A);
        us += 1000;
        b->now += 1000;
        plane_tick(&b->r, b->now);
        drain(b);
        if (b->now == end)
            cmd(b, stop);
        while (plane_block(&b->r, &k))
            for (unsigned i = 0; i < k.n_marks; i++) {
                if (k.mark[i].kind == PLANE_MARK_CLOCK)
                    measured = k.mark[i].ppm_x10;
                if (k.mark[i].kind == PLANE_MARK_ADDED)
                    moved += k.mark[i].samples;
                if (k.mark[i].kind == PLANE_MARK_LEFT_OUT)
                    moved -= k.mark[i].samples;
            }
    }
    assert_true(fabs(measured / 10.0 - ppm) < 5);
    /* 300 s are 2.4 million samples; what waits in the buffer is not yet moved. */
    assert_true(fabs((double)moved + ppm * 2.4) < 300);
}

static void test_record_drift(void **state)
{
    record_drift(*state, 400);
}

static void test_record_drift_slow(void **state)
{
    record_drift(*state, -400);
}

/* A stream in two recordings at once, which leaves one of them and goes on in the other. */
static void test_two_recordings(void **state)
{
    struct bed *b = *state;
    uint64_t samples[2] = {0, 0};
    call(b, &formats[0], &formats[0]);
    record(b, 1, 1);
    struct media_cmd c = {.kind = MEDIA_RECORD, .id = 1};
    c.record.number = 6;
    c.record.rate_hz = 8000;
    c.record.track = 3;
    c.record.tracks = c.record.also = true;
    cmd(b, c);
    for (unsigned i = 0; i < 100; i++) {
        struct plane_block k;
        run(b, 20);
        while (plane_block(&b->r, &k))
            for (unsigned n = 0; n < k.n; n++)
                if (!k.plane[n].silent && level(k.plane[n].pcm, k.samples, 500, k.rate_hz) > 5000)
                    samples[k.record - 5] += k.samples;
        if (i == 49) {
            c.record.also = false;
            c.record.leave = true;
            cmd(b, c);
        }
    }
    assert_true(samples[1] >= 7000 && samples[1] <= 8000);       /* one second at 8 kHz */
    assert_true(samples[0] >= 2 * 30000 && samples[0] <= 64000); /* two of them, track and mix */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_three, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mute_and_deaf, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_becomes_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_made_up_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_discards_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_talks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_play, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_gaps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_drift, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_drift_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_recordings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_loud_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_party_leaves, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
