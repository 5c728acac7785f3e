#include <errno.h>

#include "analysis/engine_int.h"

#include "base/mem.h"

#define DEFAULT_LEGS    1000000
#define DEFAULT_STREAMS 1000000
#define SCRATCH_BYTES   (1u << 20)

int an_engine_new(struct an_engine **ret, const struct an_engine_args *args)
{
    struct an_engine *e = mem_zero(sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->args = *args;
    if (!e->args.max_legs)
        e->args.max_legs = DEFAULT_LEGS;
    if (!e->args.max_streams)
        e->args.max_streams = DEFAULT_STREAMS;
    arena_init(&e->scratch, SCRATCH_BYTES);
    if (slot_init(&e->legs, sizeof(struct an_leg), e->args.max_legs) ||
        hash_init(&e->by_call_id, e->args.max_legs / 8, args->seed) ||
        an_rtp_new(&e->rtp, e->args.max_streams, args->seed)) {
        an_engine_free(e);
        return -ENOMEM;
    }
    slot_dense(&e->legs);
    hash_dense(&e->by_call_id);
    *ret = e;
    return 0;
}

void engine_calls_free(struct an_engine *e)
{
    for (uint32_t i = 0; i < e->n_calls; i++)
        an_call_done(&e->call[i]);
    e->n_calls = 0;
}

void an_engine_free(struct an_engine *e)
{
    if (!e)
        return;
    engine_calls_free(e);
    mem_free(e->call);
    for (uint32_t i = 0; i < e->legs.used; i++)
        an_leg_done(engine_leg(e, i));
    an_rtp_free(e->rtp);
    hash_done(&e->by_call_id);
    slot_done(&e->legs);
    arena_done(&e->scratch);
    mem_free(e);
}

void an_engine_rx(struct an_engine *e, const struct an_datum *d)
{
    if (d->at_ns > e->last_ns)
        e->last_ns = d->at_ns;
    if (d->kind == AN_SIP)
        track_rx(e, d);
    else if (d->kind == AN_UDP_DATA)
        an_rtp_rx(e->rtp, d);
}

uint32_t an_engine_legs(const struct an_engine *e)
{
    return e->legs.used;
}

const struct an_leg *an_engine_leg(const struct an_engine *e, uint32_t i)
{
    return engine_leg(e, i);
}

uint32_t an_engine_calls(const struct an_engine *e)
{
    return e->n_calls;
}

const struct an_call *an_engine_call(const struct an_engine *e, uint32_t i)
{
    return &e->call[i];
}

const struct an_rtp *an_engine_rtp(const struct an_engine *e)
{
    return e->rtp;
}

const struct an_engine_stats *an_engine_stats(const struct an_engine *e)
{
    return &e->stats;
}

size_t an_engine_bytes(const struct an_engine *e, const struct an_msg *m, char *out, size_t cap)
{
    const struct an_keep *k = e->args.keep;
    size_t n = m->bytes_n < cap ? m->bytes_n : cap;
    return k && n && k->get(k->user, m->kept, out, n) == 0 ? n : 0;
}
