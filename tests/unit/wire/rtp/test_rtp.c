#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/rtp/event.h"
#include "wire/rtp/rtp.h"
#include "wire/rtp/stun.h"

/* Header with two sources, a one-byte extension, ten bytes of payload, four of padding. */
static const uint8_t full[] = {
    0xB2, 0x88, 0x12, 0x34, 0,    0,    0,   160, 0xDE, 0xAD, 0xBE, 0xEF, 0,    0,    0,    1,
    0,    0,    0,    2,    0xBE, 0xDE, 0,   2,   0x10, 0xAA, 0x00, 0x21, 0x01, 0x02, 0xF0, 0x55,
    '0',  '1',  '2',  '3',  '4',  '5',  '6', '7', '8',  '9',  0,    0,    0,    4,
};

static void reads_every_part(void **state)
{
    struct rtp_view v;
    const uint8_t *x;
    uint8_t n;
    assert_int_equal(rtp_parse(&v, full, sizeof(full)), 0);
    assert_int_equal(v.pt, 8);
    assert_true(v.marker);
    assert_int_equal(v.seq, 0x1234);
    assert_int_equal(v.ts, 160);
    assert_int_equal(v.ssrc, 0xDEADBEEF);
    assert_int_equal(v.n_csrc, 2);
    assert_int_equal(rtp_csrc_get(&v, 1), 2);
    assert_int_equal(v.ext_profile, 0xBEDE);
    assert_int_equal(v.ext_bytes, 8);
    assert_int_equal(v.payload_bytes, 10);
    assert_memory_equal(v.payload, "0123456789", 10);
    assert_int_equal(v.padding_bytes, 4);
    assert_int_equal(rtp_ext_find(&x, &n, &v, 2), 0);
    assert_int_equal(n, 2);
    assert_int_equal(x[1], 2);
    assert_int_equal(rtp_ext_find(&x, &n, &v, 3), -ENOENT);
    assert_int_equal(rtp_ext_find(&x, &n, &v, 15), -ENOENT);
}

static void refuses_what_does_not_fit(void **state)
{
    struct rtp_view v = {.pt = 99};
    uint8_t p[sizeof(full)];
    /* All lengths up to the extension's end are too short; beyond, the last byte is the padding. */
    for (size_t n = 0; n < 33; n++)
        assert_int_equal(rtp_parse(&v, full, n), -EBADMSG);
    memcpy(p, full, sizeof(p));
    p[sizeof(p) - 1] = 0;
    assert_int_equal(rtp_parse(&v, p, sizeof(p)), -EBADMSG);
    p[sizeof(p) - 1] = 15;
    assert_int_equal(rtp_parse(&v, p, sizeof(p)), -EBADMSG);
    p[sizeof(p) - 1] = 14;
    p[0] = 0x72;
    assert_int_equal(rtp_parse(&v, p, sizeof(p)), -EBADMSG);
    assert_int_equal(v.pt, 99);
    p[0] = full[0];
    assert_int_equal(rtp_parse(&v, p, sizeof(p)), 0);
    assert_int_equal(v.payload_bytes, 0);
}

static void two_byte_extension(void **state)
{
    static const uint8_t p[] = {0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0,   0,   9,
                                0x10, 0, 0, 2, 1, 0, 0, 7, 2, 'h', 'i', 0};
    struct rtp_view v;
    const uint8_t *x;
    uint8_t n;
    assert_int_equal(rtp_parse(&v, p, sizeof(p)), 0);
    assert_int_equal(rtp_ext_find(&x, &n, &v, 1), 0);
    assert_int_equal(n, 0);
    assert_int_equal(rtp_ext_find(&x, &n, &v, 7), 0);
    assert_int_equal(n, 2);
    assert_memory_equal(x, "hi", 2);
}

static void builds_a_header(void **state)
{
    struct rtp_header h = {.pt = 101, .marker = true, .seq = 65535, .ts = 1u << 31, .ssrc = 77};
    uint8_t out[RTP_HEADER_BYTES];
    struct rtp_view v;
    rtp_header_build(out, &h);
    assert_int_equal(rtp_parse(&v, out, sizeof(out)), 0);
    assert_true(v.pt == h.pt && v.marker && v.seq == h.seq && v.ts == h.ts && v.ssrc == h.ssrc);
    assert_int_equal(v.payload_bytes, 0);
}

static const uint8_t binding[] = {
    0x01, 0x01, 0x00, 0x14, 0x21, 0x12, 0xA4, 0x42, 0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34,
    0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE, 0x80, 0x22, 0x00, 0x02, 'a',  'b',  0,    0,
    0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43, /* RFC 5769 section 2.2:
                                                                               192.0.2.1:32853 */
};

static void stun_messages(void **state)
{
    struct stun_view v;
    struct stun_attr a;
    struct addr got, want;
    assert_int_equal(stun_parse(&v, binding, sizeof(binding)), 0);
    assert_int_equal(v.method, STUN_METHOD_BINDING);
    assert_int_equal(v.class_, STUN_SUCCESS);
    assert_int_equal(stun_attr_find(&a, &v, STUN_A_SOFTWARE), 0);
    assert_int_equal(a.bytes, 2);
    assert_int_equal(stun_addr_get(&got, &v, &a), -EBADMSG);
    assert_int_equal(stun_attr_find(&a, &v, STUN_A_XOR_MAPPED_ADDRESS), 0);
    assert_int_equal(stun_addr_get(&got, &v, &a), 0);
    assert_int_equal(addr_parse(&want, STR("192.0.2.1"), 32853), 0);
    assert_true(addr_eq(&got, &want));
    assert_int_equal(stun_attr_find(&a, &v, STUN_A_USERNAME), -ENOENT);
    for (size_t n = 0; n < sizeof(binding); n++)
        assert_false(stun_is(binding, n));
    uint8_t p[sizeof(binding)];
    memcpy(p, binding, sizeof(p));
    p[31] = 9; /* an attribute beyond the end */
    assert_true(stun_is(p, sizeof(p)));
    assert_int_equal(stun_parse(&v, p, sizeof(p)), -EBADMSG);
}

static void tells_them_apart(void **state)
{
    static const uint8_t rtcp[8] = {0x80, 200}, dtls[2] = {22}, turn[2] = {0x40}, odd[20] = {0xC0};
    static const uint8_t pcmu_marked[12] = {0x80, 0x80};
    assert_int_equal(rtp_classify(full, sizeof(full)), RTP_IS_RTP);
    assert_int_equal(rtp_classify(pcmu_marked, 12), RTP_IS_RTP);
    assert_int_equal(rtp_classify(pcmu_marked, 11), RTP_IS_UNKNOWN);
    assert_int_equal(rtp_classify(rtcp, 8), RTP_IS_RTCP);
    assert_int_equal(rtp_classify(rtcp, 7), RTP_IS_UNKNOWN);
    assert_int_equal(rtp_classify(binding, sizeof(binding)), RTP_IS_STUN);
    assert_int_equal(rtp_classify(binding, 20), RTP_IS_UNKNOWN);
    assert_int_equal(rtp_classify(dtls, 2), RTP_IS_DTLS);
    assert_int_equal(rtp_classify(turn, 2), RTP_IS_TURN);
    assert_int_equal(rtp_classify(odd, 20), RTP_IS_UNKNOWN);
    assert_int_equal(rtp_classify(odd, 0), RTP_IS_UNKNOWN);
}

static void telephone_events(void **state)
{
    struct rtp_event e = {.event = RTP_EVENT_HASH, .end = true, .volume = 10, .duration = 800}, got;
    uint8_t out[8] = {0};
    rtp_event_build(out, &e);
    assert_memory_equal(out, "\x0B\x8A\x03\x20", 4);
    assert_int_equal(rtp_event_parse(&got, out, 4), 0);
    assert_true(got.event == 11 && got.end && got.volume == 10 && got.duration == 800);
    assert_int_equal(rtp_event_parse(&got, out, 8), 0);
    assert_int_equal(rtp_event_parse(&got, out, 3), -EBADMSG);
    assert_int_equal(rtp_event_parse(&got, out, 0), -EBADMSG);
    assert_int_equal(rtp_event_parse(&got, out, 5), -EBADMSG);
    for (uint8_t i = 0; i <= RTP_EVENT_FLASH; i++)
        assert_int_equal(rtp_event_of_char(rtp_event_char(i)), i);
    assert_int_equal(rtp_event_char(17), 0);
    assert_int_equal(rtp_event_of_char('d'), 15);
    assert_int_equal(rtp_event_of_char('x'), -1);
    assert_int_equal(rtp_event_of_char(0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_part),   cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(two_byte_extension), cmocka_unit_test(builds_a_header),
        cmocka_unit_test(stun_messages),      cmocka_unit_test(tells_them_apart),
        cmocka_unit_test(telephone_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
