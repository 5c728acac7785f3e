/* IP headers, and the way from a frame to the innermost of them. */
#include <errno.h>

#include "base/be.h"
#include "wire/cap/link.h"

#define MAX_EXTENSIONS 8

enum {
    NEXT_HOPS = 0,
    NEXT_ROUTING = 43,
    NEXT_FRAGMENT = 44,
    NEXT_AH = 51,
    NEXT_DEST = 60,
    NEXT_MOBILITY = 135
};

static int parse_v4(struct cap_ip *ret, const uint8_t *p, uint32_t n)
{
    uint32_t head = (p[0] & 15u) * 4, total = be16_get(p + 2);
    if (total == 0)
        total = n; /* captured before the network card cut a large segment */
    if (head < 20 || head > n || total < head)
        return -EBADMSG;
    uint16_t frag = be16_get(p + 6);
    ret->src.family = ret->dst.family = ADDR_V4;
    memcpy(ret->src.ip, p + 12, 4);
    memcpy(ret->dst.ip, p + 16, 4);
    ret->proto = p[9];
    ret->frag_more = frag & 0x2000;
    ret->frag_at = (frag & 0x1FFFu) * 8;
    ret->frag = ret->frag_more || ret->frag_at;
    ret->frag_id = be16_get(p + 4);
    ret->p = p + head;
    ret->wire_n = total - head;
    ret->n = ret->wire_n < n - head ? ret->wire_n : n - head;
    return 0;
}

/* Passes one extension header (RFC 8200 section 4). False if there is none, or it is cut. */
static bool extension(struct cap_ip *ip)
{
    uint32_t bytes;
    if (ip->n < 8)
        return false;
    switch (ip->proto) {
    case NEXT_HOPS:
    case NEXT_ROUTING:
    case NEXT_DEST:
    case NEXT_MOBILITY:
        bytes = (ip->p[1] + 1u) * 8;
        break;
    case NEXT_AH:
        bytes = (ip->p[1] + 2u) * 4; /* RFC 4302 section 2.2 */
        break;
    case NEXT_FRAGMENT:
        bytes = 8;
        break;
    default:
        return false;
    }
    if (bytes > ip->n)
        return false;
    if (ip->proto == NEXT_FRAGMENT) {
        uint16_t at = be16_get(ip->p + 2);
        ip->frag_more = at & 1;
        ip->frag_at = at & 0xFFF8u;
        ip->frag = ip->frag_more || ip->frag_at;
        ip->frag_id = be32_get(ip->p + 4);
    }
    ip->proto = ip->p[0];
    ip->p += bytes;
    ip->n -= bytes;
    ip->wire_n -= bytes;
    return true;
}

static void parse_v6(struct cap_ip *ret, const uint8_t *p, uint32_t n)
{
    uint32_t payload = be16_get(p + 4);
    ret->src.family = ret->dst.family = ADDR_V6;
    memcpy(ret->src.ip, p + 8, 16);
    memcpy(ret->dst.ip, p + 24, 16);
    ret->proto = p[6];
    ret->p = p + 40;
    ret->wire_n = payload ? payload : n - 40;
    ret->n = ret->wire_n < n - 40 ? ret->wire_n : n - 40;
    /* What follows a fragment header belongs to the packet put together. */
    for (unsigned i = 0; i < MAX_EXTENSIONS && !ret->frag; i++)
        if (!extension(ret))
            break;
}

int cap_ip_parse(struct cap_ip *ret, const uint8_t *p, uint32_t n)
{
    struct cap_ip ip = {.n = 0};
    if (n >= 20 && p[0] >> 4 == 4) {
        if (parse_v4(&ip, p, n))
            return -EBADMSG;
        if (ip.proto == NEXT_AH && !ip.frag)
            extension(&ip);
    } else if (n >= 40 && p[0] >> 4 == 6) {
        parse_v6(&ip, p, n);
    } else {
        return -EBADMSG;
    }
    *ret = ip;
    return 0;
}

void cap_ip_enter(struct cap_ip *ip)
{
    /* Of a packet put together from IPv6 fragments the rest of the extension headers. */
    for (unsigned i = 0; ip->src.family == ADDR_V6 && i < MAX_EXTENSIONS && !ip->frag; i++)
        if (!extension(ip))
            break;
    while (!ip->frag && ip->depth < CAP_MAX_DEPTH) {
        struct cap_inner in = cap_tunnel(ip);
        struct cap_ip inner;
        if (!in.ip || cap_ip_parse(&inner, in.p, in.n))
            return;
        inner.depth = (uint8_t)(ip->depth + 1);
        *ip = inner;
    }
}

int cap_ip_of(struct cap_ip *ret, uint16_t link, const uint8_t *p, uint32_t n)
{
    struct cap_udp u;
    if (cap_plain_udp(&u, link, p, n)) {
        *ret = (struct cap_ip){.proto = CAP_PROTO_UDP,
                               .frag_id = be16_get(u.ip + 4),
                               .p = u.p,
                               .n = u.n,
                               .wire_n = u.wire_n};
        cap_udp_addr(&u, &ret->src, &ret->dst);
        return 0;
    }
    struct cap_inner in = cap_link(link, p, n);
    if (!in.ip)
        return -ENOENT;
    if (cap_ip_parse(ret, in.p, in.n))
        return -EBADMSG;
    cap_ip_enter(ret);
    return 0;
}
