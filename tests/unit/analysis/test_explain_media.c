/* The rules about sound, each with the RTP that it fits and with what must not be taken for it. */
#include "talk_test.h"

#include "wire/rtp/rtp.h"

#define SDP(host, port, dir)                                                                       \
    "v=0\r\no=- 1 1 IN IP4 192.0.2." host "\r\ns=-\r\nc=IN IP4 192.0.2." host                      \
    "\r\nt=0 0\r\nm=audio " port " RTP/AVP 0\r\na=" dir "\r\n"

/* What one host says to another for so many packets of 20 ms; it goes on where it stopped. */
struct voice {
    char from, to;
    uint16_t src, dst; /* ports */
    uint16_t seq;
    uint32_t ts;
};

static void say(struct talk *t, struct voice *v, unsigned packets)
{
    uint8_t p[172] = {0};
    for (unsigned i = 0; i < packets; i++) {
        rtp_header_build(p, &(struct rtp_header){
                                .pt = 0, .seq = v->seq++, .ts = v->ts, .ssrc = 0x100u + v->src});
        v->ts += 160;
        for (unsigned k = 12; k < sizeof(p); k++)
            p[k] = (uint8_t)(k * 37 + v->seq * 11);
        struct an_datum d = {.at_ns = t->now_ms * TALK_MS,
                             .frame = ++t->frame,
                             .first_frame = t->frame,
                             .kind = AN_UDP_DATA,
                             .transport = AN_UDP,
                             .src = talk_host(v->from),
                             .dst = talk_host(v->to),
                             .bytes = str_of((const char *)p, sizeof(p))};
        d.src.port = v->src;
        d.dst.port = v->dst;
        an_engine_rx(t->e, &d);
        t->now_ms += 20;
    }
}

/* A call of A with B; what both are in the exchange's eyes when `id` is of one leg of two. */
static void dial(struct talk *t, char a, char b, const char *id, const char *sdp_a,
                 const char *sdp_b)
{
    talk(t, a, b,
         (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                           .id = id,
                           .cseq = "1 INVITE",
                           .branch = id,
                           .more = "X-CID: first\r\n",
                           .sdp = sdp_a});
    talk(t, b, a,
         (struct talk_msg){.start = "SIP/2.0 200 OK",
                           .id = id,
                           .cseq = "1 INVITE",
                           .branch = id,
                           .to_tag = "t",
                           .sdp = sdp_b});
    talk(t, a, b,
         (struct talk_msg){.start = "ACK sip:2@b SIP/2.0",
                           .id = id,
                           .cseq = "1 ACK",
                           .branch = "k",
                           .to_tag = "t"});
}

static void hold(struct talk *t, char a, char b, const char *id)
{
    talk(t, a, b,
         (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                           .id = id,
                           .cseq = "2 INVITE",
                           .to_tag = "t",
                           .sdp = SDP("1", "4000", "sendonly")});
    talk(t, b, a,
         (struct talk_msg){.start = "SIP/2.0 200 OK",
                           .id = id,
                           .cseq = "2 INVITE",
                           .to_tag = "t",
                           .sdp = SDP("16", "6000", "recvonly")});
    talk(t, a, b,
         (struct talk_msg){.start = "ACK sip:2@b SIP/2.0",
                           .id = id,
                           .cseq = "2 ACK",
                           .branch = "k2",
                           .to_tag = "t"});
}

static void bye(struct talk *t, char a, char b, const char *id, const char *cseq)
{
    talk(t, a, b,
         (struct talk_msg){.start = "BYE sip:2@b SIP/2.0", .id = id, .cseq = cseq, .to_tag = "t"});
    talk(t, b, a,
         (struct talk_msg){.start = "SIP/2.0 200 OK", .id = id, .cseq = cseq, .to_tag = "t"});
}

static void test_one_way(void **state)
{
    struct voice a = {'A', 'B', 4000, 5000, 1, 0}, b = {'B', 'A', 5000, 4000, 1, 0};
    (void)state;
    for (unsigned both = 0; both < 2; both++) {
        struct talk t;
        talk_begin(&t);
        dial(&t, 'A', 'B', "first", SDP("1", "4000", "sendrecv"), SDP("2", "5000", "sendrecv"));
        say(&t, &a, 250);
        if (both)
            say(&t, &b, 10);
        bye(&t, 'A', 'B', "first", "2 BYE");
        talk_explain(&t, 1);
        if (both)
            assert_null(talk_found(&t, AN_R_ONE_WAY));
        else
            assert_string_equal(
                talk_says(&t, AN_R_ONE_WAY),
                "One-way audio: nothing was heard from 2 for 5.0 s of talk, while 1 "
                "was heard.");
        talk_end(&t);
    }
}

/* Of a capture that has nothing at all of B. */
static void test_one_direction(void **state)
{
    struct voice a = {'A', 'B', 4000, 5000, 1, 0};
    struct talk t;
    (void)state;
    talk_begin(&t);
    talk(&t, 'A', 'B',
         (struct talk_msg){.start = "INVITE sip:2@b SIP/2.0",
                           .id = "first",
                           .cseq = "1 INVITE",
                           .sdp = SDP("1", "4000", "sendrecv")});
    talk(&t, 'A', 'B',
         (struct talk_msg){.start = "ACK sip:2@b SIP/2.0",
                           .id = "first",
                           .cseq = "1 ACK",
                           .branch = "k",
                           .to_tag = "t"});
    say(&t, &a, 250);
    talk(&t, 'A', 'B',
         (struct talk_msg){
             .start = "BYE sip:2@b SIP/2.0", .id = "first", .cseq = "2 BYE", .to_tag = "t"});
    talk_explain(&t, 1);
    assert_null(talk_found(&t, AN_R_ONE_WAY));
    assert_non_null(talk_found(&t, AN_R_ONE_DIRECTION));
    talk_end(&t);
}

/* P answers the hold itself: in its leg with B nothing says why A is not heard any more. */
static void test_gap(void **state)
{
    (void)state;
    for (unsigned held = 0; held < 2; held++) {
        struct voice a = {'A', 'P', 4000, 6000, 1, 0}, b = {'P', 'B', 6002, 5000, 1, 0};
        struct talk t;
        talk_begin(&t);
        dial(&t, 'A', 'P', "first", SDP("1", "4000", "sendrecv"), SDP("16", "6000", "sendrecv"));
        dial(&t, 'P', 'B', "second", SDP("16", "6002", "sendrecv"), SDP("2", "5000", "sendrecv"));
        say(&t, &a, 50);
        say(&t, &b, 50);
        if (held)
            hold(&t, 'A', 'P', "first");
        t.now_ms += 4000;
        b.ts += 4000 * 8;
        say(&t, &b, 50);
        bye(&t, 'A', 'P', "first", "3 BYE");
        bye(&t, 'P', 'B', "second", "3 BYE");
        talk_explain(&t, 1);
        assert_int_equal(an_engine_calls(t.e), 1);
        if (held)
            assert_null(talk_found(&t, AN_R_GAP));
        else
            assert_non_null(strstr(talk_says(&t, AN_R_GAP), "stopped for 4.0 s without a hold."));
        talk_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_way),
        cmocka_unit_test(test_one_direction),
        cmocka_unit_test(test_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
