/* The media thread with everything at once, on loopback: a call between codecs, a room, plays,
 * clips that are replaced, recordings that the recorder's thread writes meanwhile. Under the thread
 * sanitizer it looks for races, under the address sanitizer for what outlives its owner. */
#include "unit/io/io_test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>

#include "app/media.h"
#include "base/mem.h"
#include "engine/media/mouth.h"
#include "io/recorder.h"
#include "io/wav.h"
#include "wire/rtp/rtp.h"

#define PARTIES 6
#define FIRST   28400
#define CLIP    5

struct party {
    int fd;
    struct addr addr;
    uint16_t port; /* of ours */
    struct mouth mouth;
    struct egress egress;
    unsigned heard;
    uint32_t ssrc;
};

struct bed {
    struct media_thread *t;
    struct loop *loop;
    struct recorder *rec;
    char dir[64];
    uint16_t port[PARTIES];
    uint32_t ports;
    struct party p[PARTIES];
    unsigned ended, failed, stopped, closed, played;
};

static const struct media_format formats[] = {
    {.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000},
    {.codec = CODEC_G722, .pt = 9, .clock_hz = 8000},
    {.codec = CODEC_OPUS, .pt = 107, .clock_hz = 48000},
};

static void on_record(void *ctx, const struct record_event *e)
{
    struct bed *b = ctx;
    b->ended += e->kind == RECORD_ENDED;
    b->failed += e->kind == RECORD_FAILED;
}

static void send_one(struct bed *b, struct media_cmd c)
{
    assert_int_equal(media_thread_send(b->t, &c, 1), 1);
}

static void events(struct bed *b)
{
    struct media_ev ev;
    while (media_thread_poll(b->t, &ev, 1) == 1) {
        for (uint32_t i = 0; ev.kind == MEDIA_EV_PORTS && i < ev.count; i++)
            b->port[b->ports++] = ev.port[i];
        b->closed += ev.kind == MEDIA_EV_CLOSED;
        b->played += ev.kind == MEDIA_EV_PLAYED;
        if (ev.kind == MEDIA_EV_RECORDED) {
            b->stopped++;
            assert_int_equal(recorder_end(b->rec, ev.id), 0);
        }
    }
}

#define UNTIL(b, cond)                                                                             \
    do {                                                                                           \
        uint64_t at = test_ms() + 10000;                                                           \
        while (!(cond)) {                                                                          \
            loop_run_once((b)->loop, 2);                                                           \
            events(b);                                                                             \
            if (test_ms() > at)                                                                    \
                fail_msg("timed out waiting for: %s", #cond);                                      \
        }                                                                                          \
    } while (0)

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    test_dir_make(b->dir);
    assert_int_equal(loop_new(&b->loop), 0);
    struct recorder_config rc = {.dir = b->dir, .min_free_bytes = 1, .event = on_record, .ctx = b};
    assert_int_equal(recorder_open(&b->rec, b->loop, &rc), 0);
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = FIRST,
                              .port_last = FIRST + 2 * PARTIES - 1,
                              .coalesce_us = 1000,
                              .recorder = {b->rec}};
    assert_int_equal(media_thread_start(&b->t, &conf), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    media_thread_stop(b->t);
    recorder_close(b->rec);
    loop_free(b->loop);
    test_dir_remove(b->dir);
    for (unsigned i = 0; i < PARTIES; i++) {
        mouth_done(&b->p[i].mouth);
        close(b->p[i].fd);
    }
    mem_free(b);
    return mem_live() != 0;
}

/* ---- parties --------------------------------------------------------------------------------- */

static void party_open(struct bed *b, unsigned i)
{
    struct party *p = &b->p[i];
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&sa, &n), 0);
    p->addr = (struct addr){.family = ADDR_V4, .port = ntohs(sa.sin_port), .ip = {127, 0, 0, 1}};
    p->port = b->port[i];
    egress_init(&p->egress, 100 + i, 0, 0);
    assert_int_equal(mouth_set(&p->mouth, &formats[i % 3], 20), 0);
}

static void stream_open(struct bed *b, unsigned i)
{
    const struct party *p = &b->p[i];
    struct media_cmd f = {.kind = MEDIA_FORMAT, .id = i + 1, .n_rx = 1, .n_tx = 1};
    f.rx[0] = f.tx[0] = formats[i % 3];
    send_one(
        b, (struct media_cmd){.kind = MEDIA_OPEN, .id = i + 1, .port = p->port, .family = ADDR_V4});
    send_one(b, (struct media_cmd){.kind = MEDIA_SET,
                                   .id = i + 1,
                                   .rtp = p->addr,
                                   .latch = true,
                                   .receiving = true,
                                   .sending = true});
    send_one(b, f);
}

static void hear(struct party *p)
{
    uint8_t bytes[2048];
    struct rtp_view v;
    ssize_t n;
    while ((n = recv(p->fd, bytes, sizeof(bytes), 0)) > 0) {
        assert_int_equal(rtp_parse(&v, bytes, (size_t)n), 0);
        if (p->heard)
            assert_int_equal(v.ssrc, p->ssrc);
        p->ssrc = v.ssrc;
        p->heard++;
    }
}

static void speak(struct party *p, usec_t now)
{
    struct mouth_packet k;
    int16_t pcm[960];
    unsigned n = p->mouth.rate_hz / 50;
    const int16_t *from = pcm;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(p->port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < n; i++)
        pcm[i] = (int16_t)(i % 40 * 300 - 6000);
    while (mouth_put(&p->mouth, &p->egress, now, p->mouth.rate_hz, &from, &n, &k))
        (void)!sendto(p->fd, k.bytes, k.n, 0, (struct sockaddr *)&sa, sizeof(sa));
}

/* All talk for so long, in the time of the wall. */
static void talk(struct bed *b, unsigned ms)
{
    for (uint64_t end = test_ms() + ms; test_ms() < end;) {
        for (unsigned i = 0; i < PARTIES; i++) {
            speak(&b->p[i], test_ms() * USEC_MS);
            hear(&b->p[i]);
        }
        uint64_t next = test_ms() + 20;
        while (test_ms() < next) {
            loop_run_once(b->loop, 5);
            events(b);
        }
    }
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void clip(struct bed *b, unsigned n)
{
    struct media_cmd c = {.kind = MEDIA_CLIP};
    c.play.clip_number = CLIP;
    c.play.clip = n ? mem_zero(sizeof(*c.play.clip) + n * sizeof(int16_t)) : NULL;
    if (n) {
        c.play.clip->rate_hz = 16000;
        c.play.clip->n = n;
    }
    send_one(b, c);
}

static void play(struct bed *b, enum media_cmd_kind kind, media_id id, bool loop)
{
    struct media_cmd c = {.kind = kind, .id = id};
    c.play.n_items = 1;
    c.play.item[0] = (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = CLIP};
    c.play.loop = loop;
    c.play.token = 1;
    send_one(b, c);
}

static void join(struct bed *b, media_id id)
{
    struct media_cmd c = {.kind = MEDIA_JOIN, .id = id};
    c.member.room = 7;
    send_one(b, c);
}

static void record(struct bed *b, uint64_t number, const media_id ids[2])
{
    char base[16];
    snprintf(base, sizeof(base), "r%u", (unsigned)number);
    struct record_begin rb = {number, "", base, SOUND_WAV, RECORD_FILE_MIX | RECORD_FILE_TRACKS};
    assert_int_equal(recorder_begin(b->rec, &rb), 0);
    for (uint8_t i = 0; i < 2; i++) {
        struct media_cmd c = {.kind = MEDIA_RECORD, .id = ids[i]};
        c.record.number = number;
        c.record.rate_hz = 16000;
        c.record.track = i;
        c.record.tracks = c.record.mixed = true;
        send_one(b, c);
    }
}

static void record_stop(struct bed *b, uint64_t number)
{
    struct media_cmd c = {.kind = MEDIA_RECORD_STOP};
    c.record.number = number;
    send_one(b, c);
}

/* The file is as long as the recording was, with its last block. */
static void expect_wav(const struct bed *b, const char *name, uint32_t low_ms, uint32_t high_ms)
{
    char path[128];
    struct wav_shape shape;
    snprintf(path, sizeof(path), "%s/%s", b->dir, name);
    assert_int_equal(wav_repair(path, &shape), 0);
    assert_int_equal(shape.rate_hz, 16000);
    assert_in_range(shape.frames, low_ms * 16, high_ms * 16);
}

static bool all_hear(const struct bed *b)
{
    for (unsigned i = 0; i < PARTIES; i++)
        if (b->p[i].heard <= 5)
            return false;
    return true;
}

static void test_all_at_once(void **state)
{
    struct bed *b = *state;
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = PARTIES});
    UNTIL(b, b->ports == PARTIES);
    clip(b, 16000);
    for (unsigned i = 0; i < PARTIES; i++) {
        party_open(b, i);
        stream_open(b, i);
    }
    send_one(b, (struct media_cmd){.kind = MEDIA_LINK, .id = 1, .peer = 2});
    for (media_id id = 3; id <= 5; id++)
        join(b, id);
    record(b, 1, (const media_id[]){1, 2});
    record(b, 2, (const media_id[]){3, 4});
    for (unsigned round = 0; round < 4; round++) {
        play(b, MEDIA_PLAY, 6, round % 2);
        play(b, MEDIA_ROOM_PLAY, 7, false);
        talk(b, 150);
        for (unsigned n = 0; n < 500 && round == 0 && !all_hear(b); n++)
            talk(b, 20);               /* however busy the machine is */
        clip(b, round % 2 ? 3200 : 0); /* under the feet of those who hear it */
        send_one(b, (struct media_cmd){.kind = MEDIA_LISTEN, .id = 2, .on = round % 2});
        if (round == 1)
            record_stop(b, 2);
        if (round == 2)
            join(b, 1); /* while it is recorded */
    }
    send_one(b, (struct media_cmd){.kind = MEDIA_STOP, .id = 6});
    send_one(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 2});
    talk(b, 100);
    record_stop(b, 1);
    UNTIL(b, b->stopped == 2 && b->ended == 2);
    for (media_id id = 1; id <= PARTIES; id++)
        send_one(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = id});
    UNTIL(b, b->closed == PARTIES);
    assert_true(all_hear(b));
    assert_true(b->played >= 3);
    assert_int_equal(b->failed, 0);
    expect_wav(b, "r1.wav", 500, 10000);
    expect_wav(b, "r2-track1.wav", 250, 9000);
    struct media_figures f = media_thread_figures(b->t);
    assert_int_equal(f.dropped.no_memory, 0);
    assert_int_equal(recorder_stats_get(b->rec).lost_full, 0);
}

/* It is stopped in the middle of all that. */
static void test_stopped_while_busy(void **state)
{
    struct bed *b = *state;
    send_one(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = PARTIES});
    UNTIL(b, b->ports == PARTIES);
    for (unsigned i = 0; i < PARTIES; i++) {
        party_open(b, i);
        stream_open(b, i);
        join(b, i + 1);
    }
    record(b, 1, (const media_id[]){1, 2});
    clip(b, 8000);
    play(b, MEDIA_PLAY, 6, true);
    talk(b, 120);
    clip(b, 8000);
    clip(b, 8000);
    media_thread_stop(b->t);
    b->t = NULL;
    recorder_close(b->rec);
    b->rec = NULL;
    assert_int_equal(b->ended, 1);
    expect_wav(b, "r1.wav", 0, 10000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_all_at_once), T(test_stopped_while_busy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
