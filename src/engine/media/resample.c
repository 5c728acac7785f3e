#include "engine/media/resample.h"

#include <errno.h>
#include <speex/speex_resampler.h>
#include <string.h>

/* Of 0 to 10: 3 is meant for speech over networks. */
#define QUALITY 3

int resample_set(struct resample *r, uint32_t in_hz, uint32_t out_hz)
{
    if (r->in_hz == in_hz && r->out_hz == out_hz)
        return 0;
    resample_done(r);
    if (in_hz != out_hz) {
        int err;
        r->state = speex_resampler_init(1, in_hz, out_hz, QUALITY, &err);
        if (!r->state)
            return -ENOMEM;
    }
    r->in_hz = in_hz;
    r->out_hz = out_hz;
    return 0;
}

unsigned resample_run(struct resample *r, const int16_t *in, unsigned *n, int16_t *out,
                      unsigned max)
{
    if (!r->state) {
        *n = *n < max ? *n : max;
        memcpy(out, in, *n * sizeof(*out));
        return *n;
    }
    spx_uint32_t taken = *n, made = max;
    (void)speex_resampler_process_int(r->state, 0, in, &taken, out, &made);
    *n = taken;
    return made;
}

unsigned resample_lag(const struct resample *r)
{
    return r->state ? (unsigned)speex_resampler_get_output_latency(r->state) : 0;
}

void resample_done(struct resample *r)
{
    if (r->state)
        speex_resampler_destroy(r->state);
    *r = (struct resample){0};
}
