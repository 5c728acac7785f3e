#include "engine/media/digits.h"

static struct digit_press *press(struct digits *d, uint32_t i)
{
    return &d->recent[i % DIGITS_RECENT];
}

static uint32_t oldest(const struct digits *d)
{
    return d->n > DIGITS_RECENT ? d->n - DIGITS_RECENT : 0;
}

static bool near(const struct digit_press *p, usec_t now)
{
    if (p->open)
        return now - p->begin <= DIGITS_LONGEST;
    return now <= p->end + DIGITS_WINDOW;
}

static void end_at(struct digit_press *p, enum digit_means by, usec_t at)
{
    p->open &= (uint8_t) ~(1u << by);
    p->end = at > p->end ? at : p->end;
}

void digits_end(struct digits *d, usec_t now, enum digit_means by)
{
    for (uint32_t i = oldest(d); i != d->n; i++)
        if (press(d, i)->open & 1u << by)
            end_at(press(d, i), by, now);
}

/* The press that the digit belongs to: the oldest that these means have not told of yet, so that
 * the second of two quick ones finds the second. */
static struct digit_press *find(struct digits *d, usec_t now, enum digit_means by, char digit)
{
    for (uint32_t i = oldest(d); i != d->n; i++) {
        struct digit_press *p = press(d, i);
        if (p->digit == digit && !(p->by & 1u << by) && near(p, now))
            return p;
    }
    return NULL;
}

bool digits_begin(struct digits *d, usec_t now, enum digit_means by, char digit)
{
    /* One means tells of one key at a time. */
    digits_end(d, now, by);
    struct digit_press *p = find(d, now, by, digit);
    if (p) {
        p->by |= (uint8_t)(1u << by);
        p->open |= (uint8_t)(1u << by);
        d->repeated[by]++;
        return false;
    }
    *press(d, d->n++) = (struct digit_press){
        .digit = digit,
        .by = (uint8_t)(1u << by),
        .open = (uint8_t)(1u << by),
        .begin = now,
        .end = now,
    };
    return true;
}

bool digits_whole(struct digits *d, usec_t now, enum digit_means by, char digit, uint32_t ms)
{
    usec_t lasts = ms * USEC_MS > DIGITS_LONGEST ? DIGITS_LONGEST : ms * USEC_MS;
    bool is_new = digits_begin(d, now, by, digit);
    digits_end(d, now + lasts, by);
    return is_new;
}
