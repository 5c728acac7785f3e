#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FD 3
#define ABOVE    (FIRST_FD + CHILD_MAX_FDS + 1) /* of no descriptor that a program is given */

/* Ours that are given away: copies, out of the way of those that the program will have. */
struct given {
    int fd[CHILD_MAX_FDS], out;
};

static void given_close(struct given *g)
{
    for (unsigned i = 0; i < CHILD_MAX_FDS; i++)
        if (g->fd[i] >= 0)
            close(g->fd[i]);
    if (g->out >= 0)
        close(g->out);
}

static int copy(int *ret, int fd)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
    return *ret < 0 ? -errno : 0;
}

static int given_fill(struct given *g, const struct child_request *q)
{
    int err = 0;
    *g = (struct given){.out = -1};
    for (unsigned i = 0; i < CHILD_MAX_FDS; i++)
        g->fd[i] = -1;
    for (unsigned i = 0; !err && i < q->n_fds; i++)
        err = copy(&g->fd[i], q->fd[i]);
    if (!err && q->out >= 0)
        err = copy(&g->out, q->out);
    if (err)
        given_close(g);
    return err;
}

static int actions_fill(posix_spawn_file_actions_t *a, const struct given *g, unsigned n)
{
    int err = posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDONLY, 0);
    if (!err && g->out >= 0)
        err = posix_spawn_file_actions_adddup2(a, g->out, 1);
    else if (!err)
        err = posix_spawn_file_actions_addopen(a, 1, "/dev/null", O_WRONLY, 0);
    if (!err)
        err = posix_spawn_file_actions_addopen(a, 2, "/dev/null", O_WRONLY, 0);
    for (unsigned i = 0; !err && i < n; i++)
        err = posix_spawn_file_actions_adddup2(a, g->fd[i], FIRST_FD + (int)i);
    if (!err)
        err = posix_spawn_file_actions_addclosefrom_np(a, FIRST_FD + (int)n);
    return err;
}

/* A group of its own, to be killed as one; signals as a program expects them. */
static int attr_fill(posix_spawnattr_t *at)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int err = posix_spawnattr_setsigmask(at, &none);
    if (!err)
        err = posix_spawnattr_setsigdefault(at, &all);
    if (!err)
        err = posix_spawnattr_setpgroup(at, 0);
    if (!err)
        err = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETPGROUP);
    return err;
}

static int spawn(pid_t *pid, const struct child_request *q, const struct given *g)
{
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", lang[] = "LANG=C.UTF-8";
    char *const env[] = {path, lang, NULL};
    posix_spawn_file_actions_t a;
    posix_spawnattr_t at;
    int err = posix_spawn_file_actions_init(&a);
    if (err)
        return -err;
    err = posix_spawnattr_init(&at);
    if (!err) {
        err = actions_fill(&a, g, q->n_fds);
        if (!err)
            err = attr_fill(&at);
        if (!err)
            err = posix_spawnp(pid, q->argv[0], &a, &at, q->argv, env);
        posix_spawnattr_destroy(&at);
    }
    posix_spawn_file_actions_destroy(&a);
    return -err;
}

static int reap(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

static int wait_for(pid_t pid, const struct child_request *q)
{
    int err = 0, fd = pidfd_open(pid, 0);
    if (fd < 0)
        err = -errno;
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = q->cancel_fd, .events = POLLIN}};
    /* A signal ends it early; the threads that call this have them blocked. */
    int n = err ? 0 : poll(p, 2, (int)q->timeout_ms);
    if (!err && !p[0].revents)
        err = n < 0 ? -errno : n == 0 ? -ETIMEDOUT : -ECANCELED;
    if (err)
        kill(-pid, SIGKILL);
    int ended = reap(pid);
    if (fd >= 0)
        close(fd);
    return err ? err : ended;
}

int child_run(const struct child_request *q)
{
    struct given g;
    pid_t pid;
    BUG_ON(q->n_fds > CHILD_MAX_FDS);
    int err = given_fill(&g, q);
    if (err)
        return err;
    err = spawn(&pid, q, &g);
    given_close(&g);
    return err ? err : wait_for(pid, q);
}
