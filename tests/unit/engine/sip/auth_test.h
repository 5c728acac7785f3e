/* What the tests of authentication share: messages made of text. */
#ifndef AUTH_TEST_H
#define AUTH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/sip/auth_client.h"
#include "engine/sip/auth_server.h"

static inline void assert_text(struct str got, const char *want)
{
    if (!str_eq(got, str_z(want)))
        fail_msg("got '" STR_FMT "', want '%s'", STR_ARG(got), want);
}

/* A request or response and the bytes that it points into. */
struct message {
    struct sip_msg m;
    struct buf b;
    char mem[4096];
};

static inline void message_parse(struct message *x)
{
    buf_lit(&x->b, "Content-Length: 0\r\n\r\n");
    assert_false(x->b.full);
    assert_int_equal(sip_msg_parse(&x->m, x->b.p, x->b.n, true), SIP_OK);
}

static inline void put_common(struct message *x, const char *method)
{
    buf_printf(&x->b,
               "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
               "From: <sip:alice@pbx.test>;tag=1\r\nTo: <sip:alice@pbx.test>\r\n"
               "Call-ID: a@b\r\nCSeq: 1 %s\r\n",
               method);
}

/* field: "Authorization: ..." without line end, or NULL. */
static inline void make_request(struct message *x, const char *method, const char *ruri,
                                const char *field)
{
    buf_init(&x->b, x->mem, sizeof(x->mem));
    buf_printf(&x->b, "%s %s SIP/2.0\r\n", method, ruri);
    put_common(x, method);
    if (field)
        buf_printf(&x->b, "%s\r\n", field);
    message_parse(x);
}

static inline void make_challenge(struct message *x, unsigned status, const struct str *value,
                                  unsigned n)
{
    buf_init(&x->b, x->mem, sizeof(x->mem));
    buf_printf(&x->b, "SIP/2.0 %u No\r\n", status);
    put_common(x, "REGISTER");
    for (unsigned i = 0; i < n; i++)
        buf_printf(&x->b, "%s: " STR_FMT "\r\n",
                   status == 407 ? "Proxy-Authenticate" : "WWW-Authenticate", STR_ARG(value[i]));
    message_parse(x);
}

#endif
