#include "io/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/timer.h"
#include "io/ctl.h"

struct asking {
    int fd;
    uint64_t deadline_ms;
    char *reply;
    size_t n, cap;
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int wait_for(const struct asking *a, short events)
{
    struct pollfd p = {.fd = a->fd, .events = events};
    uint64_t now = now_ms();
    if (now >= a->deadline_ms)
        return -ETIMEDOUT;
    int n = poll(&p, 1, (int)(a->deadline_ms - now));
    return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : errno == EINTR ? 0 : -errno;
}

static int connect_to(struct asking *a, const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct str p = str_z(path);
    if (p.n >= sizeof(at.sun_path))
        return -ENAMETOOLONG;
    str_copy_z(at.sun_path, sizeof(at.sun_path), p);
    a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (a->fd < 0)
        return -errno;
    return connect(a->fd, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}

static int send_all(const struct asking *a, struct str s)
{
    while (s.n) {
        ssize_t n = send(a->fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        int err = n < 0 ? wait_for(a, POLLOUT) : 0;
        if (err)
            return err;
        if (n > 0)
            s = str_from(s, (size_t)n);
    }
    return 0;
}

static int grow(struct asking *a)
{
    if (a->n < a->cap)
        return 0;
    if (a->cap > CTL_MAX_REPLY)
        return -EMSGSIZE;
    size_t cap = a->cap ? a->cap * 2 : 4096;
    char *p = mem_resize(a->reply, cap);
    if (!p)
        return -ENOMEM;
    a->reply = p;
    a->cap = cap;
    return 0;
}

/* Until a line end; a->n is then the length before it. */
static int read_line(struct asking *a)
{
    for (;;) {
        int err = grow(a);
        if (!err)
            err = wait_for(a, POLLIN);
        if (err)
            return err;
        ssize_t n = recv(a->fd, a->reply + a->n, a->cap - a->n, 0);
        if (n == 0)
            return -EPIPE;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        char *end = memchr(a->reply + a->n, '\n', (size_t)n);
        a->n += (size_t)n;
        if (end) {
            *end = '\0';
            a->n = (size_t)(end - a->reply);
            return 0;
        }
    }
}

int ctl_client_ask(const char *path, struct str line, uint32_t timeout_ms, char **ret,
                   size_t *ret_n)
{
    struct asking a = {.fd = -1, .deadline_ms = now_ms() + timeout_ms};
    int err = connect_to(&a, path);
    if (!err)
        err = send_all(&a, line);
    if (!err)
        err = send_all(&a, STR("\n"));
    if (!err)
        err = read_line(&a);
    if (a.fd >= 0)
        close(a.fd);
    if (err) {
        mem_free(a.reply);
        return err;
    }
    *ret = a.reply;
    *ret_n = a.n;
    return 0;
}
