/* What leaves the reading half: a queue of datums, the texts among them that had to be put
 * together, warnings, counts. For the files of this folder that read. */
#ifndef ANALYSIS_OUT_H
#define ANALYSIS_OUT_H

#include "analysis/input.h"
#include "base/arena.h"

/* Of the frames that a piece of input came in. */
struct an_seen {
    uint64_t at_ns, frame, first_frame;
    uint16_t iface;
};

struct an_out {
    struct an_datum *q;
    uint32_t head, n, cap; /* q[head .. n) is still to be taken */
    struct arena texts;
    struct an_warning *warning;
    uint32_t warn_head, warn_n, warn_cap;
    struct an_input_stats stats;
};

MUST_CHECK int an_out_init(struct an_out *o, const struct an_limits *limits);
void an_out_done(struct an_out *o);
/* Everything was taken: texts may go. */
void an_out_reset(struct an_out *o);
/* A datum to fill in at the end of the queue, cleared; NULL without memory, which is counted. */
struct an_datum *an_out_put(struct an_out *o, const struct an_seen *seen);
/* The oldest that was not taken; NULL: there is none. */
static inline const struct an_datum *an_out_next(struct an_out *o)
{
    return o->head == o->n ? NULL : &o->q[o->head++];
}
/* Memory that lives until everything was taken; NULL is counted. */
void *an_out_take(struct an_out *o, size_t n);
struct str an_out_dup(struct an_out *o, struct str s);
/* text: a literal. src and dst may be NULL. */
void an_out_warn(struct an_out *o, uint64_t frame, struct str text, const struct addr *src,
                 const struct addr *dst);

#endif
