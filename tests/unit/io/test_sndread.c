/* Sound files of every kind, damaged ones and large ones. */
#include "io_test.h"

#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/sndread.h"

/* libsndfile 1.2.0 forgets what it has of an Ogg Vorbis file whose header is damaged. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvorbis\n";
}

static const struct sndread_limits limits = {60, 16 << 20};

struct world {
    char dir[64], path[96];
};

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->path, sizeof(w->path), "%s/a.snd", w->dir);
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

/* A second of 440 Hz at half of the full scale; the second channel is silent. */
static void make(const char *path, int format, int rate_hz, int channels)
{
    SF_INFO info = {.samplerate = rate_hz, .channels = channels, .format = format};
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    if (!f)
        fail_msg("format %#x: %s", (unsigned)format, sf_strerror(NULL));
    float v[8];
    for (int i = 0; i < rate_hz; i++) {
        memset(v, 0, sizeof(v));
        v[0] = 0.5f * sinf(2 * 3.14159265f * 440 * (float)i / (float)rate_hz);
        assert_int_equal(sf_writef_float(f, v, 1), 1);
    }
    sf_close(f);
}

/* The strength of 440 Hz, 1 being the full scale. */
static double tone_of(const struct sound *s)
{
    double re = 0, im = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        double a = 2 * 3.14159265358979 * 440 * i / s->rate_hz;
        re += s->sample[i] / 32768.0 * cos(a);
        im += s->sample[i] / 32768.0 * sin(a);
    }
    return 2 * sqrt(re * re + im * im) / s->n;
}

static const struct {
    int format, rate_hz, channels;
    uint32_t slack; /* samples that the kind of file may add or lose */
} kinds[] = {
    {SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1, 0},
    {SF_FORMAT_WAV | SF_FORMAT_PCM_16, 44100, 2, 0},
    {SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 8000, 1, 0},
    {SF_FORMAT_WAV | SF_FORMAT_PCM_24, 48000, 1, 0},
    {SF_FORMAT_WAV | SF_FORMAT_PCM_32, 16000, 8, 0},
    {SF_FORMAT_WAV | SF_FORMAT_FLOAT, 16000, 1, 0},
    {SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 16000, 1, 0},
    {SF_FORMAT_WAV | SF_FORMAT_ULAW, 8000, 1, 0},
    {SF_FORMAT_WAV | SF_FORMAT_ALAW, 8000, 2, 0},
    {SF_FORMAT_WAV | SF_FORMAT_GSM610, 8000, 1, 320},
    {SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, 8000, 1, 1024},
    {SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 32000, 2, 0},
    {SF_FORMAT_AU | SF_FORMAT_ULAW, 8000, 1, 0},
    {SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 22050, 1, 0},
    {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, 0},
    {SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 48000, 2, 0},
    {SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 2, 0},
    {SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 1, 960},
    {SF_FORMAT_OGG | SF_FORMAT_OPUS, 8000, 2, 960},
};

static void test_every_kind(void **state)
{
    struct world *t = *state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct sound *s = NULL;
        make(t->path, kinds[i].format, kinds[i].rate_hz, kinds[i].channels);
        int err = sndread_load(&s, t->path, &limits);
        if (err)
            fail_msg("kind %zu: %d", i, err);
        assert_int_equal(s->rate_hz, kinds[i].rate_hz);
        if (labs((long)s->n - kinds[i].rate_hz) > (long)kinds[i].slack)
            fail_msg("kind %zu: %u samples", i, s->n);
        /* Channels are averaged. */
        double level = tone_of(s) * kinds[i].channels;
        if (level < 0.42 || level > 0.58)
            fail_msg("kind %zu: level %f", i, level);
        mem_free(s);
    }
}

/* Samples of 16 bits come out as they are; others are rounded and cut. */
static void test_values(void **state)
{
    struct world *t = *state;
    const int16_t exact[] = {0, 1, -1, 2, 32767, -32768, 12345, -12345};
    const float odd[] = {1.5f,     -1.5f,     1.0f,         -1.0f,         0.0f,        NAN,
                         INFINITY, -INFINITY, 0.6f / 32768, -0.6f / 32768, 0.4f / 32768};
    const int16_t want[] = {32767, -32768, 32767, -32768, 0, 0, 32767, -32768, 1, -1, 0};
    struct sound *s;
    SF_INFO info = {.samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    SNDFILE *f = sf_open(t->path, SFM_WRITE, &info);
    assert_int_equal(sf_write_short(f, exact, ARRAY_LEN(exact)), ARRAY_LEN(exact));
    sf_close(f);
    assert_int_equal(sndread_load(&s, t->path, &limits), 0);
    assert_int_equal(s->n, ARRAY_LEN(exact));
    assert_memory_equal(s->sample, exact, sizeof(exact));
    mem_free(s);
    info.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT;
    f = sf_open(t->path, SFM_WRITE, &info);
    assert_int_equal(sf_write_float(f, odd, ARRAY_LEN(odd)), ARRAY_LEN(odd));
    sf_close(f);
    assert_int_equal(sndread_load(&s, t->path, &limits), 0);
    assert_int_equal(s->n, ARRAY_LEN(want));
    assert_memory_equal(s->sample, want, sizeof(want));
    mem_free(s);
}

static void test_limits(void **state)
{
    struct world *t = *state;
    struct sound *s = NULL;
    make(t->path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 48000, 1); /* 96044 bytes, 1 s */
    struct sndread_limits l = {1, 96044};
    assert_int_equal(sndread_load(&s, t->path, &l), 0);
    mem_free(s);
    s = NULL;
    l.max_bytes = 96043;
    assert_int_equal(sndread_load(&s, t->path, &l), -EFBIG);
    l = (struct sndread_limits){0, 1 << 20};
    assert_int_equal(sndread_load(&s, t->path, &l), -EFBIG);
    /* A small file that becomes large. */
    make(t->path, SF_FORMAT_OGG | SF_FORMAT_OPUS, 48000, 1);
    l = (struct sndread_limits){60, 60000};
    assert_int_equal(sndread_load(&s, t->path, &l), -EFBIG);
    make(t->path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 999, 1);
    assert_int_equal(sndread_load(&s, t->path, &limits), -ENOTSUP);
    make(t->path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 192001, 1);
    assert_int_equal(sndread_load(&s, t->path, &limits), -ENOTSUP);
    SF_INFO info = {.samplerate = 8000, .channels = 9, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    sf_close(sf_open(t->path, SFM_WRITE, &info));
    assert_int_equal(sndread_load(&s, t->path, &limits), -ENOTSUP);
    info.channels = 1;
    sf_close(sf_open(t->path, SFM_WRITE, &info));
    assert_int_equal(sndread_load(&s, t->path, &limits), -ENODATA);
    assert_null(s);
}

static void test_what_is_no_sound_file(void **state)
{
    struct world *t = *state;
    struct sound *s = NULL;
    char fifo[96];
    snprintf(fifo, sizeof(fifo), "%s/fifo", t->dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(sndread_load(&s, t->path, &limits), -ENOENT);
    assert_int_equal(sndread_load(&s, t->dir, &limits), -EISDIR);
    assert_int_equal(sndread_load(&s, fifo, &limits), -EINVAL);
    assert_int_equal(sndread_load(&s, "/dev/zero", &limits), -EINVAL);
    int fd = open(t->path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(sndread_load(&s, t->path, &limits), -EBADMSG);
    assert_int_equal(write(fd, "hello, this is text\n", 20), 20);
    close(fd);
    assert_int_equal(sndread_load(&s, t->path, &limits), -EBADMSG);
    assert_null(s);
}

/* Cut anywhere and with bytes changed: an error or less sound, never more than there was. */
static void test_damage(void **state)
{
    struct world *t = *state;
    const int formats[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                           SF_FORMAT_OGG | SF_FORMAT_OPUS, SF_FORMAT_OGG | SF_FORMAT_VORBIS};
    unsigned loaded = 0, refused = 0;
    for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
        static uint8_t was[65536], now[65536];
        make(t->path, formats[k], 8000, 1);
        int fd = open(t->path, O_RDWR);
        ssize_t n = read(fd, was, sizeof(was));
        uint32_t seed = 1;
        for (int round = 0; round < 200; round++) {
            memcpy(now, was, (size_t)n);
            ssize_t keep = round % 2 ? n : n * round / 200;
            for (int i = 0; round % 2 && i < 4; i++) {
                seed = seed * 1664525 + 1013904223;
                now[(seed >> 8) % (uint32_t)(i < 2 && n > 200 ? 200 : n)] ^= (uint8_t)(seed >> 3);
            }
            assert_int_equal(ftruncate(fd, 0), 0);
            assert_int_equal(pwrite(fd, now, (size_t)keep, 0), keep);
            struct sound *s = NULL;
            int err = sndread_load(&s, t->path, &limits);
            assert_true(err ? !s : s->n > 0 && s->n <= limits.max_bytes / 2);
            loaded += !err;
            refused += err != 0;
            mem_free(s);
        }
        close(fd);
    }
    assert_true(loaded > 100 && refused > 100);
}

static void test_half_a_wav_is_loaded(void **state)
{
    struct world *t = *state;
    struct sound *s;
    make(t->path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1);
    assert_int_equal(truncate(t->path, 8045), 0);
    assert_int_equal(sndread_load(&s, t->path, &limits), 0);
    assert_int_equal(s->n, 4000);
    mem_free(s);
}

static void test_without_memory(void **state)
{
    struct world *t = *state;
    struct sound *s = NULL;
    make(t->path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 1);
    int err = -ENOMEM;
    for (uint64_t nth = 1; err; nth++) {
        assert_true(nth < 20);
        mem_fail_after(nth);
        err = sndread_load(&s, t->path, &limits);
        mem_fail_after(0);
        assert_true(err == 0 || (err == -ENOMEM && !s));
    }
    assert_int_equal(s->n, 8000);
    mem_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_init, world_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_kind),     TEST(test_values),
        TEST(test_limits),         TEST(test_what_is_no_sound_file),
        TEST(test_damage),         TEST(test_half_a_wav_is_loaded),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
