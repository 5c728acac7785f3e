#include "engine/media/drift.h"

#include <math.h>
#include <string.h>

/* A change of the delay from one second to the next that no clock makes: the path has changed, or
 * the sender counts from elsewhere. */
#define LEAP_US (200 * 1000)
/* A line ends before its count of ticks could grow without end. */
#define TICKS_MAX ((int64_t)1 << 40)
/* Fewer say too little. */
#define POINTS_MIN 10

/* The sums about the line's own middle, added to those of the lines before. */
static void fold(struct drift *d)
{
    const struct drift_line *l = &d->line;
    if (l->n >= 2) {
        d->n += l->n;
        d->xx += l->xx - l->x * l->x / l->n;
        d->xy += l->xy - l->x * l->y / l->n;
        d->yy += l->yy - l->y * l->y / l->n;
        d->lines++;
    }
    memset(&d->line, 0, sizeof(d->line));
}

static void begin(struct drift *d, usec_t now, uint32_t ssrc, uint32_t ts)
{
    fold(d);
    d->begun = true;
    d->ssrc = ssrc;
    d->last_ts = ts;
    d->from = d->second = now;
    d->ticks = 0;
    d->any = false;
}

/* False: it does not belong to this line. */
static bool second_over(struct drift *d)
{
    struct drift_line *l = &d->line;
    double x = (double)(d->second - d->from) / 1e6, y = (double)d->least;
    int64_t step = d->least - d->before;
    if (l->n > 0 && (step > LEAP_US || step < -LEAP_US))
        return false;
    l->n += 1;
    l->x += x;
    l->y += y;
    l->xx += x * x;
    l->xy += x * y;
    l->yy += y * y;
    d->before = d->least;
    return true;
}

void drift_rx(struct drift *d, usec_t now, uint32_t ssrc, uint32_t ts, uint32_t clock_hz)
{
    if (!d->begun || ssrc != d->ssrc || clock_hz != d->clock_hz || d->ticks > TICKS_MAX ||
        d->ticks < -TICKS_MAX) {
        d->clock_hz = clock_hz;
        begin(d, now, ssrc, ts);
    }
    if (d->any && now >= d->second + USEC_S) {
        if (second_over(d))
            d->second = now;
        else
            begin(d, now, ssrc, ts);
        d->any = false;
    }
    d->ticks += (int32_t)(ts - d->last_ts);
    d->last_ts = ts;
    int64_t delay = (int64_t)(now - d->from) - d->ticks * 1000000 / d->clock_hz;
    d->least = d->any && d->least < delay ? d->least : delay;
    d->any = true;
}

bool drift_get(const struct drift *d, int32_t *ppm_x10, uint32_t *error_x10)
{
    struct drift all = *d;
    fold(&all);
    if (all.n < POINTS_MIN || all.xx <= 0 || all.n < all.lines + 2)
        return false;
    double slope = all.xy / all.xx, rest = all.yy - all.xy * slope;
    double error = rest > 0 ? sqrt(rest / (all.n - all.lines - 1) / all.xx) : 0;
    /* No oscillator is off by more: the timestamps are not those of a clock. */
    if (fabs(slope) > 1e5 || error > 1e5)
        return false;
    *ppm_x10 = (int32_t)lround(-slope * 10);
    *error_x10 = (uint32_t)lround(error * 10);
    return true;
}
