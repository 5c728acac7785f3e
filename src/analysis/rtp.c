/* Packets into streams. */
#include "analysis/rtp_int.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define K1 0x9e3779b97f4a7c15u
#define K2 0xbf58476d1ce4e5b9u

int an_rtp_new(struct an_rtp **ret, uint32_t max_streams, uint64_t seed)
{
    struct an_rtp *r = mem_zero(sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->seed = seed * K2 + K1;
    r->max_streams = max_streams;
    uint32_t places = max_streams < UINT32_MAX / 2 ? max_streams * 2 : max_streams;
    r->link = mem_map(sizeof(*r->link) * max_streams);
    r->candidate = mem_map(sizeof(*r->candidate) * RTP_CANDIDATES);
    if (!r->link || !r->candidate ||
        slot_init(&r->streams, sizeof(struct an_stream), max_streams) ||
        slot_init(&r->places, sizeof(struct rtp_place), places) ||
        hash_init(&r->by_key, max_streams / 4, seed) ||
        hash_init(&r->by_ssrc, max_streams / 4, seed) ||
        hash_init(&r->by_addr, max_streams / 4, seed)) {
        an_rtp_free(r);
        return -ENOMEM;
    }
    slot_dense(&r->streams);
    slot_dense(&r->places);
    hash_dense(&r->by_key);
    hash_dense(&r->by_ssrc);
    hash_dense(&r->by_addr);
    r->name[0][0] = '\0'; /* number 0 is no name */
    r->n_names = 1;
    *ret = r;
    return 0;
}

void an_rtp_free(struct an_rtp *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->streams.fresh; i++)
        mem_free(rtp_stream(r, i + 1)->digit);
    mem_unmap(r->link, sizeof(*r->link) * r->max_streams);
    mem_unmap(r->candidate, sizeof(*r->candidate) * RTP_CANDIDATES);
    if (r->streams.mem)
        slot_done(&r->streams);
    if (r->places.mem)
        slot_done(&r->places);
    if (r->by_key.bucket)
        hash_done(&r->by_key);
    if (r->by_ssrc.bucket)
        hash_done(&r->by_ssrc);
    if (r->by_addr.bucket)
        hash_done(&r->by_addr);
    mem_free(r->by_leg);
    mem_free(r->leg_streams);
    mem_free(r);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

uint64_t rtp_addr_hash(const struct an_rtp *r, const struct addr *a)
{
    if (a->family == ADDR_V4)
        return rtp_fold((uint64_t)load32(a->ip) << 16 ^ a->port ^ r->seed, K1);
    return rtp_fold(load64(a->ip) ^ r->seed, load64(a->ip + 8) ^ a->port * K1 ^ K2);
}

uint64_t rtp_ssrc_hash(const struct an_rtp *r, uint32_t ssrc, const struct addr *src,
                       const struct addr *dst)
{
    struct addr from = *src, to = *dst;
    from.port = to.port = 0;
    return rtp_fold(rtp_addr_hash(r, &from) ^ ssrc, rtp_addr_hash(r, &to) ^ K2);
}

static uint64_t key_hash(const struct an_rtp *r, const struct an_datum *d, uint32_t ssrc)
{
    uint64_t ports = (uint64_t)d->src.port << 48 | (uint64_t)d->dst.port << 32 | ssrc;
    if (d->src.family == ADDR_V4) {
        uint64_t ips = (uint64_t)load32(d->src.ip) << 32 | load32(d->dst.ip);
        return rtp_fold(ips ^ r->seed, ports ^ K2);
    }
    uint64_t a = rtp_fold(load64(d->src.ip) ^ r->seed, load64(d->src.ip + 8) ^ K1);
    uint64_t b = rtp_fold(load64(d->dst.ip) ^ r->seed, load64(d->dst.ip + 8) ^ K2);
    return rtp_fold(a ^ ports, b ^ K1);
}

static struct an_stream *find(const struct an_rtp *r, const struct an_datum *d, uint32_t ssrc,
                              uint64_t hash)
{
    hash_each(node, &r->by_key, hash)
    {
        struct an_stream *s = container_of(node, struct an_stream, node);
        if (s->ssrc == ssrc && addr_eq(&s->dst, &d->dst) && addr_eq(&s->src, &d->src))
            return s;
    }
    return NULL;
}

/* ---- formats --------------------------------------------------------------------------------- */

struct str an_rtp_format_name(const struct an_rtp *r, const struct an_format *f)
{
    return str_z(r->name[f->name]);
}

static bool accompanies(const struct an_format *f)
{
    return f->codec == CODEC_EVENT || f->codec == CODEC_CN;
}

const struct an_format *an_stream_format(const struct an_stream *s)
{
    const struct an_format *best = NULL;
    for (unsigned i = 0; i < s->n_formats; i++) {
        const struct an_format *f = &s->format[i];
        if (!best || (accompanies(best) && !accompanies(f)) ||
            (accompanies(best) == accompanies(f) && f->packets > best->packets))
            best = f;
    }
    return best;
}

struct str an_stream_codec(const struct an_rtp *r, const struct an_stream *s)
{
    const struct an_format *f = an_stream_format(s);
    return f ? an_rtp_format_name(r, f) : STR("");
}

/* A payload type other than that of the packet before. Of those beyond the table nothing is known;
 * they count as the last one there is. */
static void format_change(struct an_rtp *r, struct an_stream *s, uint8_t pt)
{
    for (uint8_t i = 0; i < s->n_formats; i++)
        if (s->format[i].pt == pt) {
            s->current = i;
            return;
        }
    if (s->n_formats == AN_RTP_MAX_FORMATS) {
        s->current = AN_RTP_MAX_FORMATS - 1;
        return;
    }
    struct an_format *f = &s->format[s->n_formats];
    *f = (struct an_format){.pt = pt};
    rtp_format_find(r, s, f);
    s->current = s->n_formats++;
}

/* Nobody said what a payload type is, but telephone-events have a form of their own. */
static void format_guess(struct an_stream *s, const struct rtp_in *in)
{
    struct an_format *f = &s->format[s->current];
    struct rtp_event e;
    if (f->packets || f->codec != CODEC_NONE || f->name || in->payload_n != RTP_EVENT_BYTES ||
        !in->payload || rtp_event_parse(&e, in->payload, RTP_EVENT_BYTES))
        return;
    if (e.event <= RTP_EVENT_FLASH && (in->payload[1] & 0x40) == 0)
        f->codec = CODEC_EVENT;
}

/* ---- streams --------------------------------------------------------------------------------- */

/* So many are looked at for each report, and when one goes. */
static void ssrc_put(struct an_rtp *r, struct an_stream *s)
{
    uint64_t hash = rtp_ssrc_hash(r, s->ssrc, &s->src, &s->dst);
    struct hash_node *oldest = NULL;
    unsigned n = 0;
    hash_each(node, &r->by_ssrc, hash)
    {
        oldest = node;
        n++;
    }
    if (n >= RTP_SAME_SSRC) {
        hash_remove(&r->by_ssrc, oldest);
        container_of(oldest, struct an_stream, by_ssrc)->unlisted = true;
    }
    hash_put(&r->by_ssrc, &s->by_ssrc, hash);
}

static struct an_stream *stream_new(struct an_rtp *r, const struct an_datum *d, uint32_t ssrc,
                                    uint64_t hash)
{
    handle_t h;
    struct an_stream *s = slot_take(&r->streams, &h);
    if (!s)
        return NULL;
    s->index = (uint32_t)h - 1;
    s->number = ++r->n_numbers;
    s->src = d->src;
    s->dst = d->dst;
    s->ssrc = ssrc;
    s->leg = AN_NONE;
    s->first_ns = s->last_ns = d->at_ns;
    s->first_frame = d->frame;
    hash_put(&r->by_key, &s->node, hash);
    ssrc_put(r, s);
    rtp_tie_new(r, s);
    return s;
}

static void stream_rx(struct an_rtp *r, struct an_stream *s, const struct rtp_in *in)
{
    if (__builtin_expect(s->n_formats == 0 || s->format[s->current].pt != in->pt, 0))
        format_change(r, s, in->pt);
    struct an_format *f = &s->format[s->current];
    r->stats.rtp++;
    s->bytes += in->n;
    if (!rtp_quality_rx(s, in)) {
        s->repeated++;
        return;
    }
    if (__builtin_expect(f->codec == CODEC_NONE && !f->name, 0))
        format_guess(s, in);
    s->packets++;
    f->packets++;
    s->last_frame = in->frame;
    if (__builtin_expect(rtp_is_events(f), 0))
        rtp_digits_rx(s, in);
    else
        rtp_sound_rx(s, in);
}

static void replay(struct an_rtp *r, struct an_stream *s, const struct rtp_candidate *c)
{
    s->first_ns = s->last_ns = c->first[0].at_ns;
    s->first_frame = c->first[0].frame;
    for (unsigned i = 0; i < c->n; i++) {
        const struct rtp_first *p = &c->first[i];
        struct rtp_in in = {.at_ns = p->at_ns,
                            .frame = p->frame,
                            .n = p->n,
                            .ts = p->ts,
                            .ssrc = c->ssrc,
                            .seq = p->seq,
                            .pt = p->pt,
                            .marker = p->marker};
        stream_rx(r, s, &in);
    }
}

/* The first packet of something, or of nothing. */
static struct an_stream *begin(struct an_rtp *r, const struct an_datum *d, const struct rtp_in *in,
                               uint64_t hash)
{
    struct rtp_candidate c = {0};
    if (rtp_expected(r, d)) {
        (void)rtp_probe_take(r, d, in, hash, &c);
    } else if (!rtp_probe(r, d, in, hash, &c)) {
        r->stats.other++;
        return NULL;
    } else {
        r->stats.unexpected++;
    }
    r->stats.other -= c.n;
    struct an_stream *s = stream_new(r, d, in->ssrc, hash);
    if (!s)
        r->stats.refused++;
    else if (c.n)
        replay(r, s, &c);
    return s;
}

/* The same numbers in another call: its phone has not chosen new ones. */
static struct an_stream *begin_again(struct an_rtp *r, struct an_stream *old,
                                     const struct an_datum *d)
{
    uint64_t hash = old->node.hash;
    hash_remove(&r->by_key, &old->node);
    old->over = true;
    struct an_stream *s = stream_new(r, d, old->ssrc, hash);
    if (!s) {
        hash_put(&r->by_key, &old->node, hash);
        old->over = false;
        return old;
    }
    return s;
}

/* ---- a datagram ------------------------------------------------------------------------------ */

/* RFC 3550 section 5.1. What the capture has cut off is not missed here. */
static bool read_packet(struct rtp_in *in, const struct an_datum *d)
{
    const uint8_t *b = (const uint8_t *)d->bytes.p;
    size_t n = d->bytes.n, at = RTP_HEADER_BYTES + (size_t)(b[0] & 0x0F) * 4;
    bool kept = true;
    *in = (struct rtp_in){.at_ns = d->at_ns,
                          .frame = d->frame,
                          .n = (uint32_t)n,
                          .pt = b[1] & 0x7F,
                          .marker = b[1] >> 7,
                          .seq = be16_get(b + 2),
                          .ts = be32_get(b + 4),
                          .ssrc = be32_get(b + 8),
                          .cut = d->truncated};
    if (b[0] & 0x10) {
        if (at + 4 <= n)
            at += 4 + (size_t)be16_get(b + at + 2) * 4;
        else
            kept = false;
    }
    if (!kept || at > n)
        return in->cut;
    size_t end = n;
    if ((b[0] & 0x20) && !in->cut) {
        uint8_t padding = n > at ? b[n - 1] : 0;
        if (padding == 0 || padding > n - at)
            return false;
        end -= padding;
    }
    in->payload = b + at;
    in->payload_n = (uint32_t)(end - at);
    return true;
}

void an_rtp_rx(struct an_rtp *r, const struct an_datum *d)
{
    const uint8_t *b = (const uint8_t *)d->bytes.p;
    struct rtp_in in;
    r->last = NULL;
    if (d->bytes.n < 8 || b[0] >> 6 != 2) {
        r->stats.other++;
        return;
    }
    /* RFC 5761 section 4. */
    if (b[1] >= 192 && b[1] <= 223) {
        rtp_report_rx(r, d);
        return;
    }
    if (d->bytes.n < RTP_HEADER_BYTES || !read_packet(&in, d)) {
        r->stats.other++;
        return;
    }
    uint64_t hash = key_hash(r, d, in.ssrc);
    struct an_stream *s = find(r, d, in.ssrc, hash);
    if (__builtin_expect(!s, 0))
        s = begin(r, d, &in, hash);
    else if (__builtin_expect(s->split, 0) && rtp_tie_again(r, s, in.at_ns))
        s = begin_again(r, s, d);
    r->last = s;
    if (s)
        stream_rx(r, s, &in);
}

uint32_t an_rtp_last(const struct an_rtp *r)
{
    if (!r->last)
        return AN_NONE;
    return (uint32_t)(((const char *)r->last - (const char *)r->streams.mem) /
                      r->streams.item_bytes);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int leg_order(const void *x, const void *y)
{
    const struct rtp_by_leg *a = x, *b = y;
    if (a->leg != b->leg)
        return a->leg < b->leg ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* One line for each leg of each stream, in order. */
static int index_make(struct an_rtp *r)
{
    uint32_t n = 0, used = 0;
    const struct an_stream *s;
    for (uint32_t at = 0; (s = an_rtp_next(r, &at));)
        n += s->n_ties;
    struct rtp_by_leg *line = mem_alloc((n ? n : 1) * sizeof(*line));
    uint32_t *streams = mem_resize(r->leg_streams, (n ? n : 1) * sizeof(*streams));
    if (streams)
        r->leg_streams = streams;
    mem_free(r->by_leg);
    r->by_leg = line;
    r->n_by_leg = 0;
    if (!line || !streams)
        return -ENOMEM;
    for (uint32_t at = 0; (s = an_rtp_next(r, &at));)
        for (unsigned k = 0; k < s->n_ties; k++)
            line[used++] = (struct rtp_by_leg){s->tie[k].leg, s->index, s->number};
    qsort(line, used, sizeof(*line), leg_order);
    for (uint32_t i = 0; i < used; i++)
        streams[i] = line[i].stream;
    r->n_by_leg = used;
    return 0;
}

const uint32_t *an_rtp_leg(const struct an_rtp *r, uint32_t leg, uint32_t *ret_n)
{
    uint32_t lo = 0, hi = r->n_by_leg;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->by_leg[mid].leg < leg)
            lo = mid + 1;
        else
            hi = mid;
    }
    uint32_t n = 0;
    while (lo + n < r->n_by_leg && r->by_leg[lo + n].leg == leg)
        n++;
    *ret_n = n;
    return n ? &r->leg_streams[lo] : NULL;
}

int an_rtp_settle(struct an_rtp *r)
{
    const struct an_stream *s;
    for (uint32_t at = 0; (s = an_rtp_next(r, &at));)
        if (s->packets)
            rtp_quality_settle(r, rtp_stream(r, at));
    return index_make(r);
}

uint32_t an_rtp_streams(const struct an_rtp *r)
{
    return r->streams.fresh;
}

const struct an_stream *an_rtp_stream(const struct an_rtp *r, uint32_t i)
{
    return rtp_stream(r, i + 1);
}

const struct an_stream *an_rtp_next(const struct an_rtp *r, uint32_t *at)
{
    handle_t h;
    return slot_next(&r->streams, at, &h);
}

const struct an_rtp_stats *an_rtp_stats(const struct an_rtp *r)
{
    return &r->stats;
}
