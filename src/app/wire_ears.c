/* Bots of engine builtin that understand words: between the PBX and app/hearing, in the loop's
 * thread. Nothing of it is there before the first of them is asked. */
#include <errno.h>

#include "app/hearing.h"
#include "app/wire.h"
#include "io/ears.h"

static void tell(struct wire *w, const struct botlink_event *ev)
{
    pbx_botlink(w->pbx, loop_now(w->loop), ev);
}

static void on_heard(void *ctx, uint64_t id, uint32_t token, const struct botlink_heard *heard)
{
    struct wire *w = ctx;
    struct botlink_event ev = {.kind = BOTLINK_EV_HEARD, .id = id, .token = token, .heard = *heard};
    tell(w, &ev);
}

static void on_sound(struct loop_watch *watch, unsigned events)
{
    struct wire *w = container_of(watch, struct wire, ear_watch);
    struct media_tap tap;
    (void)events;
    while (media_thread_ear(w->media, &tap))
        (void)hearing_tap(w->hearing, &tap); /* of one that has just ended: nobody's */
    wire_drain(w);
}

static void on_answers(struct loop_watch *watch, unsigned events)
{
    struct wire *w = container_of(watch, struct wire, heard_watch);
    (void)events;
    hearing_ready(w->hearing);
    wire_drain(w);
}

static int ears_open(struct wire *w)
{
    struct hearing_conf conf = {.heard = on_heard, .ctx = w};
    if (w->hearing)
        return 0;
    int err = hearing_new(&w->hearing, &conf);
    if (err)
        return err;
    w->ear_watch.ready = on_sound;
    w->heard_watch.ready = on_answers;
    err = loop_watch_open(w->loop, &w->ear_watch, media_thread_ear_fd(w->media), LOOP_READ);
    BUG_ON(err);
    err = loop_watch_open(w->loop, &w->heard_watch, hearing_fd(w->hearing), LOOP_READ);
    BUG_ON(err);
    return 0;
}

void wire_close_ears(struct wire *w)
{
    if (!w->hearing)
        return;
    loop_watch_close(&w->ear_watch);
    loop_watch_close(&w->heard_watch);
    hearing_free(w->hearing);
    w->hearing = NULL;
}

/* What cannot be opened is there to be closed all the same. */
static void open_one(struct wire *w, const struct botlink_cmd *cmd)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_OPENED, .id = cmd->id};
    int err = ears_open(w);
    err = err ? err : hearing_open(w->hearing, cmd->id);
    if (err)
        ev = (struct botlink_event){.kind = BOTLINK_EV_FAILED,
                                    .id = cmd->id,
                                    .text = STR("words are not understood: out of resources")};
    else if (hearing_can(w->hearing))
        ev = (struct botlink_event){
            .kind = BOTLINK_EV_FAILED,
            .id = cmd->id,
            .text = STR(
                "words are not understood: pocketsphinx or pocketsphinx-en-us is not installed")};
    tell(w, &ev);
}

int wire_ears(struct wire *w, const struct botlink_cmd *cmd)
{
    int err = w->hearing ? 0 : -ENOENT;
    if (cmd->kind == BOTLINK_OPEN && cmd->protocol == BOTLINK_EARS) {
        open_one(w, cmd);
        return 0;
    }
    if (err)
        return err;
    if (cmd->kind == BOTLINK_HEAR)
        err = hearing_ask(w->hearing, cmd->id, cmd->token, cmd->phrase, cmd->n_phrases);
    else if (cmd->kind == BOTLINK_DEAF)
        err = hearing_deaf(w->hearing, cmd->id);
    else if (cmd->kind == BOTLINK_CLOSE)
        err = hearing_close(w->hearing, cmd->id);
    else
        err = -ENOENT;
    if (!err && cmd->kind == BOTLINK_CLOSE) {
        struct botlink_event ev = {.kind = BOTLINK_EV_CLOSED, .id = cmd->id};
        tell(w, &ev);
    }
    return err == -ENOENT ? err : 0; /* the caller's patience ends what could not be asked */
}

/* ---- what is written in the configuration ---------------------------------------------------- */

struct phrases {
    struct wire *w;
    const struct config_bot *bot;
    struct botlink_phrase v[BOTLINK_PHRASES];
    unsigned n;
};

static void on_lack(void *ctx, unsigned phrase, const char *word)
{
    const struct phrases *all = ctx;
    char mem[EARS_WORD + 64];
    struct buf why;
    buf_init(&why, mem, sizeof(mem));
    buf_z(&why, word[0] ? word : "it has too many words, or something that is no word");
    if (word[0])
        buf_lit(&why, " is not in the dictionary");
    trace_emit(wire_trace(all->w), TRACE_BOT_WORD, 0, TS(all->bot->name), TS(all->v[phrase].words),
               TS(buf_str(&why)));
}

static int check_bot(struct wire *w, const struct config_bot *bot)
{
    struct phrases all = {.w = w, .bot = bot};
    struct ears_request q = {.phrase = all.v, .cancel_fd = -1};
    if (bot->engine != CONF_ENGINE_BUILTIN)
        return 0;
    for (uint32_t i = 0; i < bot->n_menu; i++)
        for (uint32_t k = 0; k < bot->menu[i].words.n && all.n < BOTLINK_PHRASES; k++)
            all.v[all.n++].words = bot->menu[i].words.v[k];
    q.n_phrases = all.n;
    if (!all.n)
        return 0;
    int err = ears_installed(&q);
    return err ? err : ears_check(&q, on_lack, &all);
}

static bool same_words(const struct config_bot *a, const struct config_bot *b)
{
    if (a->engine != b->engine || a->n_menu != b->n_menu)
        return false;
    for (uint32_t i = 0; i < a->n_menu; i++)
        if (!config_texts_eq(&a->menu[i].words, &b->menu[i].words))
            return false;
    return true;
}

/* The dictionary is large, and calls go on meanwhile. */
static bool is_known(const struct config *before, const struct config_bot *bot)
{
    for (uint32_t i = 0; before && i < before->n_bots; i++)
        if (same_words(&before->bots[i], bot))
            return true;
    return false;
}

void wire_check_ears(struct wire *w, const struct config *before)
{
    int err = 0;
    for (uint32_t i = 0; i < w->config->n_bots && !err; i++) {
        const struct config_bot *bot = &w->config->bots[i];
        err = is_known(before, bot) ? 0 : check_bot(w, bot);
        struct str why = err == -ENOENT ? STR("pocketsphinx or pocketsphinx-en-us is not installed")
                                        : str_z(strerrordesc_np(-err));
        if (err) /* it is so for all */
            trace_emit(wire_trace(w), TRACE_BOT_DEAF, 0, TS(bot->name), TS(why));
    }
}
