/* Any bytes as a configuration file: a snapshot or errors, never both, and nothing left behind. */
#include <errno.h>

#include "base/mem.h"
#include "pbx/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void use(struct config *c)
{
    struct str dialled = STR("07086661427");
    config_find_route(c, CONF_TARGET_EXTENSION, 0, dialled);
    config_find_route(c, CONF_TARGET_TRUNK, 0, dialled);
    for (uint32_t i = 0; i < c->n_extensions; i++) {
        const struct config_extension *e = &c->extensions[i];
        BUG_ON(config_find_extension(c, e->number) != e);
        BUG_ON(config_find_user(c, e->username) != e);
    }
    BUG_ON(c->sip.domain.n == 0 || c->sip.listen.n == 0);
    BUG_ON(c->sip.timers.t2_ms < c->sip.timers.t1_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct config_errors errs;
    struct config *c = NULL;
    char text[CONFIG_MAX_ERRORS * 224 + 64];
    struct buf out;
    int err = config_load(&c, "fuzz", str_of((const char *)data, n), &errs);
    BUG_ON((err == 0) != (c != NULL) || (err == -EINVAL) != (errs.total != 0));
    for (uint32_t i = 1; i < errs.n; i++)
        BUG_ON(errs.v[i - 1].line > errs.v[i].line);
    buf_init(&out, text, sizeof(text));
    config_errors_put(&out, &errs);
    BUG_ON(out.full);
    if (c)
        use(c);
    config_unref(c);
    BUG_ON(mem_live() != 0);
    return 0;
}
