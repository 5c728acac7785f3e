/* WebSocket connections that we open. */
#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "io/web_priv.h"

#define FIRST_BYTES 4096
/* A peer that does not answer our close frame is not waited for longer. */
#define CLOSE_US (2 * USEC_S)

/* A message that waits. */
struct slot {
    uint8_t *big; /* NULL: it is in mem */
    uint32_t n;
    uint8_t flags;
    uint8_t mem[LWS_PRE + WEB_SLOT_BYTES];
};

struct web_ws {
    enum web_tag tag;
    struct list in_web;
    struct web *w;
    struct lws *wsi;
    void *user;
    struct web_ws_figures figures;
    lws_sorted_usec_list_t deadline;
    bool raw, tls;
    bool open, closing, over; /* over: the owner has been told */
    bool starting;            /* inside web_ws_open() */
    bool bye;                 /* the close frame is on its way */
    bool late;                /* it did not open, or close, in time */
    unsigned code;
    char header[64], value[160];
    char why[WEB_WHY_BYTES];
    uint32_t max_message;
    char *in;
    uint32_t in_n, in_cap;
    uint8_t order[WEB_MAX_SLOTS]; /* slots that wait, the oldest first */
    uint8_t spare[WEB_MAX_SLOTS];
    unsigned waiting, spares, losable;
    struct slot slot[WEB_MAX_SLOTS];
};

static void why_set(struct web_ws *c, const char *text, size_t n)
{
    if (!c->why[0])
        str_copy_z(c->why, sizeof(c->why), str_of(text, n));
}

static void place_free(struct web_ws *c, unsigned i)
{
    mem_free(c->slot[i].big);
    c->slot[i].big = NULL;
    c->spare[c->spares++] = (uint8_t)i;
}

static void conn_free(struct web_ws *c)
{
    while (c->waiting)
        place_free(c, c->order[--c->waiting]);
    list_remove(&c->in_web);
    mem_free(c->in);
    mem_free(c);
}

void web_ws_free_all(struct web *w)
{
    list_each(node, &w->conns) conn_free(container_of(node, struct web_ws, in_web));
}

/* The library has let go of it. */
static void conn_over(struct web_ws *c)
{
    struct web *w = c->w;
    if (c->over)
        return;
    c->over = true;
    lws_sul_cancel(&c->deadline);
    if (!w->silent)
        w->conf.ops.closed(w->conf.ops.ctx, c->user, c->code, str_z(c->why));
    conn_free(c);
}

/* It said something, though no whole answer. What TLS itself has sent looks the same. */
static bool babbles(const struct web_ws *c)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    return !c->raw && !c->tls &&
           getsockopt(lws_get_socket_fd(c->wsi), IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
           info.tcpi_bytes_received > 0;
}

static void on_deadline(lws_sorted_usec_list_t *sul)
{
    struct web_ws *c = lws_container_of(sul, struct web_ws, deadline);
    if (!c->wsi) { /* it has failed before web_ws_open() returned */
        conn_over(c);
        return;
    }
    c->late = true;
    const char *what = c->open      ? "no answer to our close"
                       : babbles(c) ? "what it sends is no whole answer of a WebSocket"
                                    : "it did not answer in time";
    why_set(c, what, strlen(what));
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

int web_ws_open(struct web *w, const struct web_ws_conf *conf, struct web_ws **ret)
{
    struct web_ws *c = mem_zero(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->tag = WEB_CONN;
    c->w = w;
    c->user = conf->user;
    c->raw = conf->raw;
    c->tls = conf->tls;
    c->max_message = conf->max_message;
    for (unsigned i = 0; i < WEB_MAX_SLOTS; i++)
        c->spare[c->spares++] = (uint8_t)i;
    if (conf->header) {
        str_copy_z(c->header, sizeof(c->header), str_z(conf->header));
        str_copy_z(c->value, sizeof(c->value), str_z(conf->value));
    }
    list_append(&w->conns, &c->in_web);
    /* RFC 9110 section 7.2. The library cuts the port off where it verifies the name. */
    char host[300];
    bool usual = conf->port == (conf->tls ? 443 : 80), ipv6 = strchr(conf->host, ':') != NULL;
    int at = snprintf(host, sizeof(host), ipv6 ? "[%s]" : "%s", conf->host);
    if (!usual && at > 0 && (size_t)at < sizeof(host))
        snprintf(host + at, sizeof(host) - (size_t)at, ":%u", conf->port);
    struct lws_client_connect_info i = {.context = w->lws,
                                        .vhost = w->client,
                                        .address = conf->ip ? conf->ip : conf->host,
                                        .port = conf->port,
                                        .host = host,
                                        .path = conf->path,
                                        .method = conf->raw ? "RAW" : NULL,
                                        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
                                                          (conf->tls ? LCCSCF_USE_SSL : 0),
                                        .local_protocol_name = "ringdown",
                                        .ietf_version_or_minus_one = -1,
                                        .opaque_user_data = c,
                                        .pwsi = &c->wsi};
    c->starting = true;
    struct lws *wsi = lws_client_connect_via_info(&i);
    c->starting = false;
    if (!wsi)
        c->wsi = NULL;
    uint64_t in_us = wsi ? (uint64_t)conf->open_ms * USEC_MS : 1;
    lws_sul_schedule(w->lws, 0, &c->deadline, on_deadline, (lws_usec_t)in_us);
    *ret = c;
    return 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The oldest message that may be dropped makes room; -1: there is none. */
static int place_clear(struct web_ws *c)
{
    unsigned i = 0;
    while (i < c->waiting && !(c->slot[c->order[i]].flags & WEB_MAY_DROP))
        i++;
    if (i == c->waiting)
        return -1;
    unsigned slot = c->order[i];
    memmove(c->order + i, c->order + i + 1, --c->waiting - i);
    mem_free(c->slot[slot].big);
    c->slot[slot].big = NULL;
    c->losable--;
    c->figures.dropped++;
    return (int)slot;
}

/* A place for one more; -1: there is none. Sound leaves places to what may not be lost. */
static int place_take(struct web_ws *c, unsigned flags)
{
    bool full = (flags & WEB_MAY_DROP) && c->losable == WEB_MAX_LOSABLE;
    return c->spares && !full ? c->spare[--c->spares] : place_clear(c);
}

int web_ws_send(struct web_ws *c, struct str bytes, unsigned flags)
{
    if (!c->open || c->closing)
        return -ENOTCONN;
    uint8_t *big = NULL;
    if (bytes.n > WEB_SLOT_BYTES && !(big = mem_alloc(LWS_PRE + bytes.n)))
        return -ENOMEM;
    int at = place_take(c, flags);
    if (at < 0) {
        mem_free(big);
        return -ENOBUFS;
    }
    struct slot *s = &c->slot[at];
    s->big = big;
    s->n = (uint32_t)bytes.n;
    s->flags = (uint8_t)flags;
    memcpy((big ? big : s->mem) + LWS_PRE, bytes.p, bytes.n);
    c->order[c->waiting++] = (uint8_t)at;
    c->losable += (flags & WEB_MAY_DROP) != 0;
    lws_callback_on_writable(c->wsi);
    return 0;
}

void web_ws_close(struct web_ws *c, unsigned code)
{
    if (c->closing || c->over)
        return;
    c->closing = true;
    c->code = code;
    if (!c->wsi)
        return; /* the deadline tells */
    if (c->open) {
        lws_sul_schedule(c->w->lws, 0, &c->deadline, on_deadline, CLOSE_US);
        lws_callback_on_writable(c->wsi);
    } else {
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    }
}

struct web_ws_figures web_ws_figures(const struct web_ws *c)
{
    return c->figures;
}

/* -1: the connection is to be closed. */
static int writable(struct web_ws *c)
{
    while (c->waiting && !lws_send_pipe_choked(c->wsi)) {
        unsigned at = c->order[0];
        struct slot *s = &c->slot[at];
        enum lws_write_protocol how = c->raw                  ? LWS_WRITE_RAW
                                      : s->flags & WEB_BINARY ? LWS_WRITE_BINARY
                                                              : LWS_WRITE_TEXT;
        int sent = lws_write(c->wsi, (s->big ? s->big : s->mem) + LWS_PRE, s->n, how);
        memmove(c->order, c->order + 1, --c->waiting);
        c->figures.tx_bytes += s->n;
        c->losable -= (s->flags & WEB_MAY_DROP) != 0;
        place_free(c, at);
        if (sent < 0) {
            why_set(c, "the connection broke", 20);
            return -1;
        }
    }
    if (c->waiting) {
        lws_callback_on_writable(c->wsi);
        return 0;
    }
    if (!c->closing || c->bye) /* asked again, the library would not wait for the answer */
        return 0;
    if (c->raw && lws_send_pipe_choked(c->wsi)) {
        lws_callback_on_writable(c->wsi);
        return 0;
    }
    c->bye = true;
    if (!c->raw)
        lws_close_reason(c->wsi, (enum lws_close_status)c->code, NULL, 0);
    return -1;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* No more than max_message is ever asked for. */
static int room_make(struct web_ws *c, size_t n)
{
    uint64_t want = (uint64_t)c->in_n + n;
    if (want <= c->in_cap)
        return 0;
    uint32_t cap = c->in_cap ? c->in_cap : FIRST_BYTES;
    while (cap < want)
        cap *= 2;
    char *in = mem_resize(c->in, cap);
    if (!in)
        return -ENOMEM;
    c->in = in;
    c->in_cap = cap;
    return 0;
}

/* To end it while something is received is more than the library bears. */
static int refuse(struct web_ws *c, enum lws_close_status code, const char *why)
{
    why_set(c, why, strlen(why));
    web_ws_close(c, code);
    return 0;
}

static int received(struct web_ws *c, struct lws *wsi, const void *in, size_t n)
{
    bool is_text = !lws_frame_is_binary(wsi);
    uint64_t more = lws_remaining_packet_payload(wsi); /* as announced */
    if (lws_is_first_fragment(wsi))
        c->in_n = 0;
    if (c->closing)
        return 0;
    if (c->in_n + n > c->max_message || more > c->max_message - c->in_n - n || room_make(c, n))
        return refuse(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message was too long");
    if (n)
        memcpy(c->in + c->in_n, in, n);
    c->in_n += (uint32_t)n;
    c->figures.rx_bytes += n;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return 0;
    struct str bytes = str_of(c->in, c->in_n);
    c->in_n = 0;
    if (is_text && !buf_is_utf8(bytes)) /* RFC 6455 section 8.1 */
        return refuse(c, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "a text was not UTF-8");
    c->w->conf.ops.message(c->w->conf.ops.ctx, c->user, is_text, bytes);
    return 0;
}

static void received_raw(struct web_ws *c, const void *in, size_t n)
{
    c->figures.rx_bytes += n;
    if (!c->closing && n)
        c->w->conf.ops.message(c->w->conf.ops.ctx, c->user, false, str_of(in, n));
}

static int peer_closes(struct web_ws *c, struct lws *wsi, const uint8_t *in, size_t n)
{
    if (n == 1) { /* RFC 6455 section 5.5.1 */
        why_set(c, "its close frame had half a code", 31);
        c->code = LWS_CLOSE_STATUS_PROTOCOL_ERR;
        lws_close_reason(wsi, LWS_CLOSE_STATUS_PROTOCOL_ERR, NULL, 0);
        return -1;
    }
    char text[WEB_WHY_BYTES] = "the bot closed the connection";
    if (n >= 2)
        c->code = (unsigned)in[0] << 8 | in[1];
    else if (!c->closing)
        c->code = LWS_CLOSE_STATUS_NO_STATUS; /* RFC 6455 section 7.1.5: without a code */
    if (n >= 2 && c->code != LWS_CLOSE_STATUS_NORMAL && c->code != LWS_CLOSE_STATUS_GOINGAWAY)
        snprintf(text, sizeof(text), "the bot closed the connection with code %u", c->code);
    why_set(c, text, strlen(text));
    return 0;
}

/* Where nothing pings, who takes nothing for so long is given up. */
static void watched(struct web_ws *c)
{
    unsigned ms = c->w->idle.secs_since_valid_hangup * 1000u;
    (void)!setsockopt(lws_get_socket_fd(c->wsi), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static void established(struct web_ws *c)
{
    c->open = true;
    if (c->raw)
        watched(c);
    lws_sul_cancel(&c->deadline);
    if (!c->closing)
        c->w->conf.ops.opened(c->w->conf.ops.ctx, c->user);
    else
        lws_callback_on_writable(c->wsi);
}

/* RFC 6455 section 4.1: the library takes either. -1: refused. */
static int version_check(struct web_ws *c, struct lws *wsi)
{
    static const char why[] = "it answers with HTTP/1.0, not as a WebSocket";
    if (!lws_hdr_total_length(wsi, WSI_TOKEN_HTTP1_0))
        return 0;
    why_set(c, why, sizeof(why) - 1);
    return -1;
}

static int field_add(struct web_ws *c, struct lws *wsi, void *in, size_t n)
{
    unsigned char **p = in;
    char name[sizeof(c->header) + 1];
    if (!c->header[0])
        return 0;
    int len = snprintf(name, sizeof(name), "%s:", c->header);
    (void)len;
    return lws_add_http_header_by_name(wsi, (unsigned char *)name, (unsigned char *)c->value,
                                       (int)strlen(c->value), p, *p + n);
}

/* ---- why it could not be opened, for people -------------------------------------------------- */

/* Of the certificate: what the library says afterwards has nothing of that. It is judged by
 * OpenSSL; `n`: it is good so far. */
static void certificate(struct web_ws *c, void *x509, size_t n)
{
    char text[WEB_WHY_BYTES];
    if (n || !x509)
        return;
    int err = X509_STORE_CTX_get_error(x509);
    snprintf(text, sizeof(text), "its certificate is not accepted: %s",
             X509_verify_cert_error_string(err));
    why_set(c, text, strlen(text));
}

static void no_connection(struct web_ws *c, struct lws *wsi, struct str said)
{
    static const struct {
        struct str prefix;
        const char *means;
    } known[] = {
        {STR_INIT("Unable to connect"), "nobody takes connections there"},
        {STR_INIT("connect SSL err"), "TLS could not be agreed on"},
        {STR_INIT("Timed out waiting SSL"), "it did not answer in time when TLS was to begin"},
        {STR_INIT("closed before established"), "it closed the connection before it was open"},
        {STR_INIT("read failed"), "it closed the connection before it was open"},
        {STR_INIT("problems parsing header"),
         "its answer has a header that is too long, or is none"},
        {STR_INIT("Peer hung up"), "it closed the connection before it was open"},
    };
    char text[WEB_WHY_BYTES];
    unsigned status = lws_http_client_http_response(wsi);
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        if (str_starts(said, known[i].prefix)) {
            why_set(c, known[i].means, strlen(known[i].means));
            return;
        }
    if (str_starts(said, STR("HS: ws upgrade")) && status)
        snprintf(text, sizeof(text), "it answers with HTTP status %u, not as a WebSocket", status);
    else if (str_starts(said, STR("HS: ")))
        snprintf(text, sizeof(text), "it does not answer as a WebSocket does (" STR_FMT ")",
                 STR_ARG(str_from(said, 4)));
    else
        snprintf(text, sizeof(text), "no connection%s" STR_FMT, said.n ? ": " : "",
                 STR_ARG(str_sub(said, 0, said.n < 100 ? said.n : 100)));
    why_set(c, text, strlen(text));
}

int web_ws_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
    struct web_ws *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    if (!c || c->tag != WEB_CONN)
        return 0;
    switch (why) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return field_add(c, wsi, in, n);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
        return version_check(c, wsi);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
    case LWS_CALLBACK_RAW_CONNECTED:
        established(c);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return received(c, wsi, in, n);
    case LWS_CALLBACK_RAW_RX:
        received_raw(c, in, n);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_RAW_WRITEABLE:
        return writable(c);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return peer_closes(c, wsi, in, n);
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        certificate(c, user, n);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        no_connection(c, wsi, !in ? STR("") : n ? str_of(in, n) : str_z(in));
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_RAW_CLOSE:
        why_set(c, c->closing ? "closed" : "the connection broke", c->closing ? 6 : 20);
        break;
    case LWS_CALLBACK_WSI_DESTROY:
        why_set(c, c->closing ? "closed" : "the connection broke", c->closing ? 6 : 20);
        c->wsi = NULL;
        lws_set_opaque_user_data(wsi, NULL);
        if (!c->starting)
            conn_over(c);
        break;
    default:
        break;
    }
    return 0;
}
