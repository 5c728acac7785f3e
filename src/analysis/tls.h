/* TLS 1.2 and 1.3 (RFC 5246, RFC 8446), read with the keys that one of the parties has logged: the
 * handshake is followed, records are opened, nothing is verified but that they are whole. Of the
 * cipher suites those that browsers, phones and servers use: AES-GCM, ChaCha20-Poly1305, AES-CBC.
 */
#ifndef ANALYSIS_TLS_H
#define ANALYSIS_TLS_H

#include "base/hash.h"
#include "base/slot.h"

#define TLS_RANDOM     32
#define TLS_MAX_SECRET 48
#define TLS_MAX_RECORD (5 + 16384 + 2048)
#define TLS_PLAIN      (TLS_MAX_RECORD + 64) /* room for an opened record */

enum tls_secret_kind {
    TLS_MASTER, /* of TLS 1.2 */
    TLS_CLIENT_HANDSHAKE,
    TLS_SERVER_HANDSHAKE,
    TLS_CLIENT_TRAFFIC,
    TLS_SERVER_TRAFFIC,
    TLS_SECRETS
};

struct tls_secret {
    uint8_t n; /* 0: not known */
    uint8_t p[TLS_MAX_SECRET];
};

/* Secrets by the random number of the client. */
struct tls_keys {
    struct slot_table slots;
    struct hash_table table;
};

MUST_CHECK int tls_keys_init(struct tls_keys *k, uint32_t max, uint64_t seed);
void tls_keys_done(struct tls_keys *k);
/* Lines of a key log (draft-ietf-tls-keylogfile); others are passed over. How many were of use. */
unsigned tls_keys_add(struct tls_keys *k, struct str text);

struct tls_conn;

enum tls_kind {
    TLS_MORE,    /* the record is not all there */
    TLS_PASSED,  /* a record without data */
    TLS_DATA,    /* application data was written to `plain` */
    TLS_SEALED,  /* a record that could not be opened */
    TLS_GIVE_UP, /* keys are missing, or this is not to be understood */
    TLS_NO_KEY   /* the same: nobody has logged the keys */
};

struct tls_item {
    uint8_t kind; /* enum tls_kind */
    size_t used;  /* bytes done with */
    size_t n;     /* of data */
};

/* keys must outlive the connection. NULL without memory. */
struct tls_conn *tls_new(const struct tls_keys *keys);
/* Accepts NULL. */
void tls_free(struct tls_conn *t);
/* The record that one side (0 or 1) says. plain: TLS_PLAIN bytes. */
struct tls_item tls_next(struct tls_conn *t, unsigned side, const uint8_t *p, size_t n,
                         uint8_t *plain);
/* Bytes of that side were lost: the next record is looked for, and its number tried out. */
void tls_lose(struct tls_conn *t, unsigned side);

#endif
