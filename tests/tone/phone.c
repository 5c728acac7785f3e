#include "tone/phone.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire/rtp/be.h"
#include "wire/rtp/event.h"

#define KEY_MS   100
#define KEY_ENDS 3
#define KEY_GAP  4 /* packets of sound between two digits */

usec_t phone_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (usec_t)t.tv_sec * USEC_S + (usec_t)t.tv_nsec / 1000;
}

static struct sockaddr_in sockaddr_of(struct phone_to a)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = a.port, .sin_addr = {.s_addr = a.ip}};
}

int phone_open(struct phone *p, const char *id, struct phone_to at, uint32_t ssrc)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = 1 << 20;
    struct sockaddr_in sa = sockaddr_of(at);
    if (fd < 0)
        return -errno;
    /* The kernel says when a packet came, however late it is read. */
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) ||
        bind(fd, (struct sockaddr *)&sa, sizeof(sa))) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    *p = (struct phone){.fd = fd, .level = DSP_LOUD, .period_ms = PHONE_PERIOD_MS};
    for (size_t i = 0; id[i] && i < PHONE_MAX_ID; i++)
        p->id[i] = id[i];
    egress_init(&p->egress, ssrc, (uint16_t)(ssrc >> 8), ssrc * 7);
    return 0;
}

void phone_close(struct phone *p)
{
    mouth_done(&p->mouth);
    ear_done(&p->ear);
    (void)close(p->fd);
    p->id[0] = 0;
}

int phone_send(struct phone *p, struct phone_to to, const struct media_format *f, unsigned ptime_ms)
{
    unsigned frame = p->mouth.frame;
    const struct codec *codec = p->mouth.codec;
    int err = mouth_set(&p->mouth, f, ptime_ms);
    if (!err)
        err = ear_set(&p->ear, f);
    if (err)
        return err;
    if (codec != p->mouth.codec || frame != p->mouth.frame || p->f.pt != f->pt) {
        p->said = p->packets = 0;
        p->mouth.n = 0;
        egress_pause(&p->egress);
    }
    p->f = *f;
    p->to = to;
    p->sending = true;
    return 0;
}

/* ---- the voice ------------------------------------------------------------------------------- */

static int16_t sample(double *phase, double hz, double level, uint32_t rate_hz)
{
    int16_t v = (int16_t)lrint(level * 32767 * sin(*phase));
    *phase = fmod(*phase + 2 * M_PI * hz / rate_hz, 2 * M_PI);
    return v;
}

static void speak(struct phone *p, int16_t *out, unsigned n, uint32_t rate_hz)
{
    uint64_t period = (uint64_t)rate_hz * p->period_ms / 1000;
    uint64_t burst = (uint64_t)rate_hz * PHONE_BURST_MS / 1000;
    for (unsigned i = 0; i < n; i++, p->said++) {
        bool is_burst = p->burst_hz > 0 && p->said >= period && p->said % period < burst;
        int16_t tone = sample(&p->phase, p->hz, p->level, rate_hz);
        if (!is_burst)
            p->burst_phase = 0;
        out[i] = p->muted   ? 0
                 : is_burst ? sample(&p->burst_phase, p->burst_hz, p->level, rate_hz)
                            : tone;
    }
}

/* Puts a part of a digit in the place of the packet's sound; false: none is being sent. */
static bool press(struct phone *p, struct mouth_packet *m)
{
    struct phone_keys *k = &p->keys;
    if (!k->digit[k->at])
        return false;
    if (k->ended >= KEY_ENDS) {
        if (++k->ended == KEY_ENDS + KEY_GAP) {
            k->ended = 0;
            k->ticks = 0;
            k->at++;
        }
        return false;
    }
    bool first = k->ticks == 0;
    if (first)
        k->ts = be32_get(m->bytes + 4);
    if (k->ended == 0)
        k->ticks += p->mouth.ticks;
    bool end = k->ticks >= (uint64_t)p->f.clock_hz * KEY_MS / 1000;
    k->ended += end;
    m->bytes[1] = (uint8_t)(p->event_pt | (first ? 0x80 : 0));
    be32_put(m->bytes + 4, k->ts);
    rtp_event_build(m->bytes + RTP_HEADER_BYTES,
                    &(struct rtp_event){.event = (uint8_t)rtp_event_of_char(k->digit[k->at]),
                                        .end = end,
                                        .volume = 10,
                                        .duration = (uint16_t)k->ticks});
    m->n = RTP_HEADER_BYTES + RTP_EVENT_BYTES;
    return true;
}

static void say(struct phone *p, struct mouth_packet *m)
{
    struct sockaddr_in sa = sockaddr_of(p->to);
    uint64_t begins = p->packets++ * p->mouth.frame;
    uint64_t period = (uint64_t)p->mouth.rate_hz * p->period_ms / 1000;
    bool is_key = p->event_pt && press(p, m);
    usec_t now = phone_now();
    ssize_t n = sendto(p->fd, m->bytes, m->n, 0, (struct sockaddr *)&sa, sizeof(sa));
    if (n >= 0 && !is_key && !p->muted && p->burst_hz > 0 && begins && begins % period == 0)
        p->burst_at[p->n_bursts++ % PHONE_MAX_BURSTS] = now;
}

void phone_tick(struct phone *p)
{
    int16_t pcm[48 * PHONE_TICK_MS];
    struct mouth_packet m;
    if (!p->sending)
        return;
    unsigned n = p->mouth.rate_hz * PHONE_TICK_MS / 1000;
    const int16_t *rest = pcm;
    speak(p, pcm, n, p->mouth.rate_hz);
    while (mouth_put(&p->mouth, &p->egress, phone_now(), p->mouth.rate_hz, &rest, &n, &m))
        say(p, &m);
}

usec_t phone_burst_before(const struct phone *p, usec_t heard)
{
    usec_t best = 0;
    for (unsigned i = 0; i < p->n_bursts && i < PHONE_MAX_BURSTS; i++)
        if (p->burst_at[i] <= heard && p->burst_at[i] > best)
            best = p->burst_at[i];
    return best;
}

/* ---- the ear --------------------------------------------------------------------------------- */

static usec_t arrival(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        struct timespec t;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        uint8_t *to = (uint8_t *)&t;
        for (size_t i = 0; i < sizeof(t); i++)
            to[i] = CMSG_DATA(c)[i];
        return (usec_t)t.tv_sec * USEC_S + (usec_t)t.tv_nsec / 1000;
    }
    return phone_now();
}

void phone_rx(struct phone *p)
{
    uint8_t bytes[2048];
    _Alignas(struct cmsghdr) uint8_t control[256];
    for (;;) {
        struct sockaddr_in from = {0};
        struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
        struct msghdr h = {.msg_name = &from,
                           .msg_namelen = sizeof(from),
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(p->fd, &h, 0);
        if (n < 0)
            return;
        struct phone_to who = {.ip = from.sin_addr.s_addr, .port = from.sin_port};
        if (who.ip != p->from.ip || who.port != p->from.port)
            p->ear.stats.sources++;
        p->from = who;
        ear_rx(&p->ear, arrival(&h), bytes, (size_t)n);
    }
}
