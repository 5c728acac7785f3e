/* calls FILE...: one line a call of each capture, tab separated: what the analyser makes of it
 * without header fields that name other legs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/engine.h"
#include "base/mem.h"

#define MAX_BYTES (64u << 20)

static char *read_all(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    char *bytes = file ? mem_alloc(MAX_BYTES) : NULL;
    *n = bytes ? fread(bytes, 1, MAX_BYTES, file) : 0;
    if (file)
        fclose(file);
    return bytes;
}

static void read_out(struct an_input *in, struct an_engine *e)
{
    struct an_datum d;
    while (an_input_next(in, &d))
        an_engine_rx(e, &d);
}

static void feed(struct an_input *in, struct an_engine *e, const char *bytes, size_t n)
{
    static struct cap cap; /* too large for the stack; written before it is read */
    const uint8_t *p = (const uint8_t *)bytes;
    struct cap_frame f;
    size_t used;
    int got;
    cap_init(&cap);
    while ((got = cap_next(&cap, p, n, true, &f, &used)) != 0) {
        p += used;
        n -= used;
        if (got < 0)
            continue;
        an_input_frame(in, &f);
        read_out(in, e);
    }
    an_input_end(in);
    read_out(in, e);
}

static void put(const struct an_call *c, struct an_ref r)
{
    struct str s = an_text_get(&c->text, r);
    printf("\t" STR_FMT, STR_ARG(s.n ? s : STR("-")));
}

static void call_print(const char *name, const struct an_call *c)
{
    struct str scenario = an_scenario_word((enum an_scenario)c->scenario);
    struct str outcome = an_outcome_word((enum an_outcome)c->outcome);
    const char *form = c->n_traits && c->trait[0].form[0] ? c->trait[0].form : "-";
    printf("%s\t%u\t" STR_FMT "\t%s", name, c->number, STR_ARG(scenario), form);
    if (c->caller_unknown)
        printf("\tunknown");
    else
        put(c, c->caller);
    put(c, c->dialled);
    put(c, c->callee);
    put(c, c->answered_by);
    printf("\t" STR_FMT "\t%u\n", STR_ARG(outcome), c->n_legs);
}

static int capture_print(const char *path)
{
    struct an_engine_args args = {.seed = 1, .max_legs = 10000, .without_names = true};
    struct an_input *in = NULL;
    struct an_engine *e = NULL;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n;
    char *bytes = read_all(path, &n);
    int err = bytes ? an_input_new(&in, NULL) : -1;
    if (!err)
        err = an_engine_new(&e, &args);
    if (!err) {
        feed(in, e, bytes, n);
        err = an_engine_settle(e);
    }
    for (uint32_t i = 0; !err && i < an_engine_calls(e); i++)
        call_print(name, an_engine_call(e, i));
    if (!err && !an_engine_calls(e))
        printf("%s\t0\n", name);
    an_engine_free(e);
    an_input_free(in);
    mem_free(bytes);
    if (err)
        fprintf(stderr, "calls: %s cannot be read\n", path);
    return err;
}

int main(int argc, char **argv)
{
    int err = 0;
    for (int i = 1; i < argc; i++)
        err |= capture_print(argv[i]);
    return err || argc < 2 ? EXIT_FAILURE : EXIT_SUCCESS;
}
