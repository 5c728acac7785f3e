/* Settings of extensions for people: what holds, and changing it. */
#include "pbx/api.h"
#include "pbx/feature/setting.h"

static json_t *one(struct pbx *p, const struct config_extension *e)
{
    json_t *j = json_object();
    json_object_set_new(j, "extension", api_text(e->number));
    for (unsigned i = 0; i < SETTINGS; i++) {
        char name[32];
        struct str value = setting_get(p, e, (enum setting)i);
        str_copy_z(name, sizeof(name), setting_name((enum setting)i));
        json_object_set_new(j, name, value.n ? api_text(value) : json_string("off"));
    }
    return j;
}

static struct str text_of(const json_t *params, const char *name)
{
    const json_t *v = json_object_get(params, name);
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
}

json_t *api_settings(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct str number = text_of(params, "extension");
    json_t *list = json_array();
    for (uint32_t i = 0; i < p->config->n_extensions; i++) {
        const struct config_extension *e = &p->config->extensions[i];
        if (!number.n || str_eq(e->number, number))
            json_array_append_new(list, one(p, e));
    }
    if (!number.n || json_array_size(list))
        return list;
    json_decref(list);
    *error = API_NOT_FOUND;
    return NULL;
}

json_t *api_set(struct pbx *p, const json_t *params, enum api_error *error)
{
    struct str value = text_of(params, "value");
    const struct config_extension *e =
        config_find_extension(p->config, text_of(params, "extension"));
    enum setting s;
    *error = API_INVALID_PARAMS;
    if (!value.n || value.n > 63 || setting_find(&s, text_of(params, "name")))
        return NULL;
    if (s == SETTING_DND && !str_eq(value, STR("on")) && !str_eq(value, STR("off")) &&
        !str_eq(value, STR("reset")))
        return NULL;
    *error = API_NOT_FOUND;
    if (!e)
        return NULL;
    struct str kept = str_eq(value, STR("off"))     ? STR("")
                      : str_eq(value, STR("reset")) ? STR_NONE
                                                    : value;
    *error = API_INVALID_PARAMS;
    if (setting_refused(p, e, s, kept))
        return NULL;
    *error = API_INTERNAL;
    if (setting_put(p, e, s, kept))
        return NULL;
    return one(p, e);
}
