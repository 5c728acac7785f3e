/* Which numbers may be one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "analysis/number.h"

static enum an_likeness like(const char *a, const char *b)
{
    struct an_number x = an_number_of(str_z(a)), y = an_number_of(str_z(b));
    assert_int_equal(an_number_like(&x, &y), an_number_like(&y, &x));
    return an_number_like(&x, &y);
}

static void test_like(void **state)
{
    assert_int_equal(like("1427", "1427"), AN_EQUAL);
    assert_int_equal(like("07086661427", "1427"), AN_ENDS);
    assert_int_equal(like("+82 70-8666-1427", "07086661427"), AN_ENDS);
    assert_int_equal(like("1427", "1428"), AN_DIFFER);
    assert_int_equal(like("27", "1427"), AN_DIFFER);
    assert_int_equal(like("anonymous", "1427"), AN_UNKNOWN);
    assert_int_equal(like("", ""), AN_UNKNOWN);
}

/* The tenant in front of an extension is no part of the number, unless both have one. */
static void test_tenant(void **state)
{
    assert_int_equal(like("109Q1427", "1427"), AN_ENDS);
    assert_int_equal(like("109Q1427", "07086661427"), AN_ENDS);
    assert_int_equal(like("109Q1427", "109q1427"), AN_EQUAL);
    assert_int_equal(like("109Q1427", "110Q1427"), AN_DIFFER);
    assert_int_equal(like("109Q1427", "07086661428"), AN_DIFFER);
    assert_int_equal(like("alice1427", "1427"), AN_ENDS);
    struct an_number a = an_number_of(STR("109Q1427")), b = an_number_of(STR("109Q1428"));
    struct an_number c = an_number_of(STR("110Q1428"));
    assert_true(an_number_same_tenant(&a, &b));
    assert_false(an_number_same_tenant(&a, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_like), cmocka_unit_test(test_tenant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
