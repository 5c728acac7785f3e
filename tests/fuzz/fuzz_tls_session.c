/* Bytes of strangers into both ends of TLS: whatever they are, the session ends or waits, and what
 * it says of why is one line. */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/tls.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_ctx *tls;

/* A certificate of its own, in a file that is gone as soon as it is read. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char name[] = "/tmp/fuzz-tls-XXXXXX", mem[300];
    struct buf why;
    (void)argc;
    (void)argv;
    int fd = mkstemp(name);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BUG_ON(!f || !key || !cert);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    PEM_write_X509(f, cert);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
    struct tls_config cfg = {.certificate = name, .private_key = name, .verify_peer = true};
    buf_init(&why, mem, sizeof(mem));
    BUG_ON(tls_ctx_new(&tls, &cfg, &why));
    unlink(name);
    return 0;
}

static void feed(struct tls_session *s, const uint8_t *data, size_t size)
{
    char out[4096];
    BUG_ON(!s);
    /* In two pieces: a record need not come whole. */
    size_t first = size ? data[0] % size : 0;
    ptrdiff_t n = 0;
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *p = i ? data + first : data;
        BUG_ON(tls_session_rx(s, (const char *)p, i ? size - first : first));
        do
            n = tls_session_read(s, out, sizeof(out));
        while (n > 0);
        struct str bytes = tls_session_tx(s);
        tls_session_tx_done(s, bytes.n);
        BUG_ON(tls_session_tx(s).n);
    }
    struct str words = tls_session_why(s);
    BUG_ON((n == -71) != (words.n > 0)); /* -EPROTO */
    BUG_ON(str_chr(words, '\n') >= 0);
    tls_session_close(s);
    tls_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_target target = {.host = STR("pbx.test")};
    feed(tls_session_new_server(tls), data, size);
    feed(tls_session_new_client(tls, &target), data, size);
    return 0;
}
