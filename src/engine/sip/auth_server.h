/* Digest authentication, the server's side: challenges, nonces and the check of what comes back.
 * RFC 7616 and RFC 8760; RFC 2617 clients, and RFC 2069 ones with MD5.
 *
 * A nonce carries its own time and a tag only we can make, so a challenge costs no memory. Memory
 * is spent when a right response has used a nonce: then its counts are remembered, in a table of
 * fixed size, and each of them is good once. */
#ifndef ENGINE_SIP_AUTH_SERVER_H
#define ENGINE_SIP_AUTH_SERVER_H

#include "base/rand.h"
#include "base/timer.h"
#include "wire/sip/digest.h"

struct auth_conf {
    struct str realm; /* lives as long as the server */
    enum digest_alg alg[DIGEST_ALG_COUNT];
    unsigned n_algs; /* offered in this order, the preferred first (RFC 8760 2.3) */
    usec_t nonce_life;
    uint32_t max_nonces; /* used nonces remembered at a time */
};

struct auth_server;

/* `digest` stays the caller's and must outlive the server. NULL: out of memory. */
struct auth_server *auth_server_new(const struct auth_conf *conf, struct digest *digest,
                                    struct rand *rand);
void auth_server_free(struct auth_server *s);
/* Other algorithms and lifetimes; the table keeps its size. Nonces given out before become stale.
 */
void auth_server_reconfigure(struct auth_server *s, const struct auth_conf *conf);

/* Who asks, and when. A nonce is good for the address that it was given to alone (of IPv6: for its
 * network of 64 bits), whatever the port. */
struct auth_source {
    usec_t now;
    struct addr ip;
};

#define AUTH_CHALLENGE_BYTES 1024
/* Writes one value of WWW-Authenticate or Proxy-Authenticate for each algorithm into b and points
 * ret[] at them. Returns how many; 0 when b has no room (AUTH_CHALLENGE_BYTES and three times the
 * realm always suffice). */
unsigned auth_server_challenge(struct auth_server *s, const struct auth_source *who, bool stale,
                               struct buf *b, struct str ret[DIGEST_ALG_COUNT]);

enum auth_verdict {
    AUTH_OK,
    AUTH_NONE,      /* nothing for our realm in an algorithm of ours: challenge */
    AUTH_MALFORMED, /* Digest for us outside its grammar: 400 */
    AUTH_WRONG,     /* not the password: this is the one that counts as a failure */
    AUTH_MISMATCH,  /* right, but made for another resource: 400 (RFC 7616 3.4.6) */
    AUTH_STALE,     /* the nonce is not good any more, or never was for this address, in which case
                       nothing is said about the password: challenge with stale=true */
    AUTH_REPLAYED   /* right, but this count of the nonce was used: the same */
};
struct str auth_verdict_name(enum auth_verdict v);

/* The credentials of a request, as they were found. Text points into the message. */
struct auth_cred {
    struct digest_fields f;
    enum digest_alg alg;
    uint32_t nc; /* 0: without qop */
};
/* Looks in the header fields `id` for credentials of our realm. AUTH_OK: *ret is set and
 * ret->f.username says whom to look up; else AUTH_NONE or AUTH_MALFORMED. */
enum auth_verdict auth_server_find(const struct auth_server *s, const struct sip_msg *m,
                                   enum sip_hdr_id id, struct auth_cred *ret);
/* Checks them against the H(username:realm:password) of the algorithm. ha1 NULL: there is no such
 * user; the work and the verdict are those of a wrong password. */
enum auth_verdict auth_server_check(struct auth_server *s, const struct auth_source *who,
                                    const struct sip_msg *m, const struct auth_cred *cred,
                                    const struct digest_hex *ha1);

#endif
