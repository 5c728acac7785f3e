/* Which calls are recorded: by configuration, by a key, by the API. */
#include "pbx/record.h"

#include <errno.h>

#include "pbx/feature/conference.h"
#include "pbx/feature/service.h"
#include "pbx/feature/voicebot.h"
#include "pbx/sound.h"

#define KEY_PAUSE (3 * USEC_S) /* keys of one code come within it */
#define AGAIN_MS  60000
#define BEEP_MS   150
#define REFUSE_MS 500

static enum config_record mode_of(const struct leg *leg)
{
    if (!leg->extension)
        return CONF_RECORD_NONE; /* the extension at the other end decides */
    return config_record_of(leg->config, leg->extension);
}

static bool is_talking(struct pbx *p, struct call *call, const struct leg *leg)
{
    return leg->state != LEG_ENDED && leg->joined && call_is_party(p, call, leg);
}

/* Who is no party any more leaves, who has come joins. */
static void follow(struct pbx *p, struct call *call)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (leg->record == call->record && !is_talking(p, call, leg))
            recording_remove(p, leg);
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (is_talking(p, call, leg)) {
            recording_add(p, call->record, leg);
            recording_said(p, leg, voicebot_heard(p, call));
        }
    voicebot_recorded(p, call);
}

static struct str about(struct pbx *p, const struct call *call)
{
    struct buf b;
    size_t cap = 6 * (call->cdr.caller.n + call->cdr.dialled.n + call->cdr.callee.n) + 280;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_lit(&b, "\"cdr\":\"");
    buf_hex(&b, call->cdr.id, sizeof(call->cdr.id));
    buf_printf(&b, "\",\"call\":%llu,\"caller\":\"", (unsigned long long)call->number);
    buf_json(&b, call->cdr.caller);
    buf_lit(&b, "\",\"dialled\":\"");
    buf_json(&b, call->cdr.dialled);
    buf_lit(&b, "\",\"callee\":\"");
    buf_json(&b, call->cdr.callee);
    buf_printf(&b, "\",\"start_ms\":%llu,\"answer_ms\":%llu",
               (unsigned long long)call->cdr.start_ms, (unsigned long long)call->cdr.answer_ms);
    if (call->cdr.has_parent) {
        buf_lit(&b, ",\"parent\":\"");
        buf_hex(&b, call->cdr.parent, sizeof(call->cdr.parent));
        buf_ch(&b, '"');
    }
    return buf_str(&b);
}

static struct str base_of(struct pbx *p, const struct call *call)
{
    struct buf b;
    size_t cap = call->cdr.caller.n + call->cdr.dialled.n + 1;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR("call");
    buf_init(&b, mem, cap);
    buf_str_put(&b, call->cdr.caller);
    buf_ch(&b, '_');
    buf_str_put(&b, call->cdr.dialled);
    return buf_str(&b);
}

static void note_start(struct pbx *p, struct call *call)
{
    static const char *const by[] = {"config", "key", "api"};
    struct buf b;
    char mem[256];
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "{\"event\":\"recording\",\"file\":\"");
    buf_json(&b, recording_name(p, call->record));
    buf_printf(&b, "\",\"by\":\"%s\"}", by[call->record_by]);
    cdr_note(p, call, buf_str(&b));
}

int recording_start(struct pbx *p, struct call *call, enum config_record mode, enum record_by by)
{
    bool wide = false, any = false;
    bool message = call->service == SERVICE_VOICEMAIL; /* which its stream is part of, or will be */
    if (call->record || message)
        return -EALREADY;
    for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
        if (leg->record) /* that of its room: a stream is in one recording */
            return -EALREADY;
        any |= is_talking(p, call, leg);
        wide |= leg->wide;
    }
    if (!any || call->state == CALL_ENDING)
        return -ENOTCONN;
    call->record = recording_begin(p, mode, wide, base_of(p, call), about(p, call));
    if (!call->record)
        return -ENOMEM;
    call->record_by = (uint8_t)by;
    call->record_stopped = STR_NONE;
    note_start(p, call);
    follow(p, call);
    return 0;
}

int recording_stop(struct pbx *p, struct call *call)
{
    if (!call->record)
        return -EALREADY;
    recording_end(p, call->record);
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (leg->record == call->record)
            recording_remove(p, leg);
    call->record = 0;
    call->record_kept_off = true;
    return 0;
}

int recording_pause(struct pbx *p, struct call *call, bool on)
{
    if (!call->record)
        return -EALREADY;
    recording_hold(p, call->record, on);
    return 0;
}

void recording_follow(struct pbx *p, struct call *call)
{
    enum config_record mode = CONF_RECORD_NONE;
    if (call->record) {
        follow(p, call);
        return;
    }
    if (call->state == CALL_ENDING || !call->cdr.answer_ms || call->service ||
        call->record_kept_off)
        return;
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (is_talking(p, call, leg) && mode_of(leg) > mode)
            mode = mode_of(leg);
    if (mode != CONF_RECORD_NONE)
        /* Without memory the call goes on without it. */
        (void)!recording_start(p, call, mode, RECORD_BY_CONFIG);
}

static void note_lost(struct pbx *p, struct call *call, struct str name, struct str why, usec_t end)
{
    struct buf b;
    char mem[256];
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "{\"event\":\"recording-stopped\",\"file\":\"");
    buf_json(&b, name);
    buf_lit(&b, "\",\"why\":\"");
    buf_str_put(&b, why);
    usec_t began = call->cdr.started;
    buf_printf(&b, "\",\"at_ms\":%llu}",
               (unsigned long long)(end > began ? (end - began) / USEC_MS : 0));
    cdr_note(p, call, buf_str(&b));
    call->record_stopped = why; /* a literal */
}

void recording_lost(struct pbx *p, handle_t recording, struct str why, uint32_t at_ms, bool paused)
{
    struct slot_table *calls = &p->calls->calls;
    const struct recording *rec = slot_find(&p->calls->recordings, recording);
    usec_t end = rec ? rec->began + at_ms * USEC_MS : p->now;
    struct str name = recording_name(p, recording);
    bool again = str_eq(why, STR("too-long")) && at_ms >= AGAIN_MS;
    uint32_t at = 0;
    handle_t h;
    for (struct call *call; (call = slot_next(calls, &at, &h));) {
        bool in = call->record == recording;
        for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
            if (leg->guest == recording)
                recording_guest(p, 0, leg);
            if (leg->record != recording)
                continue;
            in = true;
            recording_remove(p, leg);
        }
        if (!in)
            continue;
        note_lost(p, call, name, why, end);
        if (call->record != recording)
            continue; /* it is that of its room */
        call->record = 0;
        /* What is only too long goes on as another one, if configuration wants it; else it does not
         * try again. A key may. */
        call->record_kept_off = !again;
        recording_follow(p, call);
        if (paused) /* nobody has ended the pause */
            recording_hold(p, call->record, true);
    }
    if (again)
        conference_record_again(p, recording);
}

void recording_call_over(struct pbx *p, struct call *call)
{
    if (call->record)
        (void)!recording_stop(p, call);
}

/* Whose recording it is that a key would end: what the house demands, no party may stop. */
static bool may_end(struct pbx *p, struct call *call, const struct leg *by)
{
    bool demanded = call->record_by == RECORD_BY_CONFIG;
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        demanded |=
            is_talking(p, call, leg) && !call->record_kept_off && mode_of(leg) != CONF_RECORD_NONE;
    return !demanded || by->config->recording.key_may_end;
}

/* One beep: it is being recorded; two: no longer; the tone of what is refused: it stays as it is.
 */
static void answer_key(struct pbx *p, struct leg *leg, unsigned beeps)
{
    struct sound_list l = {0};
    for (unsigned i = 0; i < beeps; i++) {
        if (i)
            sound_silence(&l, BEEP_MS);
        sound_tone(p, &l, TONE_DIAL, BEEP_MS);
    }
    if (!beeps)
        sound_tone(p, &l, TONE_CONGESTION, REFUSE_MS);
    sound_play(p, leg, &l);
}

static void toggle(struct pbx *p, struct call *call, struct leg *leg)
{
    enum config_record mode = mode_of(leg);
    bool off = call->record;
    int err = -EPERM;
    if (off && may_end(p, call, leg))
        err = recording_stop(p, call);
    else if (!off)
        err = recording_start(p, call, mode == CONF_RECORD_NONE ? CONF_RECORD_MIXED : mode,
                              RECORD_BY_KEY);
    answer_key(p, leg, err ? 0 : off ? 2 : 1);
}

void recording_key(struct pbx *p, struct leg *leg, char digit)
{
    struct call *call = call_find(p, leg->call);
    struct str code = leg->config->features.record;
    if (!code.n || !leg->extension || call->state != CALL_UP)
        return;
    if (p->now - leg->key_at > KEY_PAUSE)
        leg->n_keys = 0;
    leg->key_at = p->now;
    if (leg->n_keys == sizeof(leg->keys))
        memmove(leg->keys, leg->keys + 1, --leg->n_keys);
    leg->keys[leg->n_keys++] = digit;
    if (leg->n_keys < code.n || !str_eq(str_of(leg->keys + leg->n_keys - code.n, code.n), code))
        return;
    leg->n_keys = 0;
    toggle(p, call, leg);
}
