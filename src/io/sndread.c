#include "io/sndread.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "io/snd_priv.h"

#define CHUNK_FRAMES 1024

/* O_NONBLOCK, since a pipe without a writer would hold up the open for ever. */
static int open_regular(const char *path, uint64_t max_bytes, int *ret)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int err = 0;
    if (fstat(fd, &st))
        err = -errno;
    else if (S_ISDIR(st.st_mode))
        err = -EISDIR;
    else if (!S_ISREG(st.st_mode))
        err = -EINVAL;
    else if ((uint64_t)st.st_size > max_bytes)
        err = -EFBIG;
    if (err) {
        close(fd);
        return err;
    }
    *ret = fd;
    return 0;
}

int snd_open(struct snd_file *f, const char *path, uint64_t max_bytes)
{
    struct snd_file got = {0};
    int err = open_regular(path, max_bytes, &got.fd);
    if (err)
        return err;
    /* Why it failed is in a variable that all threads share, so nobody asks. */
    got.snd = sf_open_fd(got.fd, SFM_READ, &got.info, SF_FALSE);
    if (!got.snd) {
        close(got.fd);
        return -EBADMSG;
    }
    if (got.info.samplerate < SND_RATE_MIN_HZ || got.info.samplerate > SND_RATE_MAX_HZ ||
        got.info.channels < 1 || got.info.channels > SND_CHANNELS_MAX) {
        snd_close(&got);
        return -ENOTSUP;
    }
    *f = got;
    return 0;
}

void snd_close(struct snd_file *f)
{
    sf_close(f->snd);
    close(f->fd);
}

/* Rounded, and cut where a file of floating point numbers goes beyond the full scale. */
static int16_t sample_of(float v)
{
    v *= 32768.0f;
    if (v >= 32767.0f)
        return INT16_MAX;
    if (v <= -32768.0f)
        return INT16_MIN;
    /* Only what is no number fails this. */
    if (!(v < 32767.0f))
        return 0;
    return (int16_t)(v < 0 ? v - 0.5f : v + 0.5f);
}

static void mix(int16_t *out, const float *in, size_t frames, unsigned channels)
{
    for (size_t i = 0; i < frames; i++) {
        float sum = 0;
        for (unsigned c = 0; c < channels; c++)
            sum += in[i * channels + c];
        out[i] = sample_of(sum / (float)channels);
    }
}

/* Room for a chunk more, and for twice as much as before. */
static int make_room(struct sound **s, size_t n, size_t *cap)
{
    if (*cap - n >= CHUNK_FRAMES)
        return 0;
    size_t more = *cap * 2 + CHUNK_FRAMES;
    struct sound *grown =
        mem_resize(*s, offsetof(struct sound, sample) + more * sizeof((*s)->sample[0]));
    if (!grown)
        return -ENOMEM;
    *s = grown;
    *cap = more;
    return 0;
}

/* The length that the header claims is not believed: what is there is read until it is too much.
 * Numbers with a point are read, since for those alone libsndfile does not depend on the format. */
static int read_all(struct snd_file *f, uint64_t max_n, struct sound **s, size_t *ret_n)
{
    float in[CHUNK_FRAMES * SND_CHANNELS_MAX];
    size_t n = 0, cap = 0;
    for (;;) {
        int err = make_room(s, n, &cap);
        if (err)
            return err;
        sf_count_t got = sf_readf_float(f->snd, in, CHUNK_FRAMES);
        if (got <= 0)
            break;
        if ((uint64_t)got > max_n - n)
            return -EFBIG;
        mix((*s)->sample + n, in, (size_t)got, (unsigned)f->info.channels);
        n += (size_t)got;
    }
    if (sf_error(f->snd) != SF_ERR_NO_ERROR)
        return sf_error(f->snd) == SF_ERR_SYSTEM ? -EIO : -EBADMSG;
    *ret_n = n;
    return n ? 0 : -ENODATA;
}

int sndread_load(struct sound **ret, const char *path, const struct sndread_limits *l)
{
    struct snd_file f;
    struct sound *s = NULL;
    size_t n = 0;
    int err = snd_open(&f, path, l->max_bytes);
    if (err)
        return err;
    uint64_t max_n = (uint64_t)l->max_s * (uint32_t)f.info.samplerate;
    if (max_n > l->max_bytes / sizeof(s->sample[0]))
        max_n = l->max_bytes / sizeof(s->sample[0]);
    if (max_n > UINT32_MAX)
        max_n = UINT32_MAX;
    uint32_t rate_hz = (uint32_t)f.info.samplerate;
    err = read_all(&f, max_n, &s, &n);
    snd_close(&f);
    if (err) {
        mem_free(s);
        return err;
    }
    /* Making a block smaller may fail without harm. */
    struct sound *fit = mem_resize(s, offsetof(struct sound, sample) + n * sizeof(s->sample[0]));
    s = fit ? fit : s;
    s->rate_hz = rate_hz;
    s->n = (uint32_t)n;
    *ret = s;
    return 0;
}

/* libuv has no words for some of them, and others for sockets. */
void sndread_why(char *ret, size_t n, int err)
{
    if (err == -EBADMSG)
        snprintf(ret, n, "not a sound file that can be read");
    else if (err == -ENOTSUP)
        snprintf(ret, n, "its rate, or its number of channels, is none that is read");
    else if (err == -ENODATA)
        snprintf(ret, n, "a sound file without sound");
    else
        uv_strerror_r(err, ret, n);
}
