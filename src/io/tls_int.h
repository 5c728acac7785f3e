/* What the files of TLS share. */
#ifndef IO_TLS_INT_H
#define IO_TLS_INT_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "io/tls.h"

#define TLS_FILES  (1 + 2 * TLS_MAX_CERTIFICATES) /* the authorities, and pairs */
#define TLS_CACHED 64                             /* sessions of servers that we may resume */

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

/* One of our certificates, ready to be shown. */
struct tls_own {
    SSL_CTX *ctx;
    int64_t expires_s;
};

struct tls_ctx {
    struct tls_own own[TLS_MAX_CERTIFICATES]; /* as tls_own_files() numbers them */
    unsigned n_own;
    SSL_CTX *client;
    struct tls_config cfg; /* it points into cfg_mem */
    char *cfg_mem;
    struct file_mark read[TLS_FILES], seen[TLS_FILES];
    struct cached cache[TLS_CACHED];
    unsigned cache_at;
    struct file_mark trusted; /* the authorities in use: their file, or the system's folder */
    uint32_t trust;           /* counts how often they have changed */
};

struct tls_session {
    struct tls_ctx *tls;
    SSL *ssl;
    BIO *rx, *tx; /* owned by ssl */
    bool client, up, failed, closed;
    uint8_t failure; /* enum tls_failure */
    char host[TLS_MAX_NAME + 1];
    struct tls_pin pin[TLS_MAX_PINS]; /* of the target; none: those of the configuration */
    unsigned n_pins;
    bool own_pins; /* they are the target's: they stand for its name */
    char why[TLS_WHY_MAX];
    int64_t until_s; /* when the first of the certificates that it was believed for ends */
    uint32_t trust;  /* of the context, when its peer was judged */
    bool fallen;     /* by those authorities its peer's certificate does not hold */
};

/* tls.c: begins with a session that this server gave us before, if there is one. */
void tls_resume(struct tls_session *s);

/* tls.c */
/* A context with what holds for both sides; NULL: no memory. */
SSL_CTX *tls_context_new(const SSL_METHOD *method);
MUST_CHECK int tls_trust_load(SSL_CTX *ctx, const struct tls_config *cfg, struct buf *why);
bool tls_given(const char *file);
/* "FILE: WHAT (OpenSSL's reason)" into *why; -EINVAL. */
int tls_complain(struct buf *why, const char *file, const char *what);

/* tls_own.c: our own certificates */
/* How many there are, the default first; one of them. */
unsigned tls_own_count(const struct tls_config *cfg);
struct tls_certificate tls_own_files(const struct tls_config *cfg, unsigned i);
/* Makes it what a context shows. 0 or a negative errno with *why. */
MUST_CHECK int tls_own_load(SSL_CTX *ctx, const struct tls_certificate *files, struct buf *why);
/* Contexts of servers, one for each certificate, of which the first looks at SNI. */
MUST_CHECK int tls_own_make(struct tls_own ret[TLS_MAX_CERTIFICATES], struct tls_ctx *tls,
                            const struct tls_config *cfg, struct buf *why);
void tls_own_free(struct tls_own own[TLS_MAX_CERTIFICATES]);

/* tls_peer.c */
/* The verdict on a peer's certificate, instead of OpenSSL's own: 1 or 0. */
int tls_peer_judge(X509_STORE_CTX *store, void *unused);
/* When the certificates end by which it is believed, as they were shown or as its ticket has it:
 * seconds since 1970. */
int64_t tls_peer_until_s(const struct tls_session *s);
/* Judges the certificate again, which the peer has shown before, by the authorities of now. Without
 * the chain, which a ticket does not hold, only one that they have issued themselves will do. */
bool tls_peer_judge_again(struct tls_session *s);
/* A server's tickets say when that is, and are worth nothing afterwards: 1 or 0; what becomes of
 * one that has come. */
int tls_peer_ticket_make(SSL *ssl, void *unused);
SSL_TICKET_RETURN tls_peer_ticket_take(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                       size_t n, SSL_TICKET_STATUS status, void *unused);
/* Is `host` an identity of the certificate? RFC 5922 sections 7.1, 7.2. */
bool tls_peer_covers(X509 *cert, struct str host);
/* Its names, with ", " between. */
void tls_peer_names(X509 *cert, struct buf *b);
bool tls_peer_is_pinned(X509 *cert, const struct tls_pin *pin, unsigned n);
/* Why the handshake failed, into s->why. */
void tls_peer_explain(struct tls_session *s);
/* What is wrong with its certificate, by OpenSSL's number of it. */
void tls_peer_words(const struct tls_session *s, long verdict, struct buf *b);

#endif
