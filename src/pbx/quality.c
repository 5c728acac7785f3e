#include "pbx/quality.h"

#include "pbx/call_int.h"

static struct quality_row row_of(const struct media_stats *s, bool out)
{
    const struct report_quality *q = &s->quality;
    const struct report_side *side = out ? &q->out : &q->in;
    struct quality_row r = {.out = out,
                            .packets = out ? s->tx_packets : s->rx_packets,
                            .bytes = out ? s->tx_bytes : s->rx_bytes,
                            .codec = codec_name(out ? s->tx_codec : s->codec),
                            .known = side->known,
                            .lost = side->lost,
                            .discarded = side->discarded,
                            .jitter_us = side->jitter_us,
                            .rtt_n = q->rtt_n,
                            .rtt_mean_us = q->rtt_mean_us,
                            .rtt_max_us = q->rtt_max_us,
                            .r_x10 = side->r_x10,
                            .mos_x100 = side->mos_x100,
                            .late = out ? 0 : s->late,
                            .concealed = out ? 0 : s->concealed};
    return r;
}

void quality_rows(struct quality_row ret[2], const struct media_stats *s)
{
    ret[0] = row_of(s, false);
    ret[1] = row_of(s, true);
}

void quality_close(struct pbx *p, const struct leg *leg, unsigned i)
{
    const struct leg_stream *s = &leg->stream[i];
    const struct call *call = call_find(p, leg->call);
    struct quality_owner *o = &p->calls->quality[s->port / 2];
    *o = (struct quality_owner){.leg = leg->number, .stream = (uint8_t)i};
    if (!call || call->unrecorded || leg->regular)
        return; /* there will be no record to which it could belong; or it was an early session */
    o->id = s->id;
    memcpy(o->record, call->cdr.id, sizeof(o->record));
}

static struct row_value known(bool yes, uint64_t v)
{
    return yes ? ROW_I(v) : (struct row_value){.type = ROW_NULL};
}

static void store(struct pbx *p, const struct quality_owner *o, const struct quality_row *r)
{
    struct row_op *op = pbx_store(p, STORE_QUALITY_PUT);
    const struct row_value values[] = {
        ROW_S(cdr_hex(p, o->record)),
        ROW_I(o->leg),
        ROW_I(o->stream),
        ROW_S(r->out ? STR("out") : STR("in")),
        r->codec.n ? ROW_S(r->codec) : (struct row_value){.type = ROW_NULL},
        ROW_I(r->packets),
        ROW_I(r->bytes),
        known(r->known, r->lost),
        known(r->known, r->discarded),
        known(r->known, r->jitter_us),
        known(r->rtt_n, r->rtt_mean_us),
        known(r->rtt_n, r->rtt_max_us),
        known(r->r_x10, r->r_x10),
        known(r->mos_x100, r->mos_x100),
        known(!r->out, r->late),
        known(!r->out, r->concealed),
    };
    memcpy(op->v, values, sizeof(values));
    op->n = ARRAY_LEN(values);
}

void quality_closed(struct pbx *p, const struct media_ev *ev)
{
    struct quality_owner *o = &p->calls->quality[ev->port[0] / 2];
    struct quality_row r[2];
    if (!o->id || o->id != ev->id)
        return;
    quality_rows(r, &ev->stats);
    for (unsigned i = 0; i < ARRAY_LEN(r) && (r[0].packets || r[1].packets); i++)
        store(p, o, &r[i]);
    *o = (struct quality_owner){0};
}
