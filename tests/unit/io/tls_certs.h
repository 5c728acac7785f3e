/* An authority in a test: certificates as they are wanted, right and wrong, written as PEM files.
 */
#ifndef TLS_CERTS_H
#define TLS_CERTS_H

#include "io_test.h"

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define CERT_DAY 86400L

/* What is to be written into a certificate. */
struct cert_plan {
    const char *common_name; /* NULL: none */
    const char *names;       /* subjectAltName, as "DNS:a.test,URI:sip:b.test"; NULL: none */
    const char *usage;       /* extendedKeyUsage; NULL: none */
    const char *key_usage;   /* keyUsage; NULL: none */
    long from_s, until_s;    /* from now */
    bool authority;
};

struct cert {
    EVP_PKEY *key;
    X509 *x509;
};

static inline void cert_extend(X509 *to, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(to, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* Signed by `by`, or by itself. */
static inline struct cert cert_make(const struct cert_plan *plan, const struct cert *by)
{
    static long serial = 1;
    struct cert c = {EVP_EC_gen("P-256"), X509_new()};
    assert_non_null(c.key);
    assert_non_null(c.x509);
    X509 *issuer = by ? by->x509 : c.x509;
    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), plan->from_s);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), plan->until_s);
    X509_set_pubkey(c.x509, c.key);
    if (plan->common_name)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x509), "CN", MBSTRING_ASC,
                                   (const unsigned char *)plan->common_name, -1, -1, 0);
    X509_set_issuer_name(c.x509, X509_get_subject_name(issuer));
    cert_extend(c.x509, issuer, NID_basic_constraints,
                plan->authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (plan->names)
        cert_extend(c.x509, issuer, NID_subject_alt_name, plan->names);
    if (plan->usage)
        cert_extend(c.x509, issuer, NID_ext_key_usage, plan->usage);
    if (plan->key_usage)
        cert_extend(c.x509, issuer, NID_key_usage, plan->key_usage);
    assert_true(X509_sign(c.x509, by ? by->key : c.key, EVP_sha256()) > 0);
    return c;
}

static inline struct cert cert_authority(const char *name)
{
    struct cert_plan plan = {
        .common_name = name, .from_s = -CERT_DAY, .until_s = CERT_DAY, .authority = true};
    return cert_make(&plan, NULL);
}

static inline struct cert cert_for(const char *names, const struct cert *by)
{
    struct cert_plan plan = {.names = names, .from_s = -CERT_DAY, .until_s = CERT_DAY};
    return cert_make(&plan, by);
}

static inline void cert_free(struct cert *c)
{
    EVP_PKEY_free(c->key);
    X509_free(c->x509);
    *c = (struct cert){0};
}

/* Each whole: what is read meanwhile is the old file or the new one. */
static inline void cert_write(const struct cert *c, const char *cert_file, const char *key_file)
{
    char part[300];
    if (cert_file) {
        snprintf(part, sizeof(part), "%s.part", cert_file);
        FILE *f = fopen(part, "w");
        assert_non_null(f);
        assert_int_equal(PEM_write_X509(f, c->x509), 1);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(rename(part, cert_file), 0);
    }
    if (key_file) {
        snprintf(part, sizeof(part), "%s.part", key_file);
        FILE *f = fopen(part, "w");
        assert_non_null(f);
        assert_int_equal(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(rename(part, key_file), 0);
    }
}

/* Behind what the file has: a chain. */
static inline void cert_append(const struct cert *c, const char *cert_file)
{
    FILE *f = fopen(cert_file, "a");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, c->x509), 1);
    assert_int_equal(fclose(f), 0);
}

static inline void cert_key_hash(const struct cert *c, uint8_t ret[32])
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(c->key, &der);
    assert_true(n > 0);
    SHA256(der, (size_t)n, ret);
    OPENSSL_free(der);
}

#endif
