/* Columns of text at a terminal. They get what they want while there is room; then those that can
 * shrink do, and then the least important go. */
#ifndef ANALYSIS_TABLE_H
#define ANALYSIS_TABLE_H

#include "analysis/report.h"

#define AN_TABLE_MAX 16

struct an_col {
    uint8_t title; /* enum an_word */
    uint8_t want, least;
    uint8_t rank; /* 0 stays; of the others the highest goes first */
    bool right;
};

struct an_table {
    const struct an_col *col;
    unsigned n;
    uint8_t width[AN_TABLE_MAX]; /* 0: left out */
    unsigned at;                 /* the next cell */
    const struct an_style *style;
    struct an_sink *out;
};

/* Fits the columns, writes their titles. */
void an_table_begin(struct an_table *t, const struct an_col *col, unsigned n,
                    const struct an_report *r, struct an_sink *out);
/* The next cell of the row; the last one ends the line. color: of an_color, 0 none. */
void an_table_cell(struct an_table *t, struct str text, unsigned color);

/* ---- terminals ---------------------------------------------------------------------------------
 */

enum an_color { /* as in ISO 6429 */
                AN_PLAIN = 0,
                AN_BOLD = 1,
                AN_DIM = 2,
                AN_RED = 31,
                AN_GREEN = 32,
                AN_YELLOW = 33,
                AN_BLUE = 34,
                AN_MAGENTA = 35,
                AN_CYAN = 36
};
void an_color(struct an_sink *out, const struct an_style *style, unsigned color);
/* The word, "{}" in it replaced by arg. */
void an_say(struct an_sink *out, const struct an_style *style, enum an_word w, struct str arg);
/* A line that begins a part. */
void an_heading(struct an_sink *out, const struct an_style *style, const char *text);
/* "12.3 s", "-" for AN_NEVER */
void an_put_span(struct buf *b, uint64_t ns);
/* "13:28:52.123" or with the date before it, local */
void an_put_clock(struct buf *b, const struct an_style *style, uint64_t at_ns, bool date);
/* n / 10^digits */
void an_put_fixed(struct buf *b, uint64_t n, unsigned digits);

#endif
