/* Randomness from the kernel, to key the generators that pure code is given. */
#ifndef IO_ENTROPY_H
#define IO_ENTROPY_H

#include <stddef.h>

#include "base/assert.h"

/* Fills out[n]; 0 or a negative errno. Blocks only in the first moments of a boot. */
MUST_CHECK int entropy_get(void *out, size_t n);

#endif
