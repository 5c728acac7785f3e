/* What the media plane costs without sockets, in virtual time: a packet of 20 ms from each codec to
 * each, a call that is recorded, a party of a room. CPU time, the median of five rounds; and what
 * was asked of the heap meanwhile, also inside the libraries of the codecs.
 *
 *   bench_plane [pairs|record|room] */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "engine/media/plane.h"
#include "wire/rtp/be.h"

#define ROUNDS    5
#define TICKS     100 /* 2 s a round */
#define FRAMES    50  /* of each codec, sent in turns */
#define MOST      80  /* streams */
#define TICK_US   (20 * USEC_MS)
#define MOST_SENT 1500

/* The allocator of the C library under the name it has for such as us; ours count. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);

static _Atomic unsigned long heap_requests;

void *malloc(size_t n)
{
    heap_requests++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
    heap_requests++;
    return __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
    heap_requests++;
    return __libc_realloc(p, n);
}

static const struct media_format formats[] = {
    {.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000},
    {.codec = CODEC_PCMA, .pt = 8, .clock_hz = 8000},
    {.codec = CODEC_G722, .pt = 9, .clock_hz = 8000},
    {.codec = CODEC_L16, .pt = 98, .clock_hz = 16000},
    {.codec = CODEC_OPUS, .pt = 107, .clock_hz = 48000},
};
#define CODECS ARRAY_LEN(formats)

struct frame {
    uint16_t n;
    uint8_t bytes[MOST_SENT];
};

static struct frame voice[CODECS][FRAMES];

struct bench {
    struct plane plane;
    usec_t now;
    unsigned streams, out;
    uint16_t seq;
    uint8_t codec[MOST]; /* index into formats */
    uint64_t blocks;
};

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_plane: %s\n", what);
        exit(1);
    }
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Partials whose loudness rises and falls as in speech, and some noise. */
static void voice_make(unsigned c)
{
    const struct codec *k = codec_of(formats[c].codec);
    void *enc = k->encoder(&formats[c]);
    unsigned rate = k->rate(&formats[c]), n = rate / 50;
    static int16_t pcm[960];
    static uint8_t payload[CODEC_MAX_BYTES];
    uint32_t noise = 1;
    check(enc && k->whole(&formats[c], n) == n, "no encoder");
    for (unsigned f = 0; f < FRAMES; f++) {
        for (unsigned i = 0; i < n; i++) {
            double t = (double)(f * n + i) / rate, loud = 0.6 + 0.4 * sin(2 * M_PI * 3 * t);
            noise = noise * 1664525u + 1013904223u;
            double v = sin(2 * M_PI * 140 * t) + 0.6 * sin(2 * M_PI * 560 * t) +
                       0.3 * sin(2 * M_PI * 1900 * t) + 0.1 * (noise >> 16) / 65536.0;
            pcm[i] = (int16_t)(4000 * loud * v);
        }
        int bytes = k->encode(enc, pcm, n, payload);
        check(bytes > 0 && bytes + 12 <= MOST_SENT, "a frame cannot be encoded");
        voice[c][f].n = (uint16_t)(bytes + 12);
        memcpy(voice[c][f].bytes + 12, payload, (size_t)bytes);
    }
    k->encoder_free(enc);
}

static struct addr party(unsigned i)
{
    return (struct addr){
        .family = ADDR_V4, .port = 5000, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
}

static void cmd(struct bench *b, struct media_cmd c)
{
    struct media_ev ev;
    check(plane_cmd(&b->plane, b->now, &c) == 0, "a command is refused");
    while (plane_event(&b->plane, &ev))
        ;
}

static void stream_open(struct bench *b, unsigned i, unsigned codec)
{
    media_id id = 1 + i;
    cmd(b, (struct media_cmd){
               .kind = MEDIA_OPEN, .id = id, .port = (uint16_t)(20000 + 2 * i), .family = ADDR_V4});
    cmd(b, (struct media_cmd){
               .kind = MEDIA_SET, .id = id, .rtp = party(i), .receiving = true, .sending = true});
    struct media_cmd f = {.kind = MEDIA_FORMAT, .id = id, .n_rx = 1, .n_tx = 1};
    f.rx[0] = f.tx[0] = formats[codec];
    cmd(b, f);
    b->codec[i] = (uint8_t)codec;
}

static struct bench *bench_new(unsigned streams)
{
    struct bench *b = mem_zero(sizeof(*b));
    struct plane_limits l = {.max_streams = MOST, .seed = 7};
    check(b != NULL, "out of memory");
    b->now = 1000 * USEC_S;
    b->streams = streams;
    check(plane_init(&b->plane, &l, b->now) == 0, "no plane");
    return b;
}

static void drain(struct bench *b)
{
    struct plane_made m;
    struct plane_block k;
    struct media_ev ev;
    while (plane_out(&b->plane, &m))
        b->out += !m.is_rtcp;
    while (plane_block(&b->plane, &k))
        b->blocks++;
    while (plane_event(&b->plane, &ev))
        ;
}

/* One packet of stream i. */
static void say(struct bench *b, unsigned i, unsigned tick)
{
    static uint8_t bytes[PLANE_MAX_BYTES];
    const struct media_format *f = &formats[b->codec[i]];
    const struct frame *v = &voice[b->codec[i]][tick % FRAMES];
    struct addr from = party(i);
    struct plane_forward to;
    memcpy(bytes, v->bytes, v->n);
    bytes[0] = 0x80;
    bytes[1] = f->pt;
    be16_put(bytes + 2, b->seq);
    be32_put(bytes + 4, (uint32_t)b->seq * (f->clock_hz / 50));
    be32_put(bytes + 8, 1000 + i);
    struct plane_packet p = {
        .from = &from, .bytes = bytes, .n = v->n, .port = (uint16_t)(20000 + 2 * i)};
    b->out += plane_rx(&b->plane, b->now, &p, &to) == 1;
    drain(b);
}

/* Everybody talks, or the even ones alone. Returns CPU microseconds. */
static double round_us(struct bench *b, bool all)
{
    double start = cpu_us();
    for (unsigned t = 0; t < TICKS; t++) {
        b->now += TICK_US;
        b->seq++;
        for (unsigned i = 0; i < b->streams; i += all ? 1 : 2)
            say(b, i, t);
        plane_tick(&b->plane, b->now);
        drain(b);
    }
    return cpu_us() - start;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct cost {
    double us; /* of a round */
    unsigned long heap;
};

static struct cost measure(struct bench *b, bool all)
{
    double us[ROUNDS];
    for (unsigned r = 0; r < 2; r++) /* codecs, buffers and rings come to be */
        (void)round_us(b, all);
    unsigned long before = heap_requests;
    b->out = 0;
    for (unsigned r = 0; r < ROUNDS; r++)
        us[r] = round_us(b, all);
    unsigned sent = ROUNDS * TICKS * (all ? b->streams : b->streams / 2);
    check(b->out > sent - sent / 50 && b->out < sent + sent / 50, "packets are missing");
    qsort(us, ROUNDS, sizeof(*us), by_value);
    return (struct cost){us[ROUNDS / 2], heap_requests - before};
}

static void bench_free(struct bench *b)
{
    plane_done(&b->plane);
    mem_free(b);
}

static struct bench *calls_new(unsigned calls, unsigned from, unsigned to)
{
    struct bench *b = bench_new(2 * calls);
    for (unsigned i = 0; i < calls; i++) {
        stream_open(b, 2 * i, from);
        stream_open(b, 2 * i + 1, to);
        cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1 + 2 * i, .peer = 2 + 2 * i});
    }
    return b;
}

static void pairs(void)
{
    unsigned long heap = 0;
    printf("us a packet of 20 ms, from the codec of the row to that of the column\n%-6s", "");
    for (unsigned k = 0; k < CODECS; k++)
        printf(" %8s", codec_name(formats[k].codec).p);
    printf("\n");
    for (unsigned i = 0; i < CODECS; i++) {
        printf("%-6s", codec_name(formats[i].codec).p);
        for (unsigned k = 0; k < CODECS; k++) {
            struct bench *b = calls_new(10, i, k);
            struct cost c = measure(b, false);
            printf(" %8.2f", c.us / (TICKS * 10));
            heap += c.heap;
            bench_free(b);
        }
        printf("\n");
    }
    printf("heap requests: %lu\n", heap);
}

static void record(void)
{
    static const char *const names[] = {"not", "the mix", "the tracks"};
    for (unsigned how = 0; how < ARRAY_LEN(names); how++) {
        struct bench *b = calls_new(MOST / 2, 1, 1);
        for (unsigned i = 0; how && i < MOST; i++) {
            struct media_cmd c = {.kind = MEDIA_RECORD, .id = 1 + i};
            c.record.number = 1 + i / 2;
            c.record.rate_hz = 8000;
            c.record.track = i % 2;
            c.record.mixed = how == 1;
            c.record.tracks = how == 2;
            cmd(b, c);
        }
        struct cost c = measure(b, true);
        check(!how == !b->blocks, "nothing was recorded");
        printf("relayed, %s recorded: %.2f us a packet, heap requests: %lu\n", names[how],
               c.us / (TICKS * MOST), c.heap);
        bench_free(b);
    }
}

static void room(void)
{
    for (unsigned n = 10; n <= 40; n += 30) {
        struct bench *b = bench_new(n);
        for (unsigned i = 0; i < n; i++) {
            stream_open(b, i, 1);
            struct media_cmd c = {.kind = MEDIA_JOIN, .id = 1 + i};
            c.member.room = 1;
            cmd(b, c);
        }
        struct cost c = measure(b, true);
        printf("a room of %u, all talking, 8 kHz: %.3f ms/s a party, heap requests: %lu\n", n,
               c.us / (TICKS / 50) / n / 1000, c.heap);
        bench_free(b);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        void (*run)(void);
    } words[] = {{"pairs", pairs}, {"record", record}, {"room", room}};
    unsigned done = 0;
    for (unsigned c = 0; c < CODECS; c++)
        voice_make(c);
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (argc < 2 || strcmp(argv[1], words[i].word) == 0) {
            words[i].run();
            done++;
        }
    if (!done)
        fprintf(stderr, "usage: bench_plane [pairs|record|room]\n");
    return done ? 0 : 2;
}
