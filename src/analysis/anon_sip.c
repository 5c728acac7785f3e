/* SIP messages without who is who. Every line is treated by its kind: what can only be identity is
 * replaced whole, elsewhere URIs, addresses and what is behind '@' are. */
#include "analysis/anon.h"
#include "wire/sip/msg.h"

struct text {
    const struct an_anon *a;
    char *p;
    size_t n;
};

static struct text part(const struct text *t, size_t from, size_t n)
{
    return (struct text){t->a, t->p + from, n};
}

static void words(const struct text *t)
{
    an_anon_words(t->a, t->p, t->n);
}

/* Words that mean something to programs: feature codes, and who is nobody. */
static bool is_kept(struct str user)
{
    static const struct str kept[] = {STR_INIT("anonymous"),         STR_INIT("unknown"),
                                      STR_INIT("anonymous.invalid"), STR_INIT("localhost"),
                                      STR_INIT("restricted"),        STR_INIT("unavailable")};
    if (user.n && user.n <= 3 && (user.p[0] == '*' || user.p[0] == '#'))
        return true;
    if (str_istarts(user, STR("%2A")) && user.n <= 5)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (str_ieq(user, kept[i]))
            return true;
    return false;
}

/* The code before the number of whom one picks up; what is behind it is a number as any other. */
static size_t code_bytes(struct str user)
{
    return str_starts(user, STR("*8")) ? 2 : str_istarts(user, STR("%2A8")) ? 4 : 0;
}

static bool is_host(char c)
{
    return (c >= '0' && c <= '9') || (chr_lower(c) >= 'a' && chr_lower(c) <= 'z') || c == '.' ||
           c == '-' || c == '_';
}

/* A host name at the beginning; addresses have been dealt with. Returns its bytes. */
static size_t host(const struct text *t)
{
    struct addr addr;
    size_t n = 0;
    while (n < t->n && is_host(t->p[n]))
        n++;
    struct str name = str_of(t->p, n);
    if (n && !is_kept(name) && addr_parse(&addr, name, 0))
        words(&(struct text){t->a, t->p, n});
    return n;
}

/* Behind "tel:". */
static size_t number(const struct text *t)
{
    size_t n = 0;
    while (n < t->n && !strchr("<>\"' \t\r\n,;?@", t->p[n]))
        n++;
    words(&(struct text){t->a, t->p, n});
    return n;
}

/* Behind "sip:": a user if there is an '@' before the URI ends, and a host. Returns the bytes. */
static size_t uri(const struct text *t)
{
    size_t end = 0;
    while (end < t->n && !strchr("<>\"' \t\r\n,", t->p[end]))
        end++;
    const char *at = memchr(t->p, '@', end);
    if (!at) {
        /* "%40": it stands in another URI. */
        ptrdiff_t escaped = str_ifind(str_of(t->p, end), STR("%40"));
        at = escaped < 0 ? NULL : t->p + escaped;
    }
    if (!at)
        return host(t);
    size_t n = (size_t)(at - t->p);
    size_t code = code_bytes(str_of(t->p, n));
    if (!is_kept(str_of(t->p, n)))
        words(&(struct text){t->a, t->p + code, n - code});
    return n; /* the '@' is seen by whoever goes on */
}

/* URIs and what is behind an '@', wherever they stand. */
static void uris(const struct text *t)
{
    static const struct str schemes[] = {
        STR_INIT("sip:"),   STR_INIT("sips:"),  STR_INIT("tel:"),   STR_INIT("mailto:"),
        STR_INIT("sip%3A"), STR_INIT("tel%3A"), STR_INIT("sips%3A")};
    for (size_t i = 0; i < t->n;) {
        struct text rest = part(t, i, t->n - i);
        size_t used = 0;
        for (size_t k = 0; k < ARRAY_LEN(schemes) && !used; k++) {
            if (!str_istarts(str_of(rest.p, rest.n), schemes[k]))
                continue;
            struct text u = part(&rest, schemes[k].n, rest.n - schemes[k].n);
            used = schemes[k].n + (chr_lower(schemes[k].p[0]) == 't' ? number(&u) : uri(&u));
        }
        if (!used && (rest.p[0] == '@' || str_istarts(str_of(rest.p, rest.n), STR("%40")))) {
            size_t at = rest.p[0] == '@' ? 1 : 3;
            struct text h = part(&rest, at, rest.n - at);
            used = at + host(&h);
        }
        i += used ? used : 1;
    }
}

/* What people are called in From and its kin: text in quotes, and words before '<'. */
static void names(const struct text *t)
{
    size_t from = 0;
    bool quoted = false, uri_part = false;
    for (size_t i = 0; i <= t->n; i++) {
        char c = i < t->n ? t->p[i] : ',';
        bool before_uri = c == '<' && !quoted;
        if (c == '\\' && quoted) {
            i++;
        } else if (c == '"' || before_uri) {
            if (quoted || (before_uri && !uri_part))
                words(&(struct text){t->a, t->p + from, i - from});
            quoted = c == '"' && !quoted;
            uri_part = uri_part || before_uri;
            from = i + 1;
        } else if (!quoted && c == '>') {
            from = i + 1;
        } else if (!quoted && c == ',') {
            uri_part = false;
            from = i + 1;
        }
    }
}

/* The values in quotes of credentials; of a URI only its parts. */
static void credentials(const struct text *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->p[i] != '"')
            continue;
        char *end = memchr(t->p + i + 1, '"', t->n - i - 1);
        if (!end)
            return;
        struct str before = str_of(t->p, i);
        struct text value = {t->a, t->p + i + 1, (size_t)(end - t->p) - i - 1};
        bool plain = before.n >= 4 && (str_ieq(str_from(before, before.n - 4), STR("uri=")) ||
                                       str_ieq(str_from(before, before.n - 4), STR("qop=")));
        if (!plain)
            words(&value);
        i = (size_t)(end - t->p);
    }
}

/* Long numbers in headers that nobody knows are somebody's, more often than not. */
static void long_numbers(const struct text *t)
{
    for (size_t i = 0; i < t->n;) {
        size_t n = 0;
        while (i + n < t->n && t->p[i + n] >= '0' && t->p[i + n] <= '9')
            n++;
        bool bounded =
            (i == 0 || !is_host(t->p[i - 1])) && (i + n == t->n || !is_host(t->p[i + n]));
        if (n >= 7 && bounded)
            words(&(struct text){t->a, t->p + i, n});
        i += n ? n : 1;
    }
}

/* Names in XML: dialog-info, pidf and their kin. */
static void attributes(const struct text *t)
{
    static const struct str marks[] = {STR_INIT("display=\""), STR_INIT("<display-name>"),
                                       STR_INIT("<display-text>"), STR_INIT("cname:")};
    for (size_t k = 0; k < ARRAY_LEN(marks); k++) {
        size_t i = 0;
        for (ptrdiff_t at; (at = str_ifind(str_of(t->p + i, t->n - i), marks[k])) >= 0;) {
            i += (size_t)at + marks[k].n;
            size_t n = 0;
            while (i + n < t->n && !strchr("\"<\r\n", t->p[i + n]))
                n++;
            words(&(struct text){t->a, t->p + i, n});
            i += n;
        }
    }
}

static void header(const struct text *value, enum sip_hdr_id id)
{
    switch (id) {
    case SIP_H_USER_AGENT:
    case SIP_H_SERVER:
        return; /* what looks like an address there is a version */
    case SIP_H_AUTHORIZATION:
    case SIP_H_PROXY_AUTHORIZATION:
    case SIP_H_WWW_AUTHENTICATE:
    case SIP_H_PROXY_AUTHENTICATE:
    case SIP_H_AUTHENTICATION_INFO:
        credentials(value);
        break;
    case SIP_H_SUBJECT:
    case SIP_H_ORGANIZATION:
        words(value);
        return;
    case SIP_H_REASON:
    case SIP_H_WARNING:
        break;
    case SIP_H_OTHER:
        long_numbers(value);
        if (memchr(value->p, '<', value->n))
            names(value);
        break;
    default:
        if (memchr(value->p, '<', value->n))
            names(value);
    }
    uris(value);
}

/* Of SDP the lines that name somebody (RFC 8866 section 5). */
static void sdp_line(const struct text *t)
{
    struct text value = part(t, 2, t->n - 2);
    switch (t->p[0]) {
    case 's':
    case 'i':
    case 'e':
    case 'p':
    case 'u':
        words(&value);
        return;
    case 'o': {
        const char *end = memchr(value.p, ' ', value.n);
        words(&(struct text){t->a, value.p, end ? (size_t)(end - value.p) : 0});
        break;
    }
    case 'a':
        if (str_starts(str_of(value.p, value.n), STR("crypto:"))) {
            ptrdiff_t key = str_ifind(str_of(value.p, value.n), STR("inline:"));
            if (key >= 0)
                words(&(struct text){t->a, value.p + key + 7, value.n - (size_t)key - 7});
        }
        break;
    case 'c':
        break;
    default:
        return;
    }
    ptrdiff_t net = str_ifind(str_of(value.p, value.n), STR("IN IP"));
    if (net >= 0 && value.n > (size_t)net + 7) {
        struct text h = part(&value, (size_t)net + 7, value.n - (size_t)net - 7);
        host(&h);
    }
}

static bool is_header(const struct text *t, size_t *colon)
{
    const char *end = memchr(t->p, ':', t->n);
    *colon = end ? (size_t)(end - t->p) : 0;
    return end && sip_is_token(str_trim(str_of(t->p, *colon)));
}

static void via(const struct text *value)
{
    const char *blank = memchr(value->p, ' ', value->n);
    if (blank) {
        size_t at = (size_t)(blank - value->p) + 1;
        struct text h = part(value, at, value->n - at);
        host(&h);
    }
}

/* One line, without its end. `before`: the kind of the line before, which folds go on. */
static enum sip_hdr_id line(const struct text *t, enum sip_hdr_id before, bool body)
{
    size_t colon;
    enum sip_hdr_id id = before;
    if (t->n > 2 && t->p[1] == '=' && body) {
        sdp_line(t);
    } else if (t->n && t->p[0] != ' ' && t->p[0] != '\t' && is_header(t, &colon)) {
        struct str name = str_trim(str_of(t->p, colon));
        struct text value = part(t, colon + 1, t->n - colon - 1);
        id = sip_hdr_of(name);
        if (id == SIP_H_VIA)
            via(&(struct text){t->a, value.p + 1, value.n ? value.n - 1 : 0});
        else
            header(&value, id);
        return id;
    } else if (t->n && !body && (t->p[0] == ' ' || t->p[0] == '\t')) {
        header(t, id);
        return id;
    }
    uris(t);
    return id;
}

/* What a person wrote, and keys that were pressed. */
static bool body_is_private(struct str text)
{
    return str_ifind(text, STR("\r\nContent-Type: text/plain")) >= 0 ||
           str_ifind(text, STR("\r\nc: text/plain")) >= 0 ||
           str_ifind(text, STR("application/dtmf")) >= 0;
}

void an_anon_sip(const struct an_anon *a, char *p, size_t n)
{
    struct text all = {a, p, n};
    ptrdiff_t blank = str_ifind(str_of(p, n), STR("\r\n\r\n"));
    size_t head = blank < 0 ? n : (size_t)blank + 4;
    bool private = body_is_private(str_of(p, head));
    enum sip_hdr_id id = SIP_H_OTHER;
    for (size_t i = 0; i < n;) {
        char *end = memchr(p + i, '\n', n - i);
        size_t len = end ? (size_t)(end - p) - i : n - i;
        size_t bare = len && p[i + len - 1] == '\r' ? len - 1 : len;
        struct text t = part(&all, i, bare);
        bool body = i >= head;
        /* Versions of software look like addresses. */
        bool version = !body && (str_istarts(str_of(t.p, t.n), STR("User-Agent:")) ||
                                 str_istarts(str_of(t.p, t.n), STR("Server:")));
        if (body && private) {
            words(&t);
        } else if (!version) {
            an_anon_addresses(a, t.p, t.n);
            id = line(&t, id, body);
        }
        i += len + 1;
    }
    attributes(&all);
}
