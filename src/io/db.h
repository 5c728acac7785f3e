/* The database behind a thread of its own, so that a slow disk never holds up a message. The owner
 * submits statements as values; db_commit() seals those submitted since the last one into a batch,
 * and `done` tells, on the loop's thread, when it is in the database for good. Batches that wait
 * together are committed together. */
#ifndef IO_DB_H
#define IO_DB_H

#include "base/row.h"
#include "io/loop.h"

#define DB_MAX_STATEMENTS 64
#define DB_NOTE_MAX       512
#define DB_PRUNE_TEXT     40

struct db_config {
    const char *url;           /* "sqlite:PATH" */
    const char *const *schema; /* run at opening, in order; must do no harm when repeated */
    unsigned schema_n;
    const char *const *statement; /* row_op.statement is the index; live as long as the db */
    unsigned statement_n;         /* at most DB_MAX_STATEMENTS */
    size_t max_queue_bytes;       /* 0: 64 MiB; what is submitted beyond is refused */
    uint32_t busy_ms;             /* 0: 2000; how long to wait for another program's lock */
    uint32_t gather_us;           /* 0: 4000; transactions begin at least so far apart, so that
                                   * under load many batches share one. A first batch after a
                                   * pause does not wait. */
    bool sync_full;               /* survive power loss, not only a killed process: fsync at each
                                   * commit */
    /* Batch number seq and all before it that were not reported yet: err 0, they are stored; else
     * a negative errno, this batch is lost (-ENOSPC, -EBUSY, -EIO, -EINVAL). Called in order. */
    void (*done)(void *ctx, uint64_t seq, int err);
    /* What db_prune() asked for with this statement has ended with an error. NULL: not told. */
    void (*prune_failed)(void *ctx, uint16_t statement, int err);
    void *ctx;
};

struct db_stats {
    uint64_t ops, batches, transactions;
    uint64_t refused; /* statements submitted while the queue was full */
    uint64_t lost;    /* statements of batches that failed */
    uint64_t busy_us; /* time spent in transactions */
    uint64_t pruned;  /* rows that db_prune() removed */
    size_t queued_bytes;
    uint32_t queued_batches;
};

struct db;

/* Creates the folder and the file, mode 0640 within it, if they are missing. A file that is no
 * database or a damaged one is moved aside and a new one made. note[DB_NOTE_MAX] gets a sentence
 * about that, about the error, or nothing. */
MUST_CHECK int db_open(struct db **ret, struct loop *loop, const struct db_config *cfg,
                       char note[DB_NOTE_MAX]);
/* Stores what was committed, then ends the thread. `done` is called for the rest from in here. Not
 * from inside a callback. Accepts NULL. */
void db_close(struct db *db);

/* Copies the statement and its values into the batch. -ENOBUFS: the queue is full, nothing was
 * taken; -ENOMEM. */
MUST_CHECK int db_submit(struct db *db, const struct row_op *op);
/* Hands the batch over. Its number (1, 2, ...), or 0 if nothing was submitted. */
uint64_t db_commit(struct db *db);
/* Runs a statement that removes some rows, its one value being this text of less than
 * DB_PRUNE_TEXT bytes, until it finds none any more: each time in a transaction of its own, and
 * only while nothing else waits, so that what is removed holds up nothing that is stored. Asked
 * again meanwhile, it goes on with the new text. An error ends it, of which prune_failed
 * tells; it is to be asked again some time. */
void db_prune(struct db *db, uint16_t statement, struct str value);
/* The highest number `done` has told. */
uint64_t db_done_seq(const struct db *db);
struct db_stats db_stats_get(struct db *db);

/* Reads, at once and on the calling thread, over a connection of its own; waits for nothing but
 * the disk. `row` gets one row after the other and ends it by returning nonzero, which is then
 * returned. Text is valid during the call. Else 0 or a negative errno. */
struct db_query {
    const char *sql;
    const struct row_value *arg;
    unsigned arg_n;
    int (*row)(void *ctx, const struct row_value *v, unsigned n);
    void *ctx;
};
MUST_CHECK int db_query(struct db *db, const struct db_query *q);

#endif
