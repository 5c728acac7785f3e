/* One call out of a capture: the frames that carry it. Datums are shown to it first, all of them;
 * then it knows which frames they came in. */
#ifndef ANALYSIS_EXTRACT_H
#define ANALYSIS_EXTRACT_H

#include "analysis/report.h"

struct an_extract;

/* What the report knows must stay. 0 or -ENOMEM. */
MUST_CHECK int an_extract_new(struct an_extract **ret, const struct an_report *r, uint32_t call);
/* Accepts NULL. */
void an_extract_free(struct an_extract *x);
/* Does it belong to the call: a message of its legs, a packet of its streams or RTCP about them?
 * 1, 0 or -ENOMEM. *ret_stream is the stream, AN_NONE for others. */
MUST_CHECK int an_extract_datum(struct an_extract *x, const struct an_datum *d,
                                uint32_t *ret_stream);
/* All datums were shown. */
void an_extract_settle(struct an_extract *x);
/* The last frame that carries any of it; 0: there is none. */
uint64_t an_extract_last(const struct an_extract *x);
/* Does the frame carry any of what belonged? It is asked in the order of the numbers. */
bool an_extract_frame(struct an_extract *x, const struct cap_frame *f, uint64_t number);

/* Frames that were never captured, for what has been changed: an IP packet with what it carries
 * and sums that are right. */
#define AN_SYNTH_MAX_BYTES 65535
#define AN_SYNTH_MAX_CONNS 64

struct an_synth {
    unsigned n;
    struct {
        struct addr src, dst;
        uint32_t seq;
    } conn[AN_SYNTH_MAX_CONNS]; /* directions of TCP connections */
};

/* A frame of link type CAP_RAW in out[AN_SYNTH_MAX_BYTES]: a datagram, or the next bytes of a
 * connection. Returns its bytes; 0: it does not fit, or the addresses are of two families. */
size_t an_synth_frame(struct an_synth *s, const struct an_datum *d, uint8_t *out);

#endif
