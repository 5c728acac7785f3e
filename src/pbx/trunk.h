/* Trunks: the gateways calls come from and go to. Known by their addresses or by digest; where the
 * operator of the other side wants it, registered there (RFC 3261 section 10.2). Their names are
 * resolved when the configuration is loaded and again when the answer expires. */
#ifndef PBX_TRUNK_H
#define PBX_TRUNK_H

#include "pbx/pbx_int.h"

MUST_CHECK int trunk_init(struct pbx *p);
void trunk_done(struct pbx *p);
MUST_CHECK int trunk_reload(struct pbx *p);
void trunk_resolved(struct pbx *p, uint64_t token, const struct flow_dest *dest, unsigned n,
                    uint32_t ttl_s);
/* Responses to our REGISTER and OPTIONS: user kind PBX_USER_TRUNK. */
void trunk_rx_response(struct pbx *p, const struct sip_out *o);

/* The trunk that a request comes from: whose tls_name the certificate of the client covers, else by
 * source address; NULL: none. Address and port must match
 * when the trunk's URI names a port (over TCP: the port of the topmost Via), else the address. */
const struct config_trunk *trunk_by_source(struct pbx *p, const struct flow *flow,
                                           const struct sip_msg *m);
/* Has the client shown a certificate for this trunk? */
bool trunk_is_proven(const struct pbx *p, const struct config_trunk *conf, const struct flow *flow);
/* Is this the address of a trunk? */
bool trunk_has_addr(const struct pbx *p, const struct addr *addr);
/* Adds the addresses that the trunks' names stand for to the networks without a rate limit. */
void trunk_exempt(const struct pbx *p, struct sip_conf *conf);
/* Where its requests go. -EAGAIN: its name is not resolved. */
MUST_CHECK int trunk_dest(struct pbx *p, const struct config_trunk *t, struct flow *ret);
/* Answers the challenge in a 401 or 407 with the trunk's credentials, through sip_retry().
 * -ENOENT: no credentials; -EALREADY: they were refused before (no loop; stale=true excepted). */
MUST_CHECK int trunk_answer_challenge(struct pbx *p, const struct config_trunk *t,
                                      const struct sip_out *o);

/* Should calls try it first? Not while it is down, or all that its name leads to have failed
 * lately.
 */
bool trunk_is_usable(struct pbx *p, const struct config_trunk *t);
/* The trunk and those it names for failover in its configuration c, in the order in which a call
 * should try them: usable ones first. Returns how many, at most cap. */
unsigned trunk_candidates(struct pbx *p, const struct config *c, const struct config_trunk *t,
                          const struct config_trunk **ret, unsigned cap);
/* The first place from number *n on, 0 being the one in use, that has not failed lately (if all
 * have: number *n); *n becomes its number. -ENOENT: there is none, -EAGAIN: its name is not
 * resolved. */
MUST_CHECK int trunk_dest_next(struct pbx *p, const struct config_trunk *t, unsigned *n,
                               struct flow *ret);
/* Counts its calls; false: it has as many as it may have (max_calls), and this one is not counted.
 */
bool trunk_calls_take(struct pbx *p, const struct config_trunk *t);
void trunk_calls_put(struct pbx *p, const struct config_trunk *t);
/* For a reload: no trunk has any; and one that is up takes its place whatever the limit. false:
 * there is no such trunk now. */
void trunk_calls_clear(struct pbx *p);
bool trunk_calls_keep(struct pbx *p, const struct config_trunk *t);
/* A number with `strip` characters off the front and `prepend` put there, in p->turn. */
struct str trunk_number(struct pbx *p, struct str number, uint32_t strip, struct str prepend);
/* A call found the trunk silent or refusing (503) there: until Retry-After, or without one for
 * trunk.down_time, others are tried first. RFC 3263 section 4.3. */
void trunk_failed(struct pbx *p, const struct config_trunk *t, const struct flow *at,
                  uint32_t retry_after_s);
/* Withdraws our registrations and asks nobody any more; trunk_is_idle() when that is done, or when
 * a second has passed: nobody waits for a provider that is silent. */
void trunk_shutdown(struct pbx *p);
bool trunk_is_idle(const struct pbx *p);

/* The party (struct flow) that connections over TLS to a name of no trunk are for, RFC 5922 section
 * 7.3. The last 64 such names have one each: what was begun before fails then, for its certificate
 * is not that of the other name. */
uint16_t trunk_party_of(struct pbx *p, struct str name);

/* For the API. */
enum trunk_state { TRUNK_UNKNOWN, TRUNK_UP, TRUNK_DOWN, TRUNK_REGISTERING };
struct trunk_view {
    struct str name;
    enum trunk_state state;
    struct addr addr;
    uint8_t proto; /* enum proto; how it is spoken with there */
    uint32_t expires_s, srtt_us;
    struct str reason;
};
bool trunk_next(struct pbx *p, uint32_t *at, struct trunk_view *ret);

#endif
