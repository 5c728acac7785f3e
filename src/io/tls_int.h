/* What the files of TLS share. */
#ifndef IO_TLS_INT_H
#define IO_TLS_INT_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "io/tls.h"

#define TLS_FILES  3
#define TLS_CACHED 64 /* sessions of servers that we may resume */

struct file_mark {
    int64_t s, ns;
    uint64_t inode, bytes;
};

struct cached {
    SSL_SESSION *session;
    char host[TLS_MAX_NAME + 1];
    struct tls_pin pin[TLS_MAX_PINS];
    unsigned n_pins;
    bool own_pins; /* as in struct tls_session */
};

struct tls_ctx {
    SSL_CTX *server; /* NULL: no certificate */
    SSL_CTX *client;
    struct tls_config cfg; /* its names point into `path` */
    char path[TLS_FILES][4097];
    struct file_mark read[TLS_FILES], seen[TLS_FILES];
    int64_t expires_s;
    struct cached cache[TLS_CACHED];
    unsigned cache_at;
};

struct tls_session {
    struct tls_ctx *tls;
    SSL *ssl;
    BIO *rx, *tx; /* owned by ssl */
    bool client, up, failed, closed;
    char host[TLS_MAX_NAME + 1];
    struct tls_pin pin[TLS_MAX_PINS]; /* of the target; none: those of the configuration */
    unsigned n_pins;
    bool own_pins; /* they are the target's: they stand for its name */
    char why[TLS_WHY_MAX];
};

/* tls.c: begins with a session that this server gave us before, if there is one. */
void tls_resume(struct tls_session *s);

/* tls_peer.c */
/* The verdict on a peer's certificate, instead of OpenSSL's own: 1 or 0. */
int tls_peer_judge(X509_STORE_CTX *store, void *unused);
/* Is `host` an identity of the certificate? RFC 5922 sections 7.1, 7.2. */
bool tls_peer_covers(X509 *cert, struct str host);
bool tls_peer_is_pinned(X509 *cert, const struct tls_pin *pin, unsigned n);
/* Why the handshake failed, into s->why. */
void tls_peer_explain(struct tls_session *s);

#endif
