#include "analysis/rtcp_json.h"

#include <errno.h>

#include "wire/rtp/rtcp.h"

static void put_u64(struct buf *b, const char *name, uint64_t v)
{
    if (b->p[b->n - 1] != '{')
        buf_ch(b, ',');
    buf_printf(b, "\"%s\":%llu", name, (unsigned long long)v);
}

static void put_open(struct buf *b, const char *name, char bracket)
{
    if (b->p[b->n - 1] != '{' && b->p[b->n - 1] != '[')
        buf_ch(b, ',');
    if (name)
        buf_printf(b, "\"%s\":", name);
    buf_ch(b, bracket);
}

static void put_report(struct buf *b, const struct rtcp_report *r)
{
    put_open(b, NULL, '{');
    put_u64(b, "source_ssrc", r->ssrc);
    put_u64(b, "highest_seq_no", r->highest_seq);
    put_u64(b, "fraction_lost", r->fraction);
    put_u64(b, "ia_jitter", r->jitter);
    buf_printf(b, ",\"packets_lost\":%d", (int)r->lost);
    put_u64(b, "lsr", r->lsr);
    put_u64(b, "dlsr", r->dlsr);
    buf_ch(b, '}');
}

/* The first SR or RR: RFC 3550 section 6.4. */
static void put_reports(struct buf *b, const struct rtcp_packet *k)
{
    struct rtcp_sender s;
    struct rtcp_report r;
    uint32_t ssrc;
    if (rtcp_ssrc_get(&ssrc, k))
        return;
    if (k->type == RTCP_SR && rtcp_sender_get(&s, k) == 0) {
        put_open(b, "sender_information", '{');
        put_u64(b, "ntp_timestamp_sec", s.ntp >> 32);
        put_u64(b, "ntp_timestamp_usec", (uint32_t)s.ntp);
        put_u64(b, "octets", s.bytes);
        put_u64(b, "rtp_timestamp", s.ts);
        put_u64(b, "packets", s.packets);
        buf_ch(b, '}');
    }
    put_u64(b, "ssrc", ssrc);
    put_u64(b, "type", k->type);
    put_u64(b, "report_count", k->count);
    put_open(b, "report_blocks", '[');
    for (unsigned i = 0; i < k->count && rtcp_report_get(&r, k, i) == 0; i++)
        put_report(b, &r);
    buf_ch(b, ']');
}

static void put_texts(struct buf *b, const struct rtcp_packet *k)
{
    struct rtcp_sdes_walk w = {0};
    struct rtcp_sdes_item item;
    unsigned n = 0;
    while (rtcp_sdes_next(&item, k, &w)) {
        if (n++ == 0) {
            put_u64(b, "sdes_ssrc", item.ssrc);
            put_open(b, "sdes_information", '[');
        }
        put_open(b, NULL, '{');
        put_u64(b, "type", item.type);
        buf_lit(b, ",\"text\":\"");
        buf_json(b, item.text);
        buf_lit(b, "\"}");
    }
    if (n) {
        buf_ch(b, ']');
        put_u64(b, "sdes_report_count", n);
    }
}

static void put_metrics(struct buf *b, const struct rtcp_packet *k)
{
    struct rtcp_xr_block x;
    struct rtcp_voip v;
    size_t at = 0;
    while (rtcp_xr_next(&x, k, &at)) {
        if (rtcp_voip_get(&v, &x))
            continue;
        put_open(b, "report_blocks_xr", '{');
        put_u64(b, "type", RTCP_XR_VOIP);
        put_u64(b, "id", v.ssrc);
        put_u64(b, "fraction_lost", v.loss_rate);
        put_u64(b, "fraction_discard", v.discard_rate);
        put_u64(b, "burst_density", v.burst_density);
        put_u64(b, "gap_density", v.gap_density);
        put_u64(b, "burst_duration", v.burst_ms);
        put_u64(b, "gap_duration", v.gap_ms);
        put_u64(b, "round_trip_delay", v.round_trip_ms);
        put_u64(b, "end_system_delay", v.end_system_ms);
        put_u64(b, "r_factor", v.r_factor);
        put_u64(b, "mos_lq", v.mos_lq);
        put_u64(b, "mos_cq", v.mos_cq);
        buf_ch(b, '}');
        return;
    }
}

int an_rtcp_json(struct buf *b, const void *p, size_t n)
{
    size_t begun = b->n, at = 0;
    struct rtcp_packet k;
    bool reports = false, texts = false, metrics = false;
    if (rtcp_check(p, n, true))
        return -EBADMSG;
    buf_ch(b, '{');
    while (rtcp_next(&k, p, n, &at)) {
        if (!reports && (k.type == RTCP_SR || k.type == RTCP_RR)) {
            put_reports(b, &k);
            reports = true;
        } else if (!texts && k.type == RTCP_SDES) {
            put_texts(b, &k);
            texts = true;
        } else if (!metrics && k.type == RTCP_XR) {
            put_metrics(b, &k);
            metrics = true;
        }
    }
    bool empty = b->n == begun + 1;
    buf_ch(b, '}');
    if (!empty && !b->full)
        return 0;
    b->n = begun;
    return empty ? -EBADMSG : -ENOBUFS;
}
