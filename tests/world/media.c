/* A media plane without sockets: it hands out ports, remembers what it is told, answers as the real
 * one does, and complains about orders that make no sense. */
#include "base/mem.h"
#include "pbx/sound.h"
#include "world/world.h"

struct world_stream *world_stream_find(struct world *w, media_id id)
{
    for (unsigned i = 0; id && i < w->streams_peak; i++)
        if (w->stream[i].id == id)
            return &w->stream[i];
    return NULL;
}

struct world_stream *world_stream_to(struct world *w, const struct addr *rtp)
{
    for (unsigned i = 0; i < w->streams_peak; i++) {
        struct world_stream *s = &w->stream[i];
        if (s->id && (rtp->port ? addr_eq(&s->rtp, rtp) : addr_ip_eq(&s->rtp, rtp)))
            return s;
    }
    return NULL;
}

void world_media_ev(struct world *w, const struct media_ev *ev)
{
    world_event_new(w, WORLD_EV_MEDIA, w->now)->media = *ev;
}

static bool known(const struct world *w, uint16_t port)
{
    return w->port_known[port / 2 / 8] >> (port / 2 % 8) & 1;
}

static void stock(struct world *w, const struct media_cmd *cmd)
{
    uint32_t left = cmd->count;
    struct media_ev ev = {.kind = MEDIA_EV_PORTS, .family = cmd->family};
    if (cmd->count == 0)
        world_fail(w, "media: stock of no ports");
    while (left && !w->no_ports && w->port_next + 1 <= w->config->media.ports.high) {
        ev.port[ev.count++] = (uint16_t)w->port_next;
        w->port_known[w->port_next / 2 / 8] |= (uint8_t)(1 << (w->port_next / 2 % 8));
        w->port_next += 2;
        left--;
        if (ev.count == MEDIA_EV_MAX_PORTS) {
            world_media_ev(w, &ev);
            ev.count = 0;
        }
    }
    if (ev.count)
        world_media_ev(w, &ev);
    ev = (struct media_ev){.kind = MEDIA_EV_NO_PORTS, .family = cmd->family};
    if (left)
        world_media_ev(w, &ev);
}

static void open_stream(struct world *w, const struct media_cmd *cmd)
{
    struct world_stream *free_one = NULL;
    if (!cmd->id || world_stream_find(w, cmd->id))
        world_fail(w, "media: stream %llu opened twice", (unsigned long long)cmd->id);
    if (!known(w, cmd->port))
        world_fail(w, "media: port %u was never announced", cmd->port);
    /* One slot beyond those ever used is free. */
    for (unsigned i = 0; i <= w->streams_peak && i < WORLD_STREAMS; i++) {
        struct world_stream *s = &w->stream[i];
        if (s->id && s->port == cmd->port)
            world_fail(w, "media: port %u is in use", cmd->port);
        if (!s->id && !free_one)
            free_one = s;
    }
    BUG_ON(!free_one);
    *free_one = (struct world_stream){.id = cmd->id, .port = cmd->port};
    w->streams_open++;
    if (w->streams_open > w->streams_peak)
        w->streams_peak = w->streams_open;
}

static void unlink_stream(struct world *w, struct world_stream *s)
{
    struct world_stream *peer = world_stream_find(w, s->peer);
    if (peer && peer->peer == s->id)
        peer->peer = 0;
    s->peer = 0;
}

static void link_streams(struct world *w, struct world_stream *s, media_id other)
{
    struct world_stream *peer = world_stream_find(w, other);
    if (!peer) {
        world_fail(w, "media: link to stream %llu, which is not there", (unsigned long long)other);
        return;
    }
    unlink_stream(w, s);
    unlink_stream(w, peer);
    s->peer = peer->id;
    peer->peer = s->id;
    s->room = peer->room = 0;
    if (w->on_link && peer != s)
        w->on_link(w, s, peer);
}

static void set(struct world *w, struct world_stream *s, const struct media_cmd *cmd)
{
    s->set = true;
    s->rtp = cmd->rtp;
    s->receiving = cmd->receiving;
    s->sending = cmd->sending;
    s->timeout_ms = cmd->timeout_ms;
    struct world_stream *peer = world_stream_find(w, s->peer);
    if (peer && w->on_link)
        w->on_link(w, s, peer);
}

static void set_format(struct world_stream *s, const struct media_cmd *cmd)
{
    s->formats = cmd->n_rx && cmd->n_tx;
    s->mux = cmd->mux;
    s->ptime_ms = cmd->ptime_ms;
}

static void close_stream(struct world *w, struct world_stream *s)
{
    struct media_ev ev = {
        .kind = MEDIA_EV_CLOSED, .id = s->id, .count = 1, .port = {s->port}, .family = ADDR_V4};
    ev.stats = s->stats;
    unlink_stream(w, s);
    *s = (struct world_stream){0};
    w->streams_open--;
    world_media_ev(w, &ev);
}

/* ---- sound ----------------------------------------------------------------------------------- */

static const char *const tones[TONE_KINDS] = {"dial",       "ringback", "busy",
                                              "congestion", "waiting",  "info"};

static uint32_t item_put(struct buf *b, const struct media_item *i)
{
    if (b->n)
        buf_ch(b, '+');
    switch ((enum media_item_kind)i->kind) {
    case MEDIA_ITEM_SILENCE:
        buf_lit(b, "silence");
        return i->ms;
    case MEDIA_ITEM_TONE:
        buf_lit(b, "tone:");
        buf_z(b, tones[i->tone]);
        return i->ms;
    case MEDIA_ITEM_DIGIT:
        buf_lit(b, "digit:");
        buf_ch(b, i->digit);
        return 180;
    case MEDIA_ITEM_CLIP:
        break;
    }
    if (i->clip == SOUND_MUSIC) {
        buf_lit(b, "music");
    } else if (i->clip >= SOUND_PROMPTS && i->clip < SOUND_PROMPTS + 2 * PROMPTS) {
        buf_lit(b, "prompt:");
        buf_z(b, prompt_texts[(i->clip - SOUND_PROMPTS) / 2].name);
    } else {
        buf_lit(b, "clip:");
        buf_u64(b, i->clip);
    }
    return i->ms ? i->ms : 1000;
}

static void play_over(struct world *w, struct world_stream *s)
{
    struct media_ev ev = {.kind = MEDIA_EV_PLAYED, .id = s->id, .token = s->token};
    memcpy(s->hears, s->behind, sizeof(s->hears));
    s->loop = s->behind[0] != 0;
    s->behind[0] = 0;
    s->play_seq++;
    if (s->token)
        world_media_ev(w, &ev);
    s->token = 0;
}

bool world_media_due(struct world *w, const struct media_ev *ev)
{
    struct world_stream *s = world_stream_find(w, ev->id);
    if (ev->kind != MEDIA_EV_PLAYED || !ev->count)
        return true;
    if (s && s->play_seq == ev->count)
        play_over(w, s);
    return false;
}

static void play(struct world *w, struct world_stream *s, const struct media_cmd *cmd)
{
    struct buf b;
    uint64_t ms = 0;
    bool endless = cmd->play.loop;
    if (cmd->play.loop)
        s->behind[0] = 0;
    else if (s->loop)
        memcpy(s->behind, s->hears, sizeof(s->hears));
    size_t had = cmd->play.append && !s->behind[0] ? strlen(s->hears) : 0;
    buf_init(&b, s->hears, sizeof(s->hears) - 1);
    b.n = had;
    for (unsigned i = 0; i < cmd->play.n_items; i++) {
        uint32_t one = item_put(&b, &cmd->play.item[i]);
        endless |= one == 0;
        ms += one;
    }
    s->hears[b.n] = 0;
    s->loop = cmd->play.loop;
    s->token = cmd->play.token;
    s->play_seq += 1 + (s->play_seq == UINT32_MAX);
    struct media_ev ev = {.kind = MEDIA_EV_PLAYED, .id = s->id, .count = s->play_seq};
    if (!endless)
        world_event_new(w, WORLD_EV_MEDIA, w->now + ms * USEC_MS)->media = ev;
}

static void track(struct world *w, struct world_stream *s, const struct media_cmd *cmd)
{
    uint64_t number = cmd->record.number;
    const struct world_file *f = number ? world_file_written(w, number) : NULL;
    if (number && (!f || f->stopped))
        world_fail(w, "media: stream %llu joins recording %llu, which is %s",
                   (unsigned long long)s->id, (unsigned long long)number, f ? "over" : "not there");
    if (cmd->record.said) {
        if (cmd->record.leave ? s->said != number : s->record != number)
            world_fail(w, "media: what stream %llu hears is not in that recording",
                       (unsigned long long)s->id);
        s->said = cmd->record.leave ? 0 : number;
        return;
    }
    if (cmd->record.leave) {
        *(s->guest == number ? &s->guest : &s->record) = 0;
        return;
    }
    if (cmd->record.also) {
        s->guest = number;
        return;
    }
    s->guest = s->said = 0;
    s->record = number;
    s->track = cmd->record.track;
    s->paused = false;
}

static void sound(struct world *w, struct world_stream *s, const struct media_cmd *cmd)
{
    if (!s->formats && cmd->kind != MEDIA_LISTEN)
        world_fail(w, "media: order %d for stream %llu, which has no formats", cmd->kind,
                   (unsigned long long)s->id);
    if (cmd->kind == MEDIA_PLAY)
        play(w, s, cmd);
    else if (cmd->kind == MEDIA_STOP && s->hears[0]) {
        s->behind[0] = 0;
        play_over(w, s);
    } else if (cmd->kind == MEDIA_JOIN)
        unlink_stream(w, s);
    if (cmd->kind == MEDIA_JOIN || cmd->kind == MEDIA_MEMBER) {
        if (cmd->kind == MEDIA_JOIN)
            s->heard[0] = 0;
        else if (s->room != cmd->member.room)
            world_fail(w, "media: stream %llu is not in that room", (unsigned long long)s->id);
        s->room = cmd->member.room;
        s->muted = cmd->member.muted;
        s->deaf = cmd->member.deaf;
    } else if (cmd->kind == MEDIA_LEAVE) {
        s->room = 0;
    } else if (cmd->kind == MEDIA_LISTEN) {
        s->listens = cmd->on;
    } else if (cmd->kind == MEDIA_TAP) {
        if (cmd->on == (s->tap != 0))
            world_fail(w, "media: stream %llu is %s", (unsigned long long)s->id,
                       cmd->on ? "tapped already" : "not tapped");
        s->tap = cmd->on ? cmd->tap.link : 0;
        s->tap_sound = cmd->on && cmd->tap.sound;
        s->tap_ears = cmd->on && cmd->tap.ears;
        s->tap_barge_in = cmd->on && cmd->tap.barge_in;
        s->tap_linked = cmd->on && cmd->tap.linked;
    } else if (cmd->kind == MEDIA_RECORD) {
        track(w, s, cmd);
    }
}

/* What a room hears besides its members, each of them keeps. */
static void room_play(struct world *w, const struct media_cmd *cmd)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->streams_peak; i++) {
        struct world_stream *s = &w->stream[i];
        struct buf b;
        if (!s->id || s->room != cmd->id)
            continue;
        buf_init(&b, s->heard, sizeof(s->heard) - 1);
        for (unsigned k = 0; k < cmd->play.n_items; k++)
            (void)item_put(&b, &cmd->play.item[k]);
        s->heard[b.n] = 0;
        n++;
    }
    if (!n)
        world_fail(w, "media: nobody is in room %llu", (unsigned long long)cmd->id);
}

/* Orders for a recording, which no stream is named in. */
static void record(struct world *w, const struct media_cmd *cmd)
{
    struct media_ev ev = {.kind = MEDIA_EV_RECORDED, .id = cmd->record.number};
    struct world_file *f = world_file_written(w, cmd->record.number);
    if (!f)
        world_fail(w, "media: order %d for recording %llu, which is not there", cmd->kind,
                   (unsigned long long)cmd->record.number);
    else if (cmd->kind == MEDIA_RECORD_STOP)
        f->stopped = true;
    if (cmd->kind == MEDIA_RECORD_STOP)
        world_media_ev(w, &ev);
    for (unsigned i = 0; i < w->streams_peak; i++) {
        struct world_stream *s = &w->stream[i];
        if (cmd->kind == MEDIA_RECORD_STOP && s->guest == cmd->record.number)
            s->guest = 0;
        if (!s->id || s->record != cmd->record.number)
            continue;
        if (cmd->kind == MEDIA_RECORD_STOP)
            s->record = s->said = 0;
        else
            s->paused = cmd->on;
    }
}

void world_media_rx(struct world *w, const struct media_cmd *cmd)
{
    if (cmd->kind == MEDIA_STOCK) {
        stock(w, cmd);
        return;
    }
    if (cmd->kind == MEDIA_OPEN) {
        open_stream(w, cmd);
        return;
    }
    if (cmd->kind == MEDIA_CLIP) {
        mem_free(cmd->play.clip);
        return;
    }
    if (cmd->kind == MEDIA_ROOM_PLAY) {
        room_play(w, cmd);
        return;
    }
    if (cmd->kind == MEDIA_RECORD_STOP || cmd->kind == MEDIA_RECORD_PAUSE) {
        record(w, cmd);
        return;
    }
    struct world_stream *s = world_stream_find(w, cmd->id);
    if (!s) {
        world_fail(w, "media: order %d for stream %llu, which is not there", cmd->kind,
                   (unsigned long long)cmd->id);
        return;
    }
    if (cmd->kind == MEDIA_SET)
        set(w, s, cmd);
    else if (cmd->kind == MEDIA_LINK)
        link_streams(w, s, cmd->peer);
    else if (cmd->kind == MEDIA_UNLINK)
        unlink_stream(w, s);
    else if (cmd->kind == MEDIA_CLOSE)
        close_stream(w, s);
    else if (cmd->kind == MEDIA_FORMAT)
        set_format(s, cmd);
    else
        sound(w, s, cmd);
}

void world_media_reset(struct world *w)
{
    memset(w->stream, 0, sizeof(w->stream));
    memset(w->port_known, 0, sizeof(w->port_known));
    w->streams_open = 0;
    w->port_next = w->config->media.ports.low & ~1u;
}
