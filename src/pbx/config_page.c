/* docs/configuration.md, from the same tables that read a file. */
#include "pbx/config_table.h"
#include "pbx/sound.h"

static void put_ms(struct buf *b, uint64_t ms)
{
    if (ms % 1000)
        buf_printf(b, "%g", (double)ms / 1000);
    else
        buf_u64(b, ms / 1000);
}

static void put_range(struct buf *b, const struct config_key *k)
{
    switch (k->type) {
    case CONFIG_T_MS:
    case CONFIG_T_FRACTION:
        put_ms(b, k->min);
        buf_lit(b, " to ");
        put_ms(b, k->max);
        break;
    case CONFIG_T_COUNT:
        buf_printf(b, "%llu to %llu", (unsigned long long)k->min, (unsigned long long)k->max);
        break;
    case CONFIG_T_CHOICE:
    case CONFIG_T_CHOICES:
        for (size_t i = 0; i < k->unit.n; i++)
            if (k->unit.p[i] == '|')
                buf_lit(b, ", ");
            else
                buf_ch(b, k->unit.p[i]);
        break;
    case CONFIG_T_BOOL:
        buf_lit(b, "true, false");
        break;
    default:
        if (config_type_is_list(k->type))
            buf_printf(b, "%llu to %llu items", (unsigned long long)k->min,
                       (unsigned long long)k->max);
        else if (k->max)
            buf_printf(b, "up to %llu bytes", (unsigned long long)k->max);
    }
}

static void put_type(struct buf *b, const struct config_key *k)
{
    static const char *const name[CONFIG_T_COUNT_OF] = {
        [CONFIG_T_TEXT] = "text",        [CONFIG_T_NAME] = "name",
        [CONFIG_T_USER] = "user",        [CONFIG_T_NUMBER] = "number",
        [CONFIG_T_DIGITS] = "digits",    [CONFIG_T_URI] = "SIP URI",
        [CONFIG_T_STORE] = "URL",        [CONFIG_T_SECRET] = "secret",
        [CONFIG_T_BOOL] = "switch",      [CONFIG_T_COUNT] = "whole number",
        [CONFIG_T_MS] = "seconds",       [CONFIG_T_CHOICE] = "one of",
        [CONFIG_T_CHOICES] = "list of",  [CONFIG_T_TEXTS] = "list of texts",
        [CONFIG_T_NAMES] = "names",      [CONFIG_T_NUMBERS] = "numbers",
        [CONFIG_T_NETS] = "networks",    [CONFIG_T_ADDR] = "IP address",
        [CONFIG_T_HOSTPORT] = "address", [CONFIG_T_LISTENS] = "list of listeners",
        [CONFIG_T_PORTS] = "ports",      [CONFIG_T_HA1] = "hash",
        [CONFIG_T_REGEX] = "expression", [CONFIG_T_TARGET] = "target",
        [CONFIG_T_FRACTION] = "number",
    };
    buf_z(b, name[k->type]);
    bool words = k->type == CONFIG_T_CHOICE || k->type == CONFIG_T_CHOICES;
    if (k->unit.n && !words && k->type != CONFIG_T_MS) {
        buf_lit(b, " (");
        buf_str_put(b, k->unit);
        buf_lit(b, ")");
    }
}

static void put_row(struct buf *b, const struct config_key *k)
{
    buf_lit(b, "| `");
    buf_str_put(b, k->key);
    buf_lit(b, "` | ");
    put_type(b, k);
    buf_lit(b, " | ");
    put_range(b, k);
    buf_lit(b, " | ");
    if (!k->def)
        buf_lit(b, "required");
    else if (*k->def)
        buf_printf(b, "`%s`", k->def);
    buf_lit(b, " | ");
    buf_z(b, k->text);
    buf_lit(b, " |\n");
}

static void put_section(struct buf *b, const struct config_key *k, const char *up)
{
    char name[64];
    struct buf path;
    bool rows = false;
    buf_init(&path, name, sizeof(name) - 1);
    buf_z(&path, up);
    buf_str_put(&path, k->key);
    if (k->type == CONFIG_T_LIST)
        buf_lit(&path, "[]");
    name[path.n] = '\0';
    buf_printf(b, "\n## %s\n\n%s\n", name, k->text);
    for (uint32_t i = 0; i < k->sub->n; i++) {
        const struct config_key *key = &k->sub->key[i];
        if (key->type == CONFIG_T_MAP || key->type == CONFIG_T_LIST)
            continue;
        if (!rows)
            buf_lit(b, "\n| key | type | range | default | meaning |\n|---|---|---|---|---|\n");
        rows = true;
        put_row(b, key);
    }
    buf_lit(&path, ".");
    name[path.n] = '\0';
    for (uint32_t i = 0; i < k->sub->n; i++)
        if (k->sub->key[i].type == CONFIG_T_MAP || k->sub->key[i].type == CONFIG_T_LIST)
            put_section(b, &k->sub->key[i], name);
}

/* The names that files in sounds.dir may have. */
static void put_prompts(struct buf *b)
{
    buf_lit(b, "\n## Prompts\n\n"
               "What the exchange says, and the name of the file in `sounds.dir/en` or "
               "`sounds.dir/ko` that goes before the\ntext (`.wav`, `.flac`, `.ogg` or `.opus`); "
               "`music` is what those hear who are held. At the start the log\nnames sound "
               "files there that nothing plays.\n\n"
               "| file | English | Korean |\n|---|---|---|\n");
    for (unsigned i = 0; i < PROMPTS; i++)
        buf_printf(b, "| `%s` | %s | %s |\n", prompt_texts[i].name, prompt_texts[i].en,
                   prompt_texts[i].ko);
}

void config_reference(struct buf *b)
{
    buf_lit(
        b,
        "# Configuration\n\n"
        "This page is made from `src/pbx/config.def` and `src/pbx/prompt.def` by `ringdown check "
        "--reference`.\n\n"
        "The file is YAML. Times are seconds, with decimals where needed (`0.5`). A list may "
        "also be written as\ntext with commas. Unknown keys and wrong values are errors that "
        "name the file, the line and the key; all of\nthem are reported at once. `ringdown "
        "ctl reload` or SIGHUP applies a new file whole, or keeps the old one\nwhole.\n");
    for (uint32_t i = 0; i < config_table_root.n; i++)
        put_section(b, &config_table_root.key[i], "");
    put_prompts(b);
}
