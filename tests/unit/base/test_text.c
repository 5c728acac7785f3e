/* Text, numbers, addresses, randomness, log records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "base/addr.h"
#include "base/local.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/trace.h"

static void numbers_are_strict(void **state)
{
    uint64_t v = 1;
    uint32_t v32 = 1;
    (void)state;
    assert_int_equal(num_u64(&v, STR("18446744073709551615"), UINT64_MAX), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(num_u64(&v, STR("18446744073709551616"), UINT64_MAX), -ERANGE);
    assert_int_equal(num_u32(&v32, STR("4294967296")), -ERANGE);
    assert_int_equal(num_u32(&v32, STR("")), -EINVAL);
    assert_int_equal(num_u32(&v32, STR(" 1")), -EINVAL);
    assert_int_equal(num_u32(&v32, STR("-1")), -EINVAL);
    assert_int_equal(v32, 1); /* untouched */
    assert_int_equal(num_fixed(&v, STR("0.5"), 3), 0);
    assert_int_equal(v, 500);
    assert_int_equal(num_fixed(&v, STR("4"), 3), 0);
    assert_int_equal(v, 4000);
    assert_int_equal(num_fixed(&v, STR("1.23456"), 3), 0);
    assert_int_equal(v, 1234);
    assert_int_equal(num_fixed(&v, STR("1."), 3), -EINVAL);
    assert_int_equal(num_fixed(&v, STR(".5"), 3), -EINVAL);
    assert_int_equal(num_fixed(&v, STR("1.5x"), 3), -EINVAL);
    assert_int_equal(num_hex2("fF"), 255);
    assert_int_equal(num_hex2("g0"), -1);
}

static void a_full_buffer_says_so_and_keeps_what_fits(void **state)
{
    char mem[8];
    struct buf b;
    (void)state;
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "12345");
    buf_lit(&b, "6789"); /* would not fit: nothing of it is written */
    assert_true(b.full);
    assert_true(str_eq(buf_str(&b), STR("12345")));
}

static void json_text_is_escaped_and_valid_utf8(void **state)
{
    char mem[200];
    struct buf b;
    (void)state;
    buf_init(&b, mem, sizeof(mem));
    buf_json(&b, STR("a\"b\\c\n\xED\x95\x9C\xFF\xC0\x80\xED\xA0\x80."));
    assert_true(
        str_eq(buf_str(&b), STR("a\\\"b\\\\c\\u000a\xED\x95\x9C\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
                                "\\ufffd.")));
}

static void xml_text_is_escaped_and_valid(void **state)
{
    char mem[200];
    struct buf b;
    (void)state;
    buf_init(&b, mem, sizeof(mem));
    buf_xml(&b, STR("<a&b>\"'\n\xED\x95\x9C\xFF\xEF\xBF\xBF."));
    assert_true(
        str_eq(buf_str(&b),
               STR("&lt;a&amp;b&gt;&quot;'\xEF\xBF\xBD\xED\x95\x9C\xEF\xBF\xBD\xEF\xBF\xBD.")));
}

static void check_addr(const char *text, bool good, const char *back)
{
    struct addr a;
    char mem[80];
    struct buf b;
    int err = addr_parse_port(&a, str_z(text));
    assert_int_equal(err == 0, good);
    if (!good)
        return;
    buf_init(&b, mem, sizeof(mem));
    addr_put(&b, &a);
    assert_true(str_eq(buf_str(&b), str_z(back)));
}

static void addresses(void **state)
{
    (void)state;
    check_addr("192.0.2.1:5060", true, "192.0.2.1:5060");
    check_addr("[2001:db8::0:1]:5061", true, "[2001:db8::1]:5061");
    check_addr("[::ffff:192.0.2.1]:1", true, "[::ffff:192.0.2.1]:1");
    check_addr("192.0.2.256:1", false, NULL);
    check_addr("192.0.2:1", false, NULL);
    check_addr("1.2.3.4.5:1", false, NULL);
    check_addr("2001:db8::1:5060", false, NULL);
    check_addr("192.0.2.1:65536", false, NULL);
    check_addr("192.0.2.1", false, NULL);
    check_addr("host:5060", false, NULL);
    struct addr a;
    assert_int_equal(addr_parse(&a, STR("172.31.0.1"), 0), 0);
    assert_true(addr_is_private(&a));
    assert_int_equal(addr_parse(&a, STR("172.32.0.1"), 0), 0);
    assert_false(addr_is_private(&a));
    assert_int_equal(addr_parse(&a, STR("255.255.255.255"), 0), 0);
    assert_true(addr_is_multicast(&a));
    assert_int_equal(addr_parse(&a, STR("::"), 0), 0);
    assert_true(addr_is_any(&a));
}

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse(&a, str_z(text), port), 0);
    return a;
}

static void the_address_a_peer_sees(void **state)
{
    struct local_addrs l = {.n = 3};
    (void)state;
    l.a[0].ip = ip("127.0.0.1", 0), l.a[0].prefix = 8;
    l.a[1].ip = ip("192.168.1.10", 0), l.a[1].prefix = 24;
    l.a[2].ip = ip("10.1.2.3", 0), l.a[2].prefix = 20;
    struct addr any = ip("0.0.0.0", 5060), one = ip("10.1.2.3", 5070), seen;
    struct addr loop = ip("127.0.0.9", 1), near = ip("10.1.15.9", 1), far = ip("8.8.8.8", 1);
    seen = local_for(&l, &any, &loop);
    assert_true(addr_ip_eq(&seen, &l.a[0].ip) && seen.port == 5060);
    seen = local_for(&l, &any, &near);
    assert_true(addr_ip_eq(&seen, &l.a[2].ip));
    seen = local_for(&l, &any, &far);
    assert_true(addr_ip_eq(&seen, &l.a[1].ip));
    seen = local_for(&l, &one, &loop);
    assert_true(addr_eq(&seen, &one));
    l.external = ip("203.0.113.7", 0);
    seen = local_for(&l, &any, &far);
    assert_true(addr_ip_eq(&seen, &l.external) && seen.port == 5060);
    seen = local_for(&l, &any, &near); /* inside, the inner address is right */
    assert_true(addr_ip_eq(&seen, &l.a[2].ip));
    assert_true(local_is_ours(&l, &l.external));
    assert_false(local_is_ours(&l, &far));
}

/* RFC 8439 section 2.3.2 gives the block for this key, counter 1; ours begins with counter 0 and a
 * zero nonce: the first bytes are those of appendix A.1 test vector 1. */
static void randomness_is_chacha20(void **state)
{
    static const uint8_t key[32] = {0};
    static const uint8_t expected[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                         0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    uint8_t out[16];
    struct rand r;
    (void)state;
    rand_init(&r, key);
    rand_bytes(&r, out, sizeof(out));
    assert_memory_equal(out, expected, sizeof(out));
    rand_seed(&r, 5);
    uint64_t a = rand_u64(&r);
    rand_seed(&r, 5);
    assert_true(rand_u64(&r) == a);
    for (unsigned i = 0; i < 1000; i++)
        assert_in_range(rand_below(&r, 7), 0, 6);
}

static void records_keep_their_order_and_drop_when_full(void **state)
{
    struct trace t;
    struct trace_rec r;
    char mem[512];
    struct buf b;
    (void)state;
    assert_int_equal(trace_init(&t, 4096, 4), 0);
    for (unsigned round = 0; round < 50; round++) { /* around the ring several times */
        for (unsigned i = 0; i < 7; i++)
            trace_emit(&t, TRACE_STOP, 0, TS(str_of("reason text", 5 + i % 6)));
        for (unsigned i = 0; i < 7; i++) {
            assert_true(trace_next(&t, &r));
            assert_int_equal(r.id, TRACE_STOP);
            assert_int_equal(r.arg[0].s.n, 5 + i % 6);
        }
        assert_false(trace_next(&t, &r));
    }
    assert_int_equal(t.dropped, 0);
    for (unsigned i = 0; i < 100; i++)
        trace_emit(&t, TRACE_BANNED, 0, TS(STR("192.0.2.1")), TU(60), TU(10));
    assert_true(t.dropped > 0);
    assert_true(trace_next(&t, &r));
    buf_init(&b, mem, sizeof(mem));
    trace_text(&b, &r);
    assert_true(str_eq(buf_str(&b), STR("ban src=192.0.2.1 seconds=60 failures=10")));
    trace_done(&t);
}

static void histories_of_ended_calls_make_room(void **state)
{
    struct trace t;
    (void)state;
    assert_int_equal(trace_init(&t, 4096, 2), 0);
    handle_t a = hist_open(&t), b = hist_open(&t);
    assert_true(a && b);
    assert_true(hist_open(&t) == 0); /* live calls keep theirs */
    for (unsigned i = 0; i < HIST_EVENTS + 5; i++)
        hist_put(&t, a, (struct hist_event){.kind = HIST_STATE, .a = i});
    const struct hist *h = hist_find(&t, a);
    assert_int_equal(hist_event_at(h, 0)->a, 5);
    assert_int_equal(hist_event_at(h, HIST_EVENTS - 1)->a, HIST_EVENTS + 4);
    hist_close(&t, a);
    assert_non_null(hist_find(&t, a)); /* readable until reused */
    handle_t c = hist_open(&t);
    assert_true(c != 0);
    assert_null(hist_find(&t, a));
    hist_put(&t, a, (struct hist_event){0}); /* harmless */
    trace_done(&t);
}

static void interfaces_in_another_order_are_the_same(void **state)
{
    struct local_addrs l = {.n = 2}, now = {.n = 2};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(addr_parse_port(&l.a[i].ip, i ? STR("192.0.2.1:0") : STR("10.0.0.1:0")),
                         0);
        now.a[1 - i] = l.a[i];
    }
    l.external = l.a[1].ip;
    assert_false(local_renew(&l, &now));
    assert_true(addr_ip_eq(&l.a[0].ip, &now.a[0].ip)); /* the default route has moved */
    now.n = 1;
    assert_true(local_renew(&l, &now));
    assert_false(local_is_ours(&l, &now.a[1].ip));
    assert_true(addr_ip_eq(&l.external, &now.a[0].ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(a_full_buffer_says_so_and_keeps_what_fits),
        cmocka_unit_test(json_text_is_escaped_and_valid_utf8),
        cmocka_unit_test(xml_text_is_escaped_and_valid),
        cmocka_unit_test(addresses),
        cmocka_unit_test(the_address_a_peer_sees),
        cmocka_unit_test(randomness_is_chacha20),
        cmocka_unit_test(records_keep_their_order_and_drop_when_full),
        cmocka_unit_test(histories_of_ended_calls_make_room),
        cmocka_unit_test(interfaces_in_another_order_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
