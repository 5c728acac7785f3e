/* A speech server behind MRCPv2. The conversation with one is not here yet: such a bot cannot be
 * opened, so calls go on as if it had none. */
#include "bot/engine.h"

const struct bot_engine_ops bot_engine_mrcp = {.absent = true};
