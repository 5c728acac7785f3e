#include "sip_test.h"

#define HEAD                                                                                       \
    "OPTIONS sip:bob@b.test SIP/2.0\r\nVia: SIP/2.0/UDP a.test;branch=z9hG4bK1\r\n"                \
    "From: <sip:a@a.test>;tag=1\r\nTo: <sip:b@b.test>\r\nCall-ID: c@a.test\r\nCSeq: 1 OPTIONS\r\n"

static enum sip_verdict verdict_of(const char *z)
{
    struct parsed p;
    enum sip_verdict v = parse_z(&p, z);
    parsed_done(&p);
    return v;
}

/* HEAD with one more header. */
static enum sip_verdict with(const char *header)
{
    char text[2048];
    snprintf(text, sizeof(text), HEAD "%s\r\n\r\n", header);
    return verdict_of(text);
}

static void test_plain(void **state)
{
    uint64_t before = mem_requests();
    struct parsed p;
    assert_int_equal(parse_z(&p, HEAD "Max-Forwards: 70\r\nContent-Length: 3\r\n\r\nabcdef"),
                     SIP_OK);
    assert_true(p.m.is_request);
    assert_int_equal(p.m.method, SIP_OPTIONS);
    assert_str(p.m.ruri.user, "bob");
    assert_str(p.m.via.host, "a.test");
    assert_str(p.m.via.whole, "SIP/2.0/UDP a.test;branch=z9hG4bK1");
    assert_str(p.m.from.tag, "1");
    assert_str(p.m.from.params, "tag=1");
    assert_none(p.m.to.tag);
    assert_none(p.m.contact.uri.whole);
    assert_int_equal(p.m.max_forwards, 70);
    assert_str(p.m.body, "abc");
    assert_int_equal(p.m.raw.n,
                     strlen(HEAD) + strlen("Max-Forwards: 70\r\nContent-Length: 3\r\n\r\nabc"));
    assert_int_equal(p.m.n_hdrs, 7);
    assert_true(sip_msg_answerable(&p.m));
    assert_int_equal(mem_requests(), before);
    parsed_done(&p);
}

static void test_forms(void **state)
{
    struct parsed p;
    /* Leading line ends, LF alone, compact forms, odd case, folds, no Content-Length. */
    assert_int_equal(
        parse_z(&p, "\r\n\n\r\nOPTIONS sip:b SIP/2.0\nv:SIP / 2.0 / UDP\n  h : 5062 ; rport\n"
                    "f : \"a, b\\\"\" <sip:a@h> ; Tag = x\nT:sip:b@h;y\ni:1\ncseq:1\r\n\tOPTIONS\n"
                    "m:<sip:a@h;x=1,2>,\"q,\" <sip:c@h>;q=0.5\nX-xfer-pressed: True\ns:\n\nbody"),
        SIP_OK);
    assert_str(p.m.via.host, "h");
    assert_int_equal(p.m.via.port, 5062);
    assert_true(p.m.via.has_rport);
    assert_str(p.m.via.rport, "");
    assert_str(p.m.from.display, "\"a, b\\\"\"");
    assert_str(p.m.from.tag, "x");
    assert_str(p.m.to.params, "y");
    assert_str(p.m.call_id, "1");
    assert_str(p.m.contact.uri.whole, "sip:a@h;x=1,2");
    assert_str(p.m.body, "body");
    assert_str(sip_msg_get_name(&p.m, STR("x-XFER-pressed")), "True");
    assert_str(sip_msg_get_name(&p.m, STR("subject")), "");
    assert_none(sip_msg_get_name(&p.m, STR("X-other")));
    struct sip_values it = sip_values(&p.m, SIP_H_CONTACT);
    struct str v;
    assert_true(sip_values_next(&it, &v));
    assert_true(sip_values_next(&it, &v));
    assert_str(v, "\"q,\" <sip:c@h>;q=0.5");
    assert_false(sip_values_next(&it, &v));
    parsed_done(&p);
}

static void test_response(void **state)
{
    static const char rest[] =
        "\r\nVia: SIP/2.0/UDP a\r\nf: <sip:a@a>;tag=1\r\nt: <sip:b@b>;tag=2\r\n"
        "i: x\r\nCSeq: 7 INVITE\r\nl: 0\r\n\r\n";
    static const char *const lines[] = {"SIP/2.0 200 OK sip:bob@b.test", "SIP/2.0 200 ",
                                        "SIP/2.0 200", "sip/2.0 200 OK"};
    char text[512];
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        struct parsed p;
        snprintf(text, sizeof(text), "%s%s", lines[i], rest);
        assert_int_equal(parse_z(&p, text), SIP_OK);
        assert_false(p.m.is_request);
        assert_int_equal(p.m.status, 200);
        assert_int_equal(p.m.method, SIP_INVITE);
        assert_none(p.m.ruri.whole);
        assert_false(sip_msg_answerable(&p.m));
        parsed_done(&p);
    }
    static const char *const bad[] = {"SIP/2.0 2000 OK", "SIP/2.0 20 OK",   "SIP/2.0 700 x",
                                      "SIP/2.0 099 x",   "SIP/2.0  200 OK", "SIP/2.0200 OK",
                                      "SIP/2.0 2x0 OK",  "SIP/2.0"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof(text), "%s%s", bad[i], rest);
        assert_int_equal(verdict_of(text), SIP_BAD_START_LINE);
    }
    snprintf(text, sizeof(text), "SIP/3.0 200 OK%s", rest);
    assert_int_equal(verdict_of(text), SIP_BAD_VERSION);
}

static void test_start_line(void **state)
{
    static const char rest[] = "\r\nVia: SIP/2.0/UDP a\r\nf: <sip:a@a>;tag=1\r\nt: <sip:b@b>\r\ni: "
                               "x\r\nCSeq: 7 INVITE\r\n\r\n";
    static const struct {
        const char *line;
        enum sip_verdict want;
    } rows[] = {
        {"INVITE sip:bob@b SIP/2.0", SIP_OK},
        {"INVITE sip:bob@b sip/2.0", SIP_OK},
        {"INVITE sip:bob@biloxi.com/TCP SIP/2.0", SIP_BAD_URI},
        {"INVITE sip:bob@b SIP/1.0", SIP_BAD_VERSION},
        {"INVITE sip:bob@b SIP/22.0", SIP_BAD_VERSION},
        {"INVITE sip:bob@b HTTP/1.1", SIP_BAD_START_LINE},
        {"INVITE sip:bob@b SIP/2.0x", SIP_BAD_START_LINE},
        {"INVITE sip:bob@b SIP/", SIP_BAD_START_LINE},
        {"INVITE sip:bob@b", SIP_BAD_START_LINE},
        {"INVITE", SIP_BAD_START_LINE},
        {"INVITE SIP/2.0", SIP_BAD_URI},
        {" INVITE sip:bob@b SIP/2.0", SIP_BAD_START_LINE},
        {"INV[TE sip:bob@b SIP/2.0", SIP_BAD_START_LINE},
        {"INVITE sip:bo\rb@b SIP/2.0", SIP_BAD_START_LINE},
        {"INVITE\tsip:bob@b\tSIP/2.0", SIP_BAD_START_LINE},
    };
    char text[512];
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof(text), "%s%s", rows[i].line, rest);
        if (verdict_of(text) != rows[i].want)
            fail_msg("%s: " STR_FMT, rows[i].line, STR_ARG(sip_verdict_text(verdict_of(text))));
    }
}

static void test_values(void **state)
{
    static const struct {
        const char *header;
        enum sip_verdict want;
    } rows[] = {
        {"Contact: *", SIP_OK},
        {"Contact: *\r\nContact: <sip:a@b>", SIP_BAD_CONTACT},
        {"Contact: <sip:a@b>, *", SIP_BAD_CONTACT},
        {"Contact: sip:a@b, sip:c@d;q=0.1", SIP_OK},
        {"Contact: <sip:a@b>,", SIP_BAD_CONTACT},
        {"Contact:", SIP_BAD_CONTACT},
        {"Contact: \"a\" \"b\" <sip:a@b>", SIP_BAD_CONTACT},
        {"Contact: <sip:a@b>;+sip.instance=\"<urn:uuid:1>\";reg-id=1", SIP_OK},
        {"Contact: \xED\x99\x8D <sip:a@b>", SIP_OK},
        {"Record-Route: server10.biloxi.com", SIP_BAD_ROUTE},
        {"Record-Route: <sip:server10.biloxi.com;lr>", SIP_OK},
        {"Route: <sip:a;lr>,<sip:b;lr>", SIP_OK},
        {"Route: sip:a;lr", SIP_BAD_ROUTE},
        {"Via: SIP/2.0/UDP b, SIP/2.0/TCP c:1;rport", SIP_OK},
        {"Via: SIP/2.0/UDP b,", SIP_BAD_VIA},
        {"Via: SIP/2.0/UDP", SIP_BAD_VIA},
        {"Via: SIP/2.0/UDP b:99999", SIP_BAD_VIA},
        {"Via: SIP/2.0/UDP b;branch=", SIP_BAD_VIA},
        {"Max-Forwards: 256", SIP_BAD_MAX_FORWARDS},
        {"Max-Forwards: x", SIP_BAD_MAX_FORWARDS},
        {"Max-Forwards: 1\r\nMax-Forwards: 1", SIP_REPEATED_HEADER},
        {"Expires: 99999999999999999999", SIP_OK},
        {"Expires: soon", SIP_BAD_EXPIRES},
        {"Date: Sat, 13 Nov 2010 23:29:00 GMT", SIP_OK},
        {"Date: Sat, 13 Nov 2010 23:29:00 CET", SIP_BAD_DATE},
        {"Authorization: Digest a=b", SIP_OK},
        {"Authorization: Digest", SIP_BAD_AUTH},
        {"Content-Type: application/sdp", SIP_OK},
        {"Content-Type: application / sdp ;x=y", SIP_OK},
        {"Content-Type: application", SIP_BAD_VALUE},
        {"RSeq: x", SIP_BAD_VALUE},
        {"Content-Length: 1", SIP_BAD_LENGTH},
        {"Content-Length: 1x", SIP_BAD_CONTENT_LENGTH},
        {"Content-Length: 99999999999", SIP_BAD_CONTENT_LENGTH},
        {"X: a\rb", SIP_BAD_HEADER_LINE},
        {"X: \"\\\r\"", SIP_BAD_HEADER_LINE},
        {"no colon here", SIP_BAD_HEADER_LINE},
        {": no name", SIP_BAD_HEADER_LINE},
        {"N@me: x", SIP_BAD_HEADER_LINE},
        {"From: <sip:z@z>", SIP_REPEATED_HEADER},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (with(rows[i].header) != rows[i].want)
            fail_msg("%s: " STR_FMT, rows[i].header,
                     STR_ARG(sip_verdict_text(with(rows[i].header))));
}

static void test_mandatory(void **state)
{
    static const char *const lines[] = {"Via: SIP/2.0/UDP a", "From: <sip:a@a>", "To: <sip:b@b>",
                                        "Call-ID: x", "CSeq: 1 OPTIONS"};
    for (unsigned skip = 0; skip < 5; skip++) {
        char text[512];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        buf_lit(&b, "OPTIONS sip:b SIP/2.0\r\n");
        for (unsigned i = 0; i < 5; i++)
            if (i != skip)
                buf_printf(&b, "%s\r\n", lines[i]);
        buf_lit(&b, "\r\n");
        struct parsed p;
        assert_int_equal(parse_n(&p, b.p, b.n, false), SIP_MISSING_HEADER);
        assert_true(str_starts(str_z(lines[skip]), p.m.bad_name));
        assert_false(sip_msg_answerable(&p.m));
        parsed_done(&p);
    }
    static const char *const cseqs[] = {"1",        "x OPTIONS",  "2147483648 OPTIONS",
                                        "1OPTIONS", "-1 OPTIONS", "1 OPT[ONS"};
    for (unsigned i = 0; i < ARRAY_LEN(cseqs); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "OPTIONS sip:b SIP/2.0\r\n%s\r\n%s\r\n%s\r\n%s\r\nCSeq: %s\r\n\r\n", lines[0],
                 lines[1], lines[2], lines[3], cseqs[i]);
        assert_int_equal(verdict_of(text), SIP_BAD_CSEQ);
    }
}

static void test_call_id(void **state)
{
    static const struct {
        const char *text;
        enum sip_verdict want;
    } rows[] = {{"a", SIP_OK},
                {"a-1.b@c.d", SIP_OK},
                {"{x}@[2001:db8::1]", SIP_OK},
                {"a@b@c", SIP_BAD_CALL_ID},
                {"@a", SIP_BAD_CALL_ID},
                {"a@", SIP_BAD_CALL_ID},
                {"a b", SIP_BAD_CALL_ID},
                {"a@b c", SIP_BAD_CALL_ID},
                {"", SIP_BAD_CALL_ID}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        struct parsed p;
        snprintf(text, sizeof(text),
                 "OPTIONS sip:b SIP/2.0\r\nCall-ID: %s\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@a>"
                 "\r\nTo: <sip:b@b>\r\nCSeq: 1 OPTIONS\r\n\r\n",
                 rows[i].text);
        if (parse_z(&p, text) != rows[i].want)
            fail_msg("Call-ID '%s'", rows[i].text);
        if (rows[i].want == SIP_OK)
            assert_str(p.m.call_id, rows[i].text);
        else
            assert_none(p.m.call_id);
        parsed_done(&p);
    }
}

/* A Via whose port is none names no way back; one with a bad parameter does. */
static void test_bad_via(void **state)
{
    static const char rest[] = "\r\nFrom: <sip:a@a>\r\nTo: <sip:b@b>\r\nCall-ID: c\r\n"
                               "CSeq: 1 OPTIONS\r\n\r\n";
    struct parsed p;
    char text[512];
    snprintf(text, sizeof(text), "OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a:99999%s", rest);
    assert_int_equal(parse_z(&p, text), SIP_BAD_VIA);
    assert_none(p.m.via.host);
    assert_false(sip_msg_answerable(&p.m));
    parsed_done(&p);
    snprintf(text, sizeof(text), "OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1;b c%s",
             rest);
    assert_int_equal(parse_z(&p, text), SIP_BAD_VIA);
    assert_str(p.m.via.whole, "SIP/2.0/UDP a;branch=1");
    assert_str(p.m.via.params, "branch=1");
    assert_true(sip_msg_answerable(&p.m));
    parsed_done(&p);
}

/* A NUL is refused anywhere but as a quoted-pair. */
static void test_nul(void **state)
{
    static const char good[] = HEAD "X: \"\\\0\"\r\n\r\n";
    static const char bad[] = HEAD "X: a\0b\r\n\r\n";
    static const char bare[] = HEAD "X: \"\0\"\r\n\r\n";
    static const char name[] = HEAD "X\0: b\r\n\r\n";
    static const char last[] = HEAD "X: a\0\n\r\n";
    struct parsed p;
    assert_int_equal(parse_n(&p, good, sizeof(good) - 1, false), SIP_OK);
    parsed_done(&p);
    assert_int_equal(parse_n(&p, bad, sizeof(bad) - 1, false), SIP_BAD_HEADER_LINE);
    assert_int_equal(p.m.bad_at, strlen(HEAD));
    parsed_done(&p);
    assert_int_equal(parse_n(&p, bare, sizeof(bare) - 1, false), SIP_BAD_HEADER_LINE);
    parsed_done(&p);
    assert_int_equal(parse_n(&p, name, sizeof(name) - 1, false), SIP_BAD_HEADER_LINE);
    parsed_done(&p);
    assert_int_equal(parse_n(&p, last, sizeof(last) - 1, false), SIP_BAD_HEADER_LINE);
    parsed_done(&p);
}

/* A field is indexed the same by the short way through the pass (much text behind it) and by the
 * long one (little text, a fold, white space around the colon, LF alone). */
static void test_ways(void **state)
{
    static const char *const ends[] = {": 1\r\n",     ":1\r\n", " : 1\r\n", ":\r\n 1\r\n",
                                       ":  1\t \r\n", ": 1\n",  ": 1 \r\n"};
    static const char behind[] = "Subject: text behind it, more than sixty-four bytes of it at "
                                 "the least, so that no end is near\r\n";
    for (unsigned id = 1; id < SIP_H_COUNT; id++)
        for (unsigned i = 0; i < 2 * ARRAY_LEN(ends); i++) {
            char text[512], name[32];
            str_copy_z(name, sizeof(name), sip_hdr_name((enum sip_hdr_id)id));
            snprintf(text, sizeof(text), "OPTIONS sip:b SIP/2.0\r\n%s%s%s\r\n", name, ends[i / 2],
                     i % 2 ? behind : "");
            struct parsed p;
            parse_z(&p, text);
            assert_int_equal(p.m.n_hdrs, 1 + i % 2);
            assert_int_equal(p.m.hdr[0].id, id);
            assert_str(p.m.hdr[0].name, name);
            assert_str(p.m.hdr[0].value, "1");
            parsed_done(&p);
        }
}

/* Every prefix is read without stepping over its end, and none of the header part is whole. */
static void test_prefixes(void **state)
{
    static const char text[] =
        HEAD "Subject: a\r\n folded\r\nContact: \"x\" <sip:a@b;c=d?e=f>;q=1\r\n\r\n";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct parsed p;
        assert_true(parse_n(&p, text, n, false) != SIP_OK);
        parsed_done(&p);
    }
    assert_int_equal(verdict_of(text), SIP_OK);
    /* The empty line itself, moved over the borders of the blocks that are searched at once. */
    for (unsigned pad = 0; pad < 130; pad++) {
        char filler[256], line[300];
        memset(filler, 'x', sizeof(filler));
        filler[pad] = '\0';
        snprintf(line, sizeof(line), "X-Pad: %s", filler);
        assert_int_equal(with(line), SIP_OK);
        snprintf(line, sizeof(line), "X-Pad: %s\rx", filler);
        assert_int_equal(with(line), SIP_BAD_HEADER_LINE);
    }
}

static void test_limits(void **state)
{
    size_t cap = 70000;
    char *text = malloc(cap);
    assert_non_null(text);
    for (unsigned extra = 154; extra <= 155; extra++) {
        struct buf b;
        buf_init(&b, text, cap);
        buf_lit(&b, HEAD);
        for (unsigned i = 0; i < extra + 1; i++)
            buf_lit(&b, "X-Y: z\r\n");
        buf_lit(&b, "\r\n");
        struct parsed p;
        enum sip_verdict want = extra == 154 ? SIP_OK : SIP_TOO_MANY_HEADERS;
        assert_int_equal(parse_n(&p, b.p, b.n, false), want);
        assert_int_equal(p.m.n_hdrs, SIP_MAX_HEADERS);
        parsed_done(&p);
    }
    memset(text, 'a', cap);
    struct parsed p;
    assert_int_equal(parse_n(&p, text, SIP_MAX_BYTES + 1, false), SIP_TOO_LARGE);
    assert_none(p.m.from.uri.whole);
    parsed_done(&p);
    assert_true(parse_n(&p, text, SIP_MAX_BYTES, false) != SIP_TOO_LARGE);
    parsed_done(&p);
    free(text);
}

static void test_stream(void **state)
{
    struct parsed p;
    assert_int_equal(parse_n(&p, HEAD "\r\n", strlen(HEAD) + 2, true), SIP_BAD_CONTENT_LENGTH);
    parsed_done(&p);
    assert_int_equal(parse_n(&p, HEAD "l:0\r\n\r\n", strlen(HEAD) + 7, true), SIP_OK);
    parsed_done(&p);
}

static void test_params(void **state)
{
    struct str rest = STR("a=1; b ;c = \"x;y\" ;;d=");
    struct str name, value;
    assert_true(sip_param_next(&rest, &name, &value));
    assert_str(name, "a");
    assert_str(value, "1");
    assert_true(sip_param_next(&rest, &name, &value));
    assert_str(name, "b");
    assert_str(value, "");
    assert_true(sip_param_next(&rest, &name, &value));
    assert_str(value, "\"x;y\"");
    assert_true(sip_param_next(&rest, &name, &value));
    assert_str(name, "d");
    assert_false(sip_param_next(&rest, &name, &value));
    assert_none(sip_param_get(STR("a=1"), STR("x")));
    assert_str(sip_param_get(STR("a=1;EXPIRES=60"), STR("expires")), "60");
    struct str list = STR(" , \"a,b\" <x,y> ,c,, ");
    assert_true(sip_list_next(&list, &value));
    assert_str(value, "\"a,b\" <x,y>");
    assert_true(sip_list_next(&list, &value));
    assert_str(value, "c");
    assert_false(sip_list_next(&list, &value));
    struct arena a;
    arena_init(&a, 0);
    assert_str(sip_unquote(&a, STR("\"a\\\"b\\\\\"")), "a\"b\\");
    assert_str(sip_unquote(&a, STR("plain")), "plain");
    assert_str(sip_unquote(&a, STR("\"")), "\"");
    arena_done(&a);
}

static void test_numbers(void **state)
{
    uint32_t d = 1;
    uint16_t q = 1;
    assert_int_equal(sip_delta_parse(&d, STR(" 60 ")), 0);
    assert_int_equal(d, 60);
    assert_int_equal(sip_delta_parse(&d, STR("280297596632815")), 0);
    assert_int_equal(d, UINT32_MAX);
    assert_int_equal(sip_delta_parse(&d, STR("6x")), -EINVAL);
    assert_int_equal(d, UINT32_MAX);
    static const struct {
        const char *text;
        int want;
    } qs[] = {{"0.7", 700},   {"1", 1000},   {"1.000", 1000}, {"0", 0},       {"0.", 0},
              {"0.333", 333}, {"1.001", -1}, {"2", -1},       {"0.3333", -1}, {"", -1},
              {".5", -1},     {"-1", -1},    {".", -1}};
    for (unsigned i = 0; i < ARRAY_LEN(qs); i++) {
        int err = sip_q_parse(&q, str_z(qs[i].text));
        if (qs[i].want < 0 ? err == 0 : err || q != qs[i].want)
            fail_msg("q %s", qs[i].text);
    }
}

/* Refer-To without brackets, as phones send it. */
static void test_refer_to(void **state)
{
    struct sip_nameaddr na;
    assert_int_equal(sip_nameaddr_parse(&na, STR("sip:1428@pbx?Replaces=a@h;to-tag=x;from-tag=y")),
                     0);
    assert_str(na.uri.host, "pbx");
    assert_str(na.uri.headers, "Replaces=a@h;to-tag=x;from-tag=y");
    assert_int_equal(sip_nameaddr_parse(&na, STR("<tel:01012345678>")), 0);
    assert_int_equal(na.uri.scheme, SIP_SCHEME_TEL);
    assert_int_equal(
        sip_nameaddr_parse(&na, STR("\"07086661427,1427\" <sip:109Q1427@pbx.test>;tag=9")), 0);
    assert_str(na.display, "\"07086661427,1427\"");
    assert_str(na.tag, "9");
    assert_int_equal(sip_nameaddr_parse(&na, STR("<sip:h;lr>;x=a@b;tag=9")), 0);
    assert_str(na.uri.host, "h");
    assert_true(na.uri.lr);
    assert_str(na.params, "x=a@b;tag=9");
    assert_int_equal(sip_nameaddr_parse(&na, STR("")), -EINVAL);
    assert_int_equal(sip_nameaddr_parse(&na, STR("<sip:a@b>,<sip:c@d>")), -EINVAL);
    assert_str(na.tag, "9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),    cmocka_unit_test(test_forms),
        cmocka_unit_test(test_response), cmocka_unit_test(test_start_line),
        cmocka_unit_test(test_values),   cmocka_unit_test(test_mandatory),
        cmocka_unit_test(test_nul),      cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_stream),
        cmocka_unit_test(test_params),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_refer_to), cmocka_unit_test(test_ways),
        cmocka_unit_test(test_call_id),  cmocka_unit_test(test_bad_via),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
