#include "base/hash.h"

#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

int hash_init(struct hash_table *t, uint64_t expected, uint64_t seed)
{
    uint64_t n = 16;
    while (n < expected)
        n *= 2;
    struct hash_node **bucket = mem_map(n * sizeof(struct hash_node *));
    if (!bucket)
        return -ENOMEM;
    *t = (struct hash_table){.bucket = bucket, .mask = n - 1, .seed = seed};
    return 0;
}

void hash_done(struct hash_table *t)
{
    mem_unmap(t->bucket, (t->mask + 1) * sizeof(struct hash_node *));
    *t = (struct hash_table){0};
}

void hash_dense(struct hash_table *t)
{
    mem_dense(t->bucket, (t->mask + 1) * sizeof(struct hash_node *));
}

uint64_t hash_bytes(const struct hash_table *t, const void *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, t->seed);
}

uint64_t hash_istr(const struct hash_table *t, struct str s)
{
    char lower[512];
    size_t n = s.n < sizeof(lower) ? s.n : sizeof(lower);
    for (size_t i = 0; i < n; i++)
        lower[i] = chr_lower(s.p[i]);
    return XXH3_64bits_withSeed(lower, n, t->seed);
}

void hash_put(struct hash_table *t, struct hash_node *node, uint64_t hash)
{
    struct hash_node **b = &t->bucket[hash & t->mask];
    node->hash = hash;
    node->next = *b;
    *b = node;
    t->count++;
}

void hash_remove(struct hash_table *t, struct hash_node *node)
{
    struct hash_node **at = &t->bucket[node->hash & t->mask];
    while (*at != node) {
        BUG_ON(!*at);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    t->count--;
}
