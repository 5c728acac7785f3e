/* Lists, parameters, quoting and escaping in values that were already located. */
#include "base/num.h"
#include "wire/sip/lex.h"

/* Index of the first `sep` outside quotes and, for commas, outside angle brackets; s.n if none. An
 * open quote or bracket runs to the end. */
static size_t find_outside_slow(struct str s, char sep, bool brackets)
{
    bool quoted = false, inside = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && brackets && (c == '<' || c == '>'))
            inside = c == '<';
        else if (!quoted && !inside && c == sep)
            return i;
    }
    return s.n;
}

/* Where nothing before the first `sep` hides it, that is the one; s is not empty. */
static inline size_t find_outside(struct str s, char sep, bool brackets)
{
    const char *at = memchr(s.p, sep, s.n);
    if (!at)
        return s.n;
    size_t n = (size_t)(at - s.p);
    if (memchr(s.p, '"', n) || (brackets && memchr(s.p, '<', n)))
        return find_outside_slow(s, sep, brackets);
    return n;
}

/* Takes the text before index `at` off *rest, with the separator that stands there. */
static inline struct str take_before(struct str *rest, size_t at)
{
    struct str s = *rest;
    size_t off = at < s.n ? at + 1 : at;
    *rest = str_of(s.p + off, s.n - off);
    return lex_trim(str_of(s.p, at));
}

bool sip_list_next(struct str *rest, struct str *ret)
{
    /* Mostly the last value, already trimmed. */
    struct str s = *rest;
    if (s.n && !lex_is(s.p[0], LEX_SPACE) && !lex_is(s.p[s.n - 1], LEX_SPACE) &&
        !memchr(s.p, ',', s.n)) {
        *ret = s;
        *rest = str_of(s.p + s.n, 0);
        return true;
    }
    while (rest->n) {
        struct str value = take_before(rest, find_outside(*rest, ',', true));
        if (value.n) {
            *ret = value;
            return true;
        }
    }
    return false;
}

bool sip_param_next(struct str *rest, struct str *name, struct str *value)
{
    while (rest->n) {
        struct str one = take_before(rest, find_outside(*rest, ';', false));
        if (one.n == 0)
            continue;
        const char *end = one.p + one.n, *eq = memchr(one.p, '=', one.n);
        *name = eq ? lex_trim(lex_str(one.p, eq)) : one;
        *value = eq ? lex_trim(lex_str(eq + 1, end)) : lex_str(end, end);
        return true;
    }
    return false;
}

struct str sip_param_get(struct str params, struct str name)
{
    struct str n, v;
    while (sip_param_next(&params, &n, &v))
        if (lex_name_is(n, name))
            return v;
    return STR_NONE;
}

struct str sip_unquote(struct arena *a, struct str s)
{
    if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
        return s;
    s = str_sub(s, 1, s.n - 2);
    if (str_chr(s, '\\') < 0)
        return s;
    char *out = arena_take(a, s.n);
    if (!out)
        return STR_NONE;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        out[n++] = s.p[i];
    }
    return str_of(out, n);
}

struct str sip_unescape(struct arena *a, struct str s)
{
    if (str_chr(s, '%') < 0)
        return s;
    if (!lex_escapes_ok(s))
        return STR_NONE;
    char *out = arena_take(a, s.n);
    if (!out)
        return STR_NONE;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        out[n++] = s.p[i] == '%' ? (char)num_hex2(s.p + i + 1) : s.p[i];
        i += s.p[i] == '%' ? 2 : 0;
    }
    return str_of(out, n);
}

/* RFC 3261 25.1 user, without '?' that some readers take for the header part, and without the '#'
 * and UTF-8 that lex_table lets in. */
static bool user_plain(char c)
{
    return lex_is(c, LEX_USER) && c != '#' && c != '?' && (unsigned char)c < 0x80;
}

void sip_escape_user(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (user_plain(s.p[i]))
            buf_ch(b, s.p[i]);
        else
            buf_put(b, (const char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

void sip_quote(struct buf *b, struct str s)
{
    buf_ch(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_ch(b, '\\');
        if ((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7F)
            buf_ch(b, s.p[i]);
    }
    buf_ch(b, '"');
}

void sip_put_unfolded(struct buf *b, struct str value)
{
    if (value.n == 0)
        return;
    const char *p = value.p, *end = p + value.n;
    while (p < end) {
        const char *q = span_text(p, end);
        while (q < end && *q != '\r' && *q != '\n')
            q++;
        buf_put(b, p, (size_t)(q - p));
        p = lex_ws(q, end);
        if (p > q)
            buf_ch(b, ' ');
    }
}
