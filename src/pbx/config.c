#include "pbx/config.h"

#include <errno.h>

#include "base/mem.h"
#include "pbx/config_table.h"

#define MAX_BYTES ((size_t)512 << 20) /* of one snapshot */

static void config_free(struct config *c)
{
    for (uint32_t i = 0; i < c->n_routes; i++)
        if (c->routes[i].match.compiled)
            regfree(c->routes[i].match.compiled);
    for (unsigned i = 0; i < CONF_INDEX_COUNT; i++)
        if (c->index[i].bucket)
            hash_done(&c->index[i]);
    arena_done(&c->arena);
    mem_free(c);
}

static int load(struct config **ret, struct config_binder *b)
{
    struct config *c = mem_zero(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->refs = 1;
    arena_init(&c->arena, MAX_BYTES);
    b->config = c;
    config_bind(b);
    if (!b->out_of_memory)
        config_check(b);
    mem_free(b->place);
    int err = b->out_of_memory ? -ENOMEM : b->errs->total ? -EINVAL : 0;
    if (err)
        config_free(c);
    else
        *ret = c;
    return err;
}

int config_load(struct config **ret, const char *file_name, struct str text,
                struct config_errors *errs)
{
    struct yaml_tree *tree = NULL;
    uint32_t line = 0;
    const char *problem = NULL;
    struct config_binder b = {.file_name = file_name, .errs = errs};
    errs->n = errs->total = 0;
    int err = yaml_tree_parse(&tree, text, &line, &problem);
    if (err == -EINVAL)
        config_error_add(&b, line, str_z(problem));
    if (err)
        return err;
    b.tree = tree;
    err = load(ret, &b);
    yaml_tree_free(tree);
    return err;
}

int config_default(struct config **ret)
{
    struct config_errors errs;
    errs.n = errs.total = 0;
    struct config_binder b = {.file_name = "defaults", .errs = &errs};
    return load(ret, &b);
}

struct config *config_ref(struct config *c)
{
    c->refs++;
    return c;
}

struct config *config_unref(struct config *c)
{
    if (c && --c->refs == 0)
        config_free(c);
    return NULL;
}

void config_errors_put(struct buf *b, const struct config_errors *errs)
{
    for (uint32_t i = 0; i < errs->n; i++) {
        buf_z(b, errs->v[i].text);
        buf_lit(b, "\n");
    }
    if (errs->total > errs->n)
        buf_printf(b, "and %u more\n", errs->total - errs->n);
}

/* ---- finding --------------------------------------------------------------------------------- */

const struct config_extension *config_find_extension(const struct config *c, struct str number)
{
    struct config_target t = config_index_find(c, CONF_INDEX_NUMBER, number);
    return t.kind == CONF_TARGET_EXTENSION ? &c->extensions[t.index] : NULL;
}

const struct config_extension *config_find_user(const struct config *c, struct str username)
{
    struct config_target t = config_index_find(c, CONF_INDEX_USERNAME, username);
    return t.kind == CONF_TARGET_EXTENSION ? &c->extensions[t.index] : NULL;
}

const struct config_extension *config_find_did(const struct config *c, struct str did)
{
    struct config_target t = config_index_find(c, CONF_INDEX_DID, did);
    return t.kind == CONF_TARGET_EXTENSION ? &c->extensions[t.index] : NULL;
}

const struct config_group *config_find_did_group(const struct config *c, struct str did)
{
    struct config_target t = config_index_find(c, CONF_INDEX_DID, did);
    return t.kind == CONF_TARGET_GROUP ? &c->groups[t.index] : NULL;
}

const struct config_group *config_find_group(const struct config *c, struct str number)
{
    struct config_target t = config_index_find(c, CONF_INDEX_NUMBER, number);
    return t.kind == CONF_TARGET_GROUP ? &c->groups[t.index] : NULL;
}

const struct config_conference *config_find_conference(const struct config *c, struct str number)
{
    struct config_target t = config_index_find(c, CONF_INDEX_NUMBER, number);
    return t.kind == CONF_TARGET_CONFERENCE ? &c->conferences[t.index] : NULL;
}

const struct config_conference *config_find_did_conference(const struct config *c, struct str did)
{
    struct config_target t = config_index_find(c, CONF_INDEX_DID, did);
    return t.kind == CONF_TARGET_CONFERENCE ? &c->conferences[t.index] : NULL;
}

bool config_texts_eq(const struct config_texts *a, const struct config_texts *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!str_eq(a->v[i], b->v[i]))
            return false;
    return true;
}

const struct config_trunk *config_find_trunk(const struct config *c, struct str name)
{
    struct config_target t = config_index_find(c, CONF_INDEX_TRUNK, name);
    return t.kind == CONF_TARGET_TRUNK ? &c->trunks[t.index] : NULL;
}

const struct config_bot *config_find_bot(const struct config *c, struct str name)
{
    struct config_target t = config_index_find(c, CONF_INDEX_BOT, name);
    return t.kind == CONF_TARGET_BOT ? &c->bots[t.index] : NULL;
}

const struct config_schedule *config_find_schedule(const struct config *c, struct str name)
{
    for (uint32_t i = 0; i < c->n_schedules; i++)
        if (str_eq(c->schedules[i].name, name))
            return &c->schedules[i];
    return NULL;
}

bool config_bot_when(const struct config_choices *when, enum config_bot_when word)
{
    for (unsigned i = 0; i < when->n; i++)
        if (when->v[i] == word)
            return true;
    return false;
}

bool config_regex_matches(const struct config_regex *re, struct str s)
{
    char number[256]; /* no number is longer; what is matches nothing */
    if (s.n >= sizeof(number) || str_chr(s, '\0') >= 0)
        return false;
    str_copy_z(number, sizeof(number), s);
    return regexec(re->compiled, number, 0, NULL, 0) == 0;
}

const struct config_route *config_find_route(const struct config *c, enum config_target_kind from,
                                             uint32_t index, struct str number)
{
    for (uint32_t i = 0; i < c->n_routes; i++) {
        const struct config_route *r = &c->routes[i];
        bool fits = r->from.kind == CONF_TARGET_NONE
                        ? from == CONF_TARGET_EXTENSION
                        : r->from.kind == from && r->from.index == index;
        if (fits && config_regex_matches(&r->match, number))
            return r;
    }
    return NULL;
}

static bool net_match(const struct config_net *net, const struct addr *a)
{
    if (net->addr.family != a->family)
        return false;
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr.ip, a->ip, whole) != 0)
        return false;
    return rest == 0 || ((net->addr.ip[whole] ^ a->ip[whole]) >> (8 - rest)) == 0;
}

bool config_nets_match(const struct config_nets *nets, const struct addr *a)
{
    for (uint32_t i = 0; i < nets->n; i++)
        if (net_match(&nets->v[i], a))
            return true;
    return false;
}

struct str config_codec_name(enum config_codec codec)
{
    return config_word_at(STR(CONFIG_CODECS), codec);
}

enum config_record config_record_of(const struct config *c, const struct config_extension *e)
{
    return (enum config_record)(e->record ? e->record - 1 : c->recording.mode);
}
