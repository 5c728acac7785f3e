#include "io/outconn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/sock.h"

#define READ_BYTES   65536
#define READ_AT_ONCE 16 /* so that a fast peer does not hold up a turn */

struct outconn {
    struct loop_watch watch;
    struct loop_timer later; /* tells what went wrong inside a function of the interface */
    struct outconn_hooks hooks;
    int fd, err;
    bool up, closed, told;
    unsigned open; /* handles of the loop */
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

/* 0, or negative errno. */
static int flush(struct outconn *c)
{
    size_t at = 0;
    while (c->up && at < c->n) {
        ssize_t n = send(c->fd, c->queue + at, c->n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    c->n -= at;
    if (at)
        memmove(c->queue, c->queue + at, c->n);
    loop_watch_set(&c->watch, c->up ? LOOP_READ | (c->n ? LOOP_WRITE : 0) : LOOP_WRITE);
    return 0;
}

static void receive(struct outconn *c)
{
    char mem[READ_BYTES];
    for (int i = 0; i < READ_AT_ONCE && !c->closed && !c->told; i++) {
        ssize_t n = recv(c->fd, mem, sizeof(mem), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            lost(c, n ? -errno : 0);
        else
            c->hooks.rx(c->hooks.ctx, str_of(mem, (size_t)n));
    }
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct outconn *c = container_of(w, struct outconn, watch);
    if (c->told || c->closed)
        return;
    if (!c->up) {
        int err = sock_error_take(c->fd);
        if (err) {
            lost(c, err);
            return;
        }
        c->up = true;
        c->hooks.up(c->hooks.ctx);
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

int outconn_open(struct outconn **ret, struct loop *loop, const struct addr *to,
                 const struct outconn_hooks *hooks)
{
    struct outconn *c = mem_zero(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->fd = socket_make(to);
    c->hooks = *hooks;
    c->watch = (struct loop_watch){.ready = on_ready, .closed = on_watch_closed};
    int err = c->fd < 0 ? c->fd : loop_watch_open(loop, &c->watch, c->fd, LOOP_WRITE);
    if (err) {
        if (c->fd >= 0)
            close(c->fd);
        mem_free(c);
        return err;
    }
    c->later = (struct loop_timer){.fire = on_later, .closed = on_timer_closed};
    loop_timer_open(loop, &c->later);
    c->open = 2;
    *ret = c;
    return 0;
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
    c->closed = true;
    loop_watch_close(&c->watch);
    loop_timer_close(&c->later);
    close(c->fd);
    c->fd = -1;
}
