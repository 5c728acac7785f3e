#include "world/lint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "wire/sdp/sdp.h"
#include "wire/sip/msg.h"
#include "wire/sip/multipart.h"

#define MAX_FIELDS 100

struct lint {
    struct str bytes, body;
    enum proto proto;
    struct str start;
    struct str name[MAX_FIELDS], value[MAX_FIELDS];
    unsigned n;
    bool request;
    unsigned status;
    struct str method; /* of a response: that of CSeq */
    char *why;
    size_t cap;
    bool bad;
};

static void say(struct lint *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct lint *l, const char *fmt, ...)
{
    va_list ap;
    if (l->bad)
        return;
    l->bad = true;
    va_start(ap, fmt);
    vsnprintf(l->why, l->cap, fmt, ap);
    va_end(ap);
}

static struct str long_name(struct str name)
{
    static const struct {
        char compact;
        struct str name;
    } names[] = {{'v', STR_INIT("Via")},          {'f', STR_INIT("From")},
                 {'t', STR_INIT("To")},           {'i', STR_INIT("Call-ID")},
                 {'m', STR_INIT("Contact")},      {'l', STR_INIT("Content-Length")},
                 {'c', STR_INIT("Content-Type")}, {'k', STR_INIT("Supported")},
                 {'o', STR_INIT("Event")},        {'r', STR_INIT("Refer-To")}};
    for (unsigned i = 0; name.n == 1 && i < sizeof(names) / sizeof(names[0]); i++)
        if (chr_lower(name.p[0]) == names[i].compact)
            return names[i].name;
    return name;
}

static unsigned count(const struct lint *l, struct str name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->n; i++)
        n += str_ieq(l->name[i], name);
    return n;
}

static struct str get(const struct lint *l, struct str name)
{
    for (unsigned i = 0; i < l->n; i++)
        if (str_ieq(l->name[i], name))
            return l->value[i];
    return STR_NONE;
}

static bool digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static uint64_t number(struct str s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n && i < 15; i++)
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    return v;
}

/* Cuts the head into lines; each ends in CRLF, none is folded: we never fold. */
static void split(struct lint *l)
{
    const char *end = l->bytes.n >= 4 ? memmem(l->bytes.p, l->bytes.n, "\r\n\r\n", 4) : NULL;
    if (!end) {
        say(l, "the header part does not end");
        return;
    }
    struct str head = str_of(l->bytes.p, (size_t)(end - l->bytes.p) + 2);
    l->body = str_from(l->bytes, head.n + 2);
    bool first = true;
    while (head.n && !l->bad) {
        const char *nl = memchr(head.p, '\n', head.n);
        size_t n = nl ? (size_t)(nl - head.p) : head.n;
        struct str line = str_sub(head, 0, n);
        head = str_from(head, n + 1);
        if (!line.n || line.p[line.n - 1] != '\r' || memchr(line.p, '\r', line.n - 1) ||
            memchr(line.p, '\0', line.n)) {
            say(l, "CR, LF or NUL out of place");
            return;
        }
        line.n--;
        if (first) {
            l->start = line;
            first = false;
            continue;
        }
        ptrdiff_t colon = str_chr(line, ':');
        if (colon < 1 || !sip_is_token(str_sub(line, 0, (size_t)colon)) || l->n == MAX_FIELDS) {
            say(l, "header line \"" STR_FMT "\"", STR_ARG(line));
            return;
        }
        l->name[l->n] = long_name(str_sub(line, 0, (size_t)colon));
        l->value[l->n++] = str_trim(str_from(line, (size_t)colon + 1));
    }
}

static void start_line(struct lint *l)
{
    struct str s = l->start;
    l->request = !str_starts(s, STR("SIP/2.0 "));
    if (!l->request) {
        struct str code = str_sub(s, 8, 3);
        l->status = (unsigned)number(code);
        if (!digits(code) || l->status < 100 || l->status > 699 || s.n < 12 || s.p[11] != ' ')
            say(l, "status line \"" STR_FMT "\"", STR_ARG(s));
        return;
    }
    ptrdiff_t sp = str_chr(s, ' '), last = str_rchr(s, ' ');
    if (sp < 1 || last <= sp || !str_eq(str_from(s, (size_t)last), STR(" SIP/2.0")) ||
        !sip_is_token(str_sub(s, 0, (size_t)sp))) {
        say(l, "request line \"" STR_FMT "\"", STR_ARG(s));
        return;
    }
    l->method = str_sub(s, 0, (size_t)sp);
    struct str uri = str_sub(s, (size_t)sp + 1, (size_t)(last - sp) - 1);
    struct sip_uri u;
    if (str_chr(uri, ' ') >= 0 || str_chr(uri, '<') >= 0 || sip_uri_parse(&u, uri))
        say(l, "Request-URI \"" STR_FMT "\"", STR_ARG(uri));
    else if (u.headers.p)
        say(l, "Request-URI with headers");
}

static void presence(struct lint *l)
{
    static const struct str once[] = {STR_INIT("From"),         STR_INIT("To"),
                                      STR_INIT("Call-ID"),      STR_INIT("CSeq"),
                                      STR_INIT("Max-Forwards"), STR_INIT("Content-Length"),
                                      STR_INIT("Content-Type"), STR_INIT("Expires"),
                                      STR_INIT("Min-Expires"),  STR_INIT("Session-Expires"),
                                      STR_INIT("Min-SE"),       STR_INIT("Event"),
                                      STR_INIT("User-Agent"),   STR_INIT("Server"),
                                      STR_INIT("Retry-After"),  STR_INIT("Date"),
                                      STR_INIT("RSeq"),         STR_INIT("RAck"),
                                      STR_INIT("Session-ID"),   STR_INIT("Refer-To"),
                                      STR_INIT("Replaces")};
    static const struct str always[] = {STR_INIT("Via"),  STR_INIT("From"),
                                        STR_INIT("To"),   STR_INIT("Call-ID"),
                                        STR_INIT("CSeq"), STR_INIT("Content-Length")};
    for (unsigned i = 0; i < sizeof(once) / sizeof(once[0]); i++)
        if (count(l, once[i]) > 1)
            say(l, "repeated " STR_FMT, STR_ARG(once[i]));
    for (unsigned i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (!count(l, always[i]))
            say(l, "no " STR_FMT, STR_ARG(always[i]));
    if (l->body.n && !count(l, STR("Content-Type")))
        say(l, "body without Content-Type");
    struct str length = get(l, STR("Content-Length"));
    if (!digits(length) || number(length) != l->body.n)
        say(l, "Content-Length " STR_FMT " but the body has %zu bytes", STR_ARG(length), l->body.n);
}

static void cseq(struct lint *l)
{
    struct str v = get(l, STR("CSeq"));
    ptrdiff_t sp = str_chr(v, ' ');
    if (sp < 1 || !digits(str_sub(v, 0, (size_t)sp)) ||
        number(str_sub(v, 0, (size_t)sp)) >= 1u << 31 || !sip_is_token(str_from(v, (size_t)sp + 1)))
        say(l, "CSeq " STR_FMT, STR_ARG(v));
    struct str method = str_from(v, (size_t)(sp < 0 ? 0 : sp + 1));
    if (l->request && !str_eq(method, l->method))
        say(l, "CSeq names another method: " STR_FMT, STR_ARG(v));
    l->method = method;
}

static void party(struct lint *l, struct str name, bool tag)
{
    struct sip_nameaddr a;
    struct str v = get(l, name);
    if (sip_nameaddr_parse(&a, v)) {
        say(l, STR_FMT " \"" STR_FMT "\"", STR_ARG(name), STR_ARG(v));
        return;
    }
    if (tag && !a.tag.n)
        say(l, STR_FMT " without tag", STR_ARG(name));
    /* RFC 3261 20: a URI with these characters must be in brackets. */
    if (!a.bracketed && (str_chr(a.uri.whole, '?') >= 0 || str_chr(a.uri.whole, ',') >= 0))
        say(l, STR_FMT " needs brackets", STR_ARG(name));
}

static void vias(struct lint *l)
{
    bool first = true;
    for (unsigned i = 0; i < l->n; i++) {
        if (!str_ieq(l->name[i], STR("Via")))
            continue;
        struct str rest = l->value[i], one;
        while (sip_list_next(&rest, &one)) {
            struct sip_via v;
            if (sip_via_parse(&v, one))
                say(l, "Via \"" STR_FMT "\"", STR_ARG(one));
            else if (first && l->request && !str_starts(v.branch, STR("z9hG4bK")))
                say(l, "Via branch \"" STR_FMT "\"", STR_ARG(v.branch));
            else if (first && l->request && v.branch.n < 15)
                say(l, "Via branch is short: \"" STR_FMT "\"", STR_ARG(v.branch));
            else if (first && l->request && !str_ieq(v.proto, proto_name(l->proto)))
                say(l, "Via names " STR_FMT, STR_ARG(v.proto));
            first = false;
        }
    }
}

static bool is(struct str method, const char *name)
{
    return str_eq(method, str_z(name));
}

static void request(struct lint *l)
{
    struct str mf = get(l, STR("Max-Forwards"));
    if (!digits(mf) || number(mf) > 255)
        say(l, "Max-Forwards \"" STR_FMT "\"", STR_ARG(mf));
    static const char *const with_contact[] = {"INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"};
    for (unsigned i = 0; i < sizeof(with_contact) / sizeof(with_contact[0]); i++)
        if (is(l->method, with_contact[i]) && count(l, STR("Contact")) != 1)
            say(l, "%s needs one Contact", with_contact[i]);
    if ((is(l->method, "NOTIFY") || is(l->method, "SUBSCRIBE")) && !count(l, STR("Event")))
        say(l, STR_FMT " without Event", STR_ARG(l->method));
    if (is(l->method, "NOTIFY") && !count(l, STR("Subscription-State")))
        say(l, "NOTIFY without Subscription-State");
    if (is(l->method, "PRACK") && !count(l, STR("RAck")))
        say(l, "PRACK without RAck");
    if (is(l->method, "CANCEL") && (count(l, STR("Require")) || count(l, STR("Contact"))))
        say(l, "CANCEL with Require or Contact");
    if (is(l->method, "ACK") && count(l, STR("Require")))
        say(l, "ACK with Require");
}

static void response(struct lint *l)
{
    static const struct {
        unsigned status;
        struct str header;
    } need[] = {{401, STR_INIT("WWW-Authenticate")},
                {407, STR_INIT("Proxy-Authenticate")},
                {405, STR_INIT("Allow")},
                {420, STR_INIT("Unsupported")},
                {421, STR_INIT("Require")},
                {422, STR_INIT("Min-SE")},
                {423, STR_INIT("Min-Expires")},
                {489, STR_INIT("Allow-Events")},
                {302, STR_INIT("Contact")}};
    for (unsigned i = 0; i < sizeof(need) / sizeof(need[0]); i++)
        if (l->status == need[i].status && !count(l, need[i].header))
            say(l, "%u without " STR_FMT, l->status, STR_ARG(need[i].header));
    if (l->status == 415 && !count(l, STR("Accept")) && !count(l, STR("Accept-Encoding")) &&
        !count(l, STR("Accept-Language")))
        say(l, "415 that does not say what is accepted");
    if (is(l->method, "INVITE") && l->status / 100 == 2 && count(l, STR("Contact")) != 1)
        say(l, "2xx to INVITE needs one Contact");
    if (is(l->method, "SUBSCRIBE") && l->status / 100 == 2 && !count(l, STR("Expires")))
        say(l, "2xx to SUBSCRIBE without Expires");
    if (l->status == 100 && l->body.n)
        say(l, "100 with a body");
}

static void values(struct lint *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        struct sip_nameaddr a;
        struct str v = l->value[i];
        if (str_ieq(l->name[i], STR("Contact")) && !str_eq(v, STR("*"))) {
            struct str one;
            while (sip_list_next(&v, &one))
                if (sip_nameaddr_parse(&a, one) || (!a.bracketed && str_chr(one, ';') >= 0))
                    say(l, "Contact \"" STR_FMT "\"", STR_ARG(one));
        } else if (str_ieq(l->name[i], STR("Date"))) {
            if (v.n != 29 || !str_eq(str_from(v, 25), STR(" GMT")))
                say(l, "Date \"" STR_FMT "\"", STR_ARG(v));
        } else if (str_ieq(l->name[i], STR("Record-Route")) || str_ieq(l->name[i], STR("Route")) ||
                   str_ieq(l->name[i], STR("P-Asserted-Identity"))) {
            struct str one;
            while (sip_list_next(&v, &one))
                if (sip_nameaddr_parse(&a, one) || !a.bracketed)
                    say(l, STR_FMT " \"" STR_FMT "\"", STR_ARG(l->name[i]), STR_ARG(one));
        }
    }
}

/* RFC 8866 section 9: the order of lines. */
static void sdp_order(struct lint *l, struct str rest)
{
    static const char session[] = "vosiuepcbtrzka", media[] = "micbka";
    const char *order = session, *at = order;
    while (rest.n && !l->bad) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
        if (!nl || n < 3 || rest.p[n - 1] != '\r' || rest.p[1] != '=') {
            say(l, "SDP line \"" STR_FMT "\"", (int)n, rest.p);
            return;
        }
        char type = rest.p[0];
        if (type == 'm')
            order = at = media;
        const char *found = strchr(at, type);
        if (type == 't' && order == session && !found)
            found = strchr(order, 't');
        if (!found)
            say(l, "SDP line %c= out of order", type);
        else
            at = found;
        rest = str_from(rest, n + 1);
    }
}

static void sdp_media_check(struct lint *l, const struct sdp *s, const struct sdp_media *m)
{
    struct addr a;
    if (m->port && sdp_media_addr(&a, s, m) == -ENOENT)
        say(l, "SDP media without c=");
    for (unsigned i = 0; m->rtp && i < m->n_formats; i++) {
        struct str f = m->format[i];
        if (!digits(f) || number(f) > 127)
            say(l, "SDP payload type " STR_FMT, STR_ARG(f));
        for (unsigned j = 0; j < i; j++)
            if (str_eq(m->format[j], f))
                say(l, "SDP payload type " STR_FMT " twice", STR_ARG(f));
        bool mapped = number(f) < 96 || m->port == 0;
        for (unsigned j = 0; j < m->n_lines && !mapped; j++)
            mapped = m->line[j].attr == SDP_A_RTPMAP && m->line[j].pt == number(f);
        if (!mapped)
            say(l, "SDP dynamic payload type " STR_FMT " without rtpmap", STR_ARG(f));
    }
}

static void sdp_body(struct lint *l, struct str body)
{
    struct arena a;
    struct sdp s;
    struct sdp_error err;
    sdp_order(l, body);
    arena_init(&a, 0);
    if (sdp_parse(&s, body, &a, &err)) {
        say(l, "SDP: " STR_FMT, STR_ARG(sdp_reason_text(err.reason)));
    } else {
        if (!s.name.p || !s.origin.host.n)
            say(l, "SDP without o= or s=");
        for (unsigned i = 0; i < s.n_media; i++)
            sdp_media_check(l, &s, &s.media[i]);
    }
    arena_done(&a);
}

/* Each description by itself: of an early session there may be one beside that of the session (RFC
 * 3959 section 4), in a multipart that ends as it should. */
static void sdp(struct lint *l)
{
    struct str type = get(l, STR("Content-Type"));
    struct sip_multipart it;
    struct sip_part part;
    unsigned n = 0;
    if (!l->body.n)
        return;
    if (str_istarts(type, STR("application/sdp")))
        sdp_body(l, l->body);
    if (!str_istarts(type, STR("multipart/")))
        return;
    if (sip_multipart_init(&it, type, l->body))
        say(l, "Content-Type " STR_FMT, STR_ARG(type));
    while (!l->bad && sip_multipart_next(&it, &part)) {
        if (sip_content_is(part.content_type, STR("application/sdp")))
            sdp_body(l, part.body);
        n++;
    }
    if (n < 2)
        say(l, "multipart of %u parts", n);
}

static void parser_agrees(struct lint *l)
{
    static _Thread_local struct sip_msg m; /* too large for the stack; written before it is read */
    if (sip_msg_parse(&m, l->bytes.p, l->bytes.n, l->proto != PROTO_UDP) != SIP_OK)
        say(l, "our own parser refuses it: " STR_FMT, STR_ARG(sip_verdict_text(m.verdict)));
}

int lint_message(struct str bytes, enum proto proto, char *why, size_t cap)
{
    struct lint l = {.bytes = bytes, .proto = proto, .why = why, .cap = cap};
    void (*const always[])(struct lint *) = {split, start_line, presence, cseq,
                                             vias,  values,     sdp,      parser_agrees};
    for (unsigned i = 0; i < sizeof(always) / sizeof(always[0]) && !l.bad; i++)
        always[i](&l);
    if (l.bad)
        return -1;
    party(&l, STR("From"), true);
    party(&l, STR("To"), !l.request && l.status > 100);
    if (l.request)
        request(&l);
    else
        response(&l);
    return l.bad ? -1 : 0;
}
