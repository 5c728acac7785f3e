#include "app/media.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "io/mailbox.h"
#include "io/recorder.h"
#include "io/rtpio.h"

#define COMMANDS     8192
#define EVENTS       8192
#define REPORTS      256
#define TURN_CMDS    256
#define TAPS         4096
#define FEEDS        8192
#define RCVBUF_BYTES (256 * 1024)
#define STOCK_MAX    1024
/* Room that one command's events can need: a MEDIA_STOCK of STOCK_MAX, and one of the relay's. */
#define CMD_EVENTS (STOCK_MAX / MEDIA_EV_MAX_PORTS + 2)
/* How soon to try again when the owner does not fetch its events. */
#define RETRY_US   (10 * USEC_MS)
#define FIGURES_US (100 * USEC_MS)

struct media_thread {
    struct plane plane;
    struct rtpio *io;
    struct mailbox in, out, rtcp, tap, ear, feed;
    _Atomic bool show_rtcp;
    uint64_t rtcp_lost, taps_lost;
    struct recorder *recorder[2];
    void (*block)(void *ctx, const struct plane_block *b);
    void *block_ctx;
    usec_t figures_due;
    pthread_mutex_t lock; /* of figures, taken ten times a second */
    struct media_figures figures;
};

/* RFC 5761 section 4: by its second byte RTCP is told from RTP on one port. */
static bool is_report(const uint8_t *bytes, size_t n, bool rtcp_port)
{
    return n >= 8 && n <= MEDIA_RTCP_BYTES && bytes[0] >> 6 == 2 &&
           (rtcp_port || (bytes[1] >= 192 && bytes[1] <= 223));
}

/* For who listens; a full mailbox loses it. */
static void report_show(struct media_thread *t, const struct rtpio_forward *f, bool sent,
                        const uint8_t *bytes, size_t n)
{
    struct media_rtcp r; /* not cleared: this is asked of every packet */
    if (!atomic_load_explicit(&t->show_rtcp, memory_order_relaxed) ||
        !is_report(bytes, n, f->is_rtcp))
        return;
    r.id = plane_stream_of(&t->plane, f->port);
    r.at = rtpio_now();
    r.peer = f->to;
    r.port = (uint16_t)(f->port + f->is_rtcp);
    r.sent = sent;
    r.n = (uint16_t)n;
    memcpy(r.bytes, bytes, n);
    if (r.id && mailbox_put(&t->rtcp, &r))
        t->rtcp_lost++;
}

static void made_send(struct media_thread *t)
{
    struct plane_made m;
    while (plane_out(&t->plane, &m)) {
        struct rtpio_forward f = {.to = m.to, .port = m.port, .is_rtcp = m.is_rtcp};
        report_show(t, &f, true, m.bytes, m.n);
        rtpio_send(t->io, &f, m.bytes, m.n);
    }
}

/* What cannot be had is a gap, which the recorder sees by itself. */
static void marks_copy(struct record_block *k, const struct plane_block *b)
{
    static const uint8_t kind[] = {[PLANE_MARK_LOST] = RECORD_LOST,
                                   [PLANE_MARK_HELD] = RECORD_HELD,
                                   [PLANE_MARK_ADDED] = RECORD_ADDED,
                                   [PLANE_MARK_LEFT_OUT] = RECORD_LEFT_OUT,
                                   [PLANE_MARK_CLOCK] = RECORD_CLOCK};
    _Static_assert(PLANE_REC_MARKS <= RECORD_MARKS_MAX, "what the plane gives fits");
    k->n_marks = (uint16_t)b->n_marks;
    for (unsigned i = 0; i < b->n_marks; i++)
        k->mark[i] = (struct record_mark){.at = b->mark[i].at,
                                          .samples = b->mark[i].samples,
                                          .track = b->mark[i].track,
                                          .kind = kind[b->mark[i].kind],
                                          .ppm_x10 = b->mark[i].ppm_x10,
                                          .error_x10 = b->mark[i].error_x10};
}

static void blocks_write(struct media_thread *t)
{
    struct plane_block b;
    while (plane_block(&t->plane, &b)) {
        if (t->block) {
            t->block(t->block_ctx, &b);
            continue;
        }
        struct recorder *rec = t->recorder[(b.record & MEDIA_RECORD_MESSAGE) != 0];
        struct record_block *k = rec ? recorder_block_get(rec, b.n, b.samples) : NULL;
        if (!k)
            continue;
        k->record = b.record;
        k->at = b.at;
        k->rate_hz = b.rate_hz;
        marks_copy(k, &b);
        for (unsigned i = 0; i < b.n; i++) {
            k->plane[i] = (struct record_plane){.track = b.plane[i].track,
                                                .flags = b.plane[i].silent ? RECORD_SILENT : 0};
            memcpy(record_samples(k, i), b.plane[i].pcm, b.samples * sizeof(int16_t));
        }
        (void)recorder_put(rec, k);
    }
}

/* A mark must arrive; a frame of sound that finds no room is lost. */
static void taps_give(struct media_thread *t)
{
    struct media_tap m; /* the samples behind the frame's end stay what they were */
    while (plane_tap(&t->plane, &m.tap)) {
        struct mailbox *to = m.tap.ears ? &t->ear : &t->tap;
        if (m.tap.kind == PLANE_TAP_SOUND && mailbox_room(to) <= TAPS / 4) {
            t->taps_lost++;
            continue;
        }
        if (m.tap.n)
            memcpy(m.pcm, m.tap.pcm, m.tap.n * sizeof(m.pcm[0]));
        m.tap.pcm = NULL;
        t->taps_lost += mailbox_put(to, &m) != 0;
    }
}

/* Nobody rings for it: who is tapped has a tick. */
static void feeds_take(struct media_thread *t, usec_t now)
{
    struct media_feed m;
    mailbox_ack(&t->feed);
    while (mailbox_take(&t->feed, &m)) {
        m.feed.pcm = m.pcm;
        if (m.feed.n <= PLANE_TAP_SAMPLES) /* what is not heard is counted there */
            (void)plane_feed(&t->plane, now, &m.feed);
    }
}

static int on_rx(void *ctx, usec_t now, const struct rtpio_packet *in, struct rtpio_forward *ret)
{
    struct media_thread *t = ctx;
    struct plane_packet p = {.from = &in->from,
                             .bytes = in->bytes,
                             .n = in->n,
                             .port = in->port,
                             .is_rtcp = in->is_rtcp};
    struct plane_forward f;
    struct rtpio_forward came = {.to = in->from, .port = in->port, .is_rtcp = in->is_rtcp};
    report_show(t, &came, false, in->bytes, in->n);
    int passed = plane_rx(&t->plane, now, &p, &f);
    made_send(t);
    if (passed != 1)
        return 0;
    *ret = (struct rtpio_forward){.to = f.to, .port = f.port, .is_rtcp = f.is_rtcp};
    report_show(t, ret, true, in->bytes, in->n);
    return 1;
}

/* The caller has checked that there is room. */
static void event_put(struct media_thread *t, const struct media_ev *ev)
{
    int rc = mailbox_put(&t->out, ev);
    BUG_ON(rc);
}

static void stock(struct media_thread *t, const struct media_cmd *cmd)
{
    uint32_t want = cmd->count < STOCK_MAX ? cmd->count : STOCK_MAX, made = 0;
    struct media_ev ev = {.kind = MEDIA_EV_PORTS, .family = cmd->family};
    for (; made < want && rtpio_open(t->io, &ev.port[ev.count], cmd->family) == 0; made++) {
        if (++ev.count < MEDIA_EV_MAX_PORTS)
            continue;
        event_put(t, &ev);
        ev.count = 0;
    }
    if (ev.count)
        event_put(t, &ev);
    ev = (struct media_ev){.kind = MEDIA_EV_NO_PORTS, .family = cmd->family};
    if (made < cmd->count)
        event_put(t, &ev);
}

static void command(struct media_thread *t, usec_t now, const struct media_cmd *cmd)
{
    if (cmd->kind == MEDIA_STOCK) {
        stock(t, cmd);
        return;
    }
    /* What came for the former owner of the pair must not reach the new one. */
    if (cmd->kind == MEDIA_OPEN)
        rtpio_drain(t->io, cmd->port);
    /* A stream that is gone is no error: commands and events cross on their way. */
    (void)plane_cmd(&t->plane, now, cmd);
    made_send(t);
}

/* False: the owner does not fetch its events, come back soon. */
static bool events_flush(struct media_thread *t)
{
    struct media_ev ev;
    while (mailbox_room(&t->out) > 0) {
        if (!plane_event(&t->plane, &ev))
            return true;
        event_put(t, &ev);
    }
    return false;
}

/* False: more commands wait. */
static bool commands_take(struct media_thread *t, usec_t now)
{
    struct media_cmd cmd;
    mailbox_ack(&t->in);
    for (int i = 0; i < TURN_CMDS; i++) {
        if (!events_flush(t) || mailbox_room(&t->out) < CMD_EVENTS)
            return false;
        if (!mailbox_take(&t->in, &cmd))
            return true;
        command(t, now, &cmd);
    }
    return false;
}

static void figures_note(struct media_thread *t, usec_t now)
{
    if (now < t->figures_due)
        return;
    struct rtpio_count c = rtpio_counted(t->io);
    t->figures_due = now + FIGURES_US;
    pthread_mutex_lock(&t->lock);
    t->figures = (struct media_figures){.rx_packets = c.rx_packets,
                                        .tx_packets = c.tx_packets,
                                        .tx_errors = c.tx_errors,
                                        .turns = c.turns,
                                        .rtcp_lost = t->rtcp_lost,
                                        .taps_lost = t->taps_lost,
                                        .dropped = t->plane.count};
    pthread_mutex_unlock(&t->lock);
}

static usec_t on_turn(void *ctx, usec_t now)
{
    struct media_thread *t = ctx;
    feeds_take(t, now);
    plane_tick(&t->plane, now);
    made_send(t);
    taps_give(t);
    blocks_write(t);
    bool done = commands_take(t, now);
    done = events_flush(t) && done;
    figures_note(t, now);
    usec_t due = plane_deadline(&t->plane);
    if (!done && due > now + RETRY_US)
        due = mailbox_room(&t->out) < CMD_EVENTS ? now + RETRY_US : now;
    return due;
}

/* Thousands of sockets need more descriptors than a shell grants by default. */
static void descriptors_raise(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur == l.rlim_max)
        return;
    l.rlim_cur = l.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &l);
}

static int thread_init(struct media_thread *t, const struct media_conf *conf)
{
    struct plane_limits limits = conf->limits;
    t->recorder[0] = conf->recorder[0];
    t->recorder[1] = conf->recorder[1];
    t->block = conf->block;
    t->block_ctx = conf->block_ctx;
    if (limits.max_streams == 0)
        limits.max_streams = (conf->port_last + 1u - conf->port_first) / 2 + 1;
    int rc = plane_init(&t->plane, &limits, rtpio_now());
    if (rc)
        return rc;
    rc = mailbox_init(&t->in, sizeof(struct media_cmd), COMMANDS);
    if (rc)
        goto no_in;
    rc = mailbox_init(&t->out, sizeof(struct media_ev), EVENTS);
    if (rc)
        goto no_out;
    rc = mailbox_init(&t->rtcp, sizeof(struct media_rtcp), REPORTS);
    if (rc)
        goto no_rtcp;
    rc = mailbox_init(&t->tap, sizeof(struct media_tap), TAPS);
    if (rc)
        goto no_tap;
    rc = mailbox_init(&t->ear, sizeof(struct media_tap), TAPS);
    if (rc)
        goto no_ear;
    rc = mailbox_init(&t->feed, sizeof(struct media_feed), FEEDS);
    if (rc)
        goto no_feed;
    struct rtpio_conf io = {.bind_v4 = conf->bind_v4,
                            .bind_v6 = conf->bind_v6,
                            .port_first = conf->port_first,
                            .port_last = conf->port_last,
                            .coalesce_us = conf->coalesce_us,
                            .rcvbuf_bytes = RCVBUF_BYTES,
                            .wake_fd = t->in.fd};
    struct rtpio_ops ops = {.rx = on_rx, .turn = on_turn, .ctx = t};
    rc = rtpio_new(&t->io, &io, &ops);
    if (rc == 0)
        return 0;
    mailbox_done(&t->feed);
no_feed:
    mailbox_done(&t->ear);
no_ear:
    mailbox_done(&t->tap);
no_tap:
    mailbox_done(&t->rtcp);
no_rtcp:
    mailbox_done(&t->out);
no_out:
    mailbox_done(&t->in);
no_in:
    plane_done(&t->plane);
    return rc;
}

int media_thread_start(struct media_thread **ret, const struct media_conf *conf)
{
    struct media_thread *t = mem_map(sizeof(*t)); /* a page, for the mailboxes' alignment */
    if (!t)
        return -ENOMEM;
    descriptors_raise();
    int rc = thread_init(t, conf);
    if (rc) {
        mem_unmap(t, sizeof(*t));
        return rc;
    }
    pthread_mutex_init(&t->lock, NULL);
    rc = rtpio_start(t->io);
    if (rc) {
        media_thread_stop(t);
        return rc;
    }
    *ret = t;
    return 0;
}

size_t media_thread_send(struct media_thread *t, const struct media_cmd *cmd, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (mailbox_put(&t->in, &cmd[i]))
            return i;
    return n;
}

int media_thread_fd(const struct media_thread *t)
{
    return t->out.fd;
}

size_t media_thread_poll(struct media_thread *t, struct media_ev *ev, size_t n)
{
    size_t i = 0;
    mailbox_ack(&t->out);
    while (i < n && mailbox_take(&t->out, &ev[i]))
        i++;
    return i;
}

void media_thread_show_rtcp(struct media_thread *t, bool on)
{
    atomic_store(&t->show_rtcp, on);
}

int media_thread_rtcp_fd(const struct media_thread *t)
{
    return t->rtcp.fd;
}

bool media_thread_rtcp(struct media_thread *t, struct media_rtcp *ret)
{
    mailbox_ack(&t->rtcp);
    return mailbox_take(&t->rtcp, ret);
}

int media_thread_tap_fd(const struct media_thread *t)
{
    return t->tap.fd;
}

bool media_thread_tap(struct media_thread *t, struct media_tap *ret)
{
    mailbox_ack(&t->tap);
    return mailbox_take(&t->tap, ret);
}

int media_thread_ear_fd(const struct media_thread *t)
{
    return t->ear.fd;
}

bool media_thread_ear(struct media_thread *t, struct media_tap *ret)
{
    mailbox_ack(&t->ear);
    return mailbox_take(&t->ear, ret);
}

int media_thread_feed(struct media_thread *t, const struct media_feed *f)
{
    return mailbox_put(&t->feed, f);
}

struct media_figures media_thread_figures(struct media_thread *t)
{
    pthread_mutex_lock(&t->lock);
    struct media_figures f = t->figures;
    pthread_mutex_unlock(&t->lock);
    return f;
}

void media_thread_stop(struct media_thread *t)
{
    if (!t)
        return;
    struct media_cmd cmd;
    rtpio_stop(t->io);
    rtpio_free(t->io);
    while (mailbox_take(&t->in, &cmd))
        if (cmd.kind == MEDIA_CLIP)
            mem_free(cmd.play.clip);
    mailbox_done(&t->feed);
    mailbox_done(&t->ear);
    mailbox_done(&t->tap);
    mailbox_done(&t->rtcp);
    mailbox_done(&t->out);
    mailbox_done(&t->in);
    plane_done(&t->plane);
    pthread_mutex_destroy(&t->lock);
    mem_unmap(t, sizeof(*t));
}
