/* Nothing speaks for bots behind a URL in this build: none of them can be opened, and calls go on
 * as if there were none. */
#include "app/wire.h"

void wire_botlink(struct wire *w, const struct botlink_cmd *cmd)
{
    struct botlink_event ev = {.id = cmd->id, .text = STR("this build opens no WebSocket")};
    if (cmd->kind != BOTLINK_OPEN && cmd->kind != BOTLINK_CLOSE)
        return;
    ev.kind = cmd->kind == BOTLINK_OPEN ? BOTLINK_EV_FAILED : BOTLINK_EV_CLOSED;
    pbx_botlink(w->pbx, loop_now(w->loop), &ev);
}
