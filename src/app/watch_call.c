/* `ringdown watch`: what becomes of calls, told as it happens, and written when they are over. */
#include <errno.h>
#include <stdio.h>

#include "analysis/cell.h"
#include "analysis/json.h"
#include "analysis/table.h"
#include "app/watch.h"
#include "base/mem.h"

#define LINE_BYTES ((size_t)32 << 20) /* of JSON: a call with all its messages */

/* ---- from one second to the next ------------------------------------------------------------- */

static struct watch_call *call_find(struct watch *w, uint32_t id)
{
    hash_each(node, &w->by_id, hash_bytes(&w->by_id, &id, sizeof(id)))
    {
        struct watch_call *c = container_of(node, struct watch_call, node);
        if (c->id == id)
            return c;
    }
    return NULL;
}

bool watch_calls_has(struct watch *w, uint32_t id)
{
    return call_find(w, id) != NULL;
}

void watch_calls_recorded(struct watch *w, uint32_t id, const char *folder, const char *base)
{
    struct watch_call *c = call_find(w, id);
    if (c)
        snprintf(c->sound, sizeof(c->sound), "%s/%s", folder, base);
}

/* NULL: no room, and its events are told twice at worst. */
static struct watch_call *call_get(struct watch *w, uint32_t id, bool *is_new)
{
    struct watch_call *c = call_find(w, id);
    handle_t h;
    *is_new = !c;
    if (c || !(c = slot_take(&w->calls, &h)))
        return c;
    *c = (struct watch_call){.id = id, .self = h};
    hash_put(&w->by_id, &c->node, hash_bytes(&w->by_id, &id, sizeof(id)));
    return c;
}

static void call_drop(struct watch *w, struct watch_call *c)
{
    hash_remove(&w->by_id, &c->node);
    slot_put(&w->calls, c->self);
}

int watch_calls_open(struct watch *w)
{
    int err = slot_init(&w->calls, sizeof(struct watch_call), w->opt.max_calls);
    return err ? err : hash_init(&w->by_id, w->opt.max_calls / 4, 1);
}

void watch_calls_close(struct watch *w)
{
    if (w->by_id.bucket)
        hash_done(&w->by_id);
    if (w->calls.mem)
        slot_done(&w->calls);
    mem_free(w->line);
}

/* ---- lines for people ------------------------------------------------------------------------ */

static int std_put(void *user, const char *p, size_t n)
{
    struct watch *w = user;
    if (fwrite(p, 1, n, stdout) == n)
        return 0;
    w->quit = true; /* nobody reads them any more */
    return -EPIPE;
}

/* "13:28:52.210  call 1   answered  " and what follows. */
static void say(struct watch *w, const struct an_call *call, uint64_t at_ns, const char *what,
                struct str more)
{
    char mem[64];
    struct buf b;
    struct an_sink *out = mem_alloc(sizeof(*out));
    if (!out)
        return;
    an_sink_init(out, std_put, w);
    buf_init(&b, mem, sizeof(mem));
    an_put_clock(&b, &w->opt.style, at_ns, true);
    an_sink_str(out, buf_str(&b));
    an_sink_fmt(out, "  call %-6u %-9s ", call->number, what);
    an_cell_text(out, more);
    an_sink_ch(out, '\n');
    (void)!an_sink_flush(out);
    mem_free(out);
}

static void say_parties(struct watch *w, const struct an_call *call)
{
    char mem[256];
    struct buf b;
    struct an_report r = {.engine = w->engine, .style = w->opt.style};
    buf_init(&b, mem, sizeof(mem));
    an_put_caller(&b, &r, call);
    buf_lit(&b, " > ");
    buf_str_put(&b, an_call_callee(call));
    say(w, call, call->start_ns, "begins", buf_str(&b));
}

static void say_end(struct watch *w, const struct an_call *call, const char *what)
{
    char mem[512];
    struct buf b;
    enum an_lang lang = (enum an_lang)w->opt.style.lang;
    struct an_report r = {.engine = w->engine, .style = w->opt.style};
    struct str outcome = an_outcome_word((enum an_outcome)call->outcome);
    buf_init(&b, mem, sizeof(mem));
    an_put_caller(&b, &r, call);
    buf_lit(&b, " > ");
    buf_str_put(&b, an_call_callee(call));
    buf_lit(&b, ": ");
    an_put_scenario(&b, &r, call);
    buf_lit(&b, ", ");
    buf_str_put(&b, an_word_of(lang, 'o', outcome));
    if (call->status >= 300)
        buf_printf(&b, " %u", call->status);
    struct an_spans spans = an_call_spans(&r, call);
    if (spans.talk != AN_NEVER) {
        buf_lit(&b, ", ");
        an_put_span(&b, spans.talk);
    }
    say(w, call, call->end_ns == AN_NEVER ? w->now_ns : call->end_ns, what, buf_str(&b));
}

static bool is_told(const struct watch *w)
{
    return !w->term && !w->opt.quiet;
}

static void call_look(struct watch *w, const struct an_call *call)
{
    bool is_new;
    struct watch_call *c = call_get(w, call->number, &is_new);
    if (!c)
        return;
    c->seen = w->ticks;
    bool answered = call->answer_ns != AN_NEVER, ended = call->end_ns != AN_NEVER;
    if (is_told(w)) {
        if (is_new)
            say_parties(w, call);
        if (answered && !c->answered)
            say(w, call, call->answer_ns, "answered", an_call_text(call, call->answered_by));
        if (ended && !c->ended)
            say_end(w, call, "ended");
    }
    c->answered |= answered;
    c->ended = ended;
}

/* Those that are in no call of this tick have become a part of another one. */
static void sweep(struct watch *w)
{
    handle_t h;
    struct watch_call *c;
    for (uint32_t at = 0; (c = slot_next(&w->calls, &at, &h));)
        if (c->seen != w->ticks)
            call_drop(w, c);
}

void watch_calls_tick(struct watch *w)
{
    for (uint32_t i = 0; i < an_engine_calls(w->engine); i++)
        call_look(w, an_engine_call(w->engine, i));
    sweep(w);
    if (is_told(w) && fflush(stdout))
        w->quit = true;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static int line_take(void *user, const char *p, size_t n)
{
    struct watch *w = user;
    if (w->line_n + n > LINE_BYTES)
        return -EFBIG;
    if (w->line_n + n > w->line_cap) {
        size_t cap = 2 * (w->line_n + n);
        char *more = mem_resize(w->line, cap);
        if (!more)
            return -ENOMEM;
        w->line = more;
        w->line_cap = cap;
    }
    memcpy(w->line + w->line_n, p, n);
    w->line_n += n;
    return 0;
}

struct more {
    enum watch_end end;
    const char *sound, *capture;
};

static void put_more(const struct an_report *r, uint32_t call, struct an_json *j)
{
    static const char *const ends[] = {"over", "idle", "cut"};
    const struct more *m = r->more_user;
    (void)call;
    an_json_object(j, "watch");
    an_json_str(j, "ended", str_z(ends[m->end]));
    an_json_str_if(j, "recording", str_z(m->sound));
    an_json_str_if(j, "capture", str_z(m->capture));
    an_json_end(j);
}

static void put_json(struct watch *w, uint32_t call, struct more *more)
{
    struct an_sink *out = mem_alloc(sizeof(*out));
    struct an_json j;
    struct an_report r = *watch_report(w);
    r.zero_ns = an_engine_call(w->engine, call)->start_ns;
    r.more = put_more;
    r.more_user = more;
    r.style.lang = w->opt.lang_given ? r.style.lang : AN_ENGLISH;
    if (!out) {
        watch_news(w, "no memory for a line of JSON");
        return;
    }
    w->line_n = 0;
    an_sink_init(out, line_take, w);
    an_json_init(&j, out);
    an_report_json_call(&r, call, &j);
    int err = an_sink_flush(out);
    mem_free(out);
    uint64_t before = linefile_stats_get(w->json).bytes;
    if (err)
        watch_news(w, "a call is too large for a line of JSON");
    else if (linefile_put(w->json, str_of(w->line, w->line_n), w->now_ns / 1000000000u) == -EPIPE)
        w->quit = true;
    if (w->room)
        diskroom_note(w->room, linefile_stats_get(w->json).bytes - before);
    /* One large call does not keep its memory for days. */
    if (w->line_cap > (size_t)1 << 20) {
        mem_free(w->line);
        w->line = NULL;
        w->line_cap = 0;
    }
}

/* ---- over ------------------------------------------------------------------------------------ */

void watch_call_done(struct watch *w, uint32_t index, enum watch_end end)
{
    const struct an_call *call = an_engine_call(w->engine, index);
    struct watch_call *c = call_find(w, call->number);
    char capture[WATCH_NAME] = "";
    struct more more = {.end = end, .sound = "", .capture = capture};
    w->finished++;
    if (is_told(w) && call->end_ns == AN_NEVER)
        say_end(w, call, end == WATCH_CUT ? "cut" : "given up");
    if (w->sounds)
        watch_sound_done(w, index);
    if (c)
        more.sound = c->sound;
    if (w->store)
        watch_store_done(w, index, capture);
    if (w->json)
        put_json(w, index, &more);
    if (w->view)
        an_view_finished(w->view, watch_report(w), index);
    if (c)
        call_drop(w, c);
}
