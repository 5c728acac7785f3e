/* Keys from secrets, and records opened with them. */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include "analysis/tls_int.h"
#include "base/be.h"

#define HEADER    5
#define TAG       16
#define CBC_BLOCK 16

static const struct tls_suite suites[] = {
    {0x1301, TLS_GCM, 16, 0, 32, true},
    {0x1302, TLS_GCM, 32, 0, 48, true},
    {0x1303, TLS_CHACHA, 32, 0, 32, true},
    /* RFC 5288, RFC 5289: with RSA, DHE and ECDHE. */
    {0x009C, TLS_GCM, 16, 0, 32, false},
    {0x009D, TLS_GCM, 32, 0, 48, false},
    {0x009E, TLS_GCM, 16, 0, 32, false},
    {0x009F, TLS_GCM, 32, 0, 48, false},
    {0xC02B, TLS_GCM, 16, 0, 32, false},
    {0xC02C, TLS_GCM, 32, 0, 48, false},
    {0xC02F, TLS_GCM, 16, 0, 32, false},
    {0xC030, TLS_GCM, 32, 0, 48, false},
    /* RFC 7905. */
    {0xCCA8, TLS_CHACHA, 32, 0, 32, false},
    {0xCCA9, TLS_CHACHA, 32, 0, 32, false},
    {0xCCAA, TLS_CHACHA, 32, 0, 32, false},
    /* RFC 5246, RFC 8422, RFC 5289. */
    {0x002F, TLS_CBC, 16, 20, 32, false},
    {0x0035, TLS_CBC, 32, 20, 32, false},
    {0x0033, TLS_CBC, 16, 20, 32, false},
    {0x0039, TLS_CBC, 32, 20, 32, false},
    {0x003C, TLS_CBC, 16, 32, 32, false},
    {0x003D, TLS_CBC, 32, 32, 32, false},
    {0x0067, TLS_CBC, 16, 32, 32, false},
    {0x006B, TLS_CBC, 32, 32, 32, false},
    {0xC009, TLS_CBC, 16, 20, 32, false},
    {0xC00A, TLS_CBC, 32, 20, 32, false},
    {0xC013, TLS_CBC, 16, 20, 32, false},
    {0xC014, TLS_CBC, 32, 20, 32, false},
    {0xC023, TLS_CBC, 16, 32, 32, false},
    {0xC024, TLS_CBC, 32, 48, 48, false},
    {0xC027, TLS_CBC, 16, 32, 32, false},
    {0xC028, TLS_CBC, 32, 48, 48, false},
};

const struct tls_suite *tls_suite_find(uint16_t id)
{
    for (unsigned i = 0; i < ARRAY_LEN(suites); i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

static const char *hash_name(unsigned bytes)
{
    return bytes == 20 ? "SHA1" : bytes == 32 ? "SHA256" : "SHA384";
}

static const EVP_CIPHER *cipher_of(const struct tls_suite *s)
{
    bool small = s->key_bytes == 16;
    switch ((enum tls_mode)s->mode) {
    case TLS_GCM:
        return small ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    case TLS_CHACHA:
        return EVP_chacha20_poly1305();
    case TLS_CBC:
        return small ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
    }
    return NULL;
}

void tls_cipher_done(struct tls_cipher *c)
{
    EVP_CIPHER_CTX_free(c->ctx);
    *c = (struct tls_cipher){.seq = 0};
}

/* The cipher begins anew with a key; its other parts are already set. */
static int begin(struct tls_cipher *c, const uint8_t *key)
{
    if (!c->ctx)
        c->ctx = EVP_CIPHER_CTX_new();
    c->seq = 0;
    if (c->ctx && EVP_DecryptInit_ex(c->ctx, cipher_of(c->suite), NULL, key, NULL) == 1 &&
        EVP_CIPHER_CTX_set_padding(c->ctx, 0) == 1)
        return 0;
    tls_cipher_done(c);
    return -EINVAL;
}

/* Runs a key derivation of the library. */
static int derive(const char *name, const OSSL_PARAM *params, uint8_t *out, size_t n)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int ok = ctx && EVP_KDF_derive(ctx, out, n, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok ? 0 : -EINVAL;
}

/* The library's parameters are not const; it only reads them. */
static OSSL_PARAM octets(const char *name, const void *p, size_t n)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)p, n);
}

static OSSL_PARAM digest(unsigned hash_bytes)
{
    return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                            (char *)(uintptr_t)hash_name(hash_bytes), 0);
}

/* RFC 5246 section 6.3: one block, cut into the keys of both directions. */
int tls_cipher_12(struct tls_cipher *c, const struct tls_suite *suite, bool server,
                  const struct tls_secret *master, const uint8_t randoms[64])
{
    uint8_t block[2 * (48 + 32 + 12)], seed[13 + 64];
    size_t iv_bytes = suite->mode == TLS_GCM ? 4 : suite->mode == TLS_CHACHA ? 12 : 0;
    size_t mac_bytes = suite->mac_bytes, key_bytes = suite->key_bytes;
    bool mac_last = c->mac_last;
    memcpy(seed, "key expansion", 13);
    memcpy(seed + 13, randoms, 64);
    OSSL_PARAM params[] = {digest(suite->hash_bytes),
                           octets(OSSL_KDF_PARAM_SECRET, master->p, master->n),
                           octets(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)), OSSL_PARAM_END};
    tls_cipher_done(c);
    if (derive("TLS1-PRF", params, block, 2 * (mac_bytes + key_bytes + iv_bytes)))
        return -EINVAL;
    c->suite = suite;
    c->mac_last = mac_last;
    const uint8_t *p = block + (server ? mac_bytes : 0);
    memcpy(c->mac, p, mac_bytes);
    p = block + 2 * mac_bytes + 2 * key_bytes + (server ? iv_bytes : 0);
    memcpy(c->iv, p, iv_bytes);
    return begin(c, block + 2 * mac_bytes + (server ? key_bytes : 0));
}

/* RFC 8446 section 7.1. */
static int expand_label(const struct tls_secret *secret, const char *label, unsigned hash_bytes,
                        uint8_t *out, size_t n)
{
    int expand = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    uint8_t info[64];
    size_t label_n = strlen(label), at = 0;
    be16_put(info, (uint16_t)n);
    info[2] = (uint8_t)(6 + label_n);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_n);
    at = 9 + label_n;
    info[at++] = 0; /* no context */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &expand),
                           digest(hash_bytes), octets(OSSL_KDF_PARAM_KEY, secret->p, secret->n),
                           octets(OSSL_KDF_PARAM_INFO, info, at), OSSL_PARAM_END};
    return derive("HKDF", params, out, n);
}

int tls_cipher_13(struct tls_cipher *c, const struct tls_suite *suite,
                  const struct tls_secret *secret)
{
    uint8_t key[32];
    tls_cipher_done(c);
    if (secret->n != suite->hash_bytes ||
        expand_label(secret, "key", suite->hash_bytes, key, suite->key_bytes) ||
        expand_label(secret, "iv", suite->hash_bytes, c->iv, sizeof(c->iv)))
        return -EINVAL;
    c->suite = suite;
    c->secret = *secret;
    return begin(c, key);
}

/* RFC 8446 section 7.2. */
int tls_cipher_update(struct tls_cipher *c)
{
    struct tls_secret next = {.n = c->secret.n};
    if (expand_label(&c->secret, "traffic upd", c->suite->hash_bytes, next.p, next.n))
        return -EINVAL;
    return tls_cipher_13(c, c->suite, &next);
}

/* Number, type, version, length: what a record's code is also over (RFC 5246 section 6.2.3). */
static void put_extra(uint8_t extra[13], const struct tls_record *r, size_t n)
{
    be64_put(extra, r->seq);
    memcpy(extra + 8, r->p, 3);
    be16_put(extra + 11, (uint16_t)n);
}

/* n bytes of `sealed`, and the tag behind them. */
static int open_aead(struct tls_cipher *c, const uint8_t nonce[12], struct str extra,
                     struct str sealed, uint8_t *plain)
{
    uint8_t tag[TAG];
    int n = (int)(sealed.n - TAG), got = 0, end = 0;
    memcpy(tag, sealed.p + n, TAG);
    if (EVP_DecryptInit_ex(c->ctx, NULL, NULL, NULL, nonce) != 1 ||
        EVP_DecryptUpdate(c->ctx, NULL, &got, (const uint8_t *)extra.p, (int)extra.n) != 1 ||
        EVP_DecryptUpdate(c->ctx, plain, &got, (const uint8_t *)sealed.p, n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1 ||
        EVP_DecryptFinal_ex(c->ctx, plain + got, &end) != 1)
        return -EBADMSG;
    return n;
}

static void nonce_of(uint8_t nonce[12], const struct tls_cipher *c, uint64_t seq)
{
    uint8_t number[8];
    be64_put(number, seq);
    memcpy(nonce, c->iv, 12);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] ^= number[i];
}

/* RFC 8446 section 5.2: the type is the last byte that is not zero. */
static int open_13(struct tls_cipher *c, const struct tls_record *r, uint8_t *plain, uint8_t *type)
{
    uint8_t nonce[12];
    const char *p = (const char *)r->p;
    if (r->n < HEADER + TAG)
        return -EBADMSG;
    nonce_of(nonce, c, r->seq);
    int n = open_aead(c, nonce, str_of(p, HEADER), str_of(p + HEADER, r->n - HEADER), plain);
    while (n > 0 && plain[n - 1] == 0)
        n--;
    if (n <= 0)
        return -EBADMSG;
    *type = plain[n - 1];
    return n - 1;
}

/* RFC 5288 section 3: a part of the nonce is in the record; RFC 7905: none of it is. */
static int open_12(struct tls_cipher *c, const struct tls_record *r, uint8_t *plain)
{
    uint8_t nonce[12], extra[13];
    size_t head = HEADER + (c->suite->mode == TLS_GCM ? 8 : 0);
    if (r->n < head + TAG)
        return -EBADMSG;
    nonce_of(nonce, c, r->seq);
    if (c->suite->mode == TLS_GCM) {
        memcpy(nonce, c->iv, 4);
        memcpy(nonce + 4, r->p + HEADER, 8);
    }
    put_extra(extra, r, r->n - head - TAG);
    return open_aead(c, nonce, str_of((char *)extra, sizeof(extra)),
                     str_of((const char *)r->p + head, r->n - head), plain);
}

static bool mac_fits(const struct tls_cipher *c, const uint8_t extra[13], struct str bytes,
                     const uint8_t *mac)
{
    uint8_t made[EVP_MAX_MD_SIZE];
    size_t n = 0;
    OSSL_PARAM params[] = {digest(c->suite->mac_bytes), OSSL_PARAM_END};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    bool ok = ctx && EVP_MAC_init(ctx, c->mac, c->suite->mac_bytes, params) == 1 &&
              EVP_MAC_update(ctx, extra, 13) == 1 &&
              EVP_MAC_update(ctx, (const uint8_t *)bytes.p, bytes.n) == 1 &&
              EVP_MAC_final(ctx, made, &n, sizeof(made)) == 1 && n == c->suite->mac_bytes;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(hmac);
    return ok && memcmp(made, mac, n) == 0;
}

/* RFC 5246 section 6.2.3.2; whose code is over what depends on RFC 7366. */
static int open_cbc(struct tls_cipher *c, const struct tls_record *r, uint8_t *plain)
{
    uint8_t extra[13];
    size_t mac_bytes = c->suite->mac_bytes, n = r->n - HEADER;
    const uint8_t *p = r->p + HEADER;
    if (c->mac_last) {
        if (n < mac_bytes)
            return -EBADMSG;
        n -= mac_bytes;
        put_extra(extra, r, n);
        if (!mac_fits(c, extra, str_of((const char *)p, n), p + n))
            return -EBADMSG;
    }
    if (n < 2 * CBC_BLOCK || n % CBC_BLOCK)
        return -EBADMSG;
    int got = 0, end = 0;
    n -= CBC_BLOCK;
    if (EVP_DecryptInit_ex(c->ctx, NULL, NULL, NULL, p) != 1 ||
        EVP_DecryptUpdate(c->ctx, plain, &got, p + CBC_BLOCK, (int)n) != 1 ||
        EVP_DecryptFinal_ex(c->ctx, plain + got, &end) != 1)
        return -EBADMSG;
    size_t pad = plain[n - 1] + 1u, rest = pad + (c->mac_last ? 0 : mac_bytes);
    if (rest > n)
        return -EBADMSG;
    n -= rest;
    if (c->mac_last)
        return (int)n;
    put_extra(extra, r, n);
    return mac_fits(c, extra, str_of((char *)plain, n), plain + n) ? (int)n : -EBADMSG;
}

int tls_open(struct tls_cipher *c, const struct tls_record *r, uint8_t *plain, uint8_t *type)
{
    *type = r->p[0];
    if (c->suite->v13)
        return open_13(c, r, plain, type);
    return c->suite->mode == TLS_CBC ? open_cbc(c, r, plain) : open_12(c, r, plain);
}
