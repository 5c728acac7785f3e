#include "analysis/defrag.h"

#include <errno.h>

#include "base/mem.h"

#define FIRST_BYTES 2048

struct span {
    uint32_t from, to;
};

struct defrag_datagram {
    struct hash_node node;
    struct list waiting;
    struct cap_ip ip; /* of the fragment at offset 0, else of the first one seen */
    uint64_t began_ns, at_ns, first_frame, frame;
    uint32_t total; /* 0: the last fragment has not come */
    uint32_t cap;
    uint8_t *bytes;
    uint32_t n_spans;
    struct span span[DEFRAG_MAX_PARTS + 1]; /* what is there, in order, not touching */
};

int defrag_init(struct defrag *d, uint32_t max, size_t max_bytes, uint64_t max_ns, uint64_t seed)
{
    *d = (struct defrag){.max_bytes = max_bytes, .max_ns = max_ns};
    list_init(&d->waiting);
    if (slot_init(&d->slots, sizeof(struct defrag_datagram), max ? max : 1))
        return -ENOMEM;
    if (hash_init(&d->table, max, seed)) {
        slot_done(&d->slots);
        return -ENOMEM;
    }
    return 0;
}

static void release(struct defrag *d, struct defrag_datagram *g)
{
    d->bytes -= g->cap;
    mem_free(g->bytes);
    slot_put(&d->slots, slot_handle(&d->slots, g));
}

/* Out of the table: it will not be found any more, but its bytes are still there. */
static void detach(struct defrag *d, struct defrag_datagram *g)
{
    hash_remove(&d->table, &g->node);
    list_remove(&g->waiting);
}

static void drop(struct defrag *d, struct defrag_datagram *g)
{
    detach(d, g);
    release(d, g);
}

static void take_back(struct defrag *d)
{
    if (d->given)
        release(d, d->given);
    d->given = NULL;
}

static struct defrag_datagram *oldest(struct defrag *d)
{
    return list_empty(&d->waiting) ? NULL
                                   : container_of(d->waiting.next, struct defrag_datagram, waiting);
}

void defrag_done(struct defrag *d)
{
    if (!d->waiting.next)
        return;
    take_back(d);
    while (!list_empty(&d->waiting))
        drop(d, oldest(d));
    slot_done(&d->slots);
    hash_done(&d->table);
}

/* RFC 791 tells datagrams apart by addresses, protocol and identification, RFC 8200 without the
 * protocol. */
static uint64_t key_hash(const struct defrag *d, const struct cap_ip *ip)
{
    uint8_t key[40];
    memcpy(key, ip->src.ip, 16);
    memcpy(key + 16, ip->dst.ip, 16);
    memcpy(key + 32, &ip->frag_id, 4);
    uint32_t proto = ip->src.family == ADDR_V4 ? ip->proto : 256;
    memcpy(key + 36, &proto, 4);
    return hash_bytes(&d->table, key, sizeof(key));
}

static bool same_key(const struct cap_ip *a, const struct cap_ip *b)
{
    return a->frag_id == b->frag_id && addr_ip_eq(&a->src, &b->src) &&
           addr_ip_eq(&a->dst, &b->dst) && (a->src.family == ADDR_V6 || a->proto == b->proto);
}

static struct defrag_datagram *find(struct defrag *d, const struct cap_ip *ip, uint64_t hash)
{
    hash_each(node, &d->table, hash)
    {
        struct defrag_datagram *g = container_of(node, struct defrag_datagram, node);
        if (same_key(&g->ip, ip))
            return g;
    }
    return NULL;
}

static struct defrag_datagram *begin(struct defrag *d, const struct cap_ip *ip, uint64_t hash,
                                     uint64_t at_ns, uint64_t frame)
{
    handle_t h;
    struct defrag_datagram *g = slot_take(&d->slots, &h);
    if (!g)
        return NULL;
    g->ip = *ip;
    g->began_ns = at_ns;
    g->first_frame = frame;
    hash_put(&d->table, &g->node, hash);
    list_append(&d->waiting, &g->waiting);
    return g;
}

/* Room for the bytes up to `to`. */
static int make_room(struct defrag *d, struct defrag_datagram *g, uint32_t to)
{
    uint32_t cap = g->cap ? g->cap : FIRST_BYTES;
    while (cap < to)
        cap *= 2;
    if (cap == g->cap)
        return 0;
    uint8_t *bytes = cap - g->cap <= d->max_bytes - d->bytes ? mem_resize(g->bytes, cap) : NULL;
    if (!bytes)
        return -ENOMEM;
    d->bytes += cap - g->cap;
    g->bytes = bytes;
    g->cap = cap;
    return 0;
}

/* Does [from, to) touch nothing that is there? */
static bool is_free(const struct defrag_datagram *g, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < g->n_spans; i++)
        if (g->span[i].from < to && from < g->span[i].to)
            return false;
    return true;
}

static bool is_repeated(const struct defrag_datagram *g, const struct cap_ip *ip)
{
    uint32_t from = ip->frag_at, to = from + ip->n;
    for (uint32_t i = 0; i < g->n_spans; i++)
        if (g->span[i].from <= from && to <= g->span[i].to)
            return memcmp(g->bytes + from, ip->p, ip->n) == 0;
    return false;
}

/* Fills the holes only: what came first stays. */
static void fill(struct defrag_datagram *g, const struct cap_ip *ip)
{
    uint32_t at = ip->frag_at, end = at + ip->n;
    for (uint32_t i = 0; i <= g->n_spans && at < end; i++) {
        uint32_t stop = i < g->n_spans && g->span[i].from < end ? g->span[i].from : end;
        if (at < stop)
            memcpy(g->bytes + at, ip->p + (at - ip->frag_at), stop - at);
        if (i < g->n_spans && g->span[i].to > at)
            at = g->span[i].to;
    }
}

/* Adds [from, to) to what is there. False: too many stretches. */
static bool span_add(struct defrag_datagram *g, uint32_t from, uint32_t to)
{
    uint32_t i = 0, j;
    while (i < g->n_spans && g->span[i].to < from)
        i++;
    for (j = i; j < g->n_spans && g->span[j].from <= to; j++) {
        from = g->span[j].from < from ? g->span[j].from : from;
        to = g->span[j].to > to ? g->span[j].to : to;
    }
    memmove(&g->span[i + 1], &g->span[j], (g->n_spans - j) * sizeof(g->span[0]));
    g->span[i] = (struct span){from, to};
    g->n_spans = g->n_spans - (j - i) + 1;
    return g->n_spans <= DEFRAG_MAX_PARTS;
}

static void result(struct defrag *d, struct defrag_datagram *g, struct defrag_result *ret)
{
    d->given = g;
    *ret = (struct defrag_result){
        .ip = g->ip, .first_frame = g->first_frame, .frame = g->frame, .at_ns = g->at_ns};
    ret->ip.frag = ret->ip.frag_more = false;
    ret->ip.p = g->bytes;
    ret->ip.n = g->span[0].to;
    ret->ip.wire_n = g->total && g->total > ret->ip.n ? g->total : ret->ip.n;
}

static int put(struct defrag *d, struct defrag_datagram *g, const struct cap_ip *ip)
{
    uint32_t to = ip->frag_at + ip->n, end = ip->frag_at + ip->wire_n;
    if (end > DEFRAG_MAX_BYTES || (g->total && end > g->total))
        return -EBADMSG;
    /* RFC 8200 section 4.5 and RFC 5722: overlapping fragments are an attack, and the datagram is
     * dropped. IPv4 never said so. */
    bool fresh = is_free(g, ip->frag_at, to);
    if (!fresh && ip->src.family == ADDR_V6 && !is_repeated(g, ip))
        return -EBADMSG;
    if (!ip->frag_more) {
        if ((g->total && g->total != end) || (g->n_spans && g->span[g->n_spans - 1].to > end))
            return -EBADMSG;
        g->total = end;
    }
    if (make_room(d, g, to))
        return -ENOMEM;
    if (ip->frag_at == 0 && (g->ip.frag_at || g->n_spans == 0))
        g->ip = *ip;
    fill(g, ip);
    if (ip->n && !span_add(g, ip->frag_at, to))
        return -EBADMSG;
    return 0;
}

int defrag_put(struct defrag *d, const struct cap_ip *ip, uint64_t at_ns, uint64_t frame,
               struct defrag_result *ret)
{
    take_back(d);
    uint64_t hash = key_hash(d, ip);
    struct defrag_datagram *g = find(d, ip, hash);
    if (!g)
        g = begin(d, ip, hash, at_ns, frame);
    if (!g)
        return -ENOMEM;
    g->at_ns = at_ns;
    g->frame = frame;
    int r = put(d, g, ip);
    if (r) {
        drop(d, g);
        return r;
    }
    if (!g->total || g->n_spans != 1 || g->span[0].from || g->span[0].to != g->total)
        return 0;
    detach(d, g);
    result(d, g, ret);
    return 1;
}

int defrag_expire(struct defrag *d, uint64_t now_ns, bool all, struct defrag_result *ret)
{
    take_back(d);
    struct defrag_datagram *g = oldest(d);
    bool full = d->slots.used == d->slots.cap || d->bytes + DEFRAG_MAX_BYTES > d->max_bytes;
    if (!g || (!all && !full && (int64_t)(now_ns - g->began_ns) <= (int64_t)d->max_ns))
        return -ENOENT;
    if (g->n_spans == 0 || g->span[0].from) {
        drop(d, g);
        return 0;
    }
    detach(d, g);
    result(d, g, ret);
    /* How much is missing is not known without the last fragment; that something is, is. */
    if (ret->ip.wire_n == ret->ip.n)
        ret->ip.wire_n++;
    return 1;
}
