/* Opus (RFC 6716, RFC 7587) by libopus, one channel. What the other side cannot play is not
 * encoded: its maxplaybackrate decides the bandwidth and the rate at which we work. */
#include "engine/media/codec.h"

#include <errno.h>
#include <opus/opus.h>

#define BITRATE    24000
#define COMPLEXITY 5
#define LOSS_PCT   10

/* The decoder gives 48 kHz whatever was sent; narrower calls are cheaper at 16 kHz, which is all
 * that a telephone room needs. */
static uint32_t rate(const struct media_format *f)
{
    static const uint32_t rates[] = {8000, 12000, 16000, 24000};
    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        if (f->max_rate_hz && f->max_rate_hz <= rates[i])
            return rates[i] == 12000 ? 16000 : rates[i] == 24000 ? 48000 : rates[i];
    return 48000;
}

static void *decoder(const struct media_format *f)
{
    int err;
    return opus_decoder_create((opus_int32)rate(f), 1, &err);
}

static void *encoder(const struct media_format *f)
{
    int err;
    OpusEncoder *e = opus_encoder_create((opus_int32)rate(f), 1, OPUS_APPLICATION_VOIP, &err);
    if (!e)
        return NULL;
    opus_int32 bitrate = f->max_bitrate ? (opus_int32)f->max_bitrate : BITRATE;
    opus_encoder_ctl(e, OPUS_SET_BITRATE(bitrate < 6000 ? 6000 : bitrate));
    opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(COMPLEXITY));
    opus_encoder_ctl(e, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(f->fec));
    opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(f->fec ? LOSS_PCT : 0));
    opus_encoder_ctl(e, OPUS_SET_DTX(f->dtx));
    opus_encoder_ctl(e, OPUS_SET_VBR(!f->cbr));
    return e;
}

static void decoder_free(void *d)
{
    opus_decoder_destroy(d);
}

static void encoder_free(void *e)
{
    opus_encoder_destroy(e);
}

static int decode(void *d, const uint8_t *in, size_t n, int16_t *out)
{
    if (n == 0)
        return -EBADMSG; /* libopus would take it for a loss of any length */
    int samples = opus_decode(d, in, (opus_int32)n, out, CODEC_MAX_SAMPLES, 0);
    return samples < 0 ? -EBADMSG : samples;
}

static int conceal(void *d, unsigned samples, int16_t *out)
{
    int got = opus_decode(d, NULL, 0, out, (int)samples, 0);
    return got < 0 ? -EBADMSG : got;
}

/* RFC 6716 section 2.1.7: a packet may carry the one before it at a lower bitrate. */
static int recover(void *d, const uint8_t *next, size_t n, unsigned samples, int16_t *out)
{
    int got = opus_decode(d, next, (opus_int32)n, out, (int)samples, 1);
    return got < 0 ? -EBADMSG : got;
}

static int encode(void *e, const int16_t *in, unsigned samples, uint8_t *out)
{
    opus_int32 n = opus_encode(e, in, (int)samples, out, CODEC_MAX_BYTES);
    return n <= 2 ? 0 : (int)n; /* RFC 7587 section 3.1.3: a frame of DTX need not be sent */
}

static void anew(void *e)
{
    opus_encoder_ctl(e, OPUS_RESET_STATE);
}

static unsigned samples_of(const struct media_format *f, const uint8_t *payload, size_t n)
{
    int samples = n ? opus_packet_get_nb_samples(payload, (opus_int32)n, (opus_int32)rate(f)) : 0;
    return samples > 0 && samples <= CODEC_MAX_SAMPLES ? (unsigned)samples : 0;
}

/* 60, 40, 20, 10, 5 or 2.5 ms (RFC 6716 section 2.1.4). */
static unsigned whole(const struct media_format *f, unsigned samples)
{
    static const uint8_t tenths_25[] = {24, 16, 8, 4, 2, 1};
    unsigned unit = rate(f) / 400;
    for (unsigned i = 0; i < sizeof(tenths_25); i++)
        if (samples >= tenths_25[i] * unit)
            return tenths_25[i] * unit;
    return 0;
}

const struct codec codec_opus = {.name = STR_INIT("opus"),
                                 .rate = rate,
                                 .decoder = decoder,
                                 .encoder = encoder,
                                 .decoder_free = decoder_free,
                                 .encoder_free = encoder_free,
                                 .decode = decode,
                                 .conceal = conceal,
                                 .recover = recover,
                                 .encode = encode,
                                 .anew = anew,
                                 .samples = samples_of,
                                 .whole = whole};
