/* How reports look at this terminal, to this user. */
#ifndef APP_STYLE_H
#define APP_STYLE_H

#include "analysis/report.h"

#define STYLE_MIN_COLUMNS 60

/* By the terminal, NO_COLOR, COLUMNS and the locale. */
void style_default(struct an_style *style);
/* "auto", "always", "never". NULL, or what is wrong. */
const char *style_color_set(struct an_style *style, const char *when);
/* Local time - UTC at that time: it may be of another season. */
int32_t style_zone_at(uint64_t at_ns);

#endif
