#include "pbx/feature/setting.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "pbx/feature/queue.h"

#define NUMBER_MAX 63 /* bytes, as in the configuration */

struct owner {
    struct hash_node by_number;
    struct list node;
    struct str number;          /* owned */
    struct str value[SETTINGS]; /* owned; none: as configured */
    bool off[SETTINGS];         /* set, and empty */
};

struct settings {
    struct hash_table by_number;
    struct list all;
};

static const struct str names[SETTINGS] = {
    [SETTING_FORWARD_ALWAYS] = STR_INIT("forward_always"),
    [SETTING_FORWARD_BUSY] = STR_INIT("forward_busy"),
    [SETTING_FORWARD_NO_ANSWER] = STR_INIT("forward_no_answer"),
    [SETTING_FORWARD_UNREGISTERED] = STR_INIT("forward_unregistered"),
    [SETTING_DND] = STR_INIT("dnd"),
};

struct str setting_name(enum setting s)
{
    return names[s];
}

int setting_find(enum setting *ret, struct str name)
{
    for (unsigned i = 0; i < SETTINGS; i++)
        if (str_eq(names[i], name)) {
            *ret = (enum setting)i;
            return 0;
        }
    return -ENOENT;
}

/* ---- owners ---------------------------------------------------------------------------------- */

static struct owner *owner_find(const struct pbx *p, struct str number)
{
    const struct hash_table *t = &p->settings->by_number;
    hash_each(node, t, hash_str(t, number))
    {
        struct owner *o = container_of(node, struct owner, by_number);
        if (str_eq(o->number, number))
            return o;
    }
    return NULL;
}

static struct owner *owner_get(struct pbx *p, struct str number)
{
    struct settings *all = p->settings;
    struct owner *o = owner_find(p, number);
    if (o)
        return o;
    o = mem_zero(sizeof(*o));
    if (!o || pbx_keep(p, &o->number, number)) {
        mem_free(o);
        return NULL;
    }
    hash_put(&all->by_number, &o->by_number, hash_str(&all->by_number, number));
    list_append(&all->all, &o->node);
    return o;
}

static void owner_free(struct pbx *p, struct owner *o)
{
    int err = pbx_keep(p, &o->number, STR_NONE);
    hash_remove(&p->settings->by_number, &o->by_number);
    list_remove(&o->node);
    for (unsigned i = 0; i < SETTINGS; i++)
        err |= pbx_keep(p, &o->value[i], STR_NONE);
    BUG_ON(err); /* freeing cannot fail */
    mem_free(o);
}

int setting_init(struct pbx *p)
{
    struct settings *all = mem_zero(sizeof(*all));
    if (!all)
        return -ENOMEM;
    list_init(&all->all);
    p->settings = all;
    uint32_t n = p->config->n_extensions;
    return hash_init(&all->by_number, n < 64 ? 64 : n, rand_u64(&p->rand));
}

void setting_done(struct pbx *p)
{
    struct settings *all = p->settings;
    if (!all)
        return;
    list_each(node, &all->all) owner_free(p, container_of(node, struct owner, node));
    hash_done(&all->by_number);
    mem_free(all);
    p->settings = NULL;
}

/* ---- the database ---------------------------------------------------------------------------- */

static void store(struct pbx *p, struct str number, enum setting s, struct str value)
{
    struct row_op *op = pbx_store(p, value.p ? STORE_SETTING_PUT : STORE_SETTING_DEL);
    op->v[0] = ROW_S(pbx_turn_dup(p, number));
    op->v[1] = ROW_S(names[s]);
    op->n = 2;
    if (value.p)
        op->v[op->n++] = ROW_S(pbx_turn_dup(p, value));
}

static int keep(struct pbx *p, struct owner *o, enum setting s, struct str value)
{
    int err = pbx_keep(p, &o->value[s], value.n ? value : STR_NONE);
    if (!err)
        o->off[s] = value.p && !value.n;
    return err;
}

void setting_restore(struct pbx *p, const struct row_value *v, unsigned n)
{
    enum setting s;
    if (n != 3 || v[0].type != ROW_TEXT || v[1].type != ROW_TEXT || v[2].type != ROW_TEXT)
        return;
    if (setting_find(&s, v[1].s))
        return;
    if (!config_find_extension(p->config, v[0].s)) { /* gone while nobody was looking */
        store(p, v[0].s, s, STR_NONE);
        return;
    }
    struct owner *o = owner_get(p, v[0].s);
    struct str value = v[2].s.p ? v[2].s : STR("");
    if (!o || keep(p, o, s, value))
        trace_emit(&p->trace, TRACE_STORE_FAILED, 0, TS(STR("out of memory")));
}

void setting_reload(struct pbx *p)
{
    list_each(node, &p->settings->all)
    {
        struct owner *o = container_of(node, struct owner, node);
        if (config_find_extension(p->config, o->number))
            continue;
        for (unsigned i = 0; i < SETTINGS; i++)
            if (o->value[i].n || o->off[i])
                store(p, o->number, (enum setting)i, STR_NONE);
        owner_free(p, o);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct str configured(const struct config_extension *e, enum setting s)
{
    switch (s) {
    case SETTING_FORWARD_ALWAYS:
        return e->forward.always;
    case SETTING_FORWARD_BUSY:
        return e->forward.busy;
    case SETTING_FORWARD_NO_ANSWER:
        return e->forward.no_answer;
    case SETTING_FORWARD_UNREGISTERED:
        return e->forward.unregistered;
    case SETTING_DND:
        return e->dnd ? STR("on") : STR_NONE;
    case SETTINGS:
        break;
    }
    return STR_NONE;
}

struct str setting_get(struct pbx *p, const struct config_extension *e, enum setting s)
{
    const struct owner *o = p->settings->by_number.count ? owner_find(p, e->number) : NULL;
    if (o && o->off[s])
        return STR_NONE;
    return o && o->value[s].n ? o->value[s] : configured(e, s);
}

unsigned setting_refused(struct pbx *p, const struct config_extension *e, enum setting s,
                         struct str value)
{
    struct plan_from from = {.config = p->config, .extension = e};
    if (s == SETTING_DND || !value.n)
        return 0;
    if (value.n > NUMBER_MAX)
        return 404;
    struct plan plan = plan_forward(p, &from, value);
    if (plan.kind == PLAN_NONE || plan.kind == PLAN_REJECT)
        return plan.status;
    return plan.kind == PLAN_EXTENSION && str_eq(plan.extension->number, e->number) ? 403 : 0;
}

int setting_put(struct pbx *p, const struct config_extension *e, enum setting s, struct str value)
{
    struct owner *o = owner_get(p, e->number);
    if (!o)
        return -ENOMEM;
    int err = keep(p, o, s, value);
    if (err)
        return err;
    store(p, e->number, s, value);
    queue_wake(p); /* it may be free now */
    trace_emit(&p->trace, TRACE_SETTING, 0, TS(e->number), TS(names[s]),
               TS(value.n   ? value
                  : value.p ? STR("off")
                            : STR("as configured")));
    return 0;
}
