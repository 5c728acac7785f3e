/* What a caller hears before the exchange refuses its call: with sounds.announce a 183 opens an
 * early session (RFC 3960 section 3), in which the tone of the country or a sentence says why; then
 * comes the status. The record of a call that is cancelled meanwhile has that status too. */
#ifndef PBX_FEATURE_ANNOUNCE_H
#define PBX_FEATURE_ANNOUNCE_H

#include "pbx/feature/service.h"

/* The caller hears why, and is refused with `status` afterwards. false: it is to be refused at
 * once: it has made no offer, has heard the callee's side already, or there is little room. */
bool announce_begin(struct pbx *p, struct call *call, unsigned status);

#endif
