#include "analysis/json.h"
#include "analysis/report.h"

/* RFC 4180. A spreadsheet takes what begins with = + - @ for a formula, and what a peer sent must
 * not be one: it gets an apostrophe, which shows that it is text. */
static void field(struct an_sink *out, struct str s)
{
    bool formula = s.n && strchr("=+-@\t\r", s.p[0]);
    an_sink_ch(out, '"');
    if (formula)
        an_sink_ch(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            an_sink_ch(out, '"');
        an_sink_ch(out, s.p[i]);
    }
    an_sink_ch(out, '"');
}

static void text(struct an_sink *out, struct str s)
{
    an_sink_ch(out, ',');
    field(out, s);
}

static void seconds(struct an_sink *out, uint64_t ns)
{
    an_sink_ch(out, ',');
    if (ns != AN_NEVER)
        an_sink_fmt(out, "%llu.%03llu", (unsigned long long)(ns / 1000000000u),
                    (unsigned long long)(ns / 1000000u % 1000u));
}

static void call_ids(struct an_sink *out, const struct an_report *r, const struct an_call *call)
{
    an_sink_z(out, ",\"");
    for (uint32_t i = 0; i < call->n_legs; i++) {
        const struct an_leg *leg = an_engine_leg(r->engine, call->leg[i]);
        struct str id = an_leg_text(leg, leg->call_id);
        an_sink_z(out, i ? " " : "");
        for (size_t k = 0; k < id.n; k++)
            an_sink_put(out, id.p[k] == '"' ? "\"\"" : &id.p[k], id.p[k] == '"' ? 2 : 1);
    }
    an_sink_ch(out, '"');
}

static void line(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    struct an_spans s = an_call_spans(r, call);
    uint16_t mos = an_call_mos(r, index);
    bool formed = call->n_traits && call->trait[0].scenario == call->scenario;
    char mem[600];
    struct buf b;
    an_sink_fmt(out, "%u,", call->number);
    buf_init(&b, mem, sizeof(mem));
    an_put_time(&b, call->start_ns);
    field(out, buf_str(&b));
    buf_init(&b, mem, sizeof(mem));
    an_put_caller(&b, r, call);
    text(out, buf_str(&b));
    text(out, an_call_text(call, call->caller_name));
    text(out, an_call_text(call, call->dialled));
    text(out, an_call_text(call, call->callee));
    text(out, an_call_text(call, call->answered_by));
    text(out, an_scenario_word((enum an_scenario)call->scenario));
    text(out, formed ? str_z(call->trait[0].form) : STR_NONE);
    an_sink_fmt(out, ",%u.%02u", call->confidence / 100u, call->confidence % 100u);
    text(out, an_outcome_word((enum an_outcome)call->outcome));
    an_sink_fmt(out, ",%u", call->status);
    seconds(out, s.whole);
    seconds(out, s.pdd);
    seconds(out, s.ring);
    seconds(out, s.talk);
    an_sink_ch(out, ',');
    if (mos)
        an_sink_fmt(out, "%u.%02u", mos / 100u, mos % 100u);
    call_ids(out, r, call);
    an_sink_z(out, "\r\n");
}

void an_report_csv(const struct an_report *r, struct an_sink *out)
{
    an_sink_z(out, "number,start,caller,caller_name,dialled,callee,answered_by,scenario,form,"
                   "confidence,outcome,status,duration_s,post_dial_delay_s,ringing_s,talk_s,mos,"
                   "call_ids\r\n");
    for (uint32_t i = 0; i < an_engine_calls(r->engine); i++)
        line(r, i, out);
}
