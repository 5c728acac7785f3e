/* What parties hear of each other: the plane with formats, in virtual time. Each side is a phone
 * with one codec that sends a tone and decodes what it is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engine/media/mouth.h"
#include "engine/media/plane.h"
#include "engine/media/tone.h"
#include "sound.h"
#include "wire/rtp/be.h"
#include "wire/rtp/rtcp.h"
#include "wire/rtp/rtp.h"

#define SIDES  2
#define A      0
#define B      1
#define HEARD  (48000 * 4)
#define EVENTS 97 /* payload type of telephone-event here */

struct side {
    struct media_format f;
    struct mouth mouth;
    struct egress egress;
    void *dec;
    double hz;
    uint64_t at; /* samples said */
    int16_t heard[HEARD];
    unsigned n;
    unsigned packets, breaks, events, markers;
    uint32_t ssrc, ts;
    uint16_t seq;
    uint8_t pt;
    uint16_t duration;
};

struct bed {
    struct plane r;
    usec_t now;
    struct side s[SIDES];
    unsigned rtcp; /* packets of it */
    unsigned lose; /* so many of the next packets of A */
};

static const struct media_format formats[] = {
    {.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000},
    {.codec = CODEC_PCMA, .pt = 8, .clock_hz = 8000},
    {.codec = CODEC_G722, .pt = 9, .clock_hz = 8000},
    {.codec = CODEC_OPUS, .pt = 107, .clock_hz = 48000},
    {.codec = CODEC_L16, .pt = 98, .clock_hz = 16000},
};

static struct addr phone(unsigned i)
{
    return (struct addr){.family = ADDR_V4, .port = 5000, .ip = {192, 0, 2, (uint8_t)(1 + i)}};
}

static uint16_t port_of(unsigned i)
{
    return (uint16_t)(20000 + 2 * i);
}

static void cmd(struct bed *b, struct media_cmd c)
{
    assert_int_equal(plane_cmd(&b->r, b->now, &c), 0);
}

static void tell_format(struct bed *b, unsigned i, const struct media_format *f, bool events)
{
    struct media_cmd c = {.kind = MEDIA_FORMAT, .id = i + 1, .n_rx = 1, .n_tx = 1};
    c.rx[0] = c.tx[0] = *f;
    if (events) {
        c.n_rx = c.n_tx = 2;
        c.rx[1] = c.tx[1] =
            (struct media_format){.codec = CODEC_EVENT, .pt = EVENTS, .clock_hz = 8000};
    }
    cmd(b, c);
}

static void side_codec(struct bed *b, unsigned i, const struct media_format *f)
{
    struct side *s = &b->s[i];
    if (s->dec)
        codec_of(s->f.codec)->decoder_free(s->dec);
    s->f = *f;
    s->dec = codec_of(f->codec)->decoder(f);
    assert_non_null(s->dec);
    assert_int_equal(mouth_set(&s->mouth, f, 20), 0);
    tell_format(b, i, f, true);
}

static void side_open(struct bed *b, unsigned i, const struct media_format *f, double hz)
{
    cmd(b,
        (struct media_cmd){.kind = MEDIA_OPEN, .id = i + 1, .port = port_of(i), .family = ADDR_V4});
    cmd(b,
        (struct media_cmd){
            .kind = MEDIA_SET, .id = i + 1, .rtp = phone(i), .receiving = true, .sending = true});
    b->s[i].hz = hz;
    egress_init(&b->s[i].egress, 100 + i, 65530, 0xFFFFF000);
    side_codec(b, i, f);
}

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct plane_limits l = {.max_streams = 8, .max_events = 64, .seed = 7};
    b->now = 1000 * USEC_S;
    assert_int_equal(plane_init(&b->r, &l, b->now), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    for (unsigned i = 0; i < SIDES; i++) {
        mouth_done(&b->s[i].mouth);
        if (b->s[i].dec)
            codec_of(b->s[i].f.codec)->decoder_free(b->s[i].dec);
    }
    plane_done(&b->r);
    mem_free(b);
    return mem_live() != 0;
}

static void hear(struct bed *b, uint16_t port, const uint8_t *bytes, size_t n)
{
    struct side *s = &b->s[(port - 20000) / 2];
    struct rtp_view v;
    assert_int_equal(rtp_parse(&v, bytes, n), 0);
    if (s->packets && (v.ssrc != s->ssrc || v.seq != (uint16_t)(s->seq + 1)))
        s->breaks++;
    s->packets++;
    s->markers += v.marker;
    s->ssrc = v.ssrc;
    s->seq = v.seq;
    s->ts = v.ts;
    s->pt = v.pt;
    if (v.pt == EVENTS) {
        s->events++;
        s->duration = be16_get(v.payload + 2);
        return;
    }
    assert_int_equal(v.pt, s->f.pt);
    int16_t pcm[CODEC_MAX_SAMPLES];
    int got = codec_of(s->f.codec)->decode(s->dec, v.payload, v.payload_bytes, pcm);
    assert_true(got > 0);
    for (int i = 0; i < got && s->n < HEARD; i++)
        s->heard[s->n++] = pcm[i];
}

static void drain(struct bed *b)
{
    struct plane_made m;
    while (plane_out(&b->r, &m)) {
        struct addr to = phone((m.port - 20000u) / 2);
        if (m.is_rtcp) {
            assert_int_equal(rtcp_check(m.bytes, m.n, false), 0);
            b->rtcp++;
            continue;
        }
        assert_true(addr_eq(&m.to, &to));
        hear(b, m.port, m.bytes, m.n);
    }
}

static void send_packet(struct bed *b, unsigned i, const uint8_t *bytes, size_t n)
{
    uint8_t *block = mem_alloc(n);
    struct addr from = phone(i);
    struct plane_forward f;
    memcpy(block, bytes, n);
    struct plane_packet p = {.from = &from, .bytes = block, .n = n, .port = port_of(i)};
    if (plane_rx(&b->r, b->now, &p, &f) == 1)
        hear(b, f.port, block, n);
    drain(b);
    mem_free(block);
}

static void say(struct bed *b, unsigned i)
{
    struct side *s = &b->s[i];
    struct mouth_packet p;
    int16_t pcm[960];
    unsigned n = s->mouth.rate_hz / 50;
    const int16_t *from = pcm;
    sine(pcm, n, s->at, s->hz, s->mouth.rate_hz, 8000);
    s->at += n;
    while (mouth_put(&s->mouth, &s->egress, b->now, s->mouth.rate_hz, &from, &n, &p)) {
        if (i == A && b->lose) {
            b->lose--;
            continue;
        }
        send_packet(b, i, p.bytes, p.n);
    }
}

static void run(struct bed *b, unsigned ms)
{
    for (; ms >= 20; ms -= 20) {
        b->now += 20 * USEC_MS;
        say(b, A);
        say(b, B);
        plane_tick(&b->r, b->now);
        drain(b);
    }
}

static void call(struct bed *b, const struct media_format *a, const struct media_format *z)
{
    side_open(b, A, a, 500);
    side_open(b, B, z, 1300);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
}

/* The last `ms` of what the side has heard hold this tone, and the other one not. */
static void assert_hears(struct side *s, unsigned ms, double hz, double not )
{
    uint32_t rate = s->mouth.rate_hz;
    unsigned n = rate / 1000 * ms;
    assert_true(s->n >= n);
    double l = level(s->heard + s->n - n, n, hz, rate);
    assert_true(l > 6300 && l < 9700);
    assert_true(level(s->heard + s->n - n, n, not, rate) < 400);
}

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
    for (unsigned i = 0; i < SIDES; i++) {
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

static void give_clip(struct bed *b, uint32_t number, double hz, uint32_t rate, unsigned ms)
{
    unsigned n = rate / 1000 * ms;
    struct media_clip *c = mem_zero(sizeof(*c) + n * sizeof(int16_t));
    c->rate_hz = rate;
    c->n = n;
    sine(c->sample, n, 0, hz, rate, 8000);
    struct media_cmd m = {.kind = MEDIA_CLIP};
    m.play.clip_number = number;
    m.play.clip = c;
    cmd(b, m);
}

static void play(struct bed *b, unsigned side, struct media_item item, bool loop, uint32_t token)
{
    struct media_cmd m = {.kind = MEDIA_PLAY, .id = side + 1};
    m.play.n_items = 1;
    m.play.item[0] = item;
    m.play.loop = loop;
    m.play.token = token;
    cmd(b, m);
}

/* The next event of this kind; others are thrown away. */
static bool event(struct bed *b, enum media_ev_kind kind, struct media_ev *ev)
{
    while (plane_event(&b->r, ev))
        if (ev->kind == kind)
            return true;
    return false;
}

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
    /* What is not there is over at once, even in a loop. */
    play(b, B, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 1}, true, 6);
    run(b, 40);
    assert_true(event(b, MEDIA_EV_PLAYED, &ev));
    assert_int_equal(ev.token, 6);
    assert_int_equal(b->s[B].breaks, 0);
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
        cmocka_unit_test_setup_teardown(test_tone_then_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digits_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_becomes_tone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rtcp, setup, teardown),
        cmocka_unit_test(test_play),
        cmocka_unit_test_setup_teardown(test_unagreed_is_dropped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
