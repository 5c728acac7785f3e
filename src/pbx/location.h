/* The location table: bindings by address of record and by connection, their lives and their rows
 * in the database. For registrar*.c alone. */
#ifndef PBX_LOCATION_H
#define PBX_LOCATION_H

#include "base/hash.h"
#include "pbx/registrar.h"

/* What one binding may hold in texts; a typical one has 250 bytes. */
#define LOCATION_TEXT_MAX 4096
#define LOCATION_AOR_MAX  400

struct registrar {
    struct slot_table slots;
    struct hash_table by_aor, by_conn;
    uint64_t date_s; /* the second that `date` shows */
    char date[32];
};

/* An address of record and its hash, as the table knows it. */
struct location_key {
    struct str aor;
    uint64_t hash;
    char mem[LOCATION_AOR_MAX];
};
void location_key_init(const struct pbx *p, struct location_key *ret,
                       const struct config_extension *e);
/* The extension of an AOR of the table; NULL: there is none any more. */
const struct config_extension *location_extension(const struct pbx *p, struct str aor);

/* Walks the bindings of an AOR; NULL at first and at the end. */
struct binding *location_next(const struct pbx *p, const struct location_key *key,
                              const struct binding *after);

struct location_texts {
    struct str aor, contact, params, call_id, path, user_agent;
};
/* A new binding, or NULL: the table or the pool is full. It lives when location_live() was called.
 */
struct binding *location_take(struct pbx *p, const struct location_texts *t);
/* The texts of a binding that exists. -ENOMEM leaves them as they were. */
MUST_CHECK int location_keep(struct pbx *p, struct binding *b, const struct location_texts *t);
/* Sets the expiry. */
void location_live(struct pbx *p, struct binding *b, usec_t life);
/* The flow has changed, or is new. */
void location_flow_put(struct pbx *p, struct binding *b, const struct flow *flow, bool natted);
/* Ends a binding, in the database too. */
void location_drop(struct pbx *p, struct binding *b, struct str reason);
/* Frees all, without a trace. */
void location_clear(struct pbx *p);

void location_row_put(struct pbx *p, const struct binding *b);
void location_row_del(struct pbx *p, struct str aor, struct str contact);

/* Is the address in a contact no place to send to, because NAT stands between? */
bool location_is_natted(const struct sip_msg *m, const struct flow *flow,
                        const struct sip_uri *contact);
/* Where a URI with a numeric host points. false: it is a name, or not SIP. */
bool location_uri_flow(const struct sip_uri *uri, struct flow *ret);

#endif
