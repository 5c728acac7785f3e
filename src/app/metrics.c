#include "app/metrics.h"

#include <stdbool.h>
#include <string.h>

#define NAME_MAX_BYTES 200

/* Objects whose keys are instances: methods, states, timers. */
static bool has_instances(const char *key)
{
    static const char *const of[] = {"transactions", "timeouts",     "timers_fired", "rx_by_method",
                                     "tx_by_method", "rx_by_status", "tx_by_status"};
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
        if (strcmp(key, of[i]) == 0)
            return true;
    return false;
}

/* [a-zA-Z0-9_:] is what a name is made of. */
static void put_name(struct buf *b, const char *z)
{
    for (; *z; z++) {
        bool fits = (*z >= 'a' && *z <= 'z') || (*z >= 'A' && *z <= 'Z') ||
                    (*z >= '0' && *z <= '9') || *z == '_';
        buf_ch(b, fits ? *z : '_');
    }
}

/* A label's value, in which a quotation mark, a backslash and the end of a line are escaped. */
static void put_label(struct buf *b, const char *z)
{
    for (; *z; z++) {
        if (*z == '"' || *z == '\\')
            buf_ch(b, '\\');
        if (*z == '\n')
            buf_lit(b, "\\n");
        else
            buf_ch(b, *z);
    }
}

static bool is_figure(const json_t *v)
{
    return json_is_number(v) || json_is_boolean(v);
}

static void put_value(struct buf *b, const json_t *v)
{
    if (json_is_integer(v))
        buf_printf(b, " %lld\n", (long long)json_integer_value(v));
    else if (json_is_real(v))
        buf_printf(b, " %.15g\n", json_real_value(v));
    else
        buf_printf(b, " %d\n", json_is_true(v));
}

/* NAME{of="KEY"}, and where the instances have parts NAME{of="KEY",state="KEY"}. */
static void put_instances(struct buf *b, const char *name, const json_t *object)
{
    const char *key, *part;
    json_t *v, *inner;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        json_object_foreach(v, part, inner)
        {
            if (!is_figure(inner))
                continue;
            buf_printf(b, "%s{of=\"", name);
            put_label(b, key);
            buf_lit(b, "\",state=\"");
            put_label(b, part);
            buf_lit(b, "\"}");
            put_value(b, inner);
        }
        if (!is_figure(v))
            continue;
        buf_printf(b, "%s{of=\"", name);
        put_label(b, key);
        buf_lit(b, "\"}");
        put_value(b, v);
    }
}

static void put_figures(struct buf *b, const char *name, const json_t *figures, int depth)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)figures, key, v)
    {
        char mem[NAME_MAX_BYTES + 1];
        struct buf full;
        buf_init(&full, mem, NAME_MAX_BYTES);
        put_name(&full, name);
        buf_ch(&full, '_');
        put_name(&full, key);
        mem[full.n] = '\0';
        if (full.full)
            continue;
        if (is_figure(v)) {
            buf_z(b, mem);
            put_value(b, v);
        } else if (json_is_object(v) && has_instances(key)) {
            put_instances(b, mem, v);
        } else if (json_is_object(v) && depth < 4) {
            put_figures(b, mem, v, depth + 1);
        }
    }
}

void metrics_put(struct buf *b, const char *name, const json_t *figures)
{
    put_figures(b, name, figures, 0);
}

void metrics_put_mrcp_help(struct buf *b, const char *name)
{
#define MRCP_TELEMETRY(field, text)                                                                \
    buf_printf(b, "# HELP %s_" #field " " text "\n# TYPE %s_" #field " counter\n", name, name);
#include "mrcp/telemetry.def"
#undef MRCP_TELEMETRY
}
