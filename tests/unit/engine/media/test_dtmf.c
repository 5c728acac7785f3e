/* RFC 4733 events, received over a path that loses, repeats and reorders, and sent. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "engine/media/dtmf.h"

#define MAX 64

struct bed {
    struct dtmf_rx rx;
    usec_t now;
    char heard[64];
    size_t n;
    unsigned ends;
    uint64_t duration; /* of the last one that ended */
};

static void give(struct bed *b, const struct dtmf_packet *p)
{
    struct dtmf_digit d;
    unsigned v = dtmf_rx_event(&b->rx, b->now, p, &d);
    if (v & DTMF_BEGIN)
        b->heard[b->n++] = d.digit;
    if (v & DTMF_END) {
        b->ends++;
        b->duration = d.duration;
    }
    assert_true(b->n < sizeof(b->heard));
}

static void expect(struct bed *b, const char *digits)
{
    b->heard[b->n] = '\0';
    assert_string_equal(b->heard, digits);
}

/* The packets of a digit, by our own sender. */
static unsigned packets(struct dtmf_packet out[MAX], char digit, uint32_t ms, uint32_t ts,
                        uint16_t seq)
{
    struct dtmf_tx t = {0};
    struct dtmf_tx_packet p;
    unsigned n = 0;
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){digit, 10, ms, ts, 8000}), 0);
    while (dtmf_tx_next(&t, &p)) {
        assert_true(n < MAX);
        out[n] = (struct dtmf_packet){.seq = (uint16_t)(seq + n), .ts = p.ts, .marker = p.marker};
        assert_int_equal(rtp_event_parse(&out[n++].event, p.payload, sizeof(p.payload)), 0);
    }
    return n;
}

static void one_digit_of_many_packets(void **state)
{
    (void)state;
    struct bed b = {.now = USEC_S};
    struct dtmf_packet p[MAX];
    static const char keys[] = "0123456789*#ABCD!";
    uint16_t seq = 65500; /* over the wrap */
    for (uint32_t k = 0; keys[k]; k++) {
        unsigned n = packets(p, keys[k], 100, UINT32_MAX - 8000 + k * 1600, seq);
        assert_int_equal(n, 7);
        for (unsigned i = 0; i < n; i++, b.now += 20 * USEC_MS)
            give(&b, &p[i]);
        seq = (uint16_t)(seq + n + 3);
        assert_int_equal(b.n, k + 1);
        assert_int_equal(b.ends, k + 1);
        assert_int_equal(b.duration, 800);
    }
    expect(&b, keys);
}

static void any_packet_will_do(void **state)
{
    (void)state;
    struct dtmf_packet p[MAX];
    unsigned n = packets(p, '7', 100, 1000, 10);
    for (uint32_t lost = 0; lost < 1u << n; lost++) {
        struct bed b = {.now = USEC_S};
        for (unsigned i = 0; i < n; i++, b.now += 20 * USEC_MS)
            if (!(lost >> i & 1))
                give(&b, &p[i]);
        expect(&b, lost == (1u << n) - 1 ? "" : "7");
        assert_int_equal(b.ends, lost >> (n - 3) != 7);
    }
}

static void order_does_not_matter(void **state)
{
    (void)state;
    struct rand r;
    rand_seed(&r, 4733);
    for (unsigned round = 0; round < 500; round++) {
        struct bed b = {.now = USEC_S};
        struct dtmf_packet p[MAX];
        unsigned n = packets(p, '1', 80, 1000, 65530);
        n += packets(p + n, '1', 80, 2600, (uint16_t)(65530 + n));
        /* Each changes places with a near one, and some come twice. */
        for (unsigned i = 0; i + 2 < n; i++) {
            unsigned j = i + (unsigned)rand_below(&r, 2);
            if (i < 6 && j >= 6)
                continue; /* not across the two digits */
            struct dtmf_packet swap = p[i];
            p[i] = p[j];
            p[j] = swap;
        }
        for (unsigned i = 0; i < n; i++, b.now += 20 * USEC_MS) {
            give(&b, &p[i]);
            if (rand_below(&r, 4) == 0)
                give(&b, &p[i]);
            if (i && rand_below(&r, 4) == 0)
                give(&b, &p[i - 1]);
        }
        expect(&b, "11");
        assert_int_equal(b.ends, 2);
    }
}

static void late_packets_of_the_digit_before_are_nothing(void **state)
{
    (void)state;
    struct bed b = {.now = USEC_S};
    struct dtmf_packet p[MAX], q[MAX];
    unsigned n = packets(p, '1', 80, 1000, 10);
    packets(q, '2', 80, 2600, (uint16_t)(10 + n));
    give(&b, &p[0]);
    give(&b, &p[1]);
    give(&b, &q[0]);
    for (unsigned i = 0; i < n; i++)
        give(&b, &p[i]);
    give(&b, &q[1]);
    expect(&b, "12");
}

static void the_same_key_twice_is_two_digits(void **state)
{
    (void)state;
    struct bed b = {.now = USEC_S};
    struct dtmf_packet p[MAX];
    uint16_t seq = 0;
    for (uint32_t k = 0; k < 3; k++) {
        unsigned n = packets(p, '0', 60, 8000 + k * 800, seq);
        /* Neither the first nor any final one arrives. */
        for (unsigned i = 1; i + 3 < n; i++, b.now += 20 * USEC_MS)
            give(&b, &p[i]);
        seq = (uint16_t)(seq + n);
        b.now += 40 * USEC_MS;
    }
    expect(&b, "000");
    assert_int_equal(b.ends, 0);
}

static void a_long_press_is_one_digit(void **state)
{
    (void)state;
    static struct dtmf_packet p[4000];
    struct dtmf_tx t = {0};
    struct dtmf_tx_packet out;
    unsigned n = 0, markers = 0, ends = 0;
    /* 20 s are more than two segments of 8.19 s. */
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'#', 10, 20000, 500, 8000}), 0);
    for (; dtmf_tx_next(&t, &out); n++) {
        p[n] = (struct dtmf_packet){.seq = (uint16_t)n, .ts = out.ts, .marker = out.marker};
        assert_int_equal(rtp_event_parse(&p[n].event, out.payload, sizeof(out.payload)), 0);
        markers += out.marker;
        ends += p[n].event.end;
    }
    assert_int_equal(n, 1000 + 2);
    assert_int_equal(markers, 1);
    assert_int_equal(ends, 3);
    assert_int_equal(p[n - 1].ts, 500 + 2 * 65535);
    for (unsigned lose = 0; lose < 2; lose++) {
        struct bed b = {.now = USEC_S};
        for (unsigned i = 0; i < n; i++, b.now += 20 * USEC_MS)
            if (!lose || p[i].event.duration != 0xFFFF) /* the last of a segment is lost */
                give(&b, &p[i]);
        expect(&b, "#");
        assert_int_equal(b.ends, 1);
        assert_int_equal(b.duration, 160000);
    }
}

static void an_end_that_is_lost_is_found_by_silence(void **state)
{
    (void)state;
    struct bed b = {.now = USEC_S};
    struct dtmf_packet p[MAX];
    struct dtmf_digit d;
    unsigned n = packets(p, '9', 100, 1000, 10);
    assert_int_equal(dtmf_rx_deadline(&b.rx), USEC_NEVER);
    assert_int_equal(dtmf_rx_expire(&b.rx, USEC_NEVER, &d), 0);
    give(&b, &p[0]);
    give(&b, &p[1]);
    assert_int_equal(dtmf_rx_deadline(&b.rx), b.now + DTMF_SILENCE);
    assert_int_equal(dtmf_rx_expire(&b.rx, b.now + DTMF_SILENCE - 1, &d), 0);
    assert_int_equal(dtmf_rx_expire(&b.rx, b.now + DTMF_SILENCE, &d), DTMF_END);
    assert_int_equal(d.digit, '9');
    assert_int_equal(d.duration, 320);
    assert_int_equal(dtmf_rx_expire(&b.rx, b.now + 2 * DTMF_SILENCE, &d), 0);
    /* The path was only slow. */
    b.now += 300 * USEC_MS;
    for (unsigned i = 2; i < n; i++)
        give(&b, &p[i]);
    expect(&b, "9");
    assert_int_equal(b.ends, 0);
}

static void a_source_may_begin_anew(void **state)
{
    (void)state;
    struct bed b = {.now = USEC_S};
    struct dtmf_packet p[MAX];
    unsigned n = packets(p, '1', 60, 900000, 5000);
    for (unsigned i = 0; i < n; i++)
        give(&b, &p[i]);
    n = packets(p, '2', 60, 1000, 4000); /* everything behind the last one */
    for (unsigned i = 0; i < n; i++)
        give(&b, &p[i]);
    b.now += 3 * USEC_S;
    n = packets(p, '3', 60, 500, 3990);
    for (unsigned i = 0; i < n; i++)
        give(&b, &p[i]);
    expect(&b, "123");
}

static void events_that_are_no_digits_are_nothing(void **state)
{
    (void)state;
    struct bed b = {.now = USEC_S};
    for (unsigned e = 17; e < 256; e++)
        give(&b, &(struct dtmf_packet){.seq = (uint16_t)e,
                                       .ts = e * 1000,
                                       .marker = true,
                                       .event = {.event = (uint8_t)e, .duration = 160}});
    expect(&b, "");
    assert_false(b.rx.started);
}

static void what_is_sent_is_as_rfc_4733_wants_it(void **state)
{
    (void)state;
    struct dtmf_tx t = {0};
    struct dtmf_tx_packet p;
    struct rtp_event e;
    assert_false(dtmf_tx_next(&t, &p));
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'x', 10, 100, 0, 8000}), -EINVAL);
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'5', 10, 100, 0, 0}), -EINVAL);
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'5', 99, 50, 777, 48000}), 0);
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'6', 10, 100, 0, 8000}), -EBUSY);
    static const uint16_t duration[] = {960, 1920, 2400, 2400, 2400};
    for (unsigned i = 0; i < 5; i++) {
        assert_true(dtmf_tx_busy(&t));
        assert_true(dtmf_tx_next(&t, &p));
        assert_int_equal(rtp_event_parse(&e, p.payload, sizeof(p.payload)), 0);
        assert_int_equal(p.ts, 777);
        assert_int_equal(p.marker, i == 0);
        assert_int_equal(e.event, 5);
        assert_int_equal(e.volume, 63);
        assert_int_equal(e.duration, duration[i]);
        assert_int_equal(e.end, i >= 2);
    }
    assert_false(dtmf_tx_busy(&t));
    assert_false(dtmf_tx_next(&t, &p));
    /* Too short and too long. */
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'d', 10, 0, 0, 8000}), 0);
    assert_int_equal(t.total, 320);
    t = (struct dtmf_tx){0};
    assert_int_equal(dtmf_tx_start(&t, &(struct dtmf_order){'d', 10, UINT32_MAX, 0, 8000}), 0);
    assert_int_equal(t.total, 480000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_digit_of_many_packets),
        cmocka_unit_test(any_packet_will_do),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(late_packets_of_the_digit_before_are_nothing),
        cmocka_unit_test(the_same_key_twice_is_two_digits),
        cmocka_unit_test(a_long_press_is_one_digit),
        cmocka_unit_test(an_end_that_is_lost_is_found_by_silence),
        cmocka_unit_test(a_source_may_begin_anew),
        cmocka_unit_test(events_that_are_no_digits_are_nothing),
        cmocka_unit_test(what_is_sent_is_as_rfc_4733_wants_it),
    };
    return cmocka_run_group_tests_name("dtmf", tests, NULL, NULL);
}
