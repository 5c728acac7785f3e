/* What there is in the capture, at a terminal. */
#include "analysis/cell.h"
#include "analysis/table.h"

static const char *word(const struct an_report *r, enum an_word w)
{
    return an_word((enum an_lang)r->style.lang, w);
}

/* ---- summary --------------------------------------------------------------------------------- */

static void put_label(const struct an_report *r, struct an_sink *out, enum an_word w)
{
    an_color(out, &r->style, AN_DIM);
    an_cell_put(out, str_z(word(r, w)), 22, false);
    an_color(out, &r->style, AN_PLAIN);
    an_sink_ch(out, ' ');
}

static void put_count(const struct an_report *r, struct an_sink *out, enum an_word w, uint64_t n)
{
    if (!n)
        return;
    put_label(r, out, w);
    an_sink_fmt(out, "%llu\n", (unsigned long long)n);
}

static void put_file(const struct an_report *r, struct an_sink *out, const struct an_file *f)
{
    char mem[256];
    struct buf b;
    put_label(r, out, AN_W_FILE);
    an_cell_text(out, f->name);
    an_sink_fmt(out, " (" STR_FMT ")\n", STR_ARG(f->format));
    if (f->first_ns != AN_NEVER) {
        buf_init(&b, mem, sizeof(mem));
        an_put_clock(&b, &r->style, f->first_ns, true);
        buf_lit(&b, " - ");
        an_put_clock(&b, &r->style, f->last_ns, true);
        buf_lit(&b, " (");
        an_put_span(&b, f->last_ns > f->first_ns ? f->last_ns - f->first_ns : 0);
        buf_ch(&b, ')');
        an_sink_fill(out, STR(" "), 23);
        an_sink_str(out, buf_str(&b));
        an_sink_ch(out, '\n');
    }
    put_count(r, out, AN_W_FRAMES, f->frames);
    put_count(r, out, AN_W_DROPPED, f->dropped);
}

static const char *const transport_names[AN_TRANSPORTS] = {"UDP", "TCP", "TLS",
                                                           "WS",  "WSS", "SCTP"};

static void put_transports(const struct an_report *r, struct an_sink *out)
{
    const struct an_engine_stats *s = an_engine_stats(r->engine);
    const char *between = "";
    if (!s->messages)
        return;
    put_label(r, out, AN_W_TRANSPORTS);
    for (unsigned i = 0; i < AN_TRANSPORTS; i++) {
        if (!s->by_transport[i])
            continue;
        uint64_t share = (s->by_transport[i] * 10000 + s->messages / 2) / s->messages;
        an_sink_fmt(out, "%s%s %llu (%llu.%02llu %%)", between, transport_names[i],
                    (unsigned long long)s->by_transport[i], (unsigned long long)(share / 100),
                    (unsigned long long)(share % 100));
        between = ", ";
    }
    an_sink_ch(out, '\n');
}

static void put_counts(const struct an_report *r, struct an_sink *out)
{
    const struct an_engine_stats *s = an_engine_stats(r->engine);
    const char *between = "";
    put_label(r, out, AN_W_REQUESTS);
    for (unsigned i = 0; i < SIP_METHOD_COUNT; i++) {
        if (!s->by_method[i])
            continue;
        struct str name = i ? sip_method_name((enum sip_method)i) : str_z(word(r, AN_W_UNKNOWN));
        an_sink_fmt(out, "%s" STR_FMT " %llu", between, STR_ARG(name),
                    (unsigned long long)s->by_method[i]);
        between = ", ";
    }
    an_sink_ch(out, '\n');
    put_label(r, out, AN_W_RESPONSES);
    between = "";
    for (unsigned i = 0; i < ARRAY_LEN(s->by_status); i++) {
        if (!s->by_status[i])
            continue;
        an_sink_fmt(out, "%s%u %llu", between, i, (unsigned long long)s->by_status[i]);
        between = ", ";
    }
    an_sink_ch(out, '\n');
}

static void put_notes(const struct an_report *r, struct an_sink *out)
{
    put_count(r, out, AN_W_WARNINGS, r->n_notes + r->more_notes);
    for (uint32_t i = 0; i < r->n_notes; i++) {
        const struct an_note *n = &r->note[i];
        uint64_t frame;
        const struct an_file *f = an_frame_file(r, n->frame, &frame);
        an_color(out, &r->style, AN_YELLOW);
        an_sink_z(out, "  ");
        if (n->frame && f) {
            an_cell_text(out, f->name);
            an_sink_z(out, ", ");
        }
        if (n->frame)
            an_sink_fmt(out, "%s %llu: ", word(r, AN_W_FRAME), (unsigned long long)frame);
        an_cell_text(out, n->text);
        an_color(out, &r->style, AN_PLAIN);
        an_sink_ch(out, '\n');
    }
    if (r->more_notes) {
        char mem[24];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        buf_u64(&b, r->more_notes);
        an_sink_z(out, "  ");
        an_say(out, &r->style, AN_W_AND_MORE, buf_str(&b));
        an_sink_ch(out, '\n');
    }
}

static void put_summary(const struct an_report *r, struct an_sink *out)
{
    const struct an_engine_stats *s = an_engine_stats(r->engine);
    char mem[16];
    struct buf b;
    int32_t zone = r->style.zone_s;
    for (uint32_t i = 0; i < r->n_files; i++)
        put_file(r, out, &r->file[i]);
    put_count(r, out, AN_W_MESSAGES, s->messages);
    put_transports(r, out);
    put_counts(r, out);
    put_count(r, out, AN_W_REPEATED, s->retransmissions);
    put_count(r, out, AN_W_HOPS, s->hops);
    put_count(r, out, AN_W_MALFORMED, s->bad_messages);
    put_count(r, out, AN_W_CUT, s->cut_messages);
    put_count(r, out, AN_W_STREAMS, an_rtp_streams(an_engine_rtp(r->engine)));
    put_notes(r, out);
    unsigned minutes = (unsigned)(zone < 0 ? -zone : zone) / 60;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%c%02u:%02u", zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
    an_color(out, &r->style, AN_DIM);
    an_say(out, &r->style, AN_W_ZONE, buf_str(&b));
    an_color(out, &r->style, AN_PLAIN);
    an_sink_ch(out, '\n');
}

/* ---- calls ----------------------------------------------------------------------------------- */

static const struct an_col call_cols[] = {
    {AN_W_CALL, 5, 4, 0, true},        {AN_W_START, 12, 12, 3, false},
    {AN_W_CALLER, 18, 11, 0, false},   {AN_W_CALLEE, 18, 9, 0, false},
    {AN_W_SCENARIO, 22, 12, 0, false}, {AN_W_SURE, 5, 5, 5, true},
    {AN_W_OUTCOME, 15, 10, 0, false},  {AN_W_LENGTH, 8, 7, 1, true},
    {AN_W_PDD, 7, 7, 8, true},         {AN_W_RING, 7, 7, 7, true},
    {AN_W_TALK, 8, 7, 6, true},        {AN_W_MOS, 4, 4, 4, true},
};

static void cell_span(struct an_table *t, uint64_t ns)
{
    char mem[32];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    an_put_span(&b, ns);
    an_table_cell(t, buf_str(&b), 0);
}

static unsigned outcome_color(const struct an_call *call)
{
    switch (call->outcome) {
    case AN_ANSWERED:
        return AN_GREEN;
    case AN_FAILED:
    case AN_UNAVAILABLE:
        return AN_RED;
    default:
        return AN_YELLOW;
    }
}

static void put_times(const struct an_report *r, struct an_table *t, uint32_t index)
{
    struct an_spans spans = an_call_spans(r, an_engine_call(r->engine, index));
    uint16_t mos = an_call_mos(r, index);
    char mem[32];
    struct buf b;
    cell_span(t, spans.whole);
    cell_span(t, spans.pdd);
    cell_span(t, spans.ring);
    cell_span(t, spans.talk);
    buf_init(&b, mem, sizeof(mem));
    if (mos)
        an_put_fixed(&b, mos, 2);
    an_table_cell(t, buf_str(&b), mos && mos < 350 ? AN_RED : 0);
}

static void put_call(const struct an_report *r, struct an_table *t, uint32_t index)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    enum an_lang lang = (enum an_lang)r->style.lang;
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, call->number);
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    an_put_clock(&b, &r->style, call->start_ns, false);
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    an_put_caller(&b, r, call);
    an_table_cell(t, buf_str(&b), 0);
    an_table_cell(t, an_call_callee(call), 0);
    buf_init(&b, mem, sizeof(mem));
    an_put_scenario(&b, r, call);
    an_table_cell(t, buf_str(&b), AN_CYAN);
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%u%%", call->confidence);
    an_table_cell(t, buf_str(&b), 0);
    struct str outcome = an_outcome_word((enum an_outcome)call->outcome);
    buf_init(&b, mem, sizeof(mem));
    buf_str_put(&b, an_word_of(lang, 'o', outcome));
    if (call->status >= 300)
        buf_printf(&b, " %u", call->status);
    an_table_cell(t, buf_str(&b), outcome_color(call));
    put_times(r, t, index);
}

static void put_calls(const struct an_report *r, struct an_sink *out)
{
    uint32_t n = an_engine_calls(r->engine);
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    if (n)
        buf_printf(&b, "%s (%u)", word(r, AN_W_CALLS), n);
    else
        buf_z(&b, word(r, AN_W_NO_CALLS));
    buf_ch(&b, 0);
    an_heading(out, &r->style, mem);
    if (!n)
        return;
    struct an_table t;
    an_table_begin(&t, call_cols, ARRAY_LEN(call_cols), r, out);
    for (uint32_t i = 0; i < n; i++)
        put_call(r, &t, i);
}

/* ---- registrations --------------------------------------------------------------------------- */

static const struct an_col registration_cols[] = {
    {AN_W_USER, 24, 12, 0, false}, {AN_W_ADDRESS, 26, 18, 0, false}, {AN_W_TIMES, 6, 5, 2, true},
    {AN_W_RESULT, 7, 6, 0, true},  {AN_W_AGENT, 36, 12, 1, false},
};

static void put_registration(const struct an_report *r, struct an_table *t,
                             const struct an_leg *leg)
{
    char mem[512];
    struct buf b;
    uint16_t status = an_leg_result(leg, SIP_REGISTER);
    uint32_t times = 0;
    for (uint32_t i = 0; i < leg->n_txns; i++)
        times += leg->txn[i].method == SIP_REGISTER && !leg->txn[i].hop;
    struct str user = an_leg_text(leg, leg->to.user), host = an_leg_text(leg, leg->to.host);
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, STR_FMT "%s" STR_FMT, STR_ARG(user), user.n ? "@" : "", STR_ARG(host));
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    if (leg->n_hosts)
        addr_put(&b, &leg->host[0]);
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, times);
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    if (status)
        buf_u64(&b, status);
    else
        buf_lit(&b, "-");
    an_table_cell(t, buf_str(&b), status >= 200 && status < 300 ? AN_GREEN : AN_RED);
    an_table_cell(t, an_leg_text(leg, leg->agent[AN_CALLER]), 0);
}

static void put_registrations(const struct an_report *r, struct an_sink *out)
{
    struct an_table t;
    bool begun = false;
    for (uint32_t i = 0; i < an_engine_legs(r->engine); i++) {
        const struct an_leg *leg = an_engine_leg(r->engine, i);
        if (leg->kind != AN_LEG_REGISTER)
            continue;
        if (!begun) {
            an_heading(out, &r->style, word(r, AN_W_REGISTRATIONS));
            an_table_begin(&t, registration_cols, ARRAY_LEN(registration_cols), r, out);
            begun = true;
        }
        put_registration(r, &t, leg);
    }
}

void an_report_text(const struct an_report *r, struct an_sink *out)
{
    put_summary(r, out);
    put_calls(r, out);
    put_registrations(r, out);
}
