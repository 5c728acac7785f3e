/* A script as statements: files included, blocks repeated, lines cut into words. */
#ifndef SCENARIO_SCRIPT_H
#define SCENARIO_SCRIPT_H

#include "base/arena.h"
#include "base/assert.h"

#define SCRIPT_WORDS 40

struct line {
    const char *file;
    unsigned number;
    unsigned indent;
    struct str text; /* without indent */
};

/* One statement: its line and the indented lines under it. */
struct statement {
    struct line line;
    struct line *child;
    unsigned n_children;
};

struct script {
    struct statement *statement;
    unsigned n, cap;
    char error[512]; /* "FILE:LINE: why" when loading failed */
};

/* Reads a file and all it uses. `$NAME` is replaced by what `use FILE NAME=...` or `repeat` gives
 * it. 0, or -EINVAL with s->error. */
MUST_CHECK int script_load(struct script *s, struct arena *a, const char *path);
/* Cuts text at spaces outside quotes; the quotes of a whole word or value are taken off. Returns
 * how many words there are, or -1 for too many. */
int script_words(struct arena *a, struct str text, struct str word[SCRIPT_WORDS]);
/* "500ms", "31.5s", "2m", "1h" in microseconds. 0 or -EINVAL. */
MUST_CHECK int script_duration(uint64_t *ret, struct str s);
/* A whole file. STR_NONE if it cannot be read. */
struct str script_file(struct arena *a, const char *path);

#endif
