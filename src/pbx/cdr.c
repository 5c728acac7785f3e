/* The record of a call attempt: written once, when the call ends. */
#include "pbx/call_int.h"

#include "pbx/hangup.h"

/* The time comes first, as in UUID version 7: records that are written one after the other stand
 * side by side in the database, so a batch of them changes few of its pages. */
static void id_make(struct pbx *p, struct cdr *r)
{
    rand_bytes(&p->rand, r->id, sizeof(r->id));
    for (unsigned i = 0; i < 6; i++)
        r->id[i] = (uint8_t)(r->start_ms >> (40 - 8 * i));
}

void cdr_start(struct pbx *p, struct call *call)
{
    call->cdr.started = p->now;
    call->cdr.start_ms = pbx_wall_ms(p);
    id_make(p, &call->cdr);
}

void cdr_free(struct pbx *p, struct call *call)
{
    struct cdr *r = &call->cdr;
    struct str *texts[] = {&r->caller,      &r->caller_name, &r->dialled, &r->callee, &r->did,
                           &r->answered_by, &r->trunk_out,   &r->codec,   &r->reason, &r->events};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (pbx_keep(p, texts[i], STR_NONE))
            BUG_ON(true); /* freeing cannot fail */
}

void cdr_keep(struct pbx *p, struct call *call, struct str *owned, struct str text)
{
    if (pbx_keep(p, owned, text))
        call_trace(p, call, TRACE_CALL_MEMORY, STR("record"));
}

#define EVENTS_MAX 4096 /* bytes; what happens beyond is not listed */

void cdr_note(struct pbx *p, struct call *call, struct str json)
{
    struct str *events = &call->cdr.events;
    struct buf b;
    size_t cap = events->n + json.n + 1;
    char *mem = cap < EVENTS_MAX ? arena_take(&p->turn, cap) : NULL;
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_str_put(&b, *events);
    if (events->n)
        buf_ch(&b, ',');
    buf_str_put(&b, json);
    cdr_keep(p, call, events, buf_str(&b));
}

struct str call_scenario_name(enum call_scenario s)
{
    static const struct str names[SCENARIOS] = {[SCENARIO_BASIC] = STR_INIT("basic"),
                                                [SCENARIO_FORWARD] = STR_INIT("forward"),
                                                [SCENARIO_SEQUENTIAL] = STR_INIT("sequential"),
                                                [SCENARIO_PARALLEL] = STR_INIT("parallel"),
                                                [SCENARIO_QUEUE] = STR_INIT("queue"),
                                                [SCENARIO_PICKUP] = STR_INIT("pickup"),
                                                [SCENARIO_CONSULT] = STR_INIT("consult"),
                                                [SCENARIO_TRANSFER] = STR_INIT("transfer"),
                                                [SCENARIO_FEATURE] = STR_INIT("feature"),
                                                [SCENARIO_CONFERENCE] = STR_INIT("conference"),
                                                [SCENARIO_VOICEMAIL] = STR_INIT("voicemail"),
                                                [SCENARIO_BOT] = STR_INIT("bot")};
    return names[s];
}

struct str cdr_disposition(const struct call *call, unsigned status)
{
    if (call->cdr.answer_ms)
        return call->scenario == SCENARIO_VOICEMAIL ? STR("VOICEMAIL") : STR("ANSWERED");
    switch (status) {
    case 486:
    case 600:
    case 603:
        return STR("BUSY");
    case 408:
    case 480:
        return call->rang || call->state == CALL_RINGING ? STR("NO ANSWER") : STR("UNAVAILABLE");
    case 487:
        return STR("CANCELLED");
    default:
        return STR("FAILED");
    }
}

static struct str ended_by(enum call_end by)
{
    return by == CALL_BY_CALLER   ? STR("caller")
           : by == CALL_BY_CALLEE ? STR("callee")
                                  : STR("system");
}

static void put_leg(struct buf *b, const struct leg *leg)
{
    struct str party = leg->trunk       ? leg->trunk->name
                       : leg->extension ? leg->extension->number
                                        : STR("");
    buf_lit(b, "{\"number\":");
    buf_u64(b, leg->number);
    buf_lit(b, ",\"call_id\":\"");
    buf_json(b, leg->call_id);
    buf_lit(b, "\",\"party\":\"");
    buf_json(b, party);
    buf_lit(b, "\",\"direction\":\"");
    buf_z(b, leg->outgoing ? "out" : "in");
    buf_lit(b, "\",\"status\":");
    buf_u64(b, leg->status);
    buf_ch(b, '}');
}

static struct str legs_json(struct pbx *p, struct call *call)
{
    struct buf b;
    size_t cap = 512 * (size_t)call->n_legs + 16;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR("[]");
    buf_init(&b, mem, cap);
    buf_ch(&b, '[');
    for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
        if (!leg->call_id.n)
            continue; /* nothing was sent to it */
        if (b.n > 1)
            buf_ch(&b, ',');
        put_leg(&b, leg);
    }
    buf_ch(&b, ']');
    return b.full ? STR("[]") : buf_str(&b);
}

/* ---- what is more than a basic call ---------------------------------------------------------- */

static void put_party(struct buf *b, const struct leg *leg)
{
    buf_lit(b, "{\"party\":\"");
    buf_json(b, leg->extension ? leg->extension->number
                : leg->trunk   ? leg->trunk->name
                               : leg->party);
    buf_ch(b, '"');
}

/* Who was tried, in order, what came of it and how long it took. */
static void put_attempts(struct pbx *p, struct buf *b, const struct call *call)
{
    bool first = true;
    for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
        if (!leg->outgoing)
            continue;
        usec_t end = leg->joined ? leg->joined : leg->left ? leg->left : p->now;
        if (!first)
            buf_ch(b, ',');
        first = false;
        put_party(b, leg);
        buf_lit(b, ",\"status\":");
        buf_u64(b, leg->status >= 200 ? leg->status : leg->dropped ? 487 : leg->status);
        buf_lit(b, ",\"ms\":");
        buf_u64(b, (end - leg->started) / USEC_MS);
        buf_ch(b, '}');
    }
}

/* Who talked with the caller, and when, in milliseconds since the call began. */
static void put_segments(struct pbx *p, struct buf *b, const struct call *call)
{
    bool first = true;
    for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
        if (!leg->joined || slot_handle(&p->calls->legs, leg) == call->caller)
            continue;
        usec_t end = leg->left ? leg->left : p->now;
        if (!first)
            buf_ch(b, ',');
        first = false;
        put_party(b, leg);
        buf_lit(b, ",\"from_ms\":");
        buf_u64(b, (leg->joined - call->cdr.started) / USEC_MS);
        buf_lit(b, ",\"to_ms\":");
        buf_u64(b, (end - call->cdr.started) / USEC_MS);
        buf_ch(b, '}');
    }
}

struct str cdr_detail(struct pbx *p, const struct call *call)
{
    struct buf b;
    size_t cap = 400 * (size_t)call->n_legs + call->cdr.events.n + 128;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR("{}");
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"segments\":[");
    put_segments(p, &b, call);
    buf_lit(&b, "],\"attempts\":[");
    put_attempts(p, &b, call);
    buf_lit(&b, "],\"events\":[");
    buf_str_put(&b, call->cdr.events);
    buf_lit(&b, "]}");
    return b.full ? STR("{}") : buf_str(&b);
}

struct str cdr_hex(struct pbx *p, const uint8_t id[16])
{
    char mem[33];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_hex(&b, id, 16);
    return pbx_turn_dup(p, buf_str(&b));
}

/* A row of its own: most calls need none. */
static void write_detail(struct pbx *p, struct call *call)
{
    if (call->scenario == SCENARIO_BASIC && !call->cdr.events.n && !call->cdr.has_parent)
        return;
    struct row_op *op = pbx_store(p, STORE_CDR_DETAIL_PUT);
    op->v[0] = ROW_S(cdr_hex(p, call->cdr.id));
    op->v[1] = call->cdr.has_parent ? ROW_S(cdr_hex(p, call->cdr.parent))
                                    : (struct row_value){.type = ROW_NULL};
    op->v[2] = ROW_S(cdr_detail(p, call));
    op->n = 3;
}

static struct row_value text(struct pbx *p, struct str s)
{
    return s.n ? ROW_S(pbx_turn_dup(p, s)) : (struct row_value){.type = ROW_NULL};
}

static struct row_value when(uint64_t ms)
{
    return ms ? ROW_I(ms) : (struct row_value){.type = ROW_NULL};
}

static void trace_end(struct pbx *p, struct call *call, const struct call_ending *e,
                      uint64_t talk_ms)
{
    char mem[24];
    struct buf id;
    buf_init(&id, mem, sizeof(mem));
    buf_u64(&id, call->number);
    trace_emit(&p->trace, TRACE_CALL_ENDED, call->tag, TS(buf_str(&id)),
               TS(cdr_disposition(call, e->status)), TS(ended_by(e->by)), TU(call->cdr.q850_cause),
               TU(talk_ms / 1000));
}

void cdr_write(struct pbx *p, struct call *call, const struct call_ending *e)
{
    struct cdr *r = &call->cdr;
    struct leg *caller = call_caller(p, call);
    uint64_t end_ms = pbx_wall_ms(p);
    uint64_t talk_ms = r->answer_ms ? (p->now - r->answered) / USEC_MS : 0;
    r->sip_cause = (uint16_t)(r->answer_ms && e->status >= 400 ? 200 : e->status);
    r->q850_cause = (uint16_t)(e->cause ? e->cause : hangup_cause_of(e->status));
    struct row_op *op = pbx_store(p, STORE_CDR_PUT);
    const struct row_value values[] = {
        ROW_S(cdr_hex(p, r->id)),
        ROW_S(call_scenario_name((enum call_scenario)call->scenario)),
        ROW_S(pbx_turn_dup(p, r->caller.p ? r->caller : STR(""))),
        text(p, r->caller_name),
        ROW_S(pbx_turn_dup(p, r->dialled.p ? r->dialled : STR(""))),
        text(p, r->callee),
        text(p, r->did),
        text(p, r->answered_by),
        text(p, caller && caller->trunk ? caller->trunk->name : STR_NONE),
        text(p, r->trunk_out),
        ROW_I(r->start_ms),
        when(r->ring_ms),
        when(r->answer_ms),
        ROW_I(end_ms),
        ROW_I(talk_ms),
        ROW_S(cdr_disposition(call, e->status)),
        ROW_S(ended_by(e->by)),
        ROW_I(r->sip_cause),
        ROW_I(r->q850_cause),
        text(p, e->reason.p ? e->reason : r->reason),
        text(p, r->codec),
        ROW_S(legs_json(p, call)),
    };
    _Static_assert(ARRAY_LEN(values) <= ROW_MAX, "a row holds the record");
    memcpy(op->v, values, sizeof(values));
    op->n = ARRAY_LEN(values);
    write_detail(p, call);
    trace_end(p, call, e, talk_ms);
}
