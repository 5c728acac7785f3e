/* What the files of `ringdown watch --record` share. */
#ifndef APP_WATCH_SOUND_H
#define APP_WATCH_SOUND_H

#include "analysis/audio.h"
#include "app/watch.h"
#include "io/recorder.h"

#define META_BYTES 32768
#define TALKS      512 /* stretches of speech that are listed */

/* Somebody has spoken from then to then, in milliseconds. */
struct talk {
    uint32_t from_ms, to_ms; /* equal: nobody */
    uint8_t track;
};

struct watch_sound {
    struct hash_node node; /* by its call */
    handle_t self;
    uint64_t number; /* of the recording */
    uint32_t call, seen;
    uint64_t signature;   /* of the call when its plan was made */
    uint32_t planned;     /* the tick in which it was */
    struct an_live *live; /* NULL: it has ended, or was stopped */
    uint64_t at;          /* samples that were handed over */
    bool over;            /* recorder_end() was called */
    bool stopped;         /* the recorder takes no more of it */
    uint32_t n_talk;
    struct talk talks[AN_AUDIO_MAX_TRACKS]; /* what each is at */
    struct talk talk[TALKS];
    char folder[12], base[RECORD_BASE_MAX + 1];
};

struct watch_sounds {
    struct recorder *recorder;
    struct slot_table sounds;
    struct hash_table by_call;
    uint32_t *of_stream; /* [STREAMS]: 1 + the index of the sound that it is heard in */
    uint8_t *ring;
    uint64_t head, tail; /* bytes taken from it and put into it, over all time */
    uint64_t number, put;
    uint64_t lost;   /* packets */
    uint32_t ending; /* recordings that the recorder has not finished yet */
    bool full, many;
    struct an_plan plan;
    char meta[META_BYTES];
    int16_t sample[(AN_AUDIO_MAX_TRACKS + 1) * RECORD_SAMPLES_MAX];
};

/* watch_sound_file.c: what is final goes to the recorder. */
void watch_sound_pump(struct watch *w, struct watch_sound *x);
/* No more will come of it. */
void watch_sound_quiet(struct watch_sound *x);
/* The name of a recording that is not there yet; its plan is at hand. */
void watch_sound_name(struct watch *w, struct watch_sound *x, const struct an_call *call);
/* Its sidecar as of now; call NULL: it is no call of its own any more. */
void watch_sound_meta(struct watch *w, struct watch_sound *x, const struct an_call *call);

#endif
