/* RTCP (RFC 3550 section 6, RFC 3611): a walk through a compound packet and typed views of its
 * parts. Everything points into the datagram. */
#ifndef WIRE_RTP_RTCP_H
#define WIRE_RTP_RTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

enum rtcp_type {
    RTCP_SR = 200,
    RTCP_RR = 201,
    RTCP_SDES = 202,
    RTCP_BYE = 203,
    RTCP_APP = 204,
    RTCP_RTPFB = 205, /* RFC 4585 */
    RTCP_PSFB = 206,
    RTCP_XR = 207
};

struct rtcp_packet {
    uint8_t type;
    uint8_t count;       /* reports, chunks, sources, subtype or FMT */
    const uint8_t *body; /* behind the first four bytes, without padding */
    size_t body_bytes;
};

/* RFC 3550 A.2: version 2 everywhere, a report first, lengths that add up, padding only at the end.
 * `reduced` admits what need not begin with a report (RFC 5506). 0 or -EBADMSG. */
MUST_CHECK int rtcp_check(const void *p, size_t n, bool reduced);
/* The part at *at, which begins at 0. False at the end or where the lengths do not fit. */
bool rtcp_next(struct rtcp_packet *ret, const void *p, size_t n, size_t *at);

/* The SSRC of the sender, which all but SDES begin with; BYE may have none. -EBADMSG. */
MUST_CHECK int rtcp_ssrc_get(uint32_t *ret, const struct rtcp_packet *k);

struct rtcp_sender {
    uint32_t ssrc;
    uint64_t ntp; /* 32.32 since 1900 */
    uint32_t ts, packets, bytes;
};
MUST_CHECK int rtcp_sender_get(struct rtcp_sender *ret, const struct rtcp_packet *k);

struct rtcp_report {
    uint32_t ssrc;
    uint8_t fraction; /* lost, in 256ths */
    int32_t lost;
    uint32_t highest_seq, jitter;
    uint32_t lsr, dlsr; /* middle of the NTP time of the last SR; delay since, in 65536ths of 1 s */
};
/* Report block i of an SR or RR, i < count. -EBADMSG. */
MUST_CHECK int rtcp_report_get(struct rtcp_report *ret, const struct rtcp_packet *k, unsigned i);

enum rtcp_sdes_type {
    RTCP_CNAME = 1,
    RTCP_NAME,
    RTCP_EMAIL,
    RTCP_PHONE,
    RTCP_LOC,
    RTCP_TOOL,
    RTCP_NOTE,
    RTCP_PRIV
};
struct rtcp_sdes_item {
    uint32_t ssrc;
    uint8_t type;
    struct str text;
};
/* Where the walk through the items of an SDES stands; zeroed at its beginning. */
struct rtcp_sdes_walk {
    size_t at;
    unsigned chunk;
    uint32_t ssrc;
    bool inside;
};
/* False at the end or where an item does not fit. */
bool rtcp_sdes_next(struct rtcp_sdes_item *ret, const struct rtcp_packet *k,
                    struct rtcp_sdes_walk *w);

/* Source i of a BYE. -EBADMSG. */
MUST_CHECK int rtcp_bye_get(uint32_t *ret, const struct rtcp_packet *k, unsigned i);
/* STR_NONE if it gives none. */
struct str rtcp_bye_reason(const struct rtcp_packet *k);

struct rtcp_app {
    uint32_t ssrc;
    struct str name; /* four characters */
    const uint8_t *data;
    size_t data_bytes;
};
MUST_CHECK int rtcp_app_get(struct rtcp_app *ret, const struct rtcp_packet *k);

enum rtcp_xr_type {
    RTCP_XR_LOSS_RLE = 1,
    RTCP_XR_DUP_RLE,
    RTCP_XR_TIMES,
    RTCP_XR_RRT,
    RTCP_XR_DLRR,
    RTCP_XR_SUMMARY,
    RTCP_XR_VOIP
};
struct rtcp_xr_block {
    uint8_t type, specific;
    const uint8_t *body;
    size_t body_bytes;
};
/* *at begins at 0. */
bool rtcp_xr_next(struct rtcp_xr_block *ret, const struct rtcp_packet *k, size_t *at);

/* The VoIP metrics block, RFC 3611 section 4.7. 127 in r_factor and the MOS values, which are
 * tenths: not available. */
struct rtcp_voip {
    uint32_t ssrc;
    uint8_t loss_rate, discard_rate, burst_density, gap_density; /* in 256ths */
    uint16_t burst_ms, gap_ms, round_trip_ms, end_system_ms;
    int8_t signal_dbm, noise_dbm;
    uint8_t rerl, gmin, r_factor, ext_r_factor, mos_lq, mos_cq, rx_config;
    uint16_t jb_nominal_ms, jb_max_ms, jb_abs_max_ms;
};
MUST_CHECK int rtcp_voip_get(struct rtcp_voip *ret, const struct rtcp_xr_block *x);

/* Round trip from a report block and the time of its arrival, in 65536ths of a second; now is the
 * middle 32 bits of the NTP time. -ENOENT if there was no SR to refer to, or the clocks disagree.
 */
MUST_CHECK int rtcp_round_trip(uint32_t *ret, const struct rtcp_report *r, uint32_t now);

#endif
