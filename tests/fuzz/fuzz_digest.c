/* Any text as credentials; what parses can be hashed, and written anew it parses to the same. */
#include "wire/sip/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct digest *d;
    static char mem[65536];
    struct digest_fields f, g;
    struct str s = str_of((const char *)data, size);
    if (!d)
        d = digest_new();
    BUG_ON(!d);
    if (size > 8192 || digest_parse(&f, s))
        return 0;
    for (unsigned alg = 0; alg < DIGEST_ALG_COUNT; alg++) {
        struct digest_hex ha1, response;
        digest_ha1(d, (enum digest_alg)alg, f.username, f.realm, STR("secret"), &ha1);
        digest_response(d, (enum digest_alg)alg, &ha1, &f, STR("INVITE"), &response);
        BUG_ON(response.n != (alg == DIGEST_MD5 ? 32 : 64));
        BUG_ON(!digest_eq(str_of(response.text, response.n), str_of(response.text, response.n)));
    }
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_str_put(&b, f.scheme);
    buf_lit(&b, " x=y");
    if (f.username.p) {
        buf_lit(&b, ",username=\"");
        buf_str_put(&b, f.username);
        buf_lit(&b, "\"");
    }
    BUG_ON(digest_parse(&g, buf_str(&b)));
    BUG_ON(!str_eq(f.username, g.username) || !str_eq(f.scheme, g.scheme));
    return 0;
}
