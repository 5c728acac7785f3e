#include "script.h"

#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/num.h"

#define MAX_LINES  4000
#define MAX_DEPTH  6
#define MAX_REPEAT 5000

struct bind {
    struct str name, value;
};
#define MAX_BINDS 16
struct scope {
    struct bind bind[MAX_BINDS];
    unsigned n;
};

struct loader {
    struct script *s;
    struct arena *a;
    unsigned depth;
};

struct str script_file(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return STR_NONE;
    size_t cap = 256 * 1024, n;
    char *mem = arena_take(a, cap);
    n = mem ? fread(mem, 1, cap, f) : 0;
    fclose(f);
    return str_of(mem, n);
}

static int fail(struct loader *l, const struct line *at, const char *why)
{
    snprintf(l->s->error, sizeof(l->s->error), "%s:%u: %s", at->file, at->number, why);
    return -EINVAL;
}

int script_duration(uint64_t *ret, struct str s)
{
    static const struct {
        struct str unit;
        uint64_t us;
    } units[] = {{STR_INIT("ms"), 1000},
                 {STR_INIT("s"), 1000000},
                 {STR_INIT("m"), 60000000},
                 {STR_INIT("h"), 3600000000ull}};
    size_t n = s.n;
    while (n && (s.p[n - 1] < '0' || s.p[n - 1] > '9'))
        n--;
    uint64_t milli;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++)
        if (str_eq(str_from(s, n), units[i].unit) && !num_fixed(&milli, str_sub(s, 0, n), 3)) {
            *ret = milli * units[i].us / 1000;
            return 0;
        }
    return -EINVAL;
}

int script_words(struct arena *a, struct str text, struct str word[SCRIPT_WORDS])
{
    int n = 0;
    while ((text = str_trim(text)).n) {
        char *out = arena_take(a, text.n + 1);
        size_t len = 0, i = 0;
        bool quoted = false;
        if (n == SCRIPT_WORDS || !out)
            return -1;
        for (; i < text.n && (quoted || (text.p[i] != ' ' && text.p[i] != '\t')); i++) {
            char c = text.p[i];
            if (c == '\\' && i + 1 < text.n && (text.p[i + 1] == '"' || text.p[i + 1] == '\\'))
                out[len++] = text.p[++i];
            else if (c == '"')
                quoted = !quoted;
            else
                out[len++] = c;
        }
        word[n++] = str_of(out, len);
        text = str_from(text, i);
    }
    return n;
}

/* $NAME, the longest name first being the caller's care; ${name} stays for the run. */
static struct str replace(struct arena *a, const struct scope *scope, struct str text)
{
    size_t cap = text.n * 4 + 512;
    struct buf b;
    buf_init(&b, arena_take(a, cap), cap);
    for (size_t i = 0; i < text.n; i++) {
        unsigned hit = scope->n;
        for (unsigned k = 0; text.p[i] == '$' && k < scope->n; k++)
            if (str_starts(str_from(text, i + 1), scope->bind[k].name) &&
                (hit == scope->n || scope->bind[k].name.n > scope->bind[hit].name.n))
                hit = k;
        if (hit == scope->n) {
            buf_ch(&b, text.p[i]);
        } else {
            buf_str_put(&b, scope->bind[hit].value);
            i += scope->bind[hit].name.n;
        }
    }
    return buf_str(&b);
}

static unsigned read_lines(struct loader *l, const char *path, struct str text, struct line *out)
{
    unsigned n = 0, number = 0;
    while (text.n && n < MAX_LINES) {
        ptrdiff_t nl = str_chr(text, '\n');
        struct str raw = nl < 0 ? text : str_sub(text, 0, (size_t)nl);
        text = nl < 0 ? str_of(text.p, 0) : str_from(text, (size_t)nl + 1);
        number++;
        size_t indent = 0;
        while (indent < raw.n && raw.p[indent] == ' ')
            indent++;
        struct str t = str_from(raw, indent);
        while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\r'))
            t.n--;
        if (!t.n || t.p[0] == '#')
            continue;
        out[n++] =
            (struct line){.file = path, .number = number, .indent = (unsigned)indent, .text = t};
    }
    return n;
}

static int lines_in(struct loader *l, const struct line *line, unsigned n,
                    const struct scope *scope);

static int put(struct loader *l, const struct line *line, unsigned n, const struct scope *scope,
               struct str text)
{
    struct script *s = l->s;
    if (s->n == s->cap)
        return fail(l, line, "the script is too long");
    struct statement *st = &s->statement[s->n++];
    *st = (struct statement){.line = line[0], .n_children = n - 1};
    st->line.text = replace(l->a, scope, text);
    st->child = arena_take(l->a, n * sizeof(*st->child));
    for (unsigned i = 1; i < n; i++) {
        st->child[i - 1] = line[i];
        st->child[i - 1].text = replace(l->a, scope, line[i].text);
    }
    return 0;
}

static int file_in(struct loader *l, const char *path, const struct line *from,
                   const struct scope *scope)
{
    struct str text = script_file(l->a, path);
    if (!text.p)
        return fail(l, from, "the file cannot be read");
    if (++l->depth > MAX_DEPTH)
        return fail(l, from, "files use each other without end");
    struct line *lines = arena_take(l->a, MAX_LINES * sizeof(*lines));
    unsigned n = read_lines(l, path, text, lines);
    int err = lines_in(l, lines, n, scope);
    l->depth--;
    return err;
}

/* use FILE NAME=VALUE ...: FILE lies in lib/ beside the script. */
static int use(struct loader *l, const struct line *line, const struct scope *scope)
{
    struct str word[SCRIPT_WORDS];
    struct scope inner = {0};
    int n = script_words(l->a, replace(l->a, scope, line->text), word);
    if (n < 2 || n - 2 > MAX_BINDS)
        return fail(l, line, "use FILE NAME=VALUE ...");
    for (int i = 2; i < n; i++) {
        ptrdiff_t eq = str_chr(word[i], '=');
        if (eq < 1)
            return fail(l, line, "use FILE NAME=VALUE ...");
        inner.bind[inner.n].name = str_sub(word[i], 0, (size_t)eq);
        inner.bind[inner.n++].value = str_from(word[i], (size_t)eq + 1);
    }
    char path[512];
    const char *slash = strrchr(line->file, '/');
    struct str dir = slash ? str_of(line->file, (size_t)(slash - line->file)) : STR(".");
    bool in_lib = dir.n >= 4 && str_eq(str_from(dir, dir.n - 4), STR("/lib"));
    snprintf(path, sizeof(path), "%.*s/%s%.*s.inc", (int)dir.n, dir.p, in_lib ? "" : "lib/",
             (int)word[1].n, word[1].p);
    struct str kept = arena_dup(l->a, str_z(path));
    return file_in(l, kept.p, line, &inner);
}

/* repeat N: the indented lines so many times, $i counting from 1. */
static int repeat(struct loader *l, struct line *line, unsigned n, const struct scope *scope)
{
    uint64_t times;
    if (num_u64(&times, str_trim(replace(l->a, scope, str_from(line->text, 7))), MAX_REPEAT) ||
        n < 2)
        return fail(l, line, "repeat N, and what is repeated indented below");
    unsigned base = line[1].indent;
    for (unsigned i = 1; i < n; i++)
        line[i].indent = line[i].indent > base ? line[i].indent - base : 0;
    for (uint64_t i = 1; i <= times; i++) {
        struct scope inner = *scope;
        if (inner.n == MAX_BINDS)
            return fail(l, line, "too many names");
        inner.bind[inner.n].name = STR("i");
        char *mem = arena_take(l->a, 24);
        snprintf(mem, 24, "%llu", (unsigned long long)i);
        inner.bind[inner.n++].value = str_z(mem);
        int err = lines_in(l, line + 1, n - 1, &inner);
        if (err)
            return err;
    }
    return 0;
}

/* Statements that share a line are set apart by " ; ". */
static int split(struct loader *l, const struct line *line, unsigned n, const struct scope *scope)
{
    struct str rest = line->text;
    for (;;) {
        const char *semi = memmem(rest.p, rest.n, " ; ", 3);
        if (!semi)
            return put(l, line, n, scope, str_trim(rest));
        int err = put(l, line, 1, scope, str_trim(str_sub(rest, 0, (size_t)(semi - rest.p))));
        if (err)
            return err;
        rest = str_from(rest, (size_t)(semi - rest.p) + 3);
    }
}

static int lines_in(struct loader *l, const struct line *line, unsigned n,
                    const struct scope *scope)
{
    for (unsigned i = 0; i < n;) {
        unsigned end = i + 1;
        while (end < n && line[end].indent > 0)
            end++;
        int err;
        if (line[i].indent)
            err = fail(l, &line[i], "indented, but under nothing");
        else if (str_starts(line[i].text, STR("use ")))
            err = use(l, &line[i], scope);
        else if (str_starts(line[i].text, STR("repeat "))) {
            struct line *block = arena_take(l->a, (end - i) * sizeof(*block));
            memcpy(block, &line[i], (end - i) * sizeof(*block));
            err = repeat(l, block, end - i, scope);
        } else
            err = split(l, &line[i], end - i, scope);
        if (err)
            return err;
        i = end;
    }
    return 0;
}

int script_load(struct script *s, struct arena *a, const char *path)
{
    *s = (struct script){.cap = 20000};
    s->statement = arena_take(a, s->cap * sizeof(*s->statement));
    struct loader l = {.s = s, .a = a};
    struct scope none = {0};
    struct line top = {.file = path};
    return file_in(&l, path, &top, &none);
}
