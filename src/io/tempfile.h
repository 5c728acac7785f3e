/* A file without a name: it goes with the process, however that ends. */
#ifndef IO_TEMPFILE_H
#define IO_TEMPFILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

/* In the folder `dir`. The descriptor in *ret, or negative errno. */
MUST_CHECK int tempfile_open(int *ret, const char *dir);
/* All n bytes, at an offset or, if that is negative, where the last write ended. */
MUST_CHECK int tempfile_write(int fd, const void *p, size_t n, int64_t at);

/* Bytes that are appended now and read later, mostly from the disk. */
struct keepfile;
MUST_CHECK int keepfile_new(struct keepfile **ret, const char *dir);
/* Accepts NULL. */
void keepfile_free(struct keepfile *k);
/* Appends; *ret_at is where. 0 or negative errno. */
MUST_CHECK int keepfile_put(struct keepfile *k, const void *p, size_t n, uint64_t *ret_at);
MUST_CHECK int keepfile_get(struct keepfile *k, uint64_t at, void *out, size_t n);

#endif
