/* `ringdown analyze` reads: files in the order of their first frames, as one input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/analyze.h"
#include "base/mem.h"
#include "io/entropy.h"
#include "io/fs.h"

#define MAX_KEYLOG_BYTES ((size_t)64 << 20)

void analyze_fail(struct analyze *a, const char *what, int err)
{
    char text[128];
    fprintf(stderr, "ringdown analyze: %s: %s\n", what, strerror_r(-err, text, sizeof(text)));
    a->failed = true;
}

void analyze_note(struct analyze *a, uint64_t frame, struct str text)
{
    char *copy = a->n_notes < ANALYZE_MAX_NOTES ? mem_strndup(text.p, text.n) : NULL;
    if (!copy)
        a->more_notes++;
    else
        a->note[a->n_notes++] = (struct an_note){.frame = frame, .text = str_of(copy, text.n)};
}

/* ---- the files ------------------------------------------------------------------------------- */

/* A pipe can be read only once, and so may standard input: it is kept. */
static int source_open(struct analyze *a, struct analyze_source *s)
{
    struct stat st;
    bool in = strcmp(s->path, "-") == 0;
    if ((in ? fstat(STDIN_FILENO, &st) : stat(s->path, &st)) != 0)
        return -errno;
    if (S_ISREG(st.st_mode)) {
        s->fd = in ? STDIN_FILENO : -1;
        return 0;
    }
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    int fd = in ? STDIN_FILENO : open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = capfile_spool(&s->fd, fd, a->temp_dir);
    if (!in)
        close(fd);
    return err;
}

static int first_time(struct analyze_source *s)
{
    struct capfile *f;
    struct cap_frame frame;
    int err = capfile_open(&f, s->path, s->fd);
    if (err)
        return err;
    do
        err = capfile_next(f, &frame);
    while (err == -EBADMSG || (err > 0 && frame.keys));
    s->first_ns = err > 0 ? frame.at_ns : AN_NEVER;
    capfile_close(f);
    return err > 0 ? 0 : err;
}

static int compare(const void *a, const void *b)
{
    const struct analyze_source *x = a, *y = b;
    if (x->first_ns != y->first_ns)
        return x->first_ns < y->first_ns ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

int analyze_sources(struct analyze *a, char **path, int n)
{
    a->source = mem_zero((size_t)n * sizeof(*a->source));
    a->file = mem_zero((size_t)n * sizeof(*a->file));
    if (!a->source || !a->file) {
        analyze_fail(a, "memory", -ENOMEM);
        return -ENOMEM;
    }
    for (int i = 0; i < n; i++) {
        struct analyze_source *s = &a->source[a->n_sources];
        *s = (struct analyze_source){.path = path[i], .fd = -1, .order = (uint32_t)i};
        int err = source_open(a, s);
        if (!err)
            err = first_time(s);
        if (err)
            analyze_fail(a, path[i], err);
        else
            a->n_sources++;
    }
    qsort(a->source, a->n_sources, sizeof(*a->source), compare);
    return a->n_sources ? 0 : -ENOENT;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static void file_begin(struct analyze_pass *p, uint32_t i)
{
    if (p->first)
        p->a->file[i] = (struct an_file){.name = str_z(p->a->source[i].path),
                                         .frame_base = p->frames,
                                         .first_ns = AN_NEVER,
                                         .last_ns = 0};
    if (p->file_begins)
        p->file_begins(p, i);
}

static void file_end(struct analyze_pass *p, uint32_t i, const struct capfile *f)
{
    struct an_file *file = &p->a->file[i];
    if (!p->first)
        return;
    file->format = capfile_format(f);
    file->bytes = capfile_bytes(f);
    file->dropped = capfile_dropped(f);
    if (!file->format.n) {
        fprintf(stderr, "ringdown analyze: %s: neither pcap nor pcapng\n", p->a->source[i].path);
        p->a->failed = true;
    }
}

static void file_frame(struct analyze_pass *p, uint32_t i, const struct cap_frame *f)
{
    struct an_file *file = &p->a->file[i];
    if (f->keys)
        return;
    p->frames++;
    if (!p->first)
        return;
    file->frames++;
    if (f->at_ns < file->first_ns)
        file->first_ns = f->at_ns;
    if (f->at_ns > file->last_ns)
        file->last_ns = f->at_ns;
}

static void problem(struct analyze_pass *p, const struct capfile *f)
{
    char text[256];
    struct buf b;
    uint64_t at;
    const char *what = capfile_problem(f, &at);
    if (!p->first || !capfile_format(f).n)
        return;
    buf_init(&b, text, sizeof(text));
    buf_printf(&b, "behind this frame, at byte %llu: %s", (unsigned long long)at, what);
    analyze_note(p->a, p->frames, buf_str(&b));
}

static bool pass_over(const struct analyze_pass *p)
{
    return p->last && p->frames >= p->last;
}

static int file_read(struct analyze_pass *p, uint32_t i)
{
    struct capfile *f;
    struct cap_frame frame;
    int err = capfile_open(&f, p->a->source[i].path, p->a->source[i].fd);
    if (err) {
        analyze_fail(p->a, p->a->source[i].path, err);
        return 0;
    }
    file_begin(p, i);
    p->cap = capfile_cap(f);
    err = 0;
    for (int r; !err && !pass_over(p) && (r = capfile_next(f, &frame)) != 0;) {
        if (r > 0) {
            file_frame(p, i, &frame);
            err = p->frame(p, &frame, p->frames);
        } else if (r == -EBADMSG) {
            problem(p, f);
        } else {
            analyze_fail(p->a, p->a->source[i].path, r);
            break;
        }
    }
    file_end(p, i, f);
    capfile_close(f);
    return err;
}

int analyze_pass(struct analyze_pass *p)
{
    int err = 0;
    p->frames = 0;
    for (uint32_t i = 0; i < p->a->n_sources && !err && !pass_over(p); i++)
        err = file_read(p, i);
    return err;
}

/* ---- the first pass -------------------------------------------------------------------------- */

static void warnings_take(struct analyze *a)
{
    struct an_warning w;
    while (an_input_warning(a->input, &w)) {
        char text[512];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        buf_str_put(&b, w.text);
        if (w.src.family != ADDR_NONE) {
            buf_lit(&b, " (");
            addr_put(&b, &w.src);
            buf_lit(&b, " > ");
            addr_put(&b, &w.dst);
            buf_ch(&b, ')');
        }
        analyze_note(a, w.frame, buf_str(&b));
    }
}

static int frame_read(struct analyze_pass *p, const struct cap_frame *f, uint64_t number)
{
    struct analyze *a = p->a;
    const struct an_datum *d;
    (void)number;
    an_input_frame(a->input, f);
    while ((d = an_input_take(a->input)) != NULL)
        an_engine_rx(a->engine, d);
    return 0;
}

static int keep_put(void *user, const void *p, size_t n, uint64_t *ret_at)
{
    return keepfile_put(user, p, n, ret_at);
}

static int keep_get(void *user, uint64_t at, void *out, size_t n)
{
    return keepfile_get(user, at, out, n);
}

int analyze_keys(struct analyze *a, struct an_input *input)
{
    char *text;
    size_t n;
    int err = a->opt.keylog ? fs_read(a->opt.keylog, MAX_KEYLOG_BYTES, &text, &n) : 0;
    if (err) {
        analyze_fail(a, a->opt.keylog, err);
        return err;
    }
    if (a->opt.keylog) {
        an_input_keys(input, str_of(text, n));
        mem_free(text);
    }
    return 0;
}

/* Messages are read again by what explains calls or shows their text; keeping them costs a copy of
 * all of them in a file. */
static bool texts_wanted(const struct analyze_options *o)
{
    if (o->html)
        return true;
    if (o->wav || o->pcap || o->format == ANALYZE_CSV)
        return false;
    return o->format == ANALYZE_JSON || o->explain || (o->call && !o->ladder);
}

static int parts_new(struct analyze *a)
{
    struct an_limits limits = an_limits_default();
    struct an_engine_args args = {0};
    int err = entropy_get(&limits.seed, sizeof(limits.seed));
    args.seed = limits.seed;
    a->keep_ops = (struct an_keep){.put = keep_put, .get = keep_get};
    if (texts_wanted(&a->opt))
        args.keep = &a->keep_ops;
    if (!err)
        err = keepfile_new(&a->keep, a->temp_dir);
    a->keep_ops.user = a->keep;
    if (!err)
        err = an_input_new(&a->input, &limits);
    if (!err)
        err = an_engine_new(&a->engine, &args);
    if (err)
        analyze_fail(a, "memory", err);
    return err;
}

int analyze_read(struct analyze *a)
{
    struct analyze_pass pass = {.a = a, .frame = frame_read, .first = true};
    struct an_datum d;
    int err = parts_new(a);
    if (!err)
        err = analyze_keys(a, a->input);
    if (!err)
        err = analyze_pass(&pass);
    if (err)
        return err;
    an_input_end(a->input);
    while (an_input_next(a->input, &d))
        an_engine_rx(a->engine, &d);
    warnings_take(a);
    a->more_notes += an_input_stats(a->input)->warnings_dropped;
    err = an_engine_settle(a->engine);
    if (err)
        analyze_fail(a, "memory", err);
    return err;
}

void analyze_done(struct analyze *a)
{
    an_engine_free(a->engine);
    an_input_free(a->input);
    keepfile_free(a->keep);
    for (uint32_t i = 0; i < a->n_notes; i++)
        mem_free((void *)(uintptr_t)a->note[i].text.p);
    for (uint32_t i = 0; i < a->n_sources; i++)
        if (a->source[i].fd > STDERR_FILENO)
            close(a->source[i].fd);
    mem_free(a->source);
    mem_free(a->file);
}
