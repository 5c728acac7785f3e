#include "wire/sip/lex.h"

#include <errno.h>

#include "base/num.h"

const struct sip_uri uri_none;
const struct sip_nameaddr nameaddr_none;
const struct sip_via via_none;
const uint16_t first_none[SIP_H_COUNT];

#define BOTH (LEX_UNAME | LEX_UINFO)
#define ALNUM                                                                                      \
    (LEX_TOKEN | LEX_HOST | LEX_USER | LEX_UPARAM | LEX_VALUE | LEX_DISPLAY | LEX_VISIBLE |        \
     LEX_ALPHA | BOTH)
#define NUMBER                                                                                     \
    (LEX_TOKEN | LEX_HOST | LEX_USER | LEX_UPARAM | LEX_VALUE | LEX_DISPLAY | LEX_VISIBLE |        \
     LEX_DIGIT | LEX_V6 | LEX_DIAL | BOTH)
/* Visible characters that end neither a parameter value nor an unquoted display name. */
#define PLAIN (LEX_VISIBLE | LEX_VALUE | LEX_DISPLAY)
/* mark and token at once: - . ! ~ * ' _ */
#define MARK   (LEX_TOKEN | USER | UPARAM | PLAIN)
#define USER   (LEX_USER | LEX_UINFO)
#define UPARAM (LEX_UPARAM | LEX_UNAME)

const uint16_t lex_table[256] = {
    ['\t'] = LEX_SPACE | LEX_DISPLAY,
    ['\n'] = LEX_SPACE | LEX_DISPLAY,
    ['\r'] = LEX_SPACE | LEX_DISPLAY,
    [' '] = LEX_SPACE | LEX_DISPLAY,
    ['!'] = MARK,
    ['"'] = LEX_VISIBLE,
    ['#'] = PLAIN | USER | LEX_DIAL,
    ['$'] = PLAIN | USER | UPARAM,
    ['%'] = PLAIN | LEX_TOKEN,
    ['&'] = PLAIN | USER | UPARAM,
    ['\''] = MARK,
    ['('] = PLAIN | USER | UPARAM | LEX_DIAL,
    [')'] = PLAIN | USER | UPARAM | LEX_DIAL,
    ['*'] = MARK | LEX_DIAL,
    ['+'] = MARK,
    [','] = LEX_VISIBLE | USER | UPARAM,
    ['-'] = MARK | LEX_HOST | LEX_DIAL,
    ['.'] = MARK | LEX_HOST | LEX_V6 | LEX_DIAL,
    ['/'] = PLAIN | USER | UPARAM,
    ['0' ... '9'] = NUMBER,
    [':'] = PLAIN | UPARAM | LEX_V6,
    [';'] = LEX_VISIBLE | USER,
    ['<'] = LEX_VISIBLE,
    ['='] = PLAIN | USER,
    ['>'] = LEX_VISIBLE,
    ['?'] = PLAIN | USER,
    ['@'] = PLAIN | UPARAM,
    ['A' ... 'F'] = ALNUM | LEX_V6 | LEX_DIAL,
    ['G' ... 'Z'] = ALNUM,
    ['['] = PLAIN | UPARAM,
    ['\\'] = LEX_VISIBLE,
    [']'] = PLAIN | UPARAM,
    ['^'] = PLAIN,
    ['_'] = MARK | LEX_HOST,
    ['`'] = PLAIN | LEX_TOKEN | BOTH,
    ['a' ... 'f'] = ALNUM | LEX_V6 | LEX_DIAL,
    ['g' ... 'z'] = ALNUM,
    ['{'] = PLAIN,
    ['|'] = PLAIN,
    ['}'] = PLAIN,
    ['~'] = MARK,
    [0x80 ... 0xFF] = USER | LEX_VALUE | LEX_DISPLAY,
};

#ifdef __SSE2__
const char *span_plain_more(const char *p, const char *end)
{
    while (end - p >= 16) {
        unsigned others = span_others(span_load(p));
        if (others)
            return p + (unsigned)__builtin_ctz(others);
        p += 16;
    }
    return span_plain(p, end);
}
#endif

const char *lex_quoted(const char *p, const char *end)
{
    for (p = span_plain(p + 1, end); p < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p != '\\')
            continue;
        /* RFC 3261 25.1: a quoted-pair hides anything but CR and LF. */
        p++;
        if (p == end || *p == '\r' || *p == '\n')
            return NULL;
    }
    return NULL;
}

const char *lex_host_v6(const char *p, const char *end)
{
    /* RFC 5118 4.10: ":::" is let through, older grammars produce it. */
    const char *q = lex_span(p + 1, end, LEX_V6);
    bool colon = q > p + 1 && memchr(p + 1, ':', (size_t)(q - p - 1));
    return colon && q < end && *q == ']' ? q + 1 : NULL;
}

const char *lex_escapes(const char *p, const char *end, unsigned classes)
{
    while (p < end && *p == '%') {
        if (end - p < 3 || num_hex2(p + 1) < 0)
            return NULL;
        for (p += 3; p < end && lex_is(*p, classes); p++)
            continue;
    }
    return p;
}

bool lex_escapes_ok(struct str s)
{
    const char *end = s.p + s.n;
    const char *p = s.n ? memchr(s.p, '%', s.n) : NULL;
    while (p) {
        if (end - p < 3 || num_hex2(p + 1) < 0)
            return false;
        p += 3;
        p = p < end ? memchr(p, '%', (size_t)(end - p)) : NULL;
    }
    return true;
}

bool lex_name_is(struct str name, struct str other)
{
    size_t i = 0, j = 0;
    if (name.n < other.n)
        return false;
    for (; i < name.n && j < other.n; i++, j++) {
        char c = name.p[i];
        int byte = c == '%' && name.n - i >= 3 ? num_hex2(name.p + i + 1) : -1;
        if (byte >= 0) {
            c = (char)byte;
            i += 2;
        }
        if (chr_lower(c) != chr_lower(other.p[j]))
            return false;
    }
    return i == name.n && j == other.n;
}
