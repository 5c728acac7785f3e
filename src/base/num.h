/* Strict numbers from text: every byte must belong to the number, nothing wraps. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/assert.h"
#include "base/str.h"

/* 0, or -EINVAL (not a number) or -ERANGE (above max); *ret is untouched on failure. */
MUST_CHECK int num_u64(uint64_t *ret, struct str s, uint64_t max);
MUST_CHECK int num_u32(uint32_t *ret, struct str s);
/* A decimal fraction such as "0.5" or "32" scaled by 10^digits, rounded down: num_fixed("0.5", 3)
 * gives 500. */
MUST_CHECK int num_fixed(uint64_t *ret, struct str s, unsigned digits);
/* Two hexadecimal digits to a byte value, or -1. */
int num_hex2(const char *p);

#endif
