/* A description from anybody: parsing ends, and what is built from it reads back as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/sdp/oa.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static char out[4 * SDP_MAX_BYTES], again[4 * SDP_MAX_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct sdp *s)
{
    struct addr a;
    uint64_t v;
    (void)!sdp_bandwidth_find(&v, s, NULL, STR("AS"));
    for (unsigned i = 0; i < s->n_media; i++) {
        const struct sdp_media *m = &s->media[i];
        struct sdp_codec codec[SDP_MAX_FORMATS];
        unsigned n = sdp_codec_list(codec, SDP_MAX_FORMATS, m);
        for (unsigned k = 0; k < n; k++) {
            (void)sdp_fmtp_find(codec[k].fmtp, STR("mode"));
            (void)sdp_event_has(codec[k].fmtp, 16);
            (void)sdp_codec_equal(&codec[k], &codec[0]);
        }
        (void)!sdp_media_addr(&a, s, m);
        (void)!sdp_media_rtcp(&a, s, m);
        (void)!sdp_bandwidth_find(&v, s, m, STR("TIAS"));
        (void)sdp_media_held(s, m);
        const struct sdp_line *l = sdp_attr_find(s, m, STR("candidate"));
        while (l)
            l = sdp_attr_next(s, m, l);
    }
}

/* Whatever was chosen and rewritten is a description again, with as many media. */
static void rewrite(const struct sdp *s, struct arena *arena, unsigned keep)
{
    static const struct str names[] = {STR_INIT("opus"), STR_INIT("PCMA"), STR_INIT("PCMU")};
    struct sdp_policy p = {names, 3, keep & 1, keep & 2, keep & 4, keep & 1};
    struct sdp_choice choice;
    struct sdp_stream stream[SDP_MAX_MEDIA];
    struct sdp_rewrite rw = {
        .local = {7, 8, {ADDR_V4, 0, {127, 0, 0, 1}}},
        .choice = &choice,
        .stream = stream,
        .n_streams = SDP_MAX_MEDIA - (keep & 1),
        .keep = keep,
    };
    for (unsigned i = 0; i < SDP_MAX_MEDIA; i++)
        stream[i] = (struct sdp_stream){.rtp = {ADDR_V4, (uint16_t)(20000 + 2 * i), {127, 0, 0, 2}},
                                        .rtcp_port = 30000};
    struct buf b;
    struct sdp r;
    buf_init(&b, out, sizeof(out));
    sdp_choice_make(&choice, s, &p);
    CHECK(sdp_rewrite_build(&b, s, &rw) == 0);
    struct sdp_error err;
    if (sdp_parse(&r, buf_str(&b), arena, &err))
        CHECK(err.reason == SDP_TOO_MANY_ATTRS || err.reason == SDP_TOO_MANY_LINES ||
              err.reason == SDP_TOO_LARGE);
    else
        CHECK(r.n_media == s->n_media);
}

/* What is answered and offered for somebody else reads back, with as many media, and no format that
 * the offer has not. */
static void for_others(const struct sdp *s, const struct sdp *other, struct arena *arena)
{
    static const struct str names[] = {STR_INIT("opus"), STR_INIT("PCMA"), STR_INIT("PCMU")};
    struct sdp_policy policy = {.codec = names, .n_codecs = 3, .keep_video = true};
    struct sdp_stream stream[SDP_MAX_MEDIA];
    struct sdp_local local = {7, 8, {ADDR_V4, 0, {127, 0, 0, 1}}};
    struct buf b;
    struct sdp r;
    for (unsigned i = 0; i < SDP_MAX_MEDIA; i++)
        stream[i] =
            (struct sdp_stream){.rtp = {ADDR_V4, (uint16_t)(20000 + 2 * i), {127, 0, 0, 2}}};
    struct sdp_answer_args answer = {.offer = s,
                                     .other = other,
                                     .local = local,
                                     .policy = &policy,
                                     .stream = stream,
                                     .n_streams = SDP_MAX_MEDIA};
    struct sdp_offer_args offer = {.from = s,
                                   .first = other,
                                   .more = true,
                                   .local = local,
                                   .policy = &policy,
                                   .stream = stream,
                                   .n_streams = SDP_MAX_MEDIA};
    for (unsigned i = 0; i < 2; i++) {
        buf_init(&b, out, sizeof(out));
        if (i ? sdp_offer_build(&b, &offer) : sdp_answer_build(&b, &answer))
            continue;
        struct sdp_error err;
        if (sdp_parse(&r, buf_str(&b), arena, &err)) {
            CHECK(err.reason == SDP_TOO_MANY_ATTRS || err.reason == SDP_TOO_MANY_LINES ||
                  err.reason == SDP_TOO_LARGE || err.reason == SDP_TOO_MANY_FORMATS);
            continue;
        }
        CHECK(r.n_media == s->n_media);
        struct sdp_pair pair = {.local = &r, .remote = s};
        struct sdp_fit_args fit = {.a = pair, .b = {.local = other, .remote = other}};
        (void)sdp_fit(&fit);
        (void)sdp_same_session(&pair, other);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct sdp a, b;
    struct sdp_error err;
    arena_init(&arena, 0);
    if (sdp_parse(&a, str_of((const char *)data, size), &arena, &err) == 0) {
        struct buf first, second;
        look(&a);
        buf_init(&first, out, sizeof(out));
        buf_init(&second, again, sizeof(again));
        CHECK(sdp_build(&first, &a) == 0);
        if (first.n <= SDP_MAX_BYTES) {
            CHECK(sdp_parse(&b, buf_str(&first), &arena, &err) == 0);
            CHECK(sdp_equal_but_origin(&a, &b) && sdp_origin_equal(&a, &b));
            CHECK(sdp_build(&second, &b) == 0);
            CHECK(str_eq(buf_str(&first), buf_str(&second)));
        }
        rewrite(&a, &arena, size & 7);
        for_others(&a, &a, &arena);
        static const char phone[] =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n"
            "t=0 0\r\nm=audio 4000 RTP/AVP 107 8 101\r\n"
            "a=rtpmap:107 opus/48000/2\r\n"
            "a=rtpmap:101 telephone-event/8000\r\n";
        CHECK(sdp_parse(&b, STR(phone), &arena, &err) == 0);
        for_others(&a, &b, &arena);
    } else {
        CHECK(err.position <= size && err.reason != SDP_OK);
    }
    arena_done(&arena);
    return 0;
}
