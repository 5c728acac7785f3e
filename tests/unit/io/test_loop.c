#include "io_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    unsigned ticks, turns, ready, fired, woken;
    int signum;
    usec_t tick_at, turn_at, ready_at;
    usec_t again; /* the next deadline to set from tick, or 0 */
    unsigned stop_after;
};

static void on_tick(void *ctx, usec_t now)
{
    struct seen *s = ctx;
    s->ticks++;
    s->tick_at = now;
    if (s->again)
        loop_deadline_set(s->loop, now + s->again);
    if (s->ticks == s->stop_after)
        loop_stop(s->loop);
}

static void on_turn(void *ctx, usec_t now)
{
    struct seen *s = ctx;
    s->turns++;
    s->turn_at = now;
}

static void on_signal(void *ctx, int signum)
{
    struct seen *s = ctx;
    s->signum = signum;
}

static void setup(struct seen *s)
{
    *s = (struct seen){0};
    assert_int_equal(loop_new(&s->loop), 0);
    struct loop_hooks hooks = {on_tick, on_turn, on_signal, s};
    loop_hooks_set(s->loop, &hooks);
}

static void test_deadline(void **state)
{
    struct seen s;
    setup(&s);
    usec_t begun = loop_now(s.loop), due = begun + 30 * USEC_MS;
    loop_deadline_set(s.loop, due);
    LOOP_UNTIL(s.loop, s.ticks == 1);
    assert_true(s.tick_at >= due);
    assert_true(s.tick_at < due + USEC_S);
    /* Cleared before the call: it does not come twice. */
    loop_run_once(s.loop, 1);
    loop_run_once(s.loop, 1);
    assert_int_equal(s.ticks, 1);
    /* Moved away before it came. */
    loop_deadline_set(s.loop, loop_now(s.loop) + 5 * USEC_MS);
    loop_run_once(s.loop, 0);
    loop_deadline_set(s.loop, USEC_NEVER);
    uint64_t until = test_ms() + 20;
    while (test_ms() < until)
        loop_run_once(s.loop, 2);
    assert_int_equal(s.ticks, 1);
    loop_free(s.loop);
}

/* loop_run() with a chain of deadlines: each is kept, none early. */
static void test_run_and_stop(void **state)
{
    struct seen s;
    setup(&s);
    s.again = 3 * USEC_MS;
    s.stop_after = 10;
    usec_t begun = loop_now(s.loop);
    loop_deadline_set(s.loop, begun + s.again);
    loop_run(s.loop);
    assert_int_equal(s.ticks, 10);
    assert_true(s.tick_at - begun >= 10 * s.again);
    assert_true(s.turns >= 10);
    assert_true(s.turns < 60); /* it waits; it does not spin */
    loop_free(s.loop);
}

struct pipe_watch {
    struct loop_watch watch;
    struct seen *seen;
    int fd, extra;
    bool closed;
};

static void on_pipe(struct loop_watch *w, unsigned events)
{
    struct pipe_watch *p = container_of(w, struct pipe_watch, watch);
    char c;
    p->seen->ready++;
    p->seen->ready_at = loop_now(w->loop);
    assert_true(events & LOOP_READ);
    assert_int_equal(read(p->fd, &c, 1), 1);
}

static void on_pipe_closed(struct loop_watch *w)
{
    container_of(w, struct pipe_watch, watch)->closed = true;
}

static void test_watch(void **state)
{
    struct seen s;
    setup(&s);
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    struct pipe_watch p = {.seen = &s, .fd = fd[0]};
    p.watch.ready = on_pipe;
    p.watch.closed = on_pipe_closed;
    assert_int_equal(loop_watch_open(s.loop, &p.watch, fd[0], LOOP_READ), 0);
    assert_int_equal(write(fd[1], "ab", 2), 2);
    LOOP_UNTIL(s.loop, s.ready == 2); /* level-triggered */
    /* One reading of the clock a turn. */
    assert_true(s.ready_at <= s.turn_at);
    loop_watch_set(&p.watch, 0);
    assert_int_equal(write(fd[1], "c", 1), 1);
    loop_run_once(s.loop, 5);
    assert_int_equal(s.ready, 2);
    loop_watch_set(&p.watch, LOOP_READ);
    LOOP_UNTIL(s.loop, s.ready == 3);
    loop_watch_close(&p.watch);
    assert_false(p.closed);
    close(fd[0]);
    close(fd[1]);
    loop_settle(s.loop);
    assert_true(p.closed);
    loop_free(s.loop);
}

static void test_signal(void **state)
{
    struct seen s;
    setup(&s);
    assert_int_equal(loop_signals_catch(s.loop), 0);
    static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
    for (unsigned i = 0; i < 3; i++) {
        raise(signals[i]);
        LOOP_UNTIL(s.loop, s.signum == signals[i]);
    }
    loop_free(s.loop);
    raise(SIGHUP); /* one that comes late ends nothing */
    signal(SIGHUP, SIG_DFL);
}

struct bell {
    struct loop_async async;
    struct loop_timer timer;
    unsigned rung, fired;
};

static void on_bell(struct loop_async *a)
{
    container_of(a, struct bell, async)->rung++;
}

static void on_fire(struct loop_timer *t)
{
    container_of(t, struct bell, timer)->fired++;
}

static void *ring(void *arg)
{
    loop_async_wake(&((struct bell *)arg)->async);
    return NULL;
}

static void test_async_and_timer(void **state)
{
    struct seen s;
    setup(&s);
    struct bell b = {.async = {.wake = on_bell}, .timer = {.fire = on_fire}};
    assert_int_equal(loop_async_open(s.loop, &b.async), 0);
    loop_timer_open(s.loop, &b.timer);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ring, &b), 0);
    LOOP_UNTIL(s.loop, b.rung == 1);
    pthread_join(thread, NULL);
    loop_timer_start(&b.timer, 1, 1);
    LOOP_UNTIL(s.loop, b.fired >= 3);
    loop_timer_stop(&b.timer);
    loop_timer_close(&b.timer);
    loop_async_close(&b.async);
    loop_settle(s.loop);
    loop_free(s.loop);
}

static void test_wall(void **state)
{
    struct seen s;
    setup(&s);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    uint64_t real = (uint64_t)ts.tv_sec * USEC_S + (uint64_t)ts.tv_nsec / 1000;
    uint64_t wall = loop_wall_us(s.loop, loop_now(s.loop));
    assert_true(wall >= real ? wall - real < USEC_S : real - wall < USEC_S);
    assert_int_equal(loop_wall_us(s.loop, loop_now(s.loop) + 5) - wall, 5);
    loop_free(s.loop);
}

/* ---- time that jumps ------------------------------------------------------------------------- */

static uint64_t step_ns, skipped_ns;

/* In place of the C library's, for libuv as well: a thread may be kept from running between any two
 * looks at the clock. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int err = (int)syscall(SYS_clock_gettime, clock, ret);
    if (err || !step_ns)
        return err;
    skipped_ns += step_ns;
    uint64_t ns = (uint64_t)ret->tv_nsec + skipped_ns;
    ret->tv_sec += (time_t)(ns / 1000000000);
    ret->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

/* Though its time is over before it begins to wait, it comes back. */
static void test_once_ends_when_late(void **state)
{
    struct loop *loop;
    struct timespec before, after;
    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    step_ns = 20000000;
    alarm(5); /* who waits for ever is ended */
    for (unsigned i = 0; i < 20; i++)
        loop_run_once(loop, 2);
    alarm(0);
    step_ns = skipped_ns = 0;
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_in_range(after.tv_sec - before.tv_sec, 0, 2);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_run_and_stop),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_wall),
        cmocka_unit_test(test_async_and_timer),
        cmocka_unit_test(test_once_ends_when_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
