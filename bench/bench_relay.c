/* The media thread alone, for bench_relay.py: sets up CALLS relayed calls between loopback ports,
 * writes the legs for rtpload to FILE, says "ready" and relays until its standard input ends.
 *
 *   bench_relay CALLS FILE [COALESCE_US] */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/media.h"

#define FIRST_PARTY_PORT 10000u

struct bench {
    struct media_thread *media;
    FILE *legs;
    unsigned calls, opened;
    uint16_t port[2 * 2048];
    unsigned ports;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_relay: %s\n", what);
    exit(1);
}

static void send_all(struct bench *b, const struct media_cmd *cmd, size_t n)
{
    if (media_thread_send(b->media, cmd, n) != n)
        die("the command mailbox is full");
}

static void ports_wait(struct bench *b)
{
    struct media_ev ev;
    struct pollfd p = {.fd = media_thread_fd(b->media), .events = POLLIN};
    while (b->ports < 2 * b->calls) {
        if (poll(&p, 1, 5000) != 1)
            die("no ports within 5 s");
        while (media_thread_poll(b->media, &ev, 1)) {
            if (ev.kind != MEDIA_EV_PORTS)
                die("the port range is used up");
            for (uint32_t i = 0; i < ev.count && b->ports < 2 * b->calls; i++)
                b->port[b->ports++] = ev.port[i];
        }
    }
}

static void call_open(struct bench *b, unsigned call)
{
    for (unsigned side = 0; side < 2; side++) {
        media_id id = 1 + 2 * call + side;
        uint16_t party = (uint16_t)(FIRST_PARTY_PORT + 4 * call + 2 * side);
        uint16_t port = b->port[2 * call + side];
        struct addr rtp = {.family = ADDR_V4, .port = party, .ip = {127, 0, 0, 1}};
        struct media_cmd cmd[2] = {
            {.kind = MEDIA_OPEN, .id = id, .port = port, .family = ADDR_V4},
            {.kind = MEDIA_SET,
             .id = id,
             .rtp = rtp,
             .latch = true,
             .receiving = true,
             .sending = true,
             .timeout_ms = 60000},
        };
        send_all(b, cmd, 2);
        fprintf(b->legs, "%u %u\n", (unsigned)party, (unsigned)port);
    }
    struct media_cmd link = {.kind = MEDIA_LINK, .id = 1 + 2 * call, .peer = 2 + 2 * call};
    send_all(b, &link, 1);
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc < 3 || (b.calls = (unsigned)strtoul(argv[1], NULL, 10)) == 0 || b.calls > 1000)
        die("usage: bench_relay CALLS FILE [COALESCE_US]");
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = 20000,
                              .port_last = 29999,
                              .coalesce_us = 1000};
    if (argc > 3)
        conf.coalesce_us = (uint32_t)strtoul(argv[3], NULL, 10);
    if (media_thread_start(&b.media, &conf))
        die("the media thread does not start");
    struct media_cmd stock = {.kind = MEDIA_STOCK, .family = ADDR_V4, .count = 2 * b.calls};
    for (unsigned left = 2 * b.calls; left > 0; left -= stock.count) {
        stock.count = left < 1000 ? left : 1000;
        send_all(&b, &stock, 1);
    }
    ports_wait(&b);
    b.legs = fopen(argv[2], "w");
    if (!b.legs)
        die("cannot write the legs");
    for (unsigned i = 0; i < b.calls; i++)
        call_open(&b, i);
    fclose(b.legs);
    printf("ready\n");
    fflush(stdout);
    char byte;
    struct media_ev ev;
    while (read(0, &byte, 1) > 0)
        while (media_thread_poll(b.media, &ev, 1))
            ;
    struct media_figures f = media_thread_figures(b.media);
    fprintf(stderr, "rx %llu tx %llu turns %llu\n", (unsigned long long)f.rx_packets,
            (unsigned long long)f.tx_packets, (unsigned long long)f.turns);
    media_thread_stop(b.media);
    return 0;
}
