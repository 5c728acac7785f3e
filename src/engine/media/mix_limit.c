#include "engine/media/mix_limit.h"

#include "engine/media/mix_dsp.h"

#define PARTS  8        /* of a frame: 2.5 ms each */
#define TOP    29204.0f /* 1 dB below full scale */
#define HOLD   40       /* parts: 100 ms, longer than the period of any voice */
#define RISE   0.0124f  /* of what is missing, each part: 200 ms */
#define NEAR   1.02f    /* a peak this close to the bound renews the hold */
#define IS_ONE 0.9995f

void mix_limit_init(struct mix_limit *l)
{
    *l = (struct mix_limit){.gain = 1};
}

bool mix_limit_idle(const struct mix_limit *l)
{
    return l->gain >= 1;
}

/* The gain at the end of a part that may not exceed `bound` there. */
static float follow(struct mix_limit *l, float bound)
{
    if (bound < 1 && bound <= l->gain * NEAR)
        l->hold = HOLD;
    if (bound < l->gain) {
        l->gain = bound;
    } else if (l->hold) {
        l->hold--;
    } else {
        float risen = l->gain + (1 - l->gain) * RISE;
        l->gain = risen < bound ? risen : bound;
        if (l->gain > IS_ONE)
            l->gain = 1;
    }
    return l->gain;
}

void mix_limit_run(struct mix_limit *l, const float *in, unsigned n, bool fits, int16_t *out)
{
    float need[PARTS + 1], g = l->gain;
    unsigned part = n / PARTS;
    bool loud = g < 1;
    for (unsigned i = 0; i < PARTS; i++) {
        float peak = fits ? 0 : mix_peak(in + i * part, part);
        need[i] = peak > TOP ? TOP / peak : 1;
        loud |= peak > TOP;
    }
    if (!loud) {
        mix_round(out, in, n, 1, 1);
        return;
    }
    need[PARTS] = 1;
    for (unsigned i = 0; i < PARTS; i++) {
        float end = follow(l, need[i] < need[i + 1] ? need[i] : need[i + 1]);
        /* Both ends of a part are low enough for it, but for the first: its beginning was
         * fixed before it was seen. */
        if (i == 0 && need[0] < g)
            mix_round_soft(out, in, part, &(struct mix_ramp){.from = g, .to = end}, TOP);
        else
            mix_round(out + i * part, in + i * part, part, g, end);
        g = end;
    }
}
