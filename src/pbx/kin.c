#include "pbx/kin.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

#define KIN_A_HISTORY 4
#define KIN_LONGEST   512 /* bytes of a Call-ID that is remembered: a peer chooses it */
#define KIN_ROUNDS    8   /* of a search: so many legs may lie between two calls */
#define KIN_CALLS     64  /* that one search goes through */

struct kin {
    struct hash_node node; /* by Call-ID */
    struct list past;      /* once its leg is gone */
    handle_t self, root;   /* root: of the first leg of its call */
    struct str call_id;    /* owned */
    uint64_t call[KIN_MAX_CALLS];
    uint8_t n_calls;
};

struct kins {
    struct slot_table slots;
    struct hash_table by_id;
    struct list past; /* the oldest first */
    uint32_t n_past, max_past;
};

int kin_init(struct pbx *p)
{
    struct kins *k = mem_zero(sizeof(*k));
    if (!k)
        return -ENOMEM;
    p->kins = k;
    list_init(&k->past);
    k->max_past = p->config->limits.call_histories * KIN_A_HISTORY;
    uint32_t live = p->config->limits.calls * 4;
    int err = slot_init(&k->slots, sizeof(struct kin), live + k->max_past);
    return err ? err : hash_init(&k->by_id, live / 4 + k->max_past, p->kin_seed);
}

static void forget(struct pbx *p, struct kin *kin)
{
    struct kins *k = p->kins;
    hash_remove(&k->by_id, &kin->node);
    if (kin->past.next) {
        list_remove(&kin->past);
        k->n_past--;
    }
    if (pbx_keep(p, &kin->call_id, STR_NONE))
        BUG_ON(true); /* freeing cannot fail */
    slot_put(&k->slots, kin->self);
}

void kin_done(struct pbx *p)
{
    struct kins *k = p->kins;
    if (!k)
        return;
    uint32_t at = 0;
    handle_t h;
    struct kin *kin;
    while (k->slots.mem && (kin = slot_next(&k->slots, &at, &h)))
        if (kin->call_id.p)
            forget(p, kin);
    if (k->by_id.bucket)
        hash_done(&k->by_id);
    if (k->slots.mem)
        slot_done(&k->slots);
    mem_free(k);
    p->kins = NULL;
}

static struct kin *find(struct pbx *p, struct str call_id)
{
    struct kins *k = p->kins;
    uint64_t h = hash_str(&k->by_id, call_id);
    hash_each(node, &k->by_id, h)
    {
        struct kin *kin = container_of(node, struct kin, node);
        if (str_eq(kin->call_id, call_id))
            return kin;
    }
    return NULL;
}

/* The last one is the one that it is in. */
static void note_call(struct kin *kin, uint64_t number)
{
    if (kin->n_calls < KIN_MAX_CALLS)
        kin->n_calls++;
    kin->call[kin->n_calls - 1] = number;
}

static void join(struct kin *kin, struct call *call)
{
    note_call(kin, call->number);
    if (!call->kin)
        call->kin = kin->self;
    kin->root = call->kin;
}

void kin_add(struct pbx *p, struct leg *leg, struct str call_id)
{
    struct kins *k = p->kins;
    handle_t h;
    struct kin *kin = call_id.n && !leg->kin ? slot_take(&k->slots, &h) : NULL;
    if (!kin)
        return;
    if (pbx_keep(p, &kin->call_id, call_id)) { /* it is found by its own Call-ID alone */
        slot_put(&k->slots, h);
        return;
    }
    kin->self = leg->kin = h;
    hash_put(&k->by_id, &kin->node, hash_str(&k->by_id, call_id));
    join(kin, call_find(p, leg->call));
}

void kin_move(struct pbx *p, const struct leg *leg, struct call *to)
{
    struct kin *kin = slot_find(&p->kins->slots, leg->kin);
    if (kin)
        join(kin, to);
}

void kin_past(struct pbx *p, struct leg *leg)
{
    struct kins *k = p->kins;
    struct kin *kin = slot_find(&k->slots, leg->kin);
    leg->kin = 0;
    if (!kin)
        return;
    list_append(&k->past, &kin->past);
    k->n_past++;
    if (kin->call_id.n > KIN_LONGEST)
        forget(p, kin);
    while (k->n_past > k->max_past)
        forget(p, container_of(k->past.next, struct kin, past));
}

uint64_t kin_number(struct pbx *p, struct str call_id)
{
    const struct kin *kin = find(p, call_id);
    return kin ? kin->call[kin->n_calls - 1] : 0;
}

uint64_t pbx_call_number(struct pbx *p, struct str call_id)
{
    return kin_number(p, call_id);
}

struct str pbx_caller_call_id(struct pbx *p, struct str call_id)
{
    const struct kin *kin = find(p, call_id);
    const struct kin *root = kin ? slot_find(&p->kins->slots, kin->root) : NULL;
    return root ? root->call_id : call_id;
}

struct str pbx_stream_call_id(struct pbx *p, uint64_t stream)
{
    const struct leg *leg = leg_of_stream(p, stream);
    if (leg && leg->regular) /* an early session is in the dialog of another leg */
        leg = leg_find(p, leg->regular);
    return leg ? pbx_caller_call_id(p, leg->call_id) : STR_NONE;
}

/* ---- all of one call ------------------------------------------------------------------------- */

struct search {
    uint64_t call[KIN_CALLS];
    unsigned n_calls;
    struct pbx_call_ids *ret;
    bool more; /* the last round has found something */
};

static bool has_call(const struct search *s, uint64_t number)
{
    for (unsigned i = 0; i < s->n_calls; i++)
        if (s->call[i] == number)
            return true;
    return false;
}

static void add_calls(struct search *s, const struct kin *kin)
{
    for (unsigned i = 0; i < kin->n_calls; i++) {
        if (s->n_calls == KIN_CALLS || has_call(s, kin->call[i]))
            continue;
        s->call[s->n_calls++] = kin->call[i];
        s->more = true;
    }
}

static bool is_of(const struct search *s, const struct kin *kin)
{
    for (unsigned i = 0; i < kin->n_calls; i++)
        if (has_call(s, kin->call[i]))
            return true;
    return false;
}

static void round_look(struct pbx *p, struct search *s)
{
    uint32_t at = 0;
    handle_t h;
    const struct kin *kin;
    s->ret->n = 0;
    while ((kin = slot_next(&p->kins->slots, &at, &h))) {
        if (!is_of(s, kin))
            continue;
        add_calls(s, kin);
        if (s->ret->n < PBX_CALL_IDS_MAX)
            s->ret->id[s->ret->n++] = kin->call_id;
    }
}

int pbx_call_ids_get(struct pbx *p, struct str name, struct pbx_call_ids *ret)
{
    struct search s = {.ret = ret, .more = true};
    uint64_t number = 0;
    const struct kin *kin = find(p, name);
    *ret = (struct pbx_call_ids){0};
    if (kin)
        number = kin->call[kin->n_calls - 1];
    else if (num_u64(&number, name, UINT64_MAX))
        return -ENOENT;
    s.call[s.n_calls++] = number;
    for (unsigned i = 0; i < KIN_ROUNDS && s.more; i++) {
        s.more = false;
        round_look(p, &s);
    }
    const uint8_t *record = call_record_of(p, number, &ret->live);
    ret->number = number;
    if (record)
        str_copy_z(ret->record, sizeof(ret->record), cdr_hex(p, record));
    return ret->n ? 0 : -ENOENT;
}
