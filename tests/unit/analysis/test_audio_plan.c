/* Who is heard in a call: calls through an exchange, as SIP and RTP, and the tracks made of them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rtp_bed.h"

#include "analysis/audio.h"
#include "analysis/engine_int.h"

#define TRK "10.0.0.77:5080"
#define P27 "10.0.0.27:5060"
#define P28 "10.0.0.28:5060"
#define PBX "10.0.0.1:5060"

static struct an_engine *engine;
static struct an_plan plan;
static uint64_t now_ns;

/* What was fed, to be fed again. */
static struct an_datum fed[60000];
static unsigned n_fed;

static int up(void **state)
{
    assert_int_equal(
        an_engine_new(&engine, &(struct an_engine_args){.max_legs = 100, .max_streams = 100}), 0);
    now_ns = 1000 * SECOND;
    n_fed = 0;
    return 0;
}

static int down(void **state)
{
    an_engine_free(engine);
    for (unsigned i = 0; i < n_fed; i++)
        free((char *)(uintptr_t)fed[i].bytes.p);
    assert_int_equal(mem_live(), 0);
    return 0;
}

static void feed(const struct addr *src, const struct addr *dst, const void *p, size_t n,
                 enum an_kind kind)
{
    char *copy = malloc(n);
    memcpy(copy, p, n);
    assert_true(n_fed < ARRAY_LEN(fed));
    struct an_datum *d = &fed[n_fed++];
    *d = (struct an_datum){.at_ns = now_ns,
                           .frame = n_fed,
                           .kind = (uint8_t)kind,
                           .transport = AN_UDP,
                           .src = *src,
                           .dst = *dst,
                           .bytes = str_of(copy, n)};
    an_engine_rx(engine, d);
}

/* ---- SIP ------------------------------------------------------------------------------------- */

struct dialog {
    const char *call_id, *caller, *callee; /* users */
    const char *a, *b;                     /* their hosts */
    unsigned cseq;
};

static void sip(const struct dialog *l, bool from_b, const char *first, const char *method,
                bool early, const char *media, const char *dir)
{
    char text[2000], sdp[400] = "";
    struct addr src = at(from_b ? l->b : l->a), dst = at(from_b ? l->a : l->b);
    struct addr m;
    if (media) {
        char ip[40];
        struct buf b;
        m = at(media);
        buf_init(&b, ip, sizeof(ip) - 1);
        addr_put_ip(&b, &m);
        ip[b.n] = 0;
        snprintf(sdp, sizeof(sdp),
                 "v=0\r\no=x 1234 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
                 "m=audio %u RTP/AVP 0\r\na=%s\r\n",
                 ip, ip, m.port, dir);
    }
    bool request = strncmp(first, "SIP", 3) != 0;
    bool swap = request ? from_b : !from_b;
    int n =
        snprintf(text, sizeof(text),
                 "%s\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%u%s%d\r\n"
                 "From: <sip:%s@x>;tag=%s%s\r\nTo: <sip:%s@x>%s%s%s\r\n"
                 "Call-ID: %s\r\nCSeq: %u %s\r\nContact: <sip:%s>\r\n%s"
                 "Content-Length: %zu\r\n\r\n%s",
                 first, request ? (from_b ? l->b : l->a) : (from_b ? l->a : l->b), l->call_id,
                 l->cseq, method, swap, swap ? l->callee : l->caller, l->call_id, swap ? "b" : "a",
                 swap ? l->caller : l->callee, early ? "" : ";tag=", early ? "" : l->call_id,
                 early  ? ""
                 : swap ? "a"
                        : "b",
                 l->call_id, l->cseq, method, from_b ? l->b : l->a,
                 media ? "Content-Type: application/sdp\r\n" : "", strlen(sdp), sdp);
    feed(&src, &dst, text, (size_t)n, AN_SIP);
    now_ns += 5 * MS;
}

static void invite(struct dialog *l, const char *media)
{
    char first[100];
    snprintf(first, sizeof(first), "INVITE sip:%s@%s SIP/2.0", l->callee, l->b);
    l->cseq++;
    sip(l, false, first, "INVITE", true, media, "sendrecv");
}

static void answer(struct dialog *l, const char *media)
{
    sip(l, true, "SIP/2.0 200 OK", "INVITE", false, media, "sendrecv");
}

static void ack(struct dialog *l)
{
    sip(l, false, "ACK sip:x SIP/2.0", "ACK", false, NULL, NULL);
}

static void ring(struct dialog *l)
{
    sip(l, true, "SIP/2.0 180 Ringing", "INVITE", false, NULL, NULL);
}

/* The phone at b asks for another direction. */
static void reinvite_by_b(struct dialog *l, const char *b_media, const char *a_media,
                          const char *dir)
{
    bool hold = strcmp(dir, "sendonly") == 0;
    l->cseq++;
    sip(l, true, "INVITE sip:x SIP/2.0", "INVITE", false, b_media, dir);
    sip(l, false, "SIP/2.0 200 OK", "INVITE", false, a_media, hold ? "recvonly" : "sendrecv");
    sip(l, true, "ACK sip:x SIP/2.0", "ACK", false, NULL, NULL);
}

static void bye(struct dialog *l, bool from_b)
{
    l->cseq++;
    sip(l, from_b, "BYE sip:x SIP/2.0", "BYE", false, NULL, NULL);
    sip(l, !from_b, "SIP/2.0 200 OK", "BYE", false, NULL, NULL);
}

/* ---- RTP ------------------------------------------------------------------------------------- */

enum { ALICE = 1, P1427 = 2, P1428 = 4, MUSIC = 8 };
static const double tones[] = {350, 620, 1000, 1700};

/* 20 ms of what these say, over one path. */
static void packet(struct sender *s, unsigned who)
{
    for (unsigned i = 0; i < 160; i++) {
        double v = 0, t = (double)(now_ns + i * 125000ull) / 1e9;
        for (unsigned k = 0; k < 4; k++)
            if (who >> k & 1)
                v += 5000 * sin(2 * M_PI * tones[k] * fmod(t, 100));
        /* No two packets are the same, as with voices. */
        v += rand() % 601 - 300;
        s->payload[i] = codec_ulaw_code((int16_t)v);
    }
}

static void pass(struct sender *s)
{
    uint8_t p[200];
    rtp_header_build(p, &(struct rtp_header){.pt = 0, .seq = s->seq, .ts = s->ts, .ssrc = s->ssrc});
    memcpy(p + RTP_HEADER_BYTES, s->payload, 160);
    feed(&s->src, &s->dst, p, RTP_HEADER_BYTES + 160, AN_UDP_DATA);
    s->seq++;
    s->ts += 160;
}

/* A way through the exchange: what comes in on the one leg goes out on the other. */
struct way {
    struct sender in, out;
};

static struct way way(const char *from, const char *in, const char *out, const char *to,
                      uint32_t ssrc)
{
    return (struct way){sender(from, in, ssrc), sender(out, to, ssrc + 100)};
}

static void speak(struct way *w, unsigned who)
{
    packet(&w->in, who);
    pass(&w->in);
    memcpy(w->out.payload, w->in.payload, 160);
    now_ns += MS;
    pass(&w->out);
    now_ns -= MS;
}

/* ---- sound ----------------------------------------------------------------------------------- */

static int16_t *sound[AN_AUDIO_MAX_TRACKS + 1];
static uint32_t n_sound;

static void hear_call(uint32_t call)
{
    struct an_audio *audio;
    an_audio_plan(engine, call, &plan);
    assert_int_equal(an_audio_new(&audio, engine, &plan, 0), 0);
    n_sound = 0;
    uint32_t cap = (uint32_t)((plan.to_ns - plan.from_ns) / MS * 8 + 16);
    for (uint32_t i = 0; i <= plan.n_tracks; i++)
        sound[i] = malloc(cap * sizeof(int16_t));
    for (unsigned i = 0; i < n_fed || !an_audio_done(audio);) {
        int16_t *out[AN_AUDIO_MAX_TRACKS + 1];
        if (i == n_fed)
            an_audio_end(audio);
        else if (an_audio_rx(audio, &fed[i]))
            i++;
        for (uint32_t k = 0; k <= plan.n_tracks; k++)
            out[k] = sound[k] + n_sound;
        n_sound += an_audio_take(audio, cap - n_sound, out);
    }
    an_audio_free(audio);
}

static void sound_done(void)
{
    for (unsigned i = 0; i <= AN_AUDIO_MAX_TRACKS; i++) {
        free(sound[i]);
        sound[i] = NULL;
    }
}

/* How strong a tone is in a second of a track, as an amplitude (Goertzel). */
static double strength(const int16_t *s, uint32_t n, double hz)
{
    double re = 0, im = 0;
    for (uint32_t i = 0; i < n; i++) {
        re += s[i] * cos(2 * M_PI * hz * i / 8000);
        im += s[i] * sin(2 * M_PI * hz * i / 8000);
    }
    return 2 * sqrt(re * re + im * im) / n;
}

/* Who is heard in a track in the second from then on. */
static unsigned who(unsigned track, uint64_t from_ns)
{
    unsigned found = 0;
    uint32_t at = (uint32_t)((from_ns - plan.from_ns) * 8 / MS);
    assert_true(at + 8000 <= n_sound);
    for (unsigned k = 0; k < 4; k++) {
        double v = strength(sound[track] + at, 8000, tones[k]);
        assert_true(v < 500 || (v > 4000 && v < 6000)); /* once, or not at all */
        found |= (unsigned)(v > 4000) << k;
    }
    return found;
}

static void assert_track(unsigned i, const char *name)
{
    assert_true(i < plan.n_tracks);
    assert_string_equal(plan.track[i].name, name);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct dialog t, l27, k27, l28;

static void dialogs(void)
{
    t = (struct dialog){"T", "01077141436", "07086661427", TRK, PBX, 0};
    l27 = (struct dialog){"L27", "01077141436", "109Q1427", PBX, P27, 0};
    k27 = (struct dialog){"K27", "109Q1427", "1428", P27, PBX, 0};
    l28 = (struct dialog){"L28", "109Q1427", "109Q1428", PBX, P28, 0};
}

#define TRK_RTP  "10.0.0.77:30000"
#define P27_RTP  "10.0.0.27:4000"
#define P27_RTP2 "10.0.0.27:4002"
#define P28_RTP  "10.0.0.28:4000"
#define T_RTP    "10.0.0.1:20000"
#define L27_RTP  "10.0.0.1:20002"
#define K27_RTP  "10.0.0.1:20004"
#define L28_RTP  "10.0.0.1:20006"

static void basic_call(void)
{
    invite(&t, TRK_RTP);
    now_ns += 10 * MS;
    invite(&l27, L27_RTP);
    ring(&l27);
    ring(&t);
    now_ns += SECOND;
    answer(&l27, P27_RTP);
    ack(&l27);
    answer(&t, T_RTP);
    ack(&t);
}

static void second(struct way *a, unsigned who_a, struct way *b, unsigned who_b)
{
    for (unsigned i = 0; i < 50; i++, now_ns += 20 * MS) {
        if (a)
            speak(a, who_a);
        if (b)
            speak(b, who_b);
    }
}

static void test_basic(void **state)
{
    dialogs();
    basic_call();
    struct way in = way(TRK_RTP, T_RTP, L27_RTP, P27_RTP, 1);
    struct way back = way(P27_RTP, L27_RTP, T_RTP, TRK_RTP, 2);
    uint64_t begin_ns = now_ns;
    for (unsigned i = 0; i < 3; i++)
        second(&in, ALICE, &back, P1427);
    bye(&l27, true);
    bye(&t, true);
    assert_int_equal(an_engine_settle(engine), 0);
    assert_int_equal(an_engine_calls(engine), 1);
    hear_call(0);
    assert_int_equal(plan.n_tracks, 2);
    assert_int_equal(plan.n_sources, 2);
    assert_track(0, "01077141436");
    assert_track(1, "1427");
    assert_int_equal(who(0, begin_ns + SECOND), ALICE);
    assert_int_equal(who(1, begin_ns + SECOND), P1427);
    assert_int_equal(who(2, begin_ns + SECOND), ALICE | P1427);
    sound_done();
}

/* Both legs go between the same two hosts: only the sound tells what was passed on. */
static void test_one_host(void **state)
{
    dialogs();
    t.a = "10.0.0.9:5080";
    l27.b = "10.0.0.9:5090";
    basic_call();
    assert_int_equal(an_engine_settle(engine), 0);
    struct way in = way(TRK_RTP, T_RTP, L27_RTP, P27_RTP, 1);
    struct way back = way(P27_RTP, L27_RTP, T_RTP, TRK_RTP, 2);
    uint64_t begin_ns = now_ns;
    for (unsigned i = 0; i < 3; i++)
        second(&in, ALICE, &back, P1427);
    assert_int_equal(an_engine_settle(engine), 0);
    engine->call[0].n_edges = 0; /* whatever tied them is forgotten */
    hear_call(0);
    assert_int_equal(plan.n_tracks, 2);
    assert_int_equal(who(2, begin_ns + SECOND), ALICE | P1427);
    sound_done();
}

/* A proxy that relays media: one Call-ID, and each voice is seen twice. */
static void test_proxy(void **state)
{
    dialogs();
    struct dialog out = {"T", "01077141436", "07086661427", PBX, P27, 0};
    invite(&t, TRK_RTP);
    invite(&out, L27_RTP);
    answer(&out, P27_RTP);
    answer(&t, T_RTP);
    ack(&t);
    ack(&out);
    struct way in = way(TRK_RTP, T_RTP, L27_RTP, P27_RTP, 1);
    struct way back = way(P27_RTP, L27_RTP, T_RTP, TRK_RTP, 2);
    in.out.ssrc = in.in.ssrc;
    back.out.ssrc = back.in.ssrc;
    uint64_t begin_ns = now_ns;
    second(&in, ALICE, &back, P1427);
    second(&in, ALICE, &back, P1427);
    assert_int_equal(an_engine_settle(engine), 0);
    assert_int_equal(an_engine_legs(engine), 1);
    hear_call(0);
    assert_int_equal(an_rtp_streams(an_engine_rtp(engine)), 4);
    assert_int_equal(plan.n_sources, 2);
    assert_int_equal(who(0, begin_ns + 500 * MS), ALICE);
    assert_int_equal(who(1, begin_ns + 500 * MS), P1427);
    assert_int_equal(who(2, begin_ns + 500 * MS), ALICE | P1427);
    sound_done();
}

/* One leg is all there is: both of its ends are heard, the exchange too. */
static void test_alone(void **state)
{
    dialogs();
    invite(&t, TRK_RTP);
    answer(&t, T_RTP);
    ack(&t);
    struct way in = way(TRK_RTP, T_RTP, T_RTP, TRK_RTP, 1);
    uint64_t begin_ns = now_ns;
    for (unsigned i = 0; i < 100; i++, now_ns += 20 * MS) {
        packet(&in.in, ALICE);
        pass(&in.in);
        packet(&in.out, MUSIC);
        pass(&in.out);
    }
    bye(&t, false);
    assert_int_equal(an_engine_settle(engine), 0);
    hear_call(0);
    assert_int_equal(plan.n_tracks, 2);
    assert_int_equal(who(0, begin_ns + 500 * MS), ALICE);
    assert_int_equal(who(1, begin_ns + 500 * MS), MUSIC);
    sound_done();
}

/* FLOWS S4: a phone holds its caller, calls another one, and mixes both. */
static void test_three(void **state)
{
    dialogs();
    basic_call();
    struct way t_in = way(TRK_RTP, T_RTP, L27_RTP, P27_RTP, 1);
    struct way l_in = way(P27_RTP, L27_RTP, T_RTP, TRK_RTP, 2);
    uint64_t talk_ns = now_ns;
    second(&t_in, ALICE, &l_in, P1427);
    second(&t_in, ALICE, &l_in, P1427);

    reinvite_by_b(&l27, P27_RTP, L27_RTP, "sendonly");
    uint64_t hold_ns = now_ns;
    struct sender moh = l_in.out; /* the exchange plays music to the caller */
    invite(&k27, P27_RTP2);
    invite(&l28, L28_RTP);
    ring(&l28);
    ring(&k27);
    for (unsigned i = 0; i < 75; i++, now_ns += 20 * MS) {
        speak(&t_in, ALICE);
        packet(&moh, MUSIC);
        pass(&moh);
        packet(&l_in.in, MUSIC); /* so does the phone */
        pass(&l_in.in);
    }
    answer(&l28, P28_RTP);
    ack(&l28);
    answer(&k27, K27_RTP);
    ack(&k27);
    struct way k_in = way(P27_RTP2, K27_RTP, L28_RTP, P28_RTP, 3);
    struct way p_in = way(P28_RTP, L28_RTP, K27_RTP, P27_RTP2, 4);
    uint64_t consult_ns = now_ns;
    second(&k_in, P1427, &p_in, P1428);
    second(&k_in, P1427, &p_in, P1428);
    l_in.in.ts += 3 * 8000 + 4000;
    l_in.out = moh;

    reinvite_by_b(&l27, P27_RTP, L27_RTP, "sendrecv");
    uint64_t three_ns = now_ns;
    for (unsigned i = 0; i < 200; i++, now_ns += 20 * MS) {
        speak(&t_in, ALICE);
        speak(&l_in, P1427 | P1428); /* the phone mixes */
        speak(&k_in, P1427 | ALICE);
        speak(&p_in, P1428);
    }
    bye(&l28, true);
    bye(&k27, true);
    bye(&l27, true);
    bye(&t, true);
    assert_int_equal(an_engine_settle(engine), 0);
    assert_int_equal(an_engine_calls(engine), 1);
    hear_call(0);
    assert_int_equal(plan.n_tracks, 3);
    assert_track(0, "01077141436");
    assert_track(1, "1427");
    assert_track(2, "1428");
    assert_int_equal(who(0, talk_ns + 500 * MS), ALICE);
    assert_int_equal(who(1, talk_ns + 500 * MS), P1427);
    assert_int_equal(who(2, talk_ns + 500 * MS), 0);
    assert_int_equal(who(1, hold_ns + 300 * MS), 0); /* nobody's music is in a track */
    assert_int_equal(who(3, hold_ns + 300 * MS), ALICE);
    assert_int_equal(who(1, consult_ns + 500 * MS), P1427);
    assert_int_equal(who(2, consult_ns + 500 * MS), P1428);
    assert_int_equal(who(3, consult_ns + 500 * MS), P1427 | P1428);
    assert_int_equal(who(0, three_ns + 2 * SECOND), ALICE);
    assert_int_equal(who(1, three_ns + 2 * SECOND), P1427 | P1428);
    assert_int_equal(who(2, three_ns + 2 * SECOND), P1428);
    /* Everybody once. */
    assert_int_equal(who(3, three_ns + 2 * SECOND), ALICE | P1427 | P1428);
    sound_done();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_basic), TEST(test_proxy), TEST(test_one_host), TEST(test_alone), TEST(test_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
