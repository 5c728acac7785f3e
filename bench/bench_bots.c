/* bench_bots [CALLS] [SECONDS]: so many callers talk to stream bots at a time, all at a pace of 20
 * ms, through the media thread and the thread of the bots as the program has them, over loopback.
 * Callers and bots are in this process, in a thread of their own, and cost is told by thread. Each
 * bot speaks without end; each caller interrupts it every three seconds. One line of JSON. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/botlink.h"
#include "wire/twilio/twilio.h"
#include "wire/ws/ws.h"

#define MOST    500
#define FIRST   30000
#define PERIOD  150 /* packets from one interruption to the next */
#define SPOKEN  30  /* of them, those that are spoken */
#define SAMPLES 200000
#define STOPPED 300000 /* what is heard later is the bot again, us */

struct call {
    int rtp, ws;
    uint16_t port;
    unsigned seq, media;      /* sent by the caller; messages that the bot got */
    usec_t due, bot_due;      /* when each speaks next */
    usec_t spoke, loud, came; /* first voiced packet; last loud one heard; last packet heard */
    bool shook, heard_before, up;
    char in[8192];
    size_t n;
};

static struct call call[MOST];
static unsigned calls = 100, opened, closed, failed;
static struct botlinks *links;
static struct botlink_figures total;
static double stops[SAMPLES], plane_stops[SAMPLES], gaps[SAMPLES];
static unsigned n_stops, n_plane_stops, n_gaps;
static int listener;
static char media[512]; /* the bot's message, as a frame */
static size_t media_n;

static void on_event(void *ctx, const struct botlink_event *ev)
{
    (void)ctx;
    struct call *c = &call[ev->id - 1];
    if (ev->kind == BOTLINK_EV_OPENED) {
        struct botlink_cmd start = {.kind = BOTLINK_START, .id = ev->id, .media = ev->id};
        botlinks_cmd(links, &start, NULL);
        c->up = true;
        opened++;
    } else if (ev->kind == BOTLINK_EV_CLOSED) {
        closed++;
        total.underruns += ev->figures.underruns;
        total.dropped += ev->figures.dropped;
        total.errors += ev->figures.errors;
        total.reconnects += ev->figures.reconnects;
    } else if (ev->kind == BOTLINK_EV_FAILED || ev->kind == BOTLINK_EV_LOST) {
        failed++;
    }
}

static usec_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * USEC_S + (usec_t)t.tv_nsec / 1000;
}

static int bound(int kind, uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    int fd = socket(AF_INET, kind | SOCK_NONBLOCK, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, n) ||
        getsockname(fd, (struct sockaddr *)&sa, &n))
        exit(1);
    *port = ntohs(sa.sin_port);
    return fd;
}

/* ---- the bots -------------------------------------------------------------------------------- */

static void media_make(void)
{
    uint8_t sound[160];
    struct buf b;
    for (unsigned i = 0; i < 160; i++)
        sound[i] = i % 8 < 4 ? 0x10 : 0x90;
    buf_init(&b, media + 4, sizeof(media) - 4);
    buf_z(&b, "{\"event\":\"media\",\"media\":{\"payload\":\"");
    base64_put(&b, sound, sizeof(sound));
    buf_z(&b, "\"}}");
    media[0] = (char)0x81;
    media[1] = 126;
    media[2] = (char)(b.n >> 8);
    media[3] = (char)b.n;
    media_n = b.n + 4;
}

static void shake(struct call *c)
{
    uint8_t sha[20];
    char key[128], accept[64], reply[256];
    struct buf b;
    struct str r = str_of(c->in, c->n);
    ptrdiff_t at = str_ifind(r, STR("sec-websocket-key: "));
    if (str_ifind(r, STR("\r\n\r\n")) < 0 || at < 0)
        return;
    snprintf(key, sizeof(key), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", c->in + at + 19);
    SHA1((const uint8_t *)key, strlen(key), sha);
    buf_init(&b, accept, sizeof(accept) - 1);
    base64_put(&b, sha, sizeof(sha));
    accept[b.n] = '\0';
    int n = snprintf(reply, sizeof(reply),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                     "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    c->shook = write(c->ws, reply, (size_t)n) == n;
    c->n = 0;
    c->bot_due = now_us();
}

/* Counts whole messages. */
static void bot_read(struct call *c)
{
    struct ws_frame f;
    ssize_t got = recv(c->ws, c->in + c->n, sizeof(c->in) - c->n, 0);
    c->n += got > 0 ? (size_t)got : 0;
    if (!c->shook) {
        shake(c);
        return;
    }
    size_t at = 0;
    while (ws_frame_head(&f, (uint8_t *)c->in + at, c->n - at) == 1 &&
           c->n - at >= f.head_bytes + f.n) {
        at += f.head_bytes + f.n;
        c->media++;
    }
    memmove(c->in, c->in + at, c->n - at);
    c->n -= at;
}

static void bot_turn(struct call *c, usec_t now)
{
    bot_read(c);
    for (; c->shook && c->up && c->bot_due <= now; c->bot_due += 20 * USEC_MS)
        (void)!write(c->ws, media, media_n);
}

/* ---- the callers ----------------------------------------------------------------------------- */

static bool speaks(const struct call *c)
{
    return c->seq % PERIOD >= PERIOD - SPOKEN;
}

static void caller_say(struct call *c, usec_t now)
{
    uint8_t p[172] = {0x80, 0, (uint8_t)(c->seq >> 8), (uint8_t)c->seq};
    uint32_t ts = c->seq * 160;
    unsigned period = 30 + c->seq * 7 % 20; /* a voice changes in pitch and strength */
    uint8_t high = (uint8_t)(0x20 + c->seq * 5 % 13);
    for (unsigned i = 0; i < 4; i++)
        p[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
    for (unsigned i = 0; i < 160; i++)
        p[12 + i] = !speaks(c) ? 0xFF : i % period < period / 2 ? high : high | 0x80;
    if (c->seq % PERIOD == PERIOD - SPOKEN) {
        c->heard_before = c->loud && now < c->loud + 60 * USEC_MS;
        c->spoke = now;
    }
    c->seq++;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)!sendto(c->rtp, p, sizeof(p), 0, (struct sockaddr *)&sa, sizeof(sa));
}

/* From the first sample spoken, 20 ms before its packet left, to the end of the last loud packet.
 */
static void stop_note(struct call *c, usec_t now)
{
    if (!c->spoke || now < c->spoke + STOPPED)
        return;
    if (c->heard_before && n_stops < SAMPLES)
        stops[n_stops++] = (double)(int64_t)(c->loud + 40 * USEC_MS - c->spoke) / 1000;
    c->spoke = 0;
}

static void caller_hear(struct call *c, usec_t now)
{
    uint8_t p[2048];
    while (recv(c->rtp, p, sizeof(p), 0) == 172) {
        unsigned loud = 0;
        for (unsigned i = 12; i < 172; i++)
            loud += (p[i] & 0x7F) < 0x60;
        if (c->came && n_gaps < SAMPLES)
            gaps[n_gaps++] = (double)(now - c->came) / 1000;
        c->came = now;
        if (loud > 20 && (!c->spoke || now < c->spoke + STOPPED))
            c->loud = now;
    }
}

static void caller_turn(struct call *c, usec_t now)
{
    caller_hear(c, now);
    stop_note(c, now);
    for (; c->due <= now; c->due += 20 * USEC_MS)
        caller_say(c, now);
}

/* ---- the bench ------------------------------------------------------------------------------- */

static void order(struct media_thread *t, struct media_cmd c)
{
    while (media_thread_send(t, &c, 1) != 1)
        usleep(1000);
}

static void stream_open(struct media_thread *t, unsigned i)
{
    uint16_t port;
    struct call *c = &call[i];
    media_id id = i + 1;
    c->rtp = bound(SOCK_DGRAM, &port);
    c->ws = -1;
    order(t, (struct media_cmd){.kind = MEDIA_OPEN, .id = id, .port = c->port, .family = ADDR_V4});
    order(t, (struct media_cmd){.kind = MEDIA_SET,
                                .id = id,
                                .rtp = {.family = ADDR_V4, .port = port, .ip = {127, 0, 0, 1}},
                                .receiving = true,
                                .sending = true});
    struct media_cmd f = {.kind = MEDIA_FORMAT, .id = id, .n_rx = 1, .n_tx = 1};
    f.rx[0] = f.tx[0] = (struct media_format){.codec = CODEC_PCMU, .clock_hz = 8000};
    order(t, f);
    struct media_cmd tap = {.kind = MEDIA_TAP, .id = id, .on = true};
    tap.tap.link = id;
    tap.tap.sound = tap.tap.voice = tap.tap.barge_in = true;
    order(t, tap);
}

static void ports_take(struct media_thread *t)
{
    struct media_ev ev;
    unsigned n = 0;
    order(t, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = calls});
    while (n < calls) {
        struct pollfd p = {.fd = media_thread_fd(t), .events = POLLIN};
        if (poll(&p, 1, 5000) != 1)
            exit(1);
        while (media_thread_poll(t, &ev, 1))
            for (unsigned i = 0; i < ev.count && n < calls; i++)
                call[n++].port = ev.port[i];
    }
}

static void bots_open(uint16_t port)
{
    char url[64];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", port);
    for (unsigned i = 0; i < calls; i++) {
        struct botlink_cmd c = {
            .kind = BOTLINK_OPEN, .id = i + 1, .open_ms = 5000, .url = str_z(url)};
        botlinks_cmd(links, &c, NULL);
    }
}

/* CPU time of the thread of this name, seconds. */
static double cpu_of(const char *name)
{
    double ret = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], line[512] = "", want[64];
        unsigned long user, sys;
        snprintf(path, sizeof(path), "/proc/self/task/%s/stat", e->d_name);
        FILE *f = fopen(path, "r");
        char *got = f ? fgets(line, sizeof(line), f) : NULL;
        if (f)
            fclose(f);
        snprintf(want, sizeof(want), "(%s)", name);
        char *at = got ? strstr(line, want) : NULL;
        if (at && sscanf(at + strlen(want), " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                         &user, &sys) == 2)
            ret += (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
    }
    if (d)
        closedir(d);
    return ret;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double part(double *v, unsigned n, double share)
{
    qsort(v, n, sizeof(*v), by_size);
    return n ? v[(unsigned)((n - 1) * share)] : 0;
}

static void voices_take(struct media_thread *t)
{
    struct media_ev ev;
    while (media_thread_poll(t, &ev, 1))
        if (ev.kind == MEDIA_EV_VOICE && ev.voice.stopped && n_plane_stops < SAMPLES)
            plane_stops[n_plane_stops++] = ev.voice.stop_ms;
}

static void turn(struct loop *loop, struct media_thread *t)
{
    static unsigned next;
    int fd = next < calls ? accept4(listener, NULL, NULL, SOCK_NONBLOCK) : -1;
    int on = 1;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        call[next++].ws = fd;
    }
    loop_run_once(loop, 1);
    voices_take(t);
    for (unsigned i = 0; i < calls; i++) {
        usec_t now = now_us();
        if (call[i].ws >= 0)
            bot_turn(&call[i], now);
        caller_turn(&call[i], now);
    }
}

static void report(unsigned seconds, double rtp, double web)
{
    uint64_t got = 0;
    for (unsigned i = 0; i < calls; i++)
        got += call[i].media;
    printf(
        "{\"calls\": %u, \"seconds\": %u, \"opened\": %u, \"failed\": %u, \"to_bots_per_s\": %.0f, "
        "\"underruns\": %u, \"dropped\": %u, \"errors\": %u, \"reconnects\": %u, "
        "\"media_cpu_percent_a_call\": %.3f, \"web_cpu_percent_a_call\": %.3f, "
        "\"interruptions\": %u, \"stop_ms_p50\": %.1f, \"stop_ms_p99\": %.1f, "
        "\"plane_stop_ms_p50\": %.0f, \"plane_stop_ms_p99\": %.0f, "
        "\"gap_ms_p99\": %.1f, \"gap_ms_max\": %.1f}\n",
        calls, seconds, opened, failed, (double)got / seconds, total.underruns, total.dropped,
        total.errors, total.reconnects, rtp / seconds / calls * 100, web / seconds / calls * 100,
        n_stops, part(stops, n_stops, 0.5), part(stops, n_stops, 0.99),
        part(plane_stops, n_plane_stops, 0.5), part(plane_stops, n_plane_stops, 0.99),
        part(gaps, n_gaps, 0.99), part(gaps, n_gaps, 1));
}

int main(int argc, char **argv)
{
    struct loop *loop;
    struct media_thread *t;
    uint16_t port;
    calls = argc > 1 ? (unsigned)atoi(argv[1]) : calls;
    unsigned seconds = argc > 2 ? (unsigned)atoi(argv[2]) : 20;
    calls = calls < 1 ? 1 : calls > MOST ? MOST : calls;
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = FIRST,
                              .port_last = (uint16_t)(FIRST + 2 * calls - 1),
                              .coalesce_us = 1000};
    if (loop_new(&loop) || media_thread_start(&t, &conf))
        return 1;
    struct botlinks_conf bc = {.loop = loop, .media = t, .max = MOST, .event = on_event};
    if (botlinks_new(&links, &bc))
        return 1;
    media_make();
    listener = bound(SOCK_STREAM, &port);
    if (listen(listener, MOST))
        return 1;
    ports_take(t);
    usec_t begin = now_us();
    for (unsigned i = 0; i < calls; i++) {
        stream_open(t, i);
        call[i].due = begin + i * 20 * USEC_MS / calls;
        call[i].seq = i * PERIOD / calls;
    }
    bots_open(port);
    while (opened + failed < calls && now_us() < begin + 10 * USEC_S)
        turn(loop, t);
    double rtp = cpu_of("ringdown-rtp"), web = cpu_of("ringdown-web");
    for (unsigned i = 0; i < calls; i++)
        call[i].media = 0;
    n_gaps = n_stops = n_plane_stops = 0;
    usec_t end = now_us() + seconds * USEC_S;
    while (now_us() < end)
        turn(loop, t);
    rtp = cpu_of("ringdown-rtp") - rtp;
    web = cpu_of("ringdown-web") - web;
    for (unsigned i = 0; i < calls; i++) {
        struct botlink_cmd c = {.kind = BOTLINK_CLOSE, .id = i + 1};
        botlinks_cmd(links, &c, NULL);
    }
    for (end = now_us() + 5 * USEC_S; closed < calls && now_us() < end;)
        turn(loop, t);
    report(seconds, rtp, web);
    botlinks_free(links);
    loop_settle(loop);
    loop_free(loop);
    media_thread_stop(t);
    return closed == calls && !failed ? 0 : 1;
}
