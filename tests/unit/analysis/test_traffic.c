/* An exchange's own messages: kept within bounds, found by Call-ID, and made into the call that the
 * exchange knows they are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "analysis/explain.h"
#include "analysis/traffic.h"
#include "base/mem.h"

#define AT_NS UINT64_C(1700000000000000000)

struct bed {
    struct an_traffic *t;
    struct an_traffic_answer found;
    uint64_t now_ns;
    unsigned n;
};

static void bed_open(struct bed *b, size_t bytes)
{
    *b = (struct bed){.now_ns = AT_NS};
    assert_int_equal(an_traffic_new(&b->t, bytes, 42), 0);
}

static void bed_close(struct bed *b)
{
    an_traffic_free(b->t);
}

/* Hosts by letter. */
static struct addr host(char c)
{
    return (struct addr){
        .family = ADDR_V4, .port = 5060, .ip = {192, 0, 2, (uint8_t)(c - 'A' + 1)}};
}

static void put_raw(struct bed *b, char from, char to, struct str id, struct str bytes)
{
    struct an_traffic_msg m = {.at_ns = b->now_ns,
                               .src = host(from),
                               .dst = host(to),
                               .transport = AN_UDP,
                               .sent = from == 'P' || from == 'Q',
                               .call_id = id,
                               .bytes = bytes};
    an_traffic_put(b->t, &m);
    b->now_ns += 1000000;
}

/* P and Q are addresses of the exchange. */
static void say(struct bed *b, char from, char to, const char *id, const char *start,
                const char *cseq, const char *more)
{
    char text[1500];
    bool request = strncmp(start, "SIP/", 4) != 0;
    int n = snprintf(text, sizeof(text),
                     "%s\r\nVia: SIP/2.0/UDP h%c;branch=z9hG4bK%s%.1s\r\nMax-Forwards: 70\r\n"
                     "From: <sip:1001@a>;tag=f\r\nTo: <sip:1002@b>%s\r\nCall-ID: %s\r\n"
                     "CSeq: %s\r\nContact: <sip:x@192.0.2.%d>\r\n%sContent-Length: 0\r\n\r\n",
                     start, request ? from : to, id, cseq, request ? "" : ";tag=t", id, cseq,
                     from - 'A' + 1, more);
    put_raw(b, from, to, str_z(id), str_of(text, (size_t)n));
}

static int find_ids(struct bed *b, const char *const *id, unsigned n)
{
    struct str ids[64];
    for (unsigned i = 0; i < n; i++)
        ids[i] = str_z(id[i]);
    struct an_traffic_ask ask = {.call_id = ids, .n = n, .number = 17};
    return an_traffic_find(b->t, &ask, &b->found);
}

static const struct an_call *only_call(struct bed *b)
{
    assert_int_equal(an_engine_calls(b->found.engine), 1);
    return an_engine_call(b->found.engine, 0);
}

static bool says(struct bed *b, enum an_rule rule)
{
    struct an_findings all;
    bool found = false;
    assert_int_equal(an_explain(b->found.engine, 0, &all), 0);
    for (uint32_t i = 0; i < all.n; i++)
        found |= all.v[i].rule == rule;
    an_findings_done(&all);
    return found;
}

/* The callee is busy; other calls go on beside. */
static void busy(struct bed *b, const char *in, const char *out)
{
    say(b, 'A', 'P', in, "INVITE sip:1002@b SIP/2.0", "1 INVITE", "");
    say(b, 'P', 'A', in, "SIP/2.0 100 Trying", "1 INVITE", "");
    say(b, 'Q', 'B', out, "INVITE sip:1002@c SIP/2.0", "1 INVITE", "");
    say(b, 'B', 'Q', out, "SIP/2.0 486 Busy Here", "1 INVITE", "");
    say(b, 'Q', 'B', out, "ACK sip:1002@c SIP/2.0", "1 ACK", "");
    say(b, 'P', 'A', in, "SIP/2.0 486 Busy Here", "1 INVITE", "");
    say(b, 'A', 'P', in, "ACK sip:1002@b SIP/2.0", "1 ACK", "");
}

static void a_call_is_found(void **state)
{
    (void)state;
    static const char *const ids[] = {"one-in", "one-out", "one-in"};
    struct bed b;
    bed_open(&b, 0);
    busy(&b, "other-in", "other-out");
    busy(&b, "one-in", "one-out");
    busy(&b, "third-in", "third-out");
    assert_int_equal(find_ids(&b, ids, 3), 0);
    assert_int_equal(b.found.messages, 7);
    assert_int_equal(b.found.file.frames, 7);
    assert_true(b.found.file.first_ns == AT_NS + 7000000);
    const struct an_call *call = only_call(&b);
    assert_int_equal(call->number, 17);
    assert_int_equal(call->n_legs, 2);
    assert_int_equal(call->outcome, AN_BUSY);
    assert_true(says(&b, AN_R_BUSY));
    /* The two addresses of the exchange are no obstacle, since it knows. */
    assert_int_equal(call->n_edges, 1);
    assert_int_equal(call->edge[0].kind, AN_EDGE_DIALED);
    bool known = false;
    for (unsigned i = 0; i < call->edge[0].n_proofs; i++)
        known |= call->edge[0].proof[i].what == AN_BY_OWN;
    assert_true(known);
    /* The text of a message is that which was put there. */
    char text[2000];
    const struct an_leg *leg = an_engine_leg(b.found.engine, 0);
    size_t n = an_engine_bytes(b.found.engine, &leg->msg[0], text, sizeof(text));
    assert_true(str_starts(str_of(text, n), STR("INVITE sip:1002@b SIP/2.0\r\n")));
    an_engine_free(b.found.engine);
    static const char *const nobody[] = {"no such"};
    assert_int_equal(find_ids(&b, nobody, 1), -ENOENT);
    bed_close(&b);
}

/* Legs that nothing ties but the exchange's word. */
static void what_nothing_ties(void **state)
{
    (void)state;
    static const char *const ids[] = {"x", "y", "z"};
    struct bed b;
    bed_open(&b, 0);
    say(&b, 'A', 'P', "x", "INVITE sip:1002@b SIP/2.0", "1 INVITE", "");
    b.now_ns += UINT64_C(60000000000);
    say(&b, 'Q', 'B', "y", "INVITE sip:7777@c SIP/2.0", "1 INVITE",
        "P-Asserted-Identity: <sip:8888@c>\r\n");
    b.now_ns += UINT64_C(60000000000);
    say(&b, 'C', 'P', "z", "INVITE sip:9999@b SIP/2.0", "1 INVITE", "");
    assert_int_equal(find_ids(&b, ids, 3), 0);
    const struct an_call *call = only_call(&b);
    assert_int_equal(call->n_legs, 3);
    /* None has ended, and no capture has. */
    assert_true(says(&b, AN_R_UNDER_WAY));
    assert_false(says(&b, AN_R_GOES_ON));
    an_engine_free(b.found.engine);
    bed_close(&b);
}

static void invite(struct bed *b, char from, char to, const char *id, const char *caller)
{
    char text[600];
    int n = snprintf(text, sizeof(text),
                     "INVITE sip:1002@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK%s\r\n"
                     "Max-Forwards: 70\r\nFrom: <sip:%s@a>;tag=f%s\r\nTo: <sip:1002@b>\r\n"
                     "Call-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:x@h>\r\n"
                     "Content-Length: 0\r\n\r\n",
                     id, caller, id, id);
    put_raw(b, from, to, str_z(id), str_of(text, (size_t)n));
}

/* A leg that shows another number than the caller's, from another address than the caller's leg
 * came to, is still dialed for the leg that came just then. */
static void who_was_dialed_for_whom(void **state)
{
    (void)state;
    static const char *const ids[] = {"in-1", "out-1", "in-2", "out-2"};
    struct bed b;
    bed_open(&b, 0);
    invite(&b, 'A', 'P', "in-1", "1001");
    invite(&b, 'Q', 'B', "out-1", "5550001");
    b.now_ns += UINT64_C(10000000000);
    invite(&b, 'B', 'P', "in-2", "1002");
    invite(&b, 'Q', 'C', "out-2", "5550002");
    assert_int_equal(find_ids(&b, ids, 4), 0);
    const struct an_call *call = only_call(&b);
    assert_int_equal(call->n_legs, 4);
    bool first = false, second = false;
    for (uint32_t i = 0; i < call->n_edges; i++) {
        const struct an_edge *e = &call->edge[i];
        first |= e->kind == AN_EDGE_DIALED && e->a == 0 && e->b == 1;
        second |= e->kind == AN_EDGE_DIALED && e->a == 2 && e->b == 3;
    }
    assert_true(first && second);
    an_engine_free(b.found.engine);
    bed_close(&b);
}

/* Whatever is put there, the memory is what was granted, and the latest messages are in it. */
static void within_bounds(void **state)
{
    (void)state;
    struct bed b;
    char id[24], text[9000];
    uint32_t x = 1;
    memset(text, 'x', sizeof(text));
    bed_open(&b, AN_TRAFFIC_LEAST);
    uint64_t live = mem_live();
    for (unsigned i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        size_t n = 1 + (x >> 8) % (i % 7 ? 700 : sizeof(text));
        snprintf(id, sizeof(id), "id-%u", i / 3);
        put_raw(&b, 'A', 'P', str_z(id), str_of(text, n));
        struct an_traffic_stats s = an_traffic_stats_get(b.t);
        assert_true(s.kept_bytes <= s.max_bytes);
        assert_true(s.kept > 0 && s.kept <= i + 1);
    }
    assert_int_equal(mem_live(), live); /* it asks for no memory */
    struct an_traffic_stats s = an_traffic_stats_get(b.t);
    assert_int_equal(s.max_bytes, AN_TRAFFIC_LEAST);
    assert_int_equal(s.messages, 20000);
    assert_true(s.kept > 50 && s.kept < 2000);
    assert_true(s.oldest_ns == b.now_ns - s.kept * 1000000);
    bed_close(&b);
}

static void the_oldest_go(void **state)
{
    (void)state;
    struct bed b;
    char in[24], out[24];
    bed_open(&b, AN_TRAFFIC_LEAST);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(in, sizeof(in), "in-%u", i);
        snprintf(out, sizeof(out), "out-%u", i);
        busy(&b, in, out);
        const char *const ids[] = {in, out};
        assert_int_equal(find_ids(&b, ids, 2), 0);
        assert_int_equal(b.found.messages, 7);
        assert_int_equal(only_call(&b)->n_legs, 2);
        an_engine_free(b.found.engine);
    }
    const char *const gone[] = {"in-0", "out-0"};
    assert_int_equal(find_ids(&b, gone, 2), -ENOENT);
    bed_close(&b);
}

/* A call with more messages than one answer tells: the latest. */
static void too_many(void **state)
{
    (void)state;
    static const char *const ids[] = {"many"};
    struct bed b;
    char cseq[24];
    bed_open(&b, 16u << 20);
    for (unsigned i = 0; i < 3 * AN_TRAFFIC_MAX_MSGS; i++) {
        snprintf(cseq, sizeof(cseq), "%u INFO", i + 1);
        say(&b, 'A', 'P', "many", "INFO sip:1002@b SIP/2.0", cseq, "");
    }
    assert_int_equal(find_ids(&b, ids, 1), 0);
    assert_int_equal(b.found.messages, AN_TRAFFIC_MAX_MSGS);
    assert_int_equal(b.found.left_out, 2 * AN_TRAFFIC_MAX_MSGS);
    assert_true(b.found.file.last_ns == b.now_ns - 1000000);
    an_engine_free(b.found.engine);
    bed_close(&b);
}

static void what_began_before_memory(void **state)
{
    (void)state;
    static const char *const ids[] = {"late"};
    struct bed b;
    bed_open(&b, 0);
    say(&b, 'A', 'P', "late", "BYE sip:1002@b SIP/2.0", "2 BYE", "");
    say(&b, 'P', 'A', "late", "SIP/2.0 200 OK", "2 BYE", "");
    assert_int_equal(find_ids(&b, ids, 1), 0);
    assert_true(says(&b, AN_R_FORGOTTEN));
    assert_false(says(&b, AN_R_BEGINS_LATE));
    an_engine_free(b.found.engine);
    /* Empty and enormous messages are nothing. */
    put_raw(&b, 'A', 'P', STR("e"), STR(""));
    char *big = calloc(1, AN_TRAFFIC_LEAST);
    put_raw(&b, 'A', 'P', STR("e"), str_of(big, AN_TRAFFIC_LEAST));
    free(big);
    static const char *const none[] = {"e"};
    assert_int_equal(find_ids(&b, none, 1), -ENOENT);
    assert_int_equal(an_traffic_stats_get(b.t).refused, 1);
    bed_close(&b);
}

/* Also what wrapped, and what was cut off at the end of the memory. */
static void what_was_tried(void **state)
{
    (void)state;
    struct bed b;
    struct an_attempted v[20];
    char in[24], out[24];
    bed_open(&b, AN_TRAFFIC_LEAST);
    assert_int_equal(an_traffic_attempts(b.t, v, 20), 0);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(in, sizeof(in), "in-%u", i);
        snprintf(out, sizeof(out), "out-%u", i);
        busy(&b, in, out);
    }
    say(&b, 'C', 'P', "again", "INVITE sip:1002@b SIP/2.0", "1 INVITE", "");
    say(&b, 'P', 'C', "again", "SIP/2.0 407 Proxy Authentication Required", "1 INVITE", "");
    say(&b, 'C', 'P', "again", "INVITE sip:1003@b SIP/2.0", "2 INVITE", "");
    assert_int_equal(an_traffic_attempts(b.t, v, 3), 3);
    assert_true(str_eq(v[0].call_id, STR("again")));
    assert_true(str_eq(v[0].from, STR("1001")) && str_eq(v[0].to, STR("1003")));
    assert_int_equal(v[0].invites, 2);
    assert_int_equal(v[0].status, 407);
    assert_int_equal(v[0].from_addr.ip[3], 3);
    assert_true(str_eq(v[1].call_id, STR("in-299")));
    assert_int_equal(v[1].status, 486);
    assert_int_equal(v[1].invites, 1);
    assert_true(str_eq(v[2].call_id, STR("in-298")));
    int n = an_traffic_attempts(b.t, v, 20);
    assert_int_equal(n, 20);
    struct an_attempted *all = malloc(AN_ATTEMPTS_MAX * sizeof(*all));
    n = an_traffic_attempts(b.t, all, 1000000);
    if (n <= 30 || n >= 200)
        fail_msg("%d attempts", n); /* as many as there is memory for */
    for (int i = 1; i < n; i++)
        assert_true(all[i].at_ns < all[i - 1].at_ns);
    free(all);
    bed_close(&b);
}

/* A datagram says itself how long it is: RFC 3261 section 18.3. */
static void what_was_tried_without_a_length(void **state)
{
    (void)state;
    struct bed b;
    struct an_attempted v[2];
    bed_open(&b, 0);
    put_raw(&b, 'C', 'P', STR("bare"),
            STR("INVITE sip:1002@b SIP/2.0\r\nVia: SIP/2.0/UDP hC;branch=z9hG4bKbare\r\n"
                "Max-Forwards: 70\r\nFrom: <sip:1001@a>;tag=f\r\nTo: <sip:1002@b>\r\n"
                "Call-ID: bare\r\nCSeq: 1 INVITE\r\nContact: <sip:x@192.0.2.3>\r\n\r\n"));
    assert_int_equal(an_traffic_attempts(b.t, v, 2), 1);
    assert_true(str_eq(v[0].call_id, STR("bare")));
    bed_close(&b);
}

static void without_memory(void **state)
{
    (void)state;
    static const char *const ids[] = {"one-in", "one-out"};
    struct bed b;
    uint64_t live = mem_live();
    for (uint64_t nth = 1; nth < 3; nth++) {
        struct an_traffic *t;
        mem_fail_after(nth);
        int err = an_traffic_new(&t, 0, 1);
        mem_fail_after(0);
        if (err == 0)
            an_traffic_free(t);
        assert_int_equal(mem_live(), live);
    }
    bed_open(&b, 0);
    busy(&b, "one-in", "one-out");
    uint64_t open = mem_live();
    for (uint64_t nth = 1, err = 1; err; nth++) {
        mem_fail_after(nth);
        err = (uint64_t)-find_ids(&b, ids, 2);
        mem_fail_after(0);
        if (err == 0)
            an_engine_free(b.found.engine);
        assert_int_equal(mem_live(), open);
        assert_true(nth < 1000);
    }
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_found),
        cmocka_unit_test(what_nothing_ties),
        cmocka_unit_test(who_was_dialed_for_whom),
        cmocka_unit_test(within_bounds),
        cmocka_unit_test(the_oldest_go),
        cmocka_unit_test(too_many),
        cmocka_unit_test(what_was_tried_without_a_length),
        cmocka_unit_test(what_began_before_memory),
        cmocka_unit_test(what_was_tried),
        cmocka_unit_test(without_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
