/* The transaction table and its interpreter: every cell is visited, on UDP and on TCP, and every
 * way through each machine is walked. (test_state_machines.c has the rules of single cells and the
 * page in docs/.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/sip/sip_int.h"

#define T1 (500 * USEC_MS)
#define T2 (4 * USEC_S)
#define T4 (5 * USEC_S)

static bool is_client(int kind)
{
    return kind == TXN_ICT || kind == TXN_NICT;
}

/* ---- the table as a whole -------------------------------------------------------------------- */

/* What can be true at one moment of a transaction's life. */
struct point {
    int state;
    bool retry, life; /* armed */
    bool told;        /* the user has heard how it ended */
};
#define POINTS (TXN_STATES * 8)
struct walk {
    bool seen[POINTS];
    struct point queue[POINTS];
    unsigned n, done;
    bool visited[TXN_STATES];
};

static unsigned index_of(struct point p)
{
    return (unsigned)p.state * 8 + (p.retry ? 4u : 0) + (p.life ? 2u : 0) + (p.told ? 1u : 0);
}

static void reach(struct walk *w, struct point p)
{
    if (w->seen[index_of(p)])
        return;
    w->seen[index_of(p)] = true;
    w->visited[p.state] = true;
    w->queue[w->n++] = p;
}

static bool armed_after(uint8_t op, bool before, bool fired)
{
    if (op == TXN_T_KEEP)
        return before && !fired;
    return op != TXN_T_STOP;
}

/* An event that cannot happen at this point: a timer that is not armed does not fire. After a
 * CANCEL the session arms the lifetime timer of a proceeding INVITE (RFC 3261 9.1). */
static bool possible(int kind, struct point p, int event)
{
    if (event == TXN_EV_RETRY)
        return p.retry;
    if (event == TXN_EV_LIFE)
        return p.life || (kind == TXN_ICT && p.state == TXN_PROCEEDING);
    return event != TXN_EV_START;
}

static struct point after(int kind, struct point p, int event, const struct txn_cell *cell)
{
    struct point q = {.state = cell->next, .told = p.told};
    bool final = event == TXN_EV_2XX || event == TXN_EV_FINAL;
    q.retry = armed_after(cell->retry_op, p.retry, event == TXN_EV_RETRY);
    q.life = armed_after(cell->life_op, p.life, event == TXN_EV_LIFE);
    if (is_client(kind) && final && (cell->act & TXN_DO_USER)) {
        /* Only 2xx to INVITE are passed up again and again (RFC 6026 8.4). */
        bool repeated = kind == TXN_ICT && p.state == TXN_ACCEPTED && event == TXN_EV_2XX;
        assert_true(!p.told || repeated);
        q.told = true;
    }
    if (cell->act & (TXN_DO_TIMEOUT | TXN_DO_ERROR)) {
        assert_true(!is_client(kind) || !p.told);
        q.told = true;
    }
    return q;
}

/* Follows every way through one machine; checks each point it comes to. */
static void walk_machine(int kind, struct walk *w)
{
    int first = kind == TXN_IST ? TXN_PROCEEDING : TXN_TRYING;
    const struct txn_cell *start =
        txn_cell((enum sip_txn_kind)kind, (enum sip_txn_state)first, TXN_EV_START);
    assert_true(start->valid);
    reach(w, after(kind, (struct point){.state = first}, TXN_EV_START, start));
    while (w->done < w->n) {
        struct point p = w->queue[w->done++];
        if (p.state == TXN_TERMINATED) {
            assert_false(p.retry); /* no timer outlives its transaction */
            assert_false(p.life);
            assert_true(p.told || !is_client(kind)); /* every end was announced */
            continue;
        }
        for (int e = 0; e < TXN_EVENTS; e++) {
            const struct txn_cell *cell =
                txn_cell((enum sip_txn_kind)kind, (enum sip_txn_state)p.state, (enum txn_event)e);
            if (cell->valid && possible(kind, p, e))
                reach(w, after(kind, p, e, cell));
        }
    }
}

static void every_way_ends_announced_and_without_timers(void **state)
{
    static const char *const want[TXN_KINDS] = {[TXN_ICT] = "11101 1",
                                                [TXN_NICT] = "11100 1",
                                                [TXN_IST] = "01111 1",
                                                [TXN_NIST] = "11100 1"};
    for (int k = 0; k < TXN_KINDS; k++) {
        struct walk w = {0};
        walk_machine(k, &w);
        for (int s = 0; s < TXN_TERMINATED; s++)
            assert_int_equal(w.visited[s], want[k][s] == '1');
        assert_true(w.visited[TXN_TERMINATED]);
    }
}

/* From every state there is a way to the end by the lifetime timer, so silence cannot keep a
 * transaction; a server that has not answered is the user's to end, a proceeding INVITE the
 * session's. */
static void silence_ends_every_transaction(void **state)
{
    for (int k = 0; k < TXN_KINDS; k++) {
        struct walk w = {0};
        walk_machine(k, &w);
        for (unsigned i = 0; i < w.n; i++) {
            struct point p = w.queue[i];
            bool waits_for_user =
                !is_client(k) && (p.state == TXN_TRYING || (p.state == TXN_PROCEEDING));
            bool waits_for_session = k == TXN_ICT && p.state == TXN_PROCEEDING;
            if (p.state != TXN_TERMINATED && !waits_for_user && !waits_for_session)
                assert_true(p.life);
        }
    }
}

static void timers_have_the_letters_of_the_rfc(void **state)
{
    static const char *const retry[TXN_KINDS] = {
        [TXN_ICT] = "A", [TXN_NICT] = "E", [TXN_IST] = "G", [TXN_NIST] = ""};
    static const char *const life[TXN_KINDS] = {
        [TXN_ICT] = "BDM", [TXN_NICT] = "FK", [TXN_IST] = "HIL", [TXN_NIST] = "J"};
    for (int k = 0; k < TXN_KINDS; k++)
        for (int s = 0; s < TXN_STATES; s++)
            for (int e = 0; e < TXN_EVENTS; e++) {
                const struct txn_cell *c =
                    txn_cell((enum sip_txn_kind)k, (enum sip_txn_state)s, (enum txn_event)e);
                if (c->retry_op > TXN_T_STOP)
                    assert_non_null(strchr(retry[k], c->retry));
                if (c->life_op > TXN_T_STOP)
                    assert_non_null(strchr(life[k], c->life));
                assert_true(c->retry_op <= TXN_T_T2);
                assert_true(c->life_op <= TXN_T_STOP || c->life_op >= TXN_T_64T1);
                /* Only Timer A grows without a bound (RFC 3261 17.1.1.2). */
                assert_int_equal(c->retry_op == TXN_T_DOUBLE, c->retry == 'A' && e == TXN_EV_RETRY);
            }
}

static void cells_that_are_not_valid_are_empty(void **state)
{
    static const struct txn_cell empty;
    for (int k = 0; k < TXN_KINDS; k++)
        for (int s = 0; s < TXN_STATES; s++)
            for (int e = 0; e < TXN_EVENTS; e++) {
                const struct txn_cell *c =
                    txn_cell((enum sip_txn_kind)k, (enum sip_txn_state)s, (enum txn_event)e);
                if (!c->valid)
                    assert_memory_equal(c, &empty, sizeof(empty));
                if (s == TXN_TERMINATED)
                    assert_false(c->valid);
            }
}

/* ---- the interpreter, cell by cell ------------------------------------------------------------
 */

struct bench {
    struct rand rand;
    struct trace trace;
    struct sip_core *core;
    usec_t now;
};

static int bench_up(void **state)
{
    struct bench *b = mem_zero(sizeof(*b));
    struct sip_conf conf = {.timers = {.t1 = T1, .t2 = T2, .t4 = T4, .bye_timeout = 32 * USEC_S},
                            .n_listeners = 1,
                            .supported = "",
                            .allow = "INVITE",
                            .max_txns = 64,
                            .max_sessions = 16,
                            .max_dialogs = 16};
    assert_non_null(b);
    b->now = 1000 * USEC_S;
    rand_seed(&b->rand, 1);
    assert_int_equal(trace_init(&b->trace, 4096, 1), 0);
    b->core = sip_core_new(&conf, &b->rand, &b->trace, b->now);
    assert_non_null(b->core);
    *state = b;
    return 0;
}

static int bench_down(void **state)
{
    struct bench *b = *state;
    sip_core_free(b->core);
    trace_done(&b->trace);
    mem_free(b);
    return 0;
}

static struct sip_txn *txn_at(struct bench *b, int kind, int state, enum proto proto)
{
    struct flow flow = {.proto = (uint8_t)proto, .peer = {.family = ADDR_V4, .port = 5060}};
    struct sip_txn *t = txn_new(b->core, (enum sip_txn_kind)kind, SIP_INVITE, &flow, STR("key"));
    assert_non_null(t);
    b->core->stats.txns[kind][t->state]--;
    t->state = (uint8_t)state;
    b->core->stats.txns[kind][t->state]++;
    t->interval = T1;
    return t;
}

/* What an operation must make of an interval of T1; 0: the timer does not run. */
static usec_t want_in(uint8_t op, bool reliable)
{
    switch ((enum txn_timer_op)op) {
    case TXN_T_T1:
        return reliable ? 0 : T1;
    case TXN_T_DOUBLE:
    case TXN_T_DOUBLE_T2:
        return reliable ? 0 : 2 * T1;
    case TXN_T_T2:
        return reliable ? 0 : T2;
    case TXN_T_64T1:
        return 64 * T1;
    case TXN_T_D:
        return reliable ? 0 : 32 * USEC_S;
    case TXN_T_T4:
        return reliable ? 0 : T4;
    case TXN_T_J:
        return reliable ? 0 : 64 * T1;
    default:
        return 0;
    }
}

static void check_timer(struct bench *b, const struct timer *t, uint8_t op, bool reliable)
{
    usec_t in = want_in(op, reliable);
    if (op == TXN_T_KEEP)
        return;
    assert_int_equal(timer_armed(t), in != 0);
    if (in)
        assert_int_equal(timer_due(t), b->now + in);
}

static void check_cell(struct bench *b, int kind, int state, int event, enum proto proto)
{
    const struct txn_cell *cell =
        txn_cell((enum sip_txn_kind)kind, (enum sip_txn_state)state, (enum txn_event)event);
    bool reliable = proto_reliable(proto);
    struct sip_txn *t = txn_at(b, kind, state, proto);
    unsigned act = txn_step(b->core, t, (enum txn_event)event);
    assert_int_equal(act, cell->valid ? cell->act : 0);
    if (!cell->valid) { /* counted or ignored, never a change */
        assert_int_equal(t->state, state);
        assert_false(timer_armed(&t->retry) || timer_armed(&t->life));
    } else {
        bool at_once = cell->life_op > TXN_T_STOP && !want_in(cell->life_op, reliable);
        assert_int_equal(t->state, at_once ? TXN_TERMINATED : cell->next);
        check_timer(b, &t->retry, cell->retry_op, reliable);
        check_timer(b, &t->life, cell->life_op, reliable);
    }
    assert_int_equal(b->core->stats.txns[kind][t->state], 1);
    txn_free(b->core, t);
    assert_int_equal(b->core->wheel.armed, 0);
}

static void every_cell_does_what_it_says(void **state)
{
    struct bench *b = *state;
    unsigned cells = 0;
    for (int k = 0; k < TXN_KINDS; k++)
        for (int s = 0; s < TXN_STATES; s++)
            for (int e = 0; e < TXN_EVENTS; e++, cells++) {
                check_cell(b, k, s, e, PROTO_UDP);
                check_cell(b, k, s, e, PROTO_TCP);
            }
    assert_int_equal(cells, TXN_KINDS * TXN_STATES * TXN_EVENTS);
}

/* RFC 3261 17.1.1.2 and 17.1.2.2: the intervals, not only the first. */
static void intervals_double_to_their_bound(void **state)
{
    struct bench *b = *state;
    struct sip_txn *ict = txn_at(b, TXN_ICT, TXN_TRYING, PROTO_UDP);
    struct sip_txn *nict = txn_at(b, TXN_NICT, TXN_TRYING, PROTO_UDP);
    txn_step(b->core, ict, TXN_EV_START);
    txn_step(b->core, nict, TXN_EV_START);
    for (unsigned i = 1; i <= 6; i++) {
        usec_t doubled = T1 << i;
        txn_step(b->core, ict, TXN_EV_RETRY);
        txn_step(b->core, nict, TXN_EV_RETRY);
        assert_int_equal(timer_due(&ict->retry), b->now + doubled);
        assert_int_equal(timer_due(&nict->retry), b->now + (doubled < T2 ? doubled : T2));
    }
    txn_free(b->core, ict);
    txn_free(b->core, nict);
}

/* Timer D is 64*T1 where that is more than 32 s. */
static void timer_d_is_at_least_32_s(void **state)
{
    struct bench *b = *state;
    const usec_t t1s[] = {100 * USEC_MS, T1, USEC_S};
    for (unsigned i = 0; i < ARRAY_LEN(t1s); i++) {
        struct sip_txn *t = txn_at(b, TXN_ICT, TXN_PROCEEDING, PROTO_UDP);
        t->t1 = t1s[i];
        txn_step(b->core, t, TXN_EV_FINAL);
        usec_t want = 64 * t1s[i] > 32 * USEC_S ? 64 * t1s[i] : 32 * USEC_S;
        assert_int_equal(timer_due(&t->life), b->now + want);
        txn_free(b->core, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_ends_announced_and_without_timers),
        cmocka_unit_test(silence_ends_every_transaction),
        cmocka_unit_test(timers_have_the_letters_of_the_rfc),
        cmocka_unit_test(cells_that_are_not_valid_are_empty),
        cmocka_unit_test_setup_teardown(every_cell_does_what_it_says, bench_up, bench_down),
        cmocka_unit_test_setup_teardown(intervals_double_to_their_bound, bench_up, bench_down),
        cmocka_unit_test_setup_teardown(timer_d_is_at_least_32_s, bench_up, bench_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
