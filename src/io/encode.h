/* From a WAV file of ours to a smaller one, in steps that a busy thread can take between other
 * work. It blocks on the disk. */
#ifndef IO_ENCODE_H
#define IO_ENCODE_H

#include <stdint.h>

#include "base/assert.h"

enum sound_format { SOUND_WAV, SOUND_FLAC, SOUND_OPUS };

#define ENCODE_STEP_FRAMES 16384

/* "wav", "flac", "opus": as in a file's name. Opus is in an Ogg file (RFC 7845). */
const char *sound_format_ext(enum sound_format f);

struct encode;

/* Reads `from`, makes `to` (which must not exist), mode 0600. FLAC keeps every sample; Opus takes
 * the rates 8000, 12000, 16000, 24000 and 48000 Hz. Errors as sndread_load(); -ENOTSUP also for
 * another rate and for SOUND_WAV. */
MUST_CHECK int encode_open(struct encode **ret, const char *from, const char *to,
                           enum sound_format f);
/* ENCODE_STEP_FRAMES at most. 1: there is more; 0: all is written; else an error, -ENOSPC when the
 * system says so, and -EIO when libsndfile does not say why. */
MUST_CHECK int encode_step(struct encode *e);
/* Waits until the disk has the file if the last step returned 0, else removes it. e is gone in any
 * case. 0 or the error that the file ended with; unfinished: -ECANCELED. Accepts NULL. */
int encode_close(struct encode *e);

#endif
