#include "analysis/leg.h"

#include "base/mem.h"

void an_leg_done(struct an_leg *leg)
{
    an_text_done(&leg->text);
    mem_free(leg->host);
    mem_free(leg->msg);
    mem_free(leg->txn);
    mem_free(leg->sdp);
    mem_free(leg->hold);
    mem_free(leg->refer);
}

/* A cleared item behind the n there are. */
static void *add(void *array, uint32_t *n, uint32_t *cap, size_t item_bytes, uint32_t most)
{
    char **p = array;
    if (*n >= most)
        return NULL;
    if (*n == *cap) {
        /* Of descriptions, which are large, a leg has two in most cases. */
        uint32_t more = *cap ? *cap * 2 : item_bytes > 256 ? 2 : 4;
        char *grown = mem_resize(*p, more * item_bytes);
        if (!grown)
            return NULL;
        *p = grown;
        *cap = more;
    }
    void *item = *p + *n * item_bytes;
    memset(item, 0, item_bytes);
    ++*n;
    return item;
}

#define ADD(leg, what, most)                                                                       \
    add(&(leg)->what, &(leg)->n_##what##s, &(leg)->cap_##what##s, sizeof(*(leg)->what), most)

struct an_msg *an_leg_msg_add(struct an_leg *leg)
{
    return ADD(leg, msg, AN_LEG_MAX_MSGS);
}

struct an_txn *an_leg_txn_add(struct an_leg *leg)
{
    return ADD(leg, txn, AN_LEG_MAX_MSGS);
}

struct an_sdp *an_leg_sdp_add(struct an_leg *leg)
{
    return ADD(leg, sdp, AN_LEG_MAX_SDPS);
}

struct an_hold *an_leg_hold_add(struct an_leg *leg)
{
    return ADD(leg, hold, AN_LEG_MAX_SDPS);
}

struct an_refer *an_leg_refer_add(struct an_leg *leg)
{
    return ADD(leg, refer, AN_LEG_MAX_REFERS);
}

uint16_t an_leg_host(struct an_leg *leg, const struct addr *a)
{
    for (uint16_t i = 0; i < leg->n_hosts; i++)
        if (addr_eq(&leg->host[i], a))
            return i;
    uint32_t n = leg->n_hosts, cap = leg->cap_hosts;
    struct addr *host = add(&leg->host, &n, &cap, sizeof(*host), AN_LEG_MAX_HOSTS);
    if (!host)
        return leg->n_hosts ? (uint16_t)(leg->n_hosts - 1) : 0;
    *host = *a;
    leg->n_hosts = (uint16_t)n;
    leg->cap_hosts = (uint16_t)cap;
    return (uint16_t)(n - 1);
}

bool an_leg_alive(const struct an_leg *leg, uint64_t at_ns)
{
    return leg->kind == AN_LEG_CALL && leg->first_ns <= at_ns &&
           (leg->end_ns == AN_NEVER ? leg->last_ns : leg->end_ns) >= at_ns;
}

struct str an_leg_caller(const struct an_leg *leg)
{
    struct str user = an_leg_text(leg, leg->asserted);
    return user.n ? user : an_leg_text(leg, leg->from.user);
}

struct str an_leg_callee(const struct an_leg *leg)
{
    struct str user = an_leg_text(leg, leg->ruri_user);
    return user.n ? user : an_leg_text(leg, leg->to.user);
}
