/* URIs: sip, sips, tel, and the outer shape of any other. RFC 3261 19.1 and 25.1, RFC 3966. */
#include <errno.h>

#include "wire/sip/lex.h"

/* RFC 4475 3.1.1.3: names may be escaped, in part or whole; "lr" is the one that matters. */
static bool lr_escaped(struct str name)
{
    return (name.p[0] == '%' || name.p[1] == '%') && lex_name_is(name, STR("lr"));
}

/* The parameters that routing and dialling look at. A repeated one keeps its first value. */
static void param_note(struct sip_uri *u, struct str name, struct str value)
{
    struct str *at = NULL;
    switch (name.n) {
    case 2:
        u->lr |= lex_ieq(name, "lr");
        break;
    case 4:
        at = lex_ieq(name, "user") ? &u->user_param : NULL;
        u->lr |= lr_escaped(name);
        break;
    case 5:
        at = lex_ieq(name, "maddr") ? &u->maddr : NULL;
        break;
    case 6:
        at = lex_ieq(name, "method") ? &u->method_param : NULL;
        u->lr |= lr_escaped(name);
        break;
    case 9:
        at = lex_ieq(name, "transport") ? &u->transport : NULL;
        break;
    default:
        break;
    }
    if (at && !at->p)
        *at = value;
}

/* p is at the first ';'. Returns behind the last parameter, at '?' or the end. */
static const char *params_scan(struct sip_uri *u, const char *p, const char *end)
{
    const char *first = p + 1;
    while (p < end && *p == ';') {
        const char *name = p + 1;
        p = lex_span(name, end, LEX_UPARAM | LEX_TOKEN);
        if (p == name)
            return NULL;
        struct str n = lex_str(name, p), v = STR_NONE;
        if (p < end && *p == '=') {
            const char *value = p + 1;
            p = lex_span(value, end, LEX_UPARAM | LEX_TOKEN);
            v = lex_str(value, p);
        }
        param_note(u, n, v);
    }
    u->params = lex_str(first, p);
    return lex_escapes_ok(u->params) ? p : NULL;
}

/* The header part is loose: Refer-To of real phones carries unescaped '@', ';' and '='. */
static const char *headers_scan(struct sip_uri *u, const char *p, const char *end)
{
    const char *first = p + 1;
    for (p = first; p < end; p++)
        if (!lex_is(*p, LEX_VISIBLE) || *p == '<' || *p == '>' || *p == '"')
            return NULL;
    u->headers = lex_str(first, p);
    return p;
}

/* user [":" password], which ends at '@'. */
static int userinfo_scan(struct sip_uri *u, const char *p, const char *at)
{
    const char *q = lex_span(p, at, LEX_USER | LEX_TOKEN);
    u->user = lex_str(p, q);
    if (q == p || !lex_escapes_ok(u->user))
        return -EINVAL;
    if (q < at && *q == ':') {
        const char *pass = q + 1;
        q = lex_span(pass, at, LEX_USER | LEX_TOKEN);
        u->password = lex_str(pass, q);
        if (!lex_escapes_ok(u->password))
            return -EINVAL;
    }
    return q == at ? 0 : -EINVAL;
}

static int sip_scan(struct sip_uri *u, const char *p, const char *end)
{
    /* Most users are made of host characters, so one span finds '@' or proves the short form. */
    const char *q = lex_span(p, end, LEX_HOST);
    if (q < end && *q == '@' && q > p) {
        u->user = lex_str(p, q);
        p = q + 1;
        q = lex_host(p, end);
    } else {
        const char *at = q < end ? memchr(q, '@', (size_t)(end - q)) : NULL;
        if (at && userinfo_scan(u, p, at))
            return -EINVAL;
        p = at ? at + 1 : p;
        q = lex_host(p, end);
    }
    if (!q)
        return -EINVAL;
    u->host = lex_str(p, q);
    if (q < end && *q == ':') {
        q = lex_port(q + 1, end, &u->port);
        if (!q)
            return -EINVAL;
    }
    if (q < end && *q == ';')
        q = params_scan(u, q, end);
    if (q && q < end && *q == '?')
        q = headers_scan(u, q, end);
    return q == end ? 0 : -EINVAL;
}

/* RFC 3966: "+" digits, or a local number; both with visual separators. */
static int tel_scan(struct sip_uri *u, const char *p, const char *end)
{
    const char *digits = p < end && *p == '+' ? p + 1 : p;
    const char *q = lex_span(digits, end, LEX_DIAL);
    if (q == digits)
        return -EINVAL;
    u->user = lex_str(p, q);
    if (q < end && *q == ';')
        q = params_scan(u, q, end);
    return q == end ? 0 : -EINVAL;
}

/* Any absoluteURI; '"' and brackets would break the header it stands in. */
static int other_scan(const char *p, const char *end)
{
    if (p == end)
        return -EINVAL;
    for (; p < end; p++)
        if (!lex_is(*p, LEX_VISIBLE) || *p == '<' || *p == '>' || *p == '"')
            return -EINVAL;
    return 0;
}

int uri_scan(struct sip_uri *ret, struct str s)
{
    *ret = uri_none;
    ret->whole = s;
    const char *end = s.p + s.n;
    if (s.n > 4 && s.p[3] == ':' && lex_ieq(str_of(s.p, 3), "sip")) {
        ret->scheme_text = str_of(s.p, 3);
        return sip_scan(ret, s.p + 4, end);
    }
    const char *colon = lex_span(s.p, end, LEX_ALPHA | LEX_DIGIT | LEX_TOKEN);
    if (s.n == 0 || colon == end || *colon != ':' || !lex_is(s.p[0], LEX_ALPHA))
        return -EINVAL;
    struct str scheme = lex_str(s.p, colon);
    ret->scheme_text = scheme;
    if (lex_ieq(scheme, "sips")) {
        ret->scheme = SIP_SCHEME_SIPS;
        return sip_scan(ret, colon + 1, end);
    }
    if (lex_ieq(scheme, "tel")) {
        ret->scheme = SIP_SCHEME_TEL;
        return tel_scan(ret, colon + 1, end);
    }
    ret->scheme = SIP_SCHEME_OTHER;
    return other_scan(colon + 1, end);
}

int sip_uri_parse(struct sip_uri *ret, struct str s)
{
    /* The old value is set aside, not the new one copied over: reading back what was just written
     * in smaller pieces stalls the processor. */
    struct sip_uri old = *ret;
    if (uri_scan(ret, s) == 0)
        return 0;
    *ret = old;
    return -EINVAL;
}

uint16_t sip_uri_port(const struct sip_uri *u)
{
    if (u->port)
        return u->port;
    /* RFC 3261 19.1.2: 5061 over TLS; RFC 7118 5.2 leaves WebSocket its own URI. */
    bool tls = u->scheme == SIP_SCHEME_SIPS || str_ieq(u->transport, STR("tls"));
    return tls ? 5061 : 5060;
}
