/* Where message bytes go while the analysis keeps only their places. The application gives a file
 * or memory; the analysis appends, and reports read back. */
#ifndef ANALYSIS_KEEP_H
#define ANALYSIS_KEEP_H

#include "base/assert.h"
#include "base/str.h"

struct an_keep {
    void *user;
    /* Appends n bytes; 0 and where they are, or negative errno. */
    int (*put)(void *user, const void *p, size_t n, uint64_t *ret_at);
    /* Reads n bytes back into out; 0 or negative errno. */
    int (*get)(void *user, uint64_t at, void *out, size_t n);
    /* They are not asked for again. NULL: they stay. */
    void (*drop)(void *user, uint64_t at, size_t n);
};

#endif
