/* Between the files that read TLS. */
#ifndef ANALYSIS_TLS_INT_H
#define ANALYSIS_TLS_INT_H

#include <openssl/evp.h>

#include "analysis/tls.h"

enum tls_mode { TLS_GCM, TLS_CHACHA, TLS_CBC };

struct tls_suite {
    uint16_t id;
    uint8_t mode; /* enum tls_mode */
    uint8_t key_bytes;
    uint8_t mac_bytes;  /* of CBC: 20, 32 or 48 */
    uint8_t hash_bytes; /* of key derivation: 32 or 48 */
    bool v13;
};

/* The keys of one direction. */
struct tls_cipher {
    const struct tls_suite *suite; /* NULL: none */
    EVP_CIPHER_CTX *ctx;
    bool mac_last; /* the code is over what is encrypted (RFC 7366) */
    uint8_t iv[12];
    uint8_t mac[48];
    uint64_t seq;
    struct tls_secret secret; /* of TLS 1.3: the next one follows from it */
};

struct tls_entry {
    struct hash_node node;
    uint8_t random[TLS_RANDOM];
    struct tls_secret secret[TLS_SECRETS];
};

const struct tls_entry *tls_keys_find(const struct tls_keys *k, const uint8_t random[TLS_RANDOM]);
const struct tls_suite *tls_suite_find(uint16_t id);
/* The keys of a direction. 0 or -EINVAL: the library refused; *c then has none. */
MUST_CHECK int tls_cipher_12(struct tls_cipher *c, const struct tls_suite *suite, bool server,
                             const struct tls_secret *master, const uint8_t randoms[64]);
MUST_CHECK int tls_cipher_13(struct tls_cipher *c, const struct tls_suite *suite,
                             const struct tls_secret *secret);
/* After a KeyUpdate. */
MUST_CHECK int tls_cipher_update(struct tls_cipher *c);
void tls_cipher_done(struct tls_cipher *c);

/* A whole record, its header first. */
struct tls_record {
    const uint8_t *p;
    size_t n;
    uint64_t seq; /* its number under these keys */
};

/* Opens it: the length of what was written to `plain`, with its type, or -EBADMSG. */
MUST_CHECK int tls_open(struct tls_cipher *c, const struct tls_record *r, uint8_t *plain,
                        uint8_t *type);

#endif
