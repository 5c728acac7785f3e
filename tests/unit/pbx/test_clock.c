/* The wall clock of people, against dates that others have worked out. */
#include "pbx_test.h"

#include "pbx/clock.h"

#define HOUR_MS 3600000ull
#define DAY_MS  (24 * HOUR_MS)

static void test_days(void **state)
{
    (void)state;
    struct clock_day d = clock_local(0, 0);
    assert_true(d.year == 1970 && d.month == 1 && d.day == 1 && d.weekday == 3);
    d = clock_local(951782400000ull, 0); /* the leap day of 2000 */
    assert_true(d.year == 2000 && d.month == 2 && d.day == 29 && d.weekday == 1);
    d = clock_local(1798761599000ull, 0); /* 2026-12-31 23:59:59 */
    assert_true(d.year == 2026 && d.month == 12 && d.day == 31 && d.hour == 23 && d.minute == 59);
    assert_int_equal(d.weekday, 3);
    d = clock_local(1798761599000ull, 9 * 3600);
    assert_true(d.year == 2027 && d.month == 1 && d.day == 1 && d.hour == 8);
    d = clock_local(HOUR_MS, -2 * 3600); /* there is nothing before 1970 */
    assert_true(d.year == 1970 && d.day == 1 && d.hour == 0);
}

static void test_zones(void **state)
{
    (void)state;
    assert_int_equal(clock_zone_s(STR("+09:00")), 32400);
    assert_int_equal(clock_zone_s(STR("-03:30")), -12600);
    assert_false(clock_is_zone(STR("09:00")));
    assert_false(clock_is_zone(STR("+15:00")));
    assert_false(clock_is_zone(STR("+09:60")));
    assert_false(clock_is_zone(STR("Asia/Seoul")));
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const good[] = {"mon-fri 09:00-18:00", "sat 10:00-13:00",
                                       "daily 00:00-24:00", "Sun 22:00-06:00",
                                       "fri-mon  08:30-09:00"};
    static const char *const bad[] = {"",
                                      "mon",
                                      "mon-fri",
                                      "mon-fri 9:00-18:00",
                                      "mon-fri 09:00",
                                      "xyz 09:00-18:00",
                                      "mon-xyz 09:00-18:00",
                                      "mon 09:00-24:01",
                                      "mon 24:00-09:00",
                                      "mon 09:00-09:00",
                                      "mon 09:60-10:00",
                                      "mon 09:00-18:00 x"};
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        assert_true(clock_is_hours(str_z(good[i])));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(clock_is_hours(str_z(bad[i])));
    assert_true(clock_is_date(STR("2026-12-25")));
    assert_false(clock_is_date(STR("2026-13-25")));
    assert_false(clock_is_date(STR("2026-00-25")));
    assert_false(clock_is_date(STR("26-12-25")));
}

/* Monday, 5 January 2026, at midnight in UTC. */
#define MONDAY_MS 1767571200000ull

static bool open_at(const struct config_schedule *s, unsigned day, double hour)
{
    return clock_is_open(s, MONDAY_MS + day * DAY_MS + (uint64_t)(hour * (double)HOUR_MS), 0);
}

static void test_open(void **state)
{
    (void)state;
    const struct str hours[] = {STR("mon-fri 09:00-18:00"), STR("sat 10:00-13:00")};
    const struct str closed[] = {STR("2026-01-06")};
    struct config_schedule s = {.hours = {hours, 2}, .closed = {closed, 1}};
    assert_false(open_at(&s, 0, 8.99));
    assert_true(open_at(&s, 0, 9));
    assert_true(open_at(&s, 0, 17.99));
    assert_false(open_at(&s, 0, 18));
    assert_false(open_at(&s, 1, 12)); /* a holiday */
    assert_true(open_at(&s, 2, 12));
    assert_true(open_at(&s, 5, 12));
    assert_false(open_at(&s, 5, 13));
    assert_false(open_at(&s, 6, 12));
    s.time_zone = STR("+09:00");
    assert_true(open_at(&s, 0, 0));
    assert_false(open_at(&s, 0, 9));
    s.time_zone = STR("");
    assert_true(clock_is_open(&s, MONDAY_MS + 10 * HOUR_MS, 3600)); /* the machine's clock */
    assert_false(clock_is_open(&s, MONDAY_MS + 10 * HOUR_MS, -2 * 3600));
}

/* A night belongs to the day on which it begins. */
static void test_night(void **state)
{
    (void)state;
    const struct str hours[] = {STR("sat-sun 22:00-06:00")};
    const struct str closed[] = {STR("2026-01-11")};
    struct config_schedule s = {.hours = {hours, 1}, .closed = {closed, 1}};
    assert_false(open_at(&s, 5, 21.9));
    assert_true(open_at(&s, 5, 22));
    assert_true(open_at(&s, 6, 5.9));
    assert_false(open_at(&s, 6, 6));
    assert_false(open_at(&s, 6, 23)); /* Sunday is closed, and with it the night to Monday */
    assert_false(open_at(&s, 7, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days), cmocka_unit_test(test_zones), cmocka_unit_test(test_forms),
        cmocka_unit_test(test_open), cmocka_unit_test(test_night),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
