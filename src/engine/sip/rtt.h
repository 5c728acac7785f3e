/* Round trips by destination (Karn's rule at the caller, smoothing of RFC 6298 section 2), and
 * which destinations refuse TCP. A bounded table; the oldest entry of a bucket makes room. */
#ifndef ENGINE_SIP_RTT_H
#define ENGINE_SIP_RTT_H

#include "engine/sip/core.h"

struct sip_rtt_table;

/* NULL: out of memory. */
struct sip_rtt_table *rtt_new(uint64_t seed);
void rtt_free(struct sip_rtt_table *t);
void rtt_sample(struct sip_rtt_table *t, const struct addr *peer, usec_t rtt);
/* T1 for the destination: srtt + 4*rttvar within [t1_min, t1_max]; the fixed T1 if unmeasured. */
usec_t rtt_t1(const struct sip_rtt_table *t, const struct addr *peer,
              const struct sip_timers *conf);
/* TCP failed there; for ten minutes large requests go by UDP at once. */
void rtt_no_tcp(struct sip_rtt_table *t, const struct addr *peer, usec_t now);
bool rtt_tcp_usable(const struct sip_rtt_table *t, const struct addr *peer, usec_t now);
/* Walks the measured destinations; false at the end. */
bool rtt_next(const struct sip_rtt_table *t, uint32_t *at, const struct sip_timers *conf,
              struct sip_rtt *ret);

#endif
