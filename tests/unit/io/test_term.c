/* A terminal as a screen, on a pseudo terminal of our own. */
#include "io_test.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/mem.h"
#include "io/term.h"

struct world {
    struct loop *loop;
    struct term *term;
    int ours, theirs; /* the terminal's two ends */
    uint32_t keys[64];
    unsigned n, gone;
};

static void on_key(void *ctx, uint32_t key)
{
    struct world *w = ctx;
    if (w->n < ARRAY_LEN(w->keys))
        w->keys[w->n++] = key;
}

static void on_resized(void *ctx)
{
}

static void on_gone(void *ctx)
{
    ((struct world *)ctx)->gone++;
}

static int up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    *state = w;
    w->ours = w->theirs = -1;
    struct winsize size = {.ws_row = 30, .ws_col = 90};
    if (openpty(&w->ours, &w->theirs, NULL, NULL, &size))
        return 0;
    fcntl(w->ours, F_SETFL, O_NONBLOCK);
    return loop_new(&w->loop);
}

static int down(void **state)
{
    struct world *w = *state;
    term_close(w->term);
    if (w->loop)
        loop_settle(w->loop);
    loop_free(w->loop);
    close(w->ours);
    close(w->theirs);
    free(w);
    return mem_live() != 0;
}

static void open_it(struct world *w)
{
    struct term_config cfg = {.in_fd = w->theirs,
                              .out_fd = w->theirs,
                              .key = on_key,
                              .resized = on_resized,
                              .gone = on_gone,
                              .ctx = w};
    if (w->ours < 0)
        skip();
    assert_int_equal(term_open(&w->term, w->loop, &cfg), 0);
}

/* What was sent to the terminal. */
static const char *sent(struct world *w)
{
    static char text[65536];
    size_t n = 0;
    for (ssize_t got; (got = read(w->ours, text + n, sizeof(text) - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = 0;
    return text;
}

static void test_given_back(void **state)
{
    struct world *w = *state;
    struct termios before, now, after;
    unsigned columns, rows;
    assert_int_equal(tcgetattr(w->theirs, &before), 0);
    int flags = fcntl(w->theirs, F_GETFL);
    open_it(w);
    assert_non_null(strstr(sent(w), "\x1b[?1049h"));
    assert_int_equal(tcgetattr(w->theirs, &now), 0);
    assert_int_equal(now.c_lflag & (ICANON | ECHO), 0);
    assert_int_equal(now.c_lflag & ISIG, ISIG);
    term_size(w->term, &columns, &rows);
    assert_int_equal(columns, 90);
    assert_int_equal(rows, 30);
    term_close(w->term);
    w->term = NULL;
    loop_settle(w->loop);
    assert_non_null(strstr(sent(w), "\x1b[?25h\x1b[?1049l"));
    assert_int_equal(tcgetattr(w->theirs, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    assert_int_equal(after.c_iflag, before.c_iflag);
    assert_int_equal(fcntl(w->theirs, F_GETFL), flags);
}

/* A program that crashes leaves no screen of its own behind, and dies of what it died of. */
static void test_crash(void **state)
{
    struct world *w = *state;
    struct termios before, after;
    int status;
    assert_int_equal(tcgetattr(w->theirs, &before), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sigaction as_usual = {.sa_handler = SIG_DFL}; /* cmocka has one of its own */
        (void)sigaction(SIGSEGV, &as_usual, NULL);
        open_it(w);
        (void)raise(SIGSEGV);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_non_null(strstr(sent(w), "\x1b[?25h\x1b[?1049l"));
    assert_int_equal(tcgetattr(w->theirs, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
}

/* Lines that are as they were are not sent again, lines that are gone are cleared. */
static void test_changes(void **state)
{
    struct world *w = *state;
    open_it(w);
    term_show(w->term, STR("one\ntwo\nthree\n"));
    const char *out = sent(w);
    assert_non_null(strstr(out, "\x1b[1;1Hone"));
    assert_non_null(strstr(out, "\x1b[3;1Hthree"));
    term_show(w->term, STR("one\nTWO\nthree\n"));
    out = sent(w);
    assert_null(strstr(out, "one"));
    assert_non_null(strstr(out, "\x1b[2;1HTWO\x1b[0m\x1b[K"));
    term_show(w->term, STR("one\nTWO\nthree\n"));
    assert_string_equal(sent(w), "");
    term_show(w->term, STR("one\n"));
    assert_string_equal(sent(w), "\x1b[2;1H\x1b[0m\x1b[J");
    /* Another size moves everything, also before the signal that tells so. */
    struct winsize size = {.ws_row = 20, .ws_col = 90};
    assert_int_equal(ioctl(w->ours, TIOCSWINSZ, &size), 0);
    term_show(w->term, STR("one\n"));
    assert_string_equal(sent(w), "\x1b[2J\x1b[1;1Hone\x1b[0m\x1b[K");
}

static void test_keys(void **state)
{
    struct world *w = *state;
    open_it(w);
    assert_int_equal(write(w->ours, "a\x1b[A\r\x7f\xed\x95\x9c", 9), 9);
    LOOP_UNTIL(w->loop, w->n == 5);
    const uint32_t wanted[] = {'a', TERM_UP, TERM_ENTER, TERM_BACKSPACE, 0xD55C};
    assert_memory_equal(w->keys, wanted, sizeof(wanted));
    /* An escape alone is one once nothing follows it. */
    w->n = 0;
    assert_int_equal(write(w->ours, "\x1b", 1), 1);
    LOOP_UNTIL(w->loop, w->n == 1);
    assert_int_equal(w->keys[0], TERM_ESCAPE);
}

static void test_gone(void **state)
{
    struct world *w = *state;
    open_it(w);
    close(w->ours);
    w->ours = -1;
    LOOP_UNTIL(w->loop, w->gone);
}

static void test_parse(void **state)
{
    static const struct {
        const char *bytes;
        bool last;
        uint32_t key;
        size_t n;
    } cases[] = {
        {"x", false, 'x', 1},
        {"\n", false, TERM_ENTER, 1},
        {"\b", false, TERM_BACKSPACE, 1},
        {"\x1b[B", false, TERM_DOWN, 3},
        {"\x1bOC", false, TERM_RIGHT, 3},
        {"\x1b[1;5D", false, TERM_LEFT, 6},
        {"\x1b[5~x", false, TERM_PAGE_UP, 4},
        {"\x1b[6~", false, TERM_PAGE_DOWN, 4},
        {"\x1b[H", false, TERM_HOME, 3},
        {"\x1b[4~", false, TERM_END, 4},
        {"\x1b", false, 0, 0},
        {"\x1b[", false, 0, 0},
        {"\x1b[99999999999", false, 0, 0},
        {"\x1b", true, TERM_ESCAPE, 1},
        {"\x1b[", true, TERM_ESCAPE, 2},
        {"\x1bx", false, TERM_ESCAPE, 1},
        {"\x1b[Z", false, 0xFFFD, 3},
        {"\xed\x95", false, 0, 0},
        {"\xed\x95", true, 0xFFFD, 2},
        {"\xff", false, 0xFFFD, 1},
    };
    size_t n;
    /* Control and space; and the same as nobody should send it. */
    assert_int_equal(term_key_parse(str_of("\0q", 2), false, &n), 0xFFFD);
    assert_int_equal(n, 1);
    assert_int_equal(term_key_parse(STR("\xe0\x80\x80q"), false, &n), 0xFFFD);
    assert_int_equal(n, 3);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        n = 77;
        uint32_t key = term_key_parse(str_z(cases[i].bytes), cases[i].last, &n);
        if (key != cases[i].key || n != cases[i].n)
            fail_msg("case %u: key %x of %zu bytes", i, key, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_given_back, up, down),
        cmocka_unit_test_setup_teardown(test_crash, up, down),
        cmocka_unit_test_setup_teardown(test_changes, up, down),
        cmocka_unit_test_setup_teardown(test_keys, up, down),
        cmocka_unit_test_setup_teardown(test_gone, up, down),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
