#include "pbx/feature/threeway.h"

static bool talks(struct pbx *p, const struct leg *leg)
{
    const struct call *call = call_find(p, leg->call);
    const struct leg_stream *s = &leg->stream[0];
    return leg->state != LEG_ENDED && leg->joined && call->state == CALL_UP && !call->service &&
           call_is_party(p, call, leg) && s->id && !s->held && !s->other_held;
}

const struct leg *threeway_next(struct pbx *p, const struct leg *leg, const struct leg *after)
{
    const struct extension_use *use = leg->extension ? extension_use(p, leg->extension) : NULL;
    const struct leg *best = NULL, *l;
    uint32_t at = 0;
    handle_t h;
    if (!use || use->legs < 2 || !talks(p, leg))
        return NULL;
    while ((l = slot_next(&p->calls->legs, &at, &h))) {
        if (!l->extension || !str_eq(l->extension->number, leg->extension->number) || !talks(p, l))
            continue;
        bool later =
            !after || l->started > after->started || (l->started == after->started && l > after);
        bool first =
            !best || l->started < best->started || (l->started == best->started && l < best);
        if (later && first)
            best = l;
    }
    return best;
}

static void note(struct pbx *p, struct call *call, const struct leg *master)
{
    struct buf b;
    size_t cap = 6 * master->call_id.n + 96;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"conference\",\"kind\":\"phone_mixed\",\"master\":\"");
    buf_json(&b, master->call_id);
    buf_lit(&b, "\"}");
    cdr_note(p, call, buf_str(&b));
}

void threeway_follow(struct pbx *p, const struct leg *leg)
{
    const struct leg *master = threeway_next(p, leg, NULL);
    if (!master || !threeway_next(p, leg, master))
        return;
    for (const struct leg *l = NULL; (l = threeway_next(p, leg, l));) {
        struct call *call = call_find(p, l->call);
        if (call->three_way)
            continue;
        call->three_way = true;
        note(p, call, master);
    }
}
