/* The sound of a call, from its packets: one track for each participant and the mix of all, on one
 * clock. The first reading of a capture finds the calls; for the sound of one of them its packets
 * are read a second time:
 *
 *     an_audio_plan(engine, call, &plan);
 *     an_audio_new(&audio, engine, &plan, 0);
 *     for (each datum of the capture)
 *         while (!an_audio_rx(audio, &d))
 *             take();
 *     an_audio_end(audio);
 *     take() until an_audio_done();
 *
 * where take() calls an_audio_take() until it returns 0. Each packet sounds where its timestamp
 * places it, on the clock of who captured it; what is lost is concealed, as a telephone with a
 * buffer of AN_AUDIO_DEPTH_MS would. Pauses, holds and the time before somebody speaks are silence,
 * so that all tracks have the same length. */
#ifndef ANALYSIS_AUDIO_H
#define ANALYSIS_AUDIO_H

#include "analysis/engine.h"

#define AN_AUDIO_MAX_TRACKS  40
#define AN_AUDIO_MAX_SOURCES 256
#define AN_AUDIO_MAX_COVERS  16
#define AN_AUDIO_DEPTH_MS    200
#define AN_AUDIO_NAME        64
#define AN_AUDIO_MAX_DIGITS  64

struct an_track {
    char name[AN_AUDIO_NAME]; /* a number, or what there is instead of one */
    uint32_t leg;             /* the first leg in which it is heard */
    uint8_t side;             /* enum an_side */
};

/* A stream that is heard in a track. Of several of a track at a time, that with the lowest rank. */
struct an_source {
    uint32_t stream; /* index */
    uint32_t number; /* of the stream: its index may be another one's later */
    uint32_t leg;
    uint8_t side;
    uint8_t track;
    uint8_t rank;
};

/* A track whose voice is in another one, too, in that time: a telephone mixes. The mix of all
 * tracks leaves it out. */
struct an_cover {
    uint8_t track;
    uint64_t from_ns, to_ns;
};

struct an_plan {
    uint64_t from_ns, to_ns; /* the first and the last packet; equal: no sound */
    uint32_t rate_hz;        /* the highest of what is heard: 8000, 16000 or 48000 */
    uint32_t n_tracks, n_sources, n_covers;
    struct an_track track[AN_AUDIO_MAX_TRACKS];
    struct an_source source[AN_AUDIO_MAX_SOURCES];
    struct an_cover cover[AN_AUDIO_MAX_COVERS];
    uint32_t left_out; /* streams that are beyond these limits */
};

/* Who is heard in a call. What an exchange sends is left out where it is somebody's voice passed
 * on; the participants are who is at the other ends. The engine has settled. */
void an_audio_plan(const struct an_engine *e, uint32_t call, struct an_plan *ret);
/* One stream, or more by calling it again; for those that belong to no call. The plan is zeroed
 * before. False: beyond a limit. */
bool an_audio_plan_add(const struct an_engine *e, uint32_t stream, struct an_plan *plan);

/* What became of one track. */
struct an_track_stats {
    uint64_t packets;    /* heard */
    uint64_t locked;     /* SRTP without a key that fits */
    uint64_t unreadable; /* of codecs that are not known here, or broken */
    uint64_t late;       /* or repeated */
    uint64_t concealed_ms;
    uint64_t voice_ms;
    uint32_t n_digits; /* keys that were heard as tones */
    struct an_digit digit[AN_AUDIO_MAX_DIGITS];
};

struct an_audio;

/* rate_hz 0: that of the plan; else 8000, 16000 or 48000. What the plan and the engine hold must
 * stay. 0, -EINVAL or -ENOMEM. */
MUST_CHECK int an_audio_new(struct an_audio **ret, const struct an_engine *e,
                            const struct an_plan *plan, uint32_t rate_hz);
void an_audio_free(struct an_audio *a);
uint32_t an_audio_rate(const struct an_audio *a);
/* A datum of the capture, in their order. False: what there is must be taken first, then it is to
 * be given again. */
bool an_audio_rx(struct an_audio *a, const struct an_datum *d);
/* No more will come. */
void an_audio_end(struct an_audio *a);
/* The next samples, at most `most`, of every track and, behind them, of the mix; out[i] may be
 * NULL. Returns how many; 0: more has to come first, or it is over. */
unsigned an_audio_take(struct an_audio *a, unsigned most, int16_t *const *out);
/* ---- while the call goes on --------------------------------------------------------------------
 */

/* With to_ns AN_NEVER a plan has no end: it is that of the last packet when an_audio_end() is
 * called. Its sources, tracks and covers may become more, at the ends of their arrays; then this is
 * called, as also from time to time for what has become known of streams. 0 or -ENOMEM. */
MUST_CHECK int an_audio_grow(struct an_audio *a);
/* A source is not heard, or again. */
void an_audio_mute(struct an_audio *a, uint32_t source, bool off);
bool an_audio_is_mute(const struct an_audio *a, uint32_t source);
/* Time has passed without a packet: what came so far is final. Silence that goes on is taken when
 * it ends. False: as an_audio_rx(). */
bool an_audio_tick(struct an_audio *a, uint64_t now_ns);

/* audio_live.c: a plan that follows a call. */
struct an_live {
    struct an_plan plan;
    struct an_audio *audio;
};

/* Its first plan; it must have sources. The engine must stay. rate_hz: 8000 or 16000; 0: as the
 * plan says. 0 or negative errno. */
MUST_CHECK int an_live_new(struct an_live **ret, const struct an_engine *e,
                           const struct an_plan *plan, uint32_t rate_hz);
/* Accepts NULL. */
void an_live_free(struct an_live *l);
/* The plan as it is now: what is new begins, what is no longer in it falls silent. Tracks stay. 0
 * or -ENOMEM. */
MUST_CHECK int an_live_update(struct an_live *l, const struct an_plan *now);

/* ---------------------------------------------------------------------------------------------- */

/* Everything was taken. */
bool an_audio_done(const struct an_audio *a);
const struct an_track_stats *an_audio_stats(const struct an_audio *a, uint32_t track);

/* ---- a picture of a track -------------------------------------------------------------------- */

#define AN_PEAKS 1000 /* at most; a multiple of 2 */

/* Peaks of a sound of any length: when there is no more room, two become one. Zeroed, with `each`
 * samples a peak, at its beginning. */
struct an_peaks {
    uint32_t each;
    uint32_t n, in_last; /* samples of the last one */
    uint16_t peak[AN_PEAKS];
};
void an_peaks_add(struct an_peaks *p, const int16_t *samples, unsigned n);

#endif
