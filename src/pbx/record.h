/* Recordings of calls: which calls, what their files are called, and what the sidecar says. */
#ifndef PBX_RECORD_H
#define PBX_RECORD_H

#include "pbx/call_int.h"

/* A recording has been written, or was stopped. */
void record_done(struct pbx *p, const struct pbx_recorded *r);

#endif
