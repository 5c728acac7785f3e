#include "io_test.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/mem.h"
#include "io/ctl.h"
#include "io/ctl_client.h"

struct world {
    struct loop *loop;
    struct ctl *ctl;
    char dir[64], path[96];
    struct ctl_config cfg;
    unsigned requests;
    size_t longest;
};

/* "N:text" answers N bytes; "none" nothing; everything else is said back. */
static void on_request(void *ctx, struct str line, struct buf *reply)
{
    struct world *w = ctx;
    w->requests++;
    w->longest = line.n > w->longest ? line.n : w->longest;
    if (str_eq(line, STR("none")))
        return;
    if (str_starts(line, STR("big"))) {
        size_t n = (size_t)atol(line.p + 3);
        for (size_t i = 0; i < n; i++)
            buf_ch(reply, 'r');
        return;
    }
    buf_lit(reply, "re:");
    buf_str_put(reply, line);
}

static void world_init(struct world *w, struct ctl_config cfg)
{
    *w = (struct world){.cfg = cfg};
    test_dir_make(w->dir);
    snprintf(w->path, sizeof(w->path), "%s/run/ctl", w->dir);
    w->cfg.path = w->path;
    w->cfg.request = on_request;
    w->cfg.ctx = w;
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(ctl_new(&w->ctl, w->loop, &w->cfg), 0);
}

static void world_done(struct world *w)
{
    ctl_free(w->ctl);
    assert_int_equal(access(w->path, F_OK), -1);
    loop_free(w->loop);
    test_dir_remove(w->dir);
}

static int dial(const struct world *w)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, w->path, sizeof(at.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* Reads until n bytes or the end; a NUL behind them. */
static size_t take(struct world *w, int fd, char *out, size_t n)
{
    size_t got = 0;
    uint64_t until = test_ms() + 10000;
    while (got < n && test_ms() < until) {
        loop_run_once(w->loop, 5);
        ssize_t r = recv(fd, out + got, n - got, 0);
        if (r == 0 || (r < 0 && errno != EAGAIN))
            break;
        got += r > 0 ? (size_t)r : 0;
    }
    out[got] = '\0';
    return got;
}

static void test_lines(void **state)
{
    struct world w;
    world_init(&w, (struct ctl_config){0});
    struct stat st;
    assert_int_equal(stat(w.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    int fd = dial(&w);
    char out[64];
    const char msg[] = "{\"a\":1}\r\n\nnone\nsecond\nthi";
    assert_int_equal(send(fd, msg, sizeof(msg) - 1, 0), sizeof(msg) - 1);
    assert_int_equal(take(&w, fd, out, 21), 21);
    assert_string_equal(out, "re:{\"a\":1}\nre:second\n");
    assert_int_equal(send(fd, "rd\n", 3, 0), 3);
    assert_int_equal(take(&w, fd, out, 9), 9);
    assert_string_equal(out, "re:third\n");
    assert_int_equal(w.requests, 4);
    close(fd);
    world_done(&w);
}

static void test_limits(void **state)
{
    struct world w;
    world_init(&w, (struct ctl_config){.max_clients = 2, .stall_ms = 80});
    static char line[CTL_MAX_LINE + 10], out[256];
    memset(line, 'x', sizeof(line));
    int a = dial(&w), b = dial(&w), c = dial(&w);
    assert_int_equal(take(&w, c, out, 1), 0); /* one client too many */
    /* The longest line that fits, and one byte more. */
    line[CTL_MAX_LINE - 1] = '\n';
    for (size_t at = 0; at < CTL_MAX_LINE;) {
        ssize_t n = send(a, line + at, CTL_MAX_LINE - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        loop_run_once(w.loop, 1);
    }
    LOOP_UNTIL(w.loop, w.requests == 1);
    assert_int_equal(w.longest, CTL_MAX_LINE - 1);
    close(a);
    line[CTL_MAX_LINE - 1] = 'x';
    ssize_t n = 0;
    for (size_t at = 0; at < CTL_MAX_LINE && n >= 0; at += n > 0 ? (size_t)n : 0) {
        n = send(b, line + at, CTL_MAX_LINE - at, MSG_NOSIGNAL);
        n = n < 0 && errno == EAGAIN ? 0 : n;
        loop_run_once(w.loop, 1);
    }
    assert_int_equal(take(&w, b, out, 1), 0);
    assert_int_equal(w.requests, 1);
    /* Half a line ends a client after a while. */
    int d = dial(&w);
    assert_int_equal(send(d, "half", 4, 0), 4);
    uint64_t begun = test_ms();
    assert_int_equal(take(&w, d, out, 1), 0);
    assert_in_range(test_ms() - begun, 80, 5000);
    close(b);
    close(c);
    close(d);
    world_done(&w);
}

/* A reply larger than the socket's buffer arrives whole; its sender waits for nobody. */
static void test_big_replies(void **state)
{
    struct world w;
    world_init(&w, (struct ctl_config){0});
    int fd = dial(&w);
    static char out[CTL_MAX_REPLY + 16];
    assert_int_equal(send(fd, "big3000000\nafter\n", 17, 0), 17);
    for (unsigned i = 0; i < 20; i++)
        loop_run_once(w.loop, 1);
    assert_int_equal(w.requests, 1); /* the second waits until the first is read */
    assert_int_equal(take(&w, fd, out, 3000001 + 9), 3000001 + 9);
    assert_string_equal(out + 2999999, "r\nre:after\n");
    assert_int_equal(send(fd, "big5000000\n", 11, 0), 11);
    assert_true(take(&w, fd, out, 40) == 40);
    assert_non_null(strstr(out, "\"error\""));
    close(fd);
    world_done(&w);
}

static void test_slow_reader(void **state)
{
    struct world w;
    world_init(&w, (struct ctl_config){.stall_ms = 60});
    int fd = dial(&w);
    uint64_t live = mem_live();
    assert_int_equal(send(fd, "big4000000\n", 11, 0), 11);
    LOOP_UNTIL(w.loop, w.requests == 1 && mem_live() == live);
    close(fd);
    world_done(&w);
}

static void test_stale_socket(void **state)
{
    struct world w;
    world_init(&w, (struct ctl_config){0});
    struct ctl *second = NULL;
    assert_int_equal(ctl_new(&second, w.loop, &w.cfg), -EADDRINUSE);
    assert_null(second);
    ctl_free(w.ctl);
    /* What a killed process leaves: a file with nobody behind it. */
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, w.path, sizeof(at.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
    assert_int_equal(ctl_new(&w.ctl, w.loop, &w.cfg), 0);
    ctl_free(w.ctl);
    /* A file that is no socket is not ours to remove. */
    FILE *f = fopen(w.path, "w");
    fclose(f);
    assert_int_equal(ctl_new(&w.ctl, w.loop, &w.cfg), -EEXIST);
    unlink(w.path);
    assert_int_equal(ctl_new(&w.ctl, w.loop, &w.cfg), 0);
    world_done(&w);
}

struct asking {
    const char *path, *line;
    char *reply;
    size_t n;
    int err;
    _Atomic bool over;
};

static void *ask(void *arg)
{
    struct asking *a = arg;
    a->err = ctl_client_ask(a->path, str_z(a->line), 5000, &a->reply, &a->n);
    a->over = true;
    return NULL;
}

static void test_client(void **state)
{
    struct world w;
    world_init(&w, (struct ctl_config){0});
    static const char *const lines[] = {"hello", "big2000000"};
    for (unsigned i = 0; i < 2; i++) {
        struct asking a = {.path = w.path, .line = lines[i]};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
        LOOP_UNTIL(w.loop, a.over);
        pthread_join(thread, NULL);
        assert_int_equal(a.err, 0);
        assert_int_equal(a.n, i ? 2000000 : 8);
        assert_int_equal(a.reply[a.n], 0);
        if (i == 0)
            assert_string_equal(a.reply, "re:hello");
        mem_free(a.reply);
    }
    char *reply = NULL;
    size_t n = 0;
    /* Nobody turns the loop: the connection stands, and no answer comes. */
    assert_int_equal(ctl_client_ask(w.path, STR("x"), 30, &reply, &n), -ETIMEDOUT);
    assert_int_equal(ctl_client_ask("/tmp/rd-io-nobody", STR("x"), 30, &reply, &n), -ENOENT);
    assert_null(reply);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_big_replies),  cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_stale_socket), cmocka_unit_test(test_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
