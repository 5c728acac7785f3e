/* Frames made by hand, and captures read whole, for the tests of what reads them. */
#ifndef READ_TEST_H
#define READ_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/input.h"
#include "base/be.h"
#include "base/mem.h"

#define MS 1000000ull
#define S  1000000000ull

struct file {
    uint8_t *p;
    size_t n;
};

static inline struct file file_read(const char *path)
{
    struct file r = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return r;
    fseek(f, 0, SEEK_END);
    r.n = (size_t)ftell(f);
    rewind(f);
    r.p = malloc(r.n + 1);
    assert_non_null(r.p);
    assert_int_equal(fread(r.p, 1, r.n, f), r.n);
    fclose(f);
    return r;
}

#endif
