#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_z(struct buf *b, const char *z)
{
    buf_put(b, z, strlen(z));
}

void buf_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t n = sizeof(digits);
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, digits + n, sizeof(digits) - n);
}

void buf_i64(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_ch(b, '-');
    buf_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_hex(struct buf *b, const void *bytes, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    if (2 * n > b->cap - b->n) {
        b->full = true;
        return;
    }
    char *out = b->p + b->n;
    for (size_t i = 0; i < n; i++) {
        *out++ = digit[p[i] >> 4];
        *out++ = digit[p[i] & 15];
    }
    b->n += 2 * n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        b->full = true;
    else
        buf_put(b, text, (size_t)n);
}

/* Length of the valid UTF-8 sequence at p (RFC 3629 section 4), or 0. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool outside = (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF4 && p[1] > 0x8F);
    return overlong || outside ? 0 : len;
}

bool buf_is_utf8(struct str s)
{
    size_t len = 1;
    for (size_t i = 0; i < s.n && len; i += len)
        len = utf8_len((const unsigned char *)s.p + i, s.n - i);
    return len > 0;
}

static void json_ascii(struct buf *b, char c)
{
    if (c == '"' || c == '\\') {
        buf_ch(b, '\\');
        buf_ch(b, c);
    } else if ((unsigned char)c < 0x20 || c == 0x7F) {
        unsigned char byte = (unsigned char)c;
        buf_lit(b, "\\u00");
        buf_hex(b, &byte, 1);
    } else {
        buf_ch(b, c);
    }
}

void buf_json(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_len((const unsigned char *)s.p + i, s.n - i);
        if (len == 0) {
            buf_lit(b, "\\ufffd");
            i++;
        } else if (len == 1) {
            json_ascii(b, s.p[i++]);
        } else {
            buf_put(b, s.p + i, len);
            i += len;
        }
    }
}

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static void xml_ascii(struct buf *b, char c)
{
    switch (c) {
    case '&':
        buf_lit(b, "&amp;");
        break;
    case '<':
        buf_lit(b, "&lt;");
        break;
    case '>':
        buf_lit(b, "&gt;");
        break;
    case '"':
        buf_lit(b, "&quot;");
        break;
    default:
        if ((unsigned char)c < 0x20)
            buf_lit(b, REPLACEMENT);
        else
            buf_ch(b, c);
    }
}

/* U+FFFE and U+FFFF are no characters: XML 1.0 section 2.2. */
static bool is_no_char(const char *p)
{
    return memcmp(p, "\xEF\xBF\xBE", 3) == 0 || memcmp(p, "\xEF\xBF\xBF", 3) == 0;
}

void buf_xml(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_len((const unsigned char *)s.p + i, s.n - i);
        if (len == 1)
            xml_ascii(b, s.p[i]);
        else if (len == 0 || (len == 3 && is_no_char(s.p + i)))
            buf_lit(b, REPLACEMENT);
        else
            buf_put(b, s.p + i, len);
        i += len ? len : 1;
    }
}
