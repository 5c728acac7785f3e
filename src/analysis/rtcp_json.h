/* RTCP as capture agents tell it: one JSON object a compound packet, with the names that Homer
 * knows.
 */
#ifndef ANALYSIS_RTCP_JSON_H
#define ANALYSIS_RTCP_JSON_H

#include "base/assert.h"
#include "base/buf.h"

/* Appends sender information, report blocks, the texts of the source, and the VoIP metrics of an
 * extended report (RFC 3611). -EBADMSG: it is no RTCP, or says none of these; *b is as before. */
MUST_CHECK int an_rtcp_json(struct buf *b, const void *p, size_t n);

#endif
