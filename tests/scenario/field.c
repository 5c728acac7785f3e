/* Parts of a message, by name. */
#include <regex.h>
#include <stdlib.h>

#include "base/num.h"
#include "play.h"
#include "wire/sdp/sdp.h"
#include "wire/sip/multipart.h"

struct look {
    struct play *p;
    struct sip_msg m;
    const struct ua_rx *rx;
};

static struct str number(struct look *l, int64_t v)
{
    return ua_text(&l->p->w, "%lld", (long long)v);
}

static struct str sdp_codecs(struct look *l, const struct sdp *s, const struct sdp_media *m)
{
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    static const char *const fixed[35] = {
        [0] = "PCMU", [3] = "GSM", [8] = "PCMA", [9] = "G722", [18] = "G729"};
    for (unsigned i = 0; i < m->n_formats; i++) {
        uint64_t pt = 200;
        struct str name = m->format[i];
        if (!num_u64(&pt, name, 127) && pt < ARRAY_LEN(fixed) && fixed[pt])
            name = str_z(fixed[pt]);
        for (unsigned k = 0; k < m->n_lines; k++)
            if (m->line[k].attr == SDP_A_RTPMAP && m->line[k].pt == pt) {
                struct str arg = sdp_attr_arg(&m->line[k]);
                ptrdiff_t sp = str_chr(arg, ' '), slash = str_chr(arg, '/');
                if (sp > 0 && slash > sp)
                    name = str_sub(arg, (size_t)sp + 1, (size_t)(slash - sp) - 1);
            }
        if (str_ieq(name, STR("telephone-event")))
            name = STR("te");
        buf_z(&b, i ? "," : "");
        buf_str_put(&b, name);
    }
    return arena_dup(&l->p->w.arena, buf_str(&b));
}

/* A field of one of the descriptions in the message. */
static struct str sdp_field(struct look *l, struct str body, struct str name)
{
    struct sdp s;
    struct sdp_error err;
    struct addr a;
    if (!body.n || sdp_parse(&s, body, &l->p->w.arena, &err))
        return STR_NONE;
    if (str_eq(name, STR("version")))
        return s.origin.version;
    if (str_eq(name, STR("media")))
        return number(l, s.n_media);
    if (!s.n_media)
        return STR_NONE;
    const struct sdp_media *m = &s.media[0];
    if (str_eq(name, STR("port")))
        return number(l, m->port);
    if (str_eq(name, STR("codecs")))
        return sdp_codecs(l, &s, m);
    if (str_eq(name, STR("dir")))
        return sdp_dir_text(sdp_media_dir(&s, m));
    if (str_eq(name, STR("addr")) && !sdp_media_addr(&a, &s, m)) {
        char mem[64];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        addr_put_ip(&b, &a);
        return arena_dup(&l->p->w.arena, buf_str(&b));
    }
    return STR_NONE;
}

static struct str contact_uri(struct look *l)
{
    struct sip_nameaddr c;
    struct str v = sip_msg_get(&l->m, SIP_H_CONTACT);
    return v.p && !sip_nameaddr_parse(&c, v) ? c.uri.whole : STR_NONE;
}

static struct str joined(struct look *l, struct str name)
{
    struct str all = STR_NONE;
    for (unsigned i = 0; i < l->m.n_hdrs; i++) {
        const struct sip_hdr *h = &l->m.hdr[i];
        bool same = str_ieq(h->name, name) ||
                    (h->id && str_ieq(sip_hdr_name((enum sip_hdr_id)h->id), name));
        if (!same)
            continue;
        all = all.p ? ua_text(&l->p->w, STR_FMT ", " STR_FMT, STR_ARG(all), STR_ARG(h->value))
                    : h->value;
    }
    return all;
}

static struct str via_count(struct look *l)
{
    int64_t n = 0;
    struct sip_values it = sip_values(&l->m, SIP_H_VIA);
    struct str v;
    while (sip_values_next(&it, &v))
        n++;
    return number(l, n);
}

static struct str from_uri(struct look *l)
{
    return l->m.from.uri.whole;
}
static struct str to_uri(struct look *l)
{
    return l->m.to.uri.whole;
}
static struct str from_tag(struct look *l)
{
    return l->m.from.tag;
}
static struct str to_tag(struct look *l)
{
    return l->m.to.tag.n ? l->m.to.tag : STR_NONE;
}
static struct str from_user(struct look *l)
{
    return l->m.from.uri.user;
}
static struct str from_display(struct look *l)
{
    return l->m.from.display;
}
static struct str ruri(struct look *l)
{
    return l->m.ruri_text;
}
static struct str branch(struct look *l)
{
    return l->m.via.branch;
}
static struct str cseq(struct look *l)
{
    return number(l, l->m.cseq.number);
}
static struct str reason(struct look *l)
{
    return l->m.reason;
}
static struct str body(struct look *l)
{
    return l->m.body.n ? l->m.body : STR_NONE;
}
static struct str length(struct look *l)
{
    return number(l, (int64_t)l->m.raw.n);
}
static struct str transport(struct look *l)
{
    return proto_name((enum proto)l->rx->flow.proto);
}

static const struct {
    struct str name;
    struct str (*get)(struct look *l);
} fields[] = {
    {STR_INIT("from.uri"), from_uri},
    {STR_INIT("to.uri"), to_uri},
    {STR_INIT("from.tag"), from_tag},
    {STR_INIT("to.tag"), to_tag},
    {STR_INIT("from.user"), from_user},
    {STR_INIT("from.display"), from_display},
    {STR_INIT("ruri"), ruri},
    {STR_INIT("branch"), branch},
    {STR_INIT("cseq"), cseq},
    {STR_INIT("reason"), reason},
    {STR_INIT("body"), body},
    {STR_INIT("transport"), transport},
    {STR_INIT("contact.uri"), contact_uri},
    {STR_INIT("vias"), via_count},
    {STR_INIT("length"), length},
};

struct str field_get(struct play *p, struct str bytes, const struct ua_rx *rx, struct str name)
{
    struct look *l = arena_zero(&p->w.arena, sizeof(*l));
    BUG_ON(!l);
    l->p = p;
    l->rx = rx;
    if (sip_msg_parse(&l->m, bytes.p, bytes.n, false) != SIP_OK)
        return STR_NONE;
    for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
        if (str_eq(name, fields[i].name))
            return fields[i].get(l);
    if (str_starts(name, STR("sdp.")))
        return sdp_field(l, sip_body_find(&l->m, STR("application/sdp")), str_from(name, 4));
    if (str_starts(name, STR("early.")))
        return sdp_field(l, sip_body_early(&l->m, STR("application/sdp")), str_from(name, 6));
    return joined(l, name);
}

static bool matches(struct str s, struct str pattern)
{
    char text[4096], re[512];
    regex_t r;
    str_copy_z(text, sizeof(text), s);
    str_copy_z(re, sizeof(re), pattern);
    if (regcomp(&r, re, REG_EXTENDED | REG_NOSUB))
        return false;
    bool ok = regexec(&r, text, 0, NULL, 0) == 0;
    regfree(&r);
    return ok;
}

bool field_compare(struct str a, struct str op, struct str b, bool *ret)
{
    uint64_t x, y;
    if (str_eq(op, STR("=")))
        *ret = str_eq(a, b);
    else if (str_eq(op, STR("!=")))
        *ret = !str_eq(a, b);
    else if (str_eq(op, STR("contains")))
        *ret = a.p && str_ifind(a, b) >= 0;
    else if (str_eq(op, STR("lacks")))
        *ret = !a.p || str_ifind(a, b) < 0;
    else if (str_eq(op, STR("starts")))
        *ret = a.p && str_istarts(a, b);
    else if (str_eq(op, STR("~")))
        *ret = a.p && matches(a, b);
    else if (str_eq(op, STR("<")) || str_eq(op, STR(">"))) {
        *ret = !num_u64(&x, a, UINT64_MAX) && !num_u64(&y, b, UINT64_MAX) &&
               (op.p[0] == '<' ? x < y : x > y);
    } else
        return false;
    return true;
}
