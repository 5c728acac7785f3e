/* What recognizers answer (RFC 6787 sections 5.1, 9.6.3 and 14.2), and what they must not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "base/mem.h"
#include "wire/mrcp/nlsml.h"
#include "wire/mrcp/speech.h"

#define SPACE "urn:ietf:params:xml:ns:mrcpv2"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static int parse(struct nlsml *r, const char *text)
{
    return nlsml_parse(r, str_z(text), &arena);
}

static void the_example_of_the_rfc(void **state)
{
    (void)state;
    struct nlsml r;
    assert_int_equal(parse(&r, "<?xml version=\"1.0\"?>\r\n"
                               "<result xmlns=\"" SPACE "\"\r\n"
                               "        xmlns:ex=\"http://www.example.com/example\"\r\n"
                               "        grammar=\"session:request1@form-level.store\">\r\n"
                               "    <interpretation>\r\n"
                               "        <instance name=\"Person\">\r\n"
                               "            <ex:Person>\r\n"
                               "                <ex:Name> Andre Roy </ex:Name>\r\n"
                               "            </ex:Person>\r\n"
                               "        </instance>\r\n"
                               "        <input>   may I speak to Andre Roy </input>\r\n"
                               "    </interpretation>\r\n"
                               "</result>"),
                     0);
    assert_int_equal(r.n, 1);
    assert_true(str_eq(r.item[0].input, STR("may I speak to Andre Roy")));
    assert_true(str_eq(r.item[0].grammar, STR("session:request1@form-level.store")));
    assert_int_equal(r.item[0].confidence, NLSML_NO_VALUE);
    assert_true(r.item[0].is_xml);
    assert_true(str_starts(r.item[0].instance, STR("<ex:Person>")));
    assert_false(r.noinput || r.nomatch);
}

static void several_best_first(void **state)
{
    (void)state;
    struct nlsml r;
    assert_int_equal(
        parse(&r, "<result xmlns='http://www.ietf.org/xml/ns/mrcpv2' grammar='g'>"
                  "<interpretation confidence='0.75' grammar='h'><instance>Austin</instance>"
                  "<input mode='speech' confidence='.5'>austin</input></interpretation>"
                  "<interpretation confidence='60'><instance>Boston &amp; co</instance>"
                  "<input mode='dtmf'>1 2</input></interpretation></result>"),
        0);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.item[0].confidence, 750);
    assert_int_equal(r.item[0].input_conf, 500);
    assert_true(str_eq(r.item[0].grammar, STR("h")));
    assert_true(str_eq(r.item[0].mode, STR("speech")));
    assert_int_equal(r.item[1].confidence, 600);
    assert_true(str_eq(r.item[1].grammar, STR("g")));
    assert_true(str_eq(r.item[1].instance, STR("Boston & co")));
    assert_true(str_eq(r.item[1].mode, STR("dtmf")));
    assert_false(r.item[1].is_xml);
}

static void nothing_said_and_nothing_understood(void **state)
{
    (void)state;
    struct nlsml r;
    assert_int_equal(parse(&r, "<result xmlns='" SPACE "'><interpretation><instance/><input>"
                               "<noinput/></input></interpretation></result>"),
                     0);
    assert_true(r.noinput);
    assert_false(r.nomatch);
    assert_int_equal(parse(&r, "<result><interpretation><instance/><input mode='speech' "
                               "confidence='0.1'><nomatch>to New York</nomatch></input>"
                               "</interpretation></result>"),
                     0);
    assert_true(r.nomatch);
    assert_false(r.noinput);
    assert_true(str_eq(r.item[0].input, STR("to New York")));
    assert_int_equal(r.item[0].input_conf, 100);
    /* Speech was not understood, but keys were: section 9.6.3.6. */
    assert_int_equal(parse(&r, "<result xmlns='" SPACE "'><interpretation><instance>1234</instance>"
                               "<input><input mode='speech'><nomatch/></input>"
                               "<input mode='dtmf'>1 2 3 4</input></input></interpretation>"
                               "<interpretation><instance>x</instance></interpretation></result>"),
                     0);
    assert_false(r.nomatch);
    assert_true(r.item[0].nomatch);
    assert_int_equal(parse(&r, "<result xmlns='" SPACE "'><nomatch/></result>"), 0);
    assert_true(r.nomatch);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "hello",
        "<result>",
        "<results/>",
        "<result xmlns='urn:other'/>",
        "<!DOCTYPE r [<!ENTITY a 'b'>]><result xmlns='" SPACE "'><interpretation>"
        "<instance>&a;</instance></interpretation></result>",
        "<!doctype r SYSTEM 'file:///etc/passwd'><result/>",
        "<result>&unknown;</result>",
    };
    struct nlsml r = {.n = 77};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(&r, bad[i]), -EBADMSG);
    /* The same in UTF-16, where no search for ASCII finds it. */
    static const char ascii[] = "<!DOCTYPE r [<!ENTITY a 'b'>]><result>&a;</result>";
    char wide[2 * sizeof(ascii)] = {(char)0xff, (char)0xfe};
    for (size_t i = 0; i + 1 < sizeof(ascii); i++)
        wide[2 + 2 * i] = ascii[i];
    assert_int_equal(nlsml_parse(&r, str_of(wide, sizeof(wide)), &arena), -EBADMSG);
    char *large = mem_alloc(NLSML_MAX_BYTES + 1);
    memset(large, ' ', NLSML_MAX_BYTES + 1);
    assert_int_equal(nlsml_parse(&r, str_of(large, NLSML_MAX_BYTES + 1), &arena), -EMSGSIZE);
    mem_free(large);
    assert_int_equal(r.n, 77);
}

static void more_than_there_is_room_for(void **state)
{
    (void)state;
    static char mem[8192];
    struct buf b;
    struct nlsml r;
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "<result>");
    for (int i = 0; i < NLSML_MAX_ITEMS + 5; i++)
        buf_printf(&b, "<interpretation><instance>%d</instance></interpretation>", i);
    buf_lit(&b, "</result>");
    assert_int_equal(nlsml_parse(&r, buf_str(&b), &arena), 0);
    assert_int_equal(r.n, NLSML_MAX_ITEMS);
    struct arena small;
    arena_init(&small, 16);
    assert_int_equal(nlsml_parse(&r, buf_str(&b), &small), -ENOMEM);
    arena_done(&small);
}

static void text_does_not_become_markup(void **state)
{
    (void)state;
    char mem[1024];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(speech_ssml(&b, STR("a < b & \"c\" </speak>"), STR("ko-KR"), STR("x' <y>\"")),
                     0);
    assert_true(str_ifind(buf_str(&b), STR("a &lt; b &amp; ")) > 0);
    assert_true(str_ifind(buf_str(&b), STR("xml:lang=\"ko-KR\"")) > 0);
    assert_true(str_ifind(buf_str(&b), STR("<y>")) < 0);
    assert_true(speech_is_ssml(buf_str(&b)));
    assert_true(speech_is_ssml(STR("\n<speak>x</speak>")));
    assert_false(speech_is_ssml(STR("speak to me")));
    b.n = 0;
    struct str phrases[] = {STR("sales"), STR("R&D")};
    struct speech_phrases p = {.phrase = phrases, .n = 2, .lang = STR("en-US")};
    assert_int_equal(speech_srgs(&b, &p), 0);
    assert_true(str_ifind(buf_str(&b), STR("<item>sales</item><item>R&amp;D</item>")) > 0);
    p.n = 0;
    assert_int_equal(speech_srgs(&b, &p), -EINVAL);
    b.n = 0;
    assert_int_equal(speech_srgs_digits(&b, 1, 4), 0);
    assert_true(str_ifind(buf_str(&b), STR("mode=\"dtmf\"")) > 0);
    assert_true(str_ifind(buf_str(&b), STR("repeat=\"1-4\"")) > 0);
    assert_int_equal(speech_srgs_digits(&b, 3, 2), -EINVAL);
    buf_init(&b, mem, 40);
    assert_int_equal(speech_ssml(&b, STR("hello"), STR("en"), STR_NONE), -ENOBUFS);
    assert_int_equal(b.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_example_of_the_rfc, setup, teardown),
        cmocka_unit_test_setup_teardown(several_best_first, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_said_and_nothing_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_there_is_room_for, setup, teardown),
        cmocka_unit_test_setup_teardown(text_does_not_become_markup, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
