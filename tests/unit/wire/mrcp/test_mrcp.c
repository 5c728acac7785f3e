/* Messages of MRCPv2: those that RFC 6787 shows, and what servers make of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "wire/mrcp/mrcp.h"

/* RFC 6787 section 5.1, the request of 877 bytes. Its 661 bytes of body are the 660 printed and the
 * end of a line. */
static const char interpret[] = "MRCP/2.0 877 INTERPRET 543266\r\n"
                                "Channel-Identifier:32AECB23433801@speechrecog\r\n"
                                "Interpret-Text:may I speak to Andre Roy\r\n"
                                "Content-Type:application/srgs+xml\r\n"
                                "Content-ID:<request1@form-level.store>\r\n"
                                "Content-Length:661\r\n"
                                "\r\n"
                                "<?xml version=\"1.0\"?>\r\n"
                                "<!-- the default grammar language is US English -->\r\n"
                                "<grammar xmlns=\"http://www.w3.org/2001/06/grammar\"\r\n"
                                "         xml:lang=\"en-US\" version=\"1.0\" root=\"request\">\r\n"
                                "<!-- single language attachment to tokens -->\r\n"
                                "    <rule id=\"yes\">\r\n"
                                "        <one-of>\r\n"
                                "            <item xml:lang=\"fr-CA\">oui</item>\r\n"
                                "            <item xml:lang=\"en-US\">yes</item>\r\n"
                                "        </one-of>\r\n"
                                "    </rule>\r\n"
                                "<!-- single language attachment to a rule expansion -->\r\n"
                                "    <rule id=\"request\">\r\n"
                                "        may I speak to\r\n"
                                "        <one-of xml:lang=\"fr-CA\">\r\n"
                                "            <item>Michel Tremblay</item>\r\n"
                                "            <item>Andre Roy</item>\r\n"
                                "        </one-of>\r\n"
                                "    </rule>\r\n"
                                "</grammar>\r\n\n";

static struct str text(const char *z)
{
    return str_z(z);
}

static void the_example_of_the_rfc(void **state)
{
    (void)state;
    struct mrcp_msg m;
    size_t n = 0;
    assert_int_equal(mrcp_frame(&n, text(interpret), MRCP_MAX_BYTES), 0);
    assert_int_equal(n, 877);
    assert_int_equal(sizeof(interpret) - 1, 877);
    /* Whatever is missing of it is waited for. */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(mrcp_frame(&n, str_of(interpret, i), MRCP_MAX_BYTES), -EAGAIN);
    assert_int_equal(mrcp_parse(&m, text(interpret)), 0);
    assert_int_equal(m.type, MRCP_REQUEST);
    assert_int_equal(m.method, MRCP_M_INTERPRET);
    assert_int_equal(m.request_id, 543266);
    assert_int_equal(m.major, 2);
    assert_int_equal(m.resource, MRCP_R_SPEECHRECOG);
    assert_true(str_eq(m.channel, STR("32AECB23433801@speechrecog")));
    assert_true(str_eq(mrcp_field_get(&m, MRCP_H_INTERPRET_TEXT), STR("may I speak to Andre Roy")));
    assert_int_equal(m.body.n, 661);
}

static void answers_and_events(void **state)
{
    (void)state;
    struct mrcp_msg m;
    uint16_t cause = 99;
    uint64_t ids[4];
    assert_int_equal(mrcp_parse(&m, text("MRCP/2.0 79 543257 200 IN-PROGRESS\r\n"
                                         "Channel-Identifier:32AECB23433802@speechsynth\r\n"
                                         "Speech-Marker:timestamp=857206027059\r\n\r\n")),
                     0);
    assert_int_equal(m.type, MRCP_RESPONSE);
    assert_int_equal(m.status, 200);
    assert_int_equal(m.state, MRCP_IN_PROGRESS);
    assert_int_equal(m.resource, MRCP_R_SPEECHSYNTH);
    assert_int_equal(m.body.n, 0);
    /* Section 9.21 shows an event with a status code. */
    assert_int_equal(mrcp_parse(&m, text("MRCP/2.0 96 INTERPRETATION-COMPLETE 543266 200 COMPLETE\n"
                                         "Channel-Identifier:32AECB23433801@speechrecog\n"
                                         "Completion-Cause:000 success\n\n")),
                     0);
    assert_int_equal(m.type, MRCP_EVENT);
    assert_int_equal(m.event, MRCP_E_INTERPRETATION_COMPLETE);
    assert_int_equal(m.state, MRCP_COMPLETE);
    assert_int_equal(mrcp_cause(&cause, &m), 0);
    assert_int_equal(cause, 0);
    assert_int_equal(mrcp_parse(&m, text("MRCP/2.0 1 543259 200 COMPLETE\r\n"
                                         "Channel-Identifier : a@speechsynth\r\n"
                                         "Active-Request-Id-List:543258, 543257,x,\r\n\t543256\r\n"
                                         "X-Other:\r\n\r\n")),
                     0);
    struct str list = mrcp_field_get(&m, MRCP_H_ACTIVE_REQUEST_ID_LIST);
    assert_int_equal(mrcp_id_list(ids, 4, list), 3);
    assert_int_equal(ids[0], 543258);
    assert_int_equal(ids[1], 543257);
    assert_int_equal(ids[2], 543256);
    assert_int_equal(m.field[2].id, MRCP_H_OTHER);
    assert_int_equal(mrcp_cause(&cause, &m), -ENOENT);
}

static void what_is_no_message(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "MRCP/2.0 10 SPEAK 1\r\n", /* no end of the header fields */
        "MRCP/2.0 10 SPEAK\r\n\r\n",
        "MRCP/2.0 10 SPEAK x\r\n\r\n",
        "MRCP/2.0 10 1 20 COMPLETE\r\n\r\n",
        "MRCP/2.0 10 1 020 COMPLETE\r\n\r\n",
        "MRCP/2.0 10 1 200 DONE\r\n\r\n",
        "MRCP/2.0 10 START-OF-INPUT 1 DONE\r\n\r\n",
        "MRCP/2.0 x SPEAK 1\r\n\r\n",
        "MRCP/2 10 SPEAK 1\r\n\r\n",
        "HTTP/1.1 10 SPEAK 1\r\n\r\n",
        "MRCP/2.0 10 SPEAK 1\r\nno colon\r\n\r\n",
        "MRCP/2.0 10 SPEAK 1\r\n continued nothing\r\n\r\n",
    };
    struct mrcp_msg m;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(mrcp_parse(&m, text(bad[i])), -EBADMSG);
    size_t n;
    assert_int_equal(mrcp_frame(&n, STR("GET / HTTP/1.1"), 100), -EBADMSG);
    assert_int_equal(mrcp_frame(&n, STR("MRCP/2.0 abc"), 100), -EBADMSG);
    assert_int_equal(mrcp_frame(&n, STR("MRCP/2.0 101 SPEAK"), 100), -EMSGSIZE);
    assert_int_equal(mrcp_frame(&n, STR("MRCP/2.0 99999999999999999999 S"), 100), -EBADMSG);
    assert_int_equal(mrcp_frame(&n, STR("MRCP/2.0 99999999999999999999"), 100), -EBADMSG);
    assert_int_equal(mrcp_frame(&n, STR("MRCP/2.0 3 SPEAK"), 100), -EBADMSG);
    /* Zeros in front are no octal, and empty lines before a message are skipped. */
    assert_int_equal(mrcp_frame(&n, STR("\r\n\r\nMRCP/2.0 0030 1 200 COMPLETE\r\n\r\n...."), 100),
                     0);
    assert_int_equal(n, 34);
    char many[MRCP_MAX_FIELDS * 6 + 64];
    struct buf b;
    buf_init(&b, many, sizeof(many));
    buf_lit(&b, "MRCP/2.0 10 SPEAK 1\r\n");
    for (int i = 0; i <= MRCP_MAX_FIELDS; i++)
        buf_lit(&b, "X:y\r\n");
    buf_lit(&b, "\r\n");
    assert_false(b.full);
    assert_int_equal(mrcp_parse(&m, buf_str(&b)), -E2BIG);
}

static void what_we_write_is_read_again(void **state)
{
    (void)state;
    static const struct mrcp_field fields[] = {
        {MRCP_H_CONTENT_TYPE, STR_INIT(""), STR_INIT("application/ssml+xml")},
        {MRCP_H_OTHER, STR_INIT("X-Vendor"), STR_INIT("1")}};
    char body[1200], mem[2048];
    struct mrcp_msg m;
    memset(body, 'b', sizeof(body));
    /* Across every length at which the length itself gets one digit more. */
    for (size_t n = 0; n < sizeof(body); n++) {
        struct buf b;
        size_t len;
        buf_init(&b, mem, sizeof(mem));
        struct mrcp_write w = {.type = MRCP_REQUEST,
                               .request_id = 7,
                               .method = MRCP_M_SPEAK,
                               .channel = STR("1@speechsynth"),
                               .field = fields,
                               .n_fields = 2,
                               .body = str_of(body, n)};
        assert_int_equal(mrcp_build(&b, &w), 0);
        assert_int_equal(mrcp_frame(&len, buf_str(&b), MRCP_MAX_BYTES), 0);
        assert_int_equal(len, b.n);
        assert_int_equal(mrcp_parse(&m, buf_str(&b)), 0);
        assert_int_equal(m.body.n, n);
        assert_int_equal(m.n_fields, 4);
    }
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    struct mrcp_write stop = {.type = MRCP_REQUEST,
                              .request_id = 543259,
                              .method = MRCP_M_STOP,
                              .channel = STR("32AECB23433802@speechsynth")};
    assert_int_equal(mrcp_build(&b, &stop), 0);
    assert_true(str_eq(buf_str(&b), STR("MRCP/2.0 75 STOP 543259\r\n"
                                        "Channel-Identifier: 32AECB23433802@speechsynth\r\n\r\n")));
    struct mrcp_write event = {.type = MRCP_EVENT,
                               .request_id = 1,
                               .event = MRCP_E_START_OF_INPUT,
                               .state = MRCP_IN_PROGRESS,
                               .channel = STR("1@recorder")};
    b.n = 0;
    assert_int_equal(mrcp_build(&b, &event), 0);
    assert_int_equal(mrcp_parse(&m, buf_str(&b)), 0);
    assert_int_equal(m.event, MRCP_E_START_OF_INPUT);
    struct mrcp_write answer = {
        .type = MRCP_RESPONSE, .request_id = 1, .status = 407, .channel = STR("1@recorder")};
    b.n = 0;
    assert_int_equal(mrcp_build(&b, &answer), 0);
    assert_int_equal(mrcp_parse(&m, buf_str(&b)), 0);
    assert_int_equal(m.status, 407);
}

static void nobody_writes_a_second_message_into_ours(void **state)
{
    (void)state;
    char mem[64];
    struct buf b;
    struct mrcp_field f = {.id = MRCP_H_LOGGING_TAG, .value = STR("a\r\nX: y")};
    struct mrcp_write w = {.type = MRCP_REQUEST,
                           .method = MRCP_M_STOP,
                           .channel = STR("1@recorder"),
                           .field = &f,
                           .n_fields = 1};
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(mrcp_build(&b, &w), -EINVAL);
    f.value = STR("a");
    f.id = MRCP_H_OTHER;
    assert_int_equal(mrcp_build(&b, &w), -EINVAL); /* without a name */
    w.method = MRCP_M_OTHER;
    w.n_fields = 0;
    assert_int_equal(mrcp_build(&b, &w), -EINVAL);
    w.type = MRCP_RESPONSE;
    w.status = 20;
    assert_int_equal(mrcp_build(&b, &w), -EINVAL);
    w.type = MRCP_REQUEST;
    w.method = MRCP_M_STOP;
    w.channel = STR("0123456789012345678901234567890123456789@recorder");
    assert_int_equal(mrcp_build(&b, &w), -ENOBUFS);
    assert_int_equal(b.n, 0);
    assert_false(b.full);
}

static void names(void **state)
{
    (void)state;
    for (unsigned i = 1; i < MRCP_METHODS; i++)
        assert_int_equal(mrcp_method_find(mrcp_method_name((enum mrcp_method)i)), i);
    for (unsigned i = 1; i < MRCP_HEADERS; i++)
        assert_int_equal(mrcp_header_find(mrcp_header_name((enum mrcp_header)i)), i);
    for (unsigned i = 1; i < MRCP_RESOURCES; i++) {
        assert_int_equal(mrcp_resource_find(mrcp_resource_name((enum mrcp_resource)i)), i);
        assert_true(mrcp_resource_kind((enum mrcp_resource)i) < MRCP_KINDS);
    }
    assert_true(str_eq(mrcp_cause_name(MRCP_RECOG, 15), STR("no-match-maxtime")));
    assert_true(str_eq(mrcp_cause_name(MRCP_SYNTH, 1), STR("barge-in")));
    assert_true(str_eq(mrcp_cause_name(MRCP_RECORDER, 0), STR("success-silence")));
    assert_null(mrcp_cause_name(MRCP_SYNTH, 8).p);
    assert_true(str_eq(mrcp_status_text(410),
                       STR("Non-monotonic or out-of-order sequence number in request")));
    assert_null(mrcp_status_text(503).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(answers_and_events),
        cmocka_unit_test(what_is_no_message),
        cmocka_unit_test(what_we_write_is_read_again),
        cmocka_unit_test(nobody_writes_a_second_message_into_ours),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
