/* Bytes made by hand, for the tests of the capture reader. */
#ifndef CAP_TEST_H
#define CAP_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "base/be.h"
#include "wire/cap/cap.h"

struct bytes {
    uint8_t p[16384];
    size_t n;
    bool big; /* the byte order of what is put */
};

static inline void put_8(struct bytes *b, unsigned v)
{
    assert_true(b->n < sizeof(b->p));
    b->p[b->n++] = (uint8_t)v;
}

static inline void put_16(struct bytes *b, unsigned v)
{
    put_8(b, b->big ? v >> 8 : v);
    put_8(b, b->big ? v : v >> 8);
}

static inline void put_32(struct bytes *b, uint32_t v)
{
    put_16(b, b->big ? v >> 16 : v & 0xFFFF);
    put_16(b, b->big ? v & 0xFFFF : v >> 16);
}

static inline void put_bytes(struct bytes *b, const void *p, size_t n)
{
    assert_true(n <= sizeof(b->p) - b->n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void put_hex(struct bytes *b, const char *hex)
{
    unsigned v = 0, digits = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        v = v << 4 | (unsigned)(*hex <= '9' ? *hex - '0' : (*hex | 0x20) - 'a' + 10);
        if (++digits % 2 == 0)
            put_8(b, v & 0xFF);
    }
}

#endif
