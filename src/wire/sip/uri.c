/* URIs: sip, sips, tel, and the outer shape of any other. RFC 3261 19.1 and 25.1, RFC 3966. */
#include <errno.h>

#include "wire/sip/uri_scan.h"

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

const char *uri_params_scan(const char *p, const char *end, struct sip_uri *u)
{
    const char *first = p + 1;
    do {
        const char *name = p + 1;
        p = lex_span_escaped(name, end, LEX_UNAME);
        if (!p || p == name)
            return NULL;
        struct str n = lex_str(name, p), v = STR_NONE;
        if (p < end && *p == '=') {
            const char *value = p + 1;
            p = lex_span_escaped(value, end, LEX_UNAME);
            if (!p)
                return NULL;
            v = lex_str(value, p);
        }
        param_note(u, n, v);
    } while (p < end && *p == ';');
    u->params = lex_str(first, p);
    return p;
}

const char *uri_visible_scan(const char *p, const char *end)
{
    while (p < end && lex_is(*p, LEX_VISIBLE) && *p != '<' && *p != '>' && *p != '"')
        p++;
    return p;
}

/* user [":" password], which ends at '@'. */
static int userinfo_scan(struct sip_uri *u, const char *p, const char *at)
{
    const char *q = lex_span_escaped(p, at, LEX_UINFO);
    if (!q || q == p)
        return -EINVAL;
    u->user = lex_str(p, q);
    if (q < at && *q == ':') {
        const char *pass = q + 1;
        q = lex_span_escaped(pass, at, LEX_UINFO);
        if (!q)
            return -EINVAL;
        u->password = lex_str(pass, q);
    }
    return q == at ? 0 : -EINVAL;
}

/* The '@' of this URI, or NULL; p is behind its first host characters. */
static const char *find_at(const char *p, const char *end)
{
    if (p == end || *p == '>')
        return NULL;
    const char *close = memchr(p, '>', (size_t)(end - p));
    return memchr(p, '@', (size_t)((close ? close : end) - p));
}

const char *uri_user_scan(const char *p, const char *q, const char *end, struct sip_uri *u)
{
    const char *at = find_at(q, end);
    if (at && userinfo_scan(u, p, at))
        return NULL;
    return at ? at + 1 : p;
}

/* RFC 3966: "+" digits, or a local number; both with visual separators. */
static const char *tel_scan(const char *p, const char *end, struct sip_uri *u)
{
    const char *digits = p < end && *p == '+' ? p + 1 : p;
    const char *q = lex_span(digits, end, LEX_DIAL);
    if (q == digits)
        return NULL;
    u->user = lex_str(p, q);
    return q < end && *q == ';' ? uri_params_scan(q, end, u) : q;
}

const char *uri_other_scan(const char *p, const char *end, struct sip_uri *u)
{
    const char *colon = lex_span(p, end, LEX_TOKEN);
    if (colon == end || *colon != ':' || !lex_is(*p, LEX_ALPHA))
        return NULL;
    struct str scheme = lex_str(p, colon);
    u->scheme_text = scheme;
    if (lex_ieq(scheme, "sip"))
        return uri_sip_scan(colon + 1, end, u);
    if (lex_ieq(scheme, "sips")) {
        u->scheme = SIP_SCHEME_SIPS;
        return uri_sip_scan(colon + 1, end, u);
    }
    if (lex_ieq(scheme, "tel")) {
        u->scheme = SIP_SCHEME_TEL;
        return tel_scan(colon + 1, end, u);
    }
    /* Any absoluteURI. */
    u->scheme = SIP_SCHEME_OTHER;
    const char *q = uri_visible_scan(colon + 1, end);
    return q > colon + 1 ? q : NULL;
}

int uri_scan(struct sip_uri *ret, struct str s)
{
    *ret = uri_none;
    const char *end = s.p + s.n;
    const char *stop = s.n ? uri_scan_at(s.p, end, ret) : NULL;
    ret->whole = s;
    return stop && stop == end ? 0 : -EINVAL;
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

int sip_uri_proto(const struct sip_uri *u, enum proto *ret)
{
    bool sips = u->scheme == SIP_SCHEME_SIPS;
    enum proto proto = sips ? PROTO_TLS : PROTO_UDP;
    if (u->transport.n && proto_parse(&proto, u->transport))
        return -EINVAL;
    if (sips && proto == PROTO_TCP)
        proto = PROTO_TLS;
    else if (sips && proto == PROTO_WS)
        proto = PROTO_WSS;
    else if (sips && proto != PROTO_TLS && proto != PROTO_WSS)
        return -EINVAL;
    *ret = proto;
    return 0;
}

uint16_t sip_uri_port(const struct sip_uri *u)
{
    if (u->port)
        return u->port;
    /* RFC 3261 19.1.2: 5061 over TLS; RFC 7118 5.2 leaves WebSocket its own URI. */
    bool tls = u->scheme == SIP_SCHEME_SIPS || str_ieq(u->transport, STR("tls"));
    return tls ? 5061 : 5060;
}
