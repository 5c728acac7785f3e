/* JSON-RPC 2.0: one request in, one reply out. */
#include "pbx/api.h"

static const struct {
    const char *name;
    api_method run;
} methods[] = {
    {"status", api_status},
    {"calls", api_calls},
    {"registrations", api_registrations},
    {"trunks", api_trunks},
    {"timers", api_timers},
    {"stats", api_stats},
    {"rtt", api_rtt},
    {"trace", api_trace},
    {"hangup", api_hangup},
    {"quality", api_quality},
    {"bots", api_bots},
    {"record", api_record},
    {"settings", api_settings},
    {"set", api_set},
    {"ban", api_ban},
    {"unban", api_unban},
    {"bans", api_bans},
    {"subscriptions", api_subscriptions},
    {"mailboxes", api_mailboxes},
    {"mwi", api_mwi},
    {"conferences", api_conferences},
    {"conference", api_conference},
    {"messages", api_messages},
    {"message_delete", api_message_delete},
};

json_t *api_text(struct str s)
{
    char mem[2048];
    size_t n = s.n < sizeof(mem) ? s.n : sizeof(mem);
    json_t *text = json_stringn(s.p ? s.p : "", n);
    if (text)
        return text;
    for (size_t i = 0; i < n; i++)
        mem[i] = (unsigned char)s.p[i] < 0x80 && s.p[i] ? s.p[i] : '?';
    return json_stringn(mem, n);
}

json_t *api_addr(const struct addr *a)
{
    char mem[80];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    addr_put(&b, a);
    return api_text(buf_str(&b));
}

static const char *error_text(enum api_error e)
{
    switch (e) {
    case API_PARSE_ERROR:
        return "not a JSON text";
    case API_INVALID_REQUEST:
        return "not a JSON-RPC 2.0 request";
    case API_NO_METHOD:
        return "no such method";
    case API_INVALID_PARAMS:
        return "wrong or missing parameters";
    case API_INTERNAL:
        return "out of memory";
    case API_NOT_FOUND:
        return "not found";
    case API_NOT_NOW:
        return "not possible now";
    }
    return "error";
}

static int append(const char *text, size_t n, void *arg)
{
    buf_put(arg, text, n);
    return 0;
}

static void reply(struct buf *out, json_t *id, json_t *result, enum api_error error)
{
    json_t *all = json_object();
    json_object_set_new(all, "jsonrpc", json_string("2.0"));
    if (result)
        json_object_set_new(all, "result", result);
    else
        json_object_set_new(
            all, "error", json_pack("{s:i,s:s}", "code", (int)error, "message", error_text(error)));
    json_object_set(all, "id", id ? id : json_null());
    json_dump_callback(all, append, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(all);
}

static json_t *run(struct pbx *p, const json_t *request, enum api_error *error)
{
    const char *name = json_string_value(json_object_get(request, "method"));
    const json_t *params = json_object_get(request, "params");
    *error = API_INVALID_REQUEST;
    if (!name)
        return NULL;
    *error = API_INVALID_PARAMS;
    if (params && !json_is_object(params))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].run(p, params, error);
    *error = API_NO_METHOD;
    return NULL;
}

void pbx_api_run(struct pbx *p, struct str text, struct buf *out)
{
    enum api_error error = API_PARSE_ERROR;
    json_t *request = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *result = NULL;
    if (json_is_object(request))
        result = run(p, request, &error);
    else if (request)
        error = API_INVALID_REQUEST;
    reply(out, json_object_get(request, "id"), result, error);
    json_decref(request);
}
