/* SIP messages in a stream: cut by their length, found again where the thread was lost. */
#include "analysis/start.h"
#include "analysis/stream_int.h"
#include "wire/sip/frame.h"

static bool is_filler(uint8_t c)
{
    return c == '\r' || c == '\n' || c == 0;
}

/* A message whose length is not told ends where the next one begins, or with what has come. */
static size_t no_length(struct an_stream *s, const struct stream_view *v, size_t at,
                        const struct sip_frame *f)
{
    struct an_seen seen = *v->seen;
    const char *p = (const char *)v->p + at;
    size_t left = v->n - at;
    bool found;
    seen.first_frame = stream_frame(s, v, at);
    if (f->verdict == SIP_TOO_LARGE) {
        stream_lose(s, v->side, &seen, STR("a message on a stream is too large"));
        if (f->len)
            stream_emit(s, v->side, str_of(p, f->len), true, &seen);
        return f->len ? f->len : left;
    }
    size_t body = an_start_find(p + f->len, left - f->len, &found);
    if (!found)
        body = left - f->len;
    stream_emit(s, v->side, str_of(p, f->len + body), false, &seen);
    an_out_warn(s->all->out, seen.frame, STR("a message on a stream without a sound length"),
                &s->addr[v->side], &s->addr[1 - v->side]);
    s->side[v->side].scanned = 0;
    s->side[v->side].lost = !found;
    return f->len + body;
}

/* One message, or 0 if it is not all there. */
static size_t one(struct an_stream *s, const struct stream_view *v, size_t at)
{
    struct stream_side *side = &s->side[v->side];
    const char *p = (const char *)v->p + at;
    struct sip_frame f = sip_frame_next(p, v->n - at, s->all->message_bytes, &side->scanned);
    switch (f.kind) {
    case SIP_FRAME_MSG: {
        struct an_seen seen = *v->seen;
        seen.first_frame = stream_frame(s, v, at);
        stream_emit(s, v->side, str_of(p + f.start, f.len), false, &seen);
        return f.consumed;
    }
    case SIP_FRAME_BAD:
        return no_length(s, v, at, &f);
    default:
        return f.consumed;
    }
}

size_t stream_sip(struct an_stream *s, const struct stream_view *v)
{
    struct stream_side *side = &s->side[v->side];
    size_t at = 0;
    while (at < v->n) {
        const char *p = (const char *)v->p + at;
        if (side->lost) {
            bool found;
            at += an_start_find(p, v->n - at, &found);
            if (!found)
                break;
            side->lost = false;
            s->all->out->stats.tcp_resyncs++;
            continue;
        }
        if (side->scanned == 0 && is_filler(v->p[at])) {
            at++;
            continue;
        }
        if (side->scanned == 0) {
            enum an_start like = an_start_like(p, v->n - at, false);
            if (like == AN_START_NO)
                stream_lose(s, v->side, v->seen, STR("a stream of SIP holds something else"));
            if (like == AN_START_NO)
                continue;
            if (like == AN_START_MAYBE)
                break;
        }
        size_t used = one(s, v, at);
        if (used == 0)
            break;
        at += used;
    }
    return at;
}
