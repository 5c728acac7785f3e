#include "unit/wire/sdp/sdp_test.h"

#include <errno.h>

static void static_types(void **state)
{
    static const struct {
        uint8_t pt;
        const char *name;
        uint32_t clock;
    } want[] = {{0, "PCMU", 8000},  {3, "GSM", 8000},    {8, "PCMA", 8000},
                {9, "G722", 8000},  {13, "CN", 8000},    {18, "G729", 8000},
                {10, "L16", 44100}, {31, "H261", 90000}, {34, "H263", 90000}};
    struct sdp_codec c;
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(sdp_codec_static(&c, want[i].pt), 0);
        assert_text(c.name, want[i].name);
        assert_int_equal(c.clock, want[i].clock);
    }
    assert_int_equal(sdp_codec_static(&c, 1), -ENOENT);
    assert_int_equal(sdp_codec_static(&c, 96), -ENOENT);
    assert_int_equal(sdp_codec_static(&c, SDP_NO_PT), -ENOENT);
}

static void names(void **state)
{
    struct sdp_codec c;
    assert_int_equal(sdp_codec_find(&c, STR("OPUS")), 0);
    assert_int_equal(c.clock, 48000);
    assert_int_equal(c.channels, 2);
    assert_int_equal(c.pt, SDP_NO_PT);
    assert_int_equal(sdp_codec_find(&c, STR("L16/44100/1")), 0);
    assert_int_equal(c.pt, 11);
    assert_int_equal(sdp_codec_find(&c, STR("L16")), 0);
    assert_int_equal(c.clock, 16000);
    assert_int_equal(c.pt, SDP_NO_PT);
    assert_int_equal(sdp_codec_find(&c, STR("nonesuch")), -ENOENT);
    assert_int_equal(sdp_codec_find(&c, STR("PCMU/x")), -ENOENT);
    assert_int_equal(sdp_codec_parse(&c, STR("G7221/16000"), 102), 0);
    assert_true(sdp_codec_matches(&c, STR("g7221")));
    assert_true(sdp_codec_matches(&c, STR("G7221/16000/1")));
    assert_false(sdp_codec_matches(&c, STR("G7221/32000")));
    assert_int_equal(sdp_codec_parse(&c, STR("G7221"), 102), -EINVAL);
    assert_int_equal(sdp_codec_parse(&c, STR("/8000"), 102), -EINVAL);
    assert_int_equal(sdp_codec_parse(&c, STR("a/8000/0"), 102), -EINVAL);
}

static void lists(void **state)
{
    struct sdp s = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0 96 97 x 18 200 99\r\n"
                                               "a=fmtp:96 useinbandfec=1;stereo=0\r\n"
                                               "a=rtpmap:96 opus/48000/2\r\n"
                                               "a=rtpmap:97 broken\r\n"
                                               "a=rtpmap:18  G729/8000\r\n"
                                               "a=fmtp:18 annexb=no\r\n");
    struct sdp_codec c[8];
    assert_int_equal(sdp_codec_list(c, 8, &s.media[0]), 5);
    assert_text(c[0].name, "PCMU");
    assert_null(c[0].fmtp.p);
    assert_text(c[1].name, "opus");
    assert_int_equal(c[1].channels, 2);
    assert_text(c[1].fmtp, "useinbandfec=1;stereo=0");
    assert_null(c[2].name.p);
    assert_int_equal(c[2].pt, 97);
    assert_text(c[3].name, "G729");
    assert_text(c[3].fmtp, "annexb=no");
    assert_null(c[4].name.p);
    assert_int_equal(sdp_codec_list(c, 2, &s.media[0]), 2);
    assert_int_equal(sdp_codec_get(&c[0], &s.media[0], 7), -EINVAL);
}

static void an_rtpmap_overrides_the_table(void **state)
{
    struct sdp s = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 9\r\na=rtpmap:9 X/16000\r\n");
    struct sdp_codec c;
    assert_int_equal(sdp_codec_get(&c, &s.media[0], 0), 0);
    assert_text(c.name, "X");
    assert_int_equal(c.clock, 16000);
}

static void parameters(void **state)
{
    struct str f = STR("profile-level-id=42e01f; Packetization-Mode=1;flag;x=");
    assert_text(sdp_fmtp_find(f, STR("packetization-mode")), "1");
    assert_text(sdp_fmtp_find(f, STR("profile-level-id")), "42e01f");
    assert_int_equal(sdp_fmtp_find(f, STR("flag")).n, 0);
    assert_non_null(sdp_fmtp_find(f, STR("flag")).p);
    assert_non_null(sdp_fmtp_find(f, STR("x")).p);
    assert_null(sdp_fmtp_find(f, STR("y")).p);
    assert_null(sdp_fmtp_find(STR_NONE, STR("y")).p);
}

static void events(void **state)
{
    assert_true(sdp_event_has(STR_NONE, 15));
    assert_false(sdp_event_has(STR_NONE, 16));
    assert_true(sdp_event_has(STR("0-11,16 , 32-36"), 16));
    assert_true(sdp_event_has(STR("0-11,16 , 32-36"), 36));
    assert_false(sdp_event_has(STR("0-11,16"), 12));
    assert_false(sdp_event_has(STR("a-b,-,,"), 0));
}

static void equality(void **state)
{
    struct sdp_codec a, b;
    assert_int_equal(sdp_codec_parse(&a, STR("H264/90000"), 96), 0);
    assert_int_equal(sdp_codec_parse(&b, STR("h264/90000"), 97), 0);
    assert_true(sdp_codec_equal(&a, &b));
    a.fmtp = STR("packetization-mode=1");
    assert_false(sdp_codec_equal(&a, &b));
    b.fmtp = STR("x=1;packetization-mode=1");
    assert_true(sdp_codec_equal(&a, &b));
    b.clock = 8000;
    assert_false(sdp_codec_equal(&a, &b));
    a = b = (struct sdp_codec){.pt = 99};
    assert_false(sdp_codec_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sdp_unit(static_types), sdp_unit(names),
        sdp_unit(lists),        sdp_unit(an_rtpmap_overrides_the_table),
        sdp_unit(parameters),   sdp_unit(events),
        sdp_unit(equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
