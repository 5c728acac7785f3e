#include "engine/media/mix_dsp.h"

#define LANES 8
#define FULL  32768.0f

/* Sums in lanes, because the compiler may not reorder additions of floats by itself. */
float mix_power(const int16_t *in, unsigned n)
{
    float squares[LANES] = {0}, all = 0;
    int32_t sums[LANES] = {0}, sum = 0;
    unsigned k = 0;
    for (; k + LANES <= n; k += LANES)
        for (unsigned i = 0; i < LANES; i++) {
            float v = (float)in[k + i];
            squares[i] += v * v;
            sums[i] += in[k + i];
        }
    for (; k < n; k++) {
        squares[0] += (float)in[k] * (float)in[k];
        sums[0] += in[k];
    }
    for (unsigned i = 0; i < LANES; i++) {
        all += squares[i];
        sum += sums[i];
    }
    float mean = (float)sum / (float)n;
    float power = (all / (float)n - mean * mean) / (FULL * FULL);
    return power > 0 ? power : 0;
}

void mix_add(float *restrict sum, const int16_t *restrict in, unsigned n, const struct mix_ramp *g)
{
    unsigned over = g->over < n ? g->over : n;
    float from = g->from, to = g->to, step = over ? (to - from) / (float)g->over : 0;
    for (unsigned k = 0; k < over; k++)
        sum[k] += (float)in[k] * (from + step * (float)(int32_t)(k + 1));
    for (unsigned k = over; k < n; k++)
        sum[k] += (float)in[k] * to;
}

void mix_without(float *restrict out, const float *restrict sum, const int16_t *restrict in,
                 unsigned n, const struct mix_ramp *g)
{
    unsigned over = g->over < n ? g->over : n;
    float from = g->from, to = g->to, step = over ? (to - from) / (float)g->over : 0;
    for (unsigned k = 0; k < over; k++)
        out[k] = sum[k] - (float)in[k] * (from + step * (float)(int32_t)(k + 1));
    for (unsigned k = over; k < n; k++)
        out[k] = sum[k] - (float)in[k] * to;
}

float mix_peak(const float *in, unsigned n)
{
    float top[LANES] = {0}, peak = 0;
    unsigned k = 0;
    for (; k + LANES <= n; k += LANES)
        for (unsigned i = 0; i < LANES; i++) {
            float v = __builtin_fabsf(in[k + i]);
            top[i] = top[i] > v ? top[i] : v;
        }
    for (; k < n; k++) {
        float v = __builtin_fabsf(in[k]);
        peak = peak > v ? peak : v;
    }
    for (unsigned i = 0; i < LANES; i++)
        peak = peak > top[i] ? peak : top[i];
    return peak;
}

/* To the nearest. The offset makes everything positive, so that cutting off rounds down. */
static inline int16_t rounded(float v)
{
    v = v < 32767.0f ? v : 32767.0f;
    v = v > -FULL ? v : -FULL;
    return (int16_t)((int32_t)(v + (FULL + 0.5f)) - 32768);
}

void mix_round(int16_t *restrict out, const float *restrict in, unsigned n, float g0, float g1)
{
    float step = (g1 - g0) / (float)n;
    for (unsigned k = 0; k < n; k++)
        out[k] = rounded(in[k] * (g0 + step * (float)(int32_t)(k + 1)));
}

void mix_round_soft(int16_t *restrict out, const float *restrict in, unsigned n,
                    const struct mix_ramp *g, float knee)
{
    float from = g->from, step = (g->to - from) / (float)n, room = 32767.0f - knee;
    for (unsigned k = 0; k < n; k++) {
        float v = in[k] * (from + step * (float)(int32_t)(k + 1));
        float mag = __builtin_fabsf(v), over = mag - knee;
        float bent = knee + over * room / (over + room);
        mag = over > 0 ? bent : mag;
        out[k] = rounded(v < 0 ? -mag : mag);
    }
}

void mix_blend(int16_t *restrict out, const int16_t *restrict to, unsigned n)
{
    float step = 1.0f / (float)n;
    for (unsigned k = 0; k < n; k++)
        out[k] =
            rounded((float)out[k] + (float)(to[k] - out[k]) * (step * (float)(int32_t)(k + 1)));
}
