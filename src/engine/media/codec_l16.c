/* L16: samples as they are, in network byte order (RFC 3551 section 4.5.11). One channel. */
#include "engine/media/codec.h"

#include <errno.h>

#include "wire/rtp/be.h"

static uint32_t rate(const struct media_format *f)
{
    switch (f->clock_hz) {
    case 8000:
    case 16000:
    case 32000:
    case 48000:
        return f->clock_hz;
    default:
        return 0;
    }
}

static void *no_state(const struct media_format *f)
{
    return (void *)(uintptr_t)f; /* only not NULL */
}

static void no_free(void *state)
{
}

static int decode(void *d, const uint8_t *in, size_t n, int16_t *out)
{
    if (n % 2 || n / 2 > CODEC_MAX_SAMPLES)
        return -EBADMSG;
    for (size_t i = 0; i < n / 2; i++)
        out[i] = (int16_t)be16_get(in + 2 * i);
    return (int)(n / 2);
}

static int encode(void *e, const int16_t *in, unsigned samples, uint8_t *out)
{
    for (size_t i = 0; i < samples; i++)
        be16_put(out + 2 * i, (uint16_t)in[i]);
    return (int)(2 * samples);
}

static unsigned samples_of(const struct media_format *f, const uint8_t *payload, size_t n)
{
    return n % 2 || n / 2 > CODEC_MAX_SAMPLES ? 0 : (unsigned)(n / 2);
}

/* A datagram above the usual MTU would be cut into pieces: 10 ms at a time from 32 kHz on. */
static unsigned whole(const struct media_format *f, unsigned samples)
{
    unsigned most = f->clock_hz > 16000 ? f->clock_hz / 100 : 640;
    return samples < most ? samples : most;
}

const struct codec codec_l16 = {.name = STR_INIT("L16"),
                                .rate = rate,
                                .decoder = no_state,
                                .encoder = no_state,
                                .decoder_free = no_free,
                                .encoder_free = no_free,
                                .decode = decode,
                                .encode = encode,
                                .samples = samples_of,
                                .whole = whole};
