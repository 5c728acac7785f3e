/* IP fragments put together (RFC 791 section 3.2, RFC 8200 section 4.5). What waits is bounded in
 * number, bytes and time; time is that of the capture. */
#ifndef ANALYSIS_DEFRAG_H
#define ANALYSIS_DEFRAG_H

#include "base/hash.h"
#include "base/list.h"
#include "base/slot.h"
#include "wire/cap/link.h"

#define DEFRAG_MAX_PARTS 64 /* stretches of one datagram with holes between them */
#define DEFRAG_MAX_BYTES 65535

struct defrag_datagram;

struct defrag {
    struct slot_table slots;
    struct hash_table table;
    struct list waiting; /* the one begun first is the first */
    size_t bytes, max_bytes;
    uint64_t max_ns;
    struct defrag_datagram *given; /* whose bytes the caller holds until the next call */
};

/* One datagram, whole or what there is of its beginning. */
struct defrag_result {
    struct cap_ip ip;
    uint64_t first_frame, frame, at_ns; /* frame, at_ns: of the part that came last */
};

/* max: how many datagrams. 0 or -ENOMEM. */
MUST_CHECK int defrag_init(struct defrag *d, uint32_t max, size_t max_bytes, uint64_t max_ns,
                           uint64_t seed);
void defrag_done(struct defrag *d);
/* A fragment. 1: it was the last that was missing, *ret is the datagram; 0: it waits; -EBADMSG: it
 * contradicts others, and they go with it; -ENOMEM: there is no room for it. The bytes of *ret stay
 * until the next call. */
MUST_CHECK int defrag_put(struct defrag *d, const struct cap_ip *ip, uint64_t at_ns, uint64_t frame,
                          struct defrag_result *ret);
/* The next datagram that has waited too long, or with `all` any: 1: *ret is the beginning of it,
 * cut (ip.n < ip.wire_n); 0: it had no beginning; -ENOENT: there is none. */
MUST_CHECK int defrag_expire(struct defrag *d, uint64_t now_ns, bool all,
                             struct defrag_result *ret);

#endif
