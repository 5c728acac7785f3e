#include "analysis/traffic.h"

#include <errno.h>
#include <stdlib.h>

#include "analysis/engine_int.h"
#include "base/mem.h"

#define ALIGN      16u
#define LEAST_LEGS 8
#define INDEX_FOR                                                                                  \
    1024 /* one entry of the index for so many bytes: a message has as many, about                 \
          */

/* One message in the memory. Places are counted on and on, modulo the memory's size they are where
 * it is; one behind `tail` is still there. Messages whose Call-IDs have the same place in the index
 * are a chain, the latest first, which ends where it leads to what is gone. */
struct entry {
    uint32_t bytes;  /* of the entry */
    uint32_t back;   /* of the entry in front of it */
    uint32_t n;      /* of the message; 0: there is none, the memory ends behind it */
    uint64_t before; /* the next of its chain, plus one; 0: none */
    uint64_t id;     /* hash of its Call-ID */
    uint64_t at_ns;
    struct addr src, dst;
    uint8_t transport;
    bool sent;
    char text[];
};

struct an_traffic {
    char *mem;
    size_t cap;
    uint64_t head, tail; /* [tail, head) is in use */
    uint32_t last;       /* bytes of the latest entry */
    uint64_t *index;     /* the latest of a chain, plus one */
    uint64_t mask;
    struct hash_table hash; /* for its seed */
    struct an_keep keep;
    struct an_traffic_stats stats;
};

static struct entry *entry_at(const struct an_traffic *t, uint64_t at)
{
    return (struct entry *)(void *)(t->mem + at % t->cap);
}

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* ---- as a keep of the engine: a message is where it lies ------------------------------------- */

static int keep_put(void *user, const void *p, size_t n, uint64_t *ret_at)
{
    const struct an_traffic *t = user;
    (void)n;
    *ret_at = (uint64_t)((const char *)p - t->mem);
    return 0;
}

static int keep_get(void *user, uint64_t at, void *out, size_t n)
{
    const struct an_traffic *t = user;
    if (at > t->cap || n > t->cap - at)
        return -EINVAL;
    memcpy(out, t->mem + at, n);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

int an_traffic_new(struct an_traffic **ret, size_t bytes, uint64_t seed)
{
    struct an_traffic *t = mem_zero(sizeof(*t));
    uint64_t places = 256;
    if (!t)
        return -ENOMEM;
    t->cap = round_up(bytes < AN_TRAFFIC_LEAST ? AN_TRAFFIC_LEAST : bytes);
    while (places < t->cap / INDEX_FOR)
        places *= 2;
    t->mask = places - 1;
    t->hash.seed = seed;
    t->keep = (struct an_keep){.user = t, .put = keep_put, .get = keep_get};
    t->mem = mem_map(t->cap);
    t->index = mem_map(places * sizeof(*t->index));
    if (!t->mem || !t->index) {
        an_traffic_free(t);
        return -ENOMEM;
    }
    *ret = t;
    return 0;
}

void an_traffic_free(struct an_traffic *t)
{
    if (!t)
        return;
    mem_unmap(t->mem, t->cap);
    mem_unmap(t->index, (t->mask + 1) * sizeof(*t->index));
    mem_free(t);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void forget_oldest(struct an_traffic *t)
{
    const struct entry *e = entry_at(t, t->tail);
    if (e->n)
        t->stats.kept--;
    t->tail += e->bytes;
}

/* Room for one entry in one piece; what is too short at the end of the memory is skipped. */
static struct entry *room_for(struct an_traffic *t, size_t bytes)
{
    size_t at = t->head % t->cap, skip = t->cap - at < bytes ? t->cap - at : 0;
    while (t->head + skip + bytes - t->tail > t->cap)
        forget_oldest(t);
    if (skip) {
        /* Everything is a multiple of ALIGN, so the members that a gap needs have room. */
        struct entry *gap = entry_at(t, t->head);
        gap->bytes = (uint32_t)skip;
        gap->n = 0;
        gap->back = t->last;
        t->last = gap->bytes;
        t->head += skip;
    }
    return entry_at(t, t->head);
}

void an_traffic_put(struct an_traffic *t, const struct an_traffic_msg *m)
{
    size_t bytes = round_up(sizeof(struct entry) + m->bytes.n);
    if (!m->bytes.n)
        return;
    t->stats.messages++;
    if (bytes > t->cap / 2) {
        t->stats.refused++;
        return;
    }
    struct entry *e = room_for(t, bytes);
    uint64_t id = hash_str(&t->hash, m->call_id), *chain = &t->index[id & t->mask];
    *e = (struct entry){.before = *chain,
                        .id = id,
                        .at_ns = m->at_ns,
                        .bytes = (uint32_t)bytes,
                        .back = t->last,
                        .n = (uint32_t)m->bytes.n,
                        .src = m->src,
                        .dst = m->dst,
                        .transport = m->transport,
                        .sent = m->sent};
    memcpy(e->text, m->bytes.p, m->bytes.n);
    *chain = t->head + 1;
    t->head += bytes;
    t->last = (uint32_t)bytes;
    t->stats.kept++;
}

struct an_traffic_stats an_traffic_stats_get(const struct an_traffic *t)
{
    struct an_traffic_stats s = t->stats;
    uint64_t at = t->tail;
    while (at < t->head && !entry_at(t, at)->n)
        at += entry_at(t, at)->bytes;
    s.kept_bytes = t->head - t->tail;
    s.max_bytes = t->cap;
    s.oldest_ns = at < t->head ? entry_at(t, at)->at_ns : 0;
    return s;
}

/* ---- out ------------------------------------------------------------------------------------- */

struct found {
    uint64_t at[2 * AN_TRAFFIC_MAX_MSGS];
    uint32_t n, left_out;
};

static int by_place(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

/* The latest stay: half of what is there is as many as will be told. */
static void squeeze(struct found *f)
{
    if (f->n <= AN_TRAFFIC_MAX_MSGS)
        return;
    qsort(f->at, f->n, sizeof(f->at[0]), by_place);
    uint32_t gone = f->n - AN_TRAFFIC_MAX_MSGS;
    memmove(f->at, f->at + gone, AN_TRAFFIC_MAX_MSGS * sizeof(f->at[0]));
    f->n = AN_TRAFFIC_MAX_MSGS;
    f->left_out += gone;
}

static bool named_before(const struct an_traffic_ask *ask, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (str_eq(ask->call_id[k], ask->call_id[i]))
            return true;
    return false;
}

static void look_for(const struct an_traffic *t, struct str call_id, struct found *f)
{
    uint64_t id = hash_str(&t->hash, call_id), at = t->index[id & t->mask];
    while (at && at - 1 >= t->tail) {
        const struct entry *e = entry_at(t, at - 1);
        if (e->id == id) {
            if (f->n == ARRAY_LEN(f->at))
                squeeze(f);
            f->at[f->n++] = at - 1;
        }
        at = e->before;
    }
}

static void feed(struct an_traffic *t, const struct found *f, struct an_traffic_answer *ret)
{
    struct an_file *file = &ret->file;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct entry *e = entry_at(t, f->at[i]);
        struct an_datum d = {.at_ns = e->at_ns,
                             .frame = i + 1,
                             .first_frame = i + 1,
                             .kind = AN_SIP,
                             .transport = e->transport,
                             .sent = e->sent,
                             .src = e->src,
                             .dst = e->dst,
                             .bytes = str_of(e->text, e->n)};
        an_engine_rx(ret->engine, &d);
        file->first_ns = e->at_ns < file->first_ns ? e->at_ns : file->first_ns;
        file->last_ns = e->at_ns > file->last_ns ? e->at_ns : file->last_ns;
        file->bytes += e->n;
    }
    file->frames = f->n;
    ret->messages = f->n;
    ret->left_out = f->left_out;
}

static int answer(struct an_traffic *t, const struct an_traffic_ask *ask, const struct found *f,
                  struct an_traffic_answer *ret)
{
    struct an_engine_args args = {.max_legs = ask->n + LEAST_LEGS,
                                  .max_streams = 1,
                                  .keep = &t->keep,
                                  .own = true,
                                  .seed = t->hash.seed};
    *ret = (struct an_traffic_answer){
        .file = {.name = STR("ringdown"), .format = STR("memory"), .first_ns = AN_NEVER}};
    int err = an_engine_new(&ret->engine, &args);
    if (err)
        return err;
    feed(t, f, ret);
    err = an_engine_settle(ret->engine);
    if (err) {
        an_engine_free(ret->engine);
        return err;
    }
    if (ask->number && ret->engine->n_calls)
        ret->engine->call[0].number = (uint32_t)ask->number;
    return 0;
}

int an_traffic_find(struct an_traffic *t, const struct an_traffic_ask *ask,
                    struct an_traffic_answer *ret)
{
    struct found *f = mem_alloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->n = f->left_out = 0;
    for (unsigned i = 0; i < ask->n; i++)
        if (!named_before(ask, i))
            look_for(t, ask->call_id[i], f);
    squeeze(f);
    qsort(f->at, f->n, sizeof(f->at[0]), by_place);
    int err = f->n ? answer(t, ask, f, ret) : -ENOENT;
    mem_free(f);
    return err;
}

/* ---- what was tried -------------------------------------------------------------------------- */

#define LOOK_BACK_MOST 200000 /* entries, so that a large memory does not take long to look at */

static bool told_before(const struct an_attempted *v, unsigned n, struct str call_id)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(v[i].call_id, call_id))
            return true;
    return false;
}

/* How often it was asked, and what was answered last. */
static void outcome(const struct an_traffic *t, const struct entry *of, struct sip_msg *m,
                    struct an_attempted *a)
{
    uint64_t at = t->index[of->id & t->mask];
    while (at && at - 1 >= t->tail) {
        const struct entry *e = entry_at(t, at - 1);
        at = e->before;
        if (e->id != of->id)
            continue;
        bool invite = str_starts(str_of(e->text, e->n), STR("INVITE "));
        a->invites += invite && !e->sent;
        if (invite || a->status || !e->sent ||
            sip_msg_parse(m, e->text, e->n, e->transport != AN_UDP))
            continue;
        if (!m->is_request && m->method == SIP_INVITE && m->status >= 200)
            a->status = m->status;
    }
}

static unsigned attempt_add(const struct an_traffic *t, const struct entry *e, struct sip_msg *m,
                            struct an_attempted *v, unsigned n)
{
    if (e->sent || !str_starts(str_of(e->text, e->n), STR("INVITE ")) ||
        sip_msg_parse(m, e->text, e->n, e->transport != AN_UDP) || m->to.tag.n ||
        told_before(v, n, m->call_id))
        return n;
    v[n] = (struct an_attempted){.at_ns = e->at_ns,
                                 .from_addr = e->src,
                                 .call_id = m->call_id,
                                 .from = m->from.uri.user,
                                 .to = m->ruri.user};
    outcome(t, e, m, &v[n]);
    return n + 1;
}

int an_traffic_attempts(const struct an_traffic *t, struct an_attempted *ret, unsigned n)
{
    struct sip_msg *m = mem_alloc(sizeof(*m));
    unsigned found = 0;
    uint64_t at = t->head;
    uint32_t back = t->last;
    if (!m)
        return -ENOMEM;
    n = n < AN_ATTEMPTS_MAX ? n : AN_ATTEMPTS_MAX;
    for (uint32_t i = 0; i < LOOK_BACK_MOST && found < n && back && at - back >= t->tail; i++) {
        at -= back;
        const struct entry *e = entry_at(t, at);
        back = e->back;
        if (e->n)
            found = attempt_add(t, e, m, ret, found);
        if (at == 0)
            break;
    }
    mem_free(m);
    return (int)found;
}
