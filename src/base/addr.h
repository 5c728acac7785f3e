/* A transport address: IPv4 or IPv6 with a port, and the transport protocols of SIP. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/assert.h"
#include "base/buf.h"

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

struct addr {
    uint8_t family; /* enum addr_family */
    uint16_t port;  /* host byte order */
    uint8_t ip[16]; /* network byte order; IPv4 uses the first four bytes */
};

enum proto { PROTO_UDP, PROTO_TCP, PROTO_TLS, PROTO_WS, PROTO_WSS, PROTO_SCTP, PROTO_COUNT };

/* "UDP", "TCP", ... as Via has it. */
struct str proto_name(enum proto p);
/* Without case. -EINVAL if unknown. */
MUST_CHECK int proto_parse(enum proto *ret, struct str s);
/* RFC 3261 section 17: everything but UDP delivers by itself. */
static inline bool proto_reliable(enum proto p)
{
    return p != PROTO_UDP;
}

/* "192.0.2.1", "2001:db8::1" or "[2001:db8::1]", with no port; ret->port is set to `port`.
 * An IPv4-mapped IPv6 address stays IPv6. -EINVAL if it is a name or malformed. */
MUST_CHECK int addr_parse(struct addr *ret, struct str host, uint16_t port);
/* "192.0.2.1:5060" or "[2001:db8::1]:5060"; the port is required. */
MUST_CHECK int addr_parse_port(struct addr *ret, struct str s);
/* Of IPv4 only the first four bytes count. */
static inline bool addr_ip_eq(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == ADDR_V4)
        return memcmp(a->ip, b->ip, 4) == 0;
    return a->family != ADDR_V6 || memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}
static inline bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && addr_ip_eq(a, b);
}
/* Are the first `prefix` bits the same? Addresses of different families never match. */
bool addr_in_net(const struct addr *a, const struct addr *net, unsigned prefix);
/* 0.0.0.0 or ::. */
bool addr_is_any(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
/* RFC 1918, RFC 4193, RFC 6598, link-local. */
bool addr_is_private(const struct addr *a);
bool addr_is_multicast(const struct addr *a);
/* The address alone: "192.0.2.1" or "2001:db8::1". */
void addr_put_ip(struct buf *b, const struct addr *a);
/* As a SIP host: IPv6 in brackets. */
void addr_put_host(struct buf *b, const struct addr *a);
/* Host and ":port". */
void addr_put(struct buf *b, const struct addr *a);

#endif
