/* Writes JSON (RFC 8259) as it goes: commas, quotes and brackets are its own affair. A name is
 * given for a member of an object and NULL for an element of an array. */
#ifndef ANALYSIS_JSON_H
#define ANALYSIS_JSON_H

#include "analysis/sink.h"
#include "base/addr.h"

#define JSON_MAX_DEPTH 30

struct an_json {
    struct an_sink *sink;
    unsigned depth;
    uint32_t more;   /* bit d: something stands before at depth d */
    uint32_t object; /* bit d: depth d is an object */
    bool pretty;     /* the outer levels get lines of their own */
    bool in_page;    /* inside of a <script>: no '<' may be in it */
};

void an_json_init(struct an_json *j, struct an_sink *sink);
void an_json_object(struct an_json *j, const char *name);
void an_json_array(struct an_json *j, const char *name);
/* Ends the innermost object or array. */
void an_json_end(struct an_json *j);

void an_json_str(struct an_json *j, const char *name, struct str v);
/* Left out if it is empty. */
void an_json_str_if(struct an_json *j, const char *name, struct str v);
void an_json_u64(struct an_json *j, const char *name, uint64_t v);
void an_json_i64(struct an_json *j, const char *name, int64_t v);
void an_json_bool(struct an_json *j, const char *name, bool v);
void an_json_null(struct an_json *j, const char *name);
/* v / 10^digits, with all its digits: an_json_fixed(j, "mos", 441, 2) writes 4.41. */
void an_json_fixed(struct an_json *j, const char *name, int64_t v, unsigned digits);
/* Bytes as a data: URI (RFC 2397); head and then body, the head a multiple
 * of three bytes long. */
void json_data(struct an_json *j, const char *name, const char *type, struct str head,
               struct str body);
/* "192.0.2.1:5060", or null without an address. */
void an_json_addr(struct an_json *j, const char *name, const struct addr *a);
/* 2026-11-21T12:00:00.123456789Z */
void an_json_time(struct an_json *j, const char *name, uint64_t at_ns);

/* Appends the time of an_json_time(). */
void an_put_time(struct buf *b, uint64_t at_ns);

#endif
