/* What a host is called: the number that has registered from it, or the software that it says it
 * runs. */
#include <errno.h>
#include <stdlib.h>

#include "analysis/report.h"
#include "base/mem.h"

struct an_host {
    struct addr at;
    struct str name; /* in the text of a leg, or known */
    bool known;      /* goes before what messages say */
    bool registered; /* name is a number */
    bool shared;     /* more than one has registered from there */
};

static int compare(const void *a, const void *b)
{
    const struct an_host *x = a, *y = b;
    if (x->at.family != y->at.family)
        return x->at.family < y->at.family ? -1 : 1;
    int c = memcmp(x->at.ip, y->at.ip, sizeof(x->at.ip));
    if (c)
        return c;
    return x->at.port < y->at.port ? -1 : x->at.port > y->at.port;
}

/* Numbers before software, so that they win; of several the order of appearance does not matter. */
static int compare_all(const void *a, const void *b)
{
    const struct an_host *x = a, *y = b;
    int c = compare(x, y);
    if (c)
        return c;
    if (x->known != y->known)
        return x->known ? -1 : 1;
    if (x->registered != y->registered)
        return x->registered ? -1 : 1;
    return str_cmp(x->name, y->name);
}

static struct an_host *host_add(struct an_report *r, uint32_t *cap, const struct addr *at)
{
    if (r->n_hosts == *cap) {
        uint32_t more = *cap ? *cap * 2 : 64;
        struct an_host *grown = mem_resize(r->host, more * sizeof(*grown));
        if (!grown)
            return NULL;
        r->host = grown;
        *cap = more;
    }
    struct an_host *h = &r->host[r->n_hosts++];
    *h = (struct an_host){.at = *at};
    return h;
}

/* Only the first and, of two, the other host are surely the ends: in between there may be
 * proxies. */
static int leg_names(struct an_report *r, uint32_t *cap, const struct an_leg *leg)
{
    uint16_t status = an_leg_result(leg, SIP_REGISTER);
    if (leg->kind == AN_LEG_REGISTER && leg->n_hosts && status >= 200 && status < 300) {
        struct an_host *h = host_add(r, cap, &leg->host[0]);
        if (!h)
            return -ENOMEM;
        h->registered = true;
        h->name = an_leg_text(leg, leg->to.user);
    }
    for (unsigned side = 0; side < 2; side++) {
        if (leg->n_hosts <= side || (side && leg->n_hosts > 2) || !leg->agent[side].n)
            continue;
        struct an_host *h = host_add(r, cap, &leg->host[side]);
        if (!h)
            return -ENOMEM;
        h->name = an_leg_text(leg, leg->agent[side]);
    }
    return 0;
}

/* One entry an address. */
static void squeeze(struct an_report *r)
{
    uint32_t n = 0;
    qsort(r->host, r->n_hosts, sizeof(*r->host), compare_all);
    for (uint32_t i = 0; i < r->n_hosts; i++) {
        struct an_host *last = n ? &r->host[n - 1] : NULL;
        if (!last || compare(last, &r->host[i]) != 0) {
            r->host[n++] = r->host[i];
            continue;
        }
        if (last->known)
            continue;
        if (r->host[i].registered && !str_eq(last->name, r->host[i].name))
            last->shared = true;
        if (last->shared && !r->host[i].registered)
            *last = r->host[i];
    }
    r->n_hosts = n;
}

int an_hosts_find(struct an_report *r)
{
    uint32_t cap = 0;
    r->host = NULL;
    r->n_hosts = 0;
    for (uint32_t i = 0; i < r->n_known; i++) {
        struct an_host *h = host_add(r, &cap, &r->known[i].at);
        if (!h)
            return -ENOMEM;
        h->name = r->known[i].name;
        h->registered = r->known[i].phone;
        h->known = true;
    }
    for (uint32_t i = 0; i < an_engine_legs(r->engine); i++)
        if (leg_names(r, &cap, an_engine_leg(r->engine, i)))
            return -ENOMEM;
    if (r->n_hosts)
        squeeze(r);
    return 0;
}

void an_hosts_done(struct an_report *r)
{
    mem_free(r->host);
    r->host = NULL;
    r->n_hosts = 0;
}

struct str an_host_name(const struct an_report *r, const struct addr *a)
{
    struct an_host key = {.at = *a};
    if (!r->n_hosts)
        return STR_NONE;
    const struct an_host *h = bsearch(&key, r->host, r->n_hosts, sizeof(key), compare);
    return h && !h->shared ? h->name : STR_NONE;
}

static bool from_phone(const struct an_report *r, const struct an_leg *leg)
{
    struct an_host key = {0};
    const struct an_host *h = NULL;
    if (leg->n_hosts && r->n_hosts) {
        key.at = leg->host[0];
        h = bsearch(&key, r->host, r->n_hosts, sizeof(key), compare);
    }
    return (h && h->registered && !h->shared) || leg->instance[AN_CALLER];
}

struct str an_leg_party(const struct an_report *r, const struct an_leg *leg)
{
    return from_phone(r, leg) ? an_leg_text(leg, leg->from.user) : an_leg_callee(leg);
}

struct str an_trait_target(const struct an_report *r, const struct an_trait *t)
{
    const struct an_leg *leg = an_engine_leg(r->engine, t->target);
    struct str party = an_leg_party(r, leg);
    if (t->who == AN_NONE || !str_eq(party, an_leg_party(r, an_engine_leg(r->engine, t->who))))
        return party;
    return from_phone(r, leg) ? an_leg_callee(leg) : an_leg_caller(leg);
}
