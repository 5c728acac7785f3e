/* TLS on a stream: what the records hide is a stream of its own. */
#include "analysis/stream_int.h"
#include "analysis/tls.h"

static size_t give_up(struct an_stream *s, const struct stream_view *v, bool no_key)
{
    struct an_input_stats *stats = &s->all->out->stats;
    stats->tls_without_key += no_key;
    stats->tls_broken += !no_key;
    s->ignored = true;
    return v->n;
}

/* Data goes to the stream within; false: that is of no interest. */
static bool data(struct an_stream *s, const struct stream_view *v, size_t at, size_t n)
{
    struct an_seen seen = *v->seen;
    seen.first_frame = stream_frame(s, v, at);
    if (!s->within) {
        s->within = an_stream_new(s->all, s->addr);
        if (!s->within)
            return false;
        s->within->inner = true;
        for (unsigned i = 0; i < 2; i++)
            if (!s->side[i].lost) /* else its first words may be the missing ones */
                an_stream_fresh(s->within, i);
    }
    return an_stream_data(s->within, v->side, str_of((char *)s->all->plain, n), &seen);
}

size_t stream_tls(struct an_stream *s, const struct stream_view *v)
{
    size_t at = 0;
    if (!s->all->keys || s->inner)
        return give_up(s, v, !s->inner);
    if (!s->tls)
        s->tls = tls_new(s->all->keys);
    if (!s->tls)
        return give_up(s, v, false);
    for (;;) {
        struct tls_item item = tls_next(s->tls, v->side, v->p + at, v->n - at, s->all->plain);
        switch ((enum tls_kind)item.kind) {
        case TLS_MORE:
            return at;
        case TLS_NO_KEY:
        case TLS_GIVE_UP:
            return give_up(s, v, item.kind == TLS_NO_KEY);
        case TLS_DATA:
            if (!data(s, v, at, item.n)) {
                s->ignored = true;
                return v->n;
            }
            break;
        case TLS_SEALED:
        case TLS_PASSED:
            break;
        }
        at += item.used;
    }
}
