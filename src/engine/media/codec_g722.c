/* G.722 at 64 kbit/s by spandsp. 16 kHz audio whose RTP clock is 8000 (RFC 3551 section 4.5.2). */
#include "engine/media/codec.h"

#include <errno.h>
#include <spandsp.h>

static uint32_t rate(const struct media_format *f)
{
    return 16000;
}

static void *decoder(const struct media_format *f)
{
    return g722_decode_init(NULL, 64000, 0);
}

static void *encoder(const struct media_format *f)
{
    return g722_encode_init(NULL, 64000, 0);
}

static void decoder_free(void *d)
{
    g722_decode_free(d);
}

static void encoder_free(void *e)
{
    g722_encode_free(e);
}

static int decode(void *d, const uint8_t *in, size_t n, int16_t *out)
{
    if (n > CODEC_MAX_SAMPLES / 2)
        return -EBADMSG;
    return g722_decode(d, out, in, (int)n);
}

static int encode(void *e, const int16_t *in, unsigned samples, uint8_t *out)
{
    return g722_encode(e, out, in, (int)samples);
}

static unsigned samples_of(const struct media_format *f, const uint8_t *payload, size_t n)
{
    return n > CODEC_MAX_SAMPLES / 2 ? 0 : (unsigned)n * 2;
}

static unsigned whole(const struct media_format *f, unsigned samples)
{
    return samples < 2 * CODEC_MAX_BYTES ? samples & ~1u : 2 * CODEC_MAX_BYTES;
}

const struct codec codec_g722 = {.name = STR_INIT("G722"),
                                 .rate = rate,
                                 .decoder = decoder,
                                 .encoder = encoder,
                                 .decoder_free = decoder_free,
                                 .encoder_free = encoder_free,
                                 .decode = decode,
                                 .encode = encode,
                                 .samples = samples_of,
                                 .whole = whole};
