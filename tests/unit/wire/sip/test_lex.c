/* The scanners that look at many bytes at once say the same as looking at each of them, wherever
 * the text ends and whatever byte stops them. */
#include "sip_test.h"
#include "wire/sip/lex.h"

static const unsigned classes[] = {LEX_TOKEN, LEX_HOST,    LEX_USER,    LEX_UPARAM,
                                   LEX_VALUE, LEX_DISPLAY, LEX_VISIBLE, LEX_UNAME,
                                   LEX_UINFO, LEX_DIGIT,   LEX_SPACE};

static size_t span_by_byte(const char *p, size_t n, unsigned class)
{
    size_t i = 0;
    while (i < n && lex_is(p[i], class))
        i++;
    return i;
}

/* n bytes of `fill` with c at `at`. The copy ends where its memory does. */
static void check_text(size_t n, size_t at, char fill, char c)
{
    char *p = malloc(n ? n : 1);
    assert_non_null(p);
    memset(p, fill, n);
    if (at < n)
        p[at] = c;
    for (unsigned i = 0; i < ARRAY_LEN(classes); i++)
        assert_int_equal(lex_span(p, p + n, classes[i]) - p, span_by_byte(p, n, classes[i]));
    size_t stop = (size_t)(span_text(p, p + n) - p);
    assert_true(stop <= n && (stop + 32 > n || (unsigned char)p[stop] <= '\r'));
    for (size_t i = 0; i < stop; i++)
        assert_true((unsigned char)p[i] > '\r');
    free(p);
}

static void test_spans(void **state)
{
    static const size_t places[] = {0, 1, 6, 7, 8, 14, 15, 16, 17, 31, 32, 33};
    for (size_t n = 0; n < 50; n++)
        for (unsigned i = 0; i < ARRAY_LEN(places); i++)
            for (int c = 0; c < 256; c++)
                check_text(n, places[i], "aZ09-."[n % 6], (char)c);
}

static void check_port(const char *z, size_t stop, unsigned want)
{
    uint16_t port = 7;
    const char *end = z + strlen(z), *p = lex_port(z, end, &port);
    if (want ? p != z + stop || port != want : p || port != 7)
        fail_msg("port of '%s': %u", z, port);
}

static void test_port(void **state)
{
    check_port("1", 1, 1);
    check_port("5060", 4, 5060);
    check_port("65535", 5, 65535);
    check_port("65536", 0, 0);
    check_port("99999", 0, 0);
    check_port("655350", 0, 0);
    check_port("000005060;x", 9, 5060);
    check_port("00000", 0, 0);
    check_port("42949677296", 0, 0);
    check_port("50x", 2, 50);
    check_port("", 0, 0);
    check_port("x", 0, 0);
}

static void test_escapes(void **state)
{
    static const struct {
        const char *text;
        int stop;
    } rows[] = {{"abc", 3},   {"a%41b@", 5}, {"%41%4a", 6}, {"%4", -1},
                {"a%4g", -1}, {"%", -1},     {"@", 0}};
    const char *cut = "%41";
    assert_null(lex_span_escaped(cut, cut + 2, LEX_UINFO));
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const char *p = rows[i].text;
        const char *q = lex_span_escaped(p, p + strlen(p), LEX_UINFO);
        if (rows[i].stop < 0 ? q != NULL : q != p + rows[i].stop)
            fail_msg("escapes of '%s'", p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_port),
        cmocka_unit_test(test_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
