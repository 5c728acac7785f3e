/* Sample rates, by speexdsp. One direction of one sound; what it needs is kept from call to call.
 */
#ifndef ENGINE_MEDIA_RESAMPLE_H
#define ENGINE_MEDIA_RESAMPLE_H

#include <stdint.h>

#include "base/assert.h"

/* All zero: nothing is converted yet. */
struct resample {
    void *state;
    uint32_t in_hz, out_hz;
};

/* Makes ready for these rates, 1000 to 192000; nothing happens if they are the same as before.
 * 0 or -ENOMEM. */
MUST_CHECK int resample_set(struct resample *r, uint32_t in_hz, uint32_t out_hz);
/* Takes at most *n samples from in and writes at most max; *n is what was taken. Returns how many
 * were written. Equal rates copy. */
unsigned resample_run(struct resample *r, const int16_t *in, unsigned *n, int16_t *out,
                      unsigned max);
/* By how many samples what is written lags behind what was taken. */
unsigned resample_lag(const struct resample *r);
void resample_done(struct resample *r);

#endif
