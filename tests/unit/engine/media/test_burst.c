/* Gaps and bursts, with the example of RFC 3611 section 4.7.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "engine/media/burst.h"

/* '1' received, '0' lost, 'X' discarded. */
static void feed(struct burst *b, const char *pattern)
{
    for (; *pattern; pattern++) {
        if (*pattern == '1')
            burst_received(b);
        else if (*pattern == '0')
            burst_lost(b, 1);
        else
            burst_discarded(b);
    }
}

static void repeat(struct burst *b, const char *pattern, unsigned n)
{
    while (n-- > 0)
        feed(b, pattern);
}

static void example_of_rfc_3611(void **state)
{
    (void)state;
    struct burst b = {0};
    struct burst_metrics m;
    /* Printed there with 63 packets; the 64th, of which its text and its figures speak, is put at
     * the end. */
    feed(&b, "11110111111111111111111X111X1011110111111111111111111X1111111111");
    burst_get(&b, 10000, &m);
    assert_int_equal(m.bursts, 1);
    assert_int_equal(m.loss_rate, 12);
    assert_int_equal(m.discard_rate, 12);
    assert_int_equal(m.burst_ms, 120);
    assert_int_equal(m.gap_ms, 520);
    /* 4 of 12 and 2 of 52. The text prints 84 and 10, which the integer part of its own definition
     * does not give: 85.3 and 9.8. */
    assert_int_equal(m.burst_density, 85);
    assert_int_equal(m.gap_density, 9);
    assert_int_equal(m.bad_e4, 937);
    /* Six runs of one each: no worse than at random. */
    assert_int_equal(m.burst_x100, 100);
}

static void nothing_and_everything(void **state)
{
    (void)state;
    struct burst b = {0};
    struct burst_metrics m;
    burst_get(&b, 20000, &m);
    assert_int_equal(m.loss_rate + m.discard_rate + m.burst_density + m.gap_density, 0);
    assert_int_equal(m.gap_ms + m.burst_ms + m.bursts + m.bad_e4, 0);
    assert_int_equal(m.burst_x100, 100);
    repeat(&b, "1", 100);
    burst_get(&b, 20000, &m);
    assert_int_equal(m.gap_ms, 2000);
    assert_int_equal(m.bursts + m.bad_e4 + m.gap_density, 0);
    b = (struct burst){0};
    burst_lost(&b, 500);
    burst_get(&b, 20000, &m);
    assert_int_equal(m.loss_rate, 255);
    assert_int_equal(m.burst_density, 255);
    assert_int_equal(m.bad_e4, 10000);
    assert_int_equal(m.bursts, 1);
    assert_int_equal(m.burst_ms, 10000);
    assert_int_equal(m.gap_ms, 0);
}

static void sixteen_received_end_a_burst(void **state)
{
    (void)state;
    struct burst b = {0};
    struct burst_metrics m;
    feed(&b, "1111111111111111111101111111111111110111111111111111111111");
    burst_get(&b, 20000, &m);
    assert_int_equal(m.bursts, 1);
    assert_int_equal(m.burst_ms, 17 * 20);
    b = (struct burst){0};
    feed(&b, "1111111111111111111101111111111111111011111111111111111111");
    burst_get(&b, 20000, &m);
    assert_int_equal(m.bursts, 0);
    assert_int_equal(m.gap_density, 256 * 2 / 58);
}

static void the_edges_count_as_received(void **state)
{
    (void)state;
    struct burst b = {0};
    struct burst_metrics m;
    feed(&b, "0");
    repeat(&b, "1", 30);
    feed(&b, "0");
    burst_get(&b, 20000, &m);
    assert_int_equal(m.bursts, 0);
    assert_int_equal(m.gap_ms, 32 * 20);
    /* Looking does not end what goes on. */
    feed(&b, "0");
    burst_get(&b, 20000, &m);
    assert_int_equal(m.bursts, 1);
    assert_int_equal(m.burst_ms, 40);
    assert_int_equal(m.gap_ms, 31 * 20);
}

static void burst_ratio_tells_runs_from_single_losses(void **state)
{
    (void)state;
    struct burst b = {0};
    struct burst_metrics m;
    repeat(&b, "1111111111111111111111110", 100);
    burst_get(&b, 20000, &m);
    assert_int_equal(m.bad_e4, 400);
    assert_int_equal(m.burst_x100, 100);
    b = (struct burst){0};
    repeat(&b, "111111111111111111111111111111111111111111110000", 100);
    burst_get(&b, 20000, &m);
    /* Runs of 4 at 1/12: 4 * 11/12 = 3.67. */
    assert_in_range(m.burst_x100, 365, 367);
    assert_int_equal(m.bursts, 100);
    assert_int_equal(m.burst_ms, 80);
    assert_int_equal(m.gap_ms, 44 * 20);
    assert_int_equal(m.burst_density, 255);
}

static void long_calls_do_not_overflow(void **state)
{
    (void)state;
    struct burst b = {0};
    struct burst_metrics m;
    for (unsigned i = 0; i < 1000000; i++)
        burst_received(&b);
    burst_lost(&b, 4000000000u);
    burst_get(&b, 20000, &m);
    assert_int_equal(m.burst_ms, UINT16_MAX);
    assert_int_equal(m.loss_rate, 255);
    assert_int_equal(m.gap_ms, UINT16_MAX);
    assert_in_range(m.bad_e4, 9990, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_rfc_3611),
        cmocka_unit_test(nothing_and_everything),
        cmocka_unit_test(sixteen_received_end_a_burst),
        cmocka_unit_test(the_edges_count_as_received),
        cmocka_unit_test(burst_ratio_tells_runs_from_single_losses),
        cmocka_unit_test(long_calls_do_not_overflow),
    };
    return cmocka_run_group_tests_name("burst", tests, NULL, NULL);
}
