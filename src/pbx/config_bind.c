/* From the tree of a file to the structs, by the tables that config.def makes. */
#include <errno.h>

#include "base/mem.h"
#include "pbx/config_table.h"

#define MAX_ITEMS 1024 /* of one list of texts */

/* ---- the tables ------------------------------------------------------------------------------ */

/* clang-format off */
#define config_root config /* the struct of the section `root` */
#define MEMBER(S, m) offsetof(struct config_##S, m)
#define KEY(S, kind, field, name, words, low, high, standard, meaning) \
    {.key = STR_INIT(name), .type = CONFIG_T_##kind, .offset = MEMBER(S, field), \
     .unit = STR_INIT(words), .min = (low), .max = (high), .def = (standard), .text = (meaning)},
#define MAP(S, section, field, name, meaning) \
    {.key = STR_INIT(name), .type = CONFIG_T_MAP, .offset = MEMBER(S, field), .def = "", \
     .text = (meaning), .sub = &table_##section},
#define LIST(S, section, field, name, meaning) \
    {.key = STR_INIT(name), .type = CONFIG_T_LIST, .offset = MEMBER(S, field), .def = "", \
     .count_offset = MEMBER(S, n_##field), .text = (meaning), .sub = &table_##section},
#define TABLE(S) \
    static const struct config_key keys_##S[] = {CONFIG_KEYS_##S(KEY, MAP, LIST, S)}; \
    static const struct config_table table_##S = { \
        .key = keys_##S, .n = ARRAY_LEN(keys_##S), .bytes = sizeof(struct config_##S)};
CONFIG_SECTIONS(TABLE)
static const struct config_key keys_root[] = {CONFIG_KEYS_root(KEY, MAP, LIST, root)};
#undef config_root
/* clang-format on */

const struct config_table config_table_root = {
    .key = keys_root,
    .n = ARRAY_LEN(keys_root),
    .bytes = sizeof(struct config),
};

/* ---- errors and places ----------------------------------------------------------------------- */

/* Where a key stands: extensions[3].forward.busy. */
struct path {
    const struct path *up;
    struct str key;
    int index; /* -1: not an item of a list */
};

static void path_put(struct buf *b, const struct path *p)
{
    if (!p)
        return;
    path_put(b, p->up);
    if (p->index >= 0) {
        buf_printf(b, "[%d]", p->index);
        return;
    }
    if (p->up)
        buf_lit(b, ".");
    buf_str_put(b, p->key);
}

void config_error_add(struct config_binder *b, uint32_t line, struct str text)
{
    struct config_errors *errs = b->errs;
    uint32_t at = errs->n;
    errs->total++;
    while (at > 0 && errs->v[at - 1].line > line)
        at--;
    if (at == CONFIG_MAX_ERRORS)
        return;
    if (errs->n < CONFIG_MAX_ERRORS)
        errs->n++;
    for (uint32_t i = errs->n - 1; i > at; i--)
        errs->v[i] = errs->v[i - 1];
    struct buf out;
    errs->v[at].line = line;
    buf_init(&out, errs->v[at].text, sizeof(errs->v[at].text) - 1);
    buf_printf(&out, "%.100s:%u: ", b->file_name, line);
    buf_str_put(&out, str_sub(text, 0, out.cap - out.n));
    out.p[out.n] = '\0';
}

static void error_at(struct config_binder *b, uint32_t line, const struct path *path,
                     struct str why)
{
    char mem[512];
    struct buf out;
    buf_init(&out, mem, sizeof(mem));
    path_put(&out, path);
    if (path)
        buf_lit(&out, ": ");
    buf_str_put(&out, str_sub(why, 0, out.cap - out.n));
    config_error_add(b, line, buf_str(&out));
}

static void place_add(struct config_binder *b, const void *member, uint32_t line, bool is_struct)
{
    if (b->n_places == b->cap_places) {
        uint32_t cap = b->cap_places ? b->cap_places * 2 : 256;
        struct config_place *more = mem_resize(b->place, cap * sizeof(*more));
        if (!more) {
            b->out_of_memory = true;
            return;
        }
        b->place = more;
        b->cap_places = cap;
    }
    b->place[b->n_places++] = (struct config_place){member, line, is_struct};
}

static uint32_t place_find(const struct config_binder *b, const void *member, bool is_struct)
{
    for (uint32_t i = 0; i < b->n_places; i++)
        if (b->place[i].member == member && b->place[i].is_struct == is_struct)
            return b->place[i].line;
    return 0;
}

bool config_is_hopeless(struct config_binder *b)
{
    if (b->errs->total < 20 * CONFIG_MAX_ERRORS)
        return false;
    b->errs->total++;
    return true;
}

bool config_given(const struct config_binder *b, const void *member)
{
    return place_find(b, member, false) != 0;
}

uint32_t config_line(const struct config_binder *b, const void *member, const void *owner)
{
    uint32_t line = place_find(b, member, false);
    if (!line)
        line = place_find(b, owner, true);
    return line ? line : 1;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void value_set(struct config_binder *b, const struct config_value *v, uint32_t line,
                      const struct path *path)
{
    int err = config_value_parse(v);
    if (err == -ENOMEM)
        b->out_of_memory = true;
    else if (err)
        error_at(b, line, path, buf_str(v->why));
    /* A wrong value was given all the same: it must not be reported as missing too. */
    place_add(b, v->out, line, false);
}

/* Cuts text at its commas: the form of defaults, and a short form in a file. */
static uint32_t items_cut(struct str s, struct str *item, uint32_t max)
{
    uint32_t n = 0;
    while (s.n && n < max) {
        ptrdiff_t comma = str_chr(s, ',');
        item[n++] = str_trim(comma < 0 ? s : str_sub(s, 0, (size_t)comma));
        s = comma < 0 ? STR("") : str_from(s, (size_t)comma + 1);
    }
    return n;
}

static void default_set(struct config_binder *b, const struct config_key *key, void *out)
{
    struct str item[16], text = str_z(key->def ? key->def : "");
    char why_mem[256];
    struct buf why;
    buf_init(&why, why_mem, sizeof(why_mem));
    struct config_key lax = *key;
    lax.min = text.n ? key->min : 0; /* a required key holds nothing until it is given */
    struct config_value v = {&lax, item, 1, out, &b->config->arena, &why};
    item[0] = text;
    if (config_type_is_list(key->type))
        v.n = items_cut(text, item, ARRAY_LEN(item));
    if (key->type == CONFIG_T_REGEX)
        return;
    int err = config_value_parse(&v);
    BUG_ON(err && err != -ENOMEM);
    b->out_of_memory |= err != 0;
}

static void ha1_set(struct config_binder *b, int node, struct config_ha1 *out,
                    const struct path *path)
{
    static const struct str name[] = {STR_INIT("MD5"), STR_INIT("SHA-256"),
                                      STR_INIT("SHA-512-256")};
    struct config_ha1 ha1 = *out;
    place_add(b, out, yaml_line(b->tree, node), false);
    for (uint32_t i = 0; i < yaml_count(b->tree, node); i++) {
        struct yaml_pair pair = yaml_pair_at(b->tree, node, i);
        unsigned a = 0;
        bool texts = yaml_kind_of(b->tree, pair.key) == YAML_TEXT &&
                     yaml_kind_of(b->tree, pair.value) == YAML_TEXT;
        while (texts && a < ARRAY_LEN(name) && !str_ieq(name[a], yaml_text(b->tree, pair.key)))
            a++;
        if (!texts || a == ARRAY_LEN(name)) {
            error_at(b, yaml_line(b->tree, pair.key), path,
                     STR("must be one MD5 value or a map of MD5, SHA-256, SHA-512-256"));
            return;
        }
        if (!config_ha1_is_sound(yaml_text(b->tree, pair.value), (enum config_algorithm)a)) {
            error_at(b, yaml_line(b->tree, pair.key), path,
                     a ? STR("must be 64 hexadecimal digits")
                       : STR("must be 32 hexadecimal digits"));
            return;
        }
        ha1.v[a] = arena_dup(&b->config->arena, yaml_text(b->tree, pair.value));
        b->out_of_memory |= !ha1.v[a].p;
    }
    *out = ha1;
}

/* The items of a YAML list of texts. Negative: an error was reported. */
static int items_get(struct config_binder *b, int node, struct str *item, const struct path *path)
{
    uint32_t n = yaml_count(b->tree, node);
    if (n > MAX_ITEMS) {
        error_at(b, yaml_line(b->tree, node), path, STR("has too many items"));
        return -1;
    }
    for (uint32_t i = 0; i < n; i++) {
        int at = yaml_item(b->tree, node, i);
        if (yaml_kind_of(b->tree, at) != YAML_TEXT) {
            error_at(b, yaml_line(b->tree, at), path, STR("must be a list of single values"));
            return -1;
        }
        item[i] = yaml_text(b->tree, at);
    }
    return (int)n;
}

static void scalar_set(struct config_binder *b, const struct config_key *key, int node, void *out,
                       const struct path *path)
{
    struct str item[MAX_ITEMS];
    char why_mem[256];
    struct buf why;
    bool is_list = config_type_is_list(key->type);
    uint32_t line = yaml_line(b->tree, node);
    buf_init(&why, why_mem, sizeof(why_mem));
    struct config_value v = {key, item, 1, out, &b->config->arena, &why};
    enum yaml_kind kind = yaml_kind_of(b->tree, node);
    if (kind == YAML_MAP && key->type == CONFIG_T_HA1) {
        ha1_set(b, node, out, path);
        return;
    }
    if (kind == YAML_MAP || (kind == YAML_LIST && !is_list)) {
        error_at(b, line, path, is_list ? STR("must be a list") : STR("must be a single value"));
        return;
    }
    if (kind == YAML_LIST) {
        int n = items_get(b, node, item, path);
        if (n < 0)
            return;
        v.n = (uint32_t)n;
    } else {
        item[0] = yaml_is_null(b->tree, node) ? STR("") : yaml_text(b->tree, node);
        if (is_list)
            v.n = items_cut(item[0], item, MAX_ITEMS);
    }
    value_set(b, &v, line, path);
}

/* ---- maps and lists of maps ------------------------------------------------------------------ */

static void map_bind(struct config_binder *b, const struct config_table *table, int node, void *out,
                     const struct path *path);

static void list_bind(struct config_binder *b, const struct config_key *key, int node, char *out,
                      const struct path *path)
{
    if (yaml_is_null(b->tree, node))
        return;
    if (yaml_kind_of(b->tree, node) != YAML_LIST) {
        error_at(b, yaml_line(b->tree, node), path, STR("must be a list"));
        return;
    }
    uint32_t n = yaml_count(b->tree, node);
    char *items = arena_zero(&b->config->arena, (n ? n : 1) * key->sub->bytes);
    if (!items) {
        b->out_of_memory = true;
        return;
    }
    memcpy(out + key->offset, &items, sizeof(items));
    memcpy(out + key->count_offset, &n, sizeof(n));
    for (uint32_t i = 0; i < n && !b->out_of_memory; i++) {
        struct path item = {path, STR_NONE, (int)i};
        map_bind(b, key->sub, yaml_item(b->tree, node, i), items + i * key->sub->bytes, &item);
    }
}

static void pair_bind(struct config_binder *b, const struct config_key *key, int node, char *out,
                      const struct path *path)
{
    if (key->type == CONFIG_T_LIST)
        list_bind(b, key, node, out, path);
    else if (key->type == CONFIG_T_MAP)
        map_bind(b, key->sub, node, out + key->offset, path);
    else
        scalar_set(b, key, node, out + key->offset, path);
}

/* The key of a pair, or NULL after reporting that there is no such key or that it came before. */
static const struct config_key *key_find(struct config_binder *b, const struct config_table *table,
                                         int node, uint64_t *seen, const struct path *path)
{
    uint32_t line = yaml_line(b->tree, node), i = 0;
    struct path at = {path, STR("?"), -1};
    if (yaml_kind_of(b->tree, node) == YAML_TEXT) {
        at.key = str_sub(yaml_text(b->tree, node), 0, 64);
        while (i < table->n && !str_eq(table->key[i].key, yaml_text(b->tree, node)))
            i++;
    } else {
        i = table->n;
    }
    if (i == table->n) {
        error_at(b, line, &at, STR("unknown key"));
        return NULL;
    }
    if (*seen >> i & 1) {
        error_at(b, line, &at, STR("given twice"));
        return NULL;
    }
    *seen |= (uint64_t)1 << i;
    return &table->key[i];
}

static void defaults_set(struct config_binder *b, const struct config_table *table, char *out)
{
    for (uint32_t i = 0; i < table->n && !b->out_of_memory; i++) {
        const struct config_key *key = &table->key[i];
        if (key->type == CONFIG_T_MAP)
            defaults_set(b, key->sub, out + key->offset);
        else if (key->type != CONFIG_T_LIST)
            default_set(b, key, out + key->offset);
    }
}

/* Required keys that were not among those seen. */
static void required_check(struct config_binder *b, const struct config_table *table, int node,
                           uint64_t seen, const struct path *path)
{
    for (uint32_t i = 0; i < table->n; i++) {
        struct path at = {path, table->key[i].key, -1};
        if (!table->key[i].def && !(seen >> i & 1))
            error_at(b, yaml_line(b->tree, node), &at, STR("is needed"));
    }
}

static void map_bind(struct config_binder *b, const struct config_table *table, int node, void *out,
                     const struct path *path)
{
    uint64_t seen = 0;
    BUG_ON(table->n > 64);
    /* An item of a list starts from the defaults; the one root and its maps already have them. */
    if (path && path->index >= 0)
        defaults_set(b, table, out);
    if (yaml_is_null(b->tree, node) && !(path && path->index >= 0))
        return;
    if (yaml_kind_of(b->tree, node) != YAML_MAP) {
        error_at(b, yaml_line(b->tree, node), path, STR("must be a map of keys and values"));
        return;
    }
    place_add(b, out, yaml_line(b->tree, node), true);
    for (uint32_t i = 0; i < yaml_count(b->tree, node) && !b->out_of_memory; i++) {
        struct yaml_pair pair = yaml_pair_at(b->tree, node, i);
        const struct config_key *key = key_find(b, table, pair.key, &seen, path);
        if (!key)
            continue;
        struct path at = {path, key->key, -1};
        pair_bind(b, key, pair.value, out, &at);
    }
    required_check(b, table, node, seen, path);
}

void config_bind(struct config_binder *b)
{
    defaults_set(b, &config_table_root, (char *)b->config);
    if (b->tree && yaml_root(b->tree) && !b->out_of_memory)
        map_bind(b, &config_table_root, yaml_root(b->tree), b->config, NULL);
}
