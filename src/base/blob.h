/* Blobs: immutable bytes with a reference count (a message kept to resend, a body). They come from
 * a pool of size classes that belongs to one worker; blobs of a pool stay in its thread. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/str.h"

#define BLOB_CLASSES 24 /* up to 98304 bytes: the largest message fits */

struct blob_pool {
    void *free[BLOB_CLASSES];
    char *chunk; /* the chunk being cut */
    size_t chunk_left;
    void *chunks; /* all chunks, to give back at the end */
    size_t mapped_bytes, used_bytes, max_bytes;
    uint64_t live;
};

struct blob {
    struct blob_pool *pool;
    uint32_t refs;
    uint32_t n;
    uint8_t size_class;
    char data[];
};

/* max_bytes bounds the pool's memory; 0 means 1 GiB. */
void blob_pool_init(struct blob_pool *pool, size_t max_bytes);
/* All blobs must be back. */
void blob_pool_done(struct blob_pool *pool);

/* A blob of n bytes to fill in before anybody else sees it; one reference. NULL: pool exhausted. */
struct blob *blob_new(struct blob_pool *pool, size_t n);
struct blob *blob_copy(struct blob_pool *pool, struct str s);
struct blob *blob_ref(struct blob *b);
/* Accepts NULL. Returns NULL. */
struct blob *blob_unref(struct blob *b);

static inline struct str blob_str(const struct blob *b)
{
    return b ? (struct str){b->data, b->n} : STR_NONE;
}

/* Plain memory of the same pool, for objects of varying size. The caller remembers n. */
void *pool_take(struct blob_pool *pool, size_t n);
void pool_put(struct blob_pool *pool, void *p, size_t n);
/* Replaces an owned text (of this pool, or none) by a copy of `value`; none frees it. 0, or
 * -ENOMEM, which leaves the old text. Freeing cannot fail. */
int pool_keep(struct blob_pool *pool, struct str *owned, struct str value);

#endif
