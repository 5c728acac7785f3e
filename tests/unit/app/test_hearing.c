/* Utterances cut out of what taps give, and what is answered for them; the recognizer is a program
 * of the test's own, and once the real one. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/hearing.h"
#include "base/mem.h"
#include "io/sndread.h"

#define WAIT_MS 20000

static const struct botlink_phrase phrases[] = {
    {STR_INIT("sales"), 3}, {STR_INIT("front desk"), 7}, {STR_INIT("operator"), 9}};

struct answer {
    uint64_t id;
    uint32_t token;
    enum botlink_outcome outcome;
    uint8_t means;
    char words[64];
};

struct world {
    char dir[64], program[96], dictionary[96];
    struct hearing *h;
    struct answer got[64];
    unsigned n;
};

static void on_heard(void *ctx, uint64_t id, uint32_t token, const struct botlink_heard *heard)
{
    struct world *w = ctx;
    struct answer *a = &w->got[w->n++];
    *a =
        (struct answer){.id = id, .token = token, .outcome = heard->outcome, .means = heard->means};
    str_copy_z(a->words, sizeof(a->words), heard->words);
}

static void write_file(const char *path, const char *text, unsigned mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void program(struct world *w, const char *body)
{
    char text[512];
    snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", body);
    write_file(w->program, text, 0755);
}

static void begin(struct world *w, bool real, unsigned workers)
{
    struct hearing_conf conf = {.program = real ? NULL : w->program,
                                .dictionary = real ? NULL : w->dictionary,
                                .workers = workers,
                                .heard = on_heard,
                                .ctx = w};
    assert_int_equal(hearing_new(&w->h, &conf), 0);
}

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    strcpy(w->dir, "/tmp/rd-hearing-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->program, sizeof(w->program), "%s/program", w->dir);
    snprintf(w->dictionary, sizeof(w->dictionary), "%s/dict", w->dir);
    write_file(w->dictionary,
               "desk D EH S K\nfront F R AH N T\noperator AA P ER EY T ER\nsales S EY L Z\n", 0644);
    *state = w;
    return 0;
}

static int world_done(void **state)
{
    struct world *w = *state;
    char command[128];
    hearing_free(w->h);
    assert_int_equal(strncmp(w->dir, "/tmp/rd-hearing-", 16), 0);
    snprintf(command, sizeof(command), "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return mem_live() != 0;
}

/* `ms` of sound, in which somebody speaks or nobody does. */
static void sound(struct world *w, uint64_t id, unsigned ms, bool voice)
{
    struct media_tap t = {.tap = {.kind = PLANE_TAP_SOUND, .link = id, .n = 160, .voice = voice}};
    for (unsigned i = 0; i < 160; i++)
        t.pcm[i] = (int16_t)(voice ? 1000 + (int)i : 1);
    for (; ms; ms -= 20)
        assert_true(hearing_tap(w->h, &t));
}

static void await(struct world *w, unsigned n)
{
    struct pollfd p = {.fd = hearing_fd(w->h), .events = POLLIN};
    while (w->n < n) {
        if (poll(&p, 1, WAIT_MS) <= 0)
            fail_msg("no answer: %u of %u", w->n, n);
        hearing_ready(w->h);
    }
    assert_int_equal(w->n, n);
}

static void ask(struct world *w, uint64_t id, uint32_t token)
{
    assert_int_equal(hearing_ask(w->h, id, token, phrases, ARRAY_LEN(phrases)), 0);
}

static void expect(const struct world *w, unsigned at, uint32_t token, uint8_t means)
{
    const struct answer *a = &w->got[at];
    assert_int_equal(a->token, token);
    assert_int_equal(a->outcome, means == 0xFF ? BOTLINK_NO_MATCH : BOTLINK_UNDERSTOOD);
    assert_int_equal(a->means, means);
}

static void test_an_utterance_is_answered_once(void **state)
{
    struct world *w = *state;
    program(w, "echo front desk");
    begin(w, false, 0);
    assert_int_equal(hearing_can(w->h), 0);
    assert_int_equal(chmod(w->program, 0644), 0);
    assert_int_equal(hearing_can(w->h), -ENOENT); /* the words are there, who knows them is not */
    assert_int_equal(chmod(w->program, 0755), 0);
    assert_int_equal(hearing_open(w->h, 5), 0);
    assert_int_equal(hearing_open(w->h, 5), -EEXIST);
    ask(w, 5, 11);
    sound(w, 5, 1000, false);
    sound(w, 5, 800, true);
    sound(w, 5, 20, false);
    await(w, 1);
    expect(w, 0, 11, 7);
    assert_string_equal(w->got[0].words, "front desk");
    sound(w, 5, 800, true); /* nobody has asked for this one */
    sound(w, 5, 20, false);
    ask(w, 5, 12);
    program(w, "echo something else");
    sound(w, 5, 400, true);
    sound(w, 5, 20, false);
    await(w, 2);
    expect(w, 1, 12, 0xFF);
}

/* What begins before the question, or lies a little before what is taken for voice, belongs to it;
 * what ends before it does not. */
static void test_what_belongs_to_it(void **state)
{
    struct world *w = *state;
    char path[96], line[32] = "", body[200];
    snprintf(path, sizeof(path), "%s/bytes", w->dir);
    snprintf(body, sizeof(body), "wc -c < /proc/self/fd/3 > %s; echo operator", path);
    program(w, body);
    begin(w, false, 0);
    assert_int_equal(hearing_open(w->h, 5), 0);
    sound(w, 5, 3000, false);
    sound(w, 5, 300, true);
    ask(w, 5, 1);
    sound(w, 5, 300, true);
    sound(w, 5, 20, false);
    await(w, 1);
    expect(w, 0, 1, 9);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    /* 400 ms before it, itself, the pause, and 900 ms around it, at 16 kHz. */
    assert_int_equal(atoi(line), (400 + 600 + 20 + 900) * 16 * 2);
}

/* Who does not stop is answered after ten seconds. */
static void test_without_end(void **state)
{
    struct world *w = *state;
    program(w, "echo sales");
    begin(w, false, 0);
    assert_int_equal(hearing_open(w->h, 5), 0);
    ask(w, 5, 1);
    sound(w, 5, 9500, true);
    assert_int_equal(w->n, 0);
    sound(w, 5, 500, true);
    await(w, 1);
    expect(w, 0, 1, 3);
    sound(w, 5, 20000, true);
}

static void test_deaf_and_gone(void **state)
{
    struct world *w = *state;
    program(w, "echo sales");
    begin(w, false, 1);
    for (uint64_t id = 1; id <= 3; id++) {
        assert_int_equal(hearing_open(w->h, id), 0);
        ask(w, id, 1);
    }
    assert_int_equal(hearing_deaf(w->h, 1), 0);
    for (uint64_t id = 1; id <= 3; id++) {
        sound(w, id, 400, true);
        sound(w, id, 20, false);
    }
    assert_int_equal(hearing_close(w->h, 2), 0); /* its utterance is being looked at */
    struct media_tap t = {.tap = {.kind = PLANE_TAP_SOUND, .link = 2, .n = 160}};
    assert_false(hearing_tap(w->h, &t));
    assert_int_equal(hearing_ask(w->h, 2, 1, phrases, 1), -ENOENT);
    assert_int_equal(hearing_deaf(w->h, 2), -ENOENT);
    assert_int_equal(hearing_close(w->h, 2), -ENOENT);
    assert_int_equal(hearing_ask(w->h, 3, 1, phrases, 0), -EINVAL);
    await(w, 1);
    assert_int_equal(w->got[0].id, 3);
}

/* More than may wait are told at once that they were not understood. */
static void test_many(void **state)
{
    struct world *w = *state;
    char body[128];
    snprintf(body, sizeof(body), "read line < %s/fifo; echo sales", w->dir);
    program(w, body);
    begin(w, false, 2);
    for (uint64_t id = 1; id <= HEARING_WAITING + 4; id++) {
        assert_int_equal(hearing_open(w->h, id), 0);
        ask(w, id, 1);
    }
    char fifo[96];
    snprintf(fifo, sizeof(fifo), "%s/fifo", w->dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    for (uint64_t id = 1; id <= HEARING_WAITING + 4; id++) {
        sound(w, id, 400, true);
        sound(w, id, 20, false);
    }
    assert_int_equal(w->n, 4);
    expect(w, 0, 1, 0xFF);
    unlink(fifo); /* the programs that hang on it are ended by hearing_free() */
}

static void test_real_words(void **state)
{
    struct world *w = *state;
    const struct sndread_limits l = {60, 16 << 20};
    struct sound *s = NULL;
    begin(w, true, 0);
    if (hearing_can(w->h) || system("command -v pocketsphinx_continuous >/dev/null")) {
        print_message("SKIPPED: pocketsphinx and pocketsphinx-en-us are not installed\n");
        skip();
    }
    assert_int_equal(hearing_open(w->h, 5), 0);
    ask(w, 5, 1);
    assert_int_equal(sndread_load(&s, TEST_DATA "/ears/front-desk-16k.wav", &l), 0);
    struct media_tap t = {
        .tap = {.kind = PLANE_TAP_SOUND, .link = 5, .n = s->rate_hz / 50, .voice = true}};
    for (uint32_t i = 0; i + t.tap.n <= s->n; i += t.tap.n) {
        memcpy(t.pcm, s->sample + i, t.tap.n * sizeof(int16_t));
        assert_true(hearing_tap(w->h, &t));
    }
    t.tap.voice = false;
    assert_true(hearing_tap(w->h, &t));
    mem_free(s);
    await(w, 1);
    expect(w, 0, 1, 7);
}

/* Another rate in the middle, and frames of a strange length. */
static void test_rates(void **state)
{
    struct world *w = *state;
    program(w, "echo sales");
    begin(w, false, 0);
    assert_int_equal(hearing_open(w->h, 5), 0);
    ask(w, 5, 1);
    sound(w, 5, 9000, true);
    struct media_tap t = {.tap = {.kind = PLANE_TAP_SOUND, .link = 5, .n = 320, .voice = true}};
    for (unsigned i = 0; i < 480; i++)
        assert_true(hearing_tap(w->h, &t));
    t.tap.n = 0;
    assert_true(hearing_tap(w->h, &t));
    t.tap.n = PLANE_TAP_SAMPLES + 1;
    assert_true(hearing_tap(w->h, &t));
    t.tap.n = 320;
    t.tap.voice = false;
    assert_true(hearing_tap(w->h, &t));
    await(w, 1);
    expect(w, 0, 1, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_utterance_is_answered_once, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_what_belongs_to_it, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_without_end, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_deaf_and_gone, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_many, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_real_words, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_rates, world_init, world_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
