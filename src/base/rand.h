/* The generator that pure code is given: ChaCha20 (RFC 8439) keyed once. With a seed from the
 * operating system it is fit for tags, branches and nonces; with a number it repeats itself. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "base/buf.h"

struct rand {
    uint32_t state[16];
    uint8_t block[64];
    unsigned left;
};

/* key: 32 bytes of entropy. */
void rand_init(struct rand *r, const uint8_t key[32]);
/* A repeatable generator, for tests and the simulator. */
void rand_seed(struct rand *r, uint64_t seed);
void rand_bytes(struct rand *r, void *out, size_t n);
uint64_t rand_u64(struct rand *r);
/* Evenly distributed in [0, bound); bound > 0. */
uint64_t rand_below(struct rand *r, uint64_t bound);
/* Appends n_bytes of randomness as 2*n_bytes hexadecimal digits. */
void rand_hex(struct rand *r, struct buf *b, size_t n_bytes);

#endif
