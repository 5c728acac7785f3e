#include "pbx/feature/setting.h"

struct str setting_get(struct pbx *p, const struct config_extension *e, enum setting s)
{
    (void)p;
    switch (s) {
    case SETTING_FORWARD_ALWAYS:
        return e->forward.always;
    case SETTING_FORWARD_BUSY:
        return e->forward.busy;
    case SETTING_FORWARD_NO_ANSWER:
        return e->forward.no_answer;
    case SETTING_FORWARD_UNREGISTERED:
        return e->forward.unregistered;
    case SETTING_DND:
        return e->dnd ? STR("on") : STR_NONE;
    case SETTINGS:
        break;
    }
    return STR_NONE;
}
