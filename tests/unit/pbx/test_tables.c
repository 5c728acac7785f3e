/* The small tables: causes of hanging up, quirks of peers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "pbx/hangup.h"
#include "pbx/quirk.h"

static void causes_and_statuses(void **state)
{
    char mem[80];
    struct buf b;
    (void)state;
    assert_int_equal(hangup_cause_of(200), 16);
    assert_int_equal(hangup_cause_of(486), 17);
    assert_int_equal(hangup_cause_of(404), 1);
    assert_int_equal(hangup_cause_of(480), 19);
    assert_int_equal(hangup_cause_of(408), 18);
    assert_int_equal(hangup_cause_of(488), 58);
    assert_int_equal(hangup_cause_of(699), 21); /* any 6xx: the user will not */
    assert_int_equal(hangup_cause_of(499), 127);
    assert_int_equal(hangup_status_of(17), 486);
    assert_int_equal(hangup_status_of(34), 503);
    assert_int_equal(hangup_status_of(99), 500);
    buf_init(&b, mem, sizeof(mem));
    hangup_reason(&b, 16);
    assert_true(str_eq(buf_str(&b), STR("Q.850;cause=16;text=\"Normal call clearing\"")));
}

static struct sip_msg *parsed(struct str headers)
{
    static char text[2048];
    struct sip_msg *m = mem_alloc(sizeof(*m));
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_lit(&b, "REGISTER sip:pbx.test SIP/2.0\r\n");
    buf_str_put(&b, headers);
    buf_lit(&b, "From: <sip:a@pbx.test>;tag=1\r\nTo: <sip:a@pbx.test>\r\nCall-ID: c\r\n"
                "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(sip_msg_parse(m, b.p, b.n, false), SIP_OK);
    return m;
}

static void check_quirk(struct str headers, bool expected)
{
    struct sip_msg *m = parsed(headers);
    assert_int_equal(quirk_has(m, QUIRK_ONLY_MD5), expected);
    mem_free(m);
}

#define VIA(branch) "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=" branch "\r\n"

static void peers_that_know_only_md5(void **state)
{
    (void)state;
    check_quirk(STR(VIA("z9hG4bKabc") "User-Agent: baresip v1.0.0 (x86_64/linux)\r\n"), true);
    check_quirk(STR(VIA("z9hG4bKabc") "User-Agent: baresip v2.0.0\r\n"), false);
    check_quirk(STR(VIA("z9hG4bKabc") "User-Agent: Phone (like baresip v1.)\r\n"), false);
    check_quirk(STR(VIA("z9hG4bKabc")), false);
    check_quirk(STR(VIA("z9hG4bK-12345-1-0")), true); /* SIPp does not name itself */
    check_quirk(STR(VIA("z9hG4bK-12345-1-x")), false);
    check_quirk(STR(VIA("z9hG4bK-524287-1---abcdef")), false);
}

static void causes_in_reason_headers(void **state)
{
    static const struct {
        struct str value;
        unsigned cause;
    } cases[] = {
        {STR_INIT("Reason: Q.850;cause=17;text=\"User busy\"\r\n"), 17},
        {STR_INIT("Reason: SIP;cause=200, q.850 ;cause=16\r\n"), 16},
        {STR_INIT("Reason: SIP;cause=486\r\n"), 0},
        {STR_INIT("Reason: Q.850;cause=900\r\n"), 0},
        {STR_INIT("Reason: Q.850\r\n"), 0},
        {STR_INIT(""), 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        buf_lit(&b, VIA("z9hG4bKabc"));
        buf_str_put(&b, cases[i].value);
        struct sip_msg *m = parsed(buf_str(&b));
        assert_int_equal(hangup_cause_in(m), cases[i].cause);
        mem_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causes_and_statuses),
        cmocka_unit_test(peers_that_know_only_md5),
        cmocka_unit_test(causes_in_reason_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
