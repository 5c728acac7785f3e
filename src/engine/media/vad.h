/* Whether a party speaks: by how loud it is above its background, which is learnt, and by how often
 * the signal crosses zero, since speech begins with what is voiced and noise does not. Pure
 * arithmetic over frames of 20 ms; nothing is allocated. */
#ifndef ENGINE_MEDIA_VAD_H
#define ENGINE_MEDIA_VAD_H

#include <stdbool.h>
#include <stdint.h>

struct vad {
    float floor_db;          /* of the background, dBov (RFC 6464): 0 is the loudest square wave */
    float low_db, before_db; /* least level of this window, and of the one before */
    float last_db;
    unsigned window;
    uint16_t onset, hang; /* ms */
    uint16_t voiced_ms;   /* in this run */
    uint16_t run_ms;      /* since the first voiced frame of this run */
    uint16_t quiet_ms;    /* since the last one */
    uint16_t steady;      /* frames that do not differ: a tone */
    uint16_t last_zc;
    bool started, talks;
};

enum vad_change { VAD_SAME, VAD_BEGINS, VAD_ENDS };

/* onset_ms of voice, seen in frames of 20 ms, are speech (60 is good); hang_ms without it end it
 * (300 to 500 bridge the pauses within a sentence). */
void vad_init(struct vad *v, uint16_t onset_ms, uint16_t hang_ms);
/* The next 20 ms, n > 0 samples at any rate. strict: something is being played to the party, which
 * may hear itself: speech must be louder. After VAD_BEGINS run_ms tells how long ago the first
 * voiced sample was, after VAD_ENDS quiet_ms how long ago the last. */
enum vad_change vad_step(struct vad *v, const int16_t *pcm, unsigned n, uint32_t rate_hz,
                         bool strict);

#endif
