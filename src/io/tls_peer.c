/* Who a peer is, by its certificate. RFC 5922. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "io/tls_int.h"

/* ---- names ----------------------------------------------------------------------------------- */

static struct str asn1_text(const ASN1_STRING *s)
{
    return str_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* The host of a URI that names a SIP domain: sip, without a user. RFC 5922 7.1. */
static struct str sip_domain(struct str uri)
{
    if (!str_istarts(uri, STR("sip:")))
        return STR_NONE;
    struct str host = str_from(uri, 4);
    if (str_chr(host, '@') >= 0)
        return STR_NONE;
    size_t n = 0;
    while (n < host.n && host.p[n] != ':' && host.p[n] != ';' && host.p[n] != '?')
        n++;
    return str_sub(host, 0, n);
}

static struct str without_dot(struct str host)
{
    return host.n && host.p[host.n - 1] == '.' ? str_sub(host, 0, host.n - 1) : host;
}

/* RFC 5922 7.2: as DNS names, whole, and a wildcard stands for nothing but itself. */
static bool is_same(struct str a, struct str b)
{
    return a.n && str_ieq(without_dot(a), without_dot(b));
}

static bool is_ip(const GENERAL_NAME *name, const struct addr *ip)
{
    struct str bytes = asn1_text(name->d.iPAddress);
    return bytes.n == (ip->family == ADDR_V4 ? 4u : 16u) && !memcmp(bytes.p, ip->ip, bytes.n);
}

/* RFC 5922 7.1: names of DNS count only where no sip: URI is found. An address, which a name in a
 * URI may be too, is looked up among the addresses. */
static bool alternatives_cover(const GENERAL_NAMES *names, struct str host)
{
    struct addr ip;
    bool numeric = addr_parse(&ip, host, 0) == 0, uris = false, dns = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI) {
            struct str domain = sip_domain(asn1_text(name->d.uniformResourceIdentifier));
            uris |= domain.n > 0;
            if (is_same(domain, host))
                return true;
        } else if (name->type == GEN_DNS) {
            dns |= is_same(asn1_text(name->d.dNSName), host);
        } else if (name->type == GEN_IPADD && numeric && is_ip(name, &ip)) {
            return true;
        }
    }
    return dns && !uris;
}

bool tls_peer_covers(X509 *cert, struct str host)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (names) {
        bool covers = alternatives_cover(names, host);
        GENERAL_NAMES_free(names);
        return covers;
    }
    /* Step 2 of 7.1: the common name, where there is no subjectAltName at all. One that cannot be
     * read is no absent one. */
    if (X509_get_ext_by_NID(cert, NID_subject_alt_name, -1) >= 0)
        return false;
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return false;
    return is_same(asn1_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))), host);
}

static void name_put(struct buf *b, struct str name)
{
    if (b->n)
        buf_lit(b, ", ");
    buf_str_put(b, name);
}

void tls_peer_names(X509 *cert, struct buf *b)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS || name->type == GEN_URI)
            name_put(b, asn1_text(name->d.ia5));
    }
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = names ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
        name_put(b, asn1_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
    GENERAL_NAMES_free(names);
}

/* ---- what it is for --------------------------------------------------------------------------
 */

#define SIP_DOMAIN_USE "1.3.6.1.5.5.7.3.20" /* id-kp-sipDomain, RFC 5924 section 3.1 */

static bool is_for_sip_domains(const X509 *cert)
{
    EXTENDED_KEY_USAGE *uses = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    bool found = false;
    for (int i = 0; uses && i < sk_ASN1_OBJECT_num(uses) && !found; i++) {
        char oid[80];
        OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(uses, i), 1);
        found = !strcmp(oid, SIP_DOMAIN_USE);
    }
    EXTENDED_KEY_USAGE_free(uses);
    return found;
}

/* RFC 5924 section 4: with that usage a certificate will do, and any usage is a matter of policy:
 * ours is yes. All others MUST NOT, strictly; but what public authorities issue is for servers of
 * the Web, without a word of clients even, and a domain in SIP has one certificate for both parts
 * (RFC 5922 section 5). So that counts of both. OpenSSL knows the Web only, and asks here about
 * what it would refuse. */
static bool is_for_sip(X509 *cert, bool of_server, bool authority)
{
    uint32_t uses = X509_get_extended_key_usage(cert);
    bool fits = (uses & (XKU_ANYEKU | XKU_SSL_SERVER)) || is_for_sip_domains(cert);
    if (uses == UINT32_MAX || !fits)
        return false; /* without the extension it is refused for something else */
    uint32_t needs =
        KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT | (of_server ? KU_KEY_ENCIPHERMENT : 0);
    return authority || (X509_get_key_usage(cert) & needs);
}

/* ---- keys ------------------------------------------------------------------------------------ */

int tls_pin_parse(struct tls_pin *ret, struct str text)
{
    struct tls_pin pin = {0};
    if (text.n != 2 * sizeof(pin.sha256))
        return -EINVAL;
    for (size_t i = 0; i < text.n; i++) {
        char c = chr_lower(text.p[i]);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -EINVAL;
        pin.sha256[i / 2] = (uint8_t)(pin.sha256[i / 2] << 4 | digit);
    }
    *ret = pin;
    return 0;
}

bool tls_peer_is_pinned(X509 *cert, const struct tls_pin *pin, unsigned n_pins)
{
    struct tls_pin key;
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (n <= 0)
        return false;
    SHA256(der, (size_t)n, key.sha256);
    OPENSSL_free(der);
    for (unsigned i = 0; i < n_pins; i++)
        if (!memcmp(pin[i].sha256, key.sha256, sizeof(key.sha256)))
            return true;
    return false;
}

/* ---- the verdict ------------------------------------------------------------------------------
 */

static struct tls_session *session_of(X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    return SSL_get_app_data(ssl);
}

/* With a pinned key nobody need vouch for it; when it ends, and what it is for, counts still. */
static int on_fault(int ok, X509_STORE_CTX *store)
{
    int fault = X509_STORE_CTX_get_error(store);
    const struct tls_session *s = session_of(store);
    if (!ok && fault == X509_V_ERR_INVALID_PURPOSE)
        return is_for_sip(X509_STORE_CTX_get_current_cert(store), s->client,
                          X509_STORE_CTX_get_error_depth(store) > 0);
    if (!s->n_pins)
        return ok;
    switch (fault) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return 1;
    default:
        return ok;
    }
}

static int refuse(X509_STORE_CTX *store, int err)
{
    X509_STORE_CTX_set_error(store, err);
    return 0;
}

static int judge(X509_STORE_CTX *store, const struct tls_session *s)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (s->n_pins && !tls_peer_is_pinned(leaf, s->pin, s->n_pins))
        return refuse(store, X509_V_ERR_APPLICATION_VERIFICATION);
    X509_STORE_CTX_set_verify_cb(store, on_fault);
    if (X509_verify_cert(store) != 1)
        return 0;
    /* RFC 5922 7.3: the name that we began with, not what DNS made of it. */
    if (s->client && !s->own_pins && !tls_peer_covers(leaf, str_z(s->host)))
        return refuse(store, X509_V_ERR_HOSTNAME_MISMATCH);
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int64_t end_of(const X509 *cert)
{
    struct tm end;
    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1 ? timegm(&end) : 0;
}

static int64_t first_end(const X509 *leaf, const STACK_OF(X509) * chain)
{
    int64_t first = end_of(leaf);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end = end_of(sk_X509_value(chain, i));
        first = end < first ? end : first;
    }
    return first;
}

bool tls_peer_judge_again(struct tls_session *s)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    SSL_CTX *trust = s->tls->client; /* it has the authorities, whoever is asked */
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    bool holds = false;
    if (cert && store &&
        X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(trust), cert,
                            SSL_get_peer_cert_chain(s->ssl)) == 1 &&
        X509_STORE_CTX_set_default(store, s->client ? "ssl_server" : "ssl_client") == 1 &&
        X509_STORE_CTX_set_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx(), s->ssl) == 1) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
        X509_VERIFY_PARAM_set_depth(param, SSL_CTX_get_verify_depth(trust));
        X509_VERIFY_PARAM_set_auth_level(param, SSL_CTX_get_security_level(trust));
        holds = judge(store, s);
        if (holds)
            s->until_s = first_end(cert, X509_STORE_CTX_get0_chain(store));
    }
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return holds;
}

int tls_peer_judge(X509_STORE_CTX *store, void *unused)
{
    struct tls_session *s = session_of(store);
    (void)unused;
    int holds = judge(store, s);
    /* Who was only asked may have shown what its maker put into it. The verdict stays, and nobody
     * takes it for who it says. */
    bool only_asked =
        !s->client && !(SSL_get_verify_mode(s->ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    return holds || only_asked;
}

/* ---- how long it holds -------------------------------------------------------------------------
 */

/* A ticket holds the certificate, but not those above it: the time goes along. INT64_MAX: who
 * showed none, or none that holds, loses nothing by time. */
static int64_t ticket_until_s(SSL_SESSION *session)
{
    void *data;
    size_t n;
    int64_t until_s = 0;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &n) == 1 && data && n == sizeof(until_s))
        memcpy(&until_s, data, n);
    return until_s;
}

int64_t tls_peer_until_s(const struct tls_session *s)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    if (!cert || SSL_get_verify_result(s->ssl) != X509_V_OK)
        return INT64_MAX;
    if (!SSL_session_reused(s->ssl))
        return first_end(cert, SSL_get0_verified_chain(s->ssl));
    /* The tickets of servers are theirs. */
    return s->client ? end_of(cert) : ticket_until_s(SSL_get_session(s->ssl));
}

int tls_peer_ticket_make(SSL *ssl, void *unused)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    int64_t until_s = tls_peer_until_s(s);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &until_s, sizeof(until_s));
}

SSL_TICKET_RETURN tls_peer_ticket_take(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                       size_t n, SSL_TICKET_STATUS status, void *unused)
{
    bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (!good || ticket_until_s(session) <= time(NULL))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- words ----------------------------------------------------------------------------------- */

void tls_peer_words(const struct tls_session *s, long verdict, struct buf *b)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        buf_lit(b, "its certificate has expired");
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        buf_lit(b, "its certificate is not valid yet");
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        buf_lit(b, "its certificate is self-signed");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        buf_lit(b, "its certificate is of an unknown authority");
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
        buf_lit(b, "its certificate is not for ");
        buf_z(b, s->host);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        buf_lit(b, "its certificate is for other uses than SIP");
        break;
    case X509_V_ERR_APPLICATION_VERIFICATION:
        buf_lit(b, "its key is none of those pinned");
        break;
    default:
        buf_lit(b, "its certificate does not hold: ");
        buf_z(b, X509_verify_cert_error_string(verdict));
        break;
    }
}

static enum tls_failure protocol_words(unsigned long err, struct buf *b)
{
    int reason = ERR_GET_REASON(err);
    if (ERR_GET_LIB(err) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET) {
        int alert = reason - SSL_AD_REASON_OFFSET;
        buf_lit(b, "it refuses: ");
        buf_z(b, alert == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required"
                                                      : SSL_alert_desc_string_long(alert));
        return TLS_FAILED_REFUSED;
    }
    switch (ERR_GET_LIB(err) == ERR_LIB_SSL ? reason : 0) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        buf_lit(b, "it shows no certificate");
        return TLS_FAILED_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_VERSION_TOO_LOW:
        buf_lit(b, "no version of TLS in common");
        break;
    case SSL_R_NO_SHARED_CIPHER:
        buf_lit(b, "no cipher in common");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        buf_lit(b, "it does not speak TLS");
        break;
    default: {
        const char *words = ERR_reason_error_string(err);
        buf_z(b, words ? words : "TLS failed");
        break;
    }
    }
    return TLS_FAILED_PROTOCOL;
}

void tls_peer_explain(struct tls_session *s)
{
    struct buf b;
    unsigned long err = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(s->ssl);
    buf_init(&b, s->why, sizeof(s->why) - 1);
    if (ERR_GET_LIB(err) == ERR_LIB_SSL && ERR_GET_REASON(err) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        verdict != X509_V_OK) {
        s->failure = TLS_FAILED_CERTIFICATE;
        tls_peer_words(s, verdict, &b);
    } else {
        s->failure = (uint8_t)protocol_words(err, &b);
    }
    s->why[b.n] = '\0';
    ERR_clear_error();
}
