/* From a captured frame to the IP packet in it: link layers, VLANs and labels, IP with its options
 * and extension headers, and the tunnels that captures of telephony come in. Nothing is copied;
 * how deep headers may be stacked is bounded. */
#ifndef WIRE_CAP_LINK_H
#define WIRE_CAP_LINK_H

#include "base/addr.h"
#include "base/be.h"
#include "wire/cap/cap.h"

#define CAP_MAX_DEPTH 8 /* IP in IP */

enum {
    CAP_PROTO_ICMP = 1,
    CAP_PROTO_TCP = 6,
    CAP_PROTO_UDP = 17,
    CAP_PROTO_ICMP6 = 58,
    CAP_PROTO_SCTP = 132
};

/* Destinations of UDP that are looked into. */
enum {
    CAP_PORT_GTP_U = 2152,
    CAP_PORT_VXLAN = 4789,
    CAP_PORT_GENEVE = 6081,
    CAP_PORT_VXLAN_LINUX = 8472,
    CAP_PORT_TZSP = 37008
};
static inline bool cap_udp_tunnels(uint16_t port)
{
    return port == CAP_PORT_GTP_U || port == CAP_PORT_VXLAN || port == CAP_PORT_GENEVE ||
           port == CAP_PORT_VXLAN_LINUX || port == CAP_PORT_TZSP;
}

/* UDP in IPv4 in Ethernet with nothing around it: nearly every packet there is. */
struct cap_udp {
    const uint8_t *ip, *p; /* the two headers */
    uint32_t n, wire_n;    /* from p on, as in struct cap_ip */
};

/* False says nothing: cap_ip_of() knows what it is. */
static inline bool cap_plain_udp(struct cap_udp *ret, uint16_t link, const uint8_t *p, uint32_t n)
{
    enum { ETHER = 14, HEAD = 20, LEAST = ETHER + HEAD + 8 };
    const uint8_t *ip = p + ETHER, *udp = ip + HEAD;
    if (link != CAP_ETHERNET || n < LEAST || be16_get(p + 12) != 0x0800 || ip[0] != 0x45 ||
        ip[9] != CAP_PROTO_UDP || (be16_get(ip + 6) & 0x3FFF) || cap_udp_tunnels(be16_get(udp + 2)))
        return false;
    uint32_t total = be16_get(ip + 2), have = n - ETHER;
    *ret = (struct cap_udp){ip, udp, (total < have ? total : have) - HEAD, total - HEAD};
    return total >= HEAD + 8;
}
static inline void cap_udp_addr(const struct cap_udp *u, struct addr *src, struct addr *dst)
{
    src->family = dst->family = ADDR_V4;
    memcpy(src->ip, u->ip + 12, 4);
    memcpy(dst->ip, u->ip + 16, 4);
}

struct cap_ip {
    struct addr src, dst; /* port 0 */
    uint8_t proto;        /* of the payload, behind all extension headers */
    uint8_t depth;        /* how many IP headers are around this one */
    bool frag;            /* the payload is a part of one, of the protocol that `proto` says */
    bool frag_more;
    uint32_t frag_id, frag_at; /* frag_at: offset in bytes */
    const uint8_t *p;
    uint32_t n;
    uint32_t wire_n; /* of the payload, as the header says; more than n: the capture cut it */
};

/* The IP packet of a frame, the innermost one: if a tunnel's packet is itself a fragment, that
 * fragment. -ENOENT: the frame carries no IP; -EBADMSG: what should be an IP header is none. */
MUST_CHECK int cap_ip_of(struct cap_ip *ret, uint16_t link, const uint8_t *p, uint32_t n);
/* One IP packet, which begins at p. -EBADMSG. */
MUST_CHECK int cap_ip_parse(struct cap_ip *ret, const uint8_t *p, uint32_t n);
/* While the packet is a whole one that holds another one, goes on to that. For fragments put
 * together; cap_ip_of() has done so. */
void cap_ip_enter(struct cap_ip *ip);

/* For the files of this folder: the packet within, by the number of an Ethernet type. */
struct cap_inner {
    const uint8_t *p;
    uint32_t n;
    bool ip; /* p is an IP header; else there is nothing known */
};
struct cap_inner cap_ethertype(uint16_t type, const uint8_t *p, uint32_t n);
struct cap_inner cap_ethernet(const uint8_t *p, uint32_t n);
struct cap_inner cap_ppp(const uint8_t *p, uint32_t n);
struct cap_inner cap_link(uint16_t link, const uint8_t *p, uint32_t n);
/* The packet that a whole packet carries in a tunnel. */
struct cap_inner cap_tunnel(const struct cap_ip *ip);

#endif
