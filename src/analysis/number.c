#include "analysis/number.h"

static bool says_nothing(struct str s)
{
    return s.n == 0 || str_eq(s, STR("anonymous")) || str_eq(s, STR("unknown")) ||
           str_eq(s, STR("restricted")) || str_eq(s, STR("unavailable"));
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
    return out;
}

/* 0 or 82 in front of a number are the same country, seen from inside and outside: what differs at
 * the front of two long numbers does not matter. */
#define SURE_SUFFIX 8

enum an_likeness an_number_like(const struct an_number *a, const struct an_number *b)
{
    if (a->silent || b->silent)
        return AN_UNKNOWN;
    if (a->tail != b->tail)
        return AN_DIFFER;
    const struct an_number *s = a->n < b->n ? a : b, *l = s == a ? b : a;
    if (s->n == l->n && memcmp(s->c, l->c, s->n) == 0)
        return AN_EQUAL;
    if (s->n >= 3 && memcmp(s->c, l->c + l->n - s->n, s->n) == 0)
        return AN_ENDS;
    if (s->n > SURE_SUFFIX &&
        memcmp(s->c + s->n - SURE_SUFFIX, l->c + l->n - SURE_SUFFIX, SURE_SUFFIX) == 0)
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
