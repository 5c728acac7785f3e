#include "analysis/out.h"

#include <errno.h>

#include "base/mem.h"

#define FIRST_CAP  64
#define MAX_TEXTS  (64u << 20)
#define SAME_LIMIT 16 /* of one text, so that one kind of trouble does not hide the others */

int an_out_init(struct an_out *o, const struct an_limits *limits)
{
    memset(o, 0, sizeof(*o));
    o->q = mem_alloc(FIRST_CAP * sizeof(*o->q));
    o->warn_cap = limits->warnings ? limits->warnings : 1;
    o->warning = mem_alloc(o->warn_cap * sizeof(*o->warning));
    arena_init(&o->texts, MAX_TEXTS);
    o->cap = FIRST_CAP;
    if (o->q && o->warning)
        return 0;
    an_out_done(o);
    return -ENOMEM;
}

void an_out_done(struct an_out *o)
{
    mem_free(o->q);
    mem_free(o->warning);
    arena_done(&o->texts);
    memset(o, 0, sizeof(*o));
}

void an_out_reset(struct an_out *o)
{
    o->head = o->n = 0;
    if (o->texts.first)
        arena_reset(&o->texts);
}

struct an_datum *an_out_put(struct an_out *o, const struct an_seen *seen)
{
    if (__builtin_expect(o->n == o->cap, 0)) {
        struct an_datum *q = mem_resize(o->q, 2 * (size_t)o->cap * sizeof(*q));
        if (!q) {
            o->stats.no_memory++;
            return NULL;
        }
        o->q = q;
        o->cap *= 2;
    }
    struct an_datum *d = &o->q[o->n++];
    *d = (struct an_datum){.at_ns = seen->at_ns,
                           .frame = seen->frame,
                           .first_frame = seen->first_frame,
                           .iface = seen->iface};
    return d;
}

void *an_out_take(struct an_out *o, size_t n)
{
    void *p = arena_take(&o->texts, n);
    if (!p)
        o->stats.no_memory++;
    return p;
}

struct str an_out_dup(struct an_out *o, struct str s)
{
    char *p = s.n ? an_out_take(o, s.n) : NULL;
    if (!p)
        return STR_NONE;
    memcpy(p, s.p, s.n);
    return str_of(p, s.n);
}

void an_out_warn(struct an_out *o, uint64_t frame, struct str text, const struct addr *src,
                 const struct addr *dst)
{
    uint32_t same = 0;
    for (uint32_t i = 0; i < o->warn_n; i++)
        same += o->warning[i].text.p == text.p;
    if (o->warn_n == o->warn_cap || same >= SAME_LIMIT) {
        o->stats.warnings_dropped++;
        return;
    }
    struct an_warning *w = &o->warning[o->warn_n++];
    *w = (struct an_warning){.frame = frame, .text = text};
    if (src)
        w->src = *src;
    if (dst)
        w->dst = *dst;
}
