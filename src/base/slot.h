/* A slot table holds long-lived objects of one kind at fixed addresses. Others name an object by a
 * handle (index, generation): a handle of an object that is gone finds nothing. The capacity is
 * reserved once; pages are used when slots are. A full table is an answer (503), not an error. */
#ifndef BASE_SLOT_H
#define BASE_SLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

/* 0 is no object. Bits 0-31 index + 1, 32-63 generation. */
typedef uint64_t handle_t;

struct slot_table {
    char *mem;      /* the objects */
    uint32_t *gen;  /* odd: in use */
    uint32_t *next; /* free list */
    uint32_t item_bytes, cap;
    uint32_t free_head; /* index + 1; 0: none */
    uint32_t fresh;     /* slots from here on were never used */
    uint32_t used, peak;
};

/* 0 or -ENOMEM. */
MUST_CHECK int slot_init(struct slot_table *t, size_t item_bytes, uint32_t cap);
void slot_done(struct slot_table *t);
/* Very many of its slots will be used: mem_dense(). */
void slot_dense(struct slot_table *t);
/* A cleared object and its handle, or NULL when the table is full. */
void *slot_take(struct slot_table *t, handle_t *ret);
/* Gives the object back; its handle is stale from now on. */
void slot_put(struct slot_table *t, handle_t h);
/* Gives the pages of a table back in which nothing is in use; else it does nothing. Handles stay
 * stale. */
void slot_trim(struct slot_table *t);
/* The object, or NULL if h is 0 or stale. */
static inline void *slot_find(const struct slot_table *t, handle_t h)
{
    uint32_t i = (uint32_t)h - 1;
    if (h == 0 || i >= t->fresh || t->gen[i] != (uint32_t)(h >> 32))
        return NULL;
    return t->mem + (size_t)i * t->item_bytes;
}
/* The handle of a live object of this table. */
handle_t slot_handle(const struct slot_table *t, const void *item);
/* Walks the live objects: start with *at = 0; NULL at the end. Taking and giving back is allowed
 * in between. */
void *slot_next(const struct slot_table *t, uint32_t *at, handle_t *ret);

#endif
