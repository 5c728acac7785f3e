#include "wire/bot/audiosocket.h"

#include "base/be.h"

void audiosocket_put(struct buf *b, enum audiosocket_type type, struct str bytes)
{
    buf_ch(b, (char)type);
    buf_ch(b, (char)(bytes.n >> 8));
    buf_ch(b, (char)bytes.n);
    buf_str_put(b, bytes);
}

size_t audiosocket_next(struct audiosocket_reader *r, struct audiosocket_piece *ret,
                        const uint8_t *p, size_t n)
{
    size_t used = 0;
    bool first = r->n_head < AUDIOSOCKET_HEAD;
    *ret = (struct audiosocket_piece){0};
    while (r->n_head < AUDIOSOCKET_HEAD && used < n)
        r->head[r->n_head++] = p[used++];
    if (r->n_head < AUDIOSOCKET_HEAD)
        return used;
    if (first)
        r->left = be16_get(r->head + 1);
    if (!first && used == n)
        return used;
    ret->type = r->head[0];
    ret->first = first;
    ret->bytes = p + used;
    ret->n = n - used < r->left ? n - used : r->left;
    r->left = (uint16_t)(r->left - ret->n);
    ret->last = r->left == 0;
    if (ret->last)
        r->n_head = 0;
    return used + ret->n;
}
