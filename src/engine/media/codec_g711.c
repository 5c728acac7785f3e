/* PCMU and PCMA (ITU-T G.711, RFC 3551 section 4.5.14). A table each way: a call that is transcoded
 * does nothing else all day. */
#include "engine/media/codec.h"

#include <errno.h>

#define BIAS 0x84

static int16_t ulaw_to[256], alaw_to[256];
/* By the upper 14 (mu-law) and 13 (A-law) bits of a sample: what G.711 can tell apart. */
static uint8_t to_ulaw[16384], to_alaw[8192];
uint8_t codec_law_swap[2][256];

static int16_t ulaw_expand(uint8_t code)
{
    code = (uint8_t)~code;
    int t = ((code & 0x0F) << 3) + BIAS;
    t <<= (code & 0x70) >> 4;
    return (int16_t)(code & 0x80 ? BIAS - t : t - BIAS);
}

static int16_t alaw_expand(uint8_t code)
{
    code ^= 0x55;
    int t = (code & 0x0F) << 4, seg = (code & 0x70) >> 4;
    t = seg == 0 ? t + 8 : (t + 0x108) << (seg - 1);
    return (int16_t)(code & 0x80 ? t : -t);
}

static unsigned segment(int value, int first_end)
{
    unsigned seg = 0;
    for (int end = first_end; seg < 8 && value > end; end = end << 1 | 1)
        seg++;
    return seg;
}

static uint8_t ulaw_compress(int sample)
{
    int mask = 0xFF;
    int v = sample >> 2; /* 14 bits */
    if (v < 0) {
        v = -v;
        mask = 0x7F;
    }
    if (v > 8159)
        v = 8159;
    v += BIAS >> 2;
    unsigned seg = segment(v, 0x3F);
    if (seg >= 8)
        return (uint8_t)(0x7F ^ mask);
    return (uint8_t)((seg << 4 | (unsigned)(v >> (seg + 1) & 0x0F)) ^ (unsigned)mask);
}

static uint8_t alaw_compress(int sample)
{
    int mask = 0xD5;
    int v = sample >> 3; /* 13 bits */
    if (v < 0) {
        v = -v - 1;
        mask = 0x55;
    }
    unsigned seg = segment(v, 0x1F);
    if (seg >= 8)
        return (uint8_t)(0x7F ^ mask);
    unsigned code = seg << 4 | (unsigned)(v >> (seg < 2 ? 1 : seg) & 0x0F);
    return (uint8_t)(code ^ (unsigned)mask);
}

void codec_init(void)
{
    static bool done;
    if (done)
        return;
    for (int i = 0; i < 256; i++) {
        ulaw_to[i] = ulaw_expand((uint8_t)i);
        alaw_to[i] = alaw_expand((uint8_t)i);
    }
    for (int i = 0; i < 16384; i++)
        to_ulaw[i] = ulaw_compress((int16_t)(i << 2));
    for (int i = 0; i < 8192; i++)
        to_alaw[i] = alaw_compress((int16_t)(i << 3));
    for (int i = 0; i < 256; i++) {
        codec_law_swap[0][i] = codec_alaw_code(ulaw_to[i]);
        codec_law_swap[1][i] = codec_ulaw_code(alaw_to[i]);
    }
    done = true;
}

int16_t codec_ulaw_sample(uint8_t code)
{
    return ulaw_to[code];
}

int16_t codec_alaw_sample(uint8_t code)
{
    return alaw_to[code];
}

uint8_t codec_ulaw_code(int16_t sample)
{
    return to_ulaw[(uint16_t)sample >> 2];
}

uint8_t codec_alaw_code(int16_t sample)
{
    return to_alaw[(uint16_t)sample >> 3];
}

static uint32_t rate(const struct media_format *f)
{
    return 8000;
}

static void *no_state(const struct media_format *f)
{
    return &codec_law_swap;
}

static void no_free(void *state)
{
}

static int decode_ulaw(void *d, const uint8_t *in, size_t n, int16_t *out)
{
    if (n > CODEC_MAX_SAMPLES)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        out[i] = ulaw_to[in[i]];
    return (int)n;
}

static int decode_alaw(void *d, const uint8_t *in, size_t n, int16_t *out)
{
    if (n > CODEC_MAX_SAMPLES)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        out[i] = alaw_to[in[i]];
    return (int)n;
}

static int encode_ulaw(void *e, const int16_t *in, unsigned samples, uint8_t *out)
{
    for (unsigned i = 0; i < samples; i++)
        out[i] = codec_ulaw_code(in[i]);
    return (int)samples;
}

static int encode_alaw(void *e, const int16_t *in, unsigned samples, uint8_t *out)
{
    for (unsigned i = 0; i < samples; i++)
        out[i] = codec_alaw_code(in[i]);
    return (int)samples;
}

static unsigned samples_of(const struct media_format *f, const uint8_t *payload, size_t n)
{
    return n > CODEC_MAX_SAMPLES ? 0 : (unsigned)n;
}

static unsigned whole(const struct media_format *f, unsigned samples)
{
    return samples < CODEC_MAX_BYTES ? samples : CODEC_MAX_BYTES;
}

const struct codec codec_pcmu = {.name = STR_INIT("PCMU"),
                                 .rate = rate,
                                 .decoder = no_state,
                                 .encoder = no_state,
                                 .decoder_free = no_free,
                                 .encoder_free = no_free,
                                 .decode = decode_ulaw,
                                 .encode = encode_ulaw,
                                 .samples = samples_of,
                                 .whole = whole};

const struct codec codec_pcma = {.name = STR_INIT("PCMA"),
                                 .rate = rate,
                                 .decoder = no_state,
                                 .encoder = no_state,
                                 .decoder_free = no_free,
                                 .encoder_free = no_free,
                                 .decode = decode_alaw,
                                 .encode = encode_alaw,
                                 .samples = samples_of,
                                 .whole = whole};
