/* The plane when things go wrong: memory runs out anywhere, ticks come late, streams and recordings
 * cross each other. */
#include <errno.h>

#include "bed.h"

static struct media_cmd record_cmd(media_id id, uint64_t number, uint8_t track)
{
    struct media_cmd c = {.kind = MEDIA_RECORD, .id = id};
    c.record.number = number;
    c.record.rate_hz = 16000;
    c.record.track = track;
    c.record.tracks = true;
    c.record.mixed = number == 1;
    return c;
}

static struct media_cmd record_stop(uint64_t number)
{
    struct media_cmd c = {.kind = MEDIA_RECORD_STOP};
    c.record.number = number;
    return c;
}

/* All blocks that wait; returns the samples of recording `number`. */
static unsigned blocks(struct bed *b, uint64_t number)
{
    struct plane_block k;
    unsigned n = 0;
    while (plane_block(&b->r, &k)) {
        assert_true((k.n > 0 && k.samples > 0) || (!k.n && !k.samples && k.n_marks));
        n += k.record == number ? k.samples : 0;
    }
    return n;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Refusals are expected. */
static void order(struct bed *b, struct media_cmd c)
{
    (void)plane_cmd(&b->r, b->now, &c);
    drain(b);
}

static void run_all(struct bed *b, unsigned ms)
{
    for (; ms >= 20; ms -= 20) {
        struct media_ev ev;
        run(b, 20);
        (void)blocks(b, 1);
        while (plane_event(&b->r, &ev))
            ;
    }
}

static struct media_cmd join(media_id id)
{
    struct media_cmd c = {.kind = MEDIA_JOIN, .id = id};
    c.member.room = 9;
    return c;
}

static struct media_cmd play_some(enum media_cmd_kind kind, media_id id)
{
    struct media_cmd c = {.kind = kind, .id = id};
    c.play.item[c.play.n_items++] =
        (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 3, .ms = 60};
    c.play.item[c.play.n_items++] =
        (struct media_item){.kind = MEDIA_ITEM_TONE, .tone = TONE_DIAL, .country = "US", .ms = 60};
    c.play.item[c.play.n_items++] = (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = '4'};
    c.play.token = 7;
    return c;
}

/* Everything that the plane can do, with six parties of five codecs. */
static void session(struct bed *b)
{
    order(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    order(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 3, .peer = 4});
    run_all(b, 60);
    order(b, record_cmd(1, 1, 1));
    order(b, record_cmd(2, 1, 2));
    order(b, record_cmd(3, 2, 1));
    order(b, (struct media_cmd){.kind = MEDIA_LISTEN, .id = 4, .on = true});
    order(b, join(5));
    order(b, join(6));
    run_all(b, 100);
    order(b, play_some(MEDIA_PLAY, 3));
    order(b, play_some(MEDIA_ROOM_PLAY, 9));
    run_all(b, 100);
    tell_format(b, 0, &formats[3], false); /* the plane believes it, the phone goes on */
    tell_format(b, 0, &formats[1], true);
    order(b, join(4));
    order(b, record_cmd(5, 1, 1)); /* takes the track of the first */
    b->lose = 2;
    run_all(b, 300);
    order(b, record_stop(1));
    order(b, (struct media_cmd){.kind = MEDIA_LEAVE, .id = 5});
    run_all(b, 40);
}

static void open_all(struct bed *b)
{
    for (unsigned i = 0; i < 6; i++)
        side_open(b, i, &formats[(i + 1) % ARRAY_LEN(formats)], 300 + 200 * i);
    give_clip(b, 3, 700, 16000, 200);
    run(b, 40);
}

/* With memory again, new streams hear each other: nothing is stuck. */
static void goes_on(struct bed *b)
{
    for (unsigned i = 6; i < 8; i++)
        side_open(b, i, &formats[i == 6 ? 1 : 2], i == 6 ? 500 : 1300);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 7, .peer = 8});
    run_all(b, 400);
    assert_hears(&b->s[7], 200, 500, 1300);
    assert_hears(&b->s[6], 200, 1300, 500);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(b->s[i].breaks, 0);
        cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = i + 1});
        b->s[i].quiet = true;
    }
    cmd(b, record_stop(1));
    cmd(b, record_stop(2));
    run_all(b, 100);
    assert_true(list_empty(&b->r.rooms) && list_empty(&b->r.recs) && list_empty(&b->r.ticking));
    assert_int_equal(b->r.tick_due, USEC_NEVER);
}

/* The nth request for memory and all that follow are refused. Who is passed on hears all of it. */
static void test_out_of_memory(void **state)
{
    uint64_t nth = 1, made = 0;
    do {
        void *bed;
        setup(&bed);
        struct bed *b = bed;
        open_all(b);
        uint64_t before = mem_requests();
        mem_fail_after(nth);
        session(b);
        made = mem_requests() - before;
        mem_fail_after(0);
        assert_int_equal(nth <= made, b->r.count.no_memory > 0);
        goes_on(b);
        assert_int_equal(teardown(&bed), 0);
    } while (++nth <= made + 1 && nth < 200);
    assert_in_range(made, 15, 199);
}

/* ---- recordings ------------------------------------------------------------------------------ */

/* The thread looks for blocks whenever it wakes up, also before the next tick. */
static void test_record_keeps_its_end(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    unsigned n = 0;
    call(b, &formats[0], &formats[0]);
    cmd(b, record_cmd(1, 1, 1));
    for (unsigned i = 0; i < 13; i++) {
        run(b, 20);
        n += blocks(b, 1);
    }
    cmd(b, record_stop(1));
    n += blocks(b, 1);
    assert_false(event(b, MEDIA_EV_RECORDED, &ev));
    run(b, 20);
    n += blocks(b, 1);
    assert_true(event(b, MEDIA_EV_RECORDED, &ev));
    assert_int_equal(n, 13 * 320);
}

/* A thread that wakes up late runs several ticks at once, and loses no block by it. */
static void test_record_when_late(void **state)
{
    struct bed *b = *state;
    unsigned n = 0, late = 0;
    call(b, &formats[0], &formats[0]);
    b->s[A].quiet = b->s[B].quiet = true;
    cmd(b, record_cmd(1, 1, 1));
    for (unsigned i = 0; i < 10; i++) {
        b->now += 80 * USEC_MS;
        for (unsigned k = 0; k < 10 && plane_deadline(&b->r) <= b->now; k++) {
            plane_tick(&b->r, b->now);
            n += blocks(b, 1);
            late += k;
        }
    }
    assert_int_equal(n, 8 * 1600);
    assert_true(late > 0);
}

/* A track goes to another stream, and its former one outlives the recording. */
static void test_record_track_taken(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    call(b, &formats[0], &formats[0]);
    cmd(b, record_cmd(1, 1, 1));
    run_all(b, 100);
    cmd(b, record_cmd(2, 1, 1));
    cmd(b, record_stop(1));
    struct media_cmd again = record_cmd(1, 1, 2);
    assert_int_equal(plane_cmd(&b->r, b->now, &again), -ESHUTDOWN);
    for (unsigned i = 0; i < 5; i++) {
        run(b, 20);
        (void)blocks(b, 1);
    }
    assert_true(event(b, MEDIA_EV_RECORDED, &ev));
    cmd(b, record_cmd(1, 1, 1)); /* the number is free again */
    cmd(b, record_cmd(1, 0, 0));
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 2});
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* While the party takes nothing, nothing is numbered: it would count as lost. */
static void test_no_numbers_on_hold(void **state)
{
    struct bed *b = *state;
    struct media_cmd set = {.kind = MEDIA_SET, .id = 1, .rtp = phone(A), .receiving = true};
    side_open(b, A, &formats[0], 500);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_TONE, .tone = TONE_DIAL, .country = "US"},
         false, 0);
    run(b, 200);
    unsigned packets = b->s[A].packets;
    cmd(b, set);
    run(b, 1000);
    assert_int_equal(b->s[A].packets, packets);
    uint32_t ts = b->s[A].ts;
    set.sending = true;
    cmd(b, set);
    run(b, 200);
    assert_true(b->s[A].packets > packets);
    assert_int_equal(b->s[A].breaks, 0);
    assert_in_range(b->s[A].ts - ts, 9000, 10000);
}

static void raw(struct bed *b, uint16_t seq)
{
    uint8_t p[172] = {0x80, 0};
    be16_put(p + 2, seq);
    be32_put(p + 4, seq * 160u);
    p[11] = 77;
    send_packet(b, A, p, sizeof(p));
}

/* What was overtaken by the first packet after a tone would get the number of the tone's last. */
static void test_late_behind_another_source(void **state)
{
    struct bed *b = *state;
    call(b, &formats[0], &formats[0]);
    b->s[A].quiet = b->s[B].quiet = true;
    play(
        b, B,
        (struct media_item){.kind = MEDIA_ITEM_TONE, .tone = TONE_DIAL, .country = "US", .ms = 100},
        false, 0);
    run(b, 200);
    struct side *s = &b->s[B];
    uint16_t last = s->seq;
    raw(b, 100);
    assert_int_equal(s->seq, (uint16_t)(last + 1));
    unsigned packets = s->packets;
    raw(b, 99);
    assert_int_equal(s->packets, packets);
    raw(b, 102);
    raw(b, 101); /* a reorder within the source goes on */
    assert_int_equal(s->seq, (uint16_t)(last + 2));
    assert_int_equal(s->packets, packets + 2);
}

/* ---- digits ---------------------------------------------------------------------------------- */

/* What takes the place of a long event ends it, and is heard at once. */
static void test_event_cut_off(void **state)
{
    struct bed *b = *state;
    side_open(b, A, &formats[0], 500);
    struct side *s = &b->s[A];
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = '5', .ms = 60000}, false, 0);
    run(b, 200);
    unsigned events = s->events;
    assert_in_range(events, 8, 10);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_TONE, .tone = TONE_DIAL, .country = "US"},
         false, 0);
    drain(b);
    assert_int_equal(s->events, events + 3); /* RFC 4733 section 2.5.1.4 */
    assert_in_range(s->duration, 8 * 160, 10 * 160);
    unsigned packets = s->packets;
    run(b, 200);
    assert_int_equal(s->events, events + 3);
    assert_int_equal(s->packets, packets + 10);
    assert_int_equal(s->breaks, 0);
}

/* A key as sound in a call whose packets pass: heard, and passed on all the same. With
 * telephone-event agreed on by both nobody listens; if only we have named it, somebody must. */
static void test_key_heard_in_a_call(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[A];
    struct media_ev ev;
    struct mouth_packet p;
    struct tone key;
    call(b, &formats[0], &formats[0]);
    cmd(b, (struct media_cmd){.kind = MEDIA_LISTEN, .id = A + 1, .on = true});
    run(b, 40);
    assert_int_equal(b->r.tick_due, USEC_NEVER);
    for (unsigned only_ours = 0; only_ours < 2; only_ours++) {
        struct media_cmd c = {.kind = MEDIA_FORMAT, .id = A + 1, .n_rx = 1 + only_ours, .n_tx = 1};
        c.rx[0] = c.tx[0] = formats[0];
        c.rx[1] = (struct media_format){.codec = CODEC_EVENT, .pt = EVENTS, .clock_hz = 8000};
        cmd(b, c);
        s->quiet = true;
        unsigned before = b->s[B].packets;
        assert_int_equal(tone_digit(&key, 8000, '5', 100, 100), 0);
        for (unsigned i = 0; i < 10; i++) {
            int16_t pcm[160];
            const int16_t *from = pcm;
            unsigned n = 160;
            (void)tone_make(&key, pcm, n);
            assert_true(mouth_put(&s->mouth, &s->egress, b->now, 8000, &from, &n, &p));
            send_packet(b, A, p.bytes, p.n);
            run(b, 20);
        }
        run(b, 100);
        assert_int_equal(b->s[B].packets, before + 10);
        assert_true(event(b, MEDIA_EV_DIGIT, &ev));
        assert_int_equal(ev.digit, '5');
        assert_true(ev.in_band);
        assert_false(event(b, MEDIA_EV_DIGIT, &ev));
    }
}

/* Another codec in the middle of a key does not press it twice. */
static void test_key_once_over_formats(void **state)
{
    struct bed *b = *state;
    side_open(b, A, &formats[0], 500);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = '5'}, false, 0);
    run(b, 140); /* its end is out, the pause is not over */
    unsigned events = b->s[A].events;
    assert_in_range(events, 6, 7);
    side_codec(b, A, &formats[4]);
    run(b, 300);
    assert_in_range(b->s[A].events, 7, 7);
}

/* Who wants keys in two clocks gets them in that of its audio, and as long as they were. */
static void test_key_in_the_clock_of_the_audio(void **state)
{
    struct bed *b = *state;
    call(b, &formats[0], &formats[3]);
    struct media_cmd c = {.kind = MEDIA_FORMAT, .id = 2, .n_rx = 1, .n_tx = 3};
    c.rx[0] = c.tx[0] = formats[3];
    c.tx[1] = (struct media_format){.codec = CODEC_EVENT, .pt = 96, .clock_hz = 8000};
    c.tx[2] = (struct media_format){.codec = CODEC_EVENT, .pt = EVENTS, .clock_hz = 48000};
    cmd(b, c);
    uint8_t p[16] = {0x80, 0x80 | EVENTS, 0, 5, 0, 0, 9, 9, 0, 0, 0, 7, 5, 10, 0, 160};
    send_packet(b, A, p, sizeof(p));
    assert_int_equal(b->s[B].events, 1);
    assert_int_equal(b->s[B].duration, 960);
}

/* All three packets that end a key are lost: it is let go when the party goes on talking. */
static void test_end_of_a_key_lost(void **state)
{
    struct bed *b = *state;
    struct media_ev ev;
    uint8_t p[16] = {0x80, 0x80 | EVENTS, 0, 5, 0, 0, 9, 9, 0, 0, 0, 7, 5, 10, 0, 160};
    call(b, &formats[0], &formats[0]);
    send_packet(b, A, p, sizeof(p));
    assert_true(event(b, MEDIA_EV_DIGIT, &ev));
    assert_false(ev.over);
    run(b, 180);
    assert_false(event(b, MEDIA_EV_DIGIT, &ev));
    run(b, 80);
    assert_true(event(b, MEDIA_EV_DIGIT, &ev));
    assert_true(ev.over);
    assert_int_equal(ev.digit, '5');
    run(b, 500);
    assert_false(event(b, MEDIA_EV_DIGIT, &ev));
}

/* The echo does not answer its own echo. */
static void test_echo_of_an_echo(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[A];
    uint8_t p[172] = {0x80, 0};
    side_open(b, A, &formats[0], 500);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 1});
    run(b, 200);
    assert_int_equal(s->packets, 10);
    assert_hears(s, 100, 500, 1300);
    be16_put(p + 2, s->seq);
    be32_put(p + 4, s->ts);
    be32_put(p + 8, s->ssrc);
    send_packet(b, A, p, sizeof(p));
    assert_int_equal(s->packets, 10);
    assert_int_equal(b->r.count.loops, 1);
}

/* Reports of a party that is alone with us are read too. */
static void test_rtcp_of_the_lonely(void **state)
{
    struct bed *b = *state;
    struct plane_forward f;
    struct addr from = phone(A);
    uint8_t rr[8] = {0x80, RTCP_RR, 0, 1, 0, 0, 0, 7};
    from.port++;
    side_open(b, A, &formats[0], 500);
    run(b, 100);
    uint64_t before = b->r.count.no_way;
    struct plane_packet p = {
        .from = &from, .bytes = rr, .n = sizeof(rr), .port = port_of(A), .is_rtcp = true};
    assert_int_equal(plane_rx(&b->r, b->now, &p, &f), 0);
    assert_int_equal(b->r.count.no_way, before);
    rr[3] = 2; /* longer than it is */
    assert_int_equal(plane_rx(&b->r, b->now, &p, &f), 0);
    assert_true(b->r.count.malformed > 0);
}

/* A party may send any of the codecs agreed on: jitter is counted in the clock of the one it sends
 * (RFC 3550 section 6.4.1). */
static void test_jitter_of_the_second_codec(void **state)
{
    struct bed *b = *state;
    struct media_stats st;
    struct media_cmd c = {.kind = MEDIA_FORMAT, .id = 1, .n_rx = 2, .n_tx = 1};
    call(b, &formats[0], &formats[0]);
    b->s[A].quiet = b->s[B].quiet = true;
    c.rx[0] = formats[3];
    c.rx[1] = c.tx[0] = formats[0];
    cmd(b, c);
    for (uint16_t seq = 1; seq < 50; seq++) {
        raw(b, seq);
        run(b, 20);
    }
    assert_int_equal(plane_stats(&b->r, 1, &st), 0);
    assert_true(st.jitter_us < 500);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_record_keeps_its_end),
        T(test_record_when_late),
        T(test_record_track_taken),
        T(test_no_numbers_on_hold),
        T(test_late_behind_another_source),
        T(test_event_cut_off),
        T(test_key_heard_in_a_call),
        T(test_key_once_over_formats),
        T(test_key_in_the_clock_of_the_audio),
        T(test_end_of_a_key_lost),
        T(test_echo_of_an_echo),
        T(test_rtcp_of_the_lonely),
        T(test_jitter_of_the_second_codec),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
