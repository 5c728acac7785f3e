/* struct addr to and from the kernel's socket addresses, and socket making. */
#ifndef IO_SOCK_H
#define IO_SOCK_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/addr.h"

union sock_addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Returns the length in use. */
static inline socklen_t sock_addr_build(union sock_addr *ret, const struct addr *a)
{
    if (a->family == ADDR_V4) {
        ret->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&ret->v4.sin_addr, a->ip, 4);
        return sizeof(ret->v4);
    }
    ret->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    memcpy(&ret->v6.sin6_addr, a->ip, 16);
    return sizeof(ret->v6);
}

static inline void sock_addr_parse(struct addr *ret, const union sock_addr *s)
{
    *ret = (struct addr){0};
    if (s->sa.sa_family == AF_INET) {
        ret->family = ADDR_V4;
        ret->port = ntohs(s->v4.sin_port);
        memcpy(ret->ip, &s->v4.sin_addr, 4);
    } else {
        ret->family = ADDR_V6;
        ret->port = ntohs(s->v6.sin6_port);
        memcpy(ret->ip, &s->v6.sin6_addr, 16);
    }
}

/* A non-blocking socket of the family of `at`, bound to it; IPv6 sockets take no IPv4. `type` is
 * SOCK_DGRAM or SOCK_STREAM. The descriptor, or a negative errno. */
MUST_CHECK int sock_open(const struct addr *at, int type);
/* The same for a connection to be made: the port is chosen when it connects. */
MUST_CHECK int sock_open_outward(const struct addr *from);
/* The address a socket is bound to. */
MUST_CHECK int sock_bound_get(int fd, struct addr *ret);
int sock_option(int fd, int level, int name, int value);
/* The error that is pending on the socket as a negative errno, or 0; clears it. */
int sock_error_take(int fd);

#endif
