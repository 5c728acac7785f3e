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
    struct resample rs;
    int16_t fifo[MOUTH_MAX_FRAME];
};

/* One packet that is ready to go; bytes live until the next call. */
struct mouth_packet {
    uint8_t bytes[12 + CODEC_MAX_BYTES];
    size_t n;
};

/* Speaks in this format from now on, ptime_ms (0: 20) a packet or what the codec can do below it.
 * 0, -ENOTSUP (then it is mute) or -ENOMEM. */
MUST_CHECK int mouth_set(struct mouth *m, const struct media_format *f, unsigned ptime_ms);
void mouth_done(struct mouth *m);
/* Takes from *pcm what fits, moves it on, and fills *ret if a packet is whole. Call it until it
 * returns false: then all was taken. */
bool mouth_put(struct mouth *m, struct egress *e, usec_t now, uint32_t rate_hz, const int16_t **pcm,
               unsigned *n, struct mouth_packet *ret);
/* The sound ends here: what waits for the rest of a packet goes out with silence behind it. */
bool mouth_flush(struct mouth *m, struct egress *e, usec_t now, struct mouth_packet *ret);
/* What waits is not said at all. */
void mouth_forget(struct mouth *m);

#endif
