#include "io/tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define KEEP_BYTES ((size_t)1 << 20)
#define MAX_PATH   4096

int tempfile_open(int *ret, const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        /* Not every file system can; then it has a name for a moment. */
        char path[MAX_PATH];
        int n = snprintf(path, sizeof(path), "%s/ringdown-XXXXXX", dir);
        if (n < 0 || (size_t)n >= sizeof(path))
            return -ENAMETOOLONG;
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
            return -errno;
        unlink(path);
    }
    *ret = fd;
    return 0;
}

int tempfile_write(int fd, const void *p, size_t n, int64_t at)
{
    const char *from = p;
    while (n) {
        ssize_t done = at < 0 ? write(fd, from, n) : pwrite(fd, from, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        from += done;
        n -= (size_t)done;
        at += at < 0 ? 0 : done;
    }
    return 0;
}

struct keepfile {
    int fd; /* -1: all is still in memory */
    const char *dir;
    uint64_t stored; /* bytes in the file; those behind are in mem */
    size_t n;
    char mem[KEEP_BYTES];
};

int keepfile_new(struct keepfile **ret, const char *dir)
{
    struct keepfile *k = mem_alloc(sizeof(*k));
    if (!k)
        return -ENOMEM;
    k->fd = -1;
    k->dir = dir;
    k->stored = 0;
    k->n = 0;
    *ret = k;
    return 0;
}

void keepfile_free(struct keepfile *k)
{
    if (k && k->fd >= 0)
        close(k->fd);
    mem_free(k);
}

static int store(struct keepfile *k)
{
    int err = k->fd < 0 ? tempfile_open(&k->fd, k->dir) : 0;
    if (!err)
        err = tempfile_write(k->fd, k->mem, k->n, (int64_t)k->stored);
    if (err)
        return err;
    k->stored += k->n;
    k->n = 0;
    return 0;
}

int keepfile_put(struct keepfile *k, const void *p, size_t n, uint64_t *ret_at)
{
    if (n > sizeof(k->mem))
        return -EMSGSIZE;
    int err = n > sizeof(k->mem) - k->n ? store(k) : 0;
    if (err)
        return err;
    memcpy(k->mem + k->n, p, n);
    *ret_at = k->stored + k->n;
    k->n += n;
    return 0;
}

int keepfile_get(struct keepfile *k, uint64_t at, void *out, size_t n)
{
    if (at > k->stored + k->n || n > k->stored + k->n - at)
        return -ENODATA;
    if (at >= k->stored) {
        memcpy(out, k->mem + (at - k->stored), n);
        return 0;
    }
    /* What was put at once is stored at once. */
    for (char *to = out; n;) {
        ssize_t got = pread(k->fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got ? -errno : -EIO;
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}
