/* The hosts at the ends of legs: each gets a number, so that they are compared as numbers, and it
 * is known which are exchanges and proxies: others register with them, or they ask for passwords. A
 * phone does neither. */
#include <errno.h>

#include "analysis/tie.h"
#include "base/mem.h"

#define FIRST_CAP 256

struct host {
    const struct addr *at; /* NULL: free */
    uint32_t number;       /* from 1 */
    bool exchange, phone;
};

/* By open addressing; at most half of it is used. */
struct hosts {
    struct host *v;
    uint32_t n, cap;
    const struct hash_table *seeded;
    const struct engine_past *past; /* what legs have shown that were forgotten */
};

static struct host *slot_of(const struct hosts *h, const struct addr *a)
{
    size_t n = a->family == ADDR_V4 ? 4 : a->family == ADDR_V6 ? 16 : 0;
    uint64_t i = hash_bytes(h->seeded, a->ip, n);
    struct host *host;
    do
        host = &h->v[i++ & (h->cap - 1)];
    while (host->at && !addr_ip_eq(host->at, a));
    return host;
}

static bool grow(struct hosts *h)
{
    struct hosts more = {
        .cap = h->cap ? 2 * h->cap : FIRST_CAP, .n = h->n, .seeded = h->seeded, .past = h->past};
    more.v = mem_zero(more.cap * sizeof(*more.v));
    if (!more.v)
        return false;
    for (uint32_t i = 0; i < h->cap; i++)
        if (h->v[i].at)
            *slot_of(&more, h->v[i].at) = h->v[i];
    mem_free(h->v);
    *h = more;
    return true;
}

/* Where it is until the next call; NULL without memory. */
static struct host *host_get(struct hosts *h, const struct addr *a)
{
    if (2 * (h->n + 1) > h->cap && !grow(h))
        return NULL;
    struct host *host = slot_of(h, a);
    if (host->at)
        return host;
    unsigned past = engine_past_host(h->past, a);
    *host = (struct host){.at = a,
                          .number = ++h->n,
                          .exchange = past & ENGINE_EXCHANGE,
                          .phone = past & ENGINE_PHONE};
    return host;
}

/* What the legs show that register or are asked for a password. */
static bool roles_find(struct tie *t, struct hosts *h)
{
    list_each(node, &t->e->live)
    {
        const struct an_leg *leg = container_of(node, struct an_leg, live);
        if (leg->n_hosts < 2 || (leg->kind != AN_LEG_REGISTER && !leg->challenges))
            continue;
        struct host *server = host_get(h, &leg->host[1]);
        if (server)
            server->exchange = true;
        struct host *client = server ? host_get(h, &leg->host[0]) : NULL;
        if (!client)
            return false;
        client->phone = true;
    }
    return true;
}

static bool facts_fill(struct tie *t, struct hosts *h)
{
    for (uint32_t i = 0; i < t->n_facts; i++) {
        struct fact *f = &t->fact[i];
        if (f->leg->n_hosts < 2)
            continue;
        const struct host *to = host_get(h, &f->leg->host[1]);
        if (!to)
            return false;
        f->to_host = to->number;
        f->to_exchange = to->exchange;
        const struct host *from = host_get(h, &f->leg->host[0]);
        if (!from)
            return false;
        f->from_host = from->number;
        /* An exchange may be a client of another one. */
        f->from_phone = from->phone && !from->exchange;
    }
    return true;
}

int tie_hosts(struct tie *t)
{
    struct hosts h = {.seeded = &t->e->by_call_id, .past = t->e->past};
    bool done = roles_find(t, &h) && facts_fill(t, &h);
    mem_free(h.v);
    return done ? 0 : -ENOMEM;
}
