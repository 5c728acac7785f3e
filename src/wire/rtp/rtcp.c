#include "wire/rtp/rtcp.h"

#include <errno.h>

#include "wire/rtp/be.h"

#define REPORT_BYTES 24
#define SENDER_BYTES 24 /* SSRC and sender information */

bool rtcp_next(struct rtcp_packet *ret, const void *p, size_t n, size_t *at)
{
    if (*at > n || n - *at < 4)
        return false;
    const uint8_t *b = (const uint8_t *)p + *at;
    size_t bytes = ((size_t)be16_get(b + 2) + 1) * 4, padding = 0;
    if (b[0] >> 6 != 2 || bytes > n - *at)
        return false;
    if (b[0] & 0x20) {
        padding = b[bytes - 1];
        if (bytes == 4 || padding == 0 || padding % 4 || padding > bytes - 4)
            return false;
    }
    *ret = (struct rtcp_packet){
        .type = b[1],
        .count = b[0] & 0x1F,
        .body = b + 4,
        .body_bytes = bytes - 4 - padding,
    };
    *at += bytes;
    return true;
}

int rtcp_check(const void *p, size_t n, bool reduced)
{
    const uint8_t *b = p;
    struct rtcp_packet k;
    size_t at = 0;
    bool padded = false, first = true;
    while (at < n) {
        /* RFC 3550 section 6.4.1: only the last packet of a compound may be padded. */
        if (padded || n - at < 4)
            return -EBADMSG;
        padded = b[at] & 0x20;
        if (!rtcp_next(&k, p, n, &at) || k.type < 192 || k.type > 223)
            return -EBADMSG;
        if (first && !reduced && k.type != RTCP_SR && k.type != RTCP_RR)
            return -EBADMSG;
        first = false;
    }
    return first ? -EBADMSG : 0;
}

int rtcp_ssrc_get(uint32_t *ret, const struct rtcp_packet *k)
{
    if (k->type == RTCP_SDES || k->body_bytes < 4 || (k->type == RTCP_BYE && k->count == 0))
        return -EBADMSG;
    *ret = be32_get(k->body);
    return 0;
}

int rtcp_sender_get(struct rtcp_sender *ret, const struct rtcp_packet *k)
{
    const uint8_t *b = k->body;
    if (k->type != RTCP_SR || k->body_bytes < SENDER_BYTES)
        return -EBADMSG;
    *ret = (struct rtcp_sender){
        .ssrc = be32_get(b),
        .ntp = be64_get(b + 4),
        .ts = be32_get(b + 12),
        .packets = be32_get(b + 16),
        .bytes = be32_get(b + 20),
    };
    return 0;
}

int rtcp_report_get(struct rtcp_report *ret, const struct rtcp_packet *k, unsigned i)
{
    size_t at = k->type == RTCP_SR ? SENDER_BYTES : 4;
    if ((k->type != RTCP_SR && k->type != RTCP_RR) || i >= k->count)
        return -EBADMSG;
    at += (size_t)i * REPORT_BYTES;
    if (k->body_bytes < REPORT_BYTES || at > k->body_bytes - REPORT_BYTES)
        return -EBADMSG;
    const uint8_t *b = k->body + at;
    uint32_t lost = be24_get(b + 5);
    *ret = (struct rtcp_report){
        .ssrc = be32_get(b),
        .fraction = b[4],
        .lost = lost & 0x800000 ? (int32_t)lost - 0x1000000 : (int32_t)lost,
        .highest_seq = be32_get(b + 8),
        .jitter = be32_get(b + 12),
        .lsr = be32_get(b + 16),
        .dlsr = be32_get(b + 20),
    };
    return 0;
}

/* Into the next chunk; false if there is none. */
static bool enter_chunk(const struct rtcp_packet *k, struct rtcp_sdes_walk *w)
{
    if (w->chunk >= k->count || w->at > k->body_bytes || k->body_bytes - w->at < 4)
        return false;
    w->ssrc = be32_get(k->body + w->at);
    w->at += 4;
    w->chunk++;
    w->inside = true;
    return true;
}

bool rtcp_sdes_next(struct rtcp_sdes_item *ret, const struct rtcp_packet *k,
                    struct rtcp_sdes_walk *w)
{
    if (k->type != RTCP_SDES)
        return false;
    for (;;) {
        if (!w->inside && !enter_chunk(k, w))
            return false;
        if (w->at >= k->body_bytes)
            return false;
        if (k->body[w->at] == 0) {
            /* RFC 3550 section 6.5: the list of a chunk ends with a zero and is padded to the next
             * 32-bit boundary. */
            w->at = (w->at + 4) & ~(size_t)3;
            w->inside = false;
            continue;
        }
        if (k->body_bytes - w->at < 2 || k->body[w->at + 1] > k->body_bytes - w->at - 2)
            return false;
        const uint8_t *item = k->body + w->at;
        *ret = (struct rtcp_sdes_item){
            .ssrc = w->ssrc,
            .type = item[0],
            .text = str_of((const char *)item + 2, item[1]),
        };
        w->at += 2 + (size_t)item[1];
        return true;
    }
}

int rtcp_bye_get(uint32_t *ret, const struct rtcp_packet *k, unsigned i)
{
    if (k->type != RTCP_BYE || i >= k->count || k->body_bytes / 4 <= i)
        return -EBADMSG;
    *ret = be32_get(k->body + (size_t)i * 4);
    return 0;
}

struct str rtcp_bye_reason(const struct rtcp_packet *k)
{
    size_t at = (size_t)k->count * 4;
    if (k->type != RTCP_BYE || k->body_bytes <= at || k->body[at] > k->body_bytes - at - 1)
        return STR_NONE;
    return str_of((const char *)k->body + at + 1, k->body[at]);
}

int rtcp_app_get(struct rtcp_app *ret, const struct rtcp_packet *k)
{
    if (k->type != RTCP_APP || k->body_bytes < 8)
        return -EBADMSG;
    *ret = (struct rtcp_app){
        .ssrc = be32_get(k->body),
        .name = str_of((const char *)k->body + 4, 4),
        .data = k->body + 8,
        .data_bytes = k->body_bytes - 8,
    };
    return 0;
}

bool rtcp_xr_next(struct rtcp_xr_block *ret, const struct rtcp_packet *k, size_t *at)
{
    size_t from = *at + 4; /* behind the SSRC */
    if (k->type != RTCP_XR || from > k->body_bytes || k->body_bytes - from < 4)
        return false;
    const uint8_t *b = k->body + from;
    size_t bytes = (size_t)be16_get(b + 2) * 4;
    if (bytes > k->body_bytes - from - 4)
        return false;
    *ret = (struct rtcp_xr_block){
        .type = b[0],
        .specific = b[1],
        .body = b + 4,
        .body_bytes = bytes,
    };
    *at += 4 + bytes;
    return true;
}

int rtcp_voip_get(struct rtcp_voip *ret, const struct rtcp_xr_block *x)
{
    const uint8_t *b = x->body;
    if (x->type != RTCP_XR_VOIP || x->body_bytes != 32)
        return -EBADMSG;
    *ret = (struct rtcp_voip){
        .ssrc = be32_get(b),
        .loss_rate = b[4],
        .discard_rate = b[5],
        .burst_density = b[6],
        .gap_density = b[7],
        .burst_ms = be16_get(b + 8),
        .gap_ms = be16_get(b + 10),
        .round_trip_ms = be16_get(b + 12),
        .end_system_ms = be16_get(b + 14),
        .signal_dbm = (int8_t)b[16],
        .noise_dbm = (int8_t)b[17],
        .rerl = b[18],
        .gmin = b[19],
        .r_factor = b[20],
        .ext_r_factor = b[21],
        .mos_lq = b[22],
        .mos_cq = b[23],
        .rx_config = b[24],
        .jb_nominal_ms = be16_get(b + 26),
        .jb_max_ms = be16_get(b + 28),
        .jb_abs_max_ms = be16_get(b + 30),
    };
    return 0;
}

int rtcp_round_trip(uint32_t *ret, const struct rtcp_report *r, uint32_t now)
{
    if (r->lsr == 0)
        return -ENOENT;
    /* RFC 3550 section 6.4.1, figure 2. */
    uint32_t rtt = now - r->dlsr - r->lsr;
    if (rtt > 0x7FFFFFFF)
        return -ENOENT;
    *ret = rtt;
    return 0;
}
