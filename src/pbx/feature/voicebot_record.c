/* What is kept of a conversation: events in the record of the call, a row with its figures, the
 * transcript. */
#include "pbx/feature/voicebot_int.h"

static const char *const outcomes[] = {"asked", "declined", "late", "answered"};
static const char *const engines[] = {"builtin", "mrcp", "stream"};

struct str voicebot_reason_name(unsigned reason)
{
    static const struct str names[VOICEBOT_REASONS] = {
        [CONF_BOT_NO_ANSWER] = STR_INIT("no_answer"),
        [CONF_BOT_BUSY] = STR_INIT("busy"),
        [CONF_BOT_UNREGISTERED] = STR_INIT("unregistered"),
        [CONF_BOT_OUT_OF_HOURS] = STR_INIT("out_of_hours"),
        [CONF_BOT_ALWAYS] = STR_INIT("always"),
        [VOICEBOT_NUMBER] = STR_INIT("number")};
    return names[reason];
}

static uint64_t ms_in_call(const struct voicebot_session *s, usec_t at)
{
    return at > s->call_started ? (at - s->call_started) / USEC_MS : 0;
}

void voicebot_note_event(struct pbx *p, const struct voicebot_session *s, const char *result)
{
    struct call *call = call_find(p, s->call);
    struct buf b;
    size_t cap = 6 * s->bot->name.n + 160;
    char *mem = call ? arena_take(&p->turn, cap) : NULL;
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"bot\",\"bot\":\"");
    buf_json(&b, s->bot->name);
    buf_printf(&b,
               "\",\"engine\":\"%s\",\"reason\":\"" STR_FMT "\",\"result\":\"%s\",\"at_ms\":%llu}",
               engines[s->bot->engine], STR_ARG(voicebot_reason_name(s->reason)), result,
               (unsigned long long)ms_in_call(s, p->now));
    cdr_note(p, call, buf_str(&b));
}

/* One text is no transcript: a menu that is said again and again must leave room for the answers.
 */
#define NOTE_MAX 500

void voicebot_note(struct pbx *p, struct voicebot_session *s, struct str who, struct str what)
{
    struct buf b;
    what = str_sub(what, 0, what.n < NOTE_MAX ? what.n : NOTE_MAX);
    size_t cap = s->notes.n + 6 * (who.n + what.n) + 64;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_str_put(&b, s->notes);
    if (s->notes.n)
        buf_ch(&b, ',');
    buf_printf(&b, "{\"ms\":%llu,\"who\":\"", (unsigned long long)ms_in_call(s, p->now));
    buf_json(&b, who);
    buf_lit(&b, "\",\"text\":\"");
    buf_json(&b, what);
    buf_lit(&b, "\"}");
    if (b.n < VOICEBOT_NOTES_MAX && pbx_keep(p, &s->notes, buf_str(&b)))
        call_trace(p, call_find(p, s->call), TRACE_CALL_MEMORY, STR("transcript"));
}

/* said: the accounts department (0.82) */
void voicebot_note_heard(struct pbx *p, struct voicebot_session *s, const struct bot_out *o)
{
    char mem[NOTE_MAX];
    struct buf b;
    size_t room = sizeof(mem) - 32;
    buf_init(&b, mem, sizeof(mem));
    if (!o->words.n) {
        voicebot_note(p, s, str_z(o->who), STR("said something that was not understood"));
        return;
    }
    buf_lit(&b, "said: ");
    buf_str_put(&b, str_sub(o->words, 0, o->words.n < room ? o->words.n : room));
    if (o->confidence)
        buf_printf(&b, " (%u.%02u)", o->confidence / 1000u, o->confidence % 1000u / 10);
    voicebot_note(p, s, str_z(o->who), buf_str(&b));
}

static void put(struct buf *b, const char *key, uint64_t v)
{
    buf_printf(b, "%s\"%s\":%llu", b->p[b->n - 1] == '{' ? "" : ",", key, (unsigned long long)v);
}

/* {"first_sound_ms":...} */
static void put_figures(struct buf *b, const struct voicebot_session *s)
{
    const struct bot_figures *f = &s->talk.figures;
    const struct botlink_figures *l = &s->figures;
    buf_ch(b, '{');
    put(b, "first_sound_ms", f->first_sound_ms);
    put(b, "turns", f->turns);
    put(b, "turn_mean_ms", f->turns ? f->turn_ms_sum / f->turns : 0);
    put(b, "turn_max_ms", f->turn_ms_max);
    put(b, "barge_ins", f->barge_ins);
    buf_lit(b, ",\"barge_ms\":[");
    for (unsigned i = 0; i < f->barge_ins && i < BOT_BARGE_MAX; i++)
        buf_printf(b, "%s%u", i ? "," : "", f->barge_ms[i]);
    buf_ch(b, ']');
    put(b, "keys", f->keys);
    put(b, "no_inputs", f->no_inputs);
    put(b, "no_matches", f->no_matches);
    put(b, "rx_bytes", l->rx_bytes);
    put(b, "tx_bytes", l->tx_bytes);
    put(b, "queue_ms", l->queue_ms);
    put(b, "queue_most_ms", l->queue_most_ms);
    put(b, "underruns", l->underruns);
    put(b, "dropped", l->dropped);
    put(b, "reconnects", l->reconnects);
    put(b, "errors", f->errors + l->errors);
    buf_ch(b, '}');
}

#define FIGURES_MAX 1024

static struct str figures_json(struct pbx *p, const struct voicebot_session *s)
{
    struct buf b;
    char *mem = arena_take(&p->turn, FIGURES_MAX);
    if (!mem)
        return STR("{}");
    buf_init(&b, mem, FIGURES_MAX);
    put_figures(&b, s);
    return b.full ? STR("{}") : buf_str(&b);
}

static struct str notes_json(struct pbx *p, const struct voicebot_session *s)
{
    struct buf b;
    char *mem = arena_take(&p->turn, s->notes.n + 2);
    if (!mem)
        return STR("[]");
    buf_init(&b, mem, s->notes.n + 2);
    buf_ch(&b, '[');
    buf_str_put(&b, s->notes);
    buf_ch(&b, ']');
    return buf_str(&b);
}

void voicebot_store(struct pbx *p, const struct voicebot_session *s)
{
    if (s->unrecorded)
        return;
    struct row_op *op = pbx_store(p, STORE_CALL_BOT_PUT);
    const struct row_value values[] = {
        ROW_S(cdr_hex(p, s->record)),
        ROW_S(pbx_turn_dup(p, s->bot->name)),
        ROW_S(str_z(engines[s->bot->engine])),
        ROW_S(voicebot_reason_name(s->reason)),
        ROW_S(str_z(outcomes[s->outcome])),
        ROW_I(ms_in_call(s, s->at)),
        ROW_I(s->ended > s->at ? (s->ended - s->at) / USEC_MS : 0),
        ROW_S(figures_json(p, s)),
        ROW_S(notes_json(p, s)),
    };
    memcpy(op->v, values, sizeof(values));
    op->n = ARRAY_LEN(values);
}

/* Of the conversation that has answered, or is asked to. */
static const struct voicebot_session *session_of(struct pbx *p, const struct call *call)
{
    const struct dial *d = dial_of(p, call);
    const struct voicebot_session *s = voicebot_of(p, call);
    return s || !d ? s : voicebot_find(p, d->bot);
}

struct str voicebot_json(struct pbx *p, const struct call *call)
{
    const struct voicebot_session *s = session_of(p, call);
    struct buf b;
    size_t cap = s ? 6 * s->bot->name.n + s->notes.n + FIGURES_MAX + 256 : 0;
    char *mem = s ? arena_take(&p->turn, cap) : NULL;
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_printf(&b, "{\"call\":%llu,\"record\":\"", (unsigned long long)call->number);
    buf_hex(&b, s->record, sizeof(s->record));
    buf_lit(&b, "\",\"bot\":\"");
    buf_json(&b, s->bot->name);
    buf_printf(&b, "\",\"engine\":\"%s\",\"reason\":\"" STR_FMT "\",\"state\":\"" STR_FMT "\",",
               engines[s->bot->engine], STR_ARG(voicebot_reason_name(s->reason)),
               STR_ARG(bot_state_name((enum bot_state)s->talk.state)));
    buf_printf(
        &b, "\"outcome\":\"%s\",\"after_ms\":%llu,\"ms\":%llu,\"figures\":", outcomes[s->outcome],
        (unsigned long long)ms_in_call(s, s->at), (unsigned long long)(p->now - s->at) / USEC_MS);
    put_figures(&b, s);
    buf_lit(&b, ",\"transcript\":[");
    buf_str_put(&b, s->notes);
    buf_lit(&b, "]}");
    return b.full ? STR_NONE : buf_str(&b);
}
