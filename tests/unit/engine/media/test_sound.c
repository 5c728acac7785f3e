/* What parties hear of each other: the plane with formats, in virtual time. */
#include "bed.h"

/* Every codec with every other: each hears the other, without a hole and in one stream. */
static void pair(const struct media_format *a, const struct media_format *z)
{
    void *state;
    setup(&state);
    struct bed *b = state;
    call(b, a, z);
    run(b, 1000);
    assert_hears(&b->s[A], 500, 1300, 500);
    assert_hears(&b->s[B], 500, 500, 1300);
    for (unsigned i = A; i <= B; i++) {
        assert_int_equal(b->s[i].breaks, 0);
        assert_true(b->s[i].packets >= 48);
        assert_true(b->s[i].n + 2 * b->s[i].mouth.frame >= b->s[i].mouth.rate_hz);
    }
    assert_int_equal(b->r.count.unagreed, 0);
    assert_int_equal(teardown(&state), 0);
}

static void test_each_pair(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        for (unsigned k = 0; k < ARRAY_LEN(formats); k++)
            pair(&formats[i], &formats[k]);
}

/* Three packets lost: what is made up in their place keeps the time, so the tone goes on in step.
 */
static void test_loss_is_concealed(void **state)
{
    struct bed *b = *state;
    call(b, &formats[2], &formats[1]);
    run(b, 500);
    unsigned before = b->s[B].n;
    b->lose = 2;
    run(b, 500);
    assert_int_equal(b->s[B].n - before, 4000);
    assert_int_equal(b->s[B].breaks, 0);
    assert_hears(&b->s[B], 300, 500, 1300);
    struct media_stats st;
    assert_int_equal(plane_stats(&b->r, 1, &st), 0);
    assert_int_equal(st.concealed, 1);
    assert_int_equal(st.lost, 2);
}

/* A second of silence without packets (DTX) stays a second: the timestamps say so. */
static void test_pause_keeps_time(void **state)
{
    struct bed *b = *state;
    call(b, &formats[3], &formats[0]);
    run(b, 200);
    uint32_t ts = b->s[B].ts;
    unsigned markers = b->s[B].markers;
    struct mouth *m = &b->s[A].mouth;
    b->now += USEC_S;
    egress_pause(&b->s[A].egress);
    m->n = 0;
    run(b, 200);
    int32_t ahead = (int32_t)(b->s[B].ts - ts);
    assert_true(ahead > 9000 && ahead < 10200);
    assert_true(b->s[B].markers > markers);
    assert_int_equal(b->s[B].breaks, 0);
}

/* Codecs change in the middle: who does not change hears one stream. */
static void test_codec_changes(void **state)
{
    struct bed *b = *state;
    call(b, &formats[0], &formats[0]);
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        side_codec(b, A, &formats[i]);
        b->s[A].n = 0;
        run(b, 400);
        assert_hears(&b->s[B], 200, 500, 1300);
        assert_hears(&b->s[A], 200, 1300, 500);
    }
    assert_int_equal(b->s[A].breaks, 0);
    assert_int_equal(b->s[B].breaks, 0);
}

static void key(struct bed *b, uint32_t ts, uint16_t seq, uint16_t duration, bool end, bool marker)
{
    uint8_t p[16];
    rtp_header_build(
        p, &(struct rtp_header){.pt = EVENTS, .marker = marker, .seq = seq, .ts = ts, .ssrc = 100});
    p[12] = 5;
    p[13] = (uint8_t)(end ? 0x8A : 0x0A);
    be16_put(p + 14, duration);
    send_packet(b, A, p, sizeof(p));
}

/* telephone-event stays one beside a transcoded call: one timestamp from the first to the last. */
static void test_event_beside_transcoding(void **state)
{
    struct bed *b = *state;
    call(b, &formats[0], &formats[3]);
    run(b, 200);
    uint32_t ts = b->s[A].egress.ts + 160;
    uint16_t seq = b->s[A].egress.seq;
    uint32_t first = 0;
    for (unsigned i = 0; i < 5; i++) {
        b->now += 20 * USEC_MS;
        key(b, ts, ++seq, (uint16_t)(160 * (i + 1)), i == 4, i == 0);
        if (i == 0)
            first = b->s[B].ts;
        assert_int_equal(b->s[B].ts, first);
        assert_int_equal(b->s[B].pt, EVENTS);
    }
    assert_int_equal(b->s[B].events, 5);
    assert_int_equal(b->s[B].breaks, 0);
    assert_int_equal(b->s[B].duration, 800);
    struct media_stats st; /* they name what is spoken, not the keys */
    assert_int_equal(plane_stats(&b->r, A + 1, &st), 0);
    assert_int_equal(st.codec, CODEC_PCMU);
    assert_int_equal(st.tx_codec, st.tx_packets ? CODEC_PCMU : CODEC_NONE);
    assert_int_equal(plane_stats(&b->r, B + 1, &st), 0);
    assert_int_equal(st.tx_payload_type, EVENTS);
    assert_int_equal(st.tx_codec, CODEC_OPUS);
}

/* The numbers of what B hears go on, whoever is linked to it. */
static void test_one_stream_over_links(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[1]);
    run(b, 200);
    uint32_t ssrc = b->s[B].ssrc;
    assert_int_not_equal(ssrc, 100); /* ours, not A's */
    cmd(b, (struct media_cmd){.kind = MEDIA_UNLINK, .id = 1});
    run(b, 200);
    egress_init(&b->s[A].egress, 4711, 9, 9);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    run(b, 200);
    assert_int_equal(b->s[B].breaks, 0);
    assert_int_equal(b->s[B].ssrc, ssrc);
    assert_true(b->s[B].ts - 0u != 0);
}

static void test_unagreed_is_dropped(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[1]);
    uint8_t p[172] = {0x80, 18};
    send_packet(b, A, p, sizeof(p));
    assert_int_equal(b->s[B].packets, 0);
    assert_int_equal(b->r.count.unagreed, 1);
}

/* ---- playing --------------------------------------------------------------------------------- */

/* In each codec: the sound instead of the other party, then that party again, one stream for all.
 */
static void play_in(const struct media_format *f)
{
    void *state;
    struct media_ev ev;
    setup(&state);
    struct bed *b = state;
    call(b, f, &formats[1]);
    give_clip(b, 7, 900, 22050, 1000);
    run(b, 200);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 7}, false, 42);
    run(b, 900);
    assert_hears(&b->s[A], 300, 900, 1300);
    assert_hears(&b->s[B], 300, 500, 900);
    assert_false(event(b, MEDIA_EV_PLAYED, &ev));
    run(b, 500);
    assert_true(event(b, MEDIA_EV_PLAYED, &ev));
    assert_int_equal(ev.token, 42);
    assert_hears(&b->s[A], 200, 1300, 900);
    assert_int_equal(b->s[A].breaks, 0);
    run(b, 40);
    assert_int_equal(b->r.tick_due, USEC_NEVER);
    assert_int_equal(teardown(&state), 0);
}

static void test_play(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        play_in(&formats[i]);
}

/* Music goes on and on, and ends when it is told to. A clip that is taken away plays to its end. */
static void test_loop_and_stop(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    call(b, &formats[0], &formats[0]);
    give_clip(b, 1, 900, 8000, 300);
    play(b, B, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 1}, true, 5);
    run(b, 1000);
    assert_hears(&b->s[B], 250, 900, 500);
    struct media_cmd m = {.kind = MEDIA_CLIP};
    m.play.clip_number = 1;
    cmd(b, m);
    cmd(b, (struct media_cmd){.kind = MEDIA_STOP, .id = B + 1});
    run(b, 400);
    assert_hears(&b->s[B], 200, 500, 900);
    assert_true(event(b, MEDIA_EV_PLAYED, &ev));
    /* What is not there is over at once. */
    play(b, B, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 1}, false, 6);
    run(b, 40);
    assert_true(event(b, MEDIA_EV_PLAYED, &ev));
    assert_int_equal(ev.token, 6);
    assert_int_equal(b->s[B].breaks, 0);
}

/* Music that is not loaded yet begins when it is. */
static void test_loop_waits_for_its_sound(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    call(b, &formats[0], &formats[0]);
    play(b, B, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 1}, true, 6);
    run(b, 400);
    assert_false(event(b, MEDIA_EV_PLAYED, &ev));
    assert_true(level(b->s[B].heard + b->s[B].n - 800, 800, 500, 8000) < 50);
    give_clip(b, 1, 900, 8000, 300);
    run(b, 400);
    assert_hears(&b->s[B], 250, 900, 500);
    cmd(b, (struct media_cmd){.kind = MEDIA_STOP, .id = B + 1});
    assert_true(event(b, MEDIA_EV_PLAYED, &ev));
    assert_int_equal(ev.token, 6);
    run(b, 400);
    assert_hears(&b->s[B], 200, 500, 900);
    assert_int_equal(b->s[B].breaks, 0);
}

static void play_more(struct bed *b, uint32_t clip, bool append, bool loop, uint32_t token)
{
    struct media_cmd m = {.kind = MEDIA_PLAY, .id = B + 1};
    m.play.n_items = 1;
    m.play.item[0] = (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = clip};
    m.play.append = append;
    m.play.loop = loop;
    m.play.token = token;
    cmd(b, m);
}

/* A prompt in the middle of the music is heard at once, and then the music goes on where it was: of
 * the two halves of its clip the first comes half a second after the second one, not before. */
static void test_prompt_over_music(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[B];
    struct media_ev ev;
    call(b, &formats[0], &formats[0]);
    give_clip(b, 1, 900, 8000, 1000);
    struct media_clip *c = b->r.clip[1];
    sine(c->sample + 4000, 4000, 0, 1700, 8000, 8000);
    give_clip(b, 2, 700, 8000, 200);
    for (unsigned append = 0; append < 2; append++) {
        play_more(b, 1, false, true, 5);
        run(b, 300);
        assert_hears(s, 200, 900, 1700);
        play_more(b, 2, append, false, 6);
        run(b, 200);
        assert_hears(s, 140, 700, 900);
        run(b, 40);
        assert_true(event(b, MEDIA_EV_PLAYED, &ev));
        assert_int_equal(ev.token, 6);
        run(b, 140);
        assert_hears(s, 120, 900, 1700);
        run(b, 300);
        assert_hears(s, 200, 1700, 900);
        assert_false(event(b, MEDIA_EV_PLAYED, &ev));
        play_more(b, 2, true, false, 7); /* and it ends with the music */
        cmd(b, (struct media_cmd){.kind = MEDIA_STOP, .id = B + 1});
        assert_true(event(b, MEDIA_EV_PLAYED, &ev));
        assert_int_equal(ev.token, 7);
        run(b, 300);
        assert_hears(s, 200, 500, 900);
    }
    assert_int_equal(s->breaks, 0);
}

/* A loop behind a prompt is the loop alone. */
static void test_loop_behind_a_prompt(void **state)
{
    struct bed *b = *state;
    call(b, &formats[0], &formats[0]);
    give_clip(b, 1, 900, 8000, 300);
    give_clip(b, 2, 700, 8000, 200);
    play_more(b, 2, false, false, 0);
    play_more(b, 1, true, true, 0);
    run(b, 200);
    assert_hears(&b->s[B], 120, 700, 900);
    run(b, 1000);
    assert_hears(&b->s[B], 900, 900, 700);
}

static void test_tone_then_silence(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[0]);
    play(b, B,
         (struct media_item){.kind = MEDIA_ITEM_TONE, .tone = TONE_BUSY, .country = {'K', 'R'}},
         false, 0);
    run(b, 400);
    struct side *s = &b->s[B];
    assert_true(level(s->heard + s->n - 1600, 1600, 480, 8000) > 1000);
    assert_true(level(s->heard + s->n - 1600, 1600, 620, 8000) > 1000);
    run(b, 400); /* the pause of the cadence */
    assert_true(level(s->heard + s->n - 800, 800, 480, 8000) < 50);
}

/* Digits by the name of their event, with the number of packets that the RFC wants. */
static void test_digits_out(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[3]);
    run(b, 100);
    struct media_cmd m = {.kind = MEDIA_PLAY, .id = B + 1};
    m.play.n_items = 2;
    m.play.item[0] = (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = '5'};
    m.play.item[1] = (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = '#'};
    cmd(b, m);
    run(b, 600);
    assert_in_range(b->s[B].events, 14, 18);
    assert_int_equal(b->s[B].breaks, 0);
    assert_hears(&b->s[B], 100, 500, 1300);
}

/* A party without telephone-event hears the tones of the key; who pressed it is told once. */
static void test_key_becomes_tone(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    call(b, &formats[0], &formats[1]);
    tell_format(b, B, &formats[1], false);
    run(b, 200);
    uint32_t ts = b->s[A].egress.ts + 160;
    uint16_t seq = b->s[A].egress.seq;
    for (unsigned i = 0; i < 8; i++) {
        b->now += 20 * USEC_MS;
        key(b, ts, ++seq, (uint16_t)(160 * (i < 5 ? i + 1 : 5)), i >= 5, i == 0);
        plane_tick(&b->r, b->now);
        drain(b);
    }
    struct side *s = &b->s[B];
    assert_int_equal(s->events, 0);
    assert_true(level(s->heard + s->n - 960, 640, 770, 8000) > 1500); /* of '5' */
    assert_true(level(s->heard + s->n - 960, 640, 1336, 8000) > 1500);
    assert_true(event(b, MEDIA_EV_DIGIT, &ev));
    assert_int_equal(ev.digit, '5');
    assert_false(ev.over);
    assert_true(event(b, MEDIA_EV_DIGIT, &ev));
    assert_true(ev.over);
    assert_false(event(b, MEDIA_EV_DIGIT, &ev));
    b->s[A].egress.seq = seq;
    run(b, 400);
    assert_hears(s, 100, 500, 1336);
    assert_int_equal(s->breaks, 0);
}

/* RTCP of our own in both directions, and BYE at the end. */
static void test_rtcp(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    call(b, &formats[0], &formats[0]);
    run(b, 8000);
    assert_true(event(b, MEDIA_EV_STATS, &ev));
    assert_true(ev.stats.quality.in.known);
    assert_int_equal(ev.stats.codec, CODEC_PCMU);
    assert_true(b->rtcp >= 2);
    unsigned before = b->rtcp;
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
    drain(b);
    assert_int_equal(b->rtcp, before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pair),
        cmocka_unit_test_setup_teardown(test_loss_is_concealed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_keeps_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_codec_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_beside_transcoding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_stream_over_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_and_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_waits_for_its_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prompt_over_music, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_behind_a_prompt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tone_then_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digits_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_becomes_tone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rtcp, setup, teardown),
        cmocka_unit_test(test_play),
        cmocka_unit_test_setup_teardown(test_unagreed_is_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
