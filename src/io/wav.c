#include "io/wav_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/sndread.h"

#define SAMPLE_BYTES ((uint32_t)sizeof(int16_t))

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "samples are written as they are");

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

/* How much of it was written is in *done, also after an error. */
static int write_at(int fd, const void *p, size_t n, off_t at, size_t *done)
{
    *done = 0;
    while (*done < n) {
        ssize_t put = pwrite(fd, (const char *)p + *done, n - *done, at + (off_t)*done);
        if (put < 0 && errno != EINTR)
            return -errno;
        *done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* One write, so that nobody ever sees one of the two sizes without the other. */
static int header_write(struct wav *w)
{
    uint8_t h[WAV_HEADER_BYTES];
    size_t done;
    uint32_t frame_bytes = w->channels * SAMPLE_BYTES;
    memcpy(h, "RIFF....WAVEfmt ", 16);
    put32(h + 4, w->stored_bytes + WAV_HEADER_BYTES - 8);
    put32(h + 16, 16);
    put16(h + 20, 1); /* linear */
    put16(h + 22, w->channels);
    put32(h + 24, w->rate_hz);
    put32(h + 28, w->rate_hz * frame_bytes);
    put16(h + 32, frame_bytes);
    put16(h + 34, SAMPLE_BYTES * 8);
    memcpy(h + 36, "data", 4);
    put32(h + 40, w->stored_bytes);
    int err = write_at(w->fd, h, sizeof(h), 0, &done);
    if (!err)
        w->told_bytes = w->stored_bytes;
    return err;
}

int wav_open(struct wav **ret, const char *path, uint32_t rate_hz, unsigned channels)
{
    if (rate_hz < SND_RATE_MIN_HZ || rate_hz > SND_RATE_MAX_HZ || channels < 1 || channels > 2)
        return -EINVAL;
    struct wav *w = mem_zero(sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->rate_hz = rate_hz;
    w->channels = channels;
    w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        int err = -errno;
        mem_free(w);
        return err;
    }
    int err = header_write(w);
    if (err) {
        unlink(path);
        close(w->fd);
        mem_free(w);
        return err;
    }
    *ret = w;
    return 0;
}

/* Ends the file where its last whole frame ends. The header lies in room that it already has, so
 * telling the truth needs nothing from a full disk; if even that fails, the header still tells of
 * the last sync. */
static int give_up(struct wav *w, int err)
{
    w->err = err;
    w->buf_n = 0;
    if (ftruncate(w->fd, (off_t)WAV_HEADER_BYTES + w->stored_bytes) == 0 ||
        w->stored_bytes > w->told_bytes)
        (void)header_write(w);
    return err;
}

static int flush(struct wav *w)
{
    size_t done;
    int err = write_at(w->fd, w->buf, (size_t)w->buf_n * SAMPLE_BYTES,
                       (off_t)WAV_HEADER_BYTES + w->stored_bytes, &done);
    w->stored_bytes += (uint32_t)(done - done % (w->channels * SAMPLE_BYTES));
    w->buf_n = 0;
    return err ? give_up(w, err) : 0;
}

/* -EFBIG when n samples more would not fit. */
static int check_room(struct wav *w, uint64_t n)
{
    if (w->err)
        return w->err;
    if (n % w->channels)
        return -EINVAL;
    if (n <= (WAV_MAX_BYTES - wav_bytes(w)) / SAMPLE_BYTES)
        return 0;
    int err = flush(w);
    return err ? err : give_up(w, -EFBIG);
}

int wav_write(struct wav *w, const int16_t *samples, size_t n)
{
    int room = check_room(w, n);
    if (room)
        return room;
    while (n) {
        size_t part = WAV_BUF_SAMPLES - w->buf_n;
        part = part < n ? part : n;
        memcpy(w->buf + w->buf_n, samples, part * SAMPLE_BYTES);
        w->buf_n += (uint32_t)part;
        samples += part;
        n -= part;
        int err = w->buf_n == WAV_BUF_SAMPLES ? flush(w) : 0;
        if (err)
            return err;
    }
    return 0;
}

/* A hole in the file reads as zeros and takes neither time nor room on the disk. */
int wav_silence(struct wav *w, uint64_t n)
{
    int err = check_room(w, n);
    if (err || n == 0)
        return err;
    if (n <= WAV_BUF_SAMPLES - 1 - w->buf_n) {
        memset(w->buf + w->buf_n, 0, n * SAMPLE_BYTES);
        w->buf_n += (uint32_t)n;
        return 0;
    }
    err = flush(w);
    if (err)
        return err;
    uint32_t bytes = w->stored_bytes + (uint32_t)n * SAMPLE_BYTES;
    if (ftruncate(w->fd, (off_t)WAV_HEADER_BYTES + bytes))
        return give_up(w, -errno);
    w->stored_bytes = bytes;
    return 0;
}

int wav_sync(struct wav *w)
{
    if (w->err)
        return w->err;
    int err = flush(w);
    if (err)
        return err;
    if (w->told_bytes != w->stored_bytes)
        err = header_write(w);
    return err ? give_up(w, err) : 0;
}

uint64_t wav_bytes(const struct wav *w)
{
    return (uint64_t)w->stored_bytes + (uint64_t)w->buf_n * SAMPLE_BYTES;
}

int wav_close(struct wav *w)
{
    if (!w)
        return 0;
    int err = wav_sync(w);
    if (fdatasync(w->fd) && !err)
        err = -errno;
    if (close(w->fd) && !err)
        err = -errno;
    mem_free(w);
    return err;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Everything but the two sizes has to be as header_write() leaves it. */
static int header_check(const uint8_t h[WAV_HEADER_BYTES], struct wav *w)
{
    w->channels = h[22];
    w->rate_hz = get32(h + 24);
    uint32_t frame_bytes = w->channels * SAMPLE_BYTES;
    bool fine = memcmp(h, "RIFF", 4) == 0 && memcmp(h + 8, "WAVEfmt ", 8) == 0 &&
                get32(h + 16) == 16 && h[20] == 1 && h[21] == 0 && w->channels >= 1 &&
                w->channels <= 2 && h[23] == 0 && w->rate_hz >= SND_RATE_MIN_HZ &&
                w->rate_hz <= SND_RATE_MAX_HZ && get32(h + 28) == w->rate_hz * frame_bytes &&
                get32(h + 32) == (frame_bytes | SAMPLE_BYTES * 8 << 16) &&
                memcmp(h + 36, "data", 4) == 0;
    return fine ? 0 : -EBADMSG;
}

static int repair_fd(int fd, struct wav_shape *ret)
{
    struct wav w = {.fd = fd};
    struct stat st;
    uint8_t h[WAV_HEADER_BYTES];
    if (fstat(fd, &st))
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    ssize_t got = pread(fd, h, sizeof(h), 0);
    if (got < 0)
        return -errno;
    int err = got == sizeof(h) ? header_check(h, &w) : -EBADMSG;
    if (err)
        return err;
    uint64_t bytes = (uint64_t)st.st_size - WAV_HEADER_BYTES;
    bytes = bytes < WAV_MAX_BYTES ? bytes : WAV_MAX_BYTES;
    w.stored_bytes = (uint32_t)(bytes - bytes % (w.channels * SAMPLE_BYTES));
    if (ftruncate(fd, (off_t)WAV_HEADER_BYTES + w.stored_bytes))
        return -errno;
    err = header_write(&w);
    if (!err && fdatasync(fd))
        err = -errno;
    if (!err)
        *ret =
            (struct wav_shape){w.rate_hz, w.channels, w.stored_bytes / (w.channels * SAMPLE_BYTES)};
    return err;
}

int wav_repair(const char *path, struct wav_shape *ret)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int err = repair_fd(fd, ret);
    close(fd);
    return err;
}
