#include "analysis/table.h"

#include <time.h>

#include "analysis/cell.h"

void an_color(struct an_sink *out, const struct an_style *style, unsigned color)
{
    if (style->color)
        an_sink_fmt(out, "\x1b[%um", color);
}

void an_say(struct an_sink *out, const struct an_style *style, enum an_word w, struct str arg)
{
    struct str text = str_z(an_word((enum an_lang)style->lang, w));
    ptrdiff_t at = str_chr(text, '{');
    an_sink_put(out, text.p, at < 0 ? text.n : (size_t)at);
    if (at < 0)
        return;
    an_cell_text(out, arg);
    an_sink_str(out, str_from(text, (size_t)at + 2));
}

void an_heading(struct an_sink *out, const struct an_style *style, const char *text)
{
    an_sink_ch(out, '\n');
    an_color(out, style, AN_BOLD);
    an_sink_z(out, text);
    an_color(out, style, AN_PLAIN);
    an_sink_ch(out, '\n');
}

void an_put_fixed(struct buf *b, uint64_t n, unsigned digits)
{
    uint64_t unit = 1;
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    if (digits)
        buf_printf(b, "%llu.%0*llu", (unsigned long long)(n / unit), (int)digits,
                   (unsigned long long)(n % unit));
    else
        buf_u64(b, n);
}

void an_put_span(struct buf *b, uint64_t ns)
{
    uint64_t ms = ns / 1000000u, s = (ms + 500) / 1000;
    if (ns == AN_NEVER)
        buf_lit(b, "-");
    else if (ms < 1000)
        buf_printf(b, "%llu ms", (unsigned long long)ms);
    else if (ms < 60000)
        buf_printf(b, "%llu.%llu s", (unsigned long long)(ms / 1000),
                   (unsigned long long)(ms % 1000 / 100));
    else if (s < 3600)
        buf_printf(b, "%llu:%02llu", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
    else
        buf_printf(b, "%llu:%02llu:%02llu", (unsigned long long)(s / 3600),
                   (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
}

void an_put_clock(struct buf *b, const struct an_style *style, uint64_t at_ns, bool date)
{
    time_t at_s = (time_t)(at_ns / 1000000000u) + style->zone_s;
    struct tm tm;
    gmtime_r(&at_s, &tm);
    if (date)
        buf_printf(b, "%04d-%02d-%02d ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    buf_printf(b, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
               (unsigned)(at_ns / 1000000u % 1000u));
}

static unsigned total(const struct an_table *t)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < t->n; i++)
        sum += t->width[i] ? t->width[i] + 2u : 0;
    return sum ? sum - 2 : 0;
}

/* The column that is missed least, of those that may go; n if none. */
static unsigned least(const struct an_table *t)
{
    unsigned found = t->n;
    for (unsigned i = 0; i < t->n; i++)
        if (t->width[i] && t->col[i].rank && (found == t->n || t->col[i].rank > t->col[found].rank))
            found = i;
    return found;
}

static void fit(struct an_table *t, unsigned width)
{
    bool shrunk = true;
    for (unsigned i = 0; i < t->n; i++)
        t->width[i] = t->col[i].want;
    while (total(t) > width && shrunk) {
        shrunk = false;
        for (unsigned i = 0; i < t->n && total(t) > width; i++) {
            if (t->width[i] > t->col[i].least) {
                t->width[i]--;
                shrunk = true;
            }
        }
    }
    for (unsigned i; total(t) > width && (i = least(t)) < t->n;)
        t->width[i] = 0;
    /* What a column that went has left goes to those that had shrunk. */
    for (unsigned i = 0; i < t->n; i++)
        while (t->width[i] && t->width[i] < t->col[i].want && total(t) < width)
            t->width[i]++;
}

void an_table_begin(struct an_table *t, const struct an_col *col, unsigned n,
                    const struct an_report *r, struct an_sink *out)
{
    BUG_ON(n > AN_TABLE_MAX);
    *t = (struct an_table){.col = col, .n = n, .style = &r->style, .out = out};
    fit(t, r->style.width);
    for (unsigned i = 0; i < n; i++)
        an_table_cell(t, str_z(an_word((enum an_lang)r->style.lang, col[i].title)), AN_DIM);
}

void an_table_cell(struct an_table *t, struct str text, unsigned color)
{
    unsigned i = t->at++;
    bool first = true, last = true;
    BUG_ON(i >= t->n);
    for (unsigned k = 0; k < t->n; k++) {
        first = first && (k >= i || !t->width[k]);
        last = last && (k <= i || !t->width[k]);
    }
    if (t->width[i] && !(last && !text.n)) {
        if (!first)
            an_sink_z(t->out, "  ");
        if (color)
            an_color(t->out, t->style, color);
        /* No blanks at the end of a line. */
        unsigned width = an_cell_width(text);
        bool bare = last && !t->col[i].right && width < t->width[i];
        an_cell_put(t->out, text, bare ? width : t->width[i], t->col[i].right);
        if (color)
            an_color(t->out, t->style, AN_PLAIN);
    }
    if (t->at == t->n) {
        an_sink_ch(t->out, '\n');
        t->at = 0;
    }
}
