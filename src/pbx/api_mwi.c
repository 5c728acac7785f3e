/* Subscriptions and mailboxes for people, and for voicemail systems outside. */
#include "pbx/api.h"
#include "pbx/feature/mwi.h"

static void put(json_t *j, const char *key, uint64_t v)
{
    json_object_set_new(j, key, json_integer((json_int_t)v));
}

json_t *api_subscriptions(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    uint32_t at = 0;
    struct subscription_shown s;
    (void)params;
    (void)error;
    while (subscription_next(p, &at, &s)) {
        json_t *j = json_object();
        json_object_set_new(j, "subscriber", api_text(s.subscriber));
        json_object_set_new(j, "event", api_text(s.event));
        json_object_set_new(j, "resource", api_text(s.resource));
        json_object_set_new(j, "contact", api_text(s.contact));
        json_object_set_new(j, "transport", api_text(proto_name((enum proto)s.proto)));
        json_object_set_new(j, "source", api_addr(&s.source));
        put(j, "expires_s", s.expires_s);
        put(j, "notifies", s.notifies);
        json_object_set_new(j, "waiting", json_boolean(s.waiting));
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *mailbox(struct pbx *p, const struct config_extension *e)
{
    struct mwi_counts n = mwi_get(p, e->number);
    json_t *j = json_object();
    json_object_set_new(j, "extension", api_text(e->number));
    put(j, "new", n.new);
    put(j, "old", n.old);
    put(j, "urgent_new", n.urgent_new);
    put(j, "urgent_old", n.urgent_old);
    return j;
}

json_t *api_mailboxes(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    (void)params;
    (void)error;
    for (uint32_t i = 0; i < p->config->n_extensions; i++)
        if (p->config->extensions[i].voicemail)
            json_array_append_new(list, mailbox(p, &p->config->extensions[i]));
    return list;
}

/* RFC 3842 section 3.5: a count has 32 bits. */
static bool count_of(const json_t *params, const char *name, bool must, uint32_t *ret)
{
    const json_t *v = json_object_get(params, name);
    *ret = 0;
    if (!v)
        return !must;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
        return false;
    *ret = (uint32_t)json_integer_value(v);
    return true;
}

json_t *api_mwi(struct pbx *p, const json_t *params, enum api_error *error)
{
    const json_t *v = json_object_get(params, "extension");
    struct str number = str_of(json_string_value(v), json_string_length(v));
    struct mwi_counts n;
    *error = API_INVALID_PARAMS;
    if (!number.n || !count_of(params, "new", true, &n.new) ||
        !count_of(params, "old", true, &n.old) ||
        !count_of(params, "urgent_new", false, &n.urgent_new) ||
        !count_of(params, "urgent_old", false, &n.urgent_old))
        return NULL;
    int err = mwi_set(p, number, &n);
    if (err) {
        *error = err == -ENOENT   ? API_NOT_FOUND
                 : err == -EINVAL ? API_INVALID_PARAMS
                                  : API_INTERNAL;
        return NULL;
    }
    return mailbox(p, config_find_extension(p->config, number));
}
