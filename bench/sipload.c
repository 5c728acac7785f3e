/* Phones and a trunk as far as a SIP server can tell: registrations with digest, and calls of which
 * it plays both ends. One thread, batched UDP, no retransmissions: what is lost counts as failed.
 *
 *   sipload reg|call|hold [OPTION VALUE]...        see usage()
 *
 * reg: REGISTER, 401, REGISTER, 200. call: INVITE, 180, 200, ACK, BYE, 200. hold: the same, but the
 * calls stand until a line or the end of standard input. The last line it prints is JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "load_msg.h"
#include "load_net.h"
#include "load_req.h"

enum mode { MODE_REG, MODE_CALL, MODE_HOLD };
enum op_state { OP_FREE, OP_REGISTER, OP_AUTHORIZED, OP_INVITE, OP_HELD, OP_BYE };

#define STARTS_A_TURN 64
#define SCAN_US       200000u
#define LINGER_US     100000u /* callees still answer when the last caller is done */

struct op {
    uint8_t state;
    uint64_t started_us, last_us;
    struct load_req req;
};

struct options {
    enum mode mode;
    uint64_t count, window, rate, users, first, timeout_ms, seconds, expires;
    uint64_t server_port, caller_port, phone_port, rtp_port;
    const char *realm, *password;
};

struct load {
    struct options o;
    struct sockaddr_in server;
    struct load_sock *caller, *phone;
    struct load_user *user;
    struct op *op;
    uint32_t *free_op;
    uint32_t n_free, generation;
    uint64_t now_us, began_us, ended_us, scanned_us;
    uint64_t started, done, failed, timeouts, held, requests;
    uint64_t status[7];
    uint32_t *latency_us;
    uint64_t n_latencies;
    bool hanging_up;
};

static uint64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- the life of an operation ---------------------------------------------------------------- */

static void send_register(struct load *l, struct op *op, struct str challenge)
{
    struct buf b;
    load_sock_take(l->phone, &l->server, &b);
    load_register(&b, &op->req, challenge, (unsigned)l->o.expires);
    load_sock_put(l->phone, &b);
    op->state = challenge.p ? OP_AUTHORIZED : OP_REGISTER;
}

static void send_invite(struct load *l, struct op *op)
{
    struct buf b;
    load_sock_take(l->caller, &l->server, &b);
    load_invite(&b, &op->req, (unsigned)l->o.rtp_port);
    load_sock_put(l->caller, &b);
    op->state = OP_INVITE;
}

static void send_in_dialog(struct load *l, struct op *op, const char *method, const char *cseq)
{
    struct buf b;
    load_sock_take(l->caller, &l->server, &b);
    load_in_dialog(&b, &op->req, method, cseq);
    load_sock_put(l->caller, &b);
}

static void send_failure_ack(struct load *l, const struct op *op, struct str to)
{
    struct buf b;
    load_sock_take(l->caller, &l->server, &b);
    load_failure_ack(&b, &op->req, to);
    load_sock_put(l->caller, &b);
}

static void op_end(struct load *l, struct op *op, bool ok)
{
    if (op->state == OP_HELD)
        l->held--;
    if (ok)
        l->done++;
    else
        l->failed++;
    op->state = OP_FREE;
    l->free_op[l->n_free++] = (uint32_t)(op - l->op);
}

static void op_start(struct load *l)
{
    struct op *op = &l->op[l->free_op[--l->n_free]];
    op->req.generation = l->generation++;
    op->req.user = &l->user[l->started++ % l->o.users];
    op->started_us = op->last_us = l->now_us;
    if (l->o.mode == MODE_REG)
        send_register(l, op, STR_NONE);
    else
        send_invite(l, op);
}

static void note_latency(struct load *l, const struct op *op)
{
    if (l->n_latencies < l->o.count)
        l->latency_us[l->n_latencies++] = (uint32_t)(l->now_us - op->started_us);
}

static void on_register(struct load *l, struct op *op, const struct load_seen *m)
{
    if (m->status == 401 && op->state == OP_REGISTER && m->challenge.p) {
        send_register(l, op, m->challenge);
        return;
    }
    note_latency(l, op);
    op_end(l, op, m->status == 200);
}

static void hang_up(struct load *l, struct op *op)
{
    l->held -= op->state == OP_HELD;
    op->state = OP_BYE;
    op->last_us = l->now_us;
    send_in_dialog(l, op, "BYE", "2 BYE");
}

static void on_invite(struct load *l, struct op *op, const struct load_seen *m)
{
    if (m->status >= 300) {
        send_failure_ack(l, op, m->to);
        op_end(l, op, false);
        return;
    }
    note_latency(l, op);
    if (!load_keep_dialog(&op->req, m)) {
        op_end(l, op, false);
        return;
    }
    send_in_dialog(l, op, "ACK", "1 ACK");
    if (l->o.mode == MODE_CALL) {
        hang_up(l, op);
    } else {
        op->state = OP_HELD;
        l->held++;
    }
}

static struct op *op_of(struct load *l, struct str call_id)
{
    uint64_t at, generation;
    ptrdiff_t dash = str_chr(call_id, '-');
    if (dash < 2 || call_id.p[0] != 's' ||
        num_u64(&at, str_sub(call_id, 1, (size_t)dash - 1), UINT32_MAX) ||
        num_u64(&generation, str_from(call_id, (size_t)dash + 1), UINT32_MAX) || at >= l->o.window)
        return NULL;
    struct op *op = &l->op[at];
    return op->state != OP_FREE && op->req.generation == generation ? op : NULL;
}

static void on_response(struct load *l, const struct load_seen *m)
{
    struct op *op = op_of(l, m->call_id);
    if (m->status < 200 || !op)
        return;
    char cseq = m->cseq.p[0];
    l->status[m->status / 100]++;
    op->last_us = l->now_us;
    if ((op->state == OP_REGISTER && cseq == '1') || (op->state == OP_AUTHORIZED && cseq == '2'))
        on_register(l, op, m);
    else if (op->state == OP_INVITE && cseq == '1')
        on_invite(l, op, m);
    else if (op->state == OP_BYE && cseq == '2')
        op_end(l, op, m->status == 200);
}

static void answer(struct load_sock *s, const struct sockaddr_in *to, const struct load_seen *m,
                   const struct load_answer *a)
{
    struct buf b;
    load_sock_take(s, to, &b);
    load_answer(&b, m, a);
    load_sock_put(s, &b);
}

static void on_request(struct load *l, struct load_sock *s, const struct sockaddr_in *from,
                       const struct load_seen *m)
{
    l->requests++;
    if (str_eq(m->method, STR("ACK")))
        return;
    struct load_answer a = {.status = 200, .reason = "OK", .contact_port = s->port};
    if (str_eq(m->method, STR("INVITE"))) {
        struct load_answer ringing = {.status = 180, .reason = "Ringing", .contact_port = s->port};
        answer(s, from, m, &ringing);
        a.sdp = true;
    }
    answer(s, from, m, &a);
}

static unsigned receive(struct load *l, struct load_sock *s)
{
    struct load_seen m;
    unsigned n = load_sock_rx(s);
    for (unsigned i = 0; i < n; i++) {
        if (!load_msg_read(&m, load_sock_msg(s, i)))
            continue;
        if (m.status)
            on_response(l, &m);
        else
            on_request(l, s, &s->rx_from[i], &m);
    }
    return n;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void start_some(struct load *l)
{
    uint64_t allowed = l->o.count - l->started;
    if (l->o.rate) {
        uint64_t due = (l->now_us - l->began_us) * l->o.rate / 1000000 + 1;
        due = due > l->started ? due - l->started : 0;
        allowed = due < allowed ? due : allowed;
    }
    for (unsigned i = 0; i < STARTS_A_TURN && i < allowed && l->n_free; i++)
        op_start(l);
}

static void reap(struct load *l)
{
    if (l->now_us - l->scanned_us < SCAN_US)
        return;
    l->scanned_us = l->now_us;
    for (uint64_t i = 0; i < l->o.window; i++) {
        struct op *op = &l->op[i];
        if (op->state == OP_FREE || op->state == OP_HELD ||
            l->now_us - op->last_us < l->o.timeout_ms * 1000)
            continue;
        l->timeouts++;
        op_end(l, op, false);
    }
}

static void hang_up_some(struct load *l)
{
    unsigned n = 0;
    for (uint64_t i = 0; i < l->o.window && n < STARTS_A_TURN; i++)
        if (l->op[i].state == OP_HELD) {
            hang_up(l, &l->op[i]);
            n++;
        }
}

static void wait_for(struct load *l)
{
    bool waits = l->o.mode == MODE_HOLD && l->held && !l->hanging_up;
    struct pollfd p[3] = {{.fd = l->caller->fd, .events = POLLIN},
                          {.fd = l->phone->fd, .events = POLLIN},
                          {.fd = 0, .events = POLLIN}};
    struct timespec t = {.tv_nsec = 10000000};
    bool more = l->started < l->o.count && l->n_free;
    if (more)
        t.tv_nsec = l->o.rate ? 200000 : 0;
    ppoll(p, waits ? 3 : 2, &t, NULL);
    if (waits && p[2].revents)
        l->hanging_up = true;
}

static bool over(struct load *l)
{
    if (l->now_us - l->began_us > l->o.seconds * 1000000)
        return true;
    if (l->done + l->failed < l->o.count)
        return false;
    if (!l->ended_us)
        l->ended_us = l->now_us;
    return l->now_us - l->ended_us > LINGER_US;
}

static void run(struct load *l)
{
    bool said = false;
    l->began_us = l->scanned_us = clock_us(CLOCK_MONOTONIC);
    for (;;) {
        l->now_us = clock_us(CLOCK_MONOTONIC);
        start_some(l);
        if (l->hanging_up)
            hang_up_some(l);
        reap(l);
        if (over(l))
            return;
        load_sock_flush(l->caller);
        load_sock_flush(l->phone);
        unsigned got = receive(l, l->caller) + receive(l, l->phone);
        load_sock_flush(l->caller);
        load_sock_flush(l->phone);
        if (l->o.mode == MODE_HOLD && !said && l->held + l->failed == l->o.count) {
            said = true;
            printf("held %" PRIu64 "\n", l->held);
            fflush(stdout);
        }
        if (!got)
            wait_for(l);
    }
}

/* ---- options and result ---------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const struct load *l, unsigned percent)
{
    return l->n_latencies ? l->latency_us[(l->n_latencies - 1) * percent / 100] / 1e3 : 0;
}

static void report(struct load *l)
{
    uint64_t ran = (l->ended_us ? l->ended_us : l->now_us) - l->began_us;
    uint64_t cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    qsort(l->latency_us, l->n_latencies, sizeof(*l->latency_us), by_value);
    printf("{\"started\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
           ",\"timeouts\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.0f"
           ",\"generator_us\":%.2f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"finals\":[%" PRIu64 ",%" PRIu64
           ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]}\n",
           l->started, l->done, l->failed, l->timeouts, l->requests, (double)ran / 1e6,
           ran ? (double)l->done * 1e6 / (double)ran : 0,
           l->done ? (double)cpu / (double)l->done : 0, percentile_ms(l, 50), percentile_ms(l, 99),
           l->status[2], l->status[3], l->status[4], l->status[5], l->status[6]);
}

static void usage(void)
{
    fputs("usage: sipload reg|call|hold [OPTION VALUE]...\n"
          "  -n COUNT       operations [10000]      -w WINDOW   at a time [100]\n"
          "  -r RATE        starts a second [0: as the window allows]\n"
          "  -u USERS       numbers used [1000]     -f FIRST    the first of them [100000]\n"
          "  -t PORT        server [5060]           -p PORT     callers send from [5071]\n"
          "  -q PORT        phones [5072]           -m PORT     RTP port in offers [30000]\n"
          "  -T MS          given up after [4000]   -D SECONDS  the run ends after [60]\n"
          "  -e SECONDS     Expires [3600]\n"
          "  -R REALM       [127.0.0.1]             -P PASSWORD [secret]\n",
          stderr);
    exit(2);
}

static bool option(struct options *o, int c, const char *value)
{
    const struct {
        char c;
        uint64_t *at;
    } numbers[] = {{'n', &o->count},       {'w', &o->window},     {'r', &o->rate},
                   {'u', &o->users},       {'f', &o->first},      {'t', &o->server_port},
                   {'p', &o->caller_port}, {'q', &o->phone_port}, {'m', &o->rtp_port},
                   {'T', &o->timeout_ms},  {'D', &o->seconds},    {'e', &o->expires}};
    if (c == 'R')
        o->realm = value;
    else if (c == 'P')
        o->password = value;
    if (c == 'R' || c == 'P')
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].c == c)
            return num_u64(numbers[i].at, str_z(value), UINT32_MAX) == 0;
    return false;
}

static struct options options_of(int argc, char **argv)
{
    static const char *const modes[] = {"reg", "call", "hold"};
    struct options o = {.count = 10000,
                        .window = 100,
                        .users = 1000,
                        .first = 100000,
                        .timeout_ms = 4000,
                        .seconds = 60,
                        .expires = 3600,
                        .server_port = 5060,
                        .caller_port = 5071,
                        .phone_port = 5072,
                        .rtp_port = 30000,
                        .realm = "127.0.0.1",
                        .password = "secret"};
    unsigned mode = 0;
    while (argc > 1 && mode < 3 && strcmp(argv[1], modes[mode]) != 0)
        mode++;
    if (argc < 2 || mode == 3)
        usage();
    o.mode = (enum mode)mode;
    int c;
    optind = 2;
    while ((c = getopt(argc, argv, "n:w:r:u:f:t:p:q:m:T:D:e:R:P:")) != -1)
        if (!option(&o, c, optarg))
            usage();
    if (optind != argc || !o.count || !o.window || !o.users)
        usage();
    if (o.mode == MODE_HOLD)
        o.window = o.count;
    return o;
}

static void users_make(struct load *l)
{
    for (uint64_t i = 0; i < l->o.users; i++) {
        struct load_user *u = &l->user[i];
        struct buf b;
        buf_init(&b, u->number, sizeof(u->number) - 1);
        buf_u64(&b, l->o.first + i);
        u->number[b.n] = '\0';
        if (l->o.mode == MODE_REG)
            load_ha1(u->ha1, u->number, str_z(l->o.realm), l->o.password);
    }
}

static void ops_make(struct load *l)
{
    uint64_t port = l->o.mode == MODE_REG ? l->o.phone_port : l->o.caller_port;
    for (uint64_t i = l->o.window; i-- > 0;) {
        l->free_op[l->n_free++] = (uint32_t)i;
        l->op[i].req = (struct load_req){
            .slot = (uint32_t)i, .port = (uint16_t)port, .server_port = (uint16_t)l->o.server_port};
    }
}

int main(int argc, char **argv)
{
    struct load l = {.o = options_of(argc, argv)};
    l.user = calloc(l.o.users, sizeof(*l.user));
    l.op = calloc(l.o.window, sizeof(*l.op));
    l.free_op = calloc(l.o.window, sizeof(*l.free_op));
    l.latency_us = calloc(l.o.count, sizeof(*l.latency_us));
    /* Two runs against one server must not share transactions. */
    if (!l.user || !l.op || !l.free_op || !l.latency_us ||
        getrandom(&l.generation, sizeof(l.generation), 0) != (ssize_t)sizeof(l.generation)) {
        perror("sipload");
        return 1;
    }
    l.server =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)l.o.server_port)};
    l.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ops_make(&l);
    users_make(&l);
    l.caller = load_sock_open((uint16_t)l.o.caller_port);
    l.phone = load_sock_open((uint16_t)l.o.phone_port);
    run(&l);
    report(&l);
    return l.failed || l.done < l.o.count ? 1 : 0;
}
