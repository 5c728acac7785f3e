/* Frames beside those that Twilio's documentation shows, and what bots send. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/twilio/twilio.h"

#define SIGNATURE "pQCWDLbLvL8jJwuRNVg82oyGVWs="

static const struct twilio_ids ids = {.account = "AC00112233445566778899aabbccddeeff",
                                      .call = "CA00112233445566778899aabbccddeeff",
                                      .stream = "MZ00112233445566778899aabbccddeeff"};
static char mem[4096];
static struct buf b;

static void begin(void)
{
    buf_init(&b, mem, sizeof(mem));
}

static void assert_text(const char *text)
{
    assert_false(b.full);
    assert_int_equal(b.n, strlen(text));
    assert_memory_equal(b.p, text, b.n);
}

static void test_what_we_send(void **state)
{
    (void)state;
    begin();
    twilio_connected(&b);
    assert_text("{\"event\":\"connected\",\"protocol\":\"Call\",\"version\":\"1.0.0\"}");
    begin();
    struct twilio_param param[] = {{STR("from"), STR("070 \"x\"")}, {STR("reason"), STR("busy")}};
    twilio_start(&b, 1, &ids, param, 2);
    assert_text(
        "{\"event\":\"start\",\"sequenceNumber\":\"1\","
        "\"streamSid\":\"MZ00112233445566778899aabbccddeeff\",\"start\":{"
        "\"accountSid\":\"AC00112233445566778899aabbccddeeff\","
        "\"callSid\":\"CA00112233445566778899aabbccddeeff\","
        "\"streamSid\":\"MZ00112233445566778899aabbccddeeff\",\"tracks\":[\"inbound\"],"
        "\"mediaFormat\":{\"encoding\":\"audio/x-mulaw\",\"sampleRate\":8000,\"channels\":1},"
        "\"customParameters\":{\"from\":\"070 \\\"x\\\"\",\"reason\":\"busy\"}}}");
    begin();
    struct twilio_media m = {
        .chunk = 2, .timestamp_ms = 20, .ulaw = (const uint8_t *)"\xff\x7f\x80", .n = 3};
    twilio_media(&b, 4, &ids, &m);
    assert_text("{\"event\":\"media\",\"sequenceNumber\":\"4\","
                "\"streamSid\":\"MZ00112233445566778899aabbccddeeff\",\"media\":{"
                "\"track\":\"inbound\",\"chunk\":\"2\",\"timestamp\":\"20\","
                "\"payload\":\"/3+A\"}}");
    begin();
    twilio_dtmf(&b, 5, &ids, '#');
    assert_text("{\"event\":\"dtmf\",\"sequenceNumber\":\"5\","
                "\"streamSid\":\"MZ00112233445566778899aabbccddeeff\",\"dtmf\":{"
                "\"track\":\"inbound_track\",\"digit\":\"#\"}}");
    begin();
    twilio_mark(&b, 6, &ids, STR("end of \"hello\""));
    assert_text("{\"event\":\"mark\",\"sequenceNumber\":\"6\","
                "\"streamSid\":\"MZ00112233445566778899aabbccddeeff\",\"mark\":{"
                "\"name\":\"end of \\\"hello\\\"\"}}");
    begin();
    twilio_stop(&b, 7, &ids);
    assert_text("{\"event\":\"stop\",\"sequenceNumber\":\"7\","
                "\"streamSid\":\"MZ00112233445566778899aabbccddeeff\",\"stop\":{"
                "\"accountSid\":\"AC00112233445566778899aabbccddeeff\","
                "\"callSid\":\"CA00112233445566778899aabbccddeeff\"}}");
}

static struct twilio_msg parsed(const char *text)
{
    struct twilio_msg m;
    assert_int_equal(twilio_parse(&m, str_z(text)), 0);
    return m;
}

static void test_what_bots_send(void **state)
{
    (void)state;
    struct twilio_msg m = parsed("{\"event\":\"media\",\"streamSid\":\"MZ1\",\"media\":{"
                                 "\"payload\":\"/3+A\"}}");
    assert_int_equal(m.kind, TWILIO_MEDIA);
    assert_true(str_eq(m.stream, STR("MZ1")));
    assert_true(str_eq(m.payload, STR("/3+A")));
    twilio_msg_done(&m);
    m = parsed("{\"mark\":{\"name\":\"a\"},\"event\":\"mark\",\"streamSid\":\"MZ1\"}");
    assert_int_equal(m.kind, TWILIO_MARK);
    assert_true(str_eq(m.name, STR("a")));
    twilio_msg_done(&m);
    m = parsed(" {\"event\":\"clear\"}\n");
    assert_int_equal(m.kind, TWILIO_CLEAR);
    assert_int_equal(m.stream.n, 0);
    twilio_msg_done(&m);
    m = parsed("{\"event\":\"transcript\",\"transcript\":{\"text\":\"yes\"}}");
    assert_int_equal(m.kind, TWILIO_NOTE);
    assert_true(str_eq(m.name, STR("yes")));
    twilio_msg_done(&m);
    m = parsed("{\"event\":\"other\",\"text\":[1,2,{}]}");
    assert_int_equal(m.kind, TWILIO_OTHER);
    twilio_msg_done(&m);
}

static void test_what_is_no_message(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "\"media\"",
                                      "{}",
                                      "{\"event\":1}",
                                      "{\"event\":\"media\"}",
                                      "{\"event\":\"media\",\"media\":[]}",
                                      "{\"event\":\"media\",\"media\":{\"payload\":7}}",
                                      "{\"event\":\"mark\",\"mark\":{}}"};
    struct twilio_msg m = {.kind = TWILIO_CLEAR};
    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(twilio_parse(&m, str_z(bad[i])), -EBADMSG);
    assert_int_equal(m.kind, TWILIO_CLEAR); /* untouched */
    begin();
    buf_z(&b, "{\"event\":\"mark\",\"mark\":{\"name\":\"");
    for (unsigned i = 0; i <= TWILIO_MARK_MAX; i++)
        buf_ch(&b, 'x');
    buf_z(&b, "\"}}");
    assert_int_equal(twilio_parse(&m, buf_str(&b)), -EMSGSIZE);
}

/* RFC 4648 section 10. */
static void test_base64(void **state)
{
    static const char *const pair[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    uint8_t out[32];
    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        begin();
        base64_put(&b, (const uint8_t *)pair[i][0], strlen(pair[i][0]));
        assert_text(pair[i][1]);
        long n = base64_get(out, str_z(pair[i][1]));
        assert_int_equal(n, strlen(pair[i][0]));
        assert_memory_equal(out, pair[i][0], (size_t)n);
    }
    assert_int_equal(base64_get(out, STR("Zm9v\r\nYg")), 4);
    assert_int_equal(base64_get(out, STR("Z")), -EBADMSG);
    assert_int_equal(base64_get(out, STR("Zm=9")), -EBADMSG);
    assert_int_equal(base64_get(out, STR("Zm 9")), -EBADMSG);
}

/* openssl dgst -sha1 -hmac 12345 -binary | base64 */
static void test_signature(void **state)
{
    char sign[TWILIO_SIGNATURE_BYTES];
    (void)state;
    assert_int_equal(twilio_signature(sign, STR("12345"), STR("wss://bot.example.com/call?x=1")),
                     0);
    assert_string_equal(sign, SIGNATURE);
    assert_int_equal(twilio_signature(sign, STR("12346"), STR("wss://bot.example.com/call?x=1")),
                     0);
    assert_string_not_equal(sign, SIGNATURE);
}

static void test_path(void **state)
{
    struct twilio_path p;
    (void)state;
    assert_int_equal(twilio_path(&p, STR("/2010-04-01/Accounts/AC00112233445566778899aabbccddeeff"
                                         "/Calls/CA00112233445566778899aabbccddeeff.json")),
                     0);
    assert_true(str_eq(p.account, STR("AC00112233445566778899aabbccddeeff")));
    assert_true(str_eq(p.call, STR("CA00112233445566778899aabbccddeeff")));
    assert_int_equal(twilio_path(&p, STR("/2010-04-01/Accounts/AC00112233445566778899aabbccddeefg"
                                         "/Calls/CA00112233445566778899aabbccddeeff.json")),
                     -ENOENT);
    assert_int_equal(twilio_path(&p, STR("/2010-04-01/Accounts/AC00112233445566778899aabbccddeeff"
                                         "/Calls/CA00112233445566778899aabbccddeeff.xml")),
                     -ENOENT);
    assert_int_equal(twilio_path(&p, STR("/")), -ENOENT);
}

static void assert_moves(const char *form, const char *to)
{
    struct twilio_update u;
    assert_int_equal(twilio_update(&u, str_z(form)), 0);
    assert_int_equal(u.order, to ? TWILIO_TRANSFER : TWILIO_HANGUP);
    if (to)
        assert_string_equal(u.target, to);
}

static void assert_refused_for(const char *form, const char *why)
{
    struct twilio_update u;
    if (twilio_update(&u, str_z(form)) != -EINVAL)
        fail_msg("taken: %s", form);
    assert_non_null(u.why);
    if (!strstr(u.why, why))
        fail_msg("%s: %s", form, u.why);
}

static void assert_refused(const char *form)
{
    assert_refused_for(form, "");
}

static void test_forms(void **state)
{
    (void)state;
    assert_moves("Status=completed", NULL);
    assert_moves("a=b&Status=Completed&c", NULL);
    assert_moves("Twiml=%3CResponse%3E%3CDial%3E1428%3C%2FDial%3E%3C%2FResponse%3E", "1428");
    assert_moves("Twiml=%3C%3Fxml+version%3D%221.0%22%3F%3E%0A%3CResponse%3E%0A+%3CDial+timeout%3D"
                 "%2230%22%3E%3CNumber%3E%2B82701234%3C/Number%3E%3C/Dial%3E%3C/Response%3E",
                 "+82701234");
    assert_moves("Twiml=<Response><Dial><Sip>sip:1428@pbx.example.com</Sip></Dial></Response>",
                 "sip:1428@pbx.example.com");
    assert_moves("Twiml=<Response><Hangup/></Response>", NULL);
    assert_moves("Twiml=<Response/>", NULL);
    assert_refused("Status=busy");
    assert_refused("Url=http%3A%2F%2Fexample.com");
    assert_refused("");
    assert_refused("Twiml=%3");
    assert_refused("Twiml=<Response><Say>hello</Say></Response>");
    assert_refused("Twiml=<Dial>1428</Dial>");
    assert_refused("Twiml=<Response><Dial>");
    assert_refused("Twiml=<Response><Dial></Dial></Response>");
    assert_refused("Twiml=<Response><Dial>14%0d%0a28</Dial></Response>");
    assert_refused("Twiml=<Response><Dial>me</Dial></Response>");
    assert_refused("Twiml=<Response><Dial><Sip>sip:</Sip></Dial></Response>");
}

#define DIAL(in)   "Twiml=<Response><Dial>" in "</Dial></Response>"
#define ONE        "takes one number"
#define NO_DOCTYPE "a document type is not read"

/* What would be passed over in silence, though the bot meant something by it. */
static void test_documents_that_mean_more(void **state)
{
    (void)state;
    assert_moves(DIAL("\n 1428 "), "1428");
    assert_moves(DIAL(" <Number>1428</Number>\n"), "1428");
    assert_moves("Twiml=<!-- <a> --><Response><!-- > --><Dial>1428</Dial></Response>", "1428");
    assert_refused_for("Status=canceled", "not canceled");
    assert_refused_for(DIAL("<Number>1428</Number><Number>1429</Number>"), ONE);
    assert_refused_for(DIAL("1428<Number>1429</Number>"), ONE);
    assert_refused_for(DIAL("14<!-- -->28"), ONE);
    assert_refused_for(DIAL("10<![CDATA[03]]>"), ONE);
    assert_refused_for(DIAL("<Number>1428</Number>9"), "does not end");
    assert_refused_for(DIAL("<Number>10<![CDATA[03]]></Number>"), "nothing else");
    assert_refused_for(DIAL("<Number>10</Sip>"), "nothing else");
    assert_refused_for(DIAL("<Number>10</>"), "nothing else");
    assert_refused_for("Twiml=<Response><Dial>1428<", "does not end");
    assert_refused_for("Twiml=<!DOCTYPE r><Response><Hangup/></Response>", NO_DOCTYPE);
    assert_refused_for("Twiml=<!DOCTYPE r [<!ENTITY a \"b\">]><Response/>", NO_DOCTYPE);
    assert_refused_for("Twiml=<!-- <Response/>", "no <Response>");
}

static void test_who_asks(void **state)
{
    (void)state;
    begin();
    buf_z(&b, "Basic ");
    base64_put(&b, (const uint8_t *)"AC1:secret", 10);
    assert_true(twilio_basic_is(buf_str(&b), STR("AC1"), STR("secret")));
    assert_false(twilio_basic_is(buf_str(&b), STR("AC1"), STR("secreT")));
    assert_false(twilio_basic_is(buf_str(&b), STR("AC2"), STR("secret")));
    assert_false(twilio_basic_is(buf_str(&b), STR("AC1"), STR("secre")));
    assert_false(twilio_basic_is(STR("Bearer x"), STR("AC1"), STR("secret")));
    begin();
    buf_z(&b, "Basic ");
    base64_put(&b, (const uint8_t *)"AC1:", 4);
    assert_false(twilio_basic_is(buf_str(&b), STR("AC1"), STR(""))); /* no token: nobody */
}

static void test_sids(void **state)
{
    static const uint8_t bytes[16] = {0, 1, 0xAB, 0xFF};
    char sid[TWILIO_SID_BYTES];
    (void)state;
    twilio_sid(sid, "CA", bytes);
    assert_string_equal(sid, "CA0001abff000000000000000000000000");
    assert_true(twilio_sid_is(str_z(sid), "CA"));
    assert_false(twilio_sid_is(str_z(sid), "AC"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_we_send),
        cmocka_unit_test(test_what_bots_send),
        cmocka_unit_test(test_what_is_no_message),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_documents_that_mean_more),
        cmocka_unit_test(test_who_asks),
        cmocka_unit_test(test_sids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
