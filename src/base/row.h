/* Values for the database: what the PBX wants stored, as data. The statements themselves are a
 * table in pbx/store; io/db runs them on its own thread. */
#ifndef BASE_ROW_H
#define BASE_ROW_H

#include "base/str.h"

enum row_type { ROW_NULL, ROW_INT, ROW_TEXT };

struct row_value {
    enum row_type type;
    int64_t i;
    struct str s;
};

#define ROW_I(v) ((struct row_value){.type = ROW_INT, .i = (int64_t)(v)})
#define ROW_S(v) ((struct row_value){.type = ROW_TEXT, .s = (v)})
#define ROW_MAX  32

/* One statement to run. Text points into memory that lives until the turn's outputs are drained. */
struct row_op {
    uint16_t statement;
    uint16_t n;
    struct row_value v[ROW_MAX];
};

#endif
