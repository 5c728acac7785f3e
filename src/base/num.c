#include "base/num.h"

#include <errno.h>

int num_u64(uint64_t *ret, struct str s, uint64_t max)
{
    uint64_t v = 0;
    if (s.n == 0)
        return -EINVAL;
    bool over = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -EINVAL;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        over |= v > (UINT64_MAX - digit) / 10;
        v = v * 10 + digit;
    }
    if (over || v > max)
        return -ERANGE;
    *ret = v;
    return 0;
}

int num_u32(uint32_t *ret, struct str s)
{
    uint64_t v;
    int err = num_u64(&v, s, UINT32_MAX);
    if (err == 0)
        *ret = (uint32_t)v;
    return err;
}

int num_fixed(uint64_t *ret, struct str s, unsigned digits)
{
    ptrdiff_t dot = str_chr(s, '.');
    struct str whole = dot < 0 ? s : str_sub(s, 0, (size_t)dot);
    struct str part = dot < 0 ? STR("") : str_from(s, (size_t)dot + 1);
    uint64_t v;
    int err = num_u64(&v, whole, UINT32_MAX);
    if (err)
        return err;
    if (dot >= 0 && part.n == 0)
        return -EINVAL;
    for (unsigned i = 0; i < digits; i++)
        v = v * 10 + (i < part.n ? (uint64_t)(part.p[i] - '0') : 0);
    for (size_t i = 0; i < part.n; i++)
        if (part.p[i] < '0' || part.p[i] > '9')
            return -EINVAL;
    *ret = v;
    return 0;
}

static int hex1(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = chr_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int num_hex2(const char *p)
{
    int high = hex1(p[0]), low = hex1(p[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}
