/* The limiter of one sum: what is louder than 1 dB below full scale is turned down before it gets
 * there, and up again slowly. It looks ahead within the frame and so adds no delay. */
#ifndef ENGINE_MEDIA_MIX_LIMIT_H
#define ENGINE_MEDIA_MIX_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct mix_limit {
    float gain;    /* at the end of the last frame, above 0 to 1 */
    unsigned hold; /* parts of a frame before it may rise */
};

void mix_limit_init(struct mix_limit *l);
/* It changes nothing at present. */
bool mix_limit_idle(const struct mix_limit *l);
/* One frame of n samples, a multiple of 8, in the scale of 16 bits. `fits`: it is known to be
 * within full scale and may be as loud as that. */
void mix_limit_run(struct mix_limit *l, const float *in, unsigned n, bool fits, int16_t *out);

#endif
