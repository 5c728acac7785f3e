/* Any text as a URI: the parts lie inside it, equality is reflexive and symmetric, and what
 * sip_escape_user() writes comes back. */
#include "wire/sip/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str part, struct str whole)
{
    BUG_ON(part.p && (part.p < whole.p || part.p + part.n > whole.p + whole.n));
}

static void check(const struct sip_uri *u)
{
    static char mem[8192];
    struct buf b;
    BUG_ON(!sip_uri_eq(u, u));
    inside(u->user, u->whole);
    inside(u->password, u->whole);
    inside(u->host, u->whole);
    inside(u->params, u->whole);
    inside(u->headers, u->whole);
    inside(u->transport, u->params);
    inside(u->maddr, u->params);
    buf_init(&b, mem, sizeof(mem));
    sip_uri_aor(&b, u);
    BUG_ON(sip_uri_port(u) == 0);
}

static void user_roundtrip(struct str s)
{
    static char mem[16384];
    struct arena a;
    struct buf b;
    struct sip_uri u;
    arena_init(&a, 0);
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "sip:");
    sip_escape_user(&b, s);
    buf_lit(&b, "@h");
    if (s.n && !b.full) {
        BUG_ON(sip_uri_parse(&u, buf_str(&b)));
        BUG_ON(!str_eq(sip_unescape(&a, u.user), s));
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    struct str s = str_of((const char *)data, size);
    struct sip_uri u, v;
    ptrdiff_t lf = str_chr(s, '\n');
    struct str first = lf < 0 ? s : str_sub(s, 0, (size_t)lf);
    struct str second = lf < 0 ? s : str_from(s, (size_t)lf + 1);
    bool one = sip_uri_parse(&u, first) == 0, two = sip_uri_parse(&v, second) == 0;
    if (one)
        check(&u);
    if (one && two)
        BUG_ON(sip_uri_eq(&u, &v) != sip_uri_eq(&v, &u));
    struct sip_nameaddr na;
    if (sip_nameaddr_parse(&na, s) == 0)
        check(&na.uri);
    user_roundtrip(s);
    return 0;
}
