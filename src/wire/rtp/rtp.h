/* One RTP packet (RFC 3550 section 5.1) as a view of the bytes it came in, and what else may arrive
 * on its port. */
#ifndef WIRE_RTP_RTP_H
#define WIRE_RTP_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define RTP_HEADER_BYTES 12

/* What a datagram on a media port is, by its first bytes (RFC 7983 section 7, RFC 5761 section 4).
 */
enum rtp_class { RTP_IS_UNKNOWN, RTP_IS_RTP, RTP_IS_RTCP, RTP_IS_STUN, RTP_IS_DTLS, RTP_IS_TURN };

enum rtp_class rtp_classify(const void *p, size_t n);

struct rtp_view {
    uint8_t pt, n_csrc;
    bool marker, has_ext;
    uint16_t seq;
    uint32_t ts, ssrc;
    const uint8_t *csrc; /* n_csrc times four bytes */
    uint16_t ext_profile;
    uint16_t ext_bytes;
    const uint8_t *ext;
    const uint8_t *payload; /* without the padding */
    size_t payload_bytes;
    uint8_t padding_bytes;
};

/* 0, or -EBADMSG if the lengths inside do not fit the packet. */
MUST_CHECK int rtp_parse(struct rtp_view *ret, const void *p, size_t n);
/* The i-th contributing source, i < n_csrc. */
uint32_t rtp_csrc_get(const struct rtp_view *v, unsigned i);
/* The element `id` of a one-byte or two-byte header extension (RFC 8285 section 4). -ENOENT. */
MUST_CHECK int rtp_ext_find(const uint8_t **ret, uint8_t *ret_bytes, const struct rtp_view *v,
                            uint8_t id);

/* The fixed part of a header without CSRC, extension and padding. */
struct rtp_header {
    uint8_t pt;
    bool marker;
    uint16_t seq;
    uint32_t ts, ssrc;
};

void rtp_header_build(uint8_t out[RTP_HEADER_BYTES], const struct rtp_header *h);

#endif
