/* What one tick (20 ms) of a conference room costs, without codecs: all members talk at once, or
 * one of them does. CPU time, the median of five rounds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "engine/media/mix.h"

#define ROUNDS 5
#define TICKS  2000
#define FRAMES 16 /* of each member, played in turns */
#define MOST   40

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_mix: %s\n", what);
        exit(1);
    }
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Members at different levels and pitches, each a few partials with noise. */
static void make_sound(int16_t *pcm, uint32_t rate)
{
    unsigned n = rate / 50 * FRAMES;
    uint32_t noise = 1;
    for (unsigned i = 0; i < MOST; i++)
        for (unsigned k = 0; k < n; k++) {
            double w = 2 * M_PI * (100 + 25.0 * i) * k / rate;
            noise = noise * 1664525u + 1013904223u;
            double v = sin(w) + 0.5 * sin(2 * w) + 0.3 * sin(3 * w) + (noise >> 16) / 65536.0;
            *pcm++ = (int16_t)(v * (800 + 100 * i));
        }
}

static double round_us(struct mix *m, unsigned n, const int16_t *pcm, unsigned members,
                       unsigned talk)
{
    unsigned heard = 0;
    double start = cpu_us();
    for (unsigned t = 0; t < TICKS; t++) {
        for (unsigned i = 0; i < talk; i++)
            mix_in(m, i, pcm + ((size_t)i * FRAMES + t % FRAMES) * n);
        mix_run(m);
        for (unsigned i = 0; i < members; i++) {
            bool shared;
            heard += mix_out(m, i, &shared)[t % n] != 0;
        }
    }
    double us = (cpu_us() - start) / TICKS;
    check(heard > TICKS, "nobody was heard");
    return us;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void figure(uint32_t rate, unsigned members, unsigned talk)
{
    double us[ROUNDS];
    int16_t *pcm = mem_alloc(MOST * FRAMES * (size_t)(rate / 50) * sizeof(*pcm));
    struct mix *m = mix_new(rate, NULL);
    check(pcm && m, "out of memory");
    make_sound(pcm, rate);
    for (unsigned i = 0; i < members; i++)
        mix_join(m, i);
    uint64_t requests = mem_requests();
    for (unsigned r = 0; r < ROUNDS; r++)
        us[r] = round_us(m, rate / 50, pcm, members, talk);
    check(mem_requests() == requests, "a tick asked for memory");
    qsort(us, ROUNDS, sizeof(*us), by_value);
    printf("%u Hz, %2u members, %2u talk: %7.2f us a tick\n", rate, members, talk, us[ROUNDS / 2]);
    mix_free(m);
    mem_free(pcm);
}

int main(void)
{
    static const uint32_t rates[] = {8000, 16000, 48000};
    static const unsigned rooms[] = {3, 10, MOST};
    for (unsigned r = 0; r < ARRAY_LEN(rates); r++)
        for (unsigned i = 0; i < ARRAY_LEN(rooms); i++) {
            figure(rates[r], rooms[i], rooms[i]);
            figure(rates[r], rooms[i], 1);
        }
    return 0;
}
