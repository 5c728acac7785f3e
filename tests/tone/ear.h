/* What one phone hears: the packets as they come, decoded, with the time of each. */
#ifndef TONE_EAR_H
#define TONE_EAR_H

#include "base/timer.h"
#include "engine/media/codec.h"
#include "tone/dsp.h"
#include "wire/rtp/rtp.h"

#define EAR_MAX_DIGITS 64
/* Two minutes at 48 kHz; what is heard later is not kept. */
#define EAR_MAX_SAMPLES (120 * 48000)

/* The sound of one packet. */
struct ear_piece {
    usec_t at; /* when it arrived */
    size_t first, n;
};

/* Of the timestamps: jumps leave time out, an overlap begins within the packet before, and back is
 * before its beginning. */
struct ear_stats {
    unsigned packets, lost, late, ssrcs, ts_jumps, overlaps, ts_back, markers, unknown, broken;
    usec_t longest_gap; /* between arrivals */
    unsigned sources;   /* changes of the address it comes from, the first one counted */
};

struct ear {
    struct media_format f;
    uint8_t event_pt; /* 0: none */
    const struct codec *codec;
    void *dec;
    uint32_t rate_hz;
    int16_t *pcm;
    size_t n, room;
    struct ear_piece *piece;
    size_t n_pieces, piece_room;
    struct ear_stats stats;
    uint32_t ssrc, ts, ticks; /* of the newest packet */
    uint16_t seq;
    usec_t at;
    bool started, timed; /* timed: ticks is known */
    uint32_t event_ts;   /* of the last digit */
    unsigned n_digits;
    char digit[EAR_MAX_DIGITS + 1];
};

/* Decodes this from now on; what was heard at another rate is forgotten. -ENOTSUP or -ENOMEM. */
MUST_CHECK int ear_set(struct ear *e, const struct media_format *f);
void ear_done(struct ear *e);
void ear_rx(struct ear *e, usec_t at, const uint8_t *p, size_t n);
/* What came in this time, and the place of its first sample. */
struct dsp_sound ear_between(const struct ear *e, usec_t from, usec_t to, size_t *first);
/* How many packets of sound came in this time. */
size_t ear_count(const struct ear *e, usec_t from, usec_t to);
/* When a sample was in the ear: when its packet came, and its place in it. */
usec_t ear_time_of(const struct ear *e, size_t sample);

#endif
