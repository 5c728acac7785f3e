/* Packets made by hand become tracks: what sounds, and when. */
#include <math.h>
#include <stdlib.h>

#include "rtp_bed.h"

#include "analysis/audio.h"
#include "analysis/engine_int.h"
#include "engine/media/codec.h"
#include "engine/media/srtp.h"

#include <srtp2/srtp.h>

#define MAX_PACKETS 40000

/* A capture in memory: it is read twice. */
struct packet {
    uint64_t at_ns;
    uint32_t at, n;
    struct addr src, dst;
};
static struct packet packets[MAX_PACKETS];
static unsigned n_packets;
static uint8_t *bytes;
static uint32_t n_bytes;

static struct an_engine *engine;
static struct an_plan plan;
static struct an_audio *audio;
static int16_t *sound[AN_AUDIO_MAX_TRACKS + 1];
static uint32_t n_sound;

static int up(void **state)
{
    assert_int_equal(
        an_engine_new(&engine, &(struct an_engine_args){.max_legs = 100, .max_streams = 100}), 0);
    n_packets = n_bytes = 0;
    bytes = malloc(64u << 20);
    memset(&plan, 0, sizeof(plan));
    audio = NULL;
    n_sound = 0;
    return 0;
}

static int down(void **state)
{
    an_audio_free(audio);
    an_engine_free(engine);
    for (unsigned i = 0; i <= AN_AUDIO_MAX_TRACKS; i++) {
        free(sound[i]);
        sound[i] = NULL;
    }
    free(bytes);
    assert_int_equal(mem_live(), 0);
    return 0;
}

static void record(const struct sender *s, uint64_t at_ns)
{
    assert_true(n_packets < MAX_PACKETS);
    struct packet *p = &packets[n_packets++];
    *p = (struct packet){at_ns, n_bytes, RTP_HEADER_BYTES + s->payload_n, s->src, s->dst};
    rtp_header_build(
        bytes + n_bytes,
        &(struct rtp_header){
            .pt = s->pt, .marker = s->marker, .seq = s->seq, .ts = s->ts, .ssrc = s->ssrc});
    memcpy(bytes + n_bytes + RTP_HEADER_BYTES, s->payload, s->payload_n);
    n_bytes += p->n;
}

static int by_time(const void *x, const void *y)
{
    const struct packet *a = x, *b = y;
    return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

static struct an_datum datum(unsigned i)
{
    const struct packet *p = &packets[i];
    return (struct an_datum){.at_ns = p->at_ns,
                             .frame = i + 1,
                             .kind = AN_UDP_DATA,
                             .src = p->src,
                             .dst = p->dst,
                             .bytes = str_of((const char *)bytes + p->at, p->n)};
}

static void first_reading(void)
{
    qsort(packets, n_packets, sizeof(*packets), by_time);
    for (unsigned i = 0; i < n_packets; i++) {
        struct an_datum d = datum(i);
        an_engine_rx(engine, &d);
    }
    assert_int_equal(an_engine_settle(engine), 0);
}

static void take(void)
{
    int16_t *out[AN_AUDIO_MAX_TRACKS + 1];
    unsigned n;
    do {
        for (uint32_t i = 0; i <= plan.n_tracks; i++)
            out[i] = sound[i] + n_sound;
        n = an_audio_take(audio, 4800, out);
        n_sound += n;
    } while (n);
}

static void second_reading(uint32_t rate)
{
    assert_int_equal(an_audio_new(&audio, engine, &plan, rate), 0);
    uint64_t all = (plan.to_ns - plan.from_ns) * (an_audio_rate(audio) / 1000) / MS + 4800;
    for (uint32_t i = 0; i <= plan.n_tracks; i++) {
        sound[i] = malloc(all * sizeof(int16_t));
        assert_non_null(sound[i]);
    }
    for (unsigned i = 0; i < n_packets; i++) {
        struct an_datum d = datum(i);
        while (!an_audio_rx(audio, &d))
            take();
        if (i % 7 == 0)
            take();
    }
    an_audio_end(audio);
    while (!an_audio_done(audio))
        take();
}

static void all_streams(uint32_t rate)
{
    first_reading();
    for (uint32_t i = 0; i < an_rtp_streams(an_engine_rtp(engine)); i++)
        assert_true(an_audio_plan_add(engine, i, &plan));
    second_reading(rate);
}

/* A tone in PCMU between two times, silence elsewhere. */
static void tone(struct sender *s, uint64_t from_ns, uint64_t to_ns, double hz)
{
    for (unsigned i = 0; i < 160; i++) {
        uint64_t t = s->now_ns + i * 125000ull;
        double v = t >= from_ns && t < to_ns ? 8000 * sin(2 * M_PI * hz * (double)t / 1e9) : 0;
        s->payload[i] = codec_ulaw_code((int16_t)v);
    }
}

static double level(const int16_t *s, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)s[i] * s[i];
    return n ? sqrt(sum / n) : 0;
}

/* Where the loud part begins and ends, in samples. */
static uint32_t loud_from(const int16_t *s)
{
    for (uint32_t i = 0; i < n_sound; i++)
        if (abs(s[i]) > 1000)
            return i;
    return UINT32_MAX;
}

static uint32_t loud_to(const int16_t *s)
{
    for (uint32_t i = n_sound; i-- > 0;)
        if (abs(s[i]) > 1000)
            return i + 1;
    return 0;
}

static void assert_near(int64_t a, int64_t b, int64_t within)
{
    if (llabs(a - b) > within)
        fail_msg("%lld is not within %lld of %lld", (long long)a, (long long)within, (long long)b);
}

static void test_two_voices(void **state)
{
    struct rand rnd;
    rand_seed(&rnd, 5);
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    struct sender b = sender("10.0.0.6:4000", "10.0.0.1:20002", 2);
    b.now_ns += 313 * MS;
    for (unsigned i = 0; i < 500; i++) {
        tone(&a, 3 * SECOND, 4 * SECOND, 440);
        tone(&b, 5 * SECOND, 6 * SECOND, 1000);
        record(&a, a.now_ns + rand_below(&rnd, 40 * MS)); /* jitter and disorder */
        record(&b, b.now_ns);
        step(&a);
        step(&b);
    }
    all_streams(0);
    assert_int_equal(plan.rate_hz, 8000);
    assert_int_equal(plan.n_tracks, 2);
    assert_near(n_sound, (plan.to_ns - plan.from_ns) * 8 / MS, 8);
    uint32_t zero = (uint32_t)((plan.from_ns - SECOND) * 8 / MS);
    assert_near(loud_from(sound[0]), 16000 - zero, 16);
    assert_near(loud_to(sound[0]), 24000 - zero, 16);
    assert_near(loud_from(sound[1]), 32000 - zero, 16);
    assert_near(loud_to(sound[1]), 40000 - zero, 16);
    for (uint32_t i = 0; i < n_sound; i++)
        assert_int_equal(sound[2][i], sound[0][i] + sound[1][i]);
    assert_int_equal(an_audio_stats(audio, 0)->concealed_ms, 0);
    assert_int_equal(an_audio_stats(audio, 0)->packets, 500);
    assert_string_equal(plan.track[0].name, "10.0.0.5:4000");
}

static void test_loss(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    for (unsigned i = 0; i < 250; i++) {
        tone(&a, 0, 100 * SECOND, 400);
        if (i % 25 != 13)
            record(&a, a.now_ns);
        if (i % 25 == 14)
            record(&a, a.now_ns + 5 * MS);
        step(&a);
    }
    all_streams(0);
    const struct an_track_stats *st = an_audio_stats(audio, 0);
    assert_int_equal(st->packets, 240);
    assert_int_equal(st->concealed_ms, 200);
    assert_int_equal(st->late, 10);
    for (uint32_t at = 800; at + 1600 < n_sound; at += 160) /* nowhere a hole */
        assert_true(level(sound[0] + at, 160) > 3000);
}

/* A pause is silence of its length, a loss of packets at its end too. */
static void test_pause(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    for (unsigned i = 0; i < 200; i++) {
        tone(&a, 0, 100 * SECOND, 400);
        if (i < 50 || i >= 150)
            record(&a, a.now_ns);
        if (i < 50 || i >= 150)
            a.seq++;
        a.ts += 160;
        a.now_ns += 20 * MS;
    }
    a.now_ns += 600 * SECOND; /* and ten minutes later */
    a.ts += 600 * 8000u;
    for (unsigned i = 0; i < 50; i++) {
        tone(&a, 0, UINT64_MAX, 400);
        record(&a, a.now_ns);
        step(&a);
    }
    all_streams(0);
    assert_true(level(sound[0] + 7000, 800) > 3000);
    assert_true(level(sound[0] + 8000 + 480, 15000) < 1);
    assert_true(level(sound[0] + 24080, 7000) > 3000);
    assert_near(n_sound, 600 * 8000 + 40000, 200);
    assert_true(level(sound[0] + n_sound - 7000, 6000) > 3000);
    assert_true(level(sound[0] + 32000 + 480, 600 * 8000 - 1000) < 1);
}

/* The clock of the sender is off by 200 ppm: after five minutes what it says is still in time. */
static void test_drift(void **state)
{
    for (int ppm = -200; ppm <= 200; ppm += 400) {
        struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
        uint64_t begin_ns = a.now_ns;
        for (unsigned i = 0; i < 15000; i++) {
            a.now_ns = begin_ns + i * (uint64_t)(20000000 - 20 * ppm);
            /* Words and pauses. */
            uint64_t word = a.now_ns / SECOND * SECOND;
            tone(&a, word, word + 500 * MS, 400);
            record(&a, a.now_ns);
            a.seq++;
            a.ts += 160;
        }
        all_streams(0);
        for (uint32_t second = 2; second < 298; second += 20) {
            const int16_t *s = sound[0] + (second * 1000 - (uint32_t)(plan.from_ns / MS)) * 8;
            assert_true(level(s - 800, 800 - 240) < 500);
            assert_true(level(s + 240, 800) > 3000);
        }
        down(state);
        up(state);
    }
}

static void test_rates(void **state)
{
    static const struct {
        uint8_t pt, codec;
        uint32_t clock, rate, step;
    } codec[] = {{9, CODEC_G722, 8000, 16000, 160}, {96, CODEC_OPUS, 48000, 48000, 960}};
    for (unsigned c = 0; c < 2; c++) {
        struct media_format f = {.codec = codec[c].codec, .clock_hz = codec[c].clock};
        const struct codec *k = codec_of(f.codec);
        void *encoder = k->encoder(&f);
        struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
        struct sender b = sender("10.0.0.6:4000", "10.0.0.1:20002", 2);
        a.pt = codec[c].pt;
        b.now_ns += 5 * MS;
        for (unsigned i = 0; i < 200; i++) {
            int16_t pcm[960];
            for (unsigned n = 0; n < codec[c].rate / 50; n++) {
                double t = i * 0.02 + n / (double)codec[c].rate;
                pcm[n] = (int16_t)(t >= 1 && t < 2 ? 8000 * sin(2 * M_PI * 500 * t) : 0);
            }
            int bytes_n = k->encode(encoder, pcm, codec[c].rate / 50, a.payload);
            a.payload_n = (uint32_t)bytes_n;
            record(&a, a.now_ns);
            a.seq++;
            a.ts += codec[c].step;
            a.now_ns += 20 * MS;
            tone(&b, 3 * SECOND, 4 * SECOND, 500);
            record(&b, b.now_ns);
            step(&b);
        }
        k->encoder_free(encoder);
        first_reading();
        struct an_stream *s = (struct an_stream *)(uintptr_t)an_rtp_stream(engine->rtp, 0);
        if (c) /* as a description would say */
            s->format[0].codec = CODEC_OPUS, s->format[0].clock_hz = 48000;
        for (uint32_t i = 0; i < 2; i++)
            assert_true(an_audio_plan_add(engine, i, &plan));
        second_reading(0);
        uint32_t rate = codec[c].rate;
        assert_int_equal(an_audio_rate(audio), rate);
        assert_near(loud_from(sound[0]), rate, rate / 100);
        assert_near(loud_to(sound[0]), rate * 2, rate / 50); /* Opus rings */
        assert_near(loud_from(sound[1]), rate * 2, rate / 100);
        assert_near(loud_to(sound[1]), rate * 3, rate / 100);
        down(state);
        up(state);
    }
}

/* Another SSRC, and timestamps that leap: it goes on where it is in time. */
static void test_begins_anew(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    for (unsigned i = 0; i < 300; i++) {
        if (i == 100)
            a.ts += 123456789;
        if (i == 200)
            a.seq += 20000;
        tone(&a, 2 * SECOND, 3 * SECOND, 400);
        record(&a, a.now_ns);
        step(&a);
    }
    all_streams(0);
    assert_int_equal(plan.n_tracks, 1);
    assert_near(loud_from(sound[0]), 8000, 80);
    assert_near(loud_to(sound[0]), 16000, 80);
    assert_near(n_sound, 6 * 8000, 400);
}

static void test_tones_are_keys(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    for (unsigned i = 0; i < 200; i++) {
        bool on = i / 5 % 4 == 1; /* 100 ms of 400 */
        for (unsigned k = 0; k < 160; k++) {
            double t = (i * 160 + k) / 8000.0;
            a.payload[k] = codec_ulaw_code(
                (int16_t)(on ? 6000 * sin(2 * M_PI * 770 * t) + 6000 * sin(2 * M_PI * 1336 * t)
                             : 0));
        }
        record(&a, a.now_ns);
        step(&a);
    }
    all_streams(0);
    const struct an_track_stats *st = an_audio_stats(audio, 0);
    assert_int_equal(st->n_digits, 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(st->digit[i].digit, '5');
        assert_near((int64_t)((st->digit[i].at_ns - SECOND) / MS), 400 * i + 100, 60);
    }
}

/* ---- SRTP ------------------------------------------------------------------------------------ */

static const char line_80[] = "1 AES_CM_128_HMAC_SHA1_80 "
                              "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20";
static const char line_gcm[] = "2 AEAD_AES_256_GCM inline:"
                               "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=";

/* As the sender would. */
static srtp_t sender_new(bool gcm)
{
    static uint8_t key[46];
    srtp_policy_t p = {.ssrc = {.type = ssrc_any_outbound}, .key = key};
    srtp_t session;
    if (gcm) {
        for (unsigned i = 0; i < 44; i++)
            key[i] = (uint8_t)i;
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&p.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&p.rtcp);
    } else {
        /* RFC 4568 section 6.1's example, decoded. */
        memcpy(key, "YS___semctl () {\t220;}\n}\nunles", 30);
        srtp_crypto_policy_set_rtp_default(&p.rtp);
        srtp_crypto_policy_set_rtp_default(&p.rtcp);
    }
    assert_int_equal(srtp_create(&session, &p), 0);
    return session;
}

static void lock_all(bool gcm, unsigned corrupt)
{
    srtp_t session = sender_new(gcm);
    uint8_t *out = malloc(64u << 20);
    uint32_t at = 0;
    for (unsigned i = 0; i < n_packets; i++) {
        memcpy(out + at, bytes + packets[i].at, packets[i].n);
        int n = (int)packets[i].n;
        assert_int_equal(srtp_protect(session, out + at, &n), 0);
        if (corrupt && i % corrupt == 1)
            out[at + 20] ^= 1;
        packets[i].at = at;
        packets[i].n = (uint32_t)n;
        at += (uint32_t)n;
    }
    free(bytes);
    bytes = out;
    srtp_dealloc(session);
}

/* A leg whose caller offers these keys. */
static void offer(const char *lines)
{
    handle_t h;
    struct an_leg *leg = slot_take(&engine->legs, &h);
    leg->number = 1;
    leg->end_ns = AN_NEVER;
    struct an_sdp *sdp = an_leg_sdp_add(leg);
    sdp->n_media = 1;
    sdp->media[0] = (struct an_media){.kind = SDP_AUDIO,
                                      .secure = true,
                                      .rtp = at("10.0.0.5:4000"),
                                      .crypto = an_text_put(&leg->text, str_z(lines), 1000)};
    an_rtp_expect(engine->rtp, leg, sdp, 0);
}

static void srtp_case(bool gcm, const char *lines, unsigned corrupt)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    a.seq = 65500; /* it goes round */
    for (unsigned i = 0; i < 200; i++) {
        tone(&a, 0, 100 * SECOND, 400);
        record(&a, a.now_ns);
        step(&a);
    }
    lock_all(gcm, corrupt);
    offer(lines);
    all_streams(0);
}

static void test_srtp(void **state)
{
    for (unsigned gcm = 0; gcm < 2; gcm++) {
        char lines[400];
        snprintf(lines, sizeof(lines), "%s\n%s\n", line_80, line_gcm);
        srtp_case(gcm, lines, 0);
        assert_int_equal(an_audio_stats(audio, 0)->locked, 0);
        assert_int_equal(an_audio_stats(audio, 0)->packets, 200);
        assert_true(level(sound[0] + 80, n_sound - 480) > 5000);
        assert_true(level(sound[0] + 80, n_sound - 480) < 6000);
        down(state);
        up(state);
    }
    srtp_case(false, line_gcm, 0);
    assert_int_equal(an_audio_stats(audio, 0)->locked, 200);
    assert_true(level(sound[0], n_sound) < 1);
    down(state);
    up(state);
    srtp_case(false, line_80, 20);
    assert_int_equal(an_audio_stats(audio, 0)->locked, 10);
}

static void test_keys_that_are_none(void **state)
{
    struct srtp_rx *s;
    static const struct {
        const char *line;
        int err;
    } bad[] = {
        {"", -ENOTSUP},
        {"1", -ENOTSUP},
        {"1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80", -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 outline:AAAA", -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewky!jA7fQp9CnVubGVz", -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVzAA", -EBADMSG},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|1:4", -ENOTSUP},
        {"1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz "
         "UNENCRYPTED_SRTP",
         -ENOTSUP},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(srtp_rx_new(&s, str_z(bad[i].line)), bad[i].err);
    mem_fail_after(1);
    assert_int_equal(srtp_rx_new(&s, str_z(line_80)), -ENOMEM);
    mem_fail_after(0);
}

static void test_peaks(void **state)
{
    struct an_peaks p = {.each = 160};
    int16_t s[100];
    for (unsigned i = 0; i < 4000; i++) {
        for (unsigned k = 0; k < 100; k++)
            s[k] = (int16_t)(i == 2000 && k == 50 ? -32768 : 5);
        an_peaks_add(&p, s, 100);
    }
    assert_int_equal(p.each, 640);
    assert_int_equal(p.n, 625);
    for (unsigned i = 0; i < p.n; i++)
        assert_int_equal(p.peak[i], i == 200050 / 640 ? 32768 : 5);
}

static void test_memory(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    for (unsigned i = 0; i < 50; i++) {
        record(&a, a.now_ns);
        step(&a);
    }
    first_reading();
    assert_true(an_audio_plan_add(engine, 0, &plan));
    for (uint64_t nth = 1; nth < 5; nth++) {
        mem_fail_after(nth);
        int err = an_audio_new(&audio, engine, &plan, 0);
        assert_true(err == -ENOMEM || nth > 3);
        if (err == 0) {
            for (unsigned i = 0; i < n_packets; i++) {
                struct an_datum d = datum(i);
                assert_true(an_audio_rx(audio, &d));
            }
            an_audio_free(audio);
        }
        audio = NULL;
        mem_fail_after(0);
    }
    assert_int_equal(an_audio_new(&audio, engine, &plan, 11025), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_two_voices), TEST(test_loss),           TEST(test_pause),
        TEST(test_drift),      TEST(test_rates),          TEST(test_begins_anew),
        TEST(test_srtp),       TEST(test_tones_are_keys), TEST(test_keys_that_are_none),
        TEST(test_peaks),      TEST(test_memory),
    };
    if (srtp_start())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
