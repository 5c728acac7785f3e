/* Traffic without an end: what is over is handed over once and forgotten, and what is left knows
 * nothing of it. */
#include "talk_test.h"

#include <errno.h>
#include <time.h>

#include "analysis/engine_int.h"
#include "analysis/keep_mem.h"
#include "base/be.h"
#include "base/mem.h"

#define SECOND_NS 1000000000ull
#define LINGER_S  10
#define IDLE_S    1000
#define SDP(port)                                                                                  \
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"                    \
    "m=audio " port " RTP/AVP 0\r\n"

struct bed {
    struct talk t;
    struct an_keep_mem *kept;
    unsigned done, idle; /* calls handed over */
    uint32_t id, number; /* of the last */
    uint32_t legs, streams, findings;
};

static void bed_begin(struct bed *b)
{
    *b = (struct bed){.t = {.now_ms = 1000}};
    assert_int_equal(an_keep_mem_new(&b->kept, 1u << 20), 0);
    struct an_engine_args args = {.max_legs = 1000,
                                  .max_streams = 1000,
                                  .keep = an_keep_mem_ops(b->kept),
                                  .forgets = true,
                                  .seed = 1};
    assert_int_equal(an_engine_new(&b->t.e, &args), 0);
}

static void bed_end(struct bed *b)
{
    talk_end(&b->t);
    an_keep_mem_free(b->kept);
    assert_int_equal(mem_live(), 0);
}

static void take(void *user, struct an_engine *e, uint32_t call, bool idle)
{
    struct bed *b = user;
    const struct an_call *c = an_engine_call(e, call);
    struct an_findings found;
    b->done++;
    b->idle += idle;
    b->id = c->id;
    b->number = c->number;
    b->legs = c->n_legs;
    b->streams = 0;
    for (uint32_t i = 0; i < c->n_legs; i++) {
        uint32_t n;
        assert_int_equal(an_engine_leg(e, c->leg[i])->call, call);
        (void)an_rtp_leg(an_engine_rtp(e), c->leg[i], &n);
        b->streams += n;
    }
    assert_int_equal(an_explain(e, call, &found), 0);
    b->findings = found.n;
    an_findings_done(&found);
}

static int retire(struct bed *b)
{
    struct an_retire r = {.now_ns = b->t.now_ms * TALK_MS,
                          .linger_ns = LINGER_S * SECOND_NS,
                          .idle_ns = IDLE_S * SECOND_NS,
                          .done = take,
                          .user = b};
    return an_engine_retire(b->t.e, &r);
}

/* So many seconds go by, with a look at each of them. */
static void pass(struct bed *b, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        b->t.now_ms += 1000;
        assert_int_equal(retire(b), 0);
    }
}

static void invite(struct bed *b, const char *id, const char *sdp)
{
    talk(&b->t, 'A', 'B',
         (struct talk_msg){
             .start = "INVITE sip:2@b SIP/2.0", .id = id, .cseq = "1 INVITE", .sdp = sdp});
}

static void answer(struct bed *b, const char *id, const char *sdp)
{
    talk(&b->t, 'B', 'A',
         (struct talk_msg){
             .start = "SIP/2.0 200 OK", .id = id, .cseq = "1 INVITE", .to_tag = "t", .sdp = sdp});
    talk(&b->t, 'A', 'B',
         (struct talk_msg){.start = "ACK sip:2@b SIP/2.0",
                           .id = id,
                           .cseq = "1 ACK",
                           .branch = "ack",
                           .to_tag = "t"});
}

static void bye(struct bed *b, const char *id)
{
    talk(&b->t, 'A', 'B',
         (struct talk_msg){
             .start = "BYE sip:2@b SIP/2.0", .id = id, .cseq = "2 BYE", .to_tag = "t"});
    talk(&b->t, 'B', 'A',
         (struct talk_msg){.start = "SIP/2.0 200 OK", .id = id, .cseq = "2 BYE", .to_tag = "t"});
}

static void up(struct bed *b, const char *id)
{
    invite(b, id, SDP("4000"));
    answer(b, id, SDP("6000"));
}

/* From port 6000 to `port`. */
static void rtp(struct bed *b, uint16_t port, uint32_t ssrc, uint16_t seq)
{
    uint8_t p[12 + 160] = {0x80, 0};
    be16_put(p + 2, seq);
    be32_put(p + 4, seq * 160u);
    be32_put(p + 8, ssrc);
    struct an_datum d = {.at_ns = b->t.now_ms * TALK_MS,
                         .frame = ++b->t.frame,
                         .kind = AN_UDP_DATA,
                         .bytes = str_of((char *)p, sizeof(p))};
    assert_int_equal(addr_parse(&d.src, STR("192.0.2.9"), 6000), 0);
    assert_int_equal(addr_parse(&d.dst, STR("192.0.2.9"), port), 0);
    an_engine_rx(b->t.e, &d);
    b->t.now_ms += 20;
}

static void assert_empty(struct bed *b)
{
    struct an_engine_size size;
    an_engine_size(b->t.e, &size);
    assert_int_equal(size.legs, 0);
    assert_int_equal(size.calls, 0);
    assert_int_equal(size.streams, 0);
    assert_int_equal(size.messages, 0);
    assert_int_equal(size.addresses, 0);
    assert_int_equal(size.bytes, 0);
    assert_int_equal(an_keep_mem_stats(b->kept).bytes, 0);
    assert_int_equal(an_keep_mem_stats(b->kept).blocks, 0);
    assert_int_equal(b->t.e->by_call_id.count, 0);
}

static void test_ended_call_lingers_and_goes(void **state)
{
    struct bed b;
    struct an_engine_size size;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    bye(&b, "a");
    an_engine_size(b.t.e, &size);
    assert_int_equal(size.legs, 1);
    assert_int_equal(size.messages, 5);
    assert_true(size.bytes > sizeof(struct an_leg));
    assert_true(an_keep_mem_stats(b.kept).bytes > 0);
    pass(&b, LINGER_S - 1);
    assert_int_equal(b.done, 0);
    pass(&b, 2);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.idle, 0);
    assert_int_equal(b.id, 1);
    assert_int_equal(b.number, 1);
    assert_true(b.findings > 0);
    assert_empty(&b);
    assert_int_equal(an_engine_calls(b.t.e), 0);
    assert_int_equal(an_engine_stats(b.t.e)->calls_retired, 1);
    assert_int_equal(an_engine_stats(b.t.e)->legs_forgotten, 1);
    pass(&b, 100);
    assert_int_equal(b.done, 1);
    bed_end(&b);
}

static void test_tail_of_rtp_keeps_the_call(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    rtp(&b, 4000, 7, 1);
    bye(&b, "a");
    for (unsigned i = 0; i < LINGER_S; i++) {
        rtp(&b, 4000, 7, (uint16_t)(2 + i));
        pass(&b, 1);
    }
    pass(&b, LINGER_S - 2);
    assert_int_equal(b.done, 0);
    pass(&b, 3);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.streams, 1);
    assert_int_equal(an_engine_stats(b.t.e)->streams_forgotten, 1);
    assert_empty(&b);
    bed_end(&b);
}

/* Not for ever, though; what still comes is a stream that nobody has signalled. */
static void test_endless_sender_does_not_keep_it(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    bye(&b, "a");
    for (unsigned i = 0; i < IDLE_S + 10; i++) {
        rtp(&b, 4000, 7, (uint16_t)i);
        pass(&b, 1);
    }
    assert_int_equal(b.done, 1);
    assert_int_equal(b.idle, 0);
    pass(&b, 100);
    assert_empty(&b);
    bed_end(&b);
}

static void test_silence_ends_a_call(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    for (unsigned i = 0; i < 20; i++) {
        rtp(&b, 4000, 7, (uint16_t)i);
        pass(&b, 100); /* 2000 s: packets say that it is alive */
    }
    assert_int_equal(b.done, 0);
    pass(&b, IDLE_S - 200);
    assert_int_equal(b.done, 0);
    pass(&b, 210);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.idle, 1);
    assert_int_equal(an_engine_stats(b.t.e)->calls_idle, 1);
    assert_empty(&b);
    bed_end(&b);
}

static void test_nobody_answers(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    invite(&b, "a", NULL);
    pass(&b, 295);
    assert_int_equal(b.done, 0);
    pass(&b, 15);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.idle, 1);
    assert_empty(&b);
    bed_end(&b);
}

static void test_late_messages_are_counted(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    bye(&b, "a");
    pass(&b, LINGER_S + 5);
    assert_int_equal(b.done, 1);
    bye(&b, "a");
    assert_int_equal(an_engine_stats(b.t.e)->late, 2);
    assert_empty(&b);
    /* Whoever uses a Call-ID again calls all the same. */
    up(&b, "a");
    bye(&b, "a");
    assert_true(an_engine_leg(b.t.e, 0)->resumed);
    pass(&b, LINGER_S + 5);
    assert_int_equal(b.done, 2);
    assert_int_equal(b.id, 2);
    bed_end(&b);
}

/* What only seemed to be over goes on, and says that it was there before. */
static void test_idle_call_goes_on(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    pass(&b, IDLE_S + 10);
    assert_int_equal(b.idle, 1);
    bye(&b, "a");
    assert_int_equal(an_engine_stats(b.t.e)->late, 0);
    assert_int_equal(an_engine_legs(b.t.e), 1);
    assert_true(an_engine_leg(b.t.e, 0)->resumed);
    pass(&b, LINGER_S + 5);
    assert_int_equal(b.done, 2);
    assert_int_equal(b.idle, 1);
    assert_empty(&b);
    bed_end(&b);
}

/* One message of a leg from the exchange P to a phone, or of a caller's to P. */
static void say(struct bed *b, char from, char to, const char *start, const char *id,
                const char *cseq)
{
    bool first = !strncmp(start, "INVITE", 6);
    talk(&b->t, from, to,
         (struct talk_msg){.start = start, .id = id, .cseq = cseq, .to_tag = first ? NULL : "t"});
}

/* Somebody waits while one after the other is called for him: who was called first is over long
 * before, and is no call of its own. */
static void test_attempts_wait_for_their_caller(void **state)
{
    static const char *const attempt[] = {"first", "second", "third", "fourth", "fifth"};
    struct bed b;
    (void)state;
    bed_begin(&b);
    say(&b, 'A', 'P', "INVITE sip:2@b SIP/2.0", "caller", "1 INVITE");
    say(&b, 'P', 'A', "SIP/2.0 180 Ringing", "caller", "1 INVITE");
    for (unsigned i = 0; i < ARRAY_LEN(attempt); i++) {
        char to = (char)('B' + i);
        say(&b, 'P', to, "INVITE sip:2@b SIP/2.0", attempt[i], "1 INVITE");
        say(&b, to, 'P', "SIP/2.0 180 Ringing", attempt[i], "1 INVITE");
        pass(&b, LINGER_S);
        say(&b, to, 'P', "SIP/2.0 486 Busy Here", attempt[i], "1 INVITE");
    }
    assert_int_equal(b.done, 0);
    say(&b, 'P', 'A', "SIP/2.0 486 Busy Here", "caller", "1 INVITE");
    pass(&b, LINGER_S + 5);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.legs, 1 + ARRAY_LEN(attempt));
    assert_empty(&b);
    bed_end(&b);
}

static uint32_t call_with(struct bed *b, const char *id)
{
    assert_int_equal(an_engine_settle(b->t.e), 0);
    for (uint32_t i = 0; i < an_engine_calls(b->t.e); i++) {
        const struct an_leg *leg = an_engine_leg(b->t.e, an_engine_call(b->t.e, i)->leg[0]);
        if (str_eq(an_leg_text(leg, leg->call_id), str_z(id)))
            return i;
    }
    fail();
    return 0;
}

static void test_id_stays(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    up(&b, "b");
    up(&b, "c");
    bye(&b, "a");
    assert_int_equal(call_with(&b, "b"), 1);
    pass(&b, LINGER_S + 5);
    assert_int_equal(b.done, 1);
    /* Also without settling: those that are left have moved. */
    assert_int_equal(an_engine_calls(b.t.e), 2);
    assert_int_equal(an_engine_call(b.t.e, 0)->id, 2);
    assert_int_equal(an_engine_leg(b.t.e, an_engine_call(b.t.e, 0)->leg[0])->call, 0);
    assert_int_equal(an_engine_leg(b.t.e, an_engine_call(b.t.e, 1)->leg[0])->call, 1);
    up(&b, "d"); /* takes the place of a */
    assert_int_equal(an_engine_legs(b.t.e), 3);
    assert_int_equal(call_with(&b, "b"), 0);
    assert_int_equal(an_engine_call(b.t.e, 0)->number, 2);
    assert_int_equal(call_with(&b, "d"), 2);
    assert_int_equal(an_engine_call(b.t.e, 2)->number, 4);
    assert_int_equal(an_engine_leg(b.t.e, 0)->number, 4);
    bed_end(&b);
}

/* The new leg has the place of the old one, not its addresses. */
static void test_addresses_are_forgotten(void **state)
{
    struct bed b;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    bye(&b, "a");
    pass(&b, LINGER_S + 5);
    invite(&b, "b", SDP("5000"));
    answer(&b, "b", SDP("5002"));
    for (uint16_t i = 0; i < 5; i++)
        rtp(&b, 4000, 7, i);
    for (uint16_t i = 0; i < 5; i++)
        rtp(&b, 5000, 8, i);
    const struct an_rtp *r = an_engine_rtp(b.t.e);
    assert_int_equal(an_rtp_streams(r), 2);
    assert_int_equal(an_rtp_stream(r, 0)->leg, AN_NONE);
    assert_int_equal(an_rtp_stream(r, 1)->leg, 0);
    bed_end(&b);
}

/* A stream of two calls, the second of which has the same ports: it goes with the last. */
static void test_stream_of_two_legs(void **state)
{
    struct bed b;
    uint32_t n;
    (void)state;
    bed_begin(&b);
    up(&b, "a");
    for (uint16_t i = 0; i < 5; i++)
        rtp(&b, 4000, 7, i);
    up(&b, "b");
    for (uint16_t i = 5; i < 10; i++)
        rtp(&b, 4000, 7, i);
    assert_int_equal(an_rtp_stream(an_engine_rtp(b.t.e), 0)->n_ties, 2);
    bye(&b, "a");
    pass(&b, 2 * LINGER_S + 5);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.streams, 1);
    const struct an_stream *s = an_rtp_stream(an_engine_rtp(b.t.e), 0);
    assert_int_equal(s->n_ties, 1);
    assert_int_equal(s->leg, 1);
    assert_int_equal(s->packets, 10);
    (void)an_rtp_leg(an_engine_rtp(b.t.e), 0, &n);
    assert_int_equal(n, 0);
    (void)an_rtp_leg(an_engine_rtp(b.t.e), 1, &n);
    assert_int_equal(n, 1);
    bye(&b, "b");
    pass(&b, LINGER_S + 5);
    assert_int_equal(b.done, 2);
    assert_empty(&b);
    bed_end(&b);
}

static void ask(struct bed *b, const char *id, const char *method, const char *sdp)
{
    char start[64], cseq[32];
    snprintf(start, sizeof(start), "%s sip:b SIP/2.0", method);
    snprintf(cseq, sizeof(cseq), "1 %s", method);
    talk(&b->t, 'A', 'B', (struct talk_msg){.start = start, .id = id, .cseq = cseq});
    talk(&b->t, 'B', 'A',
         (struct talk_msg){
             .start = "SIP/2.0 200 OK", .id = id, .cseq = cseq, .to_tag = "t", .sdp = sdp});
}

static void test_what_is_no_call_goes_too(void **state)
{
    struct bed b;
    struct an_engine_size size;
    (void)state;
    bed_begin(&b);
    ask(&b, "r", "REGISTER", NULL);
    ask(&b, "s", "SUBSCRIBE", NULL);
    ask(&b, "o", "OPTIONS", NULL);
    ask(&b, "p", "OPTIONS", SDP("4000"));
    for (uint16_t i = 0; i < 5; i++)
        rtp(&b, 4000, 7, i);
    for (uint16_t i = 0; i < 5; i++)
        rtp(&b, 8000, 8, i);
    pass(&b, LINGER_S + 6);
    an_engine_size(b.t.e, &size);
    assert_int_equal(size.legs, 2);
    assert_int_equal(size.streams, 1);
    pass(&b, 35);
    an_engine_size(b.t.e, &size);
    assert_int_equal(size.streams, 0);
    assert_int_equal(size.addresses, 0);
    pass(&b, IDLE_S);
    assert_int_equal(b.done, 0);
    assert_empty(&b);
    assert_int_equal(an_engine_stats(b.t.e)->legs_forgotten, 4);
    assert_int_equal(an_engine_stats(b.t.e)->streams_forgotten, 2);
    /* A registration that is renewed later is no stray message. */
    ask(&b, "r", "REGISTER", NULL);
    assert_int_equal(an_engine_stats(b.t.e)->late, 0);
    struct addr phone = talk_host('A'), exchange = talk_host('B');
    assert_int_equal(engine_past_host(b.t.e->past, &phone), ENGINE_PHONE);
    assert_int_equal(engine_past_host(b.t.e->past, &exchange), ENGINE_EXCHANGE);
    bed_end(&b);
}

static void test_past_is_bounded(void **state)
{
    struct engine_past *p = engine_past_new();
    unsigned found = 0;
    (void)state;
    assert_non_null(p);
    for (uint64_t i = 1; i <= 100000; i++)
        engine_past_call_id(p, i * 0x9e3779b97f4a7c15u, i & 1);
    for (uint64_t i = 1; i <= 100000; i++)
        found += engine_past_was(p, i * 0x9e3779b97f4a7c15u) != ENGINE_WAS_NONE;
    assert_in_range(found, 4096, 8192);
    assert_int_equal(engine_past_was(p, 99999 * 0x9e3779b97f4a7c15u), ENGINE_WAS_IDLE);
    assert_int_equal(engine_past_was(p, 100000 * 0x9e3779b97f4a7c15u), ENGINE_WAS_OVER);
    engine_past_free(p);
}

static void test_kept_bytes_are_bounded(void **state)
{
    struct an_keep_mem *k;
    char text[1000], out[1000];
    uint64_t at[4];
    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(an_keep_mem_new(&k, 3500), 0);
    const struct an_keep *ops = an_keep_mem_ops(k);
    for (unsigned i = 0; i < 3; i++) {
        text[0] = (char)('0' + i);
        assert_int_equal(ops->put(ops->user, text, sizeof(text), &at[i]), 0);
    }
    assert_int_equal(ops->put(ops->user, text, sizeof(text), &at[3]), -ENOSPC);
    assert_int_equal(an_keep_mem_stats(k).refused, 1);
    ops->drop(ops->user, at[1], sizeof(text));
    assert_int_equal(ops->put(ops->user, text, sizeof(text), &at[3]), 0);
    assert_int_equal(ops->get(ops->user, at[2], out, sizeof(out)), 0);
    assert_int_equal(out[0], '2');
    assert_int_equal(ops->get(ops->user, at[0], out, 1), 0);
    assert_int_equal(out[0], '0');
    assert_int_equal(an_keep_mem_stats(k).blocks, 3);
    an_keep_mem_free(k);
    assert_int_equal(mem_live(), 0);
}

/* Whatever is refused: nothing is lost, and the next look finds it. */
static void test_without_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct bed b;
        bed_begin(&b);
        up(&b, "a");
        up(&b, "b");
        bye(&b, "a");
        b.t.now_ms += (LINGER_S + 1) * 1000;
        mem_fail_after(nth);
        struct an_retire r = {.now_ns = b.t.now_ms * TALK_MS,
                              .linger_ns = LINGER_S * SECOND_NS,
                              .idle_ns = IDLE_S * SECOND_NS};
        int err = an_engine_retire(b.t.e, &r);
        mem_fail_after(0);
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(retire(&b), 0);
            assert_int_equal(b.done, 1);
        }
        assert_int_equal(an_engine_calls(b.t.e), 1);
        bed_end(&b);
        if (!err)
            return;
    }
    fail();
}

/* ---- an hour --------------------------------------------------------------------------------- */

#define HOUR_S    3600
#define EVERY_MS  250
#define TALK_MOST 40 /* seconds */

struct caller {
    char id[24];
    unsigned step;
    uint64_t next_ms;
    unsigned n;
};

static void play(struct bed *b, struct caller *c)
{
    char sdp[256], port[8];
    unsigned kind = c->n % 10;
    snprintf(port, sizeof(port), "%u", 10000 + c->n % 200 * 2);
    snprintf(sdp, sizeof(sdp),
             "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
             "m=audio %s RTP/AVP 0\r\n",
             port);
    if (c->step == 0) {
        invite(b, c->id, sdp);
    } else if (c->step == 1 && kind == 9) { /* refused */
        talk(&b->t, 'B', 'A',
             (struct talk_msg){
                 .start = "SIP/2.0 486 Busy Here", .id = c->id, .cseq = "1 INVITE", .to_tag = "t"});
        c->step = 100;
    } else if (c->step == 1) {
        answer(b, c->id, SDP("6000"));
    } else if (c->step < 12) {
        rtp(b, (uint16_t)(10000 + c->n % 200 * 2), c->n, (uint16_t)c->step);
    } else {
        if (kind != 8) /* of one its end is never seen */
            bye(b, c->id);
        c->step = 100;
    }
    c->step++;
    c->next_ms = b->t.now_ms + (c->step == 1 ? 2000 : 1000 + c->n % TALK_MOST * 80);
}

static void test_an_hour(void **state)
{
    static struct caller caller[400]; /* more than are ever live */
    struct bed b;
    struct an_engine_size size;
    uint64_t most_bytes = 0, most_kept = 0;
    uint32_t most_legs = 0, calls = 0, live = 0;
    (void)state;
    bed_begin(&b);
    for (uint64_t ms = 1000; ms < HOUR_S * 1000; ms += EVERY_MS) {
        b.t.now_ms = ms > b.t.now_ms ? ms : b.t.now_ms;
        if (live < ARRAY_LEN(caller)) {
            struct caller *c = &caller[live++];
            *c = (struct caller){.n = ++calls};
            snprintf(c->id, sizeof(c->id), "call-%u", calls);
        }
        for (uint32_t i = live; i-- > 0;) {
            if (caller[i].next_ms <= b.t.now_ms)
                play(&b, &caller[i]);
            if (caller[i].step > 100)
                caller[i] = caller[--live];
        }
        if (ms % 1000)
            continue;
        assert_int_equal(retire(&b), 0);
        an_engine_size(b.t.e, &size);
        most_bytes = size.bytes > most_bytes ? size.bytes : most_bytes;
        most_legs = size.legs > most_legs ? size.legs : most_legs;
        uint64_t kept = an_keep_mem_stats(b.kept).bytes;
        most_kept = kept > most_kept ? kept : most_kept;
    }
    print_message("%u calls, at most %u legs, %llu bytes, %llu kept\n", calls, most_legs,
                  (unsigned long long)most_bytes, (unsigned long long)most_kept);
    assert_int_equal(an_engine_stats(b.t.e)->legs_refused, 0);
    assert_true(most_legs < calls / 10);
    assert_true(most_bytes < 10u << 20);
    pass(&b, IDLE_S + TALK_MOST + LINGER_S + 10);
    assert_int_equal(b.done, calls);
    assert_empty(&b);
    bed_end(&b);
}

/* How long a settling takes of many calls that ring, each diverted by such a number. */
static clock_t diverted(const char *by)
{
    enum { CALLS = 3000 };
    struct talk t = {.now_ms = 1000};
    char id[16], more[700];
    struct an_engine_args args = {.max_legs = CALLS, .max_streams = 10, .seed = 1};
    assert_int_equal(an_engine_new(&t.e, &args), 0);
    snprintf(more, sizeof(more), "Diversion: <sip:%s@b>\r\n", by);
    for (unsigned i = 0; i < CALLS; i++) {
        snprintf(id, sizeof(id), "%u", i);
        talk(&t, 'A', 'B',
             (struct talk_msg){
                 .start = "INVITE sip:100@b SIP/2.0", .id = id, .cseq = "1 INVITE", .more = more});
    }
    clock_t began = clock();
    assert_int_equal(an_engine_settle(t.e), 0);
    clock_t took = clock() - began;
    talk_end(&t);
    return took;
}

/* The same number again and again is one number. */
static void test_diverted_by_many(void **state)
{
    char by[491] = "";
    (void)state;
    for (unsigned i = 0; i + 3 < sizeof(by); i += 3)
        memcpy(by + i, "100", 4);
    clock_t once = diverted("100"), often = diverted(by);
    print_message("%.0f ms, %.0f ms\n", (double)once * 1e3 / CLOCKS_PER_SEC,
                  (double)often * 1e3 / CLOCKS_PER_SEC);
    assert_true(often < 3 * once + CLOCKS_PER_SEC / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended_call_lingers_and_goes),
        cmocka_unit_test(test_tail_of_rtp_keeps_the_call),
        cmocka_unit_test(test_endless_sender_does_not_keep_it),
        cmocka_unit_test(test_silence_ends_a_call),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_late_messages_are_counted),
        cmocka_unit_test(test_idle_call_goes_on),
        cmocka_unit_test(test_attempts_wait_for_their_caller),
        cmocka_unit_test(test_id_stays),
        cmocka_unit_test(test_addresses_are_forgotten),
        cmocka_unit_test(test_stream_of_two_legs),
        cmocka_unit_test(test_what_is_no_call_goes_too),
        cmocka_unit_test(test_past_is_bounded),
        cmocka_unit_test(test_kept_bytes_are_bounded),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_an_hour),
        cmocka_unit_test(test_diverted_by_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
