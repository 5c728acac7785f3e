#include "io/hepout.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/sock.h"

#define QUEUE_BYTES  (4u << 20)
#define QUEUE_LEAST  (128u * 1024) /* the longest packet fits twice */
#define CONNECT_MS   5000
#define UDP_AT_ONCE  64
#define TCP_AT_ONCE  (256u * 1024) /* so that a long queue does not hold up a turn */
#define SNDBUF_BYTES (1 << 20)

enum state {
    STATE_OFF,
    STATE_WAITING, /* for the timer, to try again */
    STATE_CONNECTING,
    STATE_UP,
    STATE_CLOSING /* the loop has not let go of the last socket */
};

/* Packets, one behind the other, never split at the end of the memory: [head, tail), and when no
 * more fit behind tail [0, second). A packet says itself how long it is. */
struct queue {
    char *mem;
    size_t cap, head, tail, second;
    size_t sent; /* of the first packet */
};

struct hepout {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer timer;
    struct hepout_config cfg; /* texts in the arrays below */
    char name[HEPOUT_TEXT_MAX + 1], key[HEPOUT_TEXT_MAX + 1];
    hepout_changed_fn *changed;
    void *ctx;
    struct hepout_stats stats;
    struct queue q;
    enum state state;
    int fd;
    uint32_t wait_ms; /* before the next attempt */
    bool blocked;     /* the socket is full */
    bool told;        /* the owner knows that there is no connection */
};

/* ---- the queue ------------------------------------------------------------------------------- */

static size_t queue_bytes(const struct queue *q)
{
    return q->tail - q->head + q->second - q->sent;
}

/* The longest of its first packets that lies in one piece. */
static struct str queue_front(const struct queue *q)
{
    return str_of(q->mem + q->head + q->sent, q->tail - q->head - q->sent);
}

static size_t front_length(const struct queue *q)
{
    int n = hep_length((const uint8_t *)q->mem + q->head, q->tail - q->head);
    BUG_ON(n <= 0);
    return (size_t)n;
}

static void queue_pop(struct queue *q)
{
    q->head += front_length(q);
    q->sent = 0;
    if (q->head < q->tail)
        return;
    q->head = 0;
    q->tail = q->second;
    q->second = 0;
}

/* Builds the packet at `at`, before `end`; how long it became, 0: it did not fit. */
static size_t build_at(struct queue *q, size_t at, size_t end, const struct hep *packet)
{
    struct buf b;
    if (at >= end)
        return 0;
    buf_init(&b, q->mem + at, end - at);
    hep_build(&b, packet);
    return b.n;
}

static bool queue_put(struct queue *q, const struct hep *packet)
{
    size_t n = 0;
    if (!q->second) {
        n = build_at(q, q->tail, q->cap, packet);
        q->tail += n;
    }
    if (!n && q->head < q->tail) {
        n = build_at(q, q->second, q->head, packet);
        q->second += n;
    }
    return n > 0;
}

/* Everything goes; how many packets there were. */
static uint64_t queue_clear(struct queue *q)
{
    uint64_t n = 0;
    for (; q->head < q->tail; n++)
        queue_pop(q);
    return n;
}

/* ---- the socket ------------------------------------------------------------------------------ */

static void wait_for(struct hepout *h)
{
    uint32_t most = h->cfg.retry_max_ms;
    h->state = STATE_WAITING;
    loop_timer_start(&h->timer, h->wait_ms, 0);
    h->wait_ms = h->wait_ms < most / 2 ? 2 * h->wait_ms : most;
}

static void say(struct hepout *h, int err)
{
    if (err && h->told)
        return;
    h->told = err != 0;
    if (h->changed)
        h->changed(h->ctx, err);
}

/* What was sent of a packet in part is lost: its rest would mean nothing to a new connection. */
static void drop_begun(struct hepout *h)
{
    if (!h->q.sent)
        return;
    queue_pop(&h->q);
    h->stats.dropped++;
}

static void socket_end(struct hepout *h)
{
    h->state = STATE_CLOSING;
    h->stats.up = false;
    h->blocked = false;
    loop_timer_stop(&h->timer);
    loop_watch_close(&h->watch);
    close(h->fd);
    h->fd = -1;
    drop_begun(h);
}

static void lost(struct hepout *h, int err)
{
    h->stats.errors++;
    socket_end(h);
    say(h, err);
}

static void socket_watch(struct hepout *h)
{
    unsigned events = LOOP_READ | (h->blocked ? LOOP_WRITE : 0);
    loop_watch_set(&h->watch, h->state == STATE_CONNECTING ? LOOP_WRITE : events);
}

static void socket_up(struct hepout *h)
{
    h->state = STATE_UP;
    h->stats.up = true;
    h->wait_ms = h->cfg.retry_ms;
    loop_timer_stop(&h->timer);
    socket_watch(h);
}

/* A capture server has nothing to say; that it says nothing more is its end. */
static void socket_read(struct hepout *h)
{
    char mem[2048];
    ssize_t n = recv(h->fd, mem, sizeof(mem), MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (!h->cfg.tcp) /* what an ICMP message has left */
        h->stats.errors += n < 0;
    else
        lost(h, n < 0 ? -errno : -EPIPE);
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct hepout *h = container_of(w, struct hepout, watch);
    if (h->state == STATE_CONNECTING) {
        int err = sock_error_take(h->fd);
        if (err) {
            lost(h, err);
            return;
        }
        socket_up(h);
        say(h, 0);
    } else if (events & LOOP_ERROR) {
        int err = sock_error_take(h->fd);
        if (h->cfg.tcp) {
            lost(h, err ? err : -EIO);
            return;
        }
        h->stats.errors += err != 0;
        socket_watch(h);
    } else if (events & LOOP_READ) {
        socket_read(h);
    }
    if (h->state == STATE_UP && events & LOOP_WRITE)
        h->blocked = false;
    if (h->state == STATE_UP)
        hepout_flush(h);
}

static int start(struct hepout *h);

static void on_closed(struct loop_watch *w)
{
    struct hepout *h = container_of(w, struct hepout, watch);
    h->state = STATE_OFF;
    if (!hepout_wanted(h))
        return;
    if (h->wait_ms) /* 0: another server is wanted */
        wait_for(h);
    else
        (void)start(h);
}

static int socket_make(struct hepout *h)
{
    struct addr from = {.family = h->cfg.to.family};
    union sock_addr to;
    socklen_t n = sock_addr_build(&to, &h->cfg.to);
    int fd = h->cfg.tcp ? sock_open_outward(&from) : sock_open(&from, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    if (h->cfg.tcp)
        sock_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sock_option(fd, SOL_SOCKET, SO_SNDBUF, SNDBUF_BYTES);
    int err = connect(fd, &to.sa, n) && errno != EINPROGRESS ? -errno : 0;
    h->watch = (struct loop_watch){.ready = on_ready, .closed = on_closed};
    if (!err)
        err = loop_watch_open(h->loop, &h->watch, fd, h->cfg.tcp ? LOOP_WRITE : LOOP_READ);
    if (err) {
        close(fd);
        return err;
    }
    h->fd = fd;
    return 0;
}

/* 0, or why there is not even an attempt, of which the timer makes another. */
static int start(struct hepout *h)
{
    h->wait_ms = h->wait_ms ? h->wait_ms : h->cfg.retry_ms;
    int err = socket_make(h);
    if (err) {
        h->stats.errors++;
        wait_for(h);
        return err;
    }
    h->state = STATE_CONNECTING;
    if (h->cfg.tcp) {
        loop_timer_start(&h->timer, CONNECT_MS, 0);
        return 0;
    }
    socket_up(h);
    if (h->told)
        say(h, 0);
    return 0;
}

static void on_timer(struct loop_timer *t)
{
    struct hepout *h = container_of(t, struct hepout, timer);
    if (h->state == STATE_CONNECTING) {
        lost(h, -ETIMEDOUT);
    } else if (h->state == STATE_WAITING) {
        int err = start(h);
        if (err) /* no way there, say */
            say(h, err);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static void sent(struct hepout *h, size_t n)
{
    struct queue *q = &h->q;
    h->stats.bytes += n;
    q->sent += n;
    while (q->sent && q->sent >= front_length(q)) {
        size_t rest = q->sent - front_length(q);
        queue_pop(q);
        q->sent = rest;
        h->stats.packets++;
    }
}

static void flush_tcp(struct hepout *h)
{
    size_t most = TCP_AT_ONCE;
    while (queue_bytes(&h->q) && most) {
        struct str front = queue_front(&h->q);
        size_t want = front.n < most ? front.n : most;
        ssize_t n = send(h->fd, front.p, want, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            lost(h, -errno);
            return;
        }
        if (n > 0)
            sent(h, (size_t)n);
        if (n < (ssize_t)want)
            break;
        most -= want;
    }
    h->blocked = queue_bytes(&h->q) > 0;
    socket_watch(h);
}

/* The first packets, a datagram each. How many have left; 0: the socket is full. */
static unsigned send_some(struct hepout *h)
{
    struct mmsghdr msg[UDP_AT_ONCE];
    struct iovec iov[UDP_AT_ONCE];
    struct queue front = h->q;
    unsigned n = 0;
    while (n < UDP_AT_ONCE && front.head < front.tail) {
        iov[n] = (struct iovec){front.mem + front.head, front_length(&front)};
        msg[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[n], .msg_iovlen = 1}};
        n++;
        queue_pop(&front);
    }
    int done = sendmmsg(h->fd, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return 0;
    if (done <= 0) { /* it may be the echo of an earlier one: this one is not tried again */
        h->stats.errors++;
        h->stats.dropped++;
        queue_pop(&h->q);
        return 1;
    }
    for (int i = 0; i < done; i++)
        sent(h, iov[i].iov_len);
    return (unsigned)done;
}

static void flush_udp(struct hepout *h)
{
    while (queue_bytes(&h->q) && !h->blocked)
        if (send_some(h) == 0)
            h->blocked = true;
    socket_watch(h);
}

void hepout_flush(struct hepout *h)
{
    if (h->state != STATE_UP || h->blocked || !queue_bytes(&h->q))
        return;
    if (h->cfg.tcp)
        flush_tcp(h);
    else
        flush_udp(h);
}

void hepout_put(struct hepout *h, const struct hep *packet)
{
    struct hep p = *packet;
    if (!hepout_wanted(h))
        return;
    p.node = h->cfg.node;
    p.name = h->cfg.name;
    p.key = h->cfg.key;
    if (!queue_put(&h->q, &p))
        h->stats.dropped++;
}

/* ---- life ------------------------------------------------------------------------------------ */

bool hepout_wanted(const struct hepout *h)
{
    return h->cfg.to.family != ADDR_NONE;
}

const struct hepout_stats *hepout_stats_get(struct hepout *h)
{
    h->stats.queued_bytes = (uint32_t)queue_bytes(&h->q);
    return &h->stats;
}

static void config_take(struct hepout *h, const struct hepout_config *cfg)
{
    h->cfg = *cfg;
    h->cfg.retry_ms = cfg->retry_ms ? cfg->retry_ms : 1000;
    h->cfg.retry_max_ms = cfg->retry_max_ms ? cfg->retry_max_ms : 60000;
    h->cfg.name = str_of(h->name, str_copy_z(h->name, sizeof(h->name), cfg->name));
    h->cfg.key = str_of(h->key, str_copy_z(h->key, sizeof(h->key), cfg->key));
}

void hepout_set(struct hepout *h, const struct hepout_config *cfg)
{
    bool same = h->cfg.tcp == cfg->tcp && addr_eq(&h->cfg.to, &cfg->to);
    config_take(h, cfg);
    if (same)
        return;
    h->told = false;
    h->wait_ms = 0;
    if (h->state == STATE_CONNECTING || h->state == STATE_UP)
        socket_end(h); /* on_closed() begins anew */
    h->stats.dropped += queue_clear(&h->q);
    if (h->state == STATE_CLOSING)
        return;
    loop_timer_stop(&h->timer);
    h->state = STATE_OFF;
    if (hepout_wanted(h))
        (void)start(h);
}

int hepout_new(struct hepout **ret, struct loop *loop, const struct hepout_config *cfg,
               hepout_changed_fn *changed, void *ctx)
{
    struct hepout *h = mem_zero(sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->loop = loop;
    h->fd = -1;
    h->changed = changed;
    h->ctx = ctx;
    h->q.cap = cfg->queue_bytes ? cfg->queue_bytes : QUEUE_BYTES;
    h->q.cap = h->q.cap < QUEUE_LEAST ? QUEUE_LEAST : h->q.cap;
    h->q.mem = mem_map(h->q.cap);
    if (!h->q.mem) {
        mem_free(h);
        return -ENOMEM;
    }
    h->timer.fire = on_timer;
    loop_timer_open(loop, &h->timer);
    hepout_set(h, cfg);
    *ret = h;
    return 0;
}

void hepout_free(struct hepout *h)
{
    if (!h)
        return;
    h->cfg.to.family = ADDR_NONE;
    h->changed = NULL;
    if (h->state == STATE_CONNECTING || h->state == STATE_UP)
        socket_end(h);
    loop_timer_close(&h->timer);
    loop_settle(h->loop);
    mem_unmap(h->q.mem, h->q.cap);
    mem_free(h);
}
