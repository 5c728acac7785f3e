/* RTCP of a session in virtual time: two reports talk to each other over a path that loses, repeats
 * and delays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/media/report.h"
#include "wire/rtp/be.h"
#include "wire/rtp/rtcp_build.h"

#define A_SSRC 0xAAAA0001u
#define B_SSRC 0xBBBB0002u
#define NTP    0xE9F1C80012345678u

struct bed {
    struct report a, b;
    usec_t now;
    char mem[REPORT_MAX_BYTES];
    struct buf out;
};

static const struct report_write write_xr = {NTP, STR_INIT("abc@192.0.2.1"), REPORT_XR};

static void start(struct bed *d)
{
    *d = (struct bed){.now = 1000 * USEC_S};
    report_init(&d->a, d->now, &(struct report_setup){.ssrc = A_SSRC, .seed = 1});
    report_init(&d->b, d->now, &(struct report_setup){.ssrc = B_SSRC, .seed = 2});
    report_codec_set(&d->a, STR("PCMU"), 8000, 60);
    report_codec_set(&d->b, STR("PCMU"), 8000, 60);
    buf_init(&d->out, d->mem, sizeof(d->mem));
}

static void rx(struct report *r, usec_t now, uint32_t i)
{
    report_rtp(r, now, A_SSRC, (uint16_t)i, 160 * i, 8000);
}

/* A packet from A to B every 20 ms, from number `from` to before `to`. */
static void talk(struct bed *d, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        report_sent(&d->a, d->now, 160 * i, 160);
        rx(&d->b, d->now, i);
        d->now += 20 * USEC_MS;
    }
}

static void make(struct bed *d, struct report *r)
{
    d->out.n = 0;
    assert_int_equal(report_make(r, d->now, &write_xr, &d->out), 0);
    assert_int_equal(rtcp_check(d->mem, d->out.n, false), 0);
}

static void deliver(struct bed *d, struct report *r, usec_t way)
{
    d->now += way;
    assert_int_equal(report_rtcp(r, d->now, d->mem, d->out.n), 0);
}

static void counts_loss_duplicates_and_reordering(void **state)
{
    (void)state;
    struct bed d;
    struct report_quality q;
    start(&d);
    for (uint32_t i = 65500; i < 65700; i++) /* over the wrap */
        if (i != 65530 && i != 65600 && i != 65601)
            rx(&d.b, d.now + i * 20 * USEC_MS, i);
    assert_int_equal(report_lost(&d.b), 3);
    rx(&d.b, d.now + 65700 * 20 * USEC_MS, 65699); /* again */
    rx(&d.b, d.now + 65700 * 20 * USEC_MS, 65698);
    rx(&d.b, d.now + 65700 * 20 * USEC_MS, 65700);
    rx(&d.b, d.now + 65701 * 20 * USEC_MS, 65702);
    rx(&d.b, d.now + 65702 * 20 * USEC_MS, 65701); /* late */
    report_quality(&d.b, &q);
    assert_true(q.in.known);
    assert_int_equal(q.in.lost, 3);
    assert_int_equal(q.in.duplicates, 2);
    assert_int_equal(q.in.packets, 202);
    assert_int_equal(q.in.loss_e4, 3 * 10000 / 203);
    assert_int_equal(rtp_seq_extended(&d.b.rx.seq), 65702);
    assert_int_equal(q.burst.bad_e4, 3 * 10000 / 203);
    assert_false(q.out.known);
}

static void jitter_is_that_of_rfc_3550(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    double j = 0;
    for (uint32_t i = 0; i < 500; i++) {
        /* Every other packet 5 ms later: |D| is 40 units from the second on. */
        rx(&d.b, d.now + i * 20 * USEC_MS + (i % 2) * 5 * USEC_MS, i);
        j += i ? (40 - j) / 16 : 0;
        assert_in_range(report_jitter_us(&d.b), (uint32_t)(j * 125) < 250 ? 0 : j * 125 - 250,
                        j * 125 + 125);
    }
    assert_in_range(report_jitter_us(&d.b), 4800, 5000);
    /* Another clock does not make it jump. */
    report_rtp(&d.b, d.now + 500 * 20 * USEC_MS, A_SSRC, 500, 48000, 48000);
    report_rtp(&d.b, d.now + 501 * 20 * USEC_MS, A_SSRC, 501, 48960, 48000);
    assert_int_equal(report_jitter_us(&d.b), 0);
}

static void an_event_is_no_jitter(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    uint16_t seq = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t ts = i / 20 % 2 ? 160 * (i / 20 * 20) : 160 * i;
        report_rtp(&d.b, d.now + i * 20 * USEC_MS, A_SSRC, seq++, ts, 8000);
    }
    assert_int_equal(report_jitter_us(&d.b), 0);
}

static void restarts_and_new_sources_add_up(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    talk(&d, 0, 100);
    rx(&d.b, d.now, 105); /* five lost */
    for (uint32_t i = 30000; i < 30100; i++) {
        d.now += 20 * USEC_MS;
        rx(&d.b, d.now, i); /* the first one is not believed */
    }
    assert_int_equal(report_lost(&d.b), 5);
    assert_int_equal(report_expected(&d.b) - report_lost(&d.b), 101 + 99);
    for (uint32_t i = 7; i < 107; i++)
        if (i != 50)
            report_rtp(&d.b, d.now += 20 * USEC_MS, 0xCCCC, (uint16_t)i, i * 160, 8000);
    assert_int_equal(report_lost(&d.b), 6);
    struct burst_metrics m;
    report_burst(&d.b, &m);
    assert_int_equal(m.bursts, 1);
    assert_int_equal(m.bad_e4, 6 * 10000 / 305);
    /* A leap within what one loss may be. */
    report_rtp(&d.b, d.now += 20 * USEC_MS, 0xCCCC, 2107, 2107 * 160, 8000);
    assert_int_equal(report_lost(&d.b), 2006);
    report_burst(&d.b, &m);
    assert_int_equal(m.bursts, 2);
    assert_int_equal(m.bad_e4, 2006 * 10000u / 2306);
}

static void probation_believes_two_in_order(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    report_init(&d.b, d.now, &(struct report_setup){.ssrc = B_SSRC, .min_sequential = 2});
    rx(&d.b, d.now, 10);
    rx(&d.b, d.now, 500);
    assert_int_equal(report_expected(&d.b), 0);
    assert_false(d.b.rx.known);
    make(&d, &d.b);
    assert_int_equal(d.mem[0] & 31, 0); /* nothing to report */
    rx(&d.b, d.now, 501);
    rx(&d.b, d.now, 502);
    assert_int_equal(report_expected(&d.b), 2);
    assert_int_equal(report_lost(&d.b), 0);
    make(&d, &d.b);
    assert_int_equal(d.mem[0] & 31, 1);
    make(&d, &d.b);
    assert_int_equal(d.mem[0] & 31, 0); /* silent since */
}

static void discards_count_as_bad_but_not_as_lost(void **state)
{
    (void)state;
    struct bed d;
    struct report_quality q;
    start(&d);
    talk(&d, 0, 100);
    report_discarded(&d.b, 99);
    report_discarded(&d.b, 99);
    report_discarded(&d.b, 70);
    report_discarded(&d.b, 10);  /* long gone */
    report_discarded(&d.b, 100); /* never came */
    report_quality(&d.b, &q);
    assert_int_equal(q.in.discarded, 2);
    assert_int_equal(q.in.lost, 0);
    assert_int_equal(q.burst.discard_rate, 2 * 256 / 100);
    talk(&d, 100, 300);
    report_quality(&d.b, &q);
    assert_int_equal(q.burst.bad_e4, 2 * 10000 / 300);
    assert_in_range(q.in.r_x10, 880, 914);
}

static void a_report_says_what_is_received(void **state)
{
    (void)state;
    struct bed d;
    struct rtcp_packet k;
    struct rtcp_report b;
    size_t at = 0;
    start(&d);
    talk(&d, 65530, 65540);
    d.b.rx.sr_ssrc = A_SSRC;
    make(&d, &d.a); /* A's SR */
    deliver(&d, &d.b, 0);
    rx(&d.b, d.now, 65549); /* 9 of 10 lost */
    d.now += 1500 * USEC_MS;
    make(&d, &d.b);
    assert_true(rtcp_next(&k, d.mem, d.out.n, &at));
    assert_int_equal(k.type, RTCP_RR);
    assert_int_equal(rtcp_report_get(&b, &k, 0), 0);
    assert_int_equal(b.ssrc, A_SSRC);
    assert_int_equal(b.lost, 9);
    assert_int_equal(b.fraction, 9 * 256 / 20);
    assert_int_equal(b.highest_seq, 65549);
    assert_int_equal(b.dlsr, 65536 * 3 / 2);
    assert_int_equal(b.lsr, d.a.sent[0].lsr);
    assert_true(rtcp_next(&k, d.mem, d.out.n, &at));
    struct rtcp_sdes_item item;
    assert_true(rtcp_sdes_next(&item, &k, &(struct rtcp_sdes_walk){0}));
    assert_int_equal(item.type, RTCP_CNAME);
    assert_true(str_eq(item.text, STR("abc@192.0.2.1")));
    assert_false(rtcp_next(&k, d.mem, d.out.n, &at)); /* XR comes in the second one */
}

static void a_sender_report_says_when(void **state)
{
    (void)state;
    struct bed d;
    struct rtcp_packet k;
    struct rtcp_sender s;
    start(&d);
    talk(&d, 0, 50);
    d.now += 480 * USEC_MS; /* half a second behind the last packet */
    make(&d, &d.a);
    size_t at = 0;
    assert_true(rtcp_next(&k, d.mem, d.out.n, &at));
    assert_int_equal(rtcp_sender_get(&s, &k), 0);
    assert_int_equal(s.ssrc, A_SSRC);
    assert_int_equal(s.packets, 50);
    assert_int_equal(s.bytes, 50 * 160);
    assert_int_equal(s.ts, 49 * 160 + 4000);
    assert_int_equal(s.ntp - NTP, ((uint64_t)1001 << 32) + ((uint64_t)480000 << 32) / 1000000);
    /* Nothing sent: still a sender in the next one, none in that behind it. */
    make(&d, &d.a);
    assert_int_equal((uint8_t)d.mem[1], RTCP_SR);
    make(&d, &d.a);
    assert_int_equal((uint8_t)d.mem[1], RTCP_RR);
}

static void round_trip_by_our_own_clock(void **state)
{
    (void)state;
    struct bed d;
    struct report_quality q;
    start(&d);
    talk(&d, 0, 50);
    static const uint32_t way_ms[] = {10, 30, 20};
    for (size_t i = 0; i < 3; i++) {
        report_sent(&d.a, d.now, 0, 160);
        make(&d, &d.a);
        deliver(&d, &d.b, way_ms[i] * USEC_MS);
        rx(&d.b, d.now, 50 + (uint32_t)i);
        d.now += 700 * USEC_MS;
        make(&d, &d.b);
        deliver(&d, &d.a, way_ms[i] * USEC_MS);
    }
    report_quality(&d.a, &q);
    assert_int_equal(q.rtt_n, 3);
    assert_in_range(q.rtt_us, 39950, 40050);
    assert_in_range(q.rtt_mean_us, 39950, 40050);
    assert_in_range(q.rtt_max_us, 59950, 60050);
    /* The far end that says it held the report for longer than it can have is not believed, nor
     * one that speaks of a report that never was. */
    struct rtcp_report lie = {.ssrc = A_SSRC, .lsr = d.a.sent[2].lsr, .dlsr = 10 << 16};
    d.out.n = 0;
    rtcp_rr_build(&d.out, B_SSRC, &lie, 1);
    deliver(&d, &d.a, 0);
    lie = (struct rtcp_report){.ssrc = A_SSRC, .lsr = 12345};
    d.out.n = 0;
    rtcp_rr_build(&d.out, B_SSRC, &lie, 1);
    deliver(&d, &d.a, 0);
    assert_int_equal(d.a.rtt.n, 3);
}

static void a_relayed_sender_report_measures_too(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    struct report relay;
    report_init(&relay, d.now, &(struct report_setup){.ssrc = A_SSRC});
    talk(&d, 0, 5);
    make(&d, &d.a);
    d.now += 50 * USEC_MS; /* from A to the relay */
    report_passed(&relay, d.now, d.mem, d.out.n);
    deliver(&d, &d.b, 4 * USEC_MS);
    d.now += USEC_S;
    make(&d, &d.b);
    deliver(&d, &relay, 4 * USEC_MS);
    assert_int_equal(relay.rtt.n, 1);
    assert_in_range(relay.rtt.last_us, 7950, 8050);
}

static void the_far_end_tells_what_we_send(void **state)
{
    (void)state;
    struct bed d;
    struct report_quality in, out;
    start(&d);
    for (uint32_t i = 0; i < 1000; i++) {
        report_sent(&d.a, d.now, 160 * i, 160);
        if (i % 50)
            rx(&d.b, d.now, i);
        d.now += 20 * USEC_MS;
    }
    make(&d, &d.b);
    deliver(&d, &d.a, 0);
    report_quality(&d.a, &out);
    assert_true(out.out.known);
    assert_int_equal(out.out.lost, 19);
    assert_int_equal(out.out.loss_e4, 190);
    unsigned estimate = out.out.r_x10;
    rx(&d.b, d.now, 1000);
    make(&d, &d.b);
    deliver(&d, &d.a, 0);
    assert_true(d.a.far.has_voip);
    assert_int_equal(d.a.far.voip.gmin, 16);
    report_quality(&d.a, &out);
    report_quality(&d.b, &in);
    assert_int_equal(out.out.r_x10, (in.in.r_x10 + 5) / 10 * 10);
    assert_in_range(out.out.mos_x100, in.in.mos_x100 - 5, in.in.mos_x100 + 5);
    assert_in_range(estimate, in.in.r_x10 - 10, in.in.r_x10 + 10);
}

static void strangers_are_ignored(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    talk(&d, 0, 10);
    struct rtcp_report b = {.ssrc = B_SSRC, .lost = 7, .lsr = 1};
    struct rtcp_sender s = {.ssrc = 0x666, .ntp = 99};
    rtcp_sr_build(&d.out, &s, &b, 1);
    rtcp_bye_build(&d.out, 0x666, STR("gone"));
    deliver(&d, &d.b, 0);
    assert_int_equal(d.b.strangers, 1);
    assert_false(d.b.far.reported || d.b.rx.has_sr || d.b.rx.bye);
    /* The far end about somebody else. */
    d.out.n = 0;
    b.ssrc = 0x777;
    rtcp_rr_build(&d.out, A_SSRC, &b, 1);
    deliver(&d, &d.b, 0);
    assert_false(d.b.far.reported);
    d.out.n = 0;
    rtcp_rr_build(&d.out, A_SSRC, NULL, 0);
    rtcp_bye_build(&d.out, A_SSRC, STR_NONE);
    deliver(&d, &d.b, 0);
    assert_true(d.b.rx.bye);
}

static void malformed_packets_leave_nothing_behind(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    talk(&d, 0, 10);
    struct rtcp_report b = {.ssrc = B_SSRC, .lost = 7};
    rtcp_rr_build(&d.out, A_SSRC, &b, 1);
    rtcp_xr_voip_build(&d.out, A_SSRC, &(struct rtcp_voip){.ssrc = B_SSRC});
    struct report before = d.b;
    for (size_t n = 0; n < d.out.n; n++)
        if (n != 32) /* the RR alone is whole */
            assert_int_equal(report_rtcp(&d.b, d.now, d.mem, n), -EBADMSG);
    d.mem[0] = (char)(d.mem[0] + 1); /* a block that is not there */
    assert_int_equal(report_rtcp(&d.b, d.now, d.mem, d.out.n), -EBADMSG);
    d.mem[0] = (char)(d.mem[0] - 1);
    d.mem[32 + 8 + 3] = 9; /* an XR block beyond its packet */
    assert_int_equal(report_rtcp(&d.b, d.now, d.mem, d.out.n), -EBADMSG);
    assert_memory_equal(&before, &d.b, sizeof(before));
    d.mem[32 + 8 + 3] = 8;
    deliver(&d, &d.b, 0);
    assert_true(d.b.far.has_voip);
    assert_int_equal(d.b.far.lost, 7);
}

static void reports_come_as_often_as_rfc_3550_says(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    usec_t begun = d.now, last = 0, shortest = USEC_NEVER, longest = 0;
    unsigned n = 0;
    for (; d.now < begun + 10000 * USEC_S; d.now += 10 * USEC_MS) {
        if (!report_due(&d.a, d.now))
            continue;
        assert_true(d.now >= begun + USEC_S);
        usec_t gap = d.now - last;
        if (last) {
            shortest = gap < shortest ? gap : shortest;
            longest = gap > longest ? gap : longest;
        } else {
            assert_true(d.now <= begun + 3100 * USEC_MS);
        }
        last = d.now;
        make(&d, &d.a);
        assert_true(report_deadline(&d.a) > d.now);
        n++;
    }
    /* 5 s in the mean, half to one and a half of it over 1.21828. */
    assert_in_range(n, 1900, 2100);
    assert_in_range(shortest, 2052 * USEC_MS, 2500 * USEC_MS);
    assert_in_range(longest, 5500 * USEC_MS, 6170 * USEC_MS);
    /* The same seed, the same times; another seed, others. */
    struct report x, y, z;
    report_init(&x, 0, &(struct report_setup){.seed = 5});
    report_init(&y, 0, &(struct report_setup){.seed = 5});
    report_init(&z, 0, &(struct report_setup){.seed = 6});
    assert_int_equal(report_deadline(&x), report_deadline(&y));
    assert_int_not_equal(report_deadline(&x), report_deadline(&z));
}

static void a_full_buffer_changes_nothing(void **state)
{
    (void)state;
    struct bed d;
    start(&d);
    talk(&d, 0, 10);
    struct report before = d.b;
    for (size_t n = 0; n < 32 + 24; n++) {
        buf_init(&d.out, d.mem, n);
        assert_int_equal(report_make(&d.b, d.now, &write_xr, &d.out), -ENOSPC);
        assert_int_equal(d.out.n, 0);
        assert_memory_equal(&before, &d.b, sizeof(before));
    }
    /* The longest fits. */
    char cname[300];
    memset(cname, 'c', sizeof(cname));
    struct report_write w = {NTP, str_of(cname, sizeof(cname)), REPORT_XR};
    d.b.reports = 1;
    report_sent(&d.b, d.now, 0, 160);
    buf_init(&d.out, d.mem, sizeof(d.mem));
    assert_int_equal(report_make(&d.b, d.now, &w, &d.out), 0);
    rx(&d.b, d.now, 10);
    buf_init(&d.out, d.mem, sizeof(d.mem));
    assert_int_equal(report_bye(&d.b, d.now, &w, w.cname, &d.out), 0);
    assert_int_equal(rtcp_check(d.mem, d.out.n, false), 0);
}

static void bye_only_from_who_was_there(void **state)
{
    (void)state;
    struct bed d;
    struct rtcp_packet k;
    uint32_t ssrc;
    size_t at = 0;
    start(&d);
    assert_int_equal(report_bye(&d.b, d.now, &write_xr, STR_NONE, &d.out), -ENOENT);
    assert_int_equal(d.out.n, 0);
    talk(&d, 0, 3);
    assert_int_equal(report_bye(&d.a, d.now, &write_xr, STR("hung up"), &d.out), 0);
    assert_int_equal(rtcp_check(d.mem, d.out.n, false), 0);
    for (int i = 0; i < 3; i++)
        assert_true(rtcp_next(&k, d.mem, d.out.n, &at));
    assert_int_equal(rtcp_bye_get(&ssrc, &k, 0), 0);
    assert_int_equal(ssrc, A_SSRC);
    assert_true(str_eq(rtcp_bye_reason(&k), STR("hung up")));
    deliver(&d, &d.b, 0);
    assert_true(d.b.rx.bye);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_loss_duplicates_and_reordering),
        cmocka_unit_test(jitter_is_that_of_rfc_3550),
        cmocka_unit_test(an_event_is_no_jitter),
        cmocka_unit_test(restarts_and_new_sources_add_up),
        cmocka_unit_test(probation_believes_two_in_order),
        cmocka_unit_test(discards_count_as_bad_but_not_as_lost),
        cmocka_unit_test(a_report_says_what_is_received),
        cmocka_unit_test(a_sender_report_says_when),
        cmocka_unit_test(round_trip_by_our_own_clock),
        cmocka_unit_test(a_relayed_sender_report_measures_too),
        cmocka_unit_test(the_far_end_tells_what_we_send),
        cmocka_unit_test(strangers_are_ignored),
        cmocka_unit_test(malformed_packets_leave_nothing_behind),
        cmocka_unit_test(reports_come_as_often_as_rfc_3550_says),
        cmocka_unit_test(a_full_buffer_changes_nothing),
        cmocka_unit_test(bye_only_from_who_was_there),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
