/* A bounded writer over the caller's memory. What does not fit is not written and sets `full`,
 * so a builder checks once, at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap;
    bool full;
};

static inline void buf_init(struct buf *b, char *mem, size_t cap)
{
    *b = (struct buf){.p = mem, .cap = cap};
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

static inline void buf_put(struct buf *b, const char *p, size_t n)
{
    if (__builtin_expect(n > b->cap - b->n, 0)) {
        b->full = true;
        return;
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void buf_str_put(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}

static inline void buf_ch(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

/* buf_lit(b, "text"): a literal without strlen. */
#define buf_lit(b, lit) buf_put((b), (lit), sizeof(lit) - 1)

void buf_z(struct buf *b, const char *z);
/* Decimal. */
void buf_u64(struct buf *b, uint64_t v);
void buf_i64(struct buf *b, int64_t v);
/* Lower-case hexadecimal of n bytes. */
void buf_hex(struct buf *b, const void *bytes, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* RFC 3629 section 4. */
bool buf_is_utf8(struct str s);
/* The text inside quotes of a JSON string, escaped; bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct str s);
/* The text of an XML element or of an attribute in double quotes, escaped; what XML 1.0 cannot hold
 * becomes U+FFFD. */
void buf_xml(struct buf *b, struct str s);

#endif
