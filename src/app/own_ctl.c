/* What can be asked about the exchange's own traffic: a call whole, what explains it, its messages
 * as a ladder; for people as text, for programs as the object of docs/analyze-json.md. */
#include <errno.h>

#include "analysis/json.h"
#include "analysis/ladder.h"
#include "app/own_int.h"
#include "app/wire_ctl.h"
#include "base/mem.h"
#include "pbx/api.h"
#include "pbx/store.h"

#define TEXT_MAX     (1u << 20)
#define WIDTH_LEAST  60
#define WIDTH_MOST   1000
#define WIDTH        100
#define HOSTS_MAX    32            /* that are named */
#define MESSAGES_MAX (512u * 1024) /* of message texts in an answer */

struct question {
    struct wire *w;
    const json_t *params;
    struct pbx_call_ids ids;
    struct an_traffic_answer found;
    struct an_report report;
    struct pbx_who who[HOSTS_MAX];
    struct an_known known[HOSTS_MAX];
    json_t *bots; /* that were asked in it; NULL: that is not known */
};

/* ---- what is asked for ----------------------------------------------------------------------- */

static int legs_row(void *ctx, const struct row_value *v, unsigned n)
{
    json_t **legs = ctx;
    if (n == 1 && v[0].type == ROW_TEXT && !*legs)
        *legs = json_loadb(v[0].s.p, v[0].s.n, 0, NULL);
    return 0;
}

/* The Call-ID of a leg of a call that has a record. */
static struct str call_id_of_record(struct wire *w, struct str record, char *mem, size_t cap)
{
    json_t *legs = NULL;
    struct row_value arg = ROW_S(record);
    struct db_query q = {
        .sql = pbx_store_cdr_legs, .arg = &arg, .arg_n = 1, .row = legs_row, .ctx = &legs};
    struct str id = STR_NONE;
    if (db_query(w->db, &q) == 0) {
        const json_t *text = json_object_get(json_array_get(legs, 0), "call_id");
        if (json_is_string(text))
            id = str_of(mem, str_copy_z(mem, cap, str_z(json_string_value(text))));
    }
    json_decref(legs);
    return id;
}

/* params.call: a number, a Call-ID, or the id of a record. */
static struct str name_of(struct question *q, char *mem, size_t cap)
{
    const json_t *v = json_object_get(q->params, "call");
    struct str record = wire_record_of(q->params);
    struct buf b;
    /* Some phones have Call-IDs that look like one. */
    struct str of_record = record.n ? call_id_of_record(q->w, record, mem, cap) : STR_NONE;
    if (of_record.n)
        return of_record;
    if (json_is_string(v))
        return str_of(json_string_value(v), json_string_length(v));
    buf_init(&b, mem, cap);
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        buf_u64(&b, (uint64_t)json_integer_value(v));
    return buf_str(&b);
}

/* Who never came as far as a call (wrong credentials, say) is found by the Call-ID alone. */
static int messages_find(struct question *q, struct str name)
{
    struct pbx_call_ids *ids = &q->ids;
    if (!name.n)
        return -ENOENT;
    if (pbx_call_ids_get(q->w->pbx, name, ids)) {
        ids->id[0] = name;
        ids->n = 1;
    }
    struct an_traffic_ask ask = {.call_id = ids->id, .n = ids->n, .number = ids->number};
    return an_traffic_find(q->w->own->traffic, &ask, &q->found);
}

static int64_t number(const json_t *params, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(params, name);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static struct an_style style_of(const json_t *params)
{
    enum an_lang lang = AN_ENGLISH;
    const json_t *text = json_object_get(params, "lang");
    int64_t width = number(params, "width", WIDTH);
    if (json_is_string(text) && an_lang_parse(&lang, str_z(json_string_value(text))))
        lang = AN_ENGLISH;
    return (struct an_style){.width = (unsigned)(width < WIDTH_LEAST  ? WIDTH_LEAST
                                                 : width > WIDTH_MOST ? WIDTH_MOST
                                                                      : width),
                             .color = json_is_true(json_object_get(params, "color")),
                             .unicode = !json_is_false(json_object_get(params, "unicode")),
                             .lang = (uint8_t)lang,
                             .zone_s = (int32_t)number(params, "zone_s", 0),
                             .with_messages = json_is_true(json_object_get(params, "messages")),
                             .max_messages = MESSAGES_MAX};
}

/* ---- what is answered ------------------------------------------------------------------------ */

static int take(void *user, const char *p, size_t n)
{
    struct buf *b = user;
    buf_put(b, p, n);
    return b->full ? -ENOBUFS : 0;
}

/* What is no call (a registration, say) has messages all the same. */
static void put_legs(const struct an_report *r, struct an_sink *out)
{
    uint32_t leg[PBX_CALL_IDS_MAX], n = 0;
    struct an_ladder l;
    for (; n < an_engine_legs(r->engine) && n < ARRAY_LEN(leg); n++)
        leg[n] = n;
    if (an_ladder_make(&l, r, AN_NONE, leg, n) == 0)
        an_ladder_text(&l, out);
    an_ladder_done(&l);
}

static void put_report(const struct question *q, const char *method, struct an_sink *out)
{
    const struct an_report *r = &q->report;
    bool call = an_engine_calls(r->engine) > 0;
    if (json_is_true(json_object_get(q->params, "json"))) {
        struct an_json j;
        an_json_init(&j, out);
        an_report_json_to(r, call ? 0 : AN_NONE, &j);
    } else if (!call) {
        put_legs(r, out);
    } else if (strcmp(method, "show") == 0) {
        an_report_call(r, 0, out);
    } else if (strcmp(method, "explain") == 0) {
        an_report_title(r, 0, out);
        an_report_findings(r, 0, out);
    } else {
        an_report_ladder(r, 0, out);
    }
}

static int append(const char *text, size_t n, void *arg)
{
    buf_put(arg, text, n);
    return 0;
}

/* NULL is written as null. */
static void put_json(struct buf *out, json_t *value)
{
    size_t before = out->n;
    json_dump_callback(value, append, out,
                       JSON_COMPACT | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY);
    if (out->n == before)
        buf_lit(out, "null");
    json_decref(value);
}

/* The media plane's own figures stand for the packets, which are not kept. */
static json_t *quality_of(const struct question *q)
{
    enum api_error error;
    const struct pbx_call_ids *ids = &q->ids;
    if (!ids->record[0])
        return json_array();
    if (!ids->live)
        return wire_quality(q->w, str_z(ids->record));
    json_t *params = json_pack("{s:I}", "call", (json_int_t)ids->number);
    json_t *list = api_quality(q->w->pbx, params, &error);
    json_decref(params);
    return list ? list : json_array();
}

static json_t *bots_of(const struct question *q)
{
    enum api_error error;
    const struct pbx_call_ids *ids = &q->ids;
    if (!ids->record[0] || !ids->live)
        return ids->record[0] ? wire_bots(q->w, str_z(ids->record)) : NULL;
    json_t *params = json_pack("{s:I}", "call", (json_int_t)ids->number);
    json_t *list = api_bots(q->w->pbx, params, &error);
    json_decref(params);
    return list;
}

static bool bot_answered(const json_t *bots)
{
    const json_t *bot;
    size_t i;
    bool any = false;
    json_array_foreach(bots, i, bot)
    {
        const char *outcome = json_string_value(json_object_get(bot, "outcome"));
        any |= outcome && strcmp(outcome, "answered") == 0;
    }
    return any;
}

static int put_answer(const struct question *q, const char *method, struct buf *text,
                      struct buf *out)
{
    struct an_sink *sink = mem_alloc(sizeof(*sink));
    bool json = json_is_true(json_object_get(q->params, "json"));
    if (!sink)
        return -ENOMEM;
    an_sink_init(sink, take, text);
    put_report(q, method, sink);
    int err = an_sink_flush(sink);
    mem_free(sink);
    buf_printf(out, "{\"number\":%llu,\"live\":%s,\"messages\":%u,\"left_out\":%u,\"cut\":%s",
               (unsigned long long)q->ids.number, q->ids.live ? "true" : "false", q->found.messages,
               q->found.left_out, err ? "true" : "false");
    buf_lit(out, ",\"quality\":");
    put_json(out, quality_of(q));
    buf_lit(out, ",\"bots\":");
    put_json(out, q->bots ? json_incref(q->bots) : json_array());
    if (!json) {
        buf_lit(out, ",\"text\":\"");
        buf_json(out, buf_str(text));
        buf_ch(out, '"');
    } else {
        buf_lit(out, ",\"report\":");
        buf_str_put(out, err ? STR("null") : buf_str(text));
    }
    buf_ch(out, '}');
    return 0;
}

static unsigned hosts_find(struct question *q)
{
    const struct an_engine *e = q->found.engine;
    unsigned n = 0;
    for (uint32_t i = 0; i < an_engine_legs(e); i++) {
        const struct an_leg *leg = an_engine_leg(e, i);
        for (unsigned k = 0; k < leg->n_hosts && n < HOSTS_MAX; k++) {
            unsigned at = 0;
            while (at < n && !addr_eq(&q->who[at].at, &leg->host[k]))
                at++;
            if (at == n)
                q->who[n++].at = leg->host[k];
        }
    }
    return n;
}

/* The exchange knows its phones and trunks. */
static void names_find(struct question *q)
{
    unsigned n = hosts_find(q);
    pbx_who_get(q->w->pbx, q->who, n);
    q->report.known = q->known;
    for (unsigned i = 0; i < n; i++)
        if (q->who[i].name.n)
            q->known[q->report.n_known++] = (struct an_known){
                .at = q->who[i].at, .name = q->who[i].name, .phone = q->who[i].phone};
}

static int report_begin(struct question *q)
{
    q->report = (struct an_report){.engine = q->found.engine,
                                   .file = &q->found.file,
                                   .n_files = 1,
                                   .style = style_of(q->params)};
    names_find(q);
    q->bots = bots_of(q);
    q->report.bot = bot_answered(q->bots);
    return an_report_init(&q->report);
}

static int answer(struct question *q, const char *method, struct buf *out)
{
    struct buf text;
    char *mem = mem_alloc(TEXT_MAX);
    int err = mem ? report_begin(q) : -ENOMEM;
    if (!err) {
        buf_init(&text, mem, TEXT_MAX);
        err = put_answer(q, method, &text, out);
        an_report_done(&q->report);
    }
    mem_free(mem);
    json_decref(q->bots);
    return err;
}

static const char *why(const struct wire *w, int err)
{
    if (!w->own->traffic)
        return "messages are not kept: limits.traffic is 0";
    return err == -ENOENT ? "not found: no message of it is in memory" : uv_strerror(err);
}

static void put_id(struct buf *out, const json_t *request)
{
    json_t *id = json_object_get(request, "id");
    buf_lit(out, ",\"id\":");
    put_json(out, id ? json_incref(id) : json_null());
    buf_ch(out, '}');
}

/* ---- what was tried -------------------------------------------------------------------------- */

static json_t *attempt_json(struct wire *w, const struct an_attempted *a)
{
    uint64_t number = pbx_call_number(w->pbx, a->call_id);
    json_t *j = json_object();
    json_object_set_new(j, "at_ms", json_integer((json_int_t)(a->at_ns / 1000000)));
    json_object_set_new(j, "from", api_text(a->from));
    json_object_set_new(j, "to", api_text(a->to));
    json_object_set_new(j, "source", api_addr(&a->from_addr));
    json_object_set_new(j, "invites", json_integer(a->invites));
    json_object_set_new(j, "status", a->status ? json_integer(a->status) : json_null());
    json_object_set_new(j, "call", number ? json_integer((json_int_t)number) : json_null());
    json_object_set_new(j, "call_id", api_text(a->call_id));
    return j;
}

static json_t *attempts(struct wire *w, const json_t *request, int *err)
{
    int64_t limit = number(json_object_get(request, "params"), "limit", 20);
    struct an_attempted *v = mem_alloc(AN_ATTEMPTS_MAX * sizeof(*v));
    int n = !v ? -ENOMEM : !w->own->traffic || limit < 1 ? -ENOENT : 0;
    if (!n)
        n = an_traffic_attempts(w->own->traffic, v,
                                limit > AN_ATTEMPTS_MAX ? AN_ATTEMPTS_MAX : (unsigned)limit);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, attempt_json(w, &v[i]));
    mem_free(v);
    *err = n < 0 ? n : 0;
    return list;
}

/* ---- the requests --------------------------------------------------------------------------- */

static void put_error(struct wire *w, struct buf *out, int err)
{
    out->n = 0;
    buf_printf(out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%d,\"message\":\"%s\"}",
               err == -ENOENT ? API_NOT_FOUND : API_INTERNAL, why(w, err));
}

/* A report about one call. 0 or a negative errno. */
static int report(struct wire *w, const char *method, const json_t *request, struct buf *out)
{
    char mem[512];
    struct question *q = mem_zero(sizeof(*q));
    if (!q)
        return -ENOMEM;
    q->w = w;
    q->params = json_object_get(request, "params");
    int err = w->own->traffic ? messages_find(q, name_of(q, mem, sizeof(mem))) : -ENOENT;
    if (!err) {
        err = answer(q, method, out);
        an_engine_free(q->found.engine);
    }
    mem_free(q);
    return err;
}

bool own_request(struct wire *w, const char *method, const json_t *request, struct buf *out)
{
    bool list = strcmp(method, "attempts") == 0;
    int err = 0;
    if (!list && strcmp(method, "show") != 0 && strcmp(method, "explain") != 0 &&
        strcmp(method, "ladder") != 0)
        return false;
    buf_lit(out, "{\"jsonrpc\":\"2.0\",\"result\":");
    if (list)
        put_json(out, attempts(w, request, &err));
    else
        err = report(w, method, request, out);
    if (err)
        put_error(w, out, err);
    put_id(out, request);
    return true;
}

/* ---- counters -------------------------------------------------------------------------------- */

static void put(json_t *j, const char *key, uint64_t v)
{
    json_object_set_new(j, key, json_integer((json_int_t)v));
}

void own_stats(struct wire *w, json_t *all)
{
    const struct own *o = w->own;
    if (o->traffic) {
        struct an_traffic_stats s = an_traffic_stats_get(o->traffic);
        json_t *j = json_object();
        put(j, "messages", s.messages);
        put(j, "kept", s.kept);
        put(j, "kept_bytes", s.kept_bytes);
        put(j, "max_bytes", s.max_bytes);
        put(j, "oldest_ms", s.oldest_ns / 1000000);
        json_object_set_new(all, "traffic", j);
    }
    const struct hepout_stats *s = hepout_stats_get(o->hep);
    if (!hepout_wanted(o->hep) && !s->packets)
        return;
    json_t *j = json_object();
    json_object_set_new(j, "up", json_boolean(s->up));
    put(j, "packets", s->packets);
    put(j, "bytes", s->bytes);
    put(j, "dropped", s->dropped);
    put(j, "errors", s->errors);
    put(j, "queued_bytes", s->queued_bytes);
    json_object_set_new(all, "hep", j);
}
