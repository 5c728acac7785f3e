#include "io_test.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "io/db.h"

static const char *const schema[] = {
    "CREATE TABLE IF NOT EXISTS binding (aor TEXT NOT NULL, contact TEXT NOT NULL, expires INTEGER,"
    " note TEXT, PRIMARY KEY (aor, contact)) WITHOUT ROWID",
};
enum { UPSERT, DROP, BROKEN, PRUNE };
static const char *const statements[] = {
    [UPSERT] = ("INSERT INTO binding VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
                "expires = excluded.expires, note = excluded.note"),
    [DROP] = "DELETE FROM binding WHERE aor = ?1",
    [BROKEN] = "INSERT INTO binding (aor, contact) VALUES (?1, NULL)",
    [PRUNE] = ("DELETE FROM binding WHERE aor IN"
               " (SELECT aor FROM binding WHERE aor < ?1 ORDER BY aor LIMIT 100)"),
};

struct world {
    struct loop *loop;
    struct db *db;
    char dir[64], path[128], url[256], note[DB_NOTE_MAX];
    struct db_config cfg;
    uint64_t told;
    unsigned prunes_failed;
    unsigned calls, errors;
    int last_err;
};

static void on_done(void *ctx, uint64_t seq, int err)
{
    struct world *w = ctx;
    assert_true(seq > w->told);
    w->told = seq;
    w->calls++;
    w->errors += err != 0;
    if (err)
        w->last_err = err;
}

static void on_prune_failed(void *ctx, uint16_t statement, int err)
{
    struct world *w = ctx;
    assert_int_equal(statement, BROKEN);
    assert_int_equal(err, -EINVAL);
    w->prunes_failed++;
}

static void world_init(struct world *w)
{
    *w = (struct world){0};
    test_dir_make(w->dir);
    snprintf(w->path, sizeof(w->path), "%s/deep/var/ringdown.db", w->dir);
    snprintf(w->url, sizeof(w->url), "sqlite:%s", w->path);
    w->cfg = (struct db_config){.url = w->url,
                                .schema = schema,
                                .schema_n = 1,
                                .statement = statements,
                                .statement_n = ARRAY_LEN(statements),
                                .done = on_done,
                                .prune_failed = on_prune_failed,
                                .ctx = w};
    assert_int_equal(loop_new(&w->loop), 0);
    int err = db_open(&w->db, w->loop, &w->cfg, w->note);
    if (err)
        fail_msg("db_open: %d %s", err, w->note);
    assert_string_equal(w->note, "");
}

static void world_done(struct world *w)
{
    db_close(w->db);
    loop_free(w->loop);
    test_dir_remove(w->dir);
}

static struct row_op upsert(const char *aor, int64_t expires)
{
    return (struct row_op){UPSERT,
                           4,
                           {ROW_S(str_z(aor)),
                            ROW_S(STR("sip:1@192.0.2.1:5060")),
                            ROW_I(expires),
                            {.type = ROW_NULL}}};
}

static void put(struct world *w, const char *aor, int64_t expires)
{
    struct row_op op = upsert(aor, expires);
    assert_int_equal(db_submit(w->db, &op), 0);
}

static int on_count(void *ctx, const struct row_value *v, unsigned n)
{
    assert_int_equal(n, 1);
    assert_int_equal(v[0].type, ROW_INT);
    *(int64_t *)ctx = v[0].i;
    return 0;
}

static int64_t count(struct world *w, const char *sql)
{
    int64_t n = -1;
    struct db_query q = {.sql = sql, .row = on_count, .ctx = &n};
    assert_int_equal(db_query(w->db, &q), 0);
    return n;
}

static int on_row(void *ctx, const struct row_value *v, unsigned n)
{
    assert_int_equal(n, 4);
    assert_true(str_eq(v[0].s, STR("a\0b")));
    assert_int_equal(v[2].i, -7);
    assert_int_equal(v[3].type, ROW_NULL);
    ++*(unsigned *)ctx;
    return 42;
}

static void test_values(void **state)
{
    struct world w;
    world_init(&w);
    assert_int_equal(db_commit(w.db), 0); /* nothing to store */
    struct row_op op = upsert("", -7);
    op.v[0] = ROW_S(STR("a\0b"));
    op.v[1] = ROW_S(STR(""));
    assert_int_equal(db_submit(w.db, &op), 0);
    assert_int_equal(db_commit(w.db), 1);
    LOOP_UNTIL(w.loop, w.told == 1);
    assert_int_equal(w.errors, 0);
    assert_int_equal(db_done_seq(w.db), 1);
    unsigned rows = 0;
    struct row_value arg = ROW_I(-7);
    struct db_query q = {.sql = "SELECT * FROM binding WHERE expires = ?1",
                         .arg = &arg,
                         .arg_n = 1,
                         .row = on_row,
                         .ctx = &rows};
    assert_int_equal(db_query(w.db, &q), 42);
    assert_int_equal(rows, 1);
    q.sql = "SELECT nonsense FROM nowhere";
    assert_int_equal(db_query(w.db, &q), -EINVAL);
    q = (struct db_query){.sql = "DELETE FROM binding"};
    assert_int_equal(db_query(w.db, &q), -EACCES); /* queries read */
    world_done(&w);
}

/* Upserts replace; batches that wait together are committed together. */
static void test_group_commit(void **state)
{
    struct world w;
    world_init(&w);
    char aor[32];
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(aor, sizeof(aor), "sip:%u@a", i % 500);
        put(&w, aor, i);
        assert_int_equal(db_commit(w.db), i + 1);
    }
    LOOP_UNTIL(w.loop, w.told == 2000);
    assert_int_equal(w.errors, 0);
    struct db_stats s = db_stats_get(w.db);
    assert_int_equal(s.ops, 2000);
    assert_int_equal(s.batches, 2000);
    assert_true(s.transactions < 2000);
    assert_int_equal(s.queued_bytes, 0);
    assert_int_equal(s.queued_batches, 0);
    assert_int_equal(count(&w, "SELECT count(*) FROM binding"), 500);
    assert_int_equal(count(&w, "SELECT min(expires) FROM binding"), 1500);
    world_done(&w);
}

/* Old rows go, a few at a time, and what is stored meanwhile is not held up. */
static void test_prune(void **state)
{
    struct world w;
    char aor[32];
    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(aor, sizeof(aor), "%04u", i);
        put(&w, aor, i);
    }
    uint64_t seq = db_commit(w.db);
    LOOP_UNTIL(w.loop, w.told == seq);
    db_prune(w.db, PRUNE, STR("0305"));
    put(&w, "0000", 1);
    seq = db_commit(w.db);
    LOOP_UNTIL(w.loop, w.told == seq);
    LOOP_UNTIL(w.loop, db_stats_get(w.db).pruned >= 305);
    db_prune(w.db, PRUNE, STR("0306"));
    db_prune(w.db, PRUNE, STR("0310"));
    LOOP_UNTIL(w.loop, count(&w, "SELECT count(*) FROM binding WHERE aor < '0310'") == 0);
    assert_int_equal(count(&w, "SELECT count(*) FROM binding"), 690);
    /* What cannot be removed is told, once each time that it was asked for. */
    db_prune(w.db, BROKEN, STR("1"));
    LOOP_UNTIL(w.loop, w.prunes_failed == 1);
    db_prune(w.db, BROKEN, STR("1"));
    LOOP_UNTIL(w.loop, w.prunes_failed == 2);
    db_prune(w.db, PRUNE, STR("9"));
    world_done(&w); /* what is left waits for the next time */
}

/* A batch that cannot be stored is named, and takes no other with it. */
static void test_bad_batch(void **state)
{
    struct world w;
    world_init(&w);
    for (unsigned i = 0; i < 20; i++) {
        char aor[32];
        snprintf(aor, sizeof(aor), "sip:%u@a", i);
        put(&w, aor, i);
        if (i == 7) {
            struct row_op op = {BROKEN, 1, {ROW_S(STR("x"))}};
            assert_int_equal(db_submit(w.db, &op), 0);
        }
        db_commit(w.db);
    }
    LOOP_UNTIL(w.loop, w.told == 20);
    assert_int_equal(w.errors, 1);
    assert_int_equal(w.last_err, -EINVAL);
    assert_int_equal(db_stats_get(w.db).lost, 2);
    assert_int_equal(count(&w, "SELECT count(*) FROM binding"), 19);
    /* A statement with the wrong number of values is an error, not what was left there before. */
    struct row_op few = {UPSERT, 1, {ROW_S(STR("x"))}};
    assert_int_equal(db_submit(w.db, &few), 0);
    db_commit(w.db);
    LOOP_UNTIL(w.loop, w.told == 21);
    assert_int_equal(w.errors, 2);
    world_done(&w);
}

static void test_no_allocation(void **state)
{
    struct world w;
    world_init(&w);
    uint64_t requests = 0;
    for (unsigned round = 0; round < 50; round++) {
        if (round == 10)
            requests = mem_requests();
        for (unsigned i = 0; i < 50; i++)
            put(&w, "sip:alice@example.com", i);
        uint64_t seq = db_commit(w.db);
        LOOP_UNTIL(w.loop, w.told == seq);
    }
    assert_int_equal(mem_requests(), requests);
    world_done(&w);
}

static void test_bounded(void **state)
{
    struct world w;
    world_init(&w);
    db_close(w.db);
    w.cfg.max_queue_bytes = 2000;
    assert_int_equal(db_open(&w.db, w.loop, &w.cfg, w.note), 0);
    struct row_op op = upsert("sip:somebody@example.com", 1);
    unsigned taken = 0;
    while (taken < 100 && db_submit(w.db, &op) == 0)
        taken++;
    assert_in_range(taken, 5, 50);
    assert_int_equal(db_stats_get(w.db).refused, 1);
    uint64_t seq = db_commit(w.db);
    assert_int_equal(db_submit(w.db, &op), -ENOBUFS);
    LOOP_UNTIL(w.loop, w.told == seq);
    assert_int_equal(db_submit(w.db, &op), 0);
    world_done(&w);
}

/* Another program holds the lock: an error in the end, and signalling never waited. */
static void test_locked(void **state)
{
    struct world w;
    world_init(&w);
    db_close(w.db);
    w.cfg.busy_ms = 30;
    assert_int_equal(db_open(&w.db, w.loop, &w.cfg, w.note), 0);
    sqlite3 *other;
    assert_int_equal(sqlite3_open(w.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    put(&w, "sip:late@a", 1);
    usec_t before = loop_now(w.loop);
    uint64_t seq = db_commit(w.db);
    loop_run_once(w.loop, 0);
    assert_true(loop_now(w.loop) - before < 25 * USEC_MS || w.told == seq);
    LOOP_UNTIL(w.loop, w.told == seq);
    assert_int_equal(w.last_err, -EBUSY);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    put(&w, "sip:again@a", 1);
    seq = db_commit(w.db);
    LOOP_UNTIL(w.loop, w.told == seq);
    assert_int_equal(w.errors, 1);
    world_done(&w);
}

/* What was acknowledged survives a process that is killed at once. */
static void test_killed(void **state)
{
    char dir[64];
    test_dir_make(dir);
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct world w = {0};
        snprintf(w.url, sizeof(w.url), "sqlite:%s/k.db", dir);
        w.cfg = (struct db_config){.url = w.url,
                                   .schema = schema,
                                   .schema_n = 1,
                                   .statement = statements,
                                   .statement_n = ARRAY_LEN(statements),
                                   .done = on_done,
                                   .ctx = &w};
        if (loop_new(&w.loop) || db_open(&w.db, w.loop, &w.cfg, w.note))
            _exit(1);
        for (int64_t i = 1; i < 1000000; i++) {
            char aor[32];
            snprintf(aor, sizeof(aor), "sip:%lld@a", (long long)i);
            struct row_op op = upsert(aor, i);
            if (db_submit(w.db, &op))
                _exit(2);
            uint64_t seq = db_commit(w.db);
            while (w.told < seq)
                loop_run_once(w.loop, 20);
            if (write(told[1], &seq, sizeof(seq)) != sizeof(seq))
                _exit(3);
        }
        _exit(4);
    }
    close(told[1]);
    uint64_t last = 0, seq;
    while (last < 200 && read(told[0], &seq, sizeof(seq)) == sizeof(seq))
        last = seq;
    kill(pid, SIGKILL);
    while (read(told[0], &seq, sizeof(seq)) == sizeof(seq))
        last = seq;
    close(told[0]);
    int status;
    waitpid(pid, &status, 0);
    assert_true(last >= 200);
    struct world w;
    world_init(&w);
    db_close(w.db);
    snprintf(w.url, sizeof(w.url), "sqlite:%s/k.db", dir);
    assert_int_equal(db_open(&w.db, w.loop, &w.cfg, w.note), 0);
    assert_string_equal(w.note, "");
    assert_true((uint64_t)count(&w, "SELECT count(*) FROM binding") >= last);
    world_done(&w);
    test_dir_remove(dir);
}

static void test_damaged(void **state)
{
    struct world w;
    world_init(&w);
    put(&w, "sip:a@a", 1);
    db_close(w.db);
    FILE *f = fopen(w.path, "r+");
    fputs("this is no database any more, somebody wrote over its first page", f);
    fclose(f);
    assert_int_equal(db_open(&w.db, w.loop, &w.cfg, w.note), 0);
    assert_non_null(strstr(w.note, "damaged"));
    assert_int_equal(count(&w, "SELECT count(*) FROM binding"), 0);
    char command[256];
    snprintf(command, sizeof(command), "ls %s/deep/var | grep -q ringdown.db.damaged-", w.dir);
    assert_int_equal(system(command), 0);
    world_done(&w);
}

/* The call records are nobody else's business, and a file that cannot be written is told of at
 * once. */
static void test_permissions(void **state)
{
    struct world w;
    struct stat st;
    world_init(&w);
    put(&w, "sip:a@a", 1);
    assert_int_equal(stat(w.path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640, 0);
    db_close(w.db);
    w.db = NULL;
    assert_int_equal(chmod(w.path, 0440), 0);
    int err = db_open(&w.db, w.loop, &w.cfg, w.note);
    if (geteuid() == 0) { /* who may write everything */
        assert_int_equal(err, 0);
    } else {
        assert_int_equal(err, -EACCES);
        assert_non_null(strstr(w.note, "cannot open for writing"));
    }
    world_done(&w);
}

static void test_open_errors(void **state)
{
    struct world w;
    world_init(&w);
    struct db *none = NULL;
    w.cfg.url = "mysql://nothing";
    assert_int_equal(db_open(&none, w.loop, &w.cfg, w.note), -EPROTONOSUPPORT);
    assert_string_not_equal(w.note, "");
    w.cfg.url = "sqlite:/dev/null/x.db";
    assert_int_not_equal(db_open(&none, w.loop, &w.cfg, w.note), 0);
    assert_string_not_equal(w.note, "");
    static const char *const wrong[] = {"CREATE TABLE broken ("};
    w.cfg.url = w.url;
    w.cfg.schema = wrong;
    assert_int_equal(db_open(&none, w.loop, &w.cfg, w.note), -EINVAL);
    assert_non_null(strstr(w.note, "incomplete input"));
    assert_null(none);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_group_commit),
        cmocka_unit_test(test_prune),         cmocka_unit_test(test_bad_batch),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_locked),        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_open_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
