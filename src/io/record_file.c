#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/fs.h"
#include "io/recorder_priv.h"

int record_path(const struct recorder *r, const char *folder, const char *name, const char *suffix,
                char out[PATH_MAX])
{
    struct buf b;
    buf_init(&b, out, PATH_MAX - 1);
    buf_printf(&b, "%s%s%s%s%s%s", r->dir, folder[0] ? "/" : "", folder, name[0] ? "/" : "", name,
               suffix);
    out[b.n] = '\0';
    return b.full ? -ENAMETOOLONG : 0;
}

void record_file_name(const struct record *rec, unsigned i, enum sound_format f,
                      char name[NAME_MAX])
{
    struct buf b;
    buf_init(&b, name, NAME_MAX - 1);
    buf_z(&b, rec->base);
    if (i < RECORD_TRACKS)
        buf_printf(&b, "-track%u", i);
    buf_ch(&b, '.');
    buf_z(&b, sound_format_ext(f));
    name[b.n] = '\0';
}

static void reason(char text[RECORD_TEXT_MAX], int err, const char *what)
{
    struct buf b;
    char why[96];
    uv_strerror_r(err, why, sizeof(why));
    buf_init(&b, text, RECORD_TEXT_MAX - 1);
    buf_z(&b, what);
    buf_lit(&b, ": ");
    buf_z(&b, why);
    text[b.n] = '\0';
}

/* ---- beginning ------------------------------------------------------------------------------- */

static int begin_on_disk(struct recorder *r, struct record *rec)
{
    char path[PATH_MAX];
    int err = record_path(r, rec->folder, "", "", path);
    if (!err)
        err = fs_mkdirs(path);
    if (!err)
        err = record_path(r, rec->folder, rec->base, ".json", path);
    if (err)
        return err;
    if (access(path, F_OK) == 0)
        return -EEXIST;
    return record_sidecar_write(r, rec);
}

void record_start(struct recorder *r, struct record *rec)
{
    int err = begin_on_disk(r, rec);
    if (!err)
        return;
    /* A sidecar that was there is not this one's to write. */
    rec->state = RECORD_STATE_BROKEN;
    record_fail(r, rec, err, rec->base);
}

static struct record_file *file_open(struct recorder *r, struct record *rec, unsigned i)
{
    struct record_file *f = &rec->file[i];
    char path[PATH_MAX], name[NAME_MAX];
    if (f->wav)
        return f;
    record_file_name(rec, i, SOUND_WAV, name);
    int err = record_path(r, rec->folder, name, "", path);
    if (!err && r->files_open >= r->cfg.max_files)
        err = -EMFILE;
    if (!err)
        err = wav_open(&f->wav, path, rec->rate_hz, 1);
    if (err) {
        record_fail(r, rec, err, name);
        return NULL;
    }
    r->files_open++;
    f->there = true;
    return f;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What could not be written is no part of it. */
static void cut(struct record *rec)
{
    uint64_t longest = 0;
    for (unsigned i = 0; i < RECORD_FILES; i++) {
        uint64_t have = rec->file[i].wav ? wav_bytes(rec->file[i].wav) / sizeof(int16_t) : 0;
        longest = have > longest ? have : longest;
    }
    rec->samples = longest < rec->samples ? longest : rec->samples;
    while (rec->gap_n && rec->gap[rec->gap_n - 1].from >= rec->samples)
        rec->gap_samples -= rec->gap[--rec->gap_n].samples;
}

static void gap_add(struct record *rec, uint64_t from, uint64_t samples)
{
    rec->gap_samples += samples;
    if (rec->gap_n < RECORD_GAPS_MAX)
        rec->gap[rec->gap_n++] = (struct record_gap){from, samples};
}

/* Which file a plane goes to, or RECORD_FILES: none. */
static unsigned file_of(const struct record *rec, uint8_t track)
{
    if (track == RECORD_MIX)
        return rec->files & RECORD_FILE_MIX ? RECORD_TRACKS : RECORD_FILES;
    return track < RECORD_TRACKS && (rec->files & RECORD_FILE_TRACKS) ? track : RECORD_FILES;
}

/* `skip` samples of the block were there already. */
static void plane_write(struct recorder *r, struct record *rec, struct record_block *b, unsigned p,
                        unsigned skip)
{
    unsigned i = file_of(rec, b->plane[p].track);
    struct record_file *f = i < RECORD_FILES ? file_open(r, rec, i) : NULL;
    if (!f)
        return;
    uint64_t at = b->at + skip, have = wav_bytes(f->wav) / sizeof(int16_t);
    unsigned n = b->samples - skip;
    int err = 0;
    if (at < have) /* the same track twice in one block */
        return;
    if (at > have)
        err = wav_silence(f->wav, at - have);
    if (!err && (b->plane[p].flags & RECORD_SILENT))
        err = wav_silence(f->wav, n);
    else if (!err)
        err = wav_write(f->wav, record_samples(b, p) + skip, n);
    if (err) {
        char name[NAME_MAX];
        record_file_name(rec, i, SOUND_WAV, name);
        record_fail(r, rec, err, name);
    }
}

/* A rate that changes, or a time beyond the limit, ends it. */
static int block_check(struct recorder *r, struct record *rec, const struct record_block *b)
{
    if (!rec->rate_hz)
        rec->rate_hz = b->rate_hz;
    if (rec->rate_hz != b->rate_hz) {
        record_fail(r, rec, -EINVAL, "the sampling rate has changed");
        return -EINVAL;
    }
    uint64_t max = (uint64_t)r->cfg.max_s * rec->rate_hz;
    if (b->at <= max && b->samples <= max - b->at)
        return 0;
    char text[64];
    snprintf(text, sizeof(text), "longer than %u seconds", r->cfg.max_s);
    record_fail(r, rec, -EFBIG, text);
    return -EFBIG;
}

void record_write(struct recorder *r, struct record *rec, struct record_block *b)
{
    if (!rec->ended && rec->state != RECORD_STATE_BROKEN)
        record_marks_put(rec, b);
    if (b->n_planes == 0)
        return;
    if (rec->state != RECORD_STATE_OPEN || rec->ended) {
        atomic_fetch_add_explicit(&r->stray, 1, memory_order_relaxed);
        return;
    }
    if (block_check(r, rec, b))
        return;
    uint64_t end = b->at + b->samples;
    if (end <= rec->samples)
        return;
    unsigned skip = b->at < rec->samples ? (unsigned)(rec->samples - b->at) : 0;
    if (b->at > rec->samples)
        gap_add(rec, rec->samples, b->at - rec->samples);
    rec->samples = end;
    for (unsigned p = 0; p < b->n_planes && rec->state == RECORD_STATE_OPEN; p++)
        plane_write(r, rec, b, p, skip);
    atomic_fetch_add_explicit(&r->blocks, 1, memory_order_relaxed);
}

void record_sync(struct recorder *r, struct record *rec)
{
    for (unsigned i = 0; i < RECORD_FILES && rec->state == RECORD_STATE_OPEN; i++) {
        int err = rec->file[i].wav ? wav_sync(rec->file[i].wav) : 0;
        if (err) {
            char name[NAME_MAX];
            record_file_name(rec, i, SOUND_WAV, name);
            record_fail(r, rec, err, name);
        }
    }
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void files_close(struct recorder *r, struct record *rec)
{
    for (unsigned i = 0; i < RECORD_FILES; i++) {
        struct record_file *f = &rec->file[i];
        if (!f->wav)
            continue;
        uint64_t have = wav_bytes(f->wav) / sizeof(int16_t);
        int err = have < rec->samples ? wav_silence(f->wav, rec->samples - have) : 0;
        f->bytes = wav_bytes(f->wav);
        int closed = wav_close(f->wav);
        f->wav = NULL;
        r->files_open--;
        err = err ? err : closed;
        if (err && rec->state == RECORD_STATE_OPEN) {
            char name[NAME_MAX];
            record_file_name(rec, i, SOUND_WAV, name);
            rec->state = RECORD_STATE_BAD;
            rec->err = err;
            reason(rec->text, err, name);
        }
    }
}

uint64_t record_ms(const struct record *rec)
{
    return rec->rate_hz ? rec->samples * 1000 / rec->rate_hz : 0;
}

static void tell_failure(struct recorder *r, struct record *rec)
{
    if (rec->told || !rec->err)
        return;
    rec->told = true;
    rec->failed.event = (struct record_event){.kind = RECORD_FAILED,
                                              .number = rec->number,
                                              .err = rec->err,
                                              .text = rec->text,
                                              .ms = record_ms(rec)};
    recorder_note(r, &rec->failed);
}

void record_fail(struct recorder *r, struct record *rec, int err, const char *what)
{
    if (rec->err)
        return;
    rec->err = err;
    reason(rec->text, err, what);
    bool ours = rec->state != RECORD_STATE_BROKEN;
    if (ours)
        rec->state = RECORD_STATE_BAD;
    cut(rec);
    files_close(r, rec);
    if (ours)
        (void)record_sidecar_write(r, rec);
    tell_failure(r, rec);
}

void record_end(struct recorder *r, struct record *rec)
{
    rec->ended = true;
    files_close(r, rec);
    if (rec->state == RECORD_STATE_OPEN)
        rec->state = RECORD_STATE_DONE;
    tell_failure(r, rec);
    list_remove(&rec->node);
    list_append(&r->encoding, &rec->node);
    atomic_fetch_sub(&r->open, 1);
    if (atomic_fetch_add(&r->converting, 1) >= r->cfg.max_open && rec->format != SOUND_WAV) {
        rec->format = SOUND_WAV;
        str_copy_z(rec->note_text, sizeof(rec->note_text), STR("too many wait to be made smaller"));
    }
    /* What it says is also what the next process goes on with. */
    int err = rec->state == RECORD_STATE_BROKEN ? 0 : record_sidecar_write(r, rec);
    if (err) {
        rec->err = rec->err ? rec->err : err;
        if (!rec->told)
            reason(rec->text, err, "the sidecar");
        tell_failure(r, rec);
    }
}

/* The file that is to be made smaller next, or RECORD_FILES. */
static unsigned encode_next(struct record *rec)
{
    unsigned i = rec->encode_file;
    if (rec->format == SOUND_WAV || rec->unwanted)
        return RECORD_FILES;
    while (i < RECORD_FILES &&
           (!rec->file[i].there || rec->file[i].keep_wav || rec->file[i].format != SOUND_WAV))
        i++;
    return rec->encode_file = i;
}

static int encode_begin(struct recorder *r, struct record *rec, unsigned i)
{
    char name[NAME_MAX], from[PATH_MAX], to[PATH_MAX];
    record_file_name(rec, i, SOUND_WAV, name);
    int err = record_path(r, rec->folder, name, "", from);
    record_file_name(rec, i, rec->format, name);
    if (!err)
        err = record_path(r, rec->folder, name, ".part", to);
    if (err)
        return err;
    unlink(to);
    return encode_open(&rec->encode, from, to, rec->format);
}

/* The new file gets its name, then the old one goes. */
static int encode_replace(struct recorder *r, struct record *rec, unsigned i)
{
    char name[NAME_MAX], from[PATH_MAX], to[PATH_MAX];
    record_file_name(rec, i, rec->format, name);
    int err = record_path(r, rec->folder, name, ".part", from);
    if (!err)
        err = record_path(r, rec->folder, name, "", to);
    if (!err && rename(from, to)) {
        err = -errno;
        unlink(from);
    }
    if (err)
        return err;
    rec->file[i].format = rec->format;
    record_file_name(rec, i, SOUND_WAV, name);
    err = record_path(r, rec->folder, name, "", from);
    if (!err)
        unlink(from);
    return 0;
}

static void encode_step_of(struct recorder *r, struct record *rec, unsigned i)
{
    int err = rec->encode ? 0 : encode_begin(r, rec, i);
    if (!err) {
        err = encode_step(rec->encode);
        if (err > 0)
            return;
        int closed = encode_close(rec->encode);
        rec->encode = NULL;
        err = err ? err : closed;
        if (!err)
            err = encode_replace(r, rec, i);
    }
    if (!err)
        return;
    char name[NAME_MAX];
    rec->file[i].keep_wav = true;
    record_file_name(rec, i, rec->format, name);
    reason(rec->note_text, err, name);
}

uint64_t record_bytes(struct recorder *r, struct record *rec)
{
    char name[NAME_MAX], path[PATH_MAX];
    struct stat st;
    uint64_t sum = 0;
    for (unsigned i = 0; i < RECORD_FILES; i++) {
        struct record_file *f = &rec->file[i];
        record_file_name(rec, i, f->format, name);
        if (f->there && record_path(r, rec->folder, name, "", path) == 0 && stat(path, &st) == 0)
            f->bytes = (uint64_t)st.st_size;
        sum += f->there ? f->bytes : 0;
    }
    return sum;
}

static void finish(struct recorder *r, struct record *rec)
{
    rec->format = SOUND_WAV; /* nothing is left to convert */
    if (rec->state != RECORD_STATE_BROKEN && !rec->unwanted) {
        r->kept_bytes += record_bytes(r, rec);
        int err = record_sidecar_write(r, rec);
        if (err && !rec->err) {
            rec->err = err;
            reason(rec->text, err, "the sidecar");
        }
    }
    record_over(r, rec);
}

void record_encode(struct recorder *r)
{
    struct record *rec = container_of(r->encoding.next, struct record, node);
    unsigned i = encode_next(rec);
    if (i == RECORD_FILES) {
        finish(r, rec);
        record_retain_soon(r);
        return;
    }
    encode_step_of(r, rec, i);
    list_remove(&rec->node);
    list_append(&r->encoding, &rec->node);
}

void record_over(struct recorder *r, struct record *rec)
{
    list_remove(&rec->node);
    atomic_fetch_sub(&r->converting, 1);
    (void)encode_close(rec->encode);
    rec->encode = NULL;
    if (rec->unwanted && rec->state != RECORD_STATE_BROKEN)
        record_remove(r, rec->folder, rec->base);
    if (rec->recovered) {
        record_free(rec);
        return;
    }
    tell_failure(r, rec);
    rec->over.event = (struct record_event){.kind = RECORD_ENDED,
                                            .number = rec->number,
                                            .err = rec->err,
                                            .text = rec->text,
                                            .bytes = record_bytes(r, rec),
                                            .ms = record_ms(rec),
                                            .gap_samples = rec->gap_samples,
                                            .gap_n = rec->gap_n,
                                            .gap = rec->gap};
    recorder_note(r, &rec->over);
}
