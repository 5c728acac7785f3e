/* Writing messages. Whatever comes in as a parameter is taken for hostile: it may be a peer's. */
#include "wire/sip/build.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/sip/lex.h"

static void begin(struct sip_build *w, char *mem, size_t cap)
{
    *w = (struct sip_build){0};
    buf_init(&w->b, mem, cap < SIP_MAX_BYTES ? cap : SIP_MAX_BYTES);
}

static bool is_clean(struct str s)
{
    /* Nearly all text is above every control, which one pass tells; the rest is looked at closely.
     */
    if (s.n == 0)
        return true;
    const char *p = s.p, *end = p + s.n;
    for (p = span_text(p, end); p < end && (unsigned char)*p > '\r'; p++)
        continue;
    return p == end ||
           (!memchr(s.p, '\n', s.n) && !memchr(s.p, '\r', s.n) && !memchr(s.p, '\0', s.n));
}

void sip_build_request(struct sip_build *w, char *mem, size_t cap, struct str method,
                       struct str ruri)
{
    struct sip_uri u;
    begin(w, mem, cap);
    w->bad |= !sip_is_token(method) || uri_scan(&u, ruri) || u.headers.p;
    buf_str_put(&w->b, method);
    buf_ch(&w->b, ' ');
    buf_str_put(&w->b, ruri);
    buf_lit(&w->b, " SIP/2.0\r\n");
}

void sip_build_response(struct sip_build *w, char *mem, size_t cap, unsigned status,
                        struct str reason)
{
    begin(w, mem, cap);
    if (!reason.p)
        reason = sip_status_reason(status);
    w->bad |= status < 100 || status > 699 || !is_clean(reason);
    buf_lit(&w->b, "SIP/2.0 ");
    buf_u64(&w->b, status);
    buf_ch(&w->b, ' ');
    buf_str_put(&w->b, reason);
    buf_lit(&w->b, "\r\n");
}

/* Behind a fold (CRLF or LF, then white space) that starts at p, or NULL. */
static const char *fold_end(const char *p, const char *end)
{
    if (*p == '\r')
        p++;
    if (p == end || *p != '\n' || p + 1 == end || (p[1] != ' ' && p[1] != '\t'))
        return NULL;
    return lex_ws(p, end);
}

/* Appends text with its folds as one space each. `received`: it passed our own parser, which lets
 * a NUL through as quoted-pair (RFC 4475 3.1.1.2), and an answer has to repeat it. */
static void put_text(struct sip_build *w, struct str s, bool received)
{
    if (is_clean(s)) {
        buf_str_put(&w->b, s);
        return;
    }
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        const char *fold = *p == '\r' || *p == '\n' ? fold_end(p, end) : NULL;
        if (fold) {
            buf_ch(&w->b, ' ');
            p = fold;
            continue;
        }
        bool quoted = *p == '\0' && received && p > s.p && p[-1] == '\\';
        if ((*p == '\r' || *p == '\n' || *p == '\0') && !quoted)
            w->bad = true;
        buf_ch(&w->b, *p++);
    }
}

static void put_name(struct sip_build *w, enum sip_hdr_id id)
{
    struct str name = sip_hdr_name(id);
    w->bad |= !name.p || id == SIP_H_CONTENT_LENGTH;
    w->typed |= id == SIP_H_CONTENT_TYPE;
    buf_str_put(&w->b, name);
    buf_lit(&w->b, ": ");
}

static void put_eol(struct sip_build *w)
{
    buf_lit(&w->b, "\r\n");
}

void sip_build_hdr(struct sip_build *w, enum sip_hdr_id id, struct str value)
{
    put_name(w, id);
    put_text(w, value, false);
    put_eol(w);
}

void sip_build_hdr_name(struct sip_build *w, struct str name, struct str value)
{
    enum sip_hdr_id id = sip_hdr_of(name);
    w->bad |= !sip_is_token(name) || id == SIP_H_CONTENT_LENGTH;
    w->typed |= id == SIP_H_CONTENT_TYPE;
    buf_str_put(&w->b, name);
    buf_lit(&w->b, ": ");
    put_text(w, value, false);
    put_eol(w);
}

void sip_build_hdr_u64(struct sip_build *w, enum sip_hdr_id id, uint64_t value)
{
    put_name(w, id);
    buf_u64(&w->b, value);
    put_eol(w);
}

void sip_build_hdr_printf(struct sip_build *w, enum sip_hdr_id id, const char *fmt, ...)
{
    put_name(w, id);
    size_t room = w->b.cap - w->b.n;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(w->b.p + w->b.n, room, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room) {
        w->b.full = true;
        return;
    }
    w->bad |= !is_clean(str_of(w->b.p + w->b.n, (size_t)n));
    w->b.n += (size_t)n;
    put_eol(w);
}

void sip_build_cseq(struct sip_build *w, uint32_t number, struct str method)
{
    w->bad |= number > INT32_MAX || !sip_is_token(method);
    put_name(w, SIP_H_CSEQ);
    buf_u64(&w->b, number);
    buf_ch(&w->b, ' ');
    buf_str_put(&w->b, method);
    put_eol(w);
}

void sip_build_begin(struct sip_build *w, enum sip_hdr_id id)
{
    put_name(w, id);
}

void sip_build_put(struct sip_build *w, struct str piece)
{
    put_text(w, piece, false);
}

void sip_build_end(struct sip_build *w)
{
    put_eol(w);
}

static void put_received(struct sip_build *w, enum sip_hdr_id id, struct str value)
{
    put_name(w, id);
    put_text(w, value, true);
    put_eol(w);
}

void sip_build_copy(struct sip_build *w, const struct sip_msg *m, enum sip_hdr_id id)
{
    for (uint16_t i = m->first[id]; i; i = m->hdr[i - 1].next)
        put_received(w, id, m->hdr[i - 1].value);
}

/* RFC 3261 18.2.1: received unless sent-by is the source address itself. RFC 3581 section 4: with
 * rport always both. What the peer claims in their place is dropped. */
static void put_top_via(struct sip_build *w, const struct sip_via *via, const struct addr *source)
{
    struct addr sent_by;
    bool differs = addr_parse(&sent_by, via->host, 0) || !addr_ip_eq(&sent_by, source);
    if (!via->has_rport && !via->received.p) {
        put_text(w, via->whole, true);
    } else {
        struct str rest = via->params, name, value;
        struct str head = str_sub(via->whole, 0, (size_t)(via->params.p - via->whole.p));
        /* White space may stand on both sides of the ';' that ends the head. */
        head = str_trim(head);
        put_text(w, str_trim(str_sub(head, 0, head.n - 1)), true);
        while (sip_param_next(&rest, &name, &value)) {
            if (str_ieq(name, STR("rport")) || str_ieq(name, STR("received")))
                continue;
            buf_ch(&w->b, ';');
            put_text(w, name, true);
            if (value.n)
                buf_ch(&w->b, '=');
            put_text(w, value, true);
        }
    }
    if (differs || via->has_rport) {
        buf_lit(&w->b, ";received=");
        addr_put_ip(&w->b, source);
    }
    if (via->has_rport) {
        buf_lit(&w->b, ";rport=");
        buf_u64(&w->b, source->port);
    }
}

/* The Via values behind the topmost one in its field. */
static void put_other_vias(struct sip_build *w, const struct sip_msg *m, struct str rest)
{
    struct str value;
    while (sip_list_next(&rest, &value)) {
        struct sip_via via;
        if (m->verdict != SIP_OK && sip_via_parse(&via, value))
            continue;
        put_received(w, SIP_H_VIA, value);
    }
}

static void put_vias(struct sip_build *w, const struct sip_msg *req, const struct addr *source)
{
    uint16_t i = req->first[SIP_H_VIA];
    if (!i || !req->via.host.n) {
        w->bad = true;
        return;
    }
    struct str rest = req->hdr[i - 1].value, top;
    put_name(w, SIP_H_VIA);
    if (source)
        put_top_via(w, &req->via, source);
    else
        put_text(w, req->via.whole, true);
    put_eol(w);
    if (sip_list_next(&rest, &top))
        put_other_vias(w, req, rest);
    for (i = req->hdr[i - 1].next; i; i = req->hdr[i - 1].next)
        put_other_vias(w, req, req->hdr[i - 1].value);
}

/* The value as received, or of a malformed one what check.c saved. */
static void put_party(struct sip_build *w, const struct sip_msg *req, enum sip_hdr_id id,
                      struct str add_tag)
{
    const struct sip_nameaddr *na = id == SIP_H_TO ? &req->to : &req->from;
    struct str value = sip_msg_get(req, id);
    struct sip_nameaddr again;
    w->bad |= !na->uri.whole.n || (add_tag.p && !sip_is_token(add_tag));
    put_name(w, id);
    if (req->verdict != SIP_OK && value.n &&
        nameaddr_scan(value.p, value.p + value.n, 0, &again) != value.p + value.n) {
        buf_ch(&w->b, '<');
        put_text(w, na->uri.whole, false);
        buf_ch(&w->b, '>');
        if (na->tag.p)
            add_tag = na->tag;
    } else {
        put_text(w, value, true);
        if (na->tag.p)
            add_tag = STR_NONE;
    }
    if (add_tag.p) {
        buf_lit(&w->b, ";tag=");
        put_text(w, add_tag, false);
    }
    put_eol(w);
}

void sip_build_response_to(struct sip_build *w, const struct sip_msg *req, unsigned status,
                           struct str to_tag, const struct addr *source)
{
    put_vias(w, req, source);
    put_party(w, req, SIP_H_FROM, STR_NONE);
    put_party(w, req, SIP_H_TO, to_tag);
    w->bad |= !req->call_id.n || !req->cseq.method_text.n;
    put_received(w, SIP_H_CALL_ID, req->call_id);
    put_received(w, SIP_H_CSEQ, sip_msg_get(req, SIP_H_CSEQ));
    /* RFC 3261 8.2.6.1. */
    if (status == 100 && sip_msg_has(req, SIP_H_TIMESTAMP))
        put_received(w, SIP_H_TIMESTAMP, sip_msg_get(req, SIP_H_TIMESTAMP));
}

int sip_build_done(struct sip_build *w, struct str content_type, struct str body, struct str *ret)
{
    if (content_type.n && body.n && !w->typed)
        sip_build_hdr(w, SIP_H_CONTENT_TYPE, content_type);
    w->bad |= body.n && !w->typed;
    buf_lit(&w->b, "Content-Length: ");
    buf_u64(&w->b, body.n);
    buf_lit(&w->b, "\r\n\r\n");
    buf_str_put(&w->b, body);
    if (w->bad)
        return -EINVAL;
    if (w->b.full)
        return -EMSGSIZE;
    *ret = buf_str(&w->b);
    return 0;
}
