#include "pbx/gate_ban.h"

#include "base/mem.h"
#include "pbx/gate.h"
#include "pbx/gate_int.h"
#include "pbx/trunk.h"

#define USERS 4096 /* a power of two */
/* A user who is guessed at from many addresses: from so many failures on, each counts for more. */
#define GUESSED_FACTOR 4

struct source {
    struct hash_node node;
    struct list lru;
    struct pbx_timer over;
    struct addr ip; /* port 0; of IPv6 the network of 64 bits that one subscriber has */
    uint32_t failures, times;
    usec_t last, until; /* until 0: not banned */
};

struct user_count {
    uint64_t hash;
    usec_t last;
    uint32_t failures;
};

struct bans {
    struct slot_table slots;
    struct hash_table by_ip;
    struct list lru; /* the longest untouched first */
    struct user_count user[USERS];
};

static struct addr key_of(const struct addr *a)
{
    struct addr key = *a;
    key.port = 0;
    if (key.family == ADDR_V6)
        memset(key.ip + 8, 0, 8);
    return key;
}

static uint64_t ip_hash(const struct bans *bans, const struct addr *key)
{
    return hash_bytes(&bans->by_ip, key->ip, key->family == ADDR_V4 ? 4 : 16);
}

static struct source *source_find(const struct bans *bans, const struct addr *key)
{
    hash_each(node, &bans->by_ip, ip_hash(bans, key))
    {
        struct source *s = container_of(node, struct source, node);
        if (addr_ip_eq(&s->ip, key))
            return s;
    }
    return NULL;
}

struct bans *bans_new(struct pbx *p)
{
    struct bans *b = mem_zero(sizeof(*b));
    uint32_t cap = p->config->limits.banned_sources;
    if (!b)
        return NULL;
    list_init(&b->lru);
    if (slot_init(&b->slots, sizeof(struct source), cap) ||
        hash_init(&b->by_ip, cap, rand_u64(&p->rand))) {
        if (b->slots.mem)
            slot_done(&b->slots);
        mem_free(b);
        return NULL;
    }
    return b;
}

static void source_free(struct pbx *p, struct bans *b, struct source *s)
{
    pbx_timer_stop(p, &s->over);
    list_remove(&s->lru);
    hash_remove(&b->by_ip, &s->node);
    slot_put(&b->slots, slot_handle(&b->slots, s));
}

void bans_free(struct pbx *p, struct bans *b)
{
    if (!b)
        return;
    while (!list_empty(&b->lru))
        source_free(p, b, container_of(b->lru.next, struct source, lru));
    hash_done(&b->by_ip);
    slot_done(&b->slots);
    mem_free(b);
}

/* ---- bans -------------------------------------------------------------------------------------
 */

static struct str ip_text(struct buf *b, const struct addr *ip)
{
    addr_put_ip(b, ip);
    return buf_str(b);
}

static void unban(struct pbx *p, struct source *s)
{
    char mem[64];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    s->until = 0;
    s->failures = 0;
    s->last = p->now; /* how often it was banned is remembered from the end of the ban on */
    pbx_timer_stop(p, &s->over);
    trace_emit(&p->trace, TRACE_UNBANNED, 0, TS(ip_text(&text, &s->ip)));
    struct pbx_out *o = pbx_emit(p, PBX_OUT_BAN);
    o->addr = s->ip;
    o->seconds = 0;
}

static void ban_over(struct pbx *p, struct pbx_timer *t)
{
    unban(p, container_of(t, struct source, over));
}

static void ban(struct pbx *p, struct source *s, uint64_t ms)
{
    char mem[64];
    struct buf text;
    uint32_t seconds = (uint32_t)((ms + 999) / 1000);
    buf_init(&text, mem, sizeof(mem));
    s->times++;
    s->until = p->now + ms * USEC_MS;
    s->over.fire = ban_over;
    pbx_timer_start(p, &s->over, ms * USEC_MS);
    trace_emit(&p->trace, TRACE_BANNED, 0, TS(ip_text(&text, &s->ip)), TU(seconds),
               TU(s->failures));
    struct pbx_out *o = pbx_emit(p, PBX_OUT_BAN);
    o->addr = s->ip;
    o->seconds = seconds;
}

/* The source, made if it is not there; when the table is full, the longest untouched gives way,
 * one that is not banned before one that is. */
static struct source *source_take(struct pbx *p, struct bans *b, const struct addr *key)
{
    handle_t h;
    struct source *s = source_find(b, key);
    if (s) {
        list_remove(&s->lru);
        list_append(&b->lru, &s->lru);
        return s;
    }
    if (b->slots.used == b->slots.cap) {
        struct source *old = container_of(b->lru.next, struct source, lru);
        unsigned looked = 0;
        list_each(node, &b->lru)
        {
            struct source *one = container_of(node, struct source, lru);
            if (one->until && ++looked < 64)
                continue;
            old = one->until ? old : one;
            break;
        }
        if (old->until)
            unban(p, old);
        source_free(p, b, old);
    }
    s = slot_take(&b->slots, &h);
    s->ip = *key;
    s->last = p->now;
    hash_put(&b->by_ip, &s->node, ip_hash(b, key));
    list_append(&b->lru, &s->lru);
    return s;
}

static uint64_t ban_ms(const struct pbx *p, uint32_t times)
{
    const struct config_auth *auth = &p->config->auth;
    uint64_t ms = (uint64_t)auth->ban_ms << (times < 20 ? times : 20);
    return ms < auth->ban_max_ms ? ms : auth->ban_max_ms;
}

/* ---- failures ---------------------------------------------------------------------------------
 */

bool bans_has(const struct bans *b, const struct addr *from)
{
    struct addr key = key_of(from);
    const struct source *s = source_find(b, &key);
    return s && s->until;
}

static struct user_count *user_at(struct bans *b, struct str user, uint64_t *hash)
{
    *hash = hash_str(&b->by_ip, user);
    return &b->user[*hash & (USERS - 1)];
}

/* How many failures of the user's there were lately, with this one. */
static uint32_t user_failure(struct pbx *p, struct bans *b, struct str user)
{
    uint64_t hash;
    struct user_count *u = user_at(b, user, &hash);
    usec_t memory = p->config->auth.ban_max_ms * USEC_MS;
    if (u->hash != hash || p->now - u->last > memory)
        *u = (struct user_count){.hash = hash};
    u->last = p->now;
    return ++u->failures;
}

uint32_t bans_failure(struct pbx *p, const struct addr *from, struct str user)
{
    struct bans *b = gate_bans(p);
    const struct config_auth *auth = &p->config->auth;
    struct addr key = key_of(from);
    uint32_t user_failures = user_failure(p, b, user);
    /* One phone behind a trunk's address must not cut off all that the trunk brings. */
    if (!auth->ban_after || config_nets_match(&auth->ban_never, from) || trunk_has_addr(p, from))
        return 0;
    struct source *s = source_take(p, b, &key);
    if (p->now - s->last > auth->ban_max_ms * USEC_MS)
        s->failures = s->times = 0;
    s->last = p->now;
    bool guessed = user_failures > (uint64_t)auth->ban_after * GUESSED_FACTOR;
    s->failures += guessed ? auth->ban_after / 2 + 1 : 1;
    if (s->failures >= auth->ban_after && !s->until)
        ban(p, s, ban_ms(p, s->times));
    return s->failures;
}

void bans_success(struct pbx *p, const struct addr *from, struct str user)
{
    struct bans *b = gate_bans(p);
    uint64_t hash;
    if (!b->slots.used)
        return;
    struct user_count *u = user_at(b, user, &hash);
    if (u->hash == hash)
        u->failures = 0;
    /* Many phones may share an address, and one of them have a wrong password: the others keep the
     * address from being banned. Who guesses from there is slowed by the count of the user. */
    struct addr key = key_of(from);
    struct source *s = source_find(b, &key);
    if (s && !s->until)
        s->failures = 0;
}

/* ---- the API ----------------------------------------------------------------------------------
 */

bool gate_ban_next(struct pbx *p, uint32_t *at, struct gate_ban *ret)
{
    struct bans *b = gate_bans(p);
    const struct source *s;
    handle_t h;
    while ((s = slot_next(&b->slots, at, &h))) {
        if (!s->until)
            continue;
        usec_t left = s->until > p->now ? s->until - p->now : 0;
        *ret = (struct gate_ban){.addr = s->ip,
                                 .failures = s->failures,
                                 .times = s->times,
                                 .seconds_left = (uint32_t)((left + USEC_S - 1) / USEC_S)};
        return true;
    }
    return false;
}

void gate_ban_put(struct pbx *p, const struct addr *addr, uint32_t seconds)
{
    struct addr key = key_of(addr);
    struct source *s = source_take(p, gate_bans(p), &key);
    s->last = p->now;
    ban(p, s, seconds ? seconds * (uint64_t)1000 : ban_ms(p, s->times));
}

int gate_ban_remove(struct pbx *p, const struct addr *addr)
{
    struct addr key = key_of(addr);
    struct source *s = source_find(gate_bans(p), &key);
    if (!s || !s->until)
        return -ENOENT;
    unban(p, s);
    s->times = 0;
    return 0;
}
