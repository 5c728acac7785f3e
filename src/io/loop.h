/* The event loop of the signalling thread, over libuv. Everything above it sees one reading of the
 * clock per turn: a turn is what happened between two waits, and ends with one call of `turn`, when
 * the outputs it produced leave together. All of it belongs to one thread; loop_async_wake() alone
 * may be called from others. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <uv.h>

#include "base/timer.h"

/* Called by the loop. Each may be NULL. */
struct loop_hooks {
    /* The deadline set by loop_deadline_set() has come; it is cleared before the call. */
    void (*tick)(void *ctx, usec_t now);
    /* The last thing before the loop waits again. */
    void (*turn)(void *ctx, usec_t now);
    /* SIGTERM, SIGINT or SIGHUP arrived. */
    void (*signal)(void *ctx, int signum);
    void *ctx;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_timer_t timer, limit;
    uv_signal_t signal[3];
    bool catches;
    struct loop_hooks hooks;
    usec_t now, deadline, armed_for;
    usec_t wall_read_at;  /* when wall_offset was taken */
    uint64_t wall_offset; /* wall clock minus monotonic clock, modulo 2^64 */
    uint64_t turns;
    uint32_t closing; /* handles whose close has not been confirmed */
    bool fresh;       /* `now` was read in this turn */
    bool quiet;       /* loop_settle() is running: nothing but closing is done */
};

/* 0 or a negative errno. Ignores SIGPIPE in the whole process. */
MUST_CHECK int loop_new(struct loop **ret);
void loop_hooks_set(struct loop *loop, const struct loop_hooks *hooks);
/* All watches, timers and asyncs must be closed by then. Accepts NULL. */
void loop_free(struct loop *loop);
/* Begins to catch SIGTERM, SIGINT and SIGHUP. */
MUST_CHECK int loop_signals_catch(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* One turn, which waits at most wait_ms for something to happen. For tests and shutdown. */
void loop_run_once(struct loop *loop, uint32_t wait_ms);
void loop_stop(struct loop *loop);
/* Waits until every handle that was closed is confirmed closed, so that its memory may go. Not to
 * be called from inside a callback of the loop. */
void loop_settle(struct loop *loop);

/* Monotonic time of this turn; read from the clock once per turn. */
usec_t loop_now(struct loop *loop);
/* The wall-clock time, in microseconds since 1970, of a monotonic time near now. */
uint64_t loop_wall_us(struct loop *loop, usec_t at);
/* When `tick` is wanted; USEC_NEVER: not at all. Cheap enough to be called every turn. */
void loop_deadline_set(struct loop *loop, usec_t at);

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_ERROR = 4 };

/* Readiness of a descriptor, level-triggered. Embedded in its owner. */
struct loop_watch {
    uv_poll_t poll;
    struct loop *loop;
    unsigned events; /* wanted */
    void (*ready)(struct loop_watch *w, unsigned events);
    void (*closed)(struct loop_watch *w); /* may be NULL */
};

/* `ready` and `closed` must be set. The descriptor becomes non-blocking. */
MUST_CHECK int loop_watch_open(struct loop *loop, struct loop_watch *w, int fd, unsigned events);
void loop_watch_set(struct loop_watch *w, unsigned events);
/* No more `ready`. The descriptor may be closed at once; w must live until `closed` is called,
 * which the loop does later in this turn, never from inside this call. */
void loop_watch_close(struct loop_watch *w);

struct loop_timer {
    uv_timer_t timer;
    struct loop *loop;
    void (*fire)(struct loop_timer *t);
    void (*closed)(struct loop_timer *t); /* may be NULL */
};

/* Callbacks must be set. */
void loop_timer_open(struct loop *loop, struct loop_timer *t);
/* repeat_ms 0: once. */
void loop_timer_start(struct loop_timer *t, uint32_t after_ms, uint32_t repeat_ms);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_close(struct loop_timer *t);

/* A bell that other threads ring; several rings may become one `wake`. */
struct loop_async {
    uv_async_t async;
    struct loop *loop;
    void (*wake)(struct loop_async *a);
};

MUST_CHECK int loop_async_open(struct loop *loop, struct loop_async *a);
void loop_async_wake(struct loop_async *a);
void loop_async_close(struct loop_async *a);

#endif
