/* The sound of a conference room: from a frame of each member to what each one hears, which is
 * everybody else. It knows samples only; streams, packets and codecs are its caller's.
 *
 * Every 20 ms: mix_in() for each member that has sound, mix_run() once, mix_out() for each member
 * that listens. There is no delay: what goes in is heard in the same tick.
 *
 * With three or more members only those are heard who talk, and of them the loudest `talkers`.
 * Each is brought to the same level, at 6 dB a second up and 12 dB down, measured while it talks.
 * What is no louder than a member's own background is not heard. Changes are faded. All members
 * that are not heard at the moment hear the same sum, so it can be encoded once for them.
 *
 * With two members each hears what the other one sends, background included: the gain moves back
 * to 0 dB, and once it is there the samples are the same.
 *
 * The same frames give the same result. Nothing is allocated after mix_new(). */
#ifndef ENGINE_MEDIA_MIX_H
#define ENGINE_MEDIA_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

#define MIX_MAX_MEMBERS 200
#define MIX_MAX_TALKERS 16
#define MIX_MAX_FRAME   960 /* 20 ms at 48 kHz */

struct mix_conf {
    unsigned members; /* indexes are below it; 2 to MIX_MAX_MEMBERS */
    unsigned talkers; /* heard at a time; 4 to MIX_MAX_TALKERS */
    int target_dbov;  /* the level of speech that gain leads to (RFC 6464); -40 to -10 */
    int max_gain_db;  /* up and down; 0 (off) to 20 */
    unsigned hold_ms; /* how long a talker is heard after its last sound; 100 to 2000 */
};

/* 200 members, 8 talkers, -20 dBov, 12 dB, 400 ms. */
extern const struct mix_conf mix_conf_default;

enum mix_flag {
    MIX_MUTED = 1, /* is not heard and does not talk */
    MIX_DEAF = 2,  /* needs no output */
};

struct mix;

/* An empty room at 8000, 16000, 32000 or 48000 Hz; conf may be NULL (the default) and is copied.
 * NULL when memory is out or an argument is out of range. The caller frees it. */
struct mix *mix_new(uint32_t rate_hz, const struct mix_conf *conf);
void mix_free(struct mix *m);
/* Frames that follow have this rate; members, levels and gains stay. Call it before the first
 * mix_in() of a tick: frames given before are forgotten, and so are outputs. 0 or -EINVAL. */
MUST_CHECK int mix_rate(struct mix *m, uint32_t rate_hz);

/* A new member without flags; whoever had the index leaves. It is heard from its first sound of
 * speech on. Here and below, an index that the room does not have is a programming error. */
void mix_join(struct mix *m, unsigned i);
/* Its index is free at once; what was heard of it is faded out. */
void mix_leave(struct mix *m, unsigned i);
/* Flags of enum mix_flag, in place of those before. */
void mix_set(struct mix *m, unsigned i, unsigned flags);

/* What the member says in this tick: 20 ms of samples, which are read by mix_run() and must
 * live until then. NULL, or no call: it is silent. Of a member that is not present: ignored. */
void mix_in(struct mix *m, unsigned i, const int16_t *frame);
void mix_run(struct mix *m);
/* What the member hears: 20 ms of samples that live until the next mix_run() or mix_rate().
 * NULL when it is deaf, not present, or has joined since. *shared: the same pointer as mix_total(),
 * for every member that is not heard itself at the moment. */
const int16_t *mix_out(const struct mix *m, unsigned i, bool *shared);
/* The sum of all who are heard, as for a recording; NULL before mix_run(). Lives as mix_out(). */
const int16_t *mix_total(const struct mix *m);

/* The member talks: from 60 ms of speech on, until 500 ms without. A muted one does not. */
bool mix_talks(const struct mix *m, unsigned i);

#endif
