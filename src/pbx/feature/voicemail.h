/* Mailboxes: messages of callers whom nobody answered, and their owners who listen to them. */
#ifndef PBX_FEATURE_VOICEMAIL_H
#define PBX_FEATURE_VOICEMAIL_H

#include "pbx/call_int.h"

/* A message has been written, or was stopped. */
void voicemail_recorded(struct pbx *p, const struct pbx_recorded *r);
/* A sound that was asked for by PBX_FILE_LOAD. */
void voicemail_loaded(struct pbx *p, uint32_t clip, int err, uint32_t ms);

#endif
