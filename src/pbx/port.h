/* The stock of RTP port pairs. The media plane opens pairs and announces them; a pair belongs to a
 * leg from port_take() until the plane has closed its stream. New pairs are asked for before the
 * stock is empty, so a call never waits for a socket. */
#ifndef PBX_PORT_H
#define PBX_PORT_H

#include "pbx/pbx_int.h"

struct port_stock {
    uint16_t free[2][16384]; /* rings, IPv4 and IPv6: the longest unused comes first */
    uint32_t head[2], n[2];
    uint32_t asked[2]; /* ordered and not yet announced */
    uint32_t in_use;
    uint64_t exhausted; /* calls refused for want of a pair */
    media_id last_id;
};

void port_init(struct pbx *p, struct port_stock *s);
/* A pair and the id of a new stream on it; 0: none left. The lower 24 bits of the id are
 * `owner`. */
uint16_t port_take(struct pbx *p, struct port_stock *s, enum addr_family family, uint32_t owner,
                   media_id *id);
/* The same for one who opens the stream and closes it: the pair is free again at MEDIA_EV_CLOSED,
 * which must come. */
uint16_t port_reserve(struct pbx *p, struct port_stock *s, enum addr_family family, uint32_t owner,
                      media_id *id);
void port_rx(struct pbx *p, struct port_stock *s, const struct media_ev *ev);

#endif
