/* SRTP (RFC 3711) with keys that SDP has told (RFC 4568), as the receiver; by libsrtp2. */
#ifndef ENGINE_MEDIA_SRTP_H
#define ENGINE_MEDIA_SRTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

struct srtp_rx;

/* The library keeps tables of its own: once, before any thread uses what follows. 0 or -ENOSYS. */
MUST_CHECK int srtp_start(void);
/* crypto: what stands behind "a=crypto:", "1 AES_CM_128_HMAC_SHA1_80 inline:...". -EBADMSG: it is
 * broken; -ENOTSUP: a suite or a parameter that is not known here; -ENOMEM. */
MUST_CHECK int srtp_rx_new(struct srtp_rx **ret, struct str crypto);
void srtp_rx_free(struct srtp_rx *s);
/* Makes an RTP packet of an SRTP packet, in its place; *n becomes shorter. -EBADMSG: it was not
 * made with this key, or was there before; what is in p then is undefined. */
MUST_CHECK int srtp_rx_open(struct srtp_rx *s, uint8_t *p, size_t *n);

#endif
