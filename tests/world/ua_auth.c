/* How the user agents answer a challenge. RFC 7616 section 3.4. */
#include "world/ua.h"

#include "wire/sip/digest.h"

static bool choose(struct str challenges, struct str how, struct digest_fields *f,
                   enum digest_alg *alg)
{
    /* One value a line, as ua.c keeps them. */
    while (challenges.n) {
        ptrdiff_t nl = str_chr(challenges, '\n');
        struct str one = nl < 0 ? challenges : str_sub(challenges, 0, (size_t)nl);
        challenges = nl < 0 ? str_of(challenges.p, 0) : str_from(challenges, (size_t)nl + 1);
        if (digest_parse(f, one))
            continue;
        struct str name = f->algorithm.n ? f->algorithm : STR("MD5");
        if (digest_alg_parse(alg, name))
            continue;
        bool named = str_ieq(how, STR("MD5")) || str_istarts(how, STR("SHA-"));
        if (!named || str_ieq(how, name))
            return true;
    }
    return false;
}

struct str ua_credentials(struct ua *ua, struct str method, struct str uri, struct str how)
{
    struct digest_fields f;
    enum digest_alg alg;
    struct digest_hex ha1, response;
    char nc[16], cnonce[24];
    struct world *w = ua->host.w;
    if (!choose(ua->challenge, how, &f, &alg))
        return STR_NONE;
    struct digest *d = digest_new();
    struct str password = str_ieq(how, STR("wrong")) ? STR("not the password") : ua->password;
    snprintf(nc, sizeof(nc), "%08x", ++ua->nc);
    snprintf(cnonce, sizeof(cnonce), "c%llx", (unsigned long long)rand_u64(&w->rand));
    f.username = ua->user;
    f.uri = uri;
    f.nc = str_z(nc);
    f.cnonce = str_z(cnonce);
    if (f.qop.n)
        f.qop = STR("auth");
    digest_ha1(d, alg, ua->user, f.realm, password, &ha1);
    digest_response(d, alg, &ha1, &f, method, &response);
    digest_free(d);
    struct str v =
        ua_text(w,
                "Digest username=\"" STR_FMT "\", realm=\"" STR_FMT "\", nonce=\"" STR_FMT
                "\", uri=\"" STR_FMT "\", response=\"%.*s\", algorithm=" STR_FMT,
                STR_ARG(f.username), STR_ARG(f.realm), STR_ARG(f.nonce), STR_ARG(uri), response.n,
                response.text, STR_ARG(digest_alg_name(alg)));
    if (f.qop.n)
        v = ua_text(w, STR_FMT ", qop=auth, nc=%s, cnonce=\"%s\"", STR_ARG(v), nc, cnonce);
    if (f.opaque.p)
        v = ua_text(w, STR_FMT ", opaque=\"" STR_FMT "\"", STR_ARG(v), STR_ARG(f.opaque));
    return v;
}
