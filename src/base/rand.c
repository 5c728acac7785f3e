#include "base/rand.h"

static uint32_t rotl(uint32_t v, int n)
{
    return (v << n) | (v >> (32 - n));
}

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 7);
}

/* RFC 8439 section 2.3: the block function. */
static void refill(struct rand *r)
{
    uint32_t x[16];
    memcpy(x, r->state, sizeof(x));
    for (int i = 0; i < 10; i++) {
        quarter(x, 0, 4, 8, 12), quarter(x, 1, 5, 9, 13);
        quarter(x, 2, 6, 10, 14), quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15), quarter(x, 1, 6, 11, 12);
        quarter(x, 2, 7, 8, 13), quarter(x, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        x[i] += r->state[i];
    memcpy(r->block, x, sizeof(x));
    r->left = sizeof(r->block);
    if (++r->state[12] == 0)
        r->state[13]++;
}

void rand_init(struct rand *r, const uint8_t key[32])
{
    static const uint32_t sigma[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    memset(r, 0, sizeof(*r));
    memcpy(r->state, sigma, sizeof(sigma));
    memcpy(r->state + 4, key, 32);
}

void rand_seed(struct rand *r, uint64_t seed)
{
    uint8_t key[32] = {0};
    memcpy(key, &seed, sizeof(seed));
    rand_init(r, key);
}

void rand_bytes(struct rand *r, void *out, size_t n)
{
    uint8_t *p = out;
    while (n) {
        if (r->left == 0)
            refill(r);
        size_t part = n < r->left ? n : r->left;
        memcpy(p, r->block + sizeof(r->block) - r->left, part);
        r->left -= (unsigned)part;
        p += part;
        n -= part;
    }
}

uint64_t rand_u64(struct rand *r)
{
    uint64_t v;
    rand_bytes(r, &v, sizeof(v));
    return v;
}

uint64_t rand_below(struct rand *r, uint64_t bound)
{
    uint64_t reject = UINT64_MAX - UINT64_MAX % bound;
    uint64_t v;
    do
        v = rand_u64(r);
    while (v >= reject);
    return v % bound;
}

void rand_hex(struct rand *r, struct buf *b, size_t n_bytes)
{
    uint8_t bytes[64];
    while (n_bytes) {
        size_t part = n_bytes < sizeof(bytes) ? n_bytes : sizeof(bytes);
        rand_bytes(r, bytes, part);
        buf_hex(b, bytes, part);
        n_bytes -= part;
    }
}
