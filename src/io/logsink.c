#include "io/logsink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define BUF_BYTES  (64u * 1024)
#define LINE_BYTES 8192u

static int sink_open(struct logsink *s)
{
    int fd = STDERR_FILENO;
    struct stat st;
    if (s->path)
        fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    s->fd = fd;
    s->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return 0;
}

int logsink_init(struct logsink *s, enum logsink_format format, const char *path)
{
    struct logsink made = {.format = format, .path = path};
    made.mem = mem_alloc(BUF_BYTES);
    if (!made.mem)
        return -ENOMEM;
    int err = sink_open(&made);
    if (err) {
        mem_free(made.mem);
        return err;
    }
    *s = made;
    return 0;
}

void logsink_done(struct logsink *s)
{
    if (s->path)
        close(s->fd);
    mem_free(s->mem);
    *s = (struct logsink){.fd = -1};
}

int logsink_reopen(struct logsink *s)
{
    if (!s->path)
        return 0;
    int old = s->fd;
    int err = sink_open(s);
    if (!err)
        close(old);
    return err;
}

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

/* How much may be written without waiting: a pipe that poll() calls writable takes PIPE_BUF bytes.
 */
static size_t writable(const struct logsink *s, size_t n)
{
    if (s->regular)
        return n;
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLOUT))
        return 0;
    return n < PIPE_BUF ? n : PIPE_BUF;
}

static void sink_write(struct logsink *s)
{
    size_t at = 0;
    while (at < s->n) {
        size_t want = writable(s, s->n - at);
        ssize_t n = want ? write(s->fd, s->mem + at, want) : -1;
        if (n < 0 && want && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    s->lost += count_lines(s->mem + at, s->n - at);
    s->n = 0;
}

static void put_time(struct buf *b, uint64_t wall_us)
{
    time_t sec = (time_t)(wall_us / USEC_S);
    struct tm tm;
    gmtime_r(&sec, &tm);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
               (unsigned)(wall_us % USEC_S / USEC_MS));
}

void logsink_line(struct buf *b, const struct trace_rec *r, uint64_t wall_us)
{
    put_time(b, wall_us);
    struct str level = trace_level_name(trace_level_of(r->id));
    for (size_t i = 0; i < level.n; i++)
        buf_ch(b, (char)(level.p[i] - ('a' - 'A')));
    buf_ch(b, ' ');
    buf_str_put(b, trace_area(r->id));
    buf_ch(b, ' ');
    trace_text(b, r);
    buf_ch(b, '\n');
}

static void sink_put(struct logsink *s, const struct trace_rec *r, uint64_t wall_us)
{
    if (BUF_BYTES - s->n < LINE_BYTES)
        sink_write(s);
    struct buf b;
    buf_init(&b, s->mem + s->n, LINE_BYTES);
    if (s->format == LOGSINK_JSON) {
        trace_json(&b, r, wall_us);
        buf_ch(&b, '\n');
    } else {
        logsink_line(&b, r, wall_us);
    }
    if (b.full)
        s->lost++; /* half a line would break whoever parses it */
    else
        s->n += b.n;
}

void logsink_drain(struct logsink *s, struct trace *t, struct loop *loop)
{
    struct trace_rec r;
    while (trace_next(t, &r))
        sink_put(s, &r, loop_wall_us(loop, r.at));
    if (t->dropped != s->told_dropped) {
        r = (struct trace_rec){.at = loop_now(loop), .id = TRACE_LOG_DROPPED, .n = 1};
        r.arg[0] = TU(t->dropped - s->told_dropped);
        s->told_dropped = t->dropped;
        sink_put(s, &r, loop_wall_us(loop, r.at));
    }
    if (s->n)
        sink_write(s);
}
