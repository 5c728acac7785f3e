/* A message for other eyes: what proves a password, opens media or is a key that somebody has
 * pressed becomes asterisks of the same length, so that the message is still whole and says what it
 * said. Works on any bytes, also on those that are no message. */
#ifndef WIRE_SIP_MASK_H
#define WIRE_SIP_MASK_H

#include "base/str.h"

/* Masks the n bytes at p where they are:
 * - in Authorization and Proxy-Authorization, wherever they stand, the value of `response`, by
 *   which passwords can be guessed; of another scheme than Digest everything (RFC 3261 section 22);
 * - in Authentication-Info the value of `rspauth`, for the same reason;
 * - in bodies what stands behind "inline:" of a=crypto (RFC 4568), and keys in an INFO.
 * Returns the Call-ID, which points into p; none if there is none. */
struct str sip_mask(char *p, size_t n);

#endif
