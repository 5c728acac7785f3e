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
    struct str *texts[] = {&c->cmd.url, &c->cmd.bot,     &c->cmd.reason, &c->cmd.from,
                           &c->cmd.to,  &c->cmd.call_id, &c->cmd.text,   &c->cmd.language};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = texts[i]->p ? arena_dup(&w->arena, *texts[i]) : STR_NONE;
    struct botlink_phrase *phrase = arena_zero(&w->arena, (cmd->n_phrases + 1) * sizeof(*phrase));
    BUG_ON(!phrase);
    for (unsigned i = 0; i < cmd->n_phrases; i++) {
        phrase[i] = cmd->phrase[i];
        phrase[i].words = arena_dup(&w->arena, cmd->phrase[i].words);
    }
    c->cmd.phrase = phrase;
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
    w->link[i] = (struct world_link){.id = cmd->id,
                                     .speech = cmd->protocol == BOTLINK_SPEECH,
                                     .ears = cmd->protocol == BOTLINK_EARS,
                                     .stream = cmd->media};
    w->links_open++;
    if (!w->link[i].speech)
        return;
    /* As the host of a session with a speech server does. */
    struct media_cmd m = {
        .kind = MEDIA_OPEN, .id = cmd->media, .port = cmd->port, .family = cmd->family};
    world_media_rx(w, &m);
    m = (struct media_cmd){.kind = MEDIA_FORMAT, .id = cmd->media, .n_rx = 1, .n_tx = 1};
    world_media_rx(w, &m);
    world_stream_find(w, cmd->media)->server = cmd->id;
}

/* Once. */
static void close_stream(struct world *w, const struct world_link *l)
{
    struct media_cmd m = {.kind = MEDIA_CLOSE, .id = l->stream};
    if (l->speech && world_stream_find(w, l->stream))
        world_media_rx(w, &m);
}

/* Nobody listens to the caller for it any more, nor is it heard. */
static void close_link(struct world *w, struct world_link *l)
{
    const struct world_stream *own = l->speech ? world_stream_find(w, l->stream) : NULL;
    for (unsigned i = 0; i < w->streams_peak; i++)
        if (w->stream[i].id && w->stream[i].tap == l->id)
            world_fail(w, "botlink %llu is closed and still hears its caller",
                       (unsigned long long)l->id);
    if (own && (own->peer || own->record))
        world_fail(w, "botlink %llu is closed and still %s", (unsigned long long)l->id,
                   own->peer ? "linked" : "recorded");
    l->closing = true;
    close_stream(w, l);
}

static void start(struct world *w, struct world_link *l, const struct botlink_cmd *cmd)
{
    const struct world_stream *s = world_stream_find(w, cmd->media);
    if (!l->opened || l->started || l->ears)
        world_fail(w, "botlink %llu started %s", (unsigned long long)l->id,
                   l->opened ? "twice" : "before it was opened");
    if (!s || s->tap != l->id ||
        (l->speech ? s->peer != l->stream || !s->tap_linked : !s->tap_sound || s->tap_linked))
        world_fail(w, "botlink %llu started for a stream that it does not hear",
                   (unsigned long long)l->id);
    l->started = true;
}

/* It gets the sound of somebody. */
static bool hears(const struct world *w, uint64_t id)
{
    for (unsigned i = 0; i < w->streams_peak; i++)
        if (w->stream[i].id && w->stream[i].tap == id && w->stream[i].tap_ears)
            return true;
    return false;
}

/* What goes only to those who are started, and to which of them. */
static void order(struct world *w, struct world_link *l, const struct botlink_cmd *cmd)
{
    bool of_speech =
        cmd->kind == BOTLINK_SAY || cmd->kind == BOTLINK_HEAR || cmd->kind == BOTLINK_DEAF;
    bool is_ear = l->ears && of_speech && cmd->kind != BOTLINK_SAY;
    if (l->ears ? !hears(w, l->id) || l->gone : !l->started)
        world_fail(w, "botlink: order %d for %llu, which has not started", cmd->kind,
                   (unsigned long long)cmd->id);
    if (of_speech ? !l->speech && !is_ear : l->speech && cmd->kind == BOTLINK_DIGIT)
        world_fail(w, "botlink: order %d for %llu, which is no such engine", cmd->kind,
                   (unsigned long long)cmd->id);
    if (cmd->kind == BOTLINK_SAY && (!cmd->text.n || !cmd->language.n || !cmd->token))
        world_fail(w, "botlink %llu has nothing to say", (unsigned long long)cmd->id);
    if (cmd->kind == BOTLINK_DEAF && !l->hear)
        world_fail(w, "botlink %llu is deaf already", (unsigned long long)cmd->id);
    if (cmd->kind == BOTLINK_HEAR || cmd->kind == BOTLINK_DEAF)
        l->hear = cmd->kind == BOTLINK_HEAR ? cmd->token : 0;
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
        close_link(w, l);
    } else {
        order(w, l, cmd);
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
    e->botlink.heard.words = ev->heard.words.p ? arena_dup(&w->arena, ev->heard.words) : STR_NONE;
}

media_id world_link_caller(const struct world *w, const struct world_link *l)
{
    for (unsigned i = 0; i < w->streams_peak; i++)
        if (w->stream[i].id && w->stream[i].tap == l->id && w->stream[i].tap_linked)
            return w->stream[i].id;
    return 0;
}

/* What the server says is heard, which the media plane tells. */
static void heard(struct world *w, const struct world_link *l)
{
    struct media_ev ev = {.kind = MEDIA_EV_HEARS, .id = world_link_caller(w, l), .talks = true};
    if (ev.id)
        pbx_media(w->pbx, w->now, &ev);
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
    if (ends && l->speech)
        close_stream(w, l);
    if (ev->kind == BOTLINK_EV_HEARD && ev->token == l->hear)
        l->hear = 0;
    if (closed) {
        *l = (struct world_link){0};
        w->links_open--;
    }
    if (ev->kind == BOTLINK_EV_SOUND && l->speech)
        heard(w, l);
    pbx_botlink(w->pbx, w->now, ev);
}

void world_botlink_reset(struct world *w)
{
    memset(w->link, 0, sizeof(w->link));
    w->links_open = 0;
    list_init(&w->link_cmds);
}
