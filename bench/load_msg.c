#include "load_msg.h"

/* What takes memory at every digest would hide what the server takes. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>

/* ---- reading --------------------------------------------------------------------------------- */

static struct str value_of(struct str line)
{
    ptrdiff_t colon = str_chr(line, ':');
    return colon < 0 ? STR_NONE : str_trim(str_from(line, (size_t)colon + 1));
}

static bool named(struct str line, struct str name, char compact)
{
    struct str rest = str_from(line, name.n);
    if (str_istarts(line, name) && rest.n && (rest.p[0] == ':' || rest.p[0] == ' '))
        return true;
    return compact && line.n > 1 && chr_lower(line.p[0]) == compact && line.p[1] == ':';
}

static void read_line(struct load_seen *m, struct str line)
{
    switch (chr_lower(line.p[0])) {
    case 'c':
        if (named(line, STR("Call-ID"), 0))
            m->call_id = value_of(line);
        else if (named(line, STR("CSeq"), 0))
            m->cseq = value_of(line);
        else if (named(line, STR("Contact"), 0))
            m->contact = value_of(line);
        break;
    case 'm':
        if (named(line, STR("m"), 'm'))
            m->contact = value_of(line);
        break;
    case 'i':
        if (named(line, STR("i"), 'i'))
            m->call_id = value_of(line);
        break;
    case 'f':
        if (named(line, STR("From"), 'f'))
            m->from = value_of(line);
        break;
    case 't':
        if (named(line, STR("To"), 't'))
            m->to = value_of(line);
        break;
    case 'r':
        if (named(line, STR("Record-Route"), 0) && m->routes < LOAD_ROUTES)
            m->route[m->routes++] = value_of(line);
        break;
    case 'w':
        /* RFC 8760 section 2.4: the server's first choice comes first; this client knows MD5. */
        if (named(line, STR("WWW-Authenticate"), 0) && !m->challenge.p) {
            struct str algorithm = load_param(value_of(line), STR("algorithm"));
            if (!algorithm.p || str_ieq(algorithm, STR("MD5")))
                m->challenge = value_of(line);
        }
        break;
    default:
        break;
    }
}

static struct str take_line(struct str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    struct str line = str_of(rest->p, n);
    *rest = str_from(*rest, n + (end ? 1 : 0));
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool read_start(struct load_seen *m, struct str line)
{
    if (str_starts(line, STR("SIP/2.0 ")) && line.n >= 11) {
        for (unsigned i = 8; i < 11; i++)
            m->status = m->status * 10 + (unsigned)(line.p[i] - '0');
        return m->status >= 100 && m->status < 700;
    }
    ptrdiff_t space = str_chr(line, ' ');
    if (space <= 0)
        return false;
    m->method = str_sub(line, 0, (size_t)space);
    m->target = str_from(line, (size_t)space + 1);
    space = str_chr(m->target, ' ');
    m->target.n = space < 0 ? m->target.n : (size_t)space;
    return true;
}

bool load_msg_read(struct load_seen *ret, struct str text)
{
    memset(ret, 0, sizeof(*ret));
    if (!read_start(ret, take_line(&text)))
        return false;
    ret->head = text;
    while (text.n) {
        struct str line = take_line(&text);
        if (!line.n)
            break;
        read_line(ret, line);
    }
    ret->head.n = (size_t)(text.p - ret->head.p);
    return ret->call_id.n && ret->cseq.n;
}

struct str load_param(struct str value, struct str name)
{
    size_t at = 0;
    for (;;) {
        ptrdiff_t hit = str_ifind(str_from(value, at), name);
        if (hit < 0)
            return STR_NONE;
        size_t from = at + (size_t)hit;
        struct str rest = str_from(value, from + name.n);
        char before = from ? value.p[from - 1] : ' ';
        at = from + name.n;
        if ((before != ' ' && before != ',') || !rest.n || rest.p[0] != '=')
            continue;
        rest = str_from(rest, 1);
        bool quoted = rest.n && rest.p[0] == '"';
        rest = str_from(rest, quoted);
        size_t n = 0;
        while (n < rest.n && rest.p[n] != (quoted ? '"' : ',') && (quoted || rest.p[n] != ' '))
            n++;
        return str_sub(rest, 0, n);
    }
}

/* ---- digest ---------------------------------------------------------------------------------- */

static void md5_hex(char ret[33], struct str text)
{
    unsigned char out[MD5_DIGEST_LENGTH];
    struct buf b;
    MD5((const unsigned char *)text.p, text.n, out);
    buf_init(&b, ret, 33);
    buf_hex(&b, out, sizeof(out));
    ret[32] = '\0';
}

void load_ha1(char ret[33], const char *user, struct str realm, const char *password)
{
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_z(&b, user);
    buf_ch(&b, ':');
    buf_str_put(&b, realm);
    buf_ch(&b, ':');
    buf_z(&b, password);
    md5_hex(ret, buf_str(&b));
}

#define CNONCE "0a4f113b"

static void put_quoted(struct buf *b, const char *name, struct str value)
{
    buf_z(b, name);
    buf_lit(b, "=\"");
    buf_str_put(b, value);
    buf_ch(b, '"');
}

static void response_hex(char ret[33], const struct load_user *u, struct str nonce, bool qop,
                         struct str uri)
{
    char mem[1024], ha2[33];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "REGISTER:");
    buf_str_put(&b, uri);
    md5_hex(ha2, buf_str(&b));
    buf_init(&b, mem, sizeof(mem));
    buf_put(&b, u->ha1, 32);
    buf_ch(&b, ':');
    buf_str_put(&b, nonce);
    if (qop)
        buf_lit(&b, ":00000001:" CNONCE ":auth");
    buf_ch(&b, ':');
    buf_put(&b, ha2, 32);
    md5_hex(ret, buf_str(&b));
}

void load_authorization(struct buf *b, const struct load_user *u, struct str challenge,
                        struct str uri)
{
    struct str nonce = load_param(challenge, STR("nonce"));
    struct str opaque = load_param(challenge, STR("opaque"));
    bool qop = load_param(challenge, STR("qop")).n > 0;
    char response[33];
    response_hex(response, u, nonce, qop, uri);
    buf_lit(b, "Authorization: Digest ");
    put_quoted(b, "username", str_z(u->number));
    put_quoted(b, ", realm", load_param(challenge, STR("realm")));
    put_quoted(b, ", nonce", nonce);
    put_quoted(b, ", uri", uri);
    put_quoted(b, ", response", str_of(response, 32));
    buf_lit(b, ", algorithm=MD5");
    if (qop)
        buf_lit(b, ", qop=auth, nc=00000001, cnonce=\"" CNONCE "\"");
    if (opaque.p)
        put_quoted(b, ", opaque", opaque);
    buf_lit(b, "\r\n");
}

/* ---- writing --------------------------------------------------------------------------------- */

static const char sdp_head[] = "v=0\r\no=- 20518 0 IN IP4 127.0.0.1\r\ns=-\r\n"
                               "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio ";
static const char sdp_tail[] =
    " RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a=ptime:20\r\na=sendrecv\r\n";

void load_sdp_body(struct buf *b, unsigned port)
{
    char digits[12];
    struct buf d;
    buf_init(&d, digits, sizeof(digits));
    buf_u64(&d, port);
    buf_lit(b, "Content-Type: application/sdp\r\nContent-Length: ");
    buf_u64(b, sizeof(sdp_head) - 1 + d.n + sizeof(sdp_tail) - 1);
    buf_lit(b, "\r\n\r\n");
    buf_lit(b, sdp_head);
    buf_str_put(b, buf_str(&d));
    buf_lit(b, sdp_tail);
}

/* The same tag for every response to one request: it is made from the Call-ID. */
static void put_to(struct buf *b, const struct load_seen *m)
{
    uint32_t h = 5381;
    buf_lit(b, "To: ");
    buf_str_put(b, m->to);
    if (memmem(m->to.p, m->to.n, ";tag=", 5) == NULL) {
        for (size_t i = 0; i < m->call_id.n; i++)
            h = h * 33 + (unsigned char)m->call_id.p[i];
        buf_lit(b, ";tag=u");
        buf_hex(b, &h, sizeof(h));
    }
    buf_lit(b, "\r\n");
}

static bool is_copied(struct str line)
{
    switch (chr_lower(line.p[0])) {
    case 'v':
        return named(line, STR("Via"), 'v');
    case 'r':
        return named(line, STR("Record-Route"), 0);
    case 'f':
        return named(line, STR("From"), 'f');
    case 'i':
        return named(line, STR("i"), 'i');
    case 'c':
        return named(line, STR("Call-ID"), 0) || named(line, STR("CSeq"), 0);
    default:
        return false;
    }
}

static struct str user_of(struct str uri)
{
    ptrdiff_t colon = str_chr(uri, ':'), at = str_chr(uri, '@');
    if (colon < 0 || at < colon)
        return STR("phone");
    return str_sub(uri, (size_t)colon + 1, (size_t)(at - colon - 1));
}

void load_answer(struct buf *b, const struct load_seen *m, const struct load_answer *a)
{
    struct str rest = m->head;
    buf_lit(b, "SIP/2.0 ");
    buf_u64(b, a->status);
    buf_ch(b, ' ');
    buf_z(b, a->reason);
    buf_lit(b, "\r\n");
    while (rest.n) {
        struct str line = take_line(&rest);
        if (!line.n)
            break;
        if (!is_copied(line))
            continue;
        buf_str_put(b, line);
        buf_lit(b, "\r\n");
    }
    put_to(b, m);
    buf_lit(b, "Contact: <sip:");
    buf_str_put(b, user_of(m->target));
    buf_lit(b, "@127.0.0.1:");
    buf_u64(b, a->contact_port);
    buf_lit(b, ">\r\n");
    if (a->sdp)
        load_sdp_body(b, 30000);
    else
        buf_lit(b, "Content-Length: 0\r\n\r\n");
}
