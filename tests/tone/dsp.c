#include "tone/dsp.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Below this mean power nothing is there to be rough. */
#define SILENCE 1e-5
#define ROUGH   0.1

/* ---- levels ---------------------------------------------------------------------------------- */

struct work {
    double *hann, *part; /* n each */
    size_t n, windows;
    double *level; /* [tone][window] */
    double *noise; /* [window] */
};

static void work_done(struct work *w)
{
    mem_free(w->hann);
    mem_free(w->part);
    mem_free(w->level);
    mem_free(w->noise);
}

static int work_init(struct work *w, const struct dsp_sound *s, unsigned tones)
{
    size_t n = s->rate_hz * DSP_WINDOW_MS / 1000, hop = s->rate_hz * DSP_HOP_MS / 1000;
    *w = (struct work){.n = n, .windows = s->n < n ? 0 : (s->n - n) / hop + 1};
    w->hann = mem_alloc(n * sizeof(double) + 1);
    w->part = mem_alloc(n * sizeof(double) + 1);
    w->level = mem_zero((w->windows * tones + 1) * sizeof(double));
    w->noise = mem_zero((w->windows + 1) * sizeof(double));
    if (!w->hann || !w->part || !w->level || !w->noise) {
        work_done(w);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        w->hann[i] = 0.5 - 0.5 * cos(2 * M_PI * ((double)i + 0.5) / (double)n);
    return 0;
}

/* Goertzel's sum over the windowed part; the window halves the amplitude. */
static double level_of(const struct work *w, double hz, uint32_t rate_hz)
{
    double k = 2 * cos(2 * M_PI * hz / rate_hz), a = 0, b = 0;
    for (size_t i = 0; i < w->n; i++) {
        double c = w->part[i] + k * a - b;
        b = a;
        a = c;
    }
    double power = a * a + b * b - k * a * b;
    return 4 * sqrt(power > 0 ? power : 0) / (double)w->n;
}

static void look(struct work *w, size_t window, const struct dsp_report *r,
                 const struct dsp_sound *s)
{
    const int16_t *pcm = s->pcm + window * (s->rate_hz * DSP_HOP_MS / 1000);
    double power = 0, known = 0;
    for (size_t i = 0; i < w->n; i++) {
        w->part[i] = w->hann[i] * pcm[i] / 32768.0;
        power += w->part[i] * w->part[i];
    }
    power /= 0.375 * (double)w->n; /* the mean square of the window */
    for (unsigned t = 0; t < r->n_tones; t++) {
        double level = level_of(w, r->tone[t].hz, s->rate_hz);
        w->level[t * w->windows + window] = level;
        known += level * level / 2;
    }
    w->noise[window] = power < SILENCE || known > power ? 0 : (power - known) / power;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The longest run above `least`, in ms from the first window's middle to the last one's. */
static unsigned run_of(const double *v, size_t n, double least)
{
    unsigned best = 0, now = 0;
    for (size_t i = 0; i < n; i++) {
        now = v[i] > least ? now + 1 : 0;
        best = now > best ? now : best;
    }
    return best * DSP_HOP_MS;
}

/* Sorts v. */
static double median_of(double *v, size_t n)
{
    if (!n)
        return 0;
    qsort(v, n, sizeof(v[0]), by_size);
    return v[n / 2];
}

static void sum_up(struct dsp_report *r, struct work *w)
{
    r->windows = (unsigned)w->windows;
    for (unsigned t = 0; t < r->n_tones; t++) {
        double *v = w->level + t * w->windows;
        r->tone[t].run_ms = run_of(v, w->windows, DSP_HEARD);
        r->tone[t].median = median_of(v, w->windows);
        r->tone[t].max = w->windows ? v[w->windows - 1] : 0;
    }
    r->rough_ms = run_of(w->noise, w->windows, ROUGH);
    r->noise = median_of(w->noise, w->windows);
}

int dsp_report(struct dsp_report *r, const struct dsp_sound *s)
{
    struct work w;
    if (work_init(&w, s, r->n_tones))
        return -ENOMEM;
    for (size_t i = 0; i < w.windows; i++)
        look(&w, i, r, s);
    sum_up(r, &w);
    double power = 0;
    int step = 0;
    for (size_t i = 0; i < s->n; i++) {
        int d = i ? abs(s->pcm[i] - s->pcm[i - 1]) : 0;
        step = d > step ? d : step;
        power += (double)s->pcm[i] * s->pcm[i];
    }
    r->rms = s->n ? sqrt(power / (double)s->n) / 32768 : 0;
    r->step = step / 32768.0;
    work_done(&w);
    return 0;
}

/* ---- onsets ---------------------------------------------------------------------------------- */

/* How well a burst that ends at each sample fits: the level of the frequency in the last n samples.
 * A burst makes a triangle of it whose peak is the burst's last sample. */
static void fit(float *out, const struct dsp_sound *s, double hz, size_t n)
{
    double w = 2 * M_PI * hz / s->rate_hz, re = 0, im = 0;
    for (size_t i = 0; i < s->n; i++) {
        double x = s->pcm[i] / 32768.0;
        re += x * cos(w * (double)i);
        im += x * sin(w * (double)i);
        if (i >= n) {
            x = s->pcm[i - n] / 32768.0;
            re -= x * cos(w * (double)(i - n));
            im -= x * sin(w * (double)(i - n));
        }
        out[i] = (float)(2 * sqrt(re * re + im * im) / (double)n);
    }
}

size_t dsp_onsets(size_t *out, size_t cap, const struct dsp_sound *s, double hz, unsigned burst_ms)
{
    size_t n = s->rate_hz * burst_ms / 1000, found = 0;
    float *v = mem_alloc((s->n + 1) * sizeof(*v)), most = 0;
    if (!v)
        return 0;
    fit(v, s, hz, n);
    for (size_t i = n; i < s->n; i++)
        most = v[i] > most ? v[i] : most;
    /* Half of the best, and clearly above what is left of other frequencies. */
    float least = most / 2 > 0.04F ? most / 2 : 0.04F;
    /* A codec may leave dents in the triangle, so it ends where nothing was left for a while. */
    for (size_t i = n; i < s->n && found < cap; i++) {
        if (v[i] < least)
            continue;
        size_t first = i, peak = i, last = i;
        for (; i < s->n && i - last < n / 2; i++) {
            last = v[i] >= least ? i : last;
            peak = v[i] > v[peak] ? i : peak;
        }
        if (first > n && i < s->n) /* else a part of it lies outside */
            out[found++] = peak + 1 - n;
    }
    mem_free(v);
    return found;
}

/* ---- files ----------------------------------------------------------------------------------- */

static uint32_t le(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    while (n--)
        v = v << 8 | p[n];
    return v;
}

static void put(uint8_t *p, uint32_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

int dsp_wav_write(const char *path, const struct dsp_sound *s)
{
    uint8_t h[44] = "RIFF....WAVEfmt ";
    uint32_t bytes = (uint32_t)(s->n * 2);
    put(h + 4, 36 + bytes, 4);
    put(h + 16, 16, 4);
    put(h + 20, 1, 2); /* PCM */
    put(h + 22, 1, 2);
    put(h + 24, s->rate_hz, 4);
    put(h + 28, s->rate_hz * 2, 4);
    put(h + 32, 2, 2);
    put(h + 34, 16, 2);
    for (unsigned i = 0; i < 4; i++)
        h[36 + i] = (uint8_t) "data"[i];
    put(h + 40, bytes, 4);
    FILE *f = fopen(path, "wb");
    if (!f)
        return -EIO;
    bool ok = fwrite(h, 1, sizeof(h), f) == sizeof(h) && fwrite(s->pcm, 2, s->n, f) == s->n;
    return fclose(f) == 0 && ok ? 0 : -EIO;
}

static int slurp(const char *path, uint8_t **ret, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -EIO;
    long size = fseek(f, 0, SEEK_END) ? -1 : ftell(f);
    uint8_t *p = size < 0 || fseek(f, 0, SEEK_SET) ? NULL : mem_alloc((size_t)size + 1);
    *n = p ? fread(p, 1, (size_t)size, f) : 0;
    *ret = p;
    (void)fclose(f);
    return p ? 0 : -EIO;
}

/* A file that is still written has lengths in its header that do not hold: the rest is sound. */
int dsp_wav_read(const char *path, unsigned channel, struct dsp_sound *ret, unsigned *channels)
{
    uint8_t *p;
    size_t n, at = 12;
    if (slurp(path, &p, &n))
        return -EIO;
    *ret = (struct dsp_sound){0};
    *channels = 0;
    while (at + 8 <= n && memcmp(p + at, "data", 4) != 0) {
        if (memcmp(p + at, "fmt ", 4) == 0 && at + 24 <= n && le(p + at + 22, 2) == 16) {
            *channels = le(p + at + 10, 2);
            ret->rate_hz = le(p + at + 12, 4);
        }
        at += 8 + le(p + at + 4, 4) + le(p + at + 4, 4) % 2;
    }
    at += 8;
    int16_t *pcm = NULL;
    if (at <= n && channel < *channels && ret->rate_hz >= 1000) {
        ret->n = (n - at) / (2 * (size_t)*channels);
        pcm = mem_alloc(ret->n * 2 + 1);
    }
    for (size_t i = 0; pcm && i < ret->n; i++)
        pcm[i] = (int16_t)le(p + at + 2 * (i * *channels + channel), 2);
    mem_free(p);
    ret->pcm = pcm;
    return pcm ? 0 : -EBADMSG;
}
