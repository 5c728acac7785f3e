/* Streams are given back, and what referred to them or to legs that are no more. */
#include "analysis/rtp_int.h"

#include "base/mem.h"

#define SWEEP_MOST 1024 /* addresses looked at each time */
#define TRIM_FROM  1024 /* a table that was so large gives its memory back when it is empty */

void an_rtp_release(struct an_rtp *r, uint32_t i)
{
    struct an_stream *s = rtp_stream(r, i + 1);
    if (!s->number)
        return;
    if (!s->over)
        hash_remove(&r->by_key, &s->node);
    if (!s->unlisted)
        hash_remove(&r->by_ssrc, &s->by_ssrc);
    rtp_tie_remove(r, s);
    mem_free(s->digit);
    slot_put(&r->streams, slot_handle(&r->streams, s));
    memset(s, 0, sizeof(*s));
    s->leg = AN_NONE;
}

static void sweep(struct an_rtp *r, uint64_t now_ns)
{
    rtp_places_sweep(r, now_ns, r->places.fresh < SWEEP_MOST ? r->places.fresh : SWEEP_MOST);
}

uint32_t an_rtp_release_silent(struct an_rtp *r, uint64_t since_ns, uint64_t now_ns)
{
    const struct an_stream *s;
    uint32_t n = 0;
    for (uint32_t at = 0; (s = an_rtp_next(r, &at));)
        if (s->leg == AN_NONE && s->last_ns < since_ns) {
            an_rtp_release(r, s->index);
            n++;
        }
    sweep(r, now_ns);
    if (r->streams.fresh > TRIM_FROM)
        slot_trim(&r->streams);
    if (r->places.fresh > TRIM_FROM)
        slot_trim(&r->places);
    return n;
}

uint64_t an_rtp_leg_last_ns(const struct an_rtp *r, uint32_t leg)
{
    uint32_t n;
    uint64_t last = 0;
    const uint32_t *list = an_rtp_leg(r, leg, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct an_stream *s = an_rtp_stream(r, list[i]);
        last = s->last_ns > last ? s->last_ns : last;
    }
    return last;
}

uint32_t an_rtp_forget(struct an_rtp *r, uint32_t leg)
{
    uint32_t n, released = 0;
    const uint32_t *list = an_rtp_leg(r, leg, &n);
    for (uint32_t i = 0; i < n; i++) {
        struct an_stream *s = rtp_stream(r, list[i] + 1);
        if (!s->number)
            continue; /* it went with another leg of its call */
        rtp_tie_forget(s, leg);
        if (s->n_ties == 0) {
            an_rtp_release(r, s->index);
            released++;
        }
    }
    return released;
}

static bool line_holds(const struct an_rtp *r, const struct rtp_by_leg *line)
{
    const struct an_stream *s = an_rtp_stream(r, line->stream);
    for (unsigned i = 0; i < s->n_ties; i++)
        if (s->number == line->number && s->tie[i].leg == line->leg)
            return true;
    return false;
}

void an_rtp_forgotten(struct an_rtp *r, uint64_t now_ns)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_by_leg; i++)
        if (line_holds(r, &r->by_leg[i])) {
            r->leg_streams[n] = r->by_leg[i].stream;
            r->by_leg[n++] = r->by_leg[i];
        }
    r->n_by_leg = n;
    sweep(r, now_ns);
}

uint64_t an_rtp_size(const struct an_rtp *r, uint32_t *ret_streams, uint32_t *ret_addresses)
{
    const struct an_stream *s;
    uint64_t bytes = (uint64_t)r->places.used * r->places.item_bytes;
    for (uint32_t at = 0; (s = an_rtp_next(r, &at));)
        bytes += r->streams.item_bytes + s->cap_digits * sizeof(*s->digit);
    *ret_streams = r->streams.used;
    *ret_addresses = r->places.used;
    return bytes + (uint64_t)r->n_by_leg * (sizeof(*r->by_leg) + sizeof(*r->leg_streams));
}
