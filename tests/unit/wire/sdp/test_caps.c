#include "unit/wire/sdp/sdp_test.h"

#include <errno.h>

static const struct str codecs[] = {STR_INIT("opus"), STR_INIT("G722"), STR_INIT("PCMU"),
                                    STR_INIT("PCMA")};

static const char phone[] =
    "v=0\r\no=bob 20 21 IN IP4 10.20.0.41\r\ns=SDP data\r\n"
    "c=IN IP4 10.20.0.41\r\nb=AS:80\r\nt=0 0\r\n"
    "a=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=ice-ufrag:x\r\n"
    "a=X-session:kept\r\n"
    "m=audio 11820 RTP/AVP 0 18 8 96 101 13\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n"
    "a=fmtp:18 annexb=no\r\na=rtpmap:96 opus/48000/2\r\n"
    "a=rtcp-fb:* nack\r\na=rtcp-fb:18 nack\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a=rtcp:4444\r\na=rtcp-mux\r\na=candidate:1 1 UDP 1 10.0.0.1 1 typ host\r\n"
    "a=ptime:20\r\na=X-media:kept\r\na=sendrecv\r\na=mid:0\r\n"
    "m=video 11822 RTP/AVP 99\r\nb=AS:500\r\na=rtpmap:99 H264/90000\r\n"
    "a=mid:1\r\n";

static void chooses_in_the_order_of_the_author(void **state)
{
    struct sdp s = must_parse(*state, phone);
    struct sdp_policy p = {.codec = codecs, .n_codecs = 4};
    struct sdp_choice c;
    static const uint8_t theirs[] = {0, 2, 3, 4, 5}, ours[] = {3, 0, 2, 4, 5};
    assert_int_equal(sdp_choice_make(&c, &s, &p), 1);
    assert_int_equal(c.media[0].n, 5);
    assert_memory_equal(c.media[0].format, theirs, 5);
    assert_false(c.media[0].refused);
    assert_true(c.media[1].refused);
    p.own_order = true;
    p.keep_video = true;
    assert_int_equal(sdp_choice_make(&c, &s, &p), 2);
    assert_memory_equal(c.media[0].format, ours, 5);
    p.n_codecs = 0;
    assert_int_equal(sdp_choice_make(&c, &s, &p), 2);
    assert_int_equal(c.media[0].n, 6);
}

static void nothing_in_common(void **state)
{
    struct sdp s = must_parse(*state, phone);
    struct sdp_policy p = {.codec = &codecs[1], .n_codecs = 1};
    struct sdp_choice c;
    assert_int_equal(sdp_choice_make(&c, &s, &p), 0);
    assert_true(c.media[0].refused);
    /* Tones alone are no call. */
    s = must_parse(*state,
                   SDP_HEAD "m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    p = (struct sdp_policy){.codec = codecs, .n_codecs = 4};
    assert_int_equal(sdp_choice_make(&c, &s, &p), 0);
    /* A stream the author has switched off does not make a call either. */
    s = must_parse(*state, SDP_HEAD "m=audio 0 RTP/AVP 0\r\n");
    assert_int_equal(sdp_choice_make(&c, &s, &p), 0);
    assert_false(c.media[0].refused);
}

static void keys_and_strangers_need_leave(void **state)
{
    struct sdp s = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/SAVP 0\r\n"
                                               "m=application 9 TCP/MRCPv2 1\r\n"
                                               "m=audio 4002 udptl t38\r\n");
    struct sdp_policy p = {.codec = codecs, .n_codecs = 4};
    struct sdp_choice c;
    assert_int_equal(sdp_choice_make(&c, &s, &p), 0);
    p.keep_secure = true;
    assert_int_equal(sdp_choice_make(&c, &s, &p), 1);
    p.keep_other = true;
    assert_int_equal(sdp_choice_make(&c, &s, &p), 3);
}

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;
    assert_int_equal(addr_parse(&a, str_z(text), port), 0);
    return a;
}

static struct str rewrite(const struct sdp *s, struct sdp_rewrite rw)
{
    static char out[8192];
    struct buf b;
    rw.local = (struct sdp_local){7, 9, ip("203.0.113.7", 0)};
    buf_init(&b, out, sizeof(out));
    assert_int_equal(sdp_rewrite_build(&b, s, &rw), 0);
    return buf_str(&b);
}

static void rewrites_for_the_other_leg(void **state)
{
    struct sdp s = must_parse(*state, phone);
    struct sdp_policy p = {.codec = codecs, .n_codecs = 4};
    struct sdp_choice c;
    struct sdp_stream st = {.rtp = ip("203.0.113.7", 20000), .rtcp_port = 20001};
    assert_int_equal(sdp_choice_make(&c, &s, &p), 1);
    struct sdp_rewrite rw = {.choice = &c, .stream = &st, .n_streams = 1};
    assert_text(rewrite(&s, rw),
                "v=0\r\no=- 7 9 IN IP4 203.0.113.7\r\ns=SDP data\r\nc=IN IP4 203.0.113.7\r\n"
                "b=AS:80\r\nt=0 0\r\na=group:LS 0 1\r\na=X-session:kept\r\n"
                "m=audio 20000 RTP/AVP 0 8 96 101 13\r\na=rtpmap:0 PCMU/8000\r\n"
                "a=rtpmap:96 opus/48000/2\r\na=rtcp-fb:* nack\r\n"
                "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
                "a=X-media:kept\r\na=sendrecv\r\na=mid:0\r\n"
                "m=video 0 RTP/AVP 99\r\na=mid:1\r\n");
}

static void places_addresses_where_they_differ(void **state)
{
    struct sdp s = must_parse(*state, "v=0\r\no=- 1 1 IN IP4 h\r\na=x\r\n"
                                      "m=audio 4000 RTP/AVP 0\r\ni=title\r\nb=AS:64\r\n"
                                      "m=audio 4002 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n"
                                      "m=audio 4004 RTP/AVP 0\r\n"
                                      "m=audio 0 RTP/AVP\r\n");
    struct sdp_stream st[] = {
        {.rtp = ip("2001:db8::7", 20000)},
        {.rtp = ip("203.0.113.7", 20002), .rtcp_port = 20009},
        {.rtp = ip("203.0.113.8", 20004), .set_dir = true, .dir = SDP_INACTIVE},
    };
    struct sdp_rewrite rw = {.stream = st, .n_streams = 3};
    assert_text(
        rewrite(&s, rw),
        "v=0\r\no=- 7 9 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\na=x\r\n"
        "m=audio 20000 RTP/AVP 0\r\ni=title\r\nc=IN IP6 2001:db8::7\r\nb=AS:64\r\n"
        "m=audio 20002 RTP/AVP 0\r\na=rtcp:20009\r\n"
        "m=audio 20004 RTP/AVP 0\r\nc=IN IP4 203.0.113.8\r\na=inactive\r\n"
        "m=audio 0 RTP/AVP 0\r\n");
}

static void old_hold_becomes_a_direction(void **state)
{
    struct sdp s = must_parse(*state, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 0.0.0.0\r\n"
                                      "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n");
    struct sdp_stream st = {.rtp = ip("203.0.113.7", 20000)};
    struct sdp_rewrite rw = {.stream = &st, .n_streams = 1};
    assert_text(rewrite(&s, rw),
                "v=0\r\no=- 7 9 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n"
                "m=audio 20000 RTP/AVP 0\r\na=sendonly\r\n");
}

static void flags_let_lines_pass(void **state)
{
    struct sdp s =
        must_parse(*state, SDP_HEAD "k=clear:x\r\na=ice-lite\r\na=fingerprint:sha-1 AA\r\n"
                                    "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 x\r\n"
                                    "a=setup:active\r\na=rtcp-mux\r\na=candidate:1\r\n"
                                    "m=application 9 TCP/MRCPv2 1\r\na=setup:active\r\n");
    struct sdp_stream st[2] = {{.rtp = ip("203.0.113.7", 20000)}, {.rtp = ip("203.0.113.7", 9)}};
    struct sdp_rewrite rw = {.stream = st, .n_streams = 2};
#define HEAD7 "v=0\r\no=- 7 9 IN IP4 203.0.113.7\r\ns=-\r\nc=IN IP4 203.0.113.7\r\nt=0 0\r\n"
#define MRCP  "m=application 9 TCP/MRCPv2 1\r\na=setup:active\r\n"
    assert_text(rewrite(&s, rw), HEAD7 "m=audio 20000 RTP/SAVP 0\r\n" MRCP);
    rw.keep = SDP_KEEP_KEYS;
    assert_text(rewrite(&s, rw), HEAD7 "k=clear:x\r\na=fingerprint:sha-1 AA\r\n"
                                       "m=audio 20000 RTP/SAVP 0\r\na=crypto:1 x\r\n"
                                       "a=setup:active\r\n" MRCP);
    rw.keep = SDP_KEEP_ICE | SDP_KEEP_MUX;
    assert_text(rewrite(&s, rw), HEAD7 "a=ice-lite\r\nm=audio 20000 RTP/SAVP 0\r\na=rtcp-mux\r\n"
                                       "a=candidate:1\r\n" MRCP);
    rw.keep = 0;
    st[0].mux = true;
    st[0].rtcp_port = 20009; /* RFC 5761 section 5.1.1: the RTP port it is */
    assert_text(rewrite(&s, rw), HEAD7 "m=audio 20000 RTP/SAVP 0\r\na=rtcp-mux\r\n" MRCP);
    st[0].mux = false;
    assert_text(rewrite(&s, rw), HEAD7 "m=audio 20000 RTP/SAVP 0\r\na=rtcp:20009\r\n" MRCP);
}

static void rewrite_reports_a_small_buffer(void **state)
{
    struct sdp s = must_parse(*state, phone);
    struct sdp_rewrite rw = {.local = {7, 9, ip("203.0.113.7", 0)}};
    char out[512];
    struct buf b;
    buf_init(&b, out, sizeof(out));
    assert_int_equal(sdp_rewrite_build(&b, &s, &rw), 0);
    size_t whole = b.n;
    for (size_t cap = 0; cap < whole; cap++) {
        buf_init(&b, out, cap);
        assert_int_equal(sdp_rewrite_build(&b, &s, &rw), -ENOBUFS);
        assert_int_equal(b.n, 0);
    }
}

static void makes_one_of_its_own(void **state)
{
    char out[1024];
    struct buf b;
    struct sdp_caps c = {
        .local = {1, 2, ip("192.0.2.9", 0)},
        .codec = codecs,
        .n_codecs = 4,
        .dir = SDP_SENDONLY,
        .ptime_ms = 20,
        .rtp = ip("2001:db8::9", 4000),
    };
    buf_init(&b, out, sizeof(out));
    assert_int_equal(sdp_caps_build(&b, &c), 0);
    assert_text(buf_str(&b),
                "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP6 2001:db8::9\r\nt=0 0\r\n"
                "m=audio 4000 RTP/AVP 96 9 0 8 101\r\na=rtpmap:96 opus/48000/2\r\n"
                "a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
                "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
                "a=sendonly\r\n");
    size_t whole = b.n;
    must_parse(*state, arena_dup(*state, buf_str(&b)).p);
    for (size_t cap = 0; cap < whole; cap++) {
        buf_init(&b, out, cap);
        assert_int_equal(sdp_caps_build(&b, &c), -ENOBUFS);
        assert_int_equal(b.n, 0);
    }
    static const struct str unknown[] = {STR_INIT("nonesuch"), STR_INIT("telephone-event")};
    c.codec = unknown;
    c.n_codecs = 2;
    assert_int_equal(sdp_caps_build(&b, &c), -ENOENT);
}

/* Dynamic types are never given twice, 101 least of all. */
static void payload_types_differ(void **state)
{
    static const struct str many[] = {
        STR_INIT("opus"),
        STR_INIT("telephone-event"),
        STR_INIT("iLBC"),
        STR_INIT("speex"),
        STR_INIT("AMR"),
        STR_INIT("AMR-WB"),
        STR_INIT("G726-32"),
        STR_INIT("L16/16000"),
        STR_INIT("telephone-event"),
        STR_INIT("L16/8000"),
    };
    char out[2048];
    struct buf b;
    struct sdp_caps c = {.local = {1, 2, ip("192.0.2.9", 0)}, .codec = many, .n_codecs = 10};
    buf_init(&b, out, sizeof(out));
    assert_int_equal(sdp_caps_build(&b, &c), 0);
    struct sdp s;
    assert_int_equal(sdp_parse(&s, buf_str(&b), *state, NULL), 0);
    struct sdp_codec list[16];
    unsigned n = sdp_codec_list(list, 16, &s.media[0]);
    assert_int_equal(n, 9);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(list[i].pt, list[k].pt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sdp_unit(chooses_in_the_order_of_the_author),
        sdp_unit(nothing_in_common),
        sdp_unit(keys_and_strangers_need_leave),
        sdp_unit(rewrites_for_the_other_leg),
        sdp_unit(places_addresses_where_they_differ),
        sdp_unit(old_hold_becomes_a_direction),
        sdp_unit(flags_let_lines_pass),
        sdp_unit(rewrite_reports_a_small_buffer),
        sdp_unit(makes_one_of_its_own),
        sdp_unit(payload_types_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
