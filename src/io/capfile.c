#include "io/capfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "io/tempfile.h"

#define WINDOW_BYTES ((size_t)CAP_WINDOW)
/* Large enough that a read costs little beside what is done with it. */
#define READ_BYTES ((size_t)256 << 10)

struct capfile {
    struct cap cap;
    int fd;
    bool own;
    bool last;   /* nothing is behind what the window holds */
    bool packed; /* by gzip */
    bool done;   /* the stream of gzip has ended */
    int err;     /* what reading ended with, told once the window is used up */
    z_stream z;
    uint8_t *raw; /* packed bytes */
    size_t at, n; /* of the window */
    uint64_t bytes;
    const char *problem;
    uint64_t problem_at;
    uint8_t window[WINDOW_BYTES];
};

/* RFC 1952 section 2.3.1. */
static int packing_find(struct capfile *f)
{
    uint8_t magic[2];
    ssize_t n = pread(f->fd, magic, sizeof(magic), 0);
    if (n < 0)
        return -errno;
    f->packed = n == sizeof(magic) && magic[0] == 0x1f && magic[1] == 0x8b;
    if (!f->packed)
        return 0;
    f->raw = mem_alloc(READ_BYTES);
    /* 16: gzip and nothing else. */
    return f->raw && inflateInit2(&f->z, 15 + 16) == Z_OK ? 0 : -ENOMEM;
}

int capfile_open(struct capfile **ret, const char *path, int fd)
{
    struct stat st;
    struct capfile *f = mem_alloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    memset(f, 0, offsetof(struct capfile, window));
    cap_init(&f->cap);
    f->own = fd < 0;
    f->fd = f->own ? open(path, O_RDONLY | O_CLOEXEC) : fd;
    int err = f->fd < 0 || fstat(f->fd, &st) ? -errno : 0;
    if (!err && S_ISDIR(st.st_mode))
        err = -EISDIR;
    if (!err && lseek(f->fd, 0, SEEK_SET) < 0)
        err = -errno;
    if (!err)
        err = packing_find(f);
    if (err) {
        capfile_close(f);
        return err;
    }
    *ret = f;
    return 0;
}

void capfile_close(struct capfile *f)
{
    if (!f)
        return;
    if (f->raw)
        inflateEnd(&f->z);
    mem_free(f->raw);
    if (f->own && f->fd >= 0)
        close(f->fd);
    mem_free(f);
}

/* Bytes read, 0 at the end, or negative errno. */
static ssize_t read_some(int fd, void *p, size_t n)
{
    ssize_t got;
    do
        got = read(fd, p, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* One gzip file may hold several streams, one behind the other (RFC 1952 section 2.2). */
static ssize_t unpack(struct capfile *f, uint8_t *p, size_t n)
{
    f->z.next_out = p;
    f->z.avail_out = (uInt)n;
    while (f->z.avail_out == n) {
        if (!f->z.avail_in) {
            ssize_t got = read_some(f->fd, f->raw, READ_BYTES);
            if (got < 0)
                return got;
            if (got == 0)
                return f->done ? 0 : -EPIPE;
            f->z.next_in = f->raw;
            f->z.avail_in = (uInt)got;
        }
        if (f->done && inflateReset(&f->z) != Z_OK)
            return -EIO;
        f->done = false;
        int z = inflate(&f->z, Z_NO_FLUSH);
        f->done = z == Z_STREAM_END;
        if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
            /* Zeros behind the last stream are the padding of tapes. */
            return -EPIPE;
    }
    return (ssize_t)(n - f->z.avail_out);
}

static void fill(struct capfile *f)
{
    if (f->at) {
        memmove(f->window, f->window + f->at, f->n);
        f->at = 0;
    }
    size_t room = WINDOW_BYTES - f->n;
    if (room > READ_BYTES)
        room = READ_BYTES;
    ssize_t got = !room       ? 0
                  : f->packed ? unpack(f, f->window + f->n, room)
                              : read_some(f->fd, f->window + f->n, room);
    if (got <= 0) {
        f->last = true;
        f->err = (int)got;
        return;
    }
    f->n += (size_t)got;
    f->bytes += (size_t)got;
}

/* The end of what can be read: of the file, or before it. */
static int finish(struct capfile *f)
{
    int err = f->err;
    f->err = 0;
    if (err != -EPIPE)
        return err;
    f->problem = "the file is not packed as gzip should be, or cut off; the rest is lost";
    f->problem_at = f->bytes;
    return -EBADMSG;
}

int capfile_next(struct capfile *f, struct cap_frame *ret)
{
    for (;;) {
        size_t used;
        int r = cap_next(&f->cap, f->window + f->at, f->n, f->last, ret, &used);
        f->at += used;
        f->n -= used;
        if (r == -EBADMSG) {
            f->problem = f->cap.error;
            f->problem_at = f->cap.error_at;
        }
        if (r)
            return r;
        if (f->last)
            return finish(f);
        fill(f);
    }
}

const char *capfile_problem(const struct capfile *f, uint64_t *ret_at)
{
    *ret_at = f->problem_at;
    return f->problem;
}

struct str capfile_format(const struct capfile *f)
{
    return f->cap.format == CAP_PCAP     ? STR("pcap")
           : f->cap.format == CAP_PCAPNG ? STR("pcapng")
                                         : STR("");
}

uint64_t capfile_bytes(const struct capfile *f)
{
    return f->bytes;
}

uint64_t capfile_dropped(const struct capfile *f)
{
    return cap_dropped(&f->cap);
}

const struct cap *capfile_cap(const struct capfile *f)
{
    return &f->cap;
}

int capfile_spool(int *ret, int fd, const char *dir)
{
    uint8_t *p = mem_alloc(READ_BYTES);
    int to = -1, err = p ? tempfile_open(&to, dir) : -ENOMEM;
    while (!err) {
        ssize_t n = read_some(fd, p, READ_BYTES);
        if (n <= 0) {
            err = (int)n;
            break;
        }
        err = tempfile_write(to, p, (size_t)n, -1);
    }
    mem_free(p);
    if (err && to >= 0)
        close(to);
    if (!err)
        *ret = to;
    return err;
}
