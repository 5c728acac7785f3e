/* Who is at which address, for people who look at messages. */
#include "pbx/registrar.h"
#include "pbx/trunk.h"

static struct str number_of(const struct pbx *p, const struct binding *b)
{
    struct sip_uri uri;
    if (sip_uri_parse(&uri, b->aor))
        return STR_NONE;
    const struct config_extension *e = config_find_user(p->config, uri.user);
    return e ? e->number : uri.user;
}

/* Of several that are behind one address none is named. */
static void found(struct pbx_who *w, struct str name, bool phone)
{
    if (w->name.p && !str_eq(w->name, name))
        name = STR("");
    w->name = name;
    w->phone = phone && name.n;
}

void pbx_who_get(struct pbx *p, struct pbx_who *who, unsigned n)
{
    uint32_t at = 0;
    const struct binding *b;
    struct trunk_view t;
    for (unsigned i = 0; i < n; i++)
        who[i] = (struct pbx_who){.at = who[i].at};
    while ((b = registrar_next(p, &at)))
        for (unsigned i = 0; i < n; i++)
            if (addr_eq(&b->flow.peer, &who[i].at))
                found(&who[i], number_of(p, b), true);
    at = 0;
    while (trunk_next(p, &at, &t))
        for (unsigned i = 0; i < n; i++)
            if (!who[i].name.p && addr_eq(&t.addr, &who[i].at))
                found(&who[i], t.name, false);
}
