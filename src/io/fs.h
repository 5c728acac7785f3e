/* Files as wholes. Paths are terminated strings. */
#ifndef IO_FS_H
#define IO_FS_H

#include <stddef.h>

#include "base/assert.h"
#include "base/str.h"

/* The whole file in memory of mem_alloc(), with a NUL behind it. -EFBIG above max_bytes. */
MUST_CHECK int fs_read(const char *path, size_t max_bytes, char **ret, size_t *ret_n);
/* Replaces the file in one step, mode 0600: a reader sees the old content or the new. */
MUST_CHECK int fs_write(const char *path, struct str content);
/* The same without waiting for the disk: after a loss of power, but not of the process alone, it
 * may be the old content or nothing. */
MUST_CHECK int fs_write_soon(const char *path, struct str content);
/* For a full disk: in place, and only into room that the file already has; -ENOSPC else. Not in one
 * step. */
MUST_CHECK int fs_write_within(const char *path, struct str content);
/* The folder and those above it, mode 0750; those that exist are fine. */
MUST_CHECK int fs_mkdirs(const char *path);
/* The same for the folder that `path` lies in. */
MUST_CHECK int fs_mkdirs_for(const char *path);
/* Whether this process could make the folder, or write in it if it is there: nothing is made. 0, or
 * a negative errno with what is in the way in `at`, of PATH_MAX bytes. */
MUST_CHECK int fs_try_dir(const char *path, char *at);

#endif
