/* What sndread.c and encode.c share: a sound file opened with suspicion. */
#ifndef IO_SND_PRIV_H
#define IO_SND_PRIV_H

#include <sndfile.h>

#include "base/assert.h"
#include "io/sndread.h"

struct snd_file {
    SNDFILE *snd;
    SF_INFO info; /* the rate and the channels are within the bounds of sndread.h */
    int fd;
};

/* Opens a regular file of at most max_bytes for reading. Errors as sndread_load(). */
MUST_CHECK int snd_open(struct snd_file *f, const char *path, uint64_t max_bytes);
void snd_close(struct snd_file *f);

#endif
