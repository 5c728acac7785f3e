/* Settings of extensions: what holds, what is stored, what comes back, what goes; and the codes. */
#include "unit/pbx/pbx_test.h"

#include "pbx/feature/code.h"
#include "pbx/feature/setting.h"
#include "pbx/store.h"

static struct rig *r;

#define FILE_TEXT                                                                                  \
    "sip: {domain: pbx.test}\n"                                                                    \
    "features: {forward_always: \"*9\", forward_busy: \"\"}\n"                                     \
    "extensions:\n"                                                                                \
    "  - {number: \"1001\", password: x, dnd: true, forward: {busy: \"1002\"}}\n"                  \
    "  - {number: \"1002\", password: x}\n"
#define FILE_LATER                                                                                 \
    "sip: {domain: pbx.test}\n"                                                                    \
    "extensions: [{number: \"1002\", password: x}]\n"

static int begin(void **state)
{
    r = rig_new(FILE_TEXT);
    return 0;
}

static int end(void **state)
{
    rig_free(r);
    r = NULL;
    return 0;
}

static const struct config_extension *extension(const char *number)
{
    return config_find_extension(pbx_config(r->pbx), str_z(number));
}

static struct str get(const char *number, enum setting s)
{
    return setting_get(r->pbx, extension(number), s);
}

static void set(const char *number, enum setting s, struct str value)
{
    rig_clear(r);
    assert_int_equal(setting_put(r->pbx, extension(number), s, value), 0);
    rig_drain(r);
}

static void assert_row(unsigned i, enum store_statement statement, const char *number,
                       const char *name, const char *value)
{
    assert_true(i < r->n_rows);
    const struct rig_row *row = &r->row[i];
    assert_int_equal(row->statement, statement);
    assert_int_equal(row->n, value ? 3 : 2);
    assert_text(row->v[0].s, number);
    assert_text(row->v[1].s, name);
    if (value)
        assert_text(row->v[2].s, value);
}

static void restore(const char *number, const char *name, const char *value)
{
    struct row_value v[] = {ROW_S(str_z(number)), ROW_S(str_z(name)), ROW_S(str_z(value))};
    rig_clear(r);
    pbx_restore(r->pbx, r->now, STORE_RESTORE_SETTINGS, v, ARRAY_LEN(v));
    rig_drain(r);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void the_configuration_is_where_it_begins(void **state)
{
    assert_text(get("1001", SETTING_DND), "on");
    assert_text(get("1001", SETTING_FORWARD_BUSY), "1002");
    assert_text(get("1001", SETTING_FORWARD_ALWAYS), "");
    assert_text(get("1002", SETTING_DND), "");
}

static void what_is_set_goes_before_it_and_is_stored_at_once(void **state)
{
    set("1001", SETTING_FORWARD_BUSY, STR("1009"));
    assert_text(get("1001", SETTING_FORWARD_BUSY), "1009");
    assert_int_equal(r->n_rows, 1);
    assert_row(0, STORE_SETTING_PUT, "1001", "forward_busy", "1009");
    assert_text(get("1002", SETTING_FORWARD_BUSY), "");
    assert_text(get("1001", SETTING_FORWARD_NO_ANSWER), "");
}

static void off_is_not_the_same_as_not_set(void **state)
{
    set("1001", SETTING_DND, STR(""));
    assert_text(get("1001", SETTING_DND), "");
    assert_row(0, STORE_SETTING_PUT, "1001", "dnd", "");
    set("1001", SETTING_DND, STR_NONE);
    assert_text(get("1001", SETTING_DND), "on");
    assert_row(0, STORE_SETTING_DEL, "1001", "dnd", NULL);
}

static void a_later_value_replaces_the_one_before(void **state)
{
    set("1002", SETTING_FORWARD_ALWAYS, STR("1001"));
    set("1002", SETTING_FORWARD_ALWAYS, STR("1003"));
    assert_text(get("1002", SETTING_FORWARD_ALWAYS), "1003");
    set("1002", SETTING_FORWARD_ALWAYS, STR(""));
    assert_text(get("1002", SETTING_FORWARD_ALWAYS), "");
    set("1002", SETTING_FORWARD_ALWAYS, STR("1001"));
    assert_text(get("1002", SETTING_FORWARD_ALWAYS), "1001");
}

/* ---- the database ---------------------------------------------------------------------------- */

static void rows_come_back(void **state)
{
    restore("1002", "dnd", "on");
    restore("1001", "dnd", "");
    restore("1001", "forward_unregistered", "1002");
    assert_int_equal(r->n_rows, 0);
    assert_text(get("1002", SETTING_DND), "on");
    assert_text(get("1001", SETTING_DND), "");
    assert_text(get("1001", SETTING_FORWARD_UNREGISTERED), "1002");
}

/* A number that is given to somebody else later must not be silent because of its former owner. */
static void rows_of_extensions_that_are_gone_are_removed(void **state)
{
    restore("1999", "dnd", "on");
    assert_int_equal(r->n_rows, 1);
    assert_row(0, STORE_SETTING_DEL, "1999", "dnd", NULL);
}

static void rows_that_make_no_sense_are_left_alone(void **state)
{
    restore("1001", "sleep", "on");
    assert_int_equal(r->n_rows, 0);
    struct row_value two[] = {ROW_S(STR("1002")), ROW_S(STR("dnd"))};
    pbx_restore(r->pbx, r->now, STORE_RESTORE_SETTINGS, two, 2);
    struct row_value number[] = {ROW_S(STR("1002")), ROW_S(STR("dnd")), ROW_I(1)};
    pbx_restore(r->pbx, r->now, STORE_RESTORE_SETTINGS, number, 3);
    assert_text(get("1002", SETTING_DND), "");
}

static void a_reload_takes_those_of_extensions_that_go(void **state)
{
    struct str why;
    set("1001", SETTING_DND, STR(""));
    set("1001", SETTING_FORWARD_ALWAYS, STR("1002"));
    set("1002", SETTING_DND, STR("on"));
    rig_clear(r);
    struct config *later = rig_config(FILE_LATER);
    assert_int_equal(pbx_reload(r->pbx, r->now, later, &why), 0);
    config_unref(later);
    rig_drain(r);
    assert_int_equal(r->n_rows, 2);
    assert_row(0, STORE_SETTING_DEL, "1001", "forward_always", NULL);
    assert_row(1, STORE_SETTING_DEL, "1001", "dnd", NULL);
    assert_text(get("1002", SETTING_DND), "on");
    struct config *again = rig_config(FILE_TEXT);
    assert_int_equal(pbx_reload(r->pbx, r->now, again, &why), 0);
    config_unref(again);
    rig_drain(r);
    assert_text(get("1001", SETTING_DND), "on"); /* as configured */
    assert_text(get("1001", SETTING_FORWARD_ALWAYS), "");
}

/* ---- what is allowed ------------------------------------------------------------------------- */

static unsigned refused(enum setting s, struct str value)
{
    return setting_refused(r->pbx, extension("1001"), s, value);
}

static void a_forward_goes_to_somebody_else_who_can_be_called(void **state)
{
    char digits[64];
    memset(digits, '1', sizeof(digits));
    assert_int_equal(refused(SETTING_FORWARD_ALWAYS, STR("1002")), 0);
    assert_int_equal(refused(SETTING_FORWARD_BUSY, STR("1001")), 403);
    assert_int_equal(refused(SETTING_FORWARD_BUSY, STR("1999")), 404);
    assert_int_equal(refused(SETTING_FORWARD_BUSY, str_of(digits, sizeof(digits))), 404);
    assert_int_equal(refused(SETTING_FORWARD_BUSY, STR("")), 0);
    assert_int_equal(refused(SETTING_FORWARD_BUSY, STR_NONE), 0);
    assert_int_equal(refused(SETTING_DND, STR("on")), 0);
}

/* ---- codes ----------------------------------------------------------------------------------- */

static struct plan code(const char *number)
{
    struct plan plan = {.kind = PLAN_NONE};
    if (!code_find(pbx_config(r->pbx), str_z(number), &plan))
        plan.kind = PLAN_NONE;
    return plan;
}

static void codes_say_what_is_set_and_to_what(void **state)
{
    struct plan plan = code("*91002");
    assert_int_equal(plan.kind, PLAN_FEATURE);
    assert_int_equal(plan.feature, FEATURE_SETTING);
    assert_int_equal(plan.setting, SETTING_FORWARD_ALWAYS);
    assert_true(plan.on);
    assert_text(plan.number, "1002");
    plan = code("*9");
    assert_int_equal(plan.setting, SETTING_FORWARD_ALWAYS);
    assert_text(plan.number, "");
    plan = code("*78");
    assert_int_equal(plan.setting, SETTING_DND);
    assert_true(plan.on);
    assert_int_equal(code("*781002").kind, PLAN_NONE);
    assert_int_equal(code("1002").kind, PLAN_NONE);
}

static void a_whole_code_goes_before_one_with_a_number_behind_it(void **state)
{
    struct plan plan = code("*93"); /* not *9 and 3 */
    assert_int_equal(plan.setting, SETTING_FORWARD_NO_ANSWER);
    assert_false(plan.on);
    assert_int_equal(code("*95").setting, SETTING_FORWARD_UNREGISTERED);
}

static void an_empty_code_is_no_code(void **state)
{
    assert_int_equal(code("").kind, PLAN_NONE);
    assert_int_equal(code("*90").setting, SETTING_FORWARD_ALWAYS); /* *9 and 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_configuration_is_where_it_begins, begin, end),
        cmocka_unit_test_setup_teardown(what_is_set_goes_before_it_and_is_stored_at_once, begin,
                                        end),
        cmocka_unit_test_setup_teardown(off_is_not_the_same_as_not_set, begin, end),
        cmocka_unit_test_setup_teardown(a_later_value_replaces_the_one_before, begin, end),
        cmocka_unit_test_setup_teardown(rows_come_back, begin, end),
        cmocka_unit_test_setup_teardown(rows_of_extensions_that_are_gone_are_removed, begin, end),
        cmocka_unit_test_setup_teardown(rows_that_make_no_sense_are_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_takes_those_of_extensions_that_go, begin, end),
        cmocka_unit_test_setup_teardown(a_forward_goes_to_somebody_else_who_can_be_called, begin,
                                        end),
        cmocka_unit_test_setup_teardown(codes_say_what_is_set_and_to_what, begin, end),
        cmocka_unit_test_setup_teardown(a_whole_code_goes_before_one_with_a_number_behind_it, begin,
                                        end),
        cmocka_unit_test_setup_teardown(an_empty_code_is_no_code, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
