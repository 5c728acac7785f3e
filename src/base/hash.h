/* An intrusive chained hash table with a fixed number of buckets (it is sized for the slot table
 * that it indexes) and a seeded hash, so a peer cannot choose collisions. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/assert.h"
#include "base/str.h"

struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    struct hash_node **bucket;
    uint64_t mask, count, seed;
};

/* expected: how many nodes to size for. 0 or -ENOMEM. */
MUST_CHECK int hash_init(struct hash_table *t, uint64_t expected, uint64_t seed);
void hash_done(struct hash_table *t);
/* Very many of its buckets will be used: mem_dense(). */
void hash_dense(struct hash_table *t);
uint64_t hash_bytes(const struct hash_table *t, const void *p, size_t n);
static inline uint64_t hash_str(const struct hash_table *t, struct str s)
{
    return hash_bytes(t, s.p, s.n);
}
/* The same for text compared without ASCII case; at most 512 bytes count. */
uint64_t hash_istr(const struct hash_table *t, struct str s);
void hash_put(struct hash_table *t, struct hash_node *node, uint64_t hash);
/* The node must be in the table. */
void hash_remove(struct hash_table *t, struct hash_node *node);

/* Walks the nodes whose hash equals h; the caller compares the keys:
 *   hash_each(node, t, h) if (key_equal(container_of(node, ...))) ... */
static inline struct hash_node *hash_first(const struct hash_table *t, uint64_t h)
{
    struct hash_node *n = t->bucket[h & t->mask];
    while (n && n->hash != h)
        n = n->next;
    return n;
}
static inline struct hash_node *hash_again(struct hash_node *n)
{
    uint64_t h = n->hash;
    do
        n = n->next;
    while (n && n->hash != h);
    return n;
}
#define hash_each(node, t, h)                                                                      \
    for (struct hash_node *node = hash_first((t), (h)); node; node = hash_again(node))

#endif
