/* Any bytes as a message. What was accepted must survive being answered and copied: the builder's
 * output parses again and says the same. */
#include <errno.h>

#include "wire/sip/build.h"
#include "wire/sip/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char out[SIP_MAX_BYTES + 4096];

static bool same_value(const struct sip_msg *a, const struct sip_msg *b, enum sip_hdr_id id)
{
    static char x[SIP_MAX_BYTES], y[SIP_MAX_BYTES];
    struct buf p, q;
    buf_init(&p, x, sizeof(x));
    buf_init(&q, y, sizeof(y));
    sip_put_unfolded(&p, sip_msg_get(a, id));
    sip_put_unfolded(&q, sip_msg_get(b, id));
    return str_eq(buf_str(&p), buf_str(&q));
}

/* Any request that can be answered gets a well-formed answer. */
static void answer(const struct sip_msg *m)
{
    static struct sip_msg again;
    struct sip_build w;
    struct str text;
    struct addr source;
    BUG_ON(addr_parse(&source, STR("192.0.2.77"), 5099));
    unsigned status = m->verdict ? sip_verdict_status(m->verdict) : 200;
    sip_build_response(&w, out, sizeof(out), status, sip_verdict_text(m->verdict));
    sip_build_response_to(&w, m, status, STR("tag"), &source);
    int err = sip_build_done(&w, STR_NONE, STR_NONE, &text);
    if (err == -EMSGSIZE)
        return;
    BUG_ON(err);
    enum sip_verdict v = sip_msg_parse(&again, text.p, text.n, true);
    /* A sequence number that is too large comes back as it was (RFC 4475 3.1.2.4). */
    BUG_ON(v && !(v == SIP_BAD_CSEQ && m->cseq.number == UINT32_MAX));
    BUG_ON(!v && again.via.received.n == 0 && addr_parse(&source, m->via.host, 0));
    BUG_ON(!v && again.to.tag.n == 0);
    BUG_ON(!v && !str_eq(m->via.host, again.via.host));
}

/* An accepted message, copied header by header, is the same message. */
static void copy(const struct sip_msg *m)
{
    static struct sip_msg again;
    static const enum sip_hdr_id ids[] = {
        SIP_H_VIA,     SIP_H_FROM,    SIP_H_TO,      SIP_H_CALL_ID, SIP_H_CSEQ,        SIP_H_ROUTE,
        SIP_H_CONTACT, SIP_H_EXPIRES, SIP_H_SUBJECT, SIP_H_DATE,    SIP_H_MAX_FORWARDS};
    struct sip_build w;
    struct str text;
    if (m->is_request)
        sip_build_request(&w, out, sizeof(out), m->method_text, m->ruri_text);
    else
        sip_build_response(&w, out, sizeof(out), m->status, m->reason);
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        sip_build_copy(&w, m, ids[i]);
    int err = sip_build_done(&w, STR("a/b"), m->body, &text);
    if (err == -EMSGSIZE)
        return;
    BUG_ON(err);
    BUG_ON(sip_msg_parse(&again, text.p, text.n, true));
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        BUG_ON(!same_value(m, &again, ids[i]));
    BUG_ON(!str_eq(m->body, again.body));
    BUG_ON(m->is_request != again.is_request || m->method != again.method);
    BUG_ON(m->is_request && !sip_uri_eq(&m->ruri, &again.ruri));
}

static void walk(const struct sip_msg *m)
{
    struct str v, name, value;
    for (unsigned id = 1; id < SIP_H_COUNT; id++) {
        struct sip_values it = sip_values(m, (enum sip_hdr_id)id);
        while (sip_values_next(&it, &v)) {
            struct sip_nameaddr na;
            struct sip_via via;
            (void)!sip_nameaddr_parse(&na, v);
            (void)!sip_via_parse(&via, v);
            while (sip_param_next(&v, &name, &value))
                (void)sip_param_get(v, name);
        }
    }
    (void)sip_body_find(m, STR("application/sdp"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sip_msg m;
    memset(&m, 0xA5, sizeof(m));
    (void)sip_msg_parse(&m, (const char *)data, size, size & 1);
    BUG_ON(m.n_hdrs > SIP_MAX_HEADERS || m.bad_at > m.raw.n);
    walk(&m);
    if (sip_msg_answerable(&m))
        answer(&m);
    if (m.verdict == SIP_OK)
        copy(&m);
    return 0;
}
