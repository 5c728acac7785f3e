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
/* "forward_always", ..., "dnd": names in the database and the API. */
struct str setting_name(enum setting s);
/* -ENOENT. */
MUST_CHECK int setting_find(enum setting *ret, struct str name);

MUST_CHECK int setting_init(struct pbx *p);
void setting_done(struct pbx *p);
/* Extensions that a reload has removed lose what they had set. */
void setting_reload(struct pbx *p);
/* A row of STORE_RESTORE_SETTINGS: extension, name, value. */
void setting_restore(struct pbx *p, const struct row_value *v, unsigned n);

/* A number, "on" for do-not-disturb, or empty: off. The text lives until the setting changes. */
struct str setting_get(struct pbx *p, const struct config_extension *e, enum setting s);
/* May the extension have it so? 0, or the SIP status that says why not: a forward goes to somebody
 * whom the extension may call, not to itself. Empty and none are always allowed. */
unsigned setting_refused(struct pbx *p, const struct config_extension *e, enum setting s,
                         struct str value);
/* Sets and stores it; empty: off; none: as the configuration says. -ENOMEM. */
MUST_CHECK int setting_put(struct pbx *p, const struct config_extension *e, enum setting s,
                           struct str value);

#endif
