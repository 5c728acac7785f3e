/* Which texts of bots become sounds of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pbx/config.h"
#include "pbx/pbx.h"

/* The names of all, with commas between. */
static struct str names(struct buf *b, const char *text)
{
    static struct config_errors errs;
    struct config *c = NULL;
    struct pbx_spoken t;
    uint32_t at = 0;
    assert_int_equal(config_load(&c, "f", str_z(text), &errs), 0);
    while (pbx_spoken_next(c, &at, &t)) {
        assert_true(t.text.n > 0 && t.number > 0);
        buf_z(b, b->n ? "," : "");
        buf_z(b, t.name);
    }
    assert_null(config_unref(c));
    return buf_str(b);
}

static void assert_names(const char *text, const char *want)
{
    char mem[1024];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    struct str got = names(&b, text);
    assert_int_equal(got.n, strlen(want));
    assert_memory_equal(got.p, want, got.n);
}

static void a_menu_of_ours(void **state)
{
    assert_names("bots: [{name: desk, greeting: Hello, menu: [{key: \"1\", prompt: One}, {key: "
                 "\"*\", say: Star}]}]\n",
                 "bot-desk-greeting,bot-desk-prompt-1,bot-desk-say-star");
}

/* A speech server says them, but not that it has failed. */
static void a_menu_of_a_speech_server(void **state)
{
    assert_names("bots: [{name: desk, engine: mrcp, server: \"sip:a\", greeting: Hello, menu: "
                 "[{key: \"1\", prompt: One}]}]\n",
                 "");
    assert_names("bots: [{name: desk, engine: mrcp, server: \"sip:a\", language: ko, greeting: "
                 "Hello, menu: [{key: \"1\", prompt: One}]}]\n",
                 "bot-desk-sorry,bot-desk-nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_menu_of_ours),
        cmocka_unit_test(a_menu_of_a_speech_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
