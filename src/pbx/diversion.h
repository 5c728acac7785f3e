/* Why calls were diverted. RFC 5806, RFC 7044. */
#ifndef PBX_DIVERSION_H
#define PBX_DIVERSION_H

#include "pbx/pbx_int.h"

enum diversion_reason {
    DIVERSION_UNCONDITIONAL,
    DIVERSION_USER_BUSY,
    DIVERSION_NO_ANSWER,
    DIVERSION_UNAVAILABLE,
    DIVERSION_DND,
    DIVERSION_DEFLECTION,
    DIVERSION_REASONS
};
struct str diversion_reason_name(enum diversion_reason r);

#endif
