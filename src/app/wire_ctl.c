/* The control socket's requests that need files or the database; the rest is the PBX's. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "app/metrics.h"
#include "app/own.h"
#include "app/wire_ctl.h"
#include "base/mem.h"
#include "io/fs.h"
#include "io/notify.h"
#include "pbx/api.h"
#include "pbx/store.h"

#define CONFIG_MAX_BYTES (16u << 20)
#define CDR_MAX          10000
#define METRICS_BYTES    (256u << 10)

static int read_config(struct wire *w, struct config **ret, struct buf *why)
{
    char *text;
    size_t n;
    int err = fs_read(w->file_name, CONFIG_MAX_BYTES, &text, &n);
    if (err) {
        buf_printf(why, "%s: %s", w->file_name, uv_strerror(err));
        return err;
    }
    struct config_errors *errors = mem_zero(sizeof(*errors));
    err = errors ? config_load(ret, w->file_name, str_of(text, n), errors) : -ENOMEM;
    if (err && errors && errors->n)
        buf_z(why, errors->v[0].text);
    else if (err)
        buf_z(why, "out of memory");
    mem_free(errors);
    mem_free(text);
    return err;
}

int wire_reload(struct wire *w, struct buf *why)
{
    struct config *config = NULL;
    struct str reason;
    int err = read_config(w, &config, why);
    err = err ? err : wire_check_tls(w, config, why);
    if (!err) {
        err = pbx_reload(w->pbx, loop_now(w->loop), config, &reason);
        if (err)
            buf_str_put(why, reason);
    }
    if (err) {
        config_unref(config);
        trace_emit(wire_trace(w), TRACE_RELOAD_FAILED, 0, TS(buf_str(why)));
        return err;
    }
    struct config *before = w->config;
    w->config = config;
    wire_reload_sounds(w, before);
    wire_check_ears(w, before);
    own_reload(w);
    wire_reload_tls(w);
    trace_emit(wire_trace(w), TRACE_RELOAD_OK, 0, TS(str_z(w->file_name)));
    wire_drain(w);
    config_unref(before);
    return 0;
}

static int append(const char *text, size_t n, void *arg)
{
    buf_put(arg, text, n);
    return 0;
}

static void reply(struct buf *out, const json_t *request, const char *key, json_t *value)
{
    json_t *all = json_object(), *id = json_object_get(request, "id");
    json_object_set_new(all, "jsonrpc", json_string("2.0"));
    json_object_set_new(all, key, value);
    json_object_set(all, "id", id ? id : json_null());
    json_dump_callback(all, append, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(all);
}

static void reload(struct wire *w, const json_t *request, struct buf *out)
{
    char mem[512];
    struct buf why;
    buf_init(&why, mem, sizeof(mem) - 1);
    int err = wire_reload(w, &why);
    mem[why.n] = '\0';
    if (err)
        reply(out, request, "error", json_pack("{s:i,s:s}", "code", 2, "message", mem));
    else
        reply(out, request, "result", json_pack("{s:s}", "applied", w->file_name));
}

/* ---- call records ---------------------------------------------------------------------------- */

static const char *const cdr_column[] = {
    "id",         "scenario",    "caller",   "caller_name", "dialled",  "callee",
    "did",        "answered_by", "trunk_in", "trunk_out",   "start_ms", "ring_ms",
    "answer_ms",  "end_ms",      "talk_ms",  "disposition", "ended_by", "sip_cause",
    "q850_cause", "reason",      "codec",    "legs",        "parent",   "detail"};

/* Columns that are JSON themselves. */
static bool is_json(const char *column)
{
    return strcmp(column, "legs") == 0 || strcmp(column, "detail") == 0;
}

static int cdr_row(void *ctx, const struct row_value *v, unsigned n)
{
    json_t *list = ctx, *row = json_object();
    for (unsigned i = 0; i < n && i < ARRAY_LEN(cdr_column); i++) {
        json_t *value = v[i].type == ROW_NULL  ? json_null()
                        : v[i].type == ROW_INT ? json_integer(v[i].i)
                                               : json_stringn(v[i].s.p, v[i].s.n);
        json_t *inner = v[i].type == ROW_TEXT && is_json(cdr_column[i])
                            ? json_loadb(v[i].s.p, v[i].s.n, 0, NULL)
                            : NULL;
        if (inner) {
            json_decref(value);
            value = inner;
        }
        json_object_set_new(row, cdr_column[i], value ? value : json_string("?"));
    }
    json_array_append_new(list, row);
    return 0;
}

static void cdr(struct wire *w, const json_t *request, struct buf *out)
{
    const json_t *limit = json_object_get(json_object_get(request, "params"), "limit");
    json_int_t n = json_is_integer(limit) ? json_integer_value(limit) : 20;
    if (n < 1 || n > CDR_MAX) {
        reply(out, request, "error",
              json_pack("{s:i,s:s}", "code", -32602, "message", "limit: 1 to 10000"));
        return;
    }
    json_t *list = json_array();
    struct row_value arg = ROW_I(n);
    struct db_query q = {
        .sql = pbx_store_cdr_list, .arg = &arg, .arg_n = 1, .row = cdr_row, .ctx = list};
    int err = db_query(w->db, &q);
    if (err) {
        json_decref(list);
        reply(out, request, "error",
              json_pack("{s:i,s:s}", "code", 3, "message", uv_strerror(err)));
        return;
    }
    reply(out, request, "result", list);
}

/* ---- quality --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int divisor; /* the column is a whole number of such parts; 0: it is what it is */
} quality_column[] = {{"leg", 0},       {"stream", 0},      {"direction", 0},  {"codec", 0},
                      {"packets", 0},   {"bytes", 0},       {"lost", 0},       {"discarded", 0},
                      {"jitter_us", 0}, {"rtt_mean_us", 0}, {"rtt_max_us", 0}, {"r", 10},
                      {"mos", 100},     {"late", 0},        {"concealed", 0}};

static int quality_row(void *ctx, const struct row_value *v, unsigned n)
{
    json_t *list = ctx, *row = json_object();
    for (unsigned i = 0; i < n && i < ARRAY_LEN(quality_column); i++) {
        int divisor = quality_column[i].divisor;
        json_t *value = v[i].type == ROW_NULL   ? json_null()
                        : v[i].type == ROW_TEXT ? json_stringn(v[i].s.p, v[i].s.n)
                        : divisor               ? json_real((double)v[i].i / divisor)
                                                : json_integer(v[i].i);
        json_object_set_new(row, quality_column[i].name, value ? value : json_string("?"));
    }
    json_array_append_new(list, row);
    return 0;
}

struct str wire_record_of(const json_t *params)
{
    const char *text = json_string_value(json_object_get(params, "call"));
    if (!text || strspn(text, "0123456789abcdef") != 32 || text[32])
        return STR_NONE;
    return str_z(text);
}

json_t *wire_quality(struct wire *w, struct str record)
{
    json_t *list = json_array();
    struct row_value arg = ROW_S(record);
    struct db_query q = {
        .sql = pbx_store_quality_list, .arg = &arg, .arg_n = 1, .row = quality_row, .ctx = list};
    if (db_query(w->db, &q) == 0)
        return list;
    json_decref(list);
    return NULL;
}

static int seen_row(void *ctx, const struct row_value *v, unsigned n)
{
    *(bool *)ctx = true;
    return 0;
}

static bool record_is_known(struct wire *w, struct str record)
{
    bool seen = false;
    struct row_value arg = ROW_S(record);
    struct db_query q = {
        .sql = pbx_store_cdr_legs, .arg = &arg, .arg_n = 1, .row = seen_row, .ctx = &seen};
    return db_query(w->db, &q) != 0 || seen; /* what cannot be read may be there */
}

/* What is kept of the record that the request names. */
static void reply_of_record(struct wire *w, const json_t *request, struct buf *out,
                            json_t *(*get)(struct wire *w, struct str record))
{
    struct str record = wire_record_of(json_object_get(request, "params"));
    json_t *list = get(w, record);
    if (!list) {
        reply(out, request, "error",
              json_pack("{s:i,s:s}", "code", 3, "message", "the database cannot be read"));
    } else if (json_array_size(list) || record_is_known(w, record)) {
        reply(out, request, "result", list);
    } else { /* as of a call that there is not */
        json_decref(list);
        reply(out, request, "error",
              json_pack("{s:i,s:s}", "code", API_NOT_FOUND, "message", "not found"));
    }
}

/* ---- bots ------------------------------------------------------------------------------------ */

static int bot_row(void *ctx, const struct row_value *v, unsigned n)
{
    static const char *const column[] = {"bot",      "engine", "reason",  "outcome",
                                         "after_ms", "ms",     "figures", "transcript"};
    json_t *list = ctx, *row = json_object();
    for (unsigned i = 0; i < n && i < ARRAY_LEN(column); i++) {
        bool json = strcmp(column[i], "figures") == 0 || strcmp(column[i], "transcript") == 0;
        json_t *value = v[i].type == ROW_INT    ? json_integer(v[i].i)
                        : v[i].type != ROW_TEXT ? json_null()
                        : json                  ? json_loadb(v[i].s.p, v[i].s.n, 0, NULL)
                                                : json_stringn(v[i].s.p, v[i].s.n);
        json_object_set_new(row, column[i], value ? value : json_string("?"));
    }
    json_array_append_new(list, row);
    return 0;
}

json_t *wire_bots(struct wire *w, struct str record)
{
    json_t *list = json_array();
    struct row_value arg = ROW_S(record);
    struct db_query q = {
        .sql = pbx_store_bot_list, .arg = &arg, .arg_n = 1, .row = bot_row, .ctx = list};
    if (db_query(w->db, &q) == 0)
        return list;
    json_decref(list);
    return NULL;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The exchange answers, and the program adds what it alone knows. */
static void stats(struct wire *w, struct str line, struct buf *out)
{
    pbx_api(w->pbx, loop_now(w->loop), line, out);
    json_t *all = json_loadb(out->p, out->n, 0, NULL);
    json_t *result = json_object_get(all, "result");
    if (result) {
        own_stats(w, result);
        wire_tls_stats(w, result);
        out->n = 0;
        json_dump_callback(all, append, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    }
    json_decref(all);
}

/* The counters of `stats` and of `mrcp` in one text. */
static void metrics(struct wire *w, const json_t *request, struct buf *out)
{
    struct buf text;
    char *mem = mem_alloc(METRICS_BYTES);
    json_t *mrcp = wire_speech_stats(w);
    if (!mem) {
        json_decref(mrcp);
        reply(out, request, "error", json_pack("{s:i,s:s}", "code", 1, "message", "no memory"));
        return;
    }
    buf_init(&text, mem, METRICS_BYTES);
    pbx_api(w->pbx, loop_now(w->loop), STR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}"),
            &text);
    json_t *all = json_loadb(text.p, text.n, 0, NULL);
    json_t *figures = json_object_get(all, "result");
    if (figures)
        own_stats(w, figures);
    text.n = 0;
    metrics_put(&text, "ringdown", figures);
    metrics_put_mrcp_help(&text, "ringdown_mrcp");
    metrics_put(&text, "ringdown_mrcp", mrcp);
    reply(out, request, "result", json_pack("{s:s#}", "text", text.p, text.n));
    json_decref(all);
    json_decref(mrcp);
    mem_free(mem);
}

void wire_ctl_request(void *ctx, struct str line, struct buf *out)
{
    struct wire *w = ctx;
    json_t *request = json_loadb(line.p, line.n, 0, NULL);
    const char *method = json_string_value(json_object_get(request, "method"));
    if (method && strcmp(method, "reload") == 0) {
        reload(w, request, out);
    } else if (method && strcmp(method, "cdr") == 0) {
        cdr(w, request, out);
    } else if (method && strcmp(method, "quality") == 0 &&
               wire_record_of(json_object_get(request, "params")).n) {
        reply_of_record(w, request, out, wire_quality);
    } else if (method && strcmp(method, "bots") == 0 &&
               wire_record_of(json_object_get(request, "params")).n) {
        reply_of_record(w, request, out, wire_bots);
    } else if (method && strcmp(method, "certificates") == 0) {
        reply(out, request, "result", wire_certificates(w));
    } else if (method && strcmp(method, "stats") == 0) {
        stats(w, line, out);
        wire_drain(w);
    } else if (method && strcmp(method, "mrcp") == 0) {
        reply(out, request, "result", wire_speech_stats(w));
    } else if (method && strcmp(method, "metrics") == 0) {
        metrics(w, request, out);
        wire_drain(w);
    } else if (method && own_request(w, method, request, out)) {
        wire_drain(w);
    } else {
        pbx_api(w->pbx, loop_now(w->loop), line, out);
        wire_drain(w);
    }
    json_decref(request);
}
