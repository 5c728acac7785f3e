#include "io/diskroom.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/linefile.h"
#include "io/recorder.h"

#define THINGS_MAX 1000000
#define THINGS_ADD 1024
#define HOUR_MS    3600000
#define SHARE      32 /* a little more goes than has to, and it looks before it is too late */

/* What goes as one. */
struct thing {
    char *base; /* its name without what tells its files apart; owned */
    char folder[RECORD_FOLDER_MAX + 1];
    uint64_t bytes;
    int64_t written_ns;
    uint8_t kind;
    bool ours; /* what is in it shows that we have made it */
};

struct diskroom {
    struct diskroom_config cfg;
    struct loop *loop;
    uv_work_t work;
    struct loop_timer hour;
    bool working, again, closed;
    char *dir[DISKROOM_KINDS]; /* owned */
    char lines[NAME_MAX + 1];  /* the file's name, without its folder */
    uint64_t since;            /* bytes written since it looked */
    struct diskroom_stats stats;
    /* Of the other thread while it works. */
    struct thing *thing;
    size_t n, cap;
};

/* ---- looking, in another thread -------------------------------------------------------------- */

static void thing_add(struct diskroom *d, const struct thing *t, const struct stat *st)
{
    if (d->n == d->cap) {
        struct thing *more =
            d->n < THINGS_MAX ? mem_resize(d->thing, (d->cap + THINGS_ADD) * sizeof(*more)) : NULL;
        if (!more)
            return;
        d->thing = more;
        d->cap += THINGS_ADD;
    }
    struct thing copy = *t;
    copy.base = mem_strndup(t->base, strlen(t->base));
    copy.bytes = (uint64_t)st->st_blocks * 512; /* holes cost nothing */
    copy.written_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    if (copy.base)
        d->thing[d->n++] = copy;
}

/* "a-track2.wav" becomes "a"; only the endings that recordings have. */
static bool recording_of(const char *name, char *base, bool *sidecar)
{
    static const char *const endings[] = {".json", ".wav",       ".flac",
                                          ".opus", ".flac.part", ".opus.part"};
    size_t n = strlen(name), end = 0;
    for (unsigned i = 0; i < ARRAY_LEN(endings) && !end; i++) {
        size_t k = strlen(endings[i]);
        if (n > k && strcmp(name + n - k, endings[i]) == 0) {
            end = n - k;
            *sidecar = i == 0;
        }
    }
    if (!end || end > NAME_MAX)
        return false;
    memcpy(base, name, end);
    base[end] = '\0';
    char *track = strrchr(base, '-');
    if (!*sidecar && track && strncmp(track, "-track", 6) == 0 && track[6] &&
        strspn(track + 6, "0123456789") == strlen(track + 6))
        *track = '\0';
    return strlen(base) <= RECORD_BASE_MAX;
}

static bool is_date(const char *name)
{
    for (unsigned i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? name[i] != '-' : name[i] < '0' || name[i] > '9')
            return false;
    return name[10] == '\0';
}

/* "152233-01077141436_1427-3.pcapng" and nothing else: whoever captures into folders by date, too,
 * keeps his. */
static bool is_capture(const char *name)
{
    static const char digits[] = "0123456789", end[] = ".pcapng";
    size_t n = strlen(name), k = sizeof(end) - 1;
    if (n <= k || strcmp(name + n - k, end) != 0 || strspn(name, digits) != 6 || name[6] != '-')
        return false;
    const char *number = name + n - k;
    while (number[-1] >= '0' && number[-1] <= '9')
        number--;
    return *number != '.' && number > name + 7 && number[-1] == '-' &&
           memchr(name + 7, '_', (size_t)(number - name - 7));
}

/* A folder that is looked at. */
struct place {
    enum diskroom_kind kind;
    const char *folder;
    int fd;
};

static void file_look(struct diskroom *d, const struct place *at, const char *name,
                      const struct stat *st)
{
    char base[NAME_MAX + 1];
    struct thing t = {.kind = (uint8_t)at->kind, .base = base};
    bool sidecar = false;
    str_copy_z(t.folder, sizeof(t.folder), str_z(at->folder));
    str_copy_z(base, sizeof(base), str_z(name));
    switch (at->kind) {
    case DISKROOM_RECORDING:
        if (!recording_of(name, base, &sidecar))
            return;
        t.ours = sidecar && recorder_is_sidecar(at->fd, name);
        break;
    case DISKROOM_CAPTURE:
        t.ours = at->folder[0] && is_capture(name);
        break;
    default:
        t.ours = !at->folder[0] && linefile_is_finished(name, d->lines);
        break;
    }
    if (t.ours || at->kind == DISKROOM_RECORDING)
        thing_add(d, &t, st);
}

static void folder_look(struct diskroom *d, enum diskroom_kind kind, const char *folder)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", d->dir[kind], folder);
    DIR *dir = n > 0 && n < PATH_MAX ? opendir(path) : NULL;
    if (!dir)
        return;
    struct place at = {.kind = kind, .folder = folder, .fd = dirfd(dir)};
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.' || fstatat(at.fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISDIR(st.st_mode) && !folder[0] && kind != DISKROOM_LINES && is_date(e->d_name))
            folder_look(d, kind, e->d_name);
        else if (S_ISREG(st.st_mode))
            file_look(d, &at, e->d_name, &st);
    }
    closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    const struct thing *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int c = strcmp(x->folder, y->folder);
    return c ? c : strcmp(x->base, y->base);
}

static int by_age(const void *a, const void *b)
{
    const struct thing *x = a, *y = b;
    if (x->written_ns != y->written_ns)
        return x->written_ns < y->written_ns ? -1 : 1;
    return by_name(a, b);
}

/* One entry for all files of a name; what shows no sign of ours is left out. */
static void join(struct diskroom *d)
{
    size_t n = 0, kept = 0;
    if (!d->n)
        return;
    qsort(d->thing, d->n, sizeof(*d->thing), by_name);
    for (size_t i = 0; i < d->n; i++) {
        struct thing *t = &d->thing[i], *last = n ? &d->thing[n - 1] : NULL;
        if (!last || by_name(last, t) != 0) {
            d->thing[n++] = *t;
            continue;
        }
        last->bytes += t->bytes;
        last->ours |= t->ours;
        last->written_ns = t->written_ns > last->written_ns ? t->written_ns : last->written_ns;
        mem_free(t->base);
    }
    for (size_t i = 0; i < n; i++) {
        if (d->thing[i].ours)
            d->thing[kept++] = d->thing[i];
        else
            mem_free(d->thing[i].base);
    }
    d->n = kept;
    if (kept)
        qsort(d->thing, kept, sizeof(*d->thing), by_age);
}

static void on_work(uv_work_t *work)
{
    struct diskroom *d = work->data;
    for (unsigned kind = 0; kind < DISKROOM_KINDS; kind++)
        if (d->dir[kind])
            folder_look(d, (enum diskroom_kind)kind, "");
    join(d);
}

/* ---- removing, in the loop's ----------------------------------------------------------------- */

static void thing_remove(struct diskroom *d, const struct thing *t)
{
    char path[PATH_MAX];
    if (t->kind == DISKROOM_RECORDING) {
        d->cfg.remove_recording(d->cfg.ctx, t->folder, t->base);
        return;
    }
    int n = snprintf(path, sizeof(path), "%s/%s%s%s", d->dir[t->kind], t->folder,
                     t->folder[0] ? "/" : "", t->base);
    if (n <= 0 || n >= PATH_MAX)
        return;
    unlink(path);
    n = snprintf(path, sizeof(path), "%s/%s", d->dir[t->kind], t->folder);
    if (t->folder[0] && n > 0 && n < PATH_MAX)
        rmdir(path); /* when it was the last one in it */
}

static void remove_oldest(struct diskroom *d)
{
    uint64_t sum = 0, most = d->cfg.most_bytes ? d->cfg.most_bytes : UINT64_MAX;
    int64_t keep_s = (int64_t)d->cfg.keep_s;
    int64_t oldest_ns = keep_s ? ((int64_t)time(NULL) - keep_s) * 1000000000 : INT64_MIN;
    for (size_t i = 0; i < d->n; i++)
        sum += d->thing[i].bytes;
    if (sum > most)
        most -= most / SHARE;
    for (size_t i = 0; i < d->n; i++) {
        const struct thing *t = &d->thing[i];
        if (sum <= most && t->written_ns >= oldest_ns)
            break;
        if (d->cfg.is_open(d->cfg.ctx, (enum diskroom_kind)t->kind, t->folder, t->base))
            continue;
        thing_remove(d, t);
        sum -= t->bytes;
        d->stats.removed++;
    }
    d->stats.bytes = sum;
    d->stats.looks++;
}

static void things_free(struct diskroom *d)
{
    for (size_t i = 0; i < d->n; i++)
        mem_free(d->thing[i].base);
    mem_free(d->thing);
    d->thing = NULL;
    d->n = d->cap = 0;
}

static void on_worked(uv_work_t *work, int status)
{
    struct diskroom *d = work->data;
    (void)status;
    d->working = false;
    d->loop->closing--;
    if (!d->closed)
        remove_oldest(d);
    things_free(d);
    if (!d->closed && d->again)
        diskroom_look(d);
}

void diskroom_look(struct diskroom *d)
{
    d->again = d->working;
    if (d->working)
        return;
    d->since = 0;
    d->work.data = d;
    if (uv_queue_work(&d->loop->uv, &d->work, on_work, on_worked))
        return;
    d->working = true;
    d->loop->closing++;
}

void diskroom_note(struct diskroom *d, uint64_t bytes)
{
    d->since += bytes;
    bool many = d->cfg.most_bytes && d->stats.bytes + d->since > d->cfg.most_bytes;
    if (many && d->since > d->cfg.most_bytes / (2 * SHARE))
        diskroom_look(d);
}

/* ---------------------------------------------------------------------------------------------- */

static int paths_take(struct diskroom *d)
{
    for (unsigned kind = 0; kind < DISKROOM_KINDS; kind++) {
        const char *path = d->cfg.path[kind], *slash = path ? strrchr(path, '/') : NULL;
        if (!path)
            continue;
        if (kind != DISKROOM_LINES) {
            d->dir[kind] = mem_strndup(path, strlen(path));
        } else {
            str_copy_z(d->lines, sizeof(d->lines), str_z(slash ? slash + 1 : path));
            d->dir[kind] = slash == path ? mem_strndup("/", 1)
                           : slash       ? mem_strndup(path, (size_t)(slash - path))
                                         : mem_strndup(".", 1);
        }
        if (!d->dir[kind])
            return -ENOMEM;
    }
    return 0;
}

static void on_hour(struct loop_timer *t)
{
    diskroom_look(container_of(t, struct diskroom, hour));
}

static void hour_closed(struct loop_timer *t)
{
    struct diskroom *d = container_of(t, struct diskroom, hour);
    for (unsigned kind = 0; kind < DISKROOM_KINDS; kind++)
        mem_free(d->dir[kind]);
    mem_free(d);
}

int diskroom_open(struct diskroom **ret, struct loop *loop, const struct diskroom_config *cfg)
{
    struct diskroom *d = mem_zero(sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->cfg = *cfg;
    d->loop = loop;
    d->hour.fire = on_hour;
    d->hour.closed = hour_closed;
    loop_timer_open(loop, &d->hour);
    loop_timer_start(&d->hour, HOUR_MS, HOUR_MS);
    if (paths_take(d)) {
        diskroom_close(d);
        return -ENOMEM;
    }
    diskroom_look(d);
    *ret = d;
    return 0;
}

void diskroom_close(struct diskroom *d)
{
    if (!d)
        return;
    d->closed = true;
    while (d->working)
        uv_run(&d->loop->uv, UV_RUN_ONCE);
    loop_timer_close(&d->hour);
}

void diskroom_finish(struct diskroom *d)
{
    diskroom_look(d);
    while (d->working)
        uv_run(&d->loop->uv, UV_RUN_ONCE);
}

struct diskroom_stats diskroom_stats_get(const struct diskroom *d)
{
    return d->stats;
}
