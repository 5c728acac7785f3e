/* The indexes of a configuration: numbers, users, names. */
#include <errno.h>

#include "pbx/config_table.h"

struct index_ref {
    struct hash_node node;
    struct str key;
    struct config_target target;
    const char *list, *member; /* whose key it is: see struct entry */
};

struct config_target config_index_find(const struct config *c, enum config_index index,
                                       struct str key)
{
    const struct hash_table *t = &c->index[index];
    hash_each(node, t, hash_str(t, key))
    {
        const struct index_ref *ref = container_of(node, struct index_ref, node);
        if (str_eq(ref->key, key))
            return ref->target;
    }
    return (struct config_target){0};
}

/* What has the key already; a feature code is in the index, too, though it has no target. */
static const struct index_ref *taken_by(const struct hash_table *t, struct str key)
{
    hash_each(node, t, hash_str(t, key))
    {
        const struct index_ref *ref = container_of(node, struct index_ref, node);
        if (str_eq(ref->key, key))
            return ref;
    }
    return NULL;
}

/* One thing to enter, and how to name it in an error. */
struct entry {
    enum config_index index;
    struct str key;
    enum config_target_kind kind;
    uint32_t at;
    const char *list;   /* "extensions" */
    const char *member; /* "number" */
    const void *place, *owner;
};

static void put_place(struct buf *out, const char *list, uint32_t at, const char *member)
{
    if (str_eq(str_z(list), STR("features")))
        buf_printf(out, "%s.%s", list, member);
    else
        buf_printf(out, "%s[%u].%s", list, at, member);
}

static void taken_report(struct config_binder *b, const struct entry *e, const struct index_ref *by)
{
    char mem[256];
    struct buf out;
    if (config_is_hopeless(b))
        return;
    buf_init(&out, mem, sizeof(mem));
    put_place(&out, e->list, e->at, e->member);
    buf_lit(&out, ": \"");
    buf_str_put(&out, e->key);
    buf_lit(&out, "\" is already taken by ");
    put_place(&out, by->list, by->target.index, by->member);
    config_error_add(b, config_line(b, e->place, e->owner), buf_str(&out));
}

static void enter(struct config_binder *b, const struct entry *e)
{
    struct hash_table *t = &b->config->index[e->index];
    if (e->key.n == 0 || b->out_of_memory)
        return;
    const struct index_ref *by = taken_by(t, e->key);
    if (by) {
        taken_report(b, e, by);
        return;
    }
    struct index_ref *ref = arena_zero(&b->config->arena, sizeof(*ref));
    if (!ref) {
        b->out_of_memory = true;
        return;
    }
    ref->key = e->key;
    ref->target = (struct config_target){.kind = e->kind, .index = e->at, .name = e->key};
    ref->list = e->list;
    ref->member = e->member;
    hash_put(t, &ref->node, hash_str(t, e->key));
}

static void enter_extensions(struct config_binder *b)
{
    struct config *c = b->config;
    for (uint32_t i = 0; i < c->n_extensions; i++) {
        struct config_extension *e = &c->extensions[i];
        struct entry entry = {.kind = CONF_TARGET_EXTENSION, .at = i, .list = "extensions"};
        entry.owner = e;
        entry.index = CONF_INDEX_NUMBER;
        entry.key = e->number;
        entry.member = "number";
        entry.place = &e->number;
        enter(b, &entry);
        entry.index = CONF_INDEX_USERNAME;
        entry.key = e->username;
        entry.member = "username";
        entry.place = &e->username;
        enter(b, &entry);
        entry.index = CONF_INDEX_DID;
        entry.member = "did";
        entry.place = &e->did;
        for (uint32_t j = 0; j < e->did.n; j++) {
            entry.key = e->did.v[j];
            enter(b, &entry);
        }
    }
}

static void enter_groups(struct config_binder *b)
{
    struct config *c = b->config;
    for (uint32_t i = 0; i < c->n_groups; i++) {
        struct config_group *g = &c->groups[i];
        struct entry entry = {CONF_INDEX_NUMBER, g->number, CONF_TARGET_GROUP, i,
                              "groups",          "number",  &g->number,        g};
        enter(b, &entry);
        entry.index = CONF_INDEX_DID;
        entry.member = "did";
        entry.place = &g->did;
        for (uint32_t j = 0; j < g->did.n; j++) {
            entry.key = g->did.v[j];
            enter(b, &entry);
        }
    }
}

static void enter_conferences(struct config_binder *b)
{
    struct config *c = b->config;
    for (uint32_t i = 0; i < c->n_conferences; i++) {
        const struct config_conference *o = &c->conferences[i];
        enter(b, &(struct entry){CONF_INDEX_NUMBER, o->number, CONF_TARGET_CONFERENCE, i,
                                 "conferences", "number", &o->number, o});
        for (uint32_t j = 0; j < o->did.n; j++)
            enter(b, &(struct entry){CONF_INDEX_DID, o->did.v[j], CONF_TARGET_CONFERENCE, i,
                                     "conferences", "did", &o->did, o});
    }
}

static void enter_others(struct config_binder *b)
{
    struct config *c = b->config;
    for (uint32_t i = 0; i < c->n_trunks; i++) {
        const struct config_trunk *o = &c->trunks[i];
        enter(b, &(struct entry){CONF_INDEX_TRUNK, o->name, CONF_TARGET_TRUNK, i, "trunks", "name",
                                 &o->name, o});
    }
    for (uint32_t i = 0; i < c->n_bots; i++) {
        const struct config_bot *o = &c->bots[i];
        enter(b, &(struct entry){CONF_INDEX_BOT, o->name, CONF_TARGET_BOT, i, "bots", "name",
                                 &o->name, o});
    }
}

static void enter_features(struct config_binder *b)
{
    const struct config_features *f = &b->config->features;
    const struct {
        const struct str *code;
        const char *member;
    } codes[] = {
        {&f->pickup, "pickup"},
        {&f->park, "park"},
        {&f->voicemail, "voicemail"},
        {&f->voicemail_other, "voicemail_other"},
        {&f->bot, "bot"},
        {&f->conference, "conference"},
        {&f->conference_factory, "conference_factory"},
        {&f->dnd, "dnd"},
        {&f->dnd_off, "dnd_off"},
        {&f->forward_always, "forward_always"},
        {&f->forward_always_off, "forward_always_off"},
        {&f->forward_busy, "forward_busy"},
        {&f->forward_busy_off, "forward_busy_off"},
        {&f->forward_no_answer, "forward_no_answer"},
        {&f->forward_no_answer_off, "forward_no_answer_off"},
        {&f->forward_unregistered, "forward_unregistered"},
        {&f->forward_unregistered_off, "forward_unregistered_off"},
        {&f->echo, "echo"},
        {&f->record, "record"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        enter(b, &(struct entry){CONF_INDEX_NUMBER, *codes[i].code, CONF_TARGET_NONE, i, "features",
                                 codes[i].member, codes[i].code, f});
}

void config_index_build(struct config_binder *b)
{
    struct config *c = b->config;
    uint64_t expected[CONF_INDEX_COUNT] = {
        [CONF_INDEX_NUMBER] = (uint64_t)c->n_extensions + c->n_groups + c->n_conferences + 16,
        [CONF_INDEX_USERNAME] = c->n_extensions,
        [CONF_INDEX_DID] = (uint64_t)c->n_extensions + c->n_groups + c->n_conferences,
        [CONF_INDEX_TRUNK] = c->n_trunks,
        [CONF_INDEX_BOT] = c->n_bots,
    };
    for (unsigned i = 0; i < CONF_INDEX_COUNT; i++)
        if (hash_init(&c->index[i], expected[i] + 1, i)) {
            b->out_of_memory = true;
            return;
        }
    enter_extensions(b);
    enter_groups(b);
    enter_conferences(b);
    enter_others(b);
    enter_features(b);
}
