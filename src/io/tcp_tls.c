/* TLS between a connection and its messages: what arrives passes the session before it is cut into
 * messages, and what is queued is made into records when there is room for them. */
#include <errno.h>

#include "io/net_priv.h"

#define READ_BYTES   32768u
#define RECORD_BYTES 16384u

/* ---- whom it is with ---------------------------------------------------------------------------
 */

/* The name that must be in the certificate. RFC 5922 7.3; without a name, the address. */
static struct tls_target target_of(const struct net *net, const struct flow *to, struct buf *mem)
{
    const struct net_party *party = to->party < NET_MAX_PARTIES ? net->party[to->party] : NULL;
    if (party)
        return (struct tls_target){
            .host = str_z(party->host), .pin = party->pin, .n_pins = party->n_pins};
    addr_put_host(mem, &to->peer);
    return (struct tls_target){.host = buf_str(mem)};
}

bool tcp_tls_serves(const struct conn *c, const struct flow *to, bool by_alias)
{
    char text[64];
    struct buf mem;
    /* Where the peer's own end of its connection is meant, this is it: nobody listens there. */
    if (!c->ours && !to->party && !by_alias)
        return c->state == CONN_OPEN;
    buf_init(&mem, text, sizeof(text));
    struct tls_target target = target_of(c->net, to, &mem);
    return tls_session_serves(c->tls, &target);
}

/* The party that the client has proved to be, with or without the keys that it must have; 0: none
 * of them. */
static uint16_t proved(struct conn *c, bool by_key)
{
    const struct net *net = c->net;
    for (uint16_t i = 1; i < NET_MAX_PARTIES; i++) {
        const struct net_party *party = net->party[i];
        if (!party || !party->client)
            continue;
        struct tls_target who = {str_z(party->host), party->pin, by_key ? party->n_pins : 0};
        if (tls_session_proves(c->tls, &who))
            return i;
    }
    return 0;
}

uint16_t tcp_tls_client(struct conn *c)
{
    struct net *net = c->net;
    if (!net->n_clients || !tls_session_holds(c->tls)) /* it may have, when it was last asked */
        return 0;
    if (c->client_at != net->clients_at) {
        c->client_at = net->clients_at;
        c->client = proved(c, true);
    }
    return c->client;
}

/* ---- the handshake -----------------------------------------------------------------------------
 */

int tcp_tls_begin(struct conn *c)
{
    struct net *net = c->net;
    char text[64];
    struct buf mem;
    buf_init(&mem, text, sizeof(text));
    if (c->ours) {
        struct tls_target target = target_of(net, &c->flow, &mem);
        c->tls = tls_session_new_client(net->tls, &target);
        return c->tls ? 0 : -ENOMEM;
    }
    /* A handshake costs us more than its peer: nobody gets us to do many at a time. */
    if (net->stats.handshakes >= net->cfg.max_handshakes ||
        c->source->handshakes >= net->cfg.max_handshakes_per_source) {
        net->stats.refused_handshakes++;
        return -EBUSY;
    }
    c->tls = tls_session_new_server(net->tls);
    if (!c->tls)
        return -ENOMEM;
    c->counted = true;
    c->source->handshakes++;
    net->stats.handshakes++;
    return 0;
}

/* A handshake that was counted is over. */
static void settle(struct conn *c)
{
    if (!c->counted)
        return;
    c->counted = false;
    c->source->handshakes--;
    c->net->stats.handshakes--;
}

static void send_what_fits(struct conn *c)
{
    struct str bytes = tls_session_tx(c->tls);
    if (bytes.n && send(c->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        c->net->stats.tx_errors++;
}

/* Why the handshake came to nothing. */
static void count_failure(struct conn *c)
{
    unsigned why = c->err == -EPROTO      ? (unsigned)tls_session_failure(c->tls)
                   : c->err == -ETIMEDOUT ? NET_TLS_SLOW
                                          : NET_TLS_GONE;
    c->net->stats.tls_failed[why]++;
}

void tcp_tls_end(struct conn *c)
{
    settle(c);
    if (c->tls && c->state == CONN_SECURING && c->err)
        count_failure(c);
    if (c->tls && c->opened_once)
        c->net->stats.tls_conns--;
    /* RFC 8446 6.1: without a goodbye the end might be an attacker's. A peer that does not read, or
     * is gone, gets none. */
    if (!c->tls || c->state != CONN_OPEN || c->blocked || (c->err && c->err != -ETIMEDOUT))
        return;
    tls_session_close(c->tls);
    send_what_fits(c);
}

/* A client that shows a certificate which holds wants to be somebody. */
static void put_stranger(struct conn *c, struct buf *why)
{
    if (!c->net->n_clients || !tls_session_holds(c->tls) || tcp_tls_client(c))
        return;
    if (proved(c, false)) {
        buf_lit(why, "its key is none of those pinned");
        return;
    }
    char mem[TLS_WHY_MAX];
    struct buf names;
    buf_init(&names, mem, sizeof(mem));
    tls_session_names(c->tls, &names);
    buf_z(why, names.n ? "it is for " : "it has no name");
    buf_str_put(why, str_sub(buf_str(&names), 0, why->cap - why->n));
}

static void tell_doubt(struct conn *c)
{
    struct net *net = c->net;
    char mem[TLS_WHY_MAX];
    struct buf why;
    if (c->ours)
        return;
    buf_init(&why, mem, sizeof(mem));
    tls_session_doubt(c->tls, &why);
    put_stranger(c, &why);
    if (why.n && net->hooks.unproven)
        net->hooks.unproven(net->hooks.ctx, c->last_at, &c->flow, buf_str(&why));
}

static void up(struct conn *c)
{
    struct net *net = c->net;
    settle(c);
    c->state = CONN_OPEN;
    c->opened_once = true;
    c->opened_at = c->last_at = loop_now(net->loop);
    timer_stop(&net->wheel, &c->timer);
    conn_timer_set(c);
    net->stats.connected += c->ours;
    net->stats.tls_up++;
    net->stats.tls_conns++;
    net->stats.tls_resumed += tls_session_is_resumed(c->tls);
    conn_dirty_set(c); /* what waited for this */
    if (net->hooks.opened)
        net->hooks.opened(net->hooks.ctx, c->last_at, &c->flow, c->ours);
    tell_doubt(c);
}

static void broken(struct conn *c)
{
    struct net *net = c->net;
    send_what_fits(c); /* an alert that tells the peer why */
    if (c->state == CONN_SECURING) {
        if (net->hooks.insecure)
            net->hooks.insecure(net->hooks.ctx, loop_now(net->loop), &c->flow, c->ours,
                                tls_session_why(c->tls));
    }
    conn_end(c, -EPROTO);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Takes what the session has. false: nothing more now. */
static bool step(struct conn *c)
{
    char *base;
    size_t cap;
    int err = tcp_rx_room(c, &base, &cap);
    if (err) {
        conn_end(c, err);
        return false;
    }
    ptrdiff_t n = tls_session_read(c->tls, base + c->rx_n, cap - c->rx_n);
    if (c->state == CONN_SECURING && tls_session_is_up(c->tls))
        up(c);
    if (n > 0 && c->state == CONN_OPEN) {
        tcp_rx_bytes(c, base, c->rx_n + (size_t)n);
        return c->state == CONN_OPEN;
    }
    if (n == -EPIPE)
        conn_drain(c, 0); /* it may read on, like one that has closed its half of TCP */
    else if (n < 0)
        broken(c);
    return false;
}

static void steps(struct conn *c)
{
    while (step(c)) {
    }
    if (c->state != CONN_CLOSED && tls_session_tx(c->tls).n)
        conn_dirty_set(c);
}

void tcp_tls_start(struct conn *c)
{
    c->state = CONN_SECURING;
    c->opened_at = loop_now(c->net->loop);
    timer_stop(&c->net->wheel, &c->timer);
    conn_timer_set(c);
    steps(c);
    if (c->state != CONN_CLOSED)
        tcp_watch_update(c);
}

void tcp_tls_rx(struct conn *c)
{
    struct net *net = c->net;
    ssize_t n = recv(c->fd, net->scratch, READ_BYTES, MSG_DONTWAIT);
    if (n > 0) {
        net->stats.rx_stream_bytes += (size_t)n;
        int err = tls_session_rx(c->tls, net->scratch, (size_t)n);
        if (err)
            conn_end(c, err);
        else
            steps(c);
    } else if (n == 0) {
        c->eof = true;
        conn_drain(c, c->state == CONN_SECURING ? -ECONNRESET : 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_end(c, -errno);
    }
}

/* ---- writing -----------------------------------------------------------------------------------
 */

bool tcp_tls_has_output(struct conn *c)
{
    if (c->state == CONN_DRAINING && !c->tx_first && !c->goodbye) {
        c->goodbye = true;
        tls_session_close(c->tls);
    }
    return tls_session_tx(c->tls).n || (c->tx_first && c->state != CONN_SECURING);
}

/* Not more than about a record at a time: what is encrypted is out of the queue that a peer who
 * does not read is judged by. */
static int encrypt(struct conn *c)
{
    while (c->tx_first && c->state != CONN_SECURING && tls_session_tx(c->tls).n < RECORD_BYTES) {
        const struct blob *b = c->tx_first->blob;
        size_t n = b->n - c->tx_at < RECORD_BYTES ? b->n - c->tx_at : RECORD_BYTES;
        int err = tls_session_write(c->tls, b->data + c->tx_at, n);
        if (err)
            return err;
        conn_queue_drop(c, n);
    }
    return 0;
}

ssize_t tcp_tls_write(struct conn *c, size_t *want)
{
    int err = encrypt(c);
    struct str bytes = tls_session_tx(c->tls);
    *want = bytes.n;
    if (err)
        return err == -EAGAIN ? -EPROTO : err;
    ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return -errno;
    tls_session_tx_done(c->tls, (size_t)n);
    return n;
}
