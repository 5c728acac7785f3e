#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/rtp/rtcp_build.h"

static uint8_t mem[2048];

static struct buf compound(void)
{
    static const struct rtcp_sender sr = {0x11223344, 0xE000000080000000ull, 160, 10, 1600};
    static const struct rtcp_report r[] = {
        {0x55667788, 5, 3, 70000, 12, 0xAABBCCDD, 65536},
        {0x99, 0, -2, 1, 2, 3, 4},
    };
    struct buf b;
    buf_init(&b, (char *)mem, sizeof(mem));
    rtcp_sr_build(&b, &sr, r, 2);
    rtcp_cname_build(&b, 0x11223344, STR("a@b.test"));
    rtcp_bye_build(&b, 0x11223344, STR("hangup"));
    assert_false(b.full);
    return b;
}

static void walks_a_compound(void **state)
{
    struct buf b = compound();
    struct rtcp_packet k;
    struct rtcp_sender sr;
    struct rtcp_report r;
    struct rtcp_sdes_item item;
    struct rtcp_sdes_walk walk = {0};
    uint32_t ssrc;
    size_t at = 0;
    assert_int_equal(rtcp_check(b.p, b.n, false), 0);
    assert_true(rtcp_next(&k, b.p, b.n, &at));
    assert_int_equal(k.type, RTCP_SR);
    assert_int_equal(rtcp_sender_get(&sr, &k), 0);
    assert_true(sr.ssrc == 0x11223344 && sr.ntp == 0xE000000080000000ull && sr.ts == 160 &&
                sr.packets == 10 && sr.bytes == 1600);
    assert_int_equal(rtcp_report_get(&r, &k, 0), 0);
    assert_true(r.ssrc == 0x55667788 && r.fraction == 5 && r.lost == 3 && r.highest_seq == 70000 &&
                r.jitter == 12 && r.lsr == 0xAABBCCDD && r.dlsr == 65536);
    assert_int_equal(rtcp_report_get(&r, &k, 1), 0);
    assert_int_equal(r.lost, -2);
    assert_int_equal(rtcp_report_get(&r, &k, 2), -EBADMSG);
    assert_true(rtcp_next(&k, b.p, b.n, &at));
    assert_int_equal(rtcp_ssrc_get(&ssrc, &k), -EBADMSG);
    assert_int_equal(rtcp_sender_get(&sr, &k), -EBADMSG);
    assert_true(rtcp_sdes_next(&item, &k, &walk));
    assert_int_equal(item.type, RTCP_CNAME);
    assert_int_equal(item.ssrc, 0x11223344);
    assert_true(str_eq(item.text, STR("a@b.test")));
    assert_false(rtcp_sdes_next(&item, &k, &walk));
    assert_true(rtcp_next(&k, b.p, b.n, &at));
    assert_int_equal(rtcp_bye_get(&ssrc, &k, 0), 0);
    assert_int_equal(ssrc, 0x11223344);
    assert_int_equal(rtcp_bye_get(&ssrc, &k, 1), -EBADMSG);
    assert_true(str_eq(rtcp_bye_reason(&k), STR("hangup")));
    assert_false(rtcp_next(&k, b.p, b.n, &at));
    assert_int_equal(at, b.n);
}

static void checks_the_whole(void **state)
{
    struct buf b = compound();
    size_t part[] = {0, 76, 96}; /* where a part ends, a cut leaves a valid compound */
    for (size_t n = 0; n < b.n; n++) {
        bool whole = n && (n == part[1] || n == part[2]);
        assert_int_equal(rtcp_check(b.p, n, false), whole ? 0 : -EBADMSG);
    }
    /* RFC 5506: a part alone is right only where it was agreed. */
    assert_int_equal(rtcp_check(b.p + 76, b.n - 76, false), -EBADMSG);
    assert_int_equal(rtcp_check(b.p + 76, b.n - 76, true), 0);
    mem[76] |= 0x20; /* padding not in the last */
    mem[95] = 4;
    assert_int_equal(rtcp_check(b.p, b.n, false), -EBADMSG);
    assert_int_equal(rtcp_check(b.p, 96, false), 0);
    mem[95] = 3;
    assert_int_equal(rtcp_check(b.p, 96, false), -EBADMSG);
    mem[95] = 20;
    assert_int_equal(rtcp_check(b.p, 96, false), -EBADMSG);
    mem[76] = 0x41;
    assert_int_equal(rtcp_check(b.p, 96, false), -EBADMSG);
}

static void sdes_with_many_chunks(void **state)
{
    /* The items of the first chunk end on a boundary, so four zeros follow. */
    static const uint8_t p[] = {0x82, 202, 0, 7, 0, 0, 0, 1, 1, 1, 'x', 6,   3,   't', 'o', 'o',
                                0,    0,   0, 0, 0, 0, 0, 2, 1, 4, 'n', 'a', 'm', 'e', 0,   0};
    struct rtcp_packet k;
    struct rtcp_sdes_item item;
    struct rtcp_sdes_walk w = {0};
    size_t at = 0;
    assert_true(rtcp_next(&k, p, sizeof(p), &at));
    assert_true(rtcp_sdes_next(&item, &k, &w) && item.type == RTCP_CNAME && item.ssrc == 1);
    assert_true(rtcp_sdes_next(&item, &k, &w) && item.type == RTCP_TOOL && item.ssrc == 1);
    assert_true(rtcp_sdes_next(&item, &k, &w) && item.ssrc == 2);
    assert_true(str_eq(item.text, STR("name")));
    assert_false(rtcp_sdes_next(&item, &k, &w));
}

static void cname_lengths(void **state)
{
    char name[300];
    memset(name, 'n', sizeof(name));
    for (size_t n = 0; n < sizeof(name); n++) {
        struct buf b;
        struct rtcp_packet k;
        struct rtcp_sdes_item item;
        struct rtcp_sdes_walk w = {0};
        size_t at = 0;
        buf_init(&b, (char *)mem, sizeof(mem));
        rtcp_cname_build(&b, 1, str_of(name, n));
        assert_int_equal(rtcp_check(b.p, b.n, true), 0);
        assert_true(rtcp_next(&k, b.p, b.n, &at));
        assert_true(rtcp_sdes_next(&item, &k, &w));
        assert_int_equal(item.text.n, n > 255 ? 255 : n);
        assert_false(rtcp_sdes_next(&item, &k, &w));
        assert_int_equal(b.p[b.n - 1], 0);
        buf_init(&b, (char *)mem, sizeof(mem));
        rtcp_bye_build(&b, 1, str_of(name, n));
        at = 0;
        assert_true(rtcp_next(&k, b.p, b.n, &at));
        assert_int_equal(at, b.n);
        assert_int_equal(rtcp_bye_reason(&k).n, n > 255 ? 255 : n);
    }
}

static void application_and_extended_reports(void **state)
{
    static const uint8_t app[] = {0x85, 204, 0, 3, 0, 0, 0, 7, 'T', 'E', 'S', 'T', 1, 2, 3, 4};
    uint8_t xr[8 + 8 + 36] = {0x80, 207, 0, 12, 0, 0, 0, 7, 4, 0, 0, 1, 9, 9, 9, 9, 7, 0, 0, 8};
    struct rtcp_packet k;
    struct rtcp_app a;
    struct rtcp_xr_block x;
    struct rtcp_voip v;
    size_t at = 0;
    assert_true(rtcp_next(&k, app, sizeof(app), &at));
    assert_int_equal(rtcp_app_get(&a, &k), 0);
    assert_true(str_eq(a.name, STR("TEST")) && a.data_bytes == 4 && a.ssrc == 7 && k.count == 5);
    xr[23] = 9;    /* SSRC */
    xr[24] = 26;   /* loss rate */
    xr[36] = 0xEC; /* signal level -20 dBm */
    xr[42] = 41;   /* MOS-LQ */
    xr[47] = 60;   /* jitter buffer, nominal */
    at = 0;
    assert_true(rtcp_next(&k, xr, sizeof(xr), &at));
    at = 0;
    assert_true(rtcp_xr_next(&x, &k, &at));
    assert_int_equal(x.type, RTCP_XR_RRT);
    assert_int_equal(rtcp_voip_get(&v, &x), -EBADMSG);
    assert_true(rtcp_xr_next(&x, &k, &at));
    assert_int_equal(rtcp_voip_get(&v, &x), 0);
    assert_true(v.ssrc == 9 && v.loss_rate == 26 && v.signal_dbm == -20 && v.mos_lq == 41 &&
                v.jb_nominal_ms == 60);
    assert_false(rtcp_xr_next(&x, &k, &at));
}

/* RFC 3550 section 6.4.1, figure 2: 6.125 s. */
static void round_trip_time(void **state)
{
    struct rtcp_report r = {.lsr = 0xB7052000, .dlsr = 0x00054000};
    uint32_t rtt = 0;
    assert_int_equal(rtcp_round_trip(&rtt, &r, 0xB7108000u), 0);
    assert_int_equal(rtt, 0x00062000);
    assert_int_equal(rtcp_round_trip(&rtt, &r, 0xB7050000), -ENOENT);
    r.lsr = 0;
    assert_int_equal(rtcp_round_trip(&rtt, &r, 0xB7108000), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_a_compound),
        cmocka_unit_test(checks_the_whole),
        cmocka_unit_test(sdes_with_many_chunks),
        cmocka_unit_test(cname_lengths),
        cmocka_unit_test(application_and_extended_reports),
        cmocka_unit_test(round_trip_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
