#include "wire/hep/hep.h"

#include <errno.h>

#include "base/be.h"

enum hep_chunk {
    CHUNK_FAMILY = 1,
    CHUNK_PROTO = 2,
    CHUNK_SRC4 = 3,
    CHUNK_DST4 = 4,
    CHUNK_SRC6 = 5,
    CHUNK_DST6 = 6,
    CHUNK_SRC_PORT = 7,
    CHUNK_DST_PORT = 8,
    CHUNK_SECONDS = 9,
    CHUNK_MICROS = 10,
    CHUNK_TYPE = 11,
    CHUNK_NODE = 12,
    CHUNK_KEY = 14,
    CHUNK_PAYLOAD = 15,
    CHUNK_PACKED = 16,
    CHUNK_ID = 17,
    CHUNK_VLAN = 18,
    CHUNK_NAME = 19
};

enum { HEP_AF_INET = 2, HEP_AF_INET6 = 10 };

#define CHUNK_HEAD 6 /* vendor, type, length */

int hep_length(const uint8_t *p, size_t n)
{
    if (memcmp(p, "HEP3", n < 4 ? n : 4) != 0)
        return -EBADMSG;
    if (n < HEP_HEAD)
        return 0;
    unsigned length = be16_get(p + 4);
    return length < HEP_HEAD ? -EBADMSG : (int)length;
}

/* An unsigned number of the size that the chunk has. */
static uint32_t number(const uint8_t *p, size_t n)
{
    switch (n) {
    case 1:
        return p[0];
    case 2:
        return be16_get(p);
    case 4:
        return be32_get(p);
    default:
        return 0;
    }
}

static void put_ip(struct addr *a, enum addr_family family, const uint8_t *p, size_t n)
{
    if (n != (family == ADDR_V4 ? 4 : 16))
        return;
    a->family = (uint8_t)family;
    memset(a->ip, 0, sizeof(a->ip));
    memcpy(a->ip, p, n);
}

/* long: one dispatch switch. */
static void chunk_read(struct hep *h, unsigned type, const uint8_t *p, size_t n)
{
    struct str text = str_of((const char *)p, n);
    switch (type) {
    case CHUNK_PROTO:
        h->ip_proto = (uint8_t)number(p, n);
        break;
    case CHUNK_SRC4:
        put_ip(&h->src, ADDR_V4, p, n);
        break;
    case CHUNK_DST4:
        put_ip(&h->dst, ADDR_V4, p, n);
        break;
    case CHUNK_SRC6:
        put_ip(&h->src, ADDR_V6, p, n);
        break;
    case CHUNK_DST6:
        put_ip(&h->dst, ADDR_V6, p, n);
        break;
    case CHUNK_SRC_PORT:
        h->src.port = (uint16_t)number(p, n);
        break;
    case CHUNK_DST_PORT:
        h->dst.port = (uint16_t)number(p, n);
        break;
    case CHUNK_SECONDS:
        h->at_ns += number(p, n) * 1000000000ull;
        break;
    case CHUNK_MICROS:
        h->at_ns += number(p, n) * 1000ull;
        break;
    case CHUNK_TYPE:
        h->type = (uint8_t)number(p, n);
        break;
    case CHUNK_NODE:
        h->node = number(p, n);
        break;
    case CHUNK_KEY:
        h->key = text;
        break;
    case CHUNK_PAYLOAD:
    case CHUNK_PACKED:
        h->payload = text;
        h->packed = type == CHUNK_PACKED;
        break;
    case CHUNK_ID:
        h->id = text;
        break;
    case CHUNK_VLAN:
        h->vlan = (uint16_t)number(p, n);
        break;
    case CHUNK_NAME:
        h->name = text;
        break;
    default: /* the family follows from the addresses */
        break;
    }
}

static int parse_3(struct hep *ret, const uint8_t *p, size_t n)
{
    struct hep h = {.version = 3, .type = HEP_SIP, .ip_proto = HEP_IP_UDP};
    size_t end = be16_get(p + 4);
    if (end < HEP_HEAD || end > n)
        return -EBADMSG;
    for (size_t at = HEP_HEAD; at < end;) {
        if (end - at < CHUNK_HEAD)
            return -EBADMSG;
        size_t bytes = be16_get(p + at + 4);
        if (bytes < CHUNK_HEAD || bytes > end - at)
            return -EBADMSG;
        if (be16_get(p + at) == 0)
            chunk_read(&h, be16_get(p + at + 2), p + at + CHUNK_HEAD, bytes - CHUNK_HEAD);
        at += bytes;
    }
    *ret = h;
    return 0;
}

/* Version, length of the header, family, protocol, ports, addresses; version 2 adds a time and the
 * agent, in the byte order of the usual machine. */
static int parse_old(struct hep *ret, const uint8_t *p, size_t n)
{
    bool v6 = p[2] == HEP_AF_INET6;
    size_t ip_bytes = v6 ? 16 : 4, head = 8 + 2 * ip_bytes, time_at = head;
    if (p[2] != HEP_AF_INET && !v6)
        return -EBADMSG;
    if (p[0] == 2)
        head += 12;
    /* The length leaves out the time in some agents. */
    if (p[0] == 2 && p[1] == time_at + 10)
        head = p[1];
    if ((p[1] != head && p[1] != time_at) || n < head)
        return -EBADMSG;
    struct hep h = {.version = p[0], .type = HEP_SIP, .ip_proto = p[3]};
    put_ip(&h.src, v6 ? ADDR_V6 : ADDR_V4, p + 8, ip_bytes);
    put_ip(&h.dst, v6 ? ADDR_V6 : ADDR_V4, p + 8 + ip_bytes, ip_bytes);
    h.src.port = be16_get(p + 4);
    h.dst.port = be16_get(p + 6);
    if (p[0] == 2) {
        h.at_ns = le32_get(p + time_at) * 1000000000ull + le32_get(p + time_at + 4) * 1000ull;
        h.node = le16_get(p + time_at + 8);
    }
    h.payload = str_of((const char *)p + head, n - head);
    *ret = h;
    return 0;
}

int hep_parse(struct hep *ret, const uint8_t *p, size_t n)
{
    if (hep_is(p, n))
        return parse_3(ret, p, n);
    if (n >= 16 && (p[0] == 1 || p[0] == 2))
        return parse_old(ret, p, n);
    return -EBADMSG;
}

static void put_chunk(struct buf *b, enum hep_chunk type, const void *p, size_t n)
{
    uint8_t head[CHUNK_HEAD] = {0};
    be16_put(head + 2, (uint16_t)type);
    be16_put(head + 4, (uint16_t)(CHUNK_HEAD + n));
    buf_put(b, (const char *)head, sizeof(head));
    buf_put(b, p, n);
}

static void put_8(struct buf *b, enum hep_chunk type, uint8_t v)
{
    put_chunk(b, type, &v, 1);
}

static void put_16(struct buf *b, enum hep_chunk type, uint16_t v)
{
    uint8_t p[2];
    be16_put(p, v);
    put_chunk(b, type, p, sizeof(p));
}

static void put_32(struct buf *b, enum hep_chunk type, uint32_t v)
{
    uint8_t p[4];
    be32_put(p, v);
    put_chunk(b, type, p, sizeof(p));
}

static void put_text(struct buf *b, enum hep_chunk type, struct str s)
{
    if (s.n)
        put_chunk(b, type, s.p, s.n);
}

static void put_addresses(struct buf *b, const struct hep *h)
{
    bool v6 = h->src.family == ADDR_V6;
    put_8(b, CHUNK_FAMILY, v6 ? HEP_AF_INET6 : HEP_AF_INET);
    put_8(b, CHUNK_PROTO, h->ip_proto);
    put_chunk(b, v6 ? CHUNK_SRC6 : CHUNK_SRC4, h->src.ip, v6 ? 16 : 4);
    put_chunk(b, v6 ? CHUNK_DST6 : CHUNK_DST4, h->dst.ip, v6 ? 16 : 4);
    put_16(b, CHUNK_SRC_PORT, h->src.port);
    put_16(b, CHUNK_DST_PORT, h->dst.port);
}

void hep_build(struct buf *b, const struct hep *h)
{
    size_t at = b->n;
    buf_put(b, "HEP3\0\0", HEP_HEAD);
    put_addresses(b, h);
    put_32(b, CHUNK_SECONDS, (uint32_t)(h->at_ns / 1000000000));
    put_32(b, CHUNK_MICROS, (uint32_t)(h->at_ns % 1000000000 / 1000));
    put_8(b, CHUNK_TYPE, h->type);
    put_32(b, CHUNK_NODE, h->node);
    put_text(b, CHUNK_KEY, h->key);
    put_text(b, CHUNK_ID, h->id);
    if (h->vlan)
        put_16(b, CHUNK_VLAN, h->vlan);
    put_text(b, CHUNK_NAME, h->name);
    put_text(b, CHUNK_PAYLOAD, h->payload);
    /* Lengths are 16 bits wide. */
    if (b->n - at > UINT16_MAX)
        b->full = true;
    if (b->full)
        b->n = at;
    else
        be16_put((uint8_t *)b->p + at + 4, (uint16_t)(b->n - at));
}
