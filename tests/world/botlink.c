/* The programs behind bots: what the PBX tells them is kept for whoever plays them, and orders that
 * make no sense are complained about. */
#include "world/world.h"

struct world_link *world_link_find(struct world *w, uint64_t id)
{
    for (unsigned i = 0; id && i < WORLD_LINKS; i++)
        if (w->link[i].id == id)
            return &w->link[i];
    return NULL;
}

static void keep(struct world *w, const struct botlink_cmd *cmd)
{
    struct world_link_cmd *c = arena_zero(&w->arena, sizeof(*c));
    BUG_ON(!c);
    c->cmd = *cmd;
    struct str *texts[] = {&c->cmd.url,  &c->cmd.bot, &c->cmd.reason,
                           &c->cmd.from, &c->cmd.to,  &c->cmd.call_id};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = texts[i]->p ? arena_dup(&w->arena, *texts[i]) : STR_NONE;
    list_append(&w->link_cmds, &c->node);
}

static void open_link(struct world *w, const struct botlink_cmd *cmd)
{
    unsigned i = 0;
    if (!cmd->id || world_link_find(w, cmd->id))
        world_fail(w, "botlink %llu opened twice", (unsigned long long)cmd->id);
    while (i < WORLD_LINKS && w->link[i].id)
        i++;
    BUG_ON(i == WORLD_LINKS);
    w->link[i] = (struct world_link){.id = cmd->id};
    w->links_open++;
}

static void start(struct world *w, struct world_link *l, const struct botlink_cmd *cmd)
{
    const struct world_stream *s = world_stream_find(w, cmd->media);
    if (!l->opened || l->started)
        world_fail(w, "botlink %llu started %s", (unsigned long long)l->id,
                   l->opened ? "twice" : "before it was opened");
    if (!s || s->tap != l->id || !s->tap_sound)
        world_fail(w, "botlink %llu started for a stream that it does not hear",
                   (unsigned long long)l->id);
    l->started = true;
}

void world_botlink_rx(struct world *w, const struct botlink_cmd *cmd)
{
    struct world_link *l = world_link_find(w, cmd->id);
    if (cmd->kind == BOTLINK_OPEN) {
        open_link(w, cmd);
    } else if (!l || l->closing) {
        world_fail(w, "botlink: order %d for %llu, which is closed", cmd->kind,
                   (unsigned long long)cmd->id);
        return;
    } else if (cmd->kind == BOTLINK_START) {
        start(w, l, cmd);
    } else if (cmd->kind == BOTLINK_CLOSE) {
        l->closing = true;
    } else if (!l->started) {
        world_fail(w, "botlink: order %d for %llu, which has not started", cmd->kind,
                   (unsigned long long)cmd->id);
    }
    if (w->on_botlink)
        w->on_botlink(w, cmd);
    else
        keep(w, cmd);
}

void world_botlink_ev(struct world *w, usec_t in, const struct botlink_event *ev)
{
    struct world_event *e = world_event_new(w, WORLD_EV_BOTLINK, w->now + in);
    if (!e)
        return;
    e->botlink = *ev;
    e->botlink.text = ev->text.p ? arena_dup(&w->arena, ev->text) : STR_NONE;
}

void world_botlink_due(struct world *w, const struct botlink_event *ev)
{
    struct world_link *l = world_link_find(w, ev->id);
    bool closed = ev->kind == BOTLINK_EV_CLOSED;
    bool ends = ev->kind == BOTLINK_EV_FAILED || ev->kind == BOTLINK_EV_LOST;
    if (!l || (l->gone && !closed) || (closed && !l->closing))
        return;
    l->opened |= ev->kind == BOTLINK_EV_OPENED;
    l->gone |= ends;
    if (closed) {
        *l = (struct world_link){0};
        w->links_open--;
    }
    pbx_botlink(w->pbx, w->now, ev);
}

void world_botlink_reset(struct world *w)
{
    memset(w->link, 0, sizeof(w->link));
    w->links_open = 0;
    list_init(&w->link_cmds);
}
