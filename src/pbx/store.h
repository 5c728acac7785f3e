/* What is kept in the database, as data: the schema, the statements that PBX_OUT_STORE names by
 * number, and the queries that restore state at the start. SQL that SQLite and PostgreSQL both
 * understand. */
#ifndef PBX_STORE_H
#define PBX_STORE_H

#include "base/row.h"

enum store_statement {
    STORE_BINDING_PUT, /* see the columns in store.c */
    STORE_BINDING_DEL, /* aor, contact */
    STORE_CDR_PUT,
    STORE_CDR_DETAIL_PUT, /* id, parent, detail: of calls that were more than basic */
    STORE_CDR_RESTORE,    /* as STORE_CDR_PUT, unless the record is there */
    STORE_CDR_DETAIL_RESTORE,
    STORE_SETTING_PUT,  /* extension, name, value */
    STORE_SETTING_DEL,  /* extension, name */
    STORE_QUALITY_PUT,  /* see the columns in store.c */
    STORE_MESSAGE_PUT,  /* see the columns in store.c */
    STORE_MESSAGE_DEL,  /* id */
    STORE_CALL_BOT_PUT, /* see the columns in store.c */
    /* Some of the rows whose id is below the one value; to be repeated until there are none. The
     * last two: of call_quality and call_bot. */
    STORE_CDR_PRUNE,
    STORE_CDR_DETAIL_PRUNE,
    STORE_QUALITY_PRUNE,
    STORE_CALL_BOT_PRUNE,
    STORE_STATEMENTS
};
enum store_restore {
    STORE_RESTORE_BINDINGS,
    STORE_RESTORE_SETTINGS,
    STORE_RESTORE_MESSAGES,
    STORE_RESTORES
};

/* The ids of records made at this time of the wall clock or later are not below it. */
#define STORE_ID_AT_BYTES 13
void store_id_at(char ret[STORE_ID_AT_BYTES], uint64_t wall_ms);

extern const char *const pbx_store_schema[];
extern const unsigned pbx_store_schema_n;
extern const char *const pbx_store_statement[STORE_STATEMENTS];
extern const char *const pbx_store_restore[STORE_RESTORES];

/* The newest CDRs; ?1 is how many. The columns are those of STORE_CDR_PUT, in its order,
 * then parent and detail. */
extern const char *const pbx_store_cdr_list;
/* The legs of record ?1, as JSON. */
extern const char *const pbx_store_cdr_legs;
/* How the media of record ?1 were; the columns of STORE_QUALITY_PUT but the first, in its order. */
extern const char *const pbx_store_quality_list;
/* The bots that were asked in the call of record ?1; the columns of STORE_CALL_BOT_PUT but the
 * first, in its order. */
extern const char *const pbx_store_bot_list;

#endif
