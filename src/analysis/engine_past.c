/* What an engine still knows of legs that it has forgotten, in little room: the Call-IDs of calls
 * that were handed over, and which hosts are exchanges and phones. Of both the oldest of a set goes
 * when another comes. */
#include "analysis/engine_int.h"

#include "base/mem.h"

#define SETS      1024
#define CALL_IDS  8 /* of a set */
#define HOSTS     4
#define HASH_IDLE 1ull /* the lowest bit of a kept hash says how the call ended */
#define MIX       0x9e3779b97f4a7c15u

struct past_host {
    struct addr at;
    uint8_t was; /* 0: none */
};

struct engine_past {
    uint64_t call_id[SETS][CALL_IDS]; /* the latest first; 0: none */
    struct past_host host[SETS][HOSTS];
};

struct engine_past *engine_past_new(void)
{
    return mem_zero(sizeof(struct engine_past));
}

void engine_past_free(struct engine_past *p)
{
    mem_free(p);
}

/* ---- Call-IDs -------------------------------------------------------------------------------- */

static unsigned set_of(uint64_t hash)
{
    return (unsigned)(hash >> 32) % SETS;
}

void engine_past_call_id(struct engine_past *p, uint64_t hash, bool idle)
{
    uint64_t *set = p->call_id[set_of(hash)];
    unsigned i = 0;
    while (i < CALL_IDS - 1 && (set[i] ^ hash) & ~HASH_IDLE)
        i++;
    memmove(&set[1], &set[0], i * sizeof(set[0]));
    set[0] = (hash & ~HASH_IDLE) | (idle ? HASH_IDLE : 0);
}

enum engine_was engine_past_was(const struct engine_past *p, uint64_t hash)
{
    const uint64_t *set = p->call_id[set_of(hash)];
    for (unsigned i = 0; i < CALL_IDS; i++)
        if (set[i] && !((set[i] ^ hash) & ~HASH_IDLE))
            return set[i] & HASH_IDLE ? ENGINE_WAS_IDLE : ENGINE_WAS_OVER;
    return ENGINE_WAS_NONE;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static unsigned host_set(const struct addr *a)
{
    uint64_t x[2];
    memcpy(x, a->ip, sizeof(x));
    return set_of((x[0] ^ x[1] * MIX ^ a->family) * MIX);
}

static void host_put(struct engine_past *p, const struct addr *a, unsigned was)
{
    struct past_host *set = p->host[host_set(a)];
    unsigned i = 0;
    while (i < HOSTS - 1 && !(set[i].was && addr_ip_eq(&set[i].at, a)))
        i++;
    if (set[i].was && addr_ip_eq(&set[i].at, a))
        was |= set[i].was;
    memmove(&set[1], &set[0], i * sizeof(set[0]));
    set[0] = (struct past_host){.at = *a, .was = (uint8_t)was};
}

void engine_past_hosts(struct engine_past *p, const struct an_leg *leg)
{
    if (leg->n_hosts < 2 || (leg->kind != AN_LEG_REGISTER && !leg->challenges))
        return;
    host_put(p, &leg->host[0], ENGINE_PHONE);
    host_put(p, &leg->host[1], ENGINE_EXCHANGE);
}

unsigned engine_past_host(const struct engine_past *p, const struct addr *a)
{
    const struct past_host *set = p->host[host_set(a)];
    for (unsigned i = 0; i < HOSTS; i++)
        if (set[i].was && addr_ip_eq(&set[i].at, a))
            return set[i].was;
    return 0;
}
