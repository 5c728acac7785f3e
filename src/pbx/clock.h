/* The wall clock of people: days of the week, hours, and when somebody is there. */
#ifndef PBX_CLOCK_H
#define PBX_CLOCK_H

#include "pbx/config.h"

struct clock_day {
    unsigned year, month, day; /* of the Gregorian calendar, month and day from 1 */
    unsigned weekday;          /* 0: Monday */
    unsigned hour, minute;
};
/* Milliseconds since 1970 in UTC, on a clock that is `zone_s` seconds ahead of it. */
struct clock_day clock_local(uint64_t ms, int32_t zone_s);

/* "+09:00", "-03:30": the time ahead of UTC. */
bool clock_is_zone(struct str s);
/* Its seconds; what is no zone is 0. */
int32_t clock_zone_s(struct str s);

/* "mon-fri 09:00-18:00", "sat 10:00-13:00", "daily 22:00-06:00": the end is not included, 24:00 is
 * the end of a day, and what ends before it begins ends on the day after. */
bool clock_is_hours(struct str s);
/* "2026-12-25" */
bool clock_is_date(struct str s);
/* Is somebody there at `ms`? machine_s: how far the machine's own clock is ahead of UTC. */
bool clock_is_open(const struct config_schedule *s, uint64_t ms, int32_t machine_s);

#endif
