#include "analysis/cell.h"
#include "analysis/ladder.h"
#include "analysis/table.h"

#define TIME_COLS 14 /* time, leg and the blanks behind them */
#define LEAST_GAP 18 /* from one host's line to the next one's */
#define MOST_GAP  44
#define LAST_COLS 16 /* for the last host's name */

struct pen {
    const struct an_ladder *l;
    const struct an_style *style;
    struct an_sink *out;
    unsigned gap;
    struct str line, dash, right, left, loop;
};

static void pen_init(struct pen *p, const struct an_ladder *l, struct an_sink *out)
{
    const struct an_style *style = &l->r->style;
    *p = (struct pen){.l = l, .style = style, .out = out};
    if (style->unicode) {
        p->line = STR("\xE2\x94\x82");
        p->dash = STR("\xE2\x94\x80");
        p->right = STR("\xE2\x96\xB6");
        p->left = STR("\xE2\x97\x80");
        p->loop = STR("\xE2\x86\xBB");
    } else {
        p->line = STR("|");
        p->dash = STR("-");
        p->right = STR(">");
        p->left = STR("<");
        p->loop = STR("@");
    }
}

/* Columns between two lines; 0 when there is no room to draw. */
static unsigned gap_for(const struct an_ladder *l)
{
    unsigned width = l->r->style.width;
    if (l->n_cols < 2)
        return MOST_GAP;
    if (width < TIME_COLS + LAST_COLS)
        return 0;
    unsigned gap = (width - TIME_COLS - LAST_COLS) / (l->n_cols - 1);
    return gap < LEAST_GAP ? 0 : gap > MOST_GAP ? MOST_GAP : gap;
}

static void heads(const struct pen *p)
{
    const struct an_ladder *l = p->l;
    for (unsigned row = 0; row < 2; row++) {
        an_sink_fill(p->out, STR(" "), TIME_COLS);
        for (unsigned i = 0; i < l->n_cols; i++) {
            char mem[64];
            struct buf b;
            buf_init(&b, mem, sizeof(mem));
            an_ladder_put_col(&b, l, i);
            struct str text = row ? an_ladder_name(l, i) : buf_str(&b);
            an_color(p->out, p->style, row ? AN_DIM : AN_BOLD);
            bool last = i + 1 == l->n_cols;
            unsigned room = last ? LAST_COLS : p->gap - 1, width = an_cell_width(text);
            an_cell_put(p->out, text, last && width < room ? width : room, false);
            an_color(p->out, p->style, AN_PLAIN);
            an_sink_z(p->out, last ? "\n" : " ");
        }
    }
}

static unsigned color_of(const struct an_ladder *l, const struct an_rung *g)
{
    static const unsigned legs[] = {AN_CYAN, AN_GREEN, AN_YELLOW, AN_MAGENTA, AN_BLUE};
    const struct an_msg *m = an_rung_msg(l, g);
    if (!m || m->flags & AN_MSG_RETRANS)
        return AN_DIM;
    return m->status >= 400 ? AN_RED : legs[g->leg % ARRAY_LEN(legs)];
}

static void put_time(const struct pen *p, const struct an_rung *g)
{
    char mem[64];
    struct buf b;
    uint64_t ms = (g->at_ns - p->l->zero_ns) / 1000000u;
    buf_init(&b, mem, sizeof(mem));
    an_put_fixed(&b, ms, 3);
    an_cell_put(p->out, buf_str(&b), 9, true);
    const struct an_leg *leg = an_engine_leg(p->l->r->engine, g->leg);
    an_sink_fmt(p->out, " %3u ", leg->number);
}

/* "──── INVITE ───▶" in so many columns. */
static void put_arrow(const struct pen *p, struct str label, unsigned width, bool right)
{
    unsigned room = width > 4 ? width - 4 : 0, n = an_cell_width(label);
    if (n > room)
        n = room;
    unsigned dashes = width - 1 - (n ? n + 2 : 0), before = dashes / 2;
    if (!right)
        an_sink_str(p->out, p->left);
    an_sink_fill(p->out, p->dash, before);
    if (n) {
        an_sink_ch(p->out, ' ');
        an_cell_put(p->out, label, n, false);
        an_sink_ch(p->out, ' ');
    }
    an_sink_fill(p->out, p->dash, dashes - before);
    if (right)
        an_sink_str(p->out, p->right);
}

static void put_rung(const struct pen *p, const struct an_rung *g, struct str label)
{
    unsigned left = g->from < g->to ? g->from : g->to, right = g->from < g->to ? g->to : g->from;
    unsigned n = p->l->n_cols;
    put_time(p, g);
    for (unsigned i = 0; i < n; i++) {
        bool last = i + 1 == n;
        an_sink_str(p->out, p->line);
        if (i == left && left < right) {
            an_color(p->out, p->style, color_of(p->l, g));
            put_arrow(p, label, (right - left) * p->gap - 1, g->from < g->to);
            an_color(p->out, p->style, AN_PLAIN);
            i = right - 1;
        } else if (i == left && left == right) {
            an_color(p->out, p->style, color_of(p->l, g));
            an_sink_str(p->out, p->loop);
            an_cell_put(p->out, label, last ? an_cell_width(label) : p->gap - 2, false);
            an_color(p->out, p->style, AN_PLAIN);
        } else if (!last) {
            an_sink_fill(p->out, STR(" "), p->gap - 1);
        }
    }
    an_sink_ch(p->out, '\n');
}

/* Where the terminal is too narrow for lines: one row a message. */
static void put_row(const struct pen *p, const struct an_rung *g, struct str label)
{
    char mem[160];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    an_ladder_put_col(&b, p->l, g->from);
    buf_lit(&b, " > ");
    an_ladder_put_col(&b, p->l, g->to);
    put_time(p, g);
    an_color(p->out, p->style, color_of(p->l, g));
    an_cell_text(p->out, buf_str(&b));
    an_sink_z(p->out, "  ");
    an_cell_text(p->out, label);
    an_color(p->out, p->style, AN_PLAIN);
    an_sink_ch(p->out, '\n');
}

void an_ladder_text(const struct an_ladder *l, struct an_sink *out)
{
    struct pen p;
    pen_init(&p, l, out);
    p.gap = gap_for(l);
    if (p.gap)
        heads(&p);
    for (uint32_t i = 0; i < l->n_rungs; i++) {
        const struct an_rung *g = &l->rung[i];
        const struct an_msg *m = an_rung_msg(l, g);
        char mem[512];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        an_rung_label(&b, l, g);
        if (m && m->flags & AN_MSG_RETRANS)
            buf_printf(&b, " (%s)", an_word((enum an_lang)p.style->lang, AN_W_AGAIN));
        if (p.gap)
            put_rung(&p, g, buf_str(&b));
        else
            put_row(&p, g, buf_str(&b));
    }
    if (l->more) {
        char mem[24];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        buf_u64(&b, l->more);
        an_say(out, p.style, AN_W_MORE_ROWS, buf_str(&b));
        an_sink_ch(out, '\n');
    }
}
