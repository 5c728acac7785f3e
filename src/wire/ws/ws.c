#include "wire/ws/ws.h"

#include <errno.h>

#include "base/be.h"

/* RFC 6455 section 5.2. */
int ws_frame_head(struct ws_frame *ret, const uint8_t *p, size_t n)
{
    if (n < 2)
        return 0;
    struct ws_frame f = {.fin = p[0] & 0x80,
                         .packed = p[0] & 0x40,
                         .opcode = p[0] & 15,
                         .masked = p[1] & 0x80,
                         .head_bytes = 2,
                         .n = p[1] & 0x7F};
    bool control = f.opcode >= WS_CLOSE;
    if (p[0] & 0x30 || (f.opcode > WS_BINARY && f.opcode < WS_CLOSE) || f.opcode > WS_PONG)
        return -EBADMSG;
    /* Section 5.5: control frames are short and whole. */
    if (control && (f.n > 125 || !f.fin || f.packed))
        return -EBADMSG;
    uint8_t length_bytes = f.n == 127 ? 8 : f.n == 126 ? 2 : 0;
    f.head_bytes = (uint8_t)(2 + length_bytes + (f.masked ? 4 : 0));
    if (n < f.head_bytes)
        return 0;
    if (length_bytes)
        f.n = length_bytes == 2 ? be16_get(p + 2) : be64_get(p + 2);
    if (f.n >> 63)
        return -EBADMSG;
    if (f.masked)
        memcpy(f.mask, p + 2 + length_bytes, 4);
    *ret = f;
    return 1;
}

/* Section 5.3. */
void ws_unmask(uint8_t *out, const uint8_t *p, size_t n, const uint8_t mask[4], uint64_t at)
{
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] ^ mask[(at + i) & 3];
}

void ws_lose(struct ws_reader *r)
{
    r->open = r->given = false;
    r->msg.n = 0;
}

/* The payload of a data frame joins the message. */
static struct ws_item join(struct ws_reader *r, const struct ws_frame *f, const uint8_t *p)
{
    if (r->open == (f->opcode != WS_CONTINUED))
        return (struct ws_item){.kind = WS_BAD}; /* section 5.4 */
    if (f->n > r->msg.cap - r->msg.n)
        return (struct ws_item){.kind = WS_ROOM, .room = r->msg.n + f->n};
    if (!r->open) {
        r->opcode = f->opcode;
        r->packed = f->packed;
    }
    if (f->n && f->masked)
        ws_unmask((uint8_t *)r->msg.p + r->msg.n, p + f->head_bytes, (size_t)f->n, f->mask, 0);
    else if (f->n)
        memcpy(r->msg.p + r->msg.n, p + f->head_bytes, (size_t)f->n);
    r->msg.n += (size_t)f->n;
    r->open = !f->fin;
    r->given = f->fin;
    return (struct ws_item){.kind = f->fin ? WS_MESSAGE : WS_PART,
                            .opcode = r->opcode,
                            .packed = r->packed,
                            .used = f->head_bytes + (size_t)f->n};
}

struct ws_item ws_next(struct ws_reader *r, const uint8_t *p, size_t n)
{
    struct ws_frame f;
    if (r->given)
        ws_lose(r);
    int head = ws_frame_head(&f, p, n);
    if (head < 0)
        return (struct ws_item){.kind = WS_BAD};
    if (head == 0)
        return (struct ws_item){.kind = WS_MORE};
    bool control = f.opcode >= WS_CLOSE;
    /* Room is asked for before all of a large frame is there. */
    if (!control && f.n > r->msg.cap - r->msg.n)
        return (struct ws_item){.kind = WS_ROOM, .room = r->msg.n + f.n};
    if (f.n > n - f.head_bytes)
        return (struct ws_item){.kind = WS_MORE};
    if (control)
        return (struct ws_item){
            .kind = WS_CONTROL, .opcode = f.opcode, .used = f.head_bytes + (size_t)f.n};
    return join(r, &f, p);
}
