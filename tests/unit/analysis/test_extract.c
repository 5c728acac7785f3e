/* Frames of one call: which they are, and frames made anew. */
#include "unit/analysis/report_bed.h"

#include "analysis/extract.h"
#include "base/be.h"
#include "wire/cap/link.h"

static struct an_datum datum(enum an_transport transport, const char *text)
{
    struct an_datum d = {.kind = AN_SIP, .transport = (uint8_t)transport, .bytes = str_z(text)};
    assert_int_equal(addr_parse(&d.src, STR("192.0.2.1"), 5060), 0);
    assert_int_equal(addr_parse(&d.dst, STR("192.0.2.2"), 5061), 0);
    return d;
}

/* RFC 1071: with its checksum in place a sum is all ones. */
static uint16_t sum_of(const uint8_t *p, size_t n, uint32_t s)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        s += be16_get(p + i);
    if (n & 1)
        s += (uint32_t)p[n - 1] << 8;
    while (s >> 16)
        s = (s & 0xFFFF) + (s >> 16);
    return (uint16_t)s;
}

static void check_sums(const uint8_t *p, size_t n, struct cap_ip *ip)
{
    assert_int_equal(cap_ip_of(ip, CAP_RAW, p, (uint32_t)n), 0);
    bool six = ip->src.family == ADDR_V6;
    size_t head = six ? 40 : 20, addrs = six ? 32 : 8;
    if (!six)
        assert_int_equal(sum_of(p, head, 0), 0xFFFF);
    uint32_t pseudo = ip->proto + (uint32_t)(n - head);
    pseudo += sum_of(p + head - addrs, addrs, 0);
    assert_int_equal(sum_of(p + head, n - head, pseudo), 0xFFFF);
}

static void made_frames_have_right_sums(void **state)
{
    static uint8_t out[AN_SYNTH_MAX_BYTES];
    struct an_synth s = {0};
    struct an_datum d = datum(AN_UDP, "INVITE sip:a SIP/2.0\r\n");
    struct cap_ip ip;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        size_t n = an_synth_frame(&s, &d, out);
        assert_int_equal(n, 20 + 8 + d.bytes.n);
        check_sums(out, n, &ip);
        assert_int_equal(ip.proto, CAP_PROTO_UDP);
        assert_memory_equal(ip.p + 8, d.bytes.p, d.bytes.n);
        d.bytes.n--; /* odd lengths, too */
    }
    assert_int_equal(addr_parse(&d.src, STR("2001:db8::1"), 5060), 0);
    assert_int_equal(an_synth_frame(&s, &d, out), 0); /* two families */
    assert_int_equal(addr_parse(&d.dst, STR("2001:db8::2"), 5060), 0);
    size_t n = an_synth_frame(&s, &d, out);
    check_sums(out, n, &ip);
    assert_int_equal(ip.src.family, ADDR_V6);
}

static void made_segments_follow_each_other(void **state)
{
    static uint8_t out[AN_SYNTH_MAX_BYTES];
    struct an_synth s = {0};
    struct an_datum there = datum(AN_TCP, "0123456789"), back = datum(AN_TLS, "abcde");
    struct addr a = back.src;
    struct cap_ip ip;
    (void)state;
    back.src = back.dst;
    back.dst = a;
    check_sums(out, an_synth_frame(&s, &there, out), &ip);
    assert_int_equal(ip.proto, CAP_PROTO_TCP);
    assert_int_equal(be32_get(ip.p + 4), 1);
    check_sums(out, an_synth_frame(&s, &back, out), &ip);
    assert_int_equal(be32_get(ip.p + 4), 1);
    assert_int_equal(be32_get(ip.p + 8), 11); /* it confirms what came */
    check_sums(out, an_synth_frame(&s, &there, out), &ip);
    assert_int_equal(be32_get(ip.p + 4), 11);
    assert_int_equal(be32_get(ip.p + 8), 6);
}

/* The datum that bed_request() gave the engine, and one of somebody else in the same frame. */
static void only_its_own_frames_belong_to_a_call(void **state)
{
    struct bed *b = *state;
    struct an_extract *x;
    uint32_t stream;
    bed_call(b, "");
    bed_settle(b);
    assert_int_equal(an_extract_new(&x, &b->report, 0), 0);
    struct an_datum d = datum(AN_UDP, "");
    assert_int_equal(addr_parse_port(&d.src, STR(BED_PBX)), 0);
    assert_int_equal(addr_parse_port(&d.dst, STR(BED_PHONE)), 0);
    d.frame = 3;
    d.first_frame = 2;
    assert_int_equal(an_extract_datum(x, &d, &stream), 1);
    assert_int_equal(stream, AN_NONE);
    d.dst.port++;
    assert_int_equal(an_extract_datum(x, &d, &stream), 0);
    d.dst.port--;
    d.frame = d.first_frame = 500;
    assert_int_equal(an_extract_datum(x, &d, &stream), 0);
    an_extract_settle(x);
    assert_int_equal(an_extract_last(x), 3);
    /* Frame 2 brought the first part of the message: it belongs if it is a fragment between the
     * two. */
    static uint8_t out[AN_SYNTH_MAX_BYTES];
    struct an_synth s = {0};
    struct cap_frame f = {.link = CAP_RAW, .p = out};
    f.n = (uint32_t)an_synth_frame(&s, &d, out);
    out[6] = 0x20; /* more fragments */
    assert_false(an_extract_frame(x, &f, 1));
    assert_true(an_extract_frame(x, &f, 2));
    out[15]++; /* another sender */
    assert_false(an_extract_frame(x, &f, 2));
    assert_true(an_extract_frame(x, &f, 3));
    assert_false(an_extract_frame(x, &f, 4));
    an_extract_free(x);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, bed_new, bed_free)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_frames_have_right_sums),
        cmocka_unit_test(made_segments_follow_each_other),
        T(only_its_own_frames_belong_to_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
