/* What an agent captured and sent in HEP. For the files of this folder that read. */
#ifndef ANALYSIS_HEP_IN_H
#define ANALYSIS_HEP_IN_H

#include "analysis/out.h"

/* Takes the message out of one HEP packet; src and dst are of the packet itself. `stay`: the bytes
 * stay until the datum was taken, and are not copied. */
void an_hep_read(struct an_out *o, const struct an_seen *seen, struct str packet, bool stay);

#endif
