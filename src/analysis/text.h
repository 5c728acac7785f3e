/* The texts of one object of the analysis, in one block that grows: they go with it. A reference is
 * an offset, so that it outlives a move of the block. */
#ifndef ANALYSIS_TEXT_H
#define ANALYSIS_TEXT_H

#include "base/assert.h"
#include "base/str.h"

#define AN_TEXT_MAX 65536 /* bytes of one block; what does not fit is left out */

struct an_text {
    char *p;
    uint32_t n, cap;
};

/* n 0: absent or empty. */
struct an_ref {
    uint32_t at, n;
};

void an_text_done(struct an_text *t);
/* A copy of s, or of what is there already; at most `most` bytes of it. Without memory or beyond
 * AN_TEXT_MAX the reference is empty. */
struct an_ref an_text_put(struct an_text *t, struct str s, uint32_t most);
static inline struct str an_text_get(const struct an_text *t, struct an_ref r)
{
    return r.n ? str_of(t->p + r.at, r.n) : STR_NONE;
}

#endif
