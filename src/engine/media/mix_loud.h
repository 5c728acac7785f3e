/* How loud one member of a room is, against its own background: whether it talks, how much louder
 * it should be, and whether it is worth hearing. Levels are dBov (RFC 6464): 0 is the loudest
 * square wave, a full-scale sine is -3. One step is 20 ms. */
#ifndef ENGINE_MEDIA_MIX_LOUD_H
#define ENGINE_MEDIA_MIX_LOUD_H

#include <stdbool.h>

#define MIX_LOUD_NONE (-127.0f) /* no sound at all */

struct mix_loud_conf {
    float target, max_gain; /* dBov; dB up and down */
    unsigned hold;          /* steps that the gate stays open after the last sound of speech */
};

struct mix_loud {
    float level, smooth;     /* of this step; over some */
    float floor;             /* what it sounds like when it says nothing */
    float low_now, low_last; /* least `smooth` in this window and in the one before */
    float speech;            /* its usual level when it talks */
    float gain_db, gain;     /* what brings that to the target; as a factor */
    float rank;              /* for comparison with others: level and gain, falling slowly */
    unsigned window, run, quiet, open;
    bool started, spoke; /* there was sound; there was speech */
    bool voice, talks;   /* this step; with its begin and end debounced */
};

void mix_loud_init(struct mix_loud *l);
/* The level of one step. A `muted` one has no voice; in a `plain` step the gain goes back to 0
 * dB. */
void mix_loud_step(struct mix_loud *l, const struct mix_loud_conf *conf, float level, bool muted,
                   bool plain);
/* The gate is open. */
bool mix_loud_open(const struct mix_loud *l);

#endif
