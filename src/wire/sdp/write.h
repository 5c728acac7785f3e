/* Lines that are always ours, shared by what makes descriptions. */
#ifndef WIRE_SDP_WRITE_H
#define WIRE_SDP_WRITE_H

#include "wire/sdp/caps.h"

/* o=- id version IN IP4 address */
void sdp_write_origin(struct buf *b, const struct sdp_local *local);
/* c=IN IP4 address */
void sdp_write_conn(struct buf *b, const struct addr *a);
void sdp_write_dir(struct buf *b, enum sdp_dir dir);

/* a=rtcp-mux (RFC 5761 section 5.1.1) or, where a receiver would guess wrong, a=rtcp (RFC 3605
 * section 2.1); nothing else. */
void sdp_write_rtcp(struct buf *b, const struct sdp_stream *st);

/* rtpmap and fmtp of a format. */
void sdp_write_codec(struct buf *b, const struct sdp_codec *c);

#endif
