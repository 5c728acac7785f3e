#include "analysis/keep_mem.h"

#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

/* The list lets those go that nobody has dropped. */
struct block {
    struct list node;
    size_t n;
    char bytes[];
};

struct an_keep_mem {
    struct an_keep ops;
    struct list blocks;
    uint64_t max_bytes;
    struct an_keep_mem_stats stats;
};

static int put(void *user, const void *p, size_t n, uint64_t *ret_at)
{
    struct an_keep_mem *k = user;
    struct block *b = NULL;
    if (sizeof(*b) + n <= k->max_bytes - k->stats.bytes)
        b = mem_alloc(sizeof(*b) + n);
    if (!b) {
        k->stats.refused++;
        return -ENOSPC;
    }
    b->n = n;
    memcpy(b->bytes, p, n);
    list_append(&k->blocks, &b->node);
    k->stats.bytes += sizeof(*b) + n;
    k->stats.blocks++;
    *ret_at = (uint64_t)(uintptr_t)b;
    return 0;
}

static int get(void *user, uint64_t at, void *out, size_t n)
{
    const struct block *b = (const struct block *)(uintptr_t)at;
    (void)user;
    if (n > b->n)
        return -EINVAL;
    memcpy(out, b->bytes, n);
    return 0;
}

static void drop(void *user, uint64_t at, size_t n)
{
    struct an_keep_mem *k = user;
    struct block *b = (struct block *)(uintptr_t)at;
    BUG_ON(n > b->n || k->stats.blocks == 0);
    list_remove(&b->node);
    k->stats.bytes -= sizeof(*b) + b->n;
    k->stats.blocks--;
    mem_free(b);
}

int an_keep_mem_new(struct an_keep_mem **ret, uint64_t max_bytes)
{
    struct an_keep_mem *k = mem_zero(sizeof(*k));
    if (!k)
        return -ENOMEM;
    k->ops = (struct an_keep){.user = k, .put = put, .get = get, .drop = drop};
    k->max_bytes = max_bytes;
    list_init(&k->blocks);
    *ret = k;
    return 0;
}

void an_keep_mem_free(struct an_keep_mem *k)
{
    if (!k)
        return;
    list_each(node, &k->blocks)
    {
        mem_free(container_of(node, struct block, node));
    }
    mem_free(k);
}

const struct an_keep *an_keep_mem_ops(const struct an_keep_mem *k)
{
    return &k->ops;
}

struct an_keep_mem_stats an_keep_mem_stats(const struct an_keep_mem *k)
{
    return k->stats;
}
