#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/net_priv.h"

#define ACCEPT_AT_ONCE 64
#define WRITE_AT_ONCE  64
#define BACKLOG        1024
#define RX_FIRST       4096u
#define RX_MAX         98304u

/* ---- reading --------------------------------------------------------------------------------- */

void tcp_watch_update(struct conn *c)
{
    unsigned events = c->blocked ? LOOP_WRITE : 0;
    /* A peer that does not read its answers is not asked for more requests. */
    /* TLS has things of its own to say: it answers KeyUpdate and what would be renegotiation. */
    size_t waits = c->tx_bytes + (c->tls ? tls_session_tx(c->tls).n : 0);
    bool full = waits > c->net->cfg.conn_queue_bytes / 2;
    if ((c->state == CONN_OPEN && !full) || c->state == CONN_SECURING || c->state == CONN_LINGER)
        events |= LOOP_READ;
    if (c->state == CONN_CONNECTING)
        events = LOOP_WRITE;
    loop_watch_set(&c->watch, events);
}

static void deliver(struct conn *c, usec_t now, struct str bytes, enum sip_verdict verdict)
{
    struct net *net = c->net;
    struct net_rx rx = {.flow = c->flow, .bytes = bytes, .verdict = verdict, .stream = true};
    if (c->tls && !c->ours)
        rx.flow.party = tcp_tls_client(c);
    else if (net_is_client(net, rx.flow.party))
        rx.flow.party = 0; /* used again since: whom we called proves nothing by its number */
    net->stats.rx_messages++;
    c->had_message = true;
    c->last_at = now;
    net->hooks.rx(net->hooks.ctx, now, &rx);
}

/* Hands on every whole message of base[0, n). How many bytes are done with. */
static size_t rx_frames(struct conn *c, usec_t now, const char *base, size_t n)
{
    struct net *net = c->net;
    size_t at = 0;
    while (at < n && c->state == CONN_OPEN) {
        struct sip_frame f =
            sip_frame_next(base + at, n - at, net->cfg.max_message_bytes, &c->scanned);
        const char *p = base + at;
        at += f.consumed;
        if (f.consumed)
            c->scanned = 0;
        if (f.kind == SIP_FRAME_MORE)
            break;
        if (f.kind == SIP_FRAME_PING) {
            /* RFC 5626 4.4.1: the pong is one CRLF. A peer that does not read it is cut off by
             * the limit of its queue. */
            net->stats.rx_pings++;
            tcp_queue(c, net->pong);
        } else if (f.kind == SIP_FRAME_MSG) {
            deliver(c, now, str_of(p + f.start, f.len), SIP_OK);
        } else {
            /* RFC 3261 18.3: where one message ends is lost, and with it all that follow. */
            net->stats.rx_bad++;
            conn_drain(c, -EPROTO);
            deliver(c, now, str_of(p, n - (size_t)(p - base)), f.verdict);
            return n;
        }
    }
    return at;
}

/* Room for more bytes behind an incomplete message. */
static int rx_grow(struct conn *c)
{
    if (c->rx_n < c->rx_cap)
        return 0;
    if (c->rx_n > c->net->cfg.max_message_bytes)
        return -EMSGSIZE;
    size_t cap = c->rx_cap * 2 < RX_MAX ? c->rx_cap * 2 : RX_MAX;
    char *bigger = pool_take(&c->net->pool, cap);
    if (!bigger)
        return -ENOMEM;
    memcpy(bigger, c->rx, c->rx_n);
    pool_put(&c->net->pool, c->rx, c->rx_cap);
    c->rx = bigger;
    c->rx_cap = cap;
    return 0;
}

static bool only_line_ends(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\r' && p[i] != '\n')
            return false;
    return true;
}

/* Keeps what is left of the bytes read: the beginning of a message. */
static int rx_keep(struct conn *c, const char *rest, size_t n)
{
    struct blob_pool *pool = &c->net->pool;
    if (n == 0) {
        pool_put(pool, c->rx, c->rx_cap);
        c->rx = NULL;
        c->rx_n = c->rx_cap = 0;
        return 0;
    }
    if (n > RX_MAX)
        return -EMSGSIZE;
    if (!c->rx) {
        size_t cap = n * 2 > RX_FIRST ? n * 2 : RX_FIRST;
        cap = cap < RX_MAX ? cap : RX_MAX;
        c->rx = pool_take(pool, cap);
        if (!c->rx)
            return -ENOMEM;
        c->rx_cap = cap;
    }
    memmove(c->rx, rest, n);
    c->rx_n = n;
    return 0;
}

/* A message that has begun must end within a limit; half a keep-alive is no message. */
static void rx_clock(struct conn *c, usec_t now, bool consumed)
{
    bool begun = c->rx_n && !only_line_ends(c->rx, c->rx_n < 4 ? c->rx_n : 4);
    if (!begun) {
        c->message_at = 0;
    } else if (consumed || !c->message_at) {
        c->message_at = now;
        conn_timer_set(c);
    }
}

void tcp_rx_bytes(struct conn *c, char *base, size_t n)
{
    usec_t now = loop_now(c->net->loop);
    size_t used = rx_frames(c, now, base, n);
    if (c->state != CONN_OPEN)
        return;
    int err = rx_keep(c, base + used, n - used);
    if (err)
        conn_end(c, err);
    else
        rx_clock(c, now, used > 0);
}

int tcp_rx_room(struct conn *c, char **base, size_t *cap)
{
    int err = c->rx ? rx_grow(c) : 0;
    if (err)
        return err;
    *base = c->rx ? c->rx : c->net->scratch;
    *cap = c->rx ? c->rx_cap : NET_SCRATCH;
    return 0;
}

static void tcp_rx(struct conn *c)
{
    struct net *net = c->net;
    char *base;
    size_t cap;
    int err = tcp_rx_room(c, &base, &cap);
    if (err) {
        conn_end(c, err);
        return;
    }
    ssize_t n = recv(c->fd, base + c->rx_n, cap - c->rx_n, MSG_DONTWAIT);
    if (n > 0) {
        net->stats.rx_stream_bytes += (size_t)n;
        tcp_rx_bytes(c, base, c->rx_n + (size_t)n);
    } else if (n == 0) {
        /* What we still have to say may be read yet: the peer closed its own half only. */
        c->eof = true;
        conn_drain(c, 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_end(c, -errno);
    }
}

/* After our FIN: read until the peer's, or it might lose our last answer to a reset. */
static void tcp_rx_discard(struct conn *c)
{
    ssize_t n = recv(c->fd, c->net->scratch, NET_SCRATCH, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_end(c, 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

void tcp_queue(struct conn *c, struct blob *b)
{
    if (c->tx_bytes > c->net->cfg.conn_queue_bytes / 2 && !c->blocked)
        tcp_flush(c);
    if (c->state == CONN_CLOSED || conn_queue_put(c, b)) {
        c->net->stats.tx_dropped++;
        net_failed_put(c->net, &c->flow, b, -ENOBUFS);
        conn_end(c, -ENOBUFS);
        return;
    }
    conn_dirty_set(c);
}

static ssize_t write_some(struct conn *c, size_t *want)
{
    struct iovec iov[WRITE_AT_ONCE];
    struct msghdr msg = {.msg_iov = iov};
    size_t skip = c->tx_at;
    *want = 0;
    for (struct conn_tx *tx = c->tx_first; tx && msg.msg_iovlen < WRITE_AT_ONCE; tx = tx->next) {
        iov[msg.msg_iovlen++] = (struct iovec){tx->blob->data + skip, tx->blob->n - skip};
        *want += tx->blob->n - skip;
        skip = 0;
    }
    ssize_t n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return -errno;
    conn_queue_drop(c, (size_t)n);
    return n;
}

static bool has_output(struct conn *c)
{
    return c->tls ? tcp_tls_has_output(c) : c->tx_first != NULL;
}

static void tcp_drained(struct conn *c)
{
    if (c->state != CONN_DRAINING)
        return;
    if (c->eof || shutdown(c->fd, SHUT_WR)) {
        conn_end(c, 0);
        return;
    }
    c->state = CONN_LINGER;
    c->stalled_at = loop_now(c->net->loop);
    timer_stop(&c->net->wheel, &c->timer);
    conn_timer_set(c);
}

void tcp_flush(struct conn *c)
{
    bool open = c->state == CONN_SECURING || c->state == CONN_OPEN || c->state == CONN_DRAINING;
    if (!open || c->blocked)
        return;
    while (has_output(c)) {
        size_t want;
        ssize_t n = c->tls ? tcp_tls_write(c, &want) : write_some(c, &want);
        if (n == -EINTR)
            continue;
        if (n < 0 && n != -EAGAIN) {
            conn_end(c, (int)n);
            return;
        }
        if (n > 0) {
            c->net->stats.tx_stream_bytes += (size_t)n;
            c->stalled_at = 0;
        }
        if (n < (ssize_t)want) {
            c->blocked = true;
            break;
        }
    }
    if (c->blocked && !c->stalled_at) {
        c->stalled_at = loop_now(c->net->loop);
        conn_timer_set(c);
    }
    if (!c->blocked && !c->tx_first)
        tcp_drained(c);
    if (c->state != CONN_CLOSED)
        tcp_watch_update(c);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void tcp_connected(struct conn *c)
{
    int err = sock_error_take(c->fd);
    if (err) {
        conn_end(c, err);
        return;
    }
    struct net *net = c->net;
    if (c->tls) {
        tcp_tls_start(c);
        return;
    }
    c->state = CONN_OPEN;
    c->opened_once = true;
    c->last_at = loop_now(net->loop);
    timer_stop(&net->wheel, &c->timer);
    conn_timer_set(c);
    net->stats.connected++;
    tcp_watch_update(c);
    conn_dirty_set(c);
    if (net->hooks.opened)
        net->hooks.opened(net->hooks.ctx, c->last_at, &c->flow, true);
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct conn *c = container_of(w, struct conn, watch);
    if (events & LOOP_ERROR) {
        int err = sock_error_take(c->fd);
        conn_end(c, err ? err : -EIO);
        return;
    }
    if (c->state == CONN_CONNECTING) {
        tcp_connected(c);
        return;
    }
    if (events & LOOP_WRITE) {
        c->blocked = false;
        tcp_flush(c);
    }
    if (!(events & LOOP_READ))
        return;
    if (c->tls && (c->state == CONN_OPEN || c->state == CONN_SECURING))
        tcp_tls_rx(c);
    else if (c->state == CONN_OPEN)
        tcp_rx(c);
    else if (c->state == CONN_LINGER)
        tcp_rx_discard(c);
    if (c->state != CONN_CLOSED)
        tcp_watch_update(c);
}

int tcp_watch(struct conn *c)
{
    c->watch.ready = on_ready;
    return loop_watch_open(c->net->loop, &c->watch, c->fd,
                           c->state == CONN_CONNECTING ? LOOP_WRITE : LOOP_READ);
}

static void socket_tune(int fd)
{
    /* Messages leave as they are written, and a peer that vanished is noticed in two minutes. */
    sock_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sock_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sock_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    sock_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    sock_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

/* ---- listening ------------------------------------------------------------------------------- */

static void tcp_admit(struct net_listener *l, int fd, const union sock_addr *from)
{
    struct net *net = l->net;
    struct flow flow = {.proto = l->at.proto, .listener = l->index};
    sock_addr_parse(&flow.peer, from);
    if (net->bans.count && net_banned(net, &flow.peer)) {
        net->stats.rx_banned++;
        close(fd);
        return;
    }
    socket_tune(fd);
    if (net->free_n == 0)
        net->stats.refused_full++;
    struct conn *c = conn_take(net, &flow, fd, false);
    if (!c) {
        close(fd);
        return;
    }
    net->stats.accepted++;
    if (net->hooks.opened && c->opened_once)
        net->hooks.opened(net->hooks.ctx, loop_now(net->loop), &c->flow, false);
}

static void on_accept(struct loop_watch *w, unsigned events)
{
    struct net_listener *l = container_of(w, struct net_listener, watch);
    for (unsigned i = 0; i < ACCEPT_AT_ONCE; i++) {
        union sock_addr from = {0};
        socklen_t n = sizeof(from);
        int fd = accept4(l->fd, &from.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            tcp_admit(l, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* Readiness would call again at once: wait for the next sweep instead of spinning. */
            l->paused = true;
            loop_watch_set(&l->watch, 0);
            return;
        } else if (errno == EAGAIN) {
            break;
        }
    }
    loop_watch_set(&l->watch, LOOP_READ);
}

void tcp_accept_resume(struct net_listener *l)
{
    l->paused = false;
    loop_watch_set(&l->watch, LOOP_READ);
}

int tcp_open(struct net_listener *l)
{
    int fd = sock_open(&l->at.bound, SOCK_STREAM);
    if (fd < 0)
        return fd;
    l->watch.ready = on_accept;
    int err = listen(fd, BACKLOG) ? -errno : 0;
    if (!err)
        err = loop_watch_open(l->net->loop, &l->watch, fd, LOOP_READ);
    if (err) {
        close(fd);
        return err;
    }
    l->fd = fd;
    return 0;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* The address that a connection for this listener leaves from: the listener's own with any port,
 * where it has one, so that a peer sees the address it knows. */
static struct addr local_for(const struct net *net, const struct flow *to)
{
    const struct net_listener *l =
        to->listener < FLOW_MAX_LISTENERS ? &net->listener[to->listener] : NULL;
    struct addr any = {.family = to->peer.family};
    if (!l || !l->open || l->at.bound.family != to->peer.family)
        return any;
    any = l->at.bound;
    any.port = 0;
    return any;
}

static int tcp_connect(struct net *net, const struct flow *to, struct conn **ret)
{
    if (net->free_n == 0)
        return -ENOBUFS;
    struct addr local = local_for(net, to);
    int fd = sock_open_outward(&local);
    if (fd < 0)
        return fd;
    socket_tune(fd);
    union sock_addr s;
    socklen_t n = sock_addr_build(&s, &to->peer);
    if (connect(fd, &s.sa, n) && errno != EINPROGRESS) {
        int err = -errno;
        close(fd);
        net->stats.connect_failed++;
        return err;
    }
    struct conn *c = conn_take(net, to, fd, true);
    if (!c) {
        close(fd);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

void tcp_send(struct net *net, const struct flow *to, struct blob *b)
{
    struct conn *c = to->conn ? conn_find(net, to->conn) : conn_find_peer(net, to);
    int err = to->conn && !c ? -ENOTCONN : 0;
    if (!c && !err)
        err = tcp_connect(net, to, &c);
    if (err) {
        net->stats.tx_dropped++;
        net_failed_put(net, to, b, err);
        return;
    }
    c->last_at = loop_now(net->loop);
    tcp_queue(c, b);
}
