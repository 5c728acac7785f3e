/* Names to transport addresses, as RFC 3263 section 4.2 and RFC 2782 have it, without waiting: a
 * name without a port is asked for SRV first. The hosts file counts. */
#ifndef IO_DNS_H
#define IO_DNS_H

#include "base/addr.h"
#include "base/str.h"
#include "io/loop.h"

#define DNS_MAX_ADDRS 8
#define DNS_MAX_NAME  255

struct dns_answer {
    uint64_t token;
    int err;                         /* 0, -ENOENT: no such name, -ETIMEDOUT, -EIO, -ENOMEM */
    uint32_t ttl_s;                  /* how long this holds; of a failure too */
    unsigned n;                      /* 0 if err is set */
    struct addr addr[DNS_MAX_ADDRS]; /* in the order in which they are to be tried */
};

struct dns_config {
    const char *servers;  /* "192.0.2.1:53,[2001:db8::1]:53"; NULL: those of the system */
    uint32_t max_queries; /* 0: 256 names at once */
    uint32_t timeout_ms;  /* 0: 2000, for each of two tries at each server */
    bool ipv6;            /* ask for AAAA too */
    uint64_t seed;        /* of the choice by SRV weight; random */
    void (*done)(void *ctx, usec_t now, const struct dns_answer *a);
    void *ctx;
};

struct dns;

MUST_CHECK int dns_new(struct dns **ret, struct loop *loop, const struct dns_config *cfg);
/* Forgets what is under way. Not from inside a callback. Accepts NULL. */
void dns_free(struct dns *dns);

/* Begins to resolve `name` for a transport; port 0: by SRV, then the default port of the transport.
 * `done` brings the answer with the token, in a later turn, also for a numeric address. -EBUSY: too
 * many at once; -EINVAL: no name. */
MUST_CHECK int dns_resolve(struct dns *dns, struct str name, uint16_t port, enum proto proto,
                           uint64_t token);

#endif
