#include "app/wire_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "app/own.h"
#include "base/mem.h"
#include "io/notify.h"

#define STOP_PATIENCE (5 * USEC_S) /* calls get so long to answer their BYE */

/* ---- outputs of the PBX ---------------------------------------------------------------------- */

struct trace *wire_trace(struct wire *w)
{
    struct trace *t = pbx_trace(w->pbx);
    usec_t now = loop_now(w->loop);
    t->now = now > t->now ? now : t->now;
    return t;
}

static void transmit(struct wire *w, const struct flow *to, struct blob *b)
{
    net_send(w->net, to, b);
    own_seen(w, to, blob_str(b), true);
}

static void hold(struct wire *w, const struct pbx_out *o)
{
    if (w->held_n == w->held_cap) {
        uint32_t cap = w->held_cap ? w->held_cap * 2 : 256;
        struct wire_held *bigger = mem_alloc(cap * sizeof(*bigger));
        if (!bigger) { /* better early than never */
            transmit(w, &o->flow, o->blob);
            blob_unref(o->blob);
            return;
        }
        for (uint32_t i = 0; i < w->held_n; i++)
            bigger[i] = w->held[(w->held_head + i) % w->held_cap];
        mem_free(w->held);
        w->held = bigger;
        w->held_head = 0;
        w->held_cap = cap;
    }
    uint32_t at = (w->held_head + w->held_n++) % w->held_cap;
    w->held[at] =
        (struct wire_held){.flow = o->flow, .blob = o->blob, .seq = w->stored ? 0 : w->last_seq};
}

static void send_message(struct wire *w, const struct pbx_out *o)
{
    if (o->after_commit && (w->stored || db_done_seq(w->db) < w->last_seq)) {
        hold(w, o);
        return;
    }
    transmit(w, &o->flow, o->blob);
    blob_unref(o->blob);
}

static void store(struct wire *w, const struct row_op *op)
{
    int err = db_submit(w->db, op);
    if (err == 0)
        w->stored = true;
    else
        trace_emit(wire_trace(w), TRACE_STORE_FAILED, 0,
                   TS(err == -ENOBUFS ? STR("queue full, a change was not stored")
                                      : STR("out of memory")));
}

void wire_to_media(struct wire *w, const struct media_cmd *cmd)
{
    if (w->media_n == w->media_cap) {
        uint32_t cap = w->media_cap ? w->media_cap * 2 : 256;
        struct media_cmd *bigger = mem_resize(w->media_cmd, cap * sizeof(*bigger));
        if (!bigger) {
            if (cmd->kind == MEDIA_CLIP)
                mem_free(cmd->play.clip);
            return;
        }
        w->media_cmd = bigger;
        w->media_cap = cap;
    }
    w->media_cmd[w->media_n++] = *cmd;
}

static void ban(struct wire *w, const struct pbx_out *o)
{
    if (o->seconds == 0)
        net_unban(w->net, &o->addr);
    else if (net_ban(w->net, &o->addr, loop_now(w->loop) + o->seconds * USEC_S))
        trace_emit(wire_trace(w), TRACE_RX_LIMIT, 0, TS(STR("a banned source")),
                   TS(STR("limits.banned_sources")));
}

static void resolve(struct wire *w, const struct pbx_out *o)
{
    const struct pbx_question *q = &o->question;
    struct dns_question what = {.name = q->name,
                                .port = q->port,
                                .any = q->any,
                                .sips = q->sips,
                                .proto = q->proto,
                                .protos = q->protos,
                                .without_ipv4 = q->without_ipv4,
                                .without_ipv6 = q->without_ipv6};
    if (dns_resolve(w->dns, &what, o->token))
        pbx_resolved(w->pbx, loop_now(w->loop), o->token, NULL, 0, 30);
}

void wire_drain(struct wire *w)
{
    struct pbx_out o;
    while (pbx_out(w->pbx, &o)) {
        switch (o.kind) {
        case PBX_OUT_SEND:
            send_message(w, &o);
            break;
        case PBX_OUT_MEDIA:
            wire_to_media(w, &o.media);
            break;
        case PBX_OUT_STORE:
            store(w, o.row);
            break;
        case PBX_OUT_RESOLVE:
            resolve(w, &o);
            break;
        case PBX_OUT_BAN:
            ban(w, &o);
            break;
        case PBX_OUT_KEEP:
            net_keep(w->net, o.flow.conn, o.keep);
            break;
        case PBX_OUT_FILE:
            wire_file(w, &o.file);
            break;
        case PBX_OUT_PARTY:
            wire_party(w, &o);
            break;
        case PBX_OUT_CLIENT:
            wire_client(w, &o);
            break;
        case PBX_OUT_ALIAS:
            net_alias(w->net, o.flow.conn, &o.addr);
            break;
        case PBX_OUT_BOTLINK:
            wire_botlink(w, &o.botlink);
            break;
        }
    }
}

/* ---- what the world brings ------------------------------------------------------------------- */

void wire_rx(void *ctx, usec_t now, const struct net_rx *rx)
{
    struct wire *w = ctx;
    own_seen(w, &rx->flow, rx->bytes, false);
    pbx_rx(w->pbx, now, &rx->flow, rx->bytes.p, rx->bytes.n);
    wire_drain(w);
}

void wire_flow_closed(void *ctx, usec_t now, const struct flow *flow, int err)
{
    struct wire *w = ctx;
    (void)err;
    pbx_flow_failed(w->pbx, now, flow);
    wire_drain(w);
}

/* RFC 3261 18.2.2: a response whose connection is gone goes to the port of sent-by, where its asker
 * listens, and not to the one that the connection came from. */
static void respond_anew(struct flow *to, const struct blob *b)
{
    struct str text = blob_str((struct blob *)(uintptr_t)b);
    struct sip_via via;
    ptrdiff_t at = str_ifind(text, STR("\r\nVia: "));
    if (!str_starts(text, STR("SIP/2.0 ")) || at < 0)
        return;
    struct str value = str_from(text, (size_t)at + 7);
    ptrdiff_t end = str_ifind(value, STR("\r\n"));
    if (end > 0 && sip_via_parse(&via, str_sub(value, 0, (size_t)end)) == 0)
        to->peer.port = via.port ? via.port : to->proto == PROTO_TLS ? 5061 : 5060;
}

void wire_flow_failed(void *ctx, usec_t now, const struct flow *to, const struct blob *b, int err)
{
    struct wire *w = ctx;
    if (err == -ENOTCONN && to->conn) { /* gone, so a new one */
        struct flow again = *to;
        again.conn = 0;
        respond_anew(&again, b);
        transmit(w, &again, (struct blob *)(uintptr_t)b);
        return;
    }
    pbx_flow_failed(w->pbx, now, to);
    wire_drain(w);
}

void wire_bounced(void *ctx, usec_t now, struct str bytes)
{
    struct wire *w = ctx;
    pbx_bounced(w->pbx, now, bytes.p, bytes.n);
    wire_drain(w);
}

void wire_stored(void *ctx, uint64_t seq, int err)
{
    struct wire *w = ctx;
    if (err && w->pbx)
        trace_emit(wire_trace(w), TRACE_STORE_FAILED, 0, TS(str_z(uv_strerror(err))));
    while (w->held_n && w->held[w->held_head].seq && w->held[w->held_head].seq <= seq) {
        struct wire_held *h = &w->held[w->held_head];
        if (w->net)
            transmit(w, &h->flow, h->blob);
        blob_unref(h->blob);
        w->held_head = (w->held_head + 1) % w->held_cap;
        w->held_n--;
    }
}

void wire_prune_failed(void *ctx, uint16_t statement, int err)
{
    struct wire *w = ctx;
    (void)statement; /* they fail for what ails the database, not for what they are */
    if (w->pbx)
        trace_emit(wire_trace(w), TRACE_PRUNE_FAILED, 0, TS(str_z(uv_strerror(err))));
}

void wire_resolved(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct wire *w = ctx;
    pbx_resolved(w->pbx, now, a->token, a->dest, a->err ? 0 : a->n, a->ttl_s);
    wire_drain(w);
}

void wire_media_ready(struct loop_watch *watch, unsigned events)
{
    struct wire *w = container_of(watch, struct wire, media_watch);
    struct media_ev ev[32];
    size_t n;
    (void)events;
    while ((n = media_thread_poll(w->media, ev, ARRAY_LEN(ev)))) {
        for (size_t i = 0; i < n; i++)
            pbx_media(w->pbx, loop_now(w->loop), &ev[i]);
        wire_drain(w);
    }
}

void wire_media_closed(struct loop_watch *watch)
{
    struct wire *w = container_of(watch, struct wire, media_watch);
    w->closing = 0;
}

void wire_tick(void *ctx, usec_t now)
{
    struct wire *w = ctx;
    pbx_tick(w->pbx, now);
    wire_drain(w);
}

/* The end of a turn: everything that it made leaves at once. */
void wire_seal(struct wire *w)
{
    if (!w->stored)
        return;
    uint64_t seq = db_commit(w->db);
    for (uint32_t i = w->held_n; i-- > 0;) {
        struct wire_held *h = &w->held[(w->held_head + i) % w->held_cap];
        if (h->seq)
            break;
        h->seq = seq ? seq : 1;
    }
    w->last_seq = seq ? seq : w->last_seq;
    w->stored = false;
}

void wire_media_flush(struct wire *w)
{
    size_t sent = w->media_n ? media_thread_send(w->media, w->media_cmd, w->media_n) : 0;
    w->media_n -= (uint32_t)sent;
    memmove(w->media_cmd, w->media_cmd + sent, w->media_n * sizeof(*w->media_cmd));
}

void wire_turn(void *ctx, usec_t now)
{
    struct wire *w = ctx;
    wire_speech_turn(w);
    wire_seal(w);
    wire_media_flush(w);
    net_flush(w->net);
    own_flush(w);
    logsink_drain(&w->log, pbx_trace(w->pbx), w->loop);
    usec_t deadline = pbx_deadline(w->pbx);
    if (w->stopping) {
        bool idle = pbx_is_idle(w->pbx) && !w->held_n && wire_speech_is_idle(w);
        if (now >= w->stop_at || idle)
            loop_stop(w->loop);
        deadline = deadline < w->stop_at ? deadline : w->stop_at;
    }
    loop_deadline_set(w->loop, deadline);
}

static void begin_stop(struct wire *w, const char *reason)
{
    if (w->stopping) { /* asked twice: at once */
        loop_stop(w->loop);
        return;
    }
    w->stopping = true;
    w->stop_at = loop_now(w->loop) + STOP_PATIENCE;
    notify_stopping();
    trace_emit(wire_trace(w), TRACE_STOP, 0, TS(str_z(reason)));
    pbx_shutdown(w->pbx, loop_now(w->loop));
    wire_drain(w);
}

void wire_signal(void *ctx, int signum)
{
    struct wire *w = ctx;
    char mem[512];
    struct buf why;
    if (signum != SIGHUP) {
        begin_stop(w, signum == SIGTERM ? "SIGTERM" : "SIGINT");
        return;
    }
    notify_reloading();
    buf_init(&why, mem, sizeof(mem));
    /* The log was renamed by then, so this cannot wait for a sound configuration. */
    if (logsink_reopen(&w->log))
        fprintf(stderr, "ringdown: cannot open the log file again\n");
    notify_ready(wire_reload(w, &why) ? "serving; the changed configuration was refused"
                                      : "serving");
}
