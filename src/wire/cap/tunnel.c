/* Tunnels: a packet that carries another one. */
#include "base/be.h"
#include "wire/cap/link.h"

static const struct cap_inner nothing;

enum { IP_IN_IP = 4, IPV6_IN_IP = 41, GRE = 47, MPLS_IN_IP = 137 };
enum {
    TYPE_MPLS = 0x8847,
    TYPE_ETHERNET = 0x6558,
    TYPE_ERSPAN_2 = 0x88BE,
    TYPE_ERSPAN_3 = 0x22EB,
    TYPE_PPP = 0x880B,
    TYPE_IPV4 = 0x0800
};

static struct cap_inner by_type(uint16_t type, const uint8_t *p, uint32_t n)
{
    return type == TYPE_ETHERNET ? cap_ethernet(p, n) : cap_ethertype(type, p, n);
}

/* draft-foschiano-erspan: type II has a header if the GRE header has a sequence number; type I
 * has neither. */
static struct cap_inner erspan(const uint8_t *p, uint32_t n, uint16_t type, bool seq)
{
    uint32_t head = type == TYPE_ERSPAN_3 ? 12 : seq ? 8 : 0;
    if (n < head)
        return nothing;
    if (type == TYPE_ERSPAN_3 && p[11] & 1)
        head += 8; /* a subheader of some platform */
    return n < head ? nothing : cap_ethernet(p + head, n - head);
}

/* RFC 2784, RFC 2890; version 1 is that of PPTP (RFC 2637). */
static struct cap_inner gre(const uint8_t *p, uint32_t n)
{
    if (n < 4)
        return nothing;
    uint16_t flags = be16_get(p), type = be16_get(p + 2);
    uint32_t head = 4;
    bool routing = flags & 0x4000, seq = flags & 0x1000;
    if (routing || (flags & 7) > 1)
        return nothing;
    head += flags & 0x8000 ? 4 : 0; /* checksum */
    head += flags & 0x2000 ? 4 : 0; /* key */
    head += seq ? 4 : 0;
    head += (flags & 7) == 1 && flags & 0x0080 ? 4 : 0; /* acknowledgement */
    if (n < head)
        return nothing;
    if (type == TYPE_ERSPAN_2 || type == TYPE_ERSPAN_3)
        return erspan(p + head, n - head, type, seq);
    if (type == TYPE_PPP)
        return cap_ppp(p + head, n - head);
    return by_type(type, p + head, n - head);
}

/* RFC 7348: the flag of a network that is named, and reserved bits. */
static struct cap_inner vxlan(const uint8_t *p, uint32_t n)
{
    if (n < 8 || p[0] != 0x08 || p[7] != 0)
        return nothing;
    return cap_ethernet(p + 8, n - 8);
}

/* RFC 8926 section 3.4. */
static struct cap_inner geneve(const uint8_t *p, uint32_t n)
{
    if (n < 8 || p[0] >> 6 != 0)
        return nothing;
    uint32_t head = 8 + (p[0] & 0x3Fu) * 4;
    return n < head ? nothing : by_type(be16_get(p + 2), p + head, n - head);
}

/* 3GPP TS 29.281 section 5: version 1, a G-PDU; optional parts and extension headers. */
static struct cap_inner gtp_u(const uint8_t *p, uint32_t n)
{
    if (n < 8 || (p[0] & 0xF0) != 0x30 || p[1] != 0xFF)
        return nothing;
    uint32_t head = 8;
    if (p[0] & 7) {
        head += 4;
        for (unsigned i = 0; i < 4 && head <= n && p[0] & 4 && p[head - 1]; i++) {
            if (head == n || p[head] == 0)
                return nothing;
            head += p[head] * 4u;
        }
    }
    if (head >= n)
        return nothing;
    return cap_ethertype(p[head] >> 4 == 6 ? 0x86DD : TYPE_IPV4, p + head, n - head);
}

/* How routers send what they sniff: version 1, type, protocol, tagged fields, the frame. */
static struct cap_inner tzsp(const uint8_t *p, uint32_t n)
{
    enum { PADDING = 0, END = 1, PROTO_ETHERNET = 1, PROTO_WLAN = 18 };
    if (n < 5 || p[0] != 1 || p[1] > 1)
        return nothing;
    uint16_t proto = be16_get(p + 2);
    for (uint32_t at = 4; at < n;) {
        if (p[at] == END) {
            uint16_t link = proto == PROTO_WLAN ? CAP_IEEE802_11 : CAP_ETHERNET;
            bool known = proto == PROTO_ETHERNET || proto == PROTO_WLAN;
            return known ? cap_link(link, p + at + 1, n - at - 1) : nothing;
        }
        if (p[at] == PADDING)
            at++;
        else if (at + 1 < n)
            at += 2u + p[at + 1];
        else
            break;
    }
    return nothing;
}

static struct cap_inner in_udp(const uint8_t *p, uint32_t n)
{
    if (n < 16)
        return nothing;
    switch (be16_get(p + 2)) {
    case CAP_PORT_VXLAN:
    case CAP_PORT_VXLAN_LINUX:
        return vxlan(p + 8, n - 8);
    case CAP_PORT_GENEVE:
        return geneve(p + 8, n - 8);
    case CAP_PORT_GTP_U:
        return gtp_u(p + 8, n - 8);
    case CAP_PORT_TZSP:
        return tzsp(p + 8, n - 8);
    default:
        return nothing;
    }
}

struct cap_inner cap_tunnel(const struct cap_ip *ip)
{
    switch (ip->proto) {
    case CAP_PROTO_UDP:
        return in_udp(ip->p, ip->n);
    case IP_IN_IP:
    case IPV6_IN_IP:
        return (struct cap_inner){ip->p, ip->n, true};
    case GRE:
        return gre(ip->p, ip->n);
    case MPLS_IN_IP:
        return cap_ethertype(TYPE_MPLS, ip->p, ip->n);
    default:
        return nothing;
    }
}
