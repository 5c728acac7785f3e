/* Text in columns of a terminal. What a peer has sent is shown, never obeyed: control characters,
 * escapes among them, and bytes that are no UTF-8 become a visible stand-in. */
#ifndef ANALYSIS_CELL_H
#define ANALYSIS_CELL_H

#include "analysis/sink.h"

/* The columns that a text takes: two for wide characters such as Hangul, none for marks. */
unsigned an_cell_width(struct str s);
/* The text, harmless. */
void an_cell_text(struct an_sink *out, struct str s);
/* The text in exactly `width` columns: cut with an ellipsis, or filled up with blanks (before it if
 * `right`). */
void an_cell_put(struct an_sink *out, struct str s, unsigned width, bool right);

#endif
