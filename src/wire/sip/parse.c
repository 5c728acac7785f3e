/* The one pass over a message: start line, index of the header fields, body. RFC 3261 section 7. */
#include "wire/sip/lex.h"
#include "wire/sip/names.h"

struct pass {
    struct sip_msg *m;
    const char *p, *end;
    uint16_t last[SIP_H_COUNT]; /* index + 1 of the last field; only where first[] is set */
};

/* A verdict is reached once; the pass goes on, so that a refusal finds Via, From, To, Call-ID and
 * CSeq wherever they stand. */
static void refuse(struct sip_msg *m, enum sip_verdict v, const char *at, struct str name)
{
    if (m->verdict != SIP_OK)
        return;
    m->verdict = v;
    m->bad_at = (uint32_t)(at - m->raw.p);
    m->bad_name = name;
}

/* The first ':', space or control character at or after p, or end: where a header name stops. */
static inline const char *find_name_end(const char *p, const char *end)
{
    while (p < end && *p != ':' && (unsigned char)*p > ' ')
        p++;
    return p;
}

/* The first control character from NUL to CR at or after p, or end. */
static inline const char *find_control(const char *p, const char *end)
{
    p = span_text(p, end);
    while (p < end && (unsigned char)*p > '\r')
        p++;
    return p;
}

/* Behind a line end at p (CRLF or LF alone), or NULL. */
static inline const char *line_end(const char *p, const char *end)
{
    if (p < end && (unsigned char)*p > '\r')
        return NULL;
    if (p < end && *p == '\r')
        p++;
    return p < end && *p == '\n' ? p + 1 : NULL;
}

struct line {
    const char *stop; /* of the text */
    const char *next; /* the next line; NULL: the bytes ended first */
    bool odd;         /* a NUL or a CR without LF is in it */
};

static bool has_stray(const char *p, const char *stop)
{
    for (; p < stop; p++)
        if (*p == '\r' && p[1] != '\n')
            return true;
    return false;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The logical line in which p is, folds included when `folds`. */
static struct line line_take(const char *p, const char *end, bool folds)
{
    struct line l = {end, NULL, false};
    for (;;) {
        p = find_control(p, end);
        if (p == end)
            return l;
        const char *next = line_end(p, end);
        if (!next) {
            l.odd |= *p == '\0' || *p == '\r';
            p++;
            continue;
        }
        if (!folds || next == end || !is_blank(*next)) {
            l.stop = p;
            l.next = next;
            return l;
        }
        p = next;
    }
}

/* RFC 3261 25.1: a NUL may stand in a message only as a quoted-pair (RFC 4475 3.1.1.2). */
static bool nul_quoted(struct str value)
{
    bool quoted = false;
    for (size_t i = 0; i < value.n; i++) {
        if (quoted && value.p[i] == '\\')
            i++;
        else if (value.p[i] == '"')
            quoted = !quoted;
        else if (value.p[i] == '\0')
            return false;
    }
    return true;
}

/* "SIP/2.0", or the verdict. */
static enum sip_verdict check_version(struct str s)
{
    if (str_eq(s, STR("SIP/2.0")) || str_ieq(s, STR("SIP/2.0")))
        return SIP_OK;
    const char *end = s.p + s.n;
    if (!str_istarts(s, STR("SIP/")))
        return SIP_BAD_START_LINE;
    const char *dot = lex_span(s.p + 4, end, LEX_DIGIT);
    if (dot == s.p + 4 || dot == end || *dot != '.')
        return SIP_BAD_START_LINE;
    const char *last = lex_span(dot + 1, end, LEX_DIGIT);
    return last > dot + 1 && last == end ? SIP_BAD_VERSION : SIP_BAD_START_LINE;
}

/* RFC 3261 7.2. Text after the reason phrase belongs to it, whatever it is; a missing space before
 * an empty phrase is forgiven. */
static enum sip_verdict parse_status_line(struct sip_msg *m, struct str s)
{
    ptrdiff_t space = str_chr(s, ' ');
    if (space < 0)
        return SIP_BAD_START_LINE;
    enum sip_verdict v = check_version(str_sub(s, 0, (size_t)space));
    const char *end = s.p + s.n;
    const char *code = s.p + space + 1;
    const char *stop = lex_span(code, end, LEX_DIGIT);
    /* RFC 4475 3.1.2.19: three digits, counted before they are converted. */
    if (stop - code != 3 || code[0] < '1' || code[0] > '6' || (stop < end && *stop != ' '))
        return SIP_BAD_START_LINE;
    m->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    m->reason = stop < end ? lex_str(stop + 1, end) : STR("");
    return v;
}

/* RFC 3261 19.1.1: no headers in a Request-URI. */
static enum sip_verdict parse_ruri(struct sip_msg *m, struct str text)
{
    m->ruri_text = text;
    return uri_scan(&m->ruri, text) || m->ruri.headers.p ? SIP_BAD_URI : SIP_OK;
}

/* RFC 3261 7.1. More than one space between the parts and spaces at the end are forgiven
 * (RFC 4475 3.1.2.9 and 3.1.2.10): we write the line anew. A space within the URI is not. */
static enum sip_verdict parse_request_line(struct sip_msg *m, struct str s)
{
    const char *end = s.p + s.n;
    const char *p = lex_span(s.p, end, LEX_TOKEN);
    m->is_request = true;
    m->method_text = lex_str(s.p, p);
    m->method = sip_method_of(m->method_text);
    if (p == s.p || p == end || *p != ' ')
        return SIP_BAD_START_LINE;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end - p > 9 && memcmp(end - 8, " SIP/2.0", 8) == 0)
        return parse_ruri(m, str_trim(lex_str(p, end - 8)));
    const char *version = end;
    while (version > p && version[-1] != ' ' && version[-1] != '\t')
        version--;
    enum sip_verdict v = check_version(lex_str(version, end));
    if (v == SIP_BAD_START_LINE)
        return v;
    enum sip_verdict uri = parse_ruri(m, str_trim(lex_str(p, version)));
    return v ? v : uri;
}

/* False when the bytes end here. */
static bool parse_start(struct pass *s)
{
    struct sip_msg *m = s->m;
    struct line l = line_take(s->p, s->end, false);
    struct str text = lex_str(s->p, l.stop);
    bool status = text.n > 4 && text.p[3] == '/' && str_istarts(text, STR("SIP/"));
    enum sip_verdict v = status ? parse_status_line(m, text) : parse_request_line(m, text);
    if (l.odd)
        v = SIP_BAD_START_LINE;
    if (v)
        refuse(m, v, s->p, STR_NONE);
    if (!l.next) {
        refuse(m, SIP_TRUNCATED, l.stop, STR_NONE);
        return false;
    }
    s->p = l.next;
    return true;
}

/* Puts a field in the index and judges its value. */
static inline enum sip_verdict take_field(struct pass *s, struct str name, struct str value,
                                          enum sip_hdr_id id)
{
    struct sip_msg *m = s->m;
    size_t n = m->n_hdrs;
    struct sip_hdr *h = &m->hdr[n];
    uint16_t i = (uint16_t)(n + 1);
    m->n_hdrs = i;
    h->name = name;
    h->value = value;
    h->id = (uint16_t)id;
    h->next = 0;
    if (id == SIP_H_OTHER)
        return SIP_OK;
    check_fn *check = check_table[id];
    bool repeated = m->first[id] != 0;
    if (__builtin_expect(repeated, 0)) {
        m->hdr[s->last[id] - 1].next = i;
        s->last[id] = i;
        if (names_kind[id] == SIP_KIND_ONE)
            return SIP_REPEATED_HEADER;
    } else {
        m->first[id] = s->last[id] = i;
    }
    return check ? check(m, value, repeated) : SIP_OK;
}

/* p is behind the colon. */
static inline struct str trim_value(const char *p, const char *stop)
{
    p += *p == ' ';
    p = lex_ws(p, stop);
    while (stop > p && lex_is(stop[-1], LEX_SPACE))
        stop--;
    return lex_str(p, stop);
}

/* Any header field; s->p is at its name. False when the bytes end here or the index is full. */
static __attribute__((noinline)) bool parse_field(struct pass *s)
{
    struct sip_msg *m = s->m;
    const char *start = s->p;
    const char *stop = find_name_end(start, s->end), *p = stop;
    struct line l = line_take(stop, s->end, true);
    if (!l.next) {
        refuse(m, SIP_TRUNCATED, l.stop, STR_NONE);
        return false;
    }
    s->p = l.next;
    /* The end of the line stops it, at the latest. */
    while (is_blank(*p))
        p++;
    struct str name = lex_str(start, stop);
    enum sip_hdr_id id = names_find(name, (size_t)(s->end - start));
    if (*p != ':' || (id == SIP_H_OTHER && !sip_is_token(name)) ||
        (l.odd && has_stray(start, l.stop))) {
        refuse(m, SIP_BAD_HEADER_LINE, start, STR_NONE);
        return true;
    }
    struct str value = trim_value(p + 1, l.stop);
    if (l.odd && !nul_quoted(value)) {
        refuse(m, SIP_BAD_HEADER_LINE, start, name);
        return true;
    }
    if (m->n_hdrs == SIP_MAX_HEADERS) {
        refuse(m, SIP_TOO_MANY_HEADERS, start, name);
        return false;
    }
    enum sip_verdict v = take_field(s, name, value, id);
    if (v)
        refuse(m, v, value.p, name);
    return true;
}

#ifdef __SSE2__
/* The usual field: a known name of at most 16 bytes, a colon, perhaps one space, a value that is
 * not empty, CRLF, no fold. False, and nothing is done, for any other. */
static inline bool parse_usual(struct pass *s)
{
    struct sip_msg *m = s->m;
    const char *start = s->p, *end = s->end;
    if (end - start < 64 || m->n_hdrs == SIP_MAX_HEADERS)
        return false;
    size_t n = span_name_short(start);
    const char *p = start + n;
    enum sip_hdr_id id = names_find(str_of(start, n), 64);
    if (*p != ':' || id == SIP_H_OTHER)
        return false;
    p += p[1] == ' ' ? 2 : 1;
    const char *stop = span_text(p, end);
    if (end - stop < 3 || memcmp(stop, "\r\n", 2) != 0 || is_blank(stop[2]))
        return false;
    if (lex_is(*p, LEX_SPACE) || lex_is(stop[-1], LEX_SPACE))
        return false;
    s->p = stop + 2;
    enum sip_verdict v = take_field(s, str_of(start, n), lex_str(p, stop), id);
    if (v)
        refuse(m, v, p, str_of(start, n));
    return true;
}
#else
static inline bool parse_usual(struct pass *s)
{
    return false;
}
#endif

/* RFC 3261 8.1.1; Max-Forwards may miss, RFC 2543 did not have to send it. */
static void check_mandatory(struct sip_msg *m)
{
    static const uint8_t needed[] = {SIP_H_VIA, SIP_H_FROM, SIP_H_TO, SIP_H_CALL_ID, SIP_H_CSEQ};
    for (unsigned i = 0; i < ARRAY_LEN(needed); i++)
        if (!m->first[needed[i]])
            refuse(m, SIP_MISSING_HEADER, m->raw.p, sip_hdr_name(needed[i]));
    if (!m->is_request)
        m->method = m->cseq.method;
    else if (m->first[SIP_H_CSEQ] && !str_eq(m->cseq.method_text, m->method_text))
        refuse(m, SIP_METHOD_MISMATCH, m->raw.p, sip_hdr_name(SIP_H_CSEQ));
}

/* p is behind the empty line. RFC 3261 18.3: a datagram may go on after the body, and without
 * Content-Length the body is all the rest. */
static void take_body(struct sip_msg *m, const char *p, const char *end)
{
    size_t rest = (size_t)(end - p);
    if (m->content_length > (int64_t)rest) {
        refuse(m, SIP_BAD_LENGTH, p, sip_hdr_name(SIP_H_CONTENT_LENGTH));
    } else {
        size_t n = m->content_length < 0 ? rest : (size_t)m->content_length;
        m->body = str_of(p, n);
        m->raw.n = (size_t)(p - m->raw.p) + n;
    }
}

/* What is not set on every way through the pass. The typed values are set by the scan of their
 * header, or by clear_absent() if there is none: clearing a kilobyte costs as much as a header. */
static void reset(struct sip_msg *m)
{
    m->is_request = false;
    m->method = SIP_METHOD_UNKNOWN;
    m->method_text = STR_NONE;
    m->ruri_text = STR_NONE;
    m->reason = STR_NONE;
    m->body = STR_NONE;
    m->bad_name = STR_NONE;
    m->status = 0;
    m->max_forwards = -1;
    m->content_length = -1;
    m->verdict = SIP_OK;
    m->bad_at = 0;
    m->n_hdrs = 0;
    memcpy(m->first, first_none, sizeof(first_none));
}

static void clear_absent(struct sip_msg *m)
{
    if (!m->first[SIP_H_VIA])
        m->via = via_none;
    if (!m->first[SIP_H_FROM])
        m->from = nameaddr_none;
    if (!m->first[SIP_H_TO])
        m->to = nameaddr_none;
    if (!m->first[SIP_H_CONTACT])
        m->contact = nameaddr_none;
    if (!m->first[SIP_H_CSEQ])
        m->cseq = (struct sip_cseq){0};
    if (!m->first[SIP_H_CALL_ID])
        m->call_id = STR_NONE;
    if (!m->ruri_text.p)
        m->ruri = uri_none;
}

enum sip_verdict sip_msg_parse(struct sip_msg *m, const char *bytes, size_t n, bool stream)
{
    struct pass s;
    s.m = m;
    s.p = bytes;
    s.end = bytes + n;
    reset(m);
    /* RFC 3261 7.5: empty lines before the start line. */
    for (const char *next = line_end(s.p, s.end); next; next = line_end(s.p, s.end))
        s.p = next;
    m->raw = lex_str(s.p, s.end);
    if (m->raw.n > SIP_MAX_BYTES) {
        refuse(m, SIP_TOO_LARGE, s.p, STR_NONE);
        clear_absent(m);
        return m->verdict;
    }
    bool more = parse_start(&s);
    const char *body = NULL;
    while (more && !body) {
        while (parse_usual(&s))
            continue;
        body = line_end(s.p, s.end);
        if (!body)
            more = parse_field(&s);
    }
    clear_absent(m);
    if (body) {
        check_mandatory(m);
        take_body(m, body, s.end);
        /* RFC 3261 18.3: a stream has no other end than Content-Length. */
        if (stream && m->content_length < 0)
            refuse(m, SIP_BAD_CONTENT_LENGTH, body, sip_hdr_name(SIP_H_CONTENT_LENGTH));
    }
    return m->verdict;
}
