/* The screen of `ringdown watch`: what is chosen, what is shown of it, and how it is drawn. */
#include "analysis/view.h"

#include <errno.h>

#include "analysis/cell.h"
#include "analysis/table.h"
#include "base/mem.h"

#define HEAD_ROWS 4 /* above the first call */
#define FOOT_ROWS 1

struct finished {
    struct an_view_row row;
    char *detail; /* owned; NULL: no memory */
    size_t detail_n;
};

enum view_mode { VIEW_LIST, VIEW_DETAIL, VIEW_FILTER };

struct an_view {
    enum view_mode mode;
    uint32_t chosen;  /* id of a call; 0: none yet */
    uint32_t at;      /* its place in what was listed last */
    uint32_t top;     /* the first line that is shown */
    uint32_t page;    /* lines that were shown last */
    uint32_t *listed; /* ids, as they were listed last */
    uint32_t n_listed, cap_listed;
    char filter[AN_VIEW_FILTER + 4];
    size_t filter_n;
    struct finished finished[AN_VIEW_FINISHED]; /* a ring */
    uint32_t first, n;
};

/* A text that is made whole before it is cut into lines; what is beyond its bound is left out. */
struct text {
    char *p;
    size_t n, cap;
};

static int text_take(void *user, const char *p, size_t n)
{
    struct text *t = user;
    if (t->n + n > AN_VIEW_DETAIL_BYTES)
        n = AN_VIEW_DETAIL_BYTES - t->n;
    if (t->n + n > t->cap) {
        size_t cap = 2 * (t->n + n);
        char *more = mem_resize(t->p, cap);
        if (!more)
            return -ENOMEM;
        t->p = more;
        t->cap = cap;
    }
    memcpy(t->p + t->n, p, n);
    t->n += n;
    return 0;
}

int an_view_new(struct an_view **ret)
{
    struct an_view *v = mem_zero(sizeof(*v));
    if (!v)
        return -ENOMEM;
    *ret = v;
    return 0;
}

void an_view_free(struct an_view *v)
{
    if (!v)
        return;
    for (uint32_t i = 0; i < AN_VIEW_FINISHED; i++)
        mem_free(v->finished[i].detail);
    mem_free(v->listed);
    mem_free(v);
}

static const char *word(const struct an_report *r, enum an_word w)
{
    return an_word((enum an_lang)r->style.lang, w);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool is_held(const struct an_report *r, const struct an_call *call)
{
    for (uint32_t i = 0; i < call->n_legs; i++) {
        const struct an_leg *leg = an_engine_leg(r->engine, call->leg[i]);
        if (leg->answer_ns != AN_NEVER && leg->end_ns == AN_NEVER &&
            (leg->held[AN_CALLER] || leg->held[AN_CALLEE]))
            return true;
    }
    return false;
}

static void state_make(const struct an_report *r, const struct an_call *call,
                       struct an_view_row *row)
{
    struct buf b;
    buf_init(&b, row->state, sizeof(row->state) - 1);
    row->color = AN_PLAIN;
    if (call->end_ns != AN_NEVER) {
        struct str outcome = an_outcome_word((enum an_outcome)call->outcome);
        buf_str_put(&b, an_word_of((enum an_lang)r->style.lang, 'o', outcome));
        if (call->status >= 300)
            buf_printf(&b, " %u", call->status);
        row->color = call->outcome == AN_ANSWERED                                    ? AN_DIM
                     : call->outcome == AN_FAILED || call->outcome == AN_UNAVAILABLE ? AN_RED
                                                                                     : AN_YELLOW;
    } else if (call->answer_ns == AN_NEVER) {
        buf_z(&b, word(r, call->ring_ns == AN_NEVER ? AN_W_CALLING : AN_W_RINGING));
        row->color = AN_YELLOW;
    } else {
        bool held = is_held(r, call);
        buf_z(&b, word(r, held ? AN_W_ON_HOLD : AN_W_TALKING));
        row->color = held ? AN_CYAN : AN_GREEN;
    }
}

static void media_make(const struct an_report *r, uint32_t index, struct an_view_row *row)
{
    const struct an_rtp *rtp = an_engine_rtp(r->engine);
    row->mos_x100 = an_call_mos(r, index);
    for (uint32_t i = r->stream_at[index]; i < r->stream_at[index + 1]; i++) {
        const struct an_stream *s = an_rtp_stream(rtp, r->stream[i]);
        struct str codec = an_stream_codec(rtp, s);
        if (s->kind != SDP_AUDIO && s->kind != SDP_OTHER)
            continue;
        row->has_media = true;
        if (s->loss_e4 > row->loss_e4)
            row->loss_e4 = s->loss_e4;
        if (!row->codec[0] && codec.n)
            str_copy_z(row->codec, sizeof(row->codec), codec);
    }
}

void an_view_row_make(const struct an_report *r, uint32_t index, struct an_view_row *row)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    struct an_spans spans = an_call_spans(r, call);
    struct buf b;
    *row = (struct an_view_row){
        .id = call->number, .start_ns = call->start_ns, .lasts_ns = spans.talk};
    buf_init(&b, row->caller, sizeof(row->caller) - 1);
    an_put_caller(&b, r, call);
    str_copy_z(row->callee, sizeof(row->callee), an_call_callee(call));
    buf_init(&b, row->scenario, sizeof(row->scenario) - 1);
    an_put_scenario(&b, r, call);
    state_make(r, call, row);
    media_make(r, index, row);
}

void an_view_finished(struct an_view *v, const struct an_report *r, uint32_t call)
{
    uint32_t at = (v->first + v->n) % AN_VIEW_FINISHED;
    struct finished *f = &v->finished[at];
    struct text text = {0};
    struct an_sink sink;
    if (v->n == AN_VIEW_FINISHED)
        v->first = (v->first + 1) % AN_VIEW_FINISHED;
    else
        v->n++;
    mem_free(f->detail);
    an_view_row_make(r, call, &f->row);
    an_sink_init(&sink, text_take, &text);
    an_report_call(r, call, &sink);
    (void)!an_sink_flush(&sink);
    f->detail = text.p;
    f->detail_n = text.n;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void choose(struct an_view *v, uint32_t at)
{
    if (!v->n_listed)
        return;
    v->at = at < v->n_listed ? at : v->n_listed - 1;
    v->chosen = v->listed[v->at];
}

static void list_key(struct an_view *v, uint32_t key)
{
    uint32_t page = v->page ? v->page : 1;
    switch (key) {
    case AN_KEY_UP:
        choose(v, v->at ? v->at - 1 : 0);
        break;
    case AN_KEY_DOWN:
        choose(v, v->at + 1);
        break;
    case AN_KEY_PAGE_UP:
        choose(v, v->at > page ? v->at - page : 0);
        break;
    case AN_KEY_PAGE_DOWN:
        choose(v, v->at + page);
        break;
    case AN_KEY_HOME:
        choose(v, 0);
        break;
    case AN_KEY_END:
        choose(v, UINT32_MAX);
        break;
    case AN_KEY_ENTER:
        if (v->chosen) {
            v->mode = VIEW_DETAIL;
            v->top = 0;
        }
        break;
    case AN_KEY_ESCAPE:
        v->filter_n = 0;
        break;
    case 'f':
    case '/':
        v->mode = VIEW_FILTER;
        break;
    default:
        break;
    }
}

static void detail_key(struct an_view *v, uint32_t key)
{
    uint32_t page = v->page ? v->page : 1;
    switch (key) {
    case AN_KEY_UP:
        v->top -= v->top > 0;
        break;
    case AN_KEY_DOWN:
        v->top++; /* drawing knows where it ends */
        break;
    case AN_KEY_PAGE_UP:
        v->top -= v->top > page ? page : v->top;
        break;
    case AN_KEY_PAGE_DOWN:
    case ' ':
        v->top += page;
        break;
    case AN_KEY_HOME:
        v->top = 0;
        break;
    case AN_KEY_END:
        v->top = UINT32_MAX / 2;
        break;
    case AN_KEY_ENTER:
    case AN_KEY_ESCAPE:
    case AN_KEY_BACKSPACE:
        v->mode = VIEW_LIST;
        v->top = 0;
        break;
    default:
        break;
    }
}

static void filter_key(struct an_view *v, uint32_t key)
{
    if (key == AN_KEY_ENTER || key == AN_KEY_ESCAPE) {
        v->filter_n = key == AN_KEY_ESCAPE ? 0 : v->filter_n;
        v->mode = VIEW_LIST;
    } else if (key == AN_KEY_BACKSPACE) {
        v->filter_n -= v->filter_n > 0;
    } else if (key >= ' ' && key < 127 && v->filter_n < AN_VIEW_FILTER) {
        v->filter[v->filter_n++] = (char)key; /* numbers and names of hosts are ASCII */
    }
}

bool an_view_key(struct an_view *v, uint32_t key)
{
    switch (v->mode) {
    case VIEW_FILTER:
        filter_key(v, key);
        return true;
    case VIEW_DETAIL:
        detail_key(v, key);
        break;
    default:
        list_key(v, key);
        break;
    }
    return key != 'q';
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* As much of it as `width` columns hold: sequences that set colours take none. */
static void put_cut(struct an_sink *out, struct str line, unsigned width)
{
    unsigned used = 0;
    for (size_t at = 0; at < line.n;) {
        uint8_t c = (uint8_t)line.p[at];
        size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        unsigned columns = 0;
        if (c == 0x1b) {
            while (at + n < line.n && line.p[at + n] != 'm')
                n++;
            n++;
        } else {
            columns = an_cell_width(str_sub(line, at, n));
        }
        if (used + columns <= width)
            an_sink_str(out, str_sub(line, at, n));
        used += columns;
        at += n;
    }
}

static void put_line(struct an_sink *out, const struct an_report *r, unsigned color,
                     struct str line)
{
    if (color)
        an_color(out, &r->style, color);
    put_cut(out, line, r->style.width);
    if (color)
        an_color(out, &r->style, AN_PLAIN);
    an_sink_ch(out, '\n');
}

static void put_text(struct an_view *v, const struct an_report *r, struct str text, unsigned rows,
                     struct an_sink *out)
{
    uint32_t lines = 0, shown = 0;
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    uint32_t most = lines > rows ? lines - rows : 0;
    v->top = v->top < most ? v->top : most;
    v->page = rows;
    for (uint32_t i = 0; text.n && shown < rows; i++) {
        ptrdiff_t end = str_chr(text, '\n');
        size_t n = end < 0 ? text.n : (size_t)end;
        if (i >= v->top) {
            put_line(out, r, 0, str_sub(text, 0, n));
            shown++;
        }
        text = str_from(text, end < 0 ? n : n + 1);
    }
    an_sink_fill(out, STR("\n"), rows - shown);
}

/* ---- the top and the bottom ------------------------------------------------------------------ */

static void put_bytes(struct buf *b, uint64_t n)
{
    if (n < 10 << 20)
        buf_printf(b, "%llu kB", (unsigned long long)(n >> 10));
    else
        buf_printf(b, "%llu MB", (unsigned long long)(n >> 20));
}

static void put_counts(const struct an_report *r, const struct an_view_facts *f, struct buf *b)
{
    buf_printf(b, "%s %llu (%llu/s)  SIP %llu (%llu/s)  RTP %llu/s  %s %u  %s %llu",
               word(r, AN_W_FRAMES), (unsigned long long)f->frames,
               (unsigned long long)f->frames_per_s, (unsigned long long)f->messages,
               (unsigned long long)f->messages_per_s, (unsigned long long)f->packets_per_s,
               word(r, AN_W_CALLS), an_engine_calls(r->engine), word(r, AN_W_FINISHED),
               (unsigned long long)f->finished);
}

static void put_state(const struct an_report *r, const struct an_view_facts *f, struct buf *b)
{
    buf_printf(b, "%s %llu + %llu  %s ", word(r, AN_W_LOST), (unsigned long long)f->dropped,
               (unsigned long long)f->iface_dropped, word(r, AN_W_MEMORY));
    put_bytes(b, f->memory_bytes);
    buf_printf(b, "  %s ", word(r, AN_W_KEPT));
    put_bytes(b, f->store_bytes);
    if (f->recordings) {
        buf_printf(b, "  %s %llu, %s ", word(r, AN_W_RECORDING), (unsigned long long)f->recordings,
                   word(r, AN_W_QUEUE));
        put_bytes(b, f->queue_bytes);
    }
    if (f->hep_bad)
        buf_printf(b, "  HEP: %s %llu", word(r, AN_W_MALFORMED), (unsigned long long)f->hep_bad);
    if (f->trouble.n)
        buf_printf(b, "  " STR_FMT, STR_ARG(f->trouble));
}

static void put_head(const struct an_report *r, const struct an_view_facts *f, struct an_sink *out)
{
    char mem[1024];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "ringdown %s " STR_FMT "  ", word(r, AN_W_WATCHING), STR_ARG(f->sources));
    if (f->now_ns) {
        an_put_clock(&b, &r->style, f->now_ns, true);
        b.n -= 4; /* of the milliseconds */
    }
    put_line(out, r, AN_BOLD, buf_str(&b));
    buf_init(&b, mem, sizeof(mem));
    put_counts(r, f, &b);
    put_line(out, r, 0, buf_str(&b));
    buf_init(&b, mem, sizeof(mem));
    put_state(r, f, &b);
    put_line(out, r, f->dropped + f->iface_dropped || f->trouble.n ? AN_RED : AN_DIM, buf_str(&b));
}

static void put_foot(const struct an_view *v, const struct an_report *r, struct an_sink *out)
{
    char mem[512];
    struct buf b;
    enum an_word keys = v->mode == VIEW_DETAIL   ? AN_W_WATCH_DETAIL_KEYS
                        : v->mode == VIEW_FILTER ? AN_W_WATCH_FILTER_KEYS
                                                 : AN_W_WATCH_KEYS;
    buf_init(&b, mem, sizeof(mem));
    if (v->filter_n || v->mode == VIEW_FILTER)
        buf_printf(&b, "%s: %.*s%s   ", word(r, AN_W_FILTER), (int)v->filter_n, v->filter,
                   v->mode == VIEW_FILTER ? "_" : "");
    buf_z(&b, word(r, keys));
    put_line(out, r, AN_DIM, buf_str(&b));
}

/* ---- the list -------------------------------------------------------------------------------- */

static const struct an_col cols[] = {
    {AN_W_CALL, 8, 6, 0, true},     {AN_W_START, 8, 8, 4, false},
    {AN_W_STATE, 14, 9, 0, false},  {AN_W_CALLER, 20, 9, 0, false},
    {AN_W_CALLEE, 20, 8, 0, false}, {AN_W_SCENARIO, 22, 8, 2, false},
    {AN_W_LASTS, 8, 7, 6, true},    {AN_W_CODEC, 8, 5, 5, false},
    {AN_W_LOSS, 7, 7, 3, true},     {AN_W_MOS, 4, 4, 1, true},
};

static void put_cells(struct an_table *t, const struct an_report *r, const struct an_view_row *row,
                      bool chosen)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%s%u", chosen ? "> " : "", row->id);
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    an_put_clock(&b, &r->style, row->start_ns, false);
    an_table_cell(t, str_sub(buf_str(&b), 0, 8), 0);
    an_table_cell(t, str_z(row->state), chosen ? 0 : row->color);
    an_table_cell(t, str_z(row->caller), 0);
    an_table_cell(t, str_z(row->callee), 0);
    an_table_cell(t, str_z(row->scenario), chosen ? 0 : AN_CYAN);
    buf_init(&b, mem, sizeof(mem));
    an_put_span(&b, row->lasts_ns);
    an_table_cell(t, buf_str(&b), 0);
    an_table_cell(t, str_z(row->codec), 0);
    buf_init(&b, mem, sizeof(mem));
    if (row->has_media) {
        an_put_fixed(&b, row->loss_e4, 2);
        buf_ch(&b, '%');
    }
    an_table_cell(t, buf_str(&b), !chosen && row->loss_e4 >= 100 ? AN_RED : 0);
    buf_init(&b, mem, sizeof(mem));
    if (row->mos_x100)
        an_put_fixed(&b, row->mos_x100, 2);
    an_table_cell(t, buf_str(&b), !chosen && row->mos_x100 && row->mos_x100 < 350 ? AN_RED : 0);
}

static void put_row(struct an_table *t, const struct an_report *r, const struct an_view_row *row,
                    bool chosen)
{
    /* Reversed from end to end: cells must not set colours of their own. */
    struct an_style plain = r->style;
    plain.color = false;
    if (chosen && r->style.color) {
        an_sink_z(t->out, "\x1b[7m");
        t->style = &plain;
    }
    put_cells(t, r, row, chosen);
    t->style = &r->style;
    if (chosen && r->style.color)
        an_sink_z(t->out, "\x1b[0m");
}

static bool passes(const struct an_view *v, const struct an_view_row *row)
{
    struct str part = str_of(v->filter, v->filter_n);
    return !part.n || str_ifind(str_z(row->caller), part) >= 0 ||
           str_ifind(str_z(row->callee), part) >= 0 || str_ifind(str_z(row->scenario), part) >= 0 ||
           str_ifind(str_z(row->state), part) >= 0;
}

static bool list_add(struct an_view *v, uint32_t id)
{
    if (v->n_listed == v->cap_listed) {
        uint32_t cap = v->cap_listed ? 2 * v->cap_listed : 256;
        uint32_t *more = mem_resize(v->listed, cap * sizeof(*more));
        if (!more)
            return false;
        v->listed = more;
        v->cap_listed = cap;
    }
    v->listed[v->n_listed++] = id;
    return true;
}

/* Row number i of what is listed: calls in progress, the latest last; then the finished ones, the
 * latest first. */
static void row_of(const struct an_view *v, const struct an_report *r, uint32_t id,
                   struct an_view_row *row)
{
    for (uint32_t i = 0; i < an_engine_calls(r->engine); i++)
        if (an_engine_call(r->engine, i)->number == id) {
            an_view_row_make(r, i, row);
            return;
        }
    for (uint32_t i = 0; i < v->n; i++) {
        const struct finished *f = &v->finished[(v->first + i) % AN_VIEW_FINISHED];
        if (f->row.id == id)
            *row = f->row;
    }
}

/* Which calls there are to be shown; how many of them are in progress. */
static uint32_t list_make(struct an_view *v, const struct an_report *r)
{
    struct an_view_row row;
    v->n_listed = 0;
    for (uint32_t i = 0; i < an_engine_calls(r->engine); i++) {
        /* Without a filter the rows that nobody sees are not made. */
        if (v->filter_n)
            an_view_row_make(r, i, &row);
        if (!v->filter_n || passes(v, &row))
            (void)list_add(v, an_engine_call(r->engine, i)->number);
    }
    uint32_t live = v->n_listed;
    for (uint32_t i = v->n; i-- > 0;) {
        const struct finished *f = &v->finished[(v->first + i) % AN_VIEW_FINISHED];
        if (passes(v, &f->row))
            (void)list_add(v, f->row.id);
    }
    return live;
}

/* What was chosen stays chosen wherever it has moved to; what is gone leaves its place to others.
 */
static void chosen_find(struct an_view *v)
{
    for (uint32_t i = 0; i < v->n_listed; i++)
        if (v->chosen && v->listed[i] == v->chosen) {
            v->at = i;
            return;
        }
    if (v->n_listed)
        choose(v, v->at);
    else
        v->chosen = 0;
}

static void scroll(struct an_view *v, unsigned rows)
{
    uint32_t most = v->n_listed > rows ? v->n_listed - rows : 0;
    v->page = rows;
    if (v->at < v->top)
        v->top = v->at;
    if (v->at >= v->top + rows)
        v->top = v->at - rows + 1;
    v->top = v->top < most ? v->top : most;
}

static void put_list(struct an_view *v, const struct an_report *r, unsigned rows,
                     struct an_sink *out)
{
    struct an_table t;
    uint32_t live = list_make(v, r);
    bool divided = live < v->n_listed;
    unsigned used = 0;
    chosen_find(v);
    scroll(v, rows - divided);
    an_table_begin(&t, cols, ARRAY_LEN(cols), r, out);
    for (uint32_t i = v->top; i < v->n_listed && used < rows; i++) {
        struct an_view_row row = {.id = v->listed[i]};
        if (i == live || (i == v->top && i > live)) {
            put_line(out, r, AN_DIM, str_z(word(r, AN_W_FINISHED)));
            used++;
        }
        if (used == rows)
            break;
        row_of(v, r, v->listed[i], &row);
        put_row(&t, r, &row, i == v->at);
        used++;
    }
    an_sink_fill(out, STR("\n"), rows - used);
}

/* ---- one call -------------------------------------------------------------------------------- */

static void put_detail(struct an_view *v, const struct an_report *r, unsigned rows,
                       struct an_sink *out)
{
    for (uint32_t i = 0; i < an_engine_calls(r->engine); i++) {
        if (an_engine_call(r->engine, i)->number != v->chosen)
            continue;
        struct text text = {0};
        struct an_sink sink;
        an_sink_init(&sink, text_take, &text);
        an_report_call(r, i, &sink);
        (void)!an_sink_flush(&sink);
        put_text(v, r, str_of(text.p, text.n), rows, out);
        mem_free(text.p);
        return;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        const struct finished *f = &v->finished[(v->first + i) % AN_VIEW_FINISHED];
        if (f->row.id == v->chosen) {
            put_text(v, r, str_of(f->detail, f->detail_n), rows, out);
            return;
        }
    }
    v->mode = VIEW_LIST; /* it is forgotten */
    put_text(v, r, STR(""), rows, out);
}

void an_view_draw(struct an_view *v, const struct an_report *r, const struct an_view_facts *facts,
                  unsigned rows, struct an_sink *out)
{
    if (rows < AN_VIEW_MIN_ROWS || r->style.width < AN_VIEW_MIN_COLUMNS) {
        put_line(out, r, 0, STR("ringdown"));
        return;
    }
    put_head(r, facts, out);
    if (v->mode == VIEW_DETAIL)
        put_detail(v, r, rows - HEAD_ROWS + 1 - FOOT_ROWS, out);
    else
        put_list(v, r, rows - HEAD_ROWS - FOOT_ROWS, out);
    put_foot(v, r, out);
}
