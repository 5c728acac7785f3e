#include "wire/sdp/sdp.h"

#include <errno.h>

static void put_lines(struct buf *b, const struct sdp_line *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_ch(b, l[i].type);
        buf_ch(b, '=');
        buf_str_put(b, l[i].value);
        buf_lit(b, "\r\n");
    }
}

int sdp_build(struct buf *b, const struct sdp *s)
{
    size_t before = b->n;
    put_lines(b, s->line, s->n_lines);
    for (unsigned i = 0; i < s->n_media; i++)
        put_lines(b, s->media[i].line, s->media[i].n_lines);
    if (!b->full)
        return 0;
    b->n = before;
    return -ENOBUFS;
}
