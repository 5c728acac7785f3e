#include "io/outconn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/sock.h"

#define READ_BYTES   65536
#define RECORD_BYTES 16384
#define READ_AT_ONCE 16 /* so that a fast peer does not hold up a turn */

struct outconn {
    struct loop_watch watch;
    struct loop_timer later; /* tells what went wrong inside a function of the interface */
    struct outconn_hooks hooks;
    struct tls_session *tls; /* NULL: plain */
    int fd, err;
    bool made, up, closed, told; /* made: by TCP */
    unsigned open;               /* handles of the loop */
    char *queue;
    size_t n, cap;
};

static void release(struct outconn *c)
{
    if (--c->open)
        return;
    mem_free(c->queue);
    mem_free(c);
}

static void on_watch_closed(struct loop_watch *w)
{
    release(container_of(w, struct outconn, watch));
}

static void on_timer_closed(struct loop_timer *t)
{
    release(container_of(t, struct outconn, later));
}

static void lost(struct outconn *c, int err)
{
    if (c->told || c->closed)
        return;
    c->told = true;
    loop_watch_set(&c->watch, 0);
    c->hooks.lost(c->hooks.ctx, err);
}

static void on_later(struct loop_timer *t)
{
    struct outconn *c = container_of(t, struct outconn, later);
    lost(c, c->err);
}

static void fail_later(struct outconn *c, int err)
{
    if (c->err)
        return;
    c->err = err;
    loop_timer_start(&c->later, 0, 0);
}

/* What the kernel takes of it, or negative errno. */
static ssize_t hand_over(struct outconn *c, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        ssize_t got = send(c->fd, p + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN)
            return -errno;
        if (got <= 0)
            break;
        at += (size_t)got;
    }
    return (ssize_t)at;
}

static void queue_drop(struct outconn *c, size_t n)
{
    c->n -= n;
    if (n)
        memmove(c->queue, c->queue + n, c->n);
}

/* What waits becomes records as soon as there may be any, and those leave. Records that the kernel
 * has not taken hold the next ones back, so that the queue is where the bound counts. */
static int flush_tls(struct outconn *c, bool *more)
{
    for (;;) {
        struct str tx = tls_session_tx(c->tls);
        ssize_t sent = tx.n ? hand_over(c, tx.p, tx.n) : 0;
        if (sent < 0)
            return (int)sent;
        tls_session_tx_done(c->tls, (size_t)sent);
        *more = (size_t)sent < tx.n || (c->up && c->n);
        size_t n = c->n < RECORD_BYTES ? c->n : RECORD_BYTES;
        if ((size_t)sent < tx.n || !c->up || !n)
            return 0;
        int err = tls_session_write(c->tls, c->queue, n);
        if (err)
            return err;
        queue_drop(c, n);
    }
}

/* 0, or negative errno. */
static int flush(struct outconn *c)
{
    bool more = false;
    int err = 0;
    if (c->tls && c->made) {
        err = flush_tls(c, &more);
    } else if (c->up) {
        ssize_t n = hand_over(c, c->queue, c->n);
        err = n < 0 ? (int)n : 0;
        queue_drop(c, err ? 0 : (size_t)n);
        more = c->n > 0;
    }
    loop_watch_set(&c->watch, c->made ? LOOP_READ | (more ? LOOP_WRITE : 0) : LOOP_WRITE);
    return err;
}

static bool over(const struct outconn *c)
{
    return c->closed || c->told;
}

/* Plain bytes, and the steps of the handshake. */
static void receive_tls(struct outconn *c, const char *p, size_t n)
{
    char mem[READ_BYTES];
    int err = tls_session_rx(c->tls, p, n);
    for (ptrdiff_t got = 1; !err && got > 0 && !over(c);) {
        got = tls_session_read(c->tls, mem, sizeof(mem));
        err = got == -EPIPE ? 0 : got < 0 ? -EPROTO : 0;
        if (!err && !c->up && tls_session_is_up(c->tls)) {
            c->up = true;
            c->hooks.up(c->hooks.ctx);
        }
        if (got > 0 && !over(c))
            c->hooks.rx(c->hooks.ctx, str_of(mem, (size_t)got));
        if (got == -EPIPE && !over(c))
            lost(c, c->up ? 0 : -EPROTO);
    }
    int sent = over(c) ? 0 : flush(c); /* of a session that failed, its alert */
    if ((err || sent) && !over(c))
        lost(c, err ? err : sent);
}

static void receive(struct outconn *c)
{
    char mem[READ_BYTES];
    for (int i = 0; i < READ_AT_ONCE && !over(c); i++) {
        ssize_t n = recv(c->fd, mem, sizeof(mem), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            lost(c, n ? -errno : c->tls && !c->up ? -EPROTO : 0);
        else if (c->tls)
            receive_tls(c, mem, (size_t)n);
        else
            c->hooks.rx(c->hooks.ctx, str_of(mem, (size_t)n));
    }
}

/* The handshake begins with us. */
static int begin(struct outconn *c)
{
    char none[1];
    c->made = true;
    if (!c->tls) {
        c->up = true;
        c->hooks.up(c->hooks.ctx);
        return 0;
    }
    ptrdiff_t got = tls_session_read(c->tls, none, sizeof(none));
    return got < 0 ? (int)got : 0;
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct outconn *c = container_of(w, struct outconn, watch);
    if (c->told || c->closed)
        return;
    if (!c->made) {
        int err = sock_error_take(c->fd);
        err = err ? err : begin(c);
        if (err) {
            lost(c, err);
            return;
        }
    }
    int err = c->closed ? 0 : flush(c);
    if (err)
        lost(c, err);
    if (events & (LOOP_READ | LOOP_ERROR))
        receive(c);
}

static int socket_make(const struct addr *to)
{
    struct addr from = {.family = to->family};
    union sock_addr sa;
    socklen_t n = sock_addr_build(&sa, to);
    int fd = sock_open_outward(&from);
    if (fd < 0)
        return fd;
    sock_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (connect(fd, &sa.sa, n) && errno != EINPROGRESS) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

int outconn_open_tls(struct outconn **ret, struct loop *loop, const struct addr *to,
                     const struct outconn_tls *tls, const struct outconn_hooks *hooks)
{
    struct outconn *c = mem_zero(sizeof(*c));
    if (c && tls)
        c->tls = tls_session_new_client(tls->ctx, &tls->who);
    if (!c || (tls && !c->tls)) {
        mem_free(c);
        return -ENOMEM;
    }
    c->fd = socket_make(to);
    c->hooks = *hooks;
    c->watch = (struct loop_watch){.ready = on_ready, .closed = on_watch_closed};
    int err = c->fd < 0 ? c->fd : loop_watch_open(loop, &c->watch, c->fd, LOOP_WRITE);
    if (err) {
        if (c->fd >= 0)
            close(c->fd);
        tls_session_free(c->tls);
        mem_free(c);
        return err;
    }
    c->later = (struct loop_timer){.fire = on_later, .closed = on_timer_closed};
    loop_timer_open(loop, &c->later);
    c->open = 2;
    *ret = c;
    return 0;
}

int outconn_open(struct outconn **ret, struct loop *loop, const struct addr *to,
                 const struct outconn_hooks *hooks)
{
    return outconn_open_tls(ret, loop, to, NULL, hooks);
}

struct str outconn_why(const struct outconn *c)
{
    return c->tls ? tls_session_why(c->tls) : STR_NONE;
}

void outconn_send(struct outconn *c, struct str bytes)
{
    if (c->told || c->closed || c->err)
        return;
    if (c->n + bytes.n > OUTCONN_QUEUE_BYTES) {
        fail_later(c, -ENOBUFS);
        return;
    }
    if (c->n + bytes.n > c->cap) {
        size_t cap = (c->n + bytes.n) * 2;
        char *bigger = mem_resize(c->queue, cap);
        if (!bigger) {
            fail_later(c, -ENOMEM);
            return;
        }
        c->queue = bigger;
        c->cap = cap;
    }
    memcpy(c->queue + c->n, bytes.p, bytes.n);
    c->n += bytes.n;
    int err = flush(c);
    if (err)
        fail_later(c, err);
}

void outconn_close(struct outconn *c)
{
    if (!c || c->closed)
        return;
    if (c->tls && c->up && !c->told) {
        tls_session_close(c->tls);
        struct str tx = tls_session_tx(c->tls);
        (void)!hand_over(c, tx.p, tx.n);
    }
    tls_session_free(c->tls); /* its context need not wait for the loop */
    c->tls = NULL;
    c->closed = true;
    loop_watch_close(&c->watch);
    loop_timer_close(&c->later);
    close(c->fd);
    c->fd = -1;
}
