/* The table of the transaction machines as a whole: rules that every cell must keep, and the page
 * docs/state-machines.md, which is printed from it. RD_WRITE_PAGES=1 in the environment renews the
 * page. What the machines do in time is shown by tests/scenario/t4-*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/sip/txn.h"

#define PAGE       TEST_DATA "/../../docs/state-machines.md"
#define PAGE_BYTES (64u << 10)

struct place {
    enum sip_txn_kind kind;
    enum sip_txn_state state;
    enum txn_event event;
};

/* Walks all cells in the order of the table; false at the end. Begin with *at = {0} and the first
 * call's result is the first cell. */
static bool place_at(unsigned i, struct place *ret)
{
    if (i >= TXN_KINDS * TXN_STATES * TXN_EVENTS)
        return false;
    ret->kind = (enum sip_txn_kind)(i / (TXN_STATES * TXN_EVENTS));
    ret->state = (enum sip_txn_state)(i / TXN_EVENTS % TXN_STATES);
    ret->event = (enum txn_event)(i % TXN_EVENTS);
    return true;
}

static const struct txn_cell *cell_at(const struct place *p)
{
    return txn_cell(p->kind, p->state, p->event);
}

/* ---- rules -------------------------------------------------------------------------------------
 */

/* RFC 3261 table 4 and RFC 6026: which machine has which timers. */
static const struct {
    const char *retry, *life;
} letters[TXN_KINDS] = {[TXN_ICT] = {"A", "BDM"},
                        [TXN_NICT] = {"E", "FK"},
                        [TXN_IST] = {"G", "HIL"},
                        [TXN_NIST] = {"", "J"}};

static bool arms(unsigned op)
{
    return op != TXN_T_KEEP && op != TXN_T_STOP;
}

static void timers_belong_to_their_machines(void **state)
{
    struct place p;
    for (unsigned i = 0; place_at(i, &p); i++) {
        const struct txn_cell *c = cell_at(&p);
        assert_int_equal(c->retry != 0, arms(c->retry_op));
        assert_int_equal(c->life != 0, arms(c->life_op));
        if (c->retry)
            assert_non_null(strchr(letters[p.kind].retry, c->retry));
        if (c->life)
            assert_non_null(strchr(letters[p.kind].life, c->life));
    }
    (void)state;
}

static void an_end_is_an_end(void **state)
{
    struct place p;
    for (unsigned i = 0; place_at(i, &p); i++) {
        const struct txn_cell *c = cell_at(&p);
        if (p.state == TXN_TERMINATED)
            assert_false(c->valid);
        if (!c->valid) {
            assert_int_equal(c->act, 0);
            continue;
        }
        assert_true(txn_has_state(p.kind, (enum sip_txn_state)c->next));
        if (c->next == TXN_TERMINATED)
            assert_false(arms(c->retry_op) || arms(c->life_op));
    }
    (void)state;
}

/* Is there a way from one state to the other? */
static bool leads(enum sip_txn_kind kind, enum sip_txn_state from, enum sip_txn_state to)
{
    bool seen[TXN_STATES] = {false};
    seen[from] = true;
    for (unsigned round = 0; round < TXN_STATES; round++)
        for (unsigned s = 0; s < TXN_STATES; s++)
            for (unsigned e = 0; e < TXN_EVENTS && seen[s]; e++) {
                const struct txn_cell *c = txn_cell(kind, (enum sip_txn_state)s, (enum txn_event)e);
                if (c->valid)
                    seen[c->next] = true;
            }
    return seen[to];
}

static void every_state_is_reached_and_left(void **state)
{
    static const enum sip_txn_state first[TXN_KINDS] = {TXN_TRYING, TXN_TRYING, TXN_PROCEEDING,
                                                        TXN_TRYING};
    for (unsigned k = 0; k < TXN_KINDS; k++)
        for (unsigned s = 0; s < TXN_STATES; s++) {
            enum sip_txn_kind kind = (enum sip_txn_kind)k;
            if (!txn_has_state(kind, (enum sip_txn_state)s))
                continue;
            assert_true(leads(kind, first[k], (enum sip_txn_state)s));
            assert_true(leads(kind, (enum sip_txn_state)s, TXN_TERMINATED));
        }
    (void)state;
}

/* ---- the page ----------------------------------------------------------------------------------
 */

static const char *const titles[TXN_KINDS] = {
    "INVITE client (ICT)\n\nRFC 3261 section 17.1.1, figure 5; RFC 6026 section 8.4.",
    "Non-INVITE client (NICT)\n\nRFC 3261 section 17.1.2, figure 6.",
    "INVITE server (IST)\n\nRFC 3261 section 17.2.1, figure 7; RFC 6026 section 8.5.",
    "Non-INVITE server (NIST)\n\nRFC 3261 section 17.2.2, figure 8.",
};

static const char head[] =
    "# State machines\n\n"
    "This page is printed from the table in `src/engine/sip/txn_table.c` by\n"
    "`tests/unit/engine/sip/test_state_machines.c`, which fails when it is not current.\n\n"
    "An event that a state does not list is ignored. *send*: what came with the "
    "event;\n"
    "*resend*: the kept copy; *ack*: the ACK of a refusal; *user*: the user of the transaction is "
    "told;\n"
    "*time-out*, *error*: he is told of that. Timers A, E and G repeat and are not armed on "
    "reliable\n"
    "transports; the others end the transaction. D, I, J and K are 0 on reliable transports.\n"
    "A state is left for *Terminated* at once when the timer that it would wait for is 0.\n";

static void put_word(struct buf *b, size_t start, const char *word)
{
    if (b->n > start)
        buf_lit(b, ", ");
    buf_z(b, word);
}

static void put_acts(struct buf *b, unsigned act)
{
    static const char *const names[] = {"send", "resend", "ack", "user", "time-out", "error"};
    size_t start = b->n;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (act & 1u << i)
            put_word(b, start, names[i]);
}

static void put_timer(struct buf *b, size_t start, unsigned op, char letter)
{
    static const char *const times[] = {
        [TXN_T_T1] = "T1", [TXN_T_DOUBLE] = "doubled", [TXN_T_DOUBLE_T2] = "doubled, at most T2",
        [TXN_T_T2] = "T2", [TXN_T_64T1] = "64*T1",     [TXN_T_D] = "64*T1, at least 32 s",
        [TXN_T_T4] = "T4", [TXN_T_J] = "64*T1"};
    if (!arms(op))
        return;
    if (b->n > start)
        buf_lit(b, "; ");
    buf_ch(b, letter);
    buf_lit(b, ": ");
    buf_z(b, times[op]);
}

static void put_timers(struct buf *b, const struct txn_cell *c)
{
    size_t start = b->n;
    put_timer(b, start, c->retry_op, c->retry);
    put_timer(b, start, c->life_op, c->life);
    if (c->retry_op != TXN_T_STOP && c->life_op != TXN_T_STOP)
        return;
    if (b->n > start)
        buf_lit(b, "; ");
    buf_z(b, c->retry_op != TXN_T_STOP  ? "the ending one stops"
             : c->life_op != TXN_T_STOP ? "the repeating one stops"
                                        : "both stop");
}

static void put_cell(struct buf *b, const struct place *p)
{
    const struct txn_cell *c = cell_at(p);
    buf_lit(b, "| ");
    buf_str_put(b, sip_txn_state_name(p->kind, p->state));
    buf_lit(b, " | ");
    buf_str_put(b, txn_event_name(p->event));
    buf_lit(b, " | ");
    buf_str_put(b, sip_txn_state_name(p->kind, (enum sip_txn_state)c->next));
    buf_lit(b, " | ");
    put_acts(b, c->act);
    buf_lit(b, " | ");
    put_timers(b, c);
    buf_lit(b, " |\n");
}

static void page_build(struct buf *b)
{
    struct place p;
    int kind = -1;
    buf_z(b, head);
    for (unsigned i = 0; place_at(i, &p); i++) {
        if ((int)p.kind != kind) {
            kind = (int)p.kind;
            buf_lit(b, "\n## ");
            buf_z(b, titles[kind]);
            buf_lit(b, "\n\n| state | event | next | does | timers |\n|---|---|---|---|---|\n");
        }
        if (cell_at(&p)->valid)
            put_cell(b, &p);
    }
}

static void the_page_is_current(void **state)
{
    char *want = mem_alloc(PAGE_BYTES), *have = mem_alloc(PAGE_BYTES);
    struct buf page;
    buf_init(&page, want, PAGE_BYTES);
    page_build(&page);
    assert_false(page.full);
    bool renew = getenv("RD_WRITE_PAGES") != NULL;
    FILE *f = fopen(PAGE, renew ? "w+" : "r");
    assert_non_null(f);
    if (renew) {
        assert_int_equal(fwrite(want, 1, page.n, f), page.n);
        rewind(f);
    }
    size_t n = fread(have, 1, PAGE_BYTES, f);
    fclose(f);
    assert_int_equal(n, page.n);
    assert_memory_equal(have, want, n);
    mem_free(have);
    mem_free(want);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_belong_to_their_machines),
        cmocka_unit_test(an_end_is_an_end),
        cmocka_unit_test(every_state_is_reached_and_left),
        cmocka_unit_test(the_page_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
