#include "pbx/clock.h"

#include "base/num.h"

#define DAY_MIN 1440

/* The date of a day since 1970-01-01. Years begin in March here, so that the day of the leap year
 * is the last. */
static void date_of(uint64_t days, struct clock_day *ret)
{
    uint64_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    ret->day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    ret->month = (unsigned)(month < 10 ? month + 3 : month - 9);
    ret->year = (unsigned)(year + era * 400 + (ret->month <= 2));
    ret->weekday = (unsigned)((days + 3) % 7); /* 1970-01-01 was a Thursday */
}

struct clock_day clock_local(uint64_t ms, int32_t zone_s)
{
    struct clock_day d = {0};
    int64_t s = (int64_t)(ms / 1000) + zone_s;
    s = s < 0 ? 0 : s;
    date_of((uint64_t)s / 86400, &d);
    d.hour = (unsigned)(s / 3600 % 24);
    d.minute = (unsigned)(s / 60 % 60);
    return d;
}

bool clock_is_zone(struct str s)
{
    uint64_t hours, minutes;
    return s.n == 6 && (s.p[0] == '+' || s.p[0] == '-') && s.p[3] == ':' &&
           num_u64(&hours, str_sub(s, 1, 2), 14) == 0 &&
           num_u64(&minutes, str_sub(s, 4, 2), 59) == 0;
}

int32_t clock_zone_s(struct str s)
{
    uint64_t hours, minutes;
    if (!clock_is_zone(s) || num_u64(&hours, str_sub(s, 1, 2), 14) ||
        num_u64(&minutes, str_sub(s, 4, 2), 59))
        return 0;
    int32_t off_s = (int32_t)(hours * 60 + minutes) * 60;
    return s.p[0] == '-' ? -off_s : off_s;
}

/* ---- hours ----------------------------------------------------------------------------------- */

struct hours {
    unsigned first, last; /* weekdays; first may be behind last: sat-mon */
    unsigned from, to;    /* minutes of the day; to may be before from */
};

static bool day_parse(unsigned *ret, struct str s)
{
    static const struct str names[] = {STR_INIT("mon"), STR_INIT("tue"), STR_INIT("wed"),
                                       STR_INIT("thu"), STR_INIT("fri"), STR_INIT("sat"),
                                       STR_INIT("sun")};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(s, names[i])) {
            *ret = i;
            return true;
        }
    return false;
}

static bool days_parse(struct hours *h, struct str s)
{
    ptrdiff_t dash = str_chr(s, '-');
    if (str_ieq(s, STR("daily"))) {
        h->first = 0;
        h->last = 6;
        return true;
    }
    if (dash < 0) {
        bool ok = day_parse(&h->first, s);
        h->last = h->first;
        return ok;
    }
    return day_parse(&h->first, str_sub(s, 0, (size_t)dash)) &&
           day_parse(&h->last, str_from(s, (size_t)dash + 1));
}

/* "09:00" */
static bool minute_parse(unsigned *ret, struct str s)
{
    uint64_t hour, minute;
    if (s.n != 5 || s.p[2] != ':' || num_u64(&hour, str_sub(s, 0, 2), 24) ||
        num_u64(&minute, str_sub(s, 3, 2), 59) || (hour == 24 && minute))
        return false;
    *ret = (unsigned)(hour * 60 + minute);
    return true;
}

static bool hours_parse(struct hours *h, struct str s)
{
    ptrdiff_t space = str_chr(s, ' ');
    *h = (struct hours){0};
    if (space < 0 || !days_parse(h, str_sub(s, 0, (size_t)space)))
        return false;
    struct str times = str_trim(str_from(s, (size_t)space + 1));
    return times.n == 11 && times.p[5] == '-' && minute_parse(&h->from, str_sub(times, 0, 5)) &&
           minute_parse(&h->to, str_from(times, 6)) && h->from != h->to && h->from < DAY_MIN;
}

bool clock_is_hours(struct str s)
{
    struct hours h;
    return hours_parse(&h, s);
}

static unsigned month_days(unsigned year, unsigned month)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2)
        return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* "2026-12-25" as 20261225; 0: it is none. */
static unsigned date_parse(struct str s)
{
    uint64_t year, month, day;
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' || num_u64(&year, str_sub(s, 0, 4), 9999) ||
        num_u64(&month, str_sub(s, 5, 2), 12) || num_u64(&day, str_sub(s, 8, 2), 31) || !month ||
        !day || day > month_days((unsigned)year, (unsigned)month))
        return 0;
    return (unsigned)(year * 10000 + month * 100 + day);
}

bool clock_is_date(struct str s)
{
    return date_parse(s) != 0;
}

static bool is_closed(const struct config_schedule *s, const struct clock_day *d)
{
    unsigned date = d->year * 10000 + d->month * 100 + d->day;
    for (uint32_t i = 0; i < s->closed.n; i++)
        if (date_parse(s->closed.v[i]) == date)
            return true;
    return false;
}

static bool has_day(const struct hours *h, unsigned weekday)
{
    unsigned span = (h->last + 7 - h->first) % 7, at = (weekday + 7 - h->first) % 7;
    return at <= span;
}

/* `minute` counts from the beginning of day d, and may be in the day after it. */
static bool lies_in(const struct config_schedule *s, const struct clock_day *d, unsigned minute)
{
    struct hours h;
    if (is_closed(s, d))
        return false;
    for (uint32_t i = 0; i < s->hours.n; i++) {
        if (!hours_parse(&h, s->hours.v[i]) || !has_day(&h, d->weekday))
            continue;
        unsigned to = h.to < h.from ? h.to + DAY_MIN : h.to;
        if (minute >= h.from && minute < to)
            return true;
    }
    return false;
}

bool clock_is_open(const struct config_schedule *s, uint64_t ms, int32_t machine_s)
{
    int32_t zone_s = s->time_zone.n ? clock_zone_s(s->time_zone) : machine_s;
    struct clock_day today = clock_local(ms, zone_s);
    struct clock_day yesterday = clock_local(ms > 86400000 ? ms - 86400000 : 0, zone_s);
    unsigned minute = today.hour * 60 + today.minute;
    return lies_in(s, &today, minute) || lies_in(s, &yesterday, minute + DAY_MIN);
}
