/* RFC 4475 and RFC 5118, byte for byte: the verdict of every message as manifest.tsv has it, and
 * what the RFCs say about its parts. */
#include "sip_test.h"
#include "wire/sip/build.h"
#include "wire/sip/multipart.h"

#define MAX_FILE 8192

struct loaded {
    struct sip_msg m;
    char bytes[MAX_FILE];
    size_t n;
};

static struct loaded load(const char *name)
{
    static struct loaded l;
    char path[512];
    snprintf(path, sizeof(path), "%s/torture/%s", TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("no %s", path);
    l.n = fread(l.bytes, 1, sizeof(l.bytes), f);
    fclose(f);
    return l;
}

#define LOAD(l, name)                                                                              \
    struct loaded l = load(name);                                                                  \
    (void)sip_msg_parse(&l.m, l.bytes, l.n, false)

/* The nth tab-separated column. */
static struct str column(struct str line, unsigned n)
{
    for (; n; n--) {
        ptrdiff_t tab = str_chr(line, '\t');
        line = tab < 0 ? STR("") : str_from(line, (size_t)tab + 1);
    }
    ptrdiff_t tab = str_chr(line, '\t');
    return tab < 0 ? line : str_sub(line, 0, (size_t)tab);
}

/* What the bytes alone lead to: 400, 505 or 513 with a sound way back, DROP without, NORMAL if
 * nothing is wrong with them. */
static const char *outcome(const struct sip_msg *m)
{
    if (m->verdict == SIP_OK)
        return "NORMAL";
    if (!sip_msg_answerable(m))
        return "DROP";
    switch (sip_verdict_status(m->verdict)) {
    case 400:
        return "400";
    case 505:
        return "505";
    default:
        return "?";
    }
}

static void check_line(struct str line)
{
    char name[128];
    str_copy_z(name, sizeof(name), column(line, 0));
    struct str must = column(line, 8), accept = column(line, 9);
    LOAD(l, name);
    const char *got = outcome(&l.m);
    bool ok = l.m.verdict == SIP_OK;
    if (str_eq(must, STR("accept")) && !ok)
        fail_msg("%s: refused: " STR_FMT, name, STR_ARG(sip_verdict_text(l.m.verdict)));
    if (str_eq(must, STR("reject")) && ok)
        fail_msg("%s: accepted", name);
    if (!ok && str_ifind(accept, str_z(got)) < 0)
        fail_msg("%s: %s, but " STR_FMT, name, got, STR_ARG(accept));
}

static void test_manifest(void **state)
{
    static char text[65536];
    FILE *f = fopen(TEST_DATA "/torture/manifest.tsv", "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    struct str rest = str_of(text, n);
    unsigned lines = 0;
    while (rest.n) {
        ptrdiff_t lf = str_chr(rest, '\n');
        size_t len = lf < 0 ? rest.n : (size_t)lf;
        struct str line = str_sub(rest, 0, len);
        rest = str_from(rest, len + 1);
        if (str_starts(line, STR("rfc")) && str_chr(column(line, 0), '/') > 0) {
            check_line(line);
            lines++;
        }
    }
    assert_int_equal(lines, 62);
}

/* RFC 4475 3.1.1.1. */
static void test_wsinv(void **state)
{
    LOAD(l, "rfc4475/wsinv.dat");
    assert_int_equal(l.m.max_forwards, 68);
    assert_int_equal(l.m.cseq.number, 9);
    assert_int_equal(l.m.cseq.method, SIP_INVITE);
    assert_str(l.m.to.tag, "1918181833n");
    assert_str(l.m.from.tag, "98asjd8");
    assert_str(l.m.from.display, "\"J Rosenberg \\\\\\\"\"");
    assert_str(l.m.via.host, "192.0.2.2");
    assert_str(l.m.via.branch, "390skdjuw");
    struct sip_values it = sip_values(&l.m, SIP_H_VIA);
    struct str v;
    struct sip_via via;
    unsigned n = 0;
    while (sip_values_next(&it, &v)) {
        assert_int_equal(sip_via_parse(&via, v), 0);
        n++;
    }
    assert_int_equal(n, 3);
    assert_str(via.branch, "z9hG4bK30239");
    assert_str(via.host, "192.168.255.111");
    assert_true(sip_msg_has(&l.m, SIP_H_SUBJECT));
    assert_str(sip_msg_get(&l.m, SIP_H_SUBJECT), "");
    struct str newfangled = sip_msg_get_name(&l.m, STR("newfangledheader"));
    char mem[128];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    sip_put_unfolded(&b, newfangled);
    assert_str(buf_str(&b), "newfangled value continued newfangled value");
    struct sip_nameaddr na;
    assert_int_equal(sip_nameaddr_parse(&na, sip_msg_get(&l.m, SIP_H_CONTACT)), 0);
    assert_str(sip_param_get(na.params, STR("newparam")), "newvalue");
    uint16_t q;
    assert_int_equal(sip_q_parse(&q, sip_param_get(na.params, STR("q"))), 0);
    assert_int_equal(q, 330);
    assert_int_equal(l.m.body.n, 150);
}

/* 3.1.1.2 */
static void test_intmeth(void **state)
{
    LOAD(l, "rfc4475/intmeth.dat");
    assert_int_equal(l.m.verdict, SIP_OK);
    assert_int_equal(l.m.method, SIP_METHOD_UNKNOWN);
    assert_str(l.m.method_text, "!interesting-Method0123456789_*+`.%indeed'~");
    assert_str(l.m.ruri.user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
    assert_str(l.m.ruri.password, "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
    assert_str(l.m.ruri.host, "example.com");
    assert_str(l.m.from.display, "token1~` token2'+_ token3*%!.-");
    assert_int_equal(l.m.to.display.n, 22);
    assert_str(l.m.from.uri.whole, "sip:mundane@example.com");
    assert_str(l.m.call_id, "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    assert_int_equal(l.m.max_forwards, 255);
    /* An answer repeats the quoted NUL. */
    char mem[2048];
    struct sip_build w;
    struct str out;
    sip_build_response(&w, mem, sizeof(mem), 501, STR_NONE);
    sip_build_response_to(&w, &l.m, 501, STR("x"), NULL);
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), 0);
    struct parsed p;
    assert_int_equal(parse_n(&p, out.p, out.n, false), SIP_OK);
    assert_true(str_eq(p.m.to.display, l.m.to.display));
    parsed_done(&p);
}

/* 3.1.1.3 */
static void test_esc01(void **state)
{
    LOAD(l, "rfc4475/esc01.dat");
    struct arena a;
    arena_init(&a, 0);
    assert_str(l.m.ruri.user, "sips%3Auser%40example.com");
    assert_int_equal(l.m.ruri.scheme, SIP_SCHEME_SIP);
    assert_str(sip_unescape(&a, l.m.ruri.user), "sips:user@example.com");
    assert_str(l.m.ruri.host, "example.net");
    assert_str(sip_unescape(&a, l.m.to.uri.user), "user");
    assert_str(sip_unescape(&a, l.m.from.uri.user), "I have spaces");
    struct sip_nameaddr na;
    assert_int_equal(sip_nameaddr_parse(&na, sip_msg_get(&l.m, SIP_H_CONTACT)), 0);
    assert_str(sip_unescape(&a, na.uri.user), "caller");
    assert_true(na.uri.lr);
    /* Unescaped once: %25%34%31 is "%41", not "A". */
    assert_str(sip_unescape(&a, sip_param_get(na.uri.params, STR("name"))), "value%41");
    assert_str(sip_msg_get(&l.m, SIP_H_CONTENT_TYPE), "application/sdp");
    arena_done(&a);
}

/* 3.1.1.4 */
static void test_escnull(void **state)
{
    LOAD(l, "rfc4475/escnull.dat");
    struct arena a;
    arena_init(&a, 0);
    struct str user = sip_unescape(&a, l.m.to.uri.user);
    assert_int_equal(user.n, 11);
    assert_memory_equal(user.p, "null-\0-null", 11);
    struct sip_values it = sip_values(&l.m, SIP_H_CONTACT);
    struct str one, two;
    assert_true(sip_values_next(&it, &one));
    assert_true(sip_values_next(&it, &two));
    struct sip_nameaddr x, y;
    assert_int_equal(sip_nameaddr_parse(&x, one), 0);
    assert_int_equal(sip_nameaddr_parse(&y, two), 0);
    assert_false(sip_uri_eq(&x.uri, &y.uri));
    assert_int_equal(sip_unescape(&a, y.uri.user).n, 2);
    arena_done(&a);
}

/* 3.1.1.5 */
static void test_esc02(void **state)
{
    LOAD(l, "rfc4475/esc02.dat");
    assert_int_equal(l.m.method, SIP_METHOD_UNKNOWN);
    assert_str(l.m.method_text, "RE%47IST%45R");
    assert_str(l.m.to.display, "\"%Z%45\"");
    assert_str(l.m.via.branch, "z9hG4bK209%fzsnel234");
    struct sip_values it = sip_values(&l.m, SIP_H_CONTACT);
    struct str v;
    unsigned n = 0;
    while (sip_values_next(&it, &v))
        n++;
    assert_int_equal(n, 2);
    assert_str(sip_msg_get_name(&l.m, STR("C%6Fntact")), "<sip:alias2@host2.example.com>");
}

/* 3.1.1.6 to 3.1.1.10 */
static void test_addresses(void **state)
{
    LOAD(l, "rfc4475/lwsdisp.dat");
    assert_str(l.m.from.display, "caller");
    assert_str(l.m.from.uri.whole, "sip:caller@example.com");
    assert_str(l.m.from.tag, "323");

    LOAD(longreq, "rfc4475/longreq.dat");
    struct sip_values it = sip_values(&longreq.m, SIP_H_VIA);
    struct str v;
    unsigned n = 0;
    while (sip_values_next(&it, &v))
        n++;
    assert_int_equal(n, 34);
    assert_str(longreq.m.via.host, "sip33.example.com");

    LOAD(dbl, "rfc4475/dblreq.dat");
    assert_int_equal(dbl.m.verdict, SIP_OK);
    assert_int_equal(dbl.m.method, SIP_REGISTER);
    assert_int_equal(dbl.m.body.n, 0);
    assert_true(dbl.m.raw.n < dbl.n);
    assert_str(dbl.m.call_id, "dblreq.0ha0isndaksdj99sdfafnl3lk233412");

    LOAD(semi, "rfc4475/semiuri.dat");
    struct arena a;
    arena_init(&a, 0);
    assert_str(sip_unescape(&a, semi.m.ruri.user), "user;par=u@example.net");
    assert_str(semi.m.ruri.host, "example.com");
    assert_none(semi.m.ruri.params);
    assert_true(sip_msg_lists(&semi.m, SIP_H_ACCEPT, STR("message/sipfrag")));
    arena_done(&a);

    LOAD(tr, "rfc4475/transports.dat");
    static const char *const protos[] = {"UDP", "SCTP", "TLS", "UNKNOWN", "TCP"};
    it = sip_values(&tr.m, SIP_H_VIA);
    for (n = 0; sip_values_next(&it, &v); n++) {
        struct sip_via via;
        assert_int_equal(sip_via_parse(&via, v), 0);
        assert_str(via.proto, protos[n]);
    }
    assert_int_equal(n, 5);
}

/* 3.1.1.11 */
static void test_mpart01(void **state)
{
    LOAD(l, "rfc4475/mpart01.dat");
    assert_int_equal(l.m.body.n, 553);
    struct sip_multipart it;
    struct sip_part part;
    struct str type = sip_msg_get(&l.m, SIP_H_CONTENT_TYPE);
    assert_int_equal(sip_multipart_init(&it, type, l.m.body), 0);
    assert_true(sip_multipart_next(&it, &part));
    assert_str(part.content_type, "text/plain");
    assert_str(part.body, "Hello");
    assert_true(sip_multipart_next(&it, &part));
    assert_true(sip_content_is(part.content_type, STR("application/octet-stream")));
    assert_true(memchr(part.body.p, 0, part.body.n) != NULL);
    assert_false(sip_multipart_next(&it, &part));
    assert_str(sip_body_find(&l.m, STR("text/plain")), "Hello");
}

/* 3.1.1.12, 3.1.1.13, 3.1.2.5, 3.1.2.19 */
static void test_responses(void **state)
{
    LOAD(l, "rfc4475/unreason.dat");
    assert_false(l.m.is_request);
    assert_int_equal(l.m.status, 200);
    assert_int_equal(l.m.method, SIP_INVITE);
    assert_true(str_starts(l.m.reason, STR("= 2**3 * 5**2 ")));
    LOAD(no, "rfc4475/noreason.dat");
    assert_int_equal(no.m.status, 100);
    assert_str(no.m.reason, "");
    LOAD(large, "rfc4475/scalarlg.dat");
    assert_int_equal(large.m.verdict, SIP_BAD_CSEQ);
    assert_false(large.m.is_request);
    LOAD(code, "rfc4475/bigcode.dat");
    assert_int_equal(code.m.verdict, SIP_BAD_START_LINE);
    assert_false(code.m.is_request);
    assert_int_equal(code.m.status, 0);
}

struct expected {
    const char *file;
    enum sip_verdict verdict;
    const char *name; /* of the header at fault */
};

/* Not only that they are refused, but for the reason the RFC gives. */
static void test_reasons(void **state)
{
    static const struct expected rows[] = {
        {"rfc4475/badinv01.dat", SIP_BAD_VIA, "Via"},
        {"rfc4475/clerr.dat", SIP_BAD_LENGTH, "Content-Length"},
        {"rfc4475/ncl.dat", SIP_BAD_CONTENT_LENGTH, "Content-Length"},
        {"rfc4475/scalar02.dat", SIP_BAD_CSEQ, "CSeq"},
        {"rfc4475/quotbal.dat", SIP_BAD_TO, "To"},
        {"rfc4475/ltgtruri.dat", SIP_BAD_URI, NULL},
        {"rfc4475/lwsruri.dat", SIP_BAD_URI, NULL},
        {"rfc4475/lwsstart.dat", SIP_OK, NULL},
        {"rfc4475/trws.dat", SIP_OK, NULL},
        {"rfc4475/escruri.dat", SIP_BAD_URI, NULL},
        {"rfc4475/baddate.dat", SIP_BAD_DATE, "Date"},
        {"rfc4475/regbadct.dat", SIP_BAD_CONTACT, "Contact"},
        {"rfc4475/badaspec.dat", SIP_BAD_TO, "To"},
        {"rfc4475/baddn.dat", SIP_BAD_FROM, "From"},
        {"rfc4475/badvers.dat", SIP_BAD_VERSION, NULL},
        {"rfc4475/mismatch01.dat", SIP_METHOD_MISMATCH, "CSeq"},
        {"rfc4475/mismatch02.dat", SIP_METHOD_MISMATCH, "CSeq"},
        {"rfc4475/insuf.dat", SIP_MISSING_HEADER, "From"},
        {"rfc4475/multi01.dat", SIP_REPEATED_HEADER, "CSeq"},
        {"rfc4475/mcl01.dat", SIP_REPEATED_HEADER, "Content-Length"},
        {"rfc4475/test.dat", SIP_BAD_START_LINE, NULL},
        {"rfc5118-crlf/ipv6-bad.dat", SIP_BAD_URI, NULL},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        LOAD(l, rows[i].file);
        if (l.m.verdict != rows[i].verdict)
            fail_msg("%s: " STR_FMT, rows[i].file, STR_ARG(sip_verdict_text(l.m.verdict)));
        if (rows[i].name)
            assert_str(l.m.bad_name, rows[i].name);
        else
            assert_none(l.m.bad_name);
    }
}

/* What an answer to a malformed request says must itself be well formed. */
static void test_answers(void **state)
{
    static const char *const files[] = {"badinv01", "quotbal",  "badaspec", "baddn",
                                        "badvers",  "clerr",    "ncl",      "ltgtruri",
                                        "multi01",  "mcl01",    "escruri",  "mismatch01",
                                        "baddate",  "regbadct", "lwsruri"};
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        char name[64], mem[2048];
        snprintf(name, sizeof(name), "rfc4475/%s.dat", files[i]);
        LOAD(l, name);
        struct sip_build w;
        struct str out;
        struct addr source;
        assert_int_equal(addr_parse(&source, STR("192.0.2.200"), 5062), 0);
        sip_build_response(&w, mem, sizeof(mem), 400, sip_verdict_text(l.m.verdict));
        sip_build_response_to(&w, &l.m, 400, STR("answer"), &source);
        if (sip_build_done(&w, STR_NONE, STR_NONE, &out))
            fail_msg("%s: no answer", name);
        struct parsed p;
        enum sip_verdict v = parse_n(&p, out.p, out.n, true);
        if (v)
            fail_msg("%s: " STR_FMT "\n" STR_FMT, name, STR_ARG(sip_verdict_text(v)), STR_ARG(out));
        assert_true(p.m.to.tag.n > 0);
        assert_str(p.m.via.received, "192.0.2.200");
        parsed_done(&p);
    }
}

/* 3.3: what a server decides, it must be able to see. */
static void test_application(void **state)
{
    LOAD(l, "rfc4475/unkscm.dat");
    assert_int_equal(l.m.ruri.scheme, SIP_SCHEME_OTHER);
    assert_str(l.m.ruri.scheme_text, "nobodyKnowsThisScheme");
    LOAD(nov, "rfc4475/novelsc.dat");
    assert_int_equal(nov.m.ruri.scheme, SIP_SCHEME_OTHER);
    assert_str(nov.m.ruri.scheme_text, "soap.beep");
    LOAD(unk, "rfc4475/unksm2.dat");
    assert_int_equal(unk.m.verdict, SIP_OK);
    assert_str(unk.m.to.uri.scheme_text, "isbn");
    assert_str(unk.m.from.uri.whole, "http://www.example.com");
    assert_str(unk.m.from.tag, "3234233");
    LOAD(ext, "rfc4475/bext01.dat");
    assert_true(sip_msg_lists(&ext.m, SIP_H_REQUIRE, STR("nothingSupportsThisEither")));
    assert_true(sip_msg_lists(&ext.m, SIP_H_PROXY_REQUIRE, STR("norDoAnyProxiesSupportThis")));
    LOAD(ut, "rfc4475/invut.dat");
    assert_true(
        sip_content_is(sip_msg_get(&ut.m, SIP_H_CONTENT_TYPE), STR("application/unknownformat")));
    LOAD(bcast, "rfc4475/bcast.dat");
    assert_int_equal(bcast.m.verdict, SIP_OK);
    LOAD(zero, "rfc4475/zeromf.dat");
    assert_int_equal(zero.m.max_forwards, 0);
    LOAD(sdp, "rfc4475/sdp01.dat");
    assert_true(sip_msg_lists(&sdp.m, SIP_H_ACCEPT, STR("text/nobodyKnowsThis")));
}

static struct sip_nameaddr contact(const struct sip_msg *m)
{
    struct sip_nameaddr na;
    assert_int_equal(sip_nameaddr_parse(&na, sip_msg_get(m, SIP_H_CONTACT)), 0);
    return na;
}

/* 3.3.12 to 3.3.14 and 3.4.1 */
static void test_contacts(void **state)
{
    LOAD(one, "rfc4475/cparam01.dat");
    struct sip_nameaddr na = contact(&one.m);
    assert_none(na.uri.params);
    assert_str(na.params, "unknownparam");
    assert_str(na.uri.whole, "sip:+19725552222@gw1.example.net");
    LOAD(two, "rfc4475/cparam02.dat");
    na = contact(&two.m);
    assert_str(na.uri.params, "unknownparam");
    assert_none(na.params);
    LOAD(esc, "rfc4475/regescrt.dat");
    na = contact(&esc.m);
    assert_str(na.uri.headers, "Route=%3Csip:sip.example.com%3E");
    LOAD(old, "rfc4475/inv2543.dat");
    assert_none(old.m.via.branch);
    assert_none(old.m.from.tag);
    assert_int_equal(old.m.content_length, -1);
    assert_int_equal(old.m.max_forwards, -1);
    assert_true(str_starts(old.m.body, STR("v=0")));
    assert_str(old.m.from.uri.user_param, "phone");
    /* Without brackets the parameter is the header's. */
    assert_none(old.m.to.uri.user_param);
    LOAD(branch, "rfc4475/badbranch.dat");
    assert_str(branch.m.via.branch, "z9hG4bK");
}

/* RFC 5118, in both forms of the archive. */
static void test_ipv6(void **state)
{
    LOAD(l, "rfc5118-crlf/ipv6-good.dat");
    assert_str(l.m.ruri.host, "[2001:db8::10]");
    assert_str(l.m.via.host, "[2001:db8::9:1]");
    LOAD(amb, "rfc5118-crlf/port-ambiguous.dat");
    assert_str(amb.m.ruri.host, "[2001:db8::10:5070]");
    assert_int_equal(amb.m.ruri.port, 0);
    LOAD(una, "rfc5118-crlf/port-unambiguous.dat");
    assert_int_equal(una.m.ruri.port, 5070);
    LOAD(with, "rfc5118-crlf/via-received-param-with-delim.dat");
    assert_str(with.m.via.received, "[2001:db8::9:255]");
    LOAD(no, "rfc5118-crlf/via-received-param-no-delim.dat");
    assert_str(no.m.via.received, "2001:db8::9:255");
    LOAD(mapped, "rfc5118-crlf/ipv4-mapped-ipv6.dat");
    assert_true(str_starts(mapped.m.via.host, STR("[::ffff:192.0.2.")));
    LOAD(bug, "rfc5118-crlf/ipv6-bug-abnf-3-colons.dat");
    assert_str(bug.m.ruri.host, "[2001:db8:::192.0.2.1]");
    LOAD(lf, "rfc5118/ipv6-good");
    assert_int_equal(lf.m.verdict, SIP_OK);
    LOAD(bad, "rfc5118/ipv6-bad");
    assert_int_equal(bad.m.verdict, SIP_BAD_URI);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest),  cmocka_unit_test(test_wsinv),
        cmocka_unit_test(test_intmeth),   cmocka_unit_test(test_esc01),
        cmocka_unit_test(test_escnull),   cmocka_unit_test(test_esc02),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_mpart01),
        cmocka_unit_test(test_responses), cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_application),
        cmocka_unit_test(test_contacts),  cmocka_unit_test(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
