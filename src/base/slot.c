#include "base/slot.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

int slot_init(struct slot_table *t, size_t item_bytes, uint32_t cap)
{
    item_bytes = (item_bytes + 15) & ~(size_t)15;
    char *mem = mem_map(item_bytes * cap);
    uint32_t *gen = mem_map(sizeof(uint32_t) * cap);
    uint32_t *next = mem_map(sizeof(uint32_t) * cap);
    if (!mem || !gen || !next) {
        mem_unmap(mem, item_bytes * cap);
        mem_unmap(gen, sizeof(uint32_t) * cap);
        mem_unmap(next, sizeof(uint32_t) * cap);
        return -ENOMEM;
    }
    *t = (struct slot_table){
        .mem = mem, .gen = gen, .next = next, .item_bytes = (uint32_t)item_bytes, .cap = cap};
    return 0;
}

void slot_done(struct slot_table *t)
{
    mem_unmap(t->mem, (size_t)t->item_bytes * t->cap);
    mem_unmap(t->gen, sizeof(uint32_t) * t->cap);
    mem_unmap(t->next, sizeof(uint32_t) * t->cap);
    *t = (struct slot_table){0};
}

void slot_dense(struct slot_table *t)
{
    mem_dense(t->mem, (size_t)t->item_bytes * t->cap);
}

static handle_t handle_of(const struct slot_table *t, uint32_t i)
{
    return ((uint64_t)t->gen[i] << 32) | (i + 1);
}

void *slot_take(struct slot_table *t, handle_t *ret)
{
    uint32_t i;
    if (t->free_head) {
        i = t->free_head - 1;
        t->free_head = t->next[i];
    } else if (t->fresh < t->cap) {
        i = t->fresh++;
    } else {
        return NULL;
    }
    t->gen[i]++; /* even to odd: in use */
    if (++t->used > t->peak)
        t->peak = t->used;
    char *item = t->mem + (size_t)i * t->item_bytes;
    memset(item, 0, t->item_bytes);
    *ret = handle_of(t, i);
    return item;
}

void slot_put(struct slot_table *t, handle_t h)
{
    BUG_ON(!slot_find(t, h));
    uint32_t i = (uint32_t)h - 1;
    t->gen[i]++;
    t->next[i] = t->free_head;
    t->free_head = i + 1;
    t->used--;
}

void slot_trim(struct slot_table *t)
{
    if (t->used)
        return;
    mem_clear(t->mem, (size_t)t->item_bytes * t->fresh);
    t->fresh = 0;
    t->free_head = 0;
}

handle_t slot_handle(const struct slot_table *t, const void *item)
{
    size_t offset = (size_t)((const char *)item - t->mem);
    uint32_t i = (uint32_t)(offset / t->item_bytes);
    BUG_ON(i >= t->fresh || !(t->gen[i] & 1));
    return handle_of(t, i);
}

void *slot_next(const struct slot_table *t, uint32_t *at, handle_t *ret)
{
    while (*at < t->fresh) {
        uint32_t i = (*at)++;
        if (t->gen[i] & 1) {
            *ret = handle_of(t, i);
            return t->mem + (size_t)i * t->item_bytes;
        }
    }
    return NULL;
}
