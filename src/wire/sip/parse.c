/* The one pass over a message: start line, index of the header fields, body. RFC 3261 section 7. */
#include "wire/sip/lex.h"

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

/* Finds line ends 64 bytes at a time, ahead of their use: where a block starts does not depend on
 * what the one before held, so the processor works on several at once. */
struct lines {
    const char *block;      /* the block looked at last */
    const char *next, *end; /* the one after it; where the bytes end */
    uint64_t lf;            /* line feeds in `block` not yet handed out */
    bool odd;               /* a NUL or a CR without LF was met: look closely from here on */
};

struct pass {
    struct sip_msg *m;
    const char *p, *end;
    struct lines lines;
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

/* The line feeds and all controls from NUL to CR in 64 bytes, as bits. */
struct masks {
    uint64_t lf, ctl;
};

#ifdef __SSE2__
static inline struct masks block_part(const char *p)
{
    const __m128i line = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    unsigned lf = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, line));
    unsigned ctl = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, cr), x));
    return (struct masks){lf, ctl};
}

static inline struct masks block_masks(const char *p)
{
    struct masks a = block_part(p), b = block_part(p + 16);
    struct masks c = block_part(p + 32), d = block_part(p + 48);
    return (struct masks){a.lf | b.lf << 16 | c.lf << 32 | d.lf << 48,
                          a.ctl | b.ctl << 16 | c.ctl << 32 | d.ctl << 48};
}
#else
static inline struct masks block_masks(const char *p)
{
    struct masks m = {0, 0};
    for (unsigned i = 0; i < 64; i++) {
        m.lf |= (uint64_t)(p[i] == '\n') << i;
        m.ctl |= (uint64_t)((unsigned char)p[i] <= '\r') << i;
    }
    return m;
}
#endif

/* Is one of these controls a NUL, or a CR that no LF follows? */
static bool is_odd(const char *p, const char *end, uint64_t ctl)
{
    for (; ctl; ctl &= ctl - 1) {
        const char *c = p + __builtin_ctzll(ctl);
        if (*c == '\0' || (*c == '\r' && (c + 1 == end || c[1] != '\n')))
            return true;
    }
    return false;
}

static struct masks last_masks(const char *p, size_t n)
{
    char room[64];
    memset(room, ' ', sizeof(room));
    memcpy(room, p, n);
    return block_masks(room);
}

static inline void block_take(struct lines *l)
{
    const char *p = l->next;
    size_t left = (size_t)(l->end - p);
    struct masks m = left >= 64 ? block_masks(p) : last_masks(p, left);
    m.ctl &= ~(m.lf | m.lf >> 1);
    if (m.ctl)
        l->odd |= is_odd(p, l->end, m.ctl);
    l->lf = m.lf;
    l->block = p;
    l->next = p + (left < 64 ? left : 64);
}

/* The next line feed, or NULL. */
static inline const char *lines_next(struct lines *l)
{
    while (!l->lf) {
        if (l->next == l->end)
            return NULL;
        block_take(l);
    }
    const char *p = l->block + __builtin_ctzll(l->lf);
    l->lf &= l->lf - 1;
    return p;
}

/* The first ':', space or control character at or after p, or end: where a header name stops. */
static inline const char *find_name_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i colon = _mm_set1_epi8(':'), space = _mm_set1_epi8(' ');
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit =
            _mm_or_si128(_mm_cmpeq_epi8(x, colon), _mm_cmpeq_epi8(_mm_min_epu8(x, space), x));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != ':' && (unsigned char)*p > ' ')
        p++;
    return p;
}

/* Behind a line end at p (CRLF or LF alone), or NULL. */
static inline const char *line_end(const char *p, const char *end)
{
    if (p < end && *p == '\r')
        p++;
    return p < end && *p == '\n' ? p + 1 : NULL;
}

struct line {
    const char *stop; /* of the text */
    const char *next; /* the next line; NULL: the bytes ended first */
    bool stray;       /* CR without LF */
    bool nul;
};

static bool has_nul(const char *p, const char *stop)
{
    return p < stop && memchr(p, '\0', (size_t)(stop - p));
}

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

/* The logical line that starts at p, which is not empty; folds included when `folds`. */
static inline __attribute__((always_inline)) struct line line_take(struct pass *s, const char *p,
                                                                   bool folds)
{
    struct line l = {s->end, NULL, false, false};
    const char *lf;
    do {
        lf = lines_next(&s->lines);
        if (!lf)
            return l;
    } while (folds && lf + 1 < s->end && is_blank(lf[1]));
    l.next = lf + 1;
    l.stop = lf - (lf[-1] == '\r');
    if (__builtin_expect(s->lines.odd, 0)) {
        l.nul = has_nul(p, l.stop);
        l.stray = has_stray(p, l.stop);
    }
    return l;
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
    struct line l = line_take(s, s->p, false);
    struct str text = lex_str(s->p, l.stop);
    bool status = text.n > 4 && text.p[3] == '/' && str_istarts(text, STR("SIP/"));
    enum sip_verdict v = status ? parse_status_line(m, text) : parse_request_line(m, text);
    if (l.stray || l.nul)
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
    uint16_t i = m->n_hdrs;
    m->hdr[i++] = (struct sip_hdr){.name = name, .value = value, .id = (uint16_t)id};
    m->n_hdrs = i;
    if (id == SIP_H_OTHER)
        return SIP_OK;
    uint16_t first = m->first[id], last = s->last[id];
    s->last[id] = i;
    check_fn *check = check_table[id];
    if (!first) {
        m->first[id] = i;
        return check ? check(m, value, false) : SIP_OK;
    }
    m->hdr[last - 1].next = i;
    if (names_kind(id) == SIP_KIND_ONE)
        return SIP_REPEATED_HEADER;
    return check ? check(m, value, true) : SIP_OK;
}

/* One header field; s->p is at its name. False when the bytes end here or the index is full. */
static inline bool parse_field(struct pass *s)
{
    struct sip_msg *m = s->m;
    const char *start = s->p;
    struct line l = line_take(s, start, true);
    if (!l.next) {
        refuse(m, SIP_TRUNCATED, l.stop, STR_NONE);
        return false;
    }
    s->p = l.next;
    /* The end of the line stops both, at the latest. */
    const char *stop = find_name_end(start, s->end), *p = stop;
    while (is_blank(*p))
        p++;
    struct str name = lex_str(start, stop);
    enum sip_hdr_id id = names_find(name, (size_t)(s->end - start));
    if (*p != ':' || l.stray || (id == SIP_H_OTHER && !sip_is_token(name))) {
        refuse(m, SIP_BAD_HEADER_LINE, start, STR_NONE);
        return true;
    }
    p = lex_ws(p + 1, l.stop);
    struct str value = lex_str(p, l.stop);
    while (value.n && lex_is(p[value.n - 1], LEX_SPACE))
        value.n--;
    if (l.nul && !nul_quoted(value)) {
        refuse(m, SIP_BAD_HEADER_LINE, start, name);
        return true;
    }
    if (m->n_hdrs == SIP_MAX_HEADERS) {
        refuse(m, SIP_TOO_MANY_HEADERS, start, name);
        return false;
    }
    enum sip_verdict v = take_field(s, name, value, id);
    if (v)
        refuse(m, v, p, name);
    return true;
}

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
    s.lines = (struct lines){s.p, s.p, s.end, 0, false};
    if (m->raw.n > SIP_MAX_BYTES) {
        refuse(m, SIP_TOO_LARGE, s.p, STR_NONE);
        clear_absent(m);
        return m->verdict;
    }
    bool more = parse_start(&s);
    const char *body = NULL;
    while (more && !(body = line_end(s.p, s.end)))
        more = parse_field(&s);
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
