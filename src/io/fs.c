#include "io/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

static int read_all(int fd, char *p, size_t n, size_t *ret)
{
    size_t at = 0;
    while (at < n) {
        ssize_t got = read(fd, p + at, n - at);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        at += got > 0 ? (size_t)got : 0;
    }
    *ret = at;
    return 0;
}

static int read_fd(int fd, size_t max_bytes, char **ret, size_t *ret_n)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    /* Files of /proc claim to be empty; everything else says how long it is. */
    size_t cap = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : max_bytes;
    if (cap > max_bytes)
        return -EFBIG;
    char *p = mem_alloc(cap + 1);
    if (!p)
        return -ENOMEM;
    size_t n = 0;
    int err = read_all(fd, p, cap, &n);
    if (err) {
        mem_free(p);
        return err;
    }
    p[n] = '\0';
    *ret = p;
    *ret_n = n;
    return 0;
}

int fs_read(const char *path, size_t max_bytes, char **ret, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = read_fd(fd, max_bytes, ret, ret_n);
    close(fd);
    return err;
}

static int write_all(int fd, struct str s, bool sync)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            s = str_from(s, (size_t)n);
    }
    return sync && fsync(fd) ? -errno : 0;
}

static int replace(const char *path, struct str content, bool sync)
{
    char tmp[PATH_MAX];
    struct buf b;
    buf_init(&b, tmp, sizeof(tmp) - 1);
    buf_printf(&b, "%s.%ld.tmp", path, (long)getpid());
    if (b.full)
        return -ENAMETOOLONG;
    tmp[b.n] = '\0';
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int err = write_all(fd, content, sync);
    if (close(fd) && !err)
        err = -errno;
    if (!err && rename(tmp, path))
        err = -errno;
    if (err)
        unlink(tmp);
    return err;
}

int fs_write(const char *path, struct str content)
{
    return replace(path, content, true);
}

int fs_write_soon(const char *path, struct str content)
{
    return replace(path, content, false);
}

int fs_write_within(const char *path, struct str content)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) ? -errno : 0;
    if (!err && (uint64_t)st.st_blocks * 512 < content.n)
        err = -ENOSPC;
    if (!err)
        err = write_all(fd, content, false);
    if (!err && ftruncate(fd, (off_t)content.n))
        err = -errno;
    close(fd);
    return err;
}

static int mkdir_one(const char *path)
{
    struct stat st;
    if (mkdir(path, 0750) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int fs_mkdirs(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof(part))
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int err = mkdir_one(part);
        if (err)
            return err;
    }
    return 0;
}

/* The folder above; "." above a single name. */
static void go_up(char *path)
{
    ptrdiff_t slash = str_rchr(str_z(path), '/');
    if (slash < 0)
        memcpy(path, ".", 2);
    else
        path[slash ? slash : 1] = '\0';
}

int fs_try_dir(const char *path, char *at)
{
    struct stat st;
    size_t n = strlen(path);
    if (n == 0 || n >= PATH_MAX)
        return n ? -ENAMETOOLONG : -EINVAL;
    memcpy(at, path, n + 1);
    while (n > 1 && at[n - 1] == '/')
        at[--n] = '\0';
    while (stat(at, &st)) {
        if (errno != ENOENT)
            return -errno;
        if (at[1] == '\0' && (at[0] == '/' || at[0] == '.'))
            return -ENOENT;
        go_up(at);
    }
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    return faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS) ? -errno : 0;
}

int fs_mkdirs_for(const char *path)
{
    char dir[PATH_MAX];
    ptrdiff_t slash = str_rchr(str_z(path), '/');
    if (slash <= 0)
        return 0;
    if ((size_t)slash >= sizeof(dir))
        return -ENAMETOOLONG;
    str_copy_z(dir, sizeof(dir), str_of(path, (size_t)slash));
    return fs_mkdirs(dir);
}
