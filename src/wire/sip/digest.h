/* Digest arithmetic (RFC 7616, RFC 8760; RFC 2617 peers). No state: nonces and counts are
 * engine/sip/auth_server. The EVP digests are fetched once per struct digest. */
#ifndef WIRE_SIP_DIGEST_H
#define WIRE_SIP_DIGEST_H

#include "wire/sip/msg.h"

enum digest_alg { DIGEST_MD5, DIGEST_SHA256, DIGEST_SHA512_256, DIGEST_ALG_COUNT };

struct digest; /* one per thread: the fetched digests and a context */
struct digest *digest_new(void);
void digest_free(struct digest *d);

/* "MD5", "SHA-256", "SHA-512-256". -EINVAL if unknown ("-sess" forms are not offered). */
MUST_CHECK int digest_alg_parse(enum digest_alg *ret, struct str s);
struct str digest_alg_name(enum digest_alg alg);

/* A hexadecimal digest, at most 64 digits. */
struct digest_hex {
    char text[64];
    uint8_t n;
};

/* The fields of an Authorization or WWW-Authenticate value, unquoted of their quotes only. */
struct digest_fields {
    struct str scheme; /* "Digest" */
    struct str username, realm, nonce, uri, response, algorithm, cnonce, qop, nc, opaque, domain;
    struct str stale, userhash;
};
/* -EINVAL when it is not a well-formed list of parameters; the scheme may be any. */
MUST_CHECK int digest_parse(struct digest_fields *ret, struct str value);

/* HA1 = H(username:realm:password). */
void digest_ha1(struct digest *d, enum digest_alg alg, struct str user, struct str realm,
                struct str password, struct digest_hex *ret);
/* The response value. With qop none: RFC 2069 form. */
void digest_response(struct digest *d, enum digest_alg alg, const struct digest_hex *ha1,
                     const struct digest_fields *f, struct str method, struct digest_hex *ret);
/* HMAC-SHA-256 of msg, the first n (<= 32) bytes. */
void digest_hmac(const void *key, size_t key_n, struct str msg, uint8_t *out, size_t n);
/* The same with the digest that d has fetched, at a third of the cost: for every nonce. The key is
 * at most 64 bytes. */
void digest_mac(struct digest *d, const void *key, size_t key_n, struct str msg, uint8_t *out,
                size_t n);
/* Comparison whose time does not depend on where the first difference is. */
bool digest_eq(struct str a, struct str b);

#endif
