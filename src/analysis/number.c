#include "analysis/number.h"

static bool says_nothing(struct str s)
{
    return s.n == 0 || str_eq(s, STR("anonymous")) || str_eq(s, STR("unknown")) ||
           str_eq(s, STR("restricted")) || str_eq(s, STR("unavailable"));
}

/* "109Q1427" is 1427 of tenant 109Q: the digits behind the last letter of what begins with one. */
static uint8_t tenant_of(const struct an_number *a)
{
    uint8_t i = a->n;
    while (i > 0 && a->c[i - 1] >= '0' && a->c[i - 1] <= '9')
        i--;
    bool tenant = i > 0 && a->n - i >= 3 && a->c[0] >= '0' && a->c[0] <= '9' &&
                  a->c[i - 1] >= 'a' && a->c[i - 1] <= 'z';
    return tenant ? i : 0;
}

struct an_number an_number_of(struct str user)
{
    struct an_number out = {0};
    ptrdiff_t semi = str_chr(user, ';'); /* parameters of tel: and of user parts */
    if (semi >= 0)
        user = str_sub(user, 0, (size_t)semi);
    char all[128];
    size_t n = 0;
    for (size_t i = 0; i < user.n && n < sizeof(all); i++) {
        char c = user.p[i];
        if (c != '+' && c != '-' && c != '.' && c != '(' && c != ')' && c != ' ')
            all[n++] = chr_lower(c);
    }
    size_t from = n > AN_NUMBER_MAX ? n - AN_NUMBER_MAX : 0;
    out.n = (uint8_t)(n - from);
    memcpy(out.c, all + from, out.n);
    out.silent = says_nothing(str_of(out.c, out.n));
    if (out.n >= 3)
        memcpy(&out.tail, out.c + out.n - 3, 3);
    out.tenant = tenant_of(&out);
    return out;
}

/* 0 or 82 in front of a number are the same country, seen from inside and outside: what differs at
 * the front of two long numbers does not matter. */
#define SURE_SUFFIX 8

static bool ends_with(struct str s, struct str end)
{
    return memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

enum an_likeness an_number_like(const struct an_number *a, const struct an_number *b)
{
    if (a->silent || b->silent)
        return AN_UNKNOWN;
    if (a->tail != b->tail)
        return AN_DIFFER;
    /* A tenant counts only if both have one. */
    bool both = a->tenant && b->tenant;
    struct str x = str_of(a->c, a->n), y = str_of(b->c, b->n);
    if (str_eq(x, y))
        return AN_EQUAL;
    if (!both) {
        x = str_from(x, a->tenant);
        y = str_from(y, b->tenant);
    }
    struct str s = x.n < y.n ? x : y, l = x.n < y.n ? y : x;
    if (s.n >= 3 && ends_with(l, s))
        return AN_ENDS;
    if (s.n > SURE_SUFFIX && ends_with(l, str_from(s, s.n - SURE_SUFFIX)))
        return AN_ENDS;
    return AN_DIFFER;
}

bool an_number_same_tenant(const struct an_number *a, const struct an_number *b)
{
    uint8_t n = 0;
    while (n < a->n && n < b->n && a->c[n] == b->c[n])
        n++;
    /* All but the last four at most. */
    return a->n == b->n && n >= 2 && a->n - n <= 4;
}
