/* The sound of a call that goes on, made second by second, beside that of the whole capture. */
#include <math.h>
#include <stdlib.h>

#include "rtp_bed.h"

#include "analysis/audio.h"
#include "analysis/engine_int.h"
#include "engine/media/codec.h"

#define PACKETS 20000
#define SAMPLES (120 * 8000)
#define TRACKS  4

struct packet {
    uint64_t at_ns;
    struct sender from;
};

static struct packet *packets;
static unsigned n_packets;
static int16_t *whole[TRACKS], *live[TRACKS];
static uint32_t n_whole, n_live;

static int up(void **state)
{
    packets = malloc(PACKETS * sizeof(*packets));
    n_packets = n_whole = n_live = 0;
    for (unsigned i = 0; i < TRACKS; i++) {
        whole[i] = calloc(SAMPLES, sizeof(int16_t));
        live[i] = calloc(SAMPLES, sizeof(int16_t));
    }
    return 0;
}

static int down(void **state)
{
    for (unsigned i = 0; i < TRACKS; i++) {
        free(whole[i]);
        free(live[i]);
    }
    free(packets);
    assert_int_equal(mem_live(), 0);
    return 0;
}

static void tone(struct sender *s, double hz)
{
    for (unsigned i = 0; i < 160; i++) {
        double v = 8000 * sin(2 * M_PI * hz * (double)(s->now_ns + i * 125000ull) / 1e9);
        s->payload[i] = s->pt == 8 ? codec_alaw_code((int16_t)v) : codec_ulaw_code((int16_t)v);
    }
}

static void say(struct sender *s, unsigned n, double hz)
{
    while (n--) {
        tone(s, hz);
        assert_true(n_packets < PACKETS);
        packets[n_packets++] = (struct packet){s->now_ns, *s};
        step(s);
    }
}

static void pause_for(struct sender *s, unsigned ms)
{
    s->now_ns += ms * MS;
    s->ts += ms * 8;
}

static int by_time(const void *x, const void *y)
{
    const struct packet *a = x, *b = y;
    return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

static struct an_datum datum(const struct packet *p, uint8_t *mem)
{
    const struct sender *s = &p->from;
    rtp_header_build(
        mem, &(struct rtp_header){
                 .pt = s->pt, .marker = s->marker, .seq = s->seq, .ts = s->ts, .ssrc = s->ssrc});
    memcpy(mem + RTP_HEADER_BYTES, s->payload, s->payload_n);
    return (struct an_datum){.at_ns = p->at_ns,
                             .frame = (uint64_t)(p - packets) + 1,
                             .kind = AN_UDP_DATA,
                             .src = s->src,
                             .dst = s->dst,
                             .bytes = str_of((char *)mem, RTP_HEADER_BYTES + s->payload_n)};
}

static struct an_engine *engine_make(void)
{
    struct an_engine *e;
    assert_int_equal(
        an_engine_new(&e, &(struct an_engine_args){.max_legs = 100, .max_streams = 100}), 0);
    return e;
}

static void take(struct an_audio *a, uint32_t tracks, int16_t **to, uint32_t *n)
{
    int16_t *out[AN_AUDIO_MAX_TRACKS + 1] = {0};
    unsigned got;
    do {
        for (uint32_t i = 0; i < tracks; i++)
            out[i] = to[i] + *n;
        got = an_audio_take(a, 800, out);
        *n += got;
        assert_true(*n + 800 < SAMPLES);
    } while (got);
}

static void plan_all(struct an_engine *e, struct an_plan *plan, uint32_t but)
{
    memset(plan, 0, sizeof(*plan));
    for (uint32_t i = 0; i < an_rtp_streams(an_engine_rtp(e)); i++)
        if (i != but)
            assert_true(an_audio_plan_add(e, i, plan));
}

/* As analyze does it: read once for the streams, and once more for their sound. */
static void read_whole(void)
{
    uint8_t mem[2048];
    struct an_engine *e = engine_make();
    struct an_plan *plan = calloc(1, sizeof(*plan));
    struct an_audio *a;
    qsort(packets, n_packets, sizeof(*packets), by_time);
    for (unsigned i = 0; i < n_packets; i++) {
        struct an_datum d = datum(&packets[i], mem);
        an_engine_rx(e, &d);
    }
    assert_int_equal(an_engine_settle(e), 0);
    plan_all(e, plan, UINT32_MAX);
    assert_int_equal(an_audio_new(&a, e, plan, 8000), 0);
    for (unsigned i = 0; i < n_packets; i++) {
        struct an_datum d = datum(&packets[i], mem);
        while (!an_audio_rx(a, &d))
            take(a, plan->n_tracks, whole, &n_whole);
    }
    an_audio_end(a);
    while (!an_audio_done(a))
        take(a, plan->n_tracks, whole, &n_whole);
    an_audio_free(a);
    an_engine_free(e);
    free(plan);
}

/* As it comes: each second the engine settles, the plan is made again, and the packets of that
 * second are heard. From mute_s on the stream number `mute` is in no plan any more. */
static void read_live(uint32_t mute, unsigned mute_s)
{
    uint8_t mem[2048];
    struct an_engine *e = engine_make();
    struct an_plan *plan = calloc(1, sizeof(*plan));
    struct an_live *l = NULL;
    uint64_t began = packets[0].at_ns;
    unsigned heard = 0, seen = 0;
    for (unsigned s = 1; heard < n_packets; s++) {
        uint64_t now = began + s * SECOND;
        for (; seen < n_packets && packets[seen].at_ns < now; seen++) {
            struct an_datum d = datum(&packets[seen], mem);
            an_engine_rx(e, &d);
        }
        assert_int_equal(an_engine_settle(e), 0);
        plan_all(e, plan, s >= mute_s ? mute : UINT32_MAX);
        if (!l)
            assert_int_equal(an_live_new(&l, e, plan, 8000), 0);
        else
            assert_int_equal(an_live_update(l, plan), 0);
        for (; heard < seen; heard++) {
            struct an_datum d = datum(&packets[heard], mem);
            while (!an_audio_rx(l->audio, &d))
                take(l->audio, l->plan.n_tracks, live, &n_live);
        }
        while (!an_audio_tick(l->audio, now))
            take(l->audio, l->plan.n_tracks, live, &n_live);
        take(l->audio, l->plan.n_tracks, live, &n_live);
    }
    an_audio_end(l->audio);
    while (!an_audio_done(l->audio))
        take(l->audio, l->plan.n_tracks, live, &n_live);
    an_live_free(l);
    an_engine_free(e);
    free(plan);
}

static double level(const int16_t *s, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)s[i] * s[i];
    return n ? sqrt(sum / n) : 0;
}

/* Whoever comes later begins where it should, and everything before is as it was. */
static void test_as_the_whole(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    struct sender b = sender("10.0.0.6:4000", "10.0.0.1:20002", 2);
    struct sender c = sender("10.0.0.7:4000", "10.0.0.1:20004", 3);
    b.now_ns += 1230 * MS;
    c.now_ns += 7777 * MS;
    say(&a, 300, 440);
    pause_for(&a, 9000); /* on hold, longer than the rings */
    say(&a, 200, 440);
    say(&b, 900, 1000);
    say(&c, 100, 700);
    read_whole();
    read_live(UINT32_MAX, 0);
    assert_int_equal(n_live, n_whole);
    for (unsigned i = 0; i < 3; i++)
        for (uint32_t k = 0; k < n_whole; k++)
            if (live[i][k] != whole[i][k])
                fail_msg("track %u, sample %u: %d, not %d", i, k, live[i][k], whole[i][k]);
    assert_true(level(live[1], 9000) < 1);
    assert_true(level(live[1] + 10000, 8000) > 3000);
}

/* A payload type that comes later is known when it does. */
static void test_another_codec(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    say(&a, 130, 440);
    a.pt = 8;
    say(&a, 130, 440);
    read_whole();
    read_live(UINT32_MAX, 0);
    assert_int_equal(n_live, n_whole);
    assert_true(level(live[0] + 24000, 8000) > 3000);
}

/* What turns out to be heard elsewhere falls silent; its track goes on. */
static void test_left_out(void **state)
{
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    struct sender b = sender("10.0.0.6:4000", "10.0.0.1:20002", 2);
    say(&a, 500, 440);
    say(&b, 500, 1000);
    read_whole();
    read_live(1, 5);
    assert_int_equal(n_live, n_whole);
    assert_true(level(live[1] + 8000, 16000) > 3000);
    assert_true(level(live[1] + 5 * 8000, 4 * 8000) < 1);
    assert_true(level(live[0] + 8000, 8 * 8000) > 3000);
}

/* A stream is given back, and another one gets its index: that is somebody else. */
static void test_index_used_again(void **state)
{
    uint8_t mem[2048];
    struct an_engine *e = engine_make();
    struct an_plan *plan = calloc(1, sizeof(*plan));
    struct an_live *l;
    struct sender a = sender("10.0.0.5:4000", "10.0.0.1:20000", 1);
    struct sender b = sender("10.0.0.6:4000", "10.0.0.1:20002", 2);
    say(&a, 50, 440);
    b.now_ns = a.now_ns;
    say(&b, 50, 1000);
    for (unsigned i = 0; i < n_packets; i++) {
        if (i == 50) {
            plan_all(e, plan, UINT32_MAX);
            assert_int_equal(an_live_new(&l, e, plan, 8000), 0);
            an_rtp_release(e->rtp, 0);
        }
        struct an_datum d = datum(&packets[i], mem);
        an_engine_rx(e, &d);
    }
    assert_int_equal(an_rtp_streams(an_engine_rtp(e)), 1);
    plan_all(e, plan, UINT32_MAX);
    assert_int_equal(an_live_update(l, plan), 0);
    assert_int_equal(l->plan.n_sources, 2);
    assert_int_equal(l->plan.n_tracks, 2);
    assert_true(an_audio_is_mute(l->audio, 0));
    assert_false(an_audio_is_mute(l->audio, 1));
    for (unsigned i = 50; i < n_packets; i++) {
        struct an_datum d = datum(&packets[i], mem);
        while (!an_audio_rx(l->audio, &d))
            take(l->audio, l->plan.n_tracks, live, &n_live);
    }
    an_audio_end(l->audio);
    while (!an_audio_done(l->audio))
        take(l->audio, l->plan.n_tracks, live, &n_live);
    assert_true(level(live[0], n_live) < 1);
    assert_true(level(live[1] + n_live - 6000, 4000) > 3000);
    an_live_free(l);
    an_engine_free(e);
    free(plan);
}

static void test_nothing(void **state)
{
    struct an_engine *e = engine_make();
    struct an_plan *plan = calloc(1, sizeof(*plan));
    struct an_live *l;
    plan->rate_hz = 8000;
    assert_int_equal(an_live_new(&l, e, plan, 0), -EINVAL);
    an_live_free(NULL);
    an_engine_free(e);
    free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_the_whole, up, down),
        cmocka_unit_test_setup_teardown(test_another_codec, up, down),
        cmocka_unit_test_setup_teardown(test_left_out, up, down),
        cmocka_unit_test_setup_teardown(test_index_used_again, up, down),
        cmocka_unit_test_setup_teardown(test_nothing, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
