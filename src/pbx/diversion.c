#include "pbx/diversion.h"

struct str diversion_reason_name(enum diversion_reason r)
{
    static const struct str names[DIVERSION_REASONS] = {
        [DIVERSION_UNCONDITIONAL] = STR_INIT("unconditional"),
        [DIVERSION_USER_BUSY] = STR_INIT("user-busy"),
        [DIVERSION_NO_ANSWER] = STR_INIT("no-answer"),
        [DIVERSION_UNAVAILABLE] = STR_INIT("unavailable"),
        [DIVERSION_DND] = STR_INIT("do-not-disturb"),
        [DIVERSION_DEFLECTION] = STR_INIT("deflection")};
    return names[r];
}
