#include "base/rand.h"
#include "sip_test.h"
#include "wire/sip/build.h"

static char mem[8192];

static void begin(struct sip_build *w)
{
    sip_build_request(w, mem, sizeof(mem), STR("INVITE"), STR("sip:bob@b.test"));
    sip_build_hdr(w, SIP_H_VIA, STR("SIP/2.0/UDP a.test;branch=z9hG4bKx"));
    sip_build_hdr_u64(w, SIP_H_MAX_FORWARDS, 70);
    sip_build_hdr_printf(w, SIP_H_FROM, "<sip:%s@a.test>;tag=%u", "alice", 7u);
    sip_build_hdr(w, SIP_H_TO, STR("<sip:bob@b.test>"));
    sip_build_hdr(w, SIP_H_CALL_ID, STR("c1@a.test"));
    sip_build_cseq(w, 5, STR("INVITE"));
}

static void test_request(void **state)
{
    struct sip_build w;
    struct str out;
    begin(&w);
    sip_build_begin(&w, SIP_H_SUPPORTED);
    sip_build_put(&w, STR("timer"));
    sip_build_put(&w, STR(", replaces"));
    sip_build_end(&w);
    sip_build_hdr(&w, SIP_H_SUBJECT, STR("one\r\n  two\n\tthree"));
    sip_build_hdr_name(&w, STR("X-xfer-pressed"), STR("True"));
    assert_int_equal(sip_build_done(&w, STR("application/sdp"), STR("v=0\r\n"), &out), 0);
    assert_str(out,
               "INVITE sip:bob@b.test SIP/2.0\r\nVia: SIP/2.0/UDP a.test;branch=z9hG4bKx\r\n"
               "Max-Forwards: 70\r\nFrom: <sip:alice@a.test>;tag=7\r\nTo: <sip:bob@b.test>\r\n"
               "Call-ID: c1@a.test\r\nCSeq: 5 INVITE\r\nSupported: timer, replaces\r\n"
               "Subject: one two three\r\nX-xfer-pressed: True\r\nContent-Type: application/sdp\r\n"
               "Content-Length: 5\r\n\r\nv=0\r\n");
    struct parsed p;
    assert_int_equal(parse_n(&p, out.p, out.n, true), SIP_OK);
    parsed_done(&p);
}

enum door {
    METHOD,
    RURI,
    REASON,
    STATUS,
    VALUE,
    NAME,
    NAME_VALUE,
    PRINTF,
    CSEQ,
    PIECE,
    TYPE,
    TAG,
    DOORS
};

/* One text through one parameter of the builder. */
static int through(enum door door, struct str s)
{
    struct sip_build w;
    struct str out;
    char z[64];
    str_copy_z(z, sizeof(z), s);
    if (door == METHOD || door == RURI)
        sip_build_request(&w, mem, sizeof(mem), door == METHOD ? s : STR("INVITE"),
                          door == RURI ? s : STR("sip:b"));
    else
        sip_build_response(&w, mem, sizeof(mem), door == STATUS ? 99 : 200,
                           door == REASON ? s : STR_NONE);
    if (door == VALUE)
        sip_build_hdr(&w, SIP_H_SUBJECT, s);
    if (door == NAME)
        sip_build_hdr_name(&w, s, STR("x"));
    if (door == NAME_VALUE)
        sip_build_hdr_name(&w, STR("X"), s);
    if (door == PRINTF)
        sip_build_hdr_printf(&w, SIP_H_SUBJECT, "%s", z);
    if (door == CSEQ)
        sip_build_cseq(&w, 1, s);
    if (door == PIECE) {
        sip_build_begin(&w, SIP_H_SUBJECT);
        sip_build_put(&w, s);
        sip_build_end(&w);
    }
    return sip_build_done(&w, door == TYPE ? s : STR("a/b"), STR("body"), &out);
}

static void test_injection(void **state)
{
    static const struct str texts[] = {
        STR_INIT("a\r\nEvil: 1"), STR_INIT("a\nEvil: 1"),  STR_INIT("a\rEvil: 1"),
        STR_INIT("a\0b"),         STR_INIT("\r\n"),        STR_INIT("\n"),
        STR_INIT("a\r\n"),        STR_INIT("a\r\n\r\n b"),
    };
    for (unsigned d = 0; d < DOORS; d++)
        for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
            if (d == TAG || (d == PRINTF && memchr(texts[i].p, 0, texts[i].n)))
                continue;
            if (through((enum door)d, texts[i]) != -EINVAL)
                fail_msg("door %u lets text %u through", d, i);
        }
    assert_int_equal(through(VALUE, STR("fine")), 0);
    assert_int_equal(through(METHOD, STR("IN VITE")), -EINVAL);
    assert_int_equal(through(RURI, STR("sip:a b")), -EINVAL);
    assert_int_equal(through(RURI, STR("sip:a?x=y")), -EINVAL);
    assert_int_equal(through(NAME, STR("X Y")), -EINVAL);
    assert_int_equal(through(NAME, STR("")), -EINVAL);
    assert_int_equal(through(NAME, STR("content-length")), -EINVAL);
    assert_int_equal(through(CSEQ, STR("")), -EINVAL);
}

static void test_misuse(void **state)
{
    struct sip_build w;
    struct str out = STR("kept");
    begin(&w);
    assert_int_equal(sip_build_done(&w, STR_NONE, STR("body"), &out), -EINVAL);
    begin(&w);
    sip_build_hdr(&w, SIP_H_CONTENT_LENGTH, STR("9"));
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), -EINVAL);
    begin(&w);
    sip_build_hdr(&w, SIP_H_OTHER, STR("9"));
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), -EINVAL);
    begin(&w);
    sip_build_cseq(&w, 0x80000000u, STR("INVITE"));
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), -EINVAL);
    begin(&w);
    sip_build_hdr(&w, SIP_H_CONTENT_TYPE, STR("text/plain"));
    assert_int_equal(sip_build_done(&w, STR_NONE, STR("body"), &out), 0);
    out = STR("kept");
    /* Every size of buffer that is too small. */
    for (size_t cap = 0; cap < 60; cap++) {
        sip_build_response(&w, mem, cap, 200, STR_NONE);
        sip_build_hdr_printf(&w, SIP_H_SUBJECT, "%d", 1);
        assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), cap < 49 ? -EMSGSIZE : 0);
    }
}

#define REQ(via)                                                                                   \
    "INVITE sip:b@b SIP/2.0\r\nVia: " via "\r\nVia: SIP/2.0/TCP last\r\nf: <sip:a@a>;tag=1\r\n"    \
    "t: \"B\r\n  b\" <sip:b@b>\r\ni: x\r\nCSeq: 7 INVITE\r\nTimestamp: 54\r\n\r\n"

static struct str answer(struct parsed *p, const char *text, unsigned status, const char *source)
{
    struct sip_build w;
    struct str out;
    struct addr from;
    assert_int_equal(parse_z(p, text), SIP_OK);
    if (source)
        assert_int_equal(addr_parse_port(&from, str_z(source)), 0);
    sip_build_response(&w, mem, sizeof(mem), status, STR_NONE);
    sip_build_response_to(&w, &p->m, status, STR("t9"), source ? &from : NULL);
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), 0);
    parsed_done(p);
    return out;
}

static void via_becomes(const char *text, const char *source, const char *want)
{
    struct parsed p;
    struct str out = answer(&p, text, 200, source);
    assert_int_equal(parse_n(&p, out.p, out.n, true), SIP_OK);
    assert_str(p.m.via.whole, want);
    struct sip_values it = sip_values(&p.m, SIP_H_VIA);
    struct str v, last = STR_NONE;
    while (sip_values_next(&it, &v))
        last = v;
    assert_str(last, "SIP/2.0/TCP last");
    parsed_done(&p);
}

static void test_response_to(void **state)
{
    struct parsed p;
    assert_str(answer(&p, REQ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"), 100, NULL),
               "SIP/2.0 100 Trying\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
               "Via: SIP/2.0/TCP last\r\nFrom: <sip:a@a>;tag=1\r\nTo: \"B b\" <sip:b@b>;tag=t9\r\n"
               "Call-ID: x\r\nCSeq: 7 INVITE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n");
    /* RFC 3261 18.2.1: the same address needs no received, another and a name do. */
    via_becomes(REQ("SIP/2.0/UDP 192.0.2.1:5062;branch=b"), "192.0.2.1:5062",
                "SIP/2.0/UDP 192.0.2.1:5062;branch=b");
    via_becomes(REQ("SIP/2.0/UDP 192.0.2.1;branch=b"), "192.0.2.9:5062",
                "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.9");
    via_becomes(REQ("SIP/2.0/UDP host.test;branch=b"), "[2001:db8::1]:5062",
                "SIP/2.0/UDP host.test;branch=b;received=2001:db8::1");
    /* RFC 3581: rport, with what the peer invented thrown away. */
    via_becomes(REQ("SIP/2.0/UDP 192.0.2.1;rport;branch=b"), "192.0.2.1:6000",
                "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.1;rport=6000");
    via_becomes(REQ("SIP/2.0/UDP 192.0.2.1;received=9.9.9.9;rport=1;branch=b;x"), "192.0.2.7:6000",
                "SIP/2.0/UDP 192.0.2.1;branch=b;x;received=192.0.2.7;rport=6000");
    via_becomes(REQ("SIP/2.0/UDP 192.0.2.1 ;\r\n rport ; branch=b"), "192.0.2.7:6000",
                "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.7;rport=6000");
    via_becomes(REQ("SIP/2.0/UDP 192.0.2.1;branch=b , SIP/2.0/UDP second"), "192.0.2.7:6000",
                "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.7");
}

static void test_unanswerable(void **state)
{
    struct parsed p;
    struct sip_build w;
    struct str out;
    assert_true(parse_z(&p, "INVITE sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n") != SIP_OK);
    sip_build_response(&w, mem, sizeof(mem), 400, STR_NONE);
    sip_build_response_to(&w, &p.m, 400, STR("x"), NULL);
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), -EINVAL);
    parsed_done(&p);
    assert_int_equal(parse_z(&p, REQ("SIP/2.0/UDP a")), SIP_OK);
    sip_build_response(&w, mem, sizeof(mem), 400, STR_NONE);
    sip_build_response_to(&w, &p.m, 400, STR("x;y"), NULL);
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), -EINVAL);
    parsed_done(&p);
}

/* Random text through the doors: refused, or a message that parses and holds the text. */
static void test_property(void **state)
{
    struct rand r;
    rand_seed(&r, 3261);
    static const char pool[] = "ab1 \t\r\n\0\"\\<>@;,:=%&\xC3\xA4()/?";
    unsigned built = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char text[24];
        size_t n = rand_below(&r, sizeof(text));
        for (size_t i = 0; i < n; i++)
            text[i] = pool[rand_below(&r, sizeof(pool) - 1)];
        struct sip_build w;
        struct str out, s = str_of(text, n);
        begin(&w);
        sip_build_hdr(&w, SIP_H_SUBJECT, s);
        sip_build_hdr_name(&w, STR("X-Any"), s);
        if (sip_build_done(&w, STR_NONE, STR_NONE, &out))
            continue;
        built++;
        struct parsed p;
        assert_int_equal(parse_n(&p, out.p, out.n, true), SIP_OK);
        assert_int_equal(p.m.n_hdrs, 9);
        parsed_done(&p);
    }
    assert_true(built > 1000 && built < 19000);
}

static void test_copy(void **state)
{
    static char text[] = REQ("SIP/2.0/UDP a;branch=b");
    struct sip_msg m;
    assert_int_equal(sip_msg_parse(&m, text, sizeof(text) - 1, false), SIP_OK);
    struct sip_build w;
    struct str out;
    sip_build_request(&w, mem, sizeof(mem), STR("INVITE"), STR("sip:x"));
    static const enum sip_hdr_id ids[] = {SIP_H_VIA,     SIP_H_FROM, SIP_H_TO,
                                          SIP_H_CALL_ID, SIP_H_CSEQ, SIP_H_DATE};
    uint64_t before = mem_requests();
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        sip_build_copy(&w, &m, ids[i]);
    assert_int_equal(sip_build_done(&w, STR_NONE, STR_NONE, &out), 0);
    assert_int_equal(mem_requests(), before);
    struct parsed p;
    assert_int_equal(parse_n(&p, out.p, out.n, true), SIP_OK);
    assert_int_equal(p.m.n_hdrs, 7);
    parsed_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),      cmocka_unit_test(test_injection),
        cmocka_unit_test(test_misuse),       cmocka_unit_test(test_response_to),
        cmocka_unit_test(test_unanswerable), cmocka_unit_test(test_property),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
