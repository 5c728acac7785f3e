/* A recording that grows: what is in it at every moment, after a kill and on a full disk. */
#include "io_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sndfile.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "io/wav_priv.h"

struct world {
    char dir[64], path[96];
};

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->path, sizeof(w->path), "%s/a.wav", w->dir);
    *state = w;
    return 0;
}

static int world_done(void **state)
{
    struct world *w = *state;
    test_dir_remove(w->dir);
    free(w);
    return mem_live() != 0;
}

/* The frames that sndfile finds, of which frame i of channel c is (i * 3 + c * 7) as 16 bits. */
static uint32_t frames_of(const char *path, uint32_t rate_hz, unsigned channels)
{
    SF_INFO info = {0};
    SNDFILE *f = sf_open(path, SFM_READ, &info);
    assert_non_null(f);
    assert_int_equal(info.samplerate, rate_hz);
    assert_int_equal(info.channels, channels);
    assert_int_equal(info.format, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
    int16_t v[2];
    for (uint32_t i = 0; i < info.frames; i++) {
        assert_int_equal(sf_readf_short(f, v, 1), 1);
        for (unsigned c = 0; c < channels; c++)
            assert_int_equal(v[c], (int16_t)(i * 3 + c * 7));
    }
    assert_int_equal(sf_readf_short(f, v, 1), 0);
    sf_close(f);
    return (uint32_t)info.frames;
}

static void ramp(int16_t *v, uint32_t from, uint32_t frames, unsigned channels)
{
    for (uint32_t i = 0; i < frames; i++)
        for (unsigned c = 0; c < channels; c++)
            v[i * channels + c] = (int16_t)((from + i) * 3 + c * 7);
}

static uint32_t header_says(const char *path)
{
    uint8_t h[WAV_HEADER_BYTES];
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, h, sizeof(h)), sizeof(h));
    close(fd);
    uint32_t riff, data;
    memcpy(&riff, h + 4, 4);
    memcpy(&data, h + 40, 4);
    assert_int_equal(riff, data + 36);
    return data;
}

static void test_grows_and_can_be_read_meanwhile(void **state)
{
    struct world *t = *state;
    for (unsigned channels = 1; channels <= 2; channels++) {
        struct wav *w;
        int16_t v[320];
        assert_int_equal(wav_open(&w, t->path, 16000, channels), 0);
        assert_int_equal(frames_of(t->path, 16000, channels), 0);
        for (uint32_t i = 0; i < 100; i++) {
            ramp(v, i * 160, 160, channels);
            assert_int_equal(wav_write(w, v, 160 * channels), 0);
            assert_int_equal(wav_bytes(w), (i + 1) * 320 * channels);
            if (i == 49) {
                assert_int_equal(wav_sync(w), 0);
                assert_int_equal(frames_of(t->path, 16000, channels), 8000);
            }
        }
        assert_int_equal(header_says(t->path), 16000 * channels);
        assert_int_equal(wav_close(w), 0);
        assert_int_equal(frames_of(t->path, 16000, channels), 16000);
        struct stat st;
        assert_int_equal(stat(t->path, &st), 0);
        assert_int_equal(st.st_size, 44 + 32000 * channels);
        assert_int_equal(st.st_mode & 0777, 0600);
        unlink(t->path);
    }
    assert_int_equal(wav_close(NULL), 0);
}

static void test_refusals(void **state)
{
    struct world *t = *state;
    struct wav *w = NULL;
    int16_t v[3] = {0};
    assert_int_equal(wav_open(&w, t->path, 999, 1), -EINVAL);
    assert_int_equal(wav_open(&w, t->path, 192001, 1), -EINVAL);
    assert_int_equal(wav_open(&w, t->path, 8000, 0), -EINVAL);
    assert_int_equal(wav_open(&w, t->path, 8000, 3), -EINVAL);
    assert_int_equal(wav_open(&w, "/nonexistent/a.wav", 8000, 1), -ENOENT);
    mem_fail_after(1);
    assert_int_equal(wav_open(&w, t->path, 8000, 1), -ENOMEM);
    mem_fail_after(0);
    assert_int_equal(access(t->path, F_OK), -1);
    assert_int_equal(wav_open(&w, t->path, 8000, 2), 0);
    struct wav *again = NULL;
    assert_int_equal(wav_open(&again, t->path, 8000, 1), -EEXIST);
    assert_null(again);
    assert_int_equal(wav_write(w, v, 3), -EINVAL);
    assert_int_equal(wav_write(w, v, 2), 0); /* which was no end */
    assert_int_equal(wav_close(w), 0);
}

/* Short silence among the samples, long silence as a hole; both count as samples. */
static void test_silence(void **state)
{
    struct world *t = *state;
    struct wav *w;
    int16_t one = 1, v;
    uint32_t at[] = {0, 1, 11, 3000, 4095, 4096, 500000, 10000000};
    assert_int_equal(wav_open(&w, t->path, 8000, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        assert_int_equal(wav_silence(w, at[i] - wav_bytes(w) / 2), 0);
        assert_int_equal(wav_write(w, &one, 1), 0);
    }
    assert_int_equal(wav_close(w), 0);
    SF_INFO info = {0};
    SNDFILE *f = sf_open(t->path, SFM_READ, &info);
    assert_int_equal(info.frames, 10000001);
    size_t next = 0;
    for (uint32_t i = 0; i < info.frames; i++) {
        assert_int_equal(sf_readf_short(f, &v, 1), 1);
        assert_int_equal(v, next < ARRAY_LEN(at) && at[next] == i);
        next += v;
    }
    sf_close(f);
    struct stat st;
    assert_int_equal(stat(t->path, &st), 0);
    assert_true(st.st_blocks * 512 < 1000000);
}

static void test_ends_at_what_riff_can_count(void **state)
{
    struct world *t = *state;
    struct wav *w;
    int16_t v[2] = {0, 3};
    assert_int_equal(wav_open(&w, t->path, 8000, 1), 0);
    assert_int_equal(wav_write(w, v, 2), 0);
    assert_int_equal(wav_silence(w, WAV_MAX_BYTES / 2 - 2), 0);
    assert_int_equal(wav_bytes(w), WAV_MAX_BYTES / 2 * 2);
    assert_int_equal(wav_write(w, v, 1), -EFBIG);
    assert_int_equal(wav_write(w, v, 1), -EFBIG);
    assert_int_equal(wav_silence(w, 1), -EFBIG);
    assert_int_equal(header_says(t->path), WAV_MAX_BYTES / 2 * 2);
    assert_int_equal(wav_close(w), -EFBIG);
    SF_INFO info = {0};
    SNDFILE *f = sf_open(t->path, SFM_READ, &info);
    assert_non_null(f);
    assert_int_equal(info.frames, WAV_MAX_BYTES / 2);
    sf_close(f);
}

/* A writer that is killed between two syncs, at no particular moment. */
static void test_killed_writer_loses_less_than_a_second(void **state)
{
    struct world *t = *state;
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct wav *w;
        int16_t v[160];
        if (wav_open(&w, t->path, 8000, 1))
            _exit(1);
        for (uint32_t i = 0;; i++) {
            ramp(v, i * 160, 160, 1);
            if (wav_write(w, v, 160) || (i % 50 == 49 && wav_sync(w)))
                _exit(1);
            uint32_t n = (i + 1) * 160;
            if (write(pipe_fd[1], &n, sizeof(n)) != sizeof(n))
                _exit(1);
        }
    }
    close(pipe_fd[1]);
    uint32_t n = 0, written = 0;
    while (written < 77777 && read(pipe_fd[0], &n, sizeof(n)) == sizeof(n))
        written = n;
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(pipe_fd[0], &n, sizeof(n)) == sizeof(n))
        written = n;
    close(pipe_fd[0]);
    assert_true(written >= 77777);
    uint32_t frames = frames_of(t->path, 8000, 1);
    assert_true(frames + 8000 >= written);
    struct wav_shape s;
    assert_int_equal(wav_repair(t->path, &s), 0);
    assert_true(s.frames >= frames);
    assert_int_equal(s.rate_hz, 8000);
    assert_int_equal(s.channels, 1);
    assert_int_equal(frames_of(t->path, 8000, 1), s.frames);
}

/* As on a full disk: one write is cut, the next is refused. */
static void test_no_more_room(void **state)
{
    struct world *t = *state;
    struct rlimit old, few;
    struct wav *w;
    int16_t v[160];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(wav_open(&w, t->path, 8000, 1), 0);
    few = old;
    few.rlim_cur = 20001; /* within a frame, and after the second flush began */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    int err = 0;
    uint32_t i;
    for (i = 0; i < 1000 && !err; i++) {
        ramp(v, i * 160, 160, 1);
        err = wav_write(w, v, 160);
    }
    assert_int_equal(err, -EFBIG);
    assert_int_equal(wav_write(w, v, 160), -EFBIG);
    assert_int_equal(wav_sync(w), -EFBIG);
    assert_int_equal(frames_of(t->path, 8000, 1), (20001 - 44) / 2);
    assert_int_equal(wav_close(w), -EFBIG);
    struct stat st;
    assert_int_equal(stat(t->path, &st), 0);
    assert_int_equal(st.st_size, 20000);
    /* Not even a header fits. */
    few.rlim_cur = 40;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    unlink(t->path);
    assert_int_equal(wav_open(&w, t->path, 8000, 1), -EFBIG);
    assert_int_equal(access(t->path, F_OK), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
}

static void bytes_put(const char *path, const void *p, size_t n, off_t at)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, p, n, at), n);
    close(fd);
}

static void test_repair(void **state)
{
    struct world *t = *state;
    struct wav *w;
    struct wav_shape s = {0};
    int16_t v[202];
    ramp(v, 0, 101, 2);
    assert_int_equal(wav_open(&w, t->path, 48000, 2), 0);
    assert_int_equal(wav_write(w, v, 200), 0);
    assert_int_equal(wav_close(w), 0);
    /* What was written after the last sync, with half a frame at the end. */
    bytes_put(t->path, v + 200, 4, 444);
    bytes_put(t->path, "x", 1, 448);
    assert_int_equal(frames_of(t->path, 48000, 2), 100);
    assert_int_equal(wav_repair(t->path, &s), 0);
    assert_int_equal(s.rate_hz, 48000);
    assert_int_equal(s.channels, 2);
    assert_int_equal(s.frames, 101);
    assert_int_equal(frames_of(t->path, 48000, 2), 101);
    assert_int_equal(header_says(t->path), 404);
    assert_int_equal(wav_repair("/nonexistent", &s), -ENOENT);
    assert_int_equal(wav_repair("/dev/null", &s), -EINVAL);
}

/* Each byte of the header but those of the two sizes and the rate matters; nothing is written. */
static void test_repair_of_what_is_not_ours(void **state)
{
    struct world *t = *state;
    struct wav *w;
    struct wav_shape s;
    uint8_t h[WAV_HEADER_BYTES], now[WAV_HEADER_BYTES];
    assert_int_equal(wav_open(&w, t->path, 8000, 1), 0);
    assert_int_equal(wav_close(w), 0);
    int fd = open(t->path, O_RDWR);
    assert_int_equal(pread(fd, h, sizeof(h), 0), sizeof(h));
    for (size_t i = 0; i < sizeof(h); i++) {
        bool size = (i >= 4 && i < 8) || i >= 40;
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(now, h, sizeof(h));
            now[i] ^= (uint8_t)(1u << bit);
            assert_int_equal(pwrite(fd, now, sizeof(now), 0), sizeof(now));
            assert_int_equal(wav_repair(t->path, &s), size ? 0 : -EBADMSG);
            uint8_t left[WAV_HEADER_BYTES];
            assert_int_equal(pread(fd, left, sizeof(left), 0), sizeof(left));
            assert_memory_equal(left, size ? h : now, sizeof(left));
        }
    }
    assert_int_equal(pwrite(fd, h, sizeof(h), 0), sizeof(h));
    for (off_t n = 43; n >= 0; n -= 43) {
        assert_int_equal(ftruncate(fd, n), 0);
        assert_int_equal(wav_repair(t->path, &s), -EBADMSG);
    }
    close(fd);
    /* A link is not followed: its target may be anywhere. */
    char link[128];
    snprintf(link, sizeof(link), "%s/link.wav", t->dir);
    assert_int_equal(symlink(t->path, link), 0);
    assert_int_equal(wav_repair(link, &s), -ELOOP);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_init, world_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_grows_and_can_be_read_meanwhile),
        TEST(test_refusals),
        TEST(test_silence),
        TEST(test_ends_at_what_riff_can_count),
        TEST(test_killed_writer_loses_less_than_a_second),
        TEST(test_no_more_room),
        TEST(test_repair),
        TEST(test_repair_of_what_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
