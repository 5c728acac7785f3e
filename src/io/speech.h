/* Text to a sound file, spoken by espeak-ng, which is a program of its own. No shell is involved.
 * It blocks until the file is there: for a thread that may wait. */
#ifndef IO_SPEECH_H
#define IO_SPEECH_H

#include "base/assert.h"
#include "base/str.h"

#define SPEECH_TEXT_MAX 2000 /* bytes */
#define SPEECH_NOTE_MAX 256

enum speech_lang { SPEECH_EN, SPEECH_KO };
#define SPEECH_LANGS 2

struct speech_request {
    const char *program; /* NULL: "espeak-ng"; without a slash it is searched in PATH */
    enum speech_lang lang;
    struct str text;     /* UTF-8, 1 ... SPEECH_TEXT_MAX bytes without NUL */
    const char *path;    /* the WAV file to make or to replace, in a folder that exists */
    uint32_t timeout_ms; /* 0: 10000; then the program is killed */
    int cancel_fd;       /* -1, or what makes it give up when readable */
};

/* "en", "ko". */
const char *speech_lang_name(enum speech_lang lang);
/* 0; -ENOENT: no such program; -ETIMEDOUT; -ECANCELED; -EPROTO: the program failed or made no sound
 * file; -EINVAL: the text; or an error of the system. On failure `path` is as it was, and note has
 * the reason as a sentence. */
MUST_CHECK int speech_say(const struct speech_request *q, char note[SPEECH_NOTE_MAX]);

#endif
