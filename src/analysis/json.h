/* Writes JSON (RFC 8259) as it goes: commas, quotes and brackets are its own affair. A name is
 * given for a member of an object and NULL for an element of an array. */
#ifndef ANALYSIS_JSON_H
#define ANALYSIS_JSON_H

#include "analysis/sink.h"
#include "base/addr.h"

#define JSON_MAX_DEPTH 30

struct json {
    struct an_sink *sink;
    unsigned depth;
    uint32_t more;   /* bit d: something stands before at depth d */
    uint32_t object; /* bit d: depth d is an object */
    bool pretty;     /* the outer levels get lines of their own */
    bool in_page;    /* inside of a <script>: no '<' may be in it */
};

void json_init(struct json *j, struct an_sink *sink);
void json_object(struct json *j, const char *name);
void json_array(struct json *j, const char *name);
/* Ends the innermost object or array. */
void json_end(struct json *j);

void json_str(struct json *j, const char *name, struct str v);
/* Left out if it is empty. */
void json_str_if(struct json *j, const char *name, struct str v);
void json_u64(struct json *j, const char *name, uint64_t v);
void json_i64(struct json *j, const char *name, int64_t v);
void json_bool(struct json *j, const char *name, bool v);
void json_null(struct json *j, const char *name);
/* v / 10^digits, with all its digits: json_fixed(j, "mos", 441, 2) writes 4.41. */
void json_fixed(struct json *j, const char *name, int64_t v, unsigned digits);
/* Bytes as a data: URI (RFC 2397); head and then body, the head a multiple
 * of three bytes long. */
void json_data(struct json *j, const char *name, const char *type, struct str head,
               struct str body);
/* "192.0.2.1:5060", or null without an address. */
void json_addr(struct json *j, const char *name, const struct addr *a);
/* 2026-11-21T12:00:00.123456789Z */
void json_time(struct json *j, const char *name, uint64_t at_ns);

/* Appends the time of json_time(). */
void an_put_time(struct buf *b, uint64_t at_ns);

#endif
