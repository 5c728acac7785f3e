#include "wire/rtp/rtcp_build.h"

#include "wire/rtp/be.h"

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4];
    be32_put(bytes, v);
    buf_put(b, (const char *)bytes, 4);
}

static void put_head(struct buf *b, enum rtcp_type type, unsigned count, size_t body_bytes)
{
    put_u32(b, 0x80000000u | (uint32_t)count << 24 | (uint32_t)type << 16 |
                   (uint32_t)(body_bytes / 4));
}

static void put_reports(struct buf *b, const struct rtcp_report *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put_u32(b, r[i].ssrc);
        put_u32(b, (uint32_t)r[i].fraction << 24 | ((uint32_t)r[i].lost & 0xFFFFFF));
        put_u32(b, r[i].highest_seq);
        put_u32(b, r[i].jitter);
        put_u32(b, r[i].lsr);
        put_u32(b, r[i].dlsr);
    }
}

void rtcp_sr_build(struct buf *b, const struct rtcp_sender *s, const struct rtcp_report *r,
                   unsigned n)
{
    BUG_ON(n > 31);
    put_head(b, RTCP_SR, n, 24 + (size_t)n * 24);
    put_u32(b, s->ssrc);
    put_u32(b, (uint32_t)(s->ntp >> 32));
    put_u32(b, (uint32_t)s->ntp);
    put_u32(b, s->ts);
    put_u32(b, s->packets);
    put_u32(b, s->bytes);
    put_reports(b, r, n);
}

void rtcp_rr_build(struct buf *b, uint32_t ssrc, const struct rtcp_report *r, unsigned n)
{
    BUG_ON(n > 31);
    put_head(b, RTCP_RR, n, 4 + (size_t)n * 24);
    put_u32(b, ssrc);
    put_reports(b, r, n);
}

static void put_zeros(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_ch(b, '\0');
}

void rtcp_cname_build(struct buf *b, uint32_t ssrc, struct str cname)
{
    cname = str_sub(cname, 0, 255);
    /* At least one zero ends the list, up to the next 32-bit boundary. */
    size_t items = 2 + cname.n, padded = (items + 4) & ~(size_t)3;
    put_head(b, RTCP_SDES, 1, 4 + padded);
    put_u32(b, ssrc);
    buf_ch(b, RTCP_CNAME);
    buf_ch(b, (char)cname.n);
    buf_str_put(b, cname);
    put_zeros(b, padded - items);
}

void rtcp_bye_build(struct buf *b, uint32_t ssrc, struct str reason)
{
    if (reason.n > 255)
        reason.n = 255;
    size_t text = reason.p ? 1 + reason.n : 0, padded = (text + 3) & ~(size_t)3;
    put_head(b, RTCP_BYE, 1, 4 + padded);
    put_u32(b, ssrc);
    if (text) {
        buf_ch(b, (char)reason.n);
        buf_str_put(b, reason);
    }
    put_zeros(b, padded - text);
}

static void put_u16(struct buf *b, uint16_t v)
{
    uint8_t bytes[2];
    be16_put(bytes, v);
    buf_put(b, (const char *)bytes, 2);
}

void rtcp_xr_voip_build(struct buf *b, uint32_t ssrc, const struct rtcp_voip *v)
{
    const uint8_t rates[] = {v->loss_rate, v->discard_rate, v->burst_density, v->gap_density};
    const uint8_t levels[] = {(uint8_t)v->signal_dbm,
                              (uint8_t)v->noise_dbm,
                              v->rerl,
                              v->gmin,
                              v->r_factor,
                              v->ext_r_factor,
                              v->mos_lq,
                              v->mos_cq,
                              v->rx_config,
                              0};
    put_head(b, RTCP_XR, 0, 40);
    put_u32(b, ssrc);
    put_u32(b, (uint32_t)RTCP_XR_VOIP << 24 | 8); /* 32 bytes follow */
    put_u32(b, v->ssrc);
    buf_put(b, (const char *)rates, sizeof(rates));
    put_u16(b, v->burst_ms);
    put_u16(b, v->gap_ms);
    put_u16(b, v->round_trip_ms);
    put_u16(b, v->end_system_ms);
    buf_put(b, (const char *)levels, sizeof(levels));
    put_u16(b, v->jb_nominal_ms);
    put_u16(b, v->jb_max_ms);
    put_u16(b, v->jb_abs_max_ms);
}
