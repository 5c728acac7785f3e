/* Memory for one unit of work: taken piece by piece, given back all at once by arena_reset().
 * Chunks stay with the arena, so the steady state allocates nothing. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *first, *at;
    size_t used;        /* bytes used of `at` */
    size_t total_bytes; /* of all chunks */
    size_t max_bytes;   /* arena_take() fails above this */
};

/* max_bytes bounds the arena; 0 means 16 MiB. Allocates nothing yet. */
void arena_init(struct arena *a, size_t max_bytes);
void arena_done(struct arena *a);
void arena_reset(struct arena *a);
/* n bytes aligned to 16, not cleared; NULL when the bound is reached or memory is out. */
void *arena_take(struct arena *a, size_t n);
void *arena_zero(struct arena *a, size_t n);
/* A copy of s with a NUL behind it; STR_NONE on failure. */
struct str arena_dup(struct arena *a, struct str s);

#endif
