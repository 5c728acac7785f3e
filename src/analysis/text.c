#include "analysis/text.h"

#include "base/mem.h"

void an_text_done(struct an_text *t)
{
    mem_free(t->p);
    *t = (struct an_text){0};
}

static bool room_for(struct an_text *t, uint32_t n)
{
    if (t->cap - t->n >= n)
        return true;
    uint32_t cap = t->cap ? t->cap : 256;
    while (cap - t->n < n)
        cap *= 2;
    char *p = cap <= AN_TEXT_MAX ? mem_resize(t->p, cap) : NULL;
    if (!p)
        return false;
    t->p = p;
    t->cap = cap;
    return true;
}

struct an_ref an_text_put(struct an_text *t, struct str s, uint32_t most)
{
    uint32_t n = s.n < most ? (uint32_t)s.n : most;
    if (n == 0)
        return (struct an_ref){0};
    if (t->n >= n) {
        /* Numbers and reason phrases come again and again. */
        const char *found = memmem(t->p, t->n, s.p, n);
        if (found)
            return (struct an_ref){(uint32_t)(found - t->p), n};
    }
    if (n > AN_TEXT_MAX || !room_for(t, n))
        return (struct an_ref){0};
    memcpy(t->p + t->n, s.p, n);
    t->n += n;
    return (struct an_ref){t->n - n, n};
}
