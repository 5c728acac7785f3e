/* Messages in mailboxes, for people. */
#include "base/num.h"
#include "pbx/api.h"
#include "pbx/feature/voicemail.h"

static json_t *message(const struct voicemail_shown *m)
{
    char id[24];
    struct buf b;
    buf_init(&b, id, sizeof(id));
    buf_printf(&b, "%016llx", (unsigned long long)m->id);
    json_t *j = json_object();
    json_object_set_new(j, "id", api_text(buf_str(&b)));
    json_object_set_new(j, "state", json_string(m->greeting ? "greeting" : m->old ? "old" : "new"));
    json_object_set_new(j, "urgent", json_boolean(m->urgent));
    json_object_set_new(j, "caller", api_text(m->caller));
    json_object_set_new(j, "name", api_text(m->name));
    json_object_set_new(j, "at_ms", json_integer((json_int_t)m->at_ms));
    json_object_set_new(j, "ms", json_integer((json_int_t)m->ms));
    return j;
}

static struct str text_of(const json_t *params, const char *name)
{
    const json_t *v = json_object_get(params, name);
    return str_of(json_string_value(v), json_string_length(v));
}

json_t *api_messages(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct str number = text_of(params, "extension");
    struct voicemail_shown m;
    uint64_t at = 0;
    *error = number.n ? API_NOT_FOUND : API_INVALID_PARAMS;
    if (!number.n || !config_find_extension(p->config, number))
        return NULL;
    json_t *list = json_array();
    while (voicemail_next(p, number, &at, &m))
        json_array_append_new(list, message(&m));
    return list;
}

json_t *api_message_delete(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct str text = text_of(params, "id");
    uint64_t id = 0;
    *error = API_INVALID_PARAMS;
    for (size_t i = 0; i < text.n; i += 2) {
        int byte = text.n == 16 ? num_hex2(text.p + i) : -1;
        if (byte < 0)
            return NULL;
        id = id << 8 | (unsigned)byte;
    }
    if (!id)
        return NULL;
    *error = API_NOT_FOUND;
    return voicemail_delete(p, id) ? NULL : json_true();
}
