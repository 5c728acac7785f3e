/* Feature codes: what a phone dials to have something done, not to call somebody. */
#ifndef PBX_FEATURE_CODE_H
#define PBX_FEATURE_CODE_H

#include "pbx/call_int.h"

/* Is it a code of the configuration? Codes are compared unescaped (%2A8 is *8). */
bool code_find(const struct config *c, struct str number, struct plan *ret);
/* Does what the code stands for and answers the call. */
void code_dialled(struct pbx *p, struct call *call, const struct plan *plan);
/* Refuses the call with 404 and a Warning that says this, for the caller's screen. */
void code_refuse(struct pbx *p, struct call *call, struct str text);

#endif
