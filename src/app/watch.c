/* `ringdown watch`: what runs while it watches. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/watch.h"
#include "base/mem.h"
#include "io/entropy.h"
#include "io/fs.h"

#define NS_PER_S 1000000000ull
/* So long after it was captured a frame may come, because a block of the ring is not full yet. */
#define LATE_NS    300000000ull
#define STEP_NS    (10 * NS_PER_S)
#define LOSS_TICKS 60 /* between two lines that tell of lost frames */
#define IDLE_SHARE 10 /* of a second that is looked at, so many are left to frames */
#define LONGEST_US (5 * USEC_S)
#define FINISH_US  (10 * USEC_S) /* so long recordings have to be finished */

void watch_news(void *ctx, const char *text)
{
    struct watch *w = ctx;
    str_copy_z(w->news, sizeof(w->news), str_z(text));
    if (!w->term)
        fprintf(stderr, "ringdown watch: %s\n", text);
}

/* ---- a second -------------------------------------------------------------------------------- */

const struct an_report *watch_report(struct watch *w)
{
    if (!w->report_made) {
        w->report = (struct an_report){.engine = w->engine, .style = w->opt.style};
        w->report_made = an_report_init(&w->report) == 0;
    }
    return &w->report;
}

static void report_drop(struct watch *w)
{
    if (w->report_made)
        an_report_done(&w->report);
    w->report_made = false;
}

static void on_done(void *user, struct an_engine *e, uint32_t call, bool idle)
{
    struct watch *w = user;
    (void)e;
    if (watch_report(w)->stream_at)
        watch_call_done(w, call, idle ? WATCH_IDLE : WATCH_OVER);
    else
        watch_news(w, "no memory for a call that is over");
}

/* At a screen the counters say it. */
static void losses_tell(struct watch *w)
{
    uint64_t ring, iface;
    char text[160];
    watch_lost(w, &ring, &iface);
    bool early = w->lost_tick && w->ticks < w->lost_tick + LOSS_TICKS;
    if (ring + iface == w->lost || early)
        return;
    snprintf(
        text, sizeof(text), "%llu frames are lost so far: %llu by the ring, %llu by interfaces",
        (unsigned long long)(ring + iface), (unsigned long long)ring, (unsigned long long)iface);
    watch_news(w, text);
    w->lost = ring + iface;
    w->lost_tick = w->ticks;
}

static void warnings_drop(struct watch *w)
{
    struct an_warning warning;
    while (an_input_warning(w->input, &warning))
        w->warnings++;
}

void watch_tick(struct watch *w, uint64_t now_ns)
{
    struct an_retire retire = {.now_ns = now_ns,
                               .linger_ns = w->opt.linger_s * NS_PER_S,
                               .idle_ns = w->opt.idle_s * NS_PER_S,
                               .done = on_done,
                               .user = w};
    w->now_ns = now_ns > w->now_ns ? now_ns : w->now_ns;
    w->ticks++;
    w->busy = true;
    warnings_drop(w);
    losses_tell(w);
    int err = an_engine_settle(w->engine);
    if (!err) {
        watch_calls_tick(w);
        if (w->sounds)
            watch_sounds_tick(w);
        err = an_engine_retire(w->engine, &retire);
        report_drop(w);
    }
    if (err)
        watch_news(w, "no memory to look at the calls");
    if (w->json)
        linefile_tick(w->json, w->now_ns / NS_PER_S);
    w->busy = false;
    if (w->term && !err)
        watch_screen_tick(w);
}

/* Calls that go on are written as they are. */
static void cut(struct watch *w)
{
    watch_input_end(w);
    if (an_engine_settle(w->engine)) {
        watch_news(w, "no memory to look at the calls");
        return;
    }
    w->ticks++;
    w->busy = true;
    watch_calls_tick(w);
    if (w->sounds)
        watch_sounds_tick(w);
    for (uint32_t i = 0; i < an_engine_calls(w->engine) && watch_report(w)->stream_at; i++) {
        bool over = an_engine_call(w->engine, i)->end_ns != AN_NEVER;
        watch_call_done(w, i, over ? WATCH_OVER : WATCH_CUT);
    }
    report_drop(w);
    fflush(stdout);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static usec_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (usec_t)ts.tv_sec * USEC_S + (usec_t)ts.tv_nsec / 1000;
}

static void on_tick(void *ctx, usec_t now)
{
    struct watch *w = ctx;
    usec_t began = clock_us();
    uint64_t wall_ns = loop_wall_us(w->loop, now) * 1000;
    bool behind = watch_sources_tick(w);
    /* Somebody has set the clock back: waiting until it is there again would help nobody. */
    if (wall_ns + STEP_NS < w->now_ns)
        w->now_ns = wall_ns;
    /* While frames wait, their own times are the only clock. */
    watch_tick(w, behind || wall_ns < w->now_ns + LATE_NS ? w->now_ns : wall_ns - LATE_NS);
    /* With many calls it takes its time: then it comes less often, and frames are read. */
    usec_t pause = (clock_us() - began) * IDLE_SHARE;
    pause = pause < USEC_S ? USEC_S : pause > LONGEST_US ? LONGEST_US : pause;
    loop_deadline_set(w->loop, loop_now(w->loop) + pause);
    if (w->quit)
        loop_stop(w->loop);
}

static void on_signal(void *ctx, int signum)
{
    struct watch *w = ctx;
    if (signum == SIGHUP) {
        if (w->json && linefile_reopen(w->json, w->now_ns / NS_PER_S))
            watch_news(w, "the file of --json cannot be opened again");
        return;
    }
    w->quit = true;
    loop_stop(w->loop);
}

static bool room_is_open(void *ctx, enum diskroom_kind kind, const char *folder, const char *base)
{
    /* Captures and finished files of lines are whole when they get their names. */
    return kind == DISKROOM_RECORDING && watch_sounds_has(ctx, folder, base);
}

static void room_remove(void *ctx, const char *folder, const char *base)
{
    watch_sounds_remove(ctx, folder, base);
}

static int room_open(struct watch *w)
{
    const struct watch_options *o = &w->opt;
    struct diskroom_config cfg = {.path = {[DISKROOM_RECORDING] = o->record,
                                           [DISKROOM_CAPTURE] = o->pcap,
                                           [DISKROOM_LINES] = o->json},
                                  .most_bytes = (uint64_t)o->disk_mb << 20,
                                  .keep_s = o->keep_days * UINT64_C(86400),
                                  .is_open = room_is_open,
                                  .remove_recording = room_remove,
                                  .ctx = w};
    bool any = o->record || o->pcap || o->json;
    if (!any || (!cfg.most_bytes && !cfg.keep_s))
        return 0;
    return diskroom_open(&w->room, w->loop, &cfg);
}

static int json_open(struct watch *w)
{
    const struct watch_options *o = &w->opt;
    struct linefile_config cfg = {.path = o->json,
                                  .rotate_bytes = (uint64_t)o->rotate_mb << 20,
                                  .rotate_s = o->rotate_hours * UINT64_C(3600),
                                  .min_free_bytes = (uint64_t)o->min_free_mb << 20,
                                  .news = watch_news,
                                  .ctx = w};
    char why[128];
    int err = o->json ? linefile_open(&w->json, &cfg, (uint64_t)time(NULL)) : 0;
    if (err)
        fprintf(stderr, "ringdown watch: %s: %s\n", o->json, strerror_r(-err, why, sizeof(why)));
    return err;
}

/* Says what is wrong with a folder. */
static bool part_failed(const char *dir, int err)
{
    char why[128];
    if (err == -EBUSY)
        fprintf(stderr, "ringdown watch: %s: another program records there\n", dir);
    else if (err)
        fprintf(stderr, "ringdown watch: %s: %s\n", dir, strerror_r(-err, why, sizeof(why)));
    return err != 0;
}

static bool folder_failed(const char *dir)
{
    return dir && part_failed(dir, fs_mkdirs(dir));
}

static int engine_open(struct watch *w)
{
    struct an_limits limits = an_limits_default();
    uint32_t streams = 8 * w->opt.max_calls;
    struct an_engine_args args = {.max_legs = 4 * w->opt.max_calls,
                                  .max_streams = streams < WATCH_STREAMS ? streams : WATCH_STREAMS,
                                  .forgets = true};
    int err = entropy_get(&limits.seed, sizeof(limits.seed));
    args.seed = limits.seed;
    if (!err)
        err = an_keep_mem_new(&w->messages, (uint64_t)w->opt.message_mb << 20);
    if (err)
        return err;
    args.keep = an_keep_mem_ops(w->messages);
    err = an_input_new(&w->input, &limits);
    if (!err)
        err = an_engine_new(&w->engine, &args);
    return err ? err : watch_calls_open(w);
}

/* What says itself what is wrong returns 1. */
static int parts_open(struct watch *w)
{
    struct loop_hooks hooks = {.tick = on_tick, .signal = on_signal, .ctx = w};
    int err = loop_new(&w->loop);
    if (err)
        return err;
    loop_hooks_set(w->loop, &hooks);
    err = loop_signals_catch(w->loop);
    if (!err)
        err = engine_open(w);
    if (err)
        return err;
    if (folder_failed(w->opt.record) || folder_failed(w->opt.pcap) || json_open(w))
        return 1;
    if (w->opt.record && part_failed(w->opt.record, watch_sounds_open(w)))
        return 1;
    if (w->opt.pcap && part_failed(w->opt.pcap, watch_store_open(w)))
        return 1;
    err = room_open(w);
    if (err)
        return err;
    return watch_sources_open(w) ? 1 : 0;
}

/* Recordings that have ended are finished by their thread; then the limits hold for them, too. */
static void room_settle(struct watch *w)
{
    usec_t until = loop_now(w->loop) + FINISH_US;
    while (watch_sounds_count(w) && loop_now(w->loop) < until)
        loop_run_once(w->loop, 50);
    diskroom_finish(w->room);
}

static void parts_close(struct watch *w)
{
    struct loop_hooks none = {0};
    if (w->loop) {
        loop_hooks_set(w->loop, &none);
        loop_deadline_set(w->loop, USEC_NEVER);
    }
    watch_screen_close(w);
    watch_sources_close(w);
    if (w->room)
        room_settle(w);
    watch_sounds_close(w);
    watch_store_close(w);
    diskroom_close(w->room);
    linefile_close(w->json);
    an_engine_free(w->engine);
    an_input_free(w->input);
    an_keep_mem_free(w->messages);
    watch_calls_close(w);
    if (w->loop)
        loop_settle(w->loop);
    loop_free(w->loop);
}

/* On standard error, where lines go: what is watched, and at the end what there was. */
static void say_begin(const struct watch *w)
{
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem) - 1);
    watch_sources_put(w, &b);
    mem[b.n] = 0;
    fprintf(stderr, "ringdown watch: watching %s\n", mem);
}

static void say_end(struct watch *w)
{
    uint64_t ring, iface;
    watch_lost(w, &ring, &iface);
    fprintf(stderr, "ringdown watch: %llu frames, %llu lost, %llu calls\n",
            (unsigned long long)w->frames, (unsigned long long)(ring + iface),
            (unsigned long long)w->finished);
}

static bool is_live(const struct watch *w)
{
    return w->opt.n_ifaces || w->opt.hep;
}

int watch_run(struct watch *w)
{
    char why[128];
    int err = parts_open(w);
    if (!err && !w->opt.lines)
        err = watch_screen_open(w);
    if (!err) {
        if (!w->term)
            say_begin(w);
        watch_replay(w);
        /* A screen stays until somebody has looked at it. */
        if (!w->quit && !w->failed && (is_live(w) || w->term)) {
            w->replaying = false;
            loop_deadline_set(w->loop, is_live(w) ? loop_now(w->loop) : USEC_NEVER);
            loop_run(w->loop);
        }
        cut(w);
        watch_screen_close(w);
        say_end(w);
    }
    if (err < 0)
        fprintf(stderr, "ringdown watch: %s\n", strerror_r(-err, why, sizeof(why)));
    parts_close(w);
    return err || w->failed ? -EIO : 0;
}
