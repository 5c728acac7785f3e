/* Tones, and whether they are heard. */
#ifndef TESTS_SOUND_H
#define TESTS_SOUND_H

#include <math.h>
#include <stdint.h>

/* n samples of a sine from sample `at` on. */
static inline void sine(int16_t *out, unsigned n, uint64_t at, double hz, uint32_t rate, double amp)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = (int16_t)lrint(amp * sin(2 * M_PI * hz * (double)(at + i) / rate));
}

/* The amplitude of one frequency (Goertzel's way, written plainly). */
static inline double level(const int16_t *in, unsigned n, double hz, uint32_t rate)
{
    double re = 0, im = 0;
    for (unsigned i = 0; i < n; i++) {
        double w = 2 * M_PI * hz * i / rate;
        re += in[i] * cos(w);
        im += in[i] * sin(w);
    }
    return n ? 2 * sqrt(re * re + im * im) / n : 0;
}

#endif
