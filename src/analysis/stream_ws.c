/* SIP over WebSocket (RFC 7118): the handshake of HTTP, then frames, each message of which is one
 * SIP message. */
#include "analysis/start.h"
#include "analysis/stream_int.h"
#include "base/mem.h"

#define MAX_HTTP_HEAD 8192
#define MAX_STRANGERS 64
#define LOOK_AT       24 /* bytes of a payload that tell SIP from what only looks like a frame */

size_t stream_http_head(const uint8_t *p, size_t n)
{
    const uint8_t *end = memmem(p, n < MAX_HTTP_HEAD ? n : MAX_HTTP_HEAD, "\r\n\r\n", 4);
    return end ? (size_t)(end - p) + 4 : 0;
}

static bool is_http(const uint8_t *p, size_t n)
{
    return (n >= 4 && memcmp(p, "GET ", 4) == 0) || (n >= 5 && memcmp(p, "HTTP/", 5) == 0);
}

bool stream_ws_like(const uint8_t *p, size_t n)
{
    struct ws_frame f;
    uint8_t text[LOOK_AT];
    if (ws_frame_head(&f, p, n) != 1 || f.opcode > WS_BINARY || f.opcode == WS_CONTINUED)
        return false;
    if (f.packed || f.n < LOOK_AT || n < f.head_bytes + sizeof(text))
        return false;
    if (f.masked)
        ws_unmask(text, p + f.head_bytes, sizeof(text), f.mask, 0);
    else
        memcpy(text, p + f.head_bytes, sizeof(text));
    return an_start_like((const char *)text, sizeof(text), false) != AN_START_NO;
}

static void message(struct an_stream *s, const struct stream_view *v, const struct ws_item *item)
{
    struct stream_side *side = &s->side[v->side];
    struct str text = buf_str(&side->ws.msg);
    struct an_seen seen = *v->seen;
    seen.first_frame = side->ws_frame;
    side->ws_frame = 0;
    if (item->packed) {
        s->all->out->stats.ws_packed++;
        an_out_warn(s->all->out, seen.frame, STR("a compressed WebSocket message is not read"),
                    &s->addr[v->side], &s->addr[1 - v->side]);
        return;
    }
    while (text.n && (text.p[0] == '\r' || text.p[0] == '\n'))
        text = str_from(text, 1);
    if (an_start_like(text.p, text.n, true) == AN_START_YES) {
        stream_emit(s, v->side, text, false, &seen);
        s->strangers = 0;
    } else if (text.n && ++s->strangers > MAX_STRANGERS) {
        s->ignored = true;
    }
}

void stream_ws_empty(struct an_stream *s, struct stream_side *side)
{
    s->all->bytes -= side->ws.msg.cap;
    mem_free(side->ws.msg.p);
    side->ws.msg = (struct buf){0};
}

/* Makes room for a message. False: it is too large, or memory is out. */
static bool room(struct an_stream *s, struct stream_side *side, uint64_t bytes)
{
    struct an_streams *all = s->all;
    size_t cap = side->ws.msg.cap ? side->ws.msg.cap : 2048;
    if (bytes > all->message_bytes)
        return false;
    while (cap < bytes)
        cap *= 2;
    size_t more = cap - side->ws.msg.cap;
    char *p = more <= all->max_bytes - all->bytes ? mem_resize(side->ws.msg.p, cap) : NULL;
    if (!p)
        return false;
    all->bytes += more;
    side->ws.msg.p = p;
    side->ws.msg.cap = cap;
    return true;
}

/* A frame after the thread was lost is believed if SIP begins in it. */
static size_t find_frame(struct an_stream *s, const struct stream_view *v, size_t at)
{
    enum { LEAST = WS_MAX_HEAD + LOOK_AT };
    for (; at + LEAST <= v->n; at++)
        if (stream_ws_like(v->p + at, v->n - at)) {
            s->side[v->side].lost = false;
            s->all->out->stats.tcp_resyncs++;
            break;
        }
    return at;
}

/* One frame: how many bytes it took, 0 if it is not all there. */
static size_t one(struct an_stream *s, const struct stream_view *v, size_t at)
{
    struct stream_side *side = &s->side[v->side];
    if (side->ws_frame == 0)
        side->ws_frame = stream_frame(s, v, at);
    struct ws_item item = ws_next(&side->ws, v->p + at, v->n - at);
    if (item.kind == WS_ROOM && room(s, side, item.room))
        item = ws_next(&side->ws, v->p + at, v->n - at);
    switch (item.kind) {
    case WS_MESSAGE:
        message(s, v, &item);
        stream_ws_empty(s, side);
        break;
    case WS_BAD:
    case WS_ROOM:
        stream_lose(s, v->side, v->seen, STR("a WebSocket frame that is none, or too large"));
        return 1;
    case WS_MORE:
        break;
    default:
        if (!side->ws.open)
            side->ws_frame = 0;
        break;
    }
    return item.used;
}

size_t stream_ws(struct an_stream *s, const struct stream_view *v)
{
    struct stream_side *side = &s->side[v->side];
    size_t at = 0;
    while (at < v->n && !s->ignored) {
        size_t used;
        if (side->lost) {
            at = find_frame(s, v, at);
            if (side->lost)
                break;
            continue;
        }
        /* A refused handshake is followed by another one. */
        if (is_http(v->p + at, v->n - at)) {
            used = stream_http_head(v->p + at, v->n - at);
            if (used == 0 && v->n - at > MAX_HTTP_HEAD)
                s->ignored = true;
        } else if (v->n - at < 5 && !side->http_done) {
            used = 0;
        } else {
            side->http_done = true;
            used = one(s, v, at);
        }
        if (used == 0)
            break;
        at += used;
    }
    return at;
}
