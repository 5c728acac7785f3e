/* The programs behind bots, which do things at random: are there or not, speak, hand over, hang up,
 * break. */
#ifndef SIM_BOT_H
#define SIM_BOT_H

#include "world/world.h"

/* on_botlink of the world. */
void bot_rx(struct world *w, const struct botlink_cmd *cmd);
/* The configuration of bots, and one for a line of extensions or groups; phones: how many there
 * are.
 */
void bot_put_config(struct buf *b, struct rand *r, unsigned phones);
void bot_put_stand_in(struct buf *b, struct rand *r);
/* Once a second: who is tapped speaks, now and then. */
void bot_voice(struct world *w, const struct world_stream *st);

#endif
