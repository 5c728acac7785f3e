/* Phrases in sound: with the real program, where it is installed, and with ones that misbehave. */
#include "io_test.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "base/buf.h"
#include "io/ears.h"
#include "io/sndread.h"

static const struct botlink_phrase phrases[] = {
    {STR_INIT("Sales"), 0},          {STR_INIT("support"), 1},   {STR_INIT("the front desk"), 2},
    {STR_INIT("front desk"), 2},     {STR_INIT("operator!"), 3}, {STR_INIT("workshop"), 4},
    {STR_INIT("leave a message"), 5}};

struct world {
    char dir[64], program[96];
    struct sound *sound;
    struct ears_request q;
};

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->program, sizeof(w->program), "%s/program", w->dir);
    w->q = (struct ears_request){
        .phrase = phrases, .n_phrases = ARRAY_LEN(phrases), .timeout_ms = 20000, .cancel_fd = -1};
    *state = w;
    return 0;
}

static int world_done(void **state)
{
    struct world *w = *state;
    mem_free(w->sound);
    test_dir_remove(w->dir);
    free(w);
    return mem_live() != 0;
}

static void load(struct world *w, const char *name)
{
    const struct sndread_limits l = {60, 16 << 20};
    char path[256];
    snprintf(path, sizeof(path), "%s/ears/%s.wav", TEST_DATA, name);
    mem_free(w->sound);
    w->sound = NULL;
    assert_int_equal(sndread_load(&w->sound, path, &l), 0);
    w->q.sample = w->sound->sample;
    w->q.n = w->sound->n;
    w->q.rate_hz = w->sound->rate_hz;
}

static int heard(struct world *w, const char *name)
{
    int at = 99;
    load(w, name);
    assert_int_equal(ears_listen(&w->q, &at), 0);
    return at;
}

/* In place of pocketsphinx. */
static void program(struct world *w, const char *body)
{
    FILE *f = fopen(w->program, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    assert_int_equal(chmod(w->program, 0755), 0);
    w->q.program = w->program;
}

static bool is_installed(struct world *w)
{
    bool there = ears_installed(&w->q) == 0;
    if (!there)
        print_message("SKIPPED: pocketsphinx and pocketsphinx-en-us are not installed\n");
    return there;
}

static void test_words(void **state)
{
    struct world *w = *state;
    if (!is_installed(w))
        skip();
    assert_int_equal(heard(w, "front-desk-16k"), 3);
    assert_int_equal(heard(w, "front-desk-8k"), 3);
    assert_int_equal(heard(w, "leave-a-message-8k"), 6);
    assert_int_equal(heard(w, "operator-8k"), 4);
    assert_int_equal(heard(w, "banana-8k"), -1); /* and not the phrase that is least unlike it */
}

static void test_silence_is_no_match(void **state)
{
    struct world *w = *state;
    static int16_t zero[16000];
    int at = 99;
    if (!is_installed(w))
        skip();
    w->q.sample = zero;
    w->q.n = ARRAY_LEN(zero);
    w->q.rate_hz = 8000;
    assert_int_equal(ears_listen(&w->q, &at), 0);
    assert_int_equal(at, -1);
}

/* A small dictionary of ours, so that this needs nothing installed. */
static void dictionary(struct world *w, char path[96], const char *text)
{
    snprintf(path, 96, "%s/dict", w->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    w->q.dictionary = path;
}

#define SMALL                                                                                      \
    "a AH\na(2) EY\ndesk D EH S K\nfront F R AH N T\nleave L IY V\nmessage M EH S AH JH\n"         \
    "operator AA P ER EY T ER\nsales S EY L Z\nsalesman S EY L Z M AE N\nsupport S AH P AO R T\n"  \
    "the DH AH\n"

/* Both the program and its words. */
static void test_what_is_installed(void **state)
{
    struct world *w = *state;
    char path[96];
    dictionary(w, path, SMALL);
    program(w, "exit 0");
    assert_int_equal(ears_installed(&w->q), 0);
    w->q.dictionary = "/nonexistent";
    assert_int_equal(ears_installed(&w->q), -ENOENT);
    w->q.dictionary = path;
    w->q.program = "ringdown-no-such-program";
    assert_int_equal(ears_installed(&w->q), -ENOENT);
}

/* What the program is given: no more than asked for, and nothing that a phrase could smuggle in. */
static void test_grammar(void **state)
{
    struct world *w = *state;
    static const struct botlink_phrase odd[] = {{STR_INIT("sales;\npublic <x> = operator"), 0},
                                                {STR_INIT(" SALES - support "), 1},
                                                {STR_INIT("workshop"), 2},
                                                {STR_INIT(""), 3}};
    char path[96], got[8192] = "", file[96];
    int at = 99;
    dictionary(w, path, SMALL);
    load(w, "sales-8k");
    program(w, "d=${0%/*}; [ \"$1 $2 $3 $4 $5 $6\" = '-infile /proc/self/fd/3 -jsgf "
               "/proc/self/fd/4 -dict /proc/self/fd/5' ] || exit 1\n"
               "cat <&4 /proc/self/fd/4 /proc/self/fd/5 > $d/seen\nwc -c < /proc/self/fd/3 >> "
               "$d/seen\nls /proc/self/fd | tr '\\n' ' ' >> $d/seen\necho sales support");
    w->q.phrase = odd;
    w->q.n_phrases = ARRAY_LEN(odd);
    assert_int_equal(ears_listen(&w->q, &at), 0);
    assert_int_equal(at, 1);
    snprintf(file, sizeof(file), "%s/seen", w->dir);
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    assert_true(fread(got, 1, sizeof(got) - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(got, "public <all> = /1/ ( sales support ) | "));
    assert_null(strstr(got, "operator"));
    assert_null(strstr(got, "salesman"));
    assert_non_null(strstr(got, "\nsales S EY L Z\nsupport S AH P AO R T\n_AA AA\n"));
    char size[32];
    /* Twice the rate, 0.9 s around it, two bytes each. */
    snprintf(size, sizeof(size), "\n%u\n", (w->q.n * 2 + 14400) * 2);
    assert_non_null(strstr(got, size));
    w->q.n_phrases = 1;
    assert_int_equal(ears_listen(&w->q, &at), -EINVAL);
    w->q.phrase = odd + 2;
    assert_int_equal(ears_listen(&w->q, &at), -EINVAL); /* not in the dictionary */
}

struct lacking {
    char text[512];
    struct buf b;
};

static void note_lack(void *ctx, unsigned phrase, const char *word)
{
    struct lacking *l = ctx;
    buf_printf(&l->b, "%u %s;", phrase, word);
}

static void test_words_that_are_missing(void **state)
{
    struct world *w = *state;
    static const struct botlink_phrase odd[] = {
        {STR_INIT("sales"), 0},
        {STR_INIT("the workshop and sales"), 1},
        {STR_INIT("Front-Desk!"), 2},
        {STR_INIT("sales 2"), 3},
        {STR_INIT(""), 4},
        {STR_INIT("salesmen"), 5},
    };
    struct lacking l = {0};
    char path[96];
    buf_init(&l.b, l.text, sizeof(l.text));
    dictionary(w, path, SMALL);
    w->q.phrase = odd;
    w->q.n_phrases = ARRAY_LEN(odd);
    assert_int_equal(ears_check(&w->q, note_lack, &l), 0);
    l.text[l.b.n] = '\0';
    assert_string_equal(l.text, "1 workshop;3 ;4 ;5 salesmen;");
    w->q.dictionary = "/nonexistent";
    assert_int_equal(ears_check(&w->q, note_lack, &l), -ENOENT);
}

static void test_answers(void **state)
{
    static const struct {
        const char *says;
        int at;
    } rows[] = {
        {"echo support", 1},
        {"echo; echo support; echo", 1},
        {"echo support; echo support", 1},
        {"echo support; echo sales", -1},
        {"echo _AA _B; echo sales", 0},
        {"echo salesman", -1},
        {"echo sales support", -1},
        {"printf support", 1},
        {":", -1},
        {"head -c 100000 /dev/zero", -1},
    };
    struct world *w = *state;
    char path[96];
    dictionary(w, path, SMALL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        program(w, rows[i].says);
        int at = heard(w, "sales-8k");
        if (at != rows[i].at)
            fail_msg("%s: %d", rows[i].says, at);
    }
}

static void test_programs_that_fail(void **state)
{
    struct world *w = *state;
    char path[96];
    int at = 99;
    dictionary(w, path, SMALL);
    load(w, "sales-8k");
    program(w, "echo sales; exit 1");
    assert_int_equal(ears_listen(&w->q, &at), -EPROTO);
    program(w, "sleep 1000");
    w->q.timeout_ms = 200;
    assert_int_equal(ears_listen(&w->q, &at), -ETIMEDOUT);
    w->q.program = "/nonexistent/program";
    assert_int_equal(ears_listen(&w->q, &at), -ENOENT);
    w->q.program = w->program;
    w->q.dictionary = "/nonexistent";
    assert_int_equal(ears_listen(&w->q, &at), -ENOENT);
    w->q.rate_hz = 44100;
    assert_int_equal(ears_listen(&w->q, &at), -EINVAL);
    assert_int_equal(at, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_silence_is_no_match, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_what_is_installed, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_grammar, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_words_that_are_missing, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_answers, world_init, world_done),
        cmocka_unit_test_setup_teardown(test_programs_that_fail, world_init, world_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
