/* What the files of trunks share. */
#ifndef PBX_TRUNK_INT_H
#define PBX_TRUNK_INT_H

#include "engine/sip/auth_client.h"
#include "pbx/trunk.h"

#define TRUNK_DESTS      8
#define TRUNK_DOMAIN_MAX 272

struct trunk {
    struct list node;
    uint32_t id;           /* names it in RESOLVE tokens and in the engine's user numbers */
    struct config *config; /* the snapshot that conf is of */
    const struct config_trunk *conf;
    struct sip_uri uri;
    uint8_t proto;   /* enum proto: the one that its URI gives, or the default of the scheme */
    bool any;        /* the URI gives none: names decide */
    uint16_t party;  /* over TLS: what io knows its name and keys by; 0: it has no number */
    uint16_t client; /* what comes from a client with the certificate of tls_name has this party; 0:
                      * none */
    bool leaving;    /* gone from the configuration; stays until it is unregistered */

    struct flow_dest dest[TRUNK_DESTS]; /* in the order of preference */
    usec_t shunned[TRUNK_DESTS];        /* until when each is not the first choice */
    unsigned n_dests, at;               /* at: the one in use */
    struct pbx_timer resolve;
    bool unresolved; /* the last question found nothing */

    struct pbx_timer refresh;
    bool busy, refused; /* a REGISTER is under way; the last one failed */
    bool withdrawn;     /* the one under way ends the registration */
    char call_id[160], tag[16];
    uint32_t cseq, expires_s, granted_s;
    usec_t granted_until;            /* 0: not registered */
    unsigned failures;               /* in a row */
    struct auth_challenge challenge; /* the last one met; realm none: none. Text in auth_mem */
    char auth_mem[768];
    uint32_t nc;

    struct pbx_timer ping;
    struct flow_dest asked; /* by the OPTIONS that is under way */
    bool probe_failed;      /* the last one asked a preferred place in vain: now the one in use */
    bool pinged, silent;    /* OPTIONS was answered or not at least once; not the last time */
    uint32_t calls;         /* live now */
    char reason[64];
};

#define TRUNK_PARTIES 64
struct trunks {
    struct list all;
    char party[TRUNK_PARTIES][256]; /* names of others: the last numbers are theirs */
    unsigned next_party;
    uint16_t last_party;       /* the number that a trunk was given last */
    struct pbx_timer patience; /* for the answers to the last REGISTERs, when we are stopped */
    bool impatient;
    struct digest *digest;
    uint32_t last_id;
};

enum trunk_request { TRUNK_REGISTER, TRUNK_OPTIONS };
static inline uint64_t trunk_user(const struct trunk *t, enum trunk_request kind)
{
    return pbx_user(PBX_USER_TRUNK, (uint64_t)t->id << 1 | kind);
}

struct str trunk_name(const struct trunk *t);
enum trunk_state trunk_state_of(const struct pbx *p, const struct trunk *t);
void trunk_reason(struct trunk *t, struct str text);
/* The one in use has failed: it rests, and the next address is in use. false: that was the last
 * one, and the first is next. */
bool trunk_next_addr(struct pbx *p, struct trunk *t);
/* Not the first choice for trunk.down_time. */
void trunk_rest(struct pbx *p, struct trunk *t, unsigned at);
/* A place that is preferred to the one in use and does not rest (RFC 2782: "MUST attempt to contact
 * the target host with the lowest-numbered priority it can reach"); else the one in use. */
unsigned trunk_preferred(const struct pbx *p, const struct trunk *t);
bool trunk_dest_eq(const struct flow_dest *a, const struct flow_dest *b);
bool trunk_flow(const struct trunk *t, struct flow *ret);
/* That of number `at`, which there is. */
struct flow trunk_flow_at(const struct trunk *t, unsigned at);
void trunk_free(struct pbx *p, struct trunk *t);
/* "example.net:5080": the host part of our From, and what we register with. */
void trunk_put_domain(struct buf *b, const struct trunk *t);

/* trunk_party.c */
/* RFC 5922 7.3: what its certificate must be for is the name in its URI, whatever DNS says. Where
 * it connects to us it may have another one (7.4). */
void trunk_introduce(struct pbx *p, struct trunk *t);
/* Nobody is known as it any more by the certificate of a client. */
void trunk_forget(struct pbx *p, struct trunk *t);
/* trunk_reg.c */
void trunk_reg_start(struct pbx *p, struct trunk *t, usec_t in);
/* Withdraws the registration, if there is one. true: an answer is awaited, after which the trunk is
 * freed. */
bool trunk_reg_withdraw(struct pbx *p, struct trunk *t);
void trunk_reg_rx(struct pbx *p, struct trunk *t, const struct sip_out *o);
/* One that withdrew its registration is gone: who has the same contact registers again. */
void trunk_reg_resume(struct pbx *p, const struct trunk *gone);
/* trunk_ping.c */
void trunk_ping_start(struct pbx *p, struct trunk *t, usec_t in);
void trunk_ping_rx(struct pbx *p, struct trunk *t, const struct sip_out *o);
/* trunk_auth.c: answers the challenge of o; *challenge is what was answered. */
MUST_CHECK int trunk_auth_answer(struct pbx *p, const struct config_trunk *conf,
                                 const struct sip_out *o, struct auth_challenge *challenge);

#endif
