/* The registrar and its location table. RFC 3261 section 10, RFC 3327 (Path), RFC 3608
 * (Service-Route), RFC 3581 and 5626 where phones are behind NAT. */
#ifndef PBX_REGISTRAR_H
#define PBX_REGISTRAR_H

#include "pbx/pbx_int.h"

struct binding {
    struct hash_node by_key; /* AOR and contact */
    struct hash_node by_aor;
    struct pbx_timer expiry;
    uint32_t aor_hash_salt; /* unused bits for the owner */
    uint32_t cseq;
    uint16_t q;       /* 0..1000; 1000 if not given */
    struct flow flow; /* where its REGISTER came from, NAT seen through */
    bool natted;      /* reach it through `flow`, not through the contact's host */
    usec_t expires_at, registered_at;
    /* Owned texts. */
    struct str aor;     /* "sip:user@domain", canonical */
    struct str contact; /* the URI */
    struct str params;  /* contact parameters besides expires and q */
    struct str call_id, path, instance, user_agent;
};

MUST_CHECK int registrar_init(struct pbx *p);
void registrar_done(struct pbx *p);
/* A REGISTER (SIP_OUT_REQUEST). Authenticates through the gate, then answers. */
void registrar_rx(struct pbx *p, const struct sip_out *o);
/* A row of STORE_RESTORE_BINDINGS. */
void registrar_restore(struct pbx *p, const struct row_value *v, unsigned n);
/* A connection is gone: bindings reachable only over it end. */
void registrar_flow_failed(struct pbx *p, const struct flow *flow);
/* Extensions that a reload has removed lose their bindings. */
void registrar_reload(struct pbx *p);

/* The bindings of an extension, best q first; at most cap. Returns how many. */
unsigned registrar_find(struct pbx *p, const struct config_extension *e, const struct binding **ret,
                        unsigned cap);
/* The flow and the Route set ("" if none) that reach a binding. */
void registrar_reach(struct pbx *p, const struct binding *b, struct flow *to, struct str *route);
uint32_t registrar_count(const struct pbx *p);
/* Walks all bindings; NULL at the end. */
const struct binding *registrar_next(const struct pbx *p, uint32_t *at);

#endif
