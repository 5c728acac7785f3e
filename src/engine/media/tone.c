#include "engine/media/tone.h"

#include <errno.h>

#include "engine/media/sine.h"

#define RATE_MIN  8000u
#define RATE_MAX  48000u
#define LEVEL_MAX 3
#define NO_END    UINT32_MAX

static const struct {
    struct str country;
    enum tone_kind kind;
    int8_t dbm0;
    struct tone_step step[TONE_STEPS];
} table[] = {
/* A level of 0 here means that of the line; full modulation has both sidebands 6 dB below it. */
#define ON(f, on, off)                                                                             \
    {                                                                                              \
        {f}, {0}, on, off                                                                          \
    }
#define TWO(f, g, on, off)                                                                         \
    {                                                                                              \
        {f, g}, {0}, on, off                                                                       \
    }
#define MOD(f, by, on, off)                                                                        \
    {                                                                                              \
        {f, (f) - (by), (f) + (by)}, {0, -6, -6}, on, off                                          \
    }
#define TONE(country, kind, level, ...) {STR_INIT(country), TONE_##kind, level, {__VA_ARGS__}},
#include "engine/media/tone.def"
#undef TONE
#undef MOD
#undef TWO
#undef ON
};

/* The peak of a sine from +3 dBm0 down, dB by dB: 32124 is +3.17. */
static const uint16_t peak_of[] = {
    31501, 28075, 25022, 22301, 19876, 17715, 15788, 14071, 12541, 11177, 9962,
    8878,  7913,  7052,  6285,  5602,  4993,  4450,  3966,  3535,  3150,  2808,
    2502,  2230,  1988,  1771,  1579,  1407,  1254,  1118,  996,   888,   791,
    705,   629,   560,   499,   445,   397,   353,   315,   281,   250,   223,
};

/* Into step i. The phases run on, so that a sound without a break has none. */
static void enter(struct tone *t, unsigned i)
{
    const struct tone_step *s = &t->step[i];
    t->at = (uint8_t)i;
    t->pos = 0;
    t->on = s->on_ms ? (uint32_t)((uint64_t)s->on_ms * t->rate_hz / 1000) : NO_END;
    t->len = s->on_ms ? t->on + (uint32_t)((uint64_t)s->off_ms * t->rate_hz / 1000) : NO_END;
    for (size_t p = 0; p < TONE_PARTS; p++) {
        t->move[p] = sine_step(s->hz[p] * 1000u, t->rate_hz);
        t->peak[p] = s->hz[p] ? peak_of[LEVEL_MAX - s->dbm0[p]] : 0;
    }
}

static int begin(struct tone *t, uint32_t rate_hz)
{
    if (rate_hz < RATE_MIN || rate_hz > RATE_MAX || t->steps == 0)
        return -EINVAL;
    t->rate_hz = rate_hz;
    t->ramp = rate_hz * TONE_RAMP_MS / 1000;
    enter(t, 0);
    return 0;
}

int tone_start(struct tone *t, uint32_t rate_hz, struct str country, enum tone_kind kind)
{
    struct tone n = {0};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].kind != kind || !str_ieq(table[i].country, country))
            continue;
        for (; n.steps < TONE_STEPS && table[i].step[n.steps].hz[0]; n.steps++) {
            struct tone_step *s = &n.step[n.steps];
            *s = table[i].step[n.steps];
            for (size_t p = 0; p < TONE_PARTS; p++)
                s->dbm0[p] = (int8_t)(s->dbm0[p] + table[i].dbm0);
        }
        if (begin(&n, rate_hz))
            return -EINVAL;
        *t = n;
        return 0;
    }
    return -ENOENT;
}

int tone_digit(struct tone *t, uint32_t rate_hz, char digit, uint32_t on_ms, uint32_t off_ms)
{
    static const char keys[] = "123A456B789C*0#D";
    static const uint16_t row[] = {697, 770, 852, 941}, column[] = {1209, 1336, 1477, 1633};
    const char *key = digit ? strchr(keys, digit) : NULL;
    if (!key || on_ms == 0 || on_ms > 60000 || off_ms > 60000)
        return -EINVAL;
    struct tone n = {.steps = 1, .once = true};
    n.step[0] = (struct tone_step){
        .hz = {row[(key - keys) / 4], column[(key - keys) % 4]},
        .dbm0 = {-10, -8},
        .on_ms = (uint16_t)on_ms,
        .off_ms = (uint16_t)off_ms,
    };
    if (begin(&n, rate_hz))
        return -EINVAL;
    *t = n;
    return 0;
}

static int16_t sample(struct tone *t)
{
    int64_t sum = 0;
    for (size_t p = 0; p < TONE_PARTS; p++) {
        sum += (int64_t)sine_q30(t->phase[p]) * t->peak[p];
        t->phase[p] += t->move[p];
    }
    uint32_t edge = t->on == NO_END || t->pos < t->on - t->pos ? t->pos : t->on - 1 - t->pos;
    if (edge < t->ramp)
        sum = sum / (int64_t)t->ramp * (int64_t)edge;
    return (int16_t)(sum >> 30);
}

/* Where the sound never ends, the time does not either. */
static void advance(struct tone *t)
{
    if (t->on == NO_END) {
        t->pos += t->pos < t->ramp;
        return;
    }
    if (++t->pos < t->len)
        return;
    if (t->at + 1 < t->steps)
        enter(t, t->at + 1u);
    else if (t->once)
        t->done = true;
    else
        enter(t, 0);
}

size_t tone_make(struct tone *t, int16_t *out, size_t n)
{
    size_t i = 0;
    for (; i < n && t->steps && !t->done; i++) {
        out[i] = t->pos < t->on ? sample(t) : 0;
        advance(t);
    }
    if (i < n)
        memset(out + i, 0, (n - i) * sizeof(*out));
    return i;
}
