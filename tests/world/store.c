/* A database that is two lists. */
#include "world/world.h"

static struct row_op *keep(struct world *w, struct list *list, const struct row_op *op)
{
    struct world_row *row = arena_zero(&w->arena, sizeof(*row));
    BUG_ON(!row);
    row->op = *op;
    for (unsigned i = 0; i < op->n; i++)
        if (op->v[i].type == ROW_TEXT)
            row->op.v[i].s = arena_dup(&w->arena, op->v[i].s);
    list_append(list, &row->node);
    return &row->op;
}

/* Rows whose first two columns are their key. */
static struct world_row *row_find(struct list *list, struct str aor, struct str contact)
{
    list_each(node, list)
    {
        struct world_row *row = container_of(node, struct world_row, node);
        if (str_eq(row->op.v[0].s, aor) && str_eq(row->op.v[1].s, contact))
            return row;
    }
    return NULL;
}

/* The key is the first column. */
static void message(struct world *w, const struct row_op *op)
{
    list_each(node, &w->messages)
    {
        if (str_eq(container_of(node, struct world_row, node)->op.v[0].s, op->v[0].s)) {
            list_remove(node);
            w->n_messages--;
        }
    }
    if (op->statement == STORE_MESSAGE_PUT) {
        keep(w, &w->messages, op);
        w->n_messages++;
    }
}

/* What it says goes behind the columns of the record that it belongs to. */
static void add_detail(struct world *w, const struct row_op *op)
{
    struct world_row *row = container_of(w->cdrs.prev, struct world_row, node);
    if (list_empty(&w->cdrs) || !str_eq(row->op.v[0].s, op->v[0].s)) {
        world_fail(w, "store: details of no record");
        return;
    }
    for (unsigned i = 1; i < op->n; i++) {
        struct row_value *v = &row->op.v[row->op.n++];
        *v = op->v[i];
        if (v->type == ROW_TEXT)
            v->s = arena_dup(&w->arena, v->s);
    }
}

/* The columns are those of pbx/store.c: aor and contact come first in both statements. */
void world_store_rx(struct world *w, const struct row_op *op)
{
    static const uint16_t columns[STORE_STATEMENTS] = {
        [STORE_BINDING_PUT] = 11,   [STORE_BINDING_DEL] = 2,        [STORE_CDR_PUT] = 22,
        [STORE_CDR_DETAIL_PUT] = 3, [STORE_SETTING_PUT] = 3,        [STORE_SETTING_DEL] = 2,
        [STORE_CDR_RESTORE] = 22,   [STORE_CDR_DETAIL_RESTORE] = 3, [STORE_QUALITY_PUT] = 16,
        [STORE_MESSAGE_PUT] = 8,    [STORE_MESSAGE_DEL] = 1,        [STORE_CALL_BOT_PUT] = 9};
    if (op->statement >= STORE_STATEMENTS || op->n != columns[op->statement]) {
        world_fail(w, "store: statement %u with %u values", op->statement, op->n);
        return;
    }
    if (op->statement == STORE_CDR_PUT) {
        keep(w, &w->cdrs, op);
        w->n_cdrs++;
        if (w->on_cdr)
            w->on_cdr(w, op);
        return;
    }
    if (op->statement == STORE_CALL_BOT_PUT) {
        keep(w, &w->bots, op);
        return;
    }
    if (op->statement == STORE_QUALITY_PUT) {
        keep(w, &w->qualities, op);
        return;
    }
    if (op->statement == STORE_CDR_DETAIL_PUT) {
        add_detail(w, op);
        return;
    }
    if (op->statement == STORE_SETTING_PUT || op->statement == STORE_SETTING_DEL) {
        struct world_row *before = row_find(&w->settings, op->v[0].s, op->v[1].s);
        if (before)
            list_remove(&before->node);
        if (op->statement == STORE_SETTING_PUT)
            keep(w, &w->settings, op);
        return;
    }
    if (op->statement == STORE_MESSAGE_PUT || op->statement == STORE_MESSAGE_DEL) {
        message(w, op);
        return;
    }
    struct world_row *old = row_find(&w->bindings, op->v[0].s, op->v[1].s);
    if (old) {
        list_remove(&old->node);
        w->n_bindings--;
    }
    if (op->statement == STORE_BINDING_PUT) {
        keep(w, &w->bindings, op);
        w->n_bindings++;
    }
}

void world_store_restore(struct world *w)
{
    list_each(node, &w->bindings)
    {
        struct world_row *row = container_of(node, struct world_row, node);
        pbx_restore(w->pbx, w->now, STORE_RESTORE_BINDINGS, row->op.v, row->op.n);
    }
    list_each(node, &w->settings)
    {
        struct world_row *row = container_of(node, struct world_row, node);
        pbx_restore(w->pbx, w->now, STORE_RESTORE_SETTINGS, row->op.v, row->op.n);
    }
    list_each(node, &w->messages)
    {
        struct world_row *row = container_of(node, struct world_row, node);
        pbx_restore(w->pbx, w->now, STORE_RESTORE_MESSAGES, row->op.v, row->op.n);
    }
}
