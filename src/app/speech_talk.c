/* What a conversation says and hears. Commands are wishes: what they want is asked of the server at
 * the end of the turn, so that it does not matter in which order a turn has them, and when what is
 * under way has ended. */
#include <errno.h>
#include <stdio.h>

#include "app/speech_int.h"
#include "base/mem.h"
#include "wire/mrcp/nlsml.h"
#include "wire/mrcp/speech.h"

#define GRAMMAR_BYTES (64u << 10)
#define WORDS_MAX     400

/* ---- wishes ---------------------------------------------------------------------------------- */

static int wish_begin(struct wish *w, const struct botlink_cmd *cmd)
{
    wish_clear(w);
    w->any = true;
    w->token = cmd->token;
    w->no_input_ms = cmd->no_input_ms;
    str_copy_z(w->language, sizeof(w->language), cmd->language.n ? cmd->language : STR("en-US"));
    return 0;
}

static int wish_text(struct wish *w, struct str text)
{
    w->text = mem_strndup(text.p ? text.p : "", text.n);
    w->n = text.n;
    return w->text ? 0 : -ENOMEM;
}

static int wish_phrases(struct wish *w, const struct botlink_cmd *cmd)
{
    struct str phrase[BOTLINK_PHRASES];
    struct speech_phrases p = {.phrase = phrase, .lang = str_z(w->language)};
    struct buf b;
    for (unsigned i = 0; i < cmd->n_phrases && i < BOTLINK_PHRASES; i++) {
        char *words = mem_strndup(cmd->phrase[i].words.p, cmd->phrase[i].words.n);
        if (!words)
            return -ENOMEM;
        w->phrase[w->n_phrases].words = words;
        w->phrase[w->n_phrases++].means = cmd->phrase[i].means;
        phrase[p.n++] = cmd->phrase[i].words;
    }
    char *mem = mem_alloc(GRAMMAR_BYTES);
    if (!mem)
        return -ENOMEM;
    buf_init(&b, mem, GRAMMAR_BYTES);
    int err = speech_srgs(&b, &p);
    err = err ? err : wish_text(w, buf_str(&b));
    mem_free(mem);
    return err;
}

static int wish_hear(struct conv *c, const struct botlink_cmd *cmd)
{
    struct wish *w = &c->hear;
    int err = wish_begin(w, cmd);
    w->is_uri = c->grammar || !cmd->n_phrases;
    if (!err && cmd->n_phrases)
        err = wish_phrases(w, cmd);
    if (err || !w->is_uri)
        return err;
    mem_free(w->text);
    return wish_text(w, c->grammar ? str_z(c->grammar) : STR("builtin:speech/transcribe"));
}

static void said(struct conv *c, uint32_t token)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_SAID, .token = token};
    conv_event(c, &ev, STR_NONE);
}

int talk_cmd(struct conv *c, const struct botlink_cmd *cmd)
{
    int err = 0;
    switch (cmd->kind) {
    case BOTLINK_START:
        c->caller = cmd->media;
        break;
    case BOTLINK_SAY:
        if (c->say.any)
            said(c, c->say.token); /* it was never begun */
        err = wish_begin(&c->say, cmd);
        err = err ? err : wish_text(&c->say, cmd->text);
        break;
    case BOTLINK_HEAR:
        c->recognize.dead = true;
        err = wish_hear(c, cmd);
        break;
    case BOTLINK_DEAF:
        c->recognize.dead = true;
        wish_clear(&c->hear);
        break;
    case BOTLINK_STOPPED:
        if (c->say.any)
            said(c, c->say.token);
        wish_clear(&c->say);
        c->hush = true;
        break;
    default:
        break; /* DIGIT: keys go to the menu, and a server hears them in the sound */
    }
    conv_dirty(c);
    return err;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* What the server has just ended by itself cannot be stopped: its event is on the way. */
static void stop(struct conv *c, struct asked *a, enum mrcp_resource r)
{
    struct mrcp_ask ask = {.resource = r, .method = MRCP_M_STOP};
    if (a->stopping)
        return;
    a->stopping = true;
    int err = mrcp_host_ask(c->host->host, c->session, &ask, NULL);
    if (err && err != -EPROTO)
        conv_lose(c, uv_strerror(err));
}

static int ask_speak(struct conv *c, uint64_t *request)
{
    struct wish *w = &c->say;
    struct str voice = str_z(c->voice);
    struct mrcp_field f[] = {{.id = MRCP_H_CONTENT_TYPE, .value = STR("application/ssml+xml")},
                             {.id = MRCP_H_SPEECH_LANGUAGE, .value = str_z(w->language)},
                             {.id = MRCP_H_KILL_ON_BARGE_IN, .value = STR("true")},
                             {.id = MRCP_H_VOICE_NAME, .value = voice}};
    struct buf b;
    size_t room = 1024 + 6 * (w->n + voice.n);
    char *mem = mem_alloc(room);
    if (!mem)
        return -ENOMEM;
    buf_init(&b, mem, room);
    int err = speech_ssml(&b, str_of(w->text, w->n), str_z(w->language), voice);
    struct mrcp_ask ask = {.resource = MRCP_R_SPEECHSYNTH,
                           .method = MRCP_M_SPEAK,
                           .field = f,
                           .n_fields = voice.n ? 4 : 3,
                           .body = buf_str(&b)};
    err = err ? err : mrcp_host_ask(c->host->host, c->session, &ask, request);
    mem_free(mem);
    return err;
}

/* What the caller has silenced by speaking was the sentence before. */
static void let_through(struct conv *c)
{
    const struct speech_conf *conf = &c->speech->conf;
    struct media_cmd cmd = {.kind = MEDIA_TAP_HEAR, .id = c->caller};
    if (c->caller)
        conf->media(conf->ctx, &cmd);
}

static int speak(struct conv *c)
{
    uint64_t request = 0;
    if (c->speak.request) {
        stop(c, &c->speak, MRCP_R_SPEECHSYNTH);
        return 0;
    }
    let_through(c);
    int err = ask_speak(c, &request);
    c->speak = (struct asked){.request = request, .token = c->say.token};
    wish_clear(&c->say);
    return err;
}

static bool is_saying(const struct conv *c)
{
    return c->say.any || c->speak.request;
}

static int recognize(struct conv *c)
{
    struct wish *w = &c->hear;
    char timeout[16];
    uint64_t request = 0;
    if (c->recognize.request) {
        stop(c, &c->recognize, MRCP_R_SPEECHRECOG);
        return 0;
    }
    /* While something is said nobody has to speak yet (RFC 6787 section 9.4.14). */
    bool timers = !is_saying(c);
    snprintf(timeout, sizeof(timeout), "%u", w->no_input_ms);
    struct mrcp_field f[] = {
        {.id = MRCP_H_CONTENT_TYPE,
         .value = w->is_uri ? STR("text/uri-list") : STR("application/srgs+xml")},
        {.id = MRCP_H_NO_INPUT_TIMEOUT, .value = str_z(timeout)},
        {.id = MRCP_H_START_INPUT_TIMERS, .value = timers ? STR("true") : STR("false")},
        {.id = MRCP_H_CANCEL_IF_QUEUE, .value = STR("true")},
        {.id = MRCP_H_SPEECH_LANGUAGE, .value = str_z(w->language)},
        {.id = MRCP_H_CONTENT_ID, .value = STR("<grammar@ringdown>")}};
    struct mrcp_ask ask = {.resource = MRCP_R_SPEECHRECOG,
                           .method = MRCP_M_RECOGNIZE,
                           .field = f,
                           .n_fields = w->is_uri ? 5 : 6,
                           .body = str_of(w->text, w->n)};
    int err = mrcp_host_ask(c->host->host, c->session, &ask, &request);
    c->recognize = (struct asked){.request = request, .token = w->token, .timers = timers};
    wish_clear(&c->heard_by);
    c->heard_by = *w;
    *w = (struct wish){.any = false};
    return err;
}

static void start_timers(struct conv *c)
{
    struct mrcp_ask ask = {.resource = MRCP_R_SPEECHRECOG, .method = MRCP_M_START_INPUT_TIMERS};
    c->recognize.timers = true;
    (void)!mrcp_host_ask(c->host->host, c->session, &ask, NULL); /* -EPROTO: it has ended */
}

void talk_pump(struct conv *c)
{
    int err = 0;
    if (c->hush && c->speak.request)
        stop(c, &c->speak, MRCP_R_SPEECHSYNTH);
    c->hush = false;
    if (c->say.any && c->state == CONV_OPEN)
        err = speak(c);
    if (!err && c->recognize.request && c->recognize.dead && c->state == CONV_OPEN)
        stop(c, &c->recognize, MRCP_R_SPEECHRECOG);
    if (!err && c->hear.any && c->state == CONV_OPEN)
        err = recognize(c);
    if (err)
        conv_lose(c, uv_strerror(err));
    const struct asked *r = &c->recognize;
    if (c->state == CONV_OPEN && r->request && !r->timers && !r->dead && !is_saying(c))
        start_timers(c);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void refused(struct conv *c, const struct mrcp_out *o)
{
    char why[SPEECH_WHY];
    struct str cause = mrcp_field_get(o->msg, MRCP_H_COMPLETION_CAUSE);
    snprintf(why, sizeof(why), "the server refuses " STR_FMT ": %u " STR_FMT "%s" STR_FMT,
             STR_ARG(mrcp_method_name(o->method)), o->msg->status,
             STR_ARG(mrcp_status_text(o->msg->status)), cause.n ? ", " : "", STR_ARG(cause));
    conv_lose(c, why);
}

static void failed(struct conv *c, const struct mrcp_out *o)
{
    char why[SPEECH_WHY];
    snprintf(why, sizeof(why), STR_FMT " failed: " STR_FMT, STR_ARG(mrcp_method_name(o->method)),
             STR_ARG(mrcp_field_get(o->msg, MRCP_H_COMPLETION_CAUSE)));
    conv_lose(c, why);
}

static void spoken(struct conv *c, const struct mrcp_out *o)
{
    uint16_t cause;
    uint32_t token = c->speak.token;
    c->speak = (struct asked){.request = 0};
    conv_dirty(c);
    /* Normal, barge-in, cancelled; who does not say it has nothing to complain of. */
    bool fine = !o->msg || mrcp_cause(&cause, o->msg) || cause == 0 || cause == 1 || cause == 7;
    if (!fine) {
        failed(c, o);
        return;
    }
    c->speech->stats.said++;
    said(c, token);
}

static void about_speak(struct conv *c, const struct mrcp_out *o)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_SOUND, .token = c->speak.token};
    if (o->kind == MRCP_OUT_RESPONSE && o->msg->status / 100 != 2) {
        refused(c, o);
    } else if (o->last) {
        spoken(c, o);
    } else if (o->msg && o->msg->state == MRCP_IN_PROGRESS && !c->speak.told &&
               !c->speak.stopping) {
        c->speak.told = true;
        conv_event(c, &ev, STR_NONE);
    }
}

/* Letters and digits alone, as people say them: how servers write case, commas and spaces differs.
 */
static size_t plain(char out[WORDS_MAX], struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < WORDS_MAX; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch >= 'A' && ch <= 'Z')
            out[n++] = (char)(ch - 'A' + 'a');
        else if (ch >= 0x80 || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'))
            out[n++] = (char)ch;
    }
    return n;
}

static bool same_words(struct str a, struct str b)
{
    char x[WORDS_MAX], y[WORDS_MAX];
    size_t n = plain(x, a), m = plain(y, b);
    return n && n == m && memcmp(x, y, n) == 0;
}

static uint8_t means(const struct conv *c, struct str said)
{
    for (unsigned i = 0; i < c->heard_by.n_phrases; i++)
        if (same_words(str_z(c->heard_by.phrase[i].words), said))
            return c->heard_by.phrase[i].means;
    return 0xFF;
}

/* What the server makes of the words goes before the words (RFC 6787 section 9.6.3.3). */
static uint8_t meaning(const struct conv *c, const struct nlsml_item *item)
{
    uint8_t by_instance = means(c, item->instance);
    return by_instance != 0xFF ? by_instance : means(c, item->input);
}

static uint16_t sureness(const struct nlsml_item *item)
{
    int32_t v = item->confidence != NLSML_NO_VALUE ? item->confidence : item->input_conf;
    if (v == NLSML_NO_VALUE)
        return 0;
    return v < 1 ? 1 : v > 1000 ? 1000 : (uint16_t)v; /* 0 means that it is not known */
}

/* RFC 6787 section 9.4.11. Negative: it is a failure. */
static int outcome_of(const struct mrcp_msg *m)
{
    static const int8_t outcome[] = {[0] = BOTLINK_UNDERSTOOD,
                                     [8] = BOTLINK_UNDERSTOOD,
                                     [12] = BOTLINK_UNDERSTOOD,
                                     [13] = BOTLINK_UNDERSTOOD,
                                     [14] = BOTLINK_UNDERSTOOD,
                                     [1] = BOTLINK_NO_MATCH,
                                     [3] = BOTLINK_NO_MATCH,
                                     [7] = BOTLINK_NO_MATCH,
                                     [15] = BOTLINK_NO_MATCH,
                                     [2] = BOTLINK_NO_INPUT,
                                     [4] = -1,
                                     [5] = -1,
                                     [6] = -1,
                                     [9] = -1,
                                     [10] = -1,
                                     [11] = -1};
    uint16_t cause;
    if (mrcp_cause(&cause, m))
        return BOTLINK_UNDERSTOOD; /* the result says it */
    return cause < ARRAY_LEN(outcome) ? outcome[cause] : -1;
}

static void result(struct conv *c, struct botlink_event *ev, const struct nlsml *n)
{
    struct botlink_heard *h = &ev->heard;
    const struct nlsml_item *item = &n->item[0];
    if (h->outcome == BOTLINK_UNDERSTOOD && n->noinput)
        h->outcome = BOTLINK_NO_INPUT;
    else if (h->outcome == BOTLINK_UNDERSTOOD && (n->nomatch || !n->n))
        h->outcome = BOTLINK_NO_MATCH;
    if (h->outcome != BOTLINK_UNDERSTOOD) {
        conv_event(c, ev, STR_NONE);
        return;
    }
    h->means = meaning(c, item);
    h->confidence = sureness(item);
    struct str words = item->input.n ? item->input : item->is_xml ? STR_NONE : item->instance;
    conv_event(c, ev, str_sub(words, 0, words.n < WORDS_MAX ? words.n : WORDS_MAX));
}

static void recognized(struct conv *c, const struct mrcp_out *o)
{
    struct asked was = c->recognize;
    struct botlink_event ev = {.kind = BOTLINK_EV_HEARD, .token = was.token};
    struct nlsml n = {.n = 0};
    struct arena arena;
    c->recognize = (struct asked){.request = 0};
    conv_dirty(c);
    if (was.dead || o->kind == MRCP_OUT_STOPPED)
        return;
    int outcome = outcome_of(o->msg);
    if (outcome < 0) {
        failed(c, o);
        return;
    }
    arena_init(&arena, 0);
    int err = o->msg->body.n ? nlsml_parse(&n, o->msg->body, &arena) : 0;
    ev.heard.outcome = (enum botlink_outcome)outcome;
    ev.heard.means = 0xFF;
    if (err && outcome == BOTLINK_UNDERSTOOD) {
        conv_lose(c, "the server's result is no NLSML");
    } else {
        c->speech->stats.heard++;
        result(c, &ev, &n);
    }
    arena_done(&arena);
}

void talk_message(struct conv *c, const struct mrcp_out *o)
{
    if (o->request_id == c->speak.request && c->speak.request) {
        about_speak(c, o);
    } else if (o->request_id == c->recognize.request && c->recognize.request) {
        if (o->kind == MRCP_OUT_RESPONSE && o->msg->status / 100 != 2)
            refused(c, o);
        else if (o->last)
            recognized(c, o);
    }
}
