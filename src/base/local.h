/* Which of our addresses a peer should see. Bound to one address: that one. Bound to all (0.0.0.0
 * or ::): the interface whose network the peer is in, else the first that is not loopback. Behind
 * NAT, peers outside the private networks see the configured external address. */
#ifndef BASE_LOCAL_H
#define BASE_LOCAL_H

#include "base/addr.h"

#define LOCAL_MAX 32

struct local_addr {
    struct addr ip;
    uint8_t prefix; /* bits of the network part */
};

struct local_addrs {
    struct addr external; /* family ADDR_NONE: not configured */
    unsigned n;
    struct local_addr a[LOCAL_MAX];
};

/* The address (with bound->port) that `peer` should be told. */
struct addr local_for(const struct local_addrs *l, const struct addr *bound,
                      const struct addr *peer);
/* Is it one of ours? The port is not looked at. */
bool local_is_ours(const struct local_addrs *l, const struct addr *ip);
/* The interfaces as they are in `now`, in that order; external stays. Whether there are others. */
bool local_renew(struct local_addrs *l, const struct local_addrs *now);

#endif
