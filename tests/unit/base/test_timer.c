/* The wheel: exact to the millisecond, in the order of arming, whatever the distance. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/rand.h"
#include "base/timer.h"

static void fires_at_the_first_millisecond_not_before(void **state)
{
    struct timer_wheel w;
    struct timer t = {0};
    (void)state;
    timer_wheel_init(&w, 0);
    timer_start(&w, &t, 1500001); /* microseconds: due in millisecond 1501 */
    assert_int_equal(w.armed, 1);
    assert_null(timer_pop(&w, 1500999));
    assert_ptr_equal(timer_pop(&w, 1501000), &t);
    assert_false(timer_armed(&t));
    assert_int_equal(w.armed, 0);
    assert_true(timer_deadline(&w) == USEC_NEVER);
}

static void far_and_near_timers_of_one_deadline_keep_their_order(void **state)
{
    struct timer_wheel w;
    struct timer t[4];
    (void)state;
    memset(t, 0, sizeof(t));
    timer_wheel_init(&w, 0);
    timer_start(&w, &t[0], 70000 * USEC_MS); /* from level 2 */
    assert_null(timer_pop(&w, 69000 * USEC_MS));
    timer_start(&w, &t[1], 70000 * USEC_MS); /* from level 1 */
    assert_null(timer_pop(&w, 69900 * USEC_MS));
    timer_start(&w, &t[2], 70000 * USEC_MS); /* from level 0 */
    timer_start(&w, &t[3], 70000 * USEC_MS);
    assert_null(timer_pop(&w, 70000 * USEC_MS - 1));
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(timer_pop(&w, 70000 * USEC_MS), &t[i]);
}

static void stopped_and_moved_timers(void **state)
{
    struct timer_wheel w;
    struct timer a, b;
    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    timer_wheel_init(&w, 5 * USEC_S);
    timer_start(&w, &a, 6 * USEC_S);
    timer_start(&w, &b, 6 * USEC_S);
    timer_stop(&w, &a);
    timer_stop(&w, &a);
    timer_start(&w, &b, 7 * USEC_S);
    assert_null(timer_pop(&w, 6500 * USEC_MS));
    assert_true(timer_deadline(&w) <= 7 * USEC_S);
    assert_ptr_equal(timer_pop(&w, 7 * USEC_S), &b);
    timer_start(&w, &a, 1); /* in the past: at once */
    assert_ptr_equal(timer_pop(&w, 7 * USEC_S), &a);
}

static void the_past_is_due_even_if_time_stands(void **state)
{
    struct timer_wheel w;
    struct timer a, b;
    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    timer_wheel_init(&w, 0);
    timer_start(&w, &a, 0);
    timer_start(&w, &b, 0);
    assert_true(timer_deadline(&w) == 0);
    assert_ptr_equal(timer_pop(&w, 0), &a);
    assert_ptr_equal(timer_pop(&w, 0), &b);
}

#define MANY 4000

/* Against the definition: a sorted list by deadline, then by arming. */
static void random_schedules_match_a_sorted_list(void **state)
{
    static struct timer t[MANY];
    static uint64_t due[MANY];
    struct timer_wheel w;
    struct rand r;
    (void)state;
    rand_seed(&r, 7);
    for (unsigned round = 0; round < 20; round++) {
        usec_t now = rand_below(&r, 1ull << 40);
        unsigned left = MANY;
        timer_wheel_init(&w, now);
        for (unsigned i = 0; i < MANY; i++) {
            unsigned bits = 1 + (unsigned)rand_below(&r, 40);
            timer_start(&w, &t[i], now + rand_below(&r, 1ull << bits));
            due[i] = t[i].due_ms;
        }
        uint64_t last = 0;
        ptrdiff_t last_index = -1;
        while (left) {
            usec_t deadline = timer_deadline(&w);
            assert_true(deadline != USEC_NEVER);
            now = now > deadline ? now : deadline;
            struct timer *p = timer_pop(&w, now);
            if (!p)
                continue;
            ptrdiff_t i = p - t;
            assert_true(due[i] <= now / USEC_MS);
            assert_true(due[i] > last || (due[i] == last && i > last_index));
            last = due[i];
            last_index = i;
            left--;
        }
        assert_int_equal(w.armed, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_at_the_first_millisecond_not_before),
        cmocka_unit_test(far_and_near_timers_of_one_deadline_keep_their_order),
        cmocka_unit_test(stopped_and_moved_timers),
        cmocka_unit_test(the_past_is_due_even_if_time_stands),
        cmocka_unit_test(random_schedules_match_a_sorted_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
