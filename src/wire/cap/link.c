/* Link layers (tcpdump.org/linktypes.html). */
#include "wire/cap/link.h"

#include "base/be.h"

#define MAX_TAGS 8 /* VLAN tags and labels in front of one packet */

static const struct cap_inner nothing;

enum {
    TYPE_MAX_LENGTH = 1500, /* up to here it is a length: IEEE 802.3 */
    TYPE_IPV4 = 0x0800,
    TYPE_CVLAN = 0x8100,
    TYPE_IPV6 = 0x86DD,
    TYPE_MPLS = 0x8847,
    TYPE_MPLS_MULTI = 0x8848,
    TYPE_PPPOE = 0x8864,
    TYPE_SVLAN = 0x88A8,
    TYPE_VNTAG = 0x8926,
    TYPE_QINQ_1 = 0x9100,
    TYPE_QINQ_2 = 0x9200,
    TYPE_ETHERNET = 0x6558
};

static struct cap_inner skip(const uint8_t *p, uint32_t n, uint32_t bytes)
{
    return n < bytes ? nothing : (struct cap_inner){p + bytes, n - bytes, true};
}

/* IEEE 802.2, with SNAP (RFC 1042) in most cases. */
static struct cap_inner llc(const uint8_t *p, uint32_t n)
{
    if (n >= 3 && p[0] == 0x06 && p[1] == 0x06)
        return skip(p, n, 3);
    if (n < 8 || p[0] != 0xAA || p[1] != 0xAA || p[2] != 0x03)
        return nothing;
    uint16_t type = be16_get(p + 6);
    return type > TYPE_MAX_LENGTH ? cap_ethertype(type, p + 8, n - 8) : nothing;
}

/* RFC 3032: labels, the last of which is marked; what follows is told by its first bits, as
 * RFC 4385 section 3 and RFC 4928 have it. */
static struct cap_inner mpls(const uint8_t *p, uint32_t n)
{
    unsigned labels = 0;
    bool bottom = false;
    while (!bottom && labels++ < MAX_TAGS && n > 4) {
        bottom = p[2] & 1;
        p += 4;
        n -= 4;
    }
    if (!bottom)
        return nothing;
    if (p[0] >> 4 == 4 || p[0] >> 4 == 6)
        return (struct cap_inner){p, n, true};
    return p[0] >> 4 == 0 && n > 4 ? cap_ethernet(p + 4, n - 4) : nothing;
}

/* RFC 2516: version and type, code 0 (a session), session, length. */
static struct cap_inner pppoe(const uint8_t *p, uint32_t n)
{
    if (n < 6 || p[0] != 0x11 || p[1] != 0)
        return nothing;
    return cap_ppp(p + 6, n - 6);
}

struct cap_inner cap_ppp(const uint8_t *p, uint32_t n)
{
    /* RFC 1662: address and control may be left out, as the first byte of the protocol may. */
    if (n >= 2 && p[0] == 0xFF && p[1] == 0x03) {
        p += 2;
        n -= 2;
    }
    if (n < 2)
        return nothing;
    bool one_byte = p[0] & 1;
    uint16_t proto = one_byte ? p[0] : be16_get(p);
    uint32_t head = one_byte ? 1 : 2;
    switch (proto) {
    case 0x0021:
    case 0x0057:
        return skip(p, n, head);
    case 0x0281:
        return mpls(p + head, n - head);
    default:
        return nothing;
    }
}

struct cap_inner cap_ethertype(uint16_t type, const uint8_t *p, uint32_t n)
{
    for (unsigned tags = 0; tags < MAX_TAGS; tags++) {
        uint32_t tag_bytes = 4;
        switch (type) {
        case TYPE_IPV4:
        case TYPE_IPV6:
            return skip(p, n, 0);
        case TYPE_MPLS:
        case TYPE_MPLS_MULTI:
            return mpls(p, n);
        case TYPE_PPPOE:
            return pppoe(p, n);
        case TYPE_VNTAG:
            tag_bytes = 6;
            break;
        case TYPE_CVLAN:
        case TYPE_SVLAN:
        case TYPE_QINQ_1:
        case TYPE_QINQ_2:
            break;
        default:
            return type <= TYPE_MAX_LENGTH ? llc(p, n) : nothing;
        }
        if (n < tag_bytes)
            return nothing;
        type = be16_get(p + tag_bytes - 2);
        p += tag_bytes;
        n -= tag_bytes;
    }
    return nothing;
}

struct cap_inner cap_ethernet(const uint8_t *p, uint32_t n)
{
    return n < 14 ? nothing : cap_ethertype(be16_get(p + 12), p + 14, n - 14);
}

/* A data frame of IEEE 802.11 in the clear; pad: the header is filled up to four bytes. */
static struct cap_inner wlan(const uint8_t *p, uint32_t n, bool pad)
{
    /* Of type data, not "no data", not protected. */
    if (n < 24 || (p[0] & 0x4C) != 0x08 || p[1] & 0x40)
        return nothing;
    uint32_t head = 24;
    if ((p[1] & 3) == 3)
        head += 6; /* the fourth address */
    if (p[0] & 0x80) {
        if (n < head + 2 || p[head] & 0x80)
            return nothing; /* several frames in one */
        head += 2;
        if (p[1] & 0x80)
            head += 4; /* high throughput */
    }
    if (pad)
        head = (head + 3) & ~3u;
    return n < head ? nothing : llc(p + head, n - head);
}

/* radiotap.org: version, length, bits of what is present; of interest is one flag alone. */
static struct cap_inner radiotap(const uint8_t *p, uint32_t n)
{
    if (n < 8 || le16_get(p + 2) > n || le16_get(p + 2) < 8)
        return nothing;
    uint32_t head = le16_get(p + 2), present = le32_get(p + 4), at = 4, word;
    do {
        if (at + 4 > head)
            return nothing;
        word = le32_get(p + at);
        at += 4;
    } while (word >> 31);
    if (present & 1)
        at = ((at + 7) & ~7u) + 8;
    bool pad = present & 2 && at < head && p[at] & 0x20;
    return wlan(p + head, n - head, pad);
}

/* The address family stands in front, in the byte order of some machine. */
static struct cap_inner family(const uint8_t *p, uint32_t n, uint32_t head)
{
    if (n < head || n < 4)
        return nothing;
    uint32_t af = be32_get(p) < le32_get(p) ? be32_get(p) : le32_get(p);
    /* IPv6 has a number of its own in each system. */
    bool known = af == 2 || af == 10 || af == 23 || af == 24 || af == 28 || af == 30;
    return known ? skip(p, n, head) : nothing;
}

static struct cap_inner cooked(const uint8_t *p, uint32_t n, uint32_t type_at, uint32_t head)
{
    if (n < head)
        return nothing;
    uint16_t type = be16_get(p + type_at);
    /* 4: an IEEE 802.2 frame without its length. */
    return type == 4 ? llc(p + head, n - head) : cap_ethertype(type, p + head, n - head);
}

static struct cap_inner ppi(const uint8_t *p, uint32_t n)
{
    if (n < 8 || le16_get(p + 2) > n || le16_get(p + 2) < 8 || le32_get(p + 4) == CAP_PPI)
        return nothing;
    uint32_t head = le16_get(p + 2);
    return cap_link((uint16_t)le32_get(p + 4), p + head, n - head);
}

/* A list of attributes, in the byte order of the machine; the packet is one of them. */
static struct cap_inner nflog(const uint8_t *p, uint32_t n)
{
    for (uint32_t at = 4; n >= 4 && at + 4 <= n;) {
        bool swapped = le16_get(p + at) > n - at || le16_get(p + at) < 4;
        uint32_t bytes = swapped ? be16_get(p + at) : le16_get(p + at);
        uint32_t type = swapped ? be16_get(p + at + 2) : le16_get(p + at + 2);
        if (bytes < 4 || bytes > n - at)
            return nothing;
        if ((type & 0x7FFF) == 9)
            return (struct cap_inner){p + at + 4, bytes - 4, true};
        at += (bytes + 3) & ~3u;
    }
    return nothing;
}

/* The firewall of the BSDs: a length, a family, and what else it knows. */
static struct cap_inner pflog(const uint8_t *p, uint32_t n)
{
    uint32_t head = n ? (p[0] + 3u) & ~3u : 0;
    return head >= 4 ? skip(p, n, head) : nothing;
}

/* long: one dispatch switch. */
struct cap_inner cap_link(uint16_t link, const uint8_t *p, uint32_t n)
{
    switch (link) {
    case CAP_ETHERNET:
        return cap_ethernet(p, n);
    case CAP_RAW_12:
    case CAP_RAW_14:
    case CAP_RAW:
    case CAP_IPV4:
    case CAP_IPV6:
        return skip(p, n, 0);
    case CAP_SLL:
        return cooked(p, n, 14, 16);
    case CAP_SLL2:
        return cooked(p, n, 0, 20);
    case CAP_NULL:
    case CAP_LOOP:
        return family(p, n, 4);
    case CAP_ENC:
        return family(p, n, 12);
    case CAP_PPP:
    case CAP_PPP_HDLC:
    case CAP_PPP_PPPD:
        return cap_ppp(p, n);
    case CAP_PPP_WITH_DIR:
        return n ? cap_ppp(p + 1, n - 1) : nothing;
    case CAP_PPP_ETHER:
        return pppoe(p, n);
    case CAP_C_HDLC:
        return n < 4 ? nothing : cap_ethertype(be16_get(p + 2), p + 4, n - 4);
    case CAP_IEEE802_11:
        return wlan(p, n, false);
    case CAP_RADIOTAP:
        return radiotap(p, n);
    case CAP_PPI:
        return ppi(p, n);
    case CAP_NFLOG:
        return nflog(p, n);
    case CAP_PFLOG:
        return pflog(p, n);
    default:
        return nothing;
    }
}
