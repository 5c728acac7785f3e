#include "analysis/sink.h"

#include <stdarg.h>
#include <stdio.h>

void an_sink_init(struct an_sink *s, an_sink_fn *take, void *user)
{
    s->take = take;
    s->user = user;
    s->err = 0;
    s->bytes = 0;
    s->n = 0;
}

static void pass_on(struct an_sink *s, const char *p, size_t n)
{
    if (!s->err && n)
        s->err = s->take(s->user, p, n);
}

int an_sink_flush(struct an_sink *s)
{
    pass_on(s, s->mem, s->n);
    s->n = 0;
    return s->err;
}

void an_sink_put(struct an_sink *s, const char *p, size_t n)
{
    s->bytes += n;
    if (n > sizeof(s->mem) - s->n) {
        pass_on(s, s->mem, s->n);
        s->n = 0;
    }
    if (n > sizeof(s->mem)) {
        pass_on(s, p, n);
        return;
    }
    if (n)
        memcpy(s->mem + s->n, p, n);
    s->n += n;
}

void an_sink_fmt(struct an_sink *s, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n > 0)
        an_sink_put(s, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void an_sink_fill(struct an_sink *s, struct str what, unsigned n)
{
    while (n--)
        an_sink_str(s, what);
}

void an_sink_base64(struct an_sink *s, const void *bytes, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        char text[4] = {digit[v >> 18], digit[v >> 12 & 63], i + 1 < n ? digit[v >> 6 & 63] : '=',
                        i + 2 < n ? digit[v & 63] : '='};
        an_sink_put(s, text, sizeof(text));
    }
}
