/* Parties of TLS: the numbers by which io knows whom a connection is for and what his certificate
 * must say. Trunks have the first numbers, the names that gateways redirect to the last. */
#include "pbx/trunk_int.h"

#define MAX_PARTIES 4096u
#define FIRST_OTHER (MAX_PARTIES - TRUNK_PARTIES) /* names of no trunk */

static bool has_party(const struct pbx *p, uint16_t party)
{
    list_each(node, &p->trunks->all)
    {
        const struct trunk *t = container_of(node, struct trunk, node);
        if (t->party == party || t->client == party)
            return true;
    }
    return false;
}

/* 0: there are too many. Not one that was given back lately: the calls of a trunk that is gone
 * still need its name when they need a new connection. */
static uint16_t free_party(struct pbx *p)
{
    uint16_t *at = &p->trunks->last_party;
    for (unsigned i = 1; i < FIRST_OTHER; i++) {
        *at = *at + 1u < FIRST_OTHER ? *at + 1 : 1;
        if (!has_party(p, *at))
            return *at;
    }
    return 0;
}

uint16_t trunk_party_of(struct pbx *p, struct str name)
{
    struct trunks *all = p->trunks;
    unsigned at = 0;
    while (at < TRUNK_PARTIES && !str_ieq(str_z(all->party[at]), name))
        at++;
    if (at == TRUNK_PARTIES) {
        at = all->next_party++ % TRUNK_PARTIES;
        str_copy_z(all->party[at], sizeof(all->party[at]), name);
        struct pbx_out *o = pbx_emit(p, PBX_OUT_PARTY);
        o->token = FIRST_OTHER + at;
        o->name = pbx_turn_dup(p, name);
    }
    return (uint16_t)(FIRST_OTHER + at);
}

void trunk_introduce(struct pbx *p, struct trunk *t)
{
    t->party = free_party(p);
    if (t->party) {
        struct pbx_out *o = pbx_emit(p, PBX_OUT_PARTY);
        o->token = t->party;
        o->name = pbx_turn_dup(p, t->uri.host);
        o->pins = &t->conf->tls_pins;
    }
    t->client = t->conf->tls_name.n ? free_party(p) : 0;
    if (t->client) {
        struct pbx_out *o = pbx_emit(p, PBX_OUT_CLIENT);
        o->token = t->client;
        o->name = pbx_turn_dup(p, t->conf->tls_name);
        o->pins = &t->conf->tls_pins;
    }
}

void trunk_forget(struct pbx *p, struct trunk *t)
{
    if (!t->client)
        return;
    struct pbx_out *o = pbx_emit(p, PBX_OUT_CLIENT);
    o->token = t->client;
    t->client = 0;
}
