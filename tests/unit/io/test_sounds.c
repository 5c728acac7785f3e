/* The store of sounds: the user's files, what is spoken and kept, and what goes wrong. */
#include "io_test.h"

#include <fcntl.h>
#include <sndfile.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/fs.h"
#include "io/sounds.h"

#define RESULTS 32

static const struct sound_text texts[] = {
    {"hello", "Hello", "안녕하세요"},
    {"english-only", "Good bye", NULL},
    {"both_2", "One two three", "하나 둘 셋"},
};

struct world {
    char dir[64], user[96], cache[96], program[96];
    struct loop *loop;
    struct sounds *s;
    struct sounds_config cfg;
    unsigned n, troubles;
    uint64_t token[RESULTS];
    int err[RESULTS];
    struct sound *sound[RESULTS];
    char trouble[512];
};

static void on_done(void *ctx, const struct sound_result *res)
{
    struct world *w = ctx;
    assert_true(w->n < RESULTS);
    assert_true((res->err == 0) == (res->sound != NULL));
    w->token[w->n] = res->token;
    w->err[w->n] = res->err;
    w->sound[w->n++] = res->sound;
}

static void on_trouble(void *ctx, const char *text)
{
    struct world *w = ctx;
    w->troubles++;
    snprintf(w->trouble, sizeof(w->trouble), "%s", text);
}

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->user, sizeof(w->user), "%s/user", w->dir);
    snprintf(w->cache, sizeof(w->cache), "%s/var/cache", w->dir);
    snprintf(w->program, sizeof(w->program), "%s/program", w->dir);
    assert_int_equal(loop_new(&w->loop), 0);
    w->cfg = (struct sounds_config){.dir = w->user,
                                    .cache = w->cache,
                                    .text = texts,
                                    .text_n = ARRAY_LEN(texts),
                                    .done = on_done,
                                    .trouble = on_trouble,
                                    .ctx = w};
    *state = w;
    return 0;
}

static int world_done(void **state)
{
    struct world *w = *state;
    sounds_close(w->s);
    for (unsigned i = 0; i < w->n; i++)
        mem_free(w->sound[i]);
    loop_free(w->loop);
    test_dir_remove(w->dir);
    free(w);
    return mem_live() != 0;
}

static void start(struct world *w)
{
    sounds_close(w->s);
    w->s = NULL;
    assert_int_equal(sounds_open(&w->s, w->loop, &w->cfg), 0);
}

/* Waits for the sound, which stays the world's; NULL: the error is in *err. */
static const struct sound *get(struct world *w, const char *name, enum speech_lang lang, int *err)
{
    unsigned at = w->n;
    assert_int_equal(sounds_get(w->s, str_z(name), lang, 1000 + at), 0);
    LOOP_UNTIL(w->loop, w->n > at);
    assert_int_equal(w->n, at + 1);
    assert_int_equal(w->token[at], 1000 + at);
    *err = w->err[at];
    return w->sound[at];
}

/* n samples of the given value. */
static void file_make(struct world *w, const char *rest, int format, int16_t value, unsigned n)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", w->dir, rest);
    assert_int_equal(fs_mkdirs_for(path), 0);
    SF_INFO info = {.samplerate = 8000, .channels = 1, .format = format};
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    assert_non_null(f);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(sf_write_short(f, &value, 1), 1);
    sf_close(f);
}

/* In place of espeak-ng: copies DIR/spoken.wav and counts in DIR/count how often. */
static void program_make(struct world *w)
{
    FILE *f = fopen(w->program, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\necho \"$2 $8\" >> %s/count\ncp %s/spoken.wav \"$6\"\n", w->dir, w->dir);
    fclose(f);
    assert_int_equal(chmod(w->program, 0755), 0);
    w->cfg.program = w->program;
    file_make(w, "spoken.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 77, 800);
}

static void expect_spoken(struct world *w, const char *want)
{
    char path[128], got[512] = "";
    snprintf(path, sizeof(path), "%s/count", w->dir);
    FILE *f = fopen(path, "r");
    if (f) {
        got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
        fclose(f);
    }
    assert_string_equal(got, want);
}

/* With the real program. */
static void test_speaks_both_languages(void **state)
{
    struct world *w = *state;
    int err;
    start(w);
    const struct sound *en = get(w, "both_2", SPEECH_EN, &err);
    assert_int_equal(err, 0);
    const struct sound *ko = get(w, "both_2", SPEECH_KO, &err);
    assert_int_equal(err, 0);
    assert_true(en->n > en->rate_hz / 4 && ko->n > ko->rate_hz / 4);
    assert_true(en->n != ko->n || memcmp(en->sample, ko->sample, en->n * 2) != 0);
    assert_int_equal(w->troubles, 0);
}

static void test_spoken_once(void **state)
{
    struct world *w = *state;
    int err;
    program_make(w);
    start(w);
    for (unsigned i = 0; i < 3; i++) {
        const struct sound *s = get(w, "hello", SPEECH_EN, &err);
        assert_int_equal(err, 0);
        assert_int_equal(s->n, 800);
        assert_int_equal(s->sample[0], 77);
    }
    start(w); /* also by the next process */
    get(w, "hello", SPEECH_EN, &err);
    expect_spoken(w, "en Hello\n");
    get(w, "hello", SPEECH_KO, &err);
    expect_spoken(w, "en Hello\nko 안녕하세요\n");
    /* A text that has changed is spoken again. */
    const struct sound_text other[] = {{"hello", "Hi", NULL}};
    w->cfg.text = other;
    w->cfg.text_n = 1;
    start(w);
    get(w, "hello", SPEECH_EN, &err);
    get(w, "hello", SPEECH_EN, &err);
    expect_spoken(w, "en Hello\nko 안녕하세요\nen Hi\n");
    /* So is what cannot be read. */
    char path[160];
    snprintf(path, sizeof(path), "%s/en/hello.wav", w->cache);
    assert_int_equal(truncate(path, 10), 0);
    get(w, "hello", SPEECH_EN, &err);
    assert_int_equal(err, 0);
    expect_spoken(w, "en Hello\nko 안녕하세요\nen Hi\nen Hi\n");
}

static void test_user_file_wins(void **state)
{
    struct world *w = *state;
    int err;
    program_make(w);
    file_make(w, "user/en/hello.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 0, 400);
    file_make(w, "user/en/moh.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 5, 300);
    start(w);
    assert_int_equal(get(w, "hello", SPEECH_EN, &err)->n, 400);
    assert_int_equal(get(w, "moh", SPEECH_EN, &err)->n, 300); /* without a text */
    file_make(w, "user/en/hello.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 5, 200);
    assert_int_equal(get(w, "hello", SPEECH_EN, &err)->n, 200);
    expect_spoken(w, "");
    assert_int_equal(get(w, "hello", SPEECH_KO, &err)->n, 800);
    assert_int_equal(w->troubles, 0);
    /* A damaged one is told of, and the next best is taken. */
    char path[160];
    snprintf(path, sizeof(path), "%s/en/hello.wav", w->user);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(get(w, "hello", SPEECH_EN, &err)->n, 400);
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "en/hello.wav cannot be used: "));
}

/* A file whose name is misspelt would be missed in silence. */
static void test_what_nobody_asks_for(void **state)
{
    struct world *w = *state;
    int err;
    file_make(w, "user/en/hello.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 5, 200);
    file_make(w, "user/en/notes.txt", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 5, 200);
    start(w);
    assert_int_equal(sounds_look(w->s), 0);
    assert_non_null(get(w, "hello", SPEECH_EN, &err));
    assert_int_equal(w->troubles, 0);
    file_make(w, "user/ko/helo.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 5, 200);
    file_make(w, "user/hello.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 5, 200);
    file_make(w, "user/en/hello.mp3", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 5, 200);
    assert_int_equal(sounds_look(w->s), 0);
    LOOP_UNTIL(w->loop, w->troubles == 1);
    assert_non_null(
        strstr(w->trouble, "nothing plays them: hello.wav, en/hello.mp3, ko/helo.flac"));
    assert_int_equal(w->n, 1);
}

static void test_what_cannot_be_had(void **state)
{
    struct world *w = *state;
    int err;
    static const char *const bad[] = {"", "..", "a/b", "a.wav", "/etc/passwd", "a b", "\xc3\xa4"};
    char longest[SOUNDS_NAME_MAX + 1];
    program_make(w);
    start(w);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(sounds_get(w->s, str_z(bad[i]), SPEECH_EN, 1), -EINVAL);
    assert_int_equal(sounds_get(w->s, STR("a\0b"), SPEECH_EN, 1), -EINVAL);
    assert_int_equal(sounds_get(w->s, STR("hello"), (enum speech_lang)SPEECH_LANGS, 1), -EINVAL);
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(sounds_get(w->s, str_of(longest, sizeof(longest)), SPEECH_EN, 1), -EINVAL);
    longest[SOUNDS_NAME_MAX] = '\0';
    assert_null(get(w, longest, SPEECH_EN, &err));
    assert_int_equal(err, -ENOENT);
    assert_null(get(w, "english-only", SPEECH_KO, &err));
    assert_int_equal(err, -ENOENT);
    w->cfg.cache = NULL;
    start(w);
    assert_null(get(w, "hello", SPEECH_EN, &err));
    assert_int_equal(err, -ENOENT);
    assert_int_equal(w->troubles, 0);
}

/* Told once; after the pause it is tried again, and when it works that is the end of it. */
static void test_no_speech(void **state)
{
    struct world *w = *state;
    int err;
    w->cfg.program = w->program;
    w->cfg.speech_pause_ms = 1;
    start(w);
    for (unsigned i = 0; i < 3; i++) {
        assert_null(get(w, "hello", SPEECH_EN, &err));
        assert_int_equal(err, -ENOENT);
        for (uint64_t begun = test_ms(); test_ms() < begun + 3;)
            loop_run_once(w->loop, 1);
    }
    assert_int_equal(w->troubles, 1);
    assert_non_null(strstr(w->trouble, "program cannot speak: it is not installed"));
    program_make(w);
    assert_non_null(get(w, "hello", SPEECH_EN, &err));
    assert_int_equal(unlink(w->program), 0);
    assert_null(get(w, "hello", SPEECH_KO, &err));
    assert_int_equal(w->troubles, 2);
    /* In the pause nothing is tried. */
    w->cfg.speech_pause_ms = 0;
    start(w);
    assert_null(get(w, "hello", SPEECH_KO, &err));
    program_make(w);
    assert_null(get(w, "hello", SPEECH_KO, &err));
    assert_int_equal(w->troubles, 3);
    assert_non_null(get(w, "hello", SPEECH_EN, &err)); /* which is there */
}

static void test_queue(void **state)
{
    struct world *w = *state;
    program_make(w);
    w->cfg.max_queue = 4;
    start(w);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sounds_get(w->s, STR("hello"), SPEECH_EN, i), 0);
    assert_int_equal(sounds_get(w->s, STR("hello"), SPEECH_EN, 4), -EBUSY);
    LOOP_UNTIL(w->loop, w->n == 4);
    for (unsigned i = 0; i < 4; i++)
        assert_true(w->token[i] == i && w->err[i] == 0);
    expect_spoken(w, "en Hello\n");
    assert_int_equal(sounds_get(w->s, STR("hello"), SPEECH_EN, 5), 0);
    mem_fail_after(1);
    assert_int_equal(sounds_get(w->s, STR("hello"), SPEECH_EN, 6), -ENOMEM);
    mem_fail_after(0);
}

/* A program that hangs does not hold up the end. */
static void test_close_while_speaking(void **state)
{
    struct world *w = *state;
    FILE *f = fopen(w->program, "w");
    fprintf(f, "#!/bin/sh\ntouch %s/begun\nsleep 1000\n", w->dir);
    fclose(f);
    assert_int_equal(chmod(w->program, 0755), 0);
    w->cfg.program = w->program;
    start(w);
    assert_int_equal(sounds_get(w->s, STR("hello"), SPEECH_EN, 1), 0);
    assert_int_equal(sounds_get(w->s, STR("hello"), SPEECH_KO, 2), 0);
    char path[128];
    snprintf(path, sizeof(path), "%s/begun", w->dir);
    LOOP_UNTIL(w->loop, access(path, F_OK) == 0);
    uint64_t begun = test_ms();
    sounds_close(w->s);
    w->s = NULL;
    assert_true(test_ms() - begun < 5000);
    assert_int_equal(w->n, 0);
}

static void test_open_without_memory(void **state)
{
    struct world *w = *state;
    int err = -ENOMEM;
    for (uint64_t nth = 1; err; nth++) {
        assert_true(nth < 10);
        mem_fail_after(nth);
        err = sounds_open(&w->s, w->loop, &w->cfg);
        mem_fail_after(0);
        assert_true(err == 0 || (err == -ENOMEM && !w->s));
    }
}

/* A text that is given with the question: spoken once, again when it is another one, and a file of
 * the user's with its name goes before it. */
static void test_given_texts(void **state)
{
    struct world *w = *state;
    const struct str name = STR("bot-x-greeting");
    program_make(w);
    w->cfg.said = "bot-";
    start(w);
    const char *const said[] = {"Welcome", "Welcome", "Be welcome"};
    for (unsigned i = 0; i < ARRAY_LEN(said); i++) {
        assert_int_equal(sounds_say(w->s, name, SPEECH_EN, str_z(said[i]), i), 0);
        LOOP_UNTIL(w->loop, w->n > i);
        assert_int_equal(w->err[i], 0);
        assert_int_equal(w->token[i], i);
        assert_int_equal(w->sound[i]->sample[0], 77);
    }
    expect_spoken(w, "en Welcome\nen Be welcome\n");
    file_make(w, "user/en/bot-x-greeting.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 55, 100);
    assert_int_equal(sounds_say(w->s, name, SPEECH_EN, STR("Welcome"), 9), 0);
    LOOP_UNTIL(w->loop, w->n > 3);
    assert_int_equal(w->sound[3]->sample[0], 55);
    assert_int_equal(sounds_look(w->s), 0); /* answered before what comes behind it */
    assert_int_equal(sounds_say(w->s, name, SPEECH_EN, STR("Welcome"), 9), 0);
    LOOP_UNTIL(w->loop, w->n > 4);
    assert_int_equal(sounds_say(w->s, name, SPEECH_EN, STR(""), 9), -EINVAL);
    assert_int_equal(sounds_say(w->s, STR("../x"), SPEECH_EN, STR("x"), 9), -EINVAL);
    sounds_close(w->s);
    w->s = NULL;
    assert_int_equal(w->troubles, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_init, world_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_speaks_both_languages),
        TEST(test_spoken_once),
        TEST(test_user_file_wins),
        TEST(test_what_cannot_be_had),
        TEST(test_no_speech),
        TEST(test_queue),
        TEST(test_close_while_speaking),
        TEST(test_open_without_memory),
        TEST(test_what_nobody_asks_for),
        TEST(test_given_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
