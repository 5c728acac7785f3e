#include "engine/media/tape.h"

#include <stdlib.h>
#include <string.h>

#define MS(t, n)  ((t)->rate / 1000 * (n))
#define MIN_LAG   5
#define MAX_LAG   15
#define WINDOW    10 /* ms that are compared, and blended */
#define HISTORY   45 /* ms that are looked back at, at most */
#define KEPT      80 /* ms beyond that before they are thrown away */
#define JOIN      5
#define HUSH      10
#define FADE_FROM 20

/* A signal this quiet can be cut anywhere. */
#define QUIET 24

void tape_start(struct tape *t, uint32_t rate)
{
    int16_t last = t->rate && t->w ? t->s[t->w - 1] : 0;
    t->rate = rate;
    t->r = t->w = TAPE_HISTORY;
    memset(t->s, 0, TAPE_HISTORY * sizeof(t->s[0]));
    t->lag = MS(t, MIN_LAG);
    for (unsigned i = 0; i < t->lag; i++)
        t->cycle[i] = last;
    t->made = 1;
    t->pos = t->ramp = 0;
    t->seam = 0;
    t->fade_at = 0;
    t->fade_until = MS(t, MIN_LAG);
}

int16_t *tape_room(struct tape *t)
{
    /* What was heard is not kept longer than that: the tape of a narrow codec would else pass
     * through memory that is no longer in the cache. */
    unsigned keep = MS(t, HISTORY), from = t->r > keep ? t->r - keep : 0;
    if (from > MS(t, KEPT) || (from && t->w + CODEC_MAX_SAMPLES > TAPE_CAPACITY)) {
        memmove(t->s, t->s + from, (t->w - from) * sizeof(t->s[0]));
        t->r -= from;
        t->w -= from;
    }
    return t->s + t->w;
}

void tape_add(struct tape *t, unsigned n)
{
    t->w += n;
    if (n)
        t->made = t->lag = 0;
}

void tape_take(struct tape *t, int16_t *out, unsigned n)
{
    memcpy(out, t->s + t->r, n * sizeof(out[0]));
    t->r += n;
}

/* How unlike the n samples at a and b are; every step-th counts. */
static uint32_t unlike(const int16_t *a, const int16_t *b, unsigned n, unsigned step)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i += step)
        sum += (uint32_t)abs(a[i] - b[i]);
    return sum;
}

/* The distance at which the signal at p is most like itself; dir -1: towards the past. First at
 * 8 kHz, then around the best at the full rate. */
static unsigned best_lag(const struct tape *t, const int16_t *p, int dir, unsigned most)
{
    unsigned step = t->rate / 8000, n = MS(t, WINDOW), least = MS(t, MIN_LAG), best = least;
    uint32_t best_sum = UINT32_MAX;
    for (unsigned lag = least; lag <= most; lag += step) {
        uint32_t sum = unlike(p, p + dir * (int)lag, n, step);
        if (sum < best_sum) {
            best_sum = sum;
            best = lag;
        }
    }
    if (step == 1)
        return best;
    unsigned from = best - least < step ? least : best - step + 1;
    unsigned to = most - best < step ? most : best + step - 1;
    best_sum = UINT32_MAX;
    for (unsigned lag = from; lag <= to; lag++) {
        uint32_t sum = unlike(p, p + dir * (int)lag, n, 1);
        if (sum < best_sum) {
            best_sum = sum;
            best = lag;
        }
    }
    return best;
}

static void begin_made(struct tape *t)
{
    const int16_t *end = t->s + t->w;
    t->lag = best_lag(t, end - MS(t, WINDOW), -1, MS(t, MAX_LAG));
    memcpy(t->cycle, end - t->lag, t->lag * sizeof(t->cycle[0]));
    t->seam = end[-1] - end[-1 - (int)t->lag];
    t->ramp = t->lag / 4;
    t->pos = 0;
    t->fade_at = MS(t, FADE_FROM);
    t->fade_until = MS(t, TAPE_CONCEALS_MS);
}

/* In 32768ths, of the sample that is made next. */
static int gain(const struct tape *t)
{
    if (t->made < t->fade_at)
        return 32768;
    if (t->made >= t->fade_until)
        return 0;
    return (int)(32768u * (t->fade_until - t->made) / (t->fade_until - t->fade_at));
}

static int clip(int v)
{
    return v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v;
}

/* xorshift32 (Marsaglia): evenly distributed within +-noise / 256. */
static int noise_sample(struct tape *t)
{
    uint32_t x = t->noise_state ? t->noise_state : 2463534242u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    t->noise_state = x;
    return (int)((int64_t)(int32_t)x * t->noise / (1ll << 39));
}

static int faded(struct tape *t, int v)
{
    int g = gain(t);
    v = (int)(((int64_t)v * g) >> 15);
    if (t->noise)
        v += noise_sample(t) * (32768 - g) / 32768;
    return clip(v);
}

static int next_made(struct tape *t)
{
    int v = t->cycle[t->pos];
    if (t->pos < t->ramp)
        v += t->seam * (int)(t->ramp - t->pos) / (int)t->ramp;
    if (++t->pos == t->lag)
        t->pos = 0;
    v = faded(t, v);
    t->made += t->made < UINT32_MAX;
    return v;
}

void tape_extend(struct tape *t, unsigned n)
{
    int16_t *to = tape_room(t);
    if (t->lag == 0)
        begin_made(t);
    if (tape_silent(t) && !t->noise) {
        memset(to, 0, n * sizeof(to[0]));
        t->made = t->made > UINT32_MAX - n ? UINT32_MAX : t->made + n;
    } else {
        for (unsigned i = 0; i < n; i++)
            to[i] = (int16_t)next_made(t);
    }
    t->w += n;
}

void tape_extend_by(struct tape *t, unsigned n)
{
    int16_t *to = tape_room(t);
    if (t->lag == 0)
        begin_made(t);
    for (unsigned i = 0; i < n; i++, t->made++)
        to[i] = (int16_t)faded(t, to[i]);
    t->w += n;
}

unsigned tape_rest_of_cycle(const struct tape *t)
{
    return t->made && t->pos ? t->lag - t->pos : 0;
}

void tape_hush(struct tape *t)
{
    if (t->lag == 0)
        begin_made(t);
    if (t->made + MS(t, HUSH) >= t->fade_until)
        return;
    /* From the gain of here to silence. */
    unsigned left = t->fade_until - t->made, whole = t->fade_until - t->fade_at;
    bool full = t->made < t->fade_at;
    t->fade_until = t->made + MS(t, HUSH);
    t->fade_at = full ? t->made : t->fade_until - MS(t, HUSH) * whole / left;
}

bool tape_silent(const struct tape *t)
{
    return t->made && t->made >= t->fade_until;
}

void tape_join(struct tape *t, unsigned n)
{
    int16_t *to = t->s + t->w;
    unsigned k = MS(t, JOIN) < n ? MS(t, JOIN) : n;
    if (t->lag == 0)
        begin_made(t);
    for (unsigned i = 0; i < k; i++)
        to[i] = (int16_t)((next_made(t) * (int)(k - i) + to[i] * (int)i) / (int)k);
}

/* Goes on reading at `by` from here, blended. */
static bool splice(struct tape *t, int by, bool force)
{
    int16_t *from = t->s + t->r, *to = from + by;
    unsigned n = MS(t, WINDOW), lag = (unsigned)abs(by);
    uint32_t loud = 0;
    for (unsigned i = 0; i < n; i++)
        loud += (uint32_t)abs(from[i]);
    if (!force && loud > n * QUIET && unlike(from, to, n, 1) > loud / 2)
        return false;
    n = lag < n ? lag : n;
    for (unsigned i = 0; i < n; i++)
        to[i] = (int16_t)((from[i] * (int)(n - i) + to[i] * (int)i) / (int)n);
    t->r = (unsigned)((int)t->r + by);
    return true;
}

unsigned tape_cut(struct tape *t, unsigned most, bool force)
{
    if (most > MS(t, MAX_LAG))
        most = MS(t, MAX_LAG);
    if (most < MS(t, MIN_LAG) || tape_waiting(t) < MS(t, MAX_LAG + WINDOW))
        return 0;
    unsigned lag = best_lag(t, t->s + t->r, 1, most);
    return splice(t, (int)lag, force) ? lag : 0;
}

unsigned tape_repeat(struct tape *t, bool force)
{
    if (tape_waiting(t) < MS(t, WINDOW) || t->r < MS(t, 2 * MAX_LAG))
        return 0;
    unsigned lag = best_lag(t, t->s + t->r, -1, MS(t, MAX_LAG));
    return splice(t, -(int)lag, force) ? lag : 0;
}
