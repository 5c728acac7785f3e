#include "analysis/report.h"

#include <errno.h>

#include "analysis/cell.h"
#include "analysis/report_int.h"
#include "analysis/table.h"
#include "base/mem.h"

static uint32_t call_of(const struct an_report *r, uint32_t stream)
{
    const struct an_stream *s = an_rtp_stream(an_engine_rtp(r->engine), stream);
    if (s->leg == AN_NONE || s->leg >= an_engine_legs(r->engine))
        return AN_NONE;
    return an_engine_leg(r->engine, s->leg)->call;
}

static uint32_t age_of(const struct an_report *r, uint32_t stream)
{
    return an_rtp_stream(an_engine_rtp(r->engine), stream)->number;
}

/* In the order of their beginning: where places are used again, that is not theirs. */
static void streams_sort(const struct an_report *r, uint32_t *stream, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        uint32_t one = stream[i], k = i;
        for (; k > 0 && age_of(r, stream[k - 1]) > age_of(r, one); k--)
            stream[k] = stream[k - 1];
        stream[k] = one;
    }
}

/* Streams by call: how many each has, then where its own begin, then they are put there. */
static int streams_index(struct an_report *r)
{
    uint32_t calls = an_engine_calls(r->engine), n = an_rtp_streams(an_engine_rtp(r->engine));
    r->stream_at = mem_zero(((size_t)calls + 2) * sizeof(*r->stream_at));
    r->stream = mem_zero(((size_t)n + 1) * sizeof(*r->stream));
    if (!r->stream_at || !r->stream)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (call_of(r, i) < calls)
            r->stream_at[call_of(r, i) + 2]++;
    for (uint32_t i = 2; i < calls + 2; i++)
        r->stream_at[i] += r->stream_at[i - 1];
    for (uint32_t i = 0; i < n; i++)
        if (call_of(r, i) < calls)
            r->stream[r->stream_at[call_of(r, i) + 1]++] = i;
    for (uint32_t i = 0; i < calls; i++)
        streams_sort(r, &r->stream[r->stream_at[i]], r->stream_at[i + 1] - r->stream_at[i]);
    return 0;
}

int an_report_init(struct an_report *r)
{
    r->zero_ns = AN_NEVER;
    for (uint32_t i = 0; i < r->n_files; i++)
        if (r->file[i].first_ns < r->zero_ns)
            r->zero_ns = r->file[i].first_ns;
    if (r->zero_ns == AN_NEVER)
        r->zero_ns = 0;
    if (streams_index(r) || an_hosts_find(r)) {
        an_report_done(r);
        return -ENOMEM;
    }
    return 0;
}

void an_report_done(struct an_report *r)
{
    mem_free(r->stream_at);
    mem_free(r->stream);
    r->stream_at = r->stream = NULL;
    an_hosts_done(r);
}

static uint64_t span(uint64_t from, uint64_t to)
{
    if (from == AN_NEVER || to == AN_NEVER)
        return AN_NEVER;
    return to > from ? to - from : 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The last that was seen of a call whose end was not. */
static uint64_t last_seen(const struct an_report *r, const struct an_call *call)
{
    uint64_t last = call->start_ns;
    for (uint32_t i = 0; i < call->n_legs; i++) {
        uint64_t at = an_engine_leg(r->engine, call->leg[i])->last_ns;
        last = at > last ? at : last;
    }
    return last;
}

struct an_spans an_call_spans(const struct an_report *r, const struct an_call *call)
{
    uint64_t end = call->end_ns == AN_NEVER ? last_seen(r, call) : call->end_ns;
    struct an_spans s = {.whole = span(call->start_ns, end)};
    uint64_t sign = earlier(call->ring_ns, call->answer_ns), invite = call->start_ns;
    if (call->n_legs) {
        const struct an_leg *leg = an_engine_leg(r->engine, call->leg[0]);
        sign = earlier(sign, leg->progress_ns);
        invite = leg->invite_ns == AN_NEVER ? invite : leg->invite_ns;
    }
    s.pdd = span(invite, sign);
    s.ring = span(call->ring_ns, earlier(call->answer_ns, end));
    s.talk = span(call->answer_ns, end);
    return s;
}

uint16_t an_call_mos(const struct an_report *r, uint32_t call)
{
    uint16_t mos = 0;
    for (uint32_t i = r->stream_at[call]; i < r->stream_at[call + 1]; i++) {
        const struct an_stream *s = an_rtp_stream(an_engine_rtp(r->engine), r->stream[i]);
        if (s->mos_x100 && (!mos || s->mos_x100 < mos))
            mos = s->mos_x100;
    }
    return mos;
}

void an_put_caller(struct buf *b, const struct an_report *r, const struct an_call *call)
{
    struct str caller = an_call_text(call, call->caller);
    if (!call->caller_unknown && caller.n) {
        buf_str_put(b, caller);
        return;
    }
    /* A caller without a number has a host at least. */
    if (!call->caller_unknown && call->n_legs) {
        const struct an_leg *leg = an_engine_leg(r->engine, call->leg[0]);
        buf_str_put(b, an_leg_text(leg, leg->from.host));
        return;
    }
    buf_z(b, an_word((enum an_lang)r->style.lang, AN_W_UNKNOWN));
    if (call->caller_unknown && call->dialled.n)
        buf_printf(b, " (" STR_FMT ")", STR_ARG(an_call_text(call, call->dialled)));
}

struct str an_call_callee(const struct an_call *call)
{
    return an_call_text(call, call->callee.n ? call->callee : call->dialled);
}

struct str an_report_scenario(const struct an_report *r, enum an_scenario s)
{
    /* A capture shows no more than that nobody whom the exchange has called has answered. */
    bool answers = s == AN_WAS_VOICEMAIL || s == AN_WAS_BASIC;
    return r->bot && answers ? STR("bot") : an_scenario_word(s);
}

void an_put_scenario(struct buf *b, const struct an_report *r, const struct an_call *call)
{
    enum an_lang lang = (enum an_lang)r->style.lang;
    struct str form = str_z(call->n_traits ? call->trait[0].form : NULL);
    if (form.n && call->trait[0].scenario == call->scenario) {
        buf_str_put(b, an_word_of(lang, 'f', form));
        buf_ch(b, ' ');
    }
    struct str word = an_report_scenario(r, (enum an_scenario)call->scenario);
    buf_str_put(b, an_word_of(lang, 's', word));
}

const struct an_file *an_frame_file(const struct an_report *r, uint64_t frame, uint64_t *ret)
{
    const struct an_file *found = NULL;
    for (uint32_t i = 0; i < r->n_files; i++)
        if (frame > r->file[i].frame_base)
            found = &r->file[i];
    *ret = found ? frame - found->frame_base : frame;
    return r->n_files > 1 ? found : NULL;
}

uint16_t an_leg_result(const struct an_leg *leg, enum sip_method method)
{
    for (uint32_t i = leg->n_txns; i-- > 0;)
        if (leg->txn[i].method == method && leg->txn[i].status)
            return leg->txn[i].status;
    return 0;
}

void an_put_offset(struct buf *b, const struct an_call *call, uint64_t at_ns)
{
    if (at_ns == AN_NEVER)
        return;
    uint64_t ms = at_ns > call->start_ns ? (at_ns - call->start_ns) / 1000000u : 0;
    buf_lit(b, "+");
    an_put_fixed(b, ms, 3);
}

void an_put_frames(struct an_sink *out, const struct an_report *r, const uint64_t *frame,
                   unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t number;
        const struct an_file *f = an_frame_file(r, frame[i], &number);
        an_sink_z(out, i ? ", " : "");
        if (f) {
            an_cell_text(out, f->name);
            an_sink_ch(out, ':');
        }
        an_sink_fmt(out, "%llu", (unsigned long long)number);
    }
}
