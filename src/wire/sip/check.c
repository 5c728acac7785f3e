/* The verdict on each header field as the message pass meets it. From a malformed field that an
 * answer must repeat, what is sound is kept: a 400 then finds its way back (RFC 4475 3.1.2.1). */
#include <errno.h>

#include "base/num.h"
#include "wire/sip/lex.h"

static enum sip_verdict check_via(struct sip_msg *m, struct str value, bool repeated)
{
    const char *p = value.p, *end = p + value.n;
    struct sip_via other;
    struct sip_via *via = repeated ? &other : &m->via;
    for (;;) {
        p = via_scan(p, end, via);
        if (!p)
            return SIP_BAD_VIA;
        if (p == end)
            return SIP_OK;
        p++;
        via = &other;
    }
}

/* <URI> out of a value that is no name-addr: an unbalanced quote, a comma, spaces within. */
static void nameaddr_repair(struct sip_nameaddr *na, struct str value)
{
    struct sip_nameaddr fixed;
    fixed = nameaddr_none;
    *na = nameaddr_none;
    fixed.bracketed = true;
    const char *end = value.p + value.n;
    const char *open = value.n ? memchr(value.p, '<', value.n) : NULL;
    const char *close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;
    if (!close || uri_scan(&fixed.uri, str_trim(lex_str(open + 1, close))))
        return;
    const char *p = lex_ws(close + 1, end);
    while (p && p < end && *p == ';') {
        struct lex_param param;
        p = lex_param(p, end, &param);
        if (p && !fixed.tag.p && str_ieq(param.name, STR("tag")))
            fixed.tag = param.value;
    }
    *na = fixed;
}

static enum sip_verdict check_party(struct sip_nameaddr *na, struct str value, enum sip_verdict bad)
{
    const char *end = value.p + value.n;
    if (nameaddr_scan(value.p, end, 0, na) == end)
        return SIP_OK;
    nameaddr_repair(na, value);
    return bad;
}

/* `first` takes the first value. */
static enum sip_verdict check_addrs(struct str value, struct sip_nameaddr *first, unsigned flags,
                                    enum sip_verdict bad)
{
    const char *p = value.p, *end = p + value.n;
    struct sip_nameaddr other;
    for (;;) {
        p = nameaddr_scan(p, end, flags, first);
        if (!p)
            return bad;
        if (p == end)
            return SIP_OK;
        p++;
        first = &other;
    }
}

static enum sip_verdict check_contact(struct sip_msg *m, struct str value, bool repeated)
{
    /* RFC 3261 10.2.2: "*" stands alone. */
    if (repeated && str_eq(sip_msg_get(m, SIP_H_CONTACT), STR("*")))
        return SIP_BAD_CONTACT;
    if (str_eq(value, STR("*"))) {
        m->contact = nameaddr_none;
        return repeated ? SIP_BAD_CONTACT : SIP_OK;
    }
    struct sip_nameaddr other;
    enum sip_verdict v = check_addrs(value, repeated ? &other : &m->contact, 0, SIP_BAD_CONTACT);
    if (v && !repeated)
        m->contact = nameaddr_none;
    return v;
}

static enum sip_verdict check_route(struct sip_msg *m, struct str value, bool repeated)
{
    struct sip_nameaddr first;
    return check_addrs(value, &first, NAMEADDR_BRACKETS, SIP_BAD_ROUTE);
}

/* One to nine digits, one space, the method of the request. */
static bool cseq_usual(struct sip_msg *m, struct str value)
{
    uint32_t v = 0;
    size_t i = 0;
    for (; i < value.n && i < 9 && lex_is(value.p[i], LEX_DIGIT); i++)
        v = v * 10 + (uint32_t)(value.p[i] - '0');
    if (i == 0 || i == value.n || value.p[i] != ' ' || m->method == SIP_METHOD_UNKNOWN)
        return false;
    struct str method = str_of(value.p + i + 1, value.n - i - 1);
    if (!str_eq(method, m->method_text))
        return false;
    m->cseq = (struct sip_cseq){v, m->method, method};
    return true;
}

static enum sip_verdict check_cseq(struct sip_msg *m, struct str value, bool repeated)
{
    if (cseq_usual(m, value))
        return SIP_OK;
    m->cseq = (struct sip_cseq){0};
    if (sip_cseq_parse(&m->cseq, value) == 0)
        return SIP_OK;
    const char *end = value.p + value.n;
    const char *digits = lex_span(value.p, end, LEX_DIGIT);
    struct str method = lex_str(lex_ws(digits, end), end);
    /* Too large, but of the right shape: the answer repeats it (RFC 4475 3.1.2.4). */
    if (digits > value.p && method.p > digits && sip_is_token(method))
        m->cseq = (struct sip_cseq){UINT32_MAX, sip_method_of(method), method};
    return SIP_BAD_CSEQ;
}

/* RFC 3261 25.1: word ["@" word]. More characters than a word has are let through, two '@' are
 * not. */
static enum sip_verdict check_call_id(struct sip_msg *m, struct str value, bool repeated)
{
    const char *end = value.p + value.n;
    const char *p = lex_span(value.p, end, LEX_HOST);
    if (p > value.p && p + 1 < end && *p == '@' && lex_span(p + 1, end, LEX_HOST) == end) {
        m->call_id = value;
        return SIP_OK;
    }
    ptrdiff_t at = str_chr(value, '@');
    m->call_id = STR_NONE;
    if (value.n == 0 || lex_span(value.p, end, LEX_VISIBLE) < end)
        return SIP_BAD_CALL_ID;
    if (at == 0 || (at > 0 && (end[-1] == '@' || str_rchr(value, '@') != at)))
        return SIP_BAD_CALL_ID;
    m->call_id = value;
    return SIP_OK;
}

/* A number of at most nine digits without the care that num_u64() takes for longer ones. */
static inline int number(uint64_t *ret, struct str s, uint32_t max)
{
    if (s.n == 0 || s.n > 9)
        return num_u64(ret, s, max);
    uint32_t v = 0;
    for (const char *p = s.p, *end = p + s.n; p < end; p++) {
        uint32_t digit = (unsigned char)(*p - '0');
        if (digit > 9)
            return -EINVAL;
        v = v * 10 + digit;
    }
    if (v > max)
        return -ERANGE;
    *ret = v;
    return 0;
}

static enum sip_verdict check_max_forwards(struct sip_msg *m, struct str value, bool repeated)
{
    uint64_t v;
    if (number(&v, value, 255))
        return SIP_BAD_MAX_FORWARDS;
    m->max_forwards = (int)v;
    return SIP_OK;
}

static enum sip_verdict check_content_length(struct sip_msg *m, struct str value, bool repeated)
{
    uint64_t v;
    if (number(&v, value, UINT32_MAX))
        return SIP_BAD_CONTENT_LENGTH;
    m->content_length = (int64_t)v;
    return SIP_OK;
}

static enum sip_verdict check_digits(struct str value, enum sip_verdict bad)
{
    const char *end = value.p + value.n;
    return value.n && lex_span(value.p, end, LEX_DIGIT) == end ? SIP_OK : bad;
}

/* RFC 3261 20.17: GMT is the only zone. */
static enum sip_verdict check_date(struct sip_msg *m, struct str value, bool repeated)
{
    return value.n > 4 && str_eq(str_from(value, value.n - 4), STR(" GMT")) ? SIP_OK : SIP_BAD_DATE;
}

/* A scheme and something behind it; the parameters are read by who knows the scheme. */
static enum sip_verdict check_auth(struct sip_msg *m, struct str value, bool repeated)
{
    const char *end = value.p + value.n;
    const char *p = lex_span(value.p, end, LEX_TOKEN);
    const char *q = lex_ws(p, end);
    return p > value.p && q > p && q < end ? SIP_OK : SIP_BAD_AUTH;
}

/* type "/" subtype; spaces around the slash are legal (SLASH in RFC 3261 25.1). */
static enum sip_verdict check_content_type(struct sip_msg *m, struct str value, bool repeated)
{
    const char *end = value.p + value.n;
    const char *p = lex_span(value.p, end, LEX_TOKEN);
    const char *q = lex_ws(p, end);
    if (p == value.p || q == end || *q != '/')
        return SIP_BAD_VALUE;
    q = lex_ws(q + 1, end);
    p = lex_span(q, end, LEX_TOKEN);
    q = p > q ? lex_ws(p, end) : NULL;
    return q && (q == end || *q == ';') ? SIP_OK : SIP_BAD_VALUE;
}

static enum sip_verdict check_from(struct sip_msg *m, struct str value, bool repeated)
{
    return check_party(&m->from, value, SIP_BAD_FROM);
}

static enum sip_verdict check_to(struct sip_msg *m, struct str value, bool repeated)
{
    return check_party(&m->to, value, SIP_BAD_TO);
}

static enum sip_verdict check_expires(struct sip_msg *m, struct str value, bool repeated)
{
    return check_digits(value, SIP_BAD_EXPIRES);
}

static enum sip_verdict check_number(struct sip_msg *m, struct str value, bool repeated)
{
    return check_digits(value, SIP_BAD_VALUE);
}

check_fn *const check_table[SIP_H_COUNT] = {
    [SIP_H_VIA] = check_via,
    [SIP_H_FROM] = check_from,
    [SIP_H_TO] = check_to,
    [SIP_H_CALL_ID] = check_call_id,
    [SIP_H_CSEQ] = check_cseq,
    [SIP_H_CONTACT] = check_contact,
    [SIP_H_MAX_FORWARDS] = check_max_forwards,
    [SIP_H_CONTENT_LENGTH] = check_content_length,
    [SIP_H_ROUTE] = check_route,
    [SIP_H_RECORD_ROUTE] = check_route,
    [SIP_H_PATH] = check_route,
    [SIP_H_SERVICE_ROUTE] = check_route,
    /* What an answer does not repeat and no peer of ours depends on. */
    [SIP_H_EXPIRES] = check_expires,
    [SIP_H_MIN_EXPIRES] = check_number,
    [SIP_H_RSEQ] = check_number,
    [SIP_H_DATE] = check_date,
    [SIP_H_AUTHORIZATION] = check_auth,
    [SIP_H_PROXY_AUTHORIZATION] = check_auth,
    [SIP_H_WWW_AUTHENTICATE] = check_auth,
    [SIP_H_PROXY_AUTHENTICATE] = check_auth,
    [SIP_H_CONTENT_TYPE] = check_content_type,
};
