/* Where log lines end: the records of the trace ring, as text or JSON, on standard error or in a
 * file. A sink that cannot take them loses lines, never time. */
#ifndef IO_LOGSINK_H
#define IO_LOGSINK_H

#include "base/trace.h"
#include "io/loop.h"

enum logsink_format { LOGSINK_TEXT, LOGSINK_JSON };

struct logsink {
    enum logsink_format format;
    int fd;
    bool regular;          /* a file: writing does not wait for a reader */
    const char *path;      /* NULL: standard error */
    uint64_t told_dropped; /* of trace.dropped */
    uint64_t lost;         /* lines that could not be written */
    char *mem;
    size_t n;
};

/* path NULL: standard error; it must live as long as the sink. The file is appended to, mode 0640.
 */
MUST_CHECK int logsink_init(struct logsink *s, enum logsink_format format, const char *path);
void logsink_done(struct logsink *s);
/* Takes every record out of the ring and writes the lines. */
void logsink_drain(struct logsink *s, struct trace *t, struct loop *loop);
/* After the file was renamed (log rotation): opens a new one under its name. */
MUST_CHECK int logsink_reopen(struct logsink *s);
/* One text line with its line end: 2026-11-20T23:27:29.123Z NOTICE sec ban src=... */
void logsink_line(struct buf *b, const struct trace_rec *r, uint64_t wall_us);

#endif
