/* From one sound to another: what a party hears, and the numbers of what it is sent, whatever it is
 * joined with. */
#include "base/rand.h"
#include "bed.h"

/* The highest sample of the last `ms` that the side has heard. */
static int peak(const struct side *s, unsigned ms)
{
    unsigned n = s->mouth.rate_hz / 1000 * ms;
    int most = 0;
    assert_true(s->n >= n);
    for (unsigned i = s->n - n; i < s->n; i++)
        most = abs(s->heard[i]) > most ? abs(s->heard[i]) : most;
    return most;
}

/* The steepest step between two samples. */
static int step(const struct side *s, unsigned ms)
{
    unsigned n = s->mouth.rate_hz / 1000 * ms;
    int most = 0;
    assert_true(s->n > n);
    for (unsigned i = s->n - n; i < s->n; i++)
        most =
            abs(s->heard[i] - s->heard[i - 1]) > most ? abs(s->heard[i] - s->heard[i - 1]) : most;
    return most;
}

static struct media_item clip(uint32_t number)
{
    return (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = number};
}

static void stop(struct bed *b, unsigned i)
{
    cmd(b, (struct media_cmd){.kind = MEDIA_STOP, .id = i + 1});
}

/* ---- clicks ---------------------------------------------------------------------------------- */

static void whole(const struct side *s)
{
    assert_int_equal(s->breaks, 0);
    assert_int_equal(s->overlaps, 0);
}

/* From a phone to a sound of ours, from that (or from silence at its end) to the phone, ever at
 * another place of the waves. Nothing is louder than the louder of both. */
static void test_g722_in_step(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[B];
    int most = 0;
    call(b, &formats[2], &formats[2]);
    give_clip(b, 1, 910, 16000, 333);
    run(b, 1000);
    for (unsigned i = 0; i < 8; i++) {
        struct media_item silence = {.kind = MEDIA_ITEM_SILENCE, .ms = 100 * (i % 2)};
        s->n = 0;
        struct media_cmd m = {.kind = MEDIA_PLAY, .id = B + 1};
        m.play.n_items = 2;
        m.play.item[0] = clip(1);
        m.play.item[1] = silence;
        cmd(b, m);
        run(b, 1020 + 20 * i);
        most = peak(s, 1000) > most ? peak(s, 1000) : most;
    }
    assert_in_range(most, 7000, 10500);
    whole(s);
}

/* What of 80 ms from sample `from` on is not this tone, which is there in full. */
static double rest(const struct side *s, unsigned from, double hz)
{
    unsigned n = s->mouth.rate_hz / 1000 * 80;
    double sum = 0, l = level(s->heard + from, n, hz, s->mouth.rate_hz);
    assert_true(from + n <= s->n && l > 7000 && l < 9000);
    for (unsigned i = from; i < from + n; i++)
        sum += (double)s->heard[i] * s->heard[i] / n;
    return sqrt(fabs(sum - l * l / 2));
}

/* Another phone takes the place of the one that was heard. */
static void test_g722_other_phone(void **state)
{
    struct bed *b = *state;
    double most = 0;
    call(b, &formats[2], &formats[2]);
    side_open(b, 2, &formats[2], 700);
    run(b, 600);
    for (unsigned i = 0; i < 8; i++) {
        b->s[i % 2 ? 2 : A].mute = true; /* who was heard falls silent */
        run(b, 100);
        b->s[i % 2 ? 2 : A].mute = false;
        b->s[B].n = 0;
        cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = i % 2 ? 1 : 3, .peer = 2});
        run(b, 620 + 20 * i);
        most = fmax(most, rest(&b->s[B], 160, i % 2 ? 500 : 700));
        assert_in_range(peak(&b->s[B], 600), 7000, 9500);
    }
    assert_true(most < 800);
    assert_hears(&b->s[B], 300, 500, 700);
    whole(&b->s[B]);
}

/* When two encoders agree, packets pass as they are again. */
static void test_g722_passes_again(void **state)
{
    struct bed *b = *state;
    call(b, &formats[2], &formats[2]);
    run(b, 400);
    play(b, B, clip(1), false, 0);
    run(b, 40);
    b->s[A].quiet = b->s[B].quiet = true;
    unsigned changed = 0;
    for (uint16_t i = 0; i < 80; i++) {
        uint8_t p[172] = {0x80, 9};
        rtp_header_build(p, &(struct rtp_header){.pt = 9, .seq = i, .ts = 160u * i, .ssrc = 5});
        for (unsigned k = 12; k < sizeof(p); k++)
            p[k] = (uint8_t)(0xFA ^ (k * i & 1)); /* hardly any sound */
        uint8_t before[160];
        memcpy(before, p + 12, 160);
        struct addr from = phone(A);
        struct plane_forward f;
        struct plane_packet in = {.from = &from, .bytes = p, .n = sizeof(p), .port = port_of(A)};
        b->now += 20 * USEC_MS;
        assert_int_equal(plane_rx(&b->r, b->now, &in, &f), 1);
        changed += memcmp(before, p + 12, 160) != 0;
        if (i >= 60)
            assert_memory_equal(before, p + 12, 160);
    }
    assert_in_range(changed, 0, 50);
}

/* G.711 knows no state, but a wave that begins in the middle is a click, too. */
static void test_no_step(void **state)
{
    for (unsigned law = 0; law < 2; law++) {
        void *bed;
        setup(&bed);
        struct bed *b = bed;
        struct side *s = &b->s[B];
        int most = 0;
        call(b, &formats[law], &formats[0]);
        give_clip(b, 1, 410, 8000, 2000);
        run(b, 600);
        for (unsigned i = 0; i < 10; i++) {
            s->n = 0;
            play(b, B, clip(1), false, 0);
            run(b, 220);
            stop(b, B);
            run(b, 220 + 20 * i);
            most = step(s, 400) > most ? step(s, 400) : most;
        }
        /* 500 Hz at 8000: 3100 from sample to sample. */
        assert_in_range(most, 2500, 4200);
        whole(s);
        assert_int_equal(teardown(&bed), 0);
    }
    (void)state;
}

/* A G.722 phone that our decoder begins to hear in the middle, in a room and on the way to another
 * codec, is heard as it sounds from the first packet on. */
static void heard_from_the_middle(bool room)
{
    void *state;
    setup(&state);
    struct bed *b = state;
    struct side *s = &b->s[2];
    struct media_cmd join = {.kind = MEDIA_JOIN, .id = 1};
    call(b, &formats[2], &formats[2]);
    side_open(b, 2, &formats[4], 0);
    b->s[B].quiet = true;
    s->mute = true;
    run(b, 600);
    join.member.room = 9;
    if (room) {
        cmd(b, join);
        join.id = 3;
        cmd(b, join);
    } else {
        cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 3});
    }
    s->n = 0;
    run(b, 400);
    unsigned from = 0;
    while (from < s->n && abs(s->heard[from]) < 200)
        from++;
    from += 16000 / 100; /* the fade */
    assert_true(rest(s, from, 500) < 300);
    assert_int_equal(teardown(&state), 0);
}

static void test_g722_heard_from_the_middle(void **state)
{
    (void)state;
    heard_from_the_middle(false);
    heard_from_the_middle(true);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* A phone that goes on speaking while it tells a key: the party without its codec is told one key,
 * and hears all that is said. */
static void test_key_among_sound(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[B];
    call(b, &formats[0], &formats[3]);
    run(b, 200);
    unsigned before = s->n;
    uint32_t ts = b->s[A].egress.ts + 160;
    for (unsigned i = 0; i < 10; i++) {
        uint8_t p[16];
        run(b, 20);
        rtp_header_build(p, &(struct rtp_header){.pt = EVENTS,
                                                 .marker = i == 0,
                                                 .seq = ++b->s[A].egress.seq,
                                                 .ts = ts,
                                                 .ssrc = 100});
        p[12] = 5;
        p[13] = (uint8_t)(i >= 7 ? 0x8A : 0x0A);
        be16_put(p + 14, (uint16_t)(160 * (i < 7 ? i + 1 : 8)));
        send_packet(b, A, p, sizeof(p));
    }
    assert_int_equal(s->events, 10);
    assert_int_equal(s->keys, 1);
    assert_int_equal(s->n - before, 10 * 960);
    whole(s);
    assert_in_range(s->off_most_us, 0, 25000);
}

/* Behind a long key the time is not that of its beginning. */
static void test_time_behind_a_key(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[B];
    call(b, &formats[0], &formats[0]);
    give_clip(b, 1, 900, 8000, 300);
    run(b, 200);
    b->s[A].quiet = true;
    uint32_t ts = b->s[A].egress.ts + 160;
    for (unsigned i = 0; i < 50; i++) {
        uint8_t p[16];
        run(b, 20);
        rtp_header_build(p, &(struct rtp_header){
                                .pt = EVENTS, .seq = ++b->s[A].egress.seq, .ts = ts, .ssrc = 100});
        p[12] = 5;
        p[13] = (uint8_t)(i >= 47 ? 0x8A : 0x0A);
        be16_put(p + 14, (uint16_t)(160 * (i + 1)));
        send_packet(b, A, p, sizeof(p));
    }
    play(b, B, clip(1), false, 0);
    run(b, 100);
    assert_in_range(s->off_most_us, 0, 25000);
    whole(s);
}

/* What the party cannot have takes no number: it would count as lost. */
static void test_skipped_is_no_loss(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[1]);
    run(b, 100);
    for (unsigned i = 0; i < 10; i++) {
        uint8_t p[13] = {0};
        rtp_header_build(p, &(struct rtp_header){.pt = 13,
                                                 .seq = ++b->s[A].egress.seq,
                                                 .ts = b->s[A].egress.ts + 1,
                                                 .ssrc = 100});
        send_packet(b, A, p, sizeof(p));
        run(b, 40);
    }
    assert_int_equal(b->r.count.unagreed, 10);
    whole(&b->s[B]);
}

/* What was lost on the way is the other party's loss while that one is heard, not when something
 * is played next. */
static void test_skipped_after_loss(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[1]);
    give_clip(b, 1, 900, 8000, 300);
    run(b, 100);
    b->s[A].quiet = true;
    uint8_t p[13] = {0};
    b->s[A].egress.seq = (uint16_t)(b->s[A].egress.seq + 5); /* four never arrive */
    rtp_header_build(
        p, &(struct rtp_header){
               .pt = 13, .seq = b->s[A].egress.seq, .ts = b->s[A].egress.ts + 800, .ssrc = 100});
    send_packet(b, A, p, sizeof(p));
    play(b, B, clip(1), false, 0);
    run(b, 100);
    whole(&b->s[B]);
}

/* A payload type stands for one codec: the state of another must not be taken for that of G.722. */
static void test_payload_type_twice(void **state)
{
    struct bed *b = *state;
    struct media_cmd c = {.kind = MEDIA_FORMAT, .id = A + 1, .n_rx = 2, .n_tx = 1};
    struct media_format g722 = {.codec = CODEC_G722, .pt = 96, .clock_hz = 8000};
    struct media_format opus = {.codec = CODEC_OPUS, .pt = 96, .clock_hz = 48000};
    call(b, &g722, &g722);
    run(b, 200);
    c.rx[0] = c.tx[0] = g722;
    c.rx[1] = opus;
    cmd(b, c);
    cmd(b, (struct media_cmd){.kind = MEDIA_JOIN, .id = A + 1, .member = {.room = 1}});
    cmd(b, (struct media_cmd){.kind = MEDIA_JOIN, .id = B + 1, .member = {.room = 1}});
    run(b, 500);
    struct side *s = &b->s[B];
    assert_true(s->n >= 3200);
    assert_true(level(s->heard + s->n - 3200, 3200, 500, 16000) > 3000);
    assert_true(level(s->heard + s->n - 3200, 3200, 1300, 16000) < 50);
}

/* Nobody is linked with it for a while, but it goes on sending. */
static void test_unlinked_is_no_loss(void **state)
{
    struct bed *b = *state;
    call(b, &formats[1], &formats[1]);
    run(b, 100);
    cmd(b, (struct media_cmd){.kind = MEDIA_UNLINK, .id = 1});
    run(b, 500);
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    run(b, 100);
    whole(&b->s[A]);
    whole(&b->s[B]);
    assert_in_range(b->s[B].off_most_us, 0, 25000);
}

/* Linked once more with whom it is linked with, nothing happens. */
static void test_linked_again(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[B];
    call(b, &formats[0], &formats[2]);
    struct media_cmd c = {.kind = MEDIA_FORMAT, .id = 2, .n_rx = 1, .n_tx = 1, .ptime_ms = 60};
    c.rx[0] = c.tx[0] = formats[2];
    cmd(b, c);
    run(b, 400);
    unsigned markers = s->markers, n = s->n;
    for (unsigned i = 0; i < 10; i++) {
        cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1 + i % 2, .peer = 2 - i % 2});
        run(b, 60);
    }
    assert_int_equal(s->markers, markers);
    assert_int_equal(s->n - n, 600 * 16);
    whole(s);
}

/* The party asks for longer packets, and for shorter ones: not a sample is lost or said twice. */
static void test_ptime_changes(void **state)
{
    static const uint8_t ptimes[] = {40, 20, 60, 10, 30, 20};
    struct bed *b = *state;
    struct side *s = &b->s[B];
    call(b, &formats[0], &formats[2]);
    run(b, 200);
    for (unsigned i = 0; i < ARRAY_LEN(ptimes); i++) {
        struct media_cmd c = {.kind = MEDIA_FORMAT, .id = 2, .n_rx = 1, .n_tx = 1};
        c.rx[0] = c.tx[0] = formats[2];
        c.ptime_ms = ptimes[i];
        cmd(b, c);
        run(b, 380);
        whole(s);
        assert_in_range(s->length_us, ptimes[i] * 1000, ptimes[i] * 1000);
    }
    uint64_t said = (200 + 6 * 380) * 16;
    assert_in_range(s->n, said - 60 * 16, said);
    assert_in_range(peak(s, 2000), 7000, 8800);
    assert_in_range(s->off_most_us, 0, 61000);
}

/* A source whose timestamps leap says nothing about the time. */
static void test_leaping_source(void **state)
{
    struct bed *b = *state;
    call(b, &formats[0], &formats[0]);
    run(b, 100);
    for (unsigned i = 0; i < 6; i++) {
        b->s[A].egress.ts += i % 2 ? 80000u : (uint32_t)-56000;
        run(b, 100);
    }
    whole(&b->s[B]);
    assert_in_range(b->s[B].off_most_us, 0, 25000);
    assert_int_equal(b->s[B].packets, 35);
}

/* A thread that did not run for long says so in the timestamps. */
static void test_time_after_a_standstill(void **state)
{
    struct bed *b = *state;
    struct side *s = &b->s[A];
    side_open(b, A, &formats[0], 500);
    s->quiet = true;
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_TONE, .tone = TONE_DIAL, .country = "US"},
         false, 0);
    run(b, 200);
    b->now += 3 * USEC_S;
    run(b, 200);
    whole(s);
    assert_in_range(s->off_most_us, 0, 125000); /* what is made up for comes at once */
    assert_in_range(llabs(s->off_us), 0, 25000);
}

/* ---- anything -------------------------------------------------------------------------------- */

#define PHONES 4

static void send_key(struct bed *b, struct rand *rnd)
{
    struct side *s = &b->s[A];
    uint32_t ts = s->egress.ts + 160;
    unsigned n = 3 + rand_below(rnd, 6);
    for (unsigned i = 0; i < n; i++) {
        uint8_t p[16];
        rtp_header_build(p, &(struct rtp_header){.pt = EVENTS,
                                                 .marker = i == 0,
                                                 .seq = ++s->egress.seq,
                                                 .ts = ts,
                                                 .ssrc = s->egress.ssrc});
        p[12] = 7;
        p[13] = (uint8_t)(i + 3 >= n ? 0x8A : 0x0A);
        be16_put(p + 14, (uint16_t)(160 * (i + 1)));
        send_packet(b, A, p, sizeof(p));
        run(b, 20);
    }
}

/* The peer of the far end of `i` changes its format, but only what it hears is looked at: the phone
 * answers in the format that it wants to hear. */
static void any_format(struct bed *b, struct rand *rnd, unsigned i)
{
    static const uint8_t ptimes[] = {0, 10, 20, 30, 40, 60};
    const struct media_format *f = &formats[rand_below(rnd, ARRAY_LEN(formats))];
    if (rand_below(rnd, 2))
        side_codec(b, i, f);
    struct media_cmd c = {.kind = MEDIA_FORMAT, .id = i + 1, .n_rx = 2, .n_tx = 2};
    c.rx[0] = c.tx[0] = b->s[i].f;
    c.rx[1] = c.tx[1] = (struct media_format){.codec = CODEC_EVENT, .pt = EVENTS, .clock_hz = 8000};
    c.ptime_ms = ptimes[rand_below(rnd, ARRAY_LEN(ptimes))];
    cmd(b, c);
}

static void order(struct bed *b, struct media_cmd c)
{
    (void)plane_cmd(&b->r, b->now, &c);
    drain(b);
}

static void any_step(struct bed *b, struct rand *rnd)
{
    unsigned i = rand_below(rnd, PHONES), k = rand_below(rnd, PHONES);
    struct media_cmd c = {.id = i + 1, .peer = k + 1};
    switch (rand_below(rnd, 12)) {
    case 0:
    case 1:
        c.kind = MEDIA_LINK;
        break;
    case 2:
        c.kind = MEDIA_UNLINK;
        break;
    case 3:
        c.kind = MEDIA_JOIN;
        c.member.room = 7;
        break;
    case 4:
        c.kind = MEDIA_LEAVE;
        break;
    case 5:
        play(b, i, clip(1), rand_below(rnd, 2), 0);
        return;
    case 6:
        play(b, i, (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = '5'}, false, 0);
        return;
    case 7:
        c.kind = MEDIA_STOP;
        break;
    case 8:
        c = (struct media_cmd){.kind = MEDIA_SET,
                               .id = i + 1,
                               .rtp = phone(i),
                               .receiving = rand_below(rnd, 2),
                               .sending = rand_below(rnd, 3)};
        break;
    case 9:
        any_format(b, rnd, i);
        return;
    case 10:
        egress_init(&b->s[i].egress, (uint32_t)rand_u64(rnd) | 1, (uint16_t)rand_u64(rnd),
                    (uint32_t)rand_u64(rnd));
        return;
    default:
        b->s[A].quiet = true;
        send_key(b, rnd);
        b->s[A].quiet = false;
        egress_pause(&b->s[A].egress);
        return;
    }
    order(b, c);
}

static void settle(struct bed *b)
{
    for (unsigned i = 0; i < PHONES; i++) {
        stop(b, i);
        side_codec(b, i, &formats[i % 2]);
        cmd(b, (struct media_cmd){.kind = MEDIA_SET,
                                  .id = i + 1,
                                  .rtp = phone(i),
                                  .receiving = true,
                                  .sending = true});
    }
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 3, .peer = 4});
    run(b, 300);
    unsigned before = b->s[B].packets;
    run(b, 400);
    assert_int_equal(b->s[B].packets, before + 20);
    assert_hears(&b->s[B], 200, 500, 1300);
    assert_hears(&b->s[A], 200, 1300, 500);
}

/* Whatever happens: one SSRC, numbers without a hole, timestamps that do not overlap, and that tell
 * the time. */
static void any_way(uint64_t seed)
{
    void *state;
    struct rand rnd;
    setup(&state);
    struct bed *b = state;
    rand_seed(&rnd, seed);
    for (unsigned i = 0; i < PHONES; i++)
        side_open(b, i, &formats[rand_below(&rnd, ARRAY_LEN(formats))], 500 + 800 * i);
    give_clip(b, 1, 900, 16000, 170);
    for (unsigned i = 0; i < 60; i++) {
        struct media_ev ev;
        any_step(b, &rnd);
        run(b, 20 + 20 * rand_below(&rnd, 12));
        while (plane_event(&b->r, &ev))
            ;
        for (unsigned k = 0; k < PHONES; k++)
            b->s[k].n = 0;
    }
    settle(b);
    for (unsigned i = 0; i < PHONES; i++) {
        const struct side *s = &b->s[i];
        if (s->breaks || s->overlaps || s->off_most_us > 300000)
            print_error("seed %llu: phone %u: %u breaks, %u overlaps, %lld us off\n",
                        (unsigned long long)seed, i, s->breaks, s->overlaps,
                        (long long)s->off_most_us);
        whole(s);
        assert_in_range(s->off_most_us, 0, 300000);
    }
    assert_int_equal(teardown(&state), 0);
}

static void test_any_way(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        any_way(seed);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_linked_again),
        T(test_g722_in_step),
        T(test_g722_other_phone),
        T(test_g722_passes_again),
        cmocka_unit_test(test_g722_heard_from_the_middle),
        cmocka_unit_test(test_no_step),
        T(test_key_among_sound),
        T(test_time_behind_a_key),
        T(test_skipped_is_no_loss),
        T(test_skipped_after_loss),
        T(test_payload_type_twice),
        T(test_unlinked_is_no_loss),
        T(test_ptime_changes),
        T(test_leaping_source),
        T(test_time_after_a_standstill),
        cmocka_unit_test(test_any_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
