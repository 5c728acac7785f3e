#include "base/local.h"

#include <string.h>

static struct addr by_interface(const struct local_addrs *l, const struct addr *bound,
                                const struct addr *peer)
{
    struct addr best = *bound;
    bool found = false;
    for (unsigned i = 0; i < l->n; i++) {
        const struct addr *ip = &l->a[i].ip;
        if (ip->family != bound->family)
            continue;
        bool near = addr_in_net(peer, ip, l->a[i].prefix);
        if (near || (!found && !addr_is_loopback(ip))) {
            best = *ip;
            found = true;
        }
        if (near)
            break;
    }
    best.port = bound->port;
    return best;
}

struct addr local_for(const struct local_addrs *l, const struct addr *bound,
                      const struct addr *peer)
{
    bool outside = peer->family != ADDR_NONE && !addr_is_private(peer) && !addr_is_loopback(peer);
    if (outside && l->external.family == bound->family) {
        struct addr seen = l->external;
        seen.port = seen.port ? seen.port : bound->port;
        return seen;
    }
    return addr_is_any(bound) ? by_interface(l, bound, peer) : *bound;
}

bool local_is_ours(const struct local_addrs *l, const struct addr *ip)
{
    if (addr_ip_eq(&l->external, ip) && ip->family != ADDR_NONE)
        return true;
    for (unsigned i = 0; i < l->n; i++)
        if (addr_ip_eq(&l->a[i].ip, ip))
            return true;
    return false;
}

bool local_renew(struct local_addrs *l, const struct local_addrs *now)
{
    bool same = l->n == now->n;
    for (unsigned i = 0; same && i < now->n; i++) {
        bool known = false;
        for (unsigned k = 0; k < l->n; k++)
            known |= addr_ip_eq(&l->a[k].ip, &now->a[i].ip);
        same = known;
    }
    l->n = now->n;
    memcpy(l->a, now->a, sizeof(l->a));
    return !same;
}
