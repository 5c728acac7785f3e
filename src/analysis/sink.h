/* Where a report goes, piece by piece, so that no report is ever in memory as a whole. The first
 * error stays; what is written after it is dropped. */
#ifndef ANALYSIS_SINK_H
#define ANALYSIS_SINK_H

#include "base/assert.h"
#include "base/buf.h"

#define AN_SINK_BYTES 16384

/* Takes n bytes; 0 or negative errno. */
typedef int an_sink_fn(void *user, const char *p, size_t n);

struct an_sink {
    an_sink_fn *take;
    void *user;
    int err;
    uint64_t bytes; /* written so far */
    size_t n;
    char mem[AN_SINK_BYTES];
};

void an_sink_init(struct an_sink *s, an_sink_fn *take, void *user);
/* Hands on what is still held. The first error there was, or 0. */
MUST_CHECK int an_sink_flush(struct an_sink *s);

void an_sink_put(struct an_sink *s, const char *p, size_t n);
static inline void an_sink_str(struct an_sink *s, struct str text)
{
    an_sink_put(s, text.p, text.n);
}
static inline void an_sink_z(struct an_sink *s, const char *z)
{
    an_sink_put(s, z, strlen(z));
}
static inline void an_sink_ch(struct an_sink *s, char c)
{
    if (s->n == sizeof(s->mem)) {
        an_sink_put(s, &c, 1);
        return;
    }
    s->mem[s->n++] = c;
    s->bytes++;
}
/* At most 2047 bytes; more are left out. */
void an_sink_fmt(struct an_sink *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* RFC 4648 section 4. In pieces of a multiple of three bytes it is one text. */
void an_sink_base64(struct an_sink *s, const void *p, size_t n);
/* n times the same. */
void an_sink_fill(struct an_sink *s, struct str what, unsigned n);

#endif
