#include "pbx/feature/refer.h"

/* One header of a URI, "Replaces=...&Require=replaces"; none. */
static struct str uri_header(struct str headers, struct str name)
{
    while (headers.n) {
        ptrdiff_t amp = str_chr(headers, '&');
        struct str one = amp < 0 ? headers : str_sub(headers, 0, (size_t)amp);
        ptrdiff_t eq = str_chr(one, '=');
        headers = amp < 0 ? STR_NONE : str_from(headers, (size_t)amp + 1);
        if (eq > 0 && str_ieq(str_sub(one, 0, (size_t)eq), name))
            return str_from(one, (size_t)eq + 1);
    }
    return STR_NONE;
}

/* Without brackets a ';' that should have been escaped makes the rest of the Replaces a header
 * parameter: <uri>?Replaces=id;to-tag=x is then "uri?Replaces=id" and ";to-tag=x". */
static struct str replaces_of(struct pbx *p, const struct sip_nameaddr *to)
{
    struct str value = uri_header(to->uri.headers, STR("Replaces"));
    if (!value.n)
        return STR_NONE;
    struct str plain = sip_unescape(&p->turn, value);
    if (str_ifind(plain, STR("to-tag")) >= 0 || !to->params.n)
        return plain;
    struct buf b;
    char *mem = arena_take(&p->turn, plain.n + to->params.n + 1);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, plain.n + to->params.n + 1);
    buf_str_put(&b, plain);
    buf_ch(&b, ';');
    buf_str_put(&b, to->params);
    return buf_str(&b);
}

unsigned refer_parse(struct pbx *p, const struct sip_msg *m, struct refer *ret)
{
    struct sip_values it = sip_values(m, SIP_H_REFER_TO);
    struct str value, more;
    struct sip_nameaddr to;
    if (!sip_values_next(&it, &value) || sip_values_next(&it, &more))
        return 400; /* exactly one: RFC 3515 section 2.4.2 */
    if (sip_nameaddr_parse(&to, value))
        return 400;
    bool bye = str_ieq(to.uri.method_param, STR("BYE"));
    if (to.uri.method_param.n && !bye && !str_ieq(to.uri.method_param, STR("INVITE")))
        return 501;
    if (to.uri.scheme != SIP_SCHEME_SIP && to.uri.scheme != SIP_SCHEME_SIPS &&
        to.uri.scheme != SIP_SCHEME_TEL)
        return 416;
    *ret =
        (struct refer){.target = to.uri,
                       .bye = bye,
                       .replaces = replaces_of(p, &to),
                       .referred_by = sip_msg_get(m, SIP_H_REFERRED_BY),
                       .no_subscription = str_ieq(sip_msg_get(m, SIP_H_REFER_SUB), STR("false"))};
    return 0;
}

static int split(struct str value, struct str *call_id, struct str *params)
{
    ptrdiff_t semi = str_chr(value, ';');
    if (semi <= 0)
        return -EINVAL;
    *call_id = str_trim(str_sub(value, 0, (size_t)semi));
    *params = str_from(value, (size_t)semi + 1);
    return call_id->n ? 0 : -EINVAL;
}

int replaces_parse(struct replaces *ret, struct str value)
{
    struct str call_id, params;
    if (split(value, &call_id, &params))
        return -EINVAL;
    struct sip_dialog_id id = {.call_id = call_id,
                               .to_tag = sip_param_get(params, STR("to-tag")),
                               .from_tag = sip_param_get(params, STR("from-tag"))};
    if (!id.to_tag.n || !id.from_tag.n)
        return -EINVAL;
    *ret = (struct replaces){.id = id,
                             .early_only = sip_param_get(params, STR("early-only")).p != NULL};
    return 0;
}

int replaces_in(struct replaces *ret, const struct sip_msg *m, enum sip_hdr_id id)
{
    struct sip_values it = sip_values(m, id);
    struct str value, more;
    if (!sip_values_next(&it, &value) || sip_values_next(&it, &more))
        return -EINVAL;
    return replaces_parse(ret, value);
}

bool replaces_misplaced(const struct sip_msg *m)
{
    return m->method != SIP_INVITE &&
           (sip_msg_has(m, SIP_H_REPLACES) || sip_msg_has(m, SIP_H_JOIN));
}

int target_dialog_parse(struct sip_dialog_id *ret, struct str value)
{
    struct str call_id, params;
    if (split(value, &call_id, &params))
        return -EINVAL;
    struct sip_dialog_id id = {.call_id = call_id,
                               .to_tag = sip_param_get(params, STR("remote-tag")),
                               .from_tag = sip_param_get(params, STR("local-tag"))};
    if (!id.to_tag.n || !id.from_tag.n)
        return -EINVAL;
    *ret = id;
    return 0;
}
