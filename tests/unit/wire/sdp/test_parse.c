#include "unit/wire/sdp/sdp_test.h"

#include <errno.h>
#include <stdio.h>

static const char rfc8866[] = "v=0\r\n"
                              "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n"
                              "s=Call to John Smith\r\n"
                              "i=SDP Offer #1\r\n"
                              "u=http://www.jdoe.example.com/home.html\r\n"
                              "e=Jane Doe <jane@jdoe.example.com>\r\n"
                              "p=+1 617 555-6011\r\n"
                              "c=IN IP4 198.51.100.1\r\n"
                              "b=X-YZ:128\r\n"
                              "t=3724394400 3724398000\r\n"
                              "a=recvonly\r\n"
                              "m=audio 49170/2 RTP/AVP 0 96\r\n"
                              "b=AS:64\r\n"
                              "a=rtpmap:96 L16/16000\r\n"
                              "a=ptime:30\r\n"
                              "a=maxptime:60\r\n"
                              "a=sendonly\r\n"
                              "m=video 51372 RTP/SAVP 99\r\n"
                              "c=IN IP6 2001:db8::2\r\n"
                              "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n"
                              "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:abd\r\n"
                              "a=candidate:1 1 UDP 1 192.0.2.3 9 typ host\r\n"
                              "a=mid:v1\r\n"
                              "a=label:main\r\n"
                              "a=rtcp-mux\r\n"
                              "a=setup:actpass\r\n";

static void types_session(void **state)
{
    struct sdp s = must_parse(*state, rfc8866);
    uint64_t kbps;
    assert_text(s.origin.user, "jdoe");
    assert_text(s.origin.id, "3724394400");
    assert_text(s.origin.version, "3724394405");
    assert_text(s.origin.type, "IP4");
    assert_text(s.origin.host, "198.51.100.1");
    assert_text(s.name, "Call to John Smith");
    assert_int_equal(s.start, 3724394400u);
    assert_int_equal(s.stop, 3724398000u);
    assert_true(s.has_conn && s.has_dir);
    assert_int_equal(s.dir, SDP_RECVONLY);
    assert_int_equal(s.n_lines, 11);
    assert_int_equal(s.n_media, 2);
    assert_int_equal(sdp_bandwidth_find(&kbps, &s, NULL, STR("X-YZ")), 0);
    assert_int_equal(kbps, 128);
    assert_int_equal(sdp_bandwidth_find(&kbps, &s, &s.media[0], STR("AS")), 0);
    assert_int_equal(kbps, 64);
    assert_int_equal(sdp_bandwidth_find(&kbps, &s, &s.media[1], STR("AS")), -ENOENT);
}

static void types_media(void **state)
{
    struct sdp s = must_parse(*state, rfc8866);
    const struct sdp_media *a = &s.media[0], *v = &s.media[1];
    assert_int_equal(a->kind, SDP_AUDIO);
    assert_int_equal(a->port, 49170);
    assert_int_equal(a->port_count, 2);
    assert_int_equal(a->n_formats, 2);
    assert_text(a->format[1], "96");
    assert_int_equal(a->ptime_ms, 30);
    assert_int_equal(a->maxptime_ms, 60);
    assert_int_equal(a->dir, SDP_SENDONLY);
    assert_true(a->rtp && !a->secure && !a->rtcp_mux);
    assert_int_equal(v->kind, SDP_VIDEO);
    assert_text(v->proto, "RTP/SAVP");
    assert_true(v->secure && v->rtcp_mux);
    assert_int_equal(v->n_crypto, 2);
    assert_int_equal(v->n_candidates, 1);
    assert_text(v->mid, "v1");
    assert_text(v->label, "main");
    assert_text(v->setup, "actpass");
    const struct sdp_line *l = sdp_attr_find(&s, v, STR("crypto"));
    assert_text(sdp_attr_arg(l), "1 AES_CM_128_HMAC_SHA1_80 inline:abc");
    l = sdp_attr_next(&s, v, l);
    assert_text(sdp_attr_arg(l), "2 AES_CM_128_HMAC_SHA1_32 inline:abd");
    assert_null(sdp_attr_next(&s, v, l));
    assert_null(sdp_attr_find(&s, a, STR("crypto")));
    assert_null(sdp_attr_arg(sdp_attr_find(&s, v, STR("rtcp-mux"))).p);
}

static void inherits_address_and_direction(void **state)
{
    struct sdp s = must_parse(*state, rfc8866);
    struct addr a, want;
    assert_int_equal(sdp_media_addr(&a, &s, &s.media[0]), 0);
    assert_int_equal(addr_parse(&want, STR("198.51.100.1"), 49170), 0);
    assert_true(addr_eq(&a, &want));
    assert_int_equal(sdp_media_rtcp(&a, &s, &s.media[0]), 0);
    assert_int_equal(a.port, 49171);
    assert_int_equal(sdp_media_addr(&a, &s, &s.media[1]), 0);
    assert_int_equal(addr_parse(&want, STR("2001:db8::2"), 51372), 0);
    assert_true(addr_eq(&a, &want));
    assert_int_equal(sdp_media_rtcp(&a, &s, &s.media[1]), 0);
    assert_true(addr_eq(&a, &want));
    assert_int_equal(sdp_media_dir(&s, &s.media[0]), SDP_SENDONLY);
    assert_int_equal(sdp_media_dir(&s, &s.media[1]), SDP_RECVONLY);
    assert_true(sdp_media_held(&s, &s.media[0]));
    assert_false(sdp_media_held(&s, &s.media[1]));
}

static void rtcp_attribute(void **state)
{
    struct sdp s = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:53020\r\n"
                                               "m=audio 4002 RTP/AVP 0\r\n"
                                               "a=rtcp:53022 IN IP6 2001:db8::9\r\n");
    struct addr a, want;
    assert_int_equal(sdp_media_rtcp(&a, &s, &s.media[0]), 0);
    assert_int_equal(addr_parse(&want, STR("192.0.2.1"), 53020), 0);
    assert_true(addr_eq(&a, &want));
    assert_int_equal(sdp_media_rtcp(&a, &s, &s.media[1]), 0);
    assert_int_equal(addr_parse(&want, STR("2001:db8::9"), 53022), 0);
    assert_true(addr_eq(&a, &want));
}

static void connection_forms(void **state)
{
    struct sdp s = must_parse(*state, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n"
                                      "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127/3\r\n"
                                      "m=audio 4000 RTP/AVP 0\r\nc=IN IP6 ff00::db8:0:101/3\r\n"
                                      "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 pc.example.com\r\n"
                                      "m=audio 4000 RTP/AVP 0\r\n");
    struct addr a = {.port = 1};
    assert_int_equal(s.media[0].conn.ttl, 127);
    assert_int_equal(s.media[0].conn.count, 3);
    assert_true(addr_is_multicast(&s.media[0].conn.addr));
    assert_int_equal(s.media[1].conn.ttl, 0);
    assert_int_equal(s.media[1].conn.count, 3);
    assert_int_equal(sdp_media_addr(&a, &s, &s.media[2]), -EADDRNOTAVAIL);
    assert_text(s.media[2].conn.host, "pc.example.com");
    assert_int_equal(sdp_media_addr(&a, &s, &s.media[3]), -ENOENT);
    assert_int_equal(a.port, 1);
}

static void unspecified_address_is_hold(void **state)
{
    struct sdp s = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"
                                               "m=audio 4000 RTP/AVP 0\r\nc=IN IP6 ::\r\n"
                                               "a=recvonly\r\n"
                                               "m=audio 4000 RTP/AVP 0\r\n");
    assert_int_equal(sdp_media_dir(&s, &s.media[0]), SDP_SENDONLY);
    assert_int_equal(sdp_media_dir_line(&s, &s.media[0]), SDP_SENDRECV);
    assert_int_equal(sdp_media_dir(&s, &s.media[1]), SDP_INACTIVE);
    assert_int_equal(sdp_media_dir(&s, &s.media[2]), SDP_SENDRECV);
}

static void directions_combine(void **state)
{
    static const enum sdp_dir reverse[] = {SDP_SENDRECV, SDP_RECVONLY, SDP_SENDONLY, SDP_INACTIVE};
    for (int d = 0; d < 4; d++) {
        assert_int_equal(sdp_dir_reverse((enum sdp_dir)d), reverse[d]);
        assert_int_equal(sdp_dir_and((enum sdp_dir)d, SDP_SENDRECV), d);
        assert_int_equal(sdp_dir_and((enum sdp_dir)d, SDP_INACTIVE), SDP_INACTIVE);
    }
    assert_int_equal(sdp_dir_and(SDP_SENDONLY, SDP_RECVONLY), SDP_INACTIVE);
    assert_text(sdp_dir_text(SDP_RECVONLY), "recvonly");
}

static const struct {
    const char *text;
    int err;
    enum sdp_reason reason;
    size_t position;
} bad[] = {
    {"", -EBADMSG, SDP_BAD_VERSION, 0},
    {"hello", -EBADMSG, SDP_BAD_VERSION, 0},
    {"v=1\r\n", -EBADMSG, SDP_BAD_VERSION, 0},
    {"s=-\r\nv=0\r\n", -EBADMSG, SDP_BAD_VERSION, 0},
    {"v=0\r\nv=0\r\n", -EBADMSG, SDP_BAD_VERSION, 5},
    {"v=0\r\n", -EBADMSG, SDP_NO_ORIGIN, 5},
    {"v=0\r\no=- 1 1 IN IP4\r\n", -EBADMSG, SDP_BAD_ORIGIN, 5},
    {"v=0\r\no=- 1 1 IN IP4 h x\r\n", -EBADMSG, SDP_BAD_ORIGIN, 5},
    {"v=0\r\no=- 1 1 IN IP4 h\r\no=- 1 1 IN IP4 h\r\n", -EBADMSG, SDP_BAD_ORIGIN, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4\r\n", -EBADMSG, SDP_BAD_CONNECTION, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 224.0.0.9/300\r\n", -EBADMSG, SDP_BAD_CONNECTION, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nt=0\r\n", -EBADMSG, SDP_BAD_TIME, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nt=x 0\r\n", -EBADMSG, SDP_BAD_TIME, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio\r\n", -EBADMSG, SDP_BAD_MEDIA, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 9 RTP/AVP\r\n", -EBADMSG, SDP_BAD_MEDIA, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 65536 RTP/AVP 0\r\n", -EBADMSG, SDP_BAD_PORT, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 9/0 RTP/AVP 0\r\n", -EBADMSG, SDP_BAD_PORT, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio -1 RTP/AVP 0\r\n", -EBADMSG, SDP_BAD_PORT, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\n\r\ns=-\r\n", -EBADMSG, SDP_BAD_LINE, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\ns\r\n", -EBADMSG, SDP_BAD_LINE, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\ns =x\r\n", -EBADMSG, SDP_BAD_LINE, 23},
    {"v=0\r\no=- 1 1 IN IP4 h\r\ns=a\rb\r\n", -EBADMSG, SDP_BAD_LINE, 23},
};

static void refuses_with_a_place(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct sdp s = {.n_media = 77};
        struct sdp_error err = {0};
        assert_int_equal(sdp_parse(&s, str_z(bad[i].text), *state, &err), bad[i].err);
        if (err.reason != bad[i].reason || err.position != bad[i].position)
            print_error("case %u: reason %d at %zu\n", i, err.reason, err.position);
        assert_int_equal(err.reason, bad[i].reason);
        assert_int_equal(err.position, bad[i].position);
        assert_int_equal(s.n_media, 77);
        assert_int_equal(sdp_parse(&s, str_z(bad[i].text), *state, NULL), bad[i].err);
    }
    struct sdp s;
    assert_int_equal(sdp_parse(&s, STR("v=0\r\no=- 1 1 IN IP4 h\r\ns=a\0b\r\n"), *state, NULL),
                     -EBADMSG);
    for (unsigned r = 0; r < SDP_REASON_COUNT; r++)
        assert_true(sdp_reason_text((enum sdp_reason)r).n > 0);
}

static void tolerates(void **state)
{
    /* LF alone, no s= and t=, no end of the last line. */
    struct sdp s = must_parse(*state, "v=0\no=- 1 1 IN IP4 h\nm=audio 9 RTP/AVP 0\na=sendonly");
    assert_int_equal(s.n_media, 1);
    assert_null(s.name.p);
    assert_int_equal(s.media[0].dir, SDP_SENDONLY);
    /* Blank lines at the end; a stream that is off without formats; unknown types and order. */
    s = must_parse(*state,
                   "v=0\r\na=x\r\no=- 1 1 IN IP4 h\r\nm=video 0 RTP/AVP\r\nx=y\r\n\r\n \r\n");
    assert_int_equal(s.media[0].n_formats, 0);
    assert_int_equal(s.media[0].n_lines, 2);
}

static struct str repeated(char *out, size_t cap, const char *line, unsigned times)
{
    struct buf b;
    buf_init(&b, out, cap);
    buf_z(&b, SDP_HEAD);
    for (unsigned i = 0; i < times; i++)
        buf_z(&b, line);
    assert_false(b.full);
    return buf_str(&b);
}

static void limits(void **state)
{
    static char text[70000];
    static const struct {
        const char *line;
        unsigned most;
        enum sdp_reason reason;
    } limit[] = {
        {"m=audio 9 RTP/AVP 0\r\n", SDP_MAX_MEDIA, SDP_TOO_MANY_MEDIA},
        {"a=x\r\n", SDP_MAX_ATTRS, SDP_TOO_MANY_ATTRS},
        {"i=x\r\n", SDP_MAX_LINES - 4, SDP_TOO_MANY_LINES},
    };
    struct sdp s;
    struct sdp_error err;
    for (unsigned i = 0; i < ARRAY_LEN(limit); i++) {
        struct str ok = repeated(text, sizeof(text), limit[i].line, limit[i].most);
        assert_int_equal(sdp_parse(&s, ok, *state, &err), 0);
        struct str over = repeated(text, sizeof(text), limit[i].line, limit[i].most + 1);
        assert_int_equal(sdp_parse(&s, over, *state, &err), -E2BIG);
        assert_int_equal(err.reason, limit[i].reason);
        assert_int_equal(err.position, over.n - strlen(limit[i].line));
    }
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_z(&b, SDP_HEAD "m=audio 9 RTP/AVP");
    for (unsigned i = 0; i <= SDP_MAX_FORMATS; i++) {
        assert_int_equal(sdp_parse(&s, buf_str(&b), *state, &err), i ? 0 : -EBADMSG);
        buf_z(&b, " 0");
    }
    assert_int_equal(sdp_parse(&s, buf_str(&b), *state, &err), -E2BIG);
    assert_int_equal(err.reason, SDP_TOO_MANY_FORMATS);
    memset(text, 'a', sizeof(text));
    assert_int_equal(sdp_parse(&s, str_of(text, SDP_MAX_BYTES + 1), *state, &err), -E2BIG);
    assert_int_equal(err.reason, SDP_TOO_LARGE);
}

/* Every section as full as it may be, and one line more. */
static void everything_full(void **state)
{
    static char text[70000];
    struct buf b;
    struct sdp s;
    struct sdp_error err;
    buf_init(&b, text, sizeof(text));
    buf_z(&b, "v=0\no=1 1 1 1 1 1\n");
    for (unsigned m = 0; m <= SDP_MAX_MEDIA; m++) {
        if (m)
            buf_z(&b, "m=a 0 b\n");
        for (unsigned i = m ? 0 : 1; i < SDP_MAX_LINES; i++)
            buf_z(&b, "x=\n");
        for (unsigned i = 0; i < SDP_MAX_ATTRS; i++)
            buf_z(&b, "a=\n");
    }
    assert_false(b.full);
    assert_int_equal(sdp_parse(&s, buf_str(&b), *state, &err), 0);
    buf_z(&b, "a=\n");
    assert_int_equal(sdp_parse(&s, buf_str(&b), *state, &err), -E2BIG);
}

static void compares(void **state)
{
    struct sdp a = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\n");
    struct sdp b = must_parse(*state, "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\n"
                                      "c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
    struct sdp c = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n");
    struct sdp d = must_parse(*state, SDP_HEAD);
    assert_true(sdp_equal_but_origin(&a, &a) && sdp_origin_equal(&a, &a));
    assert_true(sdp_equal_but_origin(&a, &b));
    assert_false(sdp_origin_equal(&a, &b));
    assert_false(sdp_equal_but_origin(&a, &c));
    assert_false(sdp_equal_but_origin(&a, &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sdp_unit(types_session),
        sdp_unit(types_media),
        sdp_unit(inherits_address_and_direction),
        sdp_unit(rtcp_attribute),
        sdp_unit(connection_forms),
        sdp_unit(unspecified_address_is_hold),
        sdp_unit(directions_combine),
        sdp_unit(refuses_with_a_place),
        sdp_unit(tolerates),
        sdp_unit(limits),
        sdp_unit(everything_full),
        sdp_unit(compares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
