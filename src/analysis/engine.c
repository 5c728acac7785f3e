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
    list_init(&e->live);
    e->past = engine_past_new();
    if (!e->past || slot_init(&e->legs, sizeof(struct an_leg), e->args.max_legs) ||
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

void engine_leg_forget(struct an_engine *e, struct an_leg *leg)
{
    const struct an_keep *k = e->args.keep;
    for (uint32_t i = 0; k && k->drop && i < leg->n_msgs; i++)
        if (leg->msg[i].bytes_n)
            k->drop(k->user, leg->msg[i].kept, leg->msg[i].bytes_n);
    hash_remove(&e->by_call_id, &leg->node);
    list_remove(&leg->live);
    an_leg_done(leg);
    slot_put(&e->legs, slot_handle(&e->legs, leg));
    /* Whoever walks the table finds nothing here that concerns him. */
    *leg = (struct an_leg){.kind = AN_LEG_OTHER, .call = AN_NONE};
    e->stats.legs_forgotten++;
}

void an_engine_free(struct an_engine *e)
{
    if (!e)
        return;
    engine_calls_free(e);
    mem_free(e->call);
    handle_t h;
    struct an_leg *leg;
    for (uint32_t at = 0; (leg = slot_next(&e->legs, &at, &h));)
        an_leg_done(leg);
    engine_past_free(e->past);
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
    return e->legs.fresh;
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

static uint64_t leg_bytes(const struct an_leg *leg)
{
    return sizeof(*leg) + leg->text.cap + (uint64_t)leg->cap_hosts * sizeof(*leg->host) +
           (uint64_t)leg->cap_msgs * sizeof(*leg->msg) +
           (uint64_t)leg->cap_txns * sizeof(*leg->txn) +
           (uint64_t)leg->cap_sdps * sizeof(*leg->sdp) +
           (uint64_t)leg->cap_holds * sizeof(*leg->hold) +
           (uint64_t)leg->cap_refers * sizeof(*leg->refer);
}

static uint64_t call_bytes(const struct an_call *call)
{
    return sizeof(*call) + call->text.cap + call->cap_legs * sizeof(*call->leg) +
           call->cap_edges * sizeof(*call->edge) + call->cap_traits * sizeof(*call->trait) +
           call->cap_attempts * sizeof(*call->attempt);
}

void an_engine_size(const struct an_engine *e, struct an_engine_size *ret)
{
    *ret = (struct an_engine_size){.legs = e->legs.used, .calls = e->n_calls};
    list_each(node, &e->live)
    {
        const struct an_leg *leg = container_of(node, struct an_leg, live);
        ret->messages += leg->n_msgs;
        ret->bytes += leg_bytes(leg);
    }
    for (uint32_t i = 0; i < e->n_calls; i++)
        ret->bytes += call_bytes(&e->call[i]);
    ret->bytes += an_rtp_size(e->rtp, &ret->streams, &ret->addresses);
}

size_t an_engine_bytes(const struct an_engine *e, const struct an_msg *m, char *out, size_t cap)
{
    const struct an_keep *k = e->args.keep;
    size_t n = m->bytes_n < cap ? m->bytes_n : cap;
    return k && n && k->get(k->user, m->kept, out, n) == 0 ? n : 0;
}
