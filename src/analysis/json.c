#include "analysis/json.h"

#include <time.h>

void an_json_init(struct an_json *j, struct an_sink *sink)
{
    *j = (struct an_json){.sink = sink};
}

static void line(struct an_json *j)
{
    if (j->pretty && j->depth && j->depth <= 3) {
        an_sink_ch(j->sink, '\n');
        an_sink_fill(j->sink, STR("  "), j->depth);
    }
}

/* How much of it, from its beginning, stands in JSON as it is. */
static size_t plain(struct str v)
{
    size_t i = 0;
    while (i < v.n && v.p[i] >= ' ' && v.p[i] < 0x7F && v.p[i] != '"' && v.p[i] != '\\' &&
           v.p[i] != '<')
        i++;
    return i;
}

/* Text in quotes. buf_json() writes at most six bytes for one, so a piece always fits. */
static void quoted(struct an_json *j, struct str v)
{
    char mem[6 * 256 + 64];
    size_t as_is = plain(v);
    an_sink_ch(j->sink, '"');
    an_sink_put(j->sink, v.p, as_is);
    v = str_from(v, as_is);
    while (v.n) {
        size_t n = v.n < 256 ? v.n : 256;
        /* A character is not cut in two: its later bytes are 10xxxxxx. */
        for (size_t back = 0; n < v.n && back < 3 && ((uint8_t)v.p[n] & 0xC0) == 0x80; back++)
            n--;
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        buf_json(&b, str_sub(v, 0, n));
        struct str text = buf_str(&b);
        /* "</script>" would end the element that the text is in, "<!--" would change it. */
        for (ptrdiff_t at; j->in_page && (at = str_chr(text, '<')) >= 0;) {
            an_sink_put(j->sink, text.p, (size_t)at);
            an_sink_z(j->sink, "\\u003c");
            text = str_from(text, (size_t)at + 1);
        }
        an_sink_str(j->sink, text);
        v = str_from(v, n);
    }
    an_sink_ch(j->sink, '"');
}

static void begin(struct an_json *j, const char *name)
{
    uint32_t bit = 1u << j->depth;
    BUG_ON(j->depth && !!name != !!(j->object & bit));
    if (j->more & bit)
        an_sink_ch(j->sink, ',');
    j->more |= bit;
    line(j);
    if (name) {
        quoted(j, str_z(name));
        an_sink_put(j->sink, ": ", j->pretty ? 2 : 1);
    }
}

static void open_level(struct an_json *j, const char *name, bool object)
{
    begin(j, name);
    BUG_ON(j->depth + 1 >= JSON_MAX_DEPTH);
    an_sink_ch(j->sink, object ? '{' : '[');
    j->depth++;
    uint32_t bit = 1u << j->depth;
    j->more &= ~bit;
    j->object = object ? j->object | bit : j->object & ~bit;
}

void an_json_object(struct an_json *j, const char *name)
{
    open_level(j, name, true);
}

void an_json_array(struct an_json *j, const char *name)
{
    open_level(j, name, false);
}

void an_json_end(struct an_json *j)
{
    uint32_t bit = 1u << j->depth;
    bool more = j->more & bit, object = j->object & bit, broken = j->depth <= 3;
    j->depth--;
    if (more && broken) {
        line(j);
        if (j->pretty && !j->depth)
            an_sink_ch(j->sink, '\n');
    }
    an_sink_ch(j->sink, object ? '}' : ']');
}

void an_json_str(struct an_json *j, const char *name, struct str v)
{
    begin(j, name);
    quoted(j, v);
}

void an_json_str_if(struct an_json *j, const char *name, struct str v)
{
    if (v.n)
        an_json_str(j, name, v);
}

/* With so many digits at least. */
static void put_u64(struct an_json *j, uint64_t v, unsigned digits)
{
    char text[20];
    unsigned n = sizeof(text);
    do {
        text[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v || sizeof(text) - n < digits);
    an_sink_put(j->sink, text + n, sizeof(text) - n);
}

void an_json_u64(struct an_json *j, const char *name, uint64_t v)
{
    begin(j, name);
    put_u64(j, v, 1);
}

void an_json_i64(struct an_json *j, const char *name, int64_t v)
{
    begin(j, name);
    if (v < 0)
        an_sink_ch(j->sink, '-');
    put_u64(j, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 1);
}

void an_json_bool(struct an_json *j, const char *name, bool v)
{
    begin(j, name);
    an_sink_z(j->sink, v ? "true" : "false");
}

void an_json_null(struct an_json *j, const char *name)
{
    begin(j, name);
    an_sink_z(j->sink, "null");
}

void an_json_fixed(struct an_json *j, const char *name, int64_t v, unsigned digits)
{
    uint64_t unit = 1, n = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    begin(j, name);
    if (v < 0)
        an_sink_ch(j->sink, '-');
    put_u64(j, n / unit, 1);
    an_sink_ch(j->sink, '.');
    put_u64(j, n % unit, digits);
}

void json_data(struct an_json *j, const char *name, const char *type, struct str head,
               struct str body)
{
    BUG_ON(head.n % 3);
    begin(j, name);
    an_sink_fmt(j->sink, "\"data:%s;base64,", type);
    an_sink_base64(j->sink, head.p, head.n);
    an_sink_base64(j->sink, body.p, body.n);
    an_sink_ch(j->sink, '"');
}

void an_json_addr(struct an_json *j, const char *name, const struct addr *a)
{
    char mem[64];
    struct buf b;
    if (a->family == ADDR_NONE) {
        an_json_null(j, name);
        return;
    }
    buf_init(&b, mem, sizeof(mem));
    addr_put(&b, a);
    an_json_str(j, name, buf_str(&b));
}

void an_put_time(struct buf *b, uint64_t at_ns)
{
    time_t at_s = (time_t)(at_ns / 1000000000u);
    struct tm tm;
    gmtime_r(&at_s, &tm);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%09uZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(at_ns % 1000000000u));
}

void an_json_time(struct an_json *j, const char *name, uint64_t at_ns)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    an_put_time(&b, at_ns);
    an_json_str(j, name, buf_str(&b));
}
