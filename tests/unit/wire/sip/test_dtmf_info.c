/* Bodies of INFO as phones and gateways send them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/sip/dtmf_info.h"

#define RELAY "application/dtmf-relay"
#define PLAIN "application/dtmf"

static void what_phones_send(void **state)
{
    (void)state;
    static const struct {
        const char *type, *body;
        char digit;
        uint32_t ms;
    } v[] = {
        {RELAY, "Signal=5\r\nDuration=160\r\n", '5', 160},
        {RELAY, "Signal= 5\r\nDuration= 160", '5', 160},
        {RELAY, "Signal = 5 \nDuration = 160 \n", '5', 160},
        {RELAY, "signal=#\r\nduration=250\r\n", '#', 250},
        {RELAY, "SIGNAL=*\r\n", '*', 0},
        {RELAY, "Duration=100\r\nSignal=d\r\n", 'D', 100},
        {RELAY, "Signal=10\r\nDuration=160", '*', 160},
        {RELAY, "Signal=11\r\nDuration=160", '#', 160},
        {RELAY, "Signal=12", 'A', 0},
        {RELAY, "Signal=16", '!', 0},
        {RELAY, "Signal=flash", '!', 0},
        {RELAY, "Signal=\"7\"\r\nDuration=\"90\"", '7', 90},
        {RELAY, "Signal: 3\r\nDuration: 120 ms\r\n", '3', 120},
        {RELAY, "Signal=1\r\nDuration=99999999999999999999", '1', DTMF_INFO_MAX_MS},
        {RELAY, "Signal=1\r\nDuration=0\r\nVolume=10\r\n", '1', 0},
        {RELAY, "\r\n\r\nSignal=1\r\n\r\n", '1', 0},
        {RELAY, "9", '9', 0},
        {"Application/DTMF-Relay; charset=utf-8", "Signal=5", '5', 0},
        {PLAIN, "4", '4', 0},
        {PLAIN, " 4 \r\n", '4', 0},
        {PLAIN, "11", '#', 0},
        {PLAIN, "b", 'B', 0},
        {PLAIN, "Signal=2\r\nDuration=80", '2', 80},
        {"text/plain", "Signal=0\r\nDuration=80", '0', 80},
        {"text/plain", "0", '0', 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct dtmf_info got = {0};
        assert_int_equal(dtmf_info_parse(&got, str_z(v[i].type), str_z(v[i].body)), 0);
        assert_int_equal(got.digit, v[i].digit);
        assert_int_equal(got.ms, v[i].ms);
    }
}

static void what_is_no_digit(void **state)
{
    (void)state;
    static const char *const v[] = {
        "",
        "\r\n",
        "Signal=",
        "Signal=\r\nDuration=160",
        "Signal=17",
        "Signal=-1",
        "Signal=E",
        "Signal=55",
        "Signal=4294967301",
        "Signal=5\r\nSignal=6",
        "5\r\n5",
        "Signal=\"5",
        "Signal=5\r\nDuration=long",
        "Signal=5\r\nDuration=",
        "Duration=160",
        "hello",
        "Hello, this is a text about a signal",
        "=5",
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct dtmf_info got = {'x', 7};
        assert_int_equal(dtmf_info_parse(&got, STR(RELAY), str_z(v[i])), -EBADMSG);
        assert_int_equal(dtmf_info_parse(&got, STR(PLAIN), str_z(v[i])), -EBADMSG);
        assert_int_equal(got.digit, 'x');
        assert_int_equal(got.ms, 7);
    }
    struct dtmf_info got;
    assert_int_equal(dtmf_info_parse(&got, STR(RELAY), str_of("Signal=\0", 8)), -EBADMSG);
    assert_int_equal(dtmf_info_parse(&got, STR(RELAY), STR_NONE), -EBADMSG);
    char big[600];
    memset(big, '\n', sizeof(big));
    big[0] = '5';
    assert_int_equal(dtmf_info_parse(&got, STR(PLAIN), str_of(big, sizeof(big))), -EBADMSG);
    assert_int_equal(dtmf_info_parse(&got, STR(PLAIN), str_of(big, 500)), 0);
}

static void other_types_are_not_for_us(void **state)
{
    (void)state;
    struct dtmf_info got;
    static const char *const v[] = {"", "application/sdp", "application/dtmf-relayed", "text/html",
                                    "application/media_control+xml"};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        assert_false(dtmf_info_is(str_z(v[i])));
        assert_int_equal(dtmf_info_parse(&got, str_z(v[i]), STR("Signal=5")), -ENOENT);
    }
    assert_true(dtmf_info_is(STR("APPLICATION/dtmf")));
    assert_true(dtmf_info_is(STR("application/dtmf-relay;x=y")));
    assert_false(dtmf_info_is(STR("text/plain")));
    assert_false(dtmf_info_is(STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_phones_send),
        cmocka_unit_test(what_is_no_digit),
        cmocka_unit_test(other_types_are_not_for_us),
    };
    return cmocka_run_group_tests_name("dtmf_info", tests, NULL, NULL);
}
