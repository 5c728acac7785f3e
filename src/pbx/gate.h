/* Who may: digest authentication of phones and digest trunks, trunks known by address, and the
 * count of failures with its bans. RFC 3261 section 22, RFC 7616, RFC 8760. */
#ifndef PBX_GATE_H
#define PBX_GATE_H

#include "pbx/pbx_int.h"

MUST_CHECK int gate_init(struct pbx *p);
void gate_done(struct pbx *p);
/* After a reload: HA1s of the new configuration. */
MUST_CHECK int gate_reload(struct pbx *p);

/* Who sent a request. Both NULL: the request has been answered (challenge, 403) or is not worth an
 * answer; the caller does nothing more. */
struct gate_who {
    const struct config_extension *extension;
    const struct config_trunk *trunk;
};
/* 401 for REGISTER and SUBSCRIBE, 407 for the rest. `txn` is the transaction to answer (of an
 * INVITE: o->txn; when o->session is set the INVITE session is rejected). Trunks are looked up by
 * address first (trunk_by_source()). */
struct gate_who gate_check(struct pbx *p, const struct sip_out *o);

/* Bans, for the API: walks them; false at the end. */
struct gate_ban {
    struct addr addr;
    uint32_t failures, seconds_left, times;
};
bool gate_ban_next(struct pbx *p, uint32_t *at, struct gate_ban *ret);
/* seconds 0: the configured time. */
void gate_ban_put(struct pbx *p, const struct addr *addr, uint32_t seconds);
/* -ENOENT: was not banned. */
int gate_ban_remove(struct pbx *p, const struct addr *addr);

#endif
