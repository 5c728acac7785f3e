/* Callers who are understood without a speech server: their sound is cut into utterances where they
 * pause, and each is looked at by io/ears in a thread that may wait. All calls come from one
 * thread, which also watches hearing_fd(). */
#ifndef APP_HEARING_H
#define APP_HEARING_H

#include "app/media.h"
#include "base/botlink.h"

#define HEARING_WAITING 32 /* utterances at a time; what is beyond is not understood */

struct hearing;

struct hearing_conf {
    const char *program, *dictionary; /* as in io/ears.h */
    unsigned workers;                 /* programs at a time; 0: 2 */
    /* Called by hearing_ready() and hearing_tap(). */
    void (*heard)(void *ctx, uint64_t id, uint32_t token, const struct botlink_heard *heard);
    void *ctx;
};

/* 0, -ENOMEM or another negative errno. */
MUST_CHECK int hearing_new(struct hearing **ret, const struct hearing_conf *conf);
/* Ends the programs and the threads. Accepts NULL. */
void hearing_free(struct hearing *h);
/* Readable when hearing_ready() has something to do. */
int hearing_fd(const struct hearing *h);
void hearing_ready(struct hearing *h);

/* What can be understood at all: 0; -ENOENT: the recognizer is not installed. */
MUST_CHECK int hearing_can(const struct hearing *h);
/* Conversation `id` begins, or is over. -EEXIST, -ENOMEM. */
MUST_CHECK int hearing_open(struct hearing *h, uint64_t id);
/* -ENOENT. */
int hearing_close(struct hearing *h, uint64_t id);
/* The next utterance, or the one that has just begun, is wanted: as BOTLINK_HEAR. Texts are copied.
 * -ENOENT, -ENOMEM, -EINVAL: no phrases. */
MUST_CHECK int hearing_ask(struct hearing *h, uint64_t id, uint32_t token,
                           const struct botlink_phrase *phrase, unsigned n);
/* It is no longer. -ENOENT. */
int hearing_deaf(struct hearing *h, uint64_t id);
/* Sound of conversation tap.link. false: there is none of this name. */
bool hearing_tap(struct hearing *h, const struct media_tap *t);

#endif
