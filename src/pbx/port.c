#include "pbx/port.h"

#define LOW_WATER   64 /* fewer free pairs than this and half of those in use: more are ordered */
#define FIRST_ORDER 256
#define ORDER_MAX   256 /* opening sockets holds up the media thread: 256 pairs take some 3 ms */

static unsigned index_of(enum addr_family family)
{
    return family == ADDR_V6;
}

static void order(struct pbx *p, struct port_stock *s, enum addr_family family, uint32_t count)
{
    struct pbx_out *o = pbx_emit(p, PBX_OUT_MEDIA);
    count = count < ORDER_MAX ? count : ORDER_MAX;
    o->media = (struct media_cmd){.kind = MEDIA_STOCK, .family = (uint8_t)family, .count = count};
    s->asked[index_of(family)] += count;
}

void port_init(struct pbx *p, struct port_stock *s)
{
    const struct addr *bound = &p->config->media.address;
    if (!addr_is_any(bound)) {
        order(p, s, (enum addr_family)bound->family, FIRST_ORDER);
        return;
    }
    /* Open to all: one stock for each family that peers can come from. */
    bool wanted[2] = {false, false};
    for (unsigned i = 0; i < p->n_listeners; i++)
        wanted[index_of((enum addr_family)p->listener[i].bound.family)] = true;
    if (wanted[0])
        order(p, s, ADDR_V4, FIRST_ORDER);
    if (wanted[1])
        order(p, s, ADDR_V6, FIRST_ORDER);
}

uint16_t port_reserve(struct pbx *p, struct port_stock *s, enum addr_family family, uint32_t owner,
                      media_id *id)
{
    unsigned f = index_of(family);
    if (s->n[f] < LOW_WATER + s->in_use / 2 && s->asked[f] == 0)
        order(p, s, family, s->in_use > FIRST_ORDER ? s->in_use : FIRST_ORDER);
    if (s->n[f] == 0) {
        s->exhausted++;
        return 0;
    }
    uint16_t port = s->free[f][s->head[f]];
    s->head[f] = (s->head[f] + 1) % ARRAY_LEN(s->free[f]);
    s->n[f]--;
    s->in_use++;
    *id = ++s->last_id << 24 | (owner & 0xFFFFFF);
    return port;
}

uint16_t port_take(struct pbx *p, struct port_stock *s, enum addr_family family, uint32_t owner,
                   media_id *id)
{
    uint16_t port = port_reserve(p, s, family, owner, id);
    if (port)
        pbx_emit(p, PBX_OUT_MEDIA)->media = (struct media_cmd){
            .kind = MEDIA_OPEN, .id = *id, .port = port, .family = (uint8_t)family};
    return port;
}

static void put(struct port_stock *s, unsigned f, uint16_t port)
{
    if (s->n[f] == ARRAY_LEN(s->free[f]))
        return; /* a range never holds so many pairs */
    s->free[f][(s->head[f] + s->n[f]++) % ARRAY_LEN(s->free[f])] = port;
}

void port_rx(struct pbx *p, struct port_stock *s, const struct media_ev *ev)
{
    unsigned f = index_of((enum addr_family)ev->family);
    switch (ev->kind) {
    case MEDIA_EV_PORTS:
        for (uint32_t i = 0; i < ev->count; i++)
            put(s, f, ev->port[i]);
        s->asked[f] -= ev->count < s->asked[f] ? ev->count : s->asked[f];
        break;
    case MEDIA_EV_NO_PORTS:
        s->asked[f] = 0;
        break;
    case MEDIA_EV_CLOSED:
        put(s, f, ev->port[0]);
        s->in_use--;
        break;
    default:
        break;
    }
}
