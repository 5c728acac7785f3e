/* Which of some phrases was spoken, in English: by pocketsphinx, which is a program of its own
 * (io/child). The grammar is the phrases against free speech: what fits a chain of any sounds
 * better than a phrase is none of them, so that a cough chooses nothing. Sound of 8000 Hz gets a
 * faint mirror image above 4000 Hz, since the models have learnt from wider sound.
 *
 * It blocks for a fraction of a second: for a thread that may wait. */
#ifndef IO_EARS_H
#define IO_EARS_H

#include "base/assert.h"
#include "base/botlink.h"

#define EARS_MAX_S  10 /* of one utterance; what is beyond is not heard */
#define EARS_WORD   32 /* bytes of a word */
#define EARS_WORDS  128
#define EARS_PHRASE 200 /* bytes */

struct ears_request {
    const char *program;    /* NULL: "pocketsphinx_continuous", searched in PATH */
    const char *dictionary; /* words and their sounds, as CMU's; NULL: where Debian puts it */
    const int16_t *sample;
    uint32_t n, rate_hz; /* 8000 or 16000 */
    const struct botlink_phrase *phrase;
    unsigned n_phrases;  /* up to BOTLINK_PHRASES */
    uint32_t timeout_ms; /* 0: 5000; then the program is killed */
    int cancel_fd;       /* -1, or what makes it give up when readable */
};

/* *ret is the phrase, -1: none of them. -ENOENT: the program or the dictionary is not installed;
 * -EINVAL: no phrase whose words are all in the dictionary, or another rate; -ETIMEDOUT,
 * -ECANCELED, -EPROTO: the program failed; -ENOMEM, or an error of the system. */
MUST_CHECK int ears_listen(const struct ears_request *q, int *ret);

/* 0; -ENOENT: the program or the dictionary of q is not installed, and no utterance would be
 * understood. */
MUST_CHECK int ears_installed(const struct ears_request *q);

typedef void (*ears_lack_fn)(void *ctx, unsigned phrase, const char *word);
/* Tells of each phrase of q that can never be understood, with the word of it that is not in the
 * dictionary; "": there are too many words, or something else than words. 0, or why the dictionary
 * cannot be read: -ENOENT, -ENOMEM... */
MUST_CHECK int ears_check(const struct ears_request *q, ears_lack_fn lacks, void *ctx);

#endif
