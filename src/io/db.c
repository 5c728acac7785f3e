#include "io/db.h"

#include <errno.h>
#include <pthread.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/db_priv.h"

#define QUEUE_BYTES  ((size_t)64 << 20)
#define BATCH_FIRST  BATCH_KEEP /* pages not written to cost nothing */
#define BATCH_KEEP   (256u * 1024)
#define BATCHES_KEPT 64
/* So many batches become one transaction at most, so that the first of them does not wait long. */
#define BATCHES_AT_ONCE 1024
/* Between two steps of removing old rows. */
#define PRUNE_PAUSE_NS (20 * UINT64_C(1000000))

/* In a batch: this, op->n values, then their text; rounded up to 8 bytes. */
struct packed_op {
    uint32_t bytes;
    uint16_t statement, n;
};

struct packed_value {
    uint32_t type, text_bytes;
    int64_t i;
};

struct batch {
    struct batch *next;
    char *mem;
    size_t n, cap;
    uint64_t seq;
    uint32_t ops;
    int err;
};

struct batch_list {
    struct batch *first, *last;
};

/* Rows of one kind that are to go. */
struct prune {
    char text[DB_PRUNE_TEXT];
    bool wanted;
    int err; /* not told yet */
};

struct db {
    struct loop *loop;
    struct db_config cfg;
    const struct db_backend *backend;
    struct db_conn *writer, *reader;
    const char *where;
    /* The loop's thread alone: */
    struct batch *filling, *spare;
    unsigned spares;
    uint64_t next_seq, done_seq;
    struct db_stats stats;
    struct loop_async async;
    /* Both, under the lock: */
    uv_mutex_t lock;
    uv_cond_t work;
    struct batch_list waiting, finished;
    struct prune prune[DB_MAX_STATEMENTS];
    uint64_t transactions, busy_us, pruned;
    bool stop;
    uv_thread_t thread;
};

static void list_put(struct batch_list *l, struct batch *b)
{
    b->next = NULL;
    if (l->last)
        l->last->next = b;
    else
        l->first = b;
    l->last = b;
}

static struct batch *list_take(struct batch_list *l)
{
    struct batch *b = l->first;
    if (!b)
        return NULL;
    l->first = b->next;
    if (!l->first)
        l->last = NULL;
    return b;
}

/* ---- filling, on the loop's thread ----------------------------------------------------------- */

static struct batch *batch_take(struct db *db)
{
    struct batch *b = db->spare;
    if (b) {
        db->spare = b->next;
        db->spares--;
        b->next = NULL;
        b->n = 0;
        b->ops = 0;
        b->err = 0;
        return b;
    }
    b = mem_zero(sizeof(*b));
    if (!b)
        return NULL;
    b->mem = mem_alloc(BATCH_FIRST);
    b->cap = BATCH_FIRST;
    if (!b->mem) {
        mem_free(b);
        return NULL;
    }
    return b;
}

static void batch_free(struct batch *b)
{
    if (!b)
        return;
    mem_free(b->mem);
    mem_free(b);
}

static void batch_put(struct db *db, struct batch *b)
{
    if (b->cap > BATCH_KEEP || db->spares >= BATCHES_KEPT) {
        batch_free(b);
        return;
    }
    b->next = db->spare;
    db->spare = b;
    db->spares++;
}

static int batch_grow(struct batch *b, size_t more)
{
    size_t cap = b->cap;
    while (cap - b->n < more)
        cap *= 2;
    if (cap == b->cap)
        return 0;
    char *mem = mem_resize(b->mem, cap);
    if (!mem)
        return -ENOMEM;
    b->mem = mem;
    b->cap = cap;
    return 0;
}

static size_t op_bytes(const struct row_op *op)
{
    size_t bytes = sizeof(struct packed_op) + op->n * sizeof(struct packed_value);
    for (unsigned i = 0; i < op->n; i++)
        if (op->v[i].type == ROW_TEXT)
            bytes += op->v[i].s.n;
    return (bytes + 7) & ~(size_t)7;
}

static void op_pack(char *p, const struct row_op *op, size_t bytes)
{
    struct packed_op head = {(uint32_t)bytes, op->statement, op->n};
    memcpy(p, &head, sizeof(head));
    char *value = p + sizeof(head);
    char *text = value + op->n * sizeof(struct packed_value);
    for (unsigned i = 0; i < op->n; i++) {
        const struct row_value *v = &op->v[i];
        bool has_text = v->type == ROW_TEXT && v->s.p;
        struct packed_value pv = {has_text || v->type == ROW_INT ? v->type : ROW_NULL,
                                  has_text ? (uint32_t)v->s.n : 0, v->i};
        memcpy(value + i * sizeof(pv), &pv, sizeof(pv));
        if (pv.text_bytes) {
            memcpy(text, v->s.p, v->s.n);
            text += v->s.n;
        }
    }
}

int db_submit(struct db *db, const struct row_op *op)
{
    BUG_ON(op->n > ROW_MAX || op->statement >= db->cfg.statement_n);
    size_t bytes = op_bytes(op);
    size_t filling = db->filling ? db->filling->n : 0;
    if (db->stats.queued_bytes + filling + bytes > db->cfg.max_queue_bytes) {
        db->stats.refused++;
        return -ENOBUFS;
    }
    if (!db->filling)
        db->filling = batch_take(db);
    if (!db->filling || batch_grow(db->filling, bytes)) {
        db->stats.refused++;
        return -ENOMEM;
    }
    op_pack(db->filling->mem + db->filling->n, op, bytes);
    db->filling->n += bytes;
    db->filling->ops++;
    db->stats.ops++;
    return 0;
}

uint64_t db_commit(struct db *db)
{
    struct batch *b = db->filling;
    if (!b || b->ops == 0)
        return 0;
    uint64_t seq = b->seq = ++db->next_seq;
    db->filling = NULL;
    db->stats.batches++;
    db->stats.queued_batches++;
    db->stats.queued_bytes += b->n;
    uv_mutex_lock(&db->lock);
    bool idle = !db->waiting.first;
    list_put(&db->waiting, b);
    uv_mutex_unlock(&db->lock);
    if (idle)
        uv_cond_signal(&db->work);
    return seq;
}

/* ---- storing, on the database's thread ------------------------------------------------------- */

static void op_unpack(struct row_op *op, const char *p, const struct packed_op *head)
{
    const char *value = p + sizeof(*head);
    const char *text = value + head->n * sizeof(struct packed_value);
    op->statement = head->statement;
    op->n = head->n;
    for (unsigned i = 0; i < head->n; i++) {
        struct packed_value pv;
        memcpy(&pv, value + i * sizeof(pv), sizeof(pv));
        op->v[i] = (struct row_value){(enum row_type)pv.type, pv.i, str_of(text, pv.text_bytes)};
        text += pv.text_bytes;
    }
}

static int batch_run(struct db *db, const struct batch *b)
{
    struct row_op op;
    for (size_t at = 0; at < b->n;) {
        struct packed_op head;
        memcpy(&head, b->mem + at, sizeof(head));
        op_unpack(&op, b->mem + at, &head);
        int err = db->backend->run(db->writer, &op);
        if (err)
            return err;
        at += head.bytes;
    }
    return 0;
}

/* One transaction of the batches from `first` up to, not including, `end`. */
static int store(struct db *db, const struct batch *first, const struct batch *end)
{
    int err = db->backend->begin(db->writer);
    if (err)
        return err;
    for (const struct batch *b = first; b != end && !err; b = b->next)
        err = batch_run(db, b);
    if (!err)
        err = db->backend->commit(db->writer);
    if (err)
        db->backend->rollback(db->writer);
    return err;
}

/* All together. If a statement is at fault, each batch by itself, so that the bad one takes no
 * other with it; a full disk or a lock would refuse them one by one as well. */
static unsigned store_list(struct db *db, struct batch *first)
{
    int all = store(db, first, NULL);
    unsigned n = 1;
    for (struct batch *b = first; b; b = b->next) {
        bool again = all == -EINVAL && first->next;
        b->err = again ? store(db, b, b->next) : all;
        n += again;
    }
    return n;
}

/* Most of what a small transaction costs is its own beginning and end: at 50 rows each a row costs
 * twice what it does at 500. */
static void work_gather(struct db *db, uint64_t not_before_ns)
{
    uint64_t now;
    while (!db->stop && (now = uv_hrtime()) < not_before_ns)
        uv_cond_timedwait(&db->work, &db->lock, not_before_ns - now);
}

/* The statement of rows that are to go, or DB_MAX_STATEMENTS. */
static unsigned prune_next(const struct db *db)
{
    unsigned i = 0;
    while (i < DB_MAX_STATEMENTS && !db->prune[i].wanted)
        i++;
    return i;
}

/* Waits for work: batches, NULL if there are none, and then what to prune. False: the end. */
static bool work_take(struct db *db, uint64_t not_before_ns, struct batch **first, unsigned *prune)
{
    struct batch_list taken = {0};
    uint64_t now, rested_ns = not_before_ns + PRUNE_PAUSE_NS;
    uv_mutex_lock(&db->lock);
    while (!db->waiting.first && !db->stop) {
        now = uv_hrtime();
        bool any = prune_next(db) < DB_MAX_STATEMENTS;
        if (any && now >= rested_ns)
            break;
        if (any)
            uv_cond_timedwait(&db->work, &db->lock, rested_ns - now);
        else
            uv_cond_wait(&db->work, &db->lock);
    }
    if (db->waiting.first)
        work_gather(db, not_before_ns);
    for (unsigned i = 0; i < BATCHES_AT_ONCE && db->waiting.first; i++)
        list_put(&taken, list_take(&db->waiting));
    *first = taken.first;
    *prune = prune_next(db);
    bool end = db->stop && !taken.first;
    uv_mutex_unlock(&db->lock);
    return !end;
}

/* How many rows have gone, or a negative errno. */
static int64_t prune_run(struct db *db, unsigned statement, const char *text)
{
    struct row_op op = {.statement = (uint16_t)statement, .n = 1, .v = {ROW_S(str_z(text))}};
    int err = db->backend->begin(db->writer);
    if (err)
        return err;
    err = db->backend->run(db->writer, &op);
    uint64_t n = err ? 0 : db->backend->changes(db->writer);
    err = err ? err : db->backend->commit(db->writer);
    if (err)
        db->backend->rollback(db->writer);
    return err ? err : (int64_t)n;
}

static void prune_step(struct db *db, unsigned statement)
{
    struct prune *p = &db->prune[statement];
    char text[DB_PRUNE_TEXT];
    uv_mutex_lock(&db->lock);
    memcpy(text, p->text, sizeof(text));
    uv_mutex_unlock(&db->lock);
    int64_t n = prune_run(db, statement, text);
    uv_mutex_lock(&db->lock);
    p->wanted = n > 0 || strcmp(p->text, text) != 0;
    db->pruned += n > 0 ? (uint64_t)n : 0;
    p->err = n < 0 ? (int)n : p->err;
    uv_mutex_unlock(&db->lock);
    if (n < 0)
        loop_async_wake(&db->async);
}

static void batches_store(struct db *db, struct batch *first)
{
    uint64_t begun = uv_hrtime();
    unsigned n = store_list(db, first);
    uv_mutex_lock(&db->lock);
    while (first) {
        struct batch *b = first;
        first = b->next;
        list_put(&db->finished, b);
    }
    db->transactions += n;
    db->busy_us += (uv_hrtime() - begun) / 1000;
    uv_mutex_unlock(&db->lock);
    loop_async_wake(&db->async);
}

static void db_thread(void *arg)
{
    struct db *db = arg;
    struct batch *first;
    unsigned prune;
    uint64_t begun = 0;
    pthread_setname_np(pthread_self(), "ringdown-db"); /* for top and the like */
    while (work_take(db, begun + db->cfg.gather_us * UINT64_C(1000), &first, &prune)) {
        begun = uv_hrtime();
        if (first)
            batches_store(db, first);
        else if (prune < DB_MAX_STATEMENTS)
            prune_step(db, prune);
    }
}

/* ---- telling, on the loop's thread ----------------------------------------------------------- */

static void batch_told(struct db *db, struct batch *b)
{
    db->done_seq = b->seq;
    db->stats.queued_batches--;
    db->stats.queued_bytes -= b->n;
    if (b->err)
        db->stats.lost += b->ops;
    /* Success is told once for a row of batches, with the number of the last. */
    bool more_of_it = !b->err && b->next && !b->next->err;
    if (!more_of_it && db->cfg.done)
        db->cfg.done(db->cfg.ctx, b->seq, b->err);
}

static void prunes_told(struct db *db, const int err[DB_MAX_STATEMENTS])
{
    for (unsigned i = 0; i < DB_MAX_STATEMENTS; i++)
        if (err[i] && db->cfg.prune_failed)
            db->cfg.prune_failed(db->cfg.ctx, (uint16_t)i, err[i]);
}

static void on_wake(struct loop_async *a)
{
    struct db *db = container_of(a, struct db, async);
    int err[DB_MAX_STATEMENTS];
    uv_mutex_lock(&db->lock);
    struct batch *b = db->finished.first;
    db->finished = (struct batch_list){0};
    for (unsigned i = 0; i < DB_MAX_STATEMENTS; i++) {
        err[i] = db->prune[i].err;
        db->prune[i].err = 0;
    }
    uv_mutex_unlock(&db->lock);
    prunes_told(db, err);
    while (b) {
        struct batch *next = b->next;
        batch_told(db, b);
        batch_put(db, b);
        b = next;
    }
}

void db_prune(struct db *db, uint16_t statement, struct str value)
{
    BUG_ON(statement >= db->cfg.statement_n || value.n >= DB_PRUNE_TEXT);
    struct prune *p = &db->prune[statement];
    uv_mutex_lock(&db->lock);
    str_copy_z(p->text, sizeof(p->text), value);
    p->wanted = true;
    uv_mutex_unlock(&db->lock);
    uv_cond_signal(&db->work);
}

uint64_t db_done_seq(const struct db *db)
{
    return db->done_seq;
}

struct db_stats db_stats_get(struct db *db)
{
    struct db_stats s = db->stats;
    uv_mutex_lock(&db->lock);
    s.transactions = db->transactions;
    s.busy_us = db->busy_us;
    s.pruned = db->pruned;
    uv_mutex_unlock(&db->lock);
    return s;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int backend_find(struct db *db)
{
    struct str url = str_z(db->cfg.url);
    if (!str_starts(url, STR("sqlite:")))
        return -EPROTONOSUPPORT;
    db->backend = &db_sqlite;
    db->where = url.p + sizeof("sqlite:") - 1;
    return *db->where ? 0 : -EINVAL;
}

static int thread_start(struct db *db)
{
    int err = uv_mutex_init(&db->lock);
    if (err)
        return err;
    err = uv_cond_init(&db->work);
    if (err) {
        uv_mutex_destroy(&db->lock);
        return err;
    }
    db->async.wake = on_wake;
    err = loop_async_open(db->loop, &db->async);
    if (!err) {
        err = uv_thread_create(&db->thread, db_thread, db);
        if (!err)
            return 0;
        loop_async_close(&db->async);
        loop_settle(db->loop);
    }
    uv_cond_destroy(&db->work);
    uv_mutex_destroy(&db->lock);
    return err;
}

int db_open(struct db **ret, struct loop *loop, const struct db_config *cfg, char note[DB_NOTE_MAX])
{
    BUG_ON(cfg->statement_n > DB_MAX_STATEMENTS);
    note[0] = '\0';
    struct db *db = mem_zero(sizeof(*db));
    if (!db)
        return -ENOMEM;
    db->loop = loop;
    db->cfg = *cfg;
    if (!db->cfg.max_queue_bytes)
        db->cfg.max_queue_bytes = QUEUE_BYTES;
    if (!db->cfg.gather_us)
        db->cfg.gather_us = 4000;
    if (!db->cfg.busy_ms)
        db->cfg.busy_ms = 2000;
    int err = backend_find(db);
    if (err)
        str_copy_z(note, DB_NOTE_MAX, STR("the database URL must be sqlite:PATH"));
    else
        err = db->backend->open(&db->writer, db->where, &db->cfg, note);
    if (!err)
        err = thread_start(db);
    if (err) {
        if (db->writer)
            db->backend->close(db->writer);
        mem_free(db);
        return err;
    }
    *ret = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db_commit(db);
    uv_mutex_lock(&db->lock);
    db->stop = true;
    uv_mutex_unlock(&db->lock);
    uv_cond_signal(&db->work);
    uv_thread_join(&db->thread);
    on_wake(&db->async);
    loop_async_close(&db->async);
    loop_settle(db->loop);
    batch_free(db->filling);
    while (db->spare) {
        struct batch *b = db->spare;
        db->spare = b->next;
        batch_free(b);
    }
    if (db->reader)
        db->backend->close(db->reader);
    db->backend->close(db->writer);
    uv_cond_destroy(&db->work);
    uv_mutex_destroy(&db->lock);
    mem_free(db);
}

int db_query(struct db *db, const struct db_query *q)
{
    if (!db->reader) {
        int err = db->backend->open_reader(&db->reader, db->where, &db->cfg);
        if (err)
            return err;
    }
    return db->backend->query(db->reader, q);
}
