#include "io/linefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define SAME_NAMES 1000 /* files of one second */

struct linefile {
    struct linefile_config cfg;
    struct linefile_stats stats;
    int fd; /* -1: it could not be opened again */
    bool std;
    uint64_t bytes, began_s; /* of the file */
};

static int begin(struct linefile *l, uint64_t now_s)
{
    struct stat st;
    l->fd = open(l->cfg.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (l->fd < 0)
        return -errno;
    /* A file that an earlier run has left is as old as its last line. */
    bool known = fstat(l->fd, &st) == 0 && st.st_size > 0;
    l->bytes = known ? (uint64_t)st.st_size : 0;
    l->began_s = known ? (uint64_t)st.st_mtim.tv_sec : now_s;
    return 0;
}

int linefile_open(struct linefile **ret, const struct linefile_config *cfg, uint64_t now_s)
{
    struct linefile *l = mem_zero(sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->cfg = *cfg;
    l->std = strcmp(cfg->path, "-") == 0;
    l->fd = STDOUT_FILENO;
    int err = l->std ? 0 : begin(l, now_s);
    if (err) {
        mem_free(l);
        return err;
    }
    *ret = l;
    return 0;
}

void linefile_close(struct linefile *l)
{
    if (!l)
        return;
    if (!l->std && l->fd >= 0)
        close(l->fd);
    mem_free(l);
}

/* ---- another file ---------------------------------------------------------------------------- */

static int name_find(const struct linefile *l, uint64_t now_s, char *path)
{
    time_t at = (time_t)now_s;
    struct tm tm;
    gmtime_r(&at, &tm);
    for (unsigned i = 1; i < SAME_NAMES; i++) {
        char more[8] = "";
        if (i > 1)
            snprintf(more, sizeof(more), ".%u", i);
        int n = snprintf(path, PATH_MAX, "%s.%04d%02d%02d-%02d%02d%02d%s", l->cfg.path,
                         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                         tm.tm_sec, more);
        if (n < 0 || n >= PATH_MAX)
            return -ENAMETOOLONG;
        if (access(path, F_OK) != 0)
            return 0;
    }
    return -EEXIST;
}

bool linefile_is_finished(const char *name, const char *base)
{
    size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || name[n] != '.')
        return false;
    const char *at = name + n + 1;
    for (unsigned i = 0; i < 15; i++, at++)
        if (i == 8 ? *at != '-' : *at < '0' || *at > '9')
            return false;
    if (*at == '.' && at[1])
        at += 1 + strspn(at + 1, "0123456789");
    return *at == '\0';
}

/* What cannot be renamed goes on growing, and is tried again with the next line. */
static void finish(struct linefile *l, uint64_t now_s)
{
    char path[PATH_MAX];
    if (l->std || !l->bytes || name_find(l, now_s, path) || rename(l->cfg.path, path))
        return;
    l->stats.files++;
    (void)!linefile_reopen(l, now_s);
}

int linefile_reopen(struct linefile *l, uint64_t now_s)
{
    if (l->std)
        return 0;
    if (l->fd >= 0)
        close(l->fd);
    return begin(l, now_s);
}

void linefile_tick(struct linefile *l, uint64_t now_s)
{
    if (l->cfg.rotate_s && l->bytes && now_s >= l->began_s + l->cfg.rotate_s)
        finish(l, now_s);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool has_room(const struct linefile *l)
{
    struct statvfs fs;
    if (l->std || !l->cfg.min_free_bytes || fstatvfs(l->fd, &fs))
        return true;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= l->cfg.min_free_bytes;
}

/* A pipe may take less than all at a time; what a file does not take is for want of room. Counts
 * into *done. */
static int write_all(struct linefile *l, struct str text, size_t *done)
{
    char end = '\n';
    struct iovec v[2] = {{(void *)(uintptr_t)text.p, text.n}, {&end, 1}};
    while (v[0].iov_len + v[1].iov_len) {
        ssize_t n = writev(l->fd, v, 2);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        *done += (size_t)n;
        for (unsigned i = 0; i < 2; i++) {
            size_t part = (size_t)n < v[i].iov_len ? (size_t)n : v[i].iov_len;
            v[i].iov_base = (char *)v[i].iov_base + part;
            v[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
    return 0;
}

/* The part of a line that was written goes: readers find whole lines. Where the file ends is asked,
 * since others may have emptied it. */
static void part_undo(struct linefile *l, size_t part)
{
    off_t end = lseek(l->fd, 0, SEEK_END);
    if (end >= (off_t)part)
        (void)!ftruncate(l->fd, end - (off_t)part);
}

static int write_line(struct linefile *l, struct str text)
{
    size_t done = 0;
    int err = l->fd < 0 ? -EBADF : has_room(l) ? 0 : -ENOSPC;
    if (!err)
        err = write_all(l, text, &done);
    if (!err)
        l->bytes += text.n + 1;
    else if (done && !l->std)
        part_undo(l, done);
    return err;
}

static void tell(struct linefile *l, int err)
{
    char text[PATH_MAX + 160], why[128];
    bool full = err != 0;
    if (full == l->stats.full)
        return;
    l->stats.full = full;
    if (full && err == -ENOSPC && l->fd >= 0 && !has_room(l))
        snprintf(text, sizeof(text),
                 "%s: less than %llu MB are free on its disk; nothing is written until there are",
                 l->cfg.path, (unsigned long long)(l->cfg.min_free_bytes >> 20));
    else if (full)
        snprintf(text, sizeof(text), "%s: %s; nothing is written to it until that is over",
                 l->cfg.path, strerror_r(-err, why, sizeof(why)));
    else
        snprintf(text, sizeof(text), "%s: is written again; %llu lines are lost so far",
                 l->cfg.path, (unsigned long long)l->stats.lost);
    l->cfg.news(l->cfg.ctx, text);
}

int linefile_put(struct linefile *l, struct str text, uint64_t now_s)
{
    linefile_tick(l, now_s);
    if (l->cfg.rotate_bytes && l->bytes && l->bytes + text.n >= l->cfg.rotate_bytes)
        finish(l, now_s);
    if (l->fd < 0)
        (void)!linefile_reopen(l, now_s);
    int err = write_line(l, text);
    if (err == 0) {
        l->stats.lines++;
        l->stats.bytes += text.n + 1;
    } else {
        l->stats.lost++;
    }
    if (err != -EPIPE)
        tell(l, err);
    return err;
}

struct linefile_stats linefile_stats_get(const struct linefile *l)
{
    return l->stats;
}
