#include "io/iface.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/sock.h"

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

/* The address that the machine would send from to somewhere far away. Connecting a datagram socket
 * asks the routing table and sends nothing. */
static bool default_source(int family, struct addr *ret)
{
    union sock_addr far, own;
    struct addr to;
    socklen_t n = sizeof(own);
    int err = addr_parse(&to, family == AF_INET ? STR("192.0.2.1") : STR("2001:db8::1"), 9);
    int fd = err ? -1 : socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    socklen_t far_n = sock_addr_build(&far, &to);
    bool found = connect(fd, &far.sa, far_n) == 0 && getsockname(fd, &own.sa, &n) == 0;
    close(fd);
    if (found)
        sock_addr_parse(ret, &own);
    return found;
}

/* Peers beyond the local networks are told the first address that is not loopback. */
static void put_default_first(struct local_addrs *l, int family)
{
    struct addr source;
    if (!default_source(family, &source))
        return;
    for (unsigned i = 1; i < l->n; i++) {
        struct local_addr found = l->a[i];
        if (!addr_ip_eq(&found.ip, &source))
            continue;
        memmove(&l->a[1], &l->a[0], i * sizeof(l->a[0]));
        l->a[0] = found;
        return;
    }
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
    put_default_first(l, AF_INET6);
    put_default_first(l, AF_INET);
    return 0;
}
