/* The whole exchange as one function: datagrams, stream messages, answers to what it sent, commands
 * and time jumps, as the input says. At the end everything must come back: pbx_free() aborts when a
 * blob or a text is lost. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pbx/pbx.h"

#define PEERS   4
#define MAX_OPS 200

static const char yaml[] =
    "sip: {domain: pbx.test, listen: ['udp:127.0.0.104:5060', 'tcp:127.0.0.104:5060']}\n"
    "media: {address: 127.0.0.104, ports: 20000-20999}\n"
    "auth: {ban_never: []}\n"
    "limits: {calls: 50, transactions: 500, dialogs: 200, registrations: 50, call_histories: 20}\n"
    "extensions:\n"
    "  - {number: '1427', username: 109Q1427, password: geheim, did: ['07086661427'],"
    " pickup_group: a, forward: {busy: '1428', no_answer: '1400'}}\n"
    "  - {number: '1428', password: geheim, pickup_group: a, did: ['07086661428'], voicemail: true,"
    " bot: agent, bot_when: [busy, unregistered, no_answer]}\n"
    "bots:\n"
    "  - {name: menu, menu: [{key: '1', do: 'transfer:1428'}, {key: '2', do: 'voicemail:1428'},"
    " {key: '3'}, {key: '0', do: hangup}]}\n"
    "  - {name: agent, engine: stream, url: 'ws://127.0.0.1/', fallback: 'transfer:1427'}\n"
    "groups:\n"
    "  - {number: '1400', members: ['1427', '1428'], did: ['07086661400'], no_answer: '1500'}\n"
    "  - {number: '1500', members: ['1428', '1427'], did: ['07086661500'], strategy: queue}\n"
    "trunks: [{name: kt, uri: 'sip:127.0.0.77:5080'}]\n"
    "routes: [{match: '^0[0-9]+$', to: 'trunk:kt'}, {from: 'trunk:kt', match: '^9', to: "
    "'trunk:kt'}, {from: 'trunk:kt', match: '^51', to: 'bot:menu'},"
    " {from: 'trunk:kt', match: '^52', to: 'bot:agent'}]\n";

struct peer {
    struct flow flow;
    char last[4096]; /* the last request it was sent */
    size_t n;
};

struct world {
    struct pbx *pbx;
    usec_t now;
    struct peer peer[PEERS];
    uint64_t link;   /* of the bot that was opened last */
    media_id stream; /* that was opened last */
    const uint8_t *p;
    size_t n;
};

static unsigned take(struct world *w)
{
    if (!w->n)
        return 0;
    w->n--;
    return *w->p++;
}

static struct str take_text(struct world *w)
{
    size_t n = take(w);
    n = n << 4 | take(w) >> 4;
    n = n < w->n ? n : w->n;
    struct str s = str_of((const char *)w->p, n);
    w->p += n;
    w->n -= n;
    return s;
}

static void remember(struct world *w, const struct pbx_out *o)
{
    struct str text = blob_str(o->blob);
    for (unsigned i = 0; i < PEERS; i++) {
        struct peer *peer = &w->peer[i];
        if (!addr_eq(&peer->flow.peer, &o->flow.peer) || str_starts(text, STR("SIP/2.0")))
            continue;
        peer->n = str_copy_z(peer->last, sizeof(peer->last), text);
    }
}

static void media(struct world *w, const struct media_cmd *cmd)
{
    struct media_ev ev = {.family = cmd->family, .id = cmd->id};
    if (cmd->kind == MEDIA_OPEN) {
        w->stream = cmd->id;
    } else if (cmd->kind == MEDIA_STOCK) {
        ev.kind = MEDIA_EV_PORTS;
        ev.count = 16;
        for (unsigned i = 0; i < 16; i++)
            ev.port[i] = (uint16_t)(20000 + 2 * i + 32 * (w->now % 7));
        pbx_media(w->pbx, w->now, &ev);
    } else if (cmd->kind == MEDIA_CLOSE) {
        ev.kind = MEDIA_EV_CLOSED;
        ev.count = 1;
        ev.port[0] = cmd->port;
        pbx_media(w->pbx, w->now, &ev);
    }
}

static void drain(struct world *w)
{
    struct pbx_out o;
    struct trace_rec rec;
    while (pbx_out(w->pbx, &o)) {
        if (o.kind == PBX_OUT_SEND) {
            remember(w, &o);
            blob_unref(o.blob);
        } else if (o.kind == PBX_OUT_MEDIA) {
            media(w, &o.media);
        } else if (o.kind == PBX_OUT_BOTLINK && o.botlink.kind == BOTLINK_OPEN) {
            w->link = o.botlink.id;
        } else if (o.kind == PBX_OUT_BOTLINK && o.botlink.kind == BOTLINK_CLOSE) {
            struct botlink_event ev = {.kind = BOTLINK_EV_CLOSED, .id = o.botlink.id};
            pbx_botlink(w->pbx, w->now, &ev);
        }
    }
    while (trace_next(pbx_trace(w->pbx), &rec)) {
        char mem[1024];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        trace_json(&b, &rec, 0);
    }
}

/* The headers of the last request with a status line before them, a tag and what the input adds. */
static void answer(struct world *w, struct peer *peer)
{
    char mem[8192];
    struct buf b;
    struct str request = str_of(peer->last, peer->n), extra;
    unsigned status = 100 + take(w) * 600 / 256;
    ptrdiff_t line = str_chr(request, '\n');
    ptrdiff_t end = str_ifind(request, STR("\r\nContent-"));
    if (line < 0 || end < line)
        return;
    extra = take_text(w);
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "SIP/2.0 %u X\r\nContact: <sip:a@127.0.0.55>\r\n", status);
    struct str headers = str_sub(request, (size_t)line + 1, (size_t)(end - line + 1));
    ptrdiff_t to = str_ifind(headers, STR("\r\nTo: "));
    ptrdiff_t eol = to < 0 ? -1 : str_chr(str_from(headers, (size_t)to + 2), '\r');
    if (eol < 0)
        return;
    size_t split = (size_t)(to + 2 + eol);
    buf_str_put(&b, str_sub(headers, 0, split));
    if (str_ifind(str_sub(headers, (size_t)to, split - (size_t)to), STR(";tag=")) < 0)
        buf_printf(&b, ";tag=t%u", take(w) & 3);
    buf_str_put(&b, str_from(headers, split));
    unsigned more = take(w);
    if (more & 2)
        buf_printf(&b, "Require: 100rel\r\nRSeq: %u\r\n", take(w));
    if (more & 4)
        buf_printf(&b, "Session-Expires: %u;refresher=%s\r\nMin-SE: %u\r\n", 90 + take(w),
                   more & 8 ? "uac" : "uas", 90 + take(w));
    if (more & 16)
        buf_lit(&b, "Contact: <sip:1428@pbx.test>, <sip:1427@pbx.test>;q=0.1\r\n");
    if (more & 32)
        buf_lit(&b, "Content-Disposition: early-session\r\n");
    if (more & 64)
        buf_lit(&b, "Content-Type: multipart/mixed;boundary=b\r\n\r\n"
                    "--b\r\nContent-Type: application/sdp\r\n\r\n"
                    "v=0\r\no=- 1 1 IN IP4 127.0.0.55\r\ns=-\r\nc=IN IP4 127.0.0.55\r\nt=0 0\r\n"
                    "m=audio 4000 RTP/AVP 0 8\r\n\r\n"
                    "--b\r\nContent-Type: application/sdp\r\n"
                    "Content-Disposition: early-session\r\n\r\n"
                    "v=0\r\no=- 2 1 IN IP4 127.0.0.55\r\ns=-\r\nc=IN IP4 127.0.0.55\r\nt=0 0\r\n"
                    "m=audio 4002 RTP/AVP 8\r\n\r\n--b--\r\n");
    else if (more & 1)
        buf_lit(&b,
                "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 127.0.0.55\r\ns=-\r\n"
                "c=IN IP4 127.0.0.55\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n");
    else
        buf_str_put(&b, extra);
    pbx_rx(w->pbx, w->now, &peer->flow, b.p, b.n);
}

static const char sdp[] =
    "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 2 IN IP4 127.0.0.55\r\n"
    "s=-\r\nc=IN IP4 127.0.0.55\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 96\r\n"
    "a=rtpmap:96 telephone-event/8000\r\n";

/* The value of a header line of the last request, with its name. */
static struct str line_of(struct str request, const char *name)
{
    ptrdiff_t at = str_ifind(request, str_z(name));
    struct str rest = at < 0 ? STR_NONE : str_from(request, (size_t)at + strlen(name));
    ptrdiff_t end = str_chr(rest, '\r');
    return end < 0 ? STR_NONE : str_sub(rest, 0, (size_t)end);
}

/* A request inside the dialog of the last request: From and To change places. */
static void ask(struct world *w, struct peer *peer)
{
    static const char *const methods[] = {"REFER",  "UPDATE", "PRACK", "BYE",
                                          "INVITE", "INFO",   "ACK",   "REFER"};
    struct str request = str_of(peer->last, peer->n);
    struct str from = line_of(request, "\r\nFrom: "), to = line_of(request, "\r\nTo: ");
    struct str id = line_of(request, "\r\nCall-ID: ");
    unsigned dice = take(w), tag = take(w), cseq = take(w);
    const char *method = methods[dice & 7];
    char mem[4096];
    struct buf b;
    if (!from.n || !to.n || !id.n)
        return;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(
        &b, "%s sip:x@127.0.0.104 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.55;branch=z9hG4bK%u-%u\r\n",
        method, cseq, dice);
    buf_lit(&b, "From: ");
    buf_str_put(&b, to);
    if (str_ifind(to, STR(";tag=")) < 0)
        buf_printf(&b, ";tag=t%u", tag & 3);
    buf_lit(&b, "\r\nTo: ");
    buf_str_put(&b, from);
    buf_lit(&b, "\r\nCall-ID: ");
    buf_str_put(&b, id);
    buf_printf(&b, "\r\nCSeq: %u %s\r\nContact: <sip:a@127.0.0.55>\r\nMax-Forwards: 9\r\n",
               cseq + 1, method);
    if (dice & 16)
        buf_lit(&b, "Refer-To: <sip:1428@pbx.test>\r\nSupported: timer, 100rel, from-change\r\n");
    else if (dice & 32) /* one of our own dialogs, or half of it */
        buf_printf(&b,
                   "Refer-To: <sip:1@pbx.test?Replaces=" STR_FMT "%%3Bto-tag%%3D" STR_FMT
                   "%%3Bfrom-tag%%3Dt%u>\r\n",
                   STR_ARG(id), STR_ARG(line_of(from, "tag=")), tag & 3);
    if (dice & 64)
        buf_printf(&b, "RAck: %u %u INVITE\r\nSession-Expires: %u\r\n", tag, cseq, 90 + tag);
    if (dice & 8)
        buf_lit(&b, "Content-Disposition: early-session\r\n");
    buf_z(&b, dice & 128 ? sdp : "\r\n");
    pbx_rx(w->pbx, w->now, &peer->flow, b.p, b.n);
}

/* The trunk calls somebody. */
static void call(struct world *w)
{
    static const char *const numbers[] = {"07086661427", "07086661428", "07086661400",
                                          "07086661500", "90212345678", "07086669999",
                                          "51",          "52"};
    unsigned dice = take(w), id = take(w);
    char mem[2048];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b,
               "INVITE sip:%s@127.0.0.104 SIP/2.0\r\n"
               "Via: SIP/2.0/UDP 127.0.0.77:5080;branch=z9hG4bKc%u\r\nFrom: <sip:010@x>;tag=a\r\n"
               "To: <sip:b@x>\r\nCall-ID: c%u\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
               "Contact: <sip:c@127.0.0.77:5080>\r\n",
               numbers[dice % ARRAY_LEN(numbers)], id, id);
    if (dice & 64)
        buf_lit(&b, "Supported: 100rel, timer, early-session\r\nSession-Expires: 100\r\n");
    buf_z(&b, dice & 128 ? "\r\n" : sdp);
    pbx_rx(w->pbx, w->now, &w->peer[0].flow, b.p, b.n);
}

/* What a bot, or its caller, does. */
static void bot_event(struct world *w, unsigned what)
{
    static const enum media_ev_kind kinds[] = {MEDIA_EV_DIGIT, MEDIA_EV_VOICE, MEDIA_EV_PLAYED,
                                               MEDIA_EV_FIRST};
    struct botlink_event link = {.kind = (enum botlink_event_kind)(what % BOTLINK_EV_CLOSED),
                                 .id = w->link};
    struct media_ev ev = {.kind = kinds[what & 3],
                          .id = w->stream,
                          .digit = "0123456789*#"[what % 12],
                          .talks = what & 4,
                          .token = take(w),
                          .voice = {.at = w->now, .stopped = what & 8, .stop_ms = 80}};
    if (what & 64) {
        pbx_media(w->pbx, w->now, &ev);
        return;
    }
    link.text = take_text(w);
    pbx_botlink(w->pbx, w->now, &link);
}

static void flow_event(struct world *w, struct peer *peer)
{
    unsigned what = take(w);
    if (what & 128) {
        bot_event(w, what & 127);
        return;
    }
    struct media_ev ev = {.kind = (enum media_ev_kind)(what % 7),
                          .id = take(w),
                          .family = 4,
                          .from = peer->flow.peer};
    if (ev.kind == MEDIA_EV_CLOSED || ev.kind == MEDIA_EV_PORTS)
        pbx_flow_failed(w->pbx, w->now, &peer->flow);
    else
        pbx_media(w->pbx, w->now, &ev);
}

static void api(struct world *w)
{
    static char mem[1 << 20];
    struct buf reply;
    buf_init(&reply, mem, sizeof(mem));
    pbx_api(w->pbx, w->now, take_text(w), &reply);
}

static void step(struct world *w)
{
    unsigned op = take(w);
    struct peer *peer = &w->peer[op >> 4 & 3];
    switch (op & 7) {
    case 0:
    case 1: {
        struct str text = take_text(w);
        pbx_rx(w->pbx, w->now, &peer->flow, text.p, text.n);
        break;
    }
    case 2:
    case 3:
        answer(w, peer);
        break;
    case 4:
        w->now += (usec_t)take(w) * (op & 8 ? 400 * USEC_MS : 5 * USEC_MS);
        pbx_tick(w->pbx, w->now);
        break;
    case 5:
        flow_event(w, peer);
        break;
    case 6:
        api(w);
        break;
    default:
        if (op & 128)
            ask(w, peer);
        else if (op & 64)
            call(w);
        else if (op & 8)
            pbx_bounced(w->pbx, w->now, peer->last, peer->n);
        else if (take(w) == 77)
            pbx_shutdown(w->pbx, w->now);
        break;
    }
    drain(w);
}

static void restore(struct world *w)
{
    const struct row_value row[] = {ROW_S(STR("sip:109Q1427@pbx.test")),
                                    ROW_S(STR("sip:109Q1427@127.0.0.55:5060")),
                                    ROW_S(STR("id")),
                                    ROW_I(1),
                                    ROW_I(1000000000000),
                                    ROW_I(1000),
                                    {0},
                                    ROW_S(STR("udp 0 127.0.0.55:5060")),
                                    {0},
                                    {0},
                                    {0}};
    pbx_restore(w->pbx, w->now, 0, row, 11);
    drain(w);
}

static struct config *config;

static void init(struct world *w)
{
    static const char *const addr[PEERS] = {"127.0.0.77:5080", "127.0.0.55:5060", "127.0.0.54:5060",
                                            "127.0.0.54:40000"};
    struct pbx_conf conf = {.config = config, .n_listeners = 2, .wall_us = 1000};
    struct config_errors *errors = malloc(sizeof(*errors));
    if (!config && config_load(&config, "fuzz", STR(yaml), errors))
        abort();
    free(errors);
    conf.config = config;
    for (unsigned i = 0; i < 2; i++)
        conf.listener[i] =
            (struct flow_listener){.proto = (uint8_t)i, .bound = config->sip.listen.v[i].addr};
    w->now = USEC_S;
    w->pbx = pbx_new(&conf, w->now);
    if (!w->pbx)
        abort();
    for (unsigned i = 0; i < PEERS; i++) {
        w->peer[i].flow = (struct flow){
            .proto = i == 3 ? PROTO_TCP : PROTO_UDP, .listener = i == 3, .conn = i == 3 ? 9 : 0};
        if (addr_parse_port(&w->peer[i].flow.peer, str_z(addr[i])))
            abort();
    }
    drain(w);
    restore(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    init(&w);
    w.p = data;
    w.n = size;
    for (unsigned i = 0; i < MAX_OPS && w.n; i++)
        step(&w);
    /* Quiet time: whatever was begun must end by itself. */
    pbx_shutdown(w.pbx, w.now);
    drain(&w);
    for (unsigned i = 0; i < 200 && pbx_deadline(w.pbx) != USEC_NEVER; i++) {
        w.now = pbx_deadline(w.pbx) > w.now ? pbx_deadline(w.pbx) : w.now;
        pbx_tick(w.pbx, w.now);
        drain(&w);
    }
    pbx_free(w.pbx);
    return 0;
}
