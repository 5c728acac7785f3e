/* The key log: a label, the random number of the client, a secret, in hexadecimal. */
#include <errno.h>

#include "analysis/tls_int.h"
#include "base/num.h"

static const struct {
    struct str label;
    enum tls_secret_kind kind;
} labels[] = {
    {STR_INIT("CLIENT_RANDOM"), TLS_MASTER},
    {STR_INIT("CLIENT_HANDSHAKE_TRAFFIC_SECRET"), TLS_CLIENT_HANDSHAKE},
    {STR_INIT("SERVER_HANDSHAKE_TRAFFIC_SECRET"), TLS_SERVER_HANDSHAKE},
    {STR_INIT("CLIENT_TRAFFIC_SECRET_0"), TLS_CLIENT_TRAFFIC},
    {STR_INIT("SERVER_TRAFFIC_SECRET_0"), TLS_SERVER_TRAFFIC},
};

int tls_keys_init(struct tls_keys *k, uint32_t max, uint64_t seed)
{
    memset(k, 0, sizeof(*k));
    max = max ? max : 1;
    if (slot_init(&k->slots, sizeof(struct tls_entry), max))
        return -ENOMEM;
    if (hash_init(&k->table, max, seed)) {
        slot_done(&k->slots);
        memset(k, 0, sizeof(*k));
        return -ENOMEM;
    }
    return 0;
}

void tls_keys_done(struct tls_keys *k)
{
    if (!k->table.bucket)
        return;
    slot_done(&k->slots);
    hash_done(&k->table);
}

static struct tls_entry *find(const struct tls_keys *k, const uint8_t random[TLS_RANDOM])
{
    uint64_t hash = hash_bytes(&k->table, random, TLS_RANDOM);
    hash_each(node, &k->table, hash)
    {
        struct tls_entry *e = container_of(node, struct tls_entry, node);
        if (memcmp(e->random, random, TLS_RANDOM) == 0)
            return e;
    }
    return NULL;
}

const struct tls_entry *tls_keys_find(const struct tls_keys *k, const uint8_t random[TLS_RANDOM])
{
    return find(k, random);
}

/* The entry of a random number; NULL: there is no room for another one. */
static struct tls_entry *entry(struct tls_keys *k, const uint8_t random[TLS_RANDOM])
{
    handle_t h;
    struct tls_entry *e = find(k, random);
    if (e)
        return e;
    e = slot_take(&k->slots, &h);
    if (!e)
        return NULL;
    memcpy(e->random, random, TLS_RANDOM);
    hash_put(&k->table, &e->node, hash_bytes(&k->table, random, TLS_RANDOM));
    return e;
}

/* Bytes from hexadecimal digits: how many, or -1. */
static int unhex(uint8_t *out, size_t cap, struct str s)
{
    if (s.n % 2 || s.n / 2 > cap)
        return -1;
    for (size_t i = 0; i < s.n / 2; i++) {
        int v = num_hex2(s.p + 2 * i);
        if (v < 0)
            return -1;
        out[i] = (uint8_t)v;
    }
    return (int)(s.n / 2);
}

static struct str word(struct str *line)
{
    ptrdiff_t space = str_chr(*line, ' ');
    struct str w = space < 0 ? *line : str_sub(*line, 0, (size_t)space);
    *line = space < 0 ? STR("") : str_trim(str_from(*line, (size_t)space));
    return w;
}

static bool line_add(struct tls_keys *k, struct str line)
{
    uint8_t random[TLS_RANDOM], secret[TLS_MAX_SECRET];
    struct str label = word(&line);
    for (unsigned i = 0; i < ARRAY_LEN(labels); i++) {
        if (!str_eq(label, labels[i].label))
            continue;
        struct str first = word(&line);
        int n = unhex(secret, sizeof(secret), word(&line));
        if (unhex(random, sizeof(random), first) != TLS_RANDOM || n < 32)
            return false;
        struct tls_entry *e = entry(k, random);
        if (!e)
            return false;
        e->secret[labels[i].kind].n = (uint8_t)n;
        memcpy(e->secret[labels[i].kind].p, secret, (size_t)n);
        return true;
    }
    return false;
}

unsigned tls_keys_add(struct tls_keys *k, struct str text)
{
    unsigned added = 0;
    while (text.n) {
        ptrdiff_t lf = str_chr(text, '\n');
        struct str line = lf < 0 ? text : str_sub(text, 0, (size_t)lf);
        text = lf < 0 ? STR("") : str_from(text, (size_t)lf + 1);
        added += line_add(k, str_trim(line));
    }
    return added;
}
