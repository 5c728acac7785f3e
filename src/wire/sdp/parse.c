#include "wire/sdp/sdp.h"

#include <errno.h>

#include "base/num.h"

#define MAX_ALL_LINES ((SDP_MAX_MEDIA + 1) * (SDP_MAX_ATTRS + SDP_MAX_LINES + 2))

struct parser {
    struct sdp s;
    struct arena *arena;
    struct sdp_media *m;  /* the section being read; NULL in the session's */
    struct sdp_line *end; /* where the next line goes */
    unsigned n_attrs, n_others;
    bool has_version, has_origin, has_time;
};

static const struct {
    const char *name;
    uint8_t len;
} attr_name[SDP_A_COUNT] = {
#define ATTR(id, name, fate) [SDP_A_##id] = {name, sizeof(name) - 1},
#include "wire/sdp/attr.def"
#undef ATTR
};

static const struct str reason_text[SDP_REASON_COUNT] = {
    [SDP_OK] = STR_INIT("no error"),
    [SDP_TOO_LARGE] = STR_INIT("longer than 65536 bytes"),
    [SDP_BAD_LINE] = STR_INIT("not a line of the form x=value"),
    [SDP_BAD_VERSION] = STR_INIT("does not begin with v=0"),
    [SDP_BAD_ORIGIN] = STR_INIT("malformed or repeated o= line"),
    [SDP_NO_ORIGIN] = STR_INIT("no o= line"),
    [SDP_BAD_CONNECTION] = STR_INIT("malformed c= line"),
    [SDP_BAD_TIME] = STR_INIT("malformed t= line"),
    [SDP_BAD_MEDIA] = STR_INIT("malformed m= line"),
    [SDP_BAD_PORT] = STR_INIT("bad port in m= line"),
    [SDP_TOO_MANY_MEDIA] = STR_INIT("more than 16 m= lines"),
    [SDP_TOO_MANY_FORMATS] = STR_INIT("more than 64 formats in a media"),
    [SDP_TOO_MANY_ATTRS] = STR_INIT("more than 256 attributes in a section"),
    [SDP_TOO_MANY_LINES] = STR_INIT("more than 64 other lines in a section"),
    [SDP_NO_MEMORY] = STR_INIT("out of memory"),
};

struct str sdp_reason_text(enum sdp_reason r)
{
    return r < SDP_REASON_COUNT ? reason_text[r] : STR("unknown");
}

/* Cuts the next word off *s. RFC 8866 section 9 has one space between fields; more are seen. */
static struct str take_word(struct str *s)
{
    while (s->n && s->p[0] == ' ') {
        s->p++;
        s->n--;
    }
    size_t n = 0; /* words are too short for memchr() to pay */
    while (n < s->n && s->p[n] != ' ')
        n++;
    struct str word = str_of(s->p, n);
    s->p += n;
    s->n -= n;
    return word;
}

/* Cuts what stands before `sep` off *s, and the separator with it. */
static struct str take_until(struct str *s, char sep)
{
    ptrdiff_t at = str_chr(*s, sep);
    struct str head = at < 0 ? *s : str_sub(*s, 0, (size_t)at);
    *s = str_from(*s, at < 0 ? s->n : (size_t)at + 1);
    return head;
}

static enum sdp_reason parse_origin(struct parser *p, struct str v)
{
    struct sdp_origin o;
    if (p->m || p->has_origin)
        return SDP_BAD_ORIGIN;
    o.user = take_word(&v);
    o.id = take_word(&v);
    o.version = take_word(&v);
    o.net = take_word(&v);
    o.type = take_word(&v);
    o.host = take_word(&v);
    if (o.host.n == 0 || take_word(&v).n)
        return SDP_BAD_ORIGIN;
    p->s.origin = o;
    p->has_origin = true;
    return SDP_OK;
}

/* "224.2.1.1/127/3", "FF15::101/3": TTL only with IPv4 (RFC 8866 section 5.7). */
static enum sdp_reason parse_group(struct sdp_conn *c, struct str slashes)
{
    struct str first = take_until(&slashes, '/');
    uint64_t v;
    if (!str_ieq(c->type, STR("IP6"))) {
        if (num_u64(&v, first, 255))
            return SDP_BAD_CONNECTION;
        c->ttl = (uint32_t)v;
        if (slashes.n == 0)
            return SDP_OK;
        first = slashes;
    }
    if (num_u64(&v, first, 65535) || v == 0)
        return SDP_BAD_CONNECTION;
    c->count = (uint32_t)v;
    return SDP_OK;
}

static enum sdp_reason parse_conn(struct parser *p, struct str v)
{
    struct sdp_conn c = {.count = 1};
    c.net = take_word(&v);
    c.type = take_word(&v);
    struct str full = take_word(&v);
    c.host = take_until(&full, '/');
    if (c.host.n == 0 || take_word(&v).n)
        return SDP_BAD_CONNECTION;
    if (full.n && parse_group(&c, full))
        return SDP_BAD_CONNECTION;
    /* A type that does not fit its address is believed less than the address. */
    if (addr_parse(&c.addr, c.host, 0))
        c.addr = (struct addr){.family = ADDR_NONE};
    bool *has = p->m ? &p->m->has_conn : &p->s.has_conn;
    if (!*has)
        *(p->m ? &p->m->conn : &p->s.conn) = c;
    *has = true;
    return SDP_OK;
}

static enum sdp_reason parse_time(struct parser *p, struct str v)
{
    uint64_t start, stop;
    struct str a = take_word(&v), b = take_word(&v);
    if (num_u64(&start, a, UINT64_MAX) || num_u64(&stop, b, UINT64_MAX))
        return SDP_BAD_TIME;
    if (!p->has_time) {
        p->s.start = start;
        p->s.stop = stop;
    }
    p->has_time = true;
    return SDP_OK;
}

static enum sdp_kind kind_of(struct str s)
{
    static const struct str name[] = {
        [SDP_OTHER] = STR_INIT(""),
        [SDP_AUDIO] = STR_INIT("audio"),
        [SDP_VIDEO] = STR_INIT("video"),
        [SDP_TEXT] = STR_INIT("text"),
        [SDP_APPLICATION] = STR_INIT("application"),
        [SDP_IMAGE] = STR_INIT("image"),
        [SDP_MESSAGE] = STR_INIT("message"),
    };
    for (unsigned i = SDP_AUDIO; i < ARRAY_LEN(name); i++)
        if (str_ieq(name[i], s))
            return (enum sdp_kind)i;
    return SDP_OTHER;
}

/* RTP/AVP, RTP/SAVPF, UDP/TLS/RTP/SAVPF, TCP/RTP/AVP ... */
static bool proto_is_rtp(struct str proto)
{
    return str_istarts(proto, STR("RTP/")) || str_ifind(proto, STR("/RTP/")) >= 0;
}

static enum sdp_reason parse_formats(struct parser *p, struct sdp_media *m, struct str v)
{
    unsigned n = 0;
    for (struct str rest = v; take_word(&rest).n; n++)
        if (n == SDP_MAX_FORMATS)
            return SDP_TOO_MANY_FORMATS;
    /* Streams switched off are seen without a format. */
    if (n == 0 && m->port)
        return SDP_BAD_MEDIA;
    m->format = arena_take(p->arena, n * sizeof(*m->format));
    if (!m->format)
        return SDP_NO_MEMORY;
    for (unsigned i = 0; i < n; i++)
        m->format[i] = take_word(&v);
    m->n_formats = n;
    return SDP_OK;
}

static enum sdp_reason parse_media(struct parser *p, struct str v)
{
    if (p->s.n_media == SDP_MAX_MEDIA)
        return SDP_TOO_MANY_MEDIA;
    struct sdp_media *m = &p->s.media[p->s.n_media];
    *m = (struct sdp_media){.port_count = 1, .line = p->end};
    m->kind_text = take_word(&v);
    m->kind = kind_of(m->kind_text);
    struct str count = take_word(&v), port = take_until(&count, '/');
    m->proto = take_word(&v);
    m->rtp = proto_is_rtp(m->proto);
    m->secure = m->rtp && str_ifind(m->proto, STR("/SAVP")) >= 0;
    if (m->proto.n == 0)
        return SDP_BAD_MEDIA;
    uint64_t n;
    if (num_u64(&n, port, 65535))
        return SDP_BAD_PORT;
    m->port = (uint16_t)n;
    if (port.p + port.n != count.p || count.n) {
        if (num_u64(&n, count, 65535) || n == 0)
            return SDP_BAD_PORT;
        m->port_count = (uint32_t)n;
    }
    enum sdp_reason r = parse_formats(p, m, v);
    if (r)
        return r;
    p->s.n_media++;
    p->m = m;
    p->n_attrs = p->n_others = 0;
    return SDP_OK;
}

/* The names are case-sensitive in RFC 8866 section 9 and written in lower case; phones that shout
 * are understood. */
static enum sdp_attr attr_of(struct str name)
{
    if (name.n == 0)
        return SDP_A_OTHER;
    char first = chr_lower(name.p[0]);
    for (unsigned i = 1; i < SDP_A_COUNT; i++)
        if (attr_name[i].len == name.n && attr_name[i].name[0] == first &&
            str_ieq(str_of(attr_name[i].name, name.n), name))
            return (enum sdp_attr)i;
    return SDP_A_OTHER;
}

static uint8_t payload_type(struct str arg)
{
    uint64_t pt;
    return num_u64(&pt, take_word(&arg), 127) ? SDP_NO_PT : (uint8_t)pt;
}

static uint32_t milliseconds(struct str arg)
{
    uint64_t ms;
    struct str whole = str_trim(arg); /* it may be a real number: RFC 8866 section 6.4 */
    ptrdiff_t dot = str_chr(whole, '.');
    whole = dot > 0 ? str_sub(whole, 0, (size_t)dot) : whole;
    return num_u64(&ms, whole, 10000) ? 0 : (uint32_t)ms;
}

/* RFC 3605 section 2.1: a=rtcp:53020 [IN IP4 126.16.64.4]. */
static void parse_rtcp(struct sdp_media *m, struct str v)
{
    struct addr a = {0};
    uint64_t port;
    if (num_u64(&port, take_word(&v), 65535))
        return;
    (void)take_word(&v);
    (void)take_word(&v);
    struct str host = take_word(&v);
    if (host.n && addr_parse(&a, host, 0))
        return;
    a.port = (uint16_t)port;
    m->rtcp = a;
    m->has_rtcp = true;
}

static void parse_dir(struct parser *p, enum sdp_dir dir)
{
    bool *has = p->m ? &p->m->has_dir : &p->s.has_dir;
    if (!*has)
        *(p->m ? &p->m->dir : &p->s.dir) = dir;
    *has = true;
}

static void parse_media_attr(struct sdp_media *m, struct sdp_line *l, struct str arg)
{
    switch (l->attr) {
    case SDP_A_PTIME:
        m->ptime_ms = milliseconds(arg);
        break;
    case SDP_A_MAXPTIME:
        m->maxptime_ms = milliseconds(arg);
        break;
    case SDP_A_RTCP:
        parse_rtcp(m, arg);
        break;
    case SDP_A_RTCP_MUX:
    case SDP_A_RTCP_MUX_ONLY:
        m->rtcp_mux = true;
        break;
    case SDP_A_MID:
        m->mid = arg;
        break;
    case SDP_A_LABEL:
        m->label = arg;
        break;
    case SDP_A_CRYPTO:
        m->n_crypto++;
        break;
    case SDP_A_CANDIDATE:
        m->n_candidates++;
        break;
    default:
        break;
    }
}

static enum sdp_reason parse_attr(struct parser *p, struct sdp_line *l)
{
    if (p->n_attrs++ == SDP_MAX_ATTRS)
        return SDP_TOO_MANY_ATTRS;
    struct str arg = l->value, name = take_until(&arg, ':');
    l->name_n = (uint16_t)name.n;
    l->attr = attr_of(name);
    switch (l->attr) {
    case SDP_A_RTPMAP:
    case SDP_A_FMTP:
    case SDP_A_RTCP_FB:
        l->pt = payload_type(arg);
        break;
    case SDP_A_SENDRECV:
    case SDP_A_SENDONLY:
    case SDP_A_RECVONLY:
    case SDP_A_INACTIVE:
        parse_dir(p, (enum sdp_dir)(l->attr - SDP_A_SENDRECV));
        break;
    case SDP_A_SETUP:
        *(p->m ? &p->m->setup : &p->s.setup) = arg;
        break;
    case SDP_A_CONNECTION:
        *(p->m ? &p->m->connection : &p->s.connection) = arg;
        break;
    default:
        if (p->m)
            parse_media_attr(p->m, l, arg);
        break;
    }
    return SDP_OK;
}

/* Everything but a= and m=. */
static enum sdp_reason parse_other(struct parser *p, struct str v, char type)
{
    if (p->n_others++ == SDP_MAX_LINES)
        return SDP_TOO_MANY_LINES;
    switch (type) {
    case 'v':
        return SDP_BAD_VERSION; /* a second one */
    case 'o':
        return parse_origin(p, v);
    case 's':
        if (!p->m)
            p->s.name = v;
        return SDP_OK;
    case 'c':
        return parse_conn(p, v);
    case 't':
        return parse_time(p, v);
    default:
        return SDP_OK;
    }
}

static enum sdp_reason parse_line(struct parser *p, struct str text)
{
    if (text.n < 2 || text.p[1] != '=' || (unsigned char)text.p[0] <= ' ')
        return p->has_version ? SDP_BAD_LINE : SDP_BAD_VERSION;
    struct sdp_line *l = p->end;
    char type = text.p[0];
    *l = (struct sdp_line){.type = type, .value = str_from(text, 2), .pt = SDP_NO_PT};
    enum sdp_reason r = SDP_OK;
    if (!p->has_version) {
        /* RFC 8866 section 5: every description begins with its version, and 0 is the only one. */
        if (type != 'v' || !str_eq(l->value, STR("0")))
            return SDP_BAD_VERSION;
        p->has_version = true;
    } else if (type == 'a') {
        r = parse_attr(p, l);
    } else if (type == 'm') {
        r = parse_media(p, l->value);
    } else {
        r = parse_other(p, l->value, type);
    }
    p->end++;
    *(p->m ? &p->m->n_lines : &p->s.n_lines) += 1;
    return r;
}

/* Takes the next line of *rest, without its end. False if there is a NUL or a CR in it, which
 * RFC 8866 section 9 excludes from byte-string. */
static bool take_line(struct str *line, struct str *rest)
{
    size_t n = 0;
    unsigned bad = 0;
    for (; n < rest->n; n++) {
        char c = rest->p[n];
        if ((unsigned char)c > '\r')
            continue;
        if (c == '\n')
            break;
        bad += c == '\r' || c == '\0';
    }
    bool cr = n && rest->p[n - 1] == '\r';
    *line = str_of(rest->p, cr ? n - 1 : n);
    *rest = str_from(*rest, n + 1);
    return bad == cr;
}

static enum sdp_reason parse_lines(struct parser *p, struct str text, size_t *position)
{
    struct str rest = text;
    while (rest.n) {
        const char *begin = rest.p;
        struct str line;
        bool clean = take_line(&line, &rest);
        *position = (size_t)(begin - text.p);
        if (line.n == 0 && str_trim(rest).n == 0)
            break;
        enum sdp_reason r = clean ? parse_line(p, line) : SDP_BAD_LINE;
        if (r)
            return r;
    }
    *position = text.n;
    if (!p->has_version)
        return SDP_BAD_VERSION;
    return p->has_origin ? SDP_OK : SDP_NO_ORIGIN;
}

/* One run over the text says how much memory its lines and media need at most. */
static int take_memory(struct parser *p, struct str text)
{
    size_t n_lines = 1, n_media = 0;
    struct str rest = text;
    for (ptrdiff_t at; (at = str_chr(rest, '\n')) >= 0; n_lines++) {
        rest = str_from(rest, (size_t)at + 1);
        n_media += rest.n && rest.p[0] == 'm';
    }
    if (n_lines > MAX_ALL_LINES)
        n_lines = MAX_ALL_LINES;
    if (n_media > SDP_MAX_MEDIA)
        n_media = SDP_MAX_MEDIA;
    p->s.line = p->end = arena_take(p->arena, n_lines * sizeof(*p->end));
    p->s.media = arena_take(p->arena, n_media * sizeof(*p->s.media));
    return p->s.line && p->s.media ? 0 : -ENOMEM;
}

static int reason_errno(enum sdp_reason r)
{
    switch (r) {
    case SDP_OK:
        return 0;
    case SDP_NO_MEMORY:
        return -ENOMEM;
    case SDP_TOO_LARGE:
    case SDP_TOO_MANY_MEDIA:
    case SDP_TOO_MANY_FORMATS:
    case SDP_TOO_MANY_ATTRS:
    case SDP_TOO_MANY_LINES:
        return -E2BIG;
    default:
        return -EBADMSG;
    }
}

int sdp_parse(struct sdp *ret, struct str text, struct arena *a, struct sdp_error *err)
{
    struct parser p = {.arena = a};
    enum sdp_reason r = SDP_TOO_LARGE;
    size_t position = 0;
    if (text.n <= SDP_MAX_BYTES)
        r = take_memory(&p, text) ? SDP_NO_MEMORY : parse_lines(&p, text, &position);
    if (r && err)
        *err = (struct sdp_error){.position = position, .reason = r};
    if (r == SDP_OK)
        *ret = p.s;
    return reason_errno(r);
}
