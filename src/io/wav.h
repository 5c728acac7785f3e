/* A WAV file (linear, 16 bits) that grows while a call is recorded. The file can be opened by any
 * player at any moment: its header tells what was there at the last wav_sync(), so whoever calls
 * that once a second loses at most a second when the process is killed. It blocks on the disk. A
 * wav belongs to one thread at a time. */
#ifndef IO_WAV_H
#define IO_WAV_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

/* The samples of one file, in bytes: RIFF counts in 32 bits. At 8 kHz mono that is 74 hours. */
#define WAV_MAX_BYTES (UINT32_MAX - UINT32_C(0xffff))

struct wav;

/* Makes the file, mode 0600, in a folder that exists. rate_hz 1000 ... 192000, channels 1 or 2.
 * -EEXIST when something has this name, -EINVAL, -ENOSPC (and no file is left), -ENOMEM, or what
 * open() says. */
MUST_CHECK int wav_open(struct wav **ret, const char *path, uint32_t rate_hz, unsigned channels);

/* Appends n samples, those of all channels counted, interleaved, n a multiple of the channels
 * (else -EINVAL). They may stay in memory until the next wav_sync(). The first error ends the file:
 * it keeps what was stored until then and opens, and all later calls return the same error.
 *   -ENOSPC, -EDQUOT  the disk or the quota is full
 *   -EFBIG            WAV_MAX_BYTES, or the limit that the system has, would be passed
 *   -EIO, ... */
MUST_CHECK int wav_write(struct wav *w, const int16_t *samples, size_t n);

/* n samples of silence, as wav_write(). Much of it becomes a hole in the file, which costs no room
 * on the disk. */
MUST_CHECK int wav_silence(struct wav *w, uint64_t n);

/* Hands what was written, then the header that tells so, to the system. That outlives the process,
 * not a loss of power. Errors as wav_write(). */
MUST_CHECK int wav_sync(struct wav *w);

/* The file's bytes of samples so far, those still in memory included. */
uint64_t wav_bytes(const struct wav *w);

/* Syncs, waits until the disk has it, and closes; w is gone in any case. The first error that the
 * file had, or 0. Accepts NULL. */
int wav_close(struct wav *w);

struct wav_shape {
    uint32_t rate_hz, channels;
    uint32_t frames;
};

/* Makes the header of a file that a killed process left tell of all that is there, cuts half a
 * frame at its end, and says what it holds. Only files that wav_open() made: -EBADMSG for others
 * and for less than a header, -EINVAL for what is no regular file, or an error of the disk; such a
 * file is left as it is. *ret is untouched on failure. */
MUST_CHECK int wav_repair(const char *path, struct wav_shape *ret);

#endif
