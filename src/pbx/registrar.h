/* The registrar and its location table. RFC 3261 section 10, RFC 3327 (Path), RFC 3608
 * (Service-Route), RFC 3581 and 5626 where phones are behind NAT. */
#ifndef PBX_REGISTRAR_H
#define PBX_REGISTRAR_H

#include "pbx/pbx_int.h"

struct binding {
    struct hash_node by_aor, by_conn;
    struct pbx_timer expiry;
    struct flow flow; /* where its REGISTER came from */
    uint32_t cseq;
    uint16_t q;          /* 0..1000; 1000 if not given */
    bool natted;         /* reach it through `flow`, not through the contact's host */
    bool on_conn;        /* in by_conn */
    uint32_t text_bytes; /* the texts are one block of the pool, which starts at aor.p */
    usec_t expires_at, registered_at;
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
/* The flow and the Route set ("" if none) that reach a binding. The text is the binding's. */
void registrar_reach(struct pbx *p, const struct binding *b, struct flow *to, struct str *route);
/* The contact as a Request-URI, in p->turn: without a header part, which only header fields may
 * carry. sips: whether it may be a sips URI, which promises that the whole way is secure; else the
 * phone is called by the sip URI of the same contact, on the same way (RFC 5630 5.3). */
struct str registrar_target(struct pbx *p, const struct binding *b, bool sips);
/* Is its contact a sips URI? */
bool registrar_is_sips(const struct binding *b);
uint32_t registrar_count(const struct pbx *p);
/* Walks all bindings; NULL at the end. */
const struct binding *registrar_next(const struct pbx *p, uint32_t *at);

#endif
