#include "analysis/ladder.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

static bool talks_to_itself(const struct an_report *r, const uint32_t *leg, uint32_t n_legs)
{
    for (uint32_t i = 0; i < n_legs; i++) {
        const struct an_leg *l = an_engine_leg(r->engine, leg[i]);
        for (uint32_t k = 0; k < l->n_msgs; k++)
            if (addr_ip_eq(&l->host[l->msg[k].src], &l->host[l->msg[k].dst]))
                return true;
    }
    return false;
}

/* The column of an address; a new one if there is room and it may be, else AN_LADDER_MAX_COLS. */
static uint8_t column(struct an_ladder *l, const struct addr *a, bool add)
{
    for (unsigned i = 0; i < l->n_cols; i++)
        if (addr_ip_eq(&l->col[i], a) && (!l->by_port || l->col[i].port == a->port))
            return (uint8_t)i;
    if (!add || l->n_cols == AN_LADDER_MAX_COLS)
        return AN_LADDER_MAX_COLS;
    l->col[l->n_cols] = *a;
    if (!l->by_port)
        l->col[l->n_cols].port = 0;
    return (uint8_t)l->n_cols++;
}

static int compare(const void *a, const void *b)
{
    const struct an_rung *x = a, *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    if (x->frame != y->frame)
        return x->frame < y->frame ? -1 : 1;
    return x->leg < y->leg ? -1 : x->leg > y->leg;
}

static void add_leg(struct an_ladder *l, uint32_t index)
{
    const struct an_leg *leg = an_engine_leg(l->r->engine, index);
    for (uint32_t i = 0; i < leg->n_msgs; i++) {
        const struct an_msg *m = &leg->msg[i];
        if (m->flags & AN_MSG_COPY)
            continue;
        if (l->n_rungs == AN_LADDER_MAX_RUNGS) {
            l->more++;
            continue;
        }
        l->rung[l->n_rungs++] = (struct an_rung){
            .at_ns = m->at_ns, .frame = m->frame, .leg = index, .msg = i, .stream = AN_NONE};
    }
    l->more += leg->more_msgs;
}

static void add_streams(struct an_ladder *l, uint32_t call)
{
    const struct an_report *r = l->r;
    for (uint32_t i = r->stream_at[call]; i < r->stream_at[call + 1]; i++) {
        const struct an_stream *s = an_rtp_stream(an_engine_rtp(r->engine), r->stream[i]);
        if (l->n_rungs == AN_LADDER_MAX_RUNGS)
            return;
        l->rung[l->n_rungs++] = (struct an_rung){.at_ns = s->first_ns,
                                                 .frame = s->first_frame,
                                                 .leg = s->leg,
                                                 .msg = AN_NONE,
                                                 .stream = r->stream[i]};
    }
}

/* Columns appear with the messages; a stream whose ends are none of them has no rung. */
static void place(struct an_ladder *l)
{
    for (uint32_t i = 0; i < l->n_rungs; i++) {
        struct an_rung *g = &l->rung[i];
        const struct an_msg *m = an_rung_msg(l, g);
        const struct an_leg *leg = an_engine_leg(l->r->engine, g->leg);
        if (!m)
            continue;
        g->from = column(l, &leg->host[m->src], true);
        g->to = column(l, &leg->host[m->dst], true);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_rungs; i++) {
        struct an_rung *g = &l->rung[i];
        if (g->msg == AN_NONE) {
            const struct an_stream *s = an_rtp_stream(an_engine_rtp(l->r->engine), g->stream);
            g->from = l->by_port ? AN_LADDER_MAX_COLS : column(l, &s->src, false);
            g->to = l->by_port ? AN_LADDER_MAX_COLS : column(l, &s->dst, false);
        }
        bool placed = g->from < l->n_cols && g->to < l->n_cols;
        if (placed)
            l->rung[n++] = *g;
        else if (g->msg != AN_NONE)
            l->more++;
    }
    l->n_rungs = n;
}

int an_ladder_make(struct an_ladder *l, const struct an_report *r, uint32_t call,
                   const uint32_t *leg, uint32_t n_legs)
{
    size_t most = call == AN_NONE ? 0 : r->stream_at[call + 1] - r->stream_at[call];
    *l = (struct an_ladder){.r = r};
    for (uint32_t i = 0; i < n_legs; i++)
        most += an_engine_leg(r->engine, leg[i])->n_msgs;
    if (most > AN_LADDER_MAX_RUNGS)
        most = AN_LADDER_MAX_RUNGS;
    l->rung = mem_zero((most + 1) * sizeof(*l->rung));
    if (!l->rung)
        return -ENOMEM;
    l->by_port = talks_to_itself(r, leg, n_legs);
    for (uint32_t i = 0; i < n_legs; i++)
        add_leg(l, leg[i]);
    if (call != AN_NONE)
        add_streams(l, call);
    qsort(l->rung, l->n_rungs, sizeof(*l->rung), compare);
    l->zero_ns = l->n_rungs ? l->rung[0].at_ns : 0;
    place(l);
    return 0;
}

void an_ladder_done(struct an_ladder *l)
{
    mem_free(l->rung);
    l->rung = NULL;
}

void an_ladder_put_col(struct buf *b, const struct an_ladder *l, unsigned col)
{
    if (l->col[col].port)
        addr_put(b, &l->col[col]);
    else
        addr_put_ip(b, &l->col[col]);
}

/* By any of the ports that it has been seen with. */
struct str an_ladder_name(const struct an_ladder *l, unsigned col)
{
    for (uint32_t i = 0; i < l->n_rungs; i++) {
        const struct an_rung *g = &l->rung[i];
        const struct an_msg *m = an_rung_msg(l, g);
        if (!m || (g->from != col && g->to != col))
            continue;
        const struct an_leg *leg = an_engine_leg(l->r->engine, g->leg);
        struct str name = an_host_name(l->r, &leg->host[g->from == col ? m->src : m->dst]);
        if (name.n)
            return name;
    }
    return STR_NONE;
}

/* ---- labels ---------------------------------------------------------------------------------- */

/* What is seen again is described once, where it was first seen. */
static const struct an_sdp *sdp_of(const struct an_leg *leg, uint32_t msg)
{
    bool again = leg->msg[msg].flags & (AN_MSG_RETRANS | AN_MSG_HOP);
    for (uint32_t i = 0; i < leg->n_sdps; i++)
        if (leg->sdp[i].msg == msg ||
            (again && leg->msg[leg->sdp[i].msg].same == leg->msg[msg].same))
            return &leg->sdp[i];
    return NULL;
}

void an_put_sdp_hint(struct buf *b, const struct an_leg *leg, uint32_t msg)
{
    static const char *const dirs[] = {"", "sendonly", "recvonly", "inactive"};
    const struct an_sdp *sdp = sdp_of(leg, msg);
    for (unsigned i = 0; sdp && i < sdp->n_media; i++) {
        const struct an_media *m = &sdp->media[i];
        bool first = true;
        if (i)
            buf_lit(b, "; ");
        if (m->kind == SDP_VIDEO)
            buf_lit(b, "video ");
        for (unsigned k = 0; k < m->n_codecs && k < 3; k++) {
            struct str name = an_leg_text(leg, m->codec[k].name);
            if (!name.n || str_ieq(name, STR("telephone-event")))
                continue;
            buf_printf(b, "%s" STR_FMT, first ? "" : " ", STR_ARG(name));
            first = false;
        }
        if (m->rtp.family != ADDR_NONE && m->rtp.port == 0)
            buf_z(b, first ? "refused" : " refused");
        else if (m->dir < ARRAY_LEN(dirs) && m->dir != SDP_SENDRECV)
            buf_printf(b, "%s%s", first ? "" : " ", dirs[m->dir]);
        else if (m->held)
            buf_z(b, first ? "hold" : " hold");
    }
}

/* REFER says where to, NOTIFY how far it is. */
static void refer_hint(struct buf *b, const struct an_leg *leg, uint32_t msg)
{
    for (uint32_t i = 0; i < leg->n_refers; i++) {
        const struct an_refer *f = &leg->refer[i];
        if (f->msg == msg)
            buf_printf(b, " to " STR_FMT "%s", STR_ARG(an_leg_text(leg, f->user)),
                       f->replaces.n ? " with Replaces" : "");
        else if (f->progress_msg == msg && f->progress)
            buf_printf(b, " %u", f->progress);
    }
}

static void message_label(struct buf *b, const struct an_leg *leg, uint32_t index)
{
    const struct an_msg *m = &leg->msg[index];
    struct str what = an_leg_text(leg, m->what);
    struct str method = sip_method_name((enum sip_method)m->method);
    char mem[128];
    struct buf hint;
    if (m->status) {
        buf_printf(b, "%u " STR_FMT, m->status,
                   STR_ARG(m->flags & AN_MSG_BAD || !what.n ? sip_status_reason(m->status) : what));
        if (m->method != SIP_INVITE && m->method != SIP_METHOD_UNKNOWN)
            buf_printf(b, " (" STR_FMT ")", STR_ARG(method));
    } else {
        if (m->method == SIP_INVITE && m->flags & AN_MSG_IN_DIALOG)
            buf_lit(b, "re-");
        buf_str_put(b, m->method == SIP_METHOD_UNKNOWN ? what : method);
    }
    refer_hint(b, leg, index);
    buf_init(&hint, mem, sizeof(mem));
    an_put_sdp_hint(&hint, leg, index);
    if (hint.n)
        buf_printf(b, " [" STR_FMT "]", STR_ARG(buf_str(&hint)));
    else if (m->flags & AN_MSG_SDP)
        buf_lit(b, " [SDP]");
}

void an_rung_label(struct buf *b, const struct an_ladder *l, const struct an_rung *rung)
{
    const struct an_leg *leg = an_engine_leg(l->r->engine, rung->leg);
    if (rung->msg != AN_NONE) {
        message_label(b, leg, rung->msg);
        return;
    }
    const struct an_stream *s = an_rtp_stream(an_engine_rtp(l->r->engine), rung->stream);
    struct str codec = an_stream_codec(an_engine_rtp(l->r->engine), s);
    buf_printf(b, "%s " STR_FMT, s->secure ? "SRTP" : "RTP", STR_ARG(codec));
}
