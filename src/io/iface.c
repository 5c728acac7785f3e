#include "io/iface.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

static unsigned bits_of(const uint8_t *mask, unsigned n)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < n; i++)
        bits += (unsigned)__builtin_popcount(mask[i]);
    return bits;
}

static bool convert(const struct ifaddrs *i, struct addr *ip, uint8_t *prefix)
{
    *ip = (struct addr){0};
    if (!i->ifa_addr || !i->ifa_netmask || !(i->ifa_flags & IFF_UP))
        return false;
    if (i->ifa_addr->sa_family == AF_INET) {
        struct sockaddr_in a, m;
        memcpy(&a, i->ifa_addr, sizeof(a));
        memcpy(&m, i->ifa_netmask, sizeof(m));
        ip->family = ADDR_V4;
        memcpy(ip->ip, &a.sin_addr, 4);
        *prefix = (uint8_t)bits_of((const uint8_t *)&m.sin_addr, 4);
        return true;
    }
    if (i->ifa_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 a, m;
        memcpy(&a, i->ifa_addr, sizeof(a));
        memcpy(&m, i->ifa_netmask, sizeof(m));
        if (IN6_IS_ADDR_LINKLOCAL(&a.sin6_addr))
            return false; /* useless without a scope */
        ip->family = ADDR_V6;
        memcpy(ip->ip, &a.sin6_addr, 16);
        *prefix = (uint8_t)bits_of((const uint8_t *)&m.sin6_addr, 16);
        return true;
    }
    return false;
}

int iface_list(struct local_addrs *l)
{
    struct ifaddrs *list;
    if (getifaddrs(&list))
        return -errno;
    l->n = 0;
    for (const struct ifaddrs *i = list; i && l->n < LOCAL_MAX; i = i->ifa_next)
        if (convert(i, &l->a[l->n].ip, &l->a[l->n].prefix))
            l->n++;
    freeifaddrs(list);
    return 0;
}
