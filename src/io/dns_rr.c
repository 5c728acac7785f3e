#include "io/dns_rr.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

/* The n-th record of the answer section, if it is of this type. */
static bool record_get(ns_rr *ret, ns_msg *msg, int i, ns_type type)
{
    return ns_parserr(msg, ns_s_an, i, ret) == 0 && ns_rr_type(*ret) == type &&
           ns_rr_class(*ret) == ns_c_in;
}

static bool name_get(char ret[DNS_MAX_NAME + 1], const ns_msg *msg, const ns_rr *rr,
                     const uint8_t *at)
{
    const uint8_t *end = ns_rr_rdata(*rr) + ns_rr_rdlen(*rr);
    int n = dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), at, ret, DNS_MAX_NAME + 1);
    return n > 0 && n <= end - at;
}

/* RFC 2181 8: a TTL with its top bit set is 0. */
static uint32_t ttl_of(const ns_rr *rr)
{
    return ns_rr_ttl(*rr) > INT32_MAX ? 0 : (uint32_t)ns_rr_ttl(*rr);
}

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

unsigned dns_srv_read(const uint8_t *bytes, size_t n, struct dns_srv *ret, unsigned cap,
                      bool *nowhere)
{
    ns_msg msg;
    ns_rr rr;
    unsigned found = 0;
    *nowhere = false;
    if (n > INT32_MAX || ns_initparse(bytes, (int)n, &msg))
        return 0;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an) && found < cap; i++) {
        if (!record_get(&rr, &msg, i, ns_t_srv) || ns_rr_rdlen(rr) < 7)
            continue;
        const uint8_t *p = ns_rr_rdata(rr);
        struct dns_srv *s = &ret[found];
        *s = (struct dns_srv){.priority = u16_at(p),
                              .weight = u16_at(p + 2),
                              .port = u16_at(p + 4),
                              .ttl_s = ttl_of(&rr)};
        if (!name_get(s->host, &msg, &rr, p + 6))
            continue;
        if (s->host[0] == '\0')
            *nowhere = true;
        else if (s->port)
            found++;
    }
    return found;
}

static void swap(struct dns_srv *a, struct dns_srv *b)
{
    struct dns_srv t = *a;
    *a = *b;
    *b = t;
}

void dns_srv_order(struct dns_srv *srv, unsigned n, struct rand *rand)
{
    for (unsigned at = 0; at < n; at++) {
        uint16_t best = UINT16_MAX;
        uint64_t sum = 0;
        for (unsigned i = at; i < n; i++)
            best = srv[i].priority < best ? srv[i].priority : best;
        for (unsigned i = at; i < n; i++)
            sum += srv[i].priority == best ? srv[i].weight + 1u : 0;
        uint64_t draw = rand_below(rand, sum);
        unsigned chosen = at;
        for (unsigned i = at; i < n; i++) {
            if (srv[i].priority != best)
                continue;
            chosen = i;
            if (draw < srv[i].weight + 1u)
                break;
            draw -= srv[i].weight + 1u;
        }
        swap(&srv[at], &srv[chosen]);
    }
}

/* RFC 1035 3.3.14: a length and so many bytes. false: they reach beyond the record. */
static bool string_get(struct str *ret, const uint8_t **p, const uint8_t *end)
{
    if (*p >= end || **p >= end - *p)
        return false;
    *ret = str_of((const char *)*p + 1, **p);
    *p += 1 + **p;
    return true;
}

static bool naptr_read(struct dns_naptr *ret, const ns_msg *msg, const ns_rr *rr)
{
    const uint8_t *p = ns_rr_rdata(*rr), *end = p + ns_rr_rdlen(*rr);
    struct str flags, service, regexp;
    if (end - p < 4)
        return false;
    *ret = (struct dns_naptr){.order = u16_at(p), .preference = u16_at(p + 2), .ttl_s = ttl_of(rr)};
    p += 4;
    if (!string_get(&flags, &p, end) || !string_get(&service, &p, end) ||
        !string_get(&regexp, &p, end))
        return false;
    ret->flag = flags.n == 1 ? chr_lower(flags.p[0]) : '\0';
    if (service.n < sizeof(ret->service) && str_chr(service, '\0') < 0)
        str_copy_z(ret->service, sizeof(ret->service), service);
    return name_get(ret->replacement, msg, rr, p);
}

static bool is_before(const struct dns_naptr *a, const struct dns_naptr *b)
{
    return a->order != b->order ? a->order < b->order : a->preference < b->preference;
}

unsigned dns_naptr_read(const uint8_t *bytes, size_t n, struct dns_naptr *ret, unsigned cap)
{
    ns_msg msg;
    ns_rr rr;
    struct dns_naptr one;
    unsigned found = 0;
    if (n > INT32_MAX || ns_initparse(bytes, (int)n, &msg))
        return 0;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an) && found < cap; i++) {
        if (!record_get(&rr, &msg, i, ns_t_naptr) || !naptr_read(&one, &msg, &rr))
            continue;
        unsigned at = found++;
        for (; at > 0 && is_before(&one, &ret[at - 1]); at--)
            ret[at] = ret[at - 1];
        ret[at] = one;
    }
    return found;
}
