/* What a killed process was recording gives its call a record. */
#include "pbx_test.h"

#include "pbx/store.h"

static struct rig *r;

static int begin(void **state)
{
    (void)state;
    r = rig_new("extensions: [{number: \"1001\", password: a-long-password}]");
    rig_clear(r);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_free(r);
    return 0;
}

static void found(const char *json)
{
    struct pbx_found f = {.folder = STR("2026-01-01"),
                          .base = STR("101010-1001_1002-1"),
                          .json = str_z(json),
                          .ms = 60500};
    rig_clear(r);
    pbx_found(r->pbx, r->now, &f);
    rig_drain(r);
}

static void the_call_has_a_record(void **state)
{
    (void)state;
    found("{\"cdr\":\"019b76daa8006a902bb1e95553d46329\",\"call\":1,\"caller\":\"1001\","
          "\"dialled\":\"1002\",\"callee\":\"1002\",\"start_ms\":1767225600000,"
          "\"answer_ms\":1767225603000,\"parent\":\"119b76daa8006a902bb1e95553d46329\","
          "\"began_ms\":1767225604000,\"tracks\":[]}");
    assert_int_equal(r->n_rows, 2);
    assert_int_equal(r->row[0].statement, STORE_CDR_RESTORE);
    assert_int_equal(r->row[0].n, 22);
    assert_text(r->row[0].v[0].s, "019b76daa8006a902bb1e95553d46329");
    assert_text(r->row[0].v[2].s, "1001");
    assert_text(r->row[0].v[4].s, "1002");
    assert_int_equal(r->row[0].v[10].i, 1767225600000);
    assert_int_equal(r->row[0].v[12].i, 1767225603000);
    assert_int_equal(r->row[0].v[13].i, 1767225664500);
    assert_int_equal(r->row[0].v[14].i, 61500);
    assert_text(r->row[0].v[15].s, "ANSWERED");
    assert_text(r->row[0].v[16].s, "system");
    assert_text(r->row[0].v[19].s, "killed");
    assert_int_equal(r->row[1].statement, STORE_CDR_DETAIL_RESTORE);
    assert_text(r->row[1].v[1].s, "119b76daa8006a902bb1e95553d46329");
    assert_text(r->row[1].v[2].s,
                "{\"segments\":[],\"attempts\":[],\"events\":[{\"event\":\"recording\",\"file\":"
                "\"2026-01-01/101010-1001_1002-1\"},{\"event\":\"killed\",\"at_ms\":64500}]}");
}

static void what_is_of_no_call_or_makes_no_sense_has_none(void **state)
{
    static const char *const json[] = {
        "",
        "[1]",
        "{",
        "{\"conference\":\"3000\",\"began_ms\":1767225604000}",
        "{\"cdr\":\"019b\",\"began_ms\":1767225604000}",
        "{\"cdr\":\"019b76daa8006a902bb1e95553d4632'\",\"began_ms\":1767225604000}",
        "{\"cdr\":\"019b76daa8006a902bb1e95553d46329\",\"began_ms\":-5}",
        "{\"cdr\":7,\"began_ms\":\"x\"}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(json); i++) {
        found(json[i]);
        assert_int_equal(r->n_rows, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_call_has_a_record, begin, end),
        cmocka_unit_test_setup_teardown(what_is_of_no_call_or_makes_no_sense_has_none, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
