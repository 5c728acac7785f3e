/* Everything, for programs. docs/analyze-json.md describes it; what is there keeps its name. */
#include "analysis/json.h"
#include "analysis/ladder.h"
#include "analysis/page.h"
#include "analysis/report_int.h"
#include "base/mem.h"

#define SCHEMA      "ringdown.analyze/1"
#define LONGEST_MSG 65536
#define NS_DIGITS   9

struct doc {
    const struct an_report *r;
    struct an_json *j;
    char *text;    /* of one message, if texts are wanted */
    uint64_t left; /* bytes of texts that may still be written */
};

static const char *const transport_names[AN_TRANSPORTS] = {"UDP", "TCP", "TLS",
                                                           "WS",  "WSS", "SCTP"};
static const char *const leg_kinds[AN_LEG_KINDS] = {"call",    "register", "subscribe", "publish",
                                                    "message", "options",  "other"};
static const char *const sides[] = {"caller", "callee"};

/* Seconds since the capture began. */
static void put_since(const struct doc *d, const char *name, uint64_t at_ns)
{
    if (at_ns == AN_NEVER)
        an_json_null(d->j, name);
    else
        an_json_fixed(d->j, name, (int64_t)(at_ns - d->r->zero_ns), NS_DIGITS);
}

static void put_span(const struct doc *d, const char *name, uint64_t ns)
{
    if (ns == AN_NEVER)
        an_json_null(d->j, name);
    else
        an_json_fixed(d->j, name, (int64_t)ns, NS_DIGITS);
}

static void put_side(const struct doc *d, const char *name, unsigned side)
{
    if (side < ARRAY_LEN(sides))
        an_json_str(d->j, name, str_z(sides[side]));
    else
        an_json_null(d->j, name);
}

/* The number of a leg, by its index. */
static void put_leg_number(const struct doc *d, const char *name, uint32_t leg)
{
    if (leg == AN_NONE)
        an_json_null(d->j, name);
    else
        an_json_u64(d->j, name, an_engine_leg(d->r->engine, leg)->number);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void put_files(const struct doc *d)
{
    an_json_array(d->j, "files");
    for (uint32_t i = 0; i < d->r->n_files; i++) {
        const struct an_file *f = &d->r->file[i];
        an_json_object(d->j, NULL);
        an_json_str(d->j, "name", f->name);
        an_json_str(d->j, "format", f->format);
        an_json_u64(d->j, "first_frame", f->frame_base + 1);
        an_json_u64(d->j, "frames", f->frames);
        an_json_u64(d->j, "bytes", f->bytes);
        an_json_u64(d->j, "dropped", f->dropped);
        if (f->first_ns != AN_NEVER) {
            an_json_time(d->j, "from", f->first_ns);
            an_json_time(d->j, "to", f->last_ns);
            put_span(d, "duration_s", f->last_ns > f->first_ns ? f->last_ns - f->first_ns : 0);
        }
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_counts(const struct doc *d)
{
    const struct an_engine_stats *s = an_engine_stats(d->r->engine);
    an_json_array(d->j, "transports");
    for (unsigned i = 0; i < AN_TRANSPORTS; i++) {
        if (!s->by_transport[i])
            continue;
        an_json_object(d->j, NULL);
        an_json_str(d->j, "name", str_z(transport_names[i]));
        an_json_u64(d->j, "messages", s->by_transport[i]);
        uint64_t share = (s->by_transport[i] * 10000 + s->messages / 2) / s->messages;
        an_json_fixed(d->j, "percent", (int64_t)share, 2);
        an_json_end(d->j);
    }
    an_json_end(d->j);
    an_json_object(d->j, "methods");
    for (unsigned i = 0; i < SIP_METHOD_COUNT; i++) {
        char name[32] = "other";
        if (i)
            str_copy_z(name, sizeof(name), sip_method_name((enum sip_method)i));
        if (s->by_method[i])
            an_json_u64(d->j, name, s->by_method[i]);
    }
    an_json_end(d->j);
    an_json_object(d->j, "statuses");
    for (unsigned i = 0; i < ARRAY_LEN(s->by_status); i++) {
        char name[4] = {(char)('0' + i / 100), (char)('0' + i / 10 % 10), (char)('0' + i % 10), 0};
        if (s->by_status[i])
            an_json_u64(d->j, name, s->by_status[i]);
    }
    an_json_end(d->j);
}

static void put_notes(const struct doc *d)
{
    an_json_array(d->j, "warnings");
    for (uint32_t i = 0; i < d->r->n_notes; i++) {
        an_json_object(d->j, NULL);
        if (d->r->note[i].frame)
            an_json_u64(d->j, "frame", d->r->note[i].frame);
        an_json_str(d->j, "text", d->r->note[i].text);
        an_json_end(d->j);
    }
    an_json_end(d->j);
    an_json_u64(d->j, "more_warnings", d->r->more_notes);
}

static void put_input(const struct doc *d)
{
    const struct an_engine_stats *s = an_engine_stats(d->r->engine);
    an_json_object(d->j, "input");
    put_files(d);
    an_json_time(d->j, "from", d->r->zero_ns);
    an_json_u64(d->j, "sip_messages", s->messages);
    an_json_u64(d->j, "retransmissions", s->retransmissions);
    an_json_u64(d->j, "further_hops", s->hops);
    an_json_u64(d->j, "malformed", s->bad_messages);
    an_json_u64(d->j, "cut", s->cut_messages);
    an_json_u64(d->j, "rtp_streams", an_rtp_streams(an_engine_rtp(d->r->engine)));
    put_counts(d);
    put_notes(d);
    an_json_end(d->j);
}

/* ---- legs ------------------------------------------------------------------------------------ */

static void put_text(struct doc *d, const struct an_msg *m)
{
    if (!d->text || !m->bytes_n)
        return;
    size_t n = m->bytes_n <= d->left ? an_engine_bytes(d->r->engine, m, d->text, LONGEST_MSG) : 0;
    d->left -= n;
    if (n)
        an_json_str(d->j, "text", str_of(d->text, n));
    else
        an_json_bool(d->j, "text_left_out", true);
}

static void put_msg(struct doc *d, const struct an_leg *leg, uint32_t index)
{
    const struct an_msg *m = &leg->msg[index];
    struct str method = sip_method_name((enum sip_method)m->method);
    struct str what = an_leg_text(leg, m->what);
    char mem[128];
    struct buf hint;
    an_json_object(d->j, NULL);
    an_json_u64(d->j, "frame", m->frame);
    put_since(d, "at_s", m->at_ns);
    an_json_u64(d->j, "from", m->src);
    an_json_u64(d->j, "to", m->dst);
    an_json_str(d->j, "transport", str_z(transport_names[m->transport % AN_TRANSPORTS]));
    if (m->status) {
        an_json_u64(d->j, "status", m->status);
        an_json_str_if(d->j, "reason", m->flags & AN_MSG_BAD ? STR_NONE : what);
    }
    an_json_str(d->j, "method", m->method == SIP_METHOD_UNKNOWN && !m->status ? what : method);
    an_json_u64(d->j, "cseq", m->cseq);
    put_side(d, "by", m->side);
    buf_init(&hint, mem, sizeof(mem));
    an_put_sdp_hint(&hint, leg, index);
    if (m->flags & (AN_MSG_SDP | AN_MSG_EARLY_SDP))
        an_json_str(d->j, "sdp", buf_str(&hint));
    if (m->flags & AN_MSG_RETRANS)
        an_json_bool(d->j, "retransmission", true);
    if (m->flags & AN_MSG_HOP)
        an_json_bool(d->j, "further_hop", true);
    if (m->flags & AN_MSG_COPY)
        an_json_bool(d->j, "captured_twice", true);
    if (m->flags & AN_MSG_CUT)
        an_json_bool(d->j, "truncated", true);
    if (m->flags & AN_MSG_BAD)
        an_json_str(d->j, "malformed", what);
    put_text(d, m);
    an_json_end(d->j);
}

static void put_party(const struct doc *d, const char *name, const struct an_leg *leg,
                      const struct an_party *p)
{
    an_json_object(d->j, name);
    an_json_str_if(d->j, "display", an_leg_text(leg, p->display));
    an_json_str_if(d->j, "user", an_leg_text(leg, p->user));
    an_json_str_if(d->j, "host", an_leg_text(leg, p->host));
    an_json_str_if(d->j, "tag", an_leg_text(leg, p->tag));
    an_json_end(d->j);
}

/* What the headers of its first request, and of the answer, say. */
static void put_headers(const struct doc *d, const struct an_leg *leg)
{
    const struct {
        const char *name;
        struct an_ref text;
    } texts[] = {
        {"request_user", leg->ruri_user},
        {"request_host", leg->ruri_host},
        {"asserted", leg->asserted},
        {"asserted_name", leg->asserted_display},
        {"connected", leg->connected},
        {"caller_agent", leg->agent[AN_CALLER]},
        {"callee_agent", leg->agent[AN_CALLEE]},
        {"caller_contact", leg->contact[AN_CALLER]},
        {"callee_contact", leg->contact[AN_CALLEE]},
        {"replaces", leg->replaces},
        {"join", leg->join},
        {"x_cid", leg->x_cid},
        {"session_id", leg->session_id[0]},
        {"icid", leg->icid},
        {"diversion", leg->diversion},
        {"history", leg->history},
        {"referred_by", leg->referred_by},
        {"reason", leg->reason},
    };
    put_party(d, "from", leg, &leg->from);
    put_party(d, "to", leg, &leg->to);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        an_json_str_if(d->j, texts[i].name, an_leg_text(leg, texts[i].text));
    if (leg->xfer_pressed)
        an_json_bool(d->j, "xfer_pressed", true);
    if (leg->focus[0] || leg->focus[1])
        an_json_bool(d->j, "is_focus", true);
    if (leg->elsewhere)
        an_json_bool(d->j, "completed_elsewhere", true);
}

static void put_times(const struct doc *d, const struct an_leg *leg)
{
    const struct {
        const char *name;
        uint64_t at_ns;
    } times[] = {
        {"invite_s", leg->invite_ns},   {"trying_s", leg->trying_ns},
        {"ringing_s", leg->ringing_ns}, {"progress_s", leg->progress_ns},
        {"answer_s", leg->answer_ns},   {"ack_s", leg->ack_ns},
        {"cancel_s", leg->cancel_ns},   {"bye_s", leg->bye_ns},
        {"end_s", leg->end_ns},
    };
    put_since(d, "first_s", leg->first_ns);
    for (unsigned i = 0; i < ARRAY_LEN(times); i++)
        if (times[i].at_ns != AN_NEVER)
            put_since(d, times[i].name, times[i].at_ns);
    put_since(d, "last_s", leg->last_ns);
}

static void put_media(const struct doc *d, const struct an_leg *leg, const struct an_media *m)
{
    static const char *const dirs[] = {"sendrecv", "sendonly", "recvonly", "inactive"};
    static const char *const kinds[] = {"other",       "audio", "video",  "text",
                                        "application", "image", "message"};
    an_json_object(d->j, NULL);
    an_json_str(d->j, "kind", str_z(m->kind < ARRAY_LEN(kinds) ? kinds[m->kind] : kinds[0]));
    an_json_addr(d->j, "rtp", &m->rtp);
    an_json_str(d->j, "direction", str_z(dirs[m->dir % ARRAY_LEN(dirs)]));
    an_json_bool(d->j, "encrypted", m->secure);
    an_json_array(d->j, "codecs");
    for (unsigned i = 0; i < m->n_codecs; i++) {
        an_json_object(d->j, NULL);
        an_json_u64(d->j, "pt", m->codec[i].pt);
        an_json_str_if(d->j, "name", an_leg_text(leg, m->codec[i].name));
        if (m->codec[i].clock)
            an_json_u64(d->j, "clock", m->codec[i].clock);
        an_json_end(d->j);
    }
    an_json_end(d->j);
    an_json_end(d->j);
}

static void put_sdps(const struct doc *d, const struct an_leg *leg)
{
    an_json_array(d->j, "descriptions");
    for (uint32_t i = 0; i < leg->n_sdps; i++) {
        const struct an_sdp *s = &leg->sdp[i];
        an_json_object(d->j, NULL);
        an_json_u64(d->j, "message", s->msg);
        put_side(d, "by", s->side);
        an_json_str(d->j, "is", s->answer ? STR("answer") : STR("offer"));
        an_json_array(d->j, "media");
        for (unsigned k = 0; k < s->n_media; k++)
            put_media(d, leg, &s->media[k]);
        an_json_end(d->j);
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_holds(const struct doc *d, const struct an_leg *leg)
{
    an_json_array(d->j, "holds");
    for (uint32_t i = 0; i < leg->n_holds; i++) {
        an_json_object(d->j, NULL);
        put_side(d, "by", leg->hold[i].side);
        put_since(d, "from_s", leg->hold[i].from_ns);
        put_since(d, "to_s", leg->hold[i].to_ns);
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_refers(const struct doc *d, const struct an_leg *leg)
{
    an_json_array(d->j, "refers");
    for (uint32_t i = 0; i < leg->n_refers; i++) {
        const struct an_refer *f = &leg->refer[i];
        an_json_object(d->j, NULL);
        an_json_u64(d->j, "message", f->msg);
        put_side(d, "by", f->side);
        an_json_str(d->j, "target", an_leg_text(leg, f->target));
        an_json_str_if(d->j, "user", an_leg_text(leg, f->user));
        an_json_str_if(d->j, "replaces", an_leg_text(leg, f->replaces));
        an_json_str_if(d->j, "referred_by", an_leg_text(leg, f->by));
        an_json_u64(d->j, "status", f->status);
        an_json_u64(d->j, "progress", f->progress);
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_leg(struct doc *d, uint32_t index)
{
    const struct an_leg *leg = an_engine_leg(d->r->engine, index);
    an_json_object(d->j, NULL);
    an_json_u64(d->j, "number", leg->number);
    an_json_str(d->j, "kind", str_z(leg_kinds[leg->kind % AN_LEG_KINDS]));
    an_json_str(d->j, "call_id", an_leg_text(leg, leg->call_id));
    if (leg->resumed)
        an_json_bool(d->j, "resumed", true);
    put_headers(d, leg);
    put_times(d, leg);
    if (leg->final)
        an_json_u64(d->j, "status", leg->final);
    if (leg->bye_side < ARRAY_LEN(sides))
        put_side(d, "bye_by", leg->bye_side);
    an_json_u64(d->j, "challenges", leg->challenges);
    an_json_u64(d->j, "retransmissions", leg->retrans);
    an_json_array(d->j, "hosts");
    for (uint16_t i = 0; i < leg->n_hosts; i++) {
        an_json_object(d->j, NULL);
        an_json_addr(d->j, "address", &leg->host[i]);
        an_json_str_if(d->j, "name", an_host_name(d->r, &leg->host[i]));
        an_json_end(d->j);
    }
    an_json_end(d->j);
    put_sdps(d, leg);
    put_holds(d, leg);
    put_refers(d, leg);
    an_json_array(d->j, "messages");
    for (uint32_t i = 0; i < leg->n_msgs; i++)
        put_msg(d, leg, i);
    an_json_end(d->j);
    an_json_u64(d->j, "more_messages", leg->more_msgs);
    an_json_end(d->j);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void put_quality(const struct doc *d, const struct an_stream *s)
{
    an_json_u64(d->j, "lost", s->lost);
    an_json_fixed(d->j, "loss_percent", s->loss_e4, 2);
    an_json_u64(d->j, "out_of_order", s->late);
    an_json_u64(d->j, "too_late", s->overdue);
    an_json_u64(d->j, "repeated", s->repeated);
    an_json_bool(d->j, "captured_twice", s->mirrored);
    an_json_fixed(d->j, "jitter_ms", s->jitter_us, 3);
    an_json_fixed(d->j, "max_jitter_ms", s->most_jitter_us, 3);
    an_json_u64(d->j, "gaps", s->gaps);
    an_json_u64(d->j, "max_gap_ms", s->most_gap_ms);
    an_json_u64(d->j, "sound_ms", s->sound_ms);
    an_json_u64(d->j, "silent_ms", s->silent_ms);
    if (s->drift_ppm == INT32_MAX)
        an_json_null(d->j, "clock_drift_ppm");
    else
        an_json_i64(d->j, "clock_drift_ppm", s->drift_ppm);
    if (s->mos_x100 == AN_RTP_NO_MOS) {
        an_json_null(d->j, "mos");
        return;
    }
    an_json_fixed(d->j, "mos", s->mos_x100, 2);
    an_json_fixed(d->j, "r_factor", s->r_x10, 1);
}

/* What its receiver said of it by RTCP. */
static void put_remote(const struct doc *d, const struct an_stream *s)
{
    if (!s->rtcp.reports)
        return;
    an_json_object(d->j, "receiver");
    an_json_u64(d->j, "reports", s->rtcp.reports);
    an_json_i64(d->j, "lost", s->rtcp.lost);
    an_json_fixed(d->j, "jitter_ms", s->rtcp.jitter_us, 3);
    if (s->rtcp.rtt_n)
        an_json_fixed(d->j, "round_trip_ms", s->rtcp.rtt_us, 3);
    if (s->rtcp.mos_x10)
        an_json_fixed(d->j, "mos", s->rtcp.mos_x10, 1);
    an_json_end(d->j);
}

static void put_digits(const struct doc *d, const struct an_stream *s)
{
    char digits[AN_RTP_MAX_DIGITS];
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_digits && i < AN_RTP_MAX_DIGITS; i++)
        digits[n++] = s->digit[i].digit;
    an_json_str(d->j, "digits", str_of(digits, n));
}

static void put_stream(const struct doc *d, uint32_t index)
{
    const struct an_stream *s = an_rtp_stream(an_engine_rtp(d->r->engine), index);
    an_json_object(d->j, NULL);
    an_json_u64(d->j, "number", s->number);
    put_leg_number(d, "leg", s->leg);
    if (s->leg != AN_NONE)
        put_side(d, "by", s->side);
    an_json_addr(d->j, "from", &s->src);
    an_json_addr(d->j, "to", &s->dst);
    an_json_u64(d->j, "ssrc", s->ssrc);
    an_json_str_if(d->j, "codec", an_stream_codec(an_engine_rtp(d->r->engine), s));
    an_json_array(d->j, "payload_types");
    for (unsigned i = 0; i < s->n_formats; i++)
        an_json_u64(d->j, NULL, s->format[i].pt);
    an_json_end(d->j);
    an_json_bool(d->j, "encrypted", s->secure);
    put_since(d, "first_s", s->first_ns);
    put_since(d, "last_s", s->last_ns);
    an_json_u64(d->j, "first_frame", s->first_frame);
    an_json_u64(d->j, "last_frame", s->last_frame);
    an_json_u64(d->j, "packets", s->packets);
    an_json_u64(d->j, "bytes", s->bytes);
    put_quality(d, s);
    put_remote(d, s);
    put_digits(d, s);
    an_json_end(d->j);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void put_edges(const struct doc *d, const struct an_call *call)
{
    an_json_array(d->j, "edges");
    for (uint32_t i = 0; i < call->n_edges; i++) {
        const struct an_edge *e = &call->edge[i];
        an_json_object(d->j, NULL);
        put_leg_number(d, "from", e->a);
        put_leg_number(d, "to", e->b);
        an_json_str(d->j, "kind", an_edge_word((enum an_edge_kind)e->kind));
        an_json_fixed(d->j, "confidence", e->confidence, 2);
        an_json_array(d->j, "evidence");
        for (unsigned k = 0; k < e->n_proofs; k++) {
            const struct an_proof *p = &e->proof[k];
            an_json_object(d->j, NULL);
            an_json_str(d->j, "what", an_evidence_word((enum an_evidence)p->what));
            an_json_fixed(d->j, "points", p->points, 1);
            an_json_u64(d->j, "frame", p->frame);
            an_json_str(d->j, "text", an_evidence_text((enum an_evidence)p->what));
            an_json_end(d->j);
        }
        an_json_end(d->j);
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_traits(const struct doc *d, const struct an_call *call)
{
    an_json_array(d->j, "traits");
    for (uint32_t i = 0; i < call->n_traits; i++) {
        const struct an_trait *t = &call->trait[i];
        an_json_object(d->j, NULL);
        an_json_str(d->j, "scenario", an_report_scenario(d->r, (enum an_scenario)t->scenario));
        an_json_str_if(d->j, "form", str_z(t->form));
        an_json_fixed(d->j, "confidence", t->confidence, 2);
        put_since(d, "from_s", t->from_ns);
        put_since(d, "to_s", t->to_ns);
        put_leg_number(d, "leg", t->leg);
        put_leg_number(d, "other_leg", t->other);
        put_leg_number(d, "who_leg", t->who);
        if (t->who != AN_NONE)
            an_json_str(d->j, "who", an_leg_party(d->r, an_engine_leg(d->r->engine, t->who)));
        put_leg_number(d, "target_leg", t->target);
        if (t->target != AN_NONE)
            an_json_str(d->j, "target", an_trait_target(d->r, t));
        an_json_array(d->j, "frames");
        for (unsigned k = 0; k < t->n_frames; k++)
            an_json_u64(d->j, NULL, t->frame[k]);
        an_json_end(d->j);
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_attempts(const struct doc *d, const struct an_call *call)
{
    an_json_array(d->j, "attempts");
    for (uint32_t i = 0; i < call->n_attempts; i++) {
        const struct an_attempt *a = &call->attempt[i];
        an_json_object(d->j, NULL);
        put_leg_number(d, "leg", a->leg);
        an_json_str(d->j, "number", an_leg_callee(an_engine_leg(d->r->engine, a->leg)));
        an_json_u64(d->j, "status", a->status);
        put_since(d, "at_s", a->at_ns);
        put_since(d, "end_s", a->end_ns);
        an_json_end(d->j);
    }
    an_json_end(d->j);
}

static void put_who(const struct doc *d, const struct an_call *call)
{
    if (call->caller_unknown)
        an_json_null(d->j, "caller");
    else
        an_json_str(d->j, "caller", an_call_text(call, call->caller));
    an_json_bool(d->j, "caller_unknown", call->caller_unknown);
    an_json_str_if(d->j, "caller_name", an_call_text(call, call->caller_name));
    an_json_str(d->j, "dialled", an_call_text(call, call->dialled));
    an_json_str(d->j, "callee", an_call_text(call, call->callee));
    an_json_str(d->j, "answered_by", an_call_text(call, call->answered_by));
    put_side(d, "ended_by", call->ended_by);
}

static void put_course(const struct doc *d, uint32_t index)
{
    const struct an_call *call = an_engine_call(d->r->engine, index);
    struct an_spans s = an_call_spans(d->r, call);
    uint16_t mos = an_call_mos(d->r, index);
    an_json_str(d->j, "scenario", an_report_scenario(d->r, (enum an_scenario)call->scenario));
    an_json_str(d->j, "form",
                call->n_traits && call->trait[0].scenario == call->scenario
                    ? str_z(call->trait[0].form)
                    : STR(""));
    an_json_fixed(d->j, "confidence", call->confidence, 2);
    an_json_str(d->j, "outcome", an_outcome_word((enum an_outcome)call->outcome));
    an_json_u64(d->j, "status", call->status);
    put_who(d, call);
    an_json_time(d->j, "start", call->start_ns);
    put_since(d, "start_s", call->start_ns);
    put_since(d, "ring_s", call->ring_ns);
    put_since(d, "answer_s", call->answer_ns);
    put_since(d, "end_s", call->end_ns);
    put_span(d, "duration_s", s.whole);
    put_span(d, "post_dial_delay_s", s.pdd);
    put_span(d, "ringing_s", s.ring);
    put_span(d, "talk_s", s.talk);
    if (mos)
        an_json_fixed(d->j, "mos", mos, 2);
    else
        an_json_null(d->j, "mos");
}

static void put_call(struct doc *d, uint32_t index)
{
    const struct an_report *r = d->r;
    const struct an_call *call = an_engine_call(r->engine, index);
    an_json_object(d->j, NULL);
    an_json_u64(d->j, "number", call->number);
    put_course(d, index);
    put_attempts(d, call);
    put_traits(d, call);
    put_edges(d, call);
    an_json_findings(r, index, d->j);
    if (r->style.in_page)
        an_page_call(r, index, d->j);
    an_json_array(d->j, "streams");
    for (uint32_t i = r->stream_at[index]; i < r->stream_at[index + 1]; i++)
        put_stream(d, r->stream[i]);
    an_json_end(d->j);
    an_json_array(d->j, "legs");
    for (uint32_t i = 0; i < call->n_legs; i++)
        put_leg(d, call->leg[i]);
    an_json_end(d->j);
    if (r->more)
        r->more(r, index, d->j);
    an_json_end(d->j);
}

/* What belongs to no call. */
static void put_rest(struct doc *d)
{
    const struct an_report *r = d->r;
    uint32_t calls = an_engine_calls(r->engine), legs = an_engine_legs(r->engine);
    an_json_array(d->j, "other_legs");
    for (uint32_t i = 0; i < legs; i++)
        if (an_engine_leg(r->engine, i)->number && an_engine_leg(r->engine, i)->call >= calls)
            put_leg(d, i);
    an_json_end(d->j);
    an_json_array(d->j, "other_streams");
    for (uint32_t i = 0; i < an_rtp_streams(an_engine_rtp(r->engine)); i++) {
        const struct an_stream *s = an_rtp_stream(an_engine_rtp(r->engine), i);
        if (!s->packets)
            continue; /* given back */
        if (s->leg >= legs || an_engine_leg(r->engine, s->leg)->call >= calls)
            put_stream(d, i);
    }
    an_json_end(d->j);
}

void an_report_json_call(const struct an_report *r, uint32_t call, struct an_json *j)
{
    struct doc d = {.r = r, .j = j, .left = r->style.max_messages};
    d.text = r->style.with_messages ? mem_alloc(LONGEST_MSG) : NULL;
    put_call(&d, call);
    mem_free(d.text);
}

void an_report_json(const struct an_report *r, uint32_t call, struct an_sink *out)
{
    struct an_json j;
    an_json_init(&j, out);
    j.pretty = true;
    an_report_json_to(r, call, &j);
}

/* How many were left out for want of room. */
static uint32_t put_calls(struct doc *d, uint32_t only)
{
    const struct an_style *style = &d->r->style;
    uint32_t n = an_engine_calls(d->r->engine), i;
    an_json_array(d->j, "calls");
    uint64_t begin = d->j->sink->bytes;
    for (i = 0; i < n; i++) {
        if (style->max_bytes && d->j->sink->bytes - begin >= style->max_bytes)
            break;
        if (only == AN_NONE || only == i)
            put_call(d, i);
    }
    an_json_end(d->j);
    return only == AN_NONE ? n - i : 0;
}

void an_report_json_to(const struct an_report *r, uint32_t call, struct an_json *j)
{
    struct doc d = {.r = r, .j = j, .left = r->style.max_messages};
    d.text = r->style.with_messages ? mem_alloc(LONGEST_MSG) : NULL;
    an_json_object(j, NULL);
    an_json_str(j, "schema", STR(SCHEMA));
    an_json_str(j, "program", STR("ringdown " RD_VERSION));
    if (r->style.in_page)
        an_page_words(r, j);
    put_input(&d);
    uint32_t left_out = put_calls(&d, call);
    if (left_out)
        an_json_u64(j, "calls_left_out", left_out);
    /* The page shows calls alone. */
    if (call == AN_NONE && !r->style.in_page)
        put_rest(&d);
    an_json_end(j);
    mem_free(d.text);
}
