/* Bots of engine mrcp: the stream with their speech server, and what the server is to say and to
 * understand. Who hosts the session with it (botlink) opens the stream and closes it; here it is
 * linked with the caller's, and written as a track of the call's recording. */
#include "pbx/feature/voicebot_int.h"

#include "pbx/port.h"
#include "pbx/record.h"

bool voicebot_is_spoken_for(const struct voicebot_session *s)
{
    return s->conf.engine == BOT_MRCP;
}

/* ---- the stream ------------------------------------------------------------------------------ */

/* Open to all, what the server's host looks like decides: a name is taken for IPv4. */
static enum addr_family family_of(const struct config *c, struct str server)
{
    const struct addr *bound = &c->media.address;
    struct sip_uri uri;
    struct addr host;
    if (!addr_is_any(bound))
        return (enum addr_family)bound->family;
    if (sip_uri_parse(&uri, server) || addr_parse(&host, uri.host, 0))
        return ADDR_V4;
    return (enum addr_family)host.family;
}

bool voicebot_speech_port(struct pbx *p, handle_t self, const struct config_bot *bot,
                          struct voicebot_speech *ret)
{
    enum addr_family family = family_of(p->config, bot->server);
    media_id id;
    uint16_t port = port_reserve(p, &p->calls->ports, family, (uint32_t)self, &id);
    if (!port)
        return false;
    *ret = (struct voicebot_speech){.stream = id, .port = port, .family = (uint8_t)family};
    return true;
}

/* The number of a stream says in which slot its owner is. */
static struct voicebot_session *session_of_stream(struct pbx *p, media_id id)
{
    const struct slot_table *t = &p->voicebots->sessions;
    uint32_t i = (uint32_t)(id & 0xFFFFFF) - 1;
    if (i >= t->fresh || !(t->gen[i] & 1))
        return NULL;
    struct voicebot_session *s = (void *)(t->mem + (size_t)i * t->item_bytes);
    return s->speech.stream == id ? s : NULL;
}

void voicebot_rx_media(struct pbx *p, const struct media_ev *ev)
{
    const struct voicebot_session *s = session_of_stream(p, ev->id);
    if (s && ev->kind == MEDIA_EV_TALK && s->speech.caller)
        recording_voice_talks(p, s->speech.recording, s->speech.track, ev->talks);
}

/* A recording that begins, ends or begins anew takes the voice of the bot with it. */
void voicebot_recorded(struct pbx *p, struct call *call)
{
    struct voicebot_session *s = voicebot_of(p, call);
    char mem[80];
    struct buf party;
    if (!s || !s->speech.stream || !s->speech.caller || s->speech.recording == call->record)
        return;
    buf_init(&party, mem, sizeof(mem));
    buf_lit(&party, "bot:");
    buf_str_put(&party, s->bot->name);
    s->speech.recording = call->record;
    s->speech.track = recording_voice(p, call->record, s->speech.stream, buf_str(&party));
}

void voicebot_speech_link(struct pbx *p, struct voicebot_session *s)
{
    struct leg_stream *caller = sound_stream(leg_find(p, s->leg));
    if (!caller)
        return;
    s->speech.caller = caller->id;
    pbx_emit(p, PBX_OUT_MEDIA)->media =
        (struct media_cmd){.kind = MEDIA_LINK, .id = caller->id, .peer = s->speech.stream};
    voicebot_recorded(p, call_find(p, s->call));
}

/* Whoever comes next finds the caller alone, and its recording going on. */
void voicebot_speech_unlink(struct pbx *p, struct voicebot_session *s)
{
    struct leg *leg = leg_find(p, s->leg);
    struct leg_stream *caller = leg ? sound_stream(leg) : NULL;
    if (!s->speech.caller)
        return;
    recording_voice_leaves(p, s->speech.recording, s->speech.stream, s->speech.track);
    if (caller && caller->id == s->speech.caller)
        pbx_emit(p, PBX_OUT_MEDIA)->media =
            (struct media_cmd){.kind = MEDIA_UNLINK, .id = caller->id};
    s->speech.caller = 0;
    s->speech.saying = false;
}

/* ---- what it says and hears ------------------------------------------------------------------ */

static struct str language_tag(const struct voicebot_session *s)
{
    return voicebot_language(s->config, s->bot) == 1 ? STR("ko-KR") : STR("en-US");
}

void voicebot_speech_say(struct pbx *p, struct voicebot_session *s, const uint8_t *text, unsigned n)
{
    struct botlink_cmd cmd = {.kind = BOTLINK_SAY, .id = s->self, .language = language_tag(s)};
    cmd.text = voicebot_words(p, s, text, n);
    cmd.token = voicebot_token(s);
    if (s->speech.saying && s->speech.caller) /* nobody waits until the server has stopped */
        pbx_emit(p, PBX_OUT_MEDIA)->media =
            (struct media_cmd){.kind = MEDIA_TAP_HEAR, .id = s->speech.caller, .on = true};
    s->speech.saying = true;
    voicebot_note(p, s, STR("bot"), cmd.text);
    pbx_emit(p, PBX_OUT_BOTLINK)->botlink = cmd;
}

/* What a caller may say for each item. */
static unsigned phrases(struct pbx *p, const struct config_bot *bot,
                        const struct botlink_phrase **ret)
{
    struct botlink_phrase *list = arena_take(&p->turn, BOTLINK_PHRASES * sizeof(*list));
    unsigned n = 0;
    for (uint32_t i = 0; list && i < bot->n_menu && i < BOT_ITEMS; i++)
        for (uint32_t k = 0; k < bot->menu[i].words.n && n < BOTLINK_PHRASES; k++)
            list[n++] = (struct botlink_phrase){.words = pbx_turn_dup(p, bot->menu[i].words.v[k]),
                                                .means = (uint8_t)i};
    *ret = list;
    return n;
}

void voicebot_speech_fill(struct pbx *p, struct voicebot_session *s, struct botlink_cmd *cmd)
{
    if (cmd->kind == BOTLINK_OPEN && s->conf.ears) {
        cmd->protocol = BOTLINK_EARS;
    } else if (cmd->kind == BOTLINK_OPEN) {
        cmd->protocol = BOTLINK_SPEECH;
        cmd->url = s->bot->server;
        cmd->own.user = s->bot->server_user;
        cmd->own.password = s->bot->server_password.secret;
        cmd->own.voice = s->bot->voice;
        cmd->own.grammar = s->bot->grammar;
        cmd->media = s->speech.stream;
        cmd->port = s->speech.port;
        cmd->family = s->speech.family;
    } else if (cmd->kind == BOTLINK_HEAR) {
        cmd->language = language_tag(s);
        cmd->token = ++s->speech.hear;
        cmd->n_phrases = phrases(p, s->bot, &cmd->phrase);
    }
}

/* Its own words are of no interest any more, and the server need not go on saying them. What has
 * begun before they are heard is stopped, too. */
void voicebot_speech_voice(struct pbx *p, struct voicebot_session *s, bool talks)
{
    if (!talks || !s->conf.barge_in || !s->speech.saying)
        return;
    s->speech.saying = false;
    pbx_emit(p, PBX_OUT_BOTLINK)->botlink =
        (struct botlink_cmd){.kind = BOTLINK_STOPPED, .id = s->self};
}

bool voicebot_speech_is_stale(struct voicebot_session *s, const struct botlink_event *ev)
{
    bool said = ev->kind == BOTLINK_EV_SAID, heard = ev->kind == BOTLINK_EV_HEARD;
    bool stale = (said && ev->token != s->token) || (heard && ev->token != s->speech.hear);
    if (said && !stale)
        s->speech.saying = false;
    return stale;
}
