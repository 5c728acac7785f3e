/* What is in a piece of sound: how loud a frequency is, when it begins, what is neither. And WAV
 * files. Levels are amplitudes as a share of full scale: 1.0 is a sine of 32768. */
#ifndef TONE_DSP_H
#define TONE_DSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define DSP_MAX_TONES 64
/* Of a window, and from one to the next. Frequencies that are multiples of 50 Hz do not leak into
 * each other. */
#define DSP_WINDOW_MS 40
#define DSP_HOP_MS    20

struct dsp_sound {
    int16_t *pcm;
    size_t n;
    uint32_t rate_hz;
};

/* Of one frequency in a stretch of sound. */
struct dsp_tone {
    double hz;
    double median, max; /* over the windows */
    unsigned run_ms;    /* the longest time without a break above DSP_HEARD */
};
/* What counts as heard: 36 dB below a tone of DSP_LOUD. */
#define DSP_HEARD 0.004
#define DSP_LOUD  0.25

struct dsp_report {
    unsigned windows;
    struct dsp_tone tone[DSP_MAX_TONES];
    unsigned n_tones;
    double rms;        /* of all */
    double noise;      /* median share of the power that is in none of the frequencies */
    unsigned rough_ms; /* the longest time in which that share is above a tenth */
    double step;       /* the longest step from one sample to the next */
};

/* Fills *ret, whose tone[].hz and n_tones are given. -ENOMEM. A sound shorter than a window has no
 * windows, and levels of 0. */
MUST_CHECK int dsp_report(struct dsp_report *ret, const struct dsp_sound *s);
/* The places, in samples, where bursts of this frequency and length begin; at most cap. */
size_t dsp_onsets(size_t *out, size_t cap, const struct dsp_sound *s, double hz, unsigned burst_ms);

/* One channel of a 16-bit PCM file; the samples are the caller's to mem_free(). -EIO, -EBADMSG or
 * -ENOMEM. *channels is how many there are. */
MUST_CHECK int dsp_wav_read(const char *path, unsigned channel, struct dsp_sound *ret,
                            unsigned *channels);
MUST_CHECK int dsp_wav_write(const char *path, const struct dsp_sound *s);

#endif
