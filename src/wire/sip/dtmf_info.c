#include "wire/sip/dtmf_info.h"

#include <errno.h>

#include "base/num.h"
#include "wire/sip/multipart.h"

/* Longer bodies are no digit. */
#define BODY_MAX 512

bool dtmf_info_is(struct str content_type)
{
    return sip_content_is(content_type, STR("application/dtmf-relay")) ||
           sip_content_is(content_type, STR("application/dtmf"));
}

static struct str unquote(struct str s)
{
    s = str_trim(s);
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        s = str_trim(str_sub(s, 1, s.n - 2));
    return s;
}

/* 0: none. */
static char digit_of(struct str s)
{
    static const char by_event[] = "0123456789*#ABCD!";
    uint32_t event;
    s = unquote(s);
    if (s.n == 1 && s.p[0]) {
        char c = s.p[0] >= 'a' && s.p[0] <= 'd' ? (char)(s.p[0] - 'a' + 'A') : s.p[0];
        return strchr(by_event, c) ? c : 0;
    }
    if (str_ieq(s, STR("flash")) || str_ieq(s, STR("hf")))
        return '!';
    if (num_u32(&event, s) || event >= sizeof(by_event) - 1)
        return 0;
    return by_event[event];
}

/* "Duration=160" or "Duration: 160 ms". */
static int duration_of(uint32_t *ret, struct str s)
{
    uint64_t ms;
    s = unquote(s);
    if (s.n > 2 && str_ieq(str_from(s, s.n - 2), STR("ms")))
        s = str_trim(str_sub(s, 0, s.n - 2));
    int err = num_u64(&ms, s, DTMF_INFO_MAX_MS);
    if (err == -EINVAL)
        return -EBADMSG;
    *ret = err ? DTMF_INFO_MAX_MS : (uint32_t)ms;
    return 0;
}

static struct str line_take(struct str *rest)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '\r' && rest->p[n] != '\n')
        n++;
    struct str line = str_trim(str_sub(*rest, 0, n));
    *rest = str_from(*rest, n < rest->n ? n + 1 : n);
    return line;
}

/* Where the name of a line ends; -1 if the line has no name. */
static ptrdiff_t mark_of(struct str line)
{
    for (size_t i = 0; i < line.n && i < sizeof("Duration "); i++)
        if (line.p[i] == '=' || line.p[i] == ':')
            return (ptrdiff_t)i;
    return -1;
}

/* The digit may come once, and alone in a line only where lines have no names. */
static int line_parse(struct dtmf_info *ret, struct str line)
{
    ptrdiff_t mark = mark_of(line);
    struct str name = mark < 0 ? STR("signal") : str_trim(str_sub(line, 0, (size_t)mark));
    struct str value = mark < 0 ? line : str_from(line, (size_t)mark + 1);
    if (str_ieq(name, STR("duration")))
        return duration_of(&ret->ms, value);
    if (!str_ieq(name, STR("signal")))
        return 0; /* what else a vendor may say */
    char digit = digit_of(value);
    if (!digit || ret->digit)
        return -EBADMSG;
    ret->digit = digit;
    return 0;
}

int dtmf_info_parse(struct dtmf_info *ret, struct str content_type, struct str body)
{
    struct dtmf_info info = {0};
    if (!dtmf_info_is(content_type) && !sip_content_is(content_type, STR("text/plain")))
        return -ENOENT;
    if (body.n > BODY_MAX)
        return -EBADMSG;
    while (body.n) {
        struct str line = line_take(&body);
        if (line.n && line_parse(&info, line))
            return -EBADMSG;
    }
    if (!info.digit)
        return -EBADMSG;
    *ret = info;
    return 0;
}

struct str dtmf_info_key_next(struct str *body)
{
    struct str line = line_take(body);
    ptrdiff_t mark = mark_of(line);
    if (mark < 0)
        return digit_of(line) ? line : STR_NONE;
    if (!str_ieq(str_trim(str_sub(line, 0, (size_t)mark)), STR("signal")))
        return STR_NONE;
    return str_from(line, (size_t)mark + 1);
}
