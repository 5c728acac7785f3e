/* The offer/answer machine: every cell, the six patterns of RFC 6337, and the page
 * docs/offer-answer.md, which is printed from the table (RD_WRITE_PAGES=1 renews it). Then the
 * descriptions that answer and offer for somebody else. */
#include "sdp_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/sdp/oa.h"
#include "wire/sdp/oa_state.h"

#define PAGE       TEST_DATA "/../../docs/offer-answer.md"
#define PAGE_BYTES 8192

/* ---- the table ------------------------------------------------------------------------------- */

static bool is_offer(enum oa_event e)
{
    return e == OA_TX_OFFER || e == OA_RX_OFFER;
}

static bool is_idle(enum oa_state s)
{
    return s == OA_NONE || s == OA_STABLE;
}

/* RFC 3264 section 4: one offer at a time, each answered once by the other side, and what is
 * refused leaves what was. */
static void every_cell_keeps_the_rules(void **state)
{
    for (unsigned s = 0; s < OA_STATES; s++)
        for (unsigned e = 0; e < OA_EVENTS; e++) {
            const struct oa_cell *c = oa_cell((enum oa_state)s, (enum oa_event)e);
            uint8_t now = (uint8_t)s;
            assert_in_range(c->next, 0, OA_STATES - 1);
            assert_int_equal(oa_step(&now, (enum oa_event)e), c->status);
            assert_int_equal(now, c->next);
            if (c->status)
                assert_int_equal(c->next, s);
            if (is_offer((enum oa_event)e))
                assert_int_equal(c->status == 0, is_idle((enum oa_state)s));
            bool ours = s == OA_LOCAL || s == OA_LOCAL_AGAIN;
            bool theirs = s == OA_REMOTE || s == OA_REMOTE_AGAIN;
            if (e == OA_RX_ANSWER)
                assert_int_equal(c->status == 0, ours);
            if (e == OA_TX_ANSWER)
                assert_int_equal(c->status == 0, theirs);
            if (e == OA_RX_OFFER && c->status) /* RFC 3261 14.2, RFC 3311 5.2 */
                assert_int_equal(c->status, ours ? 491 : 500);
            if (e == OA_FAILED) {
                bool held = s == OA_STABLE || s == OA_LOCAL_AGAIN || s == OA_REMOTE_AGAIN;
                assert_int_equal(c->next, held ? OA_STABLE : OA_NONE);
            }
        }
    (void)state;
}

/* RFC 6337 section 2.1: where offers and answers may stand, seen from one side. */
static void the_six_patterns_end_in_agreement(void **state)
{
    static const enum oa_event patterns[][4] = {
        {OA_TX_OFFER, OA_RX_ANSWER, OA_EVENTS},                 /* 1: INVITE, 2xx */
        {OA_RX_OFFER, OA_TX_ANSWER, OA_EVENTS},                 /* 2: 2xx, ACK */
        {OA_TX_OFFER, OA_RX_ANSWER, OA_TX_OFFER, OA_RX_ANSWER}, /* 3, 5: reliable 1xx, PRACK */
        {OA_RX_OFFER, OA_TX_ANSWER, OA_RX_OFFER, OA_TX_ANSWER}, /* 4, 6: 1xx, PRACK, UPDATE */
    };
    for (unsigned i = 0; i < ARRAY_LEN(patterns); i++) {
        uint8_t s = OA_NONE;
        for (unsigned k = 0; k < 4 && patterns[i][k] != OA_EVENTS; k++)
            assert_int_equal(oa_step(&s, patterns[i][k]), 0);
        assert_int_equal(s, OA_STABLE);
        /* The 2xx that repeats the answer of a reliable provisional is no answer. */
        assert_int_not_equal(oa_step(&s, OA_RX_ANSWER), 0);
        assert_int_equal(s, OA_STABLE);
    }
    (void)state;
}

static void page_build(struct buf *b)
{
    buf_lit(b,
            "# Offer and answer\n\n"
            "This page is printed from the table in `src/wire/sdp/oa_state.c` by\n"
            "`tests/unit/wire/sdp/test_oa.c`, which fails when it is not current. One machine\n"
            "belongs to each dialog; `src/pbx/agree.c` moves it. RFC 3264 section 4, RFC 6337.\n\n"
            "What came out of turn: *491* answers an offer while ours is out, *500* (with\n"
            "Retry-After) one before the last was answered; *ignored* is an answer that was "
            "given\n"
            "before; *never* is what we do not send.\n\n| state |");
    for (unsigned e = 0; e < OA_EVENTS; e++) {
        buf_ch(b, ' ');
        buf_str_put(b, oa_event_name((enum oa_event)e));
        buf_lit(b, " |");
    }
    buf_lit(b, "\n|---|---|---|---|---|---|\n");
    for (unsigned s = 0; s < OA_STATES; s++) {
        buf_lit(b, "| ");
        buf_str_put(b, oa_state_name((enum oa_state)s));
        buf_lit(b, " |");
        for (unsigned e = 0; e < OA_EVENTS; e++) {
            const struct oa_cell *c = oa_cell((enum oa_state)s, (enum oa_event)e);
            bool sent = e == OA_TX_OFFER || e == OA_TX_ANSWER;
            buf_ch(b, ' ');
            if (!c->status)
                buf_str_put(b, oa_state_name((enum oa_state)c->next));
            else if (sent)
                buf_lit(b, "*never*");
            else if (e == OA_RX_ANSWER)
                buf_lit(b, "*ignored*");
            else
                buf_u64(b, c->status);
            buf_lit(b, " |");
        }
        buf_ch(b, '\n');
    }
}

static void the_page_is_current(void **state)
{
    static char page[PAGE_BYTES], file[PAGE_BYTES];
    struct buf b;
    buf_init(&b, page, sizeof(page));
    page_build(&b);
    assert_false(b.full);
    if (getenv("RD_WRITE_PAGES")) {
        FILE *out = fopen(PAGE, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(page, 1, b.n, out), b.n);
        assert_int_equal(fclose(out), 0);
    }
    FILE *in = fopen(PAGE, "r");
    assert_non_null(in);
    size_t n = fread(file, 1, sizeof(file), in);
    fclose(in);
    assert_true(str_eq(str_of(file, n), buf_str(&b)));
    (void)state;
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct sdp_stream streams[] = {
    {.rtp = {.family = ADDR_V4, .ip = {192, 0, 2, 9}, .port = 20000}},
    {.rtp = {.family = ADDR_V4, .ip = {192, 0, 2, 9}, .port = 20002}},
};
static const struct sdp_local local = {
    .session_id = 7, .version = 3, .addr = {.family = ADDR_V4, .ip = {192, 0, 2, 9}}};

static struct str answer(struct arena *a, const char *offer, const char *other, int want)
{
    static char mem[4096];
    struct sdp o = must_parse(a, offer), p;
    struct buf b;
    struct sdp_answer_args args = {
        .offer = &o, .local = local, .stream = streams, .n_streams = ARRAY_LEN(streams)};
    if (other) {
        p = must_parse(a, other);
        args.other = &p;
    }
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(sdp_answer_build(&b, &args), want);
    return buf_str(&b);
}

/* Our answer tells the one party the numbers of the other: the relay changes no packet. */
static void an_answer_has_the_other_ones_numbers(void **state)
{
    struct str got = answer(*state,
                            SDP_HEAD "m=audio 4000 RTP/AVP 111 0 96\r\n"
                                     "a=rtpmap:111 opus/48000/2\r\n"
                                     "a=rtpmap:96 telephone-event/8000\r\na=ptime:20\r\n",
                            SDP_HEAD "m=audio 5000 RTP/AVP 0 107 101\r\n"
                                     "a=rtpmap:107 opus/48000/2\r\na=fmtp:107 useinbandfec=1\r\n"
                                     "a=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\n",
                            0);
    assert_text(got, "v=0\r\no=- 7 3 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
                     "m=audio 20000 RTP/AVP 107 0 101\r\na=rtpmap:107 opus/48000/2\r\n"
                     "a=fmtp:107 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n"
                     "a=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\na=sendrecv\r\n");
}

static void refused_media_keep_their_places(void **state)
{
    struct str got = answer(*state,
                            SDP_HEAD "m=audio 4000 RTP/SAVP 0\r\nm=audio 4002 RTP/AVP 8 0\r\n"
                                     "m=video 4004 RTP/AVP 34\r\n",
                            SDP_HEAD "m=audio 5000 RTP/AVP 0\r\n", 0);
    assert_true(str_ifind(got, STR("m=audio 0 RTP/SAVP 0\r\n")) > 0);
    assert_true(str_ifind(got, STR("m=audio 20002 RTP/AVP 0\r\n")) > 0);
    assert_true(str_ifind(got, STR("m=video 0 RTP/AVP 34\r\n")) > 0);
    answer(*state, SDP_HEAD "m=audio 4000 RTP/AVP 8\r\n", SDP_HEAD "m=audio 5000 RTP/AVP 0\r\n",
           -ENOENT);
    /* A telephone-event alone is no conversation. */
    answer(*state, SDP_HEAD "m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n",
           SDP_HEAD "m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n", -ENOENT);
}

/* RFC 3264 section 6.1, 8.4: the direction table, both holds. */
static void the_direction_fits(void **state)
{
    static const struct {
        const char *offered, *answered;
    } rows[] = {{"a=sendrecv", "a=sendrecv"},
                {"a=sendonly", "a=recvonly"},
                {"a=recvonly", "a=sendonly"},
                {"a=inactive", "a=inactive"},
                {"c=IN IP4 0.0.0.0", "a=recvonly"}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char offer[512];
        snprintf(offer, sizeof(offer), SDP_HEAD "m=audio 4000 RTP/AVP 0\r\n%s\r\n",
                 rows[i].offered);
        struct str got = answer(*state, offer, NULL, 0);
        assert_true(str_ifind(got, str_z(rows[i].answered)) > 0);
    }
}

/* RFC 8866 section 6.5: no packet may be longer than who gets it in the end can take. */
static void the_longest_packet_is_told(void **state)
{
    struct str got =
        answer(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\na=ptime:20\r\na=maxptime:60\r\n",
               SDP_HEAD "m=audio 5000 RTP/AVP 0\r\na=maxptime:40.5\r\n", 0);
    assert_true(str_ifind(got, STR("a=ptime:20\r\na=maxptime:40\r\n")) > 0);
    got = answer(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\na=maxptime:60\r\n", NULL, 0);
    assert_true(str_ifind(got, STR("maxptime")) < 0);
    struct sdp from =
        must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 8\r\na=ptime:30\r\na=maxptime:30\r\n");
    struct sdp_offer_args args = {.from = &from, .local = local, .stream = streams, .n_streams = 1};
    char mem[1024];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(sdp_offer_build(&b, &args), 0);
    assert_true(str_ifind(buf_str(&b), STR("a=ptime:30\r\na=maxptime:30\r\n")) > 0);
}

/* ---- offers ---------------------------------------------------------------------------------- */

static void an_offer_begins_with_what_is_in_use(void **state)
{
    static const struct str more[] = {STR_INIT("opus"), STR_INIT("PCMA"), STR_INIT("G722")};
    struct sdp from = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 8 0 96\r\n"
                                                  "a=rtpmap:96 telephone-event/8000\r\n"
                                                  "a=sendonly\r\n");
    struct sdp first = must_parse(*state, SDP_HEAD "m=audio 6000 RTP/AVP 0\r\n");
    struct sdp_policy policy = {.codec = more, .n_codecs = ARRAY_LEN(more)};
    struct sdp_offer_args args = {.from = &from,
                                  .first = &first,
                                  .more = true,
                                  .local = local,
                                  .stream = streams,
                                  .n_streams = 1};
    char mem[2048];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    args.policy = &policy; /* PCMU is not in it */
    assert_int_equal(sdp_offer_build(&b, &args), 0);
    assert_true(str_ifind(buf_str(&b), STR("m=audio 20000 RTP/AVP 8 97 9 96 98\r\n")) > 0 ||
                str_ifind(buf_str(&b), STR("m=audio 20000 RTP/AVP 8 96 9 97\r\n")) > 0);
    assert_true(str_ifind(buf_str(&b), STR("a=sendrecv")) > 0);
    static const struct str all[] = {STR_INIT("PCMU"), STR_INIT("PCMA")};
    args.policy = &(struct sdp_policy){.codec = all, .n_codecs = 2};
    args.more = false;
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(sdp_offer_build(&b, &args), 0);
    assert_true(str_ifind(buf_str(&b), STR("m=audio 20000 RTP/AVP 0 8 96\r\n")) > 0);
}

/* A party may give a static number another meaning: it is not used twice. */
static void a_number_has_one_meaning(void **state)
{
    static const struct str more[] = {STR_INIT("PCMU"), STR_INIT("PCMA"), STR_INIT("G722")};
    struct sdp from = must_parse(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0 8\r\n"
                                                  "a=rtpmap:8 telephone-event/8000\r\n");
    struct sdp_policy policy = {.codec = more, .n_codecs = ARRAY_LEN(more)};
    struct sdp_offer_args args = {.from = &from,
                                  .more = true,
                                  .policy = &policy,
                                  .local = local,
                                  .stream = streams,
                                  .n_streams = 1};
    char mem[2048];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(sdp_offer_build(&b, &args), 0);
    assert_true(str_ifind(buf_str(&b), STR("RTP/AVP 0 96 9 8\r\na=rtpmap:0 PCMU/8000\r\n"
                                           "a=rtpmap:96 PCMA/8000")) > 0);
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool fits(struct arena *a, const char *a_pts, const char *b_pts)
{
    char text[4][512];
    struct sdp s[4];
    const char *const pts[] = {a_pts, a_pts, b_pts, b_pts};
    for (unsigned i = 0; i < 4; i++) {
        snprintf(text[i], sizeof(text[i]), SDP_HEAD "m=audio %u RTP/AVP %s\r\n", 4000 + i, pts[i]);
        s[i] = must_parse(a, arena_dup(a, str_z(text[i])).p);
    }
    struct sdp_fit_args args = {.a = {&s[0], &s[1]}, .b = {&s[2], &s[3]}};
    return sdp_fit(&args);
}

static void parties_fit_when_each_knows_what_the_other_sends(void **state)
{
    static const char opus[] = "111 0\r\na=rtpmap:111 opus/48000/2";
    static const char other_opus[] = "107 0\r\na=rtpmap:107 opus/48000/2";
    assert_true(fits(*state, "0", "0"));
    assert_true(fits(*state, "0 8", "0"));
    assert_false(fits(*state, "8", "0"));
    assert_true(fits(*state, opus, other_opus));
    assert_false(fits(*state, opus, "0"));
}

static bool same(struct arena *a, const char *now)
{
    struct sdp told = must_parse(a, SDP_HEAD "m=audio 6000 RTP/AVP 0 101\r\n"
                                             "a=rtpmap:101 telephone-event/8000\r\n");
    struct sdp said = must_parse(a, SDP_HEAD "m=audio 4000 RTP/AVP 8 0 101\r\n"
                                             "a=rtpmap:101 telephone-event/8000\r\n");
    struct sdp offer = must_parse(a, now);
    struct sdp_pair before = {.local = &told, .remote = &said};
    return sdp_same_session(&before, &offer);
}

static void hold_and_a_new_address_concern_nobody_else(void **state)
{
    assert_true(same(*state, SDP_HEAD "m=audio 4000 RTP/AVP 8 0 101\r\na=sendonly\r\n"
                                      "a=rtpmap:101 telephone-event/8000\r\n"));
    assert_true(same(*state, SDP_HEAD "m=audio 4444 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"));
    assert_false(same(*state, SDP_HEAD "m=audio 4000 RTP/AVP 8\r\n"));
    assert_true(same(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0 96\r\n"
                                      "a=rtpmap:96 telephone-event/8000\r\n"));
    assert_false(same(*state, SDP_HEAD "m=audio 0 RTP/AVP 0\r\n"));
    assert_false(same(*state, SDP_HEAD "m=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP 34\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_keeps_the_rules),
        cmocka_unit_test(the_six_patterns_end_in_agreement),
        cmocka_unit_test(the_page_is_current),
        sdp_unit(an_answer_has_the_other_ones_numbers),
        sdp_unit(refused_media_keep_their_places),
        sdp_unit(the_direction_fits),
        sdp_unit(the_longest_packet_is_told),
        sdp_unit(an_offer_begins_with_what_is_in_use),
        sdp_unit(a_number_has_one_meaning),
        sdp_unit(parties_fit_when_each_knows_what_the_other_sends),
        sdp_unit(hold_and_a_new_address_concern_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
