/* The characters and small words of the SIP grammar, for the files of this folder only. A value is
 * scanned between two pointers; a scanner returns where it stopped, or NULL for text outside its
 * grammar. Line ends inside a value are folds (the message pass has seen to that), so SP, HTAB, CR
 * and LF are all linear white space here. RFC 3261 section 25.1. */
#ifndef WIRE_SIP_LEX_H
#define WIRE_SIP_LEX_H

#include "wire/sip/msg.h"
#include "wire/sip/span.h"

enum lex_class {
    LEX_TOKEN = 1 << 0,   /* token */
    LEX_HOST = 1 << 1,    /* hostname, IPv4 address; '_' because local names have it */
    LEX_USER = 1 << 2,    /* user and password, '%' apart; '#' and UTF-8 because phones send them */
    LEX_UPARAM = 1 << 3,  /* URI parameter, '%' apart */
    LEX_VALUE = 1 << 4,   /* unquoted value of a header parameter: more than gen-value allows */
    LEX_DISPLAY = 1 << 5, /* display name without quotes, with its spaces */
    LEX_DIGIT = 1 << 6,
    LEX_V6 = 1 << 7,      /* inside the brackets of an IPv6 reference */
    LEX_SPACE = 1 << 8,   /* SP HTAB CR LF */
    LEX_VISIBLE = 1 << 9, /* printable ASCII without SP */
    LEX_ALPHA = 1 << 10,
    LEX_DIAL = 1 << 11,  /* tel: digits and visual separators */
    LEX_UNAME = 1 << 12, /* LEX_UPARAM or LEX_TOKEN without '%' */
    LEX_UINFO = 1 << 13, /* LEX_USER or LEX_TOKEN without '%' */
    /* All the characters that span.h calls plain are in each of these. */
    LEX_WORDS = LEX_TOKEN | LEX_HOST | LEX_USER | LEX_UPARAM | LEX_VALUE | LEX_DISPLAY |
                LEX_VISIBLE | LEX_UNAME | LEX_UINFO,
};

extern const uint16_t lex_table[256];

static inline bool lex_is(char c, unsigned classes)
{
    return (lex_table[(unsigned char)c] & classes) != 0;
}

static inline const char *lex_span(const char *p, const char *end, unsigned classes)
{
    if (classes & LEX_WORDS)
        p = span_plain(p, end);
    while (p < end && lex_is(*p, classes))
        p++;
    return p;
}

static inline const char *lex_ws(const char *p, const char *end)
{
    return lex_span(p, end, LEX_SPACE);
}

static inline struct str lex_str(const char *from, const char *to)
{
    return (struct str){from, (size_t)(to - from)};
}

/* s without white space at both ends; values mostly have none. */
static inline struct str lex_trim(struct str s)
{
    if (s.n && !lex_is(s.p[0], LEX_SPACE) && !lex_is(s.p[s.n - 1], LEX_SPACE))
        return s;
    return str_trim(s);
}

/* p is at the opening quote; returns behind the closing one. */
const char *lex_quoted(const char *p, const char *end);

/* Behind the bracketed IPv6 address that starts at p. */
const char *lex_host_v6(const char *p, const char *end);

/* Behind the host (name, IPv4, bracketed IPv6) that starts at p. */
static inline const char *lex_host(const char *p, const char *end)
{
    const char *q = lex_span(p, end, LEX_HOST);
    if (q > p)
        return q;
    return p < end && *p == '[' ? lex_host_v6(p, end) : NULL;
}

/* p is behind the ':'; returns behind the digits of a port from 1 to 65535. */
static inline const char *lex_port(const char *p, const char *end, uint16_t *ret)
{
    const char *five = end - p > 5 ? p + 5 : end;
    uint32_t v = 0, digit;
    for (; p < five && (digit = (unsigned char)(*p - '0')) <= 9; p++)
        v = v * 10 + digit;
    for (; p < end && v <= 65535 && (digit = (unsigned char)(*p - '0')) <= 9; p++)
        v = v * 10 + digit;
    if (v == 0 || v > 65535)
        return NULL;
    *ret = (uint16_t)v;
    return p;
}

/* s against a literal in lower case, without case; senders mostly write it as it is here. */
#define lex_ieq(s, lit)                                                                            \
    ((s).n == sizeof(lit) - 1 &&                                                                   \
     (memcmp((s).p, (lit), sizeof(lit) - 1) == 0 || str_ieq((s), STR(lit))))

/* Every '%' starts two hexadecimal digits. */
bool lex_escapes_ok(struct str s);

/* Behind the characters of the classes and the escapes between them that start at the '%' p. */
const char *lex_escapes(const char *p, const char *end, unsigned classes);

/* lex_span() over classes without '%', and escapes; NULL if one is malformed. */
static inline const char *lex_span_escaped(const char *p, const char *end, unsigned classes)
{
    p = lex_span(p, end, classes);
    return p < end && *p == '%' ? lex_escapes(p, end, classes) : p;
}

/* A parameter name against another, without case and with %XX undone in the first. */
bool lex_name_is(struct str name, struct str other);

struct lex_param {
    struct str name, value; /* value is none if there is no '=' */
    const char *stop;       /* behind both, before the white space that follows */
};

/* gen-value: token, host (IPv6 with or without brackets, RFC 5118 4.5) or quoted-string. */
static inline const char *lex_param_value(const char *p, const char *end)
{
    const char *q = lex_span(p, end, LEX_VALUE);
    if (q > p)
        return q;
    return p < end && *p == '"' ? lex_quoted(p, end) : NULL;
}

/* p is at ';'. Returns behind the parameter and the white space after it: at ';', ',' or the end.
 * Inline so that the pieces stay in registers. */
static inline const char *lex_param(const char *p, const char *end, struct lex_param *ret)
{
    p = lex_ws(p + 1, end);
    const char *q = lex_span(p, end, LEX_TOKEN);
    if (q == p)
        return NULL;
    ret->name = lex_str(p, q);
    ret->value = STR_NONE;
    ret->stop = q;
    if (q < end && *q != '=')
        q = lex_ws(q, end);
    if (q < end && *q == '=') {
        p = lex_ws(q + 1, end);
        q = lex_param_value(p, end);
        if (!q)
            return NULL;
        ret->value = lex_str(p, q);
        ret->stop = q;
        q = lex_ws(q, end);
    }
    return q == end || *q == ';' || *q == ',' ? q : NULL;
}

enum nameaddr_flag {
    NAMEADDR_BRACKETS = 1, /* name-addr only (Route, Record-Route, Path) */
    NAMEADDR_QUERY = 2,    /* "?headers" is tolerated without brackets (Refer-To) */
};

/* One name-addr or addr-spec with parameters; returns behind it, at ',' or the end. *ret is
 * overwritten in any case. */
const char *nameaddr_scan(const char *p, const char *end, unsigned flags, struct sip_nameaddr *ret);
/* One Via value; returns behind it, at ',' or the end. *ret is overwritten in any case; if only
 * the parameters are malformed it holds what came before them, so that an answer finds its way. */
const char *via_scan(const char *p, const char *end, struct sip_via *ret);
/* Empty values. Copied from memory of another file: given the choice, compilers clear structures
 * of this size with a string instruction that costs as much as reading a header. */
extern const struct sip_uri uri_none;
extern const struct sip_nameaddr nameaddr_none;
extern const struct sip_via via_none;
extern const uint16_t first_none[SIP_H_COUNT];

/* The whole text is one URI. *ret is overwritten in any case. 0 or -EINVAL. */
int uri_scan(struct sip_uri *ret, struct str s);

/* The verdict on the value of one header field, typing into m what every message needs. `repeated`:
 * not the first field of its header. Where there is none, any value will do. */
typedef enum sip_verdict check_fn(struct sip_msg *m, struct str value, bool repeated);
extern check_fn *const check_table[SIP_H_COUNT];

#endif
