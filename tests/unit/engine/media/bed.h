/* Phones with one codec each around a media plane in virtual time: each sends its own tone and
 * decodes what it is sent. */
#ifndef TESTS_MEDIA_BED_H
#define TESTS_MEDIA_BED_H

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

#define SIDES  12
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
    bool quiet; /* it sends nothing */
    bool mute;  /* it sends silence */
    unsigned packets, breaks, events, markers;
    uint32_t ssrc, ts;
    uint16_t seq;
    uint8_t pt;
    uint16_t duration;
    /* The time that the timestamps of its sound tell, in us: against that of the clock, the packets
     * that begin before the one before ends, and the telephone-events by their timestamps. */
    bool timed;
    uint32_t sound_ts, event_ts;
    usec_t sound_at;
    int64_t length_us, off_us, off_most_us;
    unsigned overlaps, keys;
    struct rtcp_voip voip; /* what it was told last about what it sends */
    unsigned voips;
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

static inline struct addr phone(unsigned i)
{
    return (struct addr){.family = ADDR_V4, .port = 5000, .ip = {192, 0, 2, (uint8_t)(1 + i)}};
}

static inline uint16_t port_of(unsigned i)
{
    return (uint16_t)(20000 + 2 * i);
}

static inline void drain(struct bed *b);

static inline void cmd(struct bed *b, struct media_cmd c)
{
    assert_int_equal(plane_cmd(&b->r, b->now, &c), 0);
    drain(b);
}

static inline void tell_format(struct bed *b, unsigned i, const struct media_format *f, bool events)
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

static inline void side_codec(struct bed *b, unsigned i, const struct media_format *f)
{
    struct side *s = &b->s[i];
    if (s->dec)
        codec_of(s->f.codec)->decoder_free(s->dec);
    s->f = *f;
    s->dec = codec_of(f->codec)->decoder(f);
    assert_non_null(s->dec);
    assert_int_equal(mouth_set(&s->mouth, f, 20), 0);
    s->timed = false; /* what came meanwhile was in another clock */
    tell_format(b, i, f, true);
}

static inline void side_open(struct bed *b, unsigned i, const struct media_format *f, double hz)
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

static inline int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct plane_limits l = {.max_streams = 16, .max_events = 256, .seed = 7};
    b->now = 1000 * USEC_S;
    assert_int_equal(plane_init(&b->r, &l, b->now), 0);
    *state = b;
    return 0;
}

static inline int teardown(void **state)
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

/* One packet of sound. */
static inline void hear_time(struct bed *b, struct side *s, uint32_t ts, unsigned samples)
{
    int64_t us = (int64_t)(int32_t)(ts - s->sound_ts) * 1000000 / s->f.clock_hz;
    if (s->timed) {
        s->overlaps += us + 200 < s->length_us;
        s->off_us += us - (int64_t)(b->now - s->sound_at);
        if (llabs(s->off_us) > s->off_most_us)
            s->off_most_us = llabs(s->off_us);
    }
    s->timed = true;
    s->sound_ts = ts;
    s->sound_at = b->now;
    s->length_us = (int64_t)samples * 1000000 / codec_rate(&s->f);
}

static inline void hear(struct bed *b, uint16_t port, const uint8_t *bytes, size_t n)
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
        s->keys += s->events == 0 || v.ts != s->event_ts;
        s->event_ts = v.ts;
        s->events++;
        s->duration = be16_get(v.payload + 2);
        return;
    }
    assert_int_equal(v.pt, s->f.pt);
    int16_t pcm[CODEC_MAX_SAMPLES];
    int got = codec_of(s->f.codec)->decode(s->dec, v.payload, v.payload_bytes, pcm);
    assert_true(got > 0);
    hear_time(b, s, v.ts, (unsigned)got);
    for (int i = 0; i < got && s->n < HEARD; i++)
        s->heard[s->n++] = pcm[i];
}

static inline void hear_rtcp(struct bed *b, uint16_t port, const uint8_t *bytes, size_t n)
{
    struct side *s = &b->s[(port - 20000) / 2];
    struct rtcp_packet k;
    struct rtcp_xr_block x;
    assert_int_equal(rtcp_check(bytes, n, false), 0);
    for (size_t at = 0; rtcp_next(&k, bytes, n, &at);)
        for (size_t in = 0; k.type == RTCP_XR && rtcp_xr_next(&x, &k, &in);)
            s->voips += rtcp_voip_get(&s->voip, &x) == 0;
    b->rtcp++;
}

static inline void drain(struct bed *b)
{
    struct plane_made m;
    while (plane_out(&b->r, &m)) {
        struct addr to = phone((m.port - 20000u) / 2);
        if (m.is_rtcp) {
            hear_rtcp(b, m.port, m.bytes, m.n);
            continue;
        }
        assert_true(addr_eq(&m.to, &to));
        hear(b, m.port, m.bytes, m.n);
    }
}

static inline void send_packet(struct bed *b, unsigned i, const uint8_t *bytes, size_t n)
{
    static uint8_t mem[PLANE_MAX_BYTES];
    uint8_t *block = mem + sizeof(mem) - n; /* a look beyond the end leaves the array */
    struct addr from = phone(i);
    struct plane_forward f;
    assert_true(n <= sizeof(mem));
    memcpy(block, bytes, n);
    struct plane_packet p = {.from = &from, .bytes = block, .n = n, .port = port_of(i)};
    if (plane_rx(&b->r, b->now, &p, &f) == 1)
        hear(b, f.port, block, n);
    drain(b);
}

static inline void say(struct bed *b, unsigned i)
{
    struct side *s = &b->s[i];
    struct mouth_packet p;
    int16_t pcm[960];
    unsigned n = s->mouth.rate_hz / 50;
    const int16_t *from = pcm;
    sine(pcm, n, s->at, s->hz, s->mouth.rate_hz, s->mute ? 0 : 8000);
    s->at += n;
    while (mouth_put(&s->mouth, &s->egress, b->now, s->mouth.rate_hz, &from, &n, &p)) {
        if (i == A && b->lose) {
            b->lose--;
            continue;
        }
        send_packet(b, i, p.bytes, p.n);
    }
}

static inline void run(struct bed *b, unsigned ms)
{
    for (; ms >= 20; ms -= 20) {
        b->now += 20 * USEC_MS;
        for (unsigned i = 0; i < SIDES; i++)
            if (b->s[i].dec && !b->s[i].quiet)
                say(b, i);
        plane_tick(&b->r, b->now);
        drain(b);
    }
}

static inline void call(struct bed *b, const struct media_format *a, const struct media_format *z)
{
    side_open(b, A, a, 500);
    side_open(b, B, z, 1300);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
}

/* The last `ms` of what the side has heard hold this tone, and the other one not. */
static inline void assert_hears(struct side *s, unsigned ms, double hz, double not )
{
    uint32_t rate = s->mouth.rate_hz;
    unsigned n = rate / 1000 * ms;
    assert_true(s->n >= n);
    double l = level(s->heard + s->n - n, n, hz, rate);
    assert_true(l > 6300 && l < 9700);
    assert_true(level(s->heard + s->n - n, n, not, rate) < 400);
}

static inline void give_clip(struct bed *b, uint32_t number, double hz, uint32_t rate, unsigned ms)
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

static inline void play(struct bed *b, unsigned side, struct media_item item, bool loop,
                        uint32_t token)
{
    struct media_cmd m = {.kind = MEDIA_PLAY, .id = side + 1};
    m.play.n_items = 1;
    m.play.item[0] = item;
    m.play.loop = loop;
    m.play.token = token;
    cmd(b, m);
}

/* The next event of this kind; others are thrown away. */
static inline bool event(struct bed *b, enum media_ev_kind kind, struct media_ev *ev)
{
    while (plane_event(&b->r, ev))
        if (ev->kind == kind)
            return true;
    return false;
}

#endif
