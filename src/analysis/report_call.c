/* One call whole, at a terminal. */
#include "analysis/cell.h"
#include "analysis/ladder.h"
#include "analysis/report_int.h"
#include "analysis/table.h"

static enum an_lang lang(const struct an_report *r)
{
    return (enum an_lang)r->style.lang;
}

static const char *word(const struct an_report *r, enum an_word w)
{
    return an_word(lang(r), w);
}

/* "label   text", nothing without text. */
static void line(const struct an_report *r, struct an_sink *out, enum an_word w, struct str text)
{
    if (!text.n)
        return;
    an_color(out, &r->style, AN_DIM);
    an_cell_put(out, str_z(word(r, w)), 14, false);
    an_color(out, &r->style, AN_PLAIN);
    an_sink_ch(out, ' ');
    an_cell_text(out, text);
    an_sink_ch(out, '\n');
}

/* ---- who ------------------------------------------------------------------------------------- */

static void put_parties(const struct an_report *r, const struct an_call *call, struct an_sink *out)
{
    char mem[700];
    struct buf b;
    struct str name = an_call_text(call, call->caller_name);
    buf_init(&b, mem, sizeof(mem));
    an_put_caller(&b, r, call);
    if (name.n && !call->caller_unknown)
        buf_printf(&b, " (" STR_FMT ")", STR_ARG(name));
    line(r, out, AN_W_CALLER, buf_str(&b));
    line(r, out, AN_W_CALLEE, an_call_callee(call));
    line(r, out, AN_W_DIALLED, an_call_text(call, call->dialled));
    line(r, out, AN_W_ANSWERED_BY, an_call_text(call, call->answered_by));
    if (call->ended_by != AN_NO_SIDE && call->end_ns != AN_NEVER)
        line(r, out, AN_W_ENDED_BY,
             str_z(word(r, call->ended_by == AN_CALLER ? AN_W_THE_CALLER : AN_W_THE_CALLEE)));
}

static void put_course(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    struct an_spans s = an_call_spans(r, call);
    const struct {
        enum an_word name;
        uint64_t ns;
    } spans[] = {
        {AN_W_LENGTH, s.whole}, {AN_W_PDD, s.pdd}, {AN_W_RING, s.ring}, {AN_W_TALK, s.talk}};
    char mem[256];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    an_put_scenario(&b, r, call);
    buf_printf(&b, " (%u%%)", call->confidence);
    line(r, out, AN_W_SCENARIO, buf_str(&b));
    buf_init(&b, mem, sizeof(mem));
    buf_str_put(&b, an_word_of(lang(r), 'o', an_outcome_word((enum an_outcome)call->outcome)));
    if (call->status)
        buf_printf(&b, ", %u " STR_FMT, call->status, STR_ARG(sip_status_reason(call->status)));
    line(r, out, AN_W_OUTCOME, buf_str(&b));
    buf_init(&b, mem, sizeof(mem));
    an_put_clock(&b, &r->style, call->start_ns, true);
    line(r, out, AN_W_START, buf_str(&b));
    for (unsigned i = 0; i < ARRAY_LEN(spans); i++) {
        buf_init(&b, mem, sizeof(mem));
        an_put_span(&b, spans[i].ns);
        if (spans[i].ns != AN_NEVER)
            line(r, out, spans[i].name, buf_str(&b));
    }
}

/* ---- legs and what ties them ----------------------------------------------------------------- */

static void put_leg(const struct an_report *r, const struct an_call *call, uint32_t index,
                    struct an_sink *out)
{
    const struct an_leg *leg = an_engine_leg(r->engine, index);
    char mem[900];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%3u  ", leg->number);
    an_put_offset(&b, call, leg->first_ns);
    buf_printf(&b, "  " STR_FMT " > " STR_FMT, STR_ARG(an_leg_caller(leg)),
               STR_ARG(an_leg_callee(leg)));
    if (leg->n_hosts >= 2) {
        buf_lit(&b, "  ");
        addr_put(&b, &leg->host[0]);
        buf_lit(&b, " > ");
        addr_put(&b, &leg->host[1]);
    }
    if (leg->final)
        buf_printf(&b, "  %u", leg->final);
    buf_printf(&b, "  Call-ID " STR_FMT, STR_ARG(an_leg_text(leg, leg->call_id)));
    an_cell_text(out, buf_str(&b));
    an_sink_ch(out, '\n');
}

static struct str proof_text(const struct an_report *r, enum an_evidence e)
{
    struct str text = an_word_of(lang(r), 'b', an_evidence_word(e));
    return str_eq(text, an_evidence_word(e)) ? an_evidence_text(e) : text;
}

static void put_proofs(const struct an_report *r, const struct an_edge *edge, struct an_sink *out,
                       bool against)
{
    bool begun = false;
    for (unsigned i = 0; i < edge->n_proofs; i++) {
        const struct an_proof *p = &edge->proof[i];
        if ((p->points < 0) != against)
            continue;
        if (begun)
            an_sink_z(out, "; ");
        else
            an_sink_fmt(out, "       %s: ", word(r, against ? AN_W_AGAINST : AN_W_TIED_BY));
        begun = true;
        an_sink_str(out, proof_text(r, (enum an_evidence)p->what));
        if (p->frame) {
            an_sink_fmt(out, " (%s ", word(r, AN_W_FRAME));
            an_put_frames(out, r, &p->frame, 1);
            an_sink_ch(out, ')');
        }
    }
    if (begun)
        an_sink_ch(out, '\n');
}

/* The sentence of kind.def, with the legs in their places. */
static void put_edge(const struct an_report *r, const struct an_edge *e, struct an_sink *out)
{
    struct str text = an_word_of(lang(r), 'e', an_edge_word((enum an_edge_kind)e->kind));
    for (ptrdiff_t at; (at = str_chr(text, '{')) >= 0 && text.n > (size_t)at + 2;) {
        uint32_t leg = text.p[at + 1] == 'a' ? e->a : e->b;
        an_sink_put(out, text.p, (size_t)at);
        an_sink_fmt(out, "%u", an_engine_leg(r->engine, leg)->number);
        text = str_from(text, (size_t)at + 3);
    }
    an_sink_str(out, text);
}

static void put_edges(const struct an_report *r, const struct an_call *call, struct an_sink *out)
{
    for (uint32_t i = 0; i < call->n_edges; i++) {
        const struct an_edge *e = &call->edge[i];
        an_sink_z(out, "  ");
        put_edge(r, e, out);
        an_sink_fmt(out, " (%u%%)\n", e->confidence);
        put_proofs(r, e, out, false);
        put_proofs(r, e, out, true);
    }
}

/* ---- what happened --------------------------------------------------------------------------- */

static void put_party(struct buf *b, const struct an_report *r, enum an_word w, struct str who,
                      uint32_t leg)
{
    buf_printf(b, ", %s " STR_FMT " (%s %u)", word(r, w), STR_ARG(who), word(r, AN_W_LEG),
               an_engine_leg(r->engine, leg)->number);
}

static void put_traits(const struct an_report *r, const struct an_call *call, struct an_sink *out)
{
    if (call->n_traits)
        an_heading(out, &r->style, word(r, AN_W_TRAITS));
    for (uint32_t i = 0; i < call->n_traits; i++) {
        const struct an_trait *t = &call->trait[i];
        char mem[512];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        an_put_offset(&b, call, t->from_ns);
        an_cell_put(out, buf_str(&b), 11, true);
        buf_init(&b, mem, sizeof(mem));
        if (t->form && t->form[0]) {
            buf_str_put(&b, an_word_of(lang(r), 'f', str_z(t->form)));
            buf_ch(&b, ' ');
        }
        struct str kind = an_report_scenario(r, (enum an_scenario)t->scenario);
        buf_str_put(&b, an_word_of(lang(r), 's', kind));
        buf_printf(&b, " (%u%%)", t->confidence);
        if (t->who != AN_NONE)
            put_party(&b, r, AN_W_WHO, an_leg_party(r, an_engine_leg(r->engine, t->who)), t->who);
        if (t->target != AN_NONE)
            put_party(&b, r, AN_W_TARGET, an_trait_target(r, t), t->target);
        an_sink_z(out, "  ");
        an_cell_text(out, buf_str(&b));
        if (t->n_frames) {
            an_sink_fmt(out, "; %s ", word(r, AN_W_SHOWN_BY));
            an_put_frames(out, r, t->frame, t->n_frames);
        }
        an_sink_ch(out, '\n');
    }
}

static void put_attempts(const struct an_report *r, const struct an_call *call, struct an_sink *out)
{
    if (call->n_attempts < 2)
        return;
    an_heading(out, &r->style, word(r, AN_W_ATTEMPTS));
    for (uint32_t i = 0; i < call->n_attempts; i++) {
        const struct an_attempt *a = &call->attempt[i];
        char mem[300];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        an_put_offset(&b, call, a->at_ns);
        an_cell_put(out, buf_str(&b), 11, true);
        buf_init(&b, mem, sizeof(mem));
        buf_printf(&b, "  " STR_FMT "  ", STR_ARG(an_leg_callee(an_engine_leg(r->engine, a->leg))));
        if (a->status)
            buf_printf(&b, "%u " STR_FMT, a->status, STR_ARG(sip_status_reason(a->status)));
        else
            buf_z(&b, word(r, AN_W_NO_STATUS));
        if (a->end_ns != AN_NEVER && a->end_ns >= a->at_ns) {
            buf_lit(&b, ", ");
            an_put_span(&b, a->end_ns - a->at_ns);
        }
        an_cell_text(out, buf_str(&b));
        an_sink_ch(out, '\n');
    }
}

static void put_hold(const struct an_report *r, const struct an_call *call,
                     const struct an_leg *leg, const struct an_hold *h, struct an_sink *out)
{
    char mem[300];
    struct buf b;
    struct str who = h->side == AN_CALLER ? an_leg_caller(leg) : an_leg_callee(leg);
    buf_init(&b, mem, sizeof(mem));
    an_put_offset(&b, call, h->from_ns);
    an_cell_put(out, buf_str(&b), 11, true);
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, " - ");
    if (h->to_ns == AN_NEVER)
        buf_z(&b, word(r, AN_W_TO_THE_END));
    else
        an_put_offset(&b, call, h->to_ns);
    buf_printf(&b, "  %s " STR_FMT " (%s %u)", word(r, AN_W_WHO), STR_ARG(who), word(r, AN_W_LEG),
               leg->number);
    an_cell_text(out, buf_str(&b));
    an_sink_ch(out, '\n');
}

static void put_holds(const struct an_report *r, const struct an_call *call, struct an_sink *out)
{
    bool begun = false;
    for (uint32_t i = 0; i < call->n_legs; i++) {
        const struct an_leg *leg = an_engine_leg(r->engine, call->leg[i]);
        for (uint32_t k = 0; k < leg->n_holds; k++) {
            if (!begun)
                an_heading(out, &r->style, word(r, AN_W_HOLDS));
            begun = true;
            put_hold(r, call, leg, &leg->hold[k], out);
        }
    }
}

/* ---- media ----------------------------------------------------------------------------------- */

static const struct an_col stream_cols[] = {
    {AN_W_LEG, 4, 4, 0, true},      {AN_W_START, 10, 10, 4, true},
    {AN_W_SENDS, 22, 15, 0, false}, {AN_W_RECEIVES, 22, 15, 0, false},
    {AN_W_CODEC, 10, 6, 1, false},  {AN_W_PACKETS, 8, 7, 2, true},
    {AN_W_LOST, 8, 7, 0, true},     {AN_W_JITTER, 9, 8, 3, true},
    {AN_W_MOS, 4, 4, 0, true},      {AN_W_DIGITS, 10, 6, 5, false},
};

static void cell_addr(struct an_table *t, const struct addr *a)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    addr_put(&b, a);
    an_table_cell(t, buf_str(&b), 0);
}

static void put_quality(struct an_table *t, const struct an_stream *s)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    an_put_fixed(&b, s->loss_e4, 2);
    buf_lit(&b, "%");
    an_table_cell(t, buf_str(&b), s->loss_e4 >= 100 ? AN_RED : 0);
    buf_init(&b, mem, sizeof(mem));
    an_put_fixed(&b, s->jitter_us / 100u, 1);
    buf_lit(&b, " ms");
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    if (s->mos_x100)
        an_put_fixed(&b, s->mos_x100, 2);
    an_table_cell(t, buf_str(&b), s->mos_x100 && s->mos_x100 < 350 ? AN_RED : 0);
    buf_init(&b, mem, sizeof(mem));
    for (uint32_t i = 0; i < s->n_digits; i++)
        buf_ch(&b, s->digit[i].digit);
    an_table_cell(t, buf_str(&b), 0);
}

static void put_stream(const struct an_report *r, const struct an_call *call, struct an_table *t,
                       const struct an_stream *s)
{
    const struct an_leg *leg = an_engine_leg(r->engine, s->leg);
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, leg->number);
    an_table_cell(t, buf_str(&b), 0);
    buf_init(&b, mem, sizeof(mem));
    an_put_offset(&b, call, s->first_ns);
    an_table_cell(t, buf_str(&b), 0);
    cell_addr(t, &s->src);
    cell_addr(t, &s->dst);
    an_table_cell(t, an_stream_codec(an_engine_rtp(r->engine), s), 0);
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, s->packets);
    an_table_cell(t, buf_str(&b), 0);
    put_quality(t, s);
}

static void put_media(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    struct an_table t;
    if (r->stream_at[index] == r->stream_at[index + 1])
        return;
    an_heading(out, &r->style, word(r, AN_W_MEDIA));
    an_table_begin(&t, stream_cols, ARRAY_LEN(stream_cols), r, out);
    for (uint32_t i = r->stream_at[index]; i < r->stream_at[index + 1]; i++)
        put_stream(r, call, &t, an_rtp_stream(an_engine_rtp(r->engine), r->stream[i]));
}

static void put_ladder(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    struct an_ladder l;
    if (an_ladder_make(&l, r, index, call->leg, call->n_legs) == 0)
        an_ladder_text(&l, out);
    an_ladder_done(&l);
}

void an_report_title(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%s %u", word(r, AN_W_CALL), call->number);
    buf_ch(&b, 0);
    an_heading(out, &r->style, mem);
}

void an_report_ladder(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    an_report_title(r, index, out);
    put_ladder(r, index, out);
}

void an_report_call(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    an_report_title(r, index, out);
    put_parties(r, call, out);
    put_course(r, index, out);
    an_heading(out, &r->style, word(r, AN_W_LEGS));
    for (uint32_t i = 0; i < call->n_legs; i++)
        put_leg(r, call, call->leg[i], out);
    put_edges(r, call, out);
    put_traits(r, call, out);
    put_attempts(r, call, out);
    put_holds(r, call, out);
    an_report_findings(r, index, out);
    an_heading(out, &r->style, word(r, AN_W_LADDER));
    put_ladder(r, index, out);
    put_media(r, index, out);
}
