/* What the files of the reports share. */
#ifndef ANALYSIS_REPORT_INT_H
#define ANALYSIS_REPORT_INT_H

#include "analysis/report.h"

struct an_json;

/* "+1.234", from the beginning of the call; nothing for AN_NEVER. */
void an_put_offset(struct buf *b, const struct an_call *call, uint64_t at_ns);
/* "12, b.pcap:3" */
void an_put_frames(struct an_sink *out, const struct an_report *r, const uint64_t *frame,
                   unsigned n);
/* What the member "findings" of a call's object holds. */
void an_json_findings(const struct an_report *r, uint32_t call, struct an_json *j);

#endif
