#include "engine/media/pace.h"

#include <string.h>

#define MS 1000ll
/* A packet should be there so long before it is needed. */
#define MARGIN (3 * MS)
/* With this delay the margin holds wherever the packets fall between the ticks. */
#define ENOUGH (20 * MS + MARGIN)
/* Less is not worth a change. */
#define WORTH      (10 * MS)
#define WINDOW     (2 * USEC_S)
#define PAUSE      (200 * USEC_MS)
#define PAUSE_OWED (40 * USEC_MS)
/* A single late packet says no more than this. */
#define LATE_STEP (20 * MS)

void pace_init(struct pace *p, int64_t limit)
{
    memset(p, 0, sizeof(*p));
    p->limit = limit;
}

void pace_restart(struct pace *p)
{
    p->w[0].any = p->w[1].any = false;
    p->since = 0;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void pace_played(struct pace *p, usec_t now, usec_t at, int64_t offset, bool needed)
{
    struct pace_window *w = &p->w[0];
    int64_t waited = (int64_t)(now - at);
    if (p->since == 0)
        p->since = now;
    if (w->any && now >= p->since + WINDOW) {
        p->w[1] = *w;
        w->any = false;
        p->since = now;
    }
    if (!w->any)
        *w = (struct pace_window){INT64_MAX, 0, INT64_MAX, true};
    w->least = min64(w->least, waited + offset);
    w->most = max64(w->most, waited + offset);
    if (needed)
        w->slack = min64(w->slack, waited);
}

static void shift(struct pace *p, int64_t by)
{
    for (unsigned i = 0; i < 2; i++) {
        p->w[i].least += p->w[i].any ? by : 0;
        p->w[i].most += p->w[i].any ? by : 0;
    }
}

static void guard_raise(struct pace *p, int64_t by)
{
    p->guard = min64(p->guard + by, max64(p->limit - ENOUGH - WORTH, 0));
}

void pace_late(struct pace *p, int64_t by)
{
    if (by <= 0 || by > p->limit)
        return;
    guard_raise(p, min64(by, LATE_STEP));
    p->owed = max64(p->owed, min64(by, p->owed + LATE_STEP));
}

void pace_stalled(struct pace *p, int64_t by, bool late)
{
    if (by > p->limit || by < -p->limit) {
        pace_restart(p);
        return;
    }
    shift(p, by);
    p->owed = max64(p->owed - max64(by, 0), 0);
    if (late && by > 0)
        guard_raise(p, by);
}

int64_t pace_most(const struct pace *p, int64_t otherwise)
{
    if (!p->w[0].any && !p->w[1].any)
        return otherwise;
    return max64(p->w[0].any ? p->w[0].most : 0, p->w[1].any ? p->w[1].most : 0);
}

int64_t pace_spare(const struct pace *p)
{
    int64_t least = INT64_MAX, most = pace_most(p, 0);
    for (unsigned i = 0; i < 2; i++)
        if (p->w[i].any)
            least = min64(least, p->w[i].least);
    if (p->owed > 0)
        return -min64(p->owed, max64(p->limit - most, 0));
    if (!p->w[1].any || least < ENOUGH + p->guard + WORTH)
        return 0;
    return least - ENOUGH - p->guard;
}

int64_t pace_wish(struct pace *p, usec_t now)
{
    p->guard = max64(p->guard - p->guard / 512 - 20, 0); /* to a third in ten seconds */
    if (now < p->next)
        return 0;
    int64_t spare = pace_spare(p);
    if (spare)
        return spare;
    const struct pace_window *w = p->w;
    if (!w[0].any || !w[1].any || min64(w[0].least, w[1].least) >= ENOUGH ||
        min64(w[0].slack, w[1].slack) >= MARGIN || w[0].most >= p->limit)
        return 0;
    return -MARGIN;
}

void pace_changed(struct pace *p, usec_t now, int64_t by)
{
    shift(p, by);
    if (by > 0) {
        p->owed = max64(p->owed - by, 0);
        p->w[0].slack = p->w[1].slack = INT64_MAX;
    }
    p->next = now + (p->owed ? PAUSE_OWED : PAUSE);
}
