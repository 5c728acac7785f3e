/* A call that was being recorded when the process was killed has no record, but its recording has a
 * sidecar, which says whose it was; and how long the sound is says when it ended. */
#include <jansson.h>

#include "pbx/record.h"

#define CAUSE_OUT_OF_ORDER 27 /* Q.850: a party does not work; here it is we */

static struct str text(const json_t *j, const char *key)
{
    const json_t *t = json_object_get(j, key);
    return str_of(json_string_value(t) ? json_string_value(t) : "", json_string_length(t));
}

static uint64_t number(const json_t *j, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(j, key));
    return v > 0 ? (uint64_t)v : 0;
}

static struct row_value optional(struct str s)
{
    return s.n ? ROW_S(s) : (struct row_value){.type = ROW_NULL};
}

static bool is_id(struct str s)
{
    bool hex = s.n == 32;
    for (size_t i = 0; hex && i < s.n; i++)
        hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    return hex;
}

static void put_record(struct pbx *p, const json_t *j, uint64_t end_ms)
{
    uint64_t began = number(j, "began_ms");
    uint64_t answer = number(j, "answer_ms") ? number(j, "answer_ms") : began;
    uint64_t start = number(j, "start_ms") ? number(j, "start_ms") : answer;
    const struct row_value none = {.type = ROW_NULL};
    const struct row_value values[] = {
        ROW_S(pbx_turn_dup(p, text(j, "cdr"))),
        ROW_S(call_scenario_name(SCENARIO_BASIC)),
        ROW_S(pbx_turn_dup(p, text(j, "caller"))),
        none,
        ROW_S(pbx_turn_dup(p, text(j, "dialled"))),
        optional(pbx_turn_dup(p, text(j, "callee"))),
        none,
        none,
        none,
        none,
        ROW_I(start),
        none,
        ROW_I(answer),
        ROW_I(end_ms),
        ROW_I(end_ms > answer ? end_ms - answer : 0),
        ROW_S(STR("ANSWERED")),
        ROW_S(STR("system")),
        ROW_I(200),
        ROW_I(CAUSE_OUT_OF_ORDER),
        ROW_S(STR("killed")),
        none,
        ROW_S(STR("[]")),
    };
    struct row_op *op = pbx_store(p, STORE_CDR_RESTORE);
    _Static_assert(ARRAY_LEN(values) <= ROW_MAX, "a row holds the record");
    memcpy(op->v, values, sizeof(values));
    op->n = ARRAY_LEN(values);
}

static void put_detail(struct pbx *p, const json_t *j, const struct pbx_found *f, uint64_t end_ms)
{
    struct buf b;
    uint64_t start = number(j, "start_ms");
    size_t cap = f->folder.n + f->base.n + 240;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b,
            "{\"segments\":[],\"attempts\":[],\"events\":[{\"event\":\"recording\",\"file\":\"");
    buf_json(&b, f->folder);
    buf_ch(&b, '/');
    buf_json(&b, f->base);
    buf_printf(&b, "\"},{\"event\":\"killed\",\"at_ms\":%llu}]}",
               (unsigned long long)(end_ms > start ? end_ms - start : 0));
    struct str parent = text(j, "parent");
    struct row_op *op = pbx_store(p, STORE_CDR_DETAIL_RESTORE);
    op->v[0] = ROW_S(pbx_turn_dup(p, text(j, "cdr")));
    op->v[1] = optional(is_id(parent) ? pbx_turn_dup(p, parent) : STR_NONE);
    op->v[2] = ROW_S(buf_str(&b));
    op->n = 3;
}

void recording_found(struct pbx *p, const struct pbx_found *f)
{
    trace_emit(&p->trace, TRACE_RECORDING_FOUND, 0, TS(f->folder), TS(f->base));
    json_t *j = f->json.n ? json_loadb(f->json.p, f->json.n, JSON_ALLOW_NUL, NULL) : NULL;
    uint64_t began = number(j, "began_ms");
    /* That of a room is of no one call. */
    if (is_id(text(j, "cdr")) && began) {
        put_record(p, j, began + f->ms);
        put_detail(p, j, f, began + f->ms);
    }
    json_decref(j);
}
