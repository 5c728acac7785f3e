#include <errno.h>

#include "io/net_priv.h"

#define SWEEP_AT_ONCE 256

struct addr net_source_key(const struct addr *a)
{
    struct addr key = *a;
    key.port = 0;
    if (key.family == ADDR_V6)
        memset(key.ip + 8, 0, 8);
    return key;
}

static struct net_ban *ban_find(const struct net *net, const struct addr *key)
{
    uint64_t h = net_ip_hash(&net->bans, key);
    hash_each(node, &net->bans, h)
    {
        struct net_ban *ban = container_of(node, struct net_ban, node);
        if (addr_ip_eq(&ban->addr, key))
            return ban;
    }
    return NULL;
}

static void ban_drop(struct net *net, struct net_ban *ban)
{
    hash_remove(&net->bans, &ban->node);
    slot_put(&net->ban_slots, ban->self);
    net->stats.bans--;
}

void ban_sweep(struct net *net, usec_t now)
{
    for (unsigned i = 0; i < SWEEP_AT_ONCE; i++) {
        handle_t h;
        struct net_ban *ban = slot_next(&net->ban_slots, &net->ban_sweep_at, &h);
        if (!ban) {
            net->ban_sweep_at = 0;
            return;
        }
        if (ban->until <= now)
            ban_drop(net, ban);
    }
}

int net_ban(struct net *net, const struct addr *source, usec_t until)
{
    struct addr key = net_source_key(source);
    struct net_ban *ban = ban_find(net, &key);
    handle_t self;
    if (!ban) {
        ban = slot_take(&net->ban_slots, &self);
        if (!ban) {
            ban_sweep(net, loop_now(net->loop));
            ban = slot_take(&net->ban_slots, &self);
        }
        if (!ban)
            return -ENOSPC;
        ban->addr = key;
        ban->self = self;
        hash_put(&net->bans, &ban->node, net_ip_hash(&net->bans, &key));
        net->stats.bans++;
    }
    ban->until = until;
    list_each(node, &net->conns)
    {
        struct conn *c = container_of(node, struct conn, node);
        struct addr peer = net_source_key(&c->flow.peer);
        if (addr_ip_eq(&peer, &key) && !c->ours)
            conn_end(c, -EACCES);
    }
    return 0;
}

void net_unban(struct net *net, const struct addr *source)
{
    struct addr key = net_source_key(source);
    struct net_ban *ban = ban_find(net, &key);
    if (ban)
        ban_drop(net, ban);
}

bool net_banned(struct net *net, const struct addr *source)
{
    struct addr key = net_source_key(source);
    struct net_ban *ban = ban_find(net, &key);
    if (!ban)
        return false;
    if (ban->until > loop_now(net->loop))
        return true;
    ban_drop(net, ban);
    return false;
}
