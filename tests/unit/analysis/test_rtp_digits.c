/* Keys that are pressed in a stream of telephone-events, and what RTCP says of streams. */
#include "rtp_bed.h"

#include "wire/rtp/event.h"
#include "wire/rtp/rtcp_build.h"

static const char phone[] = "10.0.0.5:4000", pbx[] = "10.0.0.1:20000";

static int up(void **state)
{
    bed_up(100);
    describe(0, AN_CALLER, pbx, 0, pcmu);
    describe(0, AN_CALLEE, phone, 0, pcmu);
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

/* One press of `ms`, its last packet `ends` times; every lose-th is lost. */
static void press(struct sender *s, char digit, unsigned ms, unsigned ends, unsigned lose)
{
    struct sender e = *s;
    e.pt = 101;
    e.payload_n = RTP_EVENT_BYTES;
    for (unsigned i = 1; i <= ms / 20 + ends; i++) {
        bool end = i > ms / 20;
        struct rtp_event v = {.event = (uint8_t)rtp_event_of_char(digit),
                              .end = end,
                              .volume = 10,
                              .duration = (uint16_t)((end ? ms / 20 : i) * 160)};
        rtp_event_build(e.payload, &v);
        e.marker = i == 1;
        e.seq = s->seq++;
        if (!lose || i % lose)
            send_at(&e, s->now_ns);
        s->now_ns += 20 * MS;
        s->ts += 160;
    }
}

static void test_keys(void **state)
{
    struct sender s = sender(phone, pbx, 1);
    send_n(&s, 20);
    uint64_t first_ns = s.now_ns;
    press(&s, '1', 120, 3, 0);
    send_n(&s, 5);
    press(&s, '#', 80, 3, 2); /* half of it lost, the first packet too */
    press(&s, '#', 80, 3, 0); /* once more, without a pause */
    send_n(&s, 5);
    press(&s, '9', 300, 0, 0); /* nothing says that it ends */
    send_n(&s, 20);
    const struct an_stream *t = only();
    assert_int_equal(t->n_digits, 4);
    assert_int_equal(t->digit[0].digit, '1');
    assert_int_equal(t->digit[0].ms, 120);
    assert_int_equal(t->digit[0].at_ns, first_ns);
    assert_false(t->digit[0].end_lost);
    assert_int_equal(t->digit[1].digit, '#');
    assert_int_equal(t->digit[1].ms, 80);
    assert_int_equal(t->digit[2].digit, '#');
    assert_int_equal(t->digit[3].digit, '9');
    assert_int_equal(t->digit[3].ms, 300);
    assert_true(t->digit[3].end_lost);
    assert_string_equal(an_rtp_format_name(rtp, an_stream_format(t)).p, "PCMU");
}

/* More than a telephone can dial: they are counted. */
static void test_many(void **state)
{
    struct sender s = sender(phone, pbx, 1);
    for (unsigned i = 0; i < 100; i++) {
        press(&s, "0123456789"[i % 10], 40, 1, 0);
        send_n(&s, 3);
    }
    assert_int_equal(only()->n_digits, AN_RTP_MAX_DIGITS);
    assert_int_equal(only()->digits_refused, 100 - AN_RTP_MAX_DIGITS);
    assert_int_equal(only()->digit[63].digit, '3');
}

/* Nobody said what 101 is. */
static void test_unexpected(void **state)
{
    struct sender s = sender("10.0.0.8:4000", "10.0.0.9:4000", 1);
    send_n(&s, 20);
    press(&s, '5', 120, 3, 0);
    assert_int_equal(only()->n_digits, 1);
    assert_int_equal(only()->digit[0].digit, '5');
}

static void rtcp(const char *src, const char *dst, uint64_t at_ns, const struct buf *b)
{
    struct an_datum d = {
        .at_ns = at_ns, .src = at(src), .dst = at(dst), .bytes = str_of(b->p, b->n)};
    an_rtp_rx(rtp, &d);
}

/* A sender report on its way, and the report about it 300 ms later, of which the receiver held it
 * for 250 ms. */
static void test_rtcp(void **state)
{
    char mem[500];
    struct buf b;
    struct sender s = sender(phone, pbx, 77);
    send_n(&s, 50);
    buf_init(&b, mem, sizeof(mem));
    rtcp_sr_build(&b, &(struct rtcp_sender){.ssrc = 77, .ntp = 0x1234567890ABCDEF, .packets = 50},
                  NULL, 0);
    rtcp("10.0.0.5:4001", "10.0.0.1:20001", s.now_ns, &b);
    struct rtcp_report about = {
        .ssrc = 77, .fraction = 26, .lost = 5, .jitter = 80, .lsr = 0x567890AB, .dlsr = 65536 / 4};
    buf_init(&b, mem, sizeof(mem));
    rtcp_rr_build(&b, 99, &about, 1);
    rtcp("10.0.0.1:20001", "10.0.0.5:4001", s.now_ns + 300 * MS, &b);
    const struct an_rtcp_view *v = &only()->rtcp;
    assert_int_equal(v->senders, 1);
    assert_int_equal(v->sent_packets, 50);
    assert_int_equal(v->reports, 1);
    assert_int_equal(v->lost, 5);
    assert_int_equal(v->most_fraction, 26);
    assert_int_equal(v->jitter_us, 10000);
    assert_int_equal(v->rtt_us, 50000);
    assert_int_equal(an_rtp_stats(rtp)->rtcp, 2);
}

/* Not of these hosts, broken, or about nobody. */
static void test_rtcp_of_others(void **state)
{
    char mem[500];
    struct buf b;
    struct sender s = sender(phone, pbx, 77);
    send_n(&s, 5);
    buf_init(&b, mem, sizeof(mem));
    rtcp_rr_build(&b, 99, &(struct rtcp_report){.ssrc = 77, .lost = 5}, 1);
    rtcp("10.0.0.2:20001", "10.0.0.5:4001", s.now_ns, &b);
    rtcp("10.0.0.5:4001", "10.0.0.1:20001", s.now_ns, &b); /* the wrong way round */
    b.n -= 4;
    rtcp("10.0.0.1:20001", "10.0.0.5:4001", s.now_ns, &b);
    assert_int_equal(only()->rtcp.reports, 0);
    assert_int_equal(an_rtp_stats(rtp)->other, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keys), TEST(test_many),           TEST(test_unexpected),
        TEST(test_rtcp), TEST(test_rtcp_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
