/* Writes pcapng, least significant byte first. */
#include "wire/cap/cap_int.h"

enum { TYPE_IFACE = 1, TYPE_PACKET = 6, TYPE_SECRETS = 0x0A, TYPE_SECTION = 0x0A0D0D0A };
enum { OPT_COMMENT = 1, OPT_IF_NAME = 2, OPT_USERAPPL = 4, OPT_IF_TSRESOL = 9 };

static void put_u16(struct buf *b, uint16_t v)
{
    uint8_t p[2];
    le16_put(p, v);
    buf_put(b, (const char *)p, sizeof(p));
}

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t p[4];
    le32_put(p, v);
    buf_put(b, (const char *)p, sizeof(p));
}

/* Bytes and what fills them up to a multiple of four. */
static void put_padded(struct buf *b, const void *p, size_t n)
{
    static const char zero[4];
    buf_put(b, p, n);
    buf_put(b, zero, -n & 3);
}

static void put_option(struct buf *b, uint16_t code, struct str value)
{
    size_t n = value.n < 0xFFFF ? value.n : 0xFFFF;
    put_u16(b, code);
    put_u16(b, (uint16_t)n);
    put_padded(b, value.p, n);
}

/* A block is opened, filled and closed; its length is then known. What did not fit is taken back,
 * so that a full buffer still holds whole blocks. */
static size_t block_open(struct buf *b, uint32_t type)
{
    size_t at = b->n;
    put_u32(b, type);
    put_u32(b, 0);
    return at;
}

static void block_close(struct buf *b, size_t at)
{
    uint32_t n = (uint32_t)(b->n - at + 4);
    put_u32(b, n);
    if (b->full)
        b->n = at;
    else
        le32_put((uint8_t *)b->p + at + 4, n);
}

void cap_write_section(struct buf *b, struct str application)
{
    size_t at = block_open(b, TYPE_SECTION);
    put_u32(b, 0x1A2B3C4D);
    put_u16(b, 1);
    put_u16(b, 0);
    put_u32(b, UINT32_MAX); /* the section's length is not known */
    put_u32(b, UINT32_MAX);
    if (application.n) {
        put_option(b, OPT_USERAPPL, application);
        put_u32(b, 0);
    }
    block_close(b, at);
}

void cap_write_iface(struct buf *b, uint16_t link, struct str name)
{
    size_t at = block_open(b, TYPE_IFACE);
    put_u16(b, link);
    put_u16(b, 0);
    put_u32(b, CAP_MAX_FRAME);
    if (name.n)
        put_option(b, OPT_IF_NAME, name);
    put_option(b, OPT_IF_TSRESOL, STR("\x09"));
    put_u32(b, 0);
    block_close(b, at);
}

void cap_write_frame(struct buf *b, const struct cap_frame *f, struct str comment)
{
    size_t at = block_open(b, TYPE_PACKET);
    put_u32(b, f->iface);
    put_u32(b, (uint32_t)(f->at_ns >> 32));
    put_u32(b, (uint32_t)f->at_ns);
    put_u32(b, f->n);
    put_u32(b, f->wire_n > f->n ? f->wire_n : f->n);
    put_padded(b, f->p, f->n);
    if (comment.n) {
        put_option(b, OPT_COMMENT, comment);
        put_u32(b, 0);
    }
    block_close(b, at);
}

void cap_write_keys(struct buf *b, struct str keylog)
{
    size_t at = block_open(b, TYPE_SECRETS);
    put_u32(b, 0x544C534B); /* "TLSK": lines of a key log */
    put_u32(b, (uint32_t)keylog.n);
    put_padded(b, keylog.p, keylog.n);
    block_close(b, at);
}

/* RFC 1071, over 16-bit words; an odd byte is followed by a zero. */
static uint32_t sum(uint32_t from, const uint8_t *p, size_t n)
{
    uint64_t s = from;
    for (; n >= 2; p += 2, n -= 2)
        s += be16_get(p);
    if (n)
        s += (uint32_t)p[0] << 8;
    while (s >> 16)
        s = (s & 0xFFFF) + (s >> 16);
    return (uint32_t)s;
}

/* An address of IPv4 among those of IPv6 (RFC 4291 section 2.5.5.2). */
static void put_v6(uint8_t out[16], const struct addr *a)
{
    if (a->family == ADDR_V6) {
        memcpy(out, a->ip, 16);
        return;
    }
    memset(out, 0, 10);
    out[10] = out[11] = 0xFF;
    memcpy(out + 12, a->ip, 4);
}

void cap_put_udp(struct buf *b, const struct addr *src, const struct addr *dst, struct str payload)
{
    bool v6 = src->family == ADDR_V6 || dst->family == ADDR_V6;
    uint8_t p[CAP_UDP_BYTES] = {0};
    size_t head = v6 ? 40 : 20, ip_bytes = v6 ? 16 : 4, n = 8 + payload.n;
    uint8_t *addresses = p + head - 2 * ip_bytes, *udp = p + head;
    if (n + (v6 ? 0 : 20) > UINT16_MAX || head + n > b->cap - b->n) {
        b->full = true;
        return;
    }
    if (v6) {
        p[0] = 0x60;
        be16_put(p + 4, (uint16_t)n);
        p[6] = 17;
        p[7] = 64;
        put_v6(addresses, src);
        put_v6(addresses + 16, dst);
    } else {
        p[0] = 0x45;
        be16_put(p + 2, (uint16_t)(head + n));
        p[8] = 64;
        p[9] = 17;
        memcpy(addresses, src->ip, 4);
        memcpy(addresses + 4, dst->ip, 4);
        be16_put(p + 10, (uint16_t)~sum(0, p, head));
    }
    be16_put(udp, src->port);
    be16_put(udp + 2, dst->port);
    be16_put(udp + 4, (uint16_t)n);
    /* RFC 768: over the addresses, the protocol and the length too; never 0. */
    uint32_t s = sum(17 + (uint32_t)n, addresses, 2 * ip_bytes + 8);
    uint16_t check = (uint16_t)~sum(s, (const uint8_t *)payload.p, payload.n);
    be16_put(udp + 6, check ? check : 0xFFFF);
    buf_put(b, (const char *)p, head + 8);
    buf_str_put(b, payload);
}
