/* What we say to one party: samples in, at any rate and in any portion; packets of its codec and
 * packet time out. */
#ifndef ENGINE_MEDIA_MOUTH_H
#define ENGINE_MEDIA_MOUTH_H

#include "engine/media/codec.h"
#include "engine/media/egress.h"
#include "engine/media/resample.h"

/* 60 ms at 48 kHz. */
#define MOUTH_MAX_FRAME 2880
/* Who wants shorter packets would make a burst of each of the other side's. */
#define MOUTH_MIN_MS 10

struct mouth {
    const struct codec *codec; /* NULL: nothing can be said */
    void *enc;
    struct media_format f;
    uint32_t rate_hz, ticks; /* of the codec; of one packet, in the clock of its timestamps */
    unsigned frame, n;       /* samples of a packet; waiting */
    uint32_t skipped;        /* ticks of packets that were not worth sending */
    unsigned fade;           /* samples that are still to come out of `from` */
    int16_t from, last;      /* last: of all that were taken */
    struct resample rs;
    int16_t fifo[MOUTH_MAX_FRAME];
};

/* One packet that is ready to go; bytes live until the next call. */
struct mouth_packet {
    uint8_t bytes[12 + CODEC_MAX_BYTES];
    size_t n;
};

/* How long the way out of one sound into another is, at `rate` samples a second: 5 ms. */
static inline unsigned mouth_fade(uint32_t rate_hz)
{
    return rate_hz / 200;
}
/* Sample i of n on the way from `from` to v. */
static inline int16_t mouth_faded(int v, int from, unsigned i, unsigned n)
{
    return (int16_t)(from + (v - from) * (int)(i + 1) / (int)(n + 1));
}

/* Speaks in this format from now on, ptime_ms (0: 20) a packet or what the codec can do below it.
 * What waits for a whole packet stays, and so does what the encoder knows, if it can serve.
 * 0, -ENOTSUP (then it is mute) or -ENOMEM. */
MUST_CHECK int mouth_set(struct mouth *m, const struct media_format *f, unsigned ptime_ms);
void mouth_done(struct mouth *m);
/* The sound that is put from now on has not to do with what was heard before it, of which `from`
 * was the last sample (0 if that is long ago): it goes over into it, lest it clicks. other:
 * somebody else has spoken meanwhile. */
void mouth_begin(struct mouth *m, int16_t from, bool other);
/* Takes from *pcm what fits, moves it on, and fills *ret if a packet is whole. Call it until it
 * returns false: then all was taken. */
bool mouth_put(struct mouth *m, struct egress *e, usec_t now, uint32_t rate_hz, const int16_t **pcm,
               unsigned *n, struct mouth_packet *ret);
/* The sound ends here: what waits for the rest of a packet goes out, fading into silence. To be
 * called until it returns false. */
bool mouth_flush(struct mouth *m, struct egress *e, usec_t now, struct mouth_packet *ret);
/* What waits is not said at all. */
void mouth_forget(struct mouth *m);

#endif
