/* Failures counted by source and by user, and the bans that follow. For gate.c alone; the API of
 * bans is in gate.h. Both tables are bounded: a source is forgotten when a newer one needs its
 * place, a user's count when another falls on the same place. */
#ifndef PBX_GATE_BAN_H
#define PBX_GATE_BAN_H

#include "pbx/pbx_int.h"

struct bans;

struct bans *bans_new(struct pbx *p);
void bans_free(struct pbx *p, struct bans *bans);

bool bans_has(const struct bans *bans, const struct addr *from);
/* Wrong credentials for `user` from `from`. Returns how many failures the source has now, which
 * may have become a ban. */
uint32_t bans_failure(struct pbx *p, const struct addr *from, struct str user);
/* Right ones. */
void bans_success(struct pbx *p, const struct addr *from, struct str user);

#endif
