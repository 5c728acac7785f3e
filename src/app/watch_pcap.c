/* `ringdown watch --pcap`: a capture for each call that is over. Its messages are those that the
 * engine has kept, in frames made anew; packets of sound wait in a ring on the disk, each with the
 * place of the one before it in its stream, so that a long call costs no memory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "analysis/extract.h"
#include "app/watch.h"
#include "base/mem.h"
#include "io/fs.h"
#include "io/tempfile.h"

#define NS_PER_S    1000000000ull
#define OUT_BYTES   ((size_t)1 << 20)
#define PACKETS_MAX 4000000 /* of one call */
#define SAME_NAMES  1000
#define MESSAGE_MAX 65000

/* A packet in the ring, its bytes behind it. */
struct kept {
    uint64_t at_ns, frame;
    uint64_t before; /* the one before it in its stream; 0: none */
    uint32_t number; /* of the stream */
    uint32_t n;
};

struct watch_store {
    char *ring; /* NULL: no sound */
    uint64_t cap, tail;
    uint64_t *last; /* [WATCH_STREAMS]: 1 + where the last packet of a stream is */
    bool full;      /* the disk, which was said */
};

/* What a capture is made of, in the order of time. */
struct piece {
    uint64_t at_ns, frame;
    const struct an_msg *msg; /* NULL: a packet */
    const struct an_leg *leg;
    const struct kept *packet;
    const struct an_stream *stream;
};

struct pieces {
    struct piece *v;
    uint32_t n, cap;
};

/* ---- the ring -------------------------------------------------------------------------------- */

/* Places count on over all time; what the ring has gone over is gone. */
static struct kept *kept_at(const struct watch_store *s, uint64_t at)
{
    if (at >= s->tail || s->tail - at > s->cap)
        return NULL;
    return (struct kept *)(void *)(s->ring + at % s->cap);
}

void watch_store_rx(struct watch *w, const struct cap_frame *f, const struct an_datum *d)
{
    struct watch_store *s = w->store;
    uint32_t stream = d->kind == AN_UDP_DATA ? an_rtp_last(an_engine_rtp(w->engine)) : AN_NONE;
    uint64_t size = (sizeof(struct kept) + d->bytes.n + 7) & ~UINT64_C(7);
    (void)f;
    if (!s->ring || stream >= WATCH_STREAMS || size > s->cap / 2)
        return;
    uint64_t left = s->cap - s->tail % s->cap;
    s->tail += left < size ? left : 0; /* each is in one piece */
    struct kept *to = (struct kept *)(void *)(s->ring + s->tail % s->cap);
    *to = (struct kept){.at_ns = d->at_ns,
                        .frame = d->frame,
                        .before = s->last[stream],
                        .number = an_rtp_stream(an_engine_rtp(w->engine), stream)->number,
                        .n = (uint32_t)d->bytes.n};
    memcpy(to + 1, d->bytes.p, d->bytes.n);
    s->last[stream] = s->tail + 1;
    s->tail += size;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static struct piece *piece_add(struct pieces *p)
{
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? 2 * p->cap : 256;
        struct piece *more = cap <= PACKETS_MAX ? mem_resize(p->v, cap * sizeof(*more)) : NULL;
        if (!more)
            return NULL;
        p->v = more;
        p->cap = cap;
    }
    p->v[p->n] = (struct piece){0};
    return &p->v[p->n++];
}

static void leg_add(const struct watch *w, uint32_t index, struct pieces *p)
{
    const struct an_leg *leg = an_engine_leg(w->engine, index);
    for (uint32_t i = 0; i < leg->n_msgs; i++) {
        const struct an_msg *m = &leg->msg[i];
        struct piece *x = m->flags & AN_MSG_COPY ? NULL : piece_add(p);
        if (x)
            *x = (struct piece){.at_ns = m->at_ns, .frame = m->frame, .msg = m, .leg = leg};
    }
}

static void stream_add(const struct watch *w, uint32_t index, struct pieces *p)
{
    const struct watch_store *s = w->store;
    const struct an_stream *stream = an_rtp_stream(an_engine_rtp(w->engine), index);
    uint64_t at = index < WATCH_STREAMS ? s->last[index] : 0;
    while (at) {
        const struct kept *k = kept_at(s, at - 1);
        if (!k || k->number != stream->number)
            return;
        struct piece *x = piece_add(p);
        if (x)
            *x =
                (struct piece){.at_ns = k->at_ns, .frame = k->frame, .packet = k, .stream = stream};
        at = k->before;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

static void pieces_find(struct watch *w, uint32_t index, struct pieces *p)
{
    const struct an_report *r = watch_report(w);
    const struct an_call *call = an_engine_call(w->engine, index);
    for (uint32_t i = 0; i < call->n_legs; i++)
        leg_add(w, call->leg[i], p);
    for (uint32_t i = r->stream_at[index]; w->store->ring && i < r->stream_at[index + 1]; i++)
        stream_add(w, r->stream[i], p);
    if (p->n)
        qsort(p->v, p->n, sizeof(*p->v), by_time);
}

/* ---- the file -------------------------------------------------------------------------------- */

struct writing {
    FILE *f;
    struct an_synth synth;
    struct buf out;
    uint8_t frame[AN_SYNTH_MAX_BYTES];
    char message[MESSAGE_MAX];
    char mem[OUT_BYTES];
};

static int put_out(struct writing *x)
{
    bool bad = fwrite(x->out.p, 1, x->out.n, x->f) != x->out.n;
    buf_init(&x->out, x->mem, sizeof(x->mem));
    return bad ? -ENOSPC : 0;
}

static int put_piece(const struct watch *w, struct writing *x, const struct piece *p)
{
    struct an_datum d = {.at_ns = p->at_ns, .kind = AN_UDP_DATA, .transport = AN_UDP};
    if (p->msg) {
        size_t n = an_engine_bytes(w->engine, p->msg, x->message, sizeof(x->message));
        d.kind = AN_SIP;
        d.transport = p->msg->transport;
        d.src = p->leg->host[p->msg->src];
        d.dst = p->leg->host[p->msg->dst];
        d.bytes = str_of(x->message, n);
    } else {
        d.src = p->stream->src;
        d.dst = p->stream->dst;
        d.bytes = str_of((const char *)(p->packet + 1), p->packet->n);
    }
    size_t n = d.bytes.n ? an_synth_frame(&x->synth, &d, x->frame) : 0;
    if (!n)
        return 0;
    struct cap_frame f = {
        .at_ns = p->at_ns, .p = x->frame, .n = (uint32_t)n, .wire_n = (uint32_t)n};
    cap_write_frame(&x->out, &f, STR_NONE);
    return x->out.n > OUT_BYTES / 2 ? put_out(x) : 0;
}

static int file_write(const struct watch *w, const char *path, const struct pieces *p)
{
    struct writing *x = mem_zero(sizeof(*x));
    if (!x)
        return -ENOMEM;
    buf_init(&x->out, x->mem, sizeof(x->mem));
    /* What people say, and their passwords: not for everybody. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    x->f = fd < 0 ? NULL : fdopen(fd, "w");
    int err = x->f ? 0 : -errno;
    if (fd >= 0 && !x->f)
        close(fd);
    cap_write_section(&x->out, STR("ringdown " RD_VERSION));
    cap_write_iface(&x->out, CAP_RAW, STR_NONE);
    for (uint32_t i = 0; i < p->n && !err; i++)
        err = put_piece(w, x, &p->v[i]);
    if (!err)
        err = put_out(x);
    if (x->f && fclose(x->f) && !err)
        err = -errno;
    /* Half a capture helps nobody. */
    if (x->f && err)
        unlink(path);
    mem_free(x);
    return err;
}

static void put_safe(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n && i < 32; i++) {
        char c = s.p[i], lower = chr_lower(c);
        bool plain = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '+';
        buf_ch(b, plain ? c : '_');
    }
}

/* "2026-11-21/152233-01077141436_1427-3.pcapng", where nothing is called so yet. */
static int name_find(const struct watch *w, const struct an_call *call, char name[WATCH_NAME],
                     char *path)
{
    time_t at = (time_t)(call->start_ns / NS_PER_S);
    struct tm tm;
    struct buf b;
    gmtime_r(&at, &tm);
    for (unsigned i = 0; i < SAME_NAMES; i++) {
        buf_init(&b, name, WATCH_NAME - 1);
        buf_printf(&b, "%04d-%02d-%02d/%02d%02d%02d-", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (call->caller_unknown)
            buf_lit(&b, "unknown");
        else
            put_safe(&b, an_call_text(call, call->caller));
        buf_ch(&b, '_');
        put_safe(&b, an_call_text(call, call->dialled));
        buf_printf(&b, "-%u.pcapng", call->number + i);
        name[b.n] = 0;
        int n = snprintf(path, PATH_MAX, "%s/%s", w->opt.pcap, name);
        if (n < 0 || n >= PATH_MAX)
            return -ENAMETOOLONG;
        if (access(path, F_OK) != 0)
            return fs_mkdirs_for(path);
    }
    return -EEXIST;
}

static bool has_room(const struct watch *w)
{
    struct statvfs fs;
    if (statvfs(w->opt.pcap, &fs))
        return true;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= (uint64_t)w->opt.min_free_mb << 20;
}

static void tell(struct watch *w, const char *path, int err)
{
    char text[PATH_MAX + 160], why[128];
    if ((err != 0) == w->store->full)
        return;
    w->store->full = err != 0;
    if (err)
        snprintf(text, sizeof(text), "%s: %s; captures are not written until that is over", path,
                 strerror_r(-err, why, sizeof(why)));
    else
        snprintf(text, sizeof(text), "captures of calls are written again");
    watch_news(w, text);
}

void watch_store_done(struct watch *w, uint32_t index, char name[WATCH_NAME])
{
    char path[PATH_MAX];
    struct pieces p = {0};
    path[0] = 0;
    int err = has_room(w) ? name_find(w, an_engine_call(w->engine, index), name, path) : -ENOSPC;
    if (!err) {
        pieces_find(w, index, &p);
        err = file_write(w, path, &p);
    }
    tell(w, path[0] ? path : w->opt.pcap, err);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < p.n; i++)
        bytes += p.v[i].msg ? p.v[i].msg->bytes_n : p.v[i].packet->n + 80;
    if (err)
        name[0] = 0;
    else if (w->room)
        diskroom_note(w->room, bytes);
    mem_free(p.v);
}

/* ---------------------------------------------------------------------------------------------- */

static int ring_open(struct watch *w)
{
    struct watch_store *s = w->store;
    const char *temp = getenv("TMPDIR");
    int fd, err = tempfile_open(&fd, temp && temp[0] ? temp : "/var/tmp");
    if (err)
        return err;
    s->cap = (uint64_t)w->opt.store_mb << 20;
    /* Its room is taken now: a write into a hole of a full disk would end the program. */
    err = -posix_fallocate(fd, 0, (off_t)s->cap);
    void *p = err ? MAP_FAILED
                  : mmap(NULL, s->cap, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (!err && p == MAP_FAILED)
        err = -errno;
    close(fd);
    if (!err)
        s->ring = p;
    return err;
}

int watch_store_open(struct watch *w)
{
    w->store = mem_zero(sizeof(*w->store));
    if (!w->store)
        return -ENOMEM;
    if (!w->opt.audio)
        return 0;
    w->store->last = mem_map(WATCH_STREAMS * sizeof(*w->store->last));
    return w->store->last ? ring_open(w) : -ENOMEM;
}

void watch_store_close(struct watch *w)
{
    struct watch_store *s = w->store;
    if (!s)
        return;
    if (s->ring)
        munmap(s->ring, s->cap);
    mem_unmap(s->last, WATCH_STREAMS * sizeof(*s->last));
    mem_free(s);
    w->store = NULL;
}
