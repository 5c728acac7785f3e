/* Mailboxes and what is in them: in memory, in the database, on the disk. */
#include "pbx/feature/voicemail_int.h"

#include "base/mem.h"
#include "base/num.h"
#include "pbx/feature/mwi.h"

#define EXPIRY_EVERY (3600 * USEC_S)
#define DAY_MS       86400000ull

/* ---- mailboxes ------------------------------------------------------------------------------- */

struct vm_box *vm_box_find(const struct pbx *p, struct str number)
{
    const struct hash_table *t = &p->voicemail->by_number;
    hash_each(node, t, hash_str(t, number))
    {
        struct vm_box *b = container_of(node, struct vm_box, by_number);
        if (str_eq(b->number, number))
            return b;
    }
    return NULL;
}

struct vm_box *vm_box_get(struct pbx *p, struct str number)
{
    struct voicemail *v = p->voicemail;
    struct vm_box *b = vm_box_find(p, number);
    if (b)
        return b;
    b = mem_zero(sizeof(*b));
    if (!b || pbx_keep(p, &b->number, number)) {
        mem_free(b);
        return NULL;
    }
    list_init(&b->messages);
    hash_put(&v->by_number, &b->by_number, hash_str(&v->by_number, number));
    list_append(&v->boxes, &b->node);
    return b;
}

const struct config_extension *vm_owner(const struct pbx *p, struct str number)
{
    const struct config_extension *e = config_find_extension(p->config, number);
    return e && e->voicemail ? e : NULL;
}

bool vm_box_is_full(struct pbx *p, const struct vm_box *b)
{
    return b->n[VM_NEW] + b->n[VM_OLD] + b->coming >= p->config->voicemail.max_messages;
}

/* RFC 3842: whoever listens hears how many there are. */
static void tell(struct pbx *p, const struct vm_box *b)
{
    struct mwi_counts n = {.new = b->n[VM_NEW],
                           .old = b->n[VM_OLD],
                           .urgent_new = b->urgent[VM_NEW],
                           .urgent_old = b->urgent[VM_OLD]};
    int err = vm_owner(p, b->number) ? mwi_set(p, b->number, &n) : 0;
    if (err)
        trace_emit(&p->trace, TRACE_STORE_FAILED, 0, TS(STR("out of memory")));
}

/* ---- messages -------------------------------------------------------------------------------- */

struct vm_message *vm_message_find(struct vm_box *b, uint64_t id)
{
    list_each(node, &b->messages)
    {
        struct vm_message *m = container_of(node, struct vm_message, node);
        if (m->id == id)
            return m;
    }
    return NULL;
}

struct vm_message *vm_greeting(struct vm_box *b)
{
    struct vm_message *found = NULL;
    list_each(node, &b->messages)
    {
        struct vm_message *m = container_of(node, struct vm_message, node);
        found = m->state == VM_GREETING ? m : found;
    }
    return found;
}

/* The time comes first, so names are in the order of arrival, after a restart too. */
uint64_t vm_message_id(struct pbx *p)
{
    struct voicemail *v = p->voicemail;
    uint64_t id = pbx_wall_ms(p) << 16 | (rand_u64(&p->rand) & 0xFFFF);
    v->last_id = id > v->last_id ? id : v->last_id + 1;
    return v->last_id;
}

static struct str id_text(struct pbx *p, uint64_t id)
{
    char mem[24];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%016llx", (unsigned long long)id);
    return pbx_turn_dup(p, buf_str(&b));
}

static int id_parse(uint64_t *ret, struct str s)
{
    uint64_t id = 0;
    if (s.n != 16)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i += 2) {
        int byte = num_hex2(s.p + i);
        if (byte < 0)
            return -EINVAL;
        id = id << 8 | (unsigned)byte;
    }
    *ret = id;
    return 0;
}

/* A number may have characters that no folder has. */
static struct str folder_of(struct pbx *p, struct str number)
{
    char *mem = arena_take(&p->turn, number.n + 1);
    for (size_t i = 0; mem && i < number.n; i++)
        mem[i] = number.p[i] == '*' || number.p[i] == '#' ? '_' : number.p[i];
    return mem ? str_of(mem, number.n) : STR("_");
}

struct pbx_file *vm_file(struct pbx *p, enum pbx_file_order order, struct str number, uint64_t id)
{
    struct pbx_file *f = &pbx_emit(p, PBX_OUT_FILE)->file;
    *f = (struct pbx_file){.order = order,
                           .place = PBX_MESSAGES,
                           .number = PBX_RECORD_MESSAGE | id,
                           .folder = folder_of(p, number),
                           .base = id_text(p, id),
                           .mixed = true};
    return f;
}

void vm_message_store(struct pbx *p, struct str number, const struct vm_message *m,
                      enum vm_state state)
{
    struct row_op *op = pbx_store(p, STORE_MESSAGE_PUT);
    const struct row_value null = {.type = ROW_NULL};
    op->v[0] = ROW_S(id_text(p, m->id));
    op->v[1] = ROW_S(pbx_turn_dup(p, number));
    op->v[2] = ROW_I(state);
    op->v[3] = ROW_I(m->urgent);
    op->v[4] = m->caller.n ? ROW_S(pbx_turn_dup(p, m->caller)) : null;
    op->v[5] = m->name.n ? ROW_S(pbx_turn_dup(p, m->name)) : null;
    op->v[6] = ROW_I(m->at_ms);
    op->v[7] = ROW_I(m->ms);
    op->n = 8;
}

static void log_it(struct pbx *p, const struct vm_box *b, uint64_t id, struct str what)
{
    trace_emit(&p->trace, TRACE_VM_MESSAGE, 0, TS(b->number), TS(id_text(p, id)), TS(what));
}

static void count(struct vm_box *b, const struct vm_message *m, int by)
{
    b->n[m->state] += (uint32_t)by;
    if (m->urgent)
        b->urgent[m->state] += (uint32_t)by;
}

static void message_free(struct pbx *p, struct vm_message *m)
{
    list_remove(&m->node);
    BUG_ON(pbx_keep(p, &m->caller, STR_NONE) || pbx_keep(p, &m->name, STR_NONE));
    mem_free(m);
}

/* Into its place by id. */
static int put(struct pbx *p, struct vm_box *b, const struct vm_message *like)
{
    struct vm_message *m = mem_zero(sizeof(*m));
    if (!m)
        return -ENOMEM;
    *m = *like;
    m->node = (struct list){0};
    m->caller = m->name = STR_NONE;
    if (pbx_keep(p, &m->caller, like->caller) || pbx_keep(p, &m->name, like->name)) {
        message_free(p, m);
        return -ENOMEM;
    }
    struct list *after = b->messages.prev;
    while (after != &b->messages && container_of(after, struct vm_message, node)->id > m->id)
        after = after->prev;
    list_append(after->next, &m->node); /* in front of who follows */
    count(b, m, 1);
    return 0;
}

int vm_message_add(struct pbx *p, struct vm_box *b, const struct vm_message *like)
{
    struct vm_message *before = like->state == VM_GREETING ? vm_greeting(b) : NULL;
    int err = put(p, b, like);
    if (err)
        return err;
    vm_message_store(p, b->number, like, (enum vm_state)like->state);
    log_it(p, b, like->id, like->state == VM_GREETING ? STR("greeting") : STR("new"));
    if (before)
        vm_message_remove(p, b, before);
    tell(p, b);
    return 0;
}

void vm_message_mark(struct pbx *p, struct vm_box *b, struct vm_message *m, enum vm_state state)
{
    if (m->state == state || m->state == VM_GREETING)
        return;
    count(b, m, -1);
    m->state = (uint8_t)state;
    count(b, m, 1);
    vm_message_store(p, b->number, m, state);
    tell(p, b);
}

void vm_message_forget(struct pbx *p, struct str number, uint64_t id)
{
    struct row_op *op = pbx_store(p, STORE_MESSAGE_DEL);
    op->v[0] = ROW_S(id_text(p, id));
    op->n = 1;
    vm_file(p, PBX_FILE_DELETE, number, id)->number = 0;
}

void vm_message_remove(struct pbx *p, struct vm_box *b, struct vm_message *m)
{
    vm_message_forget(p, b->number, m->id);
    log_it(p, b, m->id, STR("deleted"));
    count(b, m, -1);
    message_free(p, m);
    tell(p, b);
}

/* ---- life ------------------------------------------------------------------------------------ */

void voicemail_restore(struct pbx *p, const struct row_value *v, unsigned n)
{
    struct vm_message m = {0};
    if (n != 8 || v[0].type != ROW_TEXT || v[1].type != ROW_TEXT || v[2].type != ROW_INT ||
        v[3].type != ROW_INT || v[6].type != ROW_INT || v[7].type != ROW_INT)
        return;
    if (v[2].i < 0 || v[2].i > VM_COMING || id_parse(&m.id, v[0].s))
        return;
    if (v[2].i == VM_COMING) {
        vm_message_forget(p, v[1].s, m.id);
        return;
    }
    m.state = (uint8_t)v[2].i;
    m.urgent = v[3].i != 0;
    m.caller = v[4].type == ROW_TEXT ? v[4].s : STR_NONE;
    m.name = v[5].type == ROW_TEXT ? v[5].s : STR_NONE;
    m.at_ms = (uint64_t)v[6].i;
    m.ms = (uint32_t)v[7].i;
    struct vm_box *b = vm_box_get(p, v[1].s);
    if (!b || put(p, b, &m)) {
        trace_emit(&p->trace, TRACE_STORE_FAILED, 0, TS(STR("out of memory")));
        return;
    }
    if (m.id > p->voicemail->last_id)
        p->voicemail->last_id = m.id;
    tell(p, b);
}

void voicemail_reload(struct pbx *p)
{
    list_each(node, &p->voicemail->boxes) tell(p, container_of(node, struct vm_box, node));
}

static void expire_box(struct pbx *p, struct vm_box *b)
{
    uint64_t keep_ms = p->config->voicemail.keep_days * DAY_MS, now = pbx_wall_ms(p);
    list_each(node, &b->messages)
    {
        struct vm_message *m = container_of(node, struct vm_message, node);
        if (m->state != VM_GREETING && m->at_ms + keep_ms < now)
            vm_message_remove(p, b, m);
    }
}

void vm_expire(struct pbx *p, struct pbx_timer *t)
{
    if (p->config->voicemail.keep_days)
        list_each(node, &p->voicemail->boxes)
            expire_box(p, container_of(node, struct vm_box, node));
    pbx_timer_start(p, t, EXPIRY_EVERY);
}

static void box_free(struct pbx *p, struct vm_box *b)
{
    list_each(node, &b->messages) message_free(p, container_of(node, struct vm_message, node));
    hash_remove(&p->voicemail->by_number, &b->by_number);
    list_remove(&b->node);
    BUG_ON(pbx_keep(p, &b->number, STR_NONE)); /* freeing cannot fail */
    mem_free(b);
}

int voicemail_init(struct pbx *p)
{
    struct voicemail *v = mem_zero(sizeof(*v));
    if (!v)
        return -ENOMEM;
    p->voicemail = v;
    list_init(&v->boxes);
    v->expiry.fire = vm_expire;
    uint32_t n = p->config->n_extensions;
    if (hash_init(&v->by_number, n < 64 ? 64 : n, rand_u64(&p->rand)) ||
        slot_init(&v->sessions, sizeof(struct vm_session), p->config->limits.calls) ||
        slot_init(&v->takes, sizeof(struct vm_take), VM_TAKES))
        return -ENOMEM;
    pbx_timer_start(p, &v->expiry, EXPIRY_EVERY);
    return 0;
}

static void takes_free(struct pbx *p)
{
    struct voicemail *v = p->voicemail;
    uint32_t at = 0;
    handle_t h;
    struct vm_take *t;
    while (v->takes.mem && (t = slot_next(&v->takes, &at, &h)))
        BUG_ON(pbx_keep(p, &t->number, STR_NONE) || pbx_keep(p, &t->m.caller, STR_NONE) ||
               pbx_keep(p, &t->m.name, STR_NONE));
}

void voicemail_done(struct pbx *p)
{
    struct voicemail *v = p->voicemail;
    if (!v)
        return;
    pbx_timer_stop(p, &v->expiry);
    vm_sessions_free(p);
    takes_free(p);
    list_each(node, &v->boxes) box_free(p, container_of(node, struct vm_box, node));
    if (v->by_number.bucket)
        hash_done(&v->by_number);
    slot_done(&v->sessions);
    slot_done(&v->takes);
    mem_free(v);
    p->voicemail = NULL;
}

/* ---- for the control interface --------------------------------------------------------------- */

bool voicemail_next(struct pbx *p, struct str number, uint64_t *at, struct voicemail_shown *ret)
{
    struct vm_box *b = vm_box_find(p, number);
    if (!b)
        return false;
    list_each(node, &b->messages)
    {
        const struct vm_message *m = container_of(node, struct vm_message, node);
        if (m->id <= *at)
            continue;
        *ret = (struct voicemail_shown){.id = m->id,
                                        .old = m->state == VM_OLD,
                                        .urgent = m->urgent,
                                        .greeting = m->state == VM_GREETING,
                                        .at_ms = m->at_ms,
                                        .ms = m->ms,
                                        .caller = m->caller,
                                        .name = m->name};
        *at = m->id;
        return true;
    }
    return false;
}

int voicemail_delete(struct pbx *p, uint64_t id)
{
    list_each(node, &p->voicemail->boxes)
    {
        struct vm_box *b = container_of(node, struct vm_box, node);
        struct vm_message *m = vm_message_find(b, id);
        if (!m)
            continue;
        vm_message_remove(p, b, m);
        return 0;
    }
    return -ENOENT;
}
