/* A piece of text: pointer and length, passed by value, never terminated, never owned. It points
 * into a received message, an arena or a literal, and lives as long as that does. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* STR("text"): a literal. STR_NONE: absent (p == NULL), which is not the same as empty. */
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }
#define STR_NONE   ((struct str){NULL, 0})
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

static inline struct str str_z(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The part of s from index `from`, at most `n` long; indices past the end give empty text. */
static inline struct str str_sub(struct str s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    /* Nothing is added to the NULL of absent text. */
    return (struct str){from ? s.p + from : s.p, n};
}

static inline struct str str_from(struct str s, size_t from)
{
    return str_sub(s, from, s.n);
}

static inline char chr_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* ASCII comparison without case. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
/* Index of c in s, or -1. */
ptrdiff_t str_chr(struct str s, char c);
/* Index of the last c in s, or -1. */
ptrdiff_t str_rchr(struct str s, char c);
/* Index of needle in s without case, or -1. */
ptrdiff_t str_ifind(struct str s, struct str needle);
/* Of ASCII letters, digits and the characters of `also` alone. */
bool str_made_of(struct str s, const char *also);
/* Without SP, HTAB, CR and LF at both ends. */
struct str str_trim(struct str s);
/* Order of the bytes, as memcmp, shorter first. */
int str_cmp(struct str a, struct str b);
/* Copies s into out[cap] with a terminating NUL, cut to fit. Returns the length copied. */
size_t str_copy_z(char *out, size_t cap, struct str s);

#endif
