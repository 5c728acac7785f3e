/* Text to a sound file, with the real program and with ones that misbehave. */
#include "io_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/sndread.h"
#include "io/speech.h"

struct world {
    char dir[64], out[96], program[96], note[SPEECH_NOTE_MAX];
    struct speech_request q;
};

static int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->out, sizeof(w->out), "%s/a.wav", w->dir);
    snprintf(w->program, sizeof(w->program), "%s/program", w->dir);
    w->q = (struct speech_request){
        .lang = SPEECH_EN, .text = STR("Good morning."), .path = w->out, .cancel_fd = -1};
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

/* A program in place of espeak-ng: $7 is the file that it is to write. */
static void program(struct world *w, const char *body)
{
    FILE *f = fopen(w->program, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", body);
    fclose(f);
    assert_int_equal(chmod(w->program, 0755), 0);
    w->q.program = w->program;
}

/* How many files there are besides the program. */
static int files(struct world *w)
{
    char command[160], line[16] = "";
    snprintf(command, sizeof(command), "ls -A %s | grep -cv '^program$'", w->dir);
    FILE *p = popen(command, "r");
    assert_non_null(fgets(line, sizeof(line), p));
    pclose(p);
    return (int)strtol(line, NULL, 10);
}

static uint32_t spoken_ms(struct world *w)
{
    const struct sndread_limits l = {60, 16 << 20};
    struct sound *s = NULL;
    assert_int_equal(sndread_load(&s, w->out, &l), 0);
    uint32_t ms = (uint32_t)((uint64_t)s->n * 1000 / s->rate_hz), loud = 0;
    for (uint32_t i = 0; i < s->n; i++)
        loud += s->sample[i] > 1000;
    assert_true(loud > s->n / 100);
    mem_free(s);
    return ms;
}

static void test_speaks(void **state)
{
    struct world *w = *state;
    assert_int_equal(speech_say(&w->q, w->note), 0);
    assert_string_equal(w->note, "");
    uint32_t english = spoken_ms(w);
    assert_true(english > 300 && english < 5000);
    assert_int_equal(files(w), 1);
    w->q.lang = SPEECH_KO;
    w->q.text = STR("안녕하세요. 지금은 전화를 받을 수 없습니다. 삐 소리가 난 뒤에 말씀해 주세요.");
    assert_int_equal(speech_say(&w->q, w->note), 0); /* in place of the other */
    assert_true(spoken_ms(w) > english);
    assert_int_equal(files(w), 1);
}

/* Text is never an option, nor anything of a shell's. */
static void test_text_is_text(void **state)
{
    struct world *w = *state;
    char longest[SPEECH_TEXT_MAX + 1];
    w->q.text = STR("--version");
    assert_int_equal(speech_say(&w->q, w->note), 0);
    assert_true(spoken_ms(w) > 300);
    program(w, "printf '%s|' \"$@\" > \"${0%/*}/args\"");
    w->q.text = STR("$(id) `id` \"; rm -rf '");
    assert_int_equal(speech_say(&w->q, w->note), -EPROTO);
    char got[512] = "", want[512];
    char path[96];
    snprintf(path, sizeof(path), "%s/args", w->dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(got, 1, sizeof(got) - 1, f) > 0);
    fclose(f);
    snprintf(want, sizeof(want), "-v|en|-s|150|-w|%s.%ld.tmp|--|$(id) `id` \"; rm -rf '|", w->out,
             (long)getpid());
    assert_string_equal(got, want);
    memset(longest, 'a', sizeof(longest));
    w->q.text = str_of(longest, sizeof(longest));
    assert_int_equal(speech_say(&w->q, w->note), -EINVAL);
    w->q.text = STR("");
    assert_int_equal(speech_say(&w->q, w->note), -EINVAL);
    w->q.text = STR("a\0b");
    assert_int_equal(speech_say(&w->q, w->note), -EINVAL);
}

/* Whatever it does, what was there before stays and nothing half made is left. */
static void test_programs_that_fail(void **state)
{
    struct world *w = *state;
    assert_int_equal(speech_say(&w->q, w->note), 0);
    uint32_t ms = spoken_ms(w);
    static const char *const body[] = {
        "exit 1",
        "exit 0",
        "cp \"${0%/*}/a.wav\" \"$6\"; exit 3",
        "echo this is no sound > \"$6\"",
        "head -c 44 \"${0%/*}/a.wav\" > \"$6\"",
        "kill -SEGV $$",
    };
    for (size_t i = 0; i < ARRAY_LEN(body); i++) {
        program(w, body[i]);
        int err = speech_say(&w->q, w->note);
        if (err != -EPROTO)
            fail_msg("%s: %d", body[i], err);
        assert_non_null(strstr(w->note, "made no sound file"));
        assert_int_equal(files(w), 1);
    }
    w->q.program = "ringdown-no-such-program";
    assert_int_equal(speech_say(&w->q, w->note), -ENOENT);
    assert_string_equal(w->note, "ringdown-no-such-program cannot speak: it is not installed");
    assert_int_equal(chmod(w->program, 0644), 0);
    w->q.program = w->program;
    assert_int_equal(speech_say(&w->q, w->note), -EACCES);
    assert_int_equal(spoken_ms(w), ms);
    program(w, "cp \"${0%/*}/a.wav\" \"$6\"");
    assert_int_equal(speech_say(&w->q, w->note), 0);
    w->q.path = "/nonexistent/a.wav";
    assert_int_equal(speech_say(&w->q, w->note), -EPROTO);
}

/* Killed with all that it started. */
static void test_program_that_hangs(void **state)
{
    struct world *w = *state;
    char path[96], pid[32] = "";
    program(w, "trap '' TERM INT HUP\nsleep 1000 &\necho $! > \"${0%/*}/pid\"\nwait");
    w->q.timeout_ms = 300;
    uint64_t begun = test_ms();
    assert_int_equal(speech_say(&w->q, w->note), -ETIMEDOUT);
    assert_true(test_ms() - begun >= 300 && test_ms() - begun < 5000);
    assert_non_null(strstr(w->note, "took too long"));
    snprintf(path, sizeof(path), "%s/pid", w->dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(pid, sizeof(pid), f));
    fclose(f);
    pid_t child = (pid_t)strtol(pid, NULL, 10);
    assert_true(child > 1);
    /* Its parent is gone, so it is a stranger's to bury, who may take a moment. */
    char stat_path[64], line[256];
    snprintf(stat_path, sizeof(stat_path), "/proc/%ld/stat", (long)child);
    for (begun = test_ms();;) {
        f = fopen(stat_path, "r");
        bool runs = f && fgets(line, sizeof(line), f) && !strstr(line, ") Z ");
        if (f)
            fclose(f);
        if (!runs)
            break;
        assert_true(test_ms() - begun < 5000);
    }
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    int fds[2];
    program(w, "sleep 1000");
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    w->q.cancel_fd = fds[0];
    uint64_t begun = test_ms();
    assert_int_equal(speech_say(&w->q, w->note), -ECANCELED);
    assert_true(test_ms() - begun < 5000);
    close(fds[0]);
    close(fds[1]);
}

/* Neither our descriptors nor our blocked signals reach the program. */
static void test_program_gets_nothing_of_ours(void **state)
{
    struct world *w = *state;
    char path[96], got[1024] = "";
    int fd = open("/dev/null", O_RDONLY); /* would be inherited */
    sigset_t all, was;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &was);
    program(w, "{ ls /proc/$$/fd; grep SigBlk /proc/self/status; env; } > \"${0%/*}/seen\"");
    setenv("RINGDOWN_SECRET", "x", 1);
    assert_int_equal(speech_say(&w->q, w->note), -EPROTO);
    unsetenv("RINGDOWN_SECRET");
    sigprocmask(SIG_SETMASK, &was, NULL);
    close(fd);
    snprintf(path, sizeof(path), "%s/seen", w->dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(got, 1, sizeof(got) - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(got, "LANG=C.UTF-8"));
    assert_non_null(strstr(got, "SigBlk:\t0000000000000000"));
    assert_null(strstr(got, "SECRET"));
    char number[16];
    snprintf(number, sizeof(number), "\n%d\n", fd);
    assert_null(strstr(got, number));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_init, world_done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_speaks),
        TEST(test_text_is_text),
        TEST(test_programs_that_fail),
        TEST(test_program_that_hangs),
        TEST(test_cancel),
        TEST(test_program_gets_nothing_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
