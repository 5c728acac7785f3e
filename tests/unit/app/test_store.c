/* The statements of pbx/store.c on a real database: old rows go, others stay. */
#include "../io/io_test.h"

#include "base/mem.h"
#include "io/db.h"
#include "pbx/store.h"

#define DAY_MS UINT64_C(86400000)
#define NOW_MS UINT64_C(1767225600000)

struct world {
    struct loop *loop;
    struct db *db;
    char dir[64], url[128], note[DB_NOTE_MAX];
};

static int on_count(void *ctx, const struct row_value *v, unsigned n)
{
    assert_int_equal(n, 1);
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

static void submit(struct world *w, const struct row_op *op)
{
    assert_int_equal(db_submit(w->db, op), 0);
}

/* A record of that age with its detail and two rows of quality. */
static void record(struct world *w, unsigned i, uint64_t age_ms)
{
    char id[40];
    store_id_at(id, NOW_MS - age_ms);
    snprintf(id + 12, sizeof(id) - 12, "%020u", i);
    struct row_op cdr = {.statement = STORE_CDR_RESTORE, .n = 22};
    for (unsigned k = 0; k < cdr.n; k++)
        cdr.v[k] = ROW_S(str_z(id));
    submit(w, &cdr);
    submit(w, &cdr); /* it is there already, which is no error */
    struct row_op detail = {.statement = STORE_CDR_DETAIL_RESTORE,
                            .n = 3,
                            .v = {ROW_S(str_z(id)), {.type = ROW_NULL}, ROW_S(STR("{}"))}};
    submit(w, &detail);
    submit(w, &detail);
    struct row_op quality = {.statement = STORE_QUALITY_PUT, .n = 16};
    for (unsigned k = 0; k < quality.n; k++)
        quality.v[k] = ROW_I(k);
    quality.v[0] = ROW_S(str_z(id));
    submit(w, &quality);
    submit(w, &quality);
}

static void prune(struct world *w, enum store_statement statement, unsigned days)
{
    char id[STORE_ID_AT_BYTES];
    store_id_at(id, NOW_MS - days * DAY_MS);
    db_prune(w->db, (uint16_t)statement, str_z(id));
}

static void old_records_go(void **state)
{
    struct world w = {0};
    (void)state;
    test_dir_make(w.dir);
    snprintf(w.url, sizeof(w.url), "sqlite:%s/a.db", w.dir);
    struct db_config cfg = {.url = w.url,
                            .schema = pbx_store_schema,
                            .schema_n = pbx_store_schema_n,
                            .statement = pbx_store_statement,
                            .statement_n = STORE_STATEMENTS};
    assert_int_equal(loop_new(&w.loop), 0);
    if (db_open(&w.db, w.loop, &cfg, w.note))
        fail_msg("%s", w.note);
    for (unsigned i = 0; i < 450; i++)
        record(&w, i, 30 * DAY_MS + 1 + i * 1000);
    record(&w, 1, 30 * DAY_MS);
    record(&w, 2, 10 * DAY_MS);
    record(&w, 3, 0);
    uint64_t seq = db_commit(w.db);
    LOOP_UNTIL(w.loop, db_done_seq(w.db) == seq);
    assert_int_equal(db_stats_get(w.db).lost, 0);
    assert_int_equal(count(&w, "SELECT count(*) FROM cdr"), 453);
    assert_int_equal(count(&w, "SELECT count(*) FROM call_quality"), 906);
    prune(&w, STORE_CDR_PRUNE, 30);
    prune(&w, STORE_CDR_DETAIL_PRUNE, 30);
    prune(&w, STORE_QUALITY_PRUNE, 7);
    LOOP_UNTIL(w.loop, count(&w, "SELECT count(*) FROM call_quality") == 2);
    assert_int_equal(count(&w, "SELECT count(*) FROM cdr"), 3);
    assert_int_equal(count(&w, "SELECT count(*) FROM cdr_detail"), 3);
    LOOP_UNTIL(w.loop, db_stats_get(w.db).pruned == 450 + 450 + 904);
    db_close(w.db);
    loop_free(w.loop);
    test_dir_remove(w.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_records_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
