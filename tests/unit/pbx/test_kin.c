/* Which Call-IDs are of which call: while legs come, go from call to call, and are gone. */
#include "unit/pbx/pbx_test.h"

#include "pbx/call_int.h"
#include "pbx/kin.h"

static struct rig *r;

static int begin(void **state)
{
    (void)state;
    r = rig_new("sip: {domain: pbx.test}\nlimits: {call_histories: 2, calls: 50}\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_free(r);
    return 0;
}

static struct call *call_make(const char *const *id, unsigned n)
{
    struct call *call = call_new_empty(r->pbx);
    assert_non_null(call);
    for (unsigned i = 0; i < n; i++) {
        handle_t h;
        struct leg *leg = leg_new(r->pbx, call, &h);
        assert_non_null(leg);
        leg_set_call_id(r->pbx, leg, str_z(id[i]));
    }
    return call;
}

static void call_over(struct call *call)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        leg->state = LEG_ENDED;
    call_free_empty(r->pbx, call);
}

static struct leg *leg_of(struct call *call, const char *id)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (str_eq(leg->call_id, str_z(id)))
            return leg;
    fail_msg("no leg %s", id);
    return NULL;
}

/* "a b c": the Call-IDs, whatever their order. */
static void assert_ids(const char *name, const char *wanted)
{
    struct pbx_call_ids ids;
    unsigned n = 0;
    char copy[256];
    assert_int_equal(pbx_call_ids_get(r->pbx, str_z(name), &ids), 0);
    snprintf(copy, sizeof(copy), "%s", wanted);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "), n++) {
        bool found = false;
        for (unsigned i = 0; i < ids.n; i++)
            found |= str_eq(ids.id[i], str_z(word));
        if (!found)
            fail_msg("%s is none of %s", word, name);
    }
    assert_int_equal(ids.n, n);
}

static void assert_caller(const char *id, const char *wanted)
{
    assert_text(pbx_caller_call_id(r->pbx, str_z(id)), wanted);
}

static void a_call_and_its_end(void **state)
{
    (void)state;
    static const char *const one[] = {"a-in", "a-out"}, *const two[] = {"b-in", "b-out"};
    struct call *a = call_make(one, 2), *b = call_make(two, 2);
    assert_ids("1", "a-in a-out");
    assert_ids("b-out", "b-in b-out");
    assert_caller("a-out", "a-in");
    assert_caller("a-in", "a-in");
    assert_caller("nobody's", "nobody's");
    struct pbx_call_ids ids;
    assert_int_equal(pbx_call_ids_get(r->pbx, STR("nobody's"), &ids), -ENOENT);
    assert_int_equal(pbx_call_ids_get(r->pbx, STR("3"), &ids), -ENOENT);
    assert_int_equal(pbx_call_ids_get(r->pbx, STR("2"), &ids), 0);
    assert_true(ids.live);
    assert_int_equal(strlen(ids.record), 32);
    char record[33];
    memcpy(record, ids.record, sizeof(record));
    call_over(a);
    call_over(b);
    assert_ids("a-out", "a-in a-out");
    assert_int_equal(pbx_call_ids_get(r->pbx, STR("2"), &ids), 0);
    assert_false(ids.live);
    assert_string_equal(ids.record, record);
    assert_caller("b-out", "b-in");
}

/* The phone that calls for another call becomes part of that one: both are one. */
static void a_leg_that_moves(void **state)
{
    (void)state;
    static const char *const one[] = {"a-in", "a-out"}, *const two[] = {"b-in", "b-out"};
    static const char *const three[] = {"c-in"};
    struct call *a = call_make(one, 2), *b = call_make(two, 2), *c = call_make(three, 1);
    assert_int_equal(call_move_leg(r->pbx, leg_of(b, "b-out"), a), 0);
    assert_caller("b-out", "a-in");
    assert_ids("1", "a-in a-out b-in b-out");
    assert_ids("2", "a-in a-out b-in b-out");
    assert_ids("c-in", "c-in");
    /* And on to a third one: one after the other, so all of them. */
    assert_int_equal(call_move_leg(r->pbx, leg_of(a, "b-out"), c), 0);
    assert_ids("2", "a-in a-out b-in b-out c-in");
    assert_ids("3", "a-in a-out b-in b-out c-in");
    assert_int_equal(kin_number(r->pbx, STR("b-out")), 3);
    call_over(b);
    call_over(a);
    assert_ids("3", "a-in a-out b-in b-out c-in");
    call_over(c);
}

/* What is over is remembered for so many calls; what goes on is not forgotten. */
static void the_oldest_are_forgotten(void **state)
{
    (void)state;
    struct call *stays = NULL;
    for (unsigned i = 0; i < 30; i++) {
        char in[16], out[16];
        snprintf(in, sizeof(in), "in-%u", i);
        snprintf(out, sizeof(out), "out-%u", i);
        const char *const ids[] = {in, out};
        struct call *call = call_make(ids, 2);
        if (i == 0)
            stays = call;
        else
            call_over(call);
    }
    struct pbx_call_ids ids;
    assert_ids("in-0", "in-0 out-0");
    assert_ids("in-29", "in-29 out-29");
    assert_ids("in-26", "in-26 out-26");
    assert_int_equal(pbx_call_ids_get(r->pbx, STR("in-25"), &ids), -ENOENT);
    assert_int_equal(kin_number(r->pbx, STR("in-25")), 0);
    call_over(stays);
    assert_ids("in-0", "in-0 out-0");
}

/* A peer chooses Call-IDs: a very long one is not kept for later. */
static void a_long_one_is_not_kept(void **state)
{
    (void)state;
    static char name[2000];
    memset(name, 'x', sizeof(name) - 1);
    const char *const ids[] = {name, "out"};
    struct pbx_call_ids found;
    struct call *call = call_make(ids, 2);
    assert_int_equal(pbx_call_number(r->pbx, str_z(name)), 1);
    call_over(call);
    assert_int_equal(pbx_call_number(r->pbx, str_z(name)), 0);
    assert_int_equal(pbx_call_ids_get(r->pbx, str_z(name), &found), -ENOENT);
    assert_ids("out", "out");
    assert_caller("out", "out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_and_its_end, begin, end),
        cmocka_unit_test_setup_teardown(a_leg_that_moves, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_are_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(a_long_one_is_not_kept, begin, end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
