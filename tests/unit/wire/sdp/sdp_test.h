/* What the description tests share. */
#ifndef UNIT_WIRE_SDP_SDP_TEST_H
#define UNIT_WIRE_SDP_SDP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/sdp/caps.h"

#define SDP_HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"

#define assert_text(s, lit) assert_text_at((s), (lit), __FILE__, __LINE__)

static inline void assert_text_at(struct str s, const char *want, const char *file, int line)
{
    if (str_eq(s, str_z(want)))
        return;
    print_error("got \"" STR_FMT "\", wanted \"%s\"\n", STR_ARG(s), want);
    _fail(file, line);
}

static inline struct sdp must_parse(struct arena *a, const char *text)
{
    struct sdp s;
    struct sdp_error err = {0};
    if (sdp_parse(&s, str_z(text), a, &err)) {
        struct str why = sdp_reason_text(err.reason);
        print_error("byte %zu: " STR_FMT "\n", err.position, STR_ARG(why));
        fail();
    }
    return s;
}

static inline int arena_setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static inline int arena_teardown(void **state)
{
    arena_done(*state);
    return mem_live() == 0 ? 0 : -1;
}

#define sdp_unit(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)

#endif
