/* Telephones as far as a relay can tell: legs that each send one G.711 packet every 20 ms and count
 * what comes back. Reads lines "local_port remote_port [payload_type]" and drives them from one
 * thread, so that its own cost stays small and is reported apart. What they say is much like a
 * voice, each at another place of it.
 *
 *   rtpload FILE SECONDS [SLOT_US]
 *
 * SLOT_US: legs take turns in slots of that length [1000]. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_LEGS     8192
#define PERIOD_US    20000u
#define PACKET_BYTES 172
#define LATE_US      20000u
#define DRAIN_EVERY  10 /* packets sent between two looks at what was received */
#define BATCH        32
#define PCMA         8
#define VOICE_BYTES  8192u

struct leg {
    int fd;
    uint16_t seq;
    uint32_t ssrc, ts;
    uint8_t pt;
    uint64_t sent, received;
};

struct load {
    struct leg leg[MAX_LEGS];
    unsigned n;
    uint64_t send_errors;
    uint8_t packet[PACKET_BYTES];
    uint8_t voice[2][VOICE_BYTES + PACKET_BYTES]; /* A-law, mu-law */
    uint8_t in[BATCH][512];
};

static uint64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* From -1000 to 1000 and back in 64 steps: 125 Hz at a step each sample. */
static int triangle(unsigned k)
{
    int x = (int)(k % 64);
    return (x < 32 ? x : 64 - x) * 1000 / 16 - 1000;
}

/* The sign, the exponent and four bits of a magnitude (ITU-T G.711). */
static uint8_t law_code(int v, bool mu)
{
    int sign = v < 0, mag = sign ? -v : v, exponent = 7;
    mag = mu ? mag + 132 : mag;
    mag = mag > 32767 ? 32767 : mag;
    while (exponent > 0 && !(mag & (0x80 << exponent)))
        exponent--;
    int bits = exponent > 0 || mu ? mag >> (exponent + 3) & 15 : mag >> 4 & 15;
    int code = exponent << 4 | bits;
    return (uint8_t)(mu ? ~(sign << 7 | code) : ((!sign << 7) | code) ^ 0x55);
}

/* Something that repeats itself every 8 ms as a voice does, in syllables of a quarter of a second,
 * with some noise. */
static void voice_make(struct load *w)
{
    uint32_t r = 1;
    for (unsigned i = 0; i < VOICE_BYTES + PACKET_BYTES; i++) {
        unsigned k = i % VOICE_BYTES;
        int loud = k % 2048 < 1024 ? (int)(k % 1024) : 1024 - (int)(k % 1024);
        r = r * 1664525u + 1013904223u;
        int v = 4 * triangle(k) + 3 * triangle(5 * k) + 2 * triangle(13 * k) + (int)(r >> 23);
        for (unsigned mu = 0; mu < 2; mu++)
            w->voice[mu][i] = law_code(v * loud / 1024, mu);
    }
}

static void leg_open(struct leg *l, uint16_t local, uint16_t remote)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(local)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int bytes = 1 << 20;
    l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        die("socket");
    (void)setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
    if (bind(l->fd, (struct sockaddr *)&sa, sizeof(sa)))
        die("bind");
    sa.sin_port = htons(remote);
    if (connect(l->fd, (struct sockaddr *)&sa, sizeof(sa)))
        die("connect");
    l->ssrc = (uint32_t)local * 2654435761u;
    l->seq = (uint16_t)(local * 7u);
}

static void legs_read(struct load *w, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[64];
    if (!f)
        die(path);
    while (w->n < MAX_LEGS && fgets(line, sizeof(line), f)) {
        char *at, *end;
        unsigned long local = strtoul(line, &at, 10), remote = strtoul(at, &at, 10);
        unsigned long pt = strtoul(at, &end, 10);
        struct leg *l = &w->leg[w->n++];
        l->pt = (uint8_t)(end == at ? PCMA : pt);
        leg_open(l, (uint16_t)local, (uint16_t)remote);
    }
    fclose(f);
}

static void leg_drain(struct load *w, struct leg *l)
{
    struct mmsghdr m[BATCH];
    struct iovec v[BATCH];
    for (;;) {
        memset(m, 0, sizeof(m));
        for (int i = 0; i < BATCH; i++) {
            v[i] = (struct iovec){w->in[i], sizeof(w->in[i])};
            m[i].msg_hdr.msg_iov = &v[i];
            m[i].msg_hdr.msg_iovlen = 1;
        }
        int n = recvmmsg(l->fd, m, BATCH, MSG_DONTWAIT, NULL);
        if (n > 0)
            l->received += (uint64_t)n;
        if (n < BATCH && !(n < 0 && errno == ECONNREFUSED))
            return;
    }
}

static void leg_send(struct load *w, struct leg *l)
{
    uint8_t *p = w->packet;
    uint32_t ts = htonl(l->ts), ssrc = htonl(l->ssrc);
    uint16_t seq = htons(l->seq);
    p[0] = 0x80;
    p[1] = l->pt;
    memcpy(p + 2, &seq, 2);
    memcpy(p + 4, &ts, 4);
    memcpy(p + 8, &ssrc, 4);
    memcpy(p + 12, w->voice[l->pt == 0] + (l->ssrc + l->ts) % VOICE_BYTES, PACKET_BYTES - 12);
    l->seq++;
    l->ts += 160;
    if (send(l->fd, p, PACKET_BYTES, 0) == PACKET_BYTES)
        l->sent++;
    else
        w->send_errors++;
    if (l->sent % DRAIN_EVERY == 0)
        leg_drain(w, l);
}

static void sleep_until(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000u),
                         .tv_nsec = (long)(us % 1000000u) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void run(struct load *w, uint64_t seconds, unsigned slot_us)
{
    unsigned slots = PERIOD_US / slot_us;
    uint64_t start = clock_us(CLOCK_MONOTONIC);
    uint64_t turns = seconds * 1000000u / slot_us;
    for (uint64_t turn = 0; turn < turns; turn++) {
        uint64_t due = start + turn * slot_us, now = clock_us(CLOCK_MONOTONIC);
        if (now > due + LATE_US) /* telephones that were held up do not send faster afterwards */
            start += now - due;
        sleep_until(start + turn * slot_us);
        for (unsigned i = (unsigned)(turn % slots); i < w->n; i += slots)
            leg_send(w, &w->leg[i]);
    }
    sleep_until(clock_us(CLOCK_MONOTONIC) + 200000u);
    for (unsigned i = 0; i < w->n; i++)
        leg_drain(w, &w->leg[i]);
}

static void report(const struct load *w)
{
    uint64_t sent = 0, received = 0, silent = 0, cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < w->n; i++) {
        sent += w->leg[i].sent;
        received += w->leg[i].received;
        silent += w->leg[i].received == 0;
    }
    printf("{\"legs\": %u, \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"errors\": %" PRIu64
           ", \"silent_legs\": %" PRIu64 ", \"generator_us\": %.2f}\n",
           w->n, sent, received, w->send_errors, silent, (double)cpu / (double)(sent ? sent : 1));
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: rtpload FILE SECONDS [SLOT_US]\n");
        return 2;
    }
    unsigned slot_us = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1000;
    if (slot_us == 0 || slot_us > PERIOD_US)
        slot_us = 1000;
    struct rlimit files = {16384, 16384};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    struct load *w = calloc(1, sizeof(*w));
    if (!w)
        die("memory");
    voice_make(w);
    legs_read(w, argv[1]);
    run(w, strtoul(argv[2], NULL, 10), slot_us);
    report(w);
    free(w);
    return 0;
}
