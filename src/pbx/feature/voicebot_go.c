/* Where a conversation leads: to a number, to a room, to a mailbox. The caller stays in its call,
 * with its recording. */
#include "pbx/feature/voicebot_int.h"

#include "pbx/feature/conference.h"
#include "pbx/feature/voicemail.h"
#include "pbx/record.h"

static void back(struct pbx *p, struct voicebot_session *s)
{
    struct bot_input in = {.event = BOT_EV_BACK};
    s->left = false;
    voicebot_note(p, s, STR("exchange"), STR("nobody is there"));
    recording_follow(p, call_find(p, s->call));
    voicebot_note_event(p, s, "back");
    voicebot_input(p, s, &in);
}

bool voicebot_back(struct pbx *p, struct call *call)
{
    struct voicebot_session *s = voicebot_of(p, call);
    if (!s)
        return false;
    back(p, s);
    return true;
}

/* The user of a URI, or the number as it is. sip:1003, without any host, is often meant so too. */
static struct str number_of(struct pbx *p, struct str text)
{
    struct sip_uri uri;
    bool is_uri = str_istarts(text, STR("sip:")) || str_istarts(text, STR("sips:")) ||
                  str_istarts(text, STR("tel:"));
    if (!is_uri)
        return pbx_turn_dup(p, str_trim(text));
    if (sip_uri_parse(&uri, text))
        return STR("");
    if (uri.user.n)
        return sip_unescape(&p->turn, uri.user);
    for (size_t i = 0; i < uri.host.n; i++)
        if (!strchr("0123456789", uri.host.p[i]))
            return STR("");
    return pbx_turn_dup(p, uri.host);
}

static void note_transfer(struct pbx *p, const struct voicebot_session *s, struct str to)
{
    struct call *call = call_find(p, s->call);
    struct buf b;
    size_t cap = 6 * (s->bot->name.n + to.n) + 96;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"transfer\",\"type\":\"bot\",\"transferor\":\"");
    buf_json(&b, s->bot->name);
    buf_lit(&b, "\",\"target\":\"");
    buf_json(&b, to);
    buf_lit(&b, "\"}");
    cdr_note(p, call, buf_str(&b));
}

/* In the log and in the transcript: "goes to 1003", "goes to the mailbox of 1003". */
static void note_way(struct pbx *p, struct voicebot_session *s, bool mailbox, struct str to)
{
    if (mailbox && !to.n) { /* it has a number of its own, and answers for nobody */
        voicebot_fails(p, s,
                       STR("a message was to be taken, and there is nobody whose it would be"));
        return;
    }
    const struct str verbs[] = {STR("handed over by a bot to "), STR("goes to ")};
    for (unsigned i = 0; i < ARRAY_LEN(verbs); i++) {
        char mem[128];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        buf_str_put(&b, verbs[i]);
        if (mailbox)
            buf_lit(&b, "the mailbox of ");
        buf_str_put(&b, str_sub(to, 0, to.n < 80 ? to.n : 80));
        if (i)
            voicebot_note(p, s, STR("bot"), buf_str(&b));
        else
            call_trace(p, call_find(p, s->call), TRACE_CALL_TRANSFER, buf_str(&b));
    }
}

/* Rooms take their parties from calls that nobody else has a hand in. */
static unsigned into_room(struct pbx *p, struct voicebot_session *s, const struct plan *plan)
{
    struct call *call = call_find(p, s->call);
    handle_t self = s->self;
    call->service = SERVICE_NONE;
    call->service_state = 0;
    unsigned status = conference_take(p, call, leg_find(p, s->leg), plan);
    if (!status) {
        voicebot_end(p, voicebot_find(p, self));
        return 0;
    }
    call->service = SERVICE_BOT;
    call->service_state = self;
    return status;
}

static unsigned search(struct pbx *p, struct voicebot_session *s, const struct plan_from *from,
                       const struct plan *plan)
{
    struct call *call = call_find(p, s->call);
    unsigned side = call->party[0] == s->leg;
    struct dial *d = dial_new(p, call, DIAL_TRANSFER, side);
    if (!d)
        return 503;
    d->from = *from;
    unsigned status = dial_add(p, d, plan);
    if (status) {
        dial_stop(p, call);
        return status;
    }
    dial_run(p, d);
    return 0;
}

/* Its rights are those of whom it stands in for. */
void voicebot_go(struct pbx *p, struct voicebot_session *s, const struct bot_goal *goal)
{
    struct plan_from from = {.config = p->config};
    s->left = true; /* what rings is not its voice */
    recording_follow(p, call_find(p, s->call));
    struct str whose = s->extension ? s->extension->number : STR("");
    struct str to = goal->does == BOT_DO_MESSAGE ? pbx_turn_dup(p, whose) : number_of(p, goal->to);
    struct plan plan = {.kind = PLAN_NONE, .status = 404};
    from.extension = config_find_extension(p->config, whose);
    if (goal->does == BOT_DO_TRANSFER) {
        plan = plan_number(p, &from, to);
    } else {
        const struct config_extension *e = config_find_extension(p->config, to);
        if (e && e->voicemail)
            plan = (struct plan){.kind = PLAN_MAILBOX, .extension = e, .number = to};
    }
    note_transfer(p, s, goal->does == BOT_DO_TRANSFER ? to : STR(VOICEMAIL_WORD));
    note_way(p, s, goal->does != BOT_DO_TRANSFER, to);
    handle_t self = s->self;
    unsigned status =
        plan.kind == PLAN_CONFERENCE ? into_room(p, s, &plan) : search(p, s, &from, &plan);
    s = voicebot_find(p, self);
    if (status && s)
        back(p, s);
}
