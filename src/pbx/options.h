/* OPTIONS: what we can do. RFC 3261 section 11. */
#ifndef PBX_OPTIONS_H
#define PBX_OPTIONS_H

#include "pbx/pbx_int.h"

void options_rx(struct pbx *p, const struct sip_out *o);

#endif
