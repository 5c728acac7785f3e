/* The rules that explain a call, each with a conversation that it fits and a clean one that it does
 * not. */
#include "talk_test.h"

#define SDP                                                                                        \
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"                    \
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"

static void invite(struct talk *t)
{
    talk(t, 'A', 'B',
         (struct talk_msg){
             .start = "INVITE sip:2@b SIP/2.0", .id = "c", .cseq = "1 INVITE", .sdp = SDP});
}

static void answer(struct talk *t, const char *start, const char *sdp)
{
    talk(t, 'B', 'A',
         (struct talk_msg){
             .start = start, .id = "c", .cseq = "1 INVITE", .to_tag = "t", .sdp = sdp});
}

static void ack(struct talk *t, const char *branch)
{
    talk(t, 'A', 'B',
         (struct talk_msg){.start = "ACK sip:2@b SIP/2.0",
                           .id = "c",
                           .cseq = "1 ACK",
                           .branch = branch,
                           .to_tag = "t"});
}

static void bye(struct talk *t)
{
    talk(t, 'A', 'B',
         (struct talk_msg){
             .start = "BYE sip:2@b SIP/2.0", .id = "c", .cseq = "2 BYE", .to_tag = "t"});
    talk(t, 'B', 'A',
         (struct talk_msg){.start = "SIP/2.0 200 OK", .id = "c", .cseq = "2 BYE", .to_tag = "t"});
}

/* The branch of the INVITE, which the ACK of a failure repeats. */
#define INVITE_BRANCH "1.INVITE"

static uint32_t worse_than_story(const struct talk *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->found.n; i++)
        n += an_rule_severity((enum an_rule)t->found.v[i].rule) != AN_STORY;
    return n;
}

static void test_clean_call(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    invite(&t);
    answer(&t, "SIP/2.0 180 Ringing", NULL);
    t.now_ms += 2000;
    answer(&t, "SIP/2.0 200 OK", SDP);
    ack(&t, "ack");
    t.now_ms += 5000;
    bye(&t);
    talk_explain(&t, 1);
    assert_int_equal(worse_than_story(&t), 0);
    assert_string_equal(talk_says(&t, AN_R_CALLED), "1 called 2.");
    assert_string_equal(talk_says(&t, AN_R_RANG), "2 rang after 10 ms.");
    assert_string_equal(talk_says(&t, AN_R_ANSWERED), "2 answered after 2.0 s.");
    assert_string_equal(talk_says(&t, AN_R_HUNG_UP), "1 hung up after 5.0 s.");
    talk_end(&t);
}

static void test_failures(void **state)
{
    static const struct {
        const char *start;
        enum an_rule rule;
    } cases[] = {
        {"SIP/2.0 486 Busy Here", AN_R_BUSY},      {"SIP/2.0 603 Decline", AN_R_DECLINED},
        {"SIP/2.0 480 Gone", AN_R_NOT_THERE},      {"SIP/2.0 404 Not Found", AN_R_NO_SUCH},
        {"SIP/2.0 403 Forbidden", AN_R_FORBIDDEN}, {"SIP/2.0 488 No", AN_R_NOT_ACCEPTABLE},
        {"SIP/2.0 482 Loop", AN_R_LOOPED},         {"SIP/2.0 503 Down", AN_R_SERVER_FAILED},
        {"SIP/2.0 420 Bad", AN_R_NOT_UNDERSTOOD},  {"SIP/2.0 302 Moved", AN_R_REDIRECTED},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk t;
        talk_begin(&t);
        invite(&t);
        answer(&t, cases[i].start, NULL);
        ack(&t, INVITE_BRANCH);
        talk_explain(&t, 1);
        assert_non_null(talk_found(&t, cases[i].rule));
        assert_null(talk_found(&t, AN_R_ACK_BRANCH));
        talk_end(&t);
    }
}

static void test_reason_and_warning(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    invite(&t);
    talk(&t, 'B', 'A',
         (struct talk_msg){.start = "SIP/2.0 488 Not Acceptable Here",
                           .id = "c",
                           .cseq = "1 INVITE",
                           .to_tag = "t",
                           .more = "Reason: Q.850;cause=88\r\n"
                                   "Warning: 305 b \"no codec\"\r\n"});
    ack(&t, INVITE_BRANCH);
    talk_explain(&t, 1);
    assert_string_equal(talk_says(&t, AN_R_REASON), "The reason given was: Q.850;cause=88.");
    assert_string_equal(talk_says(&t, AN_R_WARNED),
                        "It came with the warning: 305 b \"no codec\".");
    assert_string_equal(talk_says(&t, AN_R_NO_COMMON_CODEC),
                        "No codec in common: 1 offered PCMU, telephone-event.");
    talk_end(&t);
}

/* What only one side sent is there: that the other one was silent is not known. */
static void test_one_direction(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    invite(&t);
    t.now_ms += 500;
    invite(&t);
    t.now_ms += 1000;
    invite(&t);
    t.now_ms += 6000;
    ack(&t, "ack");
    t.now_ms += 9000;
    talk(&t, 'A', 'B',
         (struct talk_msg){
             .start = "BYE sip:2@b SIP/2.0", .id = "c", .cseq = "2 BYE", .to_tag = "t"});
    talk_explain(&t, 1);
    assert_string_equal(talk_says(&t, AN_R_ONE_DIRECTION),
                        "Nothing that 2 sent was captured although 1 reacted to it: one side "
                        "is missing.");
    assert_null(talk_found(&t, AN_R_NO_RESPONSE));
    assert_null(talk_found(&t, AN_R_LONG_PDD));
    talk_end(&t);
    talk_begin(&t);
    answer(&t, "SIP/2.0 180 Ringing", NULL);
    for (unsigned i = 0; i < 5; i++)
        answer(&t, "SIP/2.0 200 OK", SDP);
    talk_explain(&t, 1);
    assert_string_equal(talk_says(&t, AN_R_ONE_DIRECTION),
                        "Nothing that 1 sent was captured although 2 reacted to it: one side "
                        "is missing.");
    assert_null(talk_found(&t, AN_R_NO_ACK));
    assert_null(talk_found(&t, AN_R_BEGINS_LATE));
    talk_end(&t);
}

/* A capture of the first bytes of each packet still has whole header lines. */
static void test_cut(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    for (t.snap = 330; t.snap >= 290; t.snap -= 40) {
        invite(&t);
        answer(&t, "SIP/2.0 486 Busy Here", NULL);
        ack(&t, INVITE_BRANCH);
        t.now_ms += 60000;
        talk_explain(&t, 1);
        assert_string_equal(talk_says(&t, AN_R_BUSY), "2 was busy (486 Busy Here).");
        assert_null(talk_found(&t, AN_R_MALFORMED));
        assert_int_equal(an_engine_stats(t.e)->bad_messages, 0);
    }
    uint64_t cut = an_engine_stats(t.e)->cut_messages, all = an_engine_stats(t.e)->messages;
    assert_int_not_equal(cut, 0);
    t.snap = 96; /* nobody knows whose they are */
    invite(&t);
    assert_int_equal(an_engine_stats(t.e)->cut_messages, cut + 1);
    assert_int_equal(an_engine_stats(t.e)->messages, all + 1);
    assert_int_equal(an_engine_legs(t.e), 1);
    talk_end(&t);
}

static void test_nobody_there(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    for (unsigned i = 0; i < 7; i++) {
        invite(&t);
        t.now_ms += 490u << (i < 3 ? i : 3);
    }
    t.now_ms += 10000;
    talk(&t, 'C', 'D',
         (struct talk_msg){.start = "OPTIONS sip:d SIP/2.0", .id = "later", .cseq = "1 OPTIONS"});
    talk_explain(&t, 1);
    assert_true(
        strstr(talk_says(&t, AN_R_NO_RESPONSE), "2 never answered: the INVITE was sent 7 times"));
    talk_end(&t);
}

static void test_no_ack(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    invite(&t);
    for (unsigned i = 0; i < 5; i++) {
        answer(&t, "SIP/2.0 200 OK", SDP);
        t.now_ms += 500;
    }
    t.now_ms += 29500;
    talk(&t, 'B', 'A',
         (struct talk_msg){.start = "BYE sip:1@a SIP/2.0",
                           .id = "c",
                           .cseq = "1 BYE",
                           .from = "2",
                           .to = "1",
                           .from_tag = "t",
                           .to_tag = "f"});
    talk_explain(&t, 1);
    assert_non_null(talk_found(&t, AN_R_NO_ACK));
    assert_non_null(talk_found(&t, AN_R_ACK_CUT));
    talk_end(&t);
}

static void credentials(struct talk *t, const char *cseq, bool given, bool stale)
{
    talk(t, 'A', 'B',
         (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                           .id = "c",
                           .cseq = cseq,
                           .more = given ? "Authorization: Digest username=\"1\", "
                                           "realm=\"r\", nonce=\"n\", uri=\"sip:2@b\", "
                                           "response=\"0\"\r\n"
                                         : NULL});
    talk(t, 'B', 'A',
         (struct talk_msg){.start = "SIP/2.0 401 Unauthorized",
                           .id = "c",
                           .cseq = cseq,
                           .to_tag = "t",
                           .more = stale ? "WWW-Authenticate: Digest realm=\"r\", "
                                           "nonce=\"m\", stale=true\r\n"
                                         : "WWW-Authenticate: Digest realm=\"r\", "
                                           "nonce=\"n\"\r\n"});
}

static void test_credentials(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    credentials(&t, "1 INVITE", false, false);
    credentials(&t, "2 INVITE", true, true);
    credentials(&t, "3 INVITE", true, false);
    talk_explain(&t, 1);
    assert_non_null(talk_found(&t, AN_R_ASKED));
    assert_non_null(talk_found(&t, AN_R_STALE));
    assert_non_null(talk_found(&t, AN_R_WRONG));
    assert_null(talk_found(&t, AN_R_NOT_GIVEN));
    talk_end(&t);

    talk_begin(&t);
    credentials(&t, "1 INVITE", false, false);
    talk_explain(&t, 1);
    assert_non_null(talk_found(&t, AN_R_NOT_GIVEN));
    talk_end(&t);
}

static void test_private_addresses(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    talk(&t, 'A', 'B',
         (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                           .id = "c",
                           .cseq = "1 INVITE",
                           .bare = true,
                           .more = "Max-Forwards: 70\r\nContact: <sip:1@10.0.0.7:5060>\r\n",
                           .sdp = "v=0\r\no=- 1 1 IN IP4 10.0.0.7\r\ns=-\r\nc=IN IP4 10.0.0.7\r\n"
                                  "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"});
    talk_explain(&t, 1);
    assert_non_null(talk_found(&t, AN_R_NAT_CONTACT));
    assert_non_null(talk_found(&t, AN_R_NAT_SDP));
    talk_end(&t);
}

static void test_letter(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    talk(&t, 'A', 'B',
         (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                           .id = "c",
                           .cseq = "7 INVITE",
                           .bare = true,
                           .more = "Requires: 100rel\r\n"});
    talk(&t, 'B', 'A',
         (struct talk_msg){.start = "SIP/2.0 486 Busy", .id = "c", .cseq = "7 INVITE"});
    talk(&t, 'A', 'B',
         (struct talk_msg){
             .start = "ACK sip:2@b SIP/2.0", .id = "c", .cseq = "7 ACK", .branch = "other"});
    talk(&t, 'A', 'B',
         (struct talk_msg){
             .start = "INFO sip:2@b SIP/2.0", .id = "c", .cseq = "3 INFO", .to_tag = "t"});
    talk_explain(&t, 1);
    assert_non_null(talk_found(&t, AN_R_NO_MAX_FORWARDS));
    assert_non_null(talk_found(&t, AN_R_NO_CONTACT));
    assert_non_null(talk_found(&t, AN_R_REQUIRES));
    assert_non_null(talk_found(&t, AN_R_NO_TO_TAG));
    assert_non_null(talk_found(&t, AN_R_ACK_BRANCH));
    assert_string_equal(talk_says(&t, AN_R_CSEQ_BACK), "The CSeq of 1 went back from 7 to 3.");
    talk_end(&t);
}

static void test_session_timer(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    invite(&t);
    talk(&t, 'B', 'A',
         (struct talk_msg){.start = "SIP/2.0 200 OK",
                           .id = "c",
                           .cseq = "1 INVITE",
                           .to_tag = "t",
                           .sdp = SDP,
                           .more = "Session-Expires: 90;refresher=uac\r\n"});
    ack(&t, "ack");
    t.now_ms += 60000;
    talk(&t, 'B', 'A',
         (struct talk_msg){.start = "BYE sip:1@a SIP/2.0",
                           .id = "c",
                           .cseq = "1 BYE",
                           .from = "2",
                           .to = "1",
                           .from_tag = "t",
                           .to_tag = "f"});
    talk_explain(&t, 1);
    assert_true(strstr(talk_says(&t, AN_R_SESSION_CUT), "of 1:30 min"));
    talk_end(&t);
}

static void test_hold(void **state)
{
    struct talk t;
    (void)state;
    talk_begin(&t);
    invite(&t);
    answer(&t, "SIP/2.0 200 OK", SDP);
    ack(&t, "ack");
    for (unsigned i = 0; i < 2; i++) {
        char cseq[16];
        snprintf(cseq, sizeof(cseq), "%u INVITE", 2 + i);
        t.now_ms += 4000;
        talk(&t, 'A', 'B',
             (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                               .id = "c",
                               .cseq = cseq,
                               .to_tag = "t",
                               .sdp = i ? SDP "a=sendrecv\r\n" : SDP "a=sendonly\r\n"});
        talk(&t, 'B', 'A',
             (struct talk_msg){.start = "SIP/2.0 200 OK",
                               .id = "c",
                               .cseq = cseq,
                               .to_tag = "t",
                               .sdp = i ? SDP "a=sendrecv\r\n" : SDP "a=recvonly\r\n"});
    }
    talk_explain(&t, 1);
    const struct an_leg *leg = an_engine_leg(t.e, 0);
    assert_int_equal(leg->n_holds, 1);
    assert_int_equal(leg->hold[0].side, AN_CALLER);
    assert_string_equal(talk_says(&t, AN_R_HELD), "1 put the call on hold for 4.0 s.");
    talk_end(&t);
}

/* Both languages have the same places for arguments, and every sentence ends. */
static void test_texts(void **state)
{
    (void)state;
    for (unsigned r = 0; r < AN_RULES; r++) {
        struct an_findings all = {0};
        struct an_finding f = {.rule = (uint16_t)r};
        char mem[AN_LANGS][600];
        for (unsigned lang = 0; lang < AN_LANGS; lang++) {
            struct buf b;
            buf_init(&b, mem[lang], sizeof(mem[lang]) - 1);
            an_finding_put(&b, &all, &f, (enum an_lang)lang);
            assert_false(b.full);
            assert_true(b.n > 1 && b.p[b.n - 1] == '.');
            mem[lang][b.n] = 0;
        }
        assert_true(an_rule_word((enum an_rule)r).n > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_call),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_reason_and_warning),
        cmocka_unit_test(test_one_direction),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_no_ack),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_private_addresses),
        cmocka_unit_test(test_letter),
        cmocka_unit_test(test_session_timer),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
