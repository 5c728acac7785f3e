/* Between db.c (thread and queue) and the databases it can drive. Nobody else includes this. */
#ifndef IO_DB_PRIV_H
#define IO_DB_PRIV_H

#include "io/db.h"

struct db_conn;

/* A connection is used by one thread at a time. All return 0 or a negative errno. */
struct db_backend {
    /* `where` is the URL without its scheme. Prepares the statements. */
    int (*open)(struct db_conn **ret, const char *where, const struct db_config *cfg, char *note);
    /* A second connection, for reading. */
    int (*open_reader)(struct db_conn **ret, const char *where, const struct db_config *cfg);
    void (*close)(struct db_conn *c);
    int (*begin)(struct db_conn *c);
    int (*run)(struct db_conn *c, const struct row_op *op);
    /* Rows that the last run() has changed. */
    uint64_t (*changes)(struct db_conn *c);
    int (*commit)(struct db_conn *c);
    void (*rollback)(struct db_conn *c);
    int (*query)(struct db_conn *c, const struct db_query *q);
};

extern const struct db_backend db_sqlite;

#endif
