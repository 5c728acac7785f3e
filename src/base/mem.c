#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Process-wide by nature: the heap is. */
static _Atomic uint64_t live, requests, fail_at;

static int refused(void)
{
    uint64_t number = atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed) + 1;
    uint64_t limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
    return limit && number >= limit;
}

void *mem_alloc(size_t n)
{
    void *p = refused() ? NULL : malloc(n ? n : 1);
    if (p)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_zero(size_t n)
{
    void *p = mem_alloc(n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *mem_resize(void *p, size_t n)
{
    if (!p)
        return mem_alloc(n);
    return refused() ? NULL : realloc(p, n ? n : 1);
}

void mem_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

char *mem_strndup(const char *p, size_t n)
{
    char *copy = mem_alloc(n + 1);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

void *mem_map(size_t bytes)
{
    if (refused())
        return NULL;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void mem_unmap(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes);
}

void mem_clear(void *p, size_t bytes)
{
    if (madvise(p, bytes, MADV_DONTNEED))
        memset(p, 0, bytes);
}

void mem_dense(void *p, size_t bytes)
{
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* where it cannot be had, nothing is lost */
}

uint64_t mem_live(void)
{
    return atomic_load(&live);
}

uint64_t mem_requests(void)
{
    return atomic_load(&requests);
}

void mem_fail_after(uint64_t nth)
{
    atomic_store(&fail_at, nth ? atomic_load(&requests) + nth : 0);
}
