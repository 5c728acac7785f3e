/* What an extension's owner has set: do-not-disturb and forwarding. The configuration says how it
 * begins; what is set by feature codes or the API goes before it and survives a restart. */
#ifndef PBX_FEATURE_SETTING_H
#define PBX_FEATURE_SETTING_H

#include "pbx/pbx_int.h"

enum setting {
    SETTING_FORWARD_ALWAYS,
    SETTING_FORWARD_BUSY,
    SETTING_FORWARD_NO_ANSWER,
    SETTING_FORWARD_UNREGISTERED,
    SETTING_DND,
    SETTINGS
};

/* A number, "on" for do-not-disturb, or empty: off. The text lives until the next input. */
struct str setting_get(struct pbx *p, const struct config_extension *e, enum setting s);

#endif
