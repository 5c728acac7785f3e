/* bench_live [CALLS_PER_SECOND [SECONDS_EACH [SECONDS [FEATURES]]]]: calls through an exchange go
 * by (two legs, four streams each) while an engine of the analyser hands over what is over, once a
 * virtual second. Prints what that costs of a core, and what the engine holds. FEATURES 1: each leg
 * names the other by X-CID; 2: half of the callers are anonymous. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "analysis/engine.h"
#include "analysis/keep_mem.h"
#include "base/be.h"

#define MS       1000000ull
#define SECOND   (1000 * MS)
#define PAYLOAD  160
#define EXCHANGE 1
#define TRUNK    2

static struct an_engine *e;
static uint64_t frame, now_ns, handed;
static unsigned features;

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint32_t hash(uint32_t a, uint32_t b)
{
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(h >> 32);
}

/* 10.0.0.1 is the exchange, 10.0.0.2 the trunk, phones are behind 10.1. */
static struct addr host(uint32_t n, uint16_t port)
{
    struct addr a = {.family = ADDR_V4, .port = port, .ip = {10}};
    a.ip[1] = (uint8_t)(n >> 16);
    a.ip[2] = (uint8_t)(n >> 8);
    a.ip[3] = (uint8_t)n;
    return a;
}

static uint32_t phone_of(uint32_t call)
{
    return 0x10000 + call % 5000;
}

static void put(struct an_datum *d, struct addr src, struct addr dst)
{
    d->at_ns = now_ns;
    d->frame = d->first_frame = ++frame;
    d->src = src;
    d->dst = dst;
    an_engine_rx(e, d);
}

static uint16_t port_of(uint32_t call, unsigned side)
{
    return (uint16_t)(10000 + call % 12000 * 4 + side * 2);
}

/* status 0: a request. side 0: of the trunk, 1: of the phone. */
static void sip(uint32_t call, unsigned side, const char *method, unsigned status)
{
    char b[2000], body[400] = "", start[100], more[100] = "";
    bool invite = method[0] == 'I', ack = method[0] == 'A', sdp = invite && status != 180;
    struct addr from = side ? host(EXCHANGE, 5060) : host(TRUNK, 5060);
    struct addr to = side ? host(phone_of(call), 5060) : host(EXCHANGE, 5060);
    unsigned ext = 1000 + call % 5000, caller = 10000000 + hash(call, 1) % 90000000;
    bool silent = (features & 2) && call % 2;
    if (sdp)
        snprintf(body, sizeof(body),
                 "v=0\r\no=- %u 1 IN IP4 10.0.0.%u\r\ns=-\r\nc=IN IP4 10.0.0.%u\r\nt=0 0\r\n"
                 "m=audio %u RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n",
                 hash(call, 500 + side * 2 + !status), (status ? !side : side) ? 1 : 2,
                 (status ? !side : side) ? 1 : 2, port_of(call, side) + (status ? 1 : 0));
    if (status)
        snprintf(start, sizeof(start), "SIP/2.0 %u %s", status, status == 180 ? "Ringing" : "OK");
    else
        snprintf(start, sizeof(start), "%s sip:%u@10.0.0.1 SIP/2.0", method, ext);
    if (features & 1)
        snprintf(more, sizeof(more), "X-CID: %08x%08x0@10.0.0.1\r\n", hash(call, 100),
                 hash(call, 200));
    int n =
        snprintf(b, sizeof(b),
                 "%s\r\nVia: SIP/2.0/UDP 10.0.0.%u:5060;branch=z9hG4bK%08x\r\nMax-Forwards: 70\r\n"
                 "From: <sip:%s%u@10.0.0.1>;tag=%08x\r\nTo: <sip:%u@10.0.0.1>%s\r\n"
                 "Call-ID: %08x%08x%u@10.0.0.1\r\nCSeq: %u %s\r\nContact: <sip:x@10.0.0.1>\r\n%s%s"
                 "Content-Length: %zu\r\n\r\n%s",
                 start, side ? 1 : 2, hash(call, 600 + side + (ack ? 10u : 0) + !invite * 20u),
                 silent ? "anonymous;x=" : "010", caller, hash(call, 400 + side), ext,
                 invite && !status ? "" : ";tag=b2c", hash(call, 100), hash(call, 200), side,
                 invite || ack ? 1 : 2, method, side ? more : "",
                 sdp ? "Content-Type: application/sdp\r\n" : "", strlen(body), body);
    struct an_datum d = {.kind = AN_SIP, .transport = AN_UDP, .bytes = str_of(b, (size_t)n)};
    if (status)
        put(&d, to, from);
    else
        put(&d, from, to);
}

static void rtp(uint32_t call, uint16_t k)
{
    for (unsigned side = 0; side < 2; side++)
        for (unsigned back = 0; back < 2; back++) {
            uint8_t p[12 + PAYLOAD] = {0x80, 8};
            be16_put(p + 2, k);
            be32_put(p + 4, k * PAYLOAD);
            be32_put(p + 8, hash(call, 16 + side * 2 + back));
            for (unsigned i = 0; i < PAYLOAD; i += 4)
                be32_put(p + 12 + i, hash(call * 2 + back, k * 64u + i));
            /* Each side of a leg names its port at its own address. */
            struct addr caller = host(side ? 1 : 2, port_of(call, side));
            struct addr callee = host(side ? 2 : 1, (uint16_t)(port_of(call, side) + 1));
            struct an_datum d = {.kind = AN_UDP_DATA, .bytes = str_of((char *)p, sizeof(p))};
            put(&d, back ? callee : caller, back ? caller : callee);
        }
}

/* ---- what happens when ----------------------------------------------------------------------- */

struct step {
    const char *method;
    uint16_t status;
    uint8_t side, phase; /* of phase 1 after the ringing, of phase 2 after the talk */
    uint8_t after_ms;
};

static const struct step steps[] = {
    {"INVITE", 0, 0, 0, 0},    {"INVITE", 0, 1, 0, 1},   {"INVITE", 180, 1, 0, 40},
    {"INVITE", 180, 0, 0, 41}, {"INVITE", 200, 1, 1, 0}, {"ACK", 0, 1, 1, 1},
    {"INVITE", 200, 0, 1, 1},  {"ACK", 0, 0, 1, 3},      {"BYE", 0, 0, 2, 0},
    {"BYE", 200, 0, 2, 1},     {"BYE", 0, 1, 2, 1},      {"BYE", 200, 1, 2, 3},
};
#define STEPS (sizeof(steps) / sizeof(*steps))

static uint32_t every_ms, each_ms; /* between calls; of a call, the mean */

static uint64_t ring_ms(uint32_t call)
{
    return 2000 + hash(call, 31) % 6000;
}

static uint64_t talk_ms(uint32_t call)
{
    return each_ms / 4 + hash(call, 32) % (each_ms + each_ms / 2);
}

static uint64_t step_ms(uint32_t call, unsigned i)
{
    uint64_t at = (uint64_t)call * every_ms + hash(call, 33) % every_ms + steps[i].after_ms;
    at += steps[i].phase > 0 ? ring_ms(call) : 0;
    return at + (steps[i].phase > 1 ? talk_ms(call) : 0);
}

/* Calls that are not over, by the step that comes next. */
struct live {
    uint32_t call;
    unsigned step;
    uint64_t at_ms;
};
static struct live *live;
static uint32_t n_live, cap_live, n_calls;

static void calls_begin(uint64_t ms)
{
    while ((uint64_t)n_calls * every_ms <= ms) {
        if (n_live == cap_live) {
            cap_live = cap_live ? 2 * cap_live : 1024;
            live = realloc(live, cap_live * sizeof(*live));
            if (!live)
                exit(2);
        }
        live[n_live++] = (struct live){n_calls, 0, step_ms(n_calls, 0)};
        n_calls++;
    }
}

/* A millisecond in which something happens is looked for among all: cheaper than what it is for. */
static void step_run(uint64_t ms)
{
    for (uint32_t i = n_live; i-- > 0;) {
        struct live *l = &live[i];
        while (l->step < STEPS && l->at_ms <= ms) {
            const struct step *s = &steps[l->step++];
            sip(l->call, s->side, s->method, s->status);
            l->at_ms = l->step < STEPS ? step_ms(l->call, l->step) : 0;
        }
        if (l->step == STEPS)
            *l = live[--n_live];
    }
}

static void media_run(uint64_t ms)
{
    for (uint32_t i = 0; i < n_live; i++)
        if (live[i].step == 8)
            rtp(live[i].call, (uint16_t)(ms / 1000));
}

static void done(void *user, struct an_engine *engine, uint32_t call, bool idle)
{
    (void)user, (void)idle;
    handed += an_engine_call(engine, call)->n_legs == 2;
}

static uint64_t arg(int argc, char **argv, int i, uint64_t none)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : none;
}

int main(int argc, char **argv)
{
    uint64_t rate = arg(argc, argv, 1, 100), each_s = arg(argc, argv, 2, 50);
    uint64_t whole_s = arg(argc, argv, 3, 60), rx_ns = 0, retire_ns = 0, most_ns = 0;
    features = (unsigned)arg(argc, argv, 4, 0);
    struct an_keep_mem *keep;
    if (!rate || rate > 1000 || an_keep_mem_new(&keep, 1u << 30))
        return 2;
    struct an_engine_args args = {.keep = an_keep_mem_ops(keep), .forgets = true, .seed = 1};
    if (an_engine_new(&e, &args))
        return 2;
    every_ms = (uint32_t)(1000 / rate);
    each_ms = (uint32_t)(each_s * 1000);
    uint64_t warm_ms = 2 * each_ms + 20000, end_ms = warm_ms + whole_s * 1000;
    for (uint64_t ms = 0; ms < end_ms; ms++) {
        uint64_t from = cpu_ns();
        now_ns = 1700000000 * SECOND + ms * MS;
        calls_begin(ms);
        step_run(ms);
        if (ms % 1000 == 0)
            media_run(ms);
        uint64_t mid = cpu_ns();
        struct an_retire r = {
            .now_ns = now_ns, .linger_ns = 10 * SECOND, .idle_ns = 3600 * SECOND, .done = done};
        if (ms % 1000 == 999 && an_engine_retire(e, &r))
            return 2;
        uint64_t took = cpu_ns() - mid;
        if (ms < warm_ms)
            continue;
        rx_ns += mid - from;
        retire_ns += took;
        most_ns = took > most_ns ? took : most_ns;
    }
    struct an_engine_size size;
    an_engine_size(e, &size);
    const struct an_engine_stats *s = an_engine_stats(e);
    printf("live %u calls, %" PRIu64 " a second: retire %.1f ms a second (%.2f %% of a "
           "core, at most %.1f ms at once), messages and packets %.1f ms\n",
           n_live, rate, (double)retire_ns / 1e6 / (double)whole_s,
           (double)retire_ns / 1e7 / (double)whole_s, (double)most_ns / 1e6,
           (double)rx_ns / 1e6 / (double)whole_s);
    printf("  %u legs, %u streams, %.1f MB, %.1f MB kept; handed over %" PRIu64 ", of them %" PRIu64
           " with both legs\n",
           size.legs, size.streams, (double)size.bytes / 1e6,
           (double)an_keep_mem_stats(keep).bytes / 1e6, s->calls_retired, handed);
    an_engine_free(e);
    an_keep_mem_free(keep);
    free(live);
    return 0;
}
