/* Writes the parts of a compound RTCP packet, one behind the other. */
#ifndef WIRE_RTP_RTCP_BUILD_H
#define WIRE_RTP_RTCP_BUILD_H

#include "base/buf.h"
#include "wire/rtp/rtcp.h"

/* Sender report with n report blocks, n <= 31. */
void rtcp_sr_build(struct buf *b, const struct rtcp_sender *s, const struct rtcp_report *r,
                   unsigned n);
void rtcp_rr_build(struct buf *b, uint32_t ssrc, const struct rtcp_report *r, unsigned n);
/* One chunk with the CNAME that every compound packet needs; cut at 255 bytes. */
void rtcp_cname_build(struct buf *b, uint32_t ssrc, struct str cname);
/* reason may be STR_NONE. */
void rtcp_bye_build(struct buf *b, uint32_t ssrc, struct str reason);
/* An extended report with one VoIP metrics block (RFC 3611 section 4.7). */
void rtcp_xr_voip_build(struct buf *b, uint32_t ssrc, const struct rtcp_voip *v);

#endif
