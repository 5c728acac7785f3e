/* name-addr and addr-spec, the values of From, To, Contact, Route and their kin. RFC 3261 20.10. */
#include <errno.h>

#include "wire/sip/uri_scan.h"

/* What we accept we may have to send back unchanged in an answer (RFC 3261 8.2.6.2), so spaces
 * inside the brackets and separators in an unquoted display name are refused. */

static const char *params_scan(const char *p, const char *end, struct sip_nameaddr *ret)
{
    struct lex_param param;
    const char *first = NULL;
    if (end - p > 5 && memcmp(p, ";tag=", 5) == 0) {
        /* The usual end of From and To. */
        const char *q = lex_span(p + 5, end, LEX_VALUE);
        if (q == end) {
            ret->tag = lex_str(p + 5, q);
            ret->params = lex_str(p + 1, q);
            return q;
        }
    }
    p = lex_ws(p, end);
    while (p < end && *p == ';') {
        p = lex_param(p, end, &param);
        if (!p)
            return NULL;
        first = first ? first : param.name.p;
        if (param.name.n == 3 && !ret->tag.p && lex_ieq(param.name, "tag"))
            ret->tag = param.value;
    }
    if (first)
        ret->params = lex_str(first, param.stop);
    return p == end || *p == ',' ? p : NULL;
}

/* p is at '<'. */
static inline const char *bracket_scan(const char *p, const char *end, struct sip_nameaddr *ret)
{
    p = uri_scan_at(p + 1, end, &ret->uri);
    if (!p || p == end || *p != '>')
        return NULL;
    ret->bracketed = true;
    return params_scan(p + 1, end, ret);
}

/* Without brackets the URI ends at ';', ',' or white space: all parameters belong to the header
 * (RFC 3261 20.10). */
static const char *spec_scan(const char *p, const char *end, unsigned flags,
                             struct sip_nameaddr *ret)
{
    const char *q = p;
    while (q < end && *q != ';' && *q != ',' && *q != '?' && !lex_is(*q, LEX_SPACE))
        q++;
    if (q < end && *q == '?') {
        /* RFC 3261 20: a question mark asks for brackets. Refer-To is sent without. */
        if (!(flags & NAMEADDR_QUERY))
            return NULL;
        q = lex_span(q, end, LEX_VISIBLE);
    }
    if (uri_scan_at(p, q, &ret->uri) != q)
        return NULL;
    return params_scan(q, end, ret);
}

const char *nameaddr_scan(const char *p, const char *end, unsigned flags, struct sip_nameaddr *ret)
{
    *ret = nameaddr_none;
    p = lex_ws(p, end);
    if (p == end)
        return NULL;
    if (*p == '<')
        return bracket_scan(p, end, ret);
    const char *q;
    if (*p == '"') {
        q = lex_quoted(p, end);
        if (!q)
            return NULL;
        ret->display = lex_str(p, q);
        q = lex_ws(q, end);
        return q < end && *q == '<' ? bracket_scan(q, end, ret) : NULL;
    }
    q = lex_span(p, end, LEX_DISPLAY);
    if (q < end && *q == '<') {
        /* Not empty: p is neither white space nor '<'. */
        ret->display = str_trim(lex_str(p, q));
        return bracket_scan(q, end, ret);
    }
    return flags & NAMEADDR_BRACKETS ? NULL : spec_scan(p, end, flags, ret);
}

int sip_nameaddr_parse(struct sip_nameaddr *ret, struct str s)
{
    /* The old value is set aside, not the new one copied over: reading back what was just written
     * in smaller pieces stalls the processor. */
    struct sip_nameaddr old = *ret;
    if (s.n && nameaddr_scan(s.p, s.p + s.n, NAMEADDR_QUERY, ret) == s.p + s.n)
        return 0;
    *ret = old;
    return -EINVAL;
}
