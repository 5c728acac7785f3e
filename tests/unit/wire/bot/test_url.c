/* Where bots are: what is a URL of theirs, and what is said of the others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/bot/url.h"

static void assert_is(const char *url, bool plain, const char *host, unsigned port,
                      const char *path)
{
    struct bot_url u;
    if (bot_url_parse(&u, str_z(url), plain))
        fail_msg("%s: %s", url, u.why);
    assert_true(str_eq(u.host, str_z(host)));
    assert_true(str_eq(u.path, str_z(path)));
    assert_int_equal(u.port, port);
    assert_int_equal(u.tls, str_istarts(str_z(url), STR("wss:")));
}

static void test_urls(void **state)
{
    (void)state;
    assert_is("ws://h", false, "h", 80, "/");
    assert_is("WSS://bot.example.com/", false, "bot.example.com", 443, "/");
    assert_is("ws://127.0.0.1:9000/call?a=b%20c", false, "127.0.0.1", 9000, "/call?a=b%20c");
    assert_is("ws://h/user@place:1", false, "h", 80, "/user@place:1");
    assert_is("wss://[2001:db8::1]/x", false, "2001:db8::1", 443, "/x");
    assert_is("ws://[::1]:65535", false, "::1", 65535, "/");
    assert_is("audiosocket://h:9092", true, "h", 9092, "/");
    assert_is("audiosocket://[::1]:9092/", true, "::1", 9092, "/");
}

static void assert_is_none(const char *url, bool plain, const char *why)
{
    struct bot_url u;
    if (bot_url_parse(&u, str_z(url), plain) != -EINVAL)
        fail_msg("taken: %s", url);
    assert_non_null(u.why);
    if (!strstr(u.why, why))
        fail_msg("%s: %s", url, u.why);
}

static void test_what_is_none(void **state)
{
    static const char long_host[] =
        "ws://0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567/";
    (void)state;
    assert_is_none("", false, "needs a ws://");
    assert_is_none("http://h/", false, "needs a ws://");
    assert_is_none("audiosocket://h:1", false, "needs a ws://");
    assert_is_none("ws://", false, "no host");
    assert_is_none("ws:///x", false, "no host");
    assert_is_none("ws://:80/x", false, "no host");
    assert_is_none("ws://[]/x", false, "no host");
    assert_is_none("ws://[::1/x", false, "");
    assert_is_none("ws://[::1]x/", false, "a host that is none");
    assert_is_none("ws://h?a=b", false, "a / before");
    assert_is_none("ws://h:80?a=b", false, "a / before");
    assert_is_none("ws://::1/", false, "brackets");
    assert_is_none(long_host, false, "255 bytes");
    assert_is_none("ws://h:99999/x", false, "a port");
    assert_is_none("ws://h:0/x", false, "a port");
    assert_is_none("ws://h:/x", false, "a port");
    assert_is_none("ws://h:x", false, "a port");
    assert_is_none("ws://user@h/x", false, "a user");
    assert_is_none("ws://user:pw@127.0.0.1:9000/x", false, "a user");
    assert_is_none("ws://user:pw@h", false, "a user");
    assert_is_none("ws://h/x?a=b c", false, "a character");
    assert_is_none("ws://h/x#y", false, "a character");
    assert_is_none("ws://h/\xC3\xA4", false, "a character");
    assert_is_none("ws://h:1", true, "needs audiosocket://HOST:PORT");
    assert_is_none("audiosocket://h", true, "needs audiosocket://HOST:PORT");
    assert_is_none("audiosocket://:9", true, "no host");
    assert_is_none("audiosocket://h:1/path", true, "no path");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
