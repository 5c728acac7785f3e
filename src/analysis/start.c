#include "analysis/start.h"

#include "wire/sip/msg.h"

#define MAX_METHOD 32

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* "SIP/2.0", or another version, so that a message of the wrong one is seen too. */
static bool is_version(const char *p)
{
    return memcmp(p, "SIP/", 4) == 0 && is_digit(p[4]) && p[5] == '.' && is_digit(p[6]);
}

/* RFC 3261 section 7.2. */
static enum an_start status_line(const char *p, size_t n, bool whole)
{
    static const char form[] = "SIP/2.0 200";
    size_t have = n < sizeof(form) - 1 ? n : sizeof(form) - 1;
    for (size_t i = 0; i < have; i++)
        if (is_digit(form[i]) ? !is_digit(p[i]) : p[i] != form[i])
            return AN_START_NO;
    if (have == sizeof(form) - 1)
        return AN_START_YES;
    return whole ? AN_START_NO : AN_START_MAYBE;
}

/* Behind a known method: a URI that only SIP has. The rest of the line is then forgiven. */
static bool known_request(struct str method, const char *uri, size_t n)
{
    if (sip_method_of(method) == SIP_METHOD_UNKNOWN)
        return false;
    struct str s = str_of(uri, n);
    return str_istarts(s, STR("sip:")) || str_istarts(s, STR("sips:")) ||
           str_istarts(s, STR("tel:"));
}

/* RFC 3261 section 7.1: the version ends the line. */
static bool line_ends_in_version(const char *p, const char *end)
{
    while (end > p && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return end - p > 8 && end[-8] == ' ' && is_version(end - 7);
}

enum an_start an_start_like(const char *p, size_t n, bool whole)
{
    if (n == 0 || !is_alpha(p[0]))
        return n || whole ? AN_START_NO : AN_START_MAYBE;
    if (p[0] == 'S' && n >= 4 && memcmp(p, "SIP/", 4) == 0)
        return status_line(p, n, whole);
    size_t m = 1;
    while (m < n && m <= MAX_METHOD &&
           (is_alpha(p[m]) || is_digit(p[m]) || p[m] == '-' || p[m] == '.' || p[m] == '_' ||
            p[m] == '!'))
        m++;
    if (m == n && m <= MAX_METHOD)
        return whole ? AN_START_NO : AN_START_MAYBE;
    if (m > MAX_METHOD || p[m] != ' ')
        return AN_START_NO;
    size_t most = n < AN_START_LINE ? n : AN_START_LINE;
    const char *end = memchr(p + m, '\n', most - m);
    if (known_request(str_of(p, m), p + m + 1, n - m - 1))
        return AN_START_YES;
    if (end)
        return line_ends_in_version(p + m, end) ? AN_START_YES : AN_START_NO;
    return whole || n >= AN_START_LINE ? AN_START_NO : AN_START_MAYBE;
}

/* A line of a header field: what follows a start line, and seldom a line that is quoted in a body
 * (message/sipfrag, RFC 3420). 1, 0, or -1 if more bytes would tell. */
static int header_follows(const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n < AN_START_LINE ? n : AN_START_LINE);
    if (!lf)
        return n < AN_START_LINE ? -1 : 0;
    size_t left = n - (size_t)(lf + 1 - p), i = 0;
    for (p = lf + 1; i < left && (is_alpha(p[i]) || p[i] == '-'); i++)
        ;
    if (i == left)
        return i <= MAX_METHOD ? -1 : 0;
    return i > 0 && (p[i] == ':' || p[i] == ' ' || p[i] == '\t');
}

/* The begin of the line that holds p[at]. */
static size_t line_begin(const char *p, size_t at)
{
    size_t from = at > AN_START_LINE ? at - AN_START_LINE : 0;
    const char *lf = at > from ? memrchr(p + from, '\n', at - from) : NULL;
    return lf ? (size_t)(lf + 1 - p) : from;
}

size_t an_start_find(const char *p, size_t n, bool *found)
{
    *found = false;
    for (size_t at = 0; at + 7 <= n; at += 7) {
        const char *hit = memmem(p + at, n - at, "SIP/", 4);
        if (!hit || (size_t)(hit - p) + 7 > n)
            break;
        at = (size_t)(hit - p);
        /* A line has one such place at most, so each byte is looked at once more at most: the end
         * of a request line, or the begin of a status line. "SIP/2.0/UDP" of a Via is neither. */
        bool first = at == 0 || p[at - 1] == '\n';
        if (!is_version(hit) || (at + 7 < n && hit[7] != (first ? ' ' : '\r') && hit[7] != '\n'))
            continue;
        size_t line = line_begin(p, at);
        if (an_start_like(p + line, n - line, false) != AN_START_YES)
            continue;
        int follows = header_follows(p + line, n - line);
        *found = follows > 0;
        if (follows)
            return line;
    }
    return line_begin(p, n);
}
