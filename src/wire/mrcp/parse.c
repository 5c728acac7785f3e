/* Reading messages. RFC 6787 section 5. */
#include <errno.h>

#include "base/num.h"
#include "wire/mrcp/mrcp.h"

#define LINE_MAX_BYTES 128 /* of "MRCP/2.0 LENGTH": 8 + 1 + 19, and room to spare */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t blank_lines(struct str s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == '\r' || s.p[i] == '\n'))
        i++;
    return i;
}

/* "MRCP/2.0 " in front of s. -EAGAIN while it may become that. */
static int version(struct str s, size_t *ret)
{
    static const struct str word = STR_INIT("MRCP/");
    size_t n = s.n < word.n ? s.n : word.n;
    if (!str_ieq(str_sub(s, 0, n), str_sub(word, 0, n)))
        return -EBADMSG;
    size_t i = n, dots = 0;
    while (i < s.n && i < LINE_MAX_BYTES && (is_digit(s.p[i]) || s.p[i] == '.'))
        dots += s.p[i++] == '.';
    if (i == s.n)
        return i < LINE_MAX_BYTES ? -EAGAIN : -EBADMSG;
    if (s.p[i] != ' ' || dots != 1)
        return -EBADMSG;
    *ret = i + 1;
    return 0;
}

int mrcp_frame(size_t *ret, struct str bytes, size_t max_bytes)
{
    size_t blank = blank_lines(bytes), at, from;
    struct str s = str_from(bytes, blank);
    uint64_t length;
    if (blank > LINE_MAX_BYTES)
        return -EBADMSG;
    int err = version(s, &at);
    if (err)
        return err;
    for (from = at; at < s.n && is_digit(s.p[at]);)
        at++;
    if (at == s.n)
        return at - from > 19 ? -EBADMSG : -EAGAIN;
    /* Base 10, whatever zeros stand in front of it. */
    if (s.p[at] != ' ' || num_u64(&length, str_sub(s, from, at - from), UINT64_MAX))
        return -EBADMSG;
    if (length > max_bytes)
        return -EMSGSIZE;
    if (length <= at)
        return -EBADMSG;
    if (s.n < length)
        return -EAGAIN;
    *ret = blank + (size_t)length;
    return 0;
}

/* The next line, without its end, which is CRLF or LF; false when none is left. */
static bool line_next(struct str *rest, struct str *ret)
{
    ptrdiff_t end = str_chr(*rest, '\n');
    if (end < 0)
        return false;
    size_t n = (size_t)end;
    *ret = str_sub(*rest, 0, n && rest->p[n - 1] == '\r' ? n - 1 : n);
    *rest = str_from(*rest, n + 1);
    return true;
}

static struct str word_next(struct str *s)
{
    size_t i = 0, n;
    while (i < s->n && s->p[i] == ' ')
        i++;
    for (n = i; n < s->n && s->p[n] != ' ';)
        n++;
    struct str w = str_sub(*s, i, n - i);
    *s = str_from(*s, n);
    return w;
}

static int state_parse(enum mrcp_state *ret, struct str s)
{
    for (int i = MRCP_COMPLETE; i <= MRCP_PENDING; i++)
        if (str_ieq(s, mrcp_state_name((enum mrcp_state)i))) {
            *ret = (enum mrcp_state)i;
            return 0;
        }
    return -EBADMSG;
}

static int version_parse(struct mrcp_msg *m, struct str s)
{
    uint64_t major, minor;
    struct str number = str_from(s, 5);
    ptrdiff_t dot = str_chr(number, '.');
    if (!str_istarts(s, STR("MRCP/")) || dot < 1 ||
        num_u64(&major, str_sub(number, 0, (size_t)dot), 99) ||
        num_u64(&minor, str_from(number, (size_t)dot + 1), 99))
        return -EBADMSG;
    m->major = (uint8_t)major;
    m->minor = (uint8_t)minor;
    return 0;
}

/* "543257 200 IN-PROGRESS" */
static int response_line(struct mrcp_msg *m, struct str rest)
{
    uint64_t status;
    m->type = MRCP_RESPONSE;
    struct str code = word_next(&rest);
    if (code.n != 3 || num_u64(&status, code, 999) || status < 100)
        return -EBADMSG;
    m->status = (uint16_t)status;
    return state_parse(&m->state, word_next(&rest));
}

/* "START-OF-INPUT 543257 IN-PROGRESS", with "200 COMPLETE" in section 9.21; or "SPEAK 543257". */
static int request_or_event_line(struct mrcp_msg *m, struct str rest)
{
    struct str id = word_next(&rest), state = word_next(&rest);
    if (num_u64(&m->request_id, id, UINT32_MAX))
        return -EBADMSG;
    if (state.n == 3 && is_digit(state.p[0]))
        state = word_next(&rest);
    m->type = state.n ? MRCP_EVENT : MRCP_REQUEST;
    if (m->type == MRCP_REQUEST) {
        m->method = mrcp_method_find(m->name);
        return 0;
    }
    for (unsigned i = 1; i < MRCP_EVENTS; i++)
        if (str_ieq(m->name, mrcp_event_name((enum mrcp_event)i)))
            m->event = (enum mrcp_event)i;
    return state_parse(&m->state, state);
}

static int start_line(struct mrcp_msg *m, struct str line)
{
    struct str rest = line;
    uint64_t length;
    if (version_parse(m, word_next(&rest)))
        return -EBADMSG;
    if (num_u64(&length, word_next(&rest), UINT64_MAX))
        return -EBADMSG;
    m->name = word_next(&rest);
    if (!m->name.n)
        return -EBADMSG;
    if (!is_digit(m->name.p[0]))
        return request_or_event_line(m, rest);
    if (num_u64(&m->request_id, m->name, UINT32_MAX))
        return -EBADMSG;
    m->name = STR_NONE;
    return response_line(m, rest);
}

static int field_line(struct mrcp_msg *m, struct str line)
{
    if (m->n_fields && (line.p[0] == ' ' || line.p[0] == '\t')) {
        /* A continued line: the value goes on to the end of this one. */
        struct str *v = &m->field[m->n_fields - 1].value;
        if (!v->n)
            *v = str_trim(line);
        else
            *v = str_trim(str_of(v->p, (size_t)(line.p + line.n - v->p)));
        return 0;
    }
    ptrdiff_t colon = str_chr(line, ':');
    if (colon < 1)
        return -EBADMSG;
    if (m->n_fields == MRCP_MAX_FIELDS)
        return -E2BIG;
    struct mrcp_field *f = &m->field[m->n_fields++];
    f->name = str_trim(str_sub(line, 0, (size_t)colon));
    f->value = str_trim(str_from(line, (size_t)colon + 1));
    f->id = mrcp_header_find(f->name);
    return 0;
}

static void channel_read(struct mrcp_msg *m)
{
    m->channel = mrcp_field_get(m, MRCP_H_CHANNEL_IDENTIFIER);
    ptrdiff_t at = str_rchr(m->channel, '@');
    m->resource = at < 0 ? MRCP_R_OTHER : mrcp_resource_find(str_from(m->channel, (size_t)at + 1));
}

int mrcp_parse(struct mrcp_msg *ret, struct str bytes)
{
    struct mrcp_msg m = {.body = STR("")};
    struct str rest = str_from(bytes, blank_lines(bytes)), line;
    uint64_t length;
    if (!line_next(&rest, &line))
        return -EBADMSG;
    int err = start_line(&m, line);
    if (err)
        return err;
    for (;;) {
        if (!line_next(&rest, &line))
            return -EBADMSG;
        if (!line.n)
            break;
        err = field_line(&m, line);
        if (err)
            return err;
    }
    channel_read(&m);
    struct str said = mrcp_field_get(&m, MRCP_H_CONTENT_LENGTH);
    if (!said.p || num_u64(&length, said, UINT64_MAX) || length > rest.n)
        length = rest.n;
    m.body = str_sub(rest, 0, (size_t)length);
    *ret = m;
    return 0;
}

struct str mrcp_field_get(const struct mrcp_msg *m, enum mrcp_header id)
{
    for (unsigned i = 0; i < m->n_fields; i++)
        if (m->field[i].id == id)
            return m->field[i].value;
    return STR_NONE;
}

int mrcp_cause(uint16_t *ret, const struct mrcp_msg *m)
{
    struct str v = mrcp_field_get(m, MRCP_H_COMPLETION_CAUSE);
    uint64_t code;
    if (!v.p)
        return -ENOENT;
    if (num_u64(&code, word_next(&v), 999))
        return -EBADMSG;
    *ret = (uint16_t)code;
    return 0;
}

unsigned mrcp_id_list(uint64_t *out, unsigned cap, struct str value)
{
    unsigned n = 0;
    while (value.n && n < cap) {
        ptrdiff_t comma = str_chr(value, ',');
        size_t end = comma < 0 ? value.n : (size_t)comma;
        if (num_u64(&out[n], str_trim(str_sub(value, 0, end)), UINT32_MAX) == 0)
            n++;
        value = str_from(value, end + (comma >= 0));
    }
    return n;
}
