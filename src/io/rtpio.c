#include "io/rtpio.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define PAIRS      32768u
#define BATCH      256
#define WAKE_OWNER UINT64_MAX
#define WAKE_STOP  (UINT64_MAX - 1)
/* Packets per coalesce_us above which gathering pays: fewer are served as they come. */
#define DENSE_PACKETS 4
/* The rate is measured over so many times coalesce_us. */
#define WINDOW_NAPS 8

/* One port pair; fds are kept plus one, so that zero is closed. */
struct pair {
    int32_t fd1[2]; /* RTP, RTCP */
    uint8_t family;
};

struct rtpio {
    struct rtpio_conf conf;
    struct rtpio_ops ops;
    struct rtpio_count count;
    struct pair *pairs; /* [port / 2] */
    uint32_t next_port;
    int epfd, stop_fd;
    int fd_end;         /* descriptors that there can be */
    uint32_t n_sockets; /* of ports */
    usec_t due;         /* the owner's next deadline */
    usec_t window_start;
    uint64_t window_packets;
    bool dense; /* gathering */
    bool full;  /* the last turn left packets behind */
    bool started;
    pthread_t thread;
    _Atomic bool stopping;
    struct epoll_event ev[BATCH];
    uint8_t bytes[RTPIO_MAX_BYTES + 8];
};

usec_t rtpio_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * USEC_S + (usec_t)t.tv_nsec / 1000;
}

static int watch(const struct rtpio *io, int fd, uint64_t key)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = key};
    return epoll_ctl(io->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int fd_end_get(void)
{
    struct rlimit l;
    return getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur > INT32_MAX ? INT32_MAX : (int)l.rlim_cur;
}

static int rtpio_init(struct rtpio *io)
{
    io->fd_end = fd_end_get();
    io->pairs = mem_map(PAIRS * sizeof(struct pair));
    if (!io->pairs)
        return -ENOMEM;
    io->epfd = epoll_create1(EPOLL_CLOEXEC);
    io->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->epfd < 0 || io->stop_fd < 0)
        return -errno;
    int rc = watch(io, io->stop_fd, WAKE_STOP);
    if (rc == 0 && io->conf.wake_fd >= 0)
        rc = watch(io, io->conf.wake_fd, WAKE_OWNER);
    return rc;
}

int rtpio_new(struct rtpio **ret, const struct rtpio_conf *conf, const struct rtpio_ops *ops)
{
    uint32_t first = (conf->port_first + 1u) & ~1u;
    if (first == 0 || first + 1u > conf->port_last)
        return -EINVAL;
    struct rtpio *io = mem_zero(sizeof(*io));
    if (!io)
        return -ENOMEM;
    io->conf = *conf;
    io->conf.port_first = (uint16_t)first;
    io->ops = *ops;
    io->next_port = first;
    io->epfd = io->stop_fd = -1;
    int rc = rtpio_init(io);
    if (rc) {
        rtpio_free(io);
        return rc;
    }
    *ret = io;
    return 0;
}

void rtpio_free(struct rtpio *io)
{
    if (!io)
        return;
    BUG_ON(io->started);
    for (uint32_t i = 0; io->pairs && i < PAIRS; i++)
        rtpio_close(io, (uint16_t)(i * 2));
    if (io->epfd >= 0)
        close(io->epfd);
    if (io->stop_fd >= 0)
        close(io->stop_fd);
    mem_unmap(io->pairs, PAIRS * sizeof(struct pair));
    mem_free(io);
}

struct rtpio_count rtpio_counted(const struct rtpio *io)
{
    return io->count;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static socklen_t sa_of(struct sockaddr_storage *ret, const struct addr *a)
{
    if (a->family == ADDR_V4) {
        struct sockaddr_in *in = (void *)ret;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (void *)ret;
    *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    memcpy(&in6->sin6_addr, a->ip, 16);
    return sizeof(*in6);
}

static void addr_of(struct addr *ret, const struct sockaddr_storage *sa)
{
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        *ret = (struct addr){.family = ADDR_V4, .port = ntohs(in->sin_port)};
        memcpy(ret->ip, &in->sin_addr, 4);
        return;
    }
    const struct sockaddr_in6 *in6 = (const void *)sa;
    *ret = (struct addr){.family = ADDR_V6, .port = ntohs(in6->sin6_port)};
    memcpy(ret->ip, &in6->sin6_addr, 16);
}

/* ---- port pairs ------------------------------------------------------------------------------ */

/* A stock of ports is kept for calls to come, and calls take what there is: a quarter of the
 * descriptors is left to who connects and to files; a quarter is for ports, whoever has the rest;
 * and with the last few the exchange can still be told to stop. The number tells how many are
 * taken: the system gives the lowest. */
static int socket_make(const struct rtpio *io, int domain)
{
    int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    bool usual = fd < io->fd_end - io->fd_end / 4;
    if (usual || (io->n_sockets < (uint32_t)io->fd_end / 4 && fd < io->fd_end - io->fd_end / 16))
        return fd;
    close(fd);
    return -EMFILE;
}

static int socket_bind(const struct rtpio *io, const struct addr *bind_addr)
{
    int domain = bind_addr->family == ADDR_V4 ? AF_INET : AF_INET6;
    int fd = socket_make(io, domain);
    if (fd < 0)
        return fd;
    int one = 1, bytes = (int)io->conf.rcvbuf_bytes, rc = 0;
    if (domain == AF_INET6)
        rc = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    /* Best effort: the system may allow less. */
    if (bytes && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    struct sockaddr_storage sa;
    socklen_t n = sa_of(&sa, bind_addr);
    if (rc || bind(fd, (struct sockaddr *)&sa, n)) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int pair_bind(struct rtpio *io, uint16_t port, const struct addr *bind_addr)
{
    struct pair *p = &io->pairs[port / 2];
    for (uint32_t i = 0; i < 2; i++) {
        struct addr a = *bind_addr;
        a.port = (uint16_t)(port + i);
        int fd = socket_bind(io, &a);
        if (fd < 0) {
            rtpio_close(io, port);
            return fd;
        }
        p->fd1[i] = fd + 1;
        io->n_sockets++;
        int rc = watch(io, fd, (uint64_t)a.port);
        if (rc) {
            rtpio_close(io, port);
            return rc;
        }
    }
    p->family = bind_addr->family;
    return 0;
}

int rtpio_open(struct rtpio *io, uint16_t *ret, enum addr_family family)
{
    const struct addr *a = family == ADDR_V4 ? &io->conf.bind_v4 : &io->conf.bind_v6;
    if (a->family != family || family == ADDR_NONE)
        return -EAFNOSUPPORT;
    uint32_t pairs = (io->conf.port_last + 1u - io->conf.port_first) / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        uint16_t port = (uint16_t)io->next_port;
        io->next_port += 2;
        if (io->next_port + 1 > io->conf.port_last)
            io->next_port = io->conf.port_first;
        if (io->pairs[port / 2].fd1[0])
            continue;
        int rc = pair_bind(io, port, a);
        if (rc == 0)
            *ret = port;
        if (rc != -EADDRINUSE && rc != -EACCES)
            return rc;
    }
    return -EADDRINUSE;
}

void rtpio_close(struct rtpio *io, uint16_t port)
{
    struct pair *p = &io->pairs[port / 2];
    for (int i = 0; i < 2; i++) {
        if (!p->fd1[i])
            continue;
        close(p->fd1[i] - 1); /* which also ends the watch */
        p->fd1[i] = 0;
        io->n_sockets--;
    }
}

void rtpio_drain(struct rtpio *io, uint16_t port)
{
    const struct pair *p = &io->pairs[port / 2];
    for (int i = 0; i < 2; i++) {
        /* Bounded: a flood that outruns this loop is the relay's to judge. */
        for (int n = 0; p->fd1[i] && n < 1000; n++)
            if (recv(p->fd1[i] - 1, io->bytes, sizeof(io->bytes), MSG_DONTWAIT) < 0)
                break;
    }
}

/* ---- packets --------------------------------------------------------------------------------- */

/* The calls themselves: the library's are cancellation points, which costs a process with threads
 * two locked operations each, and nobody cancels this thread. */
static ssize_t datagram_rx(int fd, void *bytes, size_t n, struct sockaddr_storage *from)
{
    socklen_t from_n = sizeof(*from);
    return syscall(SYS_recvfrom, fd, bytes, n, MSG_DONTWAIT, from, &from_n);
}

static ssize_t datagram_tx(int fd, const void *bytes, size_t n, const struct addr *to)
{
    struct sockaddr_storage sa;
    socklen_t sa_n = sa_of(&sa, to);
    return syscall(SYS_sendto, fd, bytes, n, MSG_DONTWAIT, &sa, sa_n);
}

void rtpio_send(struct rtpio *io, const struct rtpio_forward *f, const uint8_t *bytes, size_t n)
{
    int fd = io->pairs[f->port / 2].fd1[f->is_rtcp] - 1;
    if (datagram_tx(fd, bytes, n, &f->to) < 0)
        io->count.tx_errors++; /* as lost as any datagram */
    else
        io->count.tx_packets++;
}

/* Level-triggered and one packet a turn: a second packet shows at the next turn, which in the usual
 * case is cheaper than asking every socket twice. */
static void packet_rx(struct rtpio *io, usec_t now, uint16_t port)
{
    struct sockaddr_storage sa;
    int fd = io->pairs[port / 2].fd1[port & 1] - 1;
    if (fd < 0)
        return; /* closed earlier in this turn */
    ssize_t n = datagram_rx(fd, io->bytes, RTPIO_MAX_BYTES + 1, &sa);
    if (n < 0)
        return;
    io->count.rx_packets++;
    struct rtpio_packet in = {
        .bytes = io->bytes, .n = (size_t)n, .port = (uint16_t)(port & ~1u), .is_rtcp = port & 1};
    addr_of(&in.from, &sa);
    struct rtpio_forward f;
    if (io->ops.rx(io->ops.ctx, now, &in, &f) == 1)
        rtpio_send(io, &f, io->bytes, in.n);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static usec_t wait_for(const struct rtpio *io, usec_t now, usec_t max_wait_us)
{
    usec_t us = io->due <= now ? 0 : io->due - now;
    return us < max_wait_us ? us : max_wait_us;
}

static void nap(struct rtpio *io, usec_t us)
{
    struct timespec t = {.tv_nsec = (long)(us * 1000)};
    io->count.naps++;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Gathering pays when it finds several packets each time; the rate of the last few milliseconds
 * says so. */
static void density_note(struct rtpio *io, usec_t now, uint32_t packets)
{
    io->window_packets += packets;
    usec_t elapsed = now - io->window_start;
    if (elapsed < WINDOW_NAPS * (usec_t)io->conf.coalesce_us)
        return;
    io->dense = io->window_packets * (usec_t)io->conf.coalesce_us > DENSE_PACKETS * elapsed;
    io->window_start = now;
    io->window_packets = 0;
}

void rtpio_turn(struct rtpio *io, usec_t max_wait_us)
{
    usec_t now = rtpio_now(), us = wait_for(io, now, max_wait_us);
    if (io->dense && us && !io->full) {
        nap(io, us < io->conf.coalesce_us ? us : io->conf.coalesce_us);
        us = 0;
    }
    struct timespec wait = {.tv_sec = (time_t)(us / USEC_S), .tv_nsec = (long)(us % USEC_S * 1000)};
    int n = epoll_pwait2(io->epfd, io->ev, BATCH, &wait, NULL);
    now = rtpio_now();
    uint32_t packets = 0;
    for (int i = 0; i < n; i++) {
        if (io->ev[i].data.u64 >= WAKE_STOP)
            continue;
        packet_rx(io, now, (uint16_t)io->ev[i].data.u64);
        packets++;
    }
    io->full = n == BATCH;
    io->count.turns++;
    density_note(io, now, packets);
    io->due = io->ops.turn(io->ops.ctx, now);
}

static void *thread_main(void *arg)
{
    struct rtpio *io = arg;
    pthread_setname_np(pthread_self(), "ringdown-rtp"); /* for top and the like */
    while (!atomic_load(&io->stopping))
        rtpio_turn(io, USEC_S);
    return NULL;
}

int rtpio_start(struct rtpio *io)
{
    int rc = pthread_create(&io->thread, NULL, thread_main, io);
    io->started = rc == 0;
    return -rc;
}

void rtpio_stop(struct rtpio *io)
{
    if (!io->started)
        return;
    uint64_t one = 1;
    atomic_store(&io->stopping, true);
    ssize_t n = write(io->stop_fd, &one, sizeof(one));
    BUG_ON(n != sizeof(one));
    pthread_join(io->thread, NULL);
    io->started = false;
}
