/* The parts of the page that come from web/, as cmake/embed.cmake has put them into the program. */
#ifndef ANALYSIS_PAGE_H
#define ANALYSIS_PAGE_H

#include "base/str.h"

struct embedded {
    struct str text;
    uint8_t sha256[32];
};

extern const struct embedded page_css, page_js;

/* What the document of a page has beyond that of --json: the words of the report, and of each call
 * what is drawn and heard. */
struct an_json;
struct an_report;
void an_page_words(const struct an_report *r, struct an_json *j);
void an_page_call(const struct an_report *r, uint32_t call, struct an_json *j);

#endif
