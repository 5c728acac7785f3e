/* The exchange without sockets: what one operation costs struct pbx alone, in memory. Phones and a
 * trunk answer at once, the clock is counted up by hand, and only the time spent inside the doors
 * of pbx.h is added up. A profiler sees nothing but the core.
 *
 *   bench_core reg|call [COUNT [STEP_US]]
 *
 * STEP_US is the virtual time between two operations [200]: it decides how many finished
 * transactions wait for their timers at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/num.h"
#include "load_req.h"
#include "pbx/pbx.h"

#define USERS       1000
#define FIRST       100000
#define CALLER_PORT 5071
#define PHONE_PORT  5072
#define SERVER_PORT 5060
#define MAILS       64 /* packets under way at a time: one operation makes a dozen */
#define MAIL_BYTES  4096
#define EVENTS      1024
#define STREAMS     4096

struct mail {
    size_t n;
    uint16_t port; /* whom of us it is for */
    char bytes[MAIL_BYTES];
};

struct bench {
    struct pbx *pbx;
    struct config *config;
    usec_t now, step;
    uint64_t spent_ns, clock_ns, inputs, sent, stored, commands, failed;
    uint16_t port_next, port_of[STREAMS]; /* by stream id, modulo */
    struct load_user user[USERS];
    struct load_req req;
    bool calls, finished;
    unsigned mail_head, mail_n, ev_head, ev_n;
    struct mail mail[MAILS];
    struct media_ev ev[EVENTS];
};

static uint64_t clock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_core: %s\n", what);
    exit(1);
}

/* ---- the media plane: ports by number, closed at once ---------------------------------------- */

static struct media_ev *event_new(struct bench *b, enum media_ev_kind kind)
{
    if (b->ev_n == EVENTS)
        die("too many media events");
    struct media_ev *ev = &b->ev[(b->ev_head + b->ev_n++) % EVENTS];
    *ev = (struct media_ev){.kind = kind, .family = ADDR_V4};
    return ev;
}

static void on_media(struct bench *b, const struct media_cmd *cmd)
{
    b->commands++;
    if (cmd->kind == MEDIA_OPEN)
        b->port_of[cmd->id % STREAMS] = cmd->port;
    if (cmd->kind == MEDIA_CLOSE) {
        struct media_ev *ev = event_new(b, MEDIA_EV_CLOSED);
        ev->id = cmd->id;
        ev->count = 1;
        ev->port[0] = b->port_of[cmd->id % STREAMS];
        return;
    }
    for (uint32_t left = cmd->kind == MEDIA_STOCK ? cmd->count : 0; left && b->port_next < 60000;) {
        struct media_ev *ev = event_new(b, MEDIA_EV_PORTS);
        for (; left && ev->count < MEDIA_EV_MAX_PORTS; left--, b->port_next += 2)
            ev->port[ev->count++] = b->port_next;
    }
}

/* ---- the doors, timed ------------------------------------------------------------------------ */

static void on_out(struct bench *b, struct pbx_out *o)
{
    if (o->kind == PBX_OUT_STORE)
        b->stored++;
    else if (o->kind == PBX_OUT_MEDIA)
        on_media(b, &o->media);
    if (o->kind != PBX_OUT_SEND)
        return;
    b->sent++;
    if (b->mail_n == MAILS || o->blob->n > MAIL_BYTES)
        die("too much mail");
    struct mail *m = &b->mail[(b->mail_head + b->mail_n++) % MAILS];
    m->n = o->blob->n;
    m->port = o->flow.peer.port;
    memcpy(m->bytes, o->blob->data, o->blob->n);
    blob_unref(o->blob);
}

static void drain(struct bench *b)
{
    static struct pbx_out o; /* large */
    for (;;) {
        uint64_t from = clock_now_ns();
        bool more = pbx_out(b->pbx, &o);
        b->spent_ns += clock_now_ns() - from - b->clock_ns;
        if (!more)
            return;
        on_out(b, &o);
    }
}

static void to_pbx(struct bench *b, uint16_t port, const struct buf *text)
{
    struct flow flow = {.proto = PROTO_UDP,
                        .peer = {.family = ADDR_V4, .port = port, .ip = {127, 0, 0, 1}}};
    if (text->full)
        die("message too long");
    b->inputs++;
    uint64_t from = clock_now_ns();
    pbx_rx(b->pbx, b->now, &flow, text->p, text->n);
    b->spent_ns += clock_now_ns() - from - b->clock_ns;
    drain(b);
}

static void tick(struct bench *b)
{
    uint64_t from = clock_now_ns();
    if (pbx_deadline(b->pbx) <= b->now)
        pbx_tick(b->pbx, b->now);
    b->spent_ns += clock_now_ns() - from - b->clock_ns;
    drain(b);
    while (b->ev_n) {
        struct media_ev ev = b->ev[b->ev_head];
        b->ev_head = (b->ev_head + 1) % EVENTS;
        b->ev_n--;
        from = clock_now_ns();
        pbx_media(b->pbx, b->now, &ev);
        b->spent_ns += clock_now_ns() - from - b->clock_ns;
        drain(b);
    }
}

/* ---- phones and trunk ------------------------------------------------------------------------ */

static void phone_rx(struct bench *b, const struct load_seen *m)
{
    static char mem[MAIL_BYTES];
    struct buf text;
    struct load_answer a = {.status = 200, .reason = "OK", .contact_port = PHONE_PORT};
    if (str_eq(m->method, STR("ACK")))
        return;
    if (str_eq(m->method, STR("INVITE"))) {
        a.status = 180;
        buf_init(&text, mem, sizeof(mem));
        load_answer(&text, m, &a);
        to_pbx(b, PHONE_PORT, &text);
        a.status = 200;
        a.sdp = true;
    }
    buf_init(&text, mem, sizeof(mem));
    load_answer(&text, m, &a);
    to_pbx(b, PHONE_PORT, &text);
}

static void phone_registers(struct bench *b, struct str challenge)
{
    static char mem[MAIL_BYTES];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    b->req.port = PHONE_PORT;
    load_register(&text, &b->req, challenge, 3600);
    to_pbx(b, PHONE_PORT, &text);
}

static void caller_says(struct bench *b, const char *method, const char *cseq)
{
    static char mem[MAIL_BYTES];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    b->req.port = CALLER_PORT;
    if (cseq)
        load_in_dialog(&text, &b->req, method, cseq);
    else
        load_invite(&text, &b->req, 30000);
    to_pbx(b, CALLER_PORT, &text);
}

static void response_rx(struct bench *b, const struct load_seen *m)
{
    bool invite = str_eq(m->cseq, STR("1 INVITE"));
    if (m->status < 200)
        return;
    if (m->status == 401 && str_starts(m->cseq, STR("1 "))) {
        phone_registers(b, m->challenge);
    } else if (m->status != 200 || (invite && !load_keep_dialog(&b->req, m))) {
        fprintf(stderr, "bench_core: %u to " STR_FMT "\n", m->status, STR_ARG(m->cseq));
        b->failed++;
    } else if (invite) {
        caller_says(b, "ACK", "1 ACK");
        caller_says(b, "BYE", "2 BYE");
    } else {
        b->finished = true;
    }
}

static void deliver(struct bench *b)
{
    static struct mail one;
    struct load_seen m;
    while (b->mail_n) {
        const struct mail *first = &b->mail[b->mail_head];
        one.n = first->n;
        memcpy(one.bytes, first->bytes, first->n);
        b->mail_head = (b->mail_head + 1) % MAILS;
        b->mail_n--;
        if (!load_msg_read(&m, str_of(one.bytes, one.n)))
            die("not SIP");
        if (m.status)
            response_rx(b, &m);
        else
            phone_rx(b, &m);
    }
}

static void operation(struct bench *b, bool call, unsigned i)
{
    b->req.user = &b->user[i % USERS];
    b->req.slot = 0;
    b->req.generation++;
    b->finished = false;
    if (call)
        caller_says(b, "INVITE", NULL);
    else
        phone_registers(b, STR_NONE);
    deliver(b);
    tick(b);
    deliver(b);
    if (!b->finished) {
        b->failed++;
        if (b->failed > 10)
            die("operations do not complete");
    }
    b->now += b->step;
}

/* ---- setting up ------------------------------------------------------------------------------ */

static struct config *config_make(void)
{
    static char mem[256 * 1024];
    static struct config_errors errs;
    struct config *c = NULL;
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "sip: {domain: 127.0.0.1, listen: [\"udp:127.0.0.1:5060\"]}\n"
                "media: {address: 127.0.0.1, ports: 20000-29999, rtp_timeout: 0}\n"
                "auth: {algorithms: [MD5]}\n"
                "limits: {transactions: 4000000, dialogs: 400000, requests_per_second: 0}\n"
                "log: {level: notice}\n"
                "trunks: [{name: line, uri: \"sip:127.0.0.1:5071\"}]\n"
                "trunk: {options_interval: 0}\n"
                "extensions:\n");
    for (unsigned i = 0; i < USERS; i++)
        buf_printf(&b, "  - {number: \"%u\", password: secret}\n", FIRST + i);
    if (b.full || config_load(&c, "bench", buf_str(&b), &errs)) {
        fprintf(stderr, "%s\n", errs.n ? errs.v[0].text : "configuration too long");
        die("configuration");
    }
    return c;
}

static void bench_init(struct bench *b)
{
    struct addr own = {.family = ADDR_V4, .port = SERVER_PORT, .ip = {127, 0, 0, 1}};
    b->config = config_make();
    struct pbx_conf conf = {.config = b->config, .n_listeners = 1, .wall_us = 1767225600000000};
    conf.listener[0] = (struct flow_listener){.proto = PROTO_UDP, .bound = own, .advertised = own};
    conf.local.n = 1;
    conf.local.a[0].ip = own;
    conf.local.a[0].prefix = 8;
    b->now = USEC_S;
    b->port_next = 20000;
    b->pbx = pbx_new(&conf, b->now);
    if (!b->pbx)
        die("out of memory");
    b->req.server_port = SERVER_PORT;
    for (unsigned i = 0; i < USERS; i++) {
        struct load_user *u = &b->user[i];
        struct buf text;
        buf_init(&text, u->number, sizeof(u->number) - 1);
        buf_u64(&text, FIRST + i);
        load_ha1(u->ha1, u->number, STR("127.0.0.1"), "secret");
    }
}

/* What reading the clock itself adds to a measured interval. */
static uint64_t clock_cost_ns(void)
{
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t from = clock_now_ns(), took = clock_now_ns() - from;
        best = took < best ? took : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    static struct bench b;
    uint64_t count = 20000, step = 200;
    bool call = argc > 1 && strcmp(argv[1], "call") == 0;
    if (argc < 2 || argc > 4 || (!call && strcmp(argv[1], "reg") != 0) ||
        (argc > 2 && num_u64(&count, str_z(argv[2]), 100000000)) ||
        (argc > 3 && num_u64(&step, str_z(argv[3]), 1000000)))
        die("usage: bench_core reg|call [COUNT [STEP_US]]");
    bench_init(&b);
    b.step = step;
    tick(&b);
    for (unsigned i = 0; i < USERS; i++)
        operation(&b, false, i);
    for (unsigned i = 0; call && i < count / 10; i++)
        operation(&b, true, i);
    b.clock_ns = clock_cost_ns();
    b.spent_ns = b.inputs = b.sent = b.stored = b.commands = 0;
    uint64_t heap = mem_requests();
    for (unsigned i = 0; i < count; i++)
        operation(&b, call, i);
    printf("%s: %.0f ns an operation, %.0f ns a message received; %.2f messages in, %.2f out, "
           "%.2f rows, %.2f media orders, heap requests %" PRIu64 ", failed %" PRIu64 "\n",
           argv[1], (double)b.spent_ns / (double)count, (double)b.spent_ns / (double)b.inputs,
           (double)b.inputs / (double)count, (double)b.sent / (double)count,
           (double)b.stored / (double)count, (double)b.commands / (double)count,
           mem_requests() - heap, b.failed);
    pbx_free(b.pbx);
    config_unref(b.config);
    return b.failed ? 1 : 0;
}
