#include "io/sock.h"

#include <errno.h>
#include <unistd.h>

int sock_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int sock_make(const struct addr *at, int type, bool outward)
{
    int family = at->family == ADDR_V4 ? AF_INET : AF_INET6;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = family == AF_INET6 ? sock_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) : 0;
    if (!err && outward)
        err = sock_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    else if (!err && type == SOCK_STREAM)
        err = sock_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    union sock_addr s;
    socklen_t n = sock_addr_build(&s, at);
    if (!err && bind(fd, &s.sa, n))
        err = -errno;
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

int sock_open(const struct addr *at, int type)
{
    return sock_make(at, type, false);
}

int sock_open_outward(const struct addr *from)
{
    return sock_make(from, SOCK_STREAM, true);
}

int sock_bound_get(int fd, struct addr *ret)
{
    union sock_addr s = {0};
    socklen_t n = sizeof(s);
    if (getsockname(fd, &s.sa, &n))
        return -errno;
    sock_addr_parse(ret, &s);
    return 0;
}

int sock_error_take(int fd)
{
    int err = 0;
    socklen_t n = sizeof(err);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n))
        return -errno;
    return -err;
}
