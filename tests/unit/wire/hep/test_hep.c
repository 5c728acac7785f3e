/* HEP of all three versions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "base/be.h"
#include "wire/hep/hep.h"

static const struct str sip = STR_INIT("OPTIONS sip:a SIP/2.0\r\n\r\n");

static void what_is_built_is_parsed(void **state)
{
    (void)state;
    char mem[1024];
    struct hep h = {.ip_proto = HEP_IP_TCP,
                    .type = HEP_SIP,
                    .at_ns = 1700000000123456000ull,
                    .node = 2001,
                    .vlan = 7,
                    .key = STR("secret"),
                    .id = STR("abc@host"),
                    .name = STR("pbx1"),
                    .payload = sip};
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct buf b;
        struct hep r;
        buf_init(&b, mem, sizeof(mem));
        struct str from = v6 ? STR("2001:db8::1") : STR("192.0.2.1");
        struct str to = v6 ? STR("2001:db8::2") : STR("192.0.2.2");
        assert_int_equal(addr_parse(&h.src, from, 5060), 0);
        assert_int_equal(addr_parse(&h.dst, to, 65535), 0);
        hep_build(&b, &h);
        assert_false(b.full);
        assert_true(b.n <= HEP_MAX_HEAD + sip.n + 18);
        assert_true(hep_is(b.p, b.n));
        assert_int_equal(hep_length((uint8_t *)mem, b.n + 5), b.n);
        assert_int_equal(hep_parse(&r, (uint8_t *)mem, b.n), 0);
        assert_int_equal(r.version, 3);
        assert_int_equal(r.ip_proto, HEP_IP_TCP);
        assert_int_equal(r.type, HEP_SIP);
        assert_true(addr_eq(&r.src, &h.src));
        assert_true(addr_eq(&r.dst, &h.dst));
        assert_true(r.at_ns == h.at_ns);
        assert_int_equal(r.node, 2001);
        assert_int_equal(r.vlan, 7);
        assert_true(str_eq(r.key, h.key));
        assert_true(str_eq(r.id, h.id));
        assert_true(str_eq(r.name, h.name));
        assert_true(str_eq(r.payload, sip));
        for (size_t n = 0; n < b.n; n++)
            assert_int_equal(hep_parse(&r, (uint8_t *)mem, n), -EBADMSG);
    }
}

/* Byte by byte, as the specification has the chunks; one of a vendor, one not known. */
static void a_packet_made_by_hand(void **state)
{
    (void)state;
    static const uint8_t p[] = "HEP3\0\x53"
                               "\0\0\0\1\0\7\2"           /* family */
                               "\0\0\0\2\0\7\x11"         /* protocol */
                               "\0\0\0\3\0\x0A\x0A\0\0\1" /* source */
                               "\0\0\0\4\0\x0A\x0A\0\0\2" /* destination */
                               "\0\0\0\7\0\x08\x13\xC4"   /* ports */
                               "\0\0\0\x08\0\x08\x13\xC5"
                               "\0\0\x01\0\0\6"   /* one to come */
                               "\0\0\0\x0B\0\7\5" /* RTCP */
                               "\0\0\0\x0F\0\x08hi"
                               "\0\1\0\x0F\0\x09xyz"; /* a vendor's */
    struct hep h;
    assert_int_equal(hep_parse(&h, p, sizeof(p) - 1), -EBADMSG); /* longer than it is */
    uint8_t q[sizeof(p)];
    memcpy(q, p, sizeof(p));
    be16_put(q + 4, sizeof(p) - 1);
    assert_int_equal(hep_parse(&h, q, sizeof(p) - 1), 0);
    assert_int_equal(h.type, HEP_RTCP);
    assert_int_equal(h.src.port, 5060);
    assert_int_equal(h.dst.port, 5061);
    assert_int_equal(h.src.ip[3], 1);
    assert_true(str_eq(h.payload, STR("hi")));
    assert_true(h.at_ns == 0);
}

static void the_older_versions(void **state)
{
    (void)state;
    static const uint8_t v1[] = "\1\x10\2\x11\x13\xC4\x13\xC5\x0A\0\0\1\x0A\0\0\2hello";
    static const uint8_t v2[] = "\2\x1C\2\x11\x13\xC4\x13\xC5\x0A\0\0\1\x0A\0\0\2"
                                "\x10\0\0\0\x20\0\0\0\x65\0\0\0hello";
    struct hep h;
    assert_int_equal(hep_parse(&h, v1, sizeof(v1) - 1), 0);
    assert_int_equal(h.version, 1);
    assert_int_equal(h.src.port, 5060);
    assert_int_equal(h.dst.ip[3], 2);
    assert_true(str_eq(h.payload, STR("hello")));
    assert_int_equal(hep_parse(&h, v2, sizeof(v2) - 1), 0);
    assert_true(h.at_ns == 16000032000ull);
    assert_int_equal(h.node, 0x65);
    assert_true(str_eq(h.payload, STR("hello")));
    assert_int_equal(hep_parse(&h, v2, 27), -EBADMSG);
    /* The time is in version 2 alone. */
    assert_int_equal(hep_parse(&h, (const uint8_t *)"\1\x1A\2\x11............", 16), -EBADMSG);
    assert_int_equal(hep_parse(&h, (const uint8_t *)"\1\x10\7\x11............", 16), -EBADMSG);
}

static void a_stream_is_cut(void **state)
{
    (void)state;
    assert_int_equal(hep_length((const uint8_t *)"HE", 2), 0);
    assert_int_equal(hep_length((const uint8_t *)"HEP3\0", 5), 0);
    assert_int_equal(hep_length((const uint8_t *)"HEP3\1\2", 6), 0x102);
    assert_int_equal(hep_length((const uint8_t *)"HEP3\0\5", 6), -EBADMSG);
    assert_int_equal(hep_length((const uint8_t *)"HIP3\1\2", 6), -EBADMSG);
}

static void what_is_too_long_is_not_built(void **state)
{
    (void)state;
    static char mem[80000], text[70000];
    struct buf b;
    struct hep h = {.payload = str_of(text, sizeof(text))};
    buf_init(&b, mem, sizeof(mem));
    hep_build(&b, &h);
    assert_true(b.full);
    assert_int_equal(b.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_is_parsed),
        cmocka_unit_test(a_packet_made_by_hand),
        cmocka_unit_test(the_older_versions),
        cmocka_unit_test(a_stream_is_cut),
        cmocka_unit_test(what_is_too_long_is_not_built),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
