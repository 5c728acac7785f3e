/* The handshake as far as it says which keys hold, and records one by one. */
#include "analysis/tls.h"

#include <errno.h>

#include "analysis/tls_int.h"
#include "base/be.h"
#include "base/mem.h"

#define HEADER     5
#define MAX_AHEAD  32   /* records that a loss may have taken with it */
#define MAX_FAILED 2000 /* attempts to open a record, of one connection */

enum { REC_CCS = 20, REC_ALERT = 21, REC_HANDSHAKE = 22, REC_DATA = 23 };
enum { HS_CLIENT_HELLO = 1, HS_SERVER_HELLO = 2, HS_KEY_UPDATE = 24 };
enum { EXT_ENCRYPT_THEN_MAC = 22, EXT_SUPPORTED_VERSIONS = 43 };

struct tls_side {
    bool on;      /* what it says is encrypted */
    bool traffic; /* TLS 1.3: with the keys for data, no longer those of the handshake */
    bool lost;
    struct tls_cipher cipher;
};

struct tls_conn {
    const struct tls_keys *keys;
    const struct tls_suite *suite;
    const struct tls_entry *entry;
    uint8_t client; /* which side it is */
    bool hello, v13, mac_last;
    uint32_t failed;
    uint8_t randoms[64]; /* server's, then client's: the order in which keys want them */
    struct tls_side side[2];
};

struct tls_conn *tls_new(const struct tls_keys *keys)
{
    struct tls_conn *t = mem_zero(sizeof(*t));
    if (t)
        t->keys = keys;
    return t;
}

void tls_free(struct tls_conn *t)
{
    if (!t)
        return;
    tls_cipher_done(&t->side[0].cipher);
    tls_cipher_done(&t->side[1].cipher);
    mem_free(t);
}

void tls_lose(struct tls_conn *t, unsigned side)
{
    t->side[side].lost = true;
}

/* RFC 5246 section 7.4.1.2: the random number stands behind the version. */
static enum tls_kind client_hello(struct tls_conn *t, unsigned side, const uint8_t *p, size_t n)
{
    if (n < 6 + TLS_RANDOM)
        return TLS_GIVE_UP;
    t->client = (uint8_t)side;
    t->hello = true;
    memcpy(t->randoms + TLS_RANDOM, p + 6, TLS_RANDOM);
    t->entry = tls_keys_find(t->keys, p + 6);
    return t->entry ? TLS_PASSED : TLS_NO_KEY;
}

/* Which version, and how codes are made, the extensions say. */
static void extensions(struct tls_conn *t, const uint8_t *p, size_t n)
{
    while (n >= 4 && be16_get(p + 2) <= n - 4) {
        size_t bytes = be16_get(p + 2);
        if (be16_get(p) == EXT_SUPPORTED_VERSIONS && bytes == 2)
            t->v13 = be16_get(p + 4) == 0x0304;
        else if (be16_get(p) == EXT_ENCRYPT_THEN_MAC)
            t->mac_last = true;
        p += 4 + bytes;
        n -= 4 + bytes;
    }
}

/* RFC 8446 section 4.1.3: from here on both sides encrypt. */
static enum tls_kind begin_13(struct tls_conn *t)
{
    for (unsigned i = 0; i < 2; i++) {
        struct tls_side *s = &t->side[i];
        unsigned kind = i == t->client ? TLS_CLIENT_HANDSHAKE : TLS_SERVER_HANDSHAKE;
        s->on = true;
        if (t->entry->secret[kind].n &&
            tls_cipher_13(&s->cipher, t->suite, &t->entry->secret[kind]))
            return TLS_GIVE_UP;
    }
    return TLS_PASSED;
}

static enum tls_kind server_hello(struct tls_conn *t, const uint8_t *p, size_t n)
{
    /* RFC 8446 section 4.1.3: "HelloRetryRequest", hashed. */
    static const uint8_t retry[8] = {0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11};
    size_t at = 6 + TLS_RANDOM;
    if (n < at + 1 || !t->hello)
        return TLS_GIVE_UP;
    memcpy(t->randoms, p + 6, TLS_RANDOM);
    at += 1u + p[at];
    if (n < at + 3)
        return TLS_GIVE_UP;
    t->suite = tls_suite_find(be16_get(p + at));
    t->v13 = t->mac_last = false;
    if (n > at + 5)
        extensions(t, p + at + 5, n - at - 5);
    if (memcmp(p + 6, retry, sizeof(retry)) == 0)
        return TLS_PASSED;
    bool sound = t->suite && t->suite->v13 == t->v13 && be16_get(p + 4) == 0x0303;
    if (!sound)
        return TLS_GIVE_UP;
    return t->v13 ? begin_13(t) : TLS_PASSED;
}

/* Messages of a handshake in one record. One that is spread over several is not one that matters
 * here, as the hellos are small. */
static enum tls_kind handshake(struct tls_conn *t, unsigned side, const uint8_t *p, size_t n)
{
    enum tls_kind kind = TLS_PASSED;
    while (kind == TLS_PASSED && n >= 4) {
        size_t bytes = 4 + (size_t)be24_get(p + 1), have = bytes < n ? bytes : n;
        if (p[0] == HS_CLIENT_HELLO)
            kind = client_hello(t, side, p, have);
        else if (p[0] == HS_SERVER_HELLO)
            kind = server_hello(t, p, have);
        else if (p[0] == HS_KEY_UPDATE && t->side[side].traffic)
            kind = tls_cipher_update(&t->side[side].cipher) ? TLS_GIVE_UP : TLS_PASSED;
        p += have;
        n -= have;
    }
    return kind;
}

/* RFC 5246 section 7.1: what follows is under the keys just agreed on. In TLS 1.3 it says nothing
 * (RFC 8446 appendix D.4). */
static enum tls_kind change_cipher(struct tls_conn *t, unsigned side)
{
    struct tls_side *s = &t->side[side];
    if (t->v13 || !t->suite)
        return TLS_PASSED;
    if (t->failed++ >= MAX_FAILED)
        return TLS_GIVE_UP; /* it costs more than it should to hear this so often */
    if (!t->entry || t->entry->secret[TLS_MASTER].n != 48)
        return t->entry ? TLS_GIVE_UP : TLS_NO_KEY;
    s->on = true;
    s->cipher.mac_last = t->mac_last;
    return tls_cipher_12(&s->cipher, t->suite, side != t->client, &t->entry->secret[TLS_MASTER],
                         t->randoms)
               ? TLS_GIVE_UP
               : TLS_PASSED;
}

/* Opens a record with the keys at hand, by the number that is next or, after a loss, by one of the
 * numbers behind it. */
static int open_next(struct tls_conn *t, struct tls_side *s, struct tls_record *r, uint8_t *plain,
                     uint8_t *type)
{
    unsigned most = s->lost ? MAX_AHEAD : 1;
    if (!s->cipher.suite)
        return -EBADMSG;
    for (unsigned i = 0; i < most && t->failed < MAX_FAILED; i++) {
        r->seq = s->cipher.seq + i;
        int n = tls_open(&s->cipher, r, plain, type);
        if (n >= 0) {
            s->cipher.seq = r->seq + 1;
            return n;
        }
        t->failed++;
    }
    return -EBADMSG;
}

/* The same with the keys for data, if the handshake's do not fit any more: with its Finished a side
 * goes over to them (RFC 8446 section 7.3), and nothing else says so in the clear. */
static int open_traffic(struct tls_conn *t, unsigned side, struct tls_record *r, uint8_t *plain,
                        uint8_t *type)
{
    struct tls_side *s = &t->side[side], next = {.lost = s->lost};
    unsigned kind = side == t->client ? TLS_CLIENT_TRAFFIC : TLS_SERVER_TRAFFIC;
    if (s->traffic || !t->v13 || t->entry->secret[kind].n == 0 ||
        tls_cipher_13(&next.cipher, t->suite, &t->entry->secret[kind]))
        return -EBADMSG;
    int n = open_next(t, &next, r, plain, type);
    if (n < 0) {
        tls_cipher_done(&next.cipher);
        return n;
    }
    tls_cipher_done(&s->cipher);
    s->cipher = next.cipher;
    s->traffic = true;
    return n;
}

/* A record in which everything is hidden. */
static struct tls_item sealed(struct tls_conn *t, unsigned side, struct tls_record *r,
                              uint8_t *plain)
{
    struct tls_side *s = &t->side[side];
    struct tls_item item = {.kind = TLS_SEALED, .used = r->n};
    uint8_t type = 0;
    int n = open_next(t, s, r, plain, &type);
    if (n < 0)
        n = open_traffic(t, side, r, plain, &type);
    if (n < 0) {
        if (t->failed >= MAX_FAILED)
            item.kind = TLS_GIVE_UP;
        return item;
    }
    s->lost = false;
    item.kind = TLS_PASSED;
    if (type == REC_HANDSHAKE) {
        item.kind = (uint8_t)handshake(t, side, plain, (size_t)n);
    } else if (type == REC_DATA && n > 0) {
        item.kind = TLS_DATA;
        item.n = (size_t)n;
    }
    return item;
}

/* Could a record of these sides begin at p? */
static bool is_header(const uint8_t *p)
{
    return p[0] >= REC_CCS && p[0] <= REC_DATA && p[1] == 3 && p[2] <= 4 &&
           be16_get(p + 3) <= TLS_MAX_RECORD - HEADER;
}

/* How many bytes to pass over until a record may begin; a whole one is followed by another, or by
 * nothing. */
static size_t seek(const uint8_t *p, size_t n)
{
    size_t at = 0;
    for (; at + HEADER <= n; at++) {
        if (!is_header(p + at) || p[at] != REC_DATA)
            continue;
        size_t end = at + HEADER + be16_get(p + at + 3);
        if (end + HEADER > n || is_header(p + end))
            break;
    }
    return at;
}

struct tls_item tls_next(struct tls_conn *t, unsigned side, const uint8_t *p, size_t n,
                         uint8_t *plain)
{
    struct tls_side *s = &t->side[side];
    struct tls_item item = {.kind = TLS_MORE};
    size_t skip = s->lost ? seek(p, n) : 0;
    if (skip)
        return (struct tls_item){.kind = TLS_PASSED, .used = skip};
    if (n < HEADER)
        return item;
    if (!is_header(p))
        return (struct tls_item){.kind = TLS_GIVE_UP};
    struct tls_record r = {.p = p, .n = HEADER + be16_get(p + 3)};
    if (n < r.n)
        return item;
    bool was_lost = s->lost;
    item = (struct tls_item){.kind = TLS_PASSED, .used = r.n};
    if (p[0] == REC_CCS)
        item.kind = (uint8_t)change_cipher(t, side);
    else if (s->on)
        item = sealed(t, side, &r, plain);
    else if (p[0] == REC_HANDSHAKE)
        item.kind = (uint8_t)handshake(t, side, p + HEADER, r.n - HEADER);
    else if (p[0] == REC_DATA)
        item.kind = TLS_GIVE_UP; /* keys cannot be known for what began earlier */
    /* What only looked like a record hides the true one. */
    if (was_lost && item.kind == TLS_SEALED)
        item.used = 1;
    return item;
}
