/* What a parsed description means: effective addresses and directions, attributes by name. */
#include "wire/sdp/sdp.h"

#include <errno.h>

#include "base/num.h"

struct str sdp_attr_arg(const struct sdp_line *l)
{
    if (l->name_n >= l->value.n)
        return STR_NONE;
    return str_from(l->value, (size_t)l->name_n + 1);
}

static const struct sdp_line *find_from(const struct sdp_line *l, const struct sdp_line *end,
                                        struct str name)
{
    for (; l < end; l++)
        if (l->type == 'a' && str_ieq(sdp_attr_name(l), name))
            return l;
    return NULL;
}

const struct sdp_line *sdp_attr_find(const struct sdp *s, const struct sdp_media *m,
                                     struct str name)
{
    return m ? find_from(m->line, m->line + m->n_lines, name)
             : find_from(s->line, s->line + s->n_lines, name);
}

const struct sdp_line *sdp_attr_next(const struct sdp *s, const struct sdp_media *m,
                                     const struct sdp_line *at)
{
    const struct sdp_line *end = m ? m->line + m->n_lines : s->line + s->n_lines;
    return find_from(at + 1, end, sdp_attr_name(at));
}

int sdp_bandwidth_find(uint64_t *ret, const struct sdp *s, const struct sdp_media *m,
                       struct str type)
{
    const struct sdp_line *l = m ? m->line : s->line;
    const struct sdp_line *end = l + (m ? m->n_lines : s->n_lines);
    for (; l < end; l++) {
        ptrdiff_t colon = l->type == 'b' ? str_chr(l->value, ':') : -1;
        if (colon >= 0 && str_ieq(str_sub(l->value, 0, (size_t)colon), type) &&
            num_u64(ret, str_trim(str_from(l->value, (size_t)colon + 1)), UINT64_MAX) == 0)
            return 0;
    }
    return -ENOENT;
}

/* RFC 8866 section 5.7: the c= of a media overrides that of the session. */
static const struct sdp_conn *conn_of(const struct sdp *s, const struct sdp_media *m)
{
    if (m->has_conn)
        return &m->conn;
    return s->has_conn ? &s->conn : NULL;
}

int sdp_media_addr(struct addr *ret, const struct sdp *s, const struct sdp_media *m)
{
    const struct sdp_conn *c = conn_of(s, m);
    if (!c)
        return -ENOENT;
    if (c->addr.family == ADDR_NONE)
        return -EADDRNOTAVAIL;
    *ret = c->addr;
    ret->port = m->port;
    return 0;
}

int sdp_media_rtcp(struct addr *ret, const struct sdp *s, const struct sdp_media *m)
{
    struct addr a;
    int err = sdp_media_addr(&a, s, m);
    bool own = m->has_rtcp && m->rtcp.family != ADDR_NONE && !m->rtcp_mux;
    if (err && !own)
        return err;
    if (m->rtcp_mux) {
        *ret = a; /* RFC 5761 section 5.1.1 */
    } else if (own) {
        *ret = m->rtcp;
    } else {
        uint16_t next = m->port && m->port < 65535 ? (uint16_t)(m->port + 1) : 0;
        a.port = m->has_rtcp ? m->rtcp.port : next; /* RFC 3550 section 11 */
        *ret = a;
    }
    return 0;
}

enum sdp_dir sdp_media_dir_line(const struct sdp *s, const struct sdp_media *m)
{
    if (m->has_dir)
        return m->dir;
    return s->has_dir ? s->dir : SDP_SENDRECV;
}

enum sdp_dir sdp_media_dir(const struct sdp *s, const struct sdp_media *m)
{
    enum sdp_dir dir = sdp_media_dir_line(s, m);
    const struct sdp_conn *c = conn_of(s, m);
    if (c && c->addr.family != ADDR_NONE && addr_is_any(&c->addr))
        return sdp_dir_and(dir, SDP_SENDONLY);
    return dir;
}

bool sdp_media_held(const struct sdp *s, const struct sdp_media *m)
{
    enum sdp_dir d = sdp_media_dir(s, m);
    return d == SDP_SENDONLY || d == SDP_INACTIVE;
}

static bool sends(enum sdp_dir d)
{
    return d == SDP_SENDRECV || d == SDP_SENDONLY;
}

static bool receives(enum sdp_dir d)
{
    return d == SDP_SENDRECV || d == SDP_RECVONLY;
}

static enum sdp_dir dir_of(bool send, bool receive)
{
    if (send)
        return receive ? SDP_SENDRECV : SDP_SENDONLY;
    return receive ? SDP_RECVONLY : SDP_INACTIVE;
}

enum sdp_dir sdp_dir_reverse(enum sdp_dir d)
{
    return dir_of(receives(d), sends(d));
}

enum sdp_dir sdp_dir_and(enum sdp_dir a, enum sdp_dir b)
{
    return dir_of(sends(a) && sends(b), receives(a) && receives(b));
}

struct str sdp_dir_text(enum sdp_dir d)
{
    static const struct str text[] = {
        [SDP_SENDRECV] = STR_INIT("sendrecv"),
        [SDP_SENDONLY] = STR_INIT("sendonly"),
        [SDP_RECVONLY] = STR_INIT("recvonly"),
        [SDP_INACTIVE] = STR_INIT("inactive"),
    };
    BUG_ON((unsigned)d >= ARRAY_LEN(text));
    return text[d];
}

/* The lines of two sections, o= left out. */
static bool lines_equal(const struct sdp_line *a, unsigned n_a, const struct sdp_line *b,
                        unsigned n_b)
{
    if (n_a != n_b)
        return false;
    for (unsigned i = 0; i < n_a; i++)
        if (a[i].type != b[i].type || (a[i].type != 'o' && !str_eq(a[i].value, b[i].value)))
            return false;
    return true;
}

bool sdp_equal_but_origin(const struct sdp *a, const struct sdp *b)
{
    if (a->n_media != b->n_media || !lines_equal(a->line, a->n_lines, b->line, b->n_lines))
        return false;
    for (unsigned i = 0; i < a->n_media; i++)
        if (!lines_equal(a->media[i].line, a->media[i].n_lines, b->media[i].line,
                         b->media[i].n_lines))
            return false;
    return true;
}

bool sdp_origin_equal(const struct sdp *a, const struct sdp *b)
{
    const struct sdp_origin *x = &a->origin, *y = &b->origin;
    return str_eq(x->user, y->user) && str_eq(x->id, y->id) && str_eq(x->version, y->version) &&
           str_ieq(x->net, y->net) && str_ieq(x->type, y->type) && str_ieq(x->host, y->host);
}
