/* The sidecar is written by hand, a key a line, so that what an earlier process wrote can be taken
 * apart again without a parser: only files that begin as ours do are read. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fs.h"
#include "io/recorder_priv.h"

#define HEAD_MAX (RECORD_FILES * 256 + RECORD_GAPS_MAX * 48 + 4096)
/* Of record_marks_write(). */
#define LISTS_MAX (96 * ((size_t)2 * RECORD_LISTED_MAX + RECORD_CLOCKS_MAX + RECORD_TRACKS) + 512)

static const char *const state_name[] = {
    [RECORD_STATE_OPEN] = "recording",
    [RECORD_STATE_DONE] = "done",
    [RECORD_STATE_BAD] = "failed",
    [RECORD_STATE_INTERRUPTED] = "interrupted",
};

static void text_or_null(struct buf *b, const char *key, const char *z)
{
    buf_printf(b, "\"%s\":", key);
    if (z && z[0]) {
        buf_ch(b, '"');
        buf_json(b, str_z(z));
        buf_ch(b, '"');
    } else {
        buf_lit(b, "null");
    }
    buf_lit(b, ",\n");
}

static void put_files(struct buf *b, const struct record *rec)
{
    char name[NAME_MAX];
    const char *sep = "";
    buf_lit(b, "\"files\":[");
    for (unsigned i = 0; i < RECORD_FILES; i++) {
        if (!rec->file[i].there)
            continue;
        record_file_name(rec, i, rec->file[i].format, name);
        buf_printf(b, "%s{\"name\":\"%s\",\"track\":", sep, name);
        if (i < RECORD_TRACKS)
            buf_u64(b, i);
        else
            buf_lit(b, "null");
        buf_printf(b, ",\"bytes\":%llu}", (unsigned long long)rec->file[i].bytes);
        sep = ",";
    }
    buf_lit(b, "],\n");
}

/* What an interrupted one had told of its gaps stands in its marks. */
static void put_gaps(struct buf *b, const struct record *rec)
{
    if (rec->state == RECORD_STATE_INTERRUPTED) {
        if (!rec->marks.text)
            buf_lit(b, "\"gaps\":null,\n\"gap_samples\":null,\n");
        return;
    }
    buf_lit(b, "\"gaps\":[");
    for (unsigned i = 0; i < rec->gap_n; i++)
        buf_printf(b, "%s[%llu,%llu]", i ? "," : "", (unsigned long long)rec->gap[i].from,
                   (unsigned long long)rec->gap[i].samples);
    buf_printf(b, "],\n\"gap_samples\":%llu,\n", (unsigned long long)rec->gap_samples);
}

static const char *stopped(const struct record *rec)
{
    if (rec->state == RECORD_STATE_INTERRUPTED)
        return "killed";
    if (rec->state != RECORD_STATE_BAD)
        return NULL;
    return rec->err == -ENOSPC || rec->err == -EDQUOT ? "disk-full"
           : rec->err == -EFBIG                       ? "too-long"
                                                      : "error";
}

/* From the number on: what a later process leaves as it is. */
static void put_tail(struct buf *b, const struct record *rec)
{
    if (rec->tail) {
        buf_z(b, rec->tail);
        return;
    }
    buf_printf(b, "\"number\":%llu,\n\"rate\":%u,\n\"samples\":%llu,\n",
               (unsigned long long)rec->number, rec->rate_hz, (unsigned long long)rec->samples);
    put_gaps(b, rec);
    if (rec->marks.text || rec->state != RECORD_STATE_INTERRUPTED)
        record_marks_write(b, rec);
    text_or_null(b, "stopped", stopped(rec));
    if (stopped(rec))
        buf_printf(b, "\"stopped_at\":%llu,\n", (unsigned long long)rec->samples);
    else
        buf_lit(b, "\"stopped_at\":null,\n");
    text_or_null(b, "stopped_by",
                 rec->state == RECORD_STATE_INTERRUPTED ? "interrupted" : rec->text);
    buf_lit(b, "\"call\":");
    if (rec->meta_n)
        buf_put(b, rec->meta, rec->meta_n);
    else
        buf_lit(b, "null");
    buf_lit(b, "\n}\n");
}

int record_sidecar_write(struct recorder *r, struct record *rec)
{
    char path[PATH_MAX];
    struct buf b;
    int err = record_path(r, rec->folder, rec->base, ".json", path);
    if (err)
        return err;
    size_t cap =
        HEAD_MAX + rec->meta_n + (rec->tail ? strlen(rec->tail) : 0) + record_marks_bytes(rec);
    char *mem = mem_alloc(cap);
    if (!mem)
        return -ENOMEM;
    buf_init(&b, mem, cap);
    buf_printf(&b, "{\n\"ringdown_recording\":1,\n\"state\":\"%s\",\n", state_name[rec->state]);
    text_or_null(&b, "convert_to", rec->format == SOUND_WAV ? NULL : sound_format_ext(rec->format));
    text_or_null(&b, "note", rec->note_text);
    put_files(&b, rec);
    put_tail(&b, rec);
    BUG_ON(b.full);
    /* While it is recorded, a loss of power would take more than this text. */
    err = rec->state == RECORD_STATE_OPEN ? fs_write_soon(path, buf_str(&b))
                                          : fs_write(path, buf_str(&b));
    if (err == -ENOSPC || err == -EDQUOT)
        err = fs_write_within(path, buf_str(&b)) ? err : 0;
    mem_free(mem);
    rec->marks.changed = false;
    rec->stale_s = 0;
    return err;
}

/* ---- reading what an earlier process wrote --------------------------------------------------- */

static bool line_take(struct str *s, struct str *line)
{
    ptrdiff_t end = str_chr(*s, '\n');
    if (end < 0)
        return false;
    *line = str_sub(*s, 0, (size_t)end);
    *s = str_from(*s, (size_t)end + 1);
    return true;
}

/* What stands between `"key":` and the comma at the end of the next line. */
static bool value_take(struct str *s, struct str key, struct str *value)
{
    struct str line;
    if (!line_take(s, &line) || !str_starts(line, key) || line.n <= key.n ||
        line.p[line.n - 1] != ',')
        return false;
    *value = str_sub(line, key.n, line.n - key.n - 1);
    return true;
}

static bool state_of(struct str value, enum record_state *ret)
{
    value = value.n >= 2 ? str_sub(value, 1, value.n - 2) : value;
    for (unsigned i = 0; i < ARRAY_LEN(state_name); i++)
        if (str_eq(value, str_z(state_name[i]))) {
            *ret = (enum record_state)i;
            return true;
        }
    return false;
}

static bool format_of(struct str value, enum sound_format *ret)
{
    *ret = str_eq(value, STR("\"flac\""))   ? SOUND_FLAC
           : str_eq(value, STR("\"opus\"")) ? SOUND_OPUS
                                            : SOUND_WAV;
    return *ret != SOUND_WAV || str_eq(value, STR("null"));
}

/* The call's text, which is everything behind its key but the end. */
static int meta_take(struct record *rec, struct str tail)
{
    ptrdiff_t at = str_ifind(tail, STR("\n\"call\":"));
    if (at < 0 || tail.n < (size_t)at + sizeof("\n\"call\":\n}\n") - 1)
        return -EBADMSG;
    struct str meta = str_from(tail, (size_t)at + sizeof("\n\"call\":") - 1);
    meta.n -= 3;
    if (str_eq(meta, STR("null")))
        return 0;
    rec->meta = mem_strndup(meta.p, meta.n);
    rec->meta_n = rec->meta ? meta.n : 0;
    return rec->meta ? 0 : -ENOMEM;
}

/* The lines from the gaps on, which were true up to where they say. */
static int lists_take(struct record *rec, struct str tail)
{
    ptrdiff_t from = str_ifind(tail, STR("\n\"gaps\":["));
    ptrdiff_t to = str_ifind(tail, STR("\n\"stopped\":"));
    ptrdiff_t call = str_ifind(tail, STR("\n\"call\":"));
    if (from < 0 || to < from || call < to)
        return 0; /* an earlier version's says less */
    rec->marks.text = mem_strndup(tail.p + from + 1, (size_t)(to - from));
    return rec->marks.text ? 0 : -ENOMEM;
}

static int sidecar_parse(struct record *rec, struct str s)
{
    struct str value, mark;
    if (!str_starts(s, STR("{\n\"ringdown_recording\":1,\n")) ||
        !str_eq(str_from(s, s.n - 3), STR("\n}\n")) || str_chr(s, '\0') >= 0)
        return -EBADMSG; /* a loss of power leaves zeros where a text was */
    (void)line_take(&s, &mark);
    (void)line_take(&s, &mark);
    if (!value_take(&s, STR("\"state\":"), &value) || !state_of(value, &rec->state) ||
        !value_take(&s, STR("\"convert_to\":"), &value) || !format_of(value, &rec->format) ||
        !value_take(&s, STR("\"note\":"), &value) || !value_take(&s, STR("\"files\":"), &value))
        return -EBADMSG;
    struct str tail = s;
    if (!value_take(&s, STR("\"number\":"), &value) || num_u64(&rec->number, value, UINT64_MAX))
        return -EBADMSG;
    if (rec->state == RECORD_STATE_OPEN)
        return lists_take(rec, tail) ? -ENOMEM : meta_take(rec, tail);
    rec->tail = mem_strndup(tail.p, tail.n);
    return rec->tail ? 0 : -ENOMEM;
}

int record_sidecar_read(struct recorder *r, struct record *rec)
{
    char path[PATH_MAX], *text;
    size_t n;
    int err = record_path(r, rec->folder, rec->base, ".json", path);
    if (!err)
        err = fs_read(path, RECORD_META_MAX + HEAD_MAX + LISTS_MAX, &text, &n);
    if (err)
        return err;
    err = sidecar_parse(rec, str_of(text, n));
    mem_free(text);
    return err;
}
