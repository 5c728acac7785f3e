#include "pbx/feature/code.h"

#include "pbx/feature/dial.h"
#include "pbx/feature/pickup.h"

static struct plan feature(enum plan_feature f, struct str number)
{
    return (struct plan){.kind = PLAN_FEATURE, .feature = f, .number = number};
}

/* "**1427", "*81427": a code and a number behind it. */
static bool directed(const struct config *c, struct str number, struct plan *ret)
{
    const struct config_texts *codes = &c->features.directed_pickup;
    for (unsigned i = 0; i <= codes->n; i++) {
        struct str code = i < codes->n ? codes->v[i] : c->features.pickup;
        if (!code.n || number.n <= code.n || !str_starts(number, code))
            continue;
        struct str rest = str_from(number, code.n);
        if (!config_find_extension(c, rest))
            continue;
        *ret = feature(FEATURE_PICKUP_DIRECTED, rest);
        return true;
    }
    return false;
}

bool code_find(const struct config *c, struct str number, struct plan *ret)
{
    if (c->features.pickup.n && str_eq(number, c->features.pickup)) {
        *ret = feature(FEATURE_PICKUP_GROUP, STR_NONE);
        return true;
    }
    return directed(c, number, ret);
}

void code_dialled(struct pbx *p, struct call *call, const struct plan *plan,
                  const struct sip_msg *m)
{
    (void)m;
    switch (plan->feature) {
    case FEATURE_PICKUP_GROUP:
    case FEATURE_PICKUP_DIRECTED:
        pickup_dialled(p, call, plan->number);
        break;
    case FEATURE_SETTING:
        dial_refuse(p, call, 404);
        break;
    }
}
