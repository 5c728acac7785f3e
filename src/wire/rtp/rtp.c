#include "wire/rtp/rtp.h"

#include <errno.h>

#include "wire/rtp/be.h"
#include "wire/rtp/stun.h"

enum rtp_class rtp_classify(const void *p, size_t n)
{
    const uint8_t *b = p;
    if (n < 2)
        return RTP_IS_UNKNOWN;
    if (b[0] <= 3)
        return stun_is(p, n) ? RTP_IS_STUN : RTP_IS_UNKNOWN;
    if (b[0] >= 20 && b[0] <= 63)
        return RTP_IS_DTLS;
    if (b[0] >= 64 && b[0] <= 79)
        return RTP_IS_TURN;
    if (b[0] < 128 || b[0] > 191)
        return RTP_IS_UNKNOWN;
    /* RFC 5761 section 4: RTCP packet types are 192 to 223; payload types with the marker bit
     * that would look like them, 64 to 95, are not used. */
    if (b[1] >= 192 && b[1] <= 223)
        return n >= 8 ? RTP_IS_RTCP : RTP_IS_UNKNOWN;
    return n >= RTP_HEADER_BYTES ? RTP_IS_RTP : RTP_IS_UNKNOWN;
}

int rtp_parse(struct rtp_view *ret, const void *p, size_t n)
{
    const uint8_t *b = p;
    if (n < RTP_HEADER_BYTES || b[0] >> 6 != 2)
        return -EBADMSG;
    struct rtp_view v = {
        .pt = b[1] & 0x7F,
        .n_csrc = b[0] & 0x0F,
        .marker = b[1] >> 7,
        .has_ext = b[0] >> 4 & 1,
        .seq = be16_get(b + 2),
        .ts = be32_get(b + 4),
        .ssrc = be32_get(b + 8),
        .csrc = b + RTP_HEADER_BYTES,
    };
    size_t at = RTP_HEADER_BYTES + (size_t)v.n_csrc * 4;
    if (at > n || (v.has_ext && n - at < 4))
        return -EBADMSG;
    if (v.has_ext) {
        /* RFC 3550 section 5.3.1: the length counts words behind these four bytes. */
        size_t bytes = (size_t)be16_get(b + at + 2) * 4;
        if (bytes > n - at - 4 || bytes > UINT16_MAX)
            return -EBADMSG;
        v.ext_profile = be16_get(b + at);
        v.ext = b + at + 4;
        v.ext_bytes = (uint16_t)bytes;
        at += 4 + bytes;
    }
    if (b[0] & 0x20) {
        /* The last byte counts the padding, itself included. */
        v.padding_bytes = n > at ? b[n - 1] : 0;
        if (v.padding_bytes == 0 || v.padding_bytes > n - at)
            return -EBADMSG;
    }
    v.payload = b + at;
    v.payload_bytes = n - at - v.padding_bytes;
    *ret = v;
    return 0;
}

uint32_t rtp_csrc_get(const struct rtp_view *v, unsigned i)
{
    BUG_ON(i >= v->n_csrc);
    return be32_get(v->csrc + (size_t)i * 4);
}

int rtp_ext_find(const uint8_t **ret, uint8_t *ret_bytes, const struct rtp_view *v, uint8_t id)
{
    bool one_byte = v->ext_profile == 0xBEDE;
    if (!v->has_ext || (!one_byte && v->ext_profile >> 4 != 0x100))
        return -ENOENT;
    for (size_t at = 0; at < v->ext_bytes;) {
        const uint8_t *e = v->ext + at;
        if (e[0] == 0) { /* padding between elements */
            at++;
            continue;
        }
        uint8_t this_id = one_byte ? e[0] >> 4 : e[0];
        size_t head = one_byte ? 1 : 2;
        /* RFC 8285 section 4.2: identifier 15 ends the reading. */
        if ((one_byte && this_id == 15) || v->ext_bytes - at < head)
            return -ENOENT;
        size_t bytes = one_byte ? (size_t)(e[0] & 0x0F) + 1 : e[1];
        if (bytes > v->ext_bytes - at - head)
            return -ENOENT;
        if (this_id == id) {
            *ret = e + head;
            *ret_bytes = (uint8_t)bytes;
            return 0;
        }
        at += head + bytes;
    }
    return -ENOENT;
}

void rtp_header_build(uint8_t out[RTP_HEADER_BYTES], const struct rtp_header *h)
{
    out[0] = 0x80;
    out[1] = (uint8_t)((h->marker ? 0x80 : 0) | (h->pt & 0x7F));
    be16_put(out + 2, h->seq);
    be32_put(out + 4, h->ts);
    be32_put(out + 8, h->ssrc);
}
