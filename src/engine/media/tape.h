/* Decoded samples on their way to the listener, with a little of what was heard before them. It can
 * be made longer or shorter by a pitch period where the signal is like itself, go on by itself when
 * nothing comes (the last pitch period, repeated and faded, as in appendix I of ITU-T G.711), and
 * join what comes then without a click. No allocation; all counts are samples. */
#ifndef ENGINE_MEDIA_TAPE_H
#define ENGINE_MEDIA_TAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/media/codec.h"

#define TAPE_MAX_RATE    48000
#define TAPE_HISTORY     (TAPE_MAX_RATE * 45 / 1000)
#define TAPE_MAX_LAG     (TAPE_MAX_RATE * 15 / 1000)
#define TAPE_LONGEST     (TAPE_MAX_RATE * 60 / 1000) /* at most so many wait to be taken */
#define TAPE_CAPACITY    (TAPE_HISTORY + TAPE_LONGEST + CODEC_MAX_SAMPLES + 2000)
#define TAPE_CONCEALS_MS 60

struct tape {
    uint32_t rate;
    unsigned r, w; /* what waits is in s[r..w) */
    /* What is made up since the last real sample. */
    unsigned made;
    unsigned lag, pos, ramp; /* the cycle that is repeated (0: none yet), where in it, its rise */
    int seam;                /* fades in the rise, so that a cycle follows its own end */
    unsigned fade_at, fade_until; /* full before, silent after */
    uint32_t noise; /* amplitude of the comfort noise behind it, in 256ths; 0: quiet */
    uint32_t noise_state;
    int16_t cycle[TAPE_MAX_LAG];
    int16_t s[TAPE_CAPACITY];
};

/* rate: 8000 to TAPE_MAX_RATE, a multiple of 8000. The last sample of before fades away. */
void tape_start(struct tape *t, uint32_t rate);
static inline unsigned tape_waiting(const struct tape *t)
{
    return t->w - t->r;
}
/* Nothing has been made up since the last real sample. */
static inline bool tape_real(const struct tape *t)
{
    return t->lag == 0;
}
/* Room for CODEC_MAX_SAMPLES behind what waits; valid until the next call. */
int16_t *tape_room(struct tape *t);
/* n real samples are in the room. */
void tape_add(struct tape *t, unsigned n);
/* Before tape_add(): the n samples in the room do not follow what is before them. Blends. */
void tape_join(struct tape *t, unsigned n);
/* n samples are made up. */
void tape_extend(struct tape *t, unsigned n);
/* n samples in the room were made up by the codec: they are faded and added. */
void tape_extend_by(struct tape *t, unsigned n);
/* How many more to make up until a whole number of cycles is. */
unsigned tape_rest_of_cycle(const struct tape *t);
/* What is made up ends soon: nobody speaks, nothing is lost. */
void tape_hush(struct tape *t);
/* Nothing but silence or noise has been made up for a while. */
bool tape_silent(const struct tape *t);
/* Takes n, which wait. */
void tape_take(struct tape *t, int16_t *out, unsigned n);
/* Makes what waits shorter (or longer) by one pitch period of 5 to 15 ms and at most `most`.
 * Returns by how much; 0: not here. force: also where the signal is not like itself. Wants 25 ms
 * waiting. */
unsigned tape_cut(struct tape *t, unsigned most, bool force);
unsigned tape_repeat(struct tape *t, bool force);

#endif
