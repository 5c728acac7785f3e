/* The program behind a bot, played by the script. */
#include "base/num.h"
#include "play.h"

static const struct str commands[] = {
    [BOTLINK_OPEN] = STR_INIT("open"),   [BOTLINK_START] = STR_INIT("start"),
    [BOTLINK_DIGIT] = STR_INIT("digit"), [BOTLINK_STOPPED] = STR_INIT("stopped"),
    [BOTLINK_CLOSE] = STR_INIT("close"), [BOTLINK_SAY] = STR_INIT("say"),
    [BOTLINK_HEAR] = STR_INIT("hear"),   [BOTLINK_DEAF] = STR_INIT("deaf")};
static const struct str events[] = {
    [BOTLINK_EV_OPENED] = STR_INIT("opened"),     [BOTLINK_EV_FAILED] = STR_INIT("failed"),
    [BOTLINK_EV_SOUND] = STR_INIT("sound"),       [BOTLINK_EV_HANGUP] = STR_INIT("hangup"),
    [BOTLINK_EV_TRANSFER] = STR_INIT("transfer"), [BOTLINK_EV_NOTE] = STR_INIT("note"),
    [BOTLINK_EV_BROKEN] = STR_INIT("broken"),     [BOTLINK_EV_LOST] = STR_INIT("lost"),
    [BOTLINK_EV_CLOSED] = STR_INIT("closed"),     [BOTLINK_EV_SAID] = STR_INIT("said"),
    [BOTLINK_EV_HEARD] = STR_INIT("heard")};

/* "0=sales 0=the sales department 1=hours" */
static struct str phrases(struct play *p, const struct botlink_cmd *cmd)
{
    struct buf b;
    char *mem = arena_take(&p->arena, 2048);
    BUG_ON(!mem);
    buf_init(&b, mem, 2048);
    for (unsigned i = 0; i < cmd->n_phrases; i++)
        buf_printf(&b, "%s%u=" STR_FMT, i ? " " : "", cmd->phrase[i].means,
                   STR_ARG(cmd->phrase[i].words));
    return buf_str(&b);
}

static void fields(struct play *p, const struct botlink_cmd *cmd)
{
    static const struct str protocols[] = {[BOTLINK_TWILIO] = STR_INIT("twilio"),
                                           [BOTLINK_JSON] = STR_INIT("json"),
                                           [BOTLINK_AUDIOSOCKET] = STR_INIT("audiosocket"),
                                           [BOTLINK_SPEECH] = STR_INIT("speech"),
                                           [BOTLINK_EARS] = STR_INIT("ears")};
    char digit[1] = {cmd->digit};
    const struct {
        struct str key, value;
    } rows[] = {{STR("url"), cmd->url},
                {STR("bot"), cmd->bot},
                {STR("account"), cmd->own.account},
                {STR("token"), cmd->own.token},
                {STR("user"), cmd->own.user},
                {STR("password"), cmd->own.password},
                {STR("voice"), cmd->own.voice},
                {STR("grammar"), cmd->own.grammar},
                {STR("reason"), cmd->reason},
                {STR("from"), cmd->from},
                {STR("to"), cmd->to},
                {STR("call-id"), cmd->call_id},
                {STR("digit"), str_of(digit, 1)},
                {STR("text"), cmd->text},
                {STR("language"), cmd->language},
                {STR("phrases"), phrases(p, cmd)},
                {STR("no-input"), ua_text(&p->w, "%u", cmd->no_input_ms)},
                {STR("protocol"), protocols[cmd->protocol]},
                {STR("rate"), cmd->rate_hz == 16000 ? STR("16000") : STR("8000")}};
    for (int i = 3; i < p->n_words; i++) {
        ptrdiff_t eq = str_chr(p->word[i], '=');
        struct str key = eq > 0 ? str_sub(p->word[i], 0, (size_t)eq) : STR("");
        unsigned k = 0;
        while (k < ARRAY_LEN(rows) && !str_eq(rows[k].key, key))
            k++;
        if (k == ARRAY_LEN(rows))
            play_fail(p, &p->st->line, "botlink expect COMMAND NAME=VALUE ...");
        else if (!str_eq(rows[k].value, str_from(p->word[i], key.n + 1)))
            play_fail(p, &p->st->line, STR_FMT " is \"" STR_FMT "\"", STR_ARG(key),
                      STR_ARG(rows[k].value));
    }
}

/* The next order, at once. An `open` is of whom the script speaks from now on. */
static void expect_command(struct play *p)
{
    struct list *head = &p->w.link_cmds;
    play_until(p, p->w.now);
    bool none = str_eq(p->word[2], STR("nothing"));
    if (list_empty(head) || none) {
        if (!none)
            play_fail(p, &p->st->line, "the bot was told nothing");
        else if (!list_empty(head))
            play_fail(p, &p->st->line, "the bot was told something");
        return;
    }
    struct world_link_cmd *c = container_of(head->next, struct world_link_cmd, node);
    list_remove(&c->node);
    if (!str_eq(commands[c->cmd.kind], p->word[2])) {
        play_fail(p, &p->st->line, "the bot was told " STR_FMT, STR_ARG(commands[c->cmd.kind]));
        return;
    }
    if (c->cmd.kind == BOTLINK_SAY)
        p->said = c->cmd.token;
    if (c->cmd.kind == BOTLINK_HEAR)
        p->heard = c->cmd.token;
    if (c->cmd.kind == BOTLINK_OPEN)
        p->botlink = c->cmd.id;
    else if (c->cmd.id != p->botlink)
        play_fail(p, &p->st->line, "it was another bot that was told this");
    fields(p, &c->cmd);
}

static void put_figures(struct play *p, struct botlink_figures *f)
{
    const struct {
        const char *key;
        uint64_t *u64;
        uint32_t *u32;
    } keys[] = {{"rx_bytes", &f->rx_bytes, NULL},     {"tx_bytes", &f->tx_bytes, NULL},
                {"queue_ms", NULL, &f->queue_ms},     {"queue_most_ms", NULL, &f->queue_most_ms},
                {"underruns", NULL, &f->underruns},   {"dropped", NULL, &f->dropped},
                {"reconnects", NULL, &f->reconnects}, {"errors", NULL, &f->errors}};
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        uint64_t v;
        if (num_u64(&v, play_option(p, str_z(keys[i].key), 2), UINT32_MAX))
            continue;
        if (keys[i].u64)
            *keys[i].u64 = v;
        else
            *keys[i].u32 = (uint32_t)v;
    }
}

/* heard understood|no-match|no-input [item=N] [confidence=N] [words=TEXT]; before=N: it answers the
 * order N before the latest. */
static void put_heard(struct play *p, struct botlink_event *ev)
{
    static const struct str outcomes[] = {[BOTLINK_UNDERSTOOD] = STR_INIT("understood"),
                                          [BOTLINK_NO_MATCH] = STR_INIT("no-match"),
                                          [BOTLINK_NO_INPUT] = STR_INIT("no-input")};
    unsigned i = 0;
    uint64_t v;
    while (i < ARRAY_LEN(outcomes) && !str_eq(outcomes[i], p->word[2]))
        i++;
    if (i == ARRAY_LEN(outcomes)) {
        play_fail(p, &p->st->line, "botlink heard understood|no-match|no-input");
        return;
    }
    ev->heard.outcome = (enum botlink_outcome)i;
    ev->heard.means = 0xFF;
    if (!num_u64(&v, play_option(p, STR("item"), 3), 0xFF))
        ev->heard.means = (uint8_t)v;
    if (!num_u64(&v, play_option(p, STR("confidence"), 3), 1000))
        ev->heard.confidence = (uint16_t)v;
    ev->heard.words = play_option(p, STR("words"), 3);
}

static void put_token(struct play *p, struct botlink_event *ev)
{
    uint64_t before = 0;
    (void)!num_u64(&before, play_option(p, STR("before"), 2), UINT32_MAX);
    if (ev->kind == BOTLINK_EV_SAID || ev->kind == BOTLINK_EV_HEARD)
        ev->token = (ev->kind == BOTLINK_EV_SAID ? p->said : p->heard) - (uint32_t)before;
    if (ev->kind == BOTLINK_EV_HEARD)
        put_heard(p, ev);
}

/* talks on|off: the media plane hears the speech server. */
static void talks(struct play *p)
{
    const struct world_link *l = world_link_find(&p->w, p->botlink);
    struct media_ev ev = {.kind = MEDIA_EV_TALK, .talks = str_eq(p->word[2], STR("on"))};
    ev.id = l ? l->stream : 0;
    if (!world_stream_find(&p->w, ev.id))
        play_fail(p, &p->st->line, "there is no speech server");
    world_media_ev(&p->w, &ev);
    play_until(p, p->w.now);
}

/* silent: the media plane has not heard it for a while, which said something. */
static void silent(struct play *p)
{
    const struct world_link *l = world_link_find(&p->w, p->botlink);
    struct media_ev ev = {.kind = MEDIA_EV_HEARS};
    ev.id = l ? world_link_caller(&p->w, l) : 0;
    if (!ev.id)
        play_fail(p, &p->st->line, "nobody hears a speech server");
    world_media_ev(&p->w, &ev);
    play_until(p, p->w.now);
}

/* botlink expect COMMAND|nothing NAME=VALUE ...; botlink EVENT [TEXT|KEY=N ...] */
void botlink_statement(struct play *p)
{
    unsigned i = 0;
    if (str_eq(p->word[1], STR("expect")) && p->n_words > 2) {
        expect_command(p);
        return;
    }
    if (str_eq(p->word[1], STR("talks")) && p->n_words == 3) {
        talks(p);
        return;
    }
    if (str_eq(p->word[1], STR("silent"))) {
        silent(p);
        return;
    }
    while (i < ARRAY_LEN(events) && !str_eq(p->word[1], events[i]))
        i++;
    if (i == ARRAY_LEN(events)) {
        play_fail(p, &p->st->line, "botlink expect COMMAND, botlink EVENT");
        return;
    }
    struct botlink_event ev = {.kind = (enum botlink_event_kind)i, .id = p->botlink};
    if (p->n_words > 2)
        ev.text = p->word[2];
    put_figures(p, &ev.figures);
    put_token(p, &ev);
    world_botlink_ev(&p->w, 0, &ev);
    play_until(p, p->w.now);
}

/* NAME voice on [stop=MS], NAME voice off [ago=TIME]: what the media plane hears. */
void voice_statement(struct play *p, struct world_stream *s)
{
    uint64_t v;
    struct media_ev ev = {
        .kind = MEDIA_EV_VOICE, .id = s->id, .talks = str_eq(p->word[2], STR("on"))};
    ev.voice.at = p->w.now;
    if (!script_duration(&v, play_option(p, STR("ago"), 3)))
        ev.voice.at -= v;
    if (!num_u64(&v, play_option(p, STR("stop"), 3), UINT32_MAX)) {
        struct media_cmd stop = {.kind = MEDIA_STOP, .id = s->id};
        ev.voice.stopped = true;
        ev.voice.stop_ms = (uint32_t)v;
        if (s->hears[0])
            world_media_rx(&p->w, &stop);
    }
    if (!s->tap)
        play_fail(p, &p->st->line, "nobody listens to it");
    world_media_ev(&p->w, &ev);
    play_until(p, p->w.now);
}
