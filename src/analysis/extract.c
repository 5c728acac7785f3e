#include "analysis/extract.h"

#include <errno.h>
#include <stdlib.h>

#include "base/be.h"
#include "base/mem.h"
#include "wire/cap/link.h"

#define RTCP_BEFORE_NS 2000000000u /* RTCP may begin before the sound */
#define RTCP_AFTER_NS  6000000000u /* and its last report comes after it (RFC 3550 6.2: 5 s) */

struct place { /* of a message of the call */
    uint64_t frame;
    struct addr src, dst;
};

struct span { /* of what was put together from several frames */
    uint64_t first, last;
    struct addr src, dst;
};

struct vector {
    void *p;
    uint32_t n, cap;
};

struct an_extract {
    const struct an_report *r;
    uint32_t call;
    struct vector place; /* struct place, sorted by frame */
    struct vector frame; /* uint64_t */
    struct vector span;
    uint32_t at;             /* of the next frame asked for */
    uint64_t from_ns, to_ns; /* when there may be sound, or RTCP about it */
};

static void *add(struct vector *v, size_t item_bytes)
{
    if (v->n == v->cap) {
        uint32_t cap = v->cap ? v->cap * 2 : 256;
        void *p = mem_resize(v->p, cap * item_bytes);
        if (!p)
            return NULL;
        v->p = p;
        v->cap = cap;
    }
    return (char *)v->p + item_bytes * v->n++;
}

static int compare_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

static int compare_frame(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int places(struct an_extract *x)
{
    const struct an_call *call = an_engine_call(x->r->engine, x->call);
    for (uint32_t i = 0; i < call->n_legs; i++) {
        const struct an_leg *leg = an_engine_leg(x->r->engine, call->leg[i]);
        for (uint32_t k = 0; k < leg->n_msgs; k++) {
            struct place *p = add(&x->place, sizeof(*p));
            if (!p)
                return -ENOMEM;
            *p = (struct place){leg->msg[k].frame, leg->host[leg->msg[k].src],
                                leg->host[leg->msg[k].dst]};
        }
    }
    if (x->place.n)
        qsort(x->place.p, x->place.n, sizeof(struct place), compare_place);
    return 0;
}

static void sound_span(struct an_extract *x)
{
    const struct an_report *r = x->r;
    x->from_ns = AN_NEVER;
    for (uint32_t i = r->stream_at[x->call]; i < r->stream_at[x->call + 1]; i++) {
        const struct an_stream *s = an_rtp_stream(an_engine_rtp(r->engine), r->stream[i]);
        x->from_ns = s->first_ns < x->from_ns ? s->first_ns : x->from_ns;
        x->to_ns = s->last_ns + RTCP_AFTER_NS > x->to_ns ? s->last_ns + RTCP_AFTER_NS : x->to_ns;
    }
}

int an_extract_new(struct an_extract **ret, const struct an_report *r, uint32_t call)
{
    struct an_extract *x = mem_zero(sizeof(*x));
    if (!x)
        return -ENOMEM;
    x->r = r;
    x->call = call;
    sound_span(x);
    if (places(x)) {
        an_extract_free(x);
        return -ENOMEM;
    }
    *ret = x;
    return 0;
}

void an_extract_free(struct an_extract *x)
{
    if (!x)
        return;
    mem_free(x->place.p);
    mem_free(x->frame.p);
    mem_free(x->span.p);
    mem_free(x);
}

static bool is_message(const struct an_extract *x, const struct an_datum *d)
{
    const struct place *p = x->place.p;
    uint32_t low = 0, high = x->place.n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (p[mid].frame < d->frame)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < x->place.n && p[low].frame == d->frame; low++)
        if (addr_eq(&p[low].src, &d->src) && addr_eq(&p[low].dst, &d->dst))
            return true;
    return false;
}

/* The same ports, or those above them (RFC 3550 section 11); RTCP about a stream comes back, too.
 */
static bool is_near(const struct an_stream *s, const struct an_datum *d, bool back)
{
    const struct addr *from = back ? &s->dst : &s->src, *to = back ? &s->src : &s->dst;
    unsigned above = d->dst.port - to->port;
    return above <= 1 && d->src.port - from->port == (int)above && addr_ip_eq(&d->src, from) &&
           addr_ip_eq(&d->dst, to);
}

static bool is_of_stream(const struct an_stream *s, const struct an_datum *d, bool rtp)
{
    if (rtp)
        return d->at_ns >= s->first_ns && d->at_ns <= s->last_ns && addr_eq(&d->src, &s->src) &&
               addr_eq(&d->dst, &s->dst);
    return d->at_ns + RTCP_BEFORE_NS >= s->first_ns && d->at_ns <= s->last_ns + RTCP_AFTER_NS &&
           (is_near(s, d, false) || is_near(s, d, true));
}

static bool is_sound(const struct an_extract *x, const struct an_datum *d, uint32_t *ret)
{
    const struct an_report *r = x->r;
    if (d->at_ns > x->to_ns || d->at_ns + RTCP_BEFORE_NS < x->from_ns)
        return false;
    bool rtp = rtp_classify(d->bytes.p, d->bytes.n) == RTP_IS_RTP;
    for (uint32_t i = r->stream_at[x->call]; i < r->stream_at[x->call + 1]; i++) {
        if (is_of_stream(an_rtp_stream(an_engine_rtp(r->engine), r->stream[i]), d, rtp)) {
            *ret = r->stream[i];
            return true;
        }
    }
    return false;
}

static int note(struct an_extract *x, const struct an_datum *d)
{
    uint64_t *frame = add(&x->frame, sizeof(*frame));
    if (!frame)
        return -ENOMEM;
    *frame = d->frame;
    if (d->first_frame == d->frame)
        return 0;
    struct span *span = add(&x->span, sizeof(*span));
    if (!span)
        return -ENOMEM;
    *span = (struct span){d->first_frame, d->frame, d->src, d->dst};
    return 0;
}

int an_extract_datum(struct an_extract *x, const struct an_datum *d, uint32_t *ret_stream)
{
    *ret_stream = AN_NONE;
    bool ours = d->kind == AN_SIP        ? is_message(x, d)
                : d->kind == AN_UDP_DATA ? is_sound(x, d, ret_stream)
                                         : false;
    if (!ours)
        return 0;
    int err = note(x, d);
    return err ? err : 1;
}

void an_extract_settle(struct an_extract *x)
{
    x->at = 0;
    if (x->frame.n)
        qsort(x->frame.p, x->frame.n, sizeof(uint64_t), compare_frame);
}

uint64_t an_extract_last(const struct an_extract *x)
{
    const uint64_t *frame = x->frame.p;
    return x->frame.n ? frame[x->frame.n - 1] : 0;
}

/* A fragment between the two addresses, or a segment of the connection. */
static bool is_part(const struct span *s, const struct cap_frame *f)
{
    struct cap_ip ip;
    if (cap_ip_of(&ip, f->link, f->p, f->n) || !addr_ip_eq(&ip.src, &s->src) ||
        !addr_ip_eq(&ip.dst, &s->dst))
        return false;
    return ip.frag ||
           (ip.n >= 4 && be16_get(ip.p) == s->src.port && be16_get(ip.p + 2) == s->dst.port);
}

bool an_extract_frame(struct an_extract *x, const struct cap_frame *f, uint64_t number)
{
    const uint64_t *frame = x->frame.p;
    const struct span *span = x->span.p;
    while (x->at < x->frame.n && frame[x->at] < number)
        x->at++;
    if (x->at < x->frame.n && frame[x->at] == number)
        return true;
    for (uint32_t i = 0; i < x->span.n; i++)
        if (number >= span[i].first && number < span[i].last && is_part(&span[i], f))
            return true;
    return false;
}
