/* What lies in the folder: names, what an earlier process left, and what has to go. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/recorder_priv.h"

#define FOUND_MAX 1000000 /* files that are looked at */
#define FOUND_ADD 1024

/* A file that has the name of one of a recording's. */
struct found {
    char *base; /* the recording's name; owned */
    char folder[RECORD_FOLDER_MAX + 1];
    uint64_t bytes;
    int64_t written_s;
    bool sidecar;
};

struct found_list {
    struct found *at;
    size_t n, cap;
    bool tidy; /* what a kill has left of a sidecar that was not whole yet goes */
};

/* ---- names ----------------------------------------------------------------------------------- */

static bool name_ok(const char *z, size_t max)
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+@";
    size_t n = strlen(z);
    return n > 0 && n <= max && z[0] != '.' && z[0] != '-' && strspn(z, set) == n;
}

bool record_folder_ok(const char *folder)
{
    return folder[0] == '\0' || name_ok(folder, RECORD_FOLDER_MAX);
}

/* Where "-track12" at the end of s begins, else s.n. */
static size_t track_at(struct str s)
{
    size_t n = s.n;
    while (n > 0 && s.p[n - 1] >= '0' && s.p[n - 1] <= '9')
        n--;
    struct str head = str_sub(s, 0, n);
    struct str mark = STR("-track");
    if (n == s.n || n < mark.n || !str_eq(str_from(head, n - mark.n), mark))
        return s.n;
    return n - mark.n;
}

/* Else the first track of one would be the mix of another. */
bool record_base_ok(const char *base)
{
    return name_ok(base, RECORD_BASE_MAX) && track_at(str_z(base)) == strlen(base);
}

/* "a-track2.flac.part" to "a"; false when no file of a recording is called so. */
static bool base_of(const char *name, char base[RECORD_BASE_MAX + 1], bool *sidecar)
{
    static const char *const ext[] = {".wav", ".flac", ".opus", ".flac.part", ".opus.part"};
    struct str s = str_z(name), stem = STR_NONE;
    *sidecar = false;
    if (s.n > 5 && str_eq(str_from(s, s.n - 5), STR(".json"))) {
        *sidecar = true;
        stem = str_sub(s, 0, s.n - 5);
    }
    for (size_t i = 0; i < ARRAY_LEN(ext) && !stem.p; i++) {
        struct str e = str_z(ext[i]);
        if (s.n > e.n && str_eq(str_from(s, s.n - e.n), e))
            stem = str_sub(s, 0, s.n - e.n);
    }
    if (!stem.p)
        return false;
    if (!*sidecar)
        stem.n = track_at(stem);
    if (stem.n > RECORD_BASE_MAX)
        return false;
    str_copy_z(base, RECORD_BASE_MAX + 1, stem);
    return record_base_ok(base);
}

/* "a.json.4711.tmp", as fs_write() calls a file until it is whole. */
static bool is_half_a_sidecar(const char *name)
{
    char base[RECORD_BASE_MAX + 1];
    struct str s = str_z(name), end = STR(".tmp"), mid = STR(".json");
    if (s.n <= end.n || !str_eq(str_from(s, s.n - end.n), end))
        return false;
    s.n -= end.n;
    while (s.n && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9')
        s.n--;
    if (s.n <= mid.n || s.p[s.n - 1] != '.')
        return false;
    s.n--;
    if (!str_eq(str_from(s, s.n - mid.n), mid) || s.n - mid.n > RECORD_BASE_MAX)
        return false;
    str_copy_z(base, sizeof(base), str_sub(s, 0, s.n - mid.n));
    return record_base_ok(base);
}

/* ---- looking --------------------------------------------------------------------------------- */

static void found_add(struct found_list *l, const char *folder, const char *base,
                      const struct stat *st, bool sidecar)
{
    if (l->n == l->cap) {
        struct found *more =
            l->n < FOUND_MAX ? mem_resize(l->at, (l->cap + FOUND_ADD) * sizeof(*more)) : NULL;
        if (!more)
            return;
        l->at = more;
        l->cap += FOUND_ADD;
    }
    struct found f = {.base = mem_strndup(base, strlen(base)),
                      .bytes = (uint64_t)st->st_size,
                      .written_s = st->st_mtim.tv_sec,
                      .sidecar = sidecar};
    if (!f.base)
        return;
    str_copy_z(f.folder, sizeof(f.folder), str_z(folder));
    l->at[l->n++] = f;
}

static void found_free(struct found_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->at[i].base);
    mem_free(l->at);
}

/* Folders of the folder are looked into, theirs are not. */
static void look(struct recorder *r, const char *folder, struct found_list *l)
{
    char path[PATH_MAX], base[RECORD_BASE_MAX + 1];
    struct stat st;
    bool sidecar;
    if (record_path(r, folder, "", "", path))
        return;
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISDIR(st.st_mode) && !folder[0] && record_folder_ok(e->d_name))
            look(r, e->d_name, l);
        else if (S_ISREG(st.st_mode) && base_of(e->d_name, base, &sidecar))
            found_add(l, folder, base, &st, sidecar);
        else if (S_ISREG(st.st_mode) && l->tidy && is_half_a_sidecar(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

static int by_name(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int d = strcmp(x->folder, y->folder);
    if (!d)
        d = strcmp(x->base, y->base);
    return d ? d : (int)y->sidecar - (int)x->sidecar;
}

static int by_age(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->written_s != y->written_s)
        return x->written_s < y->written_s ? -1 : 1;
    return by_name(a, b);
}

/* One entry a recording, with the bytes of all its files; what has no sidecar is left out. */
static void found_join(struct found_list *l)
{
    size_t n = 0;
    if (!l->n)
        return;
    qsort(l->at, l->n, sizeof(l->at[0]), by_name);
    for (size_t i = 0; i < l->n; i++) {
        struct found *f = &l->at[i], *last = n ? &l->at[n - 1] : NULL;
        if (f->sidecar) {
            l->at[n++] = *f;
            continue;
        }
        if (last && strcmp(last->folder, f->folder) == 0 && strcmp(last->base, f->base) == 0)
            last->bytes += f->bytes;
        mem_free(f->base);
    }
    l->n = n;
}

static struct found_list recordings(struct recorder *r, bool tidy)
{
    struct found_list l = {.tidy = tidy};
    look(r, "", &l);
    found_join(&l);
    return l;
}

/* ---- what an earlier process left ------------------------------------------------------------ */

/* Which files there are. A WAV goes before what was made of it, which may not be whole. */
static void files_find(struct recorder *r, struct record *rec)
{
    static const enum sound_format order[] = {SOUND_WAV, SOUND_FLAC, SOUND_OPUS};
    char path[PATH_MAX], name[NAME_MAX];
    for (unsigned i = 0; i < RECORD_FILES; i++)
        for (unsigned k = 0; k < ARRAY_LEN(order) && !rec->file[i].there; k++) {
            record_file_name(rec, i, order[k], name);
            rec->file[i].there =
                record_path(r, rec->folder, name, "", path) == 0 && access(path, F_OK) == 0;
            rec->file[i].format = order[k];
        }
}

/* Header sizes from the sizes of the files. A file that cannot be repaired stays as it is. */
static void files_repair(struct recorder *r, struct record *rec)
{
    char path[PATH_MAX], name[NAME_MAX];
    struct wav_shape shape;
    for (unsigned i = 0; i < RECORD_FILES; i++) {
        struct record_file *f = &rec->file[i];
        if (!f->there || f->format != SOUND_WAV)
            continue;
        record_file_name(rec, i, SOUND_WAV, name);
        if (record_path(r, rec->folder, name, "", path) || wav_repair(path, &shape)) {
            f->keep_wav = true;
            continue;
        }
        rec->rate_hz = shape.rate_hz;
        rec->samples = shape.frames > rec->samples ? shape.frames : rec->samples;
    }
}

/* Without memory for it nobody is told; the sidecar says it too. */
static void tell_found(struct recorder *r, const struct record *rec)
{
    struct record_found *f = mem_zero(sizeof(*f) + rec->meta_n);
    if (!f)
        return;
    str_copy_z(f->folder, sizeof(f->folder), str_z(rec->folder));
    str_copy_z(f->base, sizeof(f->base), str_z(rec->base));
    if (rec->meta_n)
        memcpy(f->meta, rec->meta, rec->meta_n);
    f->note.event = (struct record_event){.kind = RECORD_FOUND,
                                          .number = rec->number,
                                          .text = "",
                                          .ms = record_ms(rec),
                                          .folder = f->folder,
                                          .base = f->base,
                                          .meta = str_of(f->meta, rec->meta_n)};
    recorder_note(r, &f->note);
}

static bool recover_one(struct recorder *r, const struct found *f)
{
    struct record *rec = mem_zero(sizeof(*rec));
    if (!rec)
        return false;
    str_copy_z(rec->folder, sizeof(rec->folder), str_z(f->folder));
    str_copy_z(rec->base, sizeof(rec->base), str_z(f->base));
    if (record_sidecar_read(r, rec) ||
        (rec->state != RECORD_STATE_OPEN && rec->format == SOUND_WAV)) {
        record_free(rec);
        return false;
    }
    rec->recovered = rec->ended = true;
    files_find(r, rec);
    files_repair(r, rec);
    bool killed = rec->state == RECORD_STATE_OPEN;
    if (killed)
        rec->state = RECORD_STATE_INTERRUPTED;
    (void)record_bytes(r, rec);
    (void)record_sidecar_write(r, rec);
    if (killed)
        tell_found(r, rec);
    list_append(&r->encoding, &rec->node);
    atomic_fetch_add(&r->converting, 1);
    atomic_fetch_add_explicit(&r->recovered, 1, memory_order_relaxed);
    return true;
}

void record_recover(struct recorder *r)
{
    struct found_list l = recordings(r, true);
    for (size_t i = 0; i < l.n; i++)
        (void)recover_one(r, &l.at[i]);
    found_free(&l);
}

/* ---- what has to go -------------------------------------------------------------------------- */

/* The sidecar last: as long as it is there, all of this is tried again. */
void record_remove(struct recorder *r, const char *folder, const char *base)
{
    struct record rec = {0};
    char path[PATH_MAX], name[NAME_MAX];
    str_copy_z(rec.base, sizeof(rec.base), str_z(base));
    for (unsigned i = 0; i < RECORD_FILES; i++)
        for (enum sound_format f = SOUND_WAV; f <= SOUND_OPUS; f++) {
            record_file_name(&rec, i, f, name);
            if (record_path(r, folder, name, "", path) == 0)
                unlink(path);
            if (f != SOUND_WAV && record_path(r, folder, name, ".part", path) == 0)
                unlink(path);
        }
    if (record_path(r, folder, base, ".json", path) == 0)
        unlink(path);
    if (folder[0] && record_path(r, folder, "", "", path) == 0)
        rmdir(path); /* when it was the last one in it */
}

static bool is_written(struct recorder *r, const struct found *f)
{
    return recorder_find_name(r, f->folder, f->base) != NULL;
}

bool recorder_is_sidecar(int dir_fd, const char *name)
{
    static const char mark[] = "{\n\"ringdown_recording\":1,\n";
    char head[sizeof(mark) - 1];
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool same = read(fd, head, sizeof(head)) == sizeof(head) && !memcmp(head, mark, sizeof(head));
    close(fd);
    return same;
}

static bool is_ours(struct recorder *r, const struct found *f)
{
    char path[PATH_MAX];
    return record_path(r, f->folder, f->base, ".json", path) == 0 &&
           recorder_is_sidecar(AT_FDCWD, path);
}

void record_retain(struct recorder *r)
{
    struct found_list l = {0};
    uint64_t sum = 0;
    if (!r->cfg.keep_days && !r->cfg.keep_bytes)
        return;
    l = recordings(r, false);
    if (l.n)
        qsort(l.at, l.n, sizeof(l.at[0]), by_age);
    for (size_t i = 0; i < l.n; i++)
        sum += l.at[i].bytes;
    /* A little more goes than has to, so that the folder is not read after each recording. */
    uint64_t most = r->cfg.keep_bytes;
    most -= sum > most ? most / 32 : 0;
    int64_t oldest_s = time(NULL) - (int64_t)r->cfg.keep_days * 86400;
    for (size_t i = 0; i < l.n; i++) {
        const struct found *f = &l.at[i];
        bool old = r->cfg.keep_days && f->written_s < oldest_s;
        bool many = r->cfg.keep_bytes && sum > most;
        if (!old && !many)
            break;
        if (is_written(r, f) || !is_ours(r, f))
            continue;
        record_remove(r, f->folder, f->base);
        atomic_fetch_add_explicit(&r->removed, 1, memory_order_relaxed);
        sum -= f->bytes;
    }
    r->kept_bytes = sum;
    found_free(&l);
}

void record_retain_soon(struct recorder *r)
{
    if (r->cfg.keep_bytes && r->kept_bytes > r->cfg.keep_bytes)
        record_retain(r);
}
