#include "engine/sip/guard.h"

#include "base/hash.h"
#include "base/mem.h"

#define ENTRIES 16384 /* a power of two */
#define WAYS    4

struct entry {
    struct addr from;
    usec_t at;
    int64_t milli; /* tokens * 1000; below zero: refusals since */
};

struct sip_guard {
    struct hash_table key;
    uint32_t rate_per_s, burst;
    struct entry e[ENTRIES];
};

struct sip_guard *guard_new(uint64_t seed, uint32_t rate_per_s, uint32_t burst)
{
    struct sip_guard *g = mem_map(sizeof(*g));
    if (!g)
        return NULL;
    g->key.seed = seed;
    g->rate_per_s = rate_per_s;
    g->burst = burst;
    return g;
}

void guard_free(struct sip_guard *g)
{
    mem_unmap(g, sizeof(*g));
}

static struct entry *take(struct sip_guard *g, usec_t now, const struct addr *from)
{
    uint64_t h = hash_bytes(&g->key, from->ip, sizeof(from->ip));
    struct entry *e = &g->e[h & (ENTRIES - WAYS)], *oldest = e;
    for (unsigned i = 0; i < WAYS; i++) {
        if (addr_ip_eq(&e[i].from, from) && e[i].from.family != ADDR_NONE)
            return &e[i];
        if (e[i].at < oldest->at)
            oldest = &e[i];
    }
    *oldest = (struct entry){.from = *from, .at = now, .milli = (int64_t)g->burst * 1000};
    return oldest;
}

enum guard_verdict guard_take(struct sip_guard *g, usec_t now, const struct addr *from)
{
    if (!g->rate_per_s)
        return GUARD_PASS;
    struct addr who = *from;
    if (who.family == ADDR_V6) /* one subscriber has 64 bits of addresses to send from */
        memset(who.ip + 8, 0, 8);
    struct entry *e = take(g, now, &who);
    int64_t full = (int64_t)g->burst * 1000;
    usec_t since = now - e->at;
    int64_t earned = since > 3600 * USEC_S ? full : (int64_t)(since * g->rate_per_s / 1000);
    e->milli = e->milli + earned > full ? full : e->milli + earned;
    e->at = now;
    if (e->milli >= 1000) {
        e->milli -= 1000;
        return GUARD_PASS;
    }
    /* Refusals are answered up to once the burst, then silence. */
    if (e->milli > -full)
        e->milli -= 1000;
    return e->milli > -full ? GUARD_REFUSE : GUARD_DROP;
}
