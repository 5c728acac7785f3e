#include "bot.h"

#include "world/ua.h"

static bool chance(struct world *w, unsigned percent)
{
    return rand_below(&w->rand, 100) < percent;
}

static void say(struct world *w, uint64_t id, enum botlink_event_kind kind, usec_t in)
{
    struct botlink_event ev = {.kind = kind, .id = id};
    if (kind == BOTLINK_EV_TRANSFER)
        ev.text = ua_text(w, chance(w, 20) ? "sip:100%u@pbx.test" : "100%u",
                          (unsigned)rand_below(&w->rand, 8));
    if (kind == BOTLINK_EV_NOTE)
        ev.text = STR("\"what\" was said");
    world_botlink_ev(w, in, &ev);
}

/* Every few seconds something occurs to it, until it is closed. */
static void think(void *arg, uint64_t id)
{
    static const enum botlink_event_kind acts[] = {
        BOTLINK_EV_SOUND, BOTLINK_EV_SOUND, BOTLINK_EV_SOUND,    BOTLINK_EV_SOUND,
        BOTLINK_EV_NOTE,  BOTLINK_EV_NOTE,  BOTLINK_EV_TRANSFER, BOTLINK_EV_HANGUP,
        BOTLINK_EV_LOST,  BOTLINK_EV_FAILED};
    struct world *w = arg;
    const struct world_link *l = world_link_find(w, id);
    if (!l || l->closing)
        return;
    if (chance(w, 70))
        say(w, id, acts[rand_below(&w->rand, ARRAY_LEN(acts))], 0);
    world_wake(w, rand_below(&w->rand, 6 * USEC_S) + 1, think, w, id);
}

/* A speech server breaks now and then. */
static void break_down(void *arg, uint64_t id)
{
    struct world *w = arg;
    const struct world_link *l = world_link_find(w, id);
    if (l && !l->closing)
        say(w, id, BOTLINK_EV_LOST, 0);
}

/* Nothing was heard of it for a while, of what it says now or has said before. */
static void fall_silent(void *arg, uint64_t id)
{
    struct world *w = arg;
    const struct world_link *l = world_link_find(w, id);
    struct media_ev ev = {.kind = MEDIA_EV_HEARS};
    ev.id = l ? world_link_caller(w, l) : 0;
    if (ev.id)
        world_media_ev(w, &ev);
}

/* It says what it is told, hears what it likes, and sometimes forgets to say so. */
static void speech_rx(struct world *w, const struct botlink_cmd *cmd)
{
    usec_t soon = rand_below(&w->rand, 3 * USEC_S);
    struct botlink_event ev = {.kind = BOTLINK_EV_SAID, .id = cmd->id, .token = cmd->token};
    if (cmd->kind == BOTLINK_SAY) {
        say(w, cmd->id, BOTLINK_EV_SOUND, soon / 8);
        if (chance(w, 95))
            world_botlink_ev(w, soon, &ev);
        world_wake(w, soon / 8 + 5 * USEC_S, fall_silent, w, cmd->id);
    } else if (cmd->kind == BOTLINK_HEAR && chance(w, 95)) {
        ev.kind = BOTLINK_EV_HEARD;
        ev.heard.outcome = (enum botlink_outcome)rand_below(&w->rand, 3);
        ev.heard.means = (uint8_t)(chance(w, 90) ? rand_below(&w->rand, 7) : 0xFF);
        ev.heard.confidence = (uint16_t)rand_below(&w->rand, 1001);
        ev.heard.words = STR("\"what\" was heard");
        world_botlink_ev(w, soon + rand_below(&w->rand, 3 * USEC_S), &ev);
    }
}

void bot_rx(struct world *w, const struct botlink_cmd *cmd)
{
    usec_t soon = rand_below(&w->rand, 2 * USEC_S + USEC_S / 2);
    const struct world_link *l = world_link_find(w, cmd->id);
    if (cmd->kind == BOTLINK_OPEN && chance(w, 95))
        say(w, cmd->id, chance(w, 80) ? BOTLINK_EV_OPENED : BOTLINK_EV_FAILED, soon);
    else if (cmd->kind == BOTLINK_START && !l->speech)
        world_wake(w, soon, think, w, cmd->id);
    else if (cmd->kind == BOTLINK_START && chance(w, 10))
        world_wake(w, 8 * soon, break_down, w, cmd->id);
    else if (cmd->kind == BOTLINK_CLOSE)
        say(w, cmd->id, BOTLINK_EV_CLOSED, soon / 4);
    /* It may break before the caller is there. */
    if (cmd->kind == BOTLINK_OPEN && chance(w, 5))
        say(w, cmd->id, BOTLINK_EV_LOST, 2 * soon);
    if (l->speech || l->ears)
        speech_rx(w, cmd);
}

void bot_put_config(struct buf *b, struct rand *r, unsigned phones)
{
    static const char *const ends[] = {"message", "hangup", "transfer:1000", "voicemail:1001"};
    const char *reception = ends[rand_below(r, ARRAY_LEN(ends))];
    const char *agent = ends[rand_below(r, ARRAY_LEN(ends))];
    const char *speech = ends[rand_below(r, ARRAY_LEN(ends))];
    buf_lit(b, "schedules:\n  - {name: office, hours: [\"daily 09:01-09:04\"], time_zone: "
               "\"+09:00\"}\nbots:\n");
    buf_printf(
        b,
        "  - {name: reception, barge_in: %s, fallback: \"%s\", menu: [{key: \"1\", prompt: "
        "Desk%s, do: \"transfer:10%02u\"}, {key: \"2\", do: message}, {key: \"3\", say: Hm}, "
        "{key: \"4\", do: \"transfer:3000\"}, {key: \"5\", do: \"voicemail:1000\"}, {key: "
        "\"#\", do: hangup}]}\n",
        rand_below(r, 2) ? "on" : "off", reception,
        rand_below(r, 2) ? ", words: [desk, the desk]" : "", (unsigned)rand_below(r, phones));
    buf_printf(b,
               "  - {name: agent, engine: stream, url: \"ws://127.0.0.1:9/\", patience: %u, "
               "fallback: \"%s\"}\n",
               (unsigned)rand_below(r, 20), agent);
    buf_printf(
        b,
        "  - {name: speech, engine: mrcp, server: \"sip:127.0.0.1\", barge_in: %s, patience: "
        "%u, tries: %u, fallback: \"%s\", menu: [{key: \"1\", prompt: Desk, words: [desk, the "
        "desk], do: \"transfer:10%02u\"}, {key: \"2\", words: [message], do: message}, {key: "
        "\"3\", words: [hm], say: Hm}, {key: \"4\", words: [room], do: \"transfer:3000\"}, "
        "{key: \"#\", words: [\"no, thank you\"], do: hangup}]}\n",
        rand_below(r, 2) ? "on" : "off", 1 + (unsigned)rand_below(r, 20),
        1 + (unsigned)rand_below(r, 4), speech, (unsigned)rand_below(r, phones));
}

void bot_put_stand_in(struct buf *b, struct rand *r)
{
    static const char *const when[] = {"no_answer", "busy", "unregistered", "out_of_hours",
                                       "always"};
    static const char *const names[] = {"reception", "agent", "agent", "speech"};
    unsigned first = (unsigned)rand_below(r, ARRAY_LEN(when));
    buf_printf(b, ", bot: %s, hours: office, bot_when: [%s", names[rand_below(r, ARRAY_LEN(names))],
               when[first]);
    for (unsigned i = 0; i < ARRAY_LEN(when) - 1; i++)
        if (i != first && rand_below(r, 2))
            buf_printf(b, ", %s", when[i]);
    buf_ch(b, ']');
}

void bot_voice(struct world *w, const struct world_stream *st)
{
    struct media_ev ev = {.kind = MEDIA_EV_VOICE, .id = st->id};
    if (!st->id || !st->tap || !chance(w, 25))
        return;
    ev.talks = chance(w, 50);
    ev.voice.at = w->now;
    ev.voice.stopped = ev.talks && st->tap_barge_in && chance(w, 50);
    ev.voice.stop_ms = 80;
    world_media_ev(w, &ev);
}
