/* A speech server for tests, on loopback: SIP over UDP, control over TCP, MRCPv2 as a script. It
 * has one session at a time, and is driven by peer_turn(). What it is asked it answers by itself,
 * unless it is told to be silent; what happens then, the test says. */
#ifndef TEST_SPEECH_PEER_H
#define TEST_SPEECH_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_MAX 64

struct speech_asked {
    char method[32], channel[64], text[8192];
    unsigned long long id;
};

struct speech_peer {
    int sip, listener, control[4];
    unsigned n_controls;
    uint16_t port, control_port;
    bool silent;        /* INVITEs are not answered */
    bool mute;          /* requests are not answered */
    bool refuse_recog;  /* port 0 for it */
    const char *status; /* NULL: 200; of INVITE */
    struct sockaddr_in client;
    char invite[4096]; /* the last one */
    unsigned invites, acks, byes;
    struct speech_asked asked[PEER_MAX];
    unsigned n_asked;
    char rx[4][16384];
    size_t rx_n[4];
};

static inline int peer_socket(int type, uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    *port = ntohs(sa.sin_port);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void peer_open(struct speech_peer *p)
{
    *p = (struct speech_peer){.sip = peer_socket(SOCK_DGRAM, &p->port), .port = p->port};
    p->listener = peer_socket(SOCK_STREAM, &p->control_port);
    assert_int_equal(listen(p->listener, 4), 0);
}

static inline void peer_hang_up_control(struct speech_peer *p)
{
    for (unsigned i = 0; i < p->n_controls; i++)
        if (p->control[i] >= 0)
            close(p->control[i]);
    p->n_controls = 0;
}

static inline void peer_close(struct speech_peer *p)
{
    peer_hang_up_control(p);
    close(p->sip);
    close(p->listener);
}

/* The whole line, without its end. */
static inline void peer_header(char *out, size_t cap, const char *message, const char *name)
{
    char key[40];
    out[0] = 0;
    snprintf(key, sizeof(key), "\r\n%s:", name);
    const char *at = strstr(message, key);
    if (at)
        snprintf(out, cap, "%.*s", (int)strcspn(at + 2, "\r"), at + 2);
}

static inline void peer_send(struct speech_peer *p, const char *text)
{
    (void)!sendto(p->sip, text, strlen(text), 0, (struct sockaddr *)&p->client, sizeof(p->client));
}

static inline void peer_respond(struct speech_peer *p, const char *request, const char *status,
                                const char *body)
{
    static const char *const copied[] = {"Via", "From", "Call-ID", "CSeq"};
    char line[600], to[600], out[4000];
    size_t n = (size_t)snprintf(out, sizeof(out), "SIP/2.0 %s\r\n", status);
    for (unsigned i = 0; i < 4; i++) {
        peer_header(line, sizeof(line), request, copied[i]);
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s\r\n", line);
    }
    peer_header(to, sizeof(to), request, "To");
    n += (size_t)snprintf(out + n, sizeof(out) - n,
                          "%s%s\r\nContact: <sip:asr@127.0.0.1:%u>\r\nContent-Type: "
                          "application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
                          to, strstr(to, ";tag=") ? "" : ";tag=peer", p->port, strlen(body), body);
    peer_send(p, out);
}

static inline void peer_answer(struct speech_peer *p)
{
    char body[1200];
    snprintf(body, sizeof(body),
             "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
             "m=application %u TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:new\r\n"
             "a=channel:77@speechsynth\r\na=cmid:1\r\n"
             "m=application %u TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:existing\r\n"
             "%s"
             "m=audio 40000 RTP/AVP 0\r\na=sendrecv\r\na=mid:1\r\n",
             p->control_port, p->refuse_recog ? 0 : p->control_port,
             p->refuse_recog ? "" : "a=channel:77@speechrecog\r\na=cmid:1\r\n");
    peer_respond(p, p->invite, "200 OK", body);
}

static inline void peer_sip(struct speech_peer *p, const char *text)
{
    if (strncmp(text, "INVITE ", 7) == 0) {
        p->invites++;
        snprintf(p->invite, sizeof(p->invite), "%s", text);
        if (p->silent)
            return;
        if (p->status)
            peer_respond(p, text, p->status, "");
        else
            peer_answer(p);
    } else if (strncmp(text, "ACK ", 4) == 0) {
        p->acks++;
    } else if (strncmp(text, "BYE ", 4) == 0 || strncmp(text, "CANCEL ", 7) == 0) {
        p->byes += text[0] == 'B';
        peer_respond(p, text, "200 OK", "");
    }
}

/* A BYE of the server's. */
static inline void peer_bye(struct speech_peer *p)
{
    char from[600], to[600], call_id[300], out[2000];
    peer_header(from, sizeof(from), p->invite, "From");
    peer_header(to, sizeof(to), p->invite, "To");
    peer_header(call_id, sizeof(call_id), p->invite, "Call-ID");
    snprintf(
        out, sizeof(out),
        "BYE sip:ringdown@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKb\r\n"
        "Max-Forwards: 70\r\nFrom:%s;tag=peer\r\nTo:%s\r\n%s\r\nCSeq: 1 BYE\r\n"
        "Content-Length: 0\r\n\r\n",
        p->port, to + 3, from + 5, call_id);
    peer_send(p, out);
}

/* "START fields", where LENGTH is filled in: "83 200 IN-PROGRESS". */
static inline void peer_say(struct speech_peer *p, const char *resource, const char *start,
                            const char *fields, const char *body)
{
    char tail[6000], out[6100], length[120] = "";
    if (body[0])
        snprintf(length, sizeof(length),
                 "Content-Type:application/nlsml+xml\r\nContent-Length:%zu"
                 "\r\n",
                 strlen(body));
    snprintf(tail, sizeof(tail), " %s\r\nChannel-Identifier:77@%s\r\n%s%s\r\n%s", start, resource,
             fields, length, body);
    size_t n = 0, was;
    do { /* its length counts itself */
        was = n;
        n = (size_t)snprintf(out, sizeof(out), "MRCP/2.0 %zu%s", was, tail);
    } while (n != was);
    for (unsigned i = 0; i < p->n_controls; i++)
        if (p->control[i] >= 0) {
            assert_int_equal(send(p->control[i], out, n, MSG_NOSIGNAL), (ssize_t)n);
            return;
        }
    fail_msg("there is no control connection");
}

static inline const char *peer_resource(const struct speech_asked *a)
{
    return strstr(a->channel, "synth") ? "speechsynth" : "speechrecog";
}

/* The newest of a method; NULL: none. */
static inline const struct speech_asked *peer_last(const struct speech_peer *p, const char *method)
{
    for (unsigned i = p->n_asked; i-- > 0;)
        if (strcmp(p->asked[i].method, method) == 0)
            return &p->asked[i];
    return NULL;
}

static inline unsigned peer_count(const struct speech_peer *p, const char *method)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->n_asked; i++)
        n += strcmp(p->asked[i].method, method) == 0;
    return n;
}

/* What STOP and BARGE-IN-OCCURRED end is what was asked last on their channel. */
static inline void peer_reply(struct speech_peer *p, const struct speech_asked *a)
{
    char start[80], fields[80] = "";
    bool begins = strcmp(a->method, "SPEAK") == 0 || strcmp(a->method, "RECOGNIZE") == 0;
    bool ends = strcmp(a->method, "STOP") == 0 || strcmp(a->method, "BARGE-IN-OCCURRED") == 0;
    for (unsigned i = 0; ends && i < p->n_asked; i++)
        if (strcmp(p->asked[i].channel, a->channel) == 0 &&
            (p->asked[i].method[0] == 'R' || p->asked[i].method[1] == 'P'))
            snprintf(fields, sizeof(fields), "Active-Request-Id-List:%llu\r\n", p->asked[i].id);
    snprintf(start, sizeof(start), "%llu 200 %s", a->id, begins ? "IN-PROGRESS" : "COMPLETE");
    peer_say(p, peer_resource(a), start, fields, "");
}

static inline void peer_request(struct speech_peer *p, const char *text)
{
    assert_true(p->n_asked < PEER_MAX);
    struct speech_asked *a = &p->asked[p->n_asked++];
    *a = (struct speech_asked){.id = 0};
    assert_int_equal(sscanf(text, "MRCP/2.0 %*u %31s %llu", a->method, &a->id), 2);
    peer_header(a->channel, sizeof(a->channel), text, "Channel-Identifier");
    snprintf(a->text, sizeof(a->text), "%s", text);
    if (!p->mute)
        peer_reply(p, a);
}

static inline void peer_control(struct speech_peer *p, unsigned i)
{
    char one[8192];
    unsigned length;
    ssize_t n = recv(p->control[i], p->rx[i] + p->rx_n[i], sizeof(p->rx[i]) - p->rx_n[i] - 1, 0);
    if (n == 0) {
        close(p->control[i]);
        p->control[i] = -1;
    }
    if (n <= 0)
        return;
    p->rx_n[i] += (size_t)n;
    p->rx[i][p->rx_n[i]] = 0;
    while (sscanf(p->rx[i], "MRCP/2.0 %u", &length) == 1 && length <= p->rx_n[i]) {
        assert_true(length < sizeof(one));
        memcpy(one, p->rx[i], length);
        one[length] = 0;
        p->rx_n[i] -= length;
        memmove(p->rx[i], p->rx[i] + length, p->rx_n[i] + 1);
        peer_request(p, one);
    }
}

static inline void peer_turn(struct speech_peer *p)
{
    char text[4096];
    socklen_t size = sizeof(p->client);
    ssize_t n;
    while ((n = recvfrom(p->sip, text, sizeof(text) - 1, 0, (struct sockaddr *)&p->client, &size)) >
           0) {
        text[n] = 0;
        peer_sip(p, text);
    }
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0) {
        assert_true(p->n_controls < 4);
        p->rx_n[p->n_controls] = 0;
        p->control[p->n_controls++] = fd;
    }
    for (unsigned i = 0; i < p->n_controls; i++)
        if (p->control[i] >= 0)
            peer_control(p, i);
}

#endif
