#include "wire/sip/mask.h"

#include "wire/sip/dtmf_info.h"
#include "wire/sip/lex.h"

/* White space stays: a value may be folded. */
static void stars(char *p, const char *end)
{
    for (; p < end; p++)
        if (!lex_is(*p, LEX_SPACE))
            *p = '*';
}

/* Behind the line that p is in. */
static char *line_end(char *p, char *end)
{
    char *lf = memchr(p, '\n', (size_t)(end - p));
    return lf ? lf + 1 : end;
}

/* Behind the header field that begins at p, with its folds (RFC 3261 section 7.3.1). */
static char *field_end(char *p, char *end)
{
    do
        p = line_end(p, end);
    while (p < end && (*p == ' ' || *p == '\t'));
    return p;
}

/* The value of the field [p, end) if its name is this, in lower case; else NULL. */
static char *value_of(char *p, char *end, struct str name)
{
    if ((size_t)(end - p) <= name.n || !str_ieq(str_of(p, name.n), name))
        return NULL;
    p += name.n;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p == end || *p != ':')
        return NULL;
    return p + 1;
}

/* ---- credentials ----------------------------------------------------------------------------- */

/* Behind the value that begins at p: a quoted string or whatever stands before the next comma. */
static char *param_end(char *p, char *end)
{
    if (p == end || *p != '"') {
        while (p < end && *p != ',')
            p++;
        return p;
    }
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && p + 1 < end)
            p++;
    return p < end ? p + 1 : end;
}

static bool is_word(char c)
{
    return lex_is(c, LEX_TOKEN);
}

/* name = value, ...: the value of `response` goes, and that of `rspauth`. */
static void mask_digest(char *p, char *end)
{
    while (p < end) {
        while (p < end && !is_word(*p))
            p++;
        char *name = p;
        while (p < end && is_word(*p))
            p++;
        struct str word = str_of(name, (size_t)(p - name));
        while (p < end && lex_is(*p, LEX_SPACE))
            p++;
        if (p == end || *p != '=')
            continue;
        for (p++; p < end && lex_is(*p, LEX_SPACE);)
            p++;
        char *value = p;
        p = param_end(p, end);
        if (!str_ieq(word, STR("response")) && !str_ieq(word, STR("rspauth")))
            continue;
        bool quoted = value < p && *value == '"';
        stars(value + quoted, p - (quoted && p - value > 1 && p[-1] == '"'));
    }
}

static void mask_credentials(char *p, char *end)
{
    while (p < end && lex_is(*p, LEX_SPACE))
        p++;
    while (end > p && lex_is(end[-1], LEX_SPACE))
        end--;
    char *scheme = p;
    while (p < end && is_word(*p))
        p++;
    if (str_ieq(str_of(scheme, (size_t)(p - scheme)), STR("Digest")))
        mask_digest(p, end);
    else
        stars(p, end);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4 */
static void mask_crypto(char *p, char *end)
{
    ptrdiff_t at;
    while ((at = str_ifind(str_of(p, (size_t)(end - p)), STR("inline:"))) >= 0) {
        p += at + 7;
        char *key = p;
        while (p < end && *p != '|' && *p != ';' && !lex_is(*p, LEX_SPACE))
            p++;
        stars(key, p);
    }
}

/* What the exchange would read as a key, and nothing else. */
static void mask_keys(char *p, const char *end)
{
    struct str rest = str_of(p, (size_t)(end - p));
    while (rest.n) {
        struct str key = dtmf_info_key_next(&rest);
        if (key.n)
            stars(p + (key.p - p), key.p + key.n);
    }
}

/* Masks the credentials in the field that begins at p, if it holds some. Behind it. */
static char *mask_field(char *p, char *end)
{
    char first = chr_lower(*p);
    if (first != 'a' && first != 'p')
        return line_end(p, end);
    char *next = field_end(p, end), *value = value_of(p, next, STR("authorization"));
    value = value ? value : value_of(p, next, STR("proxy-authorization"));
    if (value) {
        mask_credentials(value, next);
        return next;
    }
    /* RFC 7616 section 3.5: by what the server proves, the password can be guessed as well. */
    value = value_of(p, next, STR("authentication-info"));
    value = value ? value : value_of(p, next, STR("proxy-authentication-info"));
    if (value)
        mask_digest(value, next);
    return value ? next : line_end(p, end);
}

/* What comes after the header: the body, and in a stream that has lost its way other messages. */
static void mask_body(char *p, char *end, bool info)
{
    /* application/dtmf is nothing but the key. */
    if (info && end - p <= 4) {
        stars(p, end);
        return;
    }
    if (info)
        mask_keys(p, end);
    for (char *next; p < end; p = next) {
        next = mask_field(p, end);
        struct str line = str_of(p, (size_t)(next - p));
        if (str_istarts(line, STR("a=crypto:")))
            mask_crypto(p, next);
    }
}

struct str sip_mask(char *p, size_t n)
{
    char *end = p + n;
    struct str call_id = STR_NONE;
    /* RFC 3261 section 7.5: empty lines before the start line. */
    while (p < end && (*p == '\r' || *p == '\n'))
        p++;
    bool info = str_starts(str_of(p, (size_t)(end - p)), STR("INFO "));
    for (p = line_end(p, end); p < end && *p != '\r' && *p != '\n';) {
        char *next = mask_field(p, end), first = chr_lower(*p);
        if (!call_id.p && (first == 'c' || first == 'i')) {
            next = field_end(p, end);
            char *value = value_of(p, next, STR("call-id"));
            value = value ? value : value_of(p, next, STR("i"));
            if (value)
                call_id = str_trim(str_of(value, (size_t)(next - value)));
        }
        p = next;
    }
    if (p < end)
        mask_body(line_end(p, end), end, info);
    return call_id;
}
