/* TLS (OpenSSL 3) without sockets: what the network brings goes in, what it is to carry comes out,
 * and in between are plain bytes. So the same sessions serve SIP over TCP, an MRCP control channel
 * or a WebSocket, and a test joins two of them by copying bytes.
 *
 * TLS 1.2 and 1.3, no compression, no renegotiation. Sessions are resumed by tickets, as server and
 * as client. A peer's certificate is judged by RFC 5922: a chain to a trusted authority, and a
 * subjectAltName that is the very name asked for, without wildcards; or by its key alone, where
 * that key is pinned.
 *
 * All objects of one `struct tls_ctx` belong to one thread. */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "base/assert.h"
#include "base/buf.h"

/* SHA-256 of a certificate's SubjectPublicKeyInfo in DER: it names the key, so a certificate that
 * is renewed with the same key still fits. */
struct tls_pin {
    uint8_t sha256[32];
};

/* 64 hexadecimal digits, as `openssl pkey -pubin -outform DER | sha256sum` prints them. 0 or
 * -EINVAL. */
MUST_CHECK int tls_pin_parse(struct tls_pin *ret, struct str text);

#define TLS_MAX_PINS         8
#define TLS_MAX_NAME         255
#define TLS_WHY_MAX          200
#define TLS_MAX_CERTIFICATES 33 /* of our own: the one for all, and 32 for names */

/* One of our own: PEM files with the chain, leaf first, and the key. */
struct tls_certificate {
    const char *certificate, *private_key;
    const struct str *name; /* whom it is for, of those whom clients ask for by SNI */
    unsigned n_names;       /* 0: for the names that are in it */
};

/* File names are PEM files; NULL or "": none. */
struct tls_config {
    const char *certificate; /* our chain, leaf first: what servers see, and clients who ask for */
    const char *private_key; /* no name or one that nothing is known of */
    const struct tls_certificate *more; /* for names of their own. Without `certificate` the first
                                         * of them is the one for all */
    unsigned n_more;    /* 0 and no `certificate`: we are no server, and show none */
    const char *ca;     /* authorities trusted; none: those of the system */
    bool verify_peer;   /* servers must show a certificate that holds */
    bool verify_client; /* clients too; else they are not asked for one */
    bool ask_client;    /* they are asked, and go on without one or with one that does not hold:
                         * then nothing is known of who they are */
    struct tls_pin
        pin[TLS_MAX_PINS]; /* if there are any, servers must have one of these keys; no */
    unsigned n_pins;       /* authority need vouch for it, but its name counts still */
};

/* What tls_ctx_new() would say of one of our own, and of the authorities. Of a pair, *of_key: it is
 * the key that is at fault. 0 or a negative errno with *why. */
MUST_CHECK int tls_pair_check(const struct tls_certificate *files, bool *of_key, struct buf *why);
MUST_CHECK int tls_authorities_check(const char *ca, struct buf *why);

struct tls_ctx;

/* Reads the files. Negative errno: *why says in one line what is wrong with them. */
MUST_CHECK int tls_ctx_new(struct tls_ctx **ret, const struct tls_config *cfg, struct buf *why);
/* Sessions that there are must be freed first. Accepts NULL. */
void tls_ctx_free(struct tls_ctx *tls);
/* Reads the files again, with another configuration or (NULL) the same one. Sessions that there are
 * go on as they began; new ones use what was read. Negative errno: nothing has changed, and *why
 * says why. */
MUST_CHECK int tls_ctx_reload(struct tls_ctx *tls, const struct tls_config *cfg, struct buf *why);
/* Have the files changed since they were read, and not since this was asked last? So a pair that is
 * being replaced is taken when both files are there. Reads their times only. */
bool tls_ctx_changed(struct tls_ctx *tls);
/* When our certificate that is for all ends, in seconds since 1970; 0: there is none. */
int64_t tls_ctx_expires_s(const struct tls_ctx *tls);

/* One of our certificates, as it is in use. */
struct tls_certificate_view {
    const char *file;  /* the configuration's name of it; valid until the next reload */
    int64_t expires_s; /* since 1970 */
    bool is_default;   /* it is shown to who asks for no name that we know */
};
/* Number i of them, the default first, and in *names, with ", " between, what it is for. -ENOENT:
 * there are no more. */
MUST_CHECK int tls_ctx_certificate_get(const struct tls_ctx *tls, unsigned i,
                                       struct tls_certificate_view *ret, struct buf *names);

/* Is one of our certificates for this name, by RFC 5922 or with a wildcard? */
bool tls_ctx_names(const struct tls_ctx *tls, struct str host);

struct tls_session;

/* Whom a client session is for. */
struct tls_target {
    struct str host;           /* its name or address: asked for by SNI, and in its certificate */
    const struct tls_pin *pin; /* its keys: these count instead of authority and name */
    unsigned n_pins;
};

/* NULL: no memory, or (server) no certificate. */
struct tls_session *tls_session_new_server(struct tls_ctx *tls);
struct tls_session *tls_session_new_client(struct tls_ctx *tls, const struct tls_target *target);
/* Accepts NULL. */
void tls_session_free(struct tls_session *s);

/* Bytes that came from the network. They are copied, so keep them few and read what they become.
 * 0 or -ENOMEM. */
MUST_CHECK int tls_session_rx(struct tls_session *s, const char *p, size_t n);
/* The plain bytes in what came; drives the handshake too. How many; 0: none until more comes.
 * -EPIPE: the peer has said goodbye. Other negative errno: the session has failed, and
 * tls_session_why() says why; there may still be an alert to send. */
MUST_CHECK ptrdiff_t tls_session_read(struct tls_session *s, char *out, size_t cap);
/* Makes records of plain bytes: all n of them, or a negative errno; -EAGAIN before the handshake is
 * over. */
MUST_CHECK int tls_session_write(struct tls_session *s, const char *p, size_t n);
/* Says goodbye; what is written before goes first. */
void tls_session_close(struct tls_session *s);
/* What is to be sent, and that n bytes of it were. */
struct str tls_session_tx(const struct tls_session *s);
void tls_session_tx_done(struct tls_session *s, size_t n);

/* The handshake is over. */
bool tls_session_is_up(const struct tls_session *s);
bool tls_session_is_resumed(const struct tls_session *s);
/* May it carry what is for this target too? If we began it for the very same one, or if the peer,
 * whoever began, has shown a certificate that we trust and that is for this host (RFC 5922 section
 * 7, RFC 5923 section 5). */
bool tls_session_serves(struct tls_session *s, const struct tls_target *target);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384". */
void tls_session_describe(const struct tls_session *s, struct buf *b);
/* Has the peer shown a certificate that holds, and holds still: neither it nor one above it has
 * ended, and those who vouch for it are trusted after the last reload too? */
bool tls_session_holds(struct tls_session *s);
/* Is that so, is the peer a client, and its certificate for this host (RFC 5922 section 7) and, if
 * there are any, of one of these keys? */
bool tls_session_proves(struct tls_session *s, const struct tls_target *who);
/* What is wrong with the certificate that a client has shown without need (ask_client), in words;
 * none if nothing is. */
void tls_session_doubt(const struct tls_session *s, struct buf *b);

/* The names in the peer's certificate, with ", " between. */
void tls_session_names(const struct tls_session *s, struct buf *b);

/* What kind of thing it failed for. */
enum tls_failure {
    TLS_FAILED_CERTIFICATE, /* the peer's does not hold, or it showed none */
    TLS_FAILED_REFUSED,     /* the peer refuses us, by an alert */
    TLS_FAILED_PROTOCOL,    /* no version or cipher in common, or no TLS at all */
    TLS_FAILURES
};
enum tls_failure tls_session_failure(const struct tls_session *s);
/* Why it failed, as one line in words; none if it has not. */
struct str tls_session_why(const struct tls_session *s);

#endif
