/* How many new requests a source address may start: a token bucket for each, in a bounded table.
 * A source that is over its rate is answered 503 without state, or not at all (RFC 3261 21.5.4). */
#ifndef ENGINE_SIP_GUARD_H
#define ENGINE_SIP_GUARD_H

#include "base/addr.h"
#include "base/timer.h"

struct sip_guard;

/* rate_per_s 0: everything is allowed. NULL: out of memory. */
struct sip_guard *guard_new(uint64_t seed, uint32_t rate_per_s, uint32_t burst);
void guard_free(struct sip_guard *g);

enum guard_verdict {
    GUARD_PASS,
    GUARD_REFUSE, /* over the rate: say 503 */
    GUARD_DROP    /* far over it: not worth an answer */
};
enum guard_verdict guard_take(struct sip_guard *g, usec_t now, const struct addr *from);

#endif
