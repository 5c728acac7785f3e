/* A bot of the test's own, on a socket: it takes one connection at a time, answers the handshake of
 * RFC 6455 section 4.2.2, and keeps what it is told. Never waits. */
#ifndef TESTS_BOT_PEER_H
#define TESTS_BOT_PEER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/twilio/twilio.h"
#include "wire/ws/ws.h"

#define PEER_BYTES (1 << 20)

struct bot_peer {
    int listener, fd;
    uint16_t port;
    bool deaf;  /* it takes connections, and never answers */
    bool shook; /* hands */
    char request[4096];
    size_t request_n;
    uint8_t in[PEER_BYTES];
    size_t in_n;
    struct ws_reader reader;
    char text[65536]; /* messages, each on a line */
    struct buf said;
    unsigned connections, messages, close_code;
    unsigned binaries; /* messages of sound, */
    size_t binary_n;   /* the last one's bytes, */
    int binary_most;   /* and its loudest sample */
    bool plain;        /* no WebSocket: bytes are counted and kept in `in` */
    bool rude;         /* it does not answer a close frame */
    bool gone;         /* the other side has closed */
};

static inline void peer_open(struct bot_peer *p)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    int on = 1;
    memset(p, 0, sizeof(*p));
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = -1;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(p->listener, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&sa, &n), 0);
    p->port = ntohs(sa.sin_port);
    buf_init(&p->said, p->text, sizeof(p->text) - 1);
    p->reader.msg.p = malloc(PEER_BYTES);
    p->reader.msg.cap = PEER_BYTES;
}

/* Without a word. */
static inline void peer_hang(struct bot_peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->shook = false;
    p->in_n = p->request_n = 0;
}

static inline void peer_close(struct bot_peer *p)
{
    peer_hang(p);
    if (p->listener >= 0)
        close(p->listener);
    p->listener = -1;
    free(p->reader.msg.p);
}

static inline void peer_send(struct bot_peer *p, uint8_t opcode, const char *bytes, size_t n)
{
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    size_t h = 2;
    if (n < 126) {
        head[1] = (uint8_t)n;
    } else if (n < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
        h = 4;
    } else {
        head[1] = 127;
        for (unsigned i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
        h = 10;
    }
    fcntl(p->fd, F_SETFL, 0);                  /* all of it, however long that takes */
    (void)!send(p->fd, head, h, MSG_NOSIGNAL); /* the other side may have enough of it */
    for (size_t at = 0; at < n;) {
        ssize_t some = send(p->fd, bytes + at, n - at, MSG_NOSIGNAL);
        at = some > 0 ? at + (size_t)some : n;
    }
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
}

static inline void peer_say(struct bot_peer *p, const char *text)
{
    peer_send(p, WS_TEXT, text, strlen(text));
}

/* code 0: a close frame without one. */
static inline void peer_bye(struct bot_peer *p, unsigned code)
{
    char two[2] = {(char)(code >> 8), (char)code};
    peer_send(p, WS_CLOSE, two, code ? 2 : 0);
}

/* ms of a constant tone, as one message. */
static inline void peer_speak(struct bot_peer *p, const char *stream, unsigned ms)
{
    size_t n = (size_t)ms * 8;
    uint8_t *ulaw = malloc(n);
    char *mem = malloc(n * 2 + 256);
    struct buf b;
    for (size_t i = 0; i < n; i++)
        ulaw[i] = i % 8 < 4 ? 0x10 : 0x90;
    buf_init(&b, mem, n * 2 + 256);
    buf_printf(&b, "{\"event\":\"media\",\"streamSid\":\"%s\",\"media\":{\"payload\":\"", stream);
    base64_put(&b, ulaw, n);
    buf_z(&b, "\"}}");
    peer_send(p, WS_TEXT, b.p, b.n);
    free(mem);
    free(ulaw);
}

/* What Sec-WebSocket-Accept says to this request, and the end of the header. */
static inline void peer_accept(char *ret, size_t cap, struct str r)
{
    char key[128];
    uint8_t sha[20];
    struct buf b;
    ptrdiff_t at = str_ifind(r, STR("sec-websocket-key: "));
    assert_true(at > 0);
    struct str k = str_sub(r, (size_t)at + 19, 24);
    snprintf(key, sizeof(key), "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", STR_ARG(k));
    SHA1((const uint8_t *)key, strlen(key), sha);
    buf_init(&b, ret, cap - 1);
    base64_put(&b, sha, 20);
    buf_z(&b, "\r\n\r\n");
    ret[b.n] = '\0';
}

static inline void peer_shake(struct bot_peer *p)
{
    char accept[64], reply[256];
    peer_accept(accept, sizeof(accept), str_of(p->request, p->request_n));
    int n = snprintf(reply, sizeof(reply),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s",
                     accept);
    assert_int_equal(write(p->fd, reply, (size_t)n), n);
    p->shook = true;
    p->connections++;
}

static inline void peer_sound(struct bot_peer *p)
{
    const uint8_t *at = (const uint8_t *)p->reader.msg.p;
    p->binaries++;
    p->binary_n = p->reader.msg.n;
    p->binary_most = 0;
    for (size_t i = 0; i + 1 < p->binary_n; i += 2) {
        int v = abs((int16_t)(uint16_t)(at[i] | at[i + 1] << 8));
        p->binary_most = v > p->binary_most ? v : p->binary_most;
    }
}

static inline void peer_take(struct bot_peer *p)
{
    for (size_t at = 0;;) {
        struct ws_frame f;
        int head = ws_frame_head(&f, p->in + at, p->in_n - at);
        if (head == 1 && f.opcode == WS_CLOSE && p->in_n - at >= f.head_bytes + f.n && f.n >= 2) {
            uint8_t code[2];
            ws_unmask(code, p->in + at + f.head_bytes, 2, f.mask, 0);
            p->close_code = (unsigned)code[0] << 8 | code[1];
            if (!p->rude) /* RFC 6455 section 5.5.1 */
                peer_bye(p, p->close_code);
        }
        struct ws_item i = ws_next(&p->reader, p->in + at, p->in_n - at);
        at += i.used;
        if (i.kind == WS_MESSAGE) {
            p->messages++;
            if (i.opcode == WS_BINARY) {
                peer_sound(p);
                continue;
            }
            if (p->said.n > sizeof(p->text) / 2 && p->reader.msg.n > 200)
                continue; /* sound leaves room for what is less frequent */
            buf_put(&p->said, p->reader.msg.p, p->reader.msg.n);
            buf_ch(&p->said, '\n');
        }
        if (i.kind == WS_MORE || i.kind == WS_BAD || i.kind == WS_ROOM || !i.used) {
            memmove(p->in, p->in + at, p->in_n - at);
            p->in_n -= at;
            return;
        }
    }
}

static inline void peer_turn(struct bot_peer *p)
{
    if (p->fd < 0 && p->listener >= 0) {
        p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK);
        p->gone = false;
    }
    if (p->fd < 0 || p->deaf)
        return;
    if (!p->shook && p->plain) {
        p->shook = true;
        p->connections++;
    }
    if (!p->shook) {
        ssize_t n =
            recv(p->fd, p->request + p->request_n, sizeof(p->request) - p->request_n - 1, 0);
        p->request_n += n > 0 ? (size_t)n : 0;
        p->request[p->request_n] = '\0';
        if (strstr(p->request, "\r\n\r\n"))
            peer_shake(p);
        return;
    }
    ssize_t n = recv(p->fd, p->in + p->in_n, sizeof(p->in) - p->in_n, 0);
    p->gone |= n == 0;
    p->in_n += n > 0 ? (size_t)n : 0;
    if (p->plain)
        return;
    peer_take(p);
    p->text[p->said.n] = '\0';
}

/* How often it was told something with this text in it. */
static inline unsigned peer_heard(const struct bot_peer *p, const char *what)
{
    unsigned n = 0;
    for (const char *at = p->text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* The value behind this key the last time it was told. */
static inline void peer_value(const struct bot_peer *p, const char *key, char *ret, size_t cap)
{
    char what[64];
    const char *last = NULL;
    snprintf(what, sizeof(what), "\"%s\":\"", key);
    for (const char *at = p->text; (at = strstr(at, what)); at++)
        last = at + strlen(what);
    assert_non_null(last);
    size_t n = strcspn(last, "\"");
    str_copy_z(ret, cap, str_of(last, n));
}

#endif
