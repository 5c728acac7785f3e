/* RTCP as JSON, with the names that capture servers know. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/rtcp_json.h"

static void check(const uint8_t *p, size_t n, const char *want)
{
    char mem[2000];
    struct buf b;
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_lit(&b, "x");
    assert_int_equal(an_rtcp_json(&b, p, n), want ? 0 : -EBADMSG);
    mem[b.n] = '\0';
    assert_string_equal(mem + 1, want ? want : "");
}

static const uint8_t compound[] = {
    /* SR with one block */
    0x81, 200, 0, 12, 0, 0, 0, 7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 40, 0, 0, 25, 0, 0,
    0, 0, 9, 64, 0xFF, 0xFF, 0xFE, 0, 1, 0, 5, 0, 0, 0, 80, 0, 0, 0, 6, 0, 0, 0, 4,
    /* SDES: CNAME "a\"b" */
    0x81, 202, 0, 3, 0, 0, 0, 7, 1, 3, 'a', '"', 'b', 0, 0, 0};

static void a_compound(void **state)
{
    (void)state;
    check(compound, sizeof(compound),
          "{\"sender_information\":{\"ntp_timestamp_sec\":256,\"ntp_timestamp_usec\":512,"
          "\"octets\":6400,\"rtp_timestamp\":768,\"packets\":40},\"ssrc\":7,\"type\":200,"
          "\"report_count\":1,\"report_blocks\":[{\"source_ssrc\":9,\"highest_seq_no\":65541,"
          "\"fraction_lost\":64,\"ia_jitter\":80,\"packets_lost\":-2,\"lsr\":6,\"dlsr\":4}],"
          "\"sdes_ssrc\":7,\"sdes_information\":[{\"type\":1,\"text\":\"a\\\"b\"}],"
          "\"sdes_report_count\":1}");
}

static void an_empty_report(void **state)
{
    (void)state;
    static const uint8_t rr[] = {0x80, 201, 0, 1, 0, 0, 0, 5};
    check(rr, sizeof(rr), "{\"ssrc\":5,\"type\":201,\"report_count\":0,\"report_blocks\":[]}");
}

static void what_is_none(void **state)
{
    (void)state;
    static const uint8_t bye[] = {0x81, 203, 0, 1, 0, 0, 0, 5};
    check(bye, sizeof(bye), NULL); /* it says none of these */
    check(compound, 3, NULL);
    check(compound, sizeof(compound) - 1, NULL);
    check((const uint8_t *)"INVITE sip:", 11, NULL);
    char mem[40];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(an_rtcp_json(&b, compound, sizeof(compound)), -ENOBUFS);
    assert_int_equal(b.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compound),
        cmocka_unit_test(an_empty_report),
        cmocka_unit_test(what_is_none),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
