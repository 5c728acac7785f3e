/* Peers that need something done differently. The list is quirk.def. */
#ifndef PBX_QUIRK_H
#define PBX_QUIRK_H

#include "wire/sip/msg.h"

enum quirk { QUIRK_ONLY_MD5, QUIRK_SLOW_REGISTER, QUIRK_COUNT };

bool quirk_has(const struct sip_msg *m, enum quirk quirk);

#endif
