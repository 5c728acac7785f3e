/* A file that grows by lines, for days: a line is in it whole or not at all, it begins anew when it
 * is large or old enough, and a full disk costs lines until there is room again, never the program.
 * It blocks on the disk, and waits for nothing to be safe there. */
#ifndef IO_LINEFILE_H
#define IO_LINEFILE_H

#include "base/assert.h"
#include "base/str.h"

struct linefile_config {
    const char *path;        /* "-": standard output, which never begins anew */
    uint64_t rotate_bytes;   /* 0: at no size */
    uint64_t rotate_s;       /* 0: at no age */
    uint64_t min_free_bytes; /* with less room on the disk nothing is written */
    /* The disk is full, or has room again: a sentence. */
    void (*news)(void *ctx, const char *text);
    void *ctx;
};

struct linefile_stats {
    uint64_t lines, lost, bytes; /* lost: for want of room, or by another error */
    uint64_t files;              /* that were finished and renamed */
    bool full;
};

struct linefile;

/* Appends to what is there. now_s: since 1970. 0 or negative errno. */
MUST_CHECK int linefile_open(struct linefile **ret, const struct linefile_config *cfg,
                             uint64_t now_s);
/* Accepts NULL. */
void linefile_close(struct linefile *l);
/* The text, a line without its end. 0, or why it was lost: a negative errno; -EPIPE: nobody reads
 * standard output any more. */
MUST_CHECK int linefile_put(struct linefile *l, struct str text, uint64_t now_s);
/* Looks at its age. */
void linefile_tick(struct linefile *l, uint64_t now_s);
/* Somebody has taken the file away: goes on in one of the same name. 0 or negative errno. */
MUST_CHECK int linefile_reopen(struct linefile *l, uint64_t now_s);
struct linefile_stats linefile_stats_get(const struct linefile *l);

/* What a finished file is called: PATH.20261121-152233, with .2 and so on if there is one. Whether
 * `name` is one of those of `base`, both without folders. */
bool linefile_is_finished(const char *name, const char *base);

#endif
