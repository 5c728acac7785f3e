/* Credentials and challenges as anybody may write them. The first byte chooses; the rest is the
 * value of Authorization or of several WWW-Authenticate fields, one a line. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/sip/auth_client.h"
#include "engine/sip/auth_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct digest *digest;
static struct rand rnd;
static struct auth_server *server;

static void begin(void)
{
    static const struct auth_conf conf = {.realm = STR_INIT("pbx.test"),
                                          .alg = {DIGEST_SHA256, DIGEST_SHA512_256, DIGEST_MD5},
                                          .n_algs = 3,
                                          .nonce_life = 60 * USEC_S,
                                          .max_nonces = 16};
    rand_seed(&rnd, 1);
    digest = digest_new();
    server = auth_server_new(&conf, digest, &rnd);
    if (!digest || !server)
        abort();
}

static bool message(struct sip_msg *m, struct buf *b, const char *start, struct str head,
                    struct str lines)
{
    struct str line;
    buf_z(b, start);
    buf_lit(b, "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nMax-Forwards: 1\r\nFrom: <sip:a@b>;tag=1\r\n"
               "To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n");
    while (lines.n) {
        ptrdiff_t end = str_chr(lines, '\n');
        line = end < 0 ? lines : str_sub(lines, 0, (size_t)end);
        lines = end < 0 ? STR_NONE : str_from(lines, (size_t)end + 1);
        buf_str_put(b, head);
        buf_lit(b, ": ");
        buf_str_put(b, line);
        buf_lit(b, "\r\n");
    }
    buf_lit(b, "\r\n");
    return !b->full && sip_msg_parse(m, b->p, b->n, false) == SIP_OK;
}

/* The server: whatever comes, nobody gets in without the password. */
static void fuzz_server(struct str value)
{
    static char mem[70000];
    static struct sip_msg m;
    struct buf b;
    struct auth_cred cred;
    struct digest_hex ha1;
    buf_init(&b, mem, sizeof(mem));
    if (!message(&m, &b, "REGISTER sip:pbx.test SIP/2.0\r\n", STR("Authorization"), value))
        return;
    if (auth_server_find(server, &m, SIP_H_AUTHORIZATION, &cred) != AUTH_OK)
        return;
    rand_bytes(&rnd, ha1.text, sizeof(ha1.text));
    ha1.n = 64;
    struct auth_source who = {.now = USEC_S, .ip = {.family = ADDR_V4, .ip = {192, 0, 2, 1}}};
    enum auth_verdict known = auth_server_check(server, &who, &m, &cred, &ha1);
    enum auth_verdict unknown = auth_server_check(server, &who, &m, &cred, NULL);
    if ((known != AUTH_WRONG && known != AUTH_STALE) || unknown != known)
        abort();
}

/* The client: what it writes can be read again, and can be refused only so often. */
static void fuzz_client(struct str value)
{
    static char mem[70000], out[70000];
    static struct sip_msg m;
    struct buf b;
    struct auth_challenge c;
    struct digest_fields f;
    unsigned attempt = 0;
    buf_init(&b, mem, sizeof(mem));
    if (!message(&m, &b, "SIP/2.0 401 No\r\n", STR("WWW-Authenticate"), value) ||
        auth_client_choose(&c, &m))
        return;
    struct auth_login login = {.user = STR("a\"b"),
                               .password = STR("p"),
                               .method = STR("REGISTER"),
                               .uri = STR("sip:r"),
                               .nc = 1,
                               .attempt = 1};
    buf_init(&b, out, sizeof(out));
    if (auth_client_answer(&b, digest, &rnd, &c, &login) == 0 &&
        (digest_parse(&f, buf_str(&b)) || !str_eq(f.nonce, c.nonce) || !str_eq(f.realm, c.realm)))
        abort();
    if (auth_client_next(&attempt, &m, &c) == 0 && attempt != 1)
        abort(); /* the message carries no credentials */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server)
        begin();
    if (size < 1)
        return 0;
    struct str value = str_of((const char *)data + 1, size - 1);
    if (data[0] & 1)
        fuzz_client(value);
    else
        fuzz_server(value);
    return 0;
}
