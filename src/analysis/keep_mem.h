/* Message bytes kept in memory, for traffic without an end: they are given back with their leg, and
 * there is a limit. What does not fit is not kept, and counted. */
#ifndef ANALYSIS_KEEP_MEM_H
#define ANALYSIS_KEEP_MEM_H

#include "analysis/keep.h"

struct an_keep_mem;

struct an_keep_mem_stats {
    uint64_t bytes; /* held, with what each costs beside its own */
    uint64_t blocks;
    uint64_t refused; /* messages that did not fit */
};

/* 0 or -ENOMEM. */
MUST_CHECK int an_keep_mem_new(struct an_keep_mem **ret, uint64_t max_bytes);
/* No engine may use it any more. */
void an_keep_mem_free(struct an_keep_mem *k);
/* For an_engine_args; valid as long as k is. */
const struct an_keep *an_keep_mem_ops(const struct an_keep_mem *k);
struct an_keep_mem_stats an_keep_mem_stats(const struct an_keep_mem *k);

#endif
