#include "wire/sip/multipart.h"

#include <errno.h>

#include "wire/sip/lex.h"

/* RFC 2046 5.1.1 allows 70 characters. */
#define BOUNDARY_MAX 70
/* How deep sip_body_find() looks into multiparts inside multiparts. */
#define DEPTH_MAX 3

static struct str media_type(struct str content_type)
{
    ptrdiff_t semi = str_chr(content_type, ';');
    return str_trim(semi < 0 ? content_type : str_sub(content_type, 0, (size_t)semi));
}

bool sip_content_is(struct str content_type, struct str type)
{
    return str_ieq(media_type(content_type), type);
}

struct delimiter {
    const char *from;  /* of the line end before it: the part's body ends here */
    const char *after; /* the next line */
    bool closing;
};

/* The first line of `s` that is "--boundary", perhaps with "--" behind it, and white space. */
static bool delimiter_find(struct delimiter *ret, struct str s, struct str boundary)
{
    const char *p = s.p, *end = s.p + s.n;
    while ((size_t)(end - p) >= boundary.n + 2) {
        const char *q = memmem(p, (size_t)(end - p), boundary.p, boundary.n);
        if (!q)
            return false;
        p = q + 1;
        bool line = q - s.p >= 2 && q[-1] == '-' && q[-2] == '-' && (q - s.p == 2 || q[-3] == '\n');
        if (!line)
            continue;
        struct delimiter d = {.from = q - 2, .after = q + boundary.n};
        d.closing = end - d.after >= 2 && d.after[0] == '-' && d.after[1] == '-';
        const char *lf = memchr(q, '\n', (size_t)(end - q));
        struct str tail = lex_str(q + boundary.n + (d.closing ? 2 : 0), lf ? lf : end);
        if (str_trim(tail).n)
            continue;
        d.after = lf ? lf + 1 : end;
        if (d.from > s.p)
            d.from -= d.from - s.p >= 2 && d.from[-2] == '\r' ? 2 : 1;
        *ret = d;
        return true;
    }
    return false;
}

static struct str bare(struct str s)
{
    return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? str_sub(s, 1, s.n - 2) : s;
}

int sip_multipart_init(struct sip_multipart *it, struct str content_type, struct str body)
{
    ptrdiff_t semi = str_chr(content_type, ';');
    if (semi < 0 || !str_istarts(str_trim(content_type), STR("multipart/")))
        return -EINVAL;
    struct str params = str_from(content_type, (size_t)semi + 1);
    struct str boundary = bare(sip_param_get(params, STR("boundary")));
    if (boundary.n == 0 || boundary.n > BOUNDARY_MAX)
        return -EINVAL;
    struct delimiter d;
    bool parts = body.n && delimiter_find(&d, body, boundary) && !d.closing;
    it->boundary = boundary;
    it->rest = parts ? lex_str(d.after, body.p + body.n) : STR_NONE;
    return 0;
}

static void header_note(struct sip_part *part, struct str line)
{
    ptrdiff_t colon = str_chr(line, ':');
    if (colon <= 0)
        return;
    struct str value = str_trim(str_from(line, (size_t)colon + 1));
    switch (sip_hdr_of(str_trim(str_sub(line, 0, (size_t)colon)))) {
    case SIP_H_CONTENT_TYPE:
        part->content_type = value;
        break;
    case SIP_H_CONTENT_DISPOSITION:
        part->content_disposition = value;
        break;
    case SIP_H_CONTENT_ID:
        part->content_id = value;
        break;
    default:
        break;
    }
}

/* Headers, empty line, body. A part that starts with an empty line has no headers. */
static struct sip_part part_split(struct str s)
{
    struct sip_part part = {0};
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        const char *next = p;
        do {
            next = memchr(next, '\n', (size_t)(end - next));
            next = next ? next + 1 : end;
        } while (next < end && next > p + 2 && (*next == ' ' || *next == '\t'));
        struct str line = str_trim(lex_str(p, next));
        if (line.n == 0) {
            part.headers = lex_str(s.p, p);
            part.body = lex_str(next, end);
            return part;
        }
        header_note(&part, line);
        p = next;
    }
    part.headers = s;
    part.body = str_from(s, s.n);
    return part;
}

bool sip_multipart_next(struct sip_multipart *it, struct sip_part *ret)
{
    struct delimiter d;
    if (!it->rest.p || !delimiter_find(&d, it->rest, it->boundary)) {
        it->rest = STR_NONE;
        return false;
    }
    *ret = part_split(lex_str(it->rest.p, d.from));
    it->rest = d.closing ? STR_NONE : lex_str(d.after, it->rest.p + it->rest.n);
    return true;
}

/* RFC 3959 section 4: a description of an early session stands beside that of the session, and is
 * never taken for it. */
static bool is_early(struct str disposition)
{
    return sip_content_is(disposition, STR("early-session"));
}

struct wanted {
    struct str type;
    bool early;
};

static struct str find_part(const struct sip_part *in, const struct wanted *w, unsigned depth)
{
    if (sip_content_is(in->content_type, w->type))
        return is_early(in->content_disposition) == w->early ? in->body : STR_NONE;
    struct sip_multipart it;
    struct sip_part part;
    struct str found = STR_NONE;
    if (depth == 0 || sip_multipart_init(&it, in->content_type, in->body))
        return STR_NONE;
    while (!found.p && sip_multipart_next(&it, &part))
        found = find_part(&part, w, depth - 1);
    return found;
}

static struct str find(const struct sip_msg *m, const struct wanted *w)
{
    struct sip_part whole = {.content_type = sip_msg_get(m, SIP_H_CONTENT_TYPE),
                             .content_disposition = sip_msg_get(m, SIP_H_CONTENT_DISPOSITION),
                             .body = m->body};
    return find_part(&whole, w, DEPTH_MAX);
}

struct str sip_body_find(const struct sip_msg *m, struct str type)
{
    return find(m, &(struct wanted){.type = type});
}

struct str sip_body_early(const struct sip_msg *m, struct str type)
{
    return find(m, &(struct wanted){.type = type, .early = true});
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_field(struct buf *b, enum sip_hdr_id id, struct str value)
{
    if (!value.n)
        return;
    buf_str_put(b, sip_hdr_name(id));
    buf_lit(b, ": ");
    buf_str_put(b, value);
    buf_lit(b, "\r\n");
}

void sip_multipart_put(struct buf *b, struct str boundary, const struct sip_part *part)
{
    buf_lit(b, "--");
    buf_str_put(b, boundary);
    buf_lit(b, "\r\n");
    put_field(b, SIP_H_CONTENT_TYPE, part->content_type);
    put_field(b, SIP_H_CONTENT_DISPOSITION, part->content_disposition);
    put_field(b, SIP_H_CONTENT_ID, part->content_id);
    buf_lit(b, "\r\n");
    buf_str_put(b, part->body);
    buf_lit(b, "\r\n"); /* belongs to the delimiter that follows: RFC 2046 section 5.1.1 */
}

void sip_multipart_end(struct buf *b, struct str boundary)
{
    buf_lit(b, "--");
    buf_str_put(b, boundary);
    buf_lit(b, "--\r\n");
}
