/* The media thread alone, for bench_relay.py: sets up CALLS calls between loopback ports, writes
 * the legs for rtpload to FILE, says "ready" and serves them until its standard input ends. Then it
 * prints what it counted, as JSON.
 *
 *   bench_relay CALLS FILE [MODE [COALESCE_US]]
 *
 * MODE: plain    packets pass on untouched
 *       formats  both parties speak PCMA: renumbered, RTCP of our own [as in calls]
 *       law      one of them speaks PCMU: transcoded
 *       record   formats, and each call is recorded, mixed, into FILE.d
 *       room     CALLS are the parties of rooms of 40, in which all hear all
 *       roomrec  the same, and the room is recorded, mixed, into FILE.d */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/media.h"
#include "base/mem.h"
#include "io/recorder.h"

#define FIRST_PARTY_PORT 10000u
#define MOST_CALLS       1000u
#define ROOM_PARTIES     40

enum mode { PLAIN, FORMATS, LAW, RECORD, ROOM, ROOM_RECORD, MODES };
static const char *const modes[MODES] = {"plain", "formats", "law", "record", "room", "roomrec"};

struct bench {
    struct media_thread *media;
    struct loop *loop;
    struct recorder *recorder;
    FILE *legs;
    enum mode mode;
    unsigned calls, streams;
    uint16_t port[2 * MOST_CALLS];
    unsigned ports;
    uint64_t warm_requests, lost_in_gaps;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_relay: %s\n", what);
    exit(1);
}

static void send_all(struct bench *b, const struct media_cmd *cmd, size_t n)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (unsigned tries = 0; n > 0 && tries < 2000; tries++) {
        size_t taken = media_thread_send(b->media, cmd, n);
        cmd += taken;
        n -= taken;
        if (n > 0)
            nanosleep(&pause, NULL);
    }
    if (n > 0)
        die("the command mailbox stays full");
}

static void ports_wait(struct bench *b)
{
    struct media_ev ev;
    struct pollfd p = {.fd = media_thread_fd(b->media), .events = POLLIN};
    while (b->ports < b->streams) {
        if (poll(&p, 1, 5000) != 1)
            die("no ports within 5 s");
        while (media_thread_poll(b->media, &ev, 1)) {
            if (ev.kind != MEDIA_EV_PORTS)
                die("the port range is used up");
            for (uint32_t i = 0; i < ev.count && b->ports < b->streams; i++)
                b->port[b->ports++] = ev.port[i];
        }
    }
}

static struct media_format format_of(const struct bench *b, unsigned stream)
{
    if (b->mode == LAW && stream % 2 == 0)
        return (struct media_format){.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000};
    return (struct media_format){.codec = CODEC_PCMA, .pt = 8, .clock_hz = 8000};
}

static void stream_open(struct bench *b, unsigned i)
{
    media_id id = 1 + i;
    uint16_t party = (uint16_t)(FIRST_PARTY_PORT + 2 * i);
    struct addr rtp = {.family = ADDR_V4, .port = party, .ip = {127, 0, 0, 1}};
    struct media_format f = format_of(b, i);
    struct media_cmd cmd[3] = {
        {.kind = MEDIA_OPEN, .id = id, .port = b->port[i], .family = ADDR_V4},
        {.kind = MEDIA_SET,
         .id = id,
         .rtp = rtp,
         .latch = true,
         .receiving = true,
         .sending = true,
         .timeout_ms = 60000},
        {.kind = MEDIA_FORMAT, .id = id, .n_rx = 1, .n_tx = 1},
    };
    cmd[2].rx[0] = cmd[2].tx[0] = f;
    send_all(b, cmd, b->mode == PLAIN ? 2 : 3);
    fprintf(b->legs, "%u %u %u\n", (unsigned)party, (unsigned)b->port[i], (unsigned)f.pt);
}

/* So many streams from `first` on become one recording. */
static void record(struct bench *b, unsigned number, unsigned first, unsigned n)
{
    char base[32];
    struct record_begin begin = {.number = 1 + number,
                                 .folder = "",
                                 .base = base,
                                 .format = SOUND_WAV,
                                 .files = RECORD_FILE_MIX};
    snprintf(base, sizeof(base), "call%u", number);
    if (recorder_begin(b->recorder, &begin))
        die("a recording does not begin");
    for (unsigned i = 0; i < n; i++) {
        struct media_cmd cmd = {.kind = MEDIA_RECORD, .id = 1 + first + i};
        cmd.record.number = 1 + number;
        cmd.record.rate_hz = 8000;
        cmd.record.track = (uint8_t)i;
        cmd.record.mixed = true;
        send_all(b, &cmd, 1);
    }
}

static void calls_open(struct bench *b)
{
    for (unsigned i = 0; i < b->streams; i++)
        stream_open(b, i);
    bool room = b->mode == ROOM || b->mode == ROOM_RECORD;
    for (unsigned i = 0; room && i < b->streams; i++) {
        struct media_cmd join = {.kind = MEDIA_JOIN, .id = 1 + i};
        join.member.room = 1 + i / ROOM_PARTIES;
        send_all(b, &join, 1);
    }
    if (b->mode == ROOM_RECORD)
        record(b, 0, 0, b->streams);
    for (unsigned i = 0; !room && i < b->calls; i++) {
        struct media_cmd link = {.kind = MEDIA_LINK, .id = 1 + 2 * i, .peer = 2 + 2 * i};
        send_all(b, &link, 1);
        if (b->mode == RECORD)
            record(b, i, 2 * i, 2);
    }
}

static void recorded(void *ctx, const struct record_event *e)
{
    struct bench *b = ctx;
    if (e->kind == RECORD_FAILED)
        die(e->text);
    b->lost_in_gaps += e->gap_samples;
}

static void recorder_start(struct bench *b, const char *legs)
{
    static char dir[4096];
    struct recorder_config conf = {.dir = dir, .event = recorded, .ctx = b};
    snprintf(dir, sizeof(dir), "%s.d", legs);
    if (loop_new(&b->loop) || recorder_open(&b->recorder, b->loop, &conf))
        die("the recorder does not start");
}

static void stock(struct bench *b)
{
    struct media_cmd cmd = {.kind = MEDIA_STOCK, .family = ADDR_V4, .count = b->streams};
    for (unsigned left = b->streams; left > 0; left -= cmd.count) {
        cmd.count = left < 1000 ? left : 1000;
        send_all(b, &cmd, 1);
    }
    ports_wait(b);
}

/* Serves until the standard input ends. A byte on it says that all is warm now. */
static void serve(struct bench *b)
{
    struct media_ev ev;
    struct pollfd p = {.fd = 0, .events = POLLIN};
    char byte;
    for (;;) {
        if (poll(&p, 1, 100) == 1) {
            if (read(0, &byte, 1) <= 0)
                return;
            b->warm_requests = mem_requests();
        }
        while (media_thread_poll(b->media, &ev, 1))
            ;
    }
}

static void report(struct bench *b)
{
    struct media_figures f = media_thread_figures(b->media);
    const struct plane_count *d = &f.dropped;
    uint64_t requests = mem_requests() - b->warm_requests;
    media_thread_stop(b->media);
    recorder_close(b->recorder);
    const struct {
        const char *name;
        uint64_t v;
    } figures[] = {{"rx", f.rx_packets},        {"tx", f.tx_packets},
                   {"tx_errors", f.tx_errors},  {"turns", f.turns},
                   {"no_stream", d->no_stream}, {"malformed", d->malformed},
                   {"strangers", d->strangers}, {"one_way", d->one_way},
                   {"no_way", d->no_way},       {"flood", d->flood},
                   {"unagreed", d->unagreed},   {"out_lost", d->out_lost},
                   {"requests", requests},      {"gap_samples", b->lost_in_gaps}};
    for (unsigned i = 0; i < ARRAY_LEN(figures); i++)
        printf("%s\"%s\": %llu", i ? ", " : "{", figures[i].name, (unsigned long long)figures[i].v);
    printf("}\n");
}

static enum mode mode_of(const char *word)
{
    for (unsigned i = 0; i < MODES; i++)
        if (strcmp(word, modes[i]) == 0)
            return (enum mode)i;
    die("MODE is plain, formats, law, record, room or roomrec");
    return PLAIN;
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc < 3 || (b.calls = (unsigned)strtoul(argv[1], NULL, 10)) == 0 || b.calls > MOST_CALLS)
        die("usage: bench_relay CALLS FILE [MODE [COALESCE_US]]");
    b.mode = argc > 3 ? mode_of(argv[3]) : PLAIN;
    b.streams = b.mode == ROOM || b.mode == ROOM_RECORD ? b.calls : 2 * b.calls;
    if (b.mode == RECORD || b.mode == ROOM_RECORD)
        recorder_start(&b, argv[2]);
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = 20000,
                              .port_last = 29999,
                              .recorder = {b.recorder, NULL},
                              .coalesce_us = 1000};
    if (argc > 4)
        conf.coalesce_us = (uint32_t)strtoul(argv[4], NULL, 10);
    if (media_thread_start(&b.media, &conf))
        die("the media thread does not start");
    stock(&b);
    b.legs = fopen(argv[2], "w");
    if (!b.legs)
        die("cannot write the legs");
    calls_open(&b);
    fclose(b.legs);
    printf("ready\n");
    fflush(stdout);
    serve(&b);
    report(&b);
    return 0;
}
