/* TCP: whatever happens to segments on the way to the capture, each side's bytes come out in
 * order, once, and what is missing is said. */
#include "read_test.h"

#include "analysis/reasm.h"
#include "base/rand.h"

struct flow {
    struct reasm r;
    struct addr a, b;
    uint64_t now_ns, frame;
    char out[2][65536]; /* '#' where a gap was told */
    size_t n[2];
    unsigned gaps, ends;
    uint64_t last_frame; /* of the last piece of data */
    uint32_t lost;
};

static struct flow *flow_open(uint32_t connections)
{
    static struct flow f;
    struct reasm_limits l = {.connections = connections,
                             .side_bytes = 20000,
                             .all_bytes = 60000,
                             .gap_ns = 5 * SEC,
                             .acked_gap_ns = SEC / 2,
                             .idle_ns = 60 * SEC,
                             .seed = 1};
    memset(&f, 0, sizeof(f));
    f.now_ns = T0;
    assert_int_equal(addr_parse(&f.a, STR("192.0.2.1"), 40000), 0);
    assert_int_equal(addr_parse(&f.b, STR("192.0.2.2"), 5060), 0);
    assert_int_equal(reasm_init(&f.r, &l), 0);
    return &f;
}

static void flow_close(struct flow *f)
{
    reasm_done(&f->r);
    assert_int_equal(mem_live(), 0);
}

static void drain(struct flow *f)
{
    struct tcp_piece p;
    while (reasm_next(&f->r, &p)) {
        unsigned side = p.side;
        if (p.kind == TCP_END) {
            f->ends++;
        } else if (p.kind == TCP_GAP) {
            f->gaps++;
            f->lost = p.lost;
            f->out[side][f->n[side]++] = '#';
        } else {
            assert_true(p.n > 0 && f->n[side] + p.n < sizeof(f->out[0]));
            memcpy(f->out[side] + f->n[side], p.p, p.n);
            f->n[side] += p.n;
            f->last_frame = p.frame;
        }
    }
}

/* Side 0 or 1 says something; in memory that ends there. */
static void say(struct flow *f, unsigned side, struct tcp t, struct str s)
{
    uint8_t *copy = malloc(s.n + 1);
    assert_non_null(copy);
    if (s.n)
        memcpy(copy, s.p, s.n);
    struct tcp_seg g = {.src = side ? f->b : f->a,
                        .dst = side ? f->a : f->b,
                        .seq = t.seq,
                        .ack = t.ack,
                        .flags = t.flags,
                        .p = copy,
                        .n = (uint32_t)s.n,
                        .wire_n = (uint32_t)s.n,
                        .at_ns = f->now_ns,
                        .frame = ++f->frame};
    (void)reasm_put(&f->r, &g);
    drain(f);
    free(copy);
    f->now_ns += MS;
}

static void heard(struct flow *f, unsigned side, const char *text)
{
    f->out[side][f->n[side]] = '\0';
    assert_string_equal(f->out[side], text);
}

#define D(seq) ((struct tcp){seq, 0, 0})

static void both_directions_from_begin_to_end(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 0, (struct tcp){99, 0, SYN}, STR("")); /* again */
    say(f, 1, (struct tcp){499, 100, SYN | ACK}, STR(""));
    say(f, 0, (struct tcp){100, 500, ACK}, STR("hello"));
    say(f, 1, (struct tcp){500, 105, ACK}, STR("hi"));
    say(f, 0, (struct tcp){105, 502, ACK}, STR(" there"));
    say(f, 0, (struct tcp){111, 502, ACK | FIN}, STR("!"));
    assert_int_equal(f->ends, 0);
    say(f, 1, (struct tcp){502, 113, ACK | FIN}, STR(""));
    heard(f, 0, "hello there!");
    heard(f, 1, "hi");
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->gaps, 0);
    /* What repeats after the end is not heard again. */
    say(f, 0, (struct tcp){111, 502, ACK | FIN}, STR("!"));
    heard(f, 0, "hello there!");
    assert_int_equal(f->ends, 1);
    flow_close(f);
}

static void out_of_order_repeated_overlapping(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 0, D(106), STR("GHI"));
    say(f, 0, D(103), STR("DEF"));
    say(f, 0, D(103), STR("DEF"));
    say(f, 0, D(105), STR("xxxJ")); /* what came first counts */
    assert_int_equal(f->n[0], 0);
    say(f, 0, D(100), STR("ABCd"));
    heard(f, 0, "ABCdEFxxJ");
    assert_int_equal(f->last_frame, f->frame);
    say(f, 0, D(100), STR("ABCdEFxxJ"));
    say(f, 0, D(107), STR("xxK"));
    heard(f, 0, "ABCdEFxxJK");
    assert_int_equal(f->gaps, 0);
    flow_close(f);
}

/* A random cut of a text, shuffled within a window, with repetitions, across the wrap. */
static void random_segments(void **state)
{
    static char text[20000];
    struct rand rnd;
    (void)state;
    rand_seed(&rnd, 7);
    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + rand_below(&rnd, 26));
    for (unsigned round = 0; round < 50; round++) {
        struct flow *f = flow_open(4);
        uint32_t begin = round % 2 ? 0xFFFFFFFF - 5000 : (uint32_t)rand_u64(&rnd);
        struct piece {
            uint32_t at, n;
        } piece[2000];
        unsigned count = 0;
        for (uint32_t at = 0; at < sizeof(text);) {
            uint32_t n = 1 + (uint32_t)rand_below(&rnd, 60);
            if (n > sizeof(text) - at)
                n = (uint32_t)sizeof(text) - at;
            piece[count++] = (struct piece){at, n};
            uint32_t back_by = (uint32_t)rand_below(&rnd, 20);
            at += n;
            at -= at > back_by && at < sizeof(text) && back_by < n ? back_by : 0;
        }
        for (unsigned i = 0; i < count; i++) {
            unsigned j = i + (unsigned)rand_below(&rnd, 8);
            if (j < count) {
                struct piece swap = piece[i];
                piece[i] = piece[j];
                piece[j] = swap;
            }
        }
        say(f, 0, (struct tcp){begin - 1, 0, SYN}, STR(""));
        for (unsigned i = 0; i < count; i++) {
            say(f, 0, D(begin + piece[i].at), str_of(text + piece[i].at, piece[i].n));
            if (rand_below(&rnd, 5) == 0 && i)
                say(f, 0, D(begin + piece[i - 1].at),
                    str_of(text + piece[i - 1].at, piece[i - 1].n));
        }
        assert_int_equal(f->n[0], sizeof(text));
        assert_memory_equal(f->out[0], text, sizeof(text));
        assert_int_equal(f->gaps, 0);
        flow_close(f);
    }
}

static void a_gap_is_given_up(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    /* By time. */
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 0, D(100), STR("one"));
    say(f, 0, D(110), STR("three"));
    uint64_t frame = f->frame;
    f->now_ns += 4 * SEC;
    say(f, 0, D(115), STR("four"));
    heard(f, 0, "one");
    f->now_ns += 2 * SEC;
    say(f, 1, D(7), STR("x"));
    heard(f, 0, "one#threefour");
    assert_int_equal(f->lost, 7);
    assert_int_equal(frame, 3);
    /* Sooner if the receiver says that it has it all. */
    say(f, 0, D(130), STR("six"));
    say(f, 1, (struct tcp){8, 133, ACK}, STR(""));
    heard(f, 0, "one#threefour");
    f->now_ns += 600 * MS;
    say(f, 1, (struct tcp){8, 133, ACK}, STR(""));
    heard(f, 0, "one#threefour#six");
    assert_int_equal(f->lost, 11);
    flow_close(f);
}

/* What waits on a connection that has fallen silent comes out by the traffic of others. */
static void a_silent_gap_is_given_up(void **state)
{
    struct flow *f = flow_open(8);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 0, D(105), STR("late"));
    uint64_t frame = f->frame;
    struct addr a = f->a;
    f->a.port = 50000;
    say(f, 0, D(7), STR("A"));
    heard(f, 0, "A");
    f->now_ns += 6 * SEC;
    say(f, 0, D(8), STR("B"));
    heard(f, 0, "AB#late");
    assert_int_equal(f->last_frame, frame); /* it came when it came */
    f->a = a;
    flow_close(f);
}

/* A gap that may still be filled does not hold up another one that will not. */
static void gaps_take_turns(void **state)
{
    struct flow *f = flow_open(8);
    (void)state;
    f->a.port = 1;
    say(f, 0, D(100), STR("a"));
    say(f, 0, D(105), STR("A"));
    f->a.port = 2;
    say(f, 0, D(100), STR("b"));
    say(f, 0, D(105), STR("B"));
    say(f, 1, (struct tcp){7, 106, ACK}, STR(""));
    f->now_ns += SEC;
    f->a.port = 3;
    for (uint32_t i = 0; i < 3; i++)
        say(f, 0, D(i), STR("."));
    heard(f, 0, "ab..#B.");
    flow_close(f);
}

static void too_much_behind_a_gap_is_not_kept(void **state)
{
    static char block[1000];
    struct flow *f = flow_open(4);
    (void)state;
    memset(block, 'z', sizeof(block));
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    for (uint32_t i = 0; i < 60; i++) {
        say(f, 0, D(200 + i * 1000), str_of(block, sizeof(block)));
        assert_true(f->r.bytes <= 22000);
    }
    assert_int_equal(f->gaps, 1);
    assert_int_equal(f->n[0], 60001);
    flow_close(f);
}

static void begun_before_the_capture(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 1, (struct tcp){500, 100, ACK}, STR("middle"));
    say(f, 0, (struct tcp){100, 506, ACK}, STR("of"));
    say(f, 1, (struct tcp){506, 102, ACK}, STR("it"));
    heard(f, 0, "middleit"); /* side 0 is who spoke first */
    heard(f, 1, "of");
    say(f, 1, (struct tcp){508, 102, RST}, STR(""));
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->gaps, 0);
    flow_close(f);
}

static void a_port_is_used_again(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 0, D(100), STR("old"));
    say(f, 0, D(200), STR("waits"));
    say(f, 0, (struct tcp){7000, 0, SYN}, STR(""));
    assert_int_equal(f->ends, 1); /* without a word of its end */
    heard(f, 0, "old#waits");
    say(f, 0, D(7001), STR("new"));
    heard(f, 0, "old#waitsnew");
    /* Ended, and begun again before the capture saw how. */
    say(f, 0, (struct tcp){7004, 0, RST}, STR(""));
    assert_int_equal(f->ends, 2);
    say(f, 0, D(90000), STR("more"));
    heard(f, 0, "old#waitsnewmore");
    assert_int_equal(f->ends, 2);
    /* With numbers that go on where the old ones ended. */
    say(f, 0, (struct tcp){90004, 0, RST}, STR(""));
    say(f, 0, (struct tcp){90003, 0, SYN}, STR(""));
    assert_true(f->r.seg.flags == SYN);
    say(f, 0, D(90004), STR("last"));
    heard(f, 0, "old#waitsnewmorelast");
    assert_int_equal(f->r.slots.used, 1);
    flow_close(f);
}

static void what_lies_behind_the_end_is_dropped(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 1, (struct tcp){499, 0, SYN | ACK}, STR(""));
    say(f, 0, D(150), STR("behind"));
    say(f, 0, (struct tcp){100, 0, FIN}, STR("a"));
    say(f, 1, (struct tcp){500, 0, FIN}, STR("b"));
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->r.bytes, 0);
    say(f, 0, D(7000), STR("c"));
    heard(f, 0, "ac");
    flow_close(f);
}

static void a_jump_is_no_gap_to_wait_for(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, D(100), STR("a"));
    say(f, 0, D(0x40000000), STR("b"));
    say(f, 0, D(0x40000001), STR("c"));
    heard(f, 0, "a#bc");
    assert_int_equal(f->lost, 0);
    flow_close(f);
}

/* The capture kept the beginning of each segment. */
static void cut_segments(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct tcp_seg g = {.src = f->a,
                            .dst = f->b,
                            .seq = 100 + i * 10,
                            .p = (const uint8_t *)"abcd",
                            .n = 4,
                            .wire_n = 10,
                            .at_ns = f->now_ns,
                            .frame = i + 1};
        assert_non_null(reasm_put(&f->r, &g));
        drain(f);
    }
    heard(f, 0, "abcd#abcd#abcd#");
    assert_int_equal(f->lost, 6);
    flow_close(f);
}

static void connections_are_bounded_and_idle_ones_go(void **state)
{
    struct flow *f = flow_open(10);
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        f->a.port = (uint16_t)(1000 + i);
        say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
        say(f, 0, D(100), STR("x"));
        say(f, 0, D(200), STR("y")); /* behind a gap */
        assert_true(f->r.slots.used <= 10);
    }
    assert_int_equal(f->ends, 90);
    assert_int_equal(f->r.evicted, 90);
    assert_int_equal(f->gaps, 90);
    f->now_ns += 61 * SEC;
    say(f, 0, D(300), STR("z"));
    assert_int_equal(f->ends, 99);
    assert_int_equal(f->r.slots.used, 1);
    while (reasm_end(&f->r))
        drain(f);
    assert_int_equal(f->ends, 100);
    assert_int_equal(f->r.slots.used, 0);
    assert_int_equal(f->r.bytes, 0);
    flow_close(f);
}

static void an_ignored_connection_costs_nothing(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    say(f, 0, D(100), STR("a"));
    say(f, 0, D(200), STR("b"));
    struct tcp_seg g = {.src = f->a,
                        .dst = f->b,
                        .seq = 101,
                        .p = (const uint8_t *)"x",
                        .n = 1,
                        .wire_n = 1,
                        .at_ns = f->now_ns};
    struct tcp_conn *c = reasm_put(&f->r, &g);
    assert_non_null(c);
    reasm_ignore(&f->r, c);
    drain(f);
    assert_int_equal(f->r.bytes, 0);
    uint64_t requests = mem_requests();
    for (uint32_t i = 0; i < 1000; i++)
        say(f, 0, D(300 + i * 7), STR("more"));
    assert_int_equal(mem_requests(), requests);
    heard(f, 0, "a");
    /* Another connection of the same ports is looked at again. */
    say(f, 0, (struct tcp){70000, 0, SYN}, STR(""));
    say(f, 0, D(70001), STR("B"));
    heard(f, 0, "aB");
    flow_close(f);
}

static void without_memory_a_gap_remains(void **state)
{
    struct flow *f = flow_open(4);
    (void)state;
    say(f, 0, (struct tcp){99, 0, SYN}, STR(""));
    mem_fail_after(1);
    say(f, 0, D(103), STR("DEF"));
    mem_fail_after(0);
    say(f, 0, D(100), STR("ABC"));
    say(f, 0, D(106), STR("GHI"));
    f->now_ns += 6 * SEC;
    say(f, 0, D(109), STR("J"));
    heard(f, 0, "ABC#GHIJ");
    flow_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_from_begin_to_end),
        cmocka_unit_test(out_of_order_repeated_overlapping),
        cmocka_unit_test(random_segments),
        cmocka_unit_test(a_gap_is_given_up),
        cmocka_unit_test(a_silent_gap_is_given_up),
        cmocka_unit_test(gaps_take_turns),
        cmocka_unit_test(too_much_behind_a_gap_is_not_kept),
        cmocka_unit_test(begun_before_the_capture),
        cmocka_unit_test(a_port_is_used_again),
        cmocka_unit_test(what_lies_behind_the_end_is_dropped),
        cmocka_unit_test(a_jump_is_no_gap_to_wait_for),
        cmocka_unit_test(cut_segments),
        cmocka_unit_test(connections_are_bounded_and_idle_ones_go),
        cmocka_unit_test(an_ignored_connection_costs_nothing),
        cmocka_unit_test(without_memory_a_gap_remains),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
