/* gencap FILE CALLS [TALK_MS]: a capture of that many calls through a B2BUA, in pcap format on
 * Ethernet: a trunk calls phones, 50 calls a second, each rings for a second and talks for TALK_MS
 * (2340; 0: no RTP at all). Both legs are seen, with Call-IDs, tags, numbers and addresses of their
 * own and no header that ties them; RTP is G.711, renumbered by the exchange as it passes. The same
 * arguments give the same bytes. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_MS  20
#define EVERY_US   20000 /* between two calls */
#define RING_US    1000000
#define HOP_US     400 /* through the exchange */
#define SIP_STEPS  14
#define MAX_PACKET 2048
#define PAYLOAD    160

struct event {
    uint64_t at_us;
    uint32_t call,
        step; /* SIP step below SIP_STEPS, else packet step - SIP_STEPS of four streams */
};

static struct event *heap;
static uint32_t heap_n;
static FILE *out;
static uint32_t talk_packets;

static bool earlier(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->call < b->call;
}

static void push(struct event e)
{
    uint32_t i = heap_n++;
    for (; i > 0 && earlier(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
}

static struct event pop(void)
{
    struct event top = heap[0], last = heap[--heap_n];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < heap_n; i = child) {
        child += child + 1 < heap_n && earlier(&heap[child + 1], &heap[child]);
        if (!earlier(&heap[child], &last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* ---- packets --------------------------------------------------------------------------------- */

static void be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void be32(uint8_t *p, uint32_t v)
{
    be16(p, v >> 16);
    be16(p + 2, v);
}

struct end {
    uint32_t ip;
    uint16_t port;
};

#define EXCHANGE 0x0a000001u
#define TRUNK    0x0a000002u

static struct end phone_of(uint32_t call, uint16_t port)
{
    return (struct end){0x0a010000u + call % 5000, port};
}

static uint32_t sum16(const uint8_t *p, unsigned n)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void packet(uint64_t at_us, struct end src, struct end dst, const void *data, uint32_t n)
{
    static const uint8_t ether[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    uint8_t p[16 + 14 + 20 + 8] = {0};
    uint32_t head[4] = {(uint32_t)(at_us / 1000000), (uint32_t)(at_us % 1000000), n + 42, n + 42};
    memcpy(p, head, sizeof(head));
    memcpy(p + 16, ether, sizeof(ether));
    uint8_t *ip = p + 30, *udp = ip + 20;
    ip[0] = 0x45;
    be16(ip + 2, n + 28);
    ip[8] = 64;
    ip[9] = 17;
    be32(ip + 12, src.ip);
    be32(ip + 16, dst.ip);
    be16(ip + 10, sum16(ip, 20));
    be16(udp, src.port);
    be16(udp + 2, dst.port);
    be16(udp + 4, n + 8);
    fwrite(p, 1, sizeof(p), out);
    fwrite(data, 1, n, out);
}

static uint32_t hash(uint32_t a, uint32_t b)
{
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

/* ---- media ----------------------------------------------------------------------------------- */

/* The ports of a call: the exchange has two, one towards each side. */
static uint16_t port_of(uint32_t call, unsigned side)
{
    return (uint16_t)(20000 + call % 10000 * 4 + side * 2);
}

static void rtp(uint64_t at_us, uint32_t call, unsigned stream, uint32_t k)
{
    /* stream 0: trunk to exchange, 1: exchange to phone, 2: phone to exchange, 3: and to trunk */
    struct end trunk = {TRUNK, port_of(call, 0)}, phone = phone_of(call, 10000);
    struct end a = {EXCHANGE, port_of(call, 0)}, b = {EXCHANGE, port_of(call, 1)};
    struct end from[] = {trunk, b, phone, a}, to[] = {a, phone, b, trunk};
    uint8_t p[12 + PAYLOAD];
    p[0] = 0x80;
    p[1] = 8;
    be16(p + 2, hash(call, stream) + k);
    be32(p + 4, hash(call, stream + 8) + k * PAYLOAD);
    be32(p + 8, hash(call, stream + 16));
    for (unsigned i = 0; i < PAYLOAD; i += 4)
        be32(p + 12 + i, hash(call * 2 + stream / 2, k * 64 + i));
    packet(at_us, from[stream], to[stream], p, sizeof(p));
}

/* ---- SIP ------------------------------------------------------------------------------------- */

struct leg {
    struct end caller, callee; /* who sends the INVITE, who gets it */
    char call_id[80], from[120], to[120], uri[80];
    unsigned side; /* 0: trunk's, 1: phone's */
};

static void leg_of(struct leg *l, uint32_t call, unsigned side)
{
    struct end trunk = {TRUNK, 5060}, exchange = {EXCHANGE, 5060}, phone = phone_of(call, 5060);
    uint32_t caller = 10000000 + call * 7 % 90000000, ext = 1000 + call % 5000;
    l->side = side;
    l->caller = side ? exchange : trunk;
    l->callee = side ? phone : exchange;
    snprintf(l->call_id, sizeof(l->call_id), "%08x%08x%08x@10.0.0.%u", hash(call, 100 + side),
             hash(call, 200 + side), hash(call, 300 + side), side ? 1 : 2);
    snprintf(l->uri, sizeof(l->uri), side ? "sip:%u@10.1.%u.%u:5060" : "sip:070866%u@10.0.0.1", ext,
             phone.ip >> 8 & 255, phone.ip & 255);
    snprintf(l->from, sizeof(l->from), "\"010%u\" <sip:010%u@10.0.0.%u>;tag=%08x", caller, caller,
             side ? 1 : 2, hash(call, 400 + side));
    snprintf(l->to, sizeof(l->to), "<%s>", l->uri);
}

/* The SDP of who says it: each end names its own media address. */
static int sdp(char *b, size_t cap, uint32_t call, const struct leg *l, bool by_caller)
{
    struct end trunk = {TRUNK, port_of(call, 0)}, phone = phone_of(call, 10000);
    struct end own = {EXCHANGE, port_of(call, l->side)};
    struct end at = l->side ? (by_caller ? own : phone) : (by_caller ? trunk : own);
    return snprintf(b, cap,
                    "v=0\r\no=- %u 1 IN IP4 %u.%u.%u.%u\r\ns=-\r\nc=IN IP4 %u.%u.%u.%u\r\nt=0 0\r\n"
                    "m=audio %u RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
                    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
                    "a=sendrecv\r\n",
                    hash(call, 500 + l->side * 2 + by_caller), at.ip >> 24, at.ip >> 16 & 255,
                    at.ip >> 8 & 255, at.ip & 255, at.ip >> 24, at.ip >> 16 & 255, at.ip >> 8 & 255,
                    at.ip & 255, at.port);
}

/* status 0: a request. */
static void sip(uint64_t at_us, uint32_t call, unsigned side, const char *method, unsigned status)
{
    static const char *const reasons[] = {"Trying", "Ringing", "OK"};
    struct leg l;
    char b[MAX_PACKET], body[512], start[160];
    leg_of(&l, call, side);
    bool invite = !strcmp(method, "INVITE"), ack = !strcmp(method, "ACK");
    bool described = invite && (status == 0 || status == 200);
    int n_body = described ? sdp(body, sizeof(body), call, &l, status == 0) : 0;
    if (status)
        snprintf(start, sizeof(start), "SIP/2.0 %u %s", status,
                 reasons[status == 100   ? 0
                         : status == 180 ? 1
                                         : 2]);
    else
        snprintf(start, sizeof(start), "%s %s SIP/2.0", method, l.uri);
    bool tagged = (!invite || status > 100);
    int n = snprintf(b, sizeof(b),
                     "%s\r\nVia: SIP/2.0/UDP 10.0.0.%u:5060;branch=z9hG4bK%08x;rport\r\n"
                     "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s%s%s\r\nCall-ID: %s\r\n"
                     "CSeq: %u %s\r\nContact: <sip:10.0.0.%u:5060>\r\nUser-Agent: gencap\r\n"
                     "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE\r\n"
                     "Supported: timer, replaces\r\n%sContent-Length: %d\r\n\r\n%.*s",
                     start, side ? 1 : 2, hash(call, 600 + side + (ack ? 10u : 0) + !invite * 20u),
                     l.from, l.to, tagged ? ";tag=" : "", tagged ? "b2c" : "", l.call_id,
                     invite || ack ? 1 : 2, method, side ? 1 : 2,
                     described ? "Content-Type: application/sdp\r\n" : "", n_body, n_body, body);
    packet(at_us, status ? l.callee : l.caller, status ? l.caller : l.callee, b, (uint32_t)n);
}

struct step {
    const char *method;
    uint16_t status;
    uint8_t side;
    uint32_t after_us; /* the one before */
};

static const struct step steps[SIP_STEPS] = {
    {"INVITE", 0, 0, 0},        {"INVITE", 100, 0, 200},
    {"INVITE", 0, 1, HOP_US},   {"INVITE", 180, 1, 20000},
    {"INVITE", 180, 0, HOP_US}, {"INVITE", 200, 1, RING_US},
    {"ACK", 0, 1, HOP_US},      {"INVITE", 200, 0, HOP_US},
    {"ACK", 0, 0, 5000},        {"BYE", 0, 0, 0 /* talk */},
    {"BYE", 200, 0, 300},       {"BYE", 0, 1, HOP_US},
    {"BYE", 200, 1, 5000},      {NULL, 0, 0, 0},
};

static void run(struct event e)
{
    if (e.step >= SIP_STEPS) {
        uint32_t k = e.step - SIP_STEPS;
        for (unsigned s = 0; s < 4; s++)
            rtp(e.at_us + s * 150, e.call, s, k);
        if (k + 1 < talk_packets)
            push((struct event){e.at_us + PACKET_MS * 1000, e.call, e.step + 1});
        return;
    }
    const struct step *s = &steps[e.step];
    sip(e.at_us, e.call, s->side, s->method, s->status);
    if (e.step == 8 && talk_packets)
        push((struct event){e.at_us + 3000, e.call, SIP_STEPS});
    const struct step *next = s + 1;
    if (!next->method)
        return;
    uint64_t wait = e.step == 8 ? (uint64_t)(talk_packets + 2) * PACKET_MS * 1000 : next->after_us;
    push((struct event){e.at_us + wait, e.call, e.step + 1});
}

int main(int argc, char **argv)
{
    uint32_t calls = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t talk_ms = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 2340;
    out = argc > 2 && calls ? fopen(argv[1], "wb") : NULL;
    heap = calls ? malloc(2 * (size_t)calls * sizeof(*heap)) : NULL;
    if (!out || !heap) {
        fputs("usage: gencap FILE CALLS [TALK_MS]\n", stderr);
        return 2;
    }
    static const uint32_t head[6] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};
    fwrite(head, sizeof(head), 1, out);
    talk_packets = talk_ms / PACKET_MS;
    for (uint32_t i = 0; i < calls; i++)
        push((struct event){1700000000000000ull + (uint64_t)i * EVERY_US, i, 0});
    while (heap_n)
        run(pop());
    free(heap);
    return fclose(out) ? 1 : 0;
}
