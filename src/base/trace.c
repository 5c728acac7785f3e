#include "base/trace.h"

#include <errno.h>

#include "base/buf.h"
#include "base/mem.h"

static const struct {
    enum trace_level level;
    struct str name, area, text;
} defs[TRACE_COUNT] = {
#define TRACE(id, level, area, text)                                                               \
    {TRACE_##level, STR_INIT(#id), STR_INIT(#area), STR_INIT(text)},
#include "base/trace.def"
#undef TRACE
};

static const struct str level_names[] = {
    [TRACE_ERROR] = STR_INIT("error"),   [TRACE_WARN] = STR_INIT("warn"),
    [TRACE_NOTICE] = STR_INIT("notice"), [TRACE_INFO] = STR_INIT("info"),
    [TRACE_DEBUG] = STR_INIT("debug"),
};

int trace_init(struct trace *t, size_t ring_bytes, uint32_t hists)
{
    size_t cap = 4096;
    while (cap < ring_bytes)
        cap *= 2;
    *t = (struct trace){.cap = cap, .level = TRACE_INFO};
    t->ring = mem_map(cap);
    if (!t->ring || slot_init(&t->hists, sizeof(struct hist), hists)) {
        mem_unmap(t->ring, cap);
        return -ENOMEM;
    }
    return 0;
}

void trace_done(struct trace *t)
{
    mem_unmap(t->ring, t->cap);
    slot_done(&t->hists);
    *t = (struct trace){0};
}

enum trace_level trace_level_of(enum trace_id id)
{
    return defs[id].level;
}

struct str trace_level_name(enum trace_level level)
{
    return level_names[level];
}

int trace_level_parse(enum trace_level *ret, struct str s)
{
    for (unsigned i = 0; i < ARRAY_LEN(level_names); i++)
        if (str_ieq(level_names[i], s)) {
            *ret = (enum trace_level)i;
            return 0;
        }
    return -EINVAL;
}

struct str trace_area(enum trace_id id)
{
    return defs[id].area;
}

/* In the ring: a header, the arguments, then their text; records never wrap, a header with
 * bytes == 0 or too little room for one means "go on at the front". */
struct rec_head {
    uint32_t bytes;
    uint16_t id, n;
    usec_t at;
    uint64_t cause;
    handle_t tag;
};

#define TEXT_MAX 512

static size_t rec_bytes(const struct trace_arg *arg, unsigned n)
{
    size_t bytes = sizeof(struct rec_head) + n * sizeof(struct trace_arg);
    for (unsigned i = 0; i < n; i++)
        bytes += arg[i].is_text ? (arg[i].s.n < TEXT_MAX ? arg[i].s.n : TEXT_MAX) : 0;
    return (bytes + 15) & ~(size_t)15;
}

static char *ring_take(struct trace *t, size_t bytes)
{
    size_t at = t->head & (t->cap - 1);
    size_t skip = at + bytes > t->cap ? t->cap - at : 0;
    if (t->head + skip + bytes - t->tail > t->cap)
        return NULL;
    if (skip >= sizeof(uint32_t))
        memset(t->ring + at, 0, sizeof(uint32_t));
    t->head += skip;
    char *p = t->ring + (t->head & (t->cap - 1));
    t->head += bytes;
    return p;
}

void trace_put(struct trace *t, enum trace_id id, handle_t tag, const struct trace_arg *arg,
               unsigned n)
{
    BUG_ON(n > TRACE_MAX_ARGS);
    size_t bytes = rec_bytes(arg, n);
    char *p = ring_take(t, bytes);
    if (!p) {
        t->dropped++;
        return;
    }
    struct rec_head head = {(uint32_t)bytes, (uint16_t)id, (uint16_t)n, t->now, t->cause, tag};
    memcpy(p, &head, sizeof(head));
    char *args = p + sizeof(head);
    char *text = args + n * sizeof(struct trace_arg);
    for (unsigned i = 0; i < n; i++) {
        struct trace_arg a = arg[i];
        if (a.is_text) {
            a.s.n = a.s.n < TEXT_MAX ? a.s.n : TEXT_MAX;
            if (a.s.n)
                memcpy(text, a.s.p, a.s.n);
            a.s.p = text;
            text += a.s.n;
        }
        memcpy(args + i * sizeof(a), &a, sizeof(a));
    }
}

bool trace_next(struct trace *t, struct trace_rec *ret)
{
    struct rec_head head = {0};
    if (t->tail == t->head)
        return false;
    size_t at = t->tail & (t->cap - 1);
    if (t->cap - at >= sizeof(head))
        memcpy(&head, t->ring + at, sizeof(head));
    else if (t->cap - at >= sizeof(uint32_t))
        head.bytes = 0;
    if (head.bytes == 0) {
        t->tail += t->cap - at;
        return trace_next(t, ret);
    }
    *ret = (struct trace_rec){.at = head.at,
                              .cause = head.cause,
                              .tag = head.tag,
                              .id = (enum trace_id)head.id,
                              .n = head.n};
    memcpy(ret->arg, t->ring + at + sizeof(head), head.n * sizeof(struct trace_arg));
    t->tail += head.bytes;
    return true;
}

/* Text comes from peers: what would end the line, or the quotes around it, is made harmless. */
static void put_text(struct buf *b, struct str s, bool quoted)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (quoted && (c == '"' || c == '\\'))
            buf_ch(b, '\\');
        buf_ch(b, c < 0x20 || c == 0x7F ? '?' : (char)c);
    }
}

static void put_arg(struct buf *b, const struct trace_arg *a)
{
    if (a->is_text)
        put_text(b, a->s, b->n && b->p[b->n - 1] == '"');
    else
        buf_u64(b, a->u);
}

/* Calls the next "{name}" out of *text: what stands before it in *lead, its name in *name. */
static bool next_place(struct str *text, struct str *lead, struct str *name)
{
    ptrdiff_t open = str_chr(*text, '{');
    ptrdiff_t close = str_chr(*text, '}');
    if (open < 0 || close < open)
        return false;
    *lead = str_sub(*text, 0, (size_t)open);
    *name = str_sub(*text, (size_t)open + 1, (size_t)(close - open - 1));
    *text = str_from(*text, (size_t)close + 1);
    return true;
}

void trace_text(struct buf *b, const struct trace_rec *r)
{
    struct str text = defs[r->id].text, lead, name;
    for (unsigned i = 0; next_place(&text, &lead, &name); i++) {
        buf_str_put(b, lead);
        if (i < r->n)
            put_arg(b, &r->arg[i]);
    }
    buf_str_put(b, text);
}

void trace_json(struct buf *b, const struct trace_rec *r, uint64_t wall_us)
{
    char line[2048];
    struct buf plain;
    buf_init(&plain, line, sizeof(line));
    trace_text(&plain, r);
    buf_printf(b,
               "{\"time\":%llu.%06u,\"level\":\"%s\",\"area\":\"%s\",\"event\":\"%s\",\"text\":\"",
               (unsigned long long)(wall_us / USEC_S), (unsigned)(wall_us % USEC_S),
               level_names[defs[r->id].level].p, defs[r->id].area.p, defs[r->id].name.p);
    buf_json(b, buf_str(&plain));
    buf_printf(b, "\",\"cause\":%llu", (unsigned long long)r->cause);
    struct str text = defs[r->id].text, lead, name;
    for (unsigned i = 0; i < r->n && next_place(&text, &lead, &name); i++) {
        buf_printf(b, ",\"" STR_FMT "\":", STR_ARG(name));
        if (r->arg[i].is_text) {
            buf_ch(b, '"');
            buf_json(b, r->arg[i].s);
            buf_ch(b, '"');
        } else {
            buf_u64(b, r->arg[i].u);
        }
    }
    buf_ch(b, '}');
}

handle_t hist_open(struct trace *t)
{
    handle_t tag;
    struct hist *h = slot_take(&t->hists, &tag);
    if (!h && t->closed_first) {
        handle_t oldest = t->closed_first;
        t->closed_first = ((struct hist *)slot_find(&t->hists, oldest))->next_closed;
        if (!t->closed_first)
            t->closed_last = 0;
        slot_put(&t->hists, oldest);
        h = slot_take(&t->hists, &tag);
    }
    if (!h)
        return 0;
    h->opened = t->now;
    return tag;
}

void hist_close(struct trace *t, handle_t tag)
{
    struct hist *h = slot_find(&t->hists, tag);
    if (!h || h->closed)
        return;
    h->closed = true;
    struct hist *last = slot_find(&t->hists, t->closed_last);
    if (last)
        last->next_closed = tag;
    else
        t->closed_first = tag;
    t->closed_last = tag;
}

void hist_put(struct trace *t, handle_t tag, struct hist_event ev)
{
    struct hist *h = slot_find(&t->hists, tag);
    if (!h)
        return;
    ev.ms = (uint32_t)((t->now - h->opened) / USEC_MS);
    h->ev[h->total++ % HIST_EVENTS] = ev;
}

const struct hist *hist_find(const struct trace *t, handle_t tag)
{
    return slot_find(&t->hists, tag);
}

const struct hist_event *hist_event_at(const struct hist *h, unsigned i)
{
    unsigned first = h->total > HIST_EVENTS ? h->total - HIST_EVENTS : 0;
    return &h->ev[(first + i) % HIST_EVENTS];
}
