/* Writing messages. RFC 6787 section 5. */
#include <errno.h>

#include "wire/mrcp/mrcp.h"

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

static bool may_build(const struct mrcp_write *w)
{
    if ((w->type == MRCP_REQUEST && !mrcp_method_name(w->method).n) ||
        (w->type == MRCP_RESPONSE && (w->status < 100 || w->status > 999)) ||
        (w->type == MRCP_EVENT && !mrcp_event_name(w->event).n) || !is_clean(w->channel))
        return false;
    for (unsigned i = 0; i < w->n_fields; i++) {
        const struct mrcp_field *f = &w->field[i];
        if (!is_clean(f->value) || !is_clean(f->name) || (f->id == MRCP_H_OTHER && !f->name.n))
            return false;
    }
    return true;
}

/* All behind the length, so that it can be told. */
static void tail(struct buf *b, const struct mrcp_write *w)
{
    buf_ch(b, ' ');
    if (w->type == MRCP_REQUEST)
        buf_str_put(b, mrcp_method_name(w->method));
    else if (w->type == MRCP_EVENT)
        buf_str_put(b, mrcp_event_name(w->event));
    if (w->type != MRCP_RESPONSE)
        buf_ch(b, ' ');
    buf_u64(b, w->request_id);
    if (w->type == MRCP_RESPONSE) {
        buf_ch(b, ' ');
        buf_u64(b, w->status);
    }
    if (w->type != MRCP_REQUEST) {
        buf_ch(b, ' ');
        buf_str_put(b, mrcp_state_name(w->state));
    }
    buf_lit(b, "\r\nChannel-Identifier: ");
    buf_str_put(b, w->channel);
    for (unsigned i = 0; i < w->n_fields; i++) {
        const struct mrcp_field *f = &w->field[i];
        buf_lit(b, "\r\n");
        buf_str_put(b, f->id == MRCP_H_OTHER ? f->name : mrcp_header_name(f->id));
        buf_lit(b, ": ");
        buf_str_put(b, f->value);
    }
    if (w->body.p) {
        buf_lit(b, "\r\nContent-Length: ");
        buf_u64(b, w->body.n);
    }
    buf_lit(b, "\r\n\r\n");
    buf_str_put(b, w->body);
}

static unsigned digits(size_t v)
{
    unsigned n = 1;
    while (v >= 10) {
        v /= 10;
        n++;
    }
    return n;
}

int mrcp_build(struct buf *b, const struct mrcp_write *w)
{
    static const char head[] = "MRCP/2.0 ";
    struct buf work = *b;
    if (!may_build(w))
        return -EINVAL;
    if (b->full || b->cap - b->n < sizeof(head) + 20)
        return -ENOBUFS;
    /* The length counts its own digits: written behind room for 20 of them, moved to its place. */
    size_t from = b->n, room = sizeof(head) - 1 + 20;
    work.n = from + room;
    tail(&work, w);
    if (work.full)
        return -ENOBUFS;
    size_t rest = work.n - from - room, whole = sizeof(head) - 1 + rest + 1;
    while (whole != sizeof(head) - 1 + rest + digits(whole))
        whole = sizeof(head) - 1 + rest + digits(whole);
    buf_put(b, head, sizeof(head) - 1);
    buf_u64(b, whole);
    memmove(b->p + b->n, b->p + from + room, rest);
    b->n += rest;
    return 0;
}
