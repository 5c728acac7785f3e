#include "io_test.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "io/entropy.h"
#include "io/fs.h"
#include "io/logsink.h"

struct world {
    struct loop *loop;
    struct trace trace;
    struct logsink sink;
    char dir[64], path[96];
};

static void world_init(struct world *w, enum logsink_format format)
{
    memset(w, 0, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->path, sizeof(w->path), "%s/ringdown.log", w->dir);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(trace_init(&w->trace, 8192, 4), 0);
    assert_int_equal(logsink_init(&w->sink, format, w->path), 0);
    w->trace.now = loop_now(w->loop);
}

static void world_done(struct world *w)
{
    logsink_done(&w->sink);
    trace_done(&w->trace);
    loop_free(w->loop);
    test_dir_remove(w->dir);
}

static char *content(const char *path)
{
    char *p;
    size_t n;
    assert_int_equal(fs_read(path, 1 << 20, &p, &n), 0);
    return p;
}

/* What fail2ban's filter matches, to the byte. */
static void test_fixed_lines(void **state)
{
    char mem[512];
    struct buf b;
    struct trace_rec r = {.id = TRACE_AUTH_FAILED, .n = 5};
    r.arg[0] = TS(STR("192.0.2.7:5060"));
    r.arg[1] = TS(STR("udp"));
    r.arg[2] = TS(STR("REGISTER"));
    r.arg[3] = TS(STR("1001"));
    r.arg[4] = TS(STR("bad_password"));
    buf_init(&b, mem, sizeof(mem));
    logsink_line(&b, &r, 1795217249123456);
    buf_ch(&b, '\0');
    assert_string_equal(mem, "2026-11-20T23:27:29.123Z NOTICE sec auth_failed "
                             "src=192.0.2.7:5060 transport=udp method=REGISTER user=\"1001\" "
                             "reason=bad_password\n");
    /* Nobody writes log lines of his own by the choice of a user name. */
    r.arg[3] = TS(STR("x\" reason=ok\n2026 NOTICE sec ban src=198.51.100.1\\"));
    buf_init(&b, mem, sizeof(mem));
    logsink_line(&b, &r, 1795217249123456);
    buf_ch(&b, '\0');
    assert_non_null(strstr(mem, "user=\"x\\\" reason=ok?2026 NOTICE sec ban "
                                "src=198.51.100.1\\\\\" reason=bad_password\n"));
    r = (struct trace_rec){.id = TRACE_BANNED, .n = 3};
    r.arg[0] = TS(STR("192.0.2.7"));
    r.arg[1] = TU(600);
    r.arg[2] = TU(5);
    buf_init(&b, mem, sizeof(mem));
    logsink_line(&b, &r, 0);
    buf_ch(&b, '\0');
    assert_string_equal(mem, "1970-01-01T00:00:00.000Z NOTICE sec ban src=192.0.2.7 seconds=600 "
                             "failures=5\n");
}

static void test_file(void **state)
{
    struct world w;
    world_init(&w, LOGSINK_TEXT);
    trace_emit(&w.trace, TRACE_START, 0, TS(STR("0.1.0")), TS(STR("udp:127.0.0.1:5060")));
    trace_emit(&w.trace, TRACE_STOP, 0, TS(STR("asked to")));
    logsink_drain(&w.sink, &w.trace, w.loop);
    char *p = content(w.path);
    assert_non_null(strstr(p, "Z NOTICE app ringdown 0.1.0 serves udp:127.0.0.1:5060\n"));
    assert_non_null(strstr(p, "Z NOTICE app stopping: asked to\n"));
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    char year[8];
    strftime(year, sizeof(year), "%Y-", &tm);
    assert_int_equal(strncmp(p, year, 5), 0);
    mem_free(p);
    world_done(&w);
}

/* Rotation: lines go on into the renamed file until it is told, then into the new one. */
static void test_reopen(void **state)
{
    struct world w;
    world_init(&w, LOGSINK_TEXT);
    char old[128];
    snprintf(old, sizeof(old), "%s.1", w.path);
    assert_int_equal(rename(w.path, old), 0);
    trace_emit(&w.trace, TRACE_STOP, 0, TS(STR("one")));
    logsink_drain(&w.sink, &w.trace, w.loop);
    assert_int_equal(logsink_reopen(&w.sink), 0);
    trace_emit(&w.trace, TRACE_STOP, 0, TS(STR("two")));
    logsink_drain(&w.sink, &w.trace, w.loop);
    char *a = content(old), *b = content(w.path);
    assert_non_null(strstr(a, "one"));
    assert_null(strstr(a, "two"));
    assert_non_null(strstr(b, "two"));
    mem_free(a);
    mem_free(b);
    world_done(&w);
}

static void test_json(void **state)
{
    struct world w;
    world_init(&w, LOGSINK_JSON);
    trace_emit(&w.trace, TRACE_AUTH_FAILED, 0, TS(STR("192.0.2.7:5060")), TS(STR("udp")),
               TS(STR("REGISTER")), TS(STR("a\"b\n")), TS(STR("stale")));
    logsink_drain(&w.sink, &w.trace, w.loop);
    char *p = content(w.path);
    assert_non_null(strstr(p, "\"event\":\"AUTH_FAILED\""));
    assert_non_null(strstr(p, "\"user\":\"a\\\"b\\u000a\""));
    assert_int_equal(p[strlen(p) - 1], '\n');
    assert_ptr_equal(strchr(p, '\n'), p + strlen(p) - 1);
    mem_free(p);
    world_done(&w);
}

/* More than the ring holds: the loss is counted in a line of its own. More than the buffer holds:
 * nothing is lost. */
static void test_dropped(void **state)
{
    struct world w;
    world_init(&w, LOGSINK_TEXT);
    for (unsigned i = 0; i < 1000; i++)
        trace_emit(&w.trace, TRACE_STOP, 0, TS(STR("many")));
    uint64_t dropped = w.trace.dropped;
    assert_true(dropped > 0);
    logsink_drain(&w.sink, &w.trace, w.loop);
    logsink_drain(&w.sink, &w.trace, w.loop);
    char expected[64], *p = content(w.path);
    snprintf(expected, sizeof(expected), "%llu log records were dropped\n",
             (unsigned long long)dropped);
    size_t n = strlen(p), tail = strlen(expected);
    assert_true(n > tail);
    assert_string_equal(p + n - tail, expected);
    unsigned lines = 0;
    for (size_t i = 0; p[i]; i++)
        lines += p[i] == '\n';
    assert_int_equal(lines, 1000 - dropped + 1);
    assert_int_equal(w.sink.lost, 0);
    mem_free(p);
    world_done(&w);
}

/* A pipe that nobody reads: lines are lost and counted, and nothing waits. */
static void test_full_pipe(void **state)
{
    struct world w;
    world_init(&w, LOGSINK_TEXT);
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    int file = w.sink.fd;
    w.sink.fd = fd[1];
    w.sink.regular = false;
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 40; i++)
            trace_emit(&w.trace, TRACE_STOP, 0, TS(STR("nobody reads this line")));
        logsink_drain(&w.sink, &w.trace, w.loop);
    }
    assert_true(w.sink.lost > 0);
    char first[64];
    assert_int_equal(read(fd[0], first, sizeof(first)), sizeof(first));
    assert_non_null(memmem(first, sizeof(first), "stopping: nobody", 16));
    w.sink.fd = file;
    close(fd[0]);
    close(fd[1]);
    world_done(&w);
}

static void test_fs(void **state)
{
    char dir[64], path[128], *p = NULL;
    size_t n = 0;
    test_dir_make(dir);
    snprintf(path, sizeof(path), "%s/a/b/c.yaml", dir);
    assert_int_equal(fs_write(path, STR("x")), -ENOENT);
    assert_int_equal(fs_mkdirs_for(path), 0);
    assert_int_equal(fs_mkdirs_for(path), 0);
    assert_int_equal(fs_write(path, STR("first")), 0);
    assert_int_equal(fs_write(path, STR("second one")), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fs_read(path, 100, &p, &n), 0);
    assert_string_equal(p, "second one");
    assert_int_equal(n, 10);
    mem_free(p);
    assert_int_equal(fs_read(path, 9, &p, &n), -EFBIG);
    assert_int_equal(fs_read(dir, 100, &p, &n), -EISDIR);
    assert_int_equal(fs_read("/nowhere/at/all", 100, &p, &n), -ENOENT);
    char below[160];
    snprintf(below, sizeof(below), "%s/d", path);
    assert_int_equal(fs_mkdirs(below), -ENOTDIR);
    test_dir_remove(dir);
}

static void test_entropy(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(entropy_get(a, sizeof(a)), 0);
    assert_int_equal(entropy_get(b, sizeof(b)), 0);
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_lines), cmocka_unit_test(test_file),
        cmocka_unit_test(test_reopen),      cmocka_unit_test(test_json),
        cmocka_unit_test(test_dropped),     cmocka_unit_test(test_full_pipe),
        cmocka_unit_test(test_fs),          cmocka_unit_test(test_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
