#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/num.h"

static const struct str names[PROTO_COUNT] = {
    [PROTO_UDP] = STR_INIT("UDP"), [PROTO_TCP] = STR_INIT("TCP"), [PROTO_TLS] = STR_INIT("TLS"),
    [PROTO_WS] = STR_INIT("WS"),   [PROTO_WSS] = STR_INIT("WSS"), [PROTO_SCTP] = STR_INIT("SCTP"),
};

struct str proto_name(enum proto p)
{
    return p < PROTO_COUNT ? names[p] : STR("?");
}

int proto_parse(enum proto *ret, struct str s)
{
    for (unsigned i = 0; i < PROTO_COUNT; i++)
        if (str_ieq(names[i], s)) {
            *ret = (enum proto)i;
            return 0;
        }
    return -EINVAL;
}

static size_t ip_bytes(const struct addr *a)
{
    return a->family == ADDR_V4 ? 4 : a->family == ADDR_V6 ? 16 : 0;
}

/* The usual case without the copy that inet_pton() needs. */
static int parse_v4(uint8_t ip[4], struct str s)
{
    unsigned part = 0, digits = 0, value = 0;
    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '.') {
            if (digits == 0 || value > 255 || part > 3)
                return -EINVAL;
            ip[part++] = (uint8_t)value;
            digits = value = 0;
        } else if (s.p[i] >= '0' && s.p[i] <= '9' && digits < 3) {
            value = value * 10 + (unsigned)(s.p[i] - '0');
            digits++;
        } else {
            return -EINVAL;
        }
    }
    return part == 4 ? 0 : -EINVAL;
}

int addr_parse(struct addr *ret, struct str host, uint16_t port)
{
    struct addr a = {.port = port};
    if (host.n && host.p[0] >= '0' && host.p[0] <= '9' && parse_v4(a.ip, host) == 0) {
        a.family = ADDR_V4;
        *ret = a;
        return 0;
    }
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_sub(host, 1, host.n - 2);
    char text[64];
    if (str_chr(host, ':') < 0 || host.n >= sizeof(text))
        return -EINVAL;
    str_copy_z(text, sizeof(text), host);
    if (inet_pton(AF_INET6, text, a.ip) != 1)
        return -EINVAL;
    a.family = ADDR_V6;
    *ret = a;
    return 0;
}

int addr_parse_port(struct addr *ret, struct str s)
{
    ptrdiff_t colon = str_rchr(s, ':');
    uint64_t port;
    if (colon < 0 || num_u64(&port, str_from(s, (size_t)colon + 1), 65535))
        return -EINVAL;
    struct str host = str_sub(s, 0, (size_t)colon);
    if (host.n && host.p[0] != '[' && str_chr(host, ':') >= 0)
        return -EINVAL;
    return addr_parse(ret, host, (uint16_t)port);
}

bool addr_in_net(const struct addr *a, const struct addr *net, unsigned prefix)
{
    unsigned whole = prefix / 8, rest = prefix % 8;
    if (a->family != net->family || whole > ip_bytes(a) || memcmp(a->ip, net->ip, whole) != 0)
        return false;
    unsigned mask = rest ? 0xFFu << (8 - rest) & 0xFF : 0;
    return rest == 0 || ((unsigned)(a->ip[whole] ^ net->ip[whole]) & mask) == 0;
}

bool addr_is_any(const struct addr *a)
{
    static const uint8_t zero[16];
    return a->family == ADDR_NONE || memcmp(a->ip, zero, ip_bytes(a)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    if (a->family == ADDR_V4)
        return a->ip[0] == 127;
    return a->family == ADDR_V6 && memcmp(a->ip, one, 16) == 0;
}

bool addr_is_private(const struct addr *a)
{
    const uint8_t *ip = a->ip;
    if (a->family == ADDR_V6)
        return (ip[0] & 0xFE) == 0xFC || (ip[0] == 0xFE && (ip[1] & 0xC0) == 0x80);
    return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xF0) == 16) ||
           (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254) ||
           (ip[0] == 100 && (ip[1] & 0xC0) == 64);
}

bool addr_is_multicast(const struct addr *a)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (a->family == ADDR_V6)
        return a->ip[0] == 0xFF;
    return (a->ip[0] & 0xF0) == 0xE0 || memcmp(a->ip, broadcast, 4) == 0;
}

void addr_put_ip(struct buf *b, const struct addr *a)
{
    if (a->family == ADDR_V4) {
        for (int i = 0; i < 4; i++) {
            if (i)
                buf_ch(b, '.');
            buf_u64(b, a->ip[i]);
        }
    } else {
        char text[INET6_ADDRSTRLEN];
        buf_z(b, inet_ntop(AF_INET6, a->ip, text, sizeof(text)));
    }
}

void addr_put_host(struct buf *b, const struct addr *a)
{
    if (a->family == ADDR_V6)
        buf_ch(b, '[');
    addr_put_ip(b, a);
    if (a->family == ADDR_V6)
        buf_ch(b, ']');
}

void addr_put(struct buf *b, const struct addr *a)
{
    addr_put_host(b, a);
    buf_ch(b, ':');
    buf_u64(b, a->port);
}
