/* Figures as Prometheus reads them: its text format, version 0.0.4. */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include <jansson.h>

#include "base/buf.h"

/* Every number and truth value in the object, as NAME_KEY; an object within is NAME_KEY_KEY, or, if
 * its keys are instances of one thing, NAME_KEY{of="KEY"}. Texts and lists are left out. */
void metrics_put(struct buf *b, const char *name, const json_t *figures);
/* What the counters of the client of MRCPv2 count, for NAME_KEY of these. */
void metrics_put_mrcp_help(struct buf *b, const char *name);

#endif
