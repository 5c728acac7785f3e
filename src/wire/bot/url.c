#include "wire/bot/url.h"

#include <errno.h>

#include "base/num.h"

static int fail(struct bot_url *u, const char *why)
{
    u->why = why;
    return -EINVAL;
}

static bool eat(struct str *s, struct str prefix)
{
    if (!str_istarts(*s, prefix))
        return false;
    *s = str_from(*s, prefix.n);
    return true;
}

/* RFC 3986 section 2: such bytes are written as %XX. A fragment must not be there (RFC 6455
 * section 3). */
static bool is_written_well(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 127 || strchr("\"#<>\\", s.p[i]))
            return false;
    return true;
}

/* `host` has no brackets any more. */
static int host_take(struct bot_url *u, struct str host, bool bracketed)
{
    if (!host.n)
        return fail(u, "has no host");
    if (host.n > BOT_URL_HOST_MAX)
        return fail(u, "has a host of more than 255 bytes");
    if (str_chr(host, '@') >= 0)
        return fail(u, "must not have a user or a password");
    if (str_chr(host, ':') >= 0 && !bracketed)
        return fail(u, "needs brackets around its IPv6 address");
    if (str_chr(host, '[') >= 0 || str_chr(host, ']') >= 0)
        return fail(u, "has a host that is none");
    u->host = host;
    return 0;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static int authority_take(struct bot_url *u, struct str s)
{
    ptrdiff_t end = s.n && s.p[0] == '[' ? str_chr(s, ']') : -1, colon = str_rchr(s, ':');
    uint64_t port = 0;
    if (str_chr(s, '?') >= 0)
        return fail(u, "needs a / before its ?");
    if (colon > end) {
        if (num_u64(&port, str_from(s, (size_t)colon + 1), UINT16_MAX) || port == 0)
            return fail(u, str_chr(s, '@') >= 0 ? "must not have a user or a password"
                                                : "has a port that is not from 1 to 65535");
        u->port = (uint16_t)port;
        s = str_sub(s, 0, (size_t)colon);
    }
    if (end > 0 && (size_t)end + 1 != s.n)
        return fail(u, "has a host that is none");
    return host_take(u, end > 0 ? str_sub(s, 1, (size_t)end - 1) : s, end > 0);
}

int bot_url_parse(struct bot_url *ret, struct str url, bool plain)
{
    *ret = (struct bot_url){.tls = !plain && str_istarts(url, STR("wss://"))};
    if (plain && !eat(&url, STR("audiosocket://")))
        return fail(ret, "protocol audiosocket needs audiosocket://HOST:PORT");
    if (!plain && !eat(&url, STR("wss://")) && !eat(&url, STR("ws://")))
        return fail(ret, "engine stream needs a ws:// or wss:// URL");
    if (!is_written_well(url))
        return fail(ret, "has a character that no URL has, such as a blank, or a #");
    ptrdiff_t slash = str_chr(url, '/');
    ret->port = plain ? 0 : ret->tls ? 443 : 80;
    ret->path = slash < 0 ? STR("/") : str_from(url, (size_t)slash);
    int err = authority_take(ret, slash < 0 ? url : str_sub(url, 0, (size_t)slash));
    if (!err && plain && (!ret->port || ret->path.n > 1))
        err = fail(ret, "protocol audiosocket needs audiosocket://HOST:PORT, and no path");
    return err;
}
