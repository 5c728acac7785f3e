/* What gate.c and gate_ban.c share. */
#ifndef PBX_GATE_INT_H
#define PBX_GATE_INT_H

#include "engine/sip/auth_server.h"
#include "pbx/gate.h"
#include "pbx/gate_ban.h"

struct gate {
    struct digest *digest;
    struct auth_server *auth;
    struct bans *bans;
    /* H(username:realm:password) of every extension, then of every trunk, n_algs of each; n 0: it
     * has none in this algorithm. */
    struct config *config; /* the snapshot they were made of */
    struct digest_hex *ha1;
    enum digest_alg alg[DIGEST_ALG_COUNT];
    unsigned n_algs;
};

static inline struct bans *gate_bans(const struct pbx *p)
{
    return p->gate->bans;
}

#endif
