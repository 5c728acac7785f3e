/* REFER (RFC 3515) and what its NOTIFYs say of the outcome. */
#include "analysis/engine_int.h"

#define MAX_URI 256

/* The value of a header in a URI, "?Replaces=...&Require=replaces", as it is written there. */
static struct str uri_header(struct str headers, struct str name)
{
    while (headers.n) {
        ptrdiff_t amp = str_chr(headers, '&'), eq;
        struct str one = amp < 0 ? headers : str_sub(headers, 0, (size_t)amp);
        headers = amp < 0 ? STR_NONE : str_from(headers, (size_t)amp + 1);
        eq = str_chr(one, '=');
        if (eq > 0 && str_ieq(str_sub(one, 0, (size_t)eq), name))
            return str_from(one, (size_t)eq + 1);
    }
    return STR_NONE;
}

/* The Call-ID of a Replaces, its escapes undone. Where phones leave the brackets out, its tags
 * are parameters of the header, which does not matter here. */
static struct str replaces_call_id(struct track *t, const struct sip_nameaddr *to)
{
    struct str value = uri_header(to->uri.headers, STR("Replaces"));
    struct str plain = value.n ? sip_unescape(&t->e->scratch, value) : STR_NONE;
    if (!plain.n)
        plain = value;
    ptrdiff_t semi = str_chr(plain, ';');
    return str_trim(semi < 0 ? plain : str_sub(plain, 0, (size_t)semi));
}

void track_refer(struct track *t)
{
    struct an_text *text = &t->leg->text;
    struct sip_nameaddr to;
    if (sip_nameaddr_parse(&to, sip_msg_get(t->m, SIP_H_REFER_TO)))
        return;
    struct an_refer *r = an_leg_refer_add(t->leg);
    if (!r)
        return;
    *r = (struct an_refer){.at_ns = t->d->at_ns,
                           .msg = t->index,
                           .side = t->msg->side,
                           .progress_msg = AN_NONE,
                           .user = an_text_put(text, to.uri.user, MAX_URI),
                           .target = an_text_put(text, to.uri.whole, MAX_URI),
                           .method = an_text_put(text, to.uri.method_param, 16),
                           .replaces = an_text_put(text, replaces_call_id(t, &to), MAX_URI),
                           .by = an_text_put(text, sip_msg_get(t->m, SIP_H_REFERRED_BY), MAX_URI)};
}

static struct an_refer *refer_by_request(struct an_leg *leg, uint32_t request)
{
    for (uint32_t i = leg->n_refers; i-- > 0;)
        if (leg->refer[i].msg == request)
            return &leg->refer[i];
    return NULL;
}

void track_refer_answer(struct track *t)
{
    struct an_refer *r = refer_by_request(t->leg, t->txn->request);
    if (r && t->m->status >= 200)
        r->status = t->m->status;
}

/* The REFER that a NOTIFY speaks of: "Event: refer;id=<its CSeq>" (RFC 3515 section 2.4.6), else
 * the last one of the side that is notified. */
static struct an_refer *refer_notified(struct track *t)
{
    struct an_leg *leg = t->leg;
    struct str event = sip_msg_get(t->m, SIP_H_EVENT);
    ptrdiff_t semi = str_chr(event, ';');
    struct str id =
        semi < 0 ? STR_NONE : sip_param_get(str_from(event, (size_t)semi + 1), STR("id"));
    uint32_t cseq;
    bool named = id.n && sip_delta_parse(&cseq, id) == 0;
    for (uint32_t i = leg->n_refers; i-- > 0;) {
        struct an_refer *r = &leg->refer[i];
        if (named ? leg->msg[r->msg].cseq == cseq : r->side != t->msg->side)
            return r;
    }
    return NULL;
}

/* RFC 3420: the status line of the answer that the transfer has met with so far. */
void track_notify(struct track *t)
{
    struct str body = t->m->body;
    struct an_refer *r;
    if (!sip_content_is(sip_msg_get(t->m, SIP_H_CONTENT_TYPE), STR("message/sipfrag")) ||
        !str_starts(body, STR("SIP/2.0 ")) || body.n < 11)
        return;
    uint32_t status;
    if (sip_delta_parse(&status, str_sub(body, 8, 3)) || !(r = refer_notified(t)))
        return;
    r->progress = (uint16_t)status;
    r->progress_msg = t->index;
}
