/* The configuration of a scenario: the fixture that all share, and what a script changes of it. */
#include "play.h"

static const char *const fixture[] = {
    "sip.domain: pbx.test",
    "sip.listen: [\"udp:127.0.0.104:5060\", \"tcp:127.0.0.104:5060\"]",
    "sip.call_id_host: 127.0.0.77",
    "sip.timers: {}",
    "media.address: 127.0.0.104",
    "trunk.options_interval: 0",
    "log.level: debug",
    "extensions:\n"
    "  - {number: \"1427\", username: \"109Q1427\", password: \"secret-1427\", name: Reception,"
    " did: [\"07086661427\"]}\n"
    "  - {number: \"1428\", username: \"109Q1428\", password: \"secret-1428\", name: Workshop,"
    " did: [\"07086661428\"]}",
    "trunks:\n  - {name: kt, uri: \"sip:127.0.0.77:5080\"}",
    "routes:\n  - {match: \"^0[0-9]+$\", to: \"trunk:kt\"}",
};

static struct str key_of(struct str section)
{
    ptrdiff_t colon = str_chr(section, ':');
    return str_sub(section, 0, colon < 0 ? section.n : (size_t)colon);
}

/* A whole section takes the place of what was set of it key by key. */
static void drop_keys(struct play *p, struct str section)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < p->n_sections; i++) {
        struct str key = key_of(p->section[i]);
        bool inside = str_starts(key, section) && key.n > section.n && key.p[section.n] == '.';
        if (!inside)
            p->section[kept++] = p->section[i];
    }
    p->n_sections = kept;
}

static void set(struct play *p, struct str section)
{
    unsigned i = 0;
    drop_keys(p, key_of(section));
    while (i < p->n_sections && !str_eq(key_of(p->section[i]), key_of(section)))
        i++;
    BUG_ON(i == ARRAY_LEN(p->section));
    p->section[i] = section;
    if (i == p->n_sections)
        p->n_sections++;
}

void config_defaults(struct play *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(fixture); i++)
        set(p, str_z(fixture[i]));
}

/* config, and below it lines "sip.t: value" or "trunks:" with deeper lines of their own. */
void config_statement(struct play *p)
{
    const struct statement *st = p->st;
    for (unsigned i = 0; i < st->n_children;) {
        unsigned end = i + 1, base = st->child[i].indent;
        size_t cap = st->child[i].text.n + 1;
        while (end < st->n_children && st->child[end].indent > base) {
            cap += st->child[end].text.n + st->child[end].indent + 1;
            end++;
        }
        struct buf b;
        buf_init(&b, arena_take(&p->arena, cap), cap);
        buf_str_put(&b, st->child[i].text);
        for (unsigned k = i + 1; k < end; k++) {
            buf_ch(&b, '\n');
            for (unsigned n = base; n < st->child[k].indent; n++)
                buf_ch(&b, ' ');
            buf_str_put(&b, st->child[k].text);
        }
        set(p, buf_str(&b));
        i = end;
    }
}

/* Keys such as "sip.timers" are gathered under their section. */
struct str config_text(struct play *p)
{
    bool done[ARRAY_LEN(p->section)] = {false};
    size_t cap = 64 * 1024;
    struct buf b;
    buf_init(&b, arena_take(&p->arena, cap), cap);
    for (unsigned i = 0; i < p->n_sections; i++) {
        struct str key = key_of(p->section[i]);
        ptrdiff_t dot = str_chr(key, '.');
        if (done[i])
            continue;
        if (dot < 0) {
            buf_str_put(&b, p->section[i]);
            buf_ch(&b, '\n');
            continue;
        }
        struct str head = str_sub(key, 0, (size_t)dot + 1);
        buf_str_put(&b, str_sub(key, 0, (size_t)dot));
        buf_lit(&b, ":\n");
        for (unsigned k = i; k < p->n_sections; k++) {
            if (!str_starts(p->section[k], head))
                continue;
            done[k] = true;
            buf_lit(&b, "  ");
            buf_str_put(&b, str_from(p->section[k], head.n));
            buf_ch(&b, '\n');
        }
    }
    BUG_ON(b.full);
    return buf_str(&b);
}
