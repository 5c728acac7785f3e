/* Hosts that others register with, or that ask for passwords: exchanges and proxies. A phone does
 * neither. */
#include <errno.h>
#include <stdlib.h>

#include "analysis/tie.h"
#include "base/mem.h"

static int by_ip(const void *x, const void *y)
{
    const struct addr *a = x, *b = y;
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->ip, b->ip, sizeof(a->ip));
}

/* The addresses of one end of legs that show what is there. */
struct hosts {
    struct addr *v;
    uint32_t n;
};

static void host_add(struct hosts *h, const struct an_leg *leg, unsigned end)
{
    h->v[h->n++] = leg->host[end];
}

static bool host_in(const struct hosts *h, const struct addr *a)
{
    return h->n && bsearch(a, h->v, h->n, sizeof(*a), by_ip) != NULL;
}

/* By a leg that is here, or by one that was forgotten. */
static bool host_is(const struct tie *t, const struct hosts *h, const struct addr *a, unsigned what)
{
    return host_in(h, a) || (engine_past_host(t->e->past, a) & what);
}

static void hosts_find(struct tie *t, struct hosts *exchange, struct hosts *phone)
{
    list_each(node, &t->e->live)
    {
        const struct an_leg *leg = container_of(node, struct an_leg, live);
        if (leg->n_hosts < 2 || (leg->kind != AN_LEG_REGISTER && !leg->challenges))
            continue;
        host_add(exchange, leg, 1);
        host_add(phone, leg, 0);
    }
    if (exchange->n) {
        qsort(exchange->v, exchange->n, sizeof(*exchange->v), by_ip);
        qsort(phone->v, phone->n, sizeof(*phone->v), by_ip);
    }
}

int tie_hosts(struct tie *t)
{
    uint32_t legs = t->e->legs.used + 1;
    struct hosts exchange = {.v = mem_alloc(legs * sizeof(struct addr))};
    struct hosts phone = {.v = mem_alloc(legs * sizeof(struct addr))};
    bool failed = !exchange.v || !phone.v;
    if (!failed)
        hosts_find(t, &exchange, &phone);
    for (uint32_t i = 0; !failed && i < t->n_facts; i++) {
        struct fact *f = &t->fact[i];
        if (f->leg->n_hosts < 2)
            continue;
        f->to_exchange = host_is(t, &exchange, &f->leg->host[1], ENGINE_EXCHANGE);
        /* An exchange may be a client of another one. */
        f->from_phone = host_is(t, &phone, &f->leg->host[0], ENGINE_PHONE) &&
                        !host_is(t, &exchange, &f->leg->host[0], ENGINE_EXCHANGE);
    }
    mem_free(exchange.v);
    mem_free(phone.v);
    return failed ? -ENOMEM : 0;
}
