#include "base/blob.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"

#define CHUNK_BYTES (256u * 1024)

/* Classes 32, 48, 64, 96, 128, ... : two a doubling, so at most a third is wasted. */
static size_t class_bytes(unsigned c)
{
    size_t base = (size_t)32 << (c / 2);
    return c % 2 ? base + base / 2 : base;
}

static unsigned class_of(size_t n)
{
    if (n <= 32)
        return 0;
    unsigned log = 63 - (unsigned)__builtin_clzll(n - 1); /* 2^log < n <= 2^(log+1) */
    size_t base = (size_t)1 << log;
    return (log - 5) * 2 + (n <= base + base / 2 ? 1 : 2);
}

void blob_pool_init(struct blob_pool *pool, size_t max_bytes)
{
    *pool = (struct blob_pool){.max_bytes = max_bytes ? max_bytes : (size_t)1 << 30};
}

void blob_pool_done(struct blob_pool *pool)
{
    BUG_ON(pool->live);
    void *c = pool->chunks;
    while (c) {
        void *next = *(void **)c;
        mem_unmap(c, CHUNK_BYTES);
        c = next;
    }
    *pool = (struct blob_pool){0};
}

static void *cut(struct blob_pool *pool, size_t n)
{
    if (n > pool->chunk_left) {
        if (pool->mapped_bytes + CHUNK_BYTES > pool->max_bytes)
            return NULL;
        char *c = mem_map(CHUNK_BYTES);
        if (!c)
            return NULL;
        *(void **)(void *)c = pool->chunks;
        pool->chunks = c;
        pool->chunk = c + 64;
        pool->chunk_left = CHUNK_BYTES - 64;
        pool->mapped_bytes += CHUNK_BYTES;
    }
    void *p = pool->chunk;
    pool->chunk += n;
    pool->chunk_left -= n;
    return p;
}

void *pool_take(struct blob_pool *pool, size_t n)
{
    unsigned c = class_of(n);
    if (c >= BLOB_CLASSES || class_bytes(c) > CHUNK_BYTES - 64)
        return NULL;
    void *p = pool->free[c];
    if (p)
        pool->free[c] = *(void **)p;
    else
        p = cut(pool, class_bytes(c));
    if (p) {
        pool->live++;
        pool->used_bytes += class_bytes(c);
    }
    return p;
}

void pool_put(struct blob_pool *pool, void *p, size_t n)
{
    if (!p)
        return;
    unsigned c = class_of(n);
    *(void **)p = pool->free[c];
    pool->free[c] = p;
    pool->live--;
    pool->used_bytes -= class_bytes(c);
}

int pool_keep(struct blob_pool *pool, struct str *owned, struct str value)
{
    char *copy = NULL;
    if (value.p) {
        copy = pool_take(pool, value.n + 1);
        if (!copy)
            return -ENOMEM;
        if (value.n)
            memcpy(copy, value.p, value.n);
        copy[value.n] = '\0';
    }
    if (owned->p)
        pool_put(pool, (void *)(uintptr_t)owned->p, owned->n + 1);
    *owned = str_of(copy, copy ? value.n : 0);
    return 0;
}

struct blob *blob_new(struct blob_pool *pool, size_t n)
{
    size_t bytes = sizeof(struct blob) + n;
    struct blob *b = pool_take(pool, bytes);
    if (!b)
        return NULL;
    b->pool = pool;
    b->refs = 1;
    b->n = (uint32_t)n;
    b->size_class = (uint8_t)class_of(bytes);
    return b;
}

struct blob *blob_copy(struct blob_pool *pool, struct str s)
{
    struct blob *b = blob_new(pool, s.n);
    if (b && s.n)
        memcpy(b->data, s.p, s.n);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b)
        b->refs++;
    return b;
}

struct blob *blob_unref(struct blob *b)
{
    if (b && --b->refs == 0)
        pool_put(b->pool, b, class_bytes(b->size_class));
    return NULL;
}
