/* Descriptions that answer and offer for somebody else: what an exchange writes when it stands
 * between two parties and passes their packets on as they are. RFC 3264. */
#ifndef WIRE_SDP_OA_H
#define WIRE_SDP_OA_H

#include "wire/sdp/caps.h"

/* An answer to `offer`. With `other`, the description of the party at the far end, the formats are
 * those which both have, under the numbers that the far end uses (RFC 3264 section 6.1 allows other
 * numbers than the offer's); without it, those of the policy, and what is no audio only if the
 * policy keeps it. Refused media keep their places. */
struct sdp_answer_args {
    const struct sdp *offer, *other;
    struct sdp_local local;
    const struct sdp_policy *policy;
    const struct sdp_stream *stream; /* one for each media; port 0 refuses it */
    unsigned n_streams;
};
/* -ENOENT: no codec in common (488); -ENOBUFS. b stays as it was. */
MUST_CHECK int sdp_answer_build(struct buf *b, const struct sdp_answer_args *a);

/* An offer to a third party, made from what `from` said last: its formats under its numbers, those
 * of `first` (what it was told, hence what it uses now) in front, then, with `more`, those of the
 * policy that it has not named. */
struct sdp_offer_args {
    const struct sdp *from, *first;
    bool more; /* the party may be able to do more than it has said: the policy's codecs follow */
    struct sdp_local local;
    const struct sdp_policy *policy;
    const struct str *also; /* codecs behind all that, into which what the party says can be put */
    unsigned n_also;
    const struct sdp_stream *stream;
    unsigned n_streams;
};
MUST_CHECK int sdp_offer_build(struct buf *b, const struct sdp_offer_args *a);

/* What one party and we have told each other. */
struct sdp_pair {
    const struct sdp *local, *remote;
};
struct sdp_fit_args {
    struct sdp_pair a, b;
};
/* Do the two parties understand each other without transcoding? Judged by the first audio stream:
 * what each of them sends first must be agreed with the other, under any number. */
bool sdp_fit(const struct sdp_fit_args *args);

/* A new offer changes nothing that the far end must know: the same media in the same places, the
 * codec in use still there, in video under its number. Direction, address, port, packet time and
 * what else is offered may differ. */
bool sdp_same_session(const struct sdp_pair *before, const struct sdp *now);

/* How much of what `answer` names, in its audio, the author of `offer` has offered: all of it, some
 * codec, or none. */
enum sdp_overlap { SDP_OVERLAP_ALL, SDP_OVERLAP_SOME, SDP_OVERLAP_NONE };
enum sdp_overlap sdp_overlap(const struct sdp *answer, const struct sdp *offer);

#endif
