#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/db_priv.h"
#include "io/fs.h"

/* A file above this is only looked at where it is used: checking it whole would delay the start. */
#define CHECK_MAX_BYTES (64 << 20)

struct db_conn {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit;
    unsigned n;
    sqlite3_stmt *stmt[DB_MAX_STATEMENTS];
};

static int to_errno(int rc)
{
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:
    case SQLITE_RANGE:
        return -EINVAL;
    default:
        return -EIO;
    }
}

static void note_put(char *note, const char *what, const char *path, const char *why)
{
    struct buf b;
    buf_init(&b, note, DB_NOTE_MAX - 1);
    buf_printf(&b, "%s %s: %s", what, path, why);
    note[b.n] = '\0';
}

static void sqlite_close(struct db_conn *c)
{
    if (!c)
        return;
    sqlite3_finalize(c->begin);
    sqlite3_finalize(c->commit);
    for (unsigned i = 0; i < c->n; i++)
        sqlite3_finalize(c->stmt[i]);
    sqlite3_close(c->db);
    mem_free(c);
}

static int conn_open(struct db_conn **ret, const char *path, int flags, uint32_t busy_ms)
{
    struct db_conn *c = mem_zero(sizeof(*c));
    if (!c)
        return -ENOMEM;
    /* No lock inside SQLite: one thread at a time uses this connection. */
    int rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        sqlite_close(c);
        return to_errno(rc);
    }
    sqlite3_busy_timeout(c->db, (int)busy_ms);
    *ret = c;
    return 0;
}

static int exec(struct db_conn *c, const char *sql)
{
    return to_errno(sqlite3_exec(c->db, sql, NULL, NULL, NULL));
}

static int check_row(void *ctx, int n, char **value, char **name)
{
    *(bool *)ctx = n == 1 && value[0] && str_eq(str_z(value[0]), STR("ok"));
    return 0;
}

/* 0, or -EBADMSG for a file that cannot be trusted. */
static int check(struct db_conn *c, const char *path)
{
    int err = exec(c, "SELECT count(*) FROM sqlite_master");
    struct stat st;
    if (err || stat(path, &st) || st.st_size > CHECK_MAX_BYTES)
        return err;
    bool sound = false;
    int rc = sqlite3_exec(c->db, "PRAGMA quick_check(1)", check_row, &sound, NULL);
    if (rc != SQLITE_OK)
        return to_errno(rc);
    return sound ? 0 : -EBADMSG;
}

static int prepare(struct db_conn *c, const char *sql, sqlite3_stmt **ret)
{
    return to_errno(sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

static int setup(struct db_conn *c, const struct db_config *cfg, char *note)
{
    /* With the log written ahead, NORMAL loses nothing to a killed process; FULL also survives
     * the loss of power. The cache and the checkpoint interval are pages of 4 KiB. */
    int err = exec(c, "PRAGMA journal_mode=WAL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=8192;"
                      "PRAGMA wal_autocheckpoint=4000; PRAGMA foreign_keys=ON");
    if (!err)
        err = exec(c, cfg->sync_full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    for (unsigned i = 0; i < cfg->schema_n && !err; i++)
        err = exec(c, cfg->schema[i]);
    if (!err)
        err = prepare(c, "BEGIN IMMEDIATE", &c->begin);
    if (!err)
        err = prepare(c, "COMMIT", &c->commit);
    for (; c->n < cfg->statement_n && !err; c->n++)
        err = prepare(c, cfg->statement[c->n], &c->stmt[c->n]);
    if (err)
        note_put(note, "cannot set up", cfg->url, sqlite3_errmsg(c->db));
    return err;
}

/* Renames the database and its two companions to PATH.damaged-DATE. */
static int move_aside(const char *path, char *note)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char from[PATH_MAX], to[PATH_MAX];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    for (unsigned i = 0; i < 3; i++) {
        struct buf a, b;
        buf_init(&a, from, sizeof(from) - 1);
        buf_init(&b, to, sizeof(to) - 1);
        buf_printf(&a, "%s%s", path, parts[i]);
        buf_printf(&b, "%s.damaged-%04d%02d%02d-%02d%02d%02d%s", path, tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, parts[i]);
        if (a.full || b.full)
            return -ENAMETOOLONG;
        from[a.n] = to[b.n] = '\0';
        if (rename(from, to) && (i == 0 || errno != ENOENT))
            return -errno;
        if (i == 0)
            note_put(note, "the database was damaged; a new one is used, the old one is", to,
                     "kept for repair");
    }
    return 0;
}

#define OPEN_RW (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)

/* SQLite would open a file that it may only read and fail at the first write; the time to say so is
 * the start. The two companions get the permissions of the file. */
static int touch(const char *path, char *note)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        int err = -errno;
        note_put(note, "cannot open for writing", path, strerrordesc_np(-err));
        return err;
    }
    close(fd);
    return 0;
}

static int open_checked(struct db_conn **ret, const char *path, const struct db_config *cfg,
                        char *note)
{
    struct db_conn *c = NULL;
    int err = touch(path, note);
    if (err)
        return err;
    err = conn_open(&c, path, OPEN_RW, cfg->busy_ms);
    if (!err) {
        err = check(c, path);
        if (err)
            note_put(note, "cannot read", path, sqlite3_errmsg(c->db));
        else
            err = setup(c, cfg, note);
        if (err)
            sqlite_close(c);
    } else {
        note_put(note, "cannot open", path, "no such folder, or no permission");
    }
    if (!err)
        *ret = c;
    return err;
}

static int sqlite_open(struct db_conn **ret, const char *path, const struct db_config *cfg,
                       char *note)
{
    /* Its count of memory in use takes a process-wide lock at every request. Refused, without harm,
     * once SQLite is in use. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int err = fs_mkdirs_for(path);
    if (err) {
        note_put(note, "cannot make the folder of", path, "no permission, or no folder");
        return err;
    }
    err = open_checked(ret, path, cfg, note);
    if (err != -EBADMSG)
        return err;
    err = move_aside(path, note);
    if (err) {
        note_put(note, "cannot move the damaged database aside:", path, "no permission");
        return err;
    }
    return open_checked(ret, path, cfg, note);
}

static int sqlite_open_reader(struct db_conn **ret, const char *path, const struct db_config *cfg)
{
    return conn_open(ret, path, SQLITE_OPEN_READONLY, cfg->busy_ms);
}

static int step(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    int again = sqlite3_reset(stmt);
    return to_errno(rc == SQLITE_ROW || rc == SQLITE_DONE ? again : rc);
}

static int sqlite_begin(struct db_conn *c)
{
    return step(c->begin);
}

static int sqlite_commit(struct db_conn *c)
{
    return step(c->commit);
}

static void sqlite_rollback(struct db_conn *c)
{
    if (!sqlite3_get_autocommit(c->db))
        exec(c, "ROLLBACK");
}

static int bind_values(sqlite3_stmt *stmt, const struct row_value *v, unsigned n)
{
    int rc = SQLITE_OK;
    for (unsigned i = 0; i < n && rc == SQLITE_OK; i++) {
        int at = (int)i + 1;
        if (v[i].type == ROW_INT)
            rc = sqlite3_bind_int64(stmt, at, v[i].i);
        else if (v[i].type == ROW_TEXT && v[i].s.p)
            rc = sqlite3_bind_text(stmt, at, v[i].s.p, (int)v[i].s.n, SQLITE_STATIC);
        else
            rc = sqlite3_bind_null(stmt, at);
    }
    return to_errno(rc);
}

static int sqlite_run(struct db_conn *c, const struct row_op *op)
{
    if (op->statement >= c->n)
        return -EINVAL;
    sqlite3_stmt *stmt = c->stmt[op->statement];
    /* A value left out would be that of an earlier row, whose text is gone. */
    if (op->n != sqlite3_bind_parameter_count(stmt))
        return -EINVAL;
    int err = bind_values(stmt, op->v, op->n);
    return err ? err : step(stmt);
}

static uint64_t sqlite_changes(struct db_conn *c)
{
    int n = sqlite3_changes(c->db);
    return n > 0 ? (uint64_t)n : 0;
}

static unsigned columns(sqlite3_stmt *stmt, struct row_value *v)
{
    unsigned n = (unsigned)sqlite3_column_count(stmt);
    n = n > ROW_MAX ? ROW_MAX : n;
    for (unsigned i = 0; i < n; i++) {
        int type = sqlite3_column_type(stmt, (int)i);
        v[i] = (struct row_value){.type = ROW_NULL};
        if (type == SQLITE_INTEGER)
            v[i] = ROW_I(sqlite3_column_int64(stmt, (int)i));
        else if (type != SQLITE_NULL) {
            const char *text = (const char *)sqlite3_column_text(stmt, (int)i);
            v[i] = ROW_S(str_of(text ? text : "", (size_t)sqlite3_column_bytes(stmt, (int)i)));
        }
    }
    return n;
}

static int sqlite_query(struct db_conn *c, const struct db_query *q)
{
    sqlite3_stmt *stmt = NULL;
    int err = to_errno(sqlite3_prepare_v2(c->db, q->sql, -1, &stmt, NULL));
    if (!err)
        err = bind_values(stmt, q->arg, q->arg_n);
    struct row_value v[ROW_MAX];
    int rc = SQLITE_DONE;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        unsigned n = columns(stmt, v);
        err = q->row ? q->row(q->ctx, v, n) : 0;
    }
    sqlite3_finalize(stmt);
    return err ? err : to_errno(rc);
}

const struct db_backend db_sqlite = {
    .open = sqlite_open,
    .open_reader = sqlite_open_reader,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .run = sqlite_run,
    .changes = sqlite_changes,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .query = sqlite_query,
};
