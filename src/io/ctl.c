#include "io/ctl.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/fs.h"

#define SWEEP_MS 250u

struct client {
    struct loop_watch watch;
    struct ctl *ctl;
    int fd;
    bool open, closing;
    char *line; /* CTL_MAX_LINE bytes */
    size_t line_n;
    char *out; /* the part of a reply that did not fit into the socket */
    size_t out_n, out_at;
    usec_t since; /* a line or a reply is half done since then; 0: none is */
};

struct ctl {
    struct loop *loop;
    struct ctl_config cfg;
    struct sockaddr_un at;
    struct loop_watch watch;
    struct loop_timer sweep;
    int fd;
    char *reply;           /* CTL_MAX_REPLY bytes and a line end */
    struct client *client; /* cfg.max_clients of them */
};

static void on_closed(struct loop_watch *w)
{
    struct client *c = container_of(w, struct client, watch);
    mem_free(c->line);
    mem_free(c->out);
    *c = (struct client){.ctl = c->ctl};
}

static void client_end(struct client *c)
{
    if (c->closing)
        return;
    c->closing = true;
    loop_watch_close(&c->watch);
    close(c->fd);
}

/* Keeps what the socket did not take. */
static int out_keep(struct client *c, const char *p, size_t n)
{
    c->out = mem_alloc(n);
    if (!c->out)
        return -ENOMEM;
    memcpy(c->out, p, n);
    c->out_n = n;
    c->out_at = 0;
    c->since = loop_now(c->ctl->loop);
    /* Its next request waits until this reply is read. */
    loop_watch_set(&c->watch, LOOP_WRITE);
    return 0;
}

static int client_send(struct client *c, const char *p, size_t n)
{
    ssize_t sent = send(c->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    size_t done = sent > 0 ? (size_t)sent : 0;
    return done == n ? 0 : out_keep(c, p + done, n - done);
}

static int client_answer(struct client *c, struct str line)
{
    struct ctl *ctl = c->ctl;
    struct buf b;
    buf_init(&b, ctl->reply, CTL_MAX_REPLY);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return 0;
    ctl->cfg.request(ctl->cfg.ctx, line, &b);
    if (b.full) {
        buf_init(&b, ctl->reply, CTL_MAX_REPLY);
        buf_lit(&b, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,"
                    "\"message\":\"the reply is too large\"}}");
    }
    if (b.n == 0)
        return 0;
    ctl->reply[b.n] = '\n';
    return client_send(c, ctl->reply, b.n + 1);
}

/* Answers the whole lines in the buffer, one after the other, as far as the client reads. */
static int client_lines(struct client *c)
{
    size_t at = 0;
    int err = 0;
    while (!err && !c->out) {
        const char *end = memchr(c->line + at, '\n', c->line_n - at);
        if (!end)
            break;
        size_t n = (size_t)(end - (c->line + at));
        struct str line = str_of(c->line + at, n);
        at += n + 1;
        err = client_answer(c, line);
    }
    c->line_n -= at;
    memmove(c->line, c->line + at, c->line_n);
    if (!c->out && c->line_n == CTL_MAX_LINE)
        return -EMSGSIZE;
    return err;
}

static void client_rx(struct client *c)
{
    ssize_t n = recv(c->fd, c->line + c->line_n, CTL_MAX_LINE - c->line_n, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_end(c);
        return;
    }
    c->line_n += (size_t)n;
    if (client_lines(c)) {
        client_end(c);
        return;
    }
    if (c->line_n && !c->since)
        c->since = loop_now(c->ctl->loop);
    else if (!c->line_n && !c->out)
        c->since = 0;
}

static void client_tx(struct client *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        client_end(c);
        return;
    }
    c->out_at += (size_t)n;
    c->since = loop_now(c->ctl->loop);
    if (c->out_at < c->out_n)
        return;
    mem_free(c->out);
    c->out = NULL;
    c->since = 0;
    loop_watch_set(&c->watch, LOOP_READ);
    if (client_lines(c))
        client_end(c);
}

static void on_client(struct loop_watch *w, unsigned events)
{
    struct client *c = container_of(w, struct client, watch);
    if (events & LOOP_ERROR)
        client_end(c);
    else if (c->out && (events & LOOP_WRITE))
        client_tx(c);
    else if (!c->out && (events & LOOP_READ))
        client_rx(c);
}

static void client_admit(struct ctl *ctl, int fd)
{
    struct client *c = NULL;
    for (uint32_t i = 0; i < ctl->cfg.max_clients && !c; i++)
        if (!ctl->client[i].open)
            c = &ctl->client[i];
    if (!c) {
        close(fd);
        return;
    }
    *c = (struct client){.ctl = ctl, .fd = fd};
    c->line = mem_alloc(CTL_MAX_LINE);
    c->watch.ready = on_client;
    c->watch.closed = on_closed;
    if (!c->line || loop_watch_open(ctl->loop, &c->watch, fd, LOOP_READ)) {
        mem_free(c->line);
        close(fd);
        return;
    }
    c->open = true;
}

static void on_accept(struct loop_watch *w, unsigned events)
{
    struct ctl *ctl = container_of(w, struct ctl, watch);
    int fd = accept4(ctl->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        client_admit(ctl, fd);
    else if (errno == EMFILE || errno == ENFILE)
        loop_watch_set(w, 0); /* until the next sweep */
}

static void on_sweep(struct loop_timer *t)
{
    struct ctl *ctl = container_of(t, struct ctl, sweep);
    usec_t now = loop_now(ctl->loop);
    for (uint32_t i = 0; i < ctl->cfg.max_clients; i++) {
        struct client *c = &ctl->client[i];
        if (c->open && c->since && now - c->since > ctl->cfg.stall_ms * USEC_MS)
            client_end(c);
    }
    loop_watch_set(&ctl->watch, LOOP_READ);
}

/* A socket file that nobody listens on was left by a process that was killed. */
static int stale_remove(const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(at->sun_path, &st))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int err = connect(fd, (const struct sockaddr *)at, sizeof(*at)) ? errno : 0;
    close(fd);
    if (err != ECONNREFUSED)
        return -EADDRINUSE;
    return unlink(at->sun_path) ? -errno : 0;
}

static int listen_at(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* The file is made by bind() with the mode of the descriptor: there is no moment in which it
     * is open to more people than it should be. */
    if (fchmod(fd, 0660) || bind(fd, (const struct sockaddr *)at, sizeof(*at)) ||
        chmod(at->sun_path, 0660) || listen(fd, 64)) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static int ctl_listen(struct ctl *ctl)
{
    struct str path = str_z(ctl->cfg.path);
    if (path.n >= sizeof(ctl->at.sun_path))
        return -ENAMETOOLONG;
    ctl->at.sun_family = AF_UNIX;
    str_copy_z(ctl->at.sun_path, sizeof(ctl->at.sun_path), path);
    int err = fs_mkdirs_for(ctl->cfg.path);
    if (!err)
        err = stale_remove(&ctl->at);
    if (err)
        return err;
    int fd = listen_at(&ctl->at);
    if (fd < 0)
        return fd;
    ctl->watch.ready = on_accept;
    err = loop_watch_open(ctl->loop, &ctl->watch, fd, LOOP_READ);
    if (err) {
        close(fd);
        unlink(ctl->at.sun_path);
        return err;
    }
    ctl->fd = fd;
    return 0;
}

static void ctl_release(struct ctl *ctl)
{
    mem_unmap(ctl->reply, CTL_MAX_REPLY + 1);
    mem_free(ctl->client);
    mem_free(ctl);
}

int ctl_new(struct ctl **ret, struct loop *loop, const struct ctl_config *cfg)
{
    struct ctl *ctl = mem_zero(sizeof(*ctl));
    if (!ctl)
        return -ENOMEM;
    ctl->loop = loop;
    ctl->cfg = *cfg;
    if (!ctl->cfg.max_clients)
        ctl->cfg.max_clients = 16;
    if (!ctl->cfg.stall_ms)
        ctl->cfg.stall_ms = 10000;
    ctl->reply = mem_map(CTL_MAX_REPLY + 1);
    ctl->client = mem_zero(ctl->cfg.max_clients * sizeof(*ctl->client));
    int err = ctl->reply && ctl->client ? ctl_listen(ctl) : -ENOMEM;
    if (err) {
        ctl_release(ctl);
        return err;
    }
    ctl->sweep.fire = on_sweep;
    loop_timer_open(loop, &ctl->sweep);
    uint32_t period = ctl->cfg.stall_ms / 4 < SWEEP_MS ? ctl->cfg.stall_ms / 4 + 1 : SWEEP_MS;
    loop_timer_start(&ctl->sweep, period, period);
    *ret = ctl;
    return 0;
}

void ctl_free(struct ctl *ctl)
{
    if (!ctl)
        return;
    for (uint32_t i = 0; i < ctl->cfg.max_clients; i++)
        if (ctl->client[i].open)
            client_end(&ctl->client[i]);
    unlink(ctl->at.sun_path);
    loop_watch_close(&ctl->watch);
    close(ctl->fd);
    loop_timer_close(&ctl->sweep);
    loop_settle(ctl->loop);
    ctl_release(ctl);
}
