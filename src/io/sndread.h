/* Sound files as they come from people: prompts, music on hold, greetings. Whatever libsndfile
 * knows (WAV in linear, A-law, mu-law or GSM, FLAC, Ogg Vorbis, Ogg Opus, ...) becomes samples of
 * 16 bits in one channel, at the rate that the file has. It blocks on the disk: not for the loop
 * once calls are served. May run in several threads at once. */
#ifndef IO_SNDREAD_H
#define IO_SNDREAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define SND_RATE_MIN_HZ  1000
#define SND_RATE_MAX_HZ  192000
#define SND_CHANNELS_MAX 8

/* One block of mem_alloc(); its owner gives it back with mem_free(). */
struct sound {
    uint32_t rate_hz; /* SND_RATE_MIN_HZ ... SND_RATE_MAX_HZ */
    uint32_t n;       /* samples, at least 1 */
    int16_t sample[];
};

struct sndread_limits {
    uint32_t max_s;     /* how long it may play */
    uint64_t max_bytes; /* how large the file may be, and what is made of it in memory */
};

/* Loads the whole file; several channels are averaged. The file must be a regular one, or a link
 * to one. What is not whole up to its last frame is loaded as far as libsndfile can read it.
 * 0, or with *ret untouched:
 *   -ENOENT, -EACCES, ...  as from open()
 *   -EISDIR, -EINVAL       a folder; a pipe, a socket or a device
 *   -EFBIG                 beyond one of the limits
 *   -EBADMSG               not a sound file, of an unknown kind, or damaged
 *   -ENOTSUP               a rate or a number of channels beyond the bounds above
 *   -ENODATA               a sound file without a single sample
 *   -ENOMEM, -EIO */
MUST_CHECK int sndread_load(struct sound **ret, const char *path, const struct sndread_limits *l);
/* The error in words for people. */
void sndread_why(char *ret, size_t n, int err);

#endif
