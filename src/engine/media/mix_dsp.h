/* The inner loops of a mixed room, written so that the compiler makes vectors of them. Samples of
 * sums are floats in the scale of 16 bits: full scale is 32768. No two arguments overlap. */
#ifndef ENGINE_MEDIA_MIX_DSP_H
#define ENGINE_MEDIA_MIX_DSP_H

#include <stdint.h>

/* A gain that moves in a straight line over the first `over` samples and stays at `to` then. */
struct mix_ramp {
    float from, to;
    unsigned over; /* 0: `to` from the first sample on */
};

/* The power of n > 0 samples without their direct current, in (full scale) squared: 0 to 1. */
float mix_power(const int16_t *in, unsigned n);
/* sum += in * gain. */
void mix_add(float *sum, const int16_t *in, unsigned n, const struct mix_ramp *g);
/* out = sum - in * gain. */
void mix_without(float *out, const float *sum, const int16_t *in, unsigned n,
                 const struct mix_ramp *g);
/* The largest magnitude of n samples. */
float mix_peak(const float *in, unsigned n);
/* out = in * gain, rounded; the gain moves from g0 to g1. What is beyond 16 bits is cut. */
void mix_round(int16_t *out, const float *in, unsigned n, float g0, float g1);
/* The same, but from `knee` on the curve bends, and never reaches full scale. */
void mix_round_soft(int16_t *out, const float *in, unsigned n, const struct mix_ramp *g,
                    float knee);
/* out goes over into `to` in a straight line. */
void mix_blend(int16_t *out, const int16_t *to, unsigned n);

#endif
