/* Why calls end: SIP statuses and Q.850 causes, from one table. */
#ifndef PBX_HANGUP_H
#define PBX_HANGUP_H

#include "wire/sip/msg.h"

/* The cause of a final status; 127 where the table has none, 16 for 2xx. */
unsigned hangup_cause_of(unsigned status);
/* The status for a cause; 500 where the table has none. */
unsigned hangup_status_of(unsigned cause);
struct str hangup_text(unsigned cause);
/* A Reason value: Q.850;cause=16;text="..." (RFC 3326). */
void hangup_reason(struct buf *b, unsigned cause);
/* The Q.850 cause in the Reason headers of a message; 0: none. */
unsigned hangup_cause_in(const struct sip_msg *m);

#endif
