#include "engine/sip/rtt.h"

#include "base/hash.h"
#include "base/mem.h"

#define ENTRIES  8192 /* a power of two */
#define WAYS     4
#define NO_TCP_S 600

struct entry {
    struct addr peer;
    uint32_t srtt_us, rttvar_us, samples, used;
    usec_t no_tcp_until;
};

struct sip_rtt_table {
    struct hash_table key; /* only for its seeded hash */
    uint32_t clock;
    struct entry e[ENTRIES];
};

struct sip_rtt_table *rtt_new(uint64_t seed)
{
    struct sip_rtt_table *t = mem_map(sizeof(*t));
    if (t)
        t->key.seed = seed;
    return t;
}

void rtt_free(struct sip_rtt_table *t)
{
    mem_unmap(t, sizeof(*t));
}

static uint32_t bucket(const struct sip_rtt_table *t, const struct addr *peer)
{
    uint8_t key[18];
    memcpy(key, peer->ip, 16);
    memcpy(key + 16, &peer->port, 2);
    return (uint32_t)hash_bytes(&t->key, key, sizeof(key)) & (ENTRIES - WAYS);
}

static const struct entry *find(const struct sip_rtt_table *t, const struct addr *peer)
{
    const struct entry *e = &t->e[bucket(t, peer)];
    for (unsigned i = 0; i < WAYS; i++)
        if (addr_eq(&e[i].peer, peer))
            return &e[i];
    return NULL;
}

static struct entry *take(struct sip_rtt_table *t, const struct addr *peer)
{
    struct entry *e = &t->e[bucket(t, peer)], *oldest = e;
    for (unsigned i = 0; i < WAYS; i++) {
        if (addr_eq(&e[i].peer, peer)) {
            e[i].used = ++t->clock;
            return &e[i];
        }
        if (e[i].used < oldest->used)
            oldest = &e[i];
    }
    *oldest = (struct entry){.peer = *peer, .used = ++t->clock};
    return oldest;
}

void rtt_sample(struct sip_rtt_table *t, const struct addr *peer, usec_t rtt)
{
    struct entry *e = take(t, peer);
    uint32_t r = rtt < 60 * USEC_S ? (uint32_t)rtt : 60u * 1000000u;
    if (e->samples++ == 0) { /* RFC 6298 (2.2) */
        e->srtt_us = r;
        e->rttvar_us = r / 2;
        return;
    }
    /* RFC 6298 (2.3): beta 1/4, alpha 1/8 */
    uint32_t delta = e->srtt_us > r ? e->srtt_us - r : r - e->srtt_us;
    e->rttvar_us = (uint32_t)(((uint64_t)e->rttvar_us * 3 + delta) / 4);
    e->srtt_us = (uint32_t)(((uint64_t)e->srtt_us * 7 + r) / 8);
}

static usec_t t1_of(const struct entry *e, const struct sip_timers *conf)
{
    usec_t t1 = (usec_t)e->srtt_us + 4 * (usec_t)e->rttvar_us;
    t1 = (t1 + USEC_MS - 1) / USEC_MS * USEC_MS;
    return t1 < conf->t1_min ? conf->t1_min : t1 > conf->t1_max ? conf->t1_max : t1;
}

usec_t rtt_t1(const struct sip_rtt_table *t, const struct addr *peer, const struct sip_timers *conf)
{
    const struct entry *e = find(t, peer);
    return e && e->samples ? t1_of(e, conf) : conf->t1;
}

void rtt_no_tcp(struct sip_rtt_table *t, const struct addr *peer, usec_t now)
{
    take(t, peer)->no_tcp_until = now + NO_TCP_S * USEC_S;
}

bool rtt_tcp_usable(const struct sip_rtt_table *t, const struct addr *peer, usec_t now)
{
    const struct entry *e = find(t, peer);
    return !e || e->no_tcp_until <= now;
}

bool rtt_next(const struct sip_rtt_table *t, uint32_t *at, const struct sip_timers *conf,
              struct sip_rtt *ret)
{
    while (*at < ENTRIES) {
        const struct entry *e = &t->e[(*at)++];
        if (!e->samples)
            continue;
        *ret = (struct sip_rtt){e->peer, e->srtt_us, e->rttvar_us, e->samples, t1_of(e, conf)};
        return true;
    }
    return false;
}
