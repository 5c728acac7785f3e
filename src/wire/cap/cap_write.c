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
