#include "io/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/snd_priv.h"

struct encode {
    struct snd_file in;
    SNDFILE *out;
    int fd;
    int err; /* -ECANCELED until all is written */
    sf_count_t frames;
    char path[PATH_MAX];
    int16_t frame[ENCODE_STEP_FRAMES];
};

const char *sound_format_ext(enum sound_format f)
{
    static const char *const ext[] = {
        [SOUND_WAV] = "wav", [SOUND_FLAC] = "flac", [SOUND_OPUS] = "opus"};
    return ext[f];
}

static int out_open(struct encode *e, enum sound_format f)
{
    SF_INFO info = {.samplerate = e->in.info.samplerate, .channels = e->in.info.channels};
    info.format =
        f == SOUND_FLAC ? SF_FORMAT_FLAC | SF_FORMAT_PCM_16 : (int)SF_FORMAT_OGG | SF_FORMAT_OPUS;
    if (f == SOUND_WAV || !sf_format_check(&info))
        return -ENOTSUP;
    e->fd = open(e->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (e->fd < 0)
        return -errno;
    e->out = sf_open_fd(e->fd, SFM_WRITE, &info, SF_FALSE);
    if (e->out)
        return 0;
    unlink(e->path);
    close(e->fd);
    return -ENOTSUP;
}

int encode_open(struct encode **ret, const char *from, const char *to, enum sound_format f)
{
    struct encode *e = mem_alloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->err = -ECANCELED;
    e->frames = 0;
    if (str_copy_z(e->path, sizeof(e->path), str_z(to)) != strlen(to)) {
        mem_free(e);
        return -ENAMETOOLONG;
    }
    int err = snd_open(&e->in, from, UINT64_MAX);
    if (!err) {
        err = out_open(e, f);
        if (err)
            snd_close(&e->in);
    }
    if (err) {
        mem_free(e);
        return err;
    }
    *ret = e;
    return 0;
}

int encode_step(struct encode *e)
{
    if (e->err != -ECANCELED)
        return e->err;
    sf_count_t channels = e->in.info.channels;
    sf_count_t n = sf_readf_short(e->in.snd, e->frame, ENCODE_STEP_FRAMES / channels);
    if (n <= 0)
        return e->err = sf_error(e->in.snd) == SF_ERR_NO_ERROR ? 0 : -EIO;
    e->frames += n;
    errno = 0;
    if (sf_writef_short(e->out, e->frame, n) == n && sf_error(e->out) == SF_ERR_NO_ERROR)
        return 1;
    return e->err = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -errno : -EIO;
}

/* The last of it was written by sf_close(), which does not tell of all that can go wrong. */
static int check_whole(const struct encode *e)
{
    struct snd_file f;
    int err = snd_open(&f, e->path, UINT64_MAX);
    if (err)
        return -EIO;
    sf_count_t frames = f.info.frames;
    snd_close(&f);
    return frames == e->frames ? 0 : -EIO;
}

int encode_close(struct encode *e)
{
    if (!e)
        return 0;
    int err = e->err;
    if (sf_close(e->out) && !err)
        err = -EIO;
    if (!err)
        err = check_whole(e);
    if (!err && fdatasync(e->fd))
        err = -errno;
    close(e->fd);
    if (err)
        unlink(e->path);
    snd_close(&e->in);
    mem_free(e);
    return err;
}
