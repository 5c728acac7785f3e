/* Packets into streams: which leg they belong to, what counts and what does not. */
#include <stdlib.h>

#include <time.h>

#include "rtp_bed.h"

static const char phone[] = "10.0.0.5:4000", pbx[] = "10.0.0.1:20000";

static int up(void **state)
{
    bed_up(1000);
    return 0;
}

static int down(void **state)
{
    bed_down();
    assert_int_equal(mem_live(), 0);
    return 0;
}

static const struct an_stream *only(void)
{
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_int_equal(an_rtp_streams(rtp), 1);
    return an_rtp_stream(rtp, 0);
}

static void call(unsigned leg, uint64_t now_ns)
{
    legs[leg].first_ns = now_ns;
    describe(leg, AN_CALLER, pbx, now_ns, pcmu);
    describe(leg, AN_CALLEE, phone, now_ns, pcmu);
}

static void test_both_ends(void **state)
{
    call(3, 0);
    struct sender s = sender(phone, pbx, 7);
    send_n(&s, 50);
    const struct an_stream *t = only();
    assert_int_equal(t->leg, 3);
    assert_int_equal(t->side, AN_CALLEE);
    assert_int_equal(t->packets, 50);
    assert_int_equal(t->expected, 50);
    assert_int_equal(t->lost, 0);
    assert_int_equal(t->sound_ms, 1000);
    assert_int_equal(t->packet_ms, 20);
    assert_int_equal(t->first_frame, 1);
    assert_int_equal(t->last_frame, 50);
    assert_int_equal(t->mos_x100, 438);
    assert_string_equal(an_rtp_format_name(rtp, an_stream_format(t)).p, "PCMU");
    uint32_t n;
    assert_int_equal(an_rtp_leg(rtp, 3, &n)[0], 0);
    assert_int_equal(n, 1);
    assert_null(an_rtp_leg(rtp, 2, &n));
    assert_int_equal(n, 0);
}

/* The phone says a private address and comes from another one. */
static void test_nat(void **state)
{
    legs[0].first_ns = 0;
    describe(0, AN_CALLER, "192.168.0.9:4000", 0, pcmu);
    describe(0, AN_CALLEE, pbx, 0, pcmu);
    struct sender out = sender("198.51.100.3:61000", pbx, 1);
    struct sender in = sender(pbx, "198.51.100.3:61000", 2);
    for (unsigned i = 0; i < 10; i++) {
        send_n(&out, 1);
        send_n(&in, 1);
    }
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_int_equal(an_rtp_streams(rtp), 2);
    assert_int_equal(an_rtp_stream(rtp, 0)->side, AN_CALLER);
    assert_int_equal(an_rtp_stream(rtp, 1)->side, AN_CALLEE);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(an_rtp_stream(rtp, i)->leg, 0);
        assert_int_equal(an_rtp_stream(rtp, i)->packets, 10);
    }
}

static void test_port_used_again(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 100);
    legs[0].end_ns = s.now_ns;
    call(1, s.now_ns + 5 * MS);
    send_n(&s, 3); /* the last ones of the first call */
    struct sender s2 = sender(phone, pbx, 2);
    s2.now_ns = s.now_ns + SECOND;
    send_n(&s2, 50);
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_int_equal(an_rtp_streams(rtp), 2);
    assert_int_equal(an_rtp_stream(rtp, 0)->leg, 0);
    assert_int_equal(an_rtp_stream(rtp, 0)->packets, 103);
    assert_int_equal(an_rtp_stream(rtp, 1)->leg, 1);
    assert_int_equal(an_rtp_stream(rtp, 1)->packets, 50);
}

/* A phone that goes on with its SSRC in its next call. */
static void test_ssrc_used_again(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 100);
    legs[0].end_ns = s.now_ns;
    call(1, s.now_ns + SECOND);
    s.now_ns += 3 * SECOND;
    send_n(&s, 50);
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_int_equal(an_rtp_streams(rtp), 2);
    assert_int_equal(an_rtp_stream(rtp, 0)->packets, 100);
    assert_true(an_rtp_stream(rtp, 0)->over);
    assert_int_equal(an_rtp_stream(rtp, 1)->leg, 1);
    assert_int_equal(an_rtp_stream(rtp, 1)->packets, 50);
}

/* Two legs that are both up name the same address: media that goes past the exchange. */
static void test_two_legs(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 10);
    call(1, s.now_ns);
    send_n(&s, 10);
    const struct an_stream *t = only();
    assert_int_equal(t->leg, 0);
    assert_int_equal(t->n_ties, 2);
    assert_int_equal(t->tie[1].leg, 1);
    uint32_t n;
    assert_int_equal(an_rtp_leg(rtp, 1, &n)[0], 0);
}

/* A hunt: the port was offered to one who declined, and then to the next. */
static void test_declined(void **state)
{
    legs[0].first_ns = 0;
    describe(0, AN_CALLER, pbx, 0, pcmu);
    legs[0].end_ns = 50 * MS;
    legs[1].first_ns = 60 * MS;
    describe(1, AN_CALLER, pbx, 60 * MS, pcmu);
    struct sender s = sender("198.51.100.3:61000", pbx, 1);
    send_n(&s, 10);
    assert_int_equal(only()->leg, 1);
    assert_int_equal(only()->n_ties, 1);
}

static void test_early(void **state)
{
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 2); /* too few to be known by their form */
    call(0, s.now_ns);
    send_n(&s, 10);
    assert_int_equal(only()->packets, 12);
    assert_int_equal(only()->leg, 0);
    assert_int_equal(an_rtp_stats(rtp)->rtp, 12);

    struct sender s2 = sender("10.0.0.7:4000", "10.0.0.1:20002", 9);
    s2.pt = 96;
    send_n(&s2, 20);
    assert_int_equal(an_rtp_stream(rtp, 1)->leg, AN_NONE);
    static const struct format_line opus[] = {{"opus", 48000, 96}, {0}};
    describe(1, AN_CALLER, "10.0.0.1:20002", s2.now_ns, opus);
    send_n(&s2, 20);
    assert_int_equal(an_rtp_streams(rtp), 2);
    assert_int_equal(an_rtp_stream(rtp, 1)->leg, 1);
    assert_int_equal(an_rtp_stream(rtp, 1)->packets, 40);
    assert_int_equal(an_stream_format(an_rtp_stream(rtp, 1))->codec, CODEC_OPUS);
}

static void test_unexpected(void **state)
{
    struct sender s = sender("10.0.0.7:4000", "10.0.0.8:5000", 1);
    s.pt = 8;
    send_n(&s, 25);
    assert_int_equal(only()->packets, 25);
    assert_int_equal(only()->leg, AN_NONE);
    assert_int_equal(only()->first_frame, 1);
    assert_int_equal(an_rtp_stats(rtp)->unexpected, 1);
    assert_int_equal(an_rtp_stats(rtp)->rtp, 25);
    assert_int_equal(an_rtp_stats(rtp)->other, 0);
    assert_string_equal(an_rtp_format_name(rtp, an_stream_format(only())).p, "PCMA");
}

/* The clock of a payload type that nobody explained, by how its timestamps run. */
static void test_clock_guessed(void **state)
{
    struct sender s = sender("10.0.0.7:4000", "10.0.0.8:5000", 1);
    s.pt = 111;
    for (unsigned i = 0; i < 100; i++) {
        send_n(&s, 1);
        s.ts += 960 - 160;
    }
    const struct an_format *f = an_stream_format(only());
    assert_int_equal(f->clock_hz, 48000);
    assert_true(f->guessed);
    assert_int_equal(only()->jitter_us, 0);
    assert_int_equal(only()->packet_ms, 20);
}

static void rx(const char *src, const char *dst, const void *p, size_t n)
{
    uint64_t before = frame_number++;
    struct an_datum d = {.at_ns = SECOND + before * MS,
                         .frame = frame_number,
                         .kind = AN_UDP_DATA,
                         .src = at(src),
                         .dst = at(dst),
                         .bytes = str_of(p, n)};
    an_rtp_rx(rtp, &d);
}

/* What other protocols send has the form of RTP at most by chance. */
static void test_no_rtp(void **state)
{
    struct rand rnd;
    rand_seed(&rnd, 1);
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t p[64];
        rand_bytes(&rnd, p, sizeof(p));
        size_t n = rand_below(&rnd, sizeof(p) + 1);
        switch (i % 5) {
        case 0: /* DNS: flags where the sequence is, counts where the SSRC is */
            memcpy(p + 2, "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
            p[0] |= 0x80;
            p[0] &= 0xBF;
            break;
        case 1: /* all of it chance but the SSRC */
            p[0] = 0x80;
            memset(p + 8, 7, 4);
            break;
        case 2: /* ESP in UDP: a constant, and a number that counts */
            memset(p, 0x80, 4);
            be32_put(p + 4, i);
            memset(p + 8, 5, 4);
            break;
        case 3: /* a constant header */
            memcpy(p, "\x80\x60\x12\x34\x00\x00\x00\x00\x11\x11\x11\x11", 12);
            break;
        default:
            break;
        }
        rx("10.0.0.7:4000", i % 5 ? "10.0.0.8:5000" : "10.0.0.8:5300", p, n);
    }
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_true(an_rtp_streams(rtp) < 2);
}

static void test_mirror(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    for (unsigned i = 0; i < 100; i++) {
        send_at(&s, s.now_ns);
        send_at(&s, s.now_ns + 30000);
        step(&s);
    }
    assert_int_equal(only()->packets, 100);
    assert_int_equal(only()->repeated, 100);
    assert_true(only()->mirrored);
    assert_int_equal(only()->lost, 0);
    assert_int_equal(only()->late, 0);
    assert_int_equal(only()->jitter_us, 0);
}

/* Also where nobody announced it. */
static void test_mirror_unexpected(void **state)
{
    struct sender s = sender("10.0.0.7:4000", "10.0.0.8:5000", 1);
    for (unsigned i = 0; i < 100; i++) {
        send_at(&s, s.now_ns);
        send_at(&s, s.now_ns + 30000);
        step(&s);
    }
    assert_int_equal(only()->packets, 100);
    assert_true(only()->mirrored);
}

/* What an old call had named belongs to nobody later. */
static void test_long_over(void **state)
{
    call(0, 0);
    legs[0].end_ns = SECOND;
    struct sender late = sender(phone, pbx, 2), s = sender(phone, pbx, 1);
    late.now_ns = 10 * SECOND; /* its last packets may come late */
    send_n(&late, 1);
    assert_int_equal(only()->leg, 0);
    s.now_ns = 12 * SECOND;
    send_n(&s, 50);
    assert_int_equal(an_rtp_streams(rtp), 2);
    assert_int_equal(an_rtp_stream(rtp, 1)->leg, AN_NONE);
    assert_int_equal(an_rtp_stats(rtp)->unexpected, 1);
}

static void test_some_twice(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    for (unsigned i = 0; i < 100; i++) {
        send_at(&s, s.now_ns);
        if (i % 10 == 0)
            send_at(&s, s.now_ns + MS);
        step(&s);
    }
    assert_int_equal(only()->repeated, 10);
    assert_false(only()->mirrored);
}

/* A change of the SSRC is another stream of the same flow. */
static void test_flow(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 50);
    s.ssrc = 2;
    s.seq = 9999;
    send_n(&s, 50);
    s.ssrc = 3;
    send_n(&s, 50);
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_int_equal(an_rtp_streams(rtp), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(an_rtp_stream(rtp, i)->flow, 1);
        assert_int_equal(an_rtp_stream(rtp, i)->before, i);
        assert_int_equal(an_rtp_stream(rtp, i)->packets, 50);
    }
    struct an_rtp_side side;
    an_rtp_leg_side(rtp, 0, AN_CALLEE, &side);
    assert_int_equal(side.streams, 3);
    assert_int_equal(side.packets, 150);
    assert_int_equal(side.sound_ms, 3000);
    an_rtp_leg_side(rtp, 0, AN_CALLER, &side);
    assert_int_equal(side.streams, 0);
    assert_int_equal(side.first_ns, AN_NEVER);
}

/* A relay passes a stream on; it counts once. */
static void test_copy_at_another_place(void **state)
{
    call(0, 0);
    describe(0, AN_CALLER, "10.0.0.1:30000", 0, pcmu);
    struct sender s = sender(phone, pbx, 1), c = sender("10.0.0.1:30002", "10.0.0.1:30000", 1);
    struct rand rnd;
    rand_seed(&rnd, 7);
    for (unsigned i = 0; i < 500; i++) {
        noise(&s, &rnd);
        memcpy(c.payload, s.payload, sizeof(c.payload));
        send_at(&s, s.now_ns);
        send_at(&c, s.now_ns + MS);
        step(&s);
        step(&c);
    }
    assert_int_equal(an_rtp_settle(rtp), 0);
    struct an_rtp_side side;
    an_rtp_leg_side(rtp, 0, AN_CALLEE, &side);
    assert_int_equal(side.packets, 500);
    const struct an_stream *a = an_rtp_stream(rtp, 0), *b = an_rtp_stream(rtp, 1);
    assert_int_equal(a->n_samples, AN_RTP_SAMPLES);
    assert_int_equal(an_stream_alike(a, b, 10 * MS), AN_RTP_SAMPLES);
    assert_int_equal(an_stream_alike(a, b, 1), 0);
    for (unsigned i = 1; i < a->n_samples; i++)
        assert_true(a->sample[i - 1] < a->sample[i]);
}

static void test_silence(void **state)
{
    static const struct format_line g711[] = {{"PCMU", 8000, 0}, {"PCMA", 8000, 8}, {0}};
    legs[0].first_ns = 0;
    describe(0, AN_CALLER, pbx, 0, g711);
    struct sender s = sender(phone, pbx, 1);
    for (unsigned law = 0; law < 2; law++) {
        s.pt = law ? 8 : 0;
        for (unsigned i = 0; i < 200; i++) {
            for (unsigned k = 0; k < 160; k++) {
                int16_t v = (int16_t)((i % 4 ? 20 : 600) * ((int)(k % 16) - 8) / 8);
                s.payload[k] = law ? codec_alaw_code(v) : codec_ulaw_code(v);
            }
            send_at(&s, s.now_ns);
            step(&s);
        }
    }
    assert_in_range(only()->silent_ms, 2 * 150 * 20 - 60, 2 * 150 * 20);
    assert_int_equal(only()->sound_ms, 8000);
}

static void test_gap(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 50);
    s.now_ns += 3 * SECOND;
    s.ts += 3 * 8000;
    send_n(&s, 50);
    const struct an_stream *t = only();
    assert_int_equal(t->gaps, 1);
    assert_int_equal(t->gap_ms, 3020);
    assert_int_equal(t->most_gap_ms, 3020);
    assert_int_equal(t->most_gap_ns, 1980 * MS);
    assert_int_equal(t->lost, 0);
    assert_int_equal(t->jumps, 0);
    assert_in_range(t->sound_ms, 1980, 2000);
}

static void test_drift(void **state)
{
    call(0, 0);
    struct rand rnd;
    rand_seed(&rnd, 3);
    for (int ppm = -150; ppm <= 150; ppm += 75) {
        struct sender s = sender(phone, pbx, (uint32_t)(1000 + ppm));
        for (unsigned i = 0; i < 6000; i++) { /* two minutes, with jitter */
            send_at(&s, SECOND + i * (uint64_t)(20000000 - 20 * ppm) + rand_below(&rnd, 8 * MS));
            step(&s);
        }
    }
    assert_int_equal(an_rtp_settle(rtp), 0);
    for (int i = 0; i < 5; i++) {
        const struct an_stream *t = an_rtp_stream(rtp, (uint32_t)i);
        assert_in_range(t->drift_ppm + 1000, 1000 - 150 + 75 * i - 4, 1000 - 150 + 75 * i + 4);
        assert_int_equal(t->overdue, 0);
    }
}

/* Loss costs, and in bursts it costs more. */
static void test_opinion(void **state)
{
    uint16_t mos[3];
    call(0, 0);
    for (unsigned how = 0; how < 3; how++) {
        struct sender s = sender(phone, pbx, 1 + how);
        for (unsigned i = 0; i < 1000; i++) {
            bool lost = how == 1 ? i % 20 == 0 : how == 2 && i % 200 < 10;
            if (!lost || i == 0)
                send_at(&s, s.now_ns);
            step(&s);
        }
        assert_int_equal(an_rtp_settle(rtp), 0);
        mos[how] = an_rtp_stream(rtp, how)->mos_x100;
    }
    assert_int_equal(an_rtp_stream(rtp, 1)->lost, 49);
    assert_int_equal(an_rtp_stream(rtp, 2)->lost, 49);
    assert_int_equal(mos[0], 438);
    assert_in_range(mos[1], 360, 420);
    assert_true(mos[2] < mos[1]);
}

/* One arrival: what was sent as number n. */
struct arrival {
    uint64_t at_ns;
    uint32_t n;
};

static int by_time(const void *x, const void *y)
{
    const struct arrival *a = x, *b = y;
    return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

/* Chance loses, delays and repeats; a slow count of the arrivals says the same. */
static void test_like_a_slow_count(void **state)
{
    enum { SENT = 3000 };
    static struct arrival in[2 * SENT];
    static bool seen[SENT];
    struct rand rnd;
    rand_seed(&rnd, 11);
    call(0, 0);
    for (unsigned round = 0; round < 60; round++) {
        struct sender s = sender(phone, pbx, 100 + round);
        unsigned n = 0, loss = (unsigned)rand_below(&rnd, 30);
        uint16_t first = (uint16_t)rand_u64(&rnd);
        for (uint32_t i = 0; i < SENT; i++) {
            if (rand_below(&rnd, 100) < loss)
                continue;
            unsigned times = 1 + (rand_below(&rnd, 100) < 5);
            for (; times; times--)
                in[n++] = (struct arrival){
                    SECOND + i * 20 * MS + rand_below(&rnd, (round % 3) * 500 + 1) * MS, i};
        }
        qsort(in, n, sizeof(*in), by_time);
        memset(seen, 0, sizeof(seen));
        uint32_t least = SENT, most = 0, distinct = 0, late = 0, repeated = 0;
        for (unsigned i = 0; i < n; i++) {
            if (seen[in[i].n]) {
                repeated++;
            } else {
                seen[in[i].n] = true;
                distinct++;
                late += distinct > 1 && in[i].n < most;
                least = in[i].n < least ? in[i].n : least;
                most = in[i].n > most ? in[i].n : most;
            }
            s.seq = (uint16_t)(first + in[i].n);
            s.ts = in[i].n * 160;
            send_at(&s, in[i].at_ns);
        }
        assert_int_equal(an_rtp_settle(rtp), 0);
        const struct an_stream *t = an_rtp_stream(rtp, an_rtp_streams(rtp) - 1);
        assert_int_equal(t->packets, distinct);
        assert_int_equal(t->repeated, repeated);
        assert_int_equal(t->late, late);
        assert_int_equal(t->expected, most - least + 1);
        assert_int_equal(t->lost, most - least + 1 - distinct);
        struct burst b = t->burst;
        assert_true(b.lost <= t->lost);
        assert_int_equal(b.expected + t->seq.window_n, t->expected);
    }
}

static void test_begins_anew(void **state)
{
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    s.seq = 100;
    send_n(&s, 100);
    s.seq = 30000;
    send_n(&s, 1); /* a stray */
    s.seq = 200;
    send_n(&s, 50);
    assert_int_equal(only()->strays, 1);
    assert_int_equal(only()->restarts, 0);
    assert_int_equal(only()->lost, 0);
    s.seq = 50000;
    s.ts += 90000000;
    send_n(&s, 50);
    s.seq += 5;
    send_n(&s, 45);
    assert_int_equal(only()->restarts, 1);
    assert_int_equal(only()->strays, 1);
    assert_int_equal(only()->packets, 246);
    assert_int_equal(only()->lost, 5);
    assert_int_equal(only()->expected, 250);
}

static void test_limits(void **state)
{
    bed_down();
    bed_up(4);
    call(0, 0);
    for (uint32_t i = 0; i < 10; i++) {
        struct sender s = sender(phone, pbx, i + 1);
        send_n(&s, 5);
    }
    assert_int_equal(an_rtp_settle(rtp), 0);
    assert_int_equal(an_rtp_streams(rtp), 4);
    assert_int_equal(an_rtp_stats(rtp)->refused, 30);
}

/* Days of calls: what is given back is used again, addresses too. */
static void test_release(void **state)
{
    bed_down();
    bed_up(16);
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t now_ns = (i + 1ull) * 20 * SECOND;
        char where[32];
        snprintf(where, sizeof(where), "10.%u.%u.9:4000", i / 250, i % 250);
        legs[0].first_ns = now_ns;
        legs[0].end_ns = AN_NEVER;
        describe(0, AN_CALLER, where, now_ns, pcmu);
        struct sender s = sender(phone, where, i + 1);
        s.now_ns = now_ns;
        send_n(&s, 5);
        assert_int_equal(an_rtp_stream(rtp, 0)->packets, 5);
        assert_int_equal(an_rtp_stream(rtp, 0)->leg, 0);
        an_rtp_release(rtp, 0);
        an_rtp_release(rtp, 0);
        assert_int_equal(an_rtp_stream(rtp, 0)->leg, AN_NONE);
        legs[0].end_ns = now_ns + SECOND;
    }
    assert_int_equal(an_rtp_streams(rtp), 1);
    assert_int_equal(an_rtp_stats(rtp)->addresses_refused, 0);
}

/* Who sends with an SSRC for every three packets: to one place, or with one SSRC from all ports. */
static void spray(bool ports)
{
    enum { STREAMS = 40000 };
    bed_down();
    bed_up(STREAMS);
    struct sender s = sender("10.9.0.1:2000", "10.9.0.2:4000", 1);
    clock_t began = clock();
    for (uint32_t i = 0; i < STREAMS; i++) {
        s.src.port = (uint16_t)(2000 + (ports ? i : 0));
        s.ssrc = ports ? 7 : i + 1;
        s.payload_n = 20;
        send_n(&s, 3);
    }
    clock_t made = clock();
    assert_int_equal(an_rtp_streams(rtp), STREAMS);
    assert_int_equal(an_rtp_release_silent(rtp, AN_NEVER, s.now_ns), STREAMS);
    clock_t gone = clock();
    print_message("%.0f ms, %.0f ms\n", (double)(made - began) * 1e3 / CLOCKS_PER_SEC,
                  (double)(gone - made) * 1e3 / CLOCKS_PER_SEC);
    assert_true(gone - made < 5 * (made - began));
}

/* To forget them costs no more than to have noted them. */
static void test_sprayed(void **state)
{
    spray(false);
    spray(true);
}

/* A call has the streams that it may have; whoever makes up an SSRC for each packet adds no more.
 */
static void test_too_many_of_one_leg(void **state)
{
    uint32_t n;
    bed_down();
    bed_up(2000);
    call(0, 0);
    for (uint32_t i = 0; i < 1500; i++) {
        struct sender s = sender(phone, pbx, i + 1);
        send_n(&s, 1);
    }
    assert_int_equal(an_rtp_settle(rtp), 0);
    (void)an_rtp_leg(rtp, 0, &n);
    assert_int_equal(n, 512);
    assert_int_equal(an_rtp_streams(rtp), 1500);
    assert_int_equal(an_rtp_release_silent(rtp, AN_NEVER, SECOND), 1500 - 512);
}

static void test_cut(void **state)
{
    call(0, 0);
    for (uint16_t i = 0; i < 50; i++) {
        uint8_t p[RTP_HEADER_BYTES];
        rtp_header_build(p, &(struct rtp_header){.seq = i, .ts = i * 160u, .ssrc = 5});
        p[0] |= 0x20; /* padding, of which the capture has nothing */
        struct an_datum d = {.at_ns = SECOND + i * 20 * MS,
                             .frame = i + 1u,
                             .truncated = true,
                             .src = at(phone),
                             .dst = at(pbx),
                             .bytes = str_of((const char *)p, sizeof(p))};
        an_rtp_rx(rtp, &d);
    }
    assert_int_equal(only()->packets, 50);
    assert_int_equal(only()->sound_ms, 1000);
}

static void test_memory(void **state)
{
    bed_down();
    for (uint64_t nth = 1; nth < 4; nth++) {
        mem_fail_after(nth);
        int err = an_rtp_new(&rtp, 100, 1);
        mem_fail_after(0);
        if (err == 0)
            an_rtp_free(rtp);
    }
    bed_up(100);
    call(0, 0);
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 5);
    mem_fail_after(1);
    assert_int_equal(an_rtp_settle(rtp), -ENOMEM);
    mem_fail_after(0);
    assert_int_equal(an_rtp_settle(rtp), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_ends),
        TEST(test_nat),
        TEST(test_port_used_again),
        TEST(test_ssrc_used_again),
        TEST(test_two_legs),
        TEST(test_declined),
        TEST(test_early),
        TEST(test_unexpected),
        TEST(test_clock_guessed),
        TEST(test_no_rtp),
        TEST(test_mirror),
        TEST(test_mirror_unexpected),
        TEST(test_long_over),
        TEST(test_some_twice),
        TEST(test_flow),
        TEST(test_copy_at_another_place),
        TEST(test_silence),
        TEST(test_gap),
        TEST(test_drift),
        TEST(test_opinion),
        TEST(test_like_a_slow_count),
        TEST(test_begins_anew),
        TEST(test_limits),
        TEST(test_release),
        TEST(test_too_many_of_one_leg),
        TEST(test_sprayed),
        TEST(test_cut),
        TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
