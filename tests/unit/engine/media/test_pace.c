/* What the delay should be, from the delays that were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/media/pace.h"

#define MS 1000

static struct pace p;
static usec_t now;

static int setup(void **state)
{
    pace_init(&p, 200 * MS);
    now = USEC_S;
    return 0;
}

/* So many packets of this delay, one for each frame. The last wish. */
static int64_t frames(unsigned n, int64_t delay)
{
    int64_t wish = 0;
    for (unsigned i = 0; i < n; i++, now += 20 * MS) {
        pace_played(&p, now, now - (usec_t)delay, 0, true);
        wish = pace_wish(&p, now);
    }
    return wish;
}

static void test_content(void **state)
{
    assert_int_equal(pace_most(&p, 77), 77);
    assert_int_equal(frames(500, 15 * MS), 0);
    assert_int_equal(pace_most(&p, 77), 15 * MS);
    assert_int_equal(frames(500, 32 * MS), 0);
}

/* Too much of it goes, but only when it was too much for two seconds. */
static void test_spare(void **state)
{
    frames(300, 15 * MS);
    assert_int_equal(frames(100, 80 * MS), 0);
    assert_int_equal(frames(150, 80 * MS), 57 * MS);
    pace_changed(&p, now, -12 * MS);
    assert_int_equal(frames(9, 68 * MS), 0); /* not at once again */
    assert_int_equal(frames(3, 68 * MS), 45 * MS);
}

/* Packets that come at the last moment: a little more is wanted. */
static void test_slack(void **state)
{
    assert_int_equal(frames(300, 3 * MS), 0);
    assert_true(frames(120, 2 * MS) < 0);
    pace_changed(&p, now, 10 * MS);
    assert_int_equal(frames(30, 12 * MS), 0);
}

static void test_late(void **state)
{
    frames(300, 15 * MS);
    pace_late(&p, 50 * MS);
    assert_int_equal(frames(1, 15 * MS), -20 * MS);
    pace_late(&p, 50 * MS);
    assert_int_equal(frames(1, 15 * MS), -40 * MS);
    pace_changed(&p, now, 15 * MS);
    assert_int_equal(frames(1, 30 * MS), 0);
    assert_int_equal(frames(2, 30 * MS), -25 * MS);
    pace_changed(&p, now, 30 * MS);
    assert_int_equal(frames(20, 60 * MS), 0);
    /* Beyond the limit it is no use. */
    pace_late(&p, 201 * MS);
    pace_late(&p, -1);
    assert_int_equal(frames(20, 60 * MS), 0);
    pace_late(&p, 20 * MS);
    assert_int_equal(frames(20, 200 * MS), 0);
}

/* Once late, the path is not believed for a while. */
static void test_guard(void **state)
{
    frames(300, 15 * MS);
    pace_stalled(&p, 60 * MS, true);
    assert_int_equal(frames(120, 75 * MS), 0);
    assert_true(frames(1500, 75 * MS) > 0);
    setup(NULL);
    frames(300, 15 * MS);
    pace_stalled(&p, 60 * MS, false); /* what was lost says nothing */
    assert_int_equal(pace_most(&p, 0), 75 * MS);
    assert_true(frames(120, 75 * MS) > 0);
}

static void test_restart(void **state)
{
    frames(300, 80 * MS);
    pace_restart(&p);
    assert_int_equal(pace_most(&p, 5), 5);
    assert_int_equal(pace_spare(&p), 0);
    frames(300, 80 * MS);
    pace_stalled(&p, 5000 * MS, true); /* the sender's clock stood still */
    assert_int_equal(pace_most(&p, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_content, setup), cmocka_unit_test_setup(test_spare, setup),
        cmocka_unit_test_setup(test_slack, setup),   cmocka_unit_test_setup(test_late, setup),
        cmocka_unit_test_setup(test_guard, setup),   cmocka_unit_test_setup(test_restart, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
