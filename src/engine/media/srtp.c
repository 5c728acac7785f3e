#include "engine/media/srtp.h"

#include <errno.h>
#include <srtp2/srtp.h>

#include "base/mem.h"

#define MAX_KEY 46 /* of AES-256 with its salt (RFC 6188 section 2) */
/* Packets that may come out of order. */
#define WINDOW 1024

struct srtp_rx {
    srtp_t session;
};

struct suite {
    struct str name;
    void (*set)(srtp_crypto_policy_t *p);
    unsigned key_bytes; /* with the salt */
};

/* RFC 4568 section 6.2, RFC 6188 section 4, RFC 7714 section 14.2. */
static const struct suite suites[] = {
    {STR_INIT("AES_CM_128_HMAC_SHA1_80"), srtp_crypto_policy_set_rtp_default, 30},
    {STR_INIT("AES_CM_128_HMAC_SHA1_32"), srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, 30},
    {STR_INIT("AES_192_CM_HMAC_SHA1_80"), srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80, 38},
    {STR_INIT("AES_192_CM_HMAC_SHA1_32"), srtp_crypto_policy_set_aes_cm_192_hmac_sha1_32, 38},
    {STR_INIT("AES_256_CM_HMAC_SHA1_80"), srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, 46},
    {STR_INIT("AES_256_CM_HMAC_SHA1_32"), srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32, 46},
    {STR_INIT("AEAD_AES_128_GCM"), srtp_crypto_policy_set_aes_gcm_128_16_auth, 28},
    {STR_INIT("AEAD_AES_256_GCM"), srtp_crypto_policy_set_aes_gcm_256_16_auth, 44},
};

int srtp_start(void)
{
    return srtp_init() == srtp_err_status_ok ? 0 : -ENOSYS;
}

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* RFC 4648 section 4; the number of bytes, or -EBADMSG. */
static int base64_read(uint8_t out[MAX_KEY], struct str text)
{
    uint32_t bits = 0;
    unsigned have = 0, n = 0;
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    for (size_t i = 0; i < text.n; i++) {
        int v = digit_of(text.p[i]);
        if (v < 0)
            return -EBADMSG;
        bits = bits << 6 | (unsigned)v;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (n == MAX_KEY)
            return -EBADMSG;
        out[n++] = (uint8_t)(bits >> have);
    }
    return (int)n;
}

static struct str word_take(struct str *rest)
{
    *rest = str_trim(*rest);
    ptrdiff_t space = str_chr(*rest, ' ');
    struct str word = space < 0 ? *rest : str_sub(*rest, 0, (size_t)space);
    *rest = str_from(*rest, word.n);
    return word;
}

static const struct suite *suite_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++)
        if (str_ieq(suites[i].name, name))
            return &suites[i];
    /* As some phones write what RFC 6188 calls otherwise. */
    if (str_ieq(name, STR("AES_CM_256_HMAC_SHA1_80")))
        return &suites[4];
    return str_ieq(name, STR("AES_CM_256_HMAC_SHA1_32")) ? &suites[5] : NULL;
}

/* Of "inline:KEY|LIFETIME|MKI:LENGTH" the key (RFC 4568 section 6.1). */
static int key_read(uint8_t key[MAX_KEY], struct str params, const struct suite *suite)
{
    if (!str_istarts(params, STR("inline:")))
        return -EBADMSG;
    params = str_from(params, 7);
    ptrdiff_t semicolon = str_chr(params, ';'); /* more keys, which only an MKI could tell apart */
    ptrdiff_t bar = str_chr(params, '|');
    if (semicolon >= 0 || (bar >= 0 && str_chr(str_from(params, (size_t)bar), ':') >= 0))
        return -ENOTSUP;
    int n = base64_read(key, bar < 0 ? params : str_sub(params, 0, (size_t)bar));
    return n == (int)suite->key_bytes ? 0 : -EBADMSG;
}

int srtp_rx_new(struct srtp_rx **ret, struct str crypto)
{
    uint8_t key[MAX_KEY];
    (void)word_take(&crypto); /* the tag */
    const struct suite *suite = suite_find(word_take(&crypto));
    if (!suite)
        return -ENOTSUP;
    int err = key_read(key, word_take(&crypto), suite);
    if (err)
        return err;
    if (str_ifind(crypto, STR("UNENCRYPTED_SRTP")) >= 0 ||
        str_ifind(crypto, STR("UNAUTHENTICATED_SRTP")) >= 0)
        return -ENOTSUP;
    struct srtp_rx *s = mem_zero(sizeof(*s));
    if (!s)
        return -ENOMEM;
    srtp_policy_t p = {.ssrc = {.type = ssrc_any_inbound}, .key = key, .window_size = WINDOW};
    suite->set(&p.rtp);
    suite->set(&p.rtcp);
    srtp_err_status_t status = srtp_create(&s->session, &p);
    if (status != srtp_err_status_ok) {
        mem_free(s);
        return status == srtp_err_status_alloc_fail ? -ENOMEM : -ENOTSUP;
    }
    *ret = s;
    return 0;
}

void srtp_rx_free(struct srtp_rx *s)
{
    if (!s)
        return;
    (void)srtp_dealloc(s->session);
    mem_free(s);
}

int srtp_rx_open(struct srtp_rx *s, uint8_t *p, size_t *n)
{
    if (*n > INT32_MAX)
        return -EBADMSG;
    int bytes = (int)*n;
    if (srtp_unprotect(s->session, p, &bytes) != srtp_err_status_ok || bytes < 0)
        return -EBADMSG;
    *n = (size_t)bytes;
    return 0;
}
