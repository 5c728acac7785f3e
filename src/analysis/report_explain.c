/* What explains a call, in the reports. */
#include "analysis/cell.h"
#include "analysis/explain.h"
#include "analysis/json.h"
#include "analysis/report_int.h"
#include "analysis/table.h"

static unsigned color_of(enum an_severity s)
{
    return s == AN_ERROR ? AN_RED : s == AN_WARNING ? AN_YELLOW : s == AN_NOTICE ? AN_CYAN : 0;
}

/* A capture takes a bot for whom it answers for. */
static struct an_finding known(const struct an_report *r, const struct an_call *call,
                               const struct an_finding *f)
{
    struct an_finding as = *f;
    if (r->bot && f->rule == AN_R_ANSWERED && f->leg == call->leg[0])
        as.rule = AN_R_BOT_ANSWERED;
    return as;
}

static void put_finding(const struct an_report *r, const struct an_call *call,
                        const struct an_findings *all, const struct an_finding *f,
                        struct an_sink *out)
{
    char mem[2048];
    struct buf b;
    unsigned color = color_of(an_rule_severity((enum an_rule)f->rule));
    buf_init(&b, mem, sizeof(mem));
    an_put_offset(&b, call, f->at_ns);
    an_cell_put(out, buf_str(&b), 11, true);
    an_sink_z(out, "  ");
    if (color)
        an_color(out, &r->style, color);
    buf_init(&b, mem, sizeof(mem));
    an_finding_put(&b, all, f, (enum an_lang)r->style.lang);
    an_cell_text(out, buf_str(&b));
    if (color)
        an_color(out, &r->style, AN_PLAIN);
    an_color(out, &r->style, AN_DIM);
    struct str source = an_rule_source((enum an_rule)f->rule);
    if (f->n_frames || source.n) {
        an_sink_z(out, "  [");
        if (f->n_frames)
            an_sink_fmt(out, "%s ", an_word((enum an_lang)r->style.lang, AN_W_FRAME));
        an_put_frames(out, r, f->frame, f->n_frames);
        an_sink_fmt(out, "%s" STR_FMT "]", f->n_frames && source.n ? "; " : "", STR_ARG(source));
    }
    if (f->count > 1)
        an_sink_fmt(out, " x%u", f->count);
    an_color(out, &r->style, AN_PLAIN);
    an_sink_ch(out, '\n');
}

void an_report_findings(const struct an_report *r, uint32_t index, struct an_sink *out)
{
    struct an_findings all;
    const struct an_call *call = an_engine_call(r->engine, index);
    if (an_explain(r->engine, index, &all) == 0 && all.n) {
        an_heading(out, &r->style, an_word((enum an_lang)r->style.lang, AN_W_EXPLAINED));
        for (uint32_t i = 0; i < all.n; i++) {
            struct an_finding f = known(r, call, &all.v[i]);
            put_finding(r, call, &all, &f, out);
        }
    }
    an_findings_done(&all);
}

static void json_finding(const struct an_report *r, const struct an_findings *all,
                         const struct an_finding *f, struct an_json *j)
{
    char mem[2048];
    struct buf b;
    an_json_object(j, NULL);
    an_json_str(j, "rule", an_rule_word((enum an_rule)f->rule));
    an_json_str(j, "severity", an_severity_word(an_rule_severity((enum an_rule)f->rule)));
    an_json_fixed(j, "at_s", (int64_t)(f->at_ns - r->zero_ns), 9);
    an_json_u64(j, "leg", an_engine_leg(r->engine, f->leg)->number);
    if (f->msg != AN_NONE)
        an_json_u64(j, "message", f->msg);
    an_json_array(j, "frames");
    for (unsigned i = 0; i < f->n_frames; i++)
        an_json_u64(j, NULL, f->frame[i]);
    an_json_end(j);
    an_json_u64(j, "count", f->count);
    an_json_str_if(j, "source", an_rule_source((enum an_rule)f->rule));
    buf_init(&b, mem, sizeof(mem));
    an_finding_put(&b, all, f, r->style.in_page ? AN_ENGLISH : (enum an_lang)r->style.lang);
    an_json_str(j, "text", buf_str(&b));
    if (r->style.in_page) {
        buf_init(&b, mem, sizeof(mem));
        an_finding_put(&b, all, f, AN_KOREAN);
        an_json_str(j, "text_ko", buf_str(&b));
    }
    an_json_end(j);
}

void an_json_findings(const struct an_report *r, uint32_t index, struct an_json *j)
{
    struct an_findings all;
    const struct an_call *call = an_engine_call(r->engine, index);
    an_json_array(j, "findings");
    if (an_explain(r->engine, index, &all) == 0)
        for (uint32_t i = 0; i < all.n; i++) {
            struct an_finding f = known(r, call, &all.v[i]);
            json_finding(r, &all, &f, j);
        }
    an_json_end(j);
    an_findings_done(&all);
}
