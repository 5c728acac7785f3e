/* Via. RFC 3261 20.42, RFC 3581 (rport), RFC 5118 4.5 (IPv6 in received). */
#include <errno.h>

#include "wire/sip/lex.h"

/* A token that a '/' or white space may surround: "SIP  / 2.0 / UDP". */
static const char *word_scan(const char *p, const char *end, struct str *ret)
{
    p = lex_ws(p, end);
    const char *q = lex_span(p, end, LEX_TOKEN);
    if (q == p)
        return NULL;
    *ret = lex_str(p, q);
    return q;
}

static const char *slash_scan(const char *p, const char *end)
{
    p = lex_ws(p, end);
    return p < end && *p == '/' ? p + 1 : NULL;
}

/* sent-protocol and the white space behind it; the version is not judged here: the start line's
 * decides (RFC 4475 3.1.2.16). */
static const char *proto_scan(const char *p, const char *end, struct sip_via *ret)
{
    struct str skip;
    p = word_scan(p, end, &skip);
    p = p ? slash_scan(p, end) : NULL;
    p = p ? word_scan(p, end, &skip) : NULL;
    p = p ? slash_scan(p, end) : NULL;
    p = p ? word_scan(p, end, &ret->proto) : NULL;
    const char *q = p ? lex_ws(p, end) : p;
    return q > p ? q : NULL;
}

/* p is at the host. */
static inline const char *sent_by_scan(const char *p, const char *end, struct sip_via *ret)
{
    const char *q = lex_host(p, end);
    if (!q)
        return NULL;
    ret->host = lex_str(p, q);
    p = q < end && *q != ';' ? lex_ws(q, end) : q;
    if (p < end && *p == ':') {
        q = lex_port(lex_ws(p + 1, end), end, &ret->port);
        if (!q) {
            ret->host = STR_NONE;
            return NULL;
        }
        p = q < end && *q != ';' ? lex_ws(q, end) : q;
    }
    ret->whole.n = (size_t)(q - ret->whole.p);
    return p;
}

static inline void param_note(struct sip_via *v, struct str name, struct str value)
{
    struct str *at = NULL;
    switch (name.n) {
    case 3:
        at = lex_ieq(name, "ttl") ? &v->ttl : NULL;
        break;
    case 5:
        if (lex_ieq(name, "rport") && !v->has_rport) {
            v->has_rport = true;
            v->rport = value.p ? value : STR("");
        } else if (lex_ieq(name, "maddr")) {
            at = &v->maddr;
        }
        break;
    case 6:
        at = lex_ieq(name, "branch") ? &v->branch : NULL;
        break;
    case 8:
        at = lex_ieq(name, "received") ? &v->received : NULL;
        break;
    default:
        break;
    }
    if (at && !at->p)
        *at = value;
}

/* Where the value of a parameter goes that the topmost Via of a peer mostly has, written as all
 * write it; p is at its name, *value behind the '='. */
static inline struct str *usual_param(struct sip_via *v, const char *p, const char *end,
                                      const char **value)
{
    if (end - p < 10)
        return NULL;
    if (memcmp(p, "branch=", 7) == 0) {
        *value = p + 7;
        return &v->branch;
    }
    if (memcmp(p, "received=", 9) == 0) {
        *value = p + 9;
        return &v->received;
    }
    return NULL;
}

const char *via_scan(const char *p, const char *end, struct sip_via *ret)
{
    *ret = via_none;
    p = lex_ws(p, end);
    ret->whole.p = p;
    if (end - p > 12 && memcmp(p, "SIP/2.0/UDP ", 12) == 0) {
        ret->proto = str_of(p + 8, 3);
        p = lex_ws(p + 12, end);
    } else {
        p = proto_scan(p, end, ret);
    }
    p = p ? sent_by_scan(p, end, ret) : NULL;
    if (!p || p == end)
        return p;
    struct lex_param param;
    const char *first = NULL, *stop = NULL;
    while (p < end && *p == ';') {
        const char *value;
        struct str *at = usual_param(ret, p + 1, end, &value);
        if (at && !at->p) {
            const char *q = lex_span(value, end, LEX_VALUE);
            if (q > value && (q == end || *q == ';')) {
                *at = lex_str(value, q);
                first = first ? first : p + 1;
                p = stop = q;
                continue;
            }
        }
        p = lex_param(p, end, &param);
        if (!p)
            break;
        first = first ? first : param.name.p;
        stop = param.stop;
        param_note(ret, param.name, param.value);
    }
    if (first) {
        ret->params = lex_str(first, stop);
        ret->whole.n = (size_t)(stop - ret->whole.p);
    }
    return p && (p == end || *p == ',') ? p : NULL;
}

int sip_via_parse(struct sip_via *ret, struct str s)
{
    /* The old value is set aside, not the new one copied over: reading back what was just written
     * in smaller pieces stalls the processor. */
    struct sip_via old = *ret;
    if (s.n && via_scan(s.p, s.p + s.n, ret) == s.p + s.n)
        return 0;
    *ret = old;
    return -EINVAL;
}
