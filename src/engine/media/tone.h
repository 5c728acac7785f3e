/* Tones: call progress by country (ITU-T E.180, tone.def) and DTMF (ITU-T Q.23). Linear samples of
 * 16 bits in which a sine of full scale is +3.17 dBm0, as in G.711. Integers throughout. */
#ifndef ENGINE_MEDIA_TONE_H
#define ENGINE_MEDIA_TONE_H

#include <stdbool.h>

#include "base/assert.h"
#include "base/str.h"

enum tone_kind {
    TONE_DIAL,
    TONE_RINGBACK,
    TONE_BUSY,
    TONE_CONGESTION, /* reorder */
    TONE_WAITING,    /* another call is waiting */
    TONE_INFO,       /* special information */
    TONE_KINDS
};

#define TONE_STEPS 4 /* of a cadence */
#define TONE_PARTS 3 /* frequencies at a time */

/* So long is the way up and down at the edges of a sound, lest it clicks. */
#define TONE_RAMP_MS 2

struct tone_step {
    uint16_t hz[TONE_PARTS]; /* 0: none */
    int8_t dbm0[TONE_PARTS]; /* 3 to -40 */
    uint16_t on_ms, off_ms;  /* on 0: without end */
};

/* A generator; zeroed, it is silent and done. */
struct tone {
    struct tone_step step[TONE_STEPS];
    uint8_t steps, at;
    bool once; /* ends behind the last step */
    bool done;
    uint32_t rate_hz;
    uint32_t pos, on, len; /* in samples of the present step */
    uint32_t ramp;
    uint32_t phase[TONE_PARTS], move[TONE_PARTS];
    int32_t peak[TONE_PARTS];
};

/* country: ISO 3166, without case. rate: 8000 to 48000. -ENOENT: the country is not known; -EINVAL:
 * the rate. */
MUST_CHECK int tone_start(struct tone *t, uint32_t rate_hz, struct str country,
                          enum tone_kind kind);
/* One digit of 0-9 * # A-D, once, with the silence behind it; on_ms of 1 to 60000. The higher
 * frequency is 2 dB louder. -EINVAL. */
MUST_CHECK int tone_digit(struct tone *t, uint32_t rate_hz, char digit, uint32_t on_ms,
                          uint32_t off_ms);
/* The next n samples. Behind the end of a tone that ends they are zeros; returns how many belong to
 * the tone. */
size_t tone_make(struct tone *t, int16_t *out, size_t n);

/* Music on hold of our own making: a loop that begins where it ends. rate as above. */
#define MOH_S 24
static inline size_t moh_samples(uint32_t rate_hz)
{
    return (size_t)MOH_S * rate_hz;
}
/* out: moh_samples() of them. */
void moh_make(int16_t *out, uint32_t rate_hz);

#endif
