#include "base/arena.h"

#include "base/mem.h"

#define CHUNK_BYTES (32u * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t cap;
    _Alignas(16) char data[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
    *a = (struct arena){.max_bytes = max_bytes ? max_bytes : 16u << 20};
}

void arena_done(struct arena *a)
{
    struct arena_chunk *c = a->first;
    while (c) {
        struct arena_chunk *next = c->next;
        mem_free(c);
        c = next;
    }
    *a = (struct arena){.max_bytes = a->max_bytes};
}

void arena_reset(struct arena *a)
{
    a->at = a->first;
    a->used = 0;
}

/* Moves to the next chunk that holds n bytes, making one at the end if none does. */
static bool next_chunk(struct arena *a, size_t n)
{
    struct arena_chunk *last = a->at;
    while (last && last->next) {
        last = last->next;
        if (last->cap >= n) {
            a->at = last;
            a->used = 0;
            return true;
        }
    }
    size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
    if (cap > a->max_bytes - a->total_bytes)
        return false;
    struct arena_chunk *c = mem_alloc(sizeof(*c) + cap);
    if (!c)
        return false;
    c->next = NULL;
    c->cap = cap;
    if (last)
        last->next = c;
    else
        a->first = c;
    a->at = c;
    a->used = 0;
    a->total_bytes += cap;
    return true;
}

void *arena_take(struct arena *a, size_t n)
{
    if (n > a->max_bytes)
        return NULL;
    n = (n + 15) & ~(size_t)15;
    if (!a->at || n > a->at->cap - a->used)
        if (!next_chunk(a, n))
            return NULL;
    void *p = a->at->data + a->used;
    a->used += n;
    return p;
}

void *arena_zero(struct arena *a, size_t n)
{
    void *p = arena_take(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *p = arena_take(a, s.n + 1);
    if (!p)
        return STR_NONE;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_of(p, s.n);
}
