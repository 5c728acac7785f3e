/* A program at a stream: what it hears, what of it is heard, and who gives way. */
#include <errno.h>

#include "bed.h"

#include "engine/media/vad.h"

#define LINK 77

struct took {
    unsigned sounds, stopped, n;
    uint32_t mark[80];
    unsigned marks;
    struct plane_tap last;
    int16_t heard[16000 * 4];
};

static struct took took;

static void take_all(struct bed *b)
{
    struct plane_tap t;
    while (plane_tap(&b->r, &t)) {
        assert_int_equal(t.link, LINK);
        if (t.kind == PLANE_TAP_MARK) {
            took.mark[took.marks++] = t.token;
        } else if (t.kind == PLANE_TAP_STOPPED) {
            took.stopped++;
        } else {
            took.sounds++;
            for (unsigned i = 0; i < t.n && took.n < sizeof(took.heard) / 2; i++)
                took.heard[took.n++] = t.pcm[i];
        }
        took.last = t;
    }
}

static void pass(struct bed *b, unsigned ms)
{
    for (; ms >= 20; ms -= 20) {
        run(b, 20);
        take_all(b);
    }
}

static void tap(struct bed *b, uint32_t rate, bool barge_in)
{
    struct media_cmd c = {.kind = MEDIA_TAP, .id = 1, .on = true};
    c.tap.link = LINK;
    c.tap.rate_hz = rate;
    c.tap.sound = c.tap.voice = true;
    c.tap.barge_in = barge_in;
    c.tap.queue_ms = 5000;
    memset(&took, 0, sizeof(took));
    cmd(b, c);
}

static int feed_at(struct bed *b, double hz, unsigned ms, uint32_t rate, usec_t came)
{
    static uint64_t at;
    int err = 0;
    for (; ms >= 20 && !err; ms -= 20) {
        int16_t pcm[320];
        unsigned n = rate / 50;
        sine(pcm, n, at, hz, rate, 8000);
        at += n;
        err = plane_feed(
            &b->r, b->now,
            &(struct plane_feed){
                .kind = PLANE_FEED_SOUND, .id = 1, .link = LINK, .came = came, .n = n, .pcm = pcm});
    }
    return err;
}

static int feed(struct bed *b, double hz, unsigned ms, uint32_t rate)
{
    return feed_at(b, hz, ms, rate, b->now);
}

static int tell(struct bed *b, enum plane_feed_kind kind, uint32_t token)
{
    struct plane_feed f = {.kind = kind, .id = 1, .link = LINK, .token = token};
    return plane_feed(&b->r, b->now, &f);
}

/* The party speaks: a buzz that changes, as a voice does. */
static void voice(struct bed *b, unsigned ms)
{
    static const double pitch[] = {180, 240, 210, 300, 190, 270};
    unsigned k = 0;
    b->s[A].mute = false;
    for (; ms >= 20; ms -= 20) {
        b->s[A].hz = pitch[k++ % 6];
        pass(b, 20);
    }
    b->s[A].mute = true;
}

static void alone(struct bed *b, const struct media_format *f, uint32_t rate, bool barge_in)
{
    side_open(b, A, f, 500);
    b->s[A].mute = true;
    tap(b, rate, barge_in);
}

/* ---- the party's sound ----------------------------------------------------------------------- */

static void test_its_sound_comes_at_an_even_pace(void **state)
{
    struct bed *b = *state;
    for (unsigned k = 0; k < 3; k++) {
        uint32_t rate = k == 1 ? 16000 : 8000;
        side_open(b, A, &formats[k == 2 ? 3 : k == 1 ? 2 : 0], 500);
        tap(b, rate, false);
        pass(b, 2000);
        assert_int_equal(took.sounds, 100);
        assert_int_equal(took.n, rate * 2);
        double l = level(took.heard + rate, rate / 2, 500, rate);
        assert_true(l > 6500 && l < 9500);
        cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
        mouth_done(&b->s[A].mouth);
        b->s[A].mouth = (struct mouth){0};
        pass(b, 40);
    }
}

static void test_silence_comes_where_nothing_is_sent(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    b->s[A].quiet = true;
    pass(b, 1000);
    assert_int_equal(took.sounds, 50);
    for (unsigned i = 0; i < took.n; i++)
        assert_int_equal(took.heard[i], 0);
}

static void test_lost_packets_are_hidden(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    b->s[A].mute = false;
    pass(b, 1000);
    b->lose = 1;
    took.n = 0;
    pass(b, 400);
    assert_int_equal(took.n, 3200);
    for (unsigned i = 0; i + 160 <= took.n; i += 40)
        assert_true(level(took.heard + i, 160, 500, 8000) > 2000);
}

static void test_nothing_is_given_once_it_is_over(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    pass(b, 200);
    cmd(b, (struct media_cmd){.kind = MEDIA_TAP, .id = 1});
    unsigned before = took.sounds, packets = b->s[A].packets;
    assert_int_equal(feed(b, 900, 20, 8000), -ENOENT);
    pass(b, 200);
    assert_int_equal(took.sounds, before);
    assert_int_equal(b->s[A].packets, packets);
}

/* ---- what is fed ----------------------------------------------------------------------------- */

static void test_nothing_may_be_fed(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    struct plane_feed f = {.kind = PLANE_FEED_SOUND, .id = 1, .link = LINK, .came = b->now};
    assert_int_equal(plane_feed(&b->r, b->now, &f), 0);
    pass(b, 100);
    assert_false(took.last.sounding);
    assert_int_equal(took.last.figures.queue_ms, 0);
}

static void test_it_is_heard_and_then_silence(void **state)
{
    struct bed *b = *state;
    for (unsigned k = 0; k < 2; k++) {
        alone(b, &formats[k ? 2 : 0], k ? 16000 : 8000, false);
        assert_int_equal(feed(b, 900, 1000, k ? 16000 : 8000), 0);
        pass(b, 900);
        assert_true(took.last.sounding);
        assert_hears(&b->s[A], 500, 900, 500);
        pass(b, 500);
        assert_false(took.last.sounding);
        assert_true(level(b->s[A].heard + b->s[A].n - 1600, 1600, 900, 8000) < 50);
        assert_int_equal(b->s[A].breaks, 0);
        /* Packets never stop: the way stays open, and nobody takes us for gone. */
        assert_in_range(b->s[A].packets, 69, 70);
        assert_int_equal(took.last.figures.underruns + took.last.figures.starved, 0);
        cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
        mouth_done(&b->s[A].mouth);
        codec_of(b->s[A].f.codec)->decoder_free(b->s[A].dec);
        b->s[A] = (struct side){0};
    }
}

/* What comes at the pace of a clock is heard without a gap, though it comes unevenly. */
static void test_a_pace_that_stumbles_is_not_heard(void **state)
{
    static const unsigned late[] = {0, 1, 2, 0, 1, 0, 2, 1};
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    unsigned owed = 0;
    for (unsigned i = 0; i < 96; i++) {
        owed++;
        if (late[i % 8] < 2)
            for (; owed; owed--)
                assert_int_equal(feed(b, 900, 20, 8000), 0);
        pass(b, 20);
    }
    assert_int_equal(took.last.figures.starved, 0);
    assert_int_equal(took.last.figures.underruns, 0);
    for (unsigned i = 8000; i + 160 <= b->s[A].n; i += 160)
        assert_true(level(b->s[A].heard + i, 160, 900, 8000) > 7000);
}

static void test_whose_fault_a_gap_is(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    assert_int_equal(feed(b, 900, 100, 8000), 0);
    pass(b, 160);
    assert_int_equal(feed(b, 900, 100, 8000), 0); /* it came late */
    pass(b, 40);
    assert_int_equal(took.last.figures.starved, 1);
    assert_int_equal(took.last.figures.underruns, 0);
    pass(b, 160);
    assert_int_equal(feed_at(b, 900, 100, 8000, b->now - 200 * USEC_MS), 0); /* we kept it */
    pass(b, 40);
    assert_int_equal(took.last.figures.starved, 1);
    assert_int_equal(took.last.figures.underruns, 1);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 1), 0); /* a sentence ends */
    pass(b, 160);
    assert_int_equal(feed(b, 900, 100, 8000), 0);
    pass(b, 40);
    assert_int_equal(took.last.figures.starved, 1);
}

static void test_marks_come_when_they_are_reached(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 1), 0); /* behind nothing: at once */
    take_all(b);
    assert_int_equal(took.marks, 1);
    assert_int_equal(feed(b, 900, 400, 8000), 0);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 2), 0);
    assert_int_equal(feed(b, 900, 400, 8000), 0);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 3), 0);
    pass(b, 380);
    assert_int_equal(took.marks, 1);
    pass(b, 40);
    assert_int_equal(took.marks, 2);
    assert_int_equal(took.mark[1], 2);
    pass(b, 400);
    assert_int_equal(took.marks, 3);
    assert_int_equal(took.mark[2], 3);
}

static void test_clear_is_at_once(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    assert_int_equal(feed(b, 900, 4000, 8000), 0);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 5), 0);
    pass(b, 400);
    unsigned before = b->s[A].n;
    assert_int_equal(tell(b, PLANE_FEED_CLEAR, 0), 0);
    take_all(b);
    assert_int_equal(took.marks, 1);
    pass(b, 200);
    assert_true(level(b->s[A].heard + before, b->s[A].n - before, 900, 8000) < 50);
    assert_in_range(took.last.figures.cleared_ms, 3580, 3620);
    assert_int_equal(feed(b, 700, 400, 8000), 0);
    pass(b, 300);
    assert_hears(&b->s[A], 100, 700, 900);
}

static void test_the_queue_is_bounded(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    assert_int_equal(feed(b, 900, 5000, 8000), 0);
    assert_int_equal(feed(b, 900, 20, 8000), -ENOBUFS);
    pass(b, 20);
    assert_int_equal(took.last.figures.dropped_ms, 20);
    assert_int_equal(took.last.figures.queue_most_ms, 5000);
    for (uint32_t i = 0; i < FEED_MAX_MARKS; i++)
        assert_int_equal(tell(b, PLANE_FEED_MARK, i), 0);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 99), -ENOBUFS);
    pass(b, 5100);
    assert_int_equal(took.marks, FEED_MAX_MARKS);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 99), 0);
}

static void test_another_conversation_is_not_heard(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    struct plane_feed f = {.kind = PLANE_FEED_CLEAR, .id = 1, .link = LINK + 1};
    assert_int_equal(plane_feed(&b->r, b->now, &f), -ENOENT);
    f.id = 9;
    assert_int_equal(plane_feed(&b->r, b->now, &f), -ENOENT);
}

/* Whatever the exchange plays goes before, and what was fed waits. */
static void test_an_announcement_goes_before(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, false);
    give_clip(b, 3, 1700, 8000, 300);
    assert_int_equal(feed(b, 900, 1000, 8000), 0);
    pass(b, 100);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 3}, false, 0);
    pass(b, 280);
    assert_hears(&b->s[A], 200, 1700, 900);
    pass(b, 300);
    assert_hears(&b->s[A], 200, 900, 1700);
}

/* ---- who speaks ------------------------------------------------------------------------------ */

static void test_voice_is_told(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    alone(b, &formats[0], 8000, false);
    pass(b, 1000);
    usec_t began = b->now;
    voice(b, 600);
    assert_true(took.last.voice);
    pass(b, 700);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_true(ev.talks && !ev.voice.stopped);
    assert_in_range(ev.voice.at, began - 20 * USEC_MS, began + 40 * USEC_MS);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_false(ev.talks);
    assert_in_range(ev.voice.at, began + 560 * USEC_MS, began + 640 * USEC_MS);
    assert_false(event(b, MEDIA_EV_VOICE, &ev));
}

/* From the first voiced sample to the last that was heard: 100 ms at most. */
static void test_speech_stops_what_is_fed(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    alone(b, &formats[0], 8000, true);
    assert_int_equal(feed(b, 900, 4000, 8000), 0);
    assert_int_equal(tell(b, PLANE_FEED_MARK, 8), 0);
    pass(b, 1000);
    unsigned before = b->s[A].n;
    voice(b, 400);
    assert_int_equal(took.stopped, 1);
    assert_int_equal(took.marks, 1);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_true(ev.talks && ev.voice.stopped);
    assert_in_range(ev.voice.stop_ms, 40, 100);
    assert_true(level(b->s[A].heard + before + 80 * 8, 320 * 8, 900, 8000) < 50);
    assert_true(level(b->s[A].heard + before - 800, 800, 900, 8000) > 7000);
}

/* Codecs that need the decoder behind the buffer are as quick, but for that buffer. */
static void test_speech_stops_it_in_other_codecs_too(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    alone(b, &formats[2], 16000, true);
    pass(b, 600);
    assert_int_equal(feed(b, 900, 4000, 16000), 0);
    pass(b, 400);
    voice(b, 400);
    assert_int_equal(took.stopped, 1);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_true(ev.voice.stopped);
    assert_in_range(ev.voice.stop_ms, 40, 140);
}

/* Silence that is not sent, or that comfort noise stands for, ends speech too. */
static void test_speech_ends_without_a_packet(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    alone(b, &formats[0], 8000, true);
    pass(b, 600);
    voice(b, 400);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    b->s[A].quiet = true;
    pass(b, 600);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_false(ev.talks);
}

/* A bot that has not understood yet speaks on: that is not heard until it says clear, or the party
 * is silent. */
static void test_what_comes_while_it_speaks_is_not_heard(void **state)
{
    struct bed *b = *state;
    for (unsigned clear = 0; clear < 2; clear++) {
        if (!clear)
            alone(b, &formats[0], 8000, true);
        pass(b, 600);
        assert_int_equal(feed(b, 900, 2000, 8000), 0);
        pass(b, 400);
        voice(b, 200);
        assert_int_equal(feed(b, 700, 20, 8000), -EBUSY);
        if (clear)
            assert_int_equal(tell(b, PLANE_FEED_CLEAR, 0), 0);
        else
            pass(b, 280);
        assert_int_equal(feed(b, 1100, 1000, 8000), 0);
        pass(b, 600);
        assert_hears(&b->s[A], 300, 1100, 900);
        assert_true(level(b->s[A].heard, b->s[A].n, 700, 8000) < 50);
        pass(b, 1000);
    }
}

/* A noise that is taken for speech without end does not silence the bot for more than 2 s. */
static void test_nobody_silences_it_for_ever(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, true);
    pass(b, 600);
    assert_int_equal(feed(b, 900, 2000, 8000), 0);
    pass(b, 400);
    voice(b, 1800);
    assert_int_equal(took.stopped, 1);
    assert_int_equal(feed(b, 900, 20, 8000), -EBUSY);
    voice(b, 400);
    assert_true(took.last.voice);
    assert_int_equal(feed(b, 900, 200, 8000), 0);
}

static void test_speech_stops_what_is_played(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    alone(b, &formats[0], 8000, true);
    give_clip(b, 3, 1700, 8000, 3000);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 3}, false, 44);
    pass(b, 600);
    voice(b, 200);
    assert_true(event(b, MEDIA_EV_PLAYED, &ev));
    assert_int_equal(ev.token, 44);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_true(ev.voice.stopped);
}

/* ---- what a linked peer says ----------------------------------------------------------------- */

static void linked(struct bed *b, const struct media_format *a, const struct media_format *z)
{
    struct media_cmd c = {.kind = MEDIA_TAP, .id = 1, .on = true};
    call(b, a, z);
    c.tap.link = LINK;
    c.tap.voice = c.tap.barge_in = c.tap.linked = true;
    c.tap.lapse_ms = 5000;
    memset(&took, 0, sizeof(took));
    b->s[A].mute = true;
    cmd(b, c);
}

static void both_close(struct bed *b)
{
    struct media_ev ev;
    for (unsigned i = A; i <= B; i++) {
        cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = i + 1});
        mouth_done(&b->s[i].mouth);
        codec_of(b->s[i].f.codec)->decoder_free(b->s[i].dec);
        b->s[i] = (struct side){0};
    }
    while (plane_event(&b->r, &ev))
        continue;
}

static double heard_of_b(struct bed *b, unsigned ms)
{
    struct side *s = &b->s[A];
    unsigned n = s->mouth.rate_hz / 1000 * ms;
    return level(s->heard + s->n - n, n, 1300, s->mouth.rate_hz);
}

/* Within 100 ms, without a hole in what is sent, and for as long as nobody says otherwise. */
static void test_speech_silences_the_peer(void **state)
{
    static const unsigned codec[][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 4}};
    struct bed *b = *state;
    for (unsigned k = 0; k < ARRAY_LEN(codec); k++) {
        struct media_ev ev;
        linked(b, &formats[codec[k][0]], &formats[codec[k][1]]);
        pass(b, 1000);
        assert_true(heard_of_b(b, 500) > 6000);
        unsigned before = b->s[A].n, packets = b->s[A].packets;
        voice(b, 400);
        assert_true(event(b, MEDIA_EV_VOICE, &ev));
        assert_true(ev.talks && ev.voice.stopped);
        assert_in_range(ev.voice.stop_ms, 40, 100);
        assert_true(level(b->s[A].heard + before + 120 * 8, 260 * 8, 1300, 8000) < 50);
        pass(b, 4000);
        assert_true(heard_of_b(b, 4000) < 50);
        assert_in_range(b->s[A].packets - packets, 218, 222);
        cmd(b, (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = 1});
        pass(b, 600);
        assert_true(heard_of_b(b, 500) > 6000);
        assert_int_equal(b->s[A].breaks, 0);
        assert_int_equal(b->s[A].overlaps, 0);
        both_close(b);
    }
}

/* Whoever has something new to say need not wait until the old one has ended. */
static void test_the_peer_is_silenced_by_order(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    linked(b, &formats[0], &formats[0]);
    pass(b, 1000);
    assert_true(event(b, MEDIA_EV_HEARS, &ev)); /* once */
    assert_false(event(b, MEDIA_EV_HEARS, &ev));
    cmd(b, (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = 1, .on = true});
    unsigned packets = b->s[A].packets;
    pass(b, 1000);
    assert_true(heard_of_b(b, 950) < 50);
    assert_in_range(b->s[A].packets - packets, 48, 52);
    cmd(b, (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = 1});
    pass(b, 600);
    assert_true(heard_of_b(b, 500) > 6000);
    assert_true(event(b, MEDIA_EV_HEARS, &ev));
    assert_int_equal(b->s[A].breaks, 0);
    /* One that says nothing is not waited for: it will be heard. */
    cmd(b, (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = 1});
    cmd(b, (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = 1, .on = true});
    pass(b, 600);
    assert_true(heard_of_b(b, 500) > 6000);
}

static void turned(struct bed *b, bool sending)
{
    cmd(b, (struct media_cmd){
               .kind = MEDIA_SET, .id = 1, .rtp = phone(A), .sending = sending, .receiving = true});
}

/* A peer that falls silent is told of once, 5 s later, and once more when it goes on; not what was
 * over before the next order. Who holds is spoken to all the same. */
static void test_a_peer_falls_silent(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    linked(b, &formats[0], &formats[0]);
    pass(b, 1000);
    assert_true(event(b, MEDIA_EV_HEARS, &ev) && ev.talks);
    turned(b, false);
    pass(b, 8000);
    assert_false(event(b, MEDIA_EV_HEARS, &ev));
    turned(b, true);
    b->s[B].mute = true; /* packets without sound */
    pass(b, 4900);
    assert_false(event(b, MEDIA_EV_HEARS, &ev));
    pass(b, 200);
    assert_true(event(b, MEDIA_EV_HEARS, &ev) && !ev.talks);
    pass(b, 8000);
    assert_false(event(b, MEDIA_EV_HEARS, &ev));
    b->s[B].mute = false;
    pass(b, 200);
    assert_true(event(b, MEDIA_EV_HEARS, &ev) && ev.talks);
    b->s[B].quiet = true; /* no packets */
    pass(b, 4000);
    cmd(b, (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = 1});
    pass(b, 8000);
    assert_false(event(b, MEDIA_EV_HEARS, &ev));
}

/* Who may be silent for as long as it likes is not told of. */
static void test_a_peer_may_be_silent(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    struct media_cmd c = {.kind = MEDIA_TAP, .id = 1, .on = true};
    linked(b, &formats[0], &formats[0]);
    c.tap.link = LINK;
    c.tap.voice = c.tap.linked = true;
    cmd(b, c);
    pass(b, 1000);
    assert_true(event(b, MEDIA_EV_HEARS, &ev) && ev.talks);
    b->s[B].mute = true;
    pass(b, 20000);
    assert_false(event(b, MEDIA_EV_HEARS, &ev));
}

/* They are for the menu: the peer, which would take them for an answer, hears of none. */
static void test_keys_are_not_for_the_peer(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    for (unsigned taps = 0; taps < 2; taps++) {
        if (taps)
            linked(b, &formats[0], &formats[0]);
        else
            call(b, &formats[0], &formats[0]);
        pass(b, 200);
        unsigned before = b->s[B].packets;
        b->s[A].quiet = true;
        for (unsigned i = 0; i < 8; i++) {
            uint8_t p[16];
            rtp_header_build(p, &(struct rtp_header){.pt = EVENTS,
                                                     .marker = i == 0,
                                                     .seq = ++b->s[A].egress.seq,
                                                     .ts = 4000,
                                                     .ssrc = 100});
            p[12] = 5;
            p[13] = i > 4 ? 0x8A : 0x0A;
            be16_put(p + 14, (uint16_t)(160 * (i + 1)));
            send_packet(b, A, p, sizeof(p));
        }
        assert_true(event(b, MEDIA_EV_DIGIT, &ev));
        assert_int_equal(b->s[B].packets - before, taps ? 0 : 8);
        b->s[A].quiet = false;
        pass(b, 400);
        assert_int_equal(b->s[B].breaks, 0);
        both_close(b);
    }
}

/* Who speaks into its silence has stopped nothing, and hears what comes then. */
static void test_a_peer_that_is_silent_is_not_silenced(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    linked(b, &formats[0], &formats[1]);
    b->s[B].mute = true;
    pass(b, 1000);
    voice(b, 400);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_true(ev.talks && !ev.voice.stopped);
    b->s[B].mute = false;
    pass(b, 400);
    assert_true(heard_of_b(b, 300) > 6000);
}

/* A pause between two words is no end. */
static void test_speech_in_a_pause_of_the_peer_silences_it(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    linked(b, &formats[0], &formats[0]);
    pass(b, 1000);
    b->s[B].mute = true;
    pass(b, 300);
    voice(b, 400);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_true(ev.voice.stopped);
    b->s[B].mute = false;
    pass(b, 400);
    assert_true(heard_of_b(b, 400) < 50);
}

static void test_another_peer_is_heard(void **state)
{
    struct bed *b = *state;
    for (unsigned k = 0; k < 3; k++) {
        linked(b, &formats[0], &formats[0]);
        pass(b, 600);
        voice(b, 400);
        pass(b, 200);
        assert_true(heard_of_b(b, 200) < 50);
        if (k == 0) {
            cmd(b, (struct media_cmd){.kind = MEDIA_UNLINK, .id = 2});
            pass(b, 100);
            cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 2, .peer = 1});
        } else if (k == 1) {
            cmd(b, (struct media_cmd){.kind = MEDIA_TAP, .id = 1});
        } else {
            struct media_cmd c = {.kind = MEDIA_TAP, .id = 1, .on = true};
            c.tap.link = LINK + 1;
            cmd(b, c);
        }
        pass(b, 400);
        assert_true(heard_of_b(b, 300) > 6000);
        both_close(b);
    }
}

static void test_no_barge_in_where_it_is_not_wanted(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    alone(b, &formats[0], 8000, false);
    assert_int_equal(feed(b, 900, 4000, 8000), 0);
    pass(b, 600);
    voice(b, 600);
    assert_int_equal(took.stopped, 0);
    assert_hears(&b->s[A], 300, 900, 500);
    assert_true(event(b, MEDIA_EV_VOICE, &ev));
    assert_false(ev.voice.stopped);
}

/* ---- cost ------------------------------------------------------------------------------------ */

static void test_nothing_is_allocated_a_frame(void **state)
{
    struct bed *b = *state;
    alone(b, &formats[0], 8000, true);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(feed(b, 900, 20, 8000), 0);
        pass(b, 20);
    }
    uint64_t live = mem_live(), made = mem_requests();
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(feed(b, 900, 20, 8000), 0);
        pass(b, 20);
    }
    assert_int_equal(mem_live(), live);
    assert_int_equal(mem_requests(), made);
}

static void test_bad_orders_are_refused(void **state)
{
    struct bed *b = *state;
    side_open(b, A, &formats[0], 500);
    struct media_cmd c = {.kind = MEDIA_TAP, .id = 1, .on = true};
    c.tap.rate_hz = 11025;
    assert_int_equal(plane_cmd(&b->r, b->now, &c), -EINVAL);
    c.id = 9;
    assert_int_equal(plane_cmd(&b->r, b->now, &c), -ENOENT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_its_sound_comes_at_an_even_pace),
        CASE(test_silence_comes_where_nothing_is_sent),
        CASE(test_lost_packets_are_hidden),
        CASE(test_nothing_is_given_once_it_is_over),
        CASE(test_nothing_may_be_fed),
        CASE(test_it_is_heard_and_then_silence),
        CASE(test_a_pace_that_stumbles_is_not_heard),
        CASE(test_whose_fault_a_gap_is),
        CASE(test_marks_come_when_they_are_reached),
        CASE(test_clear_is_at_once),
        CASE(test_the_queue_is_bounded),
        CASE(test_another_conversation_is_not_heard),
        CASE(test_an_announcement_goes_before),
        CASE(test_voice_is_told),
        CASE(test_speech_stops_what_is_fed),
        CASE(test_what_comes_while_it_speaks_is_not_heard),
        CASE(test_speech_stops_it_in_other_codecs_too),
        CASE(test_speech_ends_without_a_packet),
        CASE(test_speech_stops_what_is_played),
        CASE(test_nobody_silences_it_for_ever),
        CASE(test_speech_silences_the_peer),
        CASE(test_a_peer_that_is_silent_is_not_silenced),
        CASE(test_the_peer_is_silenced_by_order),
        CASE(test_a_peer_falls_silent),
        CASE(test_a_peer_may_be_silent),
        CASE(test_keys_are_not_for_the_peer),
        CASE(test_speech_in_a_pause_of_the_peer_silences_it),
        CASE(test_another_peer_is_heard),
        CASE(test_no_barge_in_where_it_is_not_wanted),
        CASE(test_nothing_is_allocated_a_frame),
        CASE(test_bad_orders_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
