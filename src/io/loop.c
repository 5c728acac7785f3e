#include "io/loop.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/assert.h"
#include "base/mem.h"

static const int caught[] = {SIGTERM, SIGINT, SIGHUP};

static usec_t clock_read(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (usec_t)ts.tv_sec * USEC_S + (usec_t)ts.tv_nsec / 1000;
}

usec_t loop_now(struct loop *loop)
{
    if (!loop->fresh) {
        loop->now = clock_read(CLOCK_MONOTONIC);
        loop->fresh = true;
    }
    return loop->now;
}

uint64_t loop_wall_us(struct loop *loop, usec_t at)
{
    /* The offset moves when somebody sets the clock: look again, but not for every line. */
    usec_t now = loop_now(loop);
    if (loop->wall_read_at == 0 || now - loop->wall_read_at > USEC_S) {
        loop->wall_offset = clock_read(CLOCK_REALTIME) - clock_read(CLOCK_MONOTONIC);
        loop->wall_read_at = now;
    }
    return at + loop->wall_offset;
}

static void on_timer(uv_timer_t *timer)
{
    /* Waking is all: the turn that this begins compares the deadline with the clock. */
    ((struct loop *)timer->data)->armed_for = USEC_NEVER;
}

static void timer_arm(struct loop *loop)
{
    if (loop->deadline == loop->armed_for)
        return;
    loop->armed_for = loop->deadline;
    if (loop->deadline == USEC_NEVER) {
        uv_timer_stop(&loop->timer);
        return;
    }
    uint64_t wait = loop->deadline > loop->now ? loop->deadline - loop->now : 0;
    uv_timer_start(&loop->timer, on_timer, (wait + USEC_MS - 1) / USEC_MS, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    if (loop->quiet)
        return;
    usec_t now = loop_now(loop);
    loop->turns++;
    if (loop->deadline <= now) {
        loop->deadline = USEC_NEVER;
        if (loop->hooks.tick)
            loop->hooks.tick(loop->hooks.ctx, now);
    }
    if (loop->hooks.turn)
        loop->hooks.turn(loop->hooks.ctx, now);
    timer_arm(loop);
    loop->fresh = false;
}

int loop_new(struct loop **ret)
{
    struct loop *loop = mem_zero(sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    int err = uv_loop_init(&loop->uv);
    if (err) {
        mem_free(loop);
        return err;
    }
    signal(SIGPIPE, SIG_IGN);
    loop->deadline = loop->armed_for = USEC_NEVER;
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_timer_init(&loop->uv, &loop->timer);
    uv_timer_init(&loop->uv, &loop->limit);
    for (unsigned i = 0; i < ARRAY_LEN(caught); i++) {
        uv_signal_init(&loop->uv, &loop->signal[i]);
        loop->signal[i].data = loop;
    }
    loop->prepare.data = loop->timer.data = loop->limit.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    *ret = loop;
    return 0;
}

void loop_hooks_set(struct loop *loop, const struct loop_hooks *hooks)
{
    loop->hooks = *hooks;
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop *loop = handle->data;
    if (!loop->quiet && loop->hooks.signal)
        loop->hooks.signal(loop->hooks.ctx, signum);
}

int loop_signals_catch(struct loop *loop)
{
    loop->catches = true;
    for (unsigned i = 0; i < ARRAY_LEN(caught); i++) {
        int err = uv_signal_start(&loop->signal[i], on_signal, caught[i]);
        if (err)
            return err;
    }
    return 0;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void on_limit(uv_timer_t *timer)
{
    /* Only there to end the wait of loop_run_once(). */
}

void loop_run_once(struct loop *loop, uint32_t wait_ms)
{
    /* Nobody turned the loop for a while, perhaps; a timer counts from the time libuv knows. It
     * repeats: who was kept from running here for so long finds it over before it waits, and would
     * wait for ever. */
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->limit, on_limit, wait_ms, wait_ms);
    uv_run(&loop->uv, wait_ms ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_timer_stop(&loop->limit);
    on_prepare(&loop->prepare);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void loop_settle(struct loop *loop)
{
    loop->quiet = true;
    while (loop->closing)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    loop->quiet = false;
}

static void on_own_closed(uv_handle_t *handle)
{
    ((struct loop *)handle->data)->closing--;
}

static void own_close(struct loop *loop, void *handle)
{
    loop->closing++;
    uv_close(handle, on_own_closed);
}

/* To an exchange that has stopped SIGHUP must not be what it is to other programs, their end: its
 * exit status says that all was stored. */
static void signals_close(struct loop *loop)
{
    sigset_t hup, before;
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hup, &before);
    for (unsigned i = 0; i < ARRAY_LEN(caught); i++)
        own_close(loop, &loop->signal[i]);
    if (loop->catches)
        signal(SIGHUP, SIG_IGN);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    own_close(loop, &loop->prepare);
    own_close(loop, &loop->timer);
    own_close(loop, &loop->limit);
    signals_close(loop);
    loop_settle(loop);
    BUG_ON(uv_loop_close(&loop->uv));
    mem_free(loop);
}

void loop_deadline_set(struct loop *loop, usec_t at)
{
    loop->deadline = at;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_watch *w = poll->data;
    if (w->loop->quiet)
        return;
    /* libuv stops watching a descriptor that has an error condition; so must our memory of it. */
    if (status < 0)
        w->events = 0;
    unsigned seen =
        (events & UV_READABLE ? LOOP_READ : 0) | (events & UV_WRITABLE ? LOOP_WRITE : 0);
    w->ready(w, status < 0 ? LOOP_ERROR : seen);
}

int loop_watch_open(struct loop *loop, struct loop_watch *w, int fd, unsigned events)
{
    int err = uv_poll_init(&loop->uv, &w->poll, fd);
    if (err)
        return err;
    w->loop = loop;
    w->poll.data = w;
    w->events = 0;
    loop_watch_set(w, events);
    return 0;
}

void loop_watch_set(struct loop_watch *w, unsigned events)
{
    if (w->events == events)
        return;
    w->events = events;
    if (events)
        uv_poll_start(&w->poll, (int)events, on_poll);
    else
        uv_poll_stop(&w->poll);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct loop_watch *w = handle->data;
    w->loop->closing--;
    if (w->closed)
        w->closed(w);
}

void loop_watch_close(struct loop_watch *w)
{
    w->loop->closing++;
    w->events = 0;
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static void on_loop_timer(uv_timer_t *timer)
{
    struct loop_timer *t = timer->data;
    if (!t->loop->quiet)
        t->fire(t);
}

void loop_timer_open(struct loop *loop, struct loop_timer *t)
{
    uv_timer_init(&loop->uv, &t->timer);
    t->loop = loop;
    t->timer.data = t;
}

void loop_timer_start(struct loop_timer *t, uint32_t after_ms, uint32_t repeat_ms)
{
    uv_timer_start(&t->timer, on_loop_timer, after_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
    uv_timer_stop(&t->timer);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct loop_timer *t = handle->data;
    t->loop->closing--;
    if (t->closed)
        t->closed(t);
}

void loop_timer_close(struct loop_timer *t)
{
    t->loop->closing++;
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

static void on_async(uv_async_t *async)
{
    struct loop_async *a = async->data;
    if (!a->loop->quiet)
        a->wake(a);
}

int loop_async_open(struct loop *loop, struct loop_async *a)
{
    a->loop = loop;
    a->async.data = a;
    return uv_async_init(&loop->uv, &a->async, on_async);
}

void loop_async_wake(struct loop_async *a)
{
    uv_async_send(&a->async);
}

static void on_async_closed(uv_handle_t *handle)
{
    ((struct loop_async *)handle->data)->loop->closing--;
}

void loop_async_close(struct loop_async *a)
{
    a->loop->closing++;
    uv_close((uv_handle_t *)&a->async, on_async_closed);
}
