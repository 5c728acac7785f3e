/* When two URIs are the same, and what a registrar files one under. RFC 3261 19.1.4 and 10.3. */
#include "base/num.h"
#include "wire/sip/lex.h"

/* Comparing parameters is quadratic, so a URI with more of them than this equals none but itself.
 */
#define PARAMS_MAX 64

/* RFC 3261 25.1 reserved: these differ from their escaped form, all other characters do not. */
static bool is_reserved(int c)
{
    return c > 0 && strchr(";/?:@&=+$,", c) != NULL;
}

/* The next character with its escape undone; an escaped reserved one is kept apart by bit 8. */
static int unit_next(struct str *s)
{
    int c = (unsigned char)s->p[0];
    size_t n = 1;
    int byte = c == '%' && s->n >= 3 ? num_hex2(s->p + 1) : -1;
    if (byte >= 0) {
        c = is_reserved(byte) ? byte | 0x100 : byte;
        n = 3;
    }
    *s = str_from(*s, n);
    return c;
}

static int unit_lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool text_eq(struct str a, struct str b, bool any_case)
{
    if (!a.p || !b.p)
        return !a.p && !b.p;
    while (a.n && b.n) {
        int x = unit_next(&a), y = unit_next(&b);
        if (x != y && !(any_case && unit_lower(x) == unit_lower(y)))
            return false;
    }
    return a.n == 0 && b.n == 0;
}

static bool host_eq(struct str a, struct str b)
{
    if (str_ieq(a, b))
        return true;
    struct addr x, y;
    return a.n && b.n && a.p[0] == '[' && b.p[0] == '[' && addr_parse(&x, a, 0) == 0 &&
           addr_parse(&y, b, 0) == 0 && addr_eq(&x, &y);
}

/* The parameters that must be in both URIs or in neither. The examples of 19.1.4 (and RFC 3261
 * errata 1471) put transport among them. */
static bool must_pair(struct str name)
{
    return lex_name_is(name, STR("user")) || lex_name_is(name, STR("ttl")) ||
           lex_name_is(name, STR("method")) || lex_name_is(name, STR("maddr")) ||
           lex_name_is(name, STR("transport"));
}

/* Is every parameter of a, if it is in b, the same there? */
static bool params_agree(struct str a, struct str b, bool pair_all)
{
    struct str name, value;
    unsigned n = 0;
    while (sip_param_next(&a, &name, &value)) {
        struct str rest = b, n2, v2;
        bool found = false;
        if (++n > PARAMS_MAX)
            return false;
        for (unsigned i = 0; i < PARAMS_MAX && !found && sip_param_next(&rest, &n2, &v2); i++)
            found = text_eq(name, n2, true);
        if (found ? !text_eq(value, v2, true) : pair_all || must_pair(name))
            return false;
    }
    return true;
}

static bool header_next(struct str *rest, struct str *name, struct str *value)
{
    if (rest->n == 0)
        return false;
    ptrdiff_t amp = str_chr(*rest, '&');
    struct str one = amp < 0 ? *rest : str_sub(*rest, 0, (size_t)amp);
    *rest = str_from(*rest, one.n + 1);
    ptrdiff_t eq = str_chr(one, '=');
    *name = eq < 0 ? one : str_sub(one, 0, (size_t)eq);
    *value = eq < 0 ? str_of(one.p + one.n, 0) : str_from(one, (size_t)eq + 1);
    return true;
}

/* Is every header of a in b, with the same value? */
static bool headers_in(struct str a, struct str b)
{
    struct str name, value;
    unsigned n = 0;
    while (header_next(&a, &name, &value)) {
        struct str rest = b, n2, v2;
        bool found = false;
        if (++n > PARAMS_MAX)
            return false;
        for (unsigned i = 0; i < PARAMS_MAX && !found && header_next(&rest, &n2, &v2); i++)
            found = text_eq(name, n2, true) && text_eq(value, v2, false);
        if (!found)
            return false;
    }
    return true;
}

static bool is_visual(char c)
{
    return c == '-' || c == '.' || c == '(' || c == ')';
}

/* RFC 3966 section 5: visual separators do not count, all parameters do. */
static bool tel_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    size_t i = 0, j = 0;
    for (;;) {
        while (i < a->user.n && is_visual(a->user.p[i]))
            i++;
        while (j < b->user.n && is_visual(b->user.p[j]))
            j++;
        if (i == a->user.n || j == b->user.n)
            break;
        if (chr_lower(a->user.p[i++]) != chr_lower(b->user.p[j++]))
            return false;
    }
    return i == a->user.n && j == b->user.n && params_agree(a->params, b->params, true) &&
           params_agree(b->params, a->params, true);
}

bool sip_uri_eq(const struct sip_uri *a, const struct sip_uri *b)
{
    if (a->scheme != b->scheme || !str_ieq(a->scheme_text, b->scheme_text))
        return false;
    if (str_eq(a->whole, b->whole))
        return true;
    if (a->scheme == SIP_SCHEME_TEL)
        return tel_eq(a, b);
    if (a->scheme == SIP_SCHEME_OTHER)
        return str_eq(str_from(a->whole, a->scheme_text.n), str_from(b->whole, b->scheme_text.n));
    return text_eq(a->user, b->user, false) && text_eq(a->password, b->password, false) &&
           host_eq(a->host, b->host) && a->port == b->port &&
           params_agree(a->params, b->params, false) && params_agree(b->params, a->params, false) &&
           headers_in(a->headers, b->headers) && headers_in(b->headers, a->headers);
}

static void put_lower(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_ch(b, chr_lower(s.p[i]));
}

static void put_unescaped(struct buf *b, struct str s)
{
    while (s.n)
        buf_ch(b, (char)unit_next(&s));
}

void sip_uri_aor(struct buf *b, const struct sip_uri *u)
{
    put_lower(b, u->scheme_text);
    buf_ch(b, ':');
    if (u->scheme == SIP_SCHEME_OTHER) {
        buf_str_put(b, str_from(u->whole, u->scheme_text.n + 1));
        return;
    }
    if (u->scheme == SIP_SCHEME_TEL) {
        for (size_t i = 0; i < u->user.n; i++)
            if (!is_visual(u->user.p[i]))
                buf_ch(b, u->user.p[i]);
        return;
    }
    if (u->user.p) {
        put_unescaped(b, u->user);
        buf_ch(b, '@');
    }
    put_lower(b, u->host);
}
