#include "pbx/diversion.h"

#include "base/num.h"

struct row {
    struct str name;
    uint16_t cause; /* RFC 4458 section 4, when no response says more */
};

static const struct row rows[DIVERSION_REASONS] = {
    [DIVERSION_UNCONDITIONAL] = {STR_INIT("unconditional"), 302},
    [DIVERSION_USER_BUSY] = {STR_INIT("user-busy"), 486},
    [DIVERSION_NO_ANSWER] = {STR_INIT("no-answer"), 408},
    [DIVERSION_UNAVAILABLE] = {STR_INIT("unavailable"), 503},
    [DIVERSION_DND] = {STR_INIT("do-not-disturb"), 480},
    [DIVERSION_DEFLECTION] = {STR_INIT("deflection"), 480},
};

struct str diversion_reason_name(enum diversion_reason r)
{
    return rows[r].name;
}

unsigned diversion_count(const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_DIVERSION);
    struct str value;
    unsigned n = 0;
    while (sip_values_next(&it, &value)) {
        struct sip_nameaddr na;
        uint64_t counter = 1;
        if (sip_nameaddr_parse(&na, value) ||
            num_u64(&counter, sip_param_get(na.params, STR("counter")), 100))
            counter = 1;
        n += (unsigned)counter;
    }
    /* Who sends only History-Info: each entry behind the first was one more target. */
    unsigned entries = 0;
    it = sip_values(m, SIP_H_HISTORY_INFO);
    while (sip_values_next(&it, &value))
        entries++;
    return entries > n + 1 ? entries - 1 : n;
}

static void put_uri(struct pbx *p, struct buf *b, struct str number)
{
    buf_lit(b, "<sip:");
    sip_escape_user(b, number);
    buf_ch(b, '@');
    buf_str_put(b, p->domain);
}

static struct str diversion(struct pbx *p, const struct diversion_args *a,
                            const struct diversion *v)
{
    struct buf b;
    size_t cap = 3 * v->number.n + p->domain.n + 96;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    put_uri(p, &b, v->number);
    buf_lit(&b, ">;reason=");
    buf_str_put(&b, rows[v->reason].name);
    buf_lit(&b, ";counter=1");
    if (a->anonymous)
        buf_lit(&b, ";privacy=full");
    return buf_str(&b);
}

/* The index of the last entry that came in; none. */
static struct str last_index(const struct sip_msg *m)
{
    struct str value, index = STR_NONE;
    if (!m)
        return index;
    struct sip_values it = sip_values(m, SIP_H_HISTORY_INFO);
    while (sip_values_next(&it, &value)) {
        struct sip_nameaddr na;
        if (sip_nameaddr_parse(&na, value) == 0)
            index = sip_param_get(na.params, STR("index"));
    }
    return index.n && index.n < 64 ? index : STR_NONE;
}

/* The entry that says why the one before it was left: the cause as a parameter of the URI (RFC
 * 4458), the response that led to it escaped in that entry (RFC 7044 section 10.2). */
static void put_entry(struct pbx *p, struct buf *b, const struct diversion_args *a, unsigned i)
{
    put_uri(p, b, i < a->n ? a->v[i].number : a->target);
    if (i > 0) {
        const struct diversion *why = &a->v[i - 1];
        buf_lit(b, ";cause=");
        buf_u64(b, why->status >= 400 ? why->status : rows[why->reason].cause);
    }
    if (i < a->n && a->v[i].status) {
        buf_lit(b, "?Reason=SIP%3Bcause%3D");
        buf_u64(b, a->v[i].status);
    }
    buf_ch(b, '>');
}

/* index=1, 1.1, 1.1.1: each comes from the one before; mp names it (RFC 7044 section 10.3, 10.4).
 */
static struct str history(struct pbx *p, const struct diversion_args *a)
{
    struct buf b, index;
    char index_mem[96];
    struct str base = last_index(a->invite);
    size_t cap = 256 * (size_t)(a->n + 1) + 3 * a->target.n;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_init(&index, index_mem, sizeof(index_mem));
    buf_str_put(&index, base.n ? base : STR("1"));
    for (unsigned i = base.n ? 1 : 0; i <= a->n; i++) {
        size_t parent = index.n;
        if (i > 0)
            buf_lit(&index, ".1");
        if (b.n)
            buf_lit(&b, ", ");
        put_entry(p, &b, a, i);
        buf_lit(&b, ";index=");
        buf_str_put(&b, buf_str(&index));
        if (i == 0)
            continue;
        buf_lit(&b, ";mp=");
        buf_put(&b, index_mem, parent);
    }
    return b.full || index.full ? STR_NONE : buf_str(&b);
}

unsigned diversion_fields(struct pbx *p, const struct diversion_args *a, struct sip_field *field,
                          unsigned n, unsigned cap)
{
    if (!a->n)
        return n;
    for (unsigned i = a->n; i-- && n < cap;) {
        struct str value = diversion(p, a, &a->v[i]);
        if (value.n)
            field[n++] = (struct sip_field){.id = SIP_H_DIVERSION, .value = value};
    }
    struct str value = history(p, a);
    if (value.n && n < cap)
        field[n++] = (struct sip_field){.id = SIP_H_HISTORY_INFO, .value = value};
    return n;
}
