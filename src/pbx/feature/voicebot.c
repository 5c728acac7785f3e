/* Conversations: how they begin, what is done for them, how they end. */
#include "pbx/feature/voicebot_int.h"

#include "base/mem.h"
#include "pbx/clock.h"
#include "pbx/feature/setting.h"
#include "pbx/feature/transfer.h"
#include "pbx/hangup.h"
#include "pbx/record.h"

static void late(struct pbx *p, struct pbx_timer *t);
static void tap(struct pbx *p, struct voicebot_session *s, bool on);

int voicebot_init(struct pbx *p)
{
    struct voicebots *v = mem_zero(sizeof(*v));
    if (!v)
        return -ENOMEM;
    p->voicebots = v;
    return slot_init(&v->sessions, sizeof(struct voicebot_session), p->config->limits.bots);
}

struct voicebot_session *voicebot_find(struct pbx *p, handle_t h)
{
    return slot_find(&p->voicebots->sessions, h);
}

struct voicebot_session *voicebot_of(struct pbx *p, const struct call *call)
{
    return call->service == SERVICE_BOT ? voicebot_find(p, call->service_state) : NULL;
}

struct str voicebot_heard(struct pbx *p, const struct call *call)
{
    const struct voicebot_session *s = voicebot_of(p, call);
    /* A speech server has a stream of its own; when it is gone, we speak. */
    bool ours = s && (!voicebot_is_spoken_for(s) || s->talk.closed);
    return ours && !s->left && !s->over ? s->bot->name : STR_NONE;
}

bool voicebot_is_idle(const struct pbx *p)
{
    return p->voicebots->sessions.used == 0;
}

uint32_t voicebot_count(const struct pbx *p)
{
    return p->voicebots->sessions.used;
}

static void session_free(struct pbx *p, struct voicebot_session *s)
{
    pbx_timer_stop(p, &s->timer);
    BUG_ON(pbx_keep(p, &s->notes, STR_NONE)); /* freeing cannot fail */
    config_unref(s->config);
    slot_put(&p->voicebots->sessions, s->self);
}

void voicebot_done(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct voicebot_session *s;
    if (!p->voicebots)
        return;
    while (p->voicebots->sessions.mem && (s = slot_next(&p->voicebots->sessions, &at, &h)))
        session_free(p, s);
    slot_done(&p->voicebots->sessions);
    mem_free(p->voicebots);
    p->voicebots = NULL;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void finish(struct pbx *p, struct voicebot_session *s)
{
    voicebot_store(p, s);
    session_free(p, s);
}

void voicebot_end(struct pbx *p, struct voicebot_session *s)
{
    struct bot_input in = {.event = BOT_EV_GONE};
    struct dial *d = slot_find(&p->calls->dials, s->dial);
    if (s->over)
        return;
    s->over = true;
    s->ended = p->now;
    if (d && d->bot == s->self)
        d->bot = 0;
    s->dial = 0;
    voicebot_input(p, s, &in);
    tap(p, s, false);
    pbx_timer_stop(p, &s->timer);
    if (!s->talk.open)
        finish(p, s);
}

void voicebot_search_over(struct pbx *p, struct dial *d)
{
    struct voicebot_session *s = voicebot_find(p, d->bot);
    pbx_timer_stop(p, &d->bot_timer);
    d->bot = 0;
    if (!s)
        return;
    s->outcome = VOICEBOT_LATE;
    voicebot_end(p, s);
}

/* ---- what a conversation wants done ---------------------------------------------------------- */

static void record(struct pbx *p, struct call *call, const struct voicebot_session *s)
{
    const struct leg *caller = leg_find(p, s->leg);
    enum config_record mode = CONF_RECORD_NONE, theirs = CONF_RECORD_NONE;
    if (s->extension)
        mode = config_record_of(s->config, s->extension);
    if (caller->extension)
        theirs = config_record_of(caller->config, caller->extension);
    mode = theirs > mode ? theirs : mode;
    if (mode != CONF_RECORD_NONE) /* without memory the call goes on without it */
        (void)!recording_start(p, call, mode, RECORD_BY_CONFIG);
}

static void note_answer(struct pbx *p, struct voicebot_session *s)
{
    struct call *call = call_find(p, s->call);
    char mem[80];
    struct buf by;
    buf_init(&by, mem, sizeof(mem));
    buf_lit(&by, "bot:");
    buf_str_put(&by, s->bot->name);
    s->outcome = VOICEBOT_ANSWERED;
    call->scenario = SCENARIO_BOT;
    if (!call->cdr.answered_by.n)
        cdr_keep(p, call, &call->cdr.answered_by, buf_str(&by));
    call_trace(p, call, TRACE_CALL_ANSWERED, buf_str(&by));
    voicebot_note_event(p, s, "answered");
}

/* A party that is up, and is being transferred, hears the bot at once. */
static void take_transferred(struct pbx *p, struct voicebot_session *s, struct dial *d)
{
    struct call *call = call_find(p, s->call);
    struct leg *owner = leg_find(p, s->leg), *before = leg_find(p, call->party[d->side]);
    if (before)
        before->left = p->now;
    transfer_answered(p, d->transfer, owner);
    call_set_party(p, call, d->side, NULL);
    dial_stop(p, call);
    service_take(p, call, owner, SERVICE_BOT);
    call->service_state = s->self;
    note_answer(p, s);
    service_up(p, call);
}

/* The engine is there: who rings is cancelled, as one who has not answered, and the caller is
 * answered. */
static void answer(struct pbx *p, struct voicebot_session *s)
{
    struct dial *d = slot_find(&p->calls->dials, s->dial);
    struct call *call = call_find(p, s->call);
    handle_t self = s->self;
    char mem[96];
    struct buf reason;
    buf_init(&reason, mem, sizeof(mem));
    hangup_reason(&reason, 19);
    d->bot = s->dial = 0;
    dial_drop(p, d, NULL, buf_str(&reason));
    if (d->purpose == DIAL_TRANSFER) {
        take_transferred(p, s, d);
        return;
    }
    dial_stop(p, call);
    call_set_party(p, call, 1, NULL);
    call->service_state = self;
    if (service_answer(p, call, SERVICE_BOT))
        note_answer(p, s);
    else if ((s = voicebot_find(p, self)) && !s->over)
        voicebot_end(p, s);
}

/* The search goes on as if there were no bot. */
static void decline(struct pbx *p, struct voicebot_session *s)
{
    struct dial *d = slot_find(&p->calls->dials, s->dial);
    const struct config_extension *e = s->extension;
    unsigned status = s->status;
    bool starting = s->starting;
    s->outcome = VOICEBOT_DECLINED;
    call_trace(p, call_find(p, s->call), TRACE_CALL_BOT_DECLINED, s->bot->name);
    voicebot_note_event(p, s, "unreachable");
    voicebot_end(p, s);
    if (!d || dial_rings(p, d))
        return;
    if (status && e) {
        d->alone = e;
        d->failure = status;
        (void)forward_failed(p, d, status); /* what is left is the status itself */
    }
    if (!starting)
        dial_run(p, d);
}

static uint32_t rate_hz(const struct config_bot *bot)
{
    return bot->rate == CONF_RATE_16000 ? 16000 : 8000;
}

/* The media plane tells when the caller speaks, and stops what is said then by itself. */
static void tap(struct pbx *p, struct voicebot_session *s, bool on)
{
    struct leg *leg = leg_find(p, s->leg);
    struct leg_stream *stream = leg ? sound_stream(leg) : NULL;
    if (on == s->taps || !stream)
        return;
    s->taps = on;
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = MEDIA_TAP, .id = stream->id, .on = on};
    cmd->tap.link = s->self;
    cmd->tap.sound = s->conf.engine == BOT_STREAM || s->conf.ears;
    cmd->tap.ears = s->conf.ears;
    cmd->tap.voice = true;
    cmd->tap.barge_in = s->conf.barge_in;
    cmd->tap.linked = voicebot_is_spoken_for(s);
    cmd->tap.lapse_ms = s->conf.patience_ms;
    cmd->tap.rate_hz = s->conf.ears && leg->wide ? 16000 : rate_hz(s->bot);
}

static void link_cmd(struct pbx *p, struct voicebot_session *s, const struct botlink_cmd *from)
{
    static const enum botlink_protocol protocols[] = {[CONF_PROTOCOL_TWILIO] = BOTLINK_TWILIO,
                                                      [CONF_PROTOCOL_JSON] = BOTLINK_JSON,
                                                      [CONF_PROTOCOL_AUDIOSOCKET] =
                                                          BOTLINK_AUDIOSOCKET};
    struct botlink_cmd cmd = *from;
    struct leg *leg = leg_find(p, s->leg);
    struct leg_stream *stream = leg ? sound_stream(leg) : NULL;
    cmd.id = s->self;
    if (cmd.kind == BOTLINK_OPEN) {
        const struct call *call = call_find(p, s->call);
        cmd.protocol = protocols[s->bot->protocol];
        cmd.rate_hz = rate_hz(s->bot);
        memcpy(cmd.record, s->record, sizeof(cmd.record));
        cmd.url = s->bot->url;
        cmd.bot = s->bot->name;
        cmd.own.account = s->bot->account;
        cmd.own.token = s->bot->token.secret;
        cmd.reason = voicebot_reason_name(s->reason);
        cmd.from = pbx_turn_dup(p, leg->party);
        cmd.to = pbx_turn_dup(p, call->cdr.dialled);
        cmd.call_id = pbx_turn_dup(p, leg->call_id);
    } else if (cmd.kind == BOTLINK_CLOSE) {
        tap(p, s, false);
        voicebot_speech_unlink(p, s);
    } else if (cmd.kind == BOTLINK_START) {
        cmd.media = stream ? stream->id : 0;
    }
    if (voicebot_is_spoken_for(s) || s->conf.ears)
        voicebot_speech_fill(p, s, &cmd);
    if (voicebot_is_spoken_for(s) && cmd.kind == BOTLINK_START)
        voicebot_speech_link(p, s);
    pbx_emit(p, PBX_OUT_BOTLINK)->botlink = cmd;
}

static void note(struct pbx *p, struct voicebot_session *s, const struct bot_out *o)
{
    char mem[32];
    struct buf b;
    if (str_eq(str_z(o->what), STR("said"))) {
        voicebot_note_heard(p, s, o);
        return;
    }
    buf_init(&b, mem, sizeof(mem));
    buf_z(&b, o->what);
    if (o->digit) {
        buf_ch(&b, ' ');
        buf_ch(&b, o->digit);
    }
    voicebot_note(p, s, str_z(o->who), buf_str(&b));
}

static void listen(struct pbx *p, struct voicebot_session *s)
{
    record(p, call_find(p, s->call), s);
    tap(p, s, true);
}

static void say_ourselves(struct pbx *p, struct voicebot_session *s, const struct bot_out *o)
{
    struct call *call = call_find(p, s->call);
    voicebot_say(p, s, o->text, o->n_texts);
    if (voicebot_is_spoken_for(s) && call) /* its server has gone: this voice is recorded, too */
        recording_follow(p, call);
}

void voicebot_fails(struct pbx *p, struct voicebot_session *s, struct str why)
{
    call_trace(p, call_find(p, s->call), TRACE_CALL_BOT_FAILED, why);
    voicebot_note(p, s, STR("exchange"), why);
}

static void act(struct pbx *p, struct voicebot_session *s, const struct bot_out *o)
{
    switch (o->kind) {
    case BOT_OUT_ANSWER:
        answer(p, s);
        break;
    case BOT_OUT_DECLINE:
        decline(p, s);
        break;
    case BOT_OUT_LISTEN:
        listen(p, s);
        break;
    case BOT_OUT_SAY:
        if (o->by_engine)
            voicebot_speech_say(p, s, o->text, o->n_texts);
        else
            say_ourselves(p, s, o);
        break;
    case BOT_OUT_LINK:
        link_cmd(p, s, &o->link);
        break;
    case BOT_OUT_GO:
        tap(p, s, false); /* who is handed over and coughs must not stop what rings */
        voicebot_go(p, s, &o->goal);
        break;
    case BOT_OUT_HANGUP:
        service_hang_up(p, call_find(p, s->call));
        break;
    case BOT_OUT_NOTE:
        note(p, s, o);
        break;
    case BOT_OUT_FAILS:
        voicebot_fails(p, s, str_z(o->what));
        break;
    }
}

static void arm(struct pbx *p, struct voicebot_session *s)
{
    usec_t at = bot_deadline(&s->talk);
    pbx_timer_stop(p, &s->timer);
    if (at != USEC_NEVER)
        pbx_timer_start(p, &s->timer, at > p->now ? at - p->now : 0);
}

/* What is done may end it. */
static void act_all(struct pbx *p, struct voicebot_session *s)
{
    handle_t self = s->self;
    struct bot_out o;
    while ((s = voicebot_find(p, self)) && bot_out(&s->talk, &o))
        act(p, s, &o);
    if (s && !s->over)
        arm(p, s);
}

void voicebot_input(struct pbx *p, struct voicebot_session *s, const struct bot_input *in)
{
    bot_step(&s->talk, p->now, in);
    act_all(p, s);
}

static void late(struct pbx *p, struct pbx_timer *t)
{
    struct voicebot_session *s = container_of(t, struct voicebot_session, timer);
    bot_tick(&s->talk, p->now);
    act_all(p, s);
}

/* ---- when ------------------------------------------------------------------------------------ */

static void begin(struct pbx *p, struct dial *d, const struct target *t, bool starting)
{
    handle_t h;
    struct call *call = call_find(p, d->call);
    struct voicebot_session *s = NULL;
    struct voicebot_speech speech = {0};
    if (call->n_bots < VOICEBOT_PER_CALL && !p->stopping)
        s = slot_take(&p->voicebots->sessions, &h);
    if (s && t->bot->engine == CONF_ENGINE_MRCP && !voicebot_speech_port(p, h, t->bot, &speech)) {
        slot_put(&p->voicebots->sessions, h);
        s = NULL;
    }
    d->bot_asked = true;
    d->bot_of = t->extension ? t->extension : d->bot_of; /* it is not asked twice */
    if (!s) {                                            /* as if there were none */
        if (t->status && t->extension) {
            d->alone = t->extension;
            (void)forward_failed(p, d, t->status);
        }
        return;
    }
    call->n_bots++;
    *s = (struct voicebot_session){.self = h,
                                   .call = d->call,
                                   .leg = d->owner,
                                   .dial = d->self,
                                   .config = config_ref(d->config),
                                   .bot = t->bot,
                                   .extension = t->extension,
                                   .reason = t->reason,
                                   .status = t->status,
                                   .starting = starting,
                                   .at = p->now,
                                   .speech = speech,
                                   .call_started = call->cdr.started,
                                   .unrecorded = call->unrecorded};
    memcpy(s->record, call->cdr.id, sizeof(s->record));
    s->timer.fire = late;
    d->bot = h;
    voicebot_conf(&s->conf, s->bot);
    bot_begin(&s->talk, &s->conf, p->now);
    act_all(p, s);
    if ((s = voicebot_find(p, h)))
        s->starting = false;
}

void voicebot_start(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct leg *owner = leg_find(p, d->owner);
    bool ready = d->purpose == DIAL_CALL || leg_has_agreed(owner);
    d->failure = t->status ? t->status : d->failure ? d->failure : 480;
    if (d->purpose == DIAL_ROOM || !ready)
        dial_skip(p, d, t, 480);
    else
        begin(p, d, t, true);
}

static bool is_out_of_hours(const struct pbx *p, const struct config *c, struct str hours)
{
    const struct config_schedule *s = config_find_schedule(c, hours);
    return s && !clock_is_open(s, pbx_wall_ms(p), p->zone_s);
}

bool voicebot_before(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct config_extension *e = t->kind == TARGET_EXTENSION ? t->extension : NULL;
    const struct config_group *g = t->group;
    struct str name = e ? e->bot : g->bot, hours = e ? e->hours : g->hours;
    const struct config_choices *when = e ? &e->bot_when : &g->bot_when;
    struct target bot = {.kind = TARGET_BOT, .extension = e, .reason = CONF_BOT_ALWAYS};
    if (!name.n || t->no_bot || t->of_group || d->purpose == DIAL_ROOM)
        return false;
    bool always = config_bot_when(when, CONF_BOT_ALWAYS);
    if (!always &&
        (!config_bot_when(when, CONF_BOT_OUT_OF_HOURS) || !is_out_of_hours(p, d->config, hours)))
        return false;
    bot.bot = config_find_bot(d->config, name);
    bot.reason = always ? CONF_BOT_ALWAYS : CONF_BOT_OUT_OF_HOURS;
    struct target rest = *t;
    rest.no_bot = true;
    /* The one put last is the next. Without the engine the phones ring after all. */
    return dial_put(p, d, &rest, STR_NONE) && dial_put(p, d, &bot, STR_NONE);
}

static void no_answer(struct pbx *p, struct pbx_timer *timer)
{
    struct dial *d = container_of(timer, struct dial, bot_timer);
    const struct config_extension *e = d->alone;
    struct target t = {.kind = TARGET_BOT, .extension = e, .reason = CONF_BOT_NO_ANSWER};
    if (!e || e != d->bot_of || d->bot || d->bot_asked || !dial_rings(p, d))
        return;
    t.bot = config_find_bot(d->config, e->bot);
    begin(p, d, &t, true); /* else it goes on ringing */
}

void voicebot_watch(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct config_extension *e = t->extension;
    uint32_t wait_ms = d->config->sip.timers.no_answer_timeout_ms;
    pbx_timer_stop(p, &d->bot_timer);
    d->bot_of = e;
    d->bot_asked = t->no_bot;
    if (!e->bot.n || !wait_ms || t->no_bot || d->purpose == DIAL_ROOM ||
        !config_bot_when(&e->bot_when, CONF_BOT_NO_ANSWER) ||
        setting_get(p, e, SETTING_FORWARD_NO_ANSWER).n)
        return;
    d->bot_timer.fire = no_answer;
    pbx_timer_start(p, &d->bot_timer, wait_ms * USEC_MS);
}

void voicebot_take_over(struct pbx *p, struct dial *d, struct dial *old)
{
    struct timer *t = &old->bot_timer.timer;
    bool waits = timer_armed(t), opening = old->bot;
    usec_t left = waits && timer_due(t) > p->now ? timer_due(t) - p->now : 0;
    pbx_timer_stop(p, &old->bot_timer);
    d->bot_of = old->bot_of;
    d->bot_asked = old->bot_asked && !opening;
    if (!waits && !opening)
        return;
    d->bot_timer.fire = no_answer;
    pbx_timer_start(p, &d->bot_timer, left);
}

bool voicebot_instead(struct pbx *p, struct dial *d, const struct config_extension *e,
                      unsigned status, unsigned reason)
{
    bool busy = reason == DIVERSION_USER_BUSY || reason == DIVERSION_DND;
    bool silent = reason == DIVERSION_NO_ANSWER;
    struct target t = {.kind = TARGET_BOT, .extension = e, .status = (uint16_t)status};
    t.reason = busy ? CONF_BOT_BUSY : silent ? CONF_BOT_NO_ANSWER : CONF_BOT_UNREGISTERED;
    if (!e->bot.n || (d->bot_of == e && d->bot_asked) || d->purpose == DIAL_ROOM ||
        !config_bot_when(&e->bot_when, (enum config_bot_when)t.reason) ||
        (silent && !d->config->sip.timers.no_answer_timeout_ms))
        return false;
    d->bot_of = e;
    t.bot = config_find_bot(d->config, e->bot);
    return dial_put(p, d, &t, STR_NONE);
}

void voicebot_of_group(struct pbx *p, struct dial *d, const struct config_group *g)
{
    unsigned best = dial_best_status(p, d), status = best ? best : d->failure;
    struct target t = {.kind = TARGET_BOT, .reason = CONF_BOT_UNREGISTERED};
    if (d->rang_out)
        t.reason = CONF_BOT_NO_ANSWER;
    else if (status == 486 || status / 100 == 6)
        t.reason = CONF_BOT_BUSY;
    t.bot = g->bot.n ? config_find_bot(d->config, g->bot) : NULL;
    if (t.bot && config_bot_when(&g->bot_when, (enum config_bot_when)t.reason))
        (void)dial_put(p, d, &t, STR_NONE);
}

/* ---- what the engine says -------------------------------------------------------------------- */

void voicebot_rx(struct pbx *p, const struct botlink_event *ev)
{
    static const enum bot_event events[] = {
        [BOTLINK_EV_OPENED] = BOT_EV_OPENED,     [BOTLINK_EV_FAILED] = BOT_EV_FAILED,
        [BOTLINK_EV_SOUND] = BOT_EV_SOUND,       [BOTLINK_EV_HANGUP] = BOT_EV_HANGUP,
        [BOTLINK_EV_TRANSFER] = BOT_EV_TRANSFER, [BOTLINK_EV_LOST] = BOT_EV_LOST,
        [BOTLINK_EV_SAID] = BOT_EV_SAID,         [BOTLINK_EV_HEARD] = BOT_EV_HEARD};
    struct voicebot_session *s = voicebot_find(p, ev->id);
    struct bot_input in = {.text = ev->text, .heard = ev->heard};
    if (!s || voicebot_speech_is_stale(s, ev))
        return;
    if (ev->kind == BOTLINK_EV_SOUND && voicebot_is_spoken_for(s))
        return; /* the media plane knows better what the caller hears of a server */
    if (ev->figures.rx_bytes || ev->kind == BOTLINK_EV_CLOSED)
        s->figures = ev->figures;
    if (ev->kind == BOTLINK_EV_CLOSED) {
        if (s->over) {
            finish(p, s);
            return;
        }
        s->talk.open = false; /* the caller still hears the last sentence, or is handed over */
    } else if (ev->kind == BOTLINK_EV_NOTE) {
        voicebot_note(p, s, STR("bot"), ev->text);
    } else if (ev->kind == BOTLINK_EV_BROKEN) {
        call_trace(p, call_find(p, s->call), TRACE_CALL_BOT_BROKEN, ev->text);
        voicebot_note(p, s, STR("exchange"), ev->text);
    } else if (!s->over) {
        if (ev->kind == BOTLINK_EV_FAILED || ev->kind == BOTLINK_EV_LOST) {
            voicebot_fails(p, s, ev->text);
            s->speech.stream = 0; /* whose host has closed it */
        }
        in.event = events[ev->kind];
        voicebot_input(p, s, &in);
    }
}

/* ---- the service ----------------------------------------------------------------------------- */

static void up(struct pbx *p, struct call *call)
{
    struct voicebot_session *s = voicebot_of(p, call);
    struct bot_input in = {.event = BOT_EV_UP};
    if (s && sound_stream(leg_find(p, s->leg)))
        voicebot_input(p, s, &in);
    else
        service_hang_up(p, call);
}

static void key(struct pbx *p, struct call *call, char digit)
{
    struct voicebot_session *s = voicebot_of(p, call);
    struct bot_input in = {.event = BOT_EV_KEY, .digit = digit};
    if (s)
        voicebot_input(p, s, &in);
}

static void voice(struct pbx *p, struct call *call, const struct media_ev *ev)
{
    struct voicebot_session *s = voicebot_of(p, call);
    struct bot_input in = {.event = ev->talks ? BOT_EV_VOICE : BOT_EV_PAUSE,
                           .stopped = ev->voice.stopped,
                           .stop_ms = ev->voice.stop_ms,
                           .at = ev->voice.at};
    if (!s)
        return;
    if (ev->kind == MEDIA_EV_HEARS)
        in = (struct bot_input){.event = ev->talks ? BOT_EV_SOUND : BOT_EV_SILENT};
    else
        voicebot_speech_voice(p, s, ev->talks);
    voicebot_input(p, s, &in);
}

static void played(struct pbx *p, struct call *call, uint32_t token)
{
    struct voicebot_session *s = voicebot_of(p, call);
    struct bot_input in = {.event = BOT_EV_SAID};
    if (s && token == s->token)
        voicebot_input(p, s, &in);
}

/* A party that has given up its audio can neither hear nor say anything. */
static void changed(struct pbx *p, struct call *call)
{
    struct voicebot_session *s = voicebot_of(p, call);
    if (s && call->state == CALL_UP && !sound_stream(leg_find(p, s->leg)))
        service_hang_up(p, call);
}

static void over(struct pbx *p, struct call *call)
{
    struct voicebot_session *s = voicebot_find(p, call->service_state);
    call->service_state = 0;
    if (s)
        voicebot_end(p, s);
}

const struct service service_bot = {
    .up = up, .key = key, .played = played, .voice = voice, .changed = changed, .over = over};
