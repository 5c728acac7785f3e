#include "analysis/anon.h"

#include "base/be.h"
#include "wire/rtp/rtp.h"
#include "wire/sip/digest.h"

#define LONGEST_WORD 128 /* what is before that does not change what is behind */

/* A number that only the key and the text determine. */
static uint32_t prf(const struct an_anon *a, char kind, const void *p, size_t n)
{
    char text[1 + LONGEST_WORD];
    uint8_t out[4];
    if (n > LONGEST_WORD)
        n = LONGEST_WORD;
    text[0] = kind;
    if (n)
        memcpy(text + 1, p, n);
    digest_hmac(a->key, sizeof(a->key), str_of(text, n + 1), out, sizeof(out));
    return be32_get(out);
}

/* ---- words ----------------------------------------------------------------------------------- */

/* The bytes of one character; Hangul syllables become others, what else is not ASCII a stand-in of
 * as many bytes. */
static size_t wide_replace(const struct an_anon *a, char *p, size_t n, const void *behind,
                           size_t behind_n)
{
    static const struct str stand_in[] = {STR_INIT("\xC2\xB7"), STR_INIT("\xE3\x80\x87"),
                                          STR_INIT("\xF0\x9F\x91\xA4")};
    uint8_t *u = (uint8_t *)p;
    size_t len = u[0] >= 0xF0 ? 4 : u[0] >= 0xE0 ? 3 : u[0] >= 0xC0 ? 2 : 1;
    if (len > n || len == 1) {
        p[0] = '.';
        return 1;
    }
    uint32_t c = len == 3 ? (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u) : 0;
    memcpy(p, stand_in[len - 2].p, len);
    if (c >= 0xAC00 && c <= 0xD7A3) {
        c = 0xAC00 + (c - 0xAC00 + prf(a, 'h', behind, behind_n)) % 11172;
        u[0] = (uint8_t)(0xE0 | c >> 12);
        u[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        u[2] = (uint8_t)(0x80 | (c & 63));
    }
    return len;
}

/* One letter or digit becomes another one; which depends on all that is behind it, so that equal
 * ends have equal ends. */
static char replace(const struct an_anon *a, char c, const char *behind, size_t n)
{
    uint32_t r = prf(a, 'w', behind, n);
    if (c >= '0' && c <= '9')
        return (char)('0' + ((uint32_t)(c - '0') + r) % 10);
    if (c >= 'a' && c <= 'z')
        return (char)('a' + ((uint32_t)(c - 'a') + r) % 26);
    return (char)('A' + ((uint32_t)(c - 'A') + r) % 26);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (chr_lower(c) >= 'a' && chr_lower(c) <= 'z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits and letters are runs of their own, so that "109Q" is one tenant before each number. */
static void word(const struct an_anon *a, char *p, size_t n)
{
    char behind[LONGEST_WORD]; /* lower case, nearest first */
    size_t known = 0;
    for (size_t i = n; i-- > 0;) {
        char was = chr_lower(p[i]);
        if (known && is_digit(was) != is_digit(behind[known - 1]))
            known = 0;
        p[i] = replace(a, p[i], behind, known);
        if (known < sizeof(behind))
            behind[known++] = was;
    }
}

/* "%2A" is a character that must not be read as its letters. */
static bool is_escape(const char *p, size_t n)
{
    return n >= 3 && p[0] == '%' && is_word(p[1]) && is_word(p[2]);
}

void an_anon_words(const struct an_anon *a, char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = 0;
        while (i + len < n && is_word(p[i + len]))
            len++;
        if (len)
            word(a, p + i, len);
        else if ((uint8_t)p[i] >= 0x80)
            len = wide_replace(a, p + i, n - i, p + i + 1, 0);
        else
            len = is_escape(p + i, n - i) ? 3 : 1;
        i += len;
    }
}

/* ---- addresses ------------------------------------------------------------------------------- */

static unsigned digits(unsigned v)
{
    return v >= 100 ? 3 : v >= 10 ? 2 : 1;
}

/* Octets of one class become each other: as many digits, and the special networks stay what they
 * are (RFC 6890). */
static unsigned octet_class(const uint8_t *ip, unsigned i, unsigned v)
{
    static const uint8_t fixed[] = {0, 10, 100, 127, 169, 172, 192};
    if (i == 0) {
        for (unsigned k = 0; k < sizeof(fixed); k++)
            if (v == fixed[k])
                return 1000 + v;
        return v >= 224 ? 1000 + v : digits(v);
    }
    bool special = i == 1 && ((ip[0] == 172 && v >= 16 && v <= 31) || (ip[0] == 192 && v == 168) ||
                              (ip[0] == 100 && v >= 64 && v <= 127) || (ip[0] == 169 && v == 254));
    return digits(v) + (special ? 10 : 0);
}

static void addr4(const struct an_anon *a, uint8_t *ip)
{
    uint8_t was[4];
    memcpy(was, ip, sizeof(was));
    for (unsigned i = 0; i < 4; i++) {
        uint8_t member[256];
        unsigned n = 0, at = 0, class = octet_class(was, i, was[i]);
        for (unsigned v = 0; v < 256; v++) {
            if (octet_class(was, i, v) != class)
                continue;
            if (v == was[i])
                at = n;
            member[n++] = (uint8_t)v;
        }
        ip[i] = member[(at + prf(a, '4', was, i)) % n];
    }
}

static void addr6(const struct an_anon *a, uint8_t *ip)
{
    uint8_t was[16];
    memcpy(was, ip, sizeof(was));
    for (unsigned i = 2; i < 16; i += 2) {
        uint32_t v = be16_get(was + i), least = v >= 0x1000  ? 0x1000
                                                : v >= 0x100 ? 0x100
                                                : v >= 0x10  ? 0x10
                                                             : 1;
        uint32_t n = 15 * least;
        if (v)
            be16_put(ip + i, (uint16_t)(least + (v - least + prf(a, '6', was, i) % n) % n));
    }
}

void an_anon_addr(const struct an_anon *a, struct addr *addr)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    struct addr none = {.family = ADDR_V6};
    none.ip[15] = 1;
    if (addr_is_any(addr) || addr_is_multicast(addr) || addr_ip_eq(addr, &none))
        return;
    if (addr->family == ADDR_V4)
        addr4(a, addr->ip);
    else if (addr->family == ADDR_V6 && memcmp(addr->ip, mapped, sizeof(mapped)) == 0)
        addr4(a, addr->ip + 12);
    else if (addr->family == ADDR_V6)
        addr6(a, addr->ip);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (chr_lower(c) >= 'a' && chr_lower(c) <= 'f');
}

/* The octets keep their numbers of digits, so the text its length. */
static void text4(const struct an_anon *a, char *p, size_t n)
{
    struct addr addr;
    char mem[20];
    struct buf b;
    if (addr_parse(&addr, str_of(p, n), 0) || addr.family != ADDR_V4)
        return;
    an_anon_addr(a, &addr);
    buf_init(&b, mem, sizeof(mem));
    addr_put_ip(&b, &addr);
    if (b.n == n)
        memcpy(p, mem, n);
}

static void group_put(char *p, size_t n, unsigned v)
{
    static const char digit[] = "0123456789abcdef";
    while (n) {
        p[--n] = digit[v & 15];
        v >>= 4;
    }
}

/* Group by group, from both ends to the "::" where there is one. */
static void text6(const struct an_anon *a, char *p, size_t n)
{
    struct addr addr;
    unsigned group = 0;
    if (addr_parse(&addr, str_of(p, n), 0) || addr.family != ADDR_V6 || memchr(p, '.', n) != NULL)
        return;
    an_anon_addr(a, &addr);
    for (size_t i = 0; i < n;) {
        size_t len = 0;
        while (i + len < n && is_hex(p[i + len]))
            len++;
        if (len && group < 8)
            group_put(p + i, len, be16_get(addr.ip + 2 * group++));
        i += len;
        if (i + 1 < n && p[i] == ':' && p[i + 1] == ':') {
            unsigned left = i + 2 < n;
            for (size_t k = i + 2; k < n; k++)
                left += p[k] == ':';
            group = 8 - left;
            i++;
        }
        i++;
    }
}

/* A run of what addresses are written with. */
static size_t run(const char *p, size_t n, bool *six)
{
    size_t len = 0;
    unsigned colons = 0;
    while (len < n && (is_hex(p[len]) || p[len] == '.' || p[len] == ':'))
        colons += p[len++] == ':';
    *six = colons >= 2;
    if (*six)
        return len;
    for (len = 0; len < n && ((p[len] >= '0' && p[len] <= '9') || p[len] == '.');)
        len++;
    return len;
}

void an_anon_addresses(const struct an_anon *a, char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        bool six;
        if (is_escape(p + i, n - i)) {
            i += 3;
            continue;
        }
        size_t len = run(p + i, n - i, &six);
        size_t end = len;
        while (end && p[i + end - 1] == '.')
            end--; /* of a sentence */
        if (six)
            text6(a, p + i, end);
        else if (end >= 7)
            text4(a, p + i, end);
        if (!len && is_word(p[i])) /* in the middle of a word there is no address */
            while (i + len < n && (is_word(p[i + len]) || p[i + len] == '_'))
                len++;
        i += len ? len : 1;
    }
}

/* ---- packets --------------------------------------------------------------------------------- */

/* RFC 3550 section 6.5: the items of one source, up to the zero that ends them. */
static void sdes(const struct an_anon *a, uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 4 <= n;) {
        i += 4;
        while (i + 1 < n && p[i]) {
            size_t len = p[i + 1];
            if (len > n - i - 2)
                return;
            an_anon_addresses(a, (char *)p + i + 2, len);
            an_anon_words(a, (char *)p + i + 2, len);
            i += 2 + len;
        }
        i = (i + 4) & ~(size_t)3;
    }
}

void an_anon_rtcp(const struct an_anon *a, uint8_t *p, size_t n)
{
    enum { RTCP_SDES = 202, RTCP_APP = 204 };
    for (size_t i = 0; i + 8 <= n;) {
        size_t len = ((size_t)be16_get(p + i + 2) + 1) * 4;
        if (len > n - i || len < 8)
            return;
        if (p[i + 1] == RTCP_SDES)
            sdes(a, p + i + 4, len - 4);
        else if (p[i + 1] == RTCP_APP)
            memset(p + i + 8, 0, len - 8);
        i += len;
    }
}

void an_anon_rtp(uint8_t *p, size_t n, uint8_t silence)
{
    struct rtp_view v;
    if (rtp_parse(&v, p, n) == 0)
        memset(p + (v.payload - p), silence, v.payload_bytes);
    else if (n > RTP_HEADER_BYTES)
        memset(p + RTP_HEADER_BYTES, silence, n - RTP_HEADER_BYTES);
}
