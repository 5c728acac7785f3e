/* What the tests of wire/sip share. */
#ifndef SIP_TEST_H
#define SIP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/sip/msg.h"

#define assert_str(s, lit)                                                                         \
    do {                                                                                           \
        struct str got_ = (s), want_ = str_z(lit);                                                 \
        if (!got_.p || !str_eq(got_, want_))                                                       \
            fail_msg("got '" STR_FMT "'%s, want '%s'", STR_ARG(got_), got_.p ? "" : " (none)",     \
                     want_.p);                                                                     \
    } while (0)
#define assert_none(s) assert_null((s).p)

static inline struct sip_uri uri(const char *z)
{
    struct sip_uri u;
    if (sip_uri_parse(&u, str_z(z)))
        fail_msg("not a URI: %s", z);
    return u;
}

static inline void bad_uri(const char *z)
{
    struct sip_uri u;
    if (sip_uri_parse(&u, str_z(z)) == 0)
        fail_msg("should be refused: %s", z);
}

/* Parses a copy of exactly the given size, so that a sanitizer sees a read beyond it. The copy is
 * freed by sip_test_done(). */
struct parsed {
    struct sip_msg m;
    char *bytes;
};

static inline enum sip_verdict parse_n(struct parsed *p, const char *bytes, size_t n, bool stream)
{
    p->bytes = malloc(n ? n : 1);
    assert_non_null(p->bytes);
    if (n)
        memcpy(p->bytes, bytes, n);
    return sip_msg_parse(&p->m, p->bytes, n, stream);
}

static inline enum sip_verdict parse_z(struct parsed *p, const char *z)
{
    return parse_n(p, z, strlen(z), false);
}

static inline void parsed_done(struct parsed *p)
{
    free(p->bytes);
    p->bytes = NULL;
}

#endif
