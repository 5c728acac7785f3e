/* The JSON of bots, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "wire/bot/botjson.h"

static void test_what_is_written(void **state)
{
    static const uint8_t id[16] = {0xAB, [15] = 1};
    char mem[512];
    struct buf b;
    const struct botjson_start s = {.rate_hz = 16000,
                                    .record = id,
                                    .bot = STR("agent"),
                                    .from = STR("\"O'Neill\""),
                                    .to = STR("1427"),
                                    .reason = STR("busy"),
                                    .call_id = STR("a@b"),
                                    .resumed = true};
    (void)state;
    buf_init(&b, mem, sizeof(mem));
    botjson_start(&b, &s);
    assert_true(str_eq(
        buf_str(&b),
        STR("{\"type\":\"start\",\"version\":1,\"call\":\"ab000000000000000000000000000001\","
            "\"encoding\":\"pcm_s16le\",\"rate\":16000,\"channels\":1,\"frame_ms\":20,"
            "\"bot\":\"agent\",\"from\":\"\\\"O'Neill\\\"\",\"to\":\"1427\",\"reason\":\"busy\","
            "\"call_id\":\"a@b\",\"resumed\":true}")));
    buf_init(&b, mem, sizeof(mem));
    botjson_dtmf(&b, '*');
    botjson_mark(&b, STR("a\nb"));
    botjson_plain(&b, "stop");
    assert_true(str_eq(buf_str(&b), STR("{\"type\":\"dtmf\",\"digit\":\"*\"}"
                                        "{\"type\":\"mark\",\"name\":\"a\\u000ab\"}"
                                        "{\"type\":\"stop\"}")));
}

static void test_what_is_read(void **state)
{
    static const struct {
        const char *text;
        int err;
        enum botjson_kind kind;
        const char *says;
    } all[] = {
        {"{\"type\":\"mark\",\"name\":\"x\"}", 0, BOTJSON_MARK, "x"},
        {"{\"name\":\"\",\"type\":\"mark\"}", 0, BOTJSON_MARK, ""},
        {"{\"type\":\"clear\",\"more\":[1]}", 0, BOTJSON_CLEAR, NULL},
        {"{\"type\":\"transfer\",\"to\":\"sip:1428@x\"}", 0, BOTJSON_TRANSFER, "sip:1428@x"},
        {"{\"type\":\"hangup\"}", 0, BOTJSON_HANGUP, NULL},
        {"{\"type\":\"note\",\"text\":\"caf\\u00e9\"}", 0, BOTJSON_NOTE, "caf\xC3\xA9"},
        {"{\"type\":\"media\"}", 0, BOTJSON_OTHER, NULL},
        {"{\"type\":\"mark\"}", -EBADMSG, 0, NULL},
        {"{\"type\":\"mark\",\"name\":1}", -EBADMSG, 0, NULL},
        {"{\"type\":\"transfer\"}", -EBADMSG, 0, NULL},
        {"{\"type\":\"transfer\",\"to\":\"\"}", -EBADMSG, 0, NULL},
        {"{\"type\":\"note\"}", -EBADMSG, 0, NULL},
        {"{\"type\":1}", -EBADMSG, 0, NULL},
        {"{}", -EBADMSG, 0, NULL},
        {"[]", -EBADMSG, 0, NULL},
        {"", -EBADMSG, 0, NULL},
        {"{\"type\":\"hangup\"} x", -EBADMSG, 0, NULL},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct botjson_msg m;
        assert_int_equal(botjson_parse(&m, str_z(all[i].text)), all[i].err);
        if (all[i].err)
            continue;
        assert_int_equal(m.kind, all[i].kind);
        if (all[i].says)
            assert_true(str_eq(m.text, str_z(all[i].says)));
        botjson_done(&m);
    }
}

static void test_names_have_an_end(void **state)
{
    char text[400], name[BOTJSON_NAME_MAX + 2];
    struct botjson_msg m;
    (void)state;
    memset(name, 'n', sizeof(name));
    name[BOTJSON_NAME_MAX] = '\0';
    snprintf(text, sizeof(text), "{\"type\":\"mark\",\"name\":\"%s\"}", name);
    assert_int_equal(botjson_parse(&m, str_z(text)), 0);
    botjson_done(&m);
    snprintf(text, sizeof(text), "{\"type\":\"mark\",\"name\":\"%sn\"}", name);
    assert_int_equal(botjson_parse(&m, str_z(text)), -EMSGSIZE);
    snprintf(text, sizeof(text), "{\"type\":\"transfer\",\"to\":\"%sn\"}", name);
    assert_int_equal(botjson_parse(&m, str_z(text)), -EMSGSIZE);
    snprintf(text, sizeof(text), "{\"type\":\"note\",\"text\":\"%sn\"}", name);
    assert_int_equal(botjson_parse(&m, str_z(text)), 0);
    botjson_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written),
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_names_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
