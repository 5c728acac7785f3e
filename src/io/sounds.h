/* The sounds that the exchange plays, by name and language: the user's file if there is one, else
 * the name's text, spoken once and kept. Files are read and texts are spoken by a thread of its
 * own; what comes of it is told on the loop's thread. Nothing is kept in memory: who plays a sound
 * often keeps it. */
#ifndef IO_SOUNDS_H
#define IO_SOUNDS_H

#include "io/loop.h"
#include "io/sndread.h"
#include "io/speech.h"

#define SOUNDS_NAME_MAX 96

/* A text may be NULL. Both at most SPEECH_TEXT_MAX bytes. */
struct sound_text {
    const char *name, *en, *ko;
};

struct sound_result {
    uint64_t token;
    struct sound *sound; /* the receiver's, to be given back with mem_free(); NULL on failure */
    int err;             /* 0; -ENOENT: neither a file nor a text; or of sndread.h, speech.h */
};

struct sounds_config {
    const char *dir;   /* the user's: DIR/LANG/NAME.wav, .flac, .ogg or .opus; NULL: none */
    const char *cache; /* what was spoken: CACHE/LANG/NAME.wav; made if missing. NULL: nothing is
                        * spoken */
    const struct sound_text *text; /* lives as long as the store */
    unsigned text_n;
    const char *said; /* names that sounds_say() is given begin so; NULL: it is given none */
    struct sndread_limits limits; /* 0: 600 s, 64 MiB */
    const char *program;          /* of speech.h */
    uint32_t speech_timeout_ms;   /* of speech.h */
    uint32_t speech_pause_ms;     /* 0: 60000; so long after a failure nothing is spoken */
    uint32_t max_queue;           /* 0: 256 requests that wait */
    void (*done)(void *ctx, const struct sound_result *res);
    /* Something the user should know, as a sentence: that there is no speech, once until there is
     * some again; that a file of the user's cannot be used, whereupon its text is spoken. May be
     * NULL. */
    void (*trouble)(void *ctx, const char *text);
    void *ctx;
};

struct sounds;

/* 0, -ENOMEM or an error of the system. */
MUST_CHECK int sounds_open(struct sounds **ret, struct loop *loop, const struct sounds_config *cfg);
/* Forgets what is under way; a program that speaks is killed. Not from inside a callback. Accepts
 * NULL. */
void sounds_close(struct sounds *s);

/* `done` brings the sound with the token in a later turn, in the order of the requests. `name` is
 * of letters, digits, '-' and '_', at most SOUNDS_NAME_MAX: -EINVAL else. -EBUSY: max_queue;
 * -ENOMEM. */
MUST_CHECK int sounds_get(struct sounds *s, struct str name, enum speech_lang lang, uint64_t token);

/* The same for a text that is given here, in place of one of the list; a file of the user's with
 * that name goes before it, too. -EINVAL: it is empty, or longer than SPEECH_TEXT_MAX. */
MUST_CHECK int sounds_say(struct sounds *s, struct str name, enum speech_lang lang, struct str text,
                          uint64_t token);

/* The same for a file by its path without an extension: .wav, .flac, .ogg or .opus is tried. Only
 * `dir` and `cache` are not looked at. -ENAMETOOLONG. */
MUST_CHECK int sounds_load(struct sounds *s, const char *path, uint64_t token);

/* Tells, by `trouble`, of sound files in `dir` that have the name of no text, so that nothing asks
 * for them. -EBUSY, -ENOMEM. */
MUST_CHECK int sounds_look(struct sounds *s);

#endif
