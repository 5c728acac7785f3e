/* `ringdown watch` at a terminal. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/watch.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fs.h"

#define SCREEN_BYTES ((size_t)256 << 10)
#define NS_PER_S     1000000000ull

struct screen {
    char *p;
    size_t n;
};

static int screen_take(void *user, const char *p, size_t n)
{
    struct screen *s = user;
    if (s->n + n > SCREEN_BYTES)
        return -1;
    memcpy(s->p + s->n, p, n);
    s->n += n;
    return 0;
}

/* Resident pages are the second number. */
static uint64_t memory_bytes(void)
{
    char *text;
    size_t n;
    uint64_t pages;
    if (fs_read("/proc/self/statm", 256, &text, &n))
        return 0;
    struct str s = str_of(text, n);
    ptrdiff_t blank = str_chr(s, ' ');
    s = str_from(s, blank < 0 ? n : (size_t)blank + 1);
    blank = str_chr(s, ' ');
    bool bad = num_u64(&pages, str_sub(s, 0, blank < 0 ? 0 : (size_t)blank), UINT32_MAX) != 0;
    mem_free(text);
    return bad ? 0 : pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Counts of a second, over whatever time has passed since the last drawing. */
static void rates_take(struct watch *w, struct an_view_facts *f, uint64_t packets)
{
    uint64_t ns = w->now_ns - w->rate.at_ns;
    if (w->rate.at_ns && ns >= NS_PER_S / 2) {
        w->rate.frames_s = (f->frames - w->rate.frames) * NS_PER_S / ns;
        w->rate.messages_s = (f->messages - w->rate.messages) * NS_PER_S / ns;
        w->rate.packets_s = (packets - w->rate.packets) * NS_PER_S / ns;
    }
    if (!w->rate.at_ns || ns >= NS_PER_S / 2) {
        w->rate.at_ns = w->now_ns;
        w->rate.frames = f->frames;
        w->rate.messages = f->messages;
        w->rate.packets = packets;
    }
    f->frames_per_s = w->rate.frames_s;
    f->messages_per_s = w->rate.messages_s;
    f->packets_per_s = w->rate.packets_s;
}

static void draw(struct watch *w)
{
    char mem[512];
    struct buf sources;
    unsigned columns, rows;
    struct screen screen = {.p = mem_alloc(SCREEN_BYTES)};
    struct an_sink *sink = mem_alloc(sizeof(*sink));
    struct an_report r = {.engine = w->engine, .style = w->opt.style};
    struct an_view_facts f = {.now_ns = w->now_ns,
                              .frames = w->frames,
                              .messages = an_engine_stats(w->engine)->messages,
                              .finished = w->finished,
                              .hep_bad =
                                  w->hep_bad + w->hep_refused + an_input_stats(w->input)->hep_bad,
                              .memory_bytes = memory_bytes(),
                              .store_bytes = an_keep_mem_stats(w->messages).bytes,
                              .queue_bytes = watch_sounds_waiting(w),
                              .recordings = watch_sounds_count(w),
                              .trouble = str_z(w->news)};
    buf_init(&sources, mem, sizeof(mem));
    watch_sources_put(w, &sources);
    f.sources = buf_str(&sources);
    watch_lost(w, &f.dropped, &f.iface_dropped);
    rates_take(w, &f, an_rtp_stats(an_engine_rtp(w->engine))->rtp);
    term_size(w->term, &columns, &rows);
    r.style.width = columns;
    if (screen.p && sink && an_report_init(&r) == 0) {
        an_sink_init(sink, screen_take, &screen);
        an_view_draw(w->view, &r, &f, rows, sink);
        if (an_sink_flush(sink) == 0)
            term_show(w->term, str_of(screen.p, screen.n));
        an_report_done(&r);
    }
    mem_free(screen.p);
    mem_free(sink);
}

static uint32_t key_of(uint32_t key)
{
    switch (key) {
    case TERM_UP:
        return AN_KEY_UP;
    case TERM_DOWN:
        return AN_KEY_DOWN;
    case TERM_PAGE_UP:
        return AN_KEY_PAGE_UP;
    case TERM_PAGE_DOWN:
        return AN_KEY_PAGE_DOWN;
    case TERM_HOME:
        return AN_KEY_HOME;
    case TERM_END:
        return AN_KEY_END;
    case TERM_LEFT:
    case TERM_RIGHT:
        return 0;
    default:
        return key;
    }
}

/* What is drawn is of the last settling. */
static void on_key(void *ctx, uint32_t key)
{
    struct watch *w = ctx;
    if (!an_view_key(w->view, key_of(key))) {
        w->quit = true;
        loop_stop(w->loop);
    } else if (!w->busy && an_engine_settle(w->engine) == 0) {
        draw(w);
    }
}

static void on_resized(void *ctx)
{
    struct watch *w = ctx;
    if (!w->busy && an_engine_settle(w->engine) == 0)
        draw(w);
}

static void on_gone(void *ctx)
{
    struct watch *w = ctx;
    w->quit = true;
    loop_stop(w->loop);
}

void watch_screen_tick(struct watch *w)
{
    draw(w);
}

int watch_screen_open(struct watch *w)
{
    struct term_config cfg = {.in_fd = STDIN_FILENO,
                              .out_fd = STDOUT_FILENO,
                              .key = on_key,
                              .resized = on_resized,
                              .gone = on_gone,
                              .ctx = w};
    int err = an_view_new(&w->view);
    return err ? err : term_open(&w->term, w->loop, &cfg);
}

void watch_screen_close(struct watch *w)
{
    term_close(w->term);
    an_view_free(w->view);
    w->term = NULL;
    w->view = NULL;
}
