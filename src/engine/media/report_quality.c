/* What the reports amount to. */
#include "engine/media/report.h"

/* R and MOS, if anything is known about the codec. */
static void judge(const struct report *r, struct report_side *ret, struct qos_path *p)
{
    if (!r->codec || !ret->known)
        return;
    p->ie_x10 = r->codec->ie_x10;
    p->bpl_x10 = r->codec->bpl_x10;
    ret->r_x10 = (uint16_t)qos_r_factor(p);
    ret->mos_x100 = (uint16_t)qos_mos_x100(ret->r_x10);
}

static uint32_t part_e4(uint64_t part, uint64_t whole)
{
    uint64_t e4 = whole ? part * 10000 / whole : 0;
    return e4 > 10000 ? 10000 : (uint32_t)e4;
}

static uint32_t one_way_ms(const struct report_quality *q, uint32_t ends_ms)
{
    return q->rtt_mean_us / 2000 + ends_ms;
}

static void quality_in(const struct report *r, struct report_quality *q)
{
    const struct report_rx *x = &r->rx;
    q->in = (struct report_side){
        .known = report_expected(r) > 0,
        .packets = x->packets,
        .lost = report_lost(r),
        .discarded = x->discarded,
        .duplicates = x->duplicates,
        .jitter_us = report_jitter_us(r),
        .loss_e4 = part_e4(report_lost(r), report_expected(r)),
    };
    struct qos_path p = {.one_way_ms = one_way_ms(q, r->delay_ms),
                         .loss_e4 = q->burst.bad_e4,
                         .burst_x100 = q->burst.burst_x100};
    judge(r, &q->in, &p);
}

static void quality_out(const struct report *r, struct report_quality *q)
{
    const struct report_far *f = &r->far;
    const struct rtcp_voip *v = &f->voip;
    struct report_side *o = &q->out;
    *o = (struct report_side){
        .known = f->reported || f->has_voip,
        .packets = r->tx.packets,
        .lost = f->lost,
        .jitter_us = (uint32_t)((uint64_t)f->jitter * USEC_S / r->clock_hz),
    };
    o->loss_e4 = part_e4(o->lost, o->packets);
    struct qos_path p = {.one_way_ms = one_way_ms(q, r->delay_ms), .loss_e4 = o->loss_e4};
    if (f->has_voip) {
        o->discarded = (uint32_t)(o->packets * v->discard_rate >> 8);
        p.loss_e4 += part_e4(v->discard_rate, 256);
        p.one_way_ms = one_way_ms(q, v->end_system_ms);
    }
    judge(r, o, &p);
    /* Who hears it knows best. */
    if (f->has_voip && v->r_factor <= 100) {
        o->r_x10 = (uint16_t)(v->r_factor * 10);
        o->mos_x100 = (uint16_t)qos_mos_x100(o->r_x10);
    }
    if (f->has_voip && v->mos_cq >= 10 && v->mos_cq <= 50)
        o->mos_x100 = (uint16_t)(v->mos_cq * 10);
}

void report_quality(const struct report *r, struct report_quality *ret)
{
    struct report_quality q = {
        .rtt_us = r->rtt.last_us,
        .rtt_mean_us = r->rtt.n ? (uint32_t)(r->rtt.sum_us / r->rtt.n) : 0,
        .rtt_max_us = r->rtt.max_us,
        .rtt_n = r->rtt.n,
    };
    report_burst(r, &q.burst);
    quality_in(r, &q);
    quality_out(r, &q);
    *ret = q;
}
