/* Where a SIP URI leads, as RFC 3263 section 4 and RFC 2782 have it, without waiting: NAPTR says by
 * which transports a domain is served, SRV by which hosts, A and AAAA where those are. The hosts
 * file counts. */
#ifndef IO_DNS_H
#define IO_DNS_H

#include "base/flow.h"
#include "base/str.h"
#include "io/dns_rr.h"
#include "io/loop.h"

#define DNS_MAX_ADDRS 8
struct dns_answer {
    uint64_t token;
    int err;                              /* 0, -ENOENT: no such name, -ETIMEDOUT, -EIO, -ENOMEM */
    uint32_t ttl_s;                       /* how long this holds; of a failure too */
    unsigned n;                           /* 0 if err is set */
    struct flow_dest dest[DNS_MAX_ADDRS]; /* in the order in which they are to be tried */
};

struct dns_config {
    const char *servers;  /* "192.0.2.1:53,[2001:db8::1]:53"; NULL: those of the system */
    uint32_t max_queries; /* 0: 256 names at once */
    uint32_t timeout_ms;  /* 0: 2000, for each of two tries at each server */
    bool ipv6;            /* ask for AAAA too; those addresses come before the others of a host */
    uint64_t seed;        /* of the choice by SRV weight; random */
    void (*done)(void *ctx, usec_t now, const struct dns_answer *a);
    void *ctx;
};

struct dns;

MUST_CHECK int dns_new(struct dns **ret, struct loop *loop, const struct dns_config *cfg);
/* Forgets what is under way. Not from inside a callback. Accepts NULL. */
void dns_free(struct dns *dns);

/* What a URI says, or does not, of where it leads. */
struct dns_question {
    struct str name;
    uint16_t port;   /* 0: none given */
    bool any;        /* no transport given: NAPTR, or what SRV there is, decides */
    bool sips;       /* a sips URI: over TLS or not at all */
    uint8_t proto;   /* enum proto; the one given, or the one to be taken where nothing decides */
    uint32_t protos; /* a bit for each enum proto that we can speak; for `any` */
    uint32_t without_ipv4, without_ipv6; /* of those that we cannot speak over it: such addresses
                                          * are no answer */
};

/* Begins to find out. `done` brings the answer with the token, in a later turn, also for a numeric
 * address. -EBUSY: too many at once; -EINVAL: no name. */
MUST_CHECK int dns_resolve(struct dns *dns, const struct dns_question *what, uint64_t token);

#endif
