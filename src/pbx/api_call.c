/* Calls for people: what is in progress, what happened in one, and its end. */
#include "pbx/api.h"

#include <errno.h>

#include "base/num.h"
#include "pbx/feature/threeway.h"
#include "pbx/feature/voicebot.h"
#include "pbx/record.h"

static void put_count(json_t *j, const char *key, bool known, uint64_t v)
{
    json_object_set_new(j, key, known ? json_integer((json_int_t)v) : json_null());
}

static json_t *quality_json(const struct quality_row *r)
{
    json_t *j = json_object();
    json_object_set_new(j, "leg", json_integer(r->leg));
    json_object_set_new(j, "stream", json_integer(r->stream));
    json_object_set_new(j, "direction", json_string(r->out ? "out" : "in"));
    json_object_set_new(j, "codec", r->codec.n ? api_text(r->codec) : json_null());
    json_object_set_new(j, "packets", json_integer((json_int_t)r->packets));
    json_object_set_new(j, "bytes", json_integer((json_int_t)r->bytes));
    put_count(j, "lost", r->known, r->lost);
    put_count(j, "discarded", r->known, r->discarded);
    put_count(j, "jitter_us", r->known, r->jitter_us);
    put_count(j, "rtt_mean_us", r->rtt_n, r->rtt_mean_us);
    put_count(j, "rtt_max_us", r->rtt_n, r->rtt_max_us);
    json_object_set_new(j, "r", r->r_x10 ? json_real(r->r_x10 / 10.0) : json_null());
    json_object_set_new(j, "mos", r->mos_x100 ? json_real(r->mos_x100 / 100.0) : json_null());
    put_count(j, "late", !r->out, r->late);
    put_count(j, "concealed", !r->out, r->concealed);
    return j;
}

/* The figures of the last report, of each stream both ways. */
static void put_quality(json_t *list, const struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++) {
        struct quality_row r[2];
        quality_rows(r, &leg->stats[i]);
        for (unsigned k = 0; k < 2 && (r[0].packets || r[1].packets); k++) {
            r[k].leg = leg->number;
            r[k].stream = (uint8_t)i;
            json_array_append_new(list, quality_json(&r[k]));
        }
    }
}

static json_t *leg_json(const struct leg *leg)
{
    static const char *const states[] = {"trying", "ringing", "answered", "ended"};
    struct str party = leg->trunk       ? leg->trunk->name
                       : leg->extension ? leg->extension->number
                                        : STR("");
    json_t *j = json_object();
    json_object_set_new(j, "number", json_integer(leg->number));
    json_object_set_new(j, "call_id", api_text(leg->call_id));
    json_object_set_new(j, "party", api_text(party));
    json_object_set_new(j, "kind", json_string(leg->trunk ? "trunk" : "extension"));
    json_object_set_new(j, "direction", json_string(leg->outgoing ? "out" : "in"));
    json_object_set_new(j, "state",
                        json_string(leg->outgoing             ? states[leg->state]
                                    : leg->state == LEG_ENDED ? "ended"
                                                              : "caller"));
    json_object_set_new(j, "peer", api_addr(&leg->flow.peer));
    json_object_set_new(j, "transport", api_text(proto_name((enum proto)leg->flow.proto)));
    json_t *ports = json_array();
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->stream[i].id)
            json_array_append_new(ports, json_integer(leg->stream[i].port));
    json_object_set_new(j, "rtp_ports", ports);
    json_t *quality = json_array();
    put_quality(quality, leg);
    json_object_set_new(j, "quality", quality);
    json_object_set_new(j, "held", json_boolean(leg->n_streams && leg->stream[0].held));
    return j;
}

/* A conference that the phone of one of the two parties mixes; null: there is none. */
static json_t *conference_json(struct pbx *p, const struct call *call)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct leg *leg = leg_find(p, call->party[i]);
        const struct leg *master = leg ? threeway_next(p, leg, NULL) : NULL;
        if (!master || !threeway_next(p, leg, master))
            continue;
        json_t *members = json_array();
        for (const struct leg *l = NULL; (l = threeway_next(p, leg, l));) {
            const struct leg *far = call_other(p, call_find(p, l->call), l);
            json_array_append_new(members,
                                  json_pack("{s:o,s:o}", "call_id", api_text(l->call_id), "party",
                                            api_text(far ? far->party : STR(""))));
        }
        return json_pack("{s:s,s:o,s:o,s:s}", "kind", "phone_mixed", "master_call_id",
                         api_text(master->call_id), "participants", members, "status",
                         "active_conference");
    }
    return json_null();
}

/* NULL: none has answered or is asked to. */
static json_t *bot_json(struct pbx *p, const struct call *call)
{
    struct str text = voicebot_json(p, call);
    return text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL;
}

static json_t *call_json(struct pbx *p, const struct call *call)
{
    const struct cdr *r = &call->cdr;
    json_t *j = json_object(), *legs = json_array(), *parties = json_array();
    json_object_set_new(j, "id", json_integer((json_int_t)call->number));
    json_object_set_new(j, "record", api_text(cdr_hex(p, r->id)));
    json_object_set_new(j, "state", api_text(call_state_name((enum call_state)call->state)));
    json_object_set_new(j, "scenario",
                        api_text(call_scenario_name((enum call_scenario)call->scenario)));
    json_object_set_new(j, "caller", api_text(r->caller));
    json_object_set_new(j, "caller_name", api_text(r->caller_name));
    json_object_set_new(j, "dialled", api_text(r->dialled));
    json_object_set_new(j, "callee", api_text(r->callee));
    json_object_set_new(j, "did", r->did.n ? api_text(r->did) : json_null());
    json_object_set_new(j, "answered_by",
                        r->answered_by.n ? api_text(r->answered_by) : json_null());
    json_object_set_new(j, "codec", r->codec.n ? api_text(r->codec) : json_null());
    json_object_set_new(j, "start_ms", json_integer((json_int_t)r->start_ms));
    json_object_set_new(j, "answer_ms",
                        r->answer_ms ? json_integer((json_int_t)r->answer_ms) : json_null());
    json_object_set_new(j, "age_s", json_integer((json_int_t)((p->now - r->started) / USEC_S)));
    json_object_set_new(j, "conference", conference_json(p, call));
    json_object_set_new(j, "recording",
                        call->record ? api_text(recording_name(p, call->record)) : json_null());
    json_object_set_new(j, "recording_stopped",
                        call->record_stopped.n ? api_text(call->record_stopped) : json_null());
    json_t *bot = bot_json(p, call);
    json_object_set_new(j, "bot", bot ? bot : json_null());
    for (const struct leg *leg = NULL; (leg = call_next(call, leg));)
        json_array_append_new(legs, leg_json(leg));
    json_object_set_new(j, "legs", legs);
    for (unsigned i = 0; i < 2; i++) {
        const struct leg *party = leg_find(p, call->party[i]);
        if (party)
            json_array_append_new(parties, api_text(party->party));
    }
    json_object_set_new(j, "parties", parties);
    return j;
}

json_t *api_calls(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    uint32_t at = 0;
    handle_t h;
    const struct call *call;
    (void)params;
    (void)error;
    while ((call = slot_next(&p->calls->calls, &at, &h)))
        json_array_append_new(list, call_json(p, call));
    return list;
}

static bool has_call_id(const struct call *call, struct str id)
{
    for (const struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (str_eq(leg->call_id, id))
            return true;
    return false;
}

/* params.call as text: a number may be given as such. */
static struct str wanted(const json_t *params, char mem[24])
{
    const json_t *v = json_object_get(params, "call");
    if (json_is_string(v))
        return str_of(json_string_value(v), json_string_length(v));
    struct buf b;
    buf_init(&b, mem, 24);
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        buf_u64(&b, (uint64_t)json_integer_value(v));
    return buf_str(&b);
}

struct call *api_call_of(struct pbx *p, const json_t *params)
{
    char mem[24];
    struct str id = wanted(params, mem);
    uint64_t number = 0;
    bool by_number = num_u64(&number, id, UINT64_MAX) == 0;
    uint32_t at = 0;
    handle_t h;
    struct call *call;
    while (id.n && (call = slot_next(&p->calls->calls, &at, &h)))
        if ((by_number && call->number == number) || has_call_id(call, id))
            return call;
    return NULL;
}

json_t *api_bots(struct pbx *p, const json_t *params, enum api_error *error)
{
    const struct call *call, *one = api_call_of(p, params);
    uint32_t at = 0;
    handle_t h;
    *error = API_NOT_FOUND;
    if (json_object_get(params, "call") && !one)
        return NULL;
    json_t *list = json_array();
    while ((call = slot_next(&p->calls->calls, &at, &h))) {
        json_t *j = one && one != call ? NULL : bot_json(p, call);
        if (j)
            json_array_append_new(list, j);
    }
    return list;
}

json_t *api_quality(struct pbx *p, const json_t *params, enum api_error *error)
{
    const struct call *call = api_call_of(p, params);
    *error = json_object_get(params, "call") ? API_NOT_FOUND : API_INVALID_PARAMS;
    if (!call)
        return NULL;
    json_t *list = json_array();
    for (const struct leg *leg = NULL; (leg = call_next(call, leg));)
        put_quality(list, leg);
    return list;
}

json_t *api_hangup(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct call *call = api_call_of(p, params);
    *error = json_object_get(params, "call") ? API_NOT_FOUND : API_INVALID_PARAMS;
    if (!call)
        return NULL;
    struct call_ending e = {
        .by = CALL_BY_SYSTEM, .status = 480, .cause = 16, .reason = STR("operator")};
    uint64_t number = call->number;
    call_end(p, call, &e);
    return json_pack("{s:I}", "ended", (json_int_t)number);
}

/* ---- recording ------------------------------------------------------------------------------- */

static int record_do(struct pbx *p, struct call *call, struct str action)
{
    if (str_eq(action, STR("start")))
        return recording_start(p, call, CONF_RECORD_MIXED, RECORD_BY_API);
    if (str_eq(action, STR("tracks")))
        return recording_start(p, call, CONF_RECORD_TRACKS, RECORD_BY_API);
    if (str_eq(action, STR("both")))
        return recording_start(p, call, CONF_RECORD_BOTH, RECORD_BY_API);
    if (str_eq(action, STR("stop")))
        return recording_stop(p, call);
    if (str_eq(action, STR("pause")) || str_eq(action, STR("resume")))
        return recording_pause(p, call, str_eq(action, STR("pause")));
    return -EINVAL;
}

json_t *api_record(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct call *call = api_call_of(p, params);
    struct str action = str_z(json_string_value(json_object_get(params, "action")));
    *error = json_object_get(params, "call") && action.n ? API_NOT_FOUND : API_INVALID_PARAMS;
    if (!call)
        return NULL;
    struct str before = recording_name(p, call->record);
    int err = record_do(p, call, action);
    if (err) {
        *error = err == -EINVAL ? API_INVALID_PARAMS : API_NOT_NOW;
        return NULL;
    }
    struct str name = call->record ? recording_name(p, call->record) : before;
    return json_pack("{s:o}", "file", api_text(name));
}

/* ---- history --------------------------------------------------------------------------------- */

static const char *kind_name(enum hist_kind kind)
{
    static const char *const names[HIST_KIND_COUNT] = {[HIST_RX_REQUEST] = "received",
                                                       [HIST_RX_RESPONSE] = "received",
                                                       [HIST_TX_REQUEST] = "sent",
                                                       [HIST_TX_RESPONSE] = "sent",
                                                       [HIST_RETRANSMIT] = "sent again",
                                                       [HIST_DUPLICATE] = "received again",
                                                       [HIST_TIMER_ARMED] = "timer armed",
                                                       [HIST_TIMER_FIRED] = "timer fired",
                                                       [HIST_TIMER_STOPPED] = "timer cancelled",
                                                       [HIST_STATE] = "state",
                                                       [HIST_MEDIA] = "media"};
    return names[kind];
}

static struct str timer_name(unsigned code, char mem[1])
{
    static const struct str names[HIST_T_COUNT] = {[0] = STR_INIT("?"),
                                                   [HIST_T_INVITE] = STR_INIT("invite_timeout"),
                                                   [HIST_T_BYE] = STR_INIT("bye_timeout"),
                                                   [HIST_T_ACK] = STR_INIT("2xx retransmission"),
                                                   [HIST_T_ACK_WAIT] = STR_INIT("ACK wait"),
                                                   [HIST_T_RING] = STR_INIT("ring time"),
                                                   [HIST_T_RTP] = STR_INIT("rtp_timeout"),
                                                   [HIST_T_SE] = STR_INIT("session_expires"),
                                                   [HIST_T_PRACK] = STR_INIT("PRACK wait")};
    if (code < HIST_T_COUNT)
        return names[code];
    mem[0] = (char)code;
    return str_of(mem, 1);
}

static json_t *event_json(const struct hist_event *e)
{
    char mem[1];
    json_t *j = json_object();
    json_object_set_new(j, "ms", json_integer(e->ms));
    json_object_set_new(j, "event", json_string(kind_name((enum hist_kind)e->kind)));
    json_object_set_new(j, "leg", json_integer(e->leg));
    switch ((enum hist_kind)e->kind) {
    case HIST_TIMER_ARMED:
        json_object_set_new(j, "for_ms", json_integer(e->a));
        __attribute__((fallthrough));
    case HIST_TIMER_FIRED:
    case HIST_TIMER_STOPPED:
        json_object_set_new(j, "what", api_text(timer_name(e->code, mem)));
        break;
    case HIST_STATE:
        json_object_set_new(j, "what", api_text(call_state_name((enum call_state)e->code)));
        break;
    default: /* messages: below 100 it is a method, else a status and its method in `a` */
        if (e->code < 100) {
            json_object_set_new(j, "what", api_text(sip_method_name((enum sip_method)e->code)));
            json_object_set_new(j, "cseq", json_integer(e->a));
        } else {
            json_object_set_new(j, "what", json_integer(e->code));
            if (e->a && e->a < SIP_METHOD_COUNT)
                json_object_set_new(j, "method", api_text(sip_method_name((enum sip_method)e->a)));
        }
    }
    return j;
}

json_t *api_trace(struct pbx *p, const json_t *params, enum api_error *error)
{
    char mem[24];
    struct call *call = api_call_of(p, params);
    handle_t tag = call ? call->tag : call_past_find(p, wanted(params, mem));
    const struct hist *h = hist_find(&p->trace, tag);
    *error = json_object_get(params, "call") ? API_NOT_FOUND : API_INVALID_PARAMS;
    if (!h)
        return NULL;
    json_t *j = json_object(), *events = json_array();
    unsigned n = h->total < HIST_EVENTS ? h->total : HIST_EVENTS;
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(events, event_json(hist_event_at(h, i)));
    json_object_set_new(j, "opened_ms",
                        json_integer((json_int_t)(pbx_wall_at(p, h->opened) / 1000)));
    json_object_set_new(j, "live", json_boolean(!h->closed));
    json_object_set_new(j, "dropped", json_integer(h->total - n));
    json_object_set_new(j, "events", events);
    return j;
}
